/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "lane.h"

/* Generators, whose elements are taken one by one. */

core_stream *core_stream_new(const core_function *function, PyObject *object, bool asynchronous)
{
    core_stream *stream = malloc(sizeof *stream);
    if (!stream) {
        PyErr_NoMemory();
        return NULL;
    }
    Py_INCREF(object);
    *stream = (core_stream){.refs = 1, .function = function, .object = object, .asynchronous = asynchronous};
    return stream;
}

/* The object is gone by then: core_lane_close_streams has closed it, or nobody was there to do so. */
void core_stream_unref(core_stream *stream)
{
    if (atomic_fetch_sub(&stream->refs, 1) == 1)
        free(stream);
}

/* The library's reference becomes the lane's. */
void core_stream_close(void *data)
{
    core_stream *stream = data;
    core_lane *lane = stream->function->lane;
    pthread_mutex_lock(&lane->lock);
    stream->closing = lane->closing;
    lane->closing = stream;
    core_wake_set(&lane->wake);
    pthread_mutex_unlock(&lane->lock);
}

/* A generator whose call was cancelled may still be at work for it, on another thread of the lane. It ends
 * with the last reference, which that call has then. */
static bool is_running(PyObject *object)
{
    PyObject *running = PyObject_GetAttrString(object, "gi_running");
    bool is = running == Py_True;
    Py_XDECREF(running);
    PyErr_Clear();
    return is;
}

static void close_object(PyObject *object)
{
    if (is_running(object)) {
        Py_DECREF(object);
        return;
    }
    PyObject *done = PyObject_HasAttrString(object, "close") ? PyObject_CallMethod(object, "close", NULL)
                                                             : Py_NewRef(Py_None);
    if (!done)
        PyErr_WriteUnraisable(object);
    Py_XDECREF(done);
    Py_DECREF(object);
}

void core_lane_close_streams(core_lane *lane)
{
    pthread_mutex_lock(&lane->lock);
    core_stream *all = lane->closing;
    lane->closing = NULL;
    pthread_mutex_unlock(&lane->lock);
    while (all) {
        core_stream *stream = all;
        PyObject *object = stream->object;
        all = stream->closing;
        stream->object = NULL;
        Py_CLEAR(stream->write);
        if (object)
            close_object(object);
        core_stream_unref(stream);
    }
}

static PyObject *stream_of(const core_call *call, PyObject *value, bool *asynchronous)
{
    core_lane *lane = call->lane;
    *asynchronous = PyObject_HasAttrString(value, "__anext__");
    if (!*asynchronous)
        return Py_NewRef(value);
    if (lane->wrap)
        return PyObject_CallFunctionObjArgs(lane->wrap, value, NULL);
    PyErr_SetString(PyExc_RuntimeError, "the lane is closed");
    return NULL;
}

int core_put_stream(core_call *call, PyObject *value)
{
    bool asynchronous;
    if (call->stream || PyDict_Check(value) || PyList_Check(value) || PyUnicode_Check(value))
        return 0;
    if (!PyObject_HasAttrString(value, "__anext__") && !(call->function->streams && PyIter_Check(value)))
        return 0;
    PyObject *object = stream_of(call, value, &asynchronous);
    core_stream *stream = object ? core_stream_new(call->function, object, asynchronous) : NULL;
    Py_XDECREF(object);
    if (!stream)
        return -1;
    if (core_scalars_of_stream(call, stream)) {
        Py_DECREF(stream->object);
        core_stream_unref(stream);
        return -1;
    }
    pl_native_put_sequence(call->call, core_stream_next, core_stream_close, stream);
    return 1;
}
