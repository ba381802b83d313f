/* SPDX-License-Identifier: MIT */
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

/* A byte that says what comes, and a number of n bytes, big endian. */
static void put_head(pl_buf *out, unsigned head, uint64_t number, unsigned n)
{
    char bytes[9] = {(char)head};
    for (unsigned i = 0; i < n; i++)
        bytes[1 + i] = (char)(number >> (8 * (n - 1 - i)));
    pl_buf_append(out, bytes, 1 + n);
}

static void put_int(pl_buf *out, int64_t v)
{
    if (v >= -32 && v <= 127)
        pl_buf_char(out, (char)v);
    else if (v >= INT32_MIN && v <= INT32_MAX)
        put_head(out, 0xd2, (uint64_t)v, 4);
    else
        put_head(out, 0xd3, (uint64_t)v, 8);
}

static void put_float(pl_buf *out, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    put_head(out, 0xcb, bits, 8);
}

/* Text, or bytes where it is no UTF-8. */
static void put_string(pl_buf *out, pl_str s)
{
    if (pl_utf8_check(s.ptr, s.len) != s.len)
        put_head(out, 0xc6, s.len, 4);
    else if (s.len < 32)
        pl_buf_char(out, (char)(0xa0 | s.len));
    else
        put_head(out, 0xdb, s.len, 4);
    pl_buf_str(out, s);
}

static size_t begin_map(pl_buf *out)
{
    put_head(out, 0xdf, 0, 4);
    return out->len;
}

static void end_map(pl_buf *out, size_t begin, size_t count)
{
    for (size_t i = 0; !out->failed && i < 4; i++)
        out->data[begin - 4 + i] = (char)(count >> (8 * (3 - i)));
}

/* --- values --- */
static void pack(packer *p, pl_slot slot, unsigned depth);

static void pack_list(packer *p, pl_slot slot, unsigned depth)
{
    size_t n = p->e->length(p->state, slot);
    pl_slot top = p->e->top(p->state);
    if (n < 16)
        pl_buf_char(&p->out, (char)(0x90 | n));
    else
        put_head(&p->out, 0xdd, n, 4);
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
    size_t begin = begin_map(&p->out);
    size_t count = pack_members(p, slot, depth);
    if (p->e->push_nulls && p->e->push_nulls(p->state, slot))
        count += pack_members(p, top + 1, depth);
    p->e->pop_to(p->state, top);
    end_map(&p->out, begin, count);
}

static void pack(packer *p, pl_slot slot, unsigned depth)
{
    p->e->make_room(p->state, 12);
    pl_kind kind = p->e->kind(p->state, slot);
    if (kind == PL_KIND_BOOL)
        pl_buf_char(&p->out, (char)(p->e->get_bool(p->state, slot) ? 0xc3 : 0xc2));
    else if (kind == PL_KIND_INT)
        put_int(&p->out, p->e->get_int(p->state, slot));
    else if (kind == PL_KIND_FLOAT)
        put_float(&p->out, p->e->get_float(p->state, slot));
    else if (kind == PL_KIND_STRING)
        put_string(&p->out, p->e->get_string(p->state, slot));
    else if (kind == PL_KIND_LIST && depth > 0)
        pack_list(p, slot, depth - 1);
    else if (kind == PL_KIND_MAP && depth > 0)
        pack_map(p, slot, depth - 1);
    else
        pl_buf_char(&p->out, (char)0xc0);
}

static void section(void *data)
{
    pack(data, 1, MAX_DEPTH);
}

static const char *give(pl_native_call *call, pl_buf *out, bool ok, size_t *length)
{
    pl_str copy = ok && !out->failed ? pl_arena_str(&call->arena, pl_buf_view(out)) : PL_STR_NONE;
    pl_buf_dispose(out);
    *length = copy.len;
    return copy.ptr;
}

const char *pl_native_pack(pl_native_call *call, pl_native_slot slot, size_t *length)
{
    pl_error err;
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
    put_string(out, pl_str_of(name));
    put_string(out, value);
    return 1;
}

const char *pl_native_pack_request(pl_native_call *call, size_t *length)
{
    const pl_work *work = call->state ? call->work : NULL;
    pl_buf out;
    pl_buf_init(&out);
    size_t begin = begin_map(&out), count = 0;
    if (work) {
        count += put_fact(&out, "protocol", pl_str_of(work->protocol));
        count += put_fact(&out, "request_id", work->id);
        count += put_fact(&out, "peer", work->peer);
        count += put_fact(&out, "operation_name", work->operation_name);
        count += put_fact(&out, "operation_kind", pl_str_of(work->operation_kind));
        put_string(&out, PL_STR("headers"));
        size_t headers = begin_map(&out);
        for (size_t i = 0; i < work->header_count; i++) {
            put_string(&out, work->headers[i].name);
            put_string(&out, work->headers[i].value);
        }
        end_map(&out, headers, work->header_count);
        count++;
    }
    end_map(&out, begin, count);
    return give(call, &out, true, length);
}
