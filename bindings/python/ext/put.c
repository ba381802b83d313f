/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "lane.h"

/* A value of Python's, written as the result of a call. What fails leaves lists and maps open: the call fails
 * then. */

#define MAX_DEPTH 100
#define MOST_BYTES ((size_t)64 << 20) /* a generator need not end */

/* Where in the value the work is: one for each list and map on the C stack. */
typedef struct place {
    const struct place *outer;
    const char *key; /* of a map; NULL: index counts */
    Py_ssize_t index;
} place;

typedef struct job {
    core_state *state;
    pl_native_call *call;
    const char *what;
    size_t size; /* of what has been written, more or less */
} job;

static int put(job *j, PyObject *value, const place *at, int depth);

static void print_place(const place *at, char *out, size_t size, size_t *used)
{
    if (!at)
        return;
    print_place(at->outer, out, size, used);
    if (*used >= size - 1)
        return;
    int n = at->key ? snprintf(out + *used, size - *used, ".%.100s", at->key)
                    : snprintf(out + *used, size - *used, "[%zd]", at->index);
    *used += n > 0 ? (size_t)n : 0;
}

static int wrong(job *j, const place *at, const char *why, PyObject *value)
{
    char path[512] = "";
    size_t used = 0;
    print_place(at, path, sizeof path, &used);
    PyObject *name = PyType_GetQualName(Py_TYPE(value));
    if (name)
        PyErr_Format(PyExc_TypeError, "%s: result%s: a value of type %U %s", j->what, path, name, why);
    Py_XDECREF(name);
    return -1;
}

static int put_int(job *j, PyObject *value, const place *at)
{
    int overflow;
    long long v = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow)
        return wrong(j, at, "is beyond 64 bits", value);
    pl_native_put_int(j->call, v);
    return 0;
}

/* Counts what is to be written. -1: raised, as it is too much. */
static int add(job *j, Py_ssize_t length)
{
    char text[320];
    j->size += 16 + (size_t)length;
    if (j->size <= MOST_BYTES)
        return 0;
    snprintf(text, sizeof text, "%.200s: the result has more than %zu MB", j->what, MOST_BYTES >> 20);
    core_raise(j->state, PL_RESOURCE_EXHAUSTED, text);
    return -1;
}

static int put_text(job *j, PyObject *value)
{
    Py_ssize_t length;
    const char *utf8 = PyUnicode_AsUTF8AndSize(value, &length);
    if (!utf8 || add(j, length))
        return -1;
    pl_native_put_string(j->call, utf8, (size_t)length);
    return 0;
}

static int put_bytes(job *j, PyObject *value)
{
    char *bytes;
    Py_ssize_t length;
    if (PyBytes_AsStringAndSize(value, &bytes, &length) || add(j, length))
        return -1;
    pl_native_put_string(j->call, bytes, (size_t)length);
    return 0;
}

/* Lists, tuples, and what is iterated over: generators, sets. */
static int put_elements(job *j, PyObject *value, const place *at, int depth)
{
    place here = {.outer = at};
    PyObject *iterator = PyObject_GetIter(value), *item;
    if (!iterator)
        return -1;
    int failed = 0;
    pl_native_begin_list(j->call);
    while (!failed && (item = PyIter_Next(iterator))) {
        failed = add(j, 0) || put(j, item, &here, depth);
        here.index++;
        Py_DECREF(item);
    }
    Py_DECREF(iterator);
    if (PyErr_Occurred())
        return -1;
    pl_native_end(j->call);
    return 0;
}

static int put_members(job *j, PyObject *value, const place *at, int depth)
{
    place here = {.outer = at};
    PyObject *key, *member;
    Py_ssize_t position = 0;
    int failed = 0;
    pl_native_begin_map(j->call);
    while (!failed && PyDict_Next(value, &position, &key, &member)) {
        if (!PyUnicode_Check(key) && !(PyLong_Check(key) && !PyBool_Check(key))) {
            wrong(j, at, "is no key of a map", key);
            break;
        }
        Py_INCREF(key); /* code that runs meanwhile may change the dict */
        Py_INCREF(member);
        PyObject *name = PyObject_Str(key);
        here.key = name ? PyUnicode_AsUTF8AndSize(name, NULL) : NULL;
        failed = here.key == NULL || add(j, 0);
        if (!failed) {
            pl_native_key(j->call, here.key);
            failed = put(j, member, &here, depth);
        }
        Py_XDECREF(name);
        Py_DECREF(member);
        Py_DECREF(key);
    }
    if (PyErr_Occurred())
        return -1;
    pl_native_end(j->call);
    return 0;
}

static bool is_sequence(PyObject *value)
{
    return PyList_Check(value) || PyTuple_Check(value) || PyIter_Check(value) || PyAnySet_Check(value);
}

/* Dataclasses, times, enumerations: perilune._json.plain says what stands for them. */
static int put_other(job *j, PyObject *value, const place *at, int depth)
{
    if (depth <= 0)
        return wrong(j, at, "is nested too deeply, or contains itself", value);
    PyObject *instead = PyObject_CallFunctionObjArgs(j->state->plain, value, NULL);
    if (!instead && PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Clear();
        return wrong(j, at, "cannot be one", value);
    }
    int failed = instead ? put(j, instead, at, depth) : -1;
    Py_XDECREF(instead);
    return failed;
}

static int put(job *j, PyObject *value, const place *at, int depth)
{
    if (value == Py_None)
        pl_native_put_null(j->call);
    else if (PyUnicode_Check(value))
        return put_text(j, value);
    else if (PyBool_Check(value))
        pl_native_put_bool(j->call, value == Py_True);
    else if (PyLong_Check(value))
        return put_int(j, value, at);
    else if (PyFloat_Check(value))
        pl_native_put_float(j->call, PyFloat_AsDouble(value));
    else if (PyBytes_Check(value))
        return put_bytes(j, value);
    else if (depth > 0 && PyDict_Check(value))
        return put_members(j, value, at, depth - 1);
    else if (depth > 0 && is_sequence(value))
        return put_elements(j, value, at, depth - 1);
    else
        return put_other(j, value, at, depth - 1);
    return 0;
}

int core_put(core_state *state, pl_native_call *call, PyObject *value, const char *what)
{
    job j = {.state = state, .call = call, .what = what};
    return put(&j, value, NULL, MAX_DEPTH);
}
