/* SPDX-License-Identifier: MIT */
#include <math.h>

#include "base/quote.h"
#include "graphql/execution/internal.h"
#include "value/json.h"

/* Most fields of most operations are scalars that are members of their object. Where several of them follow
 * each other they are read with one call of the engine, and written as they are, if each has a value of its
 * type, to where there is room for all of them. Whatever else a member may be, its field goes the long way
 * (fields.c, complete.c), which also has the messages. */

/* A buffer that may not become that large is left to the long way, which knows when it is full. */
static bool make_room(pl_buf *buf, size_t need)
{
    return buf->cap - buf->len >= need ||
           ((buf->limit == 0 || (buf->len <= buf->limit && buf->limit - buf->len >= need)) &&
            pl_buf_reserve(buf, need));
}

/* A string that is long, or has bytes that are not copied as they are. */
static char *__attribute__((noinline)) put_any_string(pl_buf *buf, char *o, pl_str s, size_t room)
{
    buf->len = (size_t)(o - buf->data);
    return pl_json_string(buf, s) && !buf->failed && make_room(buf, room) ? buf->data + buf->len : NULL;
}

static inline char *put_string(pl_buf *buf, char *o, pl_str s, size_t room)
{
    char *end = s.len <= GQL_SHORT_STRING ? pl_quote(o, s) : NULL;
    return end ? end : put_any_string(buf, o, s, room);
}

static char *put_int(char *o, gql_scalar_kind scalar, int64_t v)
{
    switch (scalar) {
    case GQL_SCALAR_INT:
        return v == (int32_t)v ? o + pl_format_int(o, v) : NULL;
    case GQL_SCALAR_FLOAT:
        return o + pl_format_int(o, v);
    case GQL_SCALAR_ID:
    case GQL_SCALAR_STRING:
        *o++ = '"';
        o += pl_format_int(o, v);
        *o++ = '"';
        return o;
    default:
        return NULL;
    }
}

static char *put_other(char *o, gql_scalar_kind scalar, const pl_value *v)
{
    if (v->kind == PL_KIND_INT)
        return put_int(o, scalar, v->integer);
    if (v->kind == PL_KIND_FLOAT)
        return scalar == GQL_SCALAR_FLOAT && isfinite(v->number) ? o + pl_format_double(o, v->number) : NULL;
    if (v->kind != PL_KIND_BOOL || scalar != GQL_SCALAR_BOOLEAN)
        return NULL;
    memcpy(o, v->boolean ? "true" : "false", 5);
    return o + (v->boolean ? 4 : 5);
}

/* The place behind it; NULL: it is not written as it is. room: for it and all that follow. */
static inline char *put_scalar(pl_buf *buf, char *o, gql_scalar_kind scalar, const pl_value *v, size_t room)
{
    if (v->kind != PL_KIND_STRING)
        return put_other(o, scalar, v);
    return scalar == GQL_SCALAR_STRING || scalar == GQL_SCALAR_ID ? put_string(buf, o, v->string, room)
                                                                  : NULL;
}

uint32_t gql_write_run(gql_execution *x, const gql_plan_field *f, pl_slot parent)
{
    pl_value values[GQL_MAX_RUN];
    pl_buf *buf = &x->out.buf;
    size_t room = f->run_room;
    bool pinned = f->pin > 0 && f->pin + f->run - 1 <= x->pin_count;
    uint32_t n = (uint32_t)x->e->scalars(x->state, parent, f->run_keys,
                                         pinned ? x->pin_base + (pl_slot)f->pin : 0, f->run, values);
    if (!make_room(buf, room))
        return 0;
    char *o = buf->data + buf->len;
    for (uint32_t i = 0; i < n; i++, f++) {
        size_t start = (size_t)(o - buf->data);
        o = put_scalar(buf, gql_copy_prefix(o, f->prefix), f->scalar, &values[i], room);
        if (!o) {
            buf->len = start;
            return i;
        }
    }
    buf->len = (size_t)(o - buf->data);
    return n;
}
