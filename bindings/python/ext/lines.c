/* SPDX-License-Identifier: MIT */
#include "lines.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "wake.h"

#define MOST_LINES 10000

typedef struct line {
    struct line *next;
    pl_log_level level;
    size_t length;
    char text[];
} line;

struct core_lines {
    atomic_uint refs;
    pthread_mutex_t lock;
    core_wake wake;
    line *first, *last;
    size_t count;
    unsigned long long lost; /* since it was last asked for */
    bool closed;
};

typedef struct lines_object {
    PyObject_HEAD core_lines *lines;
} lines_object;

core_lines *core_lines_ref(core_lines *lines)
{
    atomic_fetch_add(&lines->refs, 1);
    return lines;
}

void core_lines_unref(core_lines *lines)
{
    if (!lines || atomic_fetch_sub(&lines->refs, 1) != 1)
        return;
    while (lines->first) {
        line *next = lines->first->next;
        free(lines->first);
        lines->first = next;
    }
    core_wake_dispose(&lines->wake);
    pthread_mutex_destroy(&lines->lock);
    free(lines);
}

void core_lines_add(void *data, pl_log_level level, const char *text, size_t length)
{
    core_lines *lines = data;
    line *new = malloc(sizeof *new + length);
    if (new) {
        *new = (line){.level = level, .length = length};
        memcpy(new->text, text, length);
    }
    pthread_mutex_lock(&lines->lock);
    if (!new || lines->count >= MOST_LINES || lines->closed) {
        lines->lost++;
        free(new);
    } else {
        if (lines->last)
            lines->last->next = new;
        else
            lines->first = new;
        lines->last = new;
        lines->count++;
        core_wake_set(&lines->wake);
    }
    pthread_mutex_unlock(&lines->lock);
}

static line *take(core_lines *lines, unsigned long long *lost, bool *closed)
{
    pthread_mutex_lock(&lines->lock);
    line *all = lines->first;
    lines->first = lines->last = NULL;
    lines->count = 0;
    *lost = lines->lost;
    lines->lost = 0;
    *closed = lines->closed;
    if (!lines->closed)
        core_wake_clear(&lines->wake);
    pthread_mutex_unlock(&lines->lock);
    return all;
}

/* --- Lines --- */
core_lines *core_lines_of(PyObject *object)
{
    core_state *state = core_state_of(object);
    if (state && Py_TYPE(object) == state->lines_type)
        return ((lines_object *)object)->lines;
    PyErr_SetString(PyExc_TypeError, "Lines are expected");
    return NULL;
}

/* Takes the lines. */
static PyObject *list_of(line *all)
{
    PyObject *list = PyList_New(0);
    while (all) {
        line *next = all->next;
        PyObject *entry = NULL;
        if (list)
            entry =
                Py_BuildValue("iN", (int)all->level,
                              PyUnicode_DecodeUTF8(all->text, (Py_ssize_t)all->length, "backslashreplace"));
        if (list && (!entry || PyList_Append(list, entry)))
            Py_CLEAR(list);
        Py_XDECREF(entry);
        free(all);
        all = next;
    }
    return list;
}

static PyObject *lines_wait(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    core_lines *lines = ((lines_object *)object)->lines;
    unsigned long long lost;
    bool closed;
    line *all;
    while (!(all = take(lines, &lost, &closed)) && lost == 0 && !closed) {
        Py_BEGIN_ALLOW_THREADS;
        core_wake_wait(&lines->wake, -1);
        Py_END_ALLOW_THREADS;
    }
    PyObject *list = list_of(all);
    return list ? Py_BuildValue("NKO", list, lost, closed ? Py_True : Py_False) : NULL;
}

static PyObject *lines_close(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    core_lines *lines = ((lines_object *)object)->lines;
    pthread_mutex_lock(&lines->lock);
    lines->closed = true;
    core_wake_set(&lines->wake);
    pthread_mutex_unlock(&lines->lock);
    Py_RETURN_NONE;
}

static PyObject *lines_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args;
    (void)kwargs;
    lines_object *self = core_make(type);
    core_lines *lines = self ? calloc(1, sizeof *lines) : NULL;
    if (lines && core_wake_init(&lines->wake)) {
        lines->refs = 1;
        pthread_mutex_init(&lines->lock, NULL);
        self->lines = lines;
        return (PyObject *)self;
    }
    free(lines);
    Py_XDECREF((PyObject *)self);
    return PyErr_SetFromErrno(PyExc_OSError);
}

static void lines_dealloc(PyObject *object)
{
    core_lines_unref(((lines_object *)object)->lines);
    core_release(object);
}

static PyMethodDef lines_methods[] = {
    {"wait", lines_wait, METH_NOARGS,
     "wait() -> ([(level, line)], lost, closed)\n\nWaits until there are lines, or it is closed."},
    {"close", lines_close, METH_NOARGS, "close()\n\nWhat comes from now on is lost."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot lines_slots[] = {
    {Py_tp_new, (void *)lines_new},
    {Py_tp_dealloc, (void *)lines_dealloc},
    {Py_tp_methods, lines_methods},
    {0, NULL},
};

static PyType_Spec lines_spec = {
    .name = "perilune._core.Lines",
    .basicsize = sizeof(lines_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = lines_slots,
};

int core_add_lines(PyObject *module, core_state *state)
{
    return core_add_type(module, &lines_spec, &state->lines_type);
}
