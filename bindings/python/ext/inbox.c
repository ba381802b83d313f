/* SPDX-License-Identifier: MIT */
#include "inbox.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wake.h"

/* How long a thread waits before it looks for signals, that may have come to another thread. */
#define SIGNALS_MS 100

typedef struct inbox inbox;
struct core_bound {
    atomic_uint refs;
    atomic_size_t count;
    size_t most;
};

struct core_ticket {
    core_ticket *next;
    core_bound *bound;
    inbox *inbox;
    unsigned long long id;
    pl_code code;
    size_t length;
    char *response; /* NULL: there was no memory for it */
};

struct inbox {
    atomic_uint refs;
    pthread_mutex_t lock;
    core_wake wake;
    core_ticket *first, *last;
};

typedef struct inbox_object {
    PyObject_HEAD inbox *inbox;
} inbox_object;

/* --- any thread --- */
core_bound *core_bound_new(size_t most)
{
    core_bound *bound = calloc(1, sizeof *bound);
    if (bound) {
        bound->refs = 1;
        bound->most = most;
    }
    return bound;
}

void core_bound_unref(core_bound *bound)
{
    if (bound && atomic_fetch_sub(&bound->refs, 1) == 1)
        free(bound);
}

static bool enter(core_bound *bound)
{
    if (atomic_fetch_add(&bound->count, 1) < bound->most) {
        atomic_fetch_add(&bound->refs, 1);
        return true;
    }
    atomic_fetch_sub(&bound->count, 1);
    return false;
}

static void leave(core_bound *bound)
{
    atomic_fetch_sub(&bound->count, 1);
    core_bound_unref(bound);
}

static void inbox_unref(inbox *in)
{
    if (atomic_fetch_sub(&in->refs, 1) != 1)
        return;
    while (in->first) {
        core_ticket *t = in->first;
        in->first = t->next;
        free(t->response);
        free(t);
    }
    core_wake_dispose(&in->wake);
    pthread_mutex_destroy(&in->lock);
    free(in);
}

void core_ticket_done(void *data, pl_code code, const char *response, size_t length)
{
    core_ticket *t = data;
    inbox *in = t->inbox;
    leave(t->bound);
    t->code = code;
    t->response = malloc(length + 1);
    if (t->response) {
        if (length > 0)
            memcpy(t->response, response, length);
        t->response[length] = '\0';
        t->length = length;
    }
    pthread_mutex_lock(&in->lock);
    if (in->last)
        in->last->next = t;
    else
        in->first = t;
    in->last = t;
    core_wake_set(&in->wake);
    pthread_mutex_unlock(&in->lock);
    inbox_unref(in);
}

static core_ticket *take(inbox *in)
{
    pthread_mutex_lock(&in->lock);
    core_ticket *all = in->first;
    in->first = in->last = NULL;
    core_wake_clear(&in->wake);
    pthread_mutex_unlock(&in->lock);
    return all;
}

/* --- below the GIL --- */
static core_ticket *too_many(core_state *state, const core_bound *bound)
{
    char text[128];
    snprintf(text, sizeof text, "%zu requests of the program are in hand: App(requests=) allows no more",
             bound->most);
    core_raise(state, PL_RESOURCE_EXHAUSTED, text);
    return NULL;
}

core_ticket *core_ticket_new(core_bound *bound, PyObject *object, unsigned long long id)
{
    core_state *state = core_state_of(object);
    if (!state || Py_TYPE(object) != state->inbox_type) {
        PyErr_SetString(PyExc_TypeError, "an Inbox is expected");
        return NULL;
    }
    if (!enter(bound))
        return too_many(state, bound);
    core_ticket *t = calloc(1, sizeof *t);
    if (!t) {
        leave(bound);
        PyErr_NoMemory();
        return NULL;
    }
    t->bound = bound;
    t->inbox = ((inbox_object *)object)->inbox;
    t->id = id;
    atomic_fetch_add(&t->inbox->refs, 1);
    return t;
}

/* (id, code, response), and the ticket's end; NULL: raised. */
static PyObject *redeem(core_ticket *t)
{
    PyObject *tuple = NULL;
    if (t->response)
        tuple = Py_BuildValue("Kiy#", t->id, (int)t->code, t->response, (Py_ssize_t)t->length);
    else
        PyErr_NoMemory();
    free(t->response);
    free(t);
    return tuple;
}

static PyObject *inbox_take(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    core_ticket *t = take(((inbox_object *)object)->inbox);
    PyObject *list = PyList_New(0);
    while (t) {
        core_ticket *next = t->next;
        PyObject *tuple = redeem(t);
        if (!tuple || (list && PyList_Append(list, tuple)))
            Py_CLEAR(list);
        Py_XDECREF(tuple);
        t = next;
    }
    return list;
}

/* Takes what has come, and keeps the one with this id. */
static core_ticket *take_one(inbox *in, unsigned long long id)
{
    core_ticket *t = take(in), *found = NULL;
    while (t) {
        core_ticket *next = t->next;
        if (t->id == id) {
            found = t;
        } else { /* of a request that an exception has left waiting */
            free(t->response);
            free(t);
        }
        t = next;
    }
    return found;
}

static PyObject *inbox_wait(PyObject *object, PyObject *args)
{
    inbox *in = ((inbox_object *)object)->inbox;
    unsigned long long id;
    long left; /* milliseconds; -1: for ever */
    core_ticket *t;
    if (!PyArg_ParseTuple(args, "Kl:wait", &id, &left))
        return NULL;
    int64_t until = core_now_ms() + left;
    while (!(t = take_one(in, id)) && left != 0) {
        int turn = left < 0 || left > SIGNALS_MS ? SIGNALS_MS : (int)left;
        Py_BEGIN_ALLOW_THREADS;
        core_wake_wait(&in->wake, turn);
        Py_END_ALLOW_THREADS;
        if (PyErr_CheckSignals())
            return NULL;
        if (left > 0) /* what it was woken up for may be of another request, which was given up */
            left = core_now_ms() < until ? (long)(until - core_now_ms()) : 0;
    }
    if (!t)
        return core_raise(core_state_of(object), PL_DEADLINE_EXCEEDED, "it has not ended within its timeout");
    return redeem(t);
}

static PyObject *inbox_fileno(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    return PyLong_FromLong(((inbox_object *)object)->inbox->wake.fd);
}

static PyObject *inbox_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args;
    (void)kwargs;
    inbox_object *self = core_make(type);
    inbox *in = self ? calloc(1, sizeof *in) : NULL;
    if (in && core_wake_init(&in->wake)) {
        in->refs = 1;
        pthread_mutex_init(&in->lock, NULL);
        self->inbox = in;
        return (PyObject *)self;
    }
    free(in);
    Py_XDECREF((PyObject *)self);
    return PyErr_SetFromErrno(PyExc_OSError);
}

static void inbox_dealloc(PyObject *object)
{
    inbox_object *self = (inbox_object *)object;
    if (self->inbox)
        inbox_unref(self->inbox);
    core_release(object);
}

static PyMethodDef inbox_methods[] = {
    {"take", inbox_take, METH_NOARGS, "take() -> [(id, code, response: bytes)]\n\nWhat has come."},
    {"wait", inbox_wait, METH_VARARGS, "wait(id, timeout_ms) -> (id, code, response: bytes)"},
    {"fileno", inbox_fileno, METH_NOARGS, "fileno()\n\nReadable when something has come."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot inbox_slots[] = {
    {Py_tp_new, (void *)inbox_new},
    {Py_tp_dealloc, (void *)inbox_dealloc},
    {Py_tp_methods, inbox_methods},
    {0, NULL},
};

static PyType_Spec inbox_spec = {
    .name = "perilune._core.Inbox",
    .basicsize = sizeof(inbox_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = inbox_slots,
};

int core_add_inbox(PyObject *module, core_state *state)
{
    return core_add_type(module, &inbox_spec, &state->inbox_type);
}
