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
    if (f)
        f->streams = strcmp(type, "Subscription") == 0;
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
    if (f)
        f->streams = true;
    pl_code code = f ? pl_app_method(app, service, method, core_function_enter, f) : PL_OK;
    return f ? result(self, code, name) : (core_app_leave(self), NULL);
}

PyObject *core_app_scalar(PyObject *object, PyObject *args)
{
    app_object *self = (app_object *)object;
    const char *name;
    if (!PyArg_ParseTuple(args, "s:scalar", &name))
        return NULL;
    pl_app *app = core_app_enter(self);
    return app ? result(self, pl_app_mark_scalar(app, name), name) : NULL;
}

/* --- pairs, of which either may be None: the library has one `data` for both --- */
static pl_native_status enter_first(pl_native_call *call, void *data)
{
    return core_function_enter(call, data);
}

static pl_native_status enter_second(pl_native_call *call, void *data)
{
    core_function *first = data;
    return core_function_enter(call, first->second ? first->second : first);
}

typedef struct pair {
    PyObject *functions[2];
    int counts[2];
    core_function *data;
    pl_native_function enter[2];
} pair;

/* -1: raised. */
static int make_pair(app_object *self, pair *p, const core_kind kinds[2], const char *const names[2],
                     PyObject *lane)
{
    static const pl_native_function enter[2] = {enter_first, enter_second};
    for (int i = 0; i < 2; i++) {
        if (p->functions[i] == Py_None)
            continue;
        core_function *f = make(self, kinds[i], names[i], p->functions[i], p->counts[i], lane);
        if (!f)
            return -1;
        p->enter[i] = enter[i];
        if (p->data)
            p->data->second = f;
        else
            p->data = f;
    }
    return 0;
}

PyObject *core_app_interceptor(PyObject *object, PyObject *args)
{
    static const core_kind kinds[2] = {CORE_BEFORE, CORE_AFTER};
    static const char *const names[2] = {"interceptor.before", "interceptor.after"};
    app_object *self = (app_object *)object;
    PyObject *lane;
    pair p = {.data = NULL};
    if (!PyArg_ParseTuple(args, "OiOiO:interceptor", &p.functions[0], &p.counts[0], &p.functions[1],
                          &p.counts[1], &lane))
        return NULL;
    pl_app *app = core_app_enter(self);
    if (!app)
        return NULL;
    if (make_pair(self, &p, kinds, names, lane)) {
        core_app_leave(self);
        return NULL;
    }
    return result(self, pl_app_interceptor(app, p.enter[0], p.enter[1], p.data), "interceptor");
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
