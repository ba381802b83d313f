/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "core.h"

core_state *core_state_of(PyObject *object)
{
    return PyType_GetModuleState(Py_TYPE(object));
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

void *core_make(PyTypeObject *type)
{
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    return allocate(type, 0);
}

void core_release(PyObject *object)
{
    PyTypeObject *type = Py_TYPE(object);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(object);
    Py_DECREF(type);
}

int core_add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **type)
{
    *type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
    return *type ? PyModule_AddType(module, *type) : -1;
}

static PyObject *import(const char *module, const char *name)
{
    PyObject *imported = PyImport_ImportModule(module);
    PyObject *value = imported ? PyObject_GetAttrString(imported, name) : NULL;
    Py_XDECREF(imported);
    return value;
}

static const struct {
    const char *module, *name;
} imports[] = {{"perilune.errors", "of"},
               {"perilune._json", "plain"},
               {"perilune._engine", "describe"},
               {"perilune._engine", "Context"}};
static int (*const types[])(PyObject *module, core_state *state) = {
    core_add_app, core_add_pool, core_add_lane, core_add_inbox, core_add_lines};

static int core_exec(PyObject *module)
{
    core_state *state = PyModule_GetState(module);
    _Static_assert(sizeof *state == sizeof state->all, "all of it is visited");
    for (size_t i = 0; i < sizeof imports / sizeof *imports; i++)
        if (!(state->all[i] = import(imports[i].module, imports[i].name)))
            return -1;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i](module, state))
            return -1;
    return PyModule_AddStringConstant(module, "version", pl_version());
}

static int core_traverse(PyObject *module, visitproc visit, void *arg)
{
    core_state *state = PyModule_GetState(module);
    for (size_t i = 0; i < sizeof state->all / sizeof *state->all; i++)
        Py_VISIT(state->all[i]);
    return 0;
}

static int core_clear(PyObject *module)
{
    core_state *state = PyModule_GetState(module);
    for (size_t i = 0; i < sizeof state->all / sizeof *state->all; i++)
        Py_CLEAR(state->all[i]);
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
