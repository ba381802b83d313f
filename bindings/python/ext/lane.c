/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lane.h"

/* Lane, which takes calls from its queue; and Call, what a task holds of one that waits for it. */

#define MOST_BYTES ((size_t)64 << 20) /* of arguments in the queue */
#define BATCH 64

/* --- from any thread --- */
core_lane *core_lane_ref(core_lane *lane)
{
    atomic_fetch_add(&lane->refs, 1);
    return lane;
}

void core_lane_unref(core_lane *lane)
{
    if (!lane || atomic_fetch_sub(&lane->refs, 1) != 1)
        return;
    core_wake_dispose(&lane->wake);
    pthread_mutex_destroy(&lane->lock);
    free(lane);
}

static core_lane *make(size_t capacity)
{
    core_lane *lane = calloc(1, sizeof *lane);
    if (!lane)
        return NULL;
    if (!core_wake_init(&lane->wake)) {
        free(lane);
        return NULL;
    }
    lane->refs = 1;
    lane->capacity = capacity;
    pthread_mutex_init(&lane->lock, NULL);
    snprintf(lane->full, sizeof lane->full,
             "the queue of calls of Python functions is full (%zu calls or %zu MB of arguments wait)",
             capacity, MOST_BYTES >> 20);
    return lane;
}

pl_code core_lane_push(core_lane *lane, core_call *call)
{
    pl_code code = PL_OK;
    pthread_mutex_lock(&lane->lock);
    if (lane->closed) {
        code = PL_UNAVAILABLE;
    } else if (lane->count >= lane->capacity || lane->bytes > MOST_BYTES) {
        code = PL_RESOURCE_EXHAUSTED;
    } else {
        atomic_fetch_add(&call->refs, 1); /* one is the library's, one the queue's */
        call->id = ++lane->last_id;
        call->next = lane->live;
        if (lane->live)
            lane->live->prev = call;
        lane->live = call;
        if (lane->last)
            lane->last->queued = call;
        else
            lane->first = call;
        lane->last = call;
        lane->count++;
        lane->bytes += call->length;
        core_wake_set(&lane->wake);
    }
    pthread_mutex_unlock(&lane->lock);
    return code;
}

static core_call *pop(core_lane *lane)
{
    core_call *call = lane->first;
    if (!call)
        return NULL;
    lane->first = call->queued;
    if (!lane->first)
        lane->last = NULL;
    lane->count--;
    lane->bytes -= call->length;
    return call;
}

/* Up to BATCH calls, and the ids of tasks to be cancelled (as many). */
static size_t take(core_lane *lane, core_call **calls, uint64_t *ids, size_t *id_count)
{
    core_call *dropped[BATCH];
    size_t n = 0;
    *id_count = 0;
    pthread_mutex_lock(&lane->lock);
    while (n < BATCH && lane->first)
        calls[n++] = pop(lane);
    while (*id_count < BATCH && lane->dropped) {
        dropped[*id_count] = lane->dropped;
        ids[*id_count] = lane->dropped->id;
        lane->dropped = lane->dropped->dropped;
        ++*id_count;
    }
    if (!lane->first && !lane->dropped && !lane->closing && !lane->closed)
        core_wake_clear(&lane->wake);
    pthread_mutex_unlock(&lane->lock);
    for (size_t i = 0; i < *id_count; i++)
        core_call_unref(dropped[i]);
    return n;
}

static size_t end_some(core_lane *lane, core_call **ended)
{
    size_t n = 0;
    pthread_mutex_lock(&lane->lock);
    lane->closed = true;
    core_wake_set(&lane->wake);
    for (core_call *call = lane->live; call && n < BATCH; call = call->next)
        if (core_call_end(call))
            ended[n++] = call; /* its own reference holds it until it is finished */
    pthread_mutex_unlock(&lane->lock);
    return n;
}

void core_lane_close(core_lane *lane)
{
    core_call *ended[BATCH], *rest;
    size_t n;
    do {
        n = end_some(lane, ended);
        for (size_t i = 0; i < n; i++) {
            pl_native_fail(ended[i]->call, PL_UNAVAILABLE, "the program ends");
            core_call_finish(ended[i]);
        }
    } while (n == BATCH);
    do {
        pthread_mutex_lock(&lane->lock);
        rest = pop(lane);
        if (!rest && lane->dropped) {
            rest = lane->dropped;
            lane->dropped = rest->dropped;
        }
        pthread_mutex_unlock(&lane->lock);
        if (rest)
            core_call_unref(rest);
    } while (rest);
}

/* --- Call --- */
typedef struct call_object {
    PyObject_HEAD core_call *call; /* NULL: it has ended */
} call_object;

static PyObject *call_finish(PyObject *object, PyObject *value)
{
    call_object *self = (call_object *)object;
    core_call *call = self->call;
    self->call = NULL;
    if (call) {
        core_call_give(core_state_of(object), call, value);
        core_call_unref(call);
    }
    Py_RETURN_NONE;
}

/* Of a stream: that was its last element. */
static PyObject *call_end(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    call_object *self = (call_object *)object;
    core_call *call = self->call;
    self->call = NULL;
    if (call && core_call_end(call))
        core_call_finish(call);
    if (call)
        core_call_unref(call);
    Py_RETURN_NONE;
}

/* Of a stream: the client's next message is wanted; it comes with another call. */
static PyObject *call_ask(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    call_object *self = (call_object *)object;
    core_call *call = self->call;
    self->call = NULL;
    if (call && core_call_end(call)) {
        pl_native_ask_message(call->call);
        core_call_finish(call);
    }
    if (call)
        core_call_unref(call);
    Py_RETURN_NONE;
}

static PyObject *call_fail(PyObject *object, PyObject *error)
{
    call_object *self = (call_object *)object;
    core_call *call = self->call;
    self->call = NULL;
    if (call) {
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
        core_call_give(core_state_of(object), call, NULL);
        core_call_unref(call);
    }
    Py_RETURN_NONE;
}

/* A task that is gone, and has not ended its call: its loop was closed. */
static void call_dealloc(PyObject *object)
{
    call_object *self = (call_object *)object;
    if (self->call && core_call_end(self->call)) {
        pl_native_fail(self->call->call, PL_CANCELLED, "the task has gone without an end");
        core_call_finish(self->call);
    }
    if (self->call)
        core_call_unref(self->call);
    core_release(object);
}

static PyMethodDef call_methods[] = {
    {"finish", call_finish, METH_O, "finish(value)\n\nEnds the call with a result."},
    {"end", call_end, METH_NOARGS, "end()\n\nThe stream has no more elements."},
    {"ask", call_ask, METH_NOARGS, "ask()\n\nThe stream wants the client's next message."},
    {"fail", call_fail, METH_O, "fail(exception)\n\nEnds it with an exception."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot call_slots[] = {
    {Py_tp_dealloc, (void *)call_dealloc},
    {Py_tp_methods, call_methods},
    {0, NULL},
};

static PyType_Spec call_spec = {
    .name = "perilune._core.Call",
    .basicsize = sizeof(call_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = call_slots,
};

/* --- Lane --- */
typedef struct lane_object {
    PyObject_HEAD core_lane *lane;
    union {
        struct {
            PyObject *spawn;  /* spawn(id, awaitable, Call): makes a task */
            PyObject *cancel; /* cancel(id) */
            PyObject *duplex; /* duplex(function, count, ctx): a stream that reads the client's messages */
            PyObject *wrap, *convert, *converters; /* see core_lane */
        };
        PyObject *held[6]; /* the same */
    };
    pid_t pid;
} lane_object;

core_lane *core_lane_of(PyObject *object)
{
    return ((lane_object *)object)->lane;
}

static bool is_awaitable(PyObject *value)
{
    return PyObject_HasAttrString(value, "__await__") != 0;
}

/* Most values are what they seem: only others are asked whether they can be awaited. */
static bool is_data(PyObject *value)
{
    return value == Py_None || PyDict_Check(value) || PyList_Check(value) || PyUnicode_Check(value) ||
           PyLong_Check(value) || PyFloat_Check(value) || PyTuple_Check(value);
}

static call_object *make_handle(core_state *state, core_call *call)
{
    call_object *handle = core_make(state->call_type);
    if (handle)
        handle->call = core_call_ref(call);
    return handle;
}

static void spawn(lane_object *self, core_state *state, core_call *call, PyObject *awaitable)
{
    call_object *handle = make_handle(state, call);
    PyObject *done = NULL;
    if (handle)
        done = PyObject_CallFunction(self->spawn, "KOO", (unsigned long long)call->id, awaitable, handle);
    if (!done)
        core_call_give(state, call, NULL);
    Py_XDECREF(done);
    Py_XDECREF((PyObject *)handle);
}

/* stream.next(id, call, message state, message), which ends the call when it has an element. */
static void advance_async(core_state *state, core_call *call, PyObject *stream)
{
    const char *at = call->arguments;
    PyObject *message =
        call->message == CORE_MESSAGE ? core_unpack(&at, at + call->length) : Py_NewRef(Py_None);
    call_object *handle = message ? make_handle(state, call) : NULL;
    PyObject *done = NULL;
    if (handle)
        done = PyObject_CallMethod(stream, "next", "KOiO", (unsigned long long)call->id, handle,
                                   (int)call->message, message);
    if (!done)
        core_call_give(state, call, NULL);
    Py_XDECREF(done);
    Py_XDECREF((PyObject *)handle);
    Py_XDECREF(message);
}

static void advance(core_state *state, core_call *call)
{
    PyObject *object = call->stream->object;
    if (!object) {
        core_raise(state, PL_CANCELLED, "the stream has been closed");
        core_call_give(state, call, NULL);
        return;
    }
    Py_INCREF(object);
    if (call->stream->asynchronous) {
        advance_async(state, call, object);
    } else {
        PyObject *value = PyIter_Next(object);
        if (value || PyErr_Occurred())
            core_call_give(state, call, value);
        else if (core_call_end(call))
            core_call_finish(call);
        Py_XDECREF(value);
    }
    Py_DECREF(object);
}

/* A method whose requests are a stream. */
static PyObject *call_duplex(lane_object *self, const core_call *call, PyObject *arguments)
{
    const core_function *f = call->function;
    return PyObject_CallFunction(self->duplex, "OiO", f->callable, f->count, PyTuple_GetItem(arguments, 0));
}

static void call_function(lane_object *self, core_state *state, core_call *call)
{
    PyObject *arguments = core_call_arguments(state, call), *value = NULL;
    if (arguments && call->client_streams)
        value = call_duplex(self, call, arguments);
    else if (arguments)
        value = PyObject_CallObject(call->function->callable, arguments);
    if (value && !is_data(value) && is_awaitable(value))
        spawn(self, state, call, value);
    else
        core_call_give(state, call, value);
    Py_XDECREF(value);
    Py_XDECREF(arguments);
}

/* Takes the queue's reference. */
static void run_call(lane_object *self, core_state *state, core_call *call)
{
    if (!core_call_begin(call)) {
        core_call_unref(call);
        return;
    }
    if (call->deadline >= 0 && core_now_ms() >= call->deadline) {
        core_raise(state, PL_DEADLINE_EXCEEDED, "the deadline had passed before the function was called");
        core_call_give(state, call, NULL);
    } else if (call->stream) {
        advance(state, call);
    } else {
        call_function(self, state, call);
    }
    core_call_unref(call);
}

/* One batch. Exceptions of the lane's own functions are shown, and passed over. */
static size_t run_batch(lane_object *self)
{
    core_state *state = core_state_of((PyObject *)self);
    core_call *calls[BATCH];
    uint64_t ids[BATCH];
    size_t id_count, n = take(self->lane, calls, ids, &id_count);
    for (size_t i = 0; i < id_count; i++) {
        PyObject *done = PyObject_CallFunction(self->cancel, "K", (unsigned long long)ids[i]);
        if (!done)
            PyErr_WriteUnraisable((PyObject *)self);
        Py_XDECREF(done);
    }
    for (size_t i = 0; i < n; i++)
        run_call(self, state, calls[i]);
    core_lane_close_streams(self->lane);
    return n + id_count;
}

static bool is_over(core_lane *lane)
{
    pthread_mutex_lock(&lane->lock);
    bool over = lane->closed && !lane->first;
    pthread_mutex_unlock(&lane->lock);
    return over;
}

static PyObject *lane_run(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    lane_object *self = (lane_object *)object;
    while (!is_over(self->lane)) {
        if (run_batch(self) > 0)
            continue;
        Py_BEGIN_ALLOW_THREADS;
        core_wake_wait(&self->lane->wake, -1);
        Py_END_ALLOW_THREADS;
    }
    Py_RETURN_NONE;
}

static PyObject *lane_drain(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    run_batch((lane_object *)object);
    Py_RETURN_NONE;
}

static PyObject *lane_close(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    lane_object *self = (lane_object *)object;
    if (self->pid == getpid()) {
        Py_BEGIN_ALLOW_THREADS;
        core_lane_close(self->lane);
        Py_END_ALLOW_THREADS;
        core_lane_close_streams(self->lane);
    }
    Py_RETURN_NONE;
}

static PyObject *lane_fileno(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromLong(((lane_object *)object)->lane->wake.fd);
}

static PyObject *lane_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    unsigned long capacity;
    PyObject *spawn_function, *cancel, *wrap, *duplex, *convert;
    (void)kwargs;
    if (!PyArg_ParseTuple(args, "kOOOOO:Lane", &capacity, &spawn_function, &cancel, &wrap, &duplex, &convert))
        return NULL;
    lane_object *self = core_make(type);
    if (!self)
        return NULL;
    self->spawn = Py_NewRef(spawn_function);
    self->cancel = Py_NewRef(cancel);
    self->wrap = Py_NewRef(wrap);
    self->duplex = Py_NewRef(duplex);
    self->convert = Py_NewRef(convert);
    self->pid = getpid();
    self->converters = PyDict_New();
    self->lane = self->converters ? make(capacity) : NULL;
    if (self->lane) {
        self->lane->wrap = wrap;
        self->lane->convert = convert;
        self->lane->converters = self->converters;
        return (PyObject *)self;
    }
    if (!PyErr_Occurred())
        PyErr_SetFromErrno(PyExc_OSError);
    Py_DECREF(self);
    return NULL;
}

#define HELD (sizeof((lane_object *)0)->held / sizeof(PyObject *))

static int lane_traverse(PyObject *object, visitproc visit, void *arg)
{
    lane_object *self = (lane_object *)object;
    for (size_t i = 0; i < HELD; i++)
        Py_VISIT(self->held[i]);
    Py_VISIT(Py_TYPE(object));
    return 0;
}

static int lane_clear(PyObject *object)
{
    lane_object *self = (lane_object *)object;
    if (self->lane)
        self->lane->wrap = self->lane->convert = self->lane->converters = NULL;
    for (size_t i = 0; i < HELD; i++)
        Py_CLEAR(self->held[i]);
    return 0;
}

static void lane_dealloc(PyObject *object)
{
    lane_object *self = (lane_object *)object;
    PyObject_GC_UnTrack(object);
    lane_clear(object);
    if (self->lane && self->pid == getpid()) {
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback); /* of whoever lets go of it */
        core_lane_close_streams(self->lane);
        PyErr_Restore(type, value, traceback);
        core_lane_unref(self->lane);
    }
    core_release(object);
}

static PyMethodDef lane_methods[] = {
    {"run", lane_run, METH_NOARGS, "run()\n\nCarries out calls until the lane is closed."},
    {"drain", lane_drain, METH_NOARGS, "drain()\n\nCarries out one batch of what waits."},
    {"fileno", lane_fileno, METH_NOARGS, "fileno()\n\nReadable when something waits."},
    {"close", lane_close, METH_NOARGS, "close()\n\nNo more calls; those in hand end with UNAVAILABLE."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot lane_slots[] = {
    {Py_tp_new, (void *)lane_new},           {Py_tp_dealloc, (void *)lane_dealloc},
    {Py_tp_traverse, (void *)lane_traverse}, {Py_tp_clear, (void *)lane_clear},
    {Py_tp_methods, lane_methods},           {0, NULL},
};

static PyType_Spec lane_spec = {
    .name = "perilune._core.Lane",
    .basicsize = sizeof(lane_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = lane_slots,
};

int core_add_lane(PyObject *module, core_state *state)
{
    return core_add_type(module, &call_spec, &state->call_type) ||
                   core_add_type(module, &lane_spec, &state->lane_type)
               ? -1
               : 0;
}
