/* SPDX-License-Identifier: MIT */
#include "core.h"

#include <limits.h>
#include <string.h>

#include "perilune/proto.h"

#define ERROR_SIZE 2048
#define MOST_IDLE 4

/* Messages as dicts. A codec works on Python's objects in place, below the GIL; what it calls may run code of
 * Python's all the same (a dataclass's property, a finalizer), which may use the pool again, or let another
 * thread do so: a codec that works is out of the pool's list meanwhile. */

typedef struct codec {
    pl_proto_codec *codec;
    core_state *state;
    char digits[48]; /* of the integer that was asked for last; what is longer is out of range in any case */
    PyObject *error; /* the first exception of the work, which is raised in place of the codec's error */
} codec;

typedef struct pool_object {
    PyObject_HEAD pl_proto_pool *pool;
    codec *idle[MOST_IDLE];
    size_t idle_count;
} pool_object;

static void keep_error(codec *c)
{
    PyObject *type, *value, *traceback;
    if (!PyErr_Occurred())
        return;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    if (c->error) {
        Py_XDECREF(value);
    } else {
        if (traceback)
            PyException_SetTraceback(value, traceback);
        c->error = value;
    }
    Py_XDECREF(type);
    Py_XDECREF(traceback);
}

static pl_proto_value made(codec *c, PyObject *object)
{
    if (!object)
        keep_error(c);
    return object;
}

/* --- references --- */
static void value_release(void *data, pl_proto_value value)
{
    (void)data;
    Py_DECREF((PyObject *)value);
}

static pl_proto_value value_retain(void *data, pl_proto_value value)
{
    (void)data;
    Py_INCREF((PyObject *)value);
    return value;
}

/* --- making --- */
static pl_proto_value make_null(void *data)
{
    return value_retain(data, Py_None);
}

static pl_proto_value make_bool(void *data, bool value)
{
    return value_retain(data, value ? Py_True : Py_False);
}

static pl_proto_value make_int(void *data, int64_t value)
{
    return made(data, PyLong_FromLongLong(value));
}

static pl_proto_value make_unsigned(void *data, uint64_t value)
{
    return made(data, PyLong_FromUnsignedLongLong(value));
}

static pl_proto_value make_float(void *data, double value)
{
    return made(data, PyFloat_FromDouble(value));
}

/* proto2's strings need not be UTF-8. */
static pl_proto_value make_text(void *data, const char *utf8, size_t length)
{
    return made(data, PyUnicode_DecodeUTF8(utf8, (Py_ssize_t)length, "surrogateescape"));
}

static pl_proto_value make_bytes(void *data, const char *bytes, size_t length)
{
    return made(data, PyBytes_FromStringAndSize(bytes, (Py_ssize_t)length));
}

static pl_proto_value make_list(void *data, size_t size_hint)
{
    (void)size_hint;
    return made(data, PyList_New(0));
}

static pl_proto_value make_map(void *data, size_t size_hint)
{
    (void)size_hint;
    return made(data, PyDict_New());
}

static pl_proto_value make_key(void *data, const char *utf8, size_t length)
{
    PyObject *key = PyUnicode_DecodeUTF8(utf8, (Py_ssize_t)length, "surrogateescape");
    if (key)
        PyUnicode_InternInPlace(&key);
    return made(data, key);
}

static bool value_set(void *data, pl_proto_value map, pl_proto_value key, pl_proto_value value)
{
    if (value ? PyDict_SetItem(map, key, value) == 0
              : PyDict_Contains(map, key) == 0 || PyDict_DelItem(map, key) == 0)
        return true;
    keep_error(data);
    return false;
}

static bool value_append(void *data, pl_proto_value list, pl_proto_value value)
{
    if (PyList_Append(list, value) == 0)
        return true;
    keep_error(data);
    return false;
}

/* --- reading --- */
static bool is_plain(PyObject *object)
{
    return object == Py_None || PyUnicode_Check(object) || PyLong_Check(object) || PyFloat_Check(object) ||
           PyDict_Check(object) || PyList_Check(object) || PyTuple_Check(object) || PyBytes_Check(object);
}

/* What stands for the object in a message: itself, or what perilune._json makes of a dataclass, a time, an
 * enumeration. Takes its reference. */
static pl_proto_value plain(codec *c, PyObject *object)
{
    if (!object || is_plain(object))
        return object;
    PyObject *instead = PyObject_CallFunctionObjArgs(c->state->plain, object, NULL);
    if (instead) {
        Py_DECREF(object);
        return instead;
    }
    if (PyErr_ExceptionMatches(PyExc_TypeError))
        PyErr_Clear(); /* the codec says it better: where it is */
    keep_error(c);
    return object;
}

/* Integers that need more than 64 bits are their digits: of a uint64, or of an error. */
static bool is_wide(PyObject *integer)
{
    int overflow = 0;
    PyLong_AsLongLongAndOverflow(integer, &overflow);
    return overflow != 0;
}

static pl_proto_kind value_kind(void *data, pl_proto_value value)
{
    PyObject *object = value;
    (void)data;
    if (PyUnicode_Check(object) || PyBytes_Check(object))
        return PL_PROTO_STRING;
    if (PyBool_Check(object))
        return PL_PROTO_BOOL;
    if (PyLong_Check(object))
        return is_wide(object) ? PL_PROTO_STRING : PL_PROTO_INT;
    if (PyDict_Check(object))
        return PL_PROTO_MAP;
    if (PyList_Check(object) || PyTuple_Check(object))
        return PL_PROTO_LIST;
    if (PyFloat_Check(object))
        return PL_PROTO_FLOAT;
    return object == Py_None ? PL_PROTO_NULL : PL_PROTO_OTHER;
}

static bool get_bool(void *data, pl_proto_value value)
{
    (void)data;
    return value == Py_True;
}

static int64_t get_int(void *data, pl_proto_value value)
{
    int overflow;
    (void)data;
    return PyLong_AsLongLongAndOverflow(value, &overflow);
}

static double get_float(void *data, pl_proto_value value)
{
    (void)data;
    return PyFloat_AsDouble(value);
}

static const char *digits_of(codec *c, PyObject *integer, size_t *length)
{
    PyObject *text = PyObject_Str(integer);
    Py_ssize_t n = 0;
    const char *utf8 = text ? PyUnicode_AsUTF8AndSize(text, &n) : NULL;
    if (!utf8)
        keep_error(c);
    *length = !utf8 ? 0 : (size_t)n < sizeof c->digits ? (size_t)n : sizeof c->digits;
    if (utf8)
        memcpy(c->digits, utf8, *length);
    Py_XDECREF(text);
    return c->digits;
}

static const char *get_string(void *data, pl_proto_value value, size_t *length)
{
    Py_ssize_t n = 0;
    const char *utf8 = NULL;
    char *bytes;
    if (PyLong_Check((PyObject *)value))
        return digits_of(data, value, length);
    if (PyBytes_Check((PyObject *)value) && PyBytes_AsStringAndSize(value, &bytes, &n) == 0)
        utf8 = bytes;
    else
        utf8 = PyUnicode_AsUTF8AndSize(value, &n);
    if (!utf8)
        keep_error(data);
    *length = (size_t)n;
    return utf8;
}

static size_t value_length(void *data, pl_proto_value list)
{
    Py_ssize_t n = PySequence_Size(list);
    if (n < 0)
        keep_error(data);
    return n < 0 ? 0 : (size_t)n;
}

static pl_proto_value value_element(void *data, pl_proto_value list, size_t index)
{
    PyObject *object = PySequence_GetItem(list, (Py_ssize_t)index);
    if (!object)
        PyErr_Clear(); /* it has become shorter: a hole */
    return plain(data, object);
}

static pl_proto_value value_member(void *data, pl_proto_value map, pl_proto_value key)
{
    PyObject *object = PyDict_GetItemWithError(map, key);
    if (!object) {
        keep_error(data);
        return NULL;
    }
    Py_INCREF(object);
    return plain(data, object);
}

static bool value_next(void *data, pl_proto_value map, size_t *position, pl_proto_value *key,
                       pl_proto_value *value)
{
    PyObject *k, *v;
    Py_ssize_t at = (Py_ssize_t)*position;
    if (!PyDict_Next(map, &at, &k, &v))
        return false;
    *position = (size_t)at;
    Py_INCREF(k);
    Py_INCREF(v);
    *key = k;
    *value = plain(data, v);
    return true;
}

static const pl_proto_values values = {
    .size = sizeof(pl_proto_values),
    .release = value_release,
    .retain = value_retain,
    .make_null = make_null,
    .make_bool = make_bool,
    .make_int = make_int,
    .make_unsigned = make_unsigned,
    .make_float = make_float,
    .make_text = make_text,
    .make_bytes = make_bytes,
    .make_list = make_list,
    .make_map = make_map,
    .make_key = make_key,
    .set = value_set,
    .append = value_append,
    .kind = value_kind,
    .get_bool = get_bool,
    .get_int = get_int,
    .get_float = get_float,
    .get_string = get_string,
    .length = value_length,
    .element = value_element,
    .member = value_member,
    .next = value_next,
};

/* --- codecs --- */
static void codec_free(codec *c)
{
    pl_proto_codec_free(c->codec);
    Py_XDECREF(c->error);
    PyMem_Free(c);
}

static codec *take(pool_object *self)
{
    if (self->idle_count > 0)
        return self->idle[--self->idle_count];
    codec *c = PyMem_Calloc(1, sizeof *c);
    if (c) {
        c->state = core_state_of((PyObject *)self);
        c->codec = pl_proto_codec_new(self->pool, &values, c);
    }
    if (c && c->codec)
        return c;
    PyMem_Free(c);
    PyErr_NoMemory();
    return NULL;
}

/* Takes the result, which stands if all was well; otherwise raises. */
static PyObject *give_back(pool_object *self, codec *c, pl_code code, const char *error, PyObject *result)
{
    PyObject *raised = c->error;
    c->error = NULL;
    if (self->idle_count < MOST_IDLE)
        self->idle[self->idle_count++] = c;
    else
        codec_free(c);
    if (!raised && !code)
        return result;
    Py_XDECREF(result);
    if (!raised)
        return core_raise(core_state_of((PyObject *)self), code, error);
    PyErr_SetObject((PyObject *)Py_TYPE(raised), raised);
    Py_DECREF(raised);
    return NULL;
}

static PyObject *pool_decode(PyObject *object, PyObject *args)
{
    pool_object *self = (pool_object *)object;
    const char *message;
    Py_buffer bytes;
    pl_proto_value value = NULL;
    char error[ERROR_SIZE];
    if (!PyArg_ParseTuple(args, "sy*:decode", &message, &bytes))
        return NULL;
    codec *c = take(self);
    PyObject *result = NULL;
    if (c) {
        pl_code code =
            pl_proto_decode(c->codec, message, bytes.buf, (size_t)bytes.len, &value, error, sizeof error);
        result = give_back(self, c, code, error, value);
    }
    PyBuffer_Release(&bytes);
    return result;
}

static PyObject *pool_encode(PyObject *object, PyObject *args)
{
    pool_object *self = (pool_object *)object;
    const char *message, *bytes;
    PyObject *value;
    size_t length;
    char error[ERROR_SIZE];
    if (!PyArg_ParseTuple(args, "sO:encode", &message, &value))
        return NULL;
    codec *c = take(self);
    if (!c)
        return NULL;
    Py_INCREF(value);
    value = plain(c, value);
    pl_code code = pl_proto_encode(c->codec, message, value, &bytes, &length, error, sizeof error);
    Py_DECREF(value);
    PyObject *result = code ? NULL : made(c, PyBytes_FromStringAndSize(bytes, (Py_ssize_t)length));
    return give_back(self, c, code, error, result);
}

static PyObject *pool_from_json(PyObject *object, PyObject *args)
{
    pool_object *self = (pool_object *)object;
    const char *message, *text;
    Py_ssize_t length;
    unsigned flags;
    pl_proto_value value = NULL;
    char error[ERROR_SIZE];
    if (!PyArg_ParseTuple(args, "ss#I:from_json", &message, &text, &length, &flags))
        return NULL;
    codec *c = take(self);
    if (!c)
        return NULL;
    pl_code code =
        pl_proto_from_json(c->codec, message, text, (size_t)length, flags, &value, error, sizeof error);
    return give_back(self, c, code, error, value);
}

static PyObject *pool_to_json(PyObject *object, PyObject *args)
{
    pool_object *self = (pool_object *)object;
    const char *message, *text;
    PyObject *value;
    size_t length;
    unsigned flags;
    char error[ERROR_SIZE];
    if (!PyArg_ParseTuple(args, "sOI:to_json", &message, &value, &flags))
        return NULL;
    codec *c = take(self);
    if (!c)
        return NULL;
    Py_INCREF(value);
    value = plain(c, value);
    pl_code code = pl_proto_to_json(c->codec, message, value, flags, &text, &length, error, sizeof error);
    Py_DECREF(value);
    PyObject *result = code ? NULL : made(c, PyUnicode_DecodeUTF8(text, (Py_ssize_t)length, "replace"));
    return give_back(self, c, code, error, result);
}

static PyObject *pool_messages(PyObject *object, PyObject *Py_UNUSED(ignored))
{
    pool_object *self = (pool_object *)object;
    size_t position = 0, length;
    const char *name;
    PyObject *list = PyList_New(0);
    while (list && (name = pl_proto_next_message(self->pool, &position, &length))) {
        PyObject *text = PyUnicode_DecodeUTF8(name, (Py_ssize_t)length, "replace");
        if (!text || PyList_Append(list, text))
            Py_CLEAR(list);
        Py_XDECREF(text);
    }
    return list;
}

static PyObject *pool_enum(PyObject *object, PyObject *args)
{
    pool_object *self = (pool_object *)object;
    const char *name, *value;
    size_t length;
    int number;
    if (!PyArg_ParseTuple(args, "s:enum", &name))
        return NULL;
    PyObject *dict = PyDict_New();
    for (size_t i = 0; dict && (value = pl_proto_enum_value(self->pool, name, i, &length, &number)); i++) {
        PyObject *key = PyUnicode_DecodeUTF8(value, (Py_ssize_t)length, "replace");
        PyObject *n = PyLong_FromLong(number);
        if (!key || !n || PyDict_SetItem(dict, key, n))
            Py_CLEAR(dict);
        Py_XDECREF(key);
        Py_XDECREF(n);
    }
    return dict;
}

static PyObject *pool_method(PyObject *object, PyObject *args)
{
    pool_object *self = (pool_object *)object;
    const char *name;
    pl_proto_method m;
    if (!PyArg_ParseTuple(args, "s:method", &name))
        return NULL;
    if (!pl_proto_find_method(self->pool, name, &m))
        Py_RETURN_NONE;
    return Py_BuildValue("s#s#NN", m.input, (Py_ssize_t)m.input_length, m.output, (Py_ssize_t)m.output_length,
                         PyBool_FromLong(m.client_streaming), PyBool_FromLong(m.server_streaming));
}

/* --- the type --- */
static PyObject *pool_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    const char *set;
    Py_ssize_t length;
    char error[ERROR_SIZE];
    (void)kwargs;
    if (!PyArg_ParseTuple(args, "y#:Pool", &set, &length))
        return NULL;
    pool_object *self = core_make(type);
    if (!self)
        return NULL;
    self->pool = pl_proto_pool_new(set, (size_t)length, error, sizeof error);
    if (self->pool)
        return (PyObject *)self;
    core_raise(PyType_GetModuleState(type), PL_INVALID_ARGUMENT, error);
    Py_DECREF(self);
    return NULL;
}

static void pool_dealloc(PyObject *object)
{
    pool_object *self = (pool_object *)object;
    while (self->idle_count > 0)
        codec_free(self->idle[--self->idle_count]);
    pl_proto_pool_free(self->pool);
    core_release(object);
}

static PyMethodDef pool_methods[] = {
    {"decode", pool_decode, METH_VARARGS, "decode(message, bytes) -> dict"},
    {"encode", pool_encode, METH_VARARGS, "encode(message, value) -> bytes"},
    {"from_json", pool_from_json, METH_VARARGS, "from_json(message, text, flags) -> dict"},
    {"to_json", pool_to_json, METH_VARARGS, "to_json(message, value, flags) -> str"},
    {"messages", pool_messages, METH_NOARGS, "messages() -> list of names"},
    {"method", pool_method, METH_VARARGS,
     "method(name) -> (input, output, client_streaming, server_streaming), or None"},
    {"enum", pool_enum, METH_VARARGS, "enum(name) -> {name: number}"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot pool_slots[] = {
    {Py_tp_new, (void *)pool_new},
    {Py_tp_dealloc, (void *)pool_dealloc},
    {Py_tp_methods, pool_methods},
    {0, NULL},
};

static PyType_Spec pool_spec = {
    .name = "perilune._core.Pool",
    .basicsize = sizeof(pool_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = pool_slots,
};

int core_add_pool(PyObject *module, core_state *state)
{
    return core_add_type(module, &pool_spec, &state->pool_type);
}
