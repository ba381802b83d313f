/* SPDX-License-Identifier: MIT */
#include "lane.h"

/* Arguments and results of resolvers whose schema has scalars that are Python's (perilune._scalars). What
 * converts them is made once for each resolver and generation, and kept by the lane. Below the GIL. */

#define MOST_KEPT 1024

enum { READ, WRITE, ELEMENT, HOLD };

static void release(PyObject *capsule)
{
    pl_native_scalars_free(PyCapsule_GetPointer(capsule, NULL));
}

/* As long as it is in the tuple nothing else has the address of the call's. */
static PyObject *hold(pl_native_scalars *scalars)
{
    PyObject *capsule = PyCapsule_New(scalars, NULL, release);
    if (capsule)
        pl_native_scalars_ref(scalars);
    return capsule;
}

/* (read, write, element, hold) */
static PyObject *make(const core_call *call)
{
    size_t length;
    const char *at = pl_native_scalars_pack(call->scalars, &length);
    PyObject *places = core_unpack(&at, at + length), *made = NULL, *tuple = NULL;
    PyObject *read, *write, *element;
    if (places)
        made = PyObject_CallFunction(call->lane->convert, "Os", places, call->function->name);
    if (made && PyArg_ParseTuple(made, "OOO", &read, &write, &element))
        tuple = Py_BuildValue("OOON", read, write, element, hold(call->scalars));
    Py_XDECREF(made);
    Py_XDECREF(places);
    return tuple;
}

/* Borrowed. NULL: raised. */
static PyObject *converters(const core_call *call)
{
    PyObject *kept = call->lane->converters;
    if (!kept) {
        PyErr_SetString(PyExc_RuntimeError, "the lane is closed");
        return NULL;
    }
    PyObject *key = PyLong_FromVoidPtr(call->scalars);
    PyObject *tuple = key ? PyDict_GetItemWithError(kept, key) : NULL;
    if (key && !tuple && !PyErr_Occurred() && (tuple = make(call))) {
        if (PyDict_Size(kept) >= MOST_KEPT)
            PyDict_Clear(kept);
        if (PyDict_SetItem(kept, key, tuple)) {
            Py_CLEAR(tuple);
        } else {
            Py_DECREF(tuple); /* the dict's */
        }
    }
    Py_XDECREF(key);
    return tuple;
}

static PyObject *convert(PyObject *tuple, int which, PyObject *value)
{
    PyObject *function = tuple ? PyTuple_GetItem(tuple, which) : NULL;
    if (!function)
        return NULL;
    if (function == Py_None)
        return Py_NewRef(value);
    Py_INCREF(tuple); /* Python's code may run that clears the dict */
    PyObject *converted = PyObject_CallFunctionObjArgs(function, value, NULL);
    Py_DECREF(tuple);
    return converted;
}

PyObject *core_scalars_read(const core_call *call, PyObject *arguments)
{
    return call->scalars ? convert(converters(call), READ, arguments) : Py_NewRef(arguments);
}

PyObject *core_scalars_write(const core_call *call, PyObject *value)
{
    if (call->stream && call->stream->write)
        return PyObject_CallFunctionObjArgs(call->stream->write, value, NULL);
    return call->scalars ? convert(converters(call), WRITE, value) : Py_NewRef(value);
}

int core_scalars_of_stream(const core_call *call, core_stream *stream)
{
    if (!call->scalars)
        return 0;
    PyObject *tuple = converters(call);
    PyObject *write = tuple ? PyTuple_GetItem(tuple, call->function->streams ? WRITE : ELEMENT) : NULL;
    if (write && write != Py_None)
        stream->write = Py_NewRef(write);
    return write ? 0 : -1;
}
