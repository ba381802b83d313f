/* SPDX-License-Identifier: MIT */
#ifndef PERILUNE_PYTHON_CORE_H
#define PERILUNE_PYTHON_CORE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>

#include "perilune.h"

/* perilune._core: the public C API for the package's Python half, and as little else as it takes. Threads of
 * the library never take the GIL: what they have for Python waits in a queue until a thread of Python's comes
 * for it. */

typedef struct core_state {
    PyObject *error_of; /* perilune.errors.of(code, message) */
    PyObject *plain;    /* perilune._json.plain(object) */
    PyTypeObject *app_type, *pool_type;
} core_state;

extern struct PyModuleDef core_module;
core_state *core_state_of_type(PyTypeObject *type);

/* Raises the exception of the code; message is UTF-8, more or less. Returns NULL. */
PyObject *core_raise(core_state *state, pl_code code, const char *message);

int core_add_app(PyObject *module, core_state *state);
int core_add_pool(PyObject *module, core_state *state);

#endif
