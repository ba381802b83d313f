/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core.h"

#define ERROR_SIZE 16384

/* A pl_app, used by one thread at a time: whoever waits for its lock, or for the library, holds no GIL. */
typedef struct app_object {
    PyObject_HEAD pl_app *app; /* NULL: closed */
    pthread_mutex_t lock;
    pid_t pid; /* of the process whose threads and sockets are the app's */
} app_object;

static core_state *state_of(app_object *self)
{
    return core_state_of_type(Py_TYPE((PyObject *)self));
}

/* --- the files of a bundle in memory: {path: bytes} --- */
typedef struct bundle_files {
    PyObject *keep; /* a list of what the pointers point into */
    pl_app_file *list;
    size_t count;
} bundle_files;

static void files_free(bundle_files *files)
{
    PyMem_Free(files->list);
    Py_CLEAR(files->keep);
}

static int files_add(bundle_files *files, PyObject *path, PyObject *bytes)
{
    pl_app_file *file = &files->list[files->count];
    char *data;
    Py_ssize_t length;
    PyObject *name = PyUnicode_AsUTF8String(path);
    if (!name || PyList_Append(files->keep, name) || PyList_Append(files->keep, bytes) ||
        PyBytes_AsStringAndSize(bytes, &data, &length)) {
        Py_XDECREF(name);
        return -1;
    }
    *file = (pl_app_file){PyBytes_AsString(name), data, (size_t)length};
    files->count++;
    Py_DECREF(name);
    return 0;
}

static int files_read(PyObject *dict, bundle_files *files)
{
    PyObject *path, *bytes;
    Py_ssize_t at = 0;
    *files = (bundle_files){.keep = PyList_New(0),
                            .list = PyMem_Calloc((size_t)PyDict_Size(dict) + 1, sizeof(pl_app_file))};
    if (!files->list)
        PyErr_NoMemory();
    while (files->keep && files->list && PyDict_Next(dict, &at, &path, &bytes))
        if (files_add(files, path, bytes))
            break;
    if (!PyErr_Occurred())
        return 0;
    files_free(files);
    return -1;
}

/* --- App(directory, files): one of them is None --- */
static PyObject *app_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"directory", "files", NULL};
    PyObject *directory = Py_None, *dict = Py_None, *path = NULL;
    bundle_files files = {0};
    app_object *self = NULL;
    char error[ERROR_SIZE] = "";
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO", names, &directory, &dict))
        return NULL;
    if (dict != Py_None && (!PyDict_Check(dict) || files_read(dict, &files)))
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_TypeError, "files must be a dict or None");
    if (dict == Py_None && !PyUnicode_FSConverter(directory, &path))
        return NULL;
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    self = (app_object *)allocate(type, 0);
    if (!self)
        goto done;
    pthread_mutex_init(&self->lock, NULL);
    self->pid = getpid();
    const char *name = path ? PyBytes_AsString(path) : NULL;
    Py_BEGIN_ALLOW_THREADS;
    self->app = name ? pl_app_open(name, error, sizeof error)
                     : pl_app_open_memory(files.list, files.count, error, sizeof error);
    Py_END_ALLOW_THREADS;
    if (!self->app) {
        core_raise(state_of(self), PL_INVALID_ARGUMENT, error);
        Py_CLEAR(self);
    }
done:
    Py_XDECREF(path);
    files_free(&files);
    return (PyObject *)self;
}

static void app_stop(app_object *self)
{
    Py_BEGIN_ALLOW_THREADS;
    pthread_mutex_lock(&self->lock);
    pl_app *app = self->app;
    self->app = NULL;
    if (self->pid == getpid())
        pl_app_close(app);
    pthread_mutex_unlock(&self->lock);
    Py_END_ALLOW_THREADS;
}

static void app_dealloc(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    app_stop((app_object *)object);
    release(object);
    Py_DECREF(type);
}

static PyObject *app_close(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    app_stop((app_object *)object);
    Py_RETURN_NONE;
}

static PyObject *app_execute(PyObject *object, PyObject *request)
{
    app_object *self = (app_object *)object;
    char *bytes, *response = NULL;
    Py_ssize_t length;
    size_t response_length = 0;
    pl_code code = PL_FAILED_PRECONDITION;
    if (self->pid != getpid())
        return core_raise(state_of(self), code,
                          "the app belongs to the parent process: open one in this process");
    if (PyBytes_AsStringAndSize(request, &bytes, &length))
        return NULL;
    Py_BEGIN_ALLOW_THREADS;
    pthread_mutex_lock(&self->lock);
    if (self->app)
        code = pl_app_execute(self->app, bytes, (size_t)length, &response, &response_length);
    pthread_mutex_unlock(&self->lock);
    Py_END_ALLOW_THREADS;
    if (!response)
        return code == PL_FAILED_PRECONDITION ? core_raise(state_of(self), code, "the app is closed")
                                              : PyErr_NoMemory();
    PyObject *result = Py_BuildValue("iy#", (int)code, response, (Py_ssize_t)response_length);
    pl_free_text(response);
    return result;
}

static PyMethodDef app_methods[] = {
    {"execute", app_execute, METH_O,
     "execute(request: bytes) -> (code, response: bytes)\n\nOne GraphQL request, both as JSON."},
    {"close", app_close, METH_NOARGS, "close()\n\nEnds it; a second time does nothing."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot app_slots[] = {
    {Py_tp_new, (void *)app_new},
    {Py_tp_dealloc, (void *)app_dealloc},
    {Py_tp_methods, app_methods},
    {0, NULL},
};

static PyType_Spec app_spec = {
    .name = "perilune._core.App",
    .basicsize = sizeof(app_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = app_slots,
};

int core_add_app(PyObject *module, core_state *state)
{
    state->app_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &app_spec, NULL);
    return state->app_type ? PyModule_AddType(module, state->app_type) : -1;
}
