/* SPDX-License-Identifier: MIT */
#include "graphql/cache/trace.h"

#include <stdlib.h>

#include "value/json.h"

/* Of more objects than that, the response is dropped with any purge of their types. */
#define MAX_IDS 8192

/* An open table from pointers to what is known of them. */
typedef struct slot {
    const void *key;
    uint32_t count;  /* visits of an object; calls of a field that gave an age */
    uint32_t scoped; /* calls of a field that gave a scope */
    gql_cache_hint hint;
} slot;
typedef struct table {
    slot *slots;
    uint32_t count, capacity; /* a power of two, or 0 */
} table;

struct gql_cache_trace {
    pl_cache_control control; /* first */
    const gql_cache_rules *rules;
    pl_arena *arena;
    table visits, hints;
    const gql_plan_object *root;
    gql_cache_hint overall; /* hints that were given outside of a field */
    uint64_t *ids;
    uint32_t id_count, id_capacity;
    bool many_ids, failed;
};

/* --- the table --- */
static slot *find(const table *t, const void *key)
{
    uint32_t mask = t->capacity - 1;
    uint32_t at = (uint32_t)(((uintptr_t)key >> 4) * 0x9E3779B97F4A7C15u >> 32) & mask;
    while (t->slots[at].key && t->slots[at].key != key)
        at = (at + 1) & mask;
    return &t->slots[at];
}

static bool grow(table *t, pl_arena *arena)
{
    table larger = {.capacity = t->capacity ? t->capacity * 2 : 32, .count = t->count};
    larger.slots = pl_arena_array(arena, larger.capacity, sizeof *larger.slots);
    if (!larger.slots)
        return false;
    for (uint32_t i = 0; i < t->capacity; i++) {
        if (t->slots[i].key)
            *find(&larger, t->slots[i].key) = t->slots[i];
    }
    *t = larger;
    return true;
}

/* NULL: memory. */
static slot *enter(gql_cache_trace *trace, table *t, const void *key)
{
    if (t->count * 2 >= t->capacity && !grow(t, trace->arena)) {
        trace->failed = true;
        return NULL;
    }
    slot *s = find(t, key);
    if (!s->key) {
        *s = (slot){.key = key, .hint = {GQL_CACHE_NO_AGE, GQL_CACHE_NO_SCOPE}};
        t->count++;
    }
    return s;
}

/* --- during the execution --- */

/* The hints of one call count once, however many it gives: *seen tells. */
static void take_hint(pl_cache_control *control, const void *field, const pl_cache_hint *given,
                      unsigned *seen)
{
    gql_cache_trace *trace = (gql_cache_trace *)control;
    gql_cache_hint hint = {
        .max_age = given->has_max_age ? given->max_age : GQL_CACHE_NO_AGE,
        .scope = !given->has_scope   ? GQL_CACHE_NO_SCOPE
                 : given->is_private ? GQL_CACHE_PRIVATE
                                     : GQL_CACHE_PUBLIC,
    };
    if (!field) {
        trace->overall = gql_cache_restrict(trace->overall, hint);
        return;
    }
    slot *s = enter(trace, &trace->hints, field);
    if (!s)
        return;
    s->hint = gql_cache_restrict(s->hint, hint);
    s->count += given->has_max_age && !(*seen & 1);
    s->scoped += given->has_scope && !(*seen & 2);
    *seen |= (given->has_max_age ? 1u : 0) | (given->has_scope ? 2u : 0);
}

gql_cache_trace *gql_cache_trace_new(const gql_cache_rules *rules, pl_arena *arena)
{
    gql_cache_trace *trace = pl_arena_zalloc(arena, sizeof *trace);
    if (!trace)
        return NULL;
    trace->control.hint = take_hint;
    trace->rules = rules;
    trace->arena = arena;
    trace->overall.max_age = GQL_CACHE_NO_AGE;
    return trace;
}

pl_cache_control *gql_cache_trace_control(gql_cache_trace *trace)
{
    return &trace->control;
}

void gql_cache_visit(gql_cache_trace *trace, const gql_plan_object *object)
{
    slot *s = enter(trace, &trace->visits, object);
    if (s)
        s->count++;
    if (!trace->root)
        trace->root = object;
}

void gql_cache_entity(gql_cache_trace *trace, const gql_plan_field *field, const gql_named *type)
{
    gql_cache_hint hint = gql_cache_type_hint(type);
    slot *s = enter(trace, &trace->hints, field);
    if (!s)
        return;
    if (hint.max_age == GQL_CACHE_NO_AGE)
        hint.max_age = gql_cache_rule(trace->rules, field->def, true).max_age;
    s->hint = gql_cache_restrict(s->hint, hint);
    s->count++;
    s->scoped++;
}

/* --- tags --- */
typedef enum tag_kind {
    TAG_TYPE = 't',         /* asked for */
    TAG_UNIDENTIFIED = 'u', /* objects whose identity was not asked for */
    TAG_OBJECT = 'o',
} tag_kind;

static uint64_t tag_of(tag_kind kind, pl_str type, pl_str id)
{
    unsigned long long parts[2] = {pl_hash(type.ptr, type.len), pl_hash(id.ptr, id.len)};
    unsigned char text[1 + sizeof parts];
    text[0] = (unsigned char)kind;
    memcpy(text + 1, parts, sizeof parts);
    return pl_hash(text, sizeof text);
}

static pl_str unquote(pl_str json)
{
    if (json.len >= 2 && json.ptr[0] == '"')
        return (pl_str){json.ptr + 1, json.len - 2};
    return json;
}

void gql_cache_leaf(gql_cache_trace *trace, const gql_field *field, pl_str json)
{
    if (!gql_cache_identifies(trace->rules, field) || trace->many_ids)
        return;
    if (trace->id_count == trace->id_capacity) {
        uint32_t capacity = trace->id_capacity ? trace->id_capacity * 2 : 16;
        uint64_t *ids = capacity <= MAX_IDS ? pl_arena_array(trace->arena, capacity, sizeof *ids) : NULL;
        trace->many_ids = !ids; /* memory is short, too: then it is dropped sooner than need be */
        if (!ids)
            return;
        if (trace->id_count > 0)
            memcpy(ids, trace->ids, trace->id_count * sizeof *ids);
        trace->ids = ids;
        trace->id_capacity = capacity;
    }
    trace->ids[trace->id_count++] = tag_of(TAG_OBJECT, field->parent->name, unquote(json));
}

/* --- at its end: the policy --- */
static gql_cache_hint field_policy(const gql_cache_trace *trace, const gql_plan_field *field, bool root,
                                   uint32_t visits)
{
    gql_cache_hint rule = gql_cache_rule(trace->rules, field->def, root);
    const slot *given = trace->hints.count > 0 ? find(&trace->hints, field) : NULL;
    if (!given || !given->key)
        return rule;
    /* The rule is for the calls that have said nothing. */
    gql_cache_hint hint = given->hint;
    if (given->count < visits && rule.max_age < hint.max_age)
        hint.max_age = rule.max_age;
    if (given->scoped < visits && rule.scope > hint.scope)
        hint.scope = rule.scope;
    return hint;
}

gql_cache_hint gql_cache_trace_policy(const gql_cache_trace *trace)
{
    gql_cache_hint policy = trace->overall;
    for (uint32_t i = 0; i < trace->visits.capacity; i++) {
        const slot *s = &trace->visits.slots[i];
        const gql_plan_object *object = s->key;
        for (uint32_t k = 0; object && k < object->count; k++) {
            policy = gql_cache_restrict(
                policy, field_policy(trace, &object->fields[k], object == trace->root, s->count));
            if (object->fields[k].access) /* not everybody gets the same, whatever else is said */
                policy.scope = GQL_CACHE_PRIVATE;
        }
    }
    if (trace->failed || !trace->root || policy.max_age == GQL_CACHE_NO_AGE)
        policy.max_age = 0;
    if (policy.scope == GQL_CACHE_NO_SCOPE)
        policy.scope = GQL_CACHE_PUBLIC;
    return policy;
}

/* --- at its end: the tags --- */
static int compare_tags(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void sort_tags(gql_cache_tags *tags)
{
    size_t kept = 0;
    if (tags->count > 1)
        qsort(tags->items, tags->count, sizeof *tags->items, compare_tags);
    for (size_t i = 0; i < tags->count; i++) {
        if (kept == 0 || tags->items[kept - 1] != tags->items[i])
            tags->items[kept++] = tags->items[i];
    }
    tags->count = kept;
}

static bool is_identified(const gql_cache_trace *trace, const gql_plan_object *object)
{
    for (uint32_t i = 0; i < object->count; i++) {
        if (gql_cache_identifies(trace->rules, object->fields[i].def))
            return !trace->many_ids;
    }
    return false;
}

/* By type id: 1 asked for, 2 unidentified. */
static void mark_types(const gql_cache_trace *trace, uint8_t *marks)
{
    for (uint32_t i = 0; i < trace->visits.capacity; i++) {
        const gql_plan_object *object = trace->visits.slots[i].key;
        if (!object)
            continue;
        marks[object->type->id] |= is_identified(trace, object) ? 1 : 3;
        for (uint32_t k = 0; k < object->count; k++) {
            const gql_named *type = object->fields[k].def->type->named;
            for (uint32_t n = 0; gql_is_composite(type) && n < type->possible_count; n++)
                marks[type->possible[n]->id] |= 1;
        }
    }
}

bool gql_cache_trace_tags(gql_cache_trace *trace, gql_cache_tags *out)
{
    const gql_schema *schema = gql_cache_rules_schema(trace->rules);
    uint8_t *marks = pl_arena_array(trace->arena, schema->type_count, 1);
    size_t count = trace->id_count;
    if (!marks)
        return false;
    mark_types(trace, marks);
    for (uint32_t i = 0; i < schema->type_count; i++)
        count += (marks[i] & 1) + (marks[i] >> 1);
    *out = (gql_cache_tags){.items = pl_arena_array(trace->arena, count, sizeof *out->items)};
    if (!out->items)
        return false;
    for (uint32_t i = 0; i < schema->type_count; i++) {
        if (marks[i] & 1)
            out->items[out->count++] = tag_of(TAG_TYPE, schema->types[i]->name, PL_STR(""));
        if (marks[i] & 2)
            out->items[out->count++] = tag_of(TAG_UNIDENTIFIED, schema->types[i]->name, PL_STR(""));
    }
    if (trace->id_count > 0)
        memcpy(out->items + out->count, trace->ids, trace->id_count * sizeof *out->items);
    out->count += trace->id_count;
    sort_tags(out);
    return true;
}

/* --- purges --- */

/* An id as it stands in a response, without its quotes. ptr NULL: memory. */
static pl_str escape(pl_str id, pl_arena *arena)
{
    pl_buf text;
    pl_buf_init(&text);
    pl_json_string(&text, id);
    pl_str copy = text.failed ? PL_STR_NONE : pl_arena_str(arena, unquote(pl_buf_view(&text)));
    pl_buf_dispose(&text);
    return copy;
}

pl_code gql_cache_purge_tags(const gql_schema *schema, pl_str type, pl_str id, pl_arena *arena,
                             gql_cache_tags *out, pl_error *err)
{
    const gql_named *named = gql_schema_type(schema, type);
    pl_str escaped = PL_STR("");
    if (!named || !gql_is_composite(named))
        return pl_fail(err, PL_NOT_FOUND, "The schema has no object, interface or union type \"%.*s\".",
                       type.len > 200 ? 200 : (int)type.len, type.ptr);
    *out = (gql_cache_tags){.items =
                                pl_arena_array(arena, named->possible_count * (size_t)2, sizeof *out->items)};
    if (id.ptr)
        escaped = escape(id, arena);
    if (!out->items || !escaped.ptr)
        return pl_fail_memory(err);
    for (uint32_t i = 0; i < named->possible_count; i++) {
        pl_str name = named->possible[i]->name;
        if (id.ptr) {
            out->items[out->count++] = tag_of(TAG_OBJECT, name, escaped);
            out->items[out->count++] = tag_of(TAG_UNIDENTIFIED, name, PL_STR(""));
        } else {
            out->items[out->count++] = tag_of(TAG_TYPE, name, PL_STR(""));
        }
    }
    sort_tags(out);
    return PL_OK;
}
