/* SPDX-License-Identifier: MIT */
#include "core.h"

#include <string.h>

core_state *core_state_of_type(PyTypeObject *type)
{
    return PyType_GetModuleState(type);
}

PyObject *core_raise(core_state *state, pl_code code, const char *message)
{
    PyObject *text = PyUnicode_DecodeUTF8(message, (Py_ssize_t)strlen(message), "replace");
    PyObject *error = text ? PyObject_CallFunction(state->error_of, "iO", (int)code, text) : NULL;
    if (error)
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_XDECREF(error);
    Py_XDECREF(text);
    return NULL;
}

static PyObject *import(const char *module, const char *name)
{
    PyObject *imported = PyImport_ImportModule(module);
    PyObject *value = imported ? PyObject_GetAttrString(imported, name) : NULL;
    Py_XDECREF(imported);
    return value;
}

static int core_exec(PyObject *module)
{
    core_state *state = PyModule_GetState(module);
    state->error_of = import("perilune.errors", "of");
    state->plain = state->error_of ? import("perilune._json", "plain") : NULL;
    if (!state->plain || core_add_app(module, state) || core_add_pool(module, state))
        return -1;
    return PyModule_AddStringConstant(module, "version", pl_version());
}

static int core_traverse(PyObject *module, visitproc visit, void *arg)
{
    core_state *state = PyModule_GetState(module);
    Py_VISIT(state->error_of);
    Py_VISIT(state->plain);
    Py_VISIT(state->app_type);
    Py_VISIT(state->pool_type);
    return 0;
}

static int core_clear(PyObject *module)
{
    core_state *state = PyModule_GetState(module);
    Py_CLEAR(state->error_of);
    Py_CLEAR(state->plain);
    Py_CLEAR(state->app_type);
    Py_CLEAR(state->pool_type);
    return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, (void *)core_exec}, {0, NULL}};

struct PyModuleDef core_module = {
    PyModuleDef_HEAD_INIT, .m_name = "perilune._core",  .m_size = sizeof(core_state),
    .m_slots = slots,      .m_traverse = core_traverse, .m_clear = core_clear,
};

PyMODINIT_FUNC PyInit__core(void);
PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&core_module);
}
