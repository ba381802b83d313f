/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"
#include "value/json.h"
#include "value/native_internal.h"

/* What a function of the host program writes: a tree in the call's arena. After a mistake, or without memory,
 * nothing more is written; the call fails with it. */

#define MAX_DEPTH 64

static bool is_spoilt(const pl_native_call *call)
{
    return call->misuse || call->no_memory;
}

/* Where the next value goes; NULL: nowhere. */
static pl_value *place(pl_native_call *call)
{
    native_open *open = call->open;
    if (is_spoilt(call))
        return NULL;
    if (!open) {
        if (call->has_result)
            native_misuse(call, "it has written two results");
        call->has_result = true;
        return call->misuse ? NULL : &call->result;
    }
    if (open->kind == PL_KIND_LIST) {
        pl_value *items = native_grow(call, open->items, open->count, &open->room, sizeof *items);
        if (!items)
            return NULL;
        open->items = items;
        return &items[open->count++];
    }
    if (!open->key.ptr) {
        native_misuse(call, "a value was written into a map without a key");
        return NULL;
    }
    pl_member *members = native_grow(call, open->members, open->count, &open->room, sizeof *members);
    if (!members)
        return NULL;
    open->members = members;
    members[open->count].name = open->key;
    open->key = PL_STR_NONE;
    return &members[open->count++].value;
}

static void put(pl_native_call *call, pl_value value)
{
    pl_value *v = place(call);
    if (v)
        *v = value;
}

void pl_native_put_null(pl_native_call *call)
{
    put(call, (pl_value){.kind = PL_KIND_NULL});
}

void pl_native_put_bool(pl_native_call *call, bool value)
{
    put(call, (pl_value){.kind = PL_KIND_BOOL, .boolean = value});
}

void pl_native_put_int(pl_native_call *call, int64_t value)
{
    put(call, (pl_value){.kind = PL_KIND_INT, .integer = value});
}

void pl_native_put_float(pl_native_call *call, double value)
{
    put(call, (pl_value){.kind = PL_KIND_FLOAT, .number = value});
}

void pl_native_put_string(pl_native_call *call, const char *bytes, size_t length)
{
    if (!bytes && length > 0)
        native_misuse(call, "it has written a string that is NULL");
    pl_str copy =
        is_spoilt(call) ? PL_STR_NONE : pl_arena_str(&call->arena, (pl_str){bytes ? bytes : "", length});
    if (!is_spoilt(call) && native_check(call, (void *)copy.ptr))
        put(call, (pl_value){.kind = PL_KIND_STRING, .string = copy});
}

void pl_native_put_text(pl_native_call *call, const char *text)
{
    pl_native_put_string(call, text, text ? strlen(text) : 1);
}

static void begin(pl_native_call *call, pl_kind kind)
{
    if (call->depth >= MAX_DEPTH)
        native_misuse(call, "what it has written is nested deeper than 64");
    native_open *open =
        is_spoilt(call) ? NULL : native_check(call, pl_arena_zalloc(&call->arena, sizeof *open));
    if (!open)
        return;
    open->kind = kind;
    open->outer = call->open;
    call->open = open;
    call->depth++;
}

void pl_native_begin_list(pl_native_call *call)
{
    begin(call, PL_KIND_LIST);
}

void pl_native_begin_map(pl_native_call *call)
{
    begin(call, PL_KIND_MAP);
}

void pl_native_key(pl_native_call *call, const char *name)
{
    if (!call->open || call->open->kind != PL_KIND_MAP)
        native_misuse(call, "a key was given outside of a map");
    else if (call->open->key.ptr)
        native_misuse(call, "two keys were given, one behind the other");
    else if (!name)
        native_misuse(call, "it has given a key that is NULL");
    if (is_spoilt(call))
        return;
    call->open->key = pl_arena_str(&call->arena, pl_str_of(name));
    native_check(call, (void *)call->open->key.ptr);
}

void pl_native_end(pl_native_call *call)
{
    native_open *open = call->open;
    if (!open)
        native_misuse(call, "pl_native_end was called, but no list or map was begun");
    else if (open->kind == PL_KIND_MAP && open->key.ptr)
        native_misuse(call, "a map was ended behind a key without a value");
    if (is_spoilt(call))
        return;
    pl_value v = {.kind = open->kind};
    if (open->kind == PL_KIND_LIST) {
        v.list.items = open->items;
        v.list.count = open->count;
    } else {
        v.map.members = open->members;
        v.map.count = open->count;
    }
    call->open = open->outer;
    call->depth--;
    put(call, v);
}

void pl_native_put_json(pl_native_call *call, const char *json, size_t length)
{
    pl_value value;
    pl_error err;
    pl_error_clear(&err);
    if (is_spoilt(call))
        return;
    pl_code code =
        pl_json_read(&call->arena, (pl_str){json ? json : "", json ? length : 0}, NULL, &value, &err);
    if (code == PL_OK) {
        put(call, value);
    } else if (code == PL_RESOURCE_EXHAUSTED && err.column == 0) {
        call->no_memory = true;
    } else {
        pl_str text = pl_arena_printf(&call->arena, "what it has written is no JSON: %s", err.message);
        if (native_check(call, (void *)text.ptr))
            native_misuse(call, text.ptr);
    }
}

/* --- sequences --- */
void pl_native_put_sequence(pl_native_call *call, pl_native_function next, void (*close)(void *data),
                            void *data)
{
    pl_native_sequence *sequence = pl_calloc(1, sizeof *sequence);
    call->no_memory |= !sequence;
    if (call->open || call->has_result)
        native_misuse(call, "a sequence must be the whole result");
    if (!next)
        native_misuse(call, "it has given a sequence without a function");
    if (is_spoilt(call)) {
        pl_free(sequence);
        if (close)
            close(data);
        return;
    }
    call->has_result = true;
    atomic_init(&sequence->refs, 1);
    sequence->entry = (pl_native_entry){next, data, "a sequence", 0};
    sequence->close = close;
    call->sequence = sequence;
}

void pl_native_ask_message(pl_native_call *call)
{
    if (!call->of)
        native_misuse(call, "a message was asked for, but it is no sequence's function");
    else if (call->open || call->has_result)
        native_misuse(call, "a message was asked for, and an element was written");
    if (is_spoilt(call))
        return;
    call->asks = call->has_result = true;
}

void pl_native_sequence_ref(pl_native_sequence *sequence)
{
    atomic_fetch_add_explicit(&sequence->refs, 1, memory_order_relaxed);
}

void pl_native_sequence_unref(pl_native_sequence *sequence)
{
    if (atomic_fetch_sub(&sequence->refs, 1) != 1)
        return;
    if (sequence->close)
        sequence->close(sequence->entry.data);
    pl_free(sequence);
}

const pl_native_entry *pl_native_sequence_entry(const pl_native_sequence *sequence)
{
    return &sequence->entry;
}

bool pl_native_sequence_is_busy(const pl_native_sequence *sequence)
{
    return sequence->busy;
}

void pl_native_call_of(pl_native_call *call, pl_native_sequence *sequence)
{
    pl_native_sequence_ref(sequence);
    sequence->busy = true;
    call->of = sequence;
}

/* --- failures --- */
static pl_native_status fail(pl_native_call *call, pl_code code, const char *message)
{
    call->failed = true;
    call->code = code;
    call->message = pl_arena_str(&call->arena, pl_str_of(message ? message : pl_code_name(code)));
    native_check(call, (void *)call->message.ptr);
    return PL_NATIVE_FAILED;
}

pl_native_status pl_native_fail(pl_native_call *call, pl_code code, const char *message)
{
    call->unexpected = false;
    return fail(call, code < PL_CANCELLED || code > PL_UNAUTHENTICATED ? PL_UNKNOWN : code, message);
}

void pl_native_violation(pl_native_call *call, const char *field, const char *description)
{
    pl_member *list =
        native_grow(call, call->violations, call->violation_count, &call->violation_room, sizeof *list);
    if (!list)
        return;
    call->violations = list;
    pl_member *m = &list[call->violation_count];
    m->name = pl_arena_str(&call->arena, pl_str_of(field ? field : ""));
    m->value.kind = PL_KIND_STRING;
    m->value.string = pl_arena_str(&call->arena, pl_str_of(description ? description : ""));
    if (native_check(call, (void *)m->name.ptr) && native_check(call, (void *)m->value.string.ptr))
        call->violation_count++;
}

pl_native_status pl_native_fail_unexpected(pl_native_call *call, const char *message, const char *traceback)
{
    call->unexpected = true;
    call->traceback = pl_arena_str(&call->arena, pl_str_of(traceback ? traceback : ""));
    native_check(call, (void *)call->traceback.ptr);
    return fail(call, PL_INTERNAL, message ? message : "an error of the host program");
}
