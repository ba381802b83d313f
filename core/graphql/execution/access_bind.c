/* SPDX-License-Identifier: MIT */
#include "graphql/execution/access_internal.h"
#include "graphql/execution/binding_internal.h"

/* What the SDL's directives say about access, made ready for checks. */

#define ENFORCED_ON                                                                   \
    ((uint32_t)GQL_ON_OBJECT | (uint32_t)GQL_ON_INTERFACE | (uint32_t)GQL_ON_SCALAR | \
     (uint32_t)GQL_ON_ENUM | (uint32_t)GQL_ON_FIELD_DEFINITION)

typedef struct collector {
    gql_binding *b;
    gql_diagnostics *list;
    const gql_directive_def *auth, *authenticated, *scopes; /* NULL: not enforced here */
    uint32_t requires;                                      /* the argument of auth */
    /* The rules of what is looked at. */
    const gql_access_rule **rules;
    uint32_t count, capacity;
} collector;

static void no_memory(collector *c)
{
    c->list->out_of_memory = true;
}

static uint32_t intern(collector *c, gql_access_names *names, pl_str name)
{
    int64_t id = gql_access_find(names, name);
    if (id >= 0)
        return (uint32_t)id;
    size_t n = names->map.count;
    pl_str kept = pl_arena_str(&c->b->arena, name);
    if (!kept.ptr || !pl_map_set(&names->map, kept, (void *)(uintptr_t)(n + 1))) {
        no_memory(c);
        return 0;
    }
    return (uint32_t)n;
}

/* The strings of a value that is one or a list of them; false: it is something else, or empty. */
static bool intern_all(collector *c, gql_access_names *names, const pl_value *v, gql_access_set *out)
{
    size_t n = v->kind == PL_KIND_LIST ? v->list.count : 1;
    const pl_value *items = v->kind == PL_KIND_LIST ? v->list.items : v;
    uint32_t *ids = pl_arena_array(&c->b->arena, n, sizeof *ids);
    if (!ids) {
        no_memory(c);
        return true;
    }
    for (size_t i = 0; i < n; i++) {
        if (items[i].kind != PL_KIND_STRING)
            return false;
        ids[i] = intern(c, names, items[i].string);
    }
    *out = (gql_access_set){ids, (uint32_t)n};
    return n > 0;
}

static bool read_scopes(collector *c, const pl_value *v, gql_access_rule *rule)
{
    size_t n = v->kind == PL_KIND_LIST ? v->list.count : 0;
    gql_access_set *sets = pl_arena_array(&c->b->arena, n, sizeof *sets);
    if (!sets) {
        no_memory(c);
        return true;
    }
    for (size_t i = 0; i < n; i++) {
        if (!intern_all(c, &c->b->access->scopes, &v->list.items[i], &sets[i]))
            return false;
    }
    rule->scopes = sets;
    rule->scope_count = (uint32_t)n;
    return n > 0;
}

/* --- one directive --- */
static bool fill_rule(collector *c, const gql_directive_def *def, const gql_directive *applied,
                      gql_access_rule *rule)
{
    pl_error err = {0};
    pl_value *args = pl_arena_array(&c->b->arena, def->argument_count, sizeof *args);
    if (!args || gql_directive_arguments(c->b, def, applied, &c->b->arena, args, &err) != PL_OK) {
        no_memory(c); /* the schema is valid, so nothing else can be wrong */
        return true;
    }
    if (def == c->auth) {
        const pl_value *v = &args[c->requires];
        if (v->kind == PL_KIND_ABSENT || v->kind == PL_KIND_NULL)
            return true;
        rule->kind = GQL_ACCESS_ROLES;
        return intern_all(c, &c->b->access->roles, v, &rule->roles);
    }
    if (def == c->scopes) {
        rule->kind = GQL_ACCESS_SCOPES;
        return def->argument_count > 0 && read_scopes(c, &args[0], rule);
    }
    return true;
}

static void add_rule(collector *c, const gql_access_rule *rule)
{
    for (uint32_t i = 0; i < c->count; i++) {
        if (c->rules[i] == rule)
            return;
    }
    if (c->count == c->capacity) {
        uint32_t capacity = c->capacity ? c->capacity * 2 : 8;
        const gql_access_rule **rules = pl_arena_array(c->list->arena, capacity, sizeof(*rules));
        if (!rules) {
            no_memory(c);
            return;
        }
        if (c->count > 0)
            memcpy(rules, c->rules, c->count * sizeof(*rules));
        c->rules = rules;
        c->capacity = capacity;
    }
    c->rules[c->count++] = rule;
}

static void add_directives(collector *c, const gql_directives *directives, const gql_source *source)
{
    for (uint32_t i = 0; directives && i < directives->count; i++) {
        const gql_directive *applied = &directives->items[i];
        const gql_directive_def *def = gql_schema_directive(c->b->schema, applied->name.text);
        if (!def || (def != c->auth && def != c->authenticated && def != c->scopes))
            continue;
        gql_access_rule *rule = pl_arena_zalloc(&c->b->arena, sizeof *rule);
        if (!rule) {
            no_memory(c);
            return;
        }
        if (fill_rule(c, def, applied, rule))
            add_rule(c, rule);
        else
            gql_diagnose(c->list, NULL, source, applied->loc, (gql_loc){0},
                         "@%.*s lets nobody in: it must name at least one %s, as a string or enum value.",
                         PL_STR_ARG(def->name), def == c->auth ? "role" : "scope");
    }
}

static void add_access(collector *c, const gql_access *access)
{
    for (uint32_t i = 0; access && i < access->count; i++)
        add_rule(c, access->rules[i]);
}

/* What has been collected, as the access of something; NULL: nothing. */
static const gql_access *take(collector *c, pl_str type, pl_str field)
{
    if (c->count == 0)
        return NULL;
    gql_access *access = pl_arena_zalloc(&c->b->arena, sizeof *access);
    if (access) {
        access->rules = pl_arena_array(&c->b->arena, c->count, sizeof(*access->rules));
        access->name = field.ptr ? pl_arena_printf(&c->b->arena, "%.*s%s%.*s", PL_STR_ARG(type),
                                                   type.len > 0 ? "." : "", PL_STR_ARG(field))
                                 : type;
    }
    if (!access || !access->rules || !access->name.ptr) {
        no_memory(c);
        return NULL;
    }
    memcpy(access->rules, c->rules, c->count * sizeof(*c->rules));
    access->count = c->count;
    c->count = 0;
    return access;
}

/* --- types and fields --- */

static void collect_types(collector *c, bool interfaces)
{
    const gql_schema *schema = c->b->schema;
    for (uint32_t i = 0; i < schema->type_count; i++) {
        const gql_named *t = schema->types[i];
        if ((t->kind == GQL_INTERFACE) != interfaces)
            continue;
        add_directives(c, t->directives, t->source);
        for (uint32_t k = 0; !interfaces && k < t->interface_count; k++)
            add_access(c, c->b->types[t->interfaces[k]->id].access);
        c->b->types[t->id].access = take(c, t->name, PL_STR_NONE);
    }
}

/* Interfaces' types get what their own interfaces need only after all of them have been seen: an interface
 * lists all interfaces that it implements, also those of these. */
static void inherit_interfaces(collector *c)
{
    const gql_schema *schema = c->b->schema;
    const gql_access **inherited = pl_arena_array(c->list->arena, schema->type_count, sizeof(*inherited));
    if (!inherited) {
        no_memory(c);
        return;
    }
    for (uint32_t i = 0; i < schema->type_count; i++) {
        const gql_named *t = schema->types[i];
        if (t->kind != GQL_INTERFACE)
            continue;
        add_access(c, c->b->types[i].access);
        for (uint32_t k = 0; k < t->interface_count; k++)
            add_access(c, c->b->types[t->interfaces[k]->id].access);
        inherited[i] = take(c, t->name, PL_STR_NONE);
    }
    for (uint32_t i = 0; i < schema->type_count; i++) {
        if (schema->types[i]->kind == GQL_INTERFACE)
            c->b->types[i].access = inherited[i];
    }
}

/* on: what stands at each field of an interface, by field id. */
static void collect_field(collector *c, const gql_named *t, const gql_field *f, const gql_access **on)
{
    add_directives(c, f->directives, f->source);
    for (uint32_t k = 0; k < t->interface_count; k++) {
        const gql_field *inherited = pl_map_get(&t->interfaces[k]->field_map, f->name);
        if (inherited)
            add_access(c, on[inherited->id]);
    }
    add_access(c, c->b->types[t->id].access);
    add_access(c, c->b->types[f->type->named->id].access);
    c->b->fields[f->id].access = take(c, t->name, f->name);
}

static void collect_fields(collector *c)
{
    const gql_schema *schema = c->b->schema;
    const gql_access **on = pl_arena_array(c->list->arena, schema->field_count, sizeof(*on));
    if (!on) {
        no_memory(c);
        return;
    }
    for (uint32_t i = 0; i < schema->type_count; i++) {
        const gql_named *t = schema->types[i];
        for (uint32_t k = 0; t->kind == GQL_INTERFACE && k < t->field_count; k++) {
            add_directives(c, t->fields[k].directives, t->fields[k].source);
            on[t->fields[k].id] = take(c, t->name, t->fields[k].name);
        }
    }
    for (uint32_t i = 0; i < schema->type_count; i++) {
        const gql_named *t = schema->types[i];
        for (uint32_t k = 0; t->kind == GQL_OBJECT && !t->builtin && k < t->field_count; k++)
            collect_field(c, t, &t->fields[k], on);
    }
}

/* --- roles that include others --- */
static void intern_roles(collector *c, const gql_access_options *options)
{
    gql_access_names *roles = &c->b->access->roles;
    for (size_t i = 0; i < options->role_count; i++) {
        intern(c, roles, options->roles[i].name);
        for (size_t k = 0; k < options->roles[i].count; k++)
            intern(c, roles, options->roles[i].includes[k]);
    }
}

/* granted[i] of every role: what it includes, and what that includes, by going over all until nothing comes
 * to any of them. */
static void grant(collector *c, const gql_access_options *options)
{
    gql_access_tables *t = c->b->access;
    size_t n = t->roles.map.count, words = gql_access_words(&t->roles);
    uint64_t *bits = pl_arena_array(&c->b->arena, n * words, sizeof *bits);
    t->granted = pl_arena_array(&c->b->arena, n, sizeof(*t->granted));
    if (!bits || !t->granted) {
        no_memory(c);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        t->granted[i] = bits + i * words;
        t->granted[i][i / 64] |= (uint64_t)1 << (i % 64);
    }
    for (bool changed = true; changed;) {
        changed = false;
        for (size_t i = 0; i < options->role_count; i++) {
            uint64_t *to = t->granted[gql_access_find(&t->roles, options->roles[i].name)];
            for (size_t k = 0; k < options->roles[i].count; k++) {
                const uint64_t *from = t->granted[gql_access_find(&t->roles, options->roles[i].includes[k])];
                for (size_t w = 0; w < words; w++) {
                    changed |= (from[w] & ~to[w]) != 0;
                    to[w] |= from[w];
                }
            }
        }
    }
}

/* --- introspection --- */
static void collect_introspection(collector *c, const gql_access_options *options)
{
    if (options->introspection == GQL_INTROSPECTION_FOR_ALL)
        return;
    gql_access_rule *rule = pl_arena_zalloc(&c->b->arena, sizeof *rule);
    uint32_t *ids = pl_arena_array(&c->b->arena, options->introspection_role_count, sizeof *ids);
    if (!rule || !ids) {
        no_memory(c);
        return;
    }
    for (size_t i = 0; i < options->introspection_role_count; i++)
        ids[i] = intern(c, &c->b->access->roles, options->introspection_roles[i]);
    if (options->introspection == GQL_INTROSPECTION_FOR_ROLES) {
        rule->kind = GQL_ACCESS_ROLES;
        rule->roles = (gql_access_set){ids, (uint32_t)options->introspection_role_count};
    }
    add_rule(c, rule);
    c->b->introspection = take(c, PL_STR("introspection"), PL_STR_NONE);
}

/* --- definitions --- */

/* The definition, if it is enforced here. */
static const gql_directive_def *enforced(collector *c, pl_str name)
{
    const gql_directive_def *def = gql_schema_directive(c->b->schema, name);
    if (!def || gql_directive_find(c->b, name) || !(def->locations & ENFORCED_ON))
        return NULL;
    uint32_t others = def->locations & ~ENFORCED_ON;
    if (others == 0)
        return def;
    gql_diagnose(c->list, NULL, def->source, def->loc, (gql_loc){0},
                 "@%.*s is enforced on objects, interfaces, scalars, enums and fields; on %s it would do "
                 "nothing. Leave that location out, or implement \"@%.*s\" in a resolvers file.",
                 PL_STR_ARG(name), gql_location_name((gql_location)(others & -others)), PL_STR_ARG(name));
    return NULL;
}

static void find_directives(collector *c, const gql_access_options *options)
{
    const gql_directive_def *auth = gql_schema_directive(c->b->schema, PL_STR("auth"));
    const gql_input *requires =
        auth ? gql_input_find(auth->arguments, auth->argument_count, PL_STR("requires")) : NULL;
    if (requires) {
        c->auth = enforced(c, PL_STR("auth"));
        c->requires = requires->index;
    }
    if (options->enforce_scopes) {
        c->authenticated = enforced(c, PL_STR("authenticated"));
        c->scopes = enforced(c, PL_STR("requiresScopes"));
    }
}

void gql_bind_access(gql_binding *b, const gql_access_options *options, gql_diagnostics *list)
{
    const pl_engine *e = pl_engine_of(b->state);
    collector c = {.b = b, .list = list};
    find_directives(&c, options);
    if (!c.auth && !c.authenticated && !c.scopes && options->introspection == GQL_INTROSPECTION_FOR_ALL)
        return;
    gql_access_tables *t = pl_arena_zalloc(&b->arena, sizeof *t);
    if (!t) {
        no_memory(&c);
        return;
    }
    b->access = t;
    t->user = e->key(b->state, PL_STR("user"));
    t->role = e->key(b->state, PL_STR("role"));
    t->roles_key = e->key(b->state, PL_STR("roles"));
    t->scope = e->key(b->state, PL_STR("scope"));
    t->scopes_key = e->key(b->state, PL_STR("scopes"));
    list->out_of_memory |= !t->user || !t->role || !t->roles_key || !t->scope || !t->scopes_key;
    collect_types(&c, true);
    inherit_interfaces(&c);
    collect_types(&c, false);
    collect_fields(&c);
    collect_introspection(&c, options);
    intern_roles(&c, options);
    if (!list->out_of_memory)
        grant(&c, options);
}

void gql_access_free(gql_access_tables *tables)
{
    if (!tables)
        return;
    pl_map_dispose(&tables->roles.map);
    pl_map_dispose(&tables->scopes.map);
}
