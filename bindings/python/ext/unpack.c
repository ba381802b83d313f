/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "lane.h"

/* MessagePack as pl_native_pack writes it. */

static bool need(const char *at, const char *end, size_t n)
{
    if ((size_t)(end - at) >= n)
        return true;
    PyErr_SetString(PyExc_SystemError, "perilune: arguments are cut off");
    return false;
}

static uint64_t number(const char *at, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++)
        v = v << 8 | (unsigned char)at[i];
    return v;
}

static PyObject *text(const char **at, const char *end, size_t length)
{
    if (!need(*at, end, length))
        return NULL;
    PyObject *s = PyUnicode_DecodeUTF8(*at, (Py_ssize_t)length, "replace");
    *at += length;
    return s;
}

static PyObject *bytes(const char **at, const char *end, size_t length)
{
    if (!need(*at, end, length))
        return NULL;
    PyObject *b = PyBytes_FromStringAndSize(*at, (Py_ssize_t)length);
    *at += length;
    return b;
}

static PyObject *list(const char **at, const char *end, size_t count)
{
    PyObject *l = PyList_New(0);
    for (size_t i = 0; l && i < count; i++) {
        PyObject *value = core_unpack(at, end);
        if (!value || PyList_Append(l, value))
            Py_CLEAR(l);
        Py_XDECREF(value);
    }
    return l;
}

static PyObject *map(const char **at, const char *end, size_t count)
{
    PyObject *d = PyDict_New();
    for (size_t i = 0; d && i < count; i++) {
        PyObject *key = core_unpack(at, end);
        PyObject *value = key ? core_unpack(at, end) : NULL;
        if (!value || PyDict_SetItem(d, key, value))
            Py_CLEAR(d);
        Py_XDECREF(key);
        Py_XDECREF(value);
    }
    return d;
}

static PyObject *real(const char *at)
{
    uint64_t bits = number(at, 8);
    double v;
    memcpy(&v, &bits, sizeof v);
    return PyFloat_FromDouble(v);
}

static PyObject *constant(PyObject *object)
{
    Py_INCREF(object);
    return object;
}

/* Of a head with a number of n bytes behind it. */
static PyObject *long_form(unsigned char head, const char **at, const char *end)
{
    unsigned n = head == 0xcb || head == 0xd3 ? 8 : 4;
    if (!need(*at, end, n))
        return NULL;
    const char *bytes_at = *at;
    *at += n;
    switch (head) {
    case 0xcb:
        return real(bytes_at);
    case 0xd3:
        return PyLong_FromLongLong((long long)number(bytes_at, 8));
    case 0xd2:
        return PyLong_FromLong((int32_t)number(bytes_at, 4));
    case 0xdb:
        return text(at, end, number(bytes_at, 4));
    case 0xc6:
        return bytes(at, end, number(bytes_at, 4));
    case 0xdd:
        return list(at, end, number(bytes_at, 4));
    case 0xdf:
        return map(at, end, number(bytes_at, 4));
    default:
        return PyErr_Format(PyExc_SystemError, "perilune: an argument begins with 0x%02x", head);
    }
}

PyObject *core_unpack(const char **at, const char *end)
{
    if (!need(*at, end, 1))
        return NULL;
    unsigned char head = (unsigned char)*(*at)++;
    if (head < 0x80)
        return PyLong_FromLong(head);
    if (head >= 0xe0)
        return PyLong_FromLong((signed char)head);
    if ((head & 0xe0) == 0xa0)
        return text(at, end, head & 0x1f);
    if ((head & 0xf0) == 0x90)
        return list(at, end, head & 0x0f);
    if (head == 0xc0)
        return constant(Py_None);
    if (head == 0xc2 || head == 0xc3)
        return constant(head == 0xc3 ? Py_True : Py_False);
    return long_form(head, at, end);
}
