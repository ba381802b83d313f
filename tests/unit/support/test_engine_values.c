/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "support/test_engine_internal.h"

/* Values, and the cursor and builder over them. */

static te *cast(pl_state *state)
{
    return (te *)state;
}

/* --- nodes --- */
static te_node *node_new(te *t)
{
    te_node *n = pl_calloc(1, sizeof *n);
    if (!n) {
        te_jump(t);
        return NULL;
    }
    n->next = t->nodes;
    t->nodes = n;
    return n;
}

static void node_free(te_node *n)
{
    pl_free((char *)n->text.ptr);
    pl_free(n->items);
    pl_free(n->members);
    pl_free(n);
}

static te_value of_node(pl_kind kind, te_node *n)
{
    return n ? (te_value){.kind = kind, .node = n} : (te_value){0};
}

te_value te_null(void)
{
    return (te_value){.kind = PL_KIND_NULL};
}

te_value te_bool(bool v)
{
    return (te_value){.kind = PL_KIND_BOOL, .boolean = v};
}

te_value te_int(int64_t v)
{
    return (te_value){.kind = PL_KIND_INT, .integer = v};
}

te_value te_float(double v)
{
    return (te_value){.kind = PL_KIND_FLOAT, .number = v};
}

te_value te_bytes(te *t, pl_str bytes)
{
    te_node *n = node_new(t);
    char *copy = n ? pl_malloc(bytes.len + 1) : NULL;
    if (!copy) {
        te_jump(t);
        return (te_value){0};
    }
    if (bytes.len > 0)
        memcpy(copy, bytes.ptr, bytes.len);
    copy[bytes.len] = '\0';
    n->text = (pl_str){copy, bytes.len};
    return of_node(PL_KIND_STRING, n);
}

te_value te_string(te *t, const char *text)
{
    return te_bytes(t, pl_str_of(text));
}

te_value te_list(te *t, int count, ...)
{
    te_value list = of_node(PL_KIND_LIST, node_new(t));
    va_list args;
    va_start(args, count);
    for (int i = 0; i < count; i++)
        te_append(t, list, va_arg(args, te_value));
    va_end(args);
    return list;
}

te_value te_map(te *t, ...)
{
    te_value map = of_node(PL_KIND_MAP, node_new(t));
    const char *name;
    va_list args;
    va_start(args, t);
    while ((name = va_arg(args, const char *)))
        te_set(t, map, name, va_arg(args, te_value));
    va_end(args);
    return map;
}

te_value te_object(te *t, te_value fields)
{
    te_value v = of_node(PL_KIND_OTHER, node_new(t));
    if (v.kind == PL_KIND_OTHER)
        v.node->fields = fields;
    return v;
}

te_value te_function(te *t, te_callback *callback, void *data, int arity)
{
    te_value v = of_node(PL_KIND_OTHER, node_new(t));
    if (v.kind == PL_KIND_OTHER) {
        v.node->callback = callback;
        v.node->data = data;
        v.node->arity = arity;
    }
    return v;
}

bool te_is_function(te_value v)
{
    return v.kind == PL_KIND_OTHER && v.node->callback;
}

/* Room for n elements in an array of a node. */
static bool grow(te *t, te_node *node, void **array, size_t size, size_t n)
{
    if (n <= node->capacity)
        return true;
    size_t capacity = node->capacity * 2 > n ? node->capacity * 2 : n + 3;
    void *grown = pl_realloc(*array, capacity * size);
    if (!grown) {
        te_jump(t);
        return false;
    }
    *array = grown;
    node->capacity = capacity;
    return true;
}

static void set_item(te *t, te_node *list, size_t index, te_value v)
{
    if (!grow(t, list, (void **)&list->items, sizeof *list->items, index + 1))
        return;
    while (list->count <= index)
        list->items[list->count++] = (te_value){0};
    list->items[index] = v;
}

void te_append(te *t, te_value list, te_value v)
{
    if (list.kind == PL_KIND_LIST)
        set_item(t, list.node, list.node->count, v);
}

static bool same_key(te_value a, te_value b)
{
    if (a.kind != b.kind)
        return false;
    if (a.kind == PL_KIND_STRING)
        return pl_str_eq(a.node->text, b.node->text);
    return a.kind == PL_KIND_INT ? a.integer == b.integer : a.kind == PL_KIND_BOOL && a.boolean == b.boolean;
}

static te_member *find_name(te_value map, pl_str name)
{
    for (size_t i = 0; map.kind == PL_KIND_MAP && i < map.node->count; i++) {
        te_member *m = &map.node->members[i];
        if (m->key.kind == PL_KIND_STRING && pl_str_eq(m->key.node->text, name))
            return m;
    }
    return NULL;
}

static void member_add(te *t, te_value map, te_value key, te_value v)
{
    te_node *n = map.node;
    if (key.kind != PL_KIND_ABSENT && grow(t, n, (void **)&n->members, sizeof *n->members, n->count + 1))
        n->members[n->count++] = (te_member){key, v};
}

void te_set_key(te *t, te_value map, te_value key, te_value v)
{
    if (map.kind != PL_KIND_MAP)
        return;
    for (size_t i = 0; i < map.node->count; i++) {
        if (same_key(map.node->members[i].key, key)) {
            map.node->members[i].value = v;
            return;
        }
    }
    member_add(t, map, key, v);
}

static void set_name(te *t, te_value map, pl_str name, te_value v)
{
    te_member *m = find_name(map, name);
    if (m && v.kind == PL_KIND_ABSENT)
        memmove(m, m + 1, (size_t)(map.node->members + --map.node->count - m) * sizeof *m);
    else if (m)
        m->value = v;
    else if (map.kind == PL_KIND_MAP && v.kind != PL_KIND_ABSENT)
        member_add(t, map, te_bytes(t, name), v);
}

void te_set(te *t, te_value map, const char *name, te_value v)
{
    set_name(t, map, pl_str_of(name), v);
}

te_value te_get(te_value map, const char *name)
{
    te_member *m = find_name(map, pl_str_of(name));
    return m ? m->value : (te_value){0};
}

te_value te_item(te_value list, size_t index)
{
    return list.kind == PL_KIND_LIST && index < list.node->count ? list.node->items[index] : (te_value){0};
}

pl_str te_text(te_value string)
{
    return string.kind == PL_KIND_STRING ? string.node->text : PL_STR_NONE;
}

size_t te_nodes(const te *t)
{
    size_t n = 0;
    for (const te_node *node = t->nodes; node; node = node->next)
        n++;
    return n;
}

/* --- collection: what no ref, slot or waiting call leads to --- */
static void mark(te_value v)
{
    if (v.kind < PL_KIND_STRING || v.node->marked)
        return;
    te_node *n = v.node;
    n->marked = true;
    for (size_t i = 0; v.kind == PL_KIND_LIST && i < n->count; i++)
        mark(n->items[i]);
    for (size_t i = 0; v.kind == PL_KIND_MAP && i < n->count; i++) {
        mark(n->members[i].key);
        mark(n->members[i].value);
    }
    mark(n->attached);
    mark(n->fields);
}

static void idle(pl_state *state)
{
    te *t = cast(state);
    for (int i = 0; i < t->ref_count; i++) {
        if (t->refs[i].used)
            mark(t->refs[i].value);
    }
    for (int i = 0; i < t->top; i++)
        mark(t->stack[i]);
    for (te_call *c = t->waiting; c; c = c->next)
        mark(c->in.result);
    for (te_node **at = &t->nodes; *at;) {
        te_node *n = *at;
        if (n->marked) {
            n->marked = false;
            at = &n->next;
        } else {
            *at = n->next;
            node_free(n);
        }
    }
}

void te_values_free(te *t)
{
    for (te_node *n = t->nodes, *next; n; n = next) {
        next = n->next;
        node_free(n);
    }
    for (pl_key *k = t->keys, *next; k; k = next) {
        next = k->next;
        pl_free(k);
    }
    pl_free(t->stack);
    pl_free(t->refs);
}

/* --- the stack --- */
#define SLACK 8 /* slots beyond those that are ever promised: for the engine's own pushes */

static bool reserve(pl_state *state, int slots)
{
    te *t = cast(state);
    int need = t->top + slots;
    if (need > t->capacity) {
        int capacity = need > t->capacity * 2 ? need : t->capacity * 2;
        te_value *stack = pl_realloc(t->stack, (size_t)(capacity + SLACK) * sizeof *stack);
        if (!stack) {
            t->starved = true;
            return false;
        }
        t->stack = stack;
        t->capacity = capacity;
    }
    if (need > t->room)
        t->room = need;
    return true;
}

static void make_room(pl_state *state, int slots)
{
    if (!reserve(state, slots))
        te_jump(cast(state));
}

void te_push_raw(te *t, te_value v)
{
    t->stack[t->top++] = v;
}

pl_slot te_push(te *t, te_value v)
{
    if (t->top >= t->room) {
        if (t->starved)
            te_jump(t);
        fprintf(stderr, "a value was pushed without room reserved for it\n");
        abort();
    }
    te_push_raw(t, v);
    return t->top - t->base;
}

te_value *te_slot(te *t, pl_slot slot)
{
    if (slot < 1 || t->base + slot > t->top) {
        fprintf(stderr, "slot %d is not in use (1 to %d are)\n", slot, t->top - t->base);
        abort();
    }
    return &t->stack[t->base + slot - 1];
}

te_value te_copy(te *t, pl_slot slot)
{
    return *te_slot(t, slot);
}

static pl_slot top(pl_state *state)
{
    return cast(state)->top - cast(state)->base;
}

static void pop_to(pl_state *state, pl_slot slot)
{
    te *t = cast(state);
    if (slot < 0 || t->base + slot > t->top) {
        fprintf(stderr, "pop to slot %d of %d\n", slot, t->top - t->base);
        abort();
    }
    t->top = t->base + slot;
}

static te_value pop(te *t)
{
    te_value v = *te_slot(t, t->top - t->base);
    t->top--;
    return v;
}

/* --- keeping --- */
static pl_ref keep_value(te *t, te_value v)
{
    int i = 0;
    while (i < t->ref_count && t->refs[i].used)
        i++;
    if (i == t->ref_count) {
        te_ref *refs = pl_realloc(t->refs, (size_t)(i + 1) * sizeof *refs);
        if (!refs)
            return PL_REF_NONE;
        t->refs = refs;
        t->ref_count++;
    }
    t->refs[i] = (te_ref){v, true};
    return i + 1;
}

static pl_ref keep(pl_state *state, pl_slot slot)
{
    te *t = cast(state);
    pl_ref ref = keep_value(t, *te_slot(t, slot));
    if (ref == PL_REF_NONE)
        te_jump(t);
    return ref;
}

static te_ref *ref_at(te *t, pl_ref ref)
{
    if (ref < 1 || ref > t->ref_count || !t->refs[ref - 1].used) {
        fprintf(stderr, "ref %d is not kept\n", ref);
        abort();
    }
    return &t->refs[ref - 1];
}

te_value te_kept(te *t, pl_ref ref)
{
    return ref_at(t, ref)->value;
}

static pl_slot push_ref(pl_state *state, pl_ref ref)
{
    return te_push(cast(state), te_kept(cast(state), ref));
}

static void drop(pl_state *state, pl_ref ref)
{
    ref_at(cast(state), ref)->used = false;
}

/* A function, or a map with the functions next and, perhaps, close. */
static bool open_iterator(pl_state *state, pl_slot slot, pl_ref *next, pl_ref *close)
{
    te *t = cast(state);
    te_value v = *te_slot(t, slot), end = {0};
    *next = *close = PL_REF_NONE;
    if (v.kind == PL_KIND_MAP) {
        end = te_get(v, "close");
        v = te_get(v, "next");
    }
    if (!te_is_function(v))
        return false;
    *next = keep_value(t, v);
    if (*next != PL_REF_NONE && te_is_function(end))
        *close = keep_value(t, end);
    if (*next == PL_REF_NONE || (te_is_function(end) && *close == PL_REF_NONE))
        te_jump(t);
    return true;
}

size_t te_refs(const te *t)
{
    size_t n = 0;
    for (int i = 0; i < t->ref_count; i++)
        n += t->refs[i].used;
    return n;
}

static pl_key *key(pl_state *state, pl_str name)
{
    te *t = cast(state);
    for (pl_key *k = t->keys; k; k = k->next) {
        if (pl_str_eq(k->name, name))
            return k;
    }
    pl_key *k = pl_malloc(sizeof *k + name.len);
    if (!k)
        return NULL;
    memcpy(k + 1, name.ptr, name.len);
    *k = (pl_key){t->keys, {(char *)(k + 1), name.len}};
    t->keys = k;
    return k;
}

/* --- cursor --- */
static pl_kind kind(pl_state *state, pl_slot slot)
{
    return te_slot(cast(state), slot)->kind;
}

static pl_kind shape(pl_state *state, pl_slot slot)
{
    return kind(state, slot) == PL_KIND_LIST ? PL_KIND_MAP : kind(state, slot);
}

static bool is_function(pl_state *state, pl_slot slot)
{
    return te_is_function(*te_slot(cast(state), slot));
}

static bool get_bool(pl_state *state, pl_slot slot)
{
    return te_slot(cast(state), slot)->boolean;
}

static int64_t get_int(pl_state *state, pl_slot slot)
{
    return te_slot(cast(state), slot)->integer;
}

static double get_float(pl_state *state, pl_slot slot)
{
    return te_slot(cast(state), slot)->number;
}

static pl_str get_string(pl_state *state, pl_slot slot)
{
    return te_slot(cast(state), slot)->node->text;
}

static size_t length(pl_state *state, pl_slot slot)
{
    te_value *v = te_slot(cast(state), slot);
    return v->kind == PL_KIND_LIST ? v->node->count : 0;
}

static bool field(pl_state *state, pl_slot map, const pl_key *name)
{
    te_value v = *te_slot(cast(state), map);
    if (v.kind != PL_KIND_MAP)
        return false;
    te_member *m = find_name(v, name->name);
    te_push(cast(state), m ? m->value : (te_value){0});
    return true;
}

static size_t scalars(pl_state *state, pl_slot map, const pl_key *const *keys, pl_slot pinned, size_t count,
                      pl_value *out)
{
    te_value v = *te_slot(cast(state), map);
    size_t n = 0;
    for (; v.kind == PL_KIND_MAP && n < count; n++) {
        pl_str name = pinned > 0 ? te_slot(cast(state), pinned + (pl_slot)n)->node->text : keys[n]->name;
        te_member *m = find_name(v, name);
        te_value value = m ? m->value : (te_value){0};
        out[n].kind = value.kind;
        if (value.kind == PL_KIND_STRING)
            out[n].string = value.node->text;
        else if (value.kind == PL_KIND_INT)
            out[n].integer = value.integer;
        else if (value.kind == PL_KIND_FLOAT)
            out[n].number = value.number;
        else if (value.kind == PL_KIND_BOOL)
            out[n].boolean = value.boolean;
        else
            break;
        te_push(cast(state), value);
    }
    return n;
}

static void element(pl_state *state, pl_slot list, size_t index)
{
    te_push(cast(state), te_item(*te_slot(cast(state), list), index));
}

static pl_kind item(pl_state *state, pl_slot list, size_t index)
{
    element(state, list, index);
    return shape(state, top(state));
}

static bool next_element(te *t, const te_node *list, te_value *at)
{
    size_t i = at->kind == PL_KIND_INT ? (size_t)at->integer : 0;
    if (i >= list->count) {
        t->top--;
        return false;
    }
    *at = te_int((int64_t)i + 1);
    te_push(t, list->items[i]);
    return true;
}

static bool next(pl_state *state, pl_slot map)
{
    te *t = cast(state);
    te_node *n = te_slot(t, map)->node;
    te_value *at = te_slot(t, t->top - t->base);
    size_t i = 0;
    if (te_slot(t, map)->kind == PL_KIND_LIST)
        return next_element(t, n, at);
    if (at->kind != PL_KIND_ABSENT) {
        while (i < n->count && !same_key(n->members[i].key, *at))
            i++;
        i++;
    }
    if (i >= n->count) {
        t->top--;
        return false;
    }
    *at = n->members[i].key;
    te_push(t, n->members[i].value);
    return true;
}

static te_outcome read_index(te_invocation *in, void *data)
{
    te_value of = in->args[0];
    if (of.kind == PL_KIND_OTHER && of.node->fields.kind == PL_KIND_MAP)
        of = of.node->fields;
    else if (of.kind != PL_KIND_LIST)
        return te_crash(in, "cannot read a field of this value");
    te_member *m = find_name(of, te_text(in->args[1]));
    in->result = m ? m->value : (te_value){0};
    return te_is_function(in->result) ? in->result.node->callback(in, in->result.node->data) : TE_RETURN;
}

static pl_ref index_function(pl_state *state)
{
    te *t = cast(state);
    if (t->index == PL_REF_NONE) {
        te_push_raw(t, te_function(t, read_index, NULL, 2));
        t->index = keep(state, top(state));
        t->top--;
    }
    return t->index;
}

/* --- builder --- */
static void push_absent(pl_state *state)
{
    te_push(cast(state), (te_value){0});
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
    te_push(cast(state), te_null());
}

static void push_bool(pl_state *state, bool v)
{
    te_push(cast(state), te_bool(v));
}

static void push_int(pl_state *state, int64_t v)
{
    te_push(cast(state), te_int(v));
}

static void push_float(pl_state *state, double v)
{
    te_push(cast(state), te_float(v));
}

static void push_string(pl_state *state, pl_str v)
{
    te_push(cast(state), te_bytes(cast(state), v));
}

static void push_key(pl_state *state, const pl_key *name)
{
    push_string(state, name->name);
}

static void push_map(pl_state *state, size_t size_hint)
{
    te_push(cast(state), te_map(cast(state), NULL));
}

static void push_list(pl_state *state, size_t size_hint)
{
    te_push(cast(state), te_list(cast(state), 0));
}

static void push_copy(pl_state *state, pl_slot slot)
{
    te_push(cast(state), *te_slot(cast(state), slot));
}

static void set_field(pl_state *state, pl_slot map, const pl_key *name)
{
    te *t = cast(state);
    set_name(t, *te_slot(t, map), name->name, pop(t));
}

static void set_member(pl_state *state, pl_slot map, pl_str name)
{
    te *t = cast(state);
    set_name(t, *te_slot(t, map), name, pop(t));
}

static void set_element(pl_state *state, pl_slot list, size_t index)
{
    te *t = cast(state);
    set_item(t, te_slot(t, list)->node, index, pop(t));
}

static void set_entry(pl_state *state, pl_slot map)
{
    te *t = cast(state);
    te_value v = pop(t), name = pop(t);
    te_set_key(t, *te_slot(t, map), name, v);
}

static void attach(pl_state *state, pl_slot map)
{
    te *t = cast(state);
    te_slot(t, map)->node->attached = pop(t);
}

static bool push_attached(pl_state *state, pl_slot map)
{
    te *t = cast(state);
    te_value *v = te_slot(t, map);
    if (v->kind != PL_KIND_MAP || v->node->attached.kind != PL_KIND_STRING)
        return false;
    te_push(t, v->node->attached);
    return true;
}

void te_values_init(pl_engine *e)
{
    e->idle = idle;
    e->keep = keep;
    e->open_iterator = open_iterator;
    e->push_ref = push_ref;
    e->drop = drop;
    e->key = key;
    e->kind = kind;
    e->shape = shape;
    e->is_function = is_function;
    e->get_bool = get_bool;
    e->get_int = get_int;
    e->get_float = get_float;
    e->get_string = get_string;
    e->length = length;
    e->field = field;
    e->scalars = scalars;
    e->element = element;
    e->item = item;
    e->next = next;
    e->members = members;
    e->index_function = index_function;
    e->push_absent = push_absent;
    e->push_null = push_null;
    e->push_bool = push_bool;
    e->push_int = push_int;
    e->push_float = push_float;
    e->push_string = push_string;
    e->push_key = push_key;
    e->push_map = push_map;
    e->push_list = push_list;
    e->push_copy = push_copy;
    e->set_field = set_field;
    e->set_member = set_member;
    e->set_element = set_element;
    e->set_entry = set_entry;
    e->attach = attach;
    e->push_attached = push_attached;
    e->top = top;
    e->pop_to = pop_to;
    e->reserve = reserve;
    e->make_room = make_room;
}
