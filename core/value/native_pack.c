/* SPDX-License-Identifier: MIT */
#include "value/msgpack.h"
#include "value/native_internal.h"

/* Arguments as MessagePack: a copy in one go, for functions of the host program that run on another thread.
 */

#define MAX_DEPTH 64
#define MOST_BYTES ((size_t)64 << 20) /* a value may contain itself, many times */

typedef struct packer {
    pl_state *state;
    const pl_engine *e;
    pl_buf out;
} packer;

/* --- values --- */
static void pack(packer *p, pl_slot slot, unsigned depth);

static void pack_list(packer *p, pl_slot slot, unsigned depth)
{
    size_t n = p->e->length(p->state, slot);
    pl_slot top = p->e->top(p->state);
    pl_msgpack_list(&p->out, n);
    for (size_t i = 0; i < n && !p->out.failed; i++) {
        p->e->element(p->state, slot, i);
        pack(p, top + 1, depth);
        p->e->pop_to(p->state, top);
    }
}

static size_t pack_members(packer *p, pl_slot slot, unsigned depth)
{
    size_t count = 0;
    p->e->push_absent(p->state);
    pl_slot key = p->e->top(p->state);
    while (p->e->next(p->state, slot)) {
        pack(p, key, 0);
        pack(p, key + 1, depth);
        count++;
        p->e->pop_to(p->state, key);
        if (p->out.failed)
            break;
    }
    p->e->pop_to(p->state, key - 1);
    return count;
}

static void pack_map(packer *p, pl_slot slot, unsigned depth)
{
    pl_slot top = p->e->top(p->state);
    size_t begin = pl_msgpack_map_begin(&p->out);
    size_t count = pack_members(p, slot, depth);
    if (p->e->push_nulls && p->e->push_nulls(p->state, slot))
        count += pack_members(p, top + 1, depth);
    p->e->pop_to(p->state, top);
    pl_msgpack_map_end(&p->out, begin, count);
}

static void pack(packer *p, pl_slot slot, unsigned depth)
{
    p->e->make_room(p->state, 12);
    pl_kind kind = p->e->kind(p->state, slot);
    if (kind == PL_KIND_BOOL)
        pl_msgpack_bool(&p->out, p->e->get_bool(p->state, slot));
    else if (kind == PL_KIND_INT)
        pl_msgpack_int(&p->out, p->e->get_int(p->state, slot));
    else if (kind == PL_KIND_FLOAT)
        pl_msgpack_float(&p->out, p->e->get_float(p->state, slot));
    else if (kind == PL_KIND_STRING)
        pl_msgpack_string(&p->out, p->e->get_string(p->state, slot));
    else if (kind == PL_KIND_LIST && depth > 0)
        pack_list(p, slot, depth - 1);
    else if (kind == PL_KIND_MAP && depth > 0)
        pack_map(p, slot, depth - 1);
    else
        pl_msgpack_null(&p->out);
}

static void section(void *data)
{
    pack(data, 1, MAX_DEPTH);
}

static const char *give(pl_native_call *call, pl_buf *out, bool ok, size_t *length)
{
    pl_str copy = ok && !out->failed ? pl_arena_str(&call->arena, pl_buf_view(out)) : PL_STR_NONE;
    pl_buf_dispose(out);
    if (length)
        *length = copy.len;
    return copy.ptr;
}

const char *pl_native_pack(pl_native_call *call, pl_native_slot slot, size_t *length)
{
    pl_error err;
    if (length)
        *length = 0;
    if (!call->state || slot < call->first || slot <= 0 || slot > call->e->top(call->state) ||
        !call->e->reserve(call->state, 8))
        return NULL;
    packer p = {.state = call->state, .e = call->e};
    pl_error_clear(&err);
    pl_buf_init(&p.out);
    p.out.limit = MOST_BYTES;
    return give(call, &p.out, call->e->protect_with(call->state, slot, section, &p, &err), length);
}

/* --- the request --- */
static size_t put_fact(pl_buf *out, const char *name, pl_str value)
{
    if (!value.ptr)
        return 0;
    pl_msgpack_string(out, pl_str_of(name));
    pl_msgpack_string(out, value);
    return 1;
}

const char *pl_native_pack_request(pl_native_call *call, size_t *length)
{
    const pl_work *work = call->state ? call->work : NULL;
    pl_buf out;
    pl_buf_init(&out);
    size_t begin = pl_msgpack_map_begin(&out), count = 0;
    if (work) {
        count += put_fact(&out, "protocol", pl_str_of(work->protocol));
        count += put_fact(&out, "request_id", work->id);
        count += put_fact(&out, "peer", work->peer);
        count += put_fact(&out, "operation_name", work->operation_name);
        count += put_fact(&out, "operation_kind", pl_str_of(work->operation_kind));
        pl_msgpack_string(&out, PL_STR("headers"));
        size_t headers = pl_msgpack_map_begin(&out);
        for (size_t i = 0; i < work->header_count; i++) {
            pl_msgpack_string(&out, work->headers[i].name);
            pl_msgpack_string(&out, work->headers[i].value);
        }
        pl_msgpack_map_end(&out, headers, work->header_count);
        count++;
    }
    pl_msgpack_map_end(&out, begin, count);
    return give(call, &out, true, length);
}
