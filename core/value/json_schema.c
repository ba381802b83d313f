/* SPDX-License-Identifier: MIT */
#include <stddef.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "value/json.h"
#include "value/json_schema_internal.h"

/* Reading a schema: a table says which keywords there are, what reads each, and where to. References are
 * resolved when all nodes are there. */

typedef struct reader {
    pl_json_schema *schema;
    pl_buf path;
    pl_error *err;
    bool draft7; /* keywords beside $ref are passed over by its rules */
} reader;

typedef bool read_keyword(reader *r, const pl_value *v, js_node *node, void *target);
typedef struct keyword {
    const char *name;
    read_keyword *read; /* NULL: it says nothing about values */
    size_t offset;
} keyword;

static bool wrong(reader *r, const char *what)
{
    pl_fail(r->err, PL_INVALID_ARGUMENT, "%.*s: %s", r->path.len ? (int)r->path.len : 1,
            r->path.len ? r->path.data : "/", what);
    return false;
}

static bool no_memory(reader *r)
{
    pl_fail_memory(r->err);
    return false;
}

static size_t enter(reader *r, pl_str name)
{
    size_t before = r->path.len;
    pl_buf_printf(&r->path, "/%.*s", PL_STR_ARG(name));
    return before;
}

/* --- one after the other --- */
static const js_node *read_node(reader *r, const pl_value *v);

static bool read_schema(reader *r, const pl_value *v, js_node *node, void *target)
{
    *(const js_node **)target = read_node(r, v);
    return *(const js_node **)target != NULL;
}

static bool read_schemas(reader *r, const pl_value *v, js_node *node, void *target)
{
    js_list *list = target;
    if (v->kind != PL_KIND_LIST || v->list.count == 0)
        return wrong(r, "must be a list of schemas");
    list->nodes = pl_arena_array(&r->schema->arena, v->list.count, sizeof *list->nodes);
    list->count = v->list.count;
    for (size_t i = 0; list->nodes && i < v->list.count; i++) {
        size_t before = r->path.len;
        pl_buf_printf(&r->path, "/%zu", i);
        if (!(list->nodes[i] = read_node(r, &v->list.items[i])))
            return false;
        r->path.len = before;
    }
    return list->nodes || no_memory(r);
}

static bool read_items(reader *r, const pl_value *v, js_node *node, void *target)
{
    if (v->kind == PL_KIND_LIST)
        return wrong(r, "a list of schemas here is called prefixItems since 2020-12");
    return read_schema(r, v, node, target);
}

/* target NULL: they are only there to be referred to. */
static bool read_map(reader *r, const pl_value *v, pl_map *map)
{
    if (v->kind != PL_KIND_MAP)
        return wrong(r, "must be an object of schemas");
    for (size_t i = 0; i < v->map.count; i++) {
        const pl_member *m = &v->map.members[i];
        size_t before = enter(r, m->name);
        const js_node *node = read_node(r, &m->value);
        if (!node)
            return false;
        if (map && !pl_map_set(map, m->name, (void *)node))
            return no_memory(r);
        r->path.len = before;
    }
    return true;
}

static bool read_properties(reader *r, const pl_value *v, js_node *node, void *target)
{
    return read_map(r, v, target);
}

static bool read_definitions(reader *r, const pl_value *v, js_node *node, void *target)
{
    return read_map(r, v, NULL);
}

static bool read_names(reader *r, const pl_value *v, js_node *node, void *target)
{
    js_names *names = target;
    bool ok = v->kind == PL_KIND_LIST;
    for (size_t i = 0; ok && i < v->list.count; i++)
        ok = v->list.items[i].kind == PL_KIND_STRING;
    if (!ok)
        return wrong(r, "must be a list of names");
    names->names = pl_arena_array(&r->schema->arena, v->list.count, sizeof *names->names);
    names->count = v->list.count;
    for (size_t i = 0; names->names && i < v->list.count; i++)
        names->names[i] = v->list.items[i].string;
    return names->names || no_memory(r);
}

static bool read_dependencies(reader *r, const pl_value *v, js_node *node, void *target)
{
    if (v->kind != PL_KIND_MAP)
        return wrong(r, "must be an object of lists of names");
    node->dependencies = pl_arena_array(&r->schema->arena, v->map.count, sizeof *node->dependencies);
    if (!node->dependencies)
        return no_memory(r);
    for (size_t i = 0; i < v->map.count; i++) {
        js_dependency *d = &node->dependencies[node->dependency_count++];
        size_t before = enter(r, v->map.members[i].name);
        d->name = v->map.members[i].name;
        if (!read_names(r, &v->map.members[i].value, node, &d->required))
            return false;
        r->path.len = before;
    }
    return true;
}

static bool read_count(reader *r, const pl_value *v, js_node *node, void *target)
{
    bool whole = v->kind == PL_KIND_FLOAT && v->number >= 0 && v->number < 9e15 &&
                 v->number == (double)(int64_t)v->number;
    if (!whole && (v->kind != PL_KIND_INT || v->integer < 0))
        return wrong(r, "must be a whole number from 0");
    *(size_t *)target = v->kind == PL_KIND_INT ? (size_t)v->integer : (size_t)v->number;
    return true;
}

static bool read_number(reader *r, const pl_value *v, js_node *node, void *target)
{
    *(const pl_value **)target = v;
    return v->kind == PL_KIND_INT || v->kind == PL_KIND_FLOAT || wrong(r, "must be a number");
}

static bool read_multiple(reader *r, const pl_value *v, js_node *node, void *target)
{
    double n = v->kind == PL_KIND_INT ? (double)v->integer : v->kind == PL_KIND_FLOAT ? v->number : 0;
    *(double *)target = n;
    return n > 0 || wrong(r, "must be a number above 0");
}

static bool read_boolean(reader *r, const pl_value *v, js_node *node, void *target)
{
    if (v->kind != PL_KIND_BOOL)
        return wrong(r, "must be true or false");
    *(bool *)target = v->boolean;
    return true;
}

static bool read_enum(reader *r, const pl_value *v, js_node *node, void *target)
{
    if (v->kind != PL_KIND_LIST || v->list.count == 0)
        return wrong(r, "must be a list of values");
    if (node->choices)
        return wrong(r, "enum and const cannot stand side by side");
    node->choices = v->list.items;
    node->choice_count = v->list.count;
    return true;
}

static bool read_const(reader *r, const pl_value *v, js_node *node, void *target)
{
    if (node->choices)
        return wrong(r, "enum and const cannot stand side by side");
    node->choices = v;
    node->choice_count = 1;
    return true;
}

static unsigned type_named(const pl_value *v)
{
    static const char *const names[] = {"null", "boolean", "integer", "number", "string", "array", "object"};
    for (size_t i = 0; v->kind == PL_KIND_STRING && i < sizeof names / sizeof *names; i++) {
        if (pl_str_is(v->string, names[i]))
            return 1u << i;
    }
    return 0;
}

static bool read_type(reader *r, const pl_value *v, js_node *node, void *target)
{
    bool list = v->kind == PL_KIND_LIST;
    size_t count = list ? v->list.count : 1;
    bool ok = count > 0;
    for (size_t i = 0; ok && i < count; i++) {
        unsigned type = type_named(list ? &v->list.items[i] : v);
        node->types |= type;
        ok = type != 0;
    }
    return ok ||
           wrong(r, "must be null, boolean, integer, number, string, array or object, or a list of these");
}

static bool read_reference(reader *r, const pl_value *v, js_node *node, void *target)
{
    if (v->kind != PL_KIND_STRING || v->string.len == 0 || v->string.ptr[0] != '#' ||
        (v->string.len > 1 && v->string.ptr[1] != '/'))
        return wrong(r, "only places in the same schema can be referred to, such as \"#/$defs/item\"");
    node->reference_text = v->string;
    return true;
}

static bool read_dialect(reader *r, const pl_value *v, js_node *node, void *target)
{
    pl_str s = v->kind == PL_KIND_STRING ? v->string : PL_STR("");
    if (s.len > 0 && s.ptr[s.len - 1] == '#')
        s.len--;
    r->draft7 = pl_str_is(s, "http://json-schema.org/draft-07/schema");
    return r->draft7 || pl_str_is(s, "https://json-schema.org/draft/2019-09/schema") ||
           pl_str_is(s, "https://json-schema.org/draft/2020-12/schema") ||
           wrong(r, "only draft-07, 2019-09 and 2020-12 can be used");
}

static bool read_id(reader *r, const pl_value *v, js_node *node, void *target)
{
    return r->path.len == sizeof "/$id" - 1 || wrong(r, "can only stand at the top of a schema");
}

#define AT(field) offsetof(js_node, field)
static const keyword keywords[] = {
    {"$schema", read_dialect, 0},
    {"$id", read_id, 0},
    {"$ref", read_reference, 0},
    {"$defs", read_definitions, 0},
    {"definitions", read_definitions, 0},
    {"type", read_type, 0},
    {"enum", read_enum, 0},
    {"const", read_const, 0},
    {"minimum", read_number, AT(minimum)},
    {"maximum", read_number, AT(maximum)},
    {"exclusiveMinimum", read_number, AT(above)},
    {"exclusiveMaximum", read_number, AT(below)},
    {"multipleOf", read_multiple, AT(multiple_of)},
    {"minLength", read_count, AT(min_length)},
    {"maxLength", read_count, AT(max_length)},
    {"properties", read_properties, AT(properties)},
    {"required", read_names, AT(required)},
    {"dependentRequired", read_dependencies, 0},
    {"additionalProperties", read_schema, AT(additional)},
    {"propertyNames", read_schema, AT(names)},
    {"minProperties", read_count, AT(min_members)},
    {"maxProperties", read_count, AT(max_members)},
    {"items", read_items, AT(items)},
    {"prefixItems", read_schemas, AT(first)},
    {"contains", read_schema, AT(contains)},
    {"minContains", read_count, AT(min_contains)},
    {"maxContains", read_count, AT(max_contains)},
    {"minItems", read_count, AT(min_items)},
    {"maxItems", read_count, AT(max_items)},
    {"uniqueItems", read_boolean, AT(unique_items)},
    {"allOf", read_schemas, AT(all)},
    {"anyOf", read_schemas, AT(any)},
    {"oneOf", read_schemas, AT(one)},
    {"not", read_schema, AT(not_)},
    {"if", read_schema, AT(if_)},
    {"then", read_schema, AT(then_)},
    {"else", read_schema, AT(else_)},
    {"title", NULL, 0},
    {"description", NULL, 0},
    {"default", NULL, 0},
    {"examples", NULL, 0},
    {"deprecated", NULL, 0},
    {"readOnly", NULL, 0},
    {"writeOnly", NULL, 0},
    {"format", NULL, 0},
    {"contentEncoding", NULL, 0},
    {"contentMediaType", NULL, 0},
    {"$comment", NULL, 0},
};
#undef AT

static bool read_member(reader *r, const pl_member *m, js_node *node)
{
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++) {
        const keyword *k = &keywords[i];
        if (!pl_str_is(m->name, k->name))
            continue;
        size_t before = enter(r, m->name);
        if (k->read && !k->read(r, &m->value, node, (char *)node + k->offset))
            return false;
        r->path.len = before;
        return true;
    }
    if (pl_str_starts(m->name, PL_STR("x-")))
        return true;
    enter(r, m->name);
    return wrong(r, "this keyword is not supported (docs/schema-registry.md lists those that are)");
}

static js_node *new_node(reader *r, const pl_value *v)
{
    pl_json_schema *s = r->schema;
    js_node *node = pl_arena_zalloc(&s->arena, sizeof *node);
    if (!node) {
        no_memory(r);
        return NULL;
    }
    node->max_length = node->max_items = node->max_members = node->max_contains = SIZE_MAX;
    node->min_contains = 1;
    node->made_of = v;
    node->next = s->nodes;
    s->nodes = node;
    if (pl_map_set(&s->by_value, (pl_str){(const char *)&node->made_of, sizeof node->made_of}, node))
        return node;
    no_memory(r);
    return NULL;
}

static bool is_alone(const pl_value *v)
{
    for (size_t i = 0; i < v->map.count; i++) {
        pl_str name = v->map.members[i].name;
        for (size_t k = 3; k < sizeof keywords / sizeof *keywords; k++) {
            if (keywords[k].read && keywords[k].read != read_definitions && pl_str_is(name, keywords[k].name))
                return false;
        }
    }
    return true;
}

/* The dialect decides how the rest is read. */
static bool read_dialect_first(reader *r, const pl_value *v)
{
    const pl_value *dialect = pl_value_member(v, PL_STR("$schema"));
    size_t before = enter(r, PL_STR("$schema"));
    bool ok = !dialect || read_dialect(r, dialect, NULL, NULL);
    if (ok)
        r->path.len = before;
    return ok;
}

static const js_node *read_node(reader *r, const pl_value *v)
{
    js_node *node = new_node(r, v);
    if (!node)
        return NULL;
    if (v->kind == PL_KIND_BOOL) {
        node->never = !v->boolean;
        return node;
    }
    if (v->kind != PL_KIND_MAP) {
        wrong(r, "must be a schema: an object, true or false");
        return NULL;
    }
    if (!read_dialect_first(r, v))
        return NULL;
    for (size_t i = 0; i < v->map.count; i++) {
        if (!read_member(r, &v->map.members[i], node))
            return NULL;
    }
    if (node->reference_text.ptr && r->draft7 && !is_alone(v)) {
        wrong(r, "draft-07 passes over what stands beside $ref: put both into allOf");
        return NULL;
    }
    return node;
}

/* --- references --- */

/* Takes the next part of a JSON pointer, decoded, into out. */
static bool next_part(pl_str *pointer, char *out, size_t room, size_t *len)
{
    *len = 0;
    pointer->ptr++; /* the slash */
    pointer->len--;
    while (pointer->len > 0 && *pointer->ptr != '/') {
        char c = *pointer->ptr;
        size_t used = 1;
        if (c == '~') {
            c = pointer->len > 1 && pointer->ptr[1] == '1' ? '/' : '~';
            used = 2;
        }
        if (*len == room || used > pointer->len)
            return false;
        out[(*len)++] = c;
        pointer->ptr += used;
        pointer->len -= used;
    }
    return true;
}

static const pl_value *step_into(const pl_value *v, pl_str part)
{
    if (v->kind == PL_KIND_MAP)
        return pl_value_member(v, part);
    size_t n = 0;
    for (size_t i = 0; i < part.len; i++) {
        if (part.ptr[i] < '0' || part.ptr[i] > '9' || n > 1000000)
            return NULL;
        n = n * 10 + (size_t)(part.ptr[i] - '0');
    }
    return v->kind == PL_KIND_LIST && part.len > 0 && n < v->list.count ? &v->list.items[n] : NULL;
}

static bool resolve(reader *r, js_node *node)
{
    pl_str pointer = {node->reference_text.ptr + 1, node->reference_text.len - 1};
    const pl_value *v = &r->schema->source;
    char part[256];
    size_t len;
    while (v && pointer.len > 0)
        v = next_part(&pointer, part, sizeof part, &len) ? step_into(v, (pl_str){part, len}) : NULL;
    node->reference = v ? pl_map_get(&r->schema->by_value, (pl_str){(const char *)&v, sizeof v}) : NULL;
    if (!node->reference)
        pl_fail(r->err, PL_INVALID_ARGUMENT, "$ref: there is no schema at \"%.*s\"",
                PL_STR_ARG(node->reference_text));
    return node->reference != NULL;
}

/* --- life --- */
pl_code pl_json_schema_new(pl_str text, pl_json_schema **out, pl_error *err)
{
    const pl_json_limits limits = {.unique_names = true};
    pl_json_schema *s = pl_calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        return pl_fail_memory(err);
    reader r = {.schema = s, .err = err};
    pl_arena_init(&s->arena, 0);
    pl_map_init(&s->by_value);
    pl_buf_init(&r.path);
    pl_code code = pl_json_read(&s->arena, text, &limits, &s->source, err);
    bool ok = !code && (s->root = read_node(&r, &s->source)) != NULL;
    for (js_node *node = s->nodes; ok && node; node = node->next)
        ok = !node->reference_text.ptr || resolve(&r, node);
    pl_buf_dispose(&r.path);
    if (ok) {
        *out = s;
        return PL_OK;
    }
    pl_json_schema_free(s);
    return err->code;
}

void pl_json_schema_free(pl_json_schema *schema)
{
    if (!schema)
        return;
    for (js_node *node = schema->nodes; node; node = node->next)
        pl_map_dispose(&node->properties);
    pl_map_dispose(&schema->by_value);
    pl_arena_dispose(&schema->arena);
    pl_free(schema);
}
