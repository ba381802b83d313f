/* SPDX-License-Identifier: MIT */
#include "app.h"

/* What an app does when it has been made. */

/* --- its life --- */
static PyObject *change(PyObject *object, pl_code (*step)(pl_app *app, char *error, size_t error_size))
{
    app_object *self = (app_object *)object;
    char error[CORE_ERROR_SIZE] = "";
    pl_code code;
    pl_app *app = core_app_enter(self);
    if (!app)
        return NULL;
    Py_BEGIN_ALLOW_THREADS;
    code = step(app, error, sizeof error);
    Py_END_ALLOW_THREADS;
    core_app_leave(self);
    return core_app_result(self, code, error);
}

static PyObject *app_start(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    return change(object, pl_app_start);
}

static PyObject *app_stop(PyObject *object, PyObject *args)
{
    app_object *self = (app_object *)object;
    unsigned timeout_ms;
    if (!PyArg_ParseTuple(args, "I:stop", &timeout_ms))
        return NULL;
    pl_app *app = core_app_enter(self);
    if (!app)
        return NULL;
    Py_BEGIN_ALLOW_THREADS;
    pl_app_stop(app, timeout_ms);
    Py_END_ALLOW_THREADS;
    core_app_leave(self);
    Py_RETURN_NONE;
}

/* Whether there is a new generation. */
static PyObject *app_reload(PyObject *object, PyObject *args)
{
    app_object *self = (app_object *)object;
    PyObject *dict = Py_None;
    core_files files = {0};
    char error[CORE_ERROR_SIZE] = "";
    pl_code code;
    bool unchanged = false;
    if (!PyArg_ParseTuple(args, "|O:reload", &dict) || (dict != Py_None && core_files_read(dict, &files)))
        return NULL;
    pl_app *app = core_app_enter(self);
    if (app) {
        Py_BEGIN_ALLOW_THREADS;
        code = dict == Py_None ? pl_app_reload(app, &unchanged, error, sizeof error)
                               : pl_app_reload_memory(app, files.list, files.count, error, sizeof error);
        Py_END_ALLOW_THREADS;
        core_app_leave(self);
    }
    core_files_free(&files);
    if (!app)
        return NULL;
    return code ? core_app_result(self, code, error) : PyBool_FromLong(!unchanged);
}

static PyObject *app_rollback(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    return change(object, pl_app_rollback);
}

/* --- what is asked of it --- */
static PyObject *text(PyObject *object, char *(*ask)(pl_app *app))
{
    app_object *self = (app_object *)object;
    char *answer;
    pl_app *app = core_app_enter(self);
    if (!app)
        return NULL;
    Py_BEGIN_ALLOW_THREADS;
    answer = ask(app);
    Py_END_ALLOW_THREADS;
    core_app_leave(self);
    PyObject *result = answer ? PyUnicode_FromString(answer) : PyErr_NoMemory();
    pl_free_text(answer);
    return result;
}

static PyObject *app_status(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    return text(object, pl_app_status);
}

static PyObject *app_metrics(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    return text(object, pl_app_metrics);
}

static PyObject *app_addresses(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    return text(object, pl_app_addresses);
}

static PyObject *app_generation(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    app_object *self = (app_object *)object;
    uint64_t generation;
    pl_app *app = core_app_enter(self);
    if (!app)
        return NULL;
    Py_BEGIN_ALLOW_THREADS;
    generation = pl_app_generation(app);
    Py_END_ALLOW_THREADS;
    core_app_leave(self);
    return PyLong_FromUnsignedLongLong(generation);
}

/* --- requests: their ends come to an inbox --- */
static PyObject *app_execute(PyObject *object, PyObject *args)
{
    app_object *self = (app_object *)object;
    const char *request;
    Py_ssize_t length;
    PyObject *inbox;
    unsigned long long id;
    if (!PyArg_ParseTuple(args, "OKy#:execute", &inbox, &id, &request, &length))
        return NULL;
    pl_app *app = core_app_enter(self);
    core_ticket *ticket = app ? core_ticket_new(self->requests, inbox, id) : NULL;
    if (ticket) {
        Py_BEGIN_ALLOW_THREADS;
        pl_app_execute_async(app, request, (size_t)length, core_ticket_done, ticket);
        Py_END_ALLOW_THREADS;
    }
    if (app)
        core_app_leave(self);
    return ticket ? Py_NewRef(Py_None) : NULL;
}

static PyObject *app_call(PyObject *object, PyObject *args)
{
    app_object *self = (app_object *)object;
    const char *method, *request;
    Py_ssize_t length;
    PyObject *inbox;
    unsigned long long id;
    if (!PyArg_ParseTuple(args, "OKsy#:call", &inbox, &id, &method, &request, &length))
        return NULL;
    pl_app *app = core_app_enter(self);
    core_ticket *ticket = app ? core_ticket_new(self->requests, inbox, id) : NULL;
    if (ticket) {
        Py_BEGIN_ALLOW_THREADS;
        pl_app_call_async(app, method, request, (size_t)length, core_ticket_done, ticket);
        Py_END_ALLOW_THREADS;
    }
    if (app)
        core_app_leave(self);
    return ticket ? Py_NewRef(Py_None) : NULL;
}

/* --- events --- */
typedef struct event {
    pl_app_event event;
    const char **headers;
} event;

/* headers is a tuple of str: name, value, name, value. */
static int read_headers(event *e, PyObject *headers)
{
    Py_ssize_t count = PyTuple_Size(headers);
    if (count < 0)
        return -1;
    e->headers = PyMem_Calloc((size_t)count + 1, sizeof *e->headers);
    if (!e->headers) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        e->headers[i] = PyUnicode_AsUTF8AndSize(PyTuple_GetItem(headers, i), NULL);
        if (!e->headers[i]) {
            PyMem_Free(e->headers);
            return -1;
        }
    }
    e->event.headers = e->headers;
    return 0;
}

static int read_event(event *e, PyObject *args, PyObject **inbox, unsigned long long *id)
{
    Py_ssize_t key_length = 0, value_length = 0;
    PyObject *headers;
    *e = (event){0};
    if (inbox ? !PyArg_ParseTuple(args, "OKsz#y#O!:publish", inbox, id, &e->event.topic, &e->event.key,
                                  &key_length, &e->event.value, &value_length, &PyTuple_Type, &headers)
              : !PyArg_ParseTuple(args, "sz#y#O!:handle", &e->event.topic, &e->event.key, &key_length,
                                  &e->event.value, &value_length, &PyTuple_Type, &headers))
        return -1;
    e->event.key_length = (size_t)key_length;
    e->event.value_length = (size_t)value_length;
    return read_headers(e, headers);
}

static PyObject *app_publish(PyObject *object, PyObject *args)
{
    app_object *self = (app_object *)object;
    PyObject *inbox;
    unsigned long long id;
    event e;
    if (read_event(&e, args, &inbox, &id))
        return NULL;
    pl_app *app = core_app_enter(self);
    core_ticket *ticket = app ? core_ticket_new(self->requests, inbox, id) : NULL;
    if (ticket) {
        Py_BEGIN_ALLOW_THREADS;
        pl_app_publish_async(app, &e.event, core_ticket_done, ticket);
        Py_END_ALLOW_THREADS;
    }
    if (app)
        core_app_leave(self);
    PyMem_Free(e.headers);
    return ticket ? Py_NewRef(Py_None) : NULL;
}

static PyObject *app_handle(PyObject *object, PyObject *args)
{
    app_object *self = (app_object *)object;
    event e;
    pl_code code;
    char error[CORE_ERROR_SIZE] = "";
    if (read_event(&e, args, NULL, NULL))
        return NULL;
    pl_app *app = core_app_enter(self);
    if (app) {
        Py_BEGIN_ALLOW_THREADS;
        code = pl_app_handle_event(app, &e.event, error, sizeof error);
        Py_END_ALLOW_THREADS;
        core_app_leave(self);
    }
    PyMem_Free(e.headers);
    return app ? core_app_result(self, code, error) : NULL;
}

PyMethodDef core_app_methods[] = {
    {"resolver", core_app_resolver, METH_VARARGS, "resolver(type, field, callable, count, lane)"},
    {"method", core_app_method, METH_VARARGS, "method(service, method, callable, count, lane)"},
    {"scalar", core_app_scalar, METH_VARARGS, "scalar(name)\n\nIts values are converted by the lanes."},
    {"consumer", core_app_consumer, METH_VARARGS, "consumer(name, declaration, callable, count, lane)"},
    {"interceptor", core_app_interceptor, METH_VARARGS, "interceptor(before, count, after, count, lane)"},
    {"start", app_start, METH_NOARGS, "start()"},
    {"stop", app_stop, METH_VARARGS, "stop(timeout_ms)"},
    {"close", core_app_close, METH_NOARGS, "close()\n\nEnds it; a second time does nothing."},
    {"reload", app_reload, METH_VARARGS, "reload(files=None) -> whether there is a new generation"},
    {"rollback", app_rollback, METH_NOARGS, "rollback()"},
    {"status", app_status, METH_NOARGS, "status() -> JSON"},
    {"metrics", app_metrics, METH_NOARGS, "metrics() -> text"},
    {"addresses", app_addresses, METH_NOARGS, "addresses() -> JSON"},
    {"generation", app_generation, METH_NOARGS, "generation() -> int"},
    {"execute", app_execute, METH_VARARGS, "execute(inbox, id, request: bytes)"},
    {"call", app_call, METH_VARARGS, "call(inbox, id, method, request: bytes)"},
    {"publish", app_publish, METH_VARARGS, "publish(inbox, id, topic, key, value, headers)"},
    {"handle", app_handle, METH_VARARGS, "handle(topic, key, value, headers)"},
    {NULL, NULL, 0, NULL},
};
