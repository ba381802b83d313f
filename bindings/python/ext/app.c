/* SPDX-License-Identifier: MIT */
#include "app.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- files --- */
void core_files_free(core_files *files)
{
    PyMem_Free(files->list);
    files->list = NULL;
    Py_CLEAR(files->keep);
}

static int files_add(core_files *files, PyObject *path, PyObject *bytes)
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

int core_files_read(PyObject *dict, core_files *files)
{
    PyObject *path, *bytes;
    Py_ssize_t at = 0;
    if (!PyDict_Check(dict)) {
        PyErr_SetString(PyExc_TypeError, "files must be a dict");
        return -1;
    }
    *files = (core_files){.keep = PyList_New(0),
                          .list = PyMem_Calloc((size_t)PyDict_Size(dict) + 1, sizeof(pl_app_file))};
    if (!files->list)
        PyErr_NoMemory();
    while (files->keep && files->list && PyDict_Next(dict, &at, &path, &bytes))
        if (files_add(files, path, bytes))
            break;
    if (!PyErr_Occurred())
        return 0;
    core_files_free(files);
    return -1;
}

/* --- who uses it --- */
pl_app *core_app_enter(app_object *self)
{
    core_state *state = core_state_of((PyObject *)self);
    if (self->pid != getpid()) {
        core_raise(state, PL_FAILED_PRECONDITION,
                   "the app belongs to the parent process: make one in this process");
        return NULL;
    }
    pthread_mutex_lock(&self->lock);
    pl_app *app = self->app;
    self->users += app != NULL;
    pthread_mutex_unlock(&self->lock);
    if (!app)
        core_raise(state, PL_FAILED_PRECONDITION, "the app is closed");
    return app;
}

void core_app_leave(app_object *self)
{
    pthread_mutex_lock(&self->lock);
    if (--self->users == 0)
        pthread_cond_broadcast(&self->idle);
    pthread_mutex_unlock(&self->lock);
}

PyObject *core_app_result(app_object *self, pl_code code, const char *error)
{
    if (code)
        return core_raise(core_state_of((PyObject *)self), code,
                          error && error[0] ? error : pl_code_name(code));
    Py_RETURN_NONE;
}

/* --- its beginning and end --- */
typedef struct wanted {
    pl_app_options options;
    PyObject *directory, *files, *path, *lines;
    core_files list;
    unsigned requests;
} wanted;

static int parse(wanted *w, PyObject *args, PyObject *kwargs)
{
    static const char *const names[] = {
        "directory",   "files", "lines",     "log_level", "workers", "http",     "https",    "grpc", "grpcs",
        "certificate", "key",   "client_ca", "kafka",     "metrics", "drain_ms", "requests", NULL};
    int level = PL_LOG_INFO;
    pl_app_options *o = &w->options;
    *w = (wanted){.options = PL_APP_OPTIONS_INIT,
                  .directory = Py_None,
                  .files = Py_None,
                  .lines = Py_None,
                  .requests = UINT_MAX};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OOOiizzzzzzzzzII:App", (char **)names, &w->directory,
                                     &w->files, &w->lines, &level, &o->workers, &o->http, &o->https, &o->grpc,
                                     &o->grpcs, &o->certificate, &o->key, &o->client_ca, &o->kafka,
                                     &o->metrics, &o->drain_ms, &w->requests))
        return -1;
    o->log_level = (pl_log_level)level;
    if (w->files != Py_None) {
        if (core_files_read(w->files, &w->list))
            return -1;
        o->files = w->list.list;
        o->file_count = w->list.count;
    }
    if (w->directory != Py_None) {
        if (!PyUnicode_FSConverter(w->directory, &w->path))
            return -1;
        o->directory = PyBytes_AsString(w->path);
    }
    return 0;
}

static int open_lines(app_object *self, wanted *w)
{
    if (w->lines == Py_None)
        return 0;
    core_lines *lines = core_lines_of(w->lines);
    if (!lines)
        return -1;
    self->lines = core_lines_ref(lines);
    w->options.log = core_lines_add;
    w->options.log_data = lines;
    return 0;
}

static PyObject *app_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    wanted w;
    app_object *self = NULL;
    char error[CORE_ERROR_SIZE] = "";
    if (parse(&w, args, kwargs))
        goto done;
    self = core_make(type);
    if (!self)
        goto done;
    self->pid = getpid();
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->idle, NULL);
    self->requests = core_bound_new(w.requests);
    if (!self->requests) {
        PyErr_NoMemory();
    } else if (!open_lines(self, &w)) {
        self->app = pl_app_new(&w.options, error, sizeof error);
        if (!self->app)
            core_raise(core_state_of((PyObject *)self), PL_INVALID_ARGUMENT, error);
    }
    if (!self->app)
        Py_CLEAR(self);
done:
    Py_XDECREF(w.path);
    core_files_free(&w.list);
    return (PyObject *)self;
}

/* Without the GIL. False: another thread has ended it, or does so. */
static bool end(app_object *self)
{
    pthread_mutex_lock(&self->lock);
    pl_app *app = self->app;
    self->app = NULL;
    pthread_mutex_unlock(&self->lock);
    if (!app)
        return false;
    pl_app_stop(app, 0); /* whoever waits for something gets an answer */
    pthread_mutex_lock(&self->lock);
    while (self->users > 0)
        pthread_cond_wait(&self->idle, &self->lock);
    pthread_mutex_unlock(&self->lock);
    pl_app_free(app);
    return true;
}

PyObject *core_app_close(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    app_object *self = (app_object *)object;
    if (self->pid != getpid())
        Py_RETURN_NONE;
    bool ended;
    Py_BEGIN_ALLOW_THREADS;
    ended = end(self);
    Py_END_ALLOW_THREADS;
    if (ended) { /* nobody calls them any more */
        core_functions_free(self->functions);
        self->functions = NULL;
        core_lines_unref(self->lines);
        self->lines = NULL;
    }
    Py_RETURN_NONE;
}

static void app_dealloc(PyObject *object)
{
    app_object *self = (app_object *)object;
    if (self->pid != 0)
        Py_XDECREF(core_app_close(object, NULL));
    if (self->pid == getpid()) { /* of one that could not be made */
        core_functions_free(self->functions);
        core_lines_unref(self->lines);
    }
    core_bound_unref(self->requests);
    core_release(object);
}

static PyType_Slot app_slots[] = {
    {Py_tp_new, (void *)app_new},
    {Py_tp_dealloc, (void *)app_dealloc},
    {Py_tp_methods, core_app_methods},
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
    return core_add_type(module, &app_spec, &state->app_type);
}
