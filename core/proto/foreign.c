/* SPDX-License-Identifier: MIT */
#include "proto/foreign.h"

#include "base/alloc.h"

typedef struct foreign_slot {
    pl_proto_value value; /* NULL: absent */
    size_t position;      /* of a key: where its map's next one is */
} foreign_slot;

struct pl_foreign {
    pl_state_head head;
    pl_proto_values v;
    void *data;
    foreign_slot *slots;
    int top, capacity;
    pl_proto_value *keys;
    size_t key_count, key_capacity;
    bool failed;
};

static pl_foreign *of(pl_state *state)
{
    return (pl_foreign *)state;
}

static pl_proto_value at(pl_foreign *f, pl_slot slot)
{
    return f->slots[slot - 1].value;
}

static void drop(pl_foreign *f, pl_proto_value value)
{
    if (value)
        f->v.release(f->data, value);
}

/* A slot that was reserved; absent: value is NULL. */
static void push(pl_foreign *f, pl_proto_value value)
{
    f->slots[f->top++] = (foreign_slot){.value = value};
}

static void push_made(pl_foreign *f, pl_proto_value value)
{
    f->failed = f->failed || !value;
    push(f, value);
}

/* --- the stack --- */
static pl_slot top(pl_state *state)
{
    return of(state)->top;
}

static void pop_to(pl_state *state, pl_slot slot)
{
    pl_foreign *f = of(state);
    while (f->top > slot)
        drop(f, f->slots[--f->top].value);
}

static bool reserve(pl_state *state, int count)
{
    pl_foreign *f = of(state);
    if (f->capacity - f->top >= count)
        return true;
    int capacity = f->capacity * 2 > f->top + count ? f->capacity * 2 : f->top + count + 32;
    foreign_slot *slots = pl_realloc(f->slots, (size_t)capacity * sizeof *slots);
    if (!slots)
        return false;
    f->slots = slots;
    f->capacity = capacity;
    return true;
}

/* --- keys --- */
static pl_key *make_key(pl_state *state, pl_str name)
{
    pl_foreign *f = of(state);
    if (f->key_count == f->key_capacity) {
        size_t capacity = f->key_capacity * 2 + 32;
        pl_proto_value *keys = pl_realloc(f->keys, capacity * sizeof *keys);
        if (!keys)
            return NULL;
        f->keys = keys;
        f->key_capacity = capacity;
    }
    pl_proto_value key = f->v.make_key(f->data, name.ptr, name.len);
    if (key)
        f->keys[f->key_count++] = key;
    return key;
}

static pl_proto_value of_key(const pl_key *key)
{
    return (pl_proto_value)key;
}

/* --- cursor: a value that could not be made reads as empty --- */
static pl_kind kind_of(pl_state *state, pl_slot slot)
{
    static const pl_kind kinds[] = {
        [PL_PROTO_NULL] = PL_KIND_NULL,   [PL_PROTO_BOOL] = PL_KIND_BOOL,     [PL_PROTO_INT] = PL_KIND_INT,
        [PL_PROTO_FLOAT] = PL_KIND_FLOAT, [PL_PROTO_STRING] = PL_KIND_STRING, [PL_PROTO_LIST] = PL_KIND_LIST,
        [PL_PROTO_MAP] = PL_KIND_MAP,     [PL_PROTO_OTHER] = PL_KIND_OTHER};
    pl_foreign *f = of(state);
    return at(f, slot) ? kinds[f->v.kind(f->data, at(f, slot))] : PL_KIND_ABSENT;
}

static bool get_bool(pl_state *state, pl_slot slot)
{
    pl_proto_value value = at(of(state), slot);
    return value && of(state)->v.get_bool(of(state)->data, value);
}

static int64_t get_int(pl_state *state, pl_slot slot)
{
    pl_proto_value value = at(of(state), slot);
    return value ? of(state)->v.get_int(of(state)->data, value) : 0;
}

static double get_float(pl_state *state, pl_slot slot)
{
    pl_proto_value value = at(of(state), slot);
    return value ? of(state)->v.get_float(of(state)->data, value) : 0;
}

static pl_str get_string(pl_state *state, pl_slot slot)
{
    pl_str s = PL_STR("");
    pl_proto_value value = at(of(state), slot);
    const char *bytes = value ? of(state)->v.get_string(of(state)->data, value, &s.len) : NULL;
    if (bytes)
        return (pl_str){bytes, s.len};
    of(state)->failed = true;
    return PL_STR("");
}

static size_t length(pl_state *state, pl_slot slot)
{
    pl_proto_value value = at(of(state), slot);
    return value ? of(state)->v.length(of(state)->data, value) : 0;
}

static bool field(pl_state *state, pl_slot map, const pl_key *key)
{
    pl_foreign *f = of(state);
    push(f, at(f, map) ? f->v.member(f->data, at(f, map), of_key(key)) : NULL);
    return true;
}

static void element(pl_state *state, pl_slot list, size_t index)
{
    pl_foreign *f = of(state);
    push(f, at(f, list) ? f->v.element(f->data, at(f, list), index) : NULL);
}

static bool next(pl_state *state, pl_slot map)
{
    pl_foreign *f = of(state);
    foreign_slot *slot = &f->slots[f->top - 1];
    pl_proto_value key = NULL, value = NULL;
    bool more = at(f, map) && f->v.next(f->data, at(f, map), &slot->position, &key, &value);
    drop(f, slot->value);
    slot->value = more ? key : NULL;
    if (more)
        push(f, value);
    else
        f->top--;
    return more;
}

/* --- builder --- */
static void push_absent(pl_state *state)
{
    push(of(state), NULL);
}

static size_t members(pl_state *state, pl_slot map)
{
    size_t count = 0;
    push_absent(state);
    for (pl_slot key = top(state); next(state, map); pop_to(state, key))
        count++;
    return count;
}

static void push_null(pl_state *state)
{
    push_made(of(state), of(state)->v.make_null(of(state)->data));
}

static void push_bool(pl_state *state, bool value)
{
    push_made(of(state), of(state)->v.make_bool(of(state)->data, value));
}

static void push_int(pl_state *state, int64_t value)
{
    push_made(of(state), of(state)->v.make_int(of(state)->data, value));
}

static void push_unsigned(pl_state *state, uint64_t value)
{
    push_made(of(state), of(state)->v.make_unsigned(of(state)->data, value));
}

static void push_float(pl_state *state, double value)
{
    push_made(of(state), of(state)->v.make_float(of(state)->data, value));
}

static void push_string(pl_state *state, pl_str s)
{
    push_made(of(state), of(state)->v.make_text(of(state)->data, s.len ? s.ptr : "", s.len));
}

static void push_bytes(pl_state *state, pl_str s)
{
    push_made(of(state), of(state)->v.make_bytes(of(state)->data, s.len ? s.ptr : "", s.len));
}

static void push_key(pl_state *state, const pl_key *key)
{
    push(of(state), of(state)->v.retain(of(state)->data, of_key(key)));
}

static void push_map(pl_state *state, size_t size_hint)
{
    push_made(of(state), of(state)->v.make_map(of(state)->data, size_hint));
}

static void push_list(pl_state *state, size_t size_hint)
{
    push_made(of(state), of(state)->v.make_list(of(state)->data, size_hint));
}

static void push_copy(pl_state *state, pl_slot slot)
{
    pl_foreign *f = of(state);
    push(f, at(f, slot) ? f->v.retain(f->data, at(f, slot)) : NULL);
}

/* A map that could not be made has no members. */
static void set(pl_foreign *f, pl_slot map, pl_proto_value key, pl_proto_value value)
{
    if (at(f, map) && key && !f->v.set(f->data, at(f, map), key, value))
        f->failed = true;
}

static void set_field(pl_state *state, pl_slot map, const pl_key *key)
{
    pl_foreign *f = of(state);
    set(f, map, of_key(key), at(f, f->top));
    pop_to(state, f->top - 1);
}

static void set_entry(pl_state *state, pl_slot map)
{
    pl_foreign *f = of(state);
    set(f, map, at(f, f->top - 1), at(f, f->top));
    pop_to(state, f->top - 2);
}

/* Lists grow at their end. */
static void set_element(pl_state *state, pl_slot list, size_t index)
{
    pl_foreign *f = of(state);
    (void)index;
    if (at(f, list) && at(f, f->top) && !f->v.append(f->data, at(f, list), at(f, f->top)))
        f->failed = true;
    pop_to(state, f->top - 1);
}

static const pl_engine foreign_engine = {
    .name = "foreign",
    .from_zero = true,
    .key = make_key,
    .kind = kind_of,
    .shape = kind_of, /* lists have no members to look for */
    .get_bool = get_bool,
    .get_int = get_int,
    .get_float = get_float,
    .get_string = get_string,
    .length = length,
    .field = field,
    .element = element,
    .next = next,
    .members = members,
    .push_absent = push_absent,
    .push_null = push_null,
    .push_bool = push_bool,
    .push_int = push_int,
    .push_unsigned = push_unsigned,
    .push_float = push_float,
    .push_string = push_string,
    .push_bytes = push_bytes,
    .push_key = push_key,
    .push_map = push_map,
    .push_list = push_list,
    .push_copy = push_copy,
    .set_field = set_field,
    .set_element = set_element,
    .set_entry = set_entry,
    .top = top,
    .pop_to = pop_to,
    .reserve = reserve,
};

pl_foreign *pl_foreign_new(const pl_proto_values *values, void *data)
{
    pl_foreign *f = pl_calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->head.engine = &foreign_engine;
    memcpy(&f->v, values, values->size < sizeof f->v ? values->size : sizeof f->v);
    f->data = data;
    return f;
}

void pl_foreign_free(pl_foreign *foreign)
{
    if (!foreign)
        return;
    pop_to((pl_state *)foreign, 0);
    while (foreign->key_count > 0)
        drop(foreign, foreign->keys[--foreign->key_count]);
    pl_free(foreign->keys);
    pl_free(foreign->slots);
    pl_free(foreign);
}

pl_state *pl_foreign_state(pl_foreign *foreign)
{
    return (pl_state *)foreign;
}

void pl_foreign_reset(pl_foreign *foreign)
{
    pop_to((pl_state *)foreign, 0);
    foreign->failed = false;
}

bool pl_foreign_failed(const pl_foreign *foreign)
{
    return foreign->failed;
}

bool pl_foreign_push(pl_foreign *foreign, pl_proto_value value)
{
    if (!reserve((pl_state *)foreign, 1))
        return false;
    push(foreign, foreign->v.retain(foreign->data, value));
    return true;
}

pl_proto_value pl_foreign_take(pl_foreign *foreign)
{
    return foreign->top > 0 ? foreign->slots[--foreign->top].value : NULL;
}
