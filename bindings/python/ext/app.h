/* SPDX-License-Identifier: MIT */
#ifndef PERILUNE_PYTHON_APP_H
#define PERILUNE_PYTHON_APP_H

#include <pthread.h>
#include <sys/types.h>

#include "inbox.h"
#include "lane.h"
#include "lines.h"

#define CORE_ERROR_SIZE 16384

/* A pl_app with workers of its own, so that any thread may call it. Those that do are counted, and the app is
 * freed when they have gone. */
typedef struct app_object {
    PyObject_HEAD pl_app *app; /* NULL: closed */
    pthread_mutex_t lock;
    pthread_cond_t idle;
    size_t users;
    pid_t pid; /* of the process whose threads and sockets are the app's */
    core_lines *lines;
    core_bound *requests;
    core_function *functions; /* freed after the app */
} app_object;

/* --- the files of a bundle in memory: {path: bytes} --- */
typedef struct core_files {
    PyObject *keep; /* a list of what the pointers point into */
    pl_app_file *list;
    size_t count;
} core_files;
int core_files_read(PyObject *dict, core_files *files); /* -1: raised */
void core_files_free(core_files *files);

/* NULL: raised, as it is closed, or the parent process's. Else to be left. */
pl_app *core_app_enter(app_object *self);
void core_app_leave(app_object *self);
/* None; or NULL, with the exception of the code. */
PyObject *core_app_result(app_object *self, pl_code code, const char *error);

extern PyMethodDef core_app_methods[];
PyObject *core_app_close(PyObject *object, PyObject *ignored);
/* app_register.c */
PyObject *core_app_resolver(PyObject *object, PyObject *args);
PyObject *core_app_method(PyObject *object, PyObject *args);
PyObject *core_app_consumer(PyObject *object, PyObject *args);
PyObject *core_app_scalar(PyObject *object, PyObject *args);
PyObject *core_app_interceptor(PyObject *object, PyObject *args);
void core_functions_free(core_function *first);

#endif
