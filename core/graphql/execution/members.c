/* SPDX-License-Identifier: MIT */
#include <math.h>

#include "graphql/execution/internal.h"
#include "value/json.h"

/* Most fields of most operations are scalars that are members of their object. Where several of them follow
 * each other they are read with one call of the engine, and written as they are, if each has a value of its
 * type. Whatever else a member may be, its field goes the long way (fields.c, complete.c), which also has the
 * messages. */

/* False: it is not written as it is. */
static bool write_scalar(pl_buf *out, gql_scalar_kind scalar, const pl_value *v)
{
    switch (scalar) {
    case GQL_SCALAR_ID:
    case GQL_SCALAR_STRING:
        return v->kind == PL_KIND_STRING && pl_json_string(out, v->string);
    case GQL_SCALAR_INT:
        if (v->kind != PL_KIND_INT || v->integer != (int32_t)v->integer)
            return false;
        pl_json_int(out, v->integer);
        return true;
    case GQL_SCALAR_FLOAT:
        if (v->kind != PL_KIND_FLOAT || !isfinite(v->number))
            return false;
        pl_json_double(out, v->number);
        return true;
    case GQL_SCALAR_BOOLEAN:
        if (v->kind != PL_KIND_BOOL)
            return false;
        pl_buf_str(out, v->boolean ? PL_STR("true") : PL_STR("false"));
        return true;
    default:
        return false;
    }
}

/* One run. Returns how many fields are written, of f->run. */
static uint32_t write_run(gql_execution *x, const gql_plan_object *object, uint32_t first, pl_slot parent)
{
    pl_value values[GQL_MAX_RUN];
    pl_buf *buf = &x->out.buf;
    const gql_plan_field *f = &object->fields[first];
    uint32_t n = (uint32_t)x->e->scalars(x->state, parent, &object->keys[first], f->run, values), i = 0;
    for (; i < n; i++, f++) {
        size_t start = buf->len, comma = first + i == 0;
        pl_buf_append(buf, f->prefix.ptr + comma, f->prefix.len - comma);
        if (!write_scalar(buf, f->def->type->named->scalar, &values[i])) {
            buf->len = start;
            break;
        }
    }
    return i;
}

uint32_t gql_write_members(gql_execution *x, const gql_plan_object *object, uint32_t first, pl_slot parent)
{
    uint32_t i = first, run;
    while (i < object->count && (run = object->fields[i].run) > 0) {
        uint32_t n = write_run(x, object, i, parent);
        i += n;
        if (n < run)
            break;
    }
    return i - first;
}
