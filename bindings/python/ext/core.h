/* SPDX-License-Identifier: MIT */
#ifndef PERILUNE_PYTHON_CORE_H
#define PERILUNE_PYTHON_CORE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

#include "perilune.h"

/* perilune._core: the public C API for the package's Python half, and as little else as it takes. Threads of
 * the library never take the GIL: what they have for Python (calls of functions, ends of requests, lines of
 * the log) waits in a queue until a thread of Python's comes for it. What they may touch is C, counted with
 * atomic counts; Python's objects in it are touched below the GIL only. */

typedef struct core_state {
    union {
        struct {
            PyObject *error_of; /* perilune.errors.of(code, message) */
            PyObject *plain;    /* perilune._json.plain(object) */
            PyObject *
                describe; /* perilune._engine.describe(exception) -> (code, message, violations, traceback) */
            PyObject *context; /* perilune._engine.Context */
            PyTypeObject *app_type, *pool_type, *lane_type, *call_type, *inbox_type, *lines_type;
        };
        PyObject *all[10]; /* the same: what the module holds */
    };
} core_state;

extern struct PyModuleDef core_module;
core_state *core_state_of(PyObject *object); /* of an object of one of the module's types */

/* Raises the exception of the code; message is UTF-8, more or less. Returns NULL. */
PyObject *core_raise(core_state *state, pl_code code, const char *message);
/* A new object of a type of the module, zeroed; NULL: raised. And its end. */
void *core_make(PyTypeObject *type);
void core_release(PyObject *object);

int64_t core_now_ms(void); /* monotonic */

int core_add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **type);
int core_add_app(PyObject *module, core_state *state);
int core_add_pool(PyObject *module, core_state *state);
int core_add_lane(PyObject *module, core_state *state);
int core_add_inbox(PyObject *module, core_state *state);
int core_add_lines(PyObject *module, core_state *state);

#endif
