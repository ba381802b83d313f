/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"

/* Functions of Python's, before the app starts. */

void core_functions_free(core_function *first)
{
    while (first) {
        core_function *next = first->next;
        Py_DECREF(first->callable);
        core_lane_unref(first->lane);
        free(first);
        first = next;
    }
}

/* Kept by the app. NULL: raised. */
static core_function *make(app_object *self, core_kind kind, const char *name, PyObject *callable, int count,
                           PyObject *lane)
{
    size_t length = strlen(name);
    core_state *state = core_state_of((PyObject *)self);
    if (Py_TYPE(lane) != state->lane_type) {
        PyErr_SetString(PyExc_TypeError, "a Lane is expected");
        return NULL;
    }
    core_function *f = malloc(sizeof *f + length + 1);
    if (!f) {
        PyErr_NoMemory();
        return NULL;
    }
    Py_INCREF(callable);
    *f = (core_function){.next = self->functions, .callable = callable, .kind = kind, .count = count};
    f->lane = core_lane_ref(core_lane_of(lane));
    memcpy(f->name, name, length + 1);
    self->functions = f;
    return f;
}

static PyObject *result(app_object *self, pl_code code, const char *name)
{
    char error[512];
    core_app_leave(self);
    snprintf(error, sizeof error, "%.200s: %s", name,
             code == PL_INVALID_ARGUMENT      ? "there can be no such name"
             : code == PL_ALREADY_EXISTS      ? "there is a function for it already"
             : code == PL_FAILED_PRECONDITION ? "the app has started"
                                              : "the function could not be registered");
    return core_app_result(self, code, error);
}

PyObject *core_app_resolver(PyObject *object, PyObject *args)
{
    app_object *self = (app_object *)object;
    const char *type, *field;
    PyObject *callable, *lane;
    int count;
    char name[256];
    if (!PyArg_ParseTuple(args, "ssOiO:resolver", &type, &field, &callable, &count, &lane))
        return NULL;
    snprintf(name, sizeof name, "%s.%s", type, field);
    pl_app *app = core_app_enter(self);
    if (!app)
        return NULL;
    core_function *f = make(self, CORE_RESOLVER, name, callable, count, lane);
    pl_code code = f ? pl_app_resolver(app, type, field, core_function_enter, f) : PL_OK;
    return f ? result(self, code, name) : (core_app_leave(self), NULL);
}

PyObject *core_app_method(PyObject *object, PyObject *args)
{
    app_object *self = (app_object *)object;
    const char *service, *method;
    PyObject *callable, *lane;
    int count;
    char name[256];
    if (!PyArg_ParseTuple(args, "ssOiO:method", &service, &method, &callable, &count, &lane))
        return NULL;
    snprintf(name, sizeof name, "%s/%s", service, method);
    pl_app *app = core_app_enter(self);
    if (!app)
        return NULL;
    core_function *f = make(self, CORE_METHOD, name, callable, count, lane);
    pl_code code = f ? pl_app_method(app, service, method, core_function_enter, f) : PL_OK;
    return f ? result(self, code, name) : (core_app_leave(self), NULL);
}

/* One of two functions, of which either may be None. -1: raised. */
static int make_either(app_object *self, core_kind kind, const char *name, PyObject *callable, PyObject *lane,
                       int count, core_function **f)
{
    *f = callable == Py_None ? NULL : make(self, kind, name, callable, count, lane);
    return callable != Py_None && !*f ? -1 : 0;
}

PyObject *core_app_interceptor(PyObject *object, PyObject *args)
{
    app_object *self = (app_object *)object;
    PyObject *before, *after, *lane;
    core_function *f, *g;
    int before_count, after_count;
    if (!PyArg_ParseTuple(args, "OiOiO:interceptor", &before, &before_count, &after, &after_count, &lane))
        return NULL;
    pl_app *app = core_app_enter(self);
    if (!app)
        return NULL;
    if (make_either(self, CORE_BEFORE, "interceptor.before", before, lane, before_count, &f) ||
        make_either(self, CORE_AFTER, "interceptor.after", after, lane, after_count, &g)) {
        core_app_leave(self);
        return NULL;
    }
    /* One `data` for both: each knows itself by its own table. */
    pl_code code = PL_OK;
    if (f)
        code = pl_app_interceptor(app, core_function_enter, NULL, f);
    if (!code && g)
        code = pl_app_interceptor(app, NULL, core_function_enter, g);
    return result(self, code, "interceptor");
}

PyObject *core_app_consumer(PyObject *object, PyObject *args)
{
    app_object *self = (app_object *)object;
    const char *declaration, *name;
    PyObject *callable, *lane;
    int count;
    if (!PyArg_ParseTuple(args, "ssOiO:consumer", &name, &declaration, &callable, &count, &lane))
        return NULL;
    pl_app *app = core_app_enter(self);
    if (!app)
        return NULL;
    core_function *f = make(self, CORE_EVENT, name, callable, count, lane);
    pl_code code = f ? pl_app_consumer(app, declaration, core_function_enter, f) : PL_OK;
    return f ? result(self, code, name) : (core_app_leave(self), NULL);
}
