/* SPDX-License-Identifier: MIT */
#include "value/engine.h"

#include <stdio.h>

#include "base/buf.h"
#include "value/json.h"

/* Values that go over between a script and the core, for every engine alike. */

const pl_failure pl_failure_no_memory = {
    .code = PL_RESOURCE_EXHAUSTED, .expected = true, .message = PL_STR("out of memory")};

const pl_failure pl_failure_no_next = {
    .code = PL_INTERNAL,
    .message = PL_STR("an interceptor has returned without calling next: it must end with "
                      "\"return next(ctx)\", or raise an error")};

static void push(pl_state *state, const pl_value *v, bool input);

static void push_members(pl_state *state, const pl_value *v, bool input)
{
    const pl_engine *e = pl_engine_of(state);
    e->push_map(state, v->map.count);
    pl_slot map = e->top(state);
    for (size_t i = 0; i < v->map.count; i++) {
        const pl_member *m = &v->map.members[i];
        if (input && m->value.kind == PL_KIND_NULL && e->set_null) {
            e->set_null(state, map, m->name);
            continue;
        }
        push(state, &m->value, input);
        e->set_member(state, map, m->name);
    }
}

static void push_items(pl_state *state, const pl_value *v, bool input)
{
    const pl_engine *e = pl_engine_of(state);
    e->push_list(state, v->list.count);
    pl_slot list = e->top(state);
    for (size_t i = 0; i < v->list.count; i++) {
        push(state, &v->list.items[i], input);
        e->set_element(state, list, i);
    }
}

static void push(pl_state *state, const pl_value *v, bool input)
{
    const pl_engine *e = pl_engine_of(state);
    e->make_room(state, 4);
    switch (v->kind) {
    case PL_KIND_NULL:
        e->push_null(state);
        break;
    case PL_KIND_BOOL:
        e->push_bool(state, v->boolean);
        break;
    case PL_KIND_INT:
        e->push_int(state, v->integer);
        break;
    case PL_KIND_FLOAT:
        e->push_float(state, v->number);
        break;
    case PL_KIND_STRING:
        e->push_string(state, v->string);
        break;
    case PL_KIND_LIST:
        push_items(state, v, input);
        break;
    case PL_KIND_MAP:
        push_members(state, v, input);
        break;
    case PL_KIND_SCRIPT:
        e->push_ref(state, v->script);
        break;
    case PL_KIND_UPLOAD:
        if (e->push_upload)
            e->push_upload(state, v->upload);
        else
            e->push_absent(state);
        break;
    default:
        e->push_absent(state);
        break;
    }
}

void pl_push_value(pl_state *state, const pl_value *v)
{
    push(state, v, false);
}

void pl_push_input(pl_state *state, const pl_value *v)
{
    push(state, v, true);
}

/* --- a walk over a script value, with the path for messages --- */
typedef struct step {
    const struct step *parent;
    pl_str key; /* ptr NULL: index */
    size_t index;
} step;

static void print_path(pl_buf *out, const step *s)
{
    const step *chain[128];
    size_t n = 0;
    for (; s && n < 128; s = s->parent)
        chain[n++] = s;
    while (n-- > 0) {
        if (chain[n]->key.ptr)
            pl_buf_printf(out, ".%.*s", PL_STR_ARG(chain[n]->key));
        else
            pl_buf_printf(out, "[%zu]", chain[n]->index);
    }
}

static pl_code fail_at_step(const step *at, pl_error *err, const char *what)
{
    pl_buf path;
    pl_buf_init(&path);
    print_path(&path, at);
    if (path.len > 0 && !path.failed)
        pl_fail(err, PL_INVALID_ARGUMENT, "%s at %.*s", what, (int)path.len, path.data);
    else
        pl_fail(err, PL_INVALID_ARGUMENT, "%s", what);
    pl_buf_dispose(&path);
    return PL_INVALID_ARGUMENT;
}

/* The key of the current map entry, in the slot at key_slot, as text; scratch holds an integer's digits. */
static bool key_text(pl_state *state, pl_slot key_slot, char scratch[24], pl_str *out)
{
    const pl_engine *e = pl_engine_of(state);
    switch (e->kind(state, key_slot)) {
    case PL_KIND_STRING:
        *out = e->get_string(state, key_slot);
        return true;
    case PL_KIND_INT:
        *out =
            (pl_str){scratch, (size_t)snprintf(scratch, 24, "%lld", (long long)e->get_int(state, key_slot))};
        return true;
    default:
        return false;
    }
}

static pl_code read_at(pl_state *state, pl_slot slot, unsigned depth, pl_arena *arena, const step *at,
                       pl_value *out, pl_error *err);

static pl_code read_list(pl_state *state, pl_slot slot, unsigned depth, pl_arena *arena, const step *at,
                         pl_value *out, pl_error *err)
{
    const pl_engine *e = pl_engine_of(state);
    size_t n = e->length(state, slot);
    pl_value *items = pl_arena_array(arena, n, sizeof *items);
    if (!items)
        return pl_fail_memory(err);
    pl_slot top = e->top(state);
    for (size_t i = 0; i < n; i++) {
        step here = {at, PL_STR_NONE, i};
        e->element(state, slot, i);
        pl_code code = read_at(state, top + 1, depth - 1, arena, &here, &items[i], err);
        e->pop_to(state, top);
        if (code)
            return code;
    }
    out->list.items = items;
    out->list.count = n;
    return PL_OK;
}

static size_t count_members(pl_state *state, pl_slot slot)
{
    const pl_engine *e = pl_engine_of(state);
    size_t n = 0;
    e->push_absent(state);
    pl_slot key = e->top(state);
    while (e->next(state, slot)) {
        n++;
        e->pop_to(state, key);
    }
    return n;
}

static pl_code read_map(pl_state *state, pl_slot slot, unsigned depth, pl_arena *arena, const step *at,
                        pl_value *out, pl_error *err)
{
    const pl_engine *e = pl_engine_of(state);
    size_t n = count_members(state, slot), i = 0;
    pl_member *members = pl_arena_array(arena, n, sizeof *members);
    if (!members)
        return pl_fail_memory(err);
    e->push_absent(state);
    pl_slot key = e->top(state);
    char scratch[24];
    for (; i < n && e->next(state, slot); i++) {
        pl_str name;
        if (!key_text(state, key, scratch, &name))
            return fail_at_step(at, err, "a key that is neither a string nor an integer");
        members[i].name = pl_arena_str(arena, name);
        if (!members[i].name.ptr)
            return pl_fail_memory(err);
        step here = {at, members[i].name, 0};
        pl_code code = read_at(state, key + 1, depth - 1, arena, &here, &members[i].value, err);
        if (code)
            return code;
        e->pop_to(state, key);
    }
    out->map.members = members;
    out->map.count = i;
    return PL_OK;
}

static pl_code read_at(pl_state *state, pl_slot slot, unsigned depth, pl_arena *arena, const step *at,
                       pl_value *out, pl_error *err)
{
    const pl_engine *e = pl_engine_of(state);
    if (depth == 0)
        return fail_at_step(at, err, "the value is nested too deep, or contains itself,");
    if (!e->reserve(state, 8))
        return pl_fail_memory(err);
    out->kind = e->kind(state, slot);
    switch (out->kind) {
    case PL_KIND_BOOL:
        out->boolean = e->get_bool(state, slot);
        return PL_OK;
    case PL_KIND_INT:
        out->integer = e->get_int(state, slot);
        return PL_OK;
    case PL_KIND_FLOAT:
        out->number = e->get_float(state, slot);
        return PL_OK;
    case PL_KIND_STRING:
        out->string = pl_arena_str(arena, e->get_string(state, slot));
        return out->string.ptr ? PL_OK : pl_fail_memory(err);
    case PL_KIND_LIST:
        return read_list(state, slot, depth, arena, at, out, err);
    case PL_KIND_MAP:
        return read_map(state, slot, depth, arena, at, out, err);
    case PL_KIND_ABSENT:
    case PL_KIND_NULL:
        return PL_OK;
    default:
        return fail_at_step(at, err, "a value that has no JSON form (a function, a coroutine or an object)");
    }
}

pl_code pl_read_value(pl_state *state, pl_slot slot, unsigned max_depth, pl_arena *arena, pl_value *out,
                      pl_error *err)
{
    pl_slot top = pl_engine_of(state)->top(state);
    pl_code code = read_at(state, slot, max_depth, arena, NULL, out, err);
    pl_engine_of(state)->pop_to(state, top);
    return code;
}

static pl_code write_at(pl_state *state, pl_slot slot, unsigned depth, pl_buf *out, const step *at,
                        pl_error *err);

static pl_code write_list(pl_state *state, pl_slot slot, unsigned depth, pl_buf *out, const step *at,
                          pl_error *err)
{
    const pl_engine *e = pl_engine_of(state);
    size_t n = e->length(state, slot);
    pl_slot top = e->top(state);
    pl_buf_char(out, '[');
    for (size_t i = 0; i < n; i++) {
        step here = {at, PL_STR_NONE, i};
        if (i > 0)
            pl_buf_char(out, ',');
        e->element(state, slot, i);
        pl_code code = write_at(state, top + 1, depth - 1, out, &here, err);
        e->pop_to(state, top);
        if (code)
            return code;
    }
    pl_buf_char(out, ']');
    return PL_OK;
}

static pl_code write_map(pl_state *state, pl_slot slot, unsigned depth, pl_buf *out, const step *at,
                         pl_error *err)
{
    const pl_engine *e = pl_engine_of(state);
    char scratch[24];
    bool first = true;
    e->push_absent(state);
    pl_slot key = e->top(state);
    pl_buf_char(out, '{');
    while (e->next(state, slot)) {
        step here = {at, PL_STR_NONE, 0};
        if (!key_text(state, key, scratch, &here.key))
            return fail_at_step(at, err, "a key that is neither a string nor an integer");
        if (!first)
            pl_buf_char(out, ',');
        first = false;
        pl_json_string(out, here.key);
        pl_buf_char(out, ':');
        pl_code code = write_at(state, key + 1, depth - 1, out, &here, err);
        if (code)
            return code;
        e->pop_to(state, key);
    }
    pl_buf_char(out, '}');
    return PL_OK;
}

static pl_code write_at(pl_state *state, pl_slot slot, unsigned depth, pl_buf *out, const step *at,
                        pl_error *err)
{
    const pl_engine *e = pl_engine_of(state);
    if (depth == 0)
        return fail_at_step(at, err, "the value is nested too deep, or contains itself,");
    if (!e->reserve(state, 8))
        return pl_fail_memory(err);
    switch (e->kind(state, slot)) {
    case PL_KIND_BOOL:
        pl_buf_str(out, e->get_bool(state, slot) ? PL_STR("true") : PL_STR("false"));
        return PL_OK;
    case PL_KIND_INT:
        pl_json_int(out, e->get_int(state, slot));
        return PL_OK;
    case PL_KIND_FLOAT:
        pl_json_double(out, e->get_float(state, slot));
        return PL_OK;
    case PL_KIND_STRING:
        pl_json_string(out, e->get_string(state, slot));
        return PL_OK;
    case PL_KIND_LIST:
        return write_list(state, slot, depth, out, at, err);
    case PL_KIND_MAP:
        return write_map(state, slot, depth, out, at, err);
    case PL_KIND_ABSENT:
    case PL_KIND_NULL:
        PL_BUF_LIT(out, "null");
        return PL_OK;
    default:
        return fail_at_step(at, err, "a value that has no JSON form (a function, a coroutine or an object)");
    }
}

pl_code pl_write_json(pl_state *state, pl_slot slot, unsigned max_depth, pl_buf *out, pl_error *err)
{
    pl_slot top = pl_engine_of(state)->top(state);
    pl_code code = write_at(state, slot, max_depth, out, NULL, err);
    pl_engine_of(state)->pop_to(state, top);
    return code;
}

/* --- calls --- */
typedef struct ctx_call {
    pl_state *state;
    pl_ref function;
    pl_work *work;
    pl_call_status status;
    pl_call *pending;
    pl_failure failure;
} ctx_call;

static void ctx_call_section(void *data)
{
    ctx_call *c = data;
    const pl_engine *e = pl_engine_of(c->state);
    e->make_room(c->state, 8);
    e->push_ctx(c->state, c->work);
    c->status = e->call(c->state, c->function, 1, c->work, &c->pending, &c->failure);
}

pl_call_status pl_call_with_ctx(pl_state *state, pl_ref function, pl_work *work, pl_call **pending,
                                pl_failure *failure)
{
    ctx_call c = {.state = state, .function = function, .work = work, .status = PL_CALL_FAILED};
    pl_error err;
    pl_error_clear(&err);
    bool made = pl_engine_of(state)->protect(state, ctx_call_section, &c, &err);
    *pending = c.pending;
    *failure = made ? c.failure : pl_failure_no_memory;
    return made ? c.status : PL_CALL_FAILED;
}

static void set(pl_state *state, pl_slot map, const char *name)
{
    pl_engine_of(state)->set_member(state, map, pl_str_of(name));
}

void pl_push_outcome(pl_state *state, pl_code code, pl_str message)
{
    const pl_engine *e = pl_engine_of(state);
    e->make_room(state, 4);
    e->push_map(state, 3);
    pl_slot map = e->top(state);
    e->push_int(state, code ? 1 : 0);
    set(state, map, "errors");
    e->push_string(state, pl_str_of(pl_code_name(code)));
    set(state, map, "code");
    e->push_string(state, message.ptr ? message : PL_STR(""));
    set(state, map, "message");
}
