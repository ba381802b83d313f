/* SPDX-License-Identifier: MIT */
#include "graphql/cache/policy.h"

#include "base/alloc.h"
#include "graphql/federation/federation.h"

typedef struct rule {
    gql_cache_hint hint; /* NO_AGE: inherited from the parent field */
    bool identifies;
} rule;

struct gql_cache_rules {
    const gql_schema *schema;
    uint32_t default_max_age;
    bool any;
    rule fields[]; /* by field id */
};

gql_cache_hint gql_cache_restrict(gql_cache_hint a, gql_cache_hint b)
{
    return (gql_cache_hint){
        .max_age = a.max_age < b.max_age ? a.max_age : b.max_age, /* NO_AGE is the largest */
        .scope = a.scope > b.scope ? a.scope : b.scope,
    };
}

/* --- @cacheControl --- */
typedef struct annotation {
    gql_cache_hint hint;
    bool inherit;
} annotation;

static const gql_directive *find_directive(const gql_directives *directives, const char *name)
{
    for (uint32_t i = 0; directives && i < directives->count; i++) {
        if (pl_str_is(directives->items[i].name.text, name))
            return &directives->items[i];
    }
    return NULL;
}

/* The digits of an Int literal; what is below 0 is 0. */
static uint32_t read_age(pl_str digits)
{
    uint64_t n = 0;
    for (size_t i = 0; i < digits.len && n < INT32_MAX; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9')
            return 0;
        n = n * 10 + (uint64_t)(digits.ptr[i] - '0');
    }
    return n < INT32_MAX ? (uint32_t)n : INT32_MAX;
}

static annotation read_annotation(const gql_directives *directives)
{
    annotation a = {.hint = {GQL_CACHE_NO_AGE, GQL_CACHE_NO_SCOPE}};
    const gql_directive *found = find_directive(directives, "cacheControl");
    for (uint32_t i = 0; found && i < found->argument_count; i++) {
        pl_str name = found->arguments[i].name.text;
        const gql_value *value = &found->arguments[i].value;
        if (pl_str_is(name, "maxAge") && value->kind == GQL_VALUE_INT)
            a.hint.max_age = read_age(value->text);
        else if (pl_str_is(name, "scope") && value->kind == GQL_VALUE_ENUM)
            a.hint.scope = pl_str_is(value->text, "PRIVATE") ? GQL_CACHE_PRIVATE : GQL_CACHE_PUBLIC;
        else if (pl_str_is(name, "inheritMaxAge") && value->kind == GQL_VALUE_BOOLEAN)
            a.inherit = value->boolean;
    }
    return a;
}

/* b counts before a where it says something. */
static gql_cache_hint replace(gql_cache_hint a, gql_cache_hint b)
{
    return (gql_cache_hint){
        .max_age = b.max_age != GQL_CACHE_NO_AGE ? b.max_age : a.max_age,
        .scope = b.scope != GQL_CACHE_NO_SCOPE ? b.scope : a.scope,
    };
}

/* Also where a resolvers file implements it, and the executor knows nothing of it. */
static bool is_guarded(const gql_directives *directives)
{
    return find_directive(directives, "auth") != NULL;
}

gql_cache_hint gql_cache_type_hint(const gql_named *type)
{
    gql_cache_hint hint = read_annotation(type->directives).hint;
    if (is_guarded(type->directives))
        hint.scope = GQL_CACHE_PRIVATE;
    return hint;
}

/* An entity's age counts for _entities, which gives it without a field of its type. */
static bool gives_age(const gql_named *entity)
{
    gql_cache_hint hint = gql_cache_type_hint(entity);
    return hint.max_age > 0 && hint.max_age != GQL_CACHE_NO_AGE;
}

static gql_cache_hint field_hint(const gql_cache_rules *rules, const gql_field *field)
{
    const gql_named *type = field->type->named;
    annotation on_type = {.hint = {GQL_CACHE_NO_AGE, GQL_CACHE_NO_SCOPE}};
    annotation on_field = read_annotation(field->directives);
    if (gql_is_composite(type))
        on_type = read_annotation(type->directives);
    bool inherit = on_type.inherit;
    gql_cache_hint hint = on_type.hint;
    if (on_field.inherit && hint.max_age == GQL_CACHE_NO_AGE) {
        inherit = true;
        on_field.hint.max_age = GQL_CACHE_NO_AGE;
    }
    hint = replace(hint, on_field.hint);
    if (hint.max_age == GQL_CACHE_NO_AGE && gql_is_composite(type) && !inherit)
        hint.max_age = rules->default_max_age;
    if (is_guarded(field->directives) || is_guarded(type->directives) ||
        (field->parent && is_guarded(field->parent->directives)))
        hint.scope = GQL_CACHE_PRIVATE;
    return hint;
}

/* --- what tells objects apart --- */

/* The name of the one field of a @key(fields: "name"). */
static pl_str single_key(const gql_named *type)
{
    const gql_directive *key = find_directive(type->directives, "key");
    for (uint32_t i = 0; key && i < key->argument_count; i++) {
        pl_str text = key->arguments[i].value.text;
        if (!pl_str_is(key->arguments[i].name.text, "fields") ||
            key->arguments[i].value.kind != GQL_VALUE_STRING)
            continue;
        while (text.len > 0 && text.ptr[0] == ' ')
            text = (pl_str){text.ptr + 1, text.len - 1};
        while (text.len > 0 && text.ptr[text.len - 1] == ' ')
            text.len--;
        return text;
    }
    return PL_STR_NONE;
}

static const gql_field *identity(const gql_named *type)
{
    const gql_field *field = pl_map_get(&type->field_map, PL_STR("id"));
    if (!field)
        field = pl_map_get(&type->field_map, single_key(type));
    const gql_typeref *ref = field ? field->type : NULL;
    if (ref && ref->kind == GQL_TYPE_NON_NULL)
        ref = ref->of;
    return ref && ref->kind == GQL_TYPE_NAMED && gql_is_leaf(ref->named) && field->argument_count == 0 ? field
                                                                                                       : NULL;
}

/* --- the whole schema --- */
static void add_field(gql_cache_rules *rules, const gql_field *field)
{
    rule *r = &rules->fields[field->id];
    r->hint = field_hint(rules, field);
    rules->any |= r->hint.max_age != GQL_CACHE_NO_AGE && r->hint.max_age > 0;
}

gql_cache_rules *gql_cache_rules_new(const gql_schema *schema, uint32_t default_max_age)
{
    gql_cache_rules *rules = pl_calloc(1, sizeof *rules + schema->field_count * sizeof *rules->fields);
    if (!rules)
        return NULL;
    rules->schema = schema;
    rules->default_max_age = default_max_age < INT32_MAX ? default_max_age : INT32_MAX;
    rules->any = rules->default_max_age > 0;
    for (uint32_t i = 0; i < schema->type_count; i++) {
        const gql_named *type = schema->types[i];
        if (type->kind != GQL_OBJECT)
            continue;
        for (uint32_t k = 0; k < type->field_count; k++)
            add_field(rules, &type->fields[k]);
        rules->any |= gql_is_entity(schema, type) && gives_age(type);
        const gql_field *id = identity(type);
        if (id)
            rules->fields[id->id].identifies = true;
    }
    add_field(rules, schema->schema_field);
    add_field(rules, schema->type_field);
    add_field(rules, schema->typename_field);
    return rules;
}

void gql_cache_rules_free(gql_cache_rules *rules)
{
    pl_free(rules);
}

const gql_schema *gql_cache_rules_schema(const gql_cache_rules *rules)
{
    return rules->schema;
}

bool gql_cache_rules_any(const gql_cache_rules *rules)
{
    return rules->any;
}

gql_cache_hint gql_cache_rule(const gql_cache_rules *rules, const gql_field *field, bool root)
{
    gql_cache_hint hint = rules->fields[field->id].hint;
    if (root && hint.max_age == GQL_CACHE_NO_AGE)
        hint.max_age = rules->default_max_age;
    return hint;
}

bool gql_cache_identifies(const gql_cache_rules *rules, const gql_field *field)
{
    return rules->fields[field->id].identifies;
}
