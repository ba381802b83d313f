/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lane.h"

/* One call of a function: from the loop's thread into its lane, and its end. */

#define MOST_ARGUMENTS 4

enum { QUEUED, RUNNING, DONE };

int64_t core_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* --- life --- */
core_call *core_call_ref(core_call *call)
{
    atomic_fetch_add(&call->refs, 1);
    return call;
}

void core_call_unref(core_call *call)
{
    if (atomic_fetch_sub(&call->refs, 1) != 1)
        return;
    if (call->stream)
        core_stream_unref(call->stream);
    pl_native_scalars_free(call->scalars);
    core_lane_unref(call->lane);
    free(call);
}

bool core_call_begin(core_call *call)
{
    int queued = QUEUED;
    return atomic_compare_exchange_strong(&call->state, &queued, RUNNING);
}

bool core_call_end(core_call *call)
{
    return atomic_exchange(&call->state, DONE) != DONE;
}

/* When pl_native_finish has returned nobody is in call_cancelled: the library's reference ends. */
void core_call_finish(core_call *call)
{
    core_lane *lane = call->lane;
    pthread_mutex_lock(&lane->lock);
    if (call->prev)
        call->prev->next = call->next;
    else
        lane->live = call->next;
    if (call->next)
        call->next->prev = call->prev;
    pthread_mutex_unlock(&lane->lock);
    pl_native_finish(call->call);
    core_call_unref(call);
}

/* On the loop's thread: nobody wants the result any more. */
static void call_cancelled(void *data)
{
    core_call *call = data;
    core_lane *lane = call->lane;
    int was = atomic_exchange(&call->state, DONE);
    if (was == DONE)
        return;
    pthread_mutex_lock(&lane->lock);
    if (was == RUNNING && !lane->closed) {
        call->dropped = lane->dropped;
        lane->dropped = core_call_ref(call);
        core_wake_set(&lane->wake);
    }
    pthread_mutex_unlock(&lane->lock);
    pl_native_fail(call->call, PL_CANCELLED, "the call was cancelled");
    core_call_finish(call);
}

/* --- the arguments, on the loop's thread --- */
typedef struct pieces {
    const char *bytes[MOST_ARGUMENTS * 2];
    size_t lengths[MOST_ARGUMENTS * 2];
    int count;
    size_t total;
} pieces;

static void add_piece(pieces *p, const char *bytes, size_t length)
{
    static const char null = (char)0xc0;
    p->bytes[p->count] = bytes ? bytes : &null;
    p->lengths[p->count] = bytes ? length : 1;
    p->total += p->lengths[p->count++];
}

static int context_of(core_kind kind)
{
    static const int at[] = {
        [CORE_RESOLVER] = 2, [CORE_METHOD] = 1, [CORE_EVENT] = 2, [CORE_BEFORE] = 0, [CORE_AFTER] = 0};
    return at[kind];
}

static void pack_context(pl_native_call *call, pl_native_slot slot, pieces *p)
{
    size_t length;
    const char *bytes = pl_native_pack_request(call, &length);
    add_piece(p, bytes, length);
    bytes = pl_native_pack(call, slot, &length);
    add_piece(p, bytes, length);
}

/* A context is two values: what is known of the request, and what scripts have put into ctx. */
static void pack_arguments(pl_native_call *call, const core_function *f, pieces *p)
{
    for (int i = 0; i < f->count; i++) {
        pl_native_slot slot = pl_native_argument(call, (size_t)i);
        size_t length;
        if (i == context_of(f->kind)) {
            pack_context(call, slot, p);
            continue;
        }
        const char *bytes = pl_native_pack(call, slot, &length);
        add_piece(p, bytes, length);
    }
}

static core_call *make(pl_native_call *native, const core_function *f, const pieces *p)
{
    core_call *call = malloc(sizeof *call + p->total);
    if (!call)
        return NULL;
    *call = (core_call){.refs = 1, .function = f, .call = native, .deadline = -1, .length = p->total};
    call->lane = core_lane_ref(f->lane);
    char *to = call->arguments;
    for (int i = 0; i < p->count; i++) {
        memcpy(to, p->bytes[i], p->lengths[i]);
        to += p->lengths[i];
    }
    int64_t left = pl_native_time_left_ms(native);
    if (left >= 0)
        call->deadline = core_now_ms() + left;
    return call;
}

pl_native_status core_call_queue(core_call *call)
{
    pl_native_call *native = call->call;
    core_lane *lane = call->lane;
    pl_native_on_cancel(native, call_cancelled, call);
    pl_code code = core_lane_push(lane, call);
    if (!code)
        return PL_NATIVE_PENDING;
    pl_native_on_cancel(native, NULL, NULL);
    if (code == PL_UNAVAILABLE)
        pl_native_fail(native, code, "the program is about to end");
    else
        pl_native_fail(native, code, lane->full);
    core_call_unref(call);
    return PL_NATIVE_FAILED;
}

pl_native_status core_function_enter(pl_native_call *native, void *data)
{
    const core_function *f = data;
    pieces p = {.count = 0};
    bool client_streams = f->kind == CORE_METHOD && pl_native_argument_count(native) == 1;
    if (client_streams)
        pack_context(native, pl_native_argument(native, 0), &p);
    else
        pack_arguments(native, f, &p);
    core_call *call = make(native, f, &p);
    if (!call)
        return pl_native_fail(native, PL_RESOURCE_EXHAUSTED, "out of memory");
    call->client_streams = client_streams;
    call->scalars = pl_native_scalars_of(native);
    return core_call_queue(call);
}

pl_native_status core_stream_next(pl_native_call *native, void *data)
{
    core_stream *stream = data;
    pieces p = {.count = 0};
    core_message message = CORE_NOTHING;
    if (pl_native_argument_count(native) > 0) {
        pl_native_slot slot = pl_native_argument(native, 0);
        size_t length;
        message = pl_native_kind_of(native, slot) == PL_NATIVE_ABSENT ? CORE_LAST : CORE_MESSAGE;
        const char *bytes = pl_native_pack(native, slot, &length);
        add_piece(&p, bytes, length);
    }
    core_call *call = make(native, stream->function, &p);
    if (!call)
        return pl_native_fail(native, PL_RESOURCE_EXHAUSTED, "out of memory");
    atomic_fetch_add(&stream->refs, 1);
    call->stream = stream;
    call->message = message;
    return core_call_queue(call);
}

/* --- below the GIL --- */
static PyObject *context(core_state *state, const core_call *call, const char **at, const char *end)
{
    PyObject *facts = core_unpack(at, end);
    PyObject *fields = facts ? core_unpack(at, end) : NULL;
    PyObject *ctx = NULL;
    if (fields)
        ctx = PyObject_CallFunction(state->context, "OOL", facts, fields, (long long)call->deadline);
    Py_XDECREF(facts);
    Py_XDECREF(fields);
    return ctx;
}

PyObject *core_call_arguments(core_state *state, core_call *call)
{
    const core_function *f = call->function;
    const char *at = call->arguments, *end = at + call->length;
    int count = call->client_streams ? 1 : f->count;
    int context_at = call->client_streams ? 0 : context_of(f->kind);
    PyObject *tuple = PyTuple_New(count);
    for (int i = 0; tuple && i < count; i++) {
        PyObject *value = i == context_at ? context(state, call, &at, end) : core_unpack(&at, end);
        if (value && i == 1 && call->scalars) {
            PyObject *converted = core_scalars_read(call, value);
            Py_DECREF(value);
            value = converted;
        }
        if (!value || PyTuple_SetItem(tuple, i, value))
            Py_CLEAR(tuple);
    }
    return tuple;
}

/* The exception that is raised becomes the call's failure. */
static void give_failure(core_state *state, core_call *call)
{
    PyObject *type, *value, *traceback, *said = NULL;
    const char *message = "an exception that could not be described", *trace = NULL;
    PyObject *violations = NULL, *key, *text;
    int code = 0;
    Py_ssize_t position = 0;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (value && traceback)
        PyException_SetTraceback(value, traceback);
    if (value)
        said = PyObject_CallFunctionObjArgs(state->describe, value, NULL);
    if (said && !PyArg_ParseTuple(said, "isOz", &code, &message, &violations, &trace))
        Py_CLEAR(said);
    if (!said)
        PyErr_Clear();
    if (code > 0)
        pl_native_fail(call->call, (pl_code)code, message);
    else
        pl_native_fail_unexpected(call->call, message, trace);
    while (said && code > 0 && PyDict_Next(violations, &position, &key, &text)) {
        const char *name = PyUnicode_AsUTF8AndSize(key, NULL);
        const char *what = name ? PyUnicode_AsUTF8AndSize(text, NULL) : NULL;
        if (what)
            pl_native_violation(call->call, name, what);
        PyErr_Clear();
    }
    Py_XDECREF(said);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
}

static int put_value(core_state *state, core_call *call, PyObject *value)
{
    PyObject *plain = core_scalars_write(call, value);
    int failed = plain ? core_put(state, call->call, plain, call->function->name) : -1;
    Py_XDECREF(plain);
    return failed;
}

/* The result is written by a call that is not DONE yet, as Python's code may run meanwhile; so the call is
 * made DONE first, and nobody else looks at it then. */
void core_call_give(core_state *state, core_call *call, PyObject *value)
{
    if (!core_call_end(call)) {
        PyErr_Clear();
        return;
    }
    int put = value ? core_put_stream(call, value) : -1;
    if (put == 0)
        put = put_value(state, call, value);
    if (put < 0)
        give_failure(state, call);
    core_call_finish(call);
}
