/* SPDX-License-Identifier: MIT */
#include "value/json.h"
#include "value/native_internal.h"

/* What a function of the host program reads: slots of the value stack, by the engine's functions that do not
 * jump. A slot that is none reads as absent. */

#define MAX_DEPTH 64
#define MOST_JSON ((size_t)64 << 20) /* a value may contain itself, many times */

static bool is_slot(const pl_native_call *call, pl_native_slot slot)
{
    return call->state && slot >= call->first && slot > 0 && slot <= call->e->top(call->state);
}

static pl_kind kind_at(const pl_native_call *call, pl_native_slot slot)
{
    return is_slot(call, slot) ? call->e->kind(call->state, slot) : PL_KIND_ABSENT;
}

/* A resolver's info is not among the arguments, or absent, where it is made when it is asked for: most are
 * not, and it costs more than all else. */
#define INFO 3

size_t pl_native_argument_count(const pl_native_call *call)
{
    int count = call->info && call->count == INFO ? INFO + 1 : call->count;
    return call->state ? (size_t)count : 0;
}

static void push_info(void *data)
{
    pl_native_call *call = data;
    call->e->make_room(call->state, 4);
    call->info->push(call->info);
}

static pl_native_slot make_info(pl_native_call *call)
{
    pl_error err;
    if (is_slot(call, call->info_slot))
        return call->info_slot;
    pl_error_clear(&err);
    if (!call->e->reserve(call->state, 8) || !call->e->protect_push(call->state, push_info, call, &err))
        return 0;
    return call->info_slot = call->e->top(call->state);
}

pl_native_slot pl_native_argument(pl_native_call *call, size_t index)
{
    if (index >= pl_native_argument_count(call))
        return 0;
    pl_native_slot slot = call->first + (pl_native_slot)index;
    bool lazy = call->info && index == INFO && (call->count == INFO || kind_at(call, slot) == PL_KIND_ABSENT);
    return lazy ? make_info(call) : slot;
}

pl_native_kind pl_native_kind_of(pl_native_call *call, pl_native_slot slot)
{
    static const pl_native_kind kinds[] = {
        [PL_KIND_ABSENT] = PL_NATIVE_ABSENT, [PL_KIND_NULL] = PL_NATIVE_NULL,
        [PL_KIND_BOOL] = PL_NATIVE_BOOL,     [PL_KIND_INT] = PL_NATIVE_INT,
        [PL_KIND_FLOAT] = PL_NATIVE_FLOAT,   [PL_KIND_STRING] = PL_NATIVE_STRING,
        [PL_KIND_LIST] = PL_NATIVE_LIST,     [PL_KIND_MAP] = PL_NATIVE_MAP,
        [PL_KIND_OTHER] = PL_NATIVE_OTHER,   [PL_KIND_SCRIPT] = PL_NATIVE_OTHER,
        [PL_KIND_UPLOAD] = PL_NATIVE_OTHER};
    return kinds[kind_at(call, slot)];
}

bool pl_native_bool(pl_native_call *call, pl_native_slot slot)
{
    return kind_at(call, slot) == PL_KIND_BOOL && call->e->get_bool(call->state, slot);
}

int64_t pl_native_int(pl_native_call *call, pl_native_slot slot)
{
    pl_kind kind = kind_at(call, slot);
    if (kind == PL_KIND_INT)
        return call->e->get_int(call->state, slot);
    double v = kind == PL_KIND_FLOAT ? call->e->get_float(call->state, slot) : 0;
    bool fits = v >= -0x1p63 && v < 0x1p63;
    return fits && v == (double)(int64_t)v ? (int64_t)v : 0;
}

double pl_native_float(pl_native_call *call, pl_native_slot slot)
{
    pl_kind kind = kind_at(call, slot);
    if (kind == PL_KIND_INT)
        return (double)call->e->get_int(call->state, slot);
    return kind == PL_KIND_FLOAT ? call->e->get_float(call->state, slot) : 0;
}

const char *pl_native_string(pl_native_call *call, pl_native_slot slot, size_t *length)
{
    pl_str s = kind_at(call, slot) == PL_KIND_STRING ? call->e->get_string(call->state, slot) : PL_STR("");
    if (length)
        *length = s.len;
    return s.ptr;
}

size_t pl_native_length(pl_native_call *call, pl_native_slot slot)
{
    return kind_at(call, slot) == PL_KIND_LIST ? call->e->length(call->state, slot) : 0;
}

pl_native_slot pl_native_field(pl_native_call *call, pl_native_slot map, const char *name)
{
    pl_kind kind = kind_at(call, map);
    if ((kind != PL_KIND_MAP && kind != PL_KIND_LIST) || !name || !call->e->reserve(call->state, 8))
        return 0;
    return call->e->member(call->state, map, pl_str_of(name)) ? call->e->top(call->state) : 0;
}

pl_native_slot pl_native_element(pl_native_call *call, pl_native_slot list, size_t index)
{
    if (index >= pl_native_length(call, list) || !call->e->reserve(call->state, 4))
        return 0;
    call->e->element(call->state, list, index);
    return call->e->top(call->state);
}

void pl_native_release(pl_native_call *call, pl_native_slot first)
{
    if (!is_slot(call, first) || first < call->first + call->count)
        return;
    if (call->info_slot >= first)
        call->info_slot = 0;
    call->e->pop_to(call->state, first - 1);
}

/* --- as JSON --- */
typedef struct writer {
    pl_state *state;
    const pl_engine *e;
    pl_buf text;
} writer;

static void write_value(writer *w, pl_slot slot, unsigned depth);

static void write_list(writer *w, pl_slot slot, unsigned depth)
{
    size_t n = w->e->length(w->state, slot);
    pl_slot top = w->e->top(w->state);
    pl_buf_char(&w->text, '[');
    for (size_t i = 0; i < n && !w->text.failed; i++) {
        if (i > 0)
            pl_buf_char(&w->text, ',');
        w->e->element(w->state, slot, i);
        write_value(w, top + 1, depth);
        w->e->pop_to(w->state, top);
    }
    pl_buf_char(&w->text, ']');
}

/* False: such a key has no form. */
static bool write_key(writer *w, pl_slot key, bool first)
{
    pl_kind kind = w->e->kind(w->state, key);
    if (kind != PL_KIND_STRING && kind != PL_KIND_INT)
        return false;
    if (!first)
        pl_buf_char(&w->text, ',');
    if (kind == PL_KIND_STRING)
        pl_json_string(&w->text, w->e->get_string(w->state, key));
    else
        pl_buf_printf(&w->text, "\"%lld\"", (long long)w->e->get_int(w->state, key));
    pl_buf_char(&w->text, ':');
    return true;
}

/* The members of the map; first: of those that are written. Returns whether still none is. */
static bool write_members(writer *w, pl_slot slot, unsigned depth, bool first)
{
    w->e->push_absent(w->state);
    pl_slot key = w->e->top(w->state);
    while (w->e->next(w->state, slot)) {
        if (write_key(w, key, first)) {
            write_value(w, key + 1, depth);
            first = false;
        }
        w->e->pop_to(w->state, key);
        if (w->text.failed)
            break;
    }
    w->e->pop_to(w->state, key - 1);
    return first;
}

static void write_map(writer *w, pl_slot slot, unsigned depth)
{
    pl_slot top = w->e->top(w->state);
    pl_buf_char(&w->text, '{');
    bool first = write_members(w, slot, depth, true);
    if (w->e->push_nulls && w->e->push_nulls(w->state, slot))
        write_members(w, top + 1, depth, first);
    w->e->pop_to(w->state, top);
    pl_buf_char(&w->text, '}');
}

static void write_value(writer *w, pl_slot slot, unsigned depth)
{
    w->e->make_room(w->state, 12);
    switch (w->e->kind(w->state, slot)) {
    case PL_KIND_BOOL:
        pl_buf_str(&w->text, w->e->get_bool(w->state, slot) ? PL_STR("true") : PL_STR("false"));
        return;
    case PL_KIND_INT:
        pl_json_int(&w->text, w->e->get_int(w->state, slot));
        return;
    case PL_KIND_FLOAT:
        pl_json_double(&w->text, w->e->get_float(w->state, slot));
        return;
    case PL_KIND_STRING:
        pl_json_string(&w->text, w->e->get_string(w->state, slot));
        return;
    case PL_KIND_LIST:
        if (depth > 0) {
            write_list(w, slot, depth - 1);
            return;
        }
        break;
    case PL_KIND_MAP:
        if (depth > 0) {
            write_map(w, slot, depth - 1);
            return;
        }
        break;
    default:
        break;
    }
    PL_BUF_LIT(&w->text, "null");
}

static void json_section(void *data)
{
    write_value(data, 1, MAX_DEPTH);
}

const char *pl_native_json(pl_native_call *call, pl_native_slot slot, size_t *length)
{
    pl_str copy = PL_STR_NONE;
    pl_error err;
    pl_kind kind = kind_at(call, slot);
    if (length)
        *length = 0;
    if (kind == PL_KIND_ABSENT || kind == PL_KIND_OTHER || !call->e->reserve(call->state, 8))
        return NULL;
    writer w = {.state = call->state, .e = call->e};
    pl_error_clear(&err);
    pl_buf_init(&w.text);
    w.text.limit = MOST_JSON;
    if (call->e->protect_with(call->state, slot, json_section, &w, &err) && !w.text.failed)
        copy = pl_arena_str(&call->arena, pl_buf_view(&w.text));
    pl_buf_dispose(&w.text);
    if (length)
        *length = copy.len;
    return copy.ptr;
}

/* --- of the request --- */
const char *pl_native_request_id(pl_native_call *call)
{
    const pl_work *work = call->state ? call->work : NULL;
    const char *copy = work ? pl_arena_str(&call->arena, work->id).ptr : NULL;
    return copy ? copy : "";
}

/* As ctx.headers has it: repeated ones are joined (RFC 9110, section 5.3). */
const char *pl_native_header(pl_native_call *call, const char *name)
{
    const pl_work *work = call->state ? call->work : NULL;
    pl_str value = PL_STR_NONE;
    for (size_t i = 0; work && name && i < work->header_count; i++) {
        const pl_header *h = &work->headers[i];
        if (!pl_str_is(h->name, name))
            continue;
        value = value.ptr
                    ? pl_arena_printf(&call->arena, "%.*s, %.*s", PL_STR_ARG(value), PL_STR_ARG(h->value))
                    : pl_arena_str(&call->arena, h->value);
        if (!value.ptr)
            return NULL;
    }
    return value.ptr;
}

int64_t pl_native_time_left_ms(pl_native_call *call)
{
    const pl_work *work = call->state ? call->work : NULL;
    pl_host *host = call->state ? ((pl_state_head *)call->state)->host : NULL;
    if (!work || work->deadline == 0 || !host)
        return -1;
    uint64_t now = host->ops->now(host);
    return now >= work->deadline ? 0 : (int64_t)(work->deadline - now);
}
