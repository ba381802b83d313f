/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "graphql/execution/binding_internal.h"
#include "graphql/execution/input.h"
#include "graphql/federation/federation.h"

/* Directives that scripts implement: called once for each field that carries one, when a generation is built,
 * they give the resolver that takes the place of the field's own. Those on arguments: binding_arguments.c. */

#define FIELDS ((uint32_t)GQL_ON_OBJECT | (uint32_t)GQL_ON_INTERFACE | (uint32_t)GQL_ON_FIELD_DEFINITION)
#define INPUTS ((uint32_t)GQL_ON_ARGUMENT_DEFINITION | (uint32_t)GQL_ON_INPUT_FIELD_DEFINITION)

const gql_directive_binding *gql_directive_find(const gql_binding *b, pl_str name)
{
    for (const gql_directive_binding *d = b->directives; d; d = d->next) {
        if (pl_str_eq(d->def->name, name))
            return d;
    }
    return NULL;
}

/* Whether it wraps fields. */
static bool wraps(const gql_binding *b, pl_str name)
{
    const gql_directive_binding *d = gql_directive_find(b, name);
    return d && d->field != PL_REF_NONE;
}

/* --- one entry of a resolvers file --- */
static bool is_possible(gql_binder *x, pl_str name, const gql_directive_def *def, pl_slot function)
{
    const gql_directive_binding *other = gql_directive_find(x->b, name);
    if (other)
        GQL_COMPLAIN(x, function, "\"@%.*s\" is implemented twice: here and in %s.", PL_STR_ARG(name),
                     other->file);
    else if (!def || def->builtin)
        GQL_COMPLAIN(x, function, "There is an implementation of \"@%.*s\", %s.", PL_STR_ARG(name),
                     def ? "which the server itself implements" : "which the schema does not define");
    return !other && def && !def->builtin;
}

/* One function of an implementation. */
static void bind_part(gql_binder *x, const gql_directive_def *def, pl_slot slot, bool field, pl_ref *ref)
{
    if (!x->e->is_function(x->state, slot))
        GQL_COMPLAIN(x, 0, "\"@%.*s\": %s must be a function, not %s.", PL_STR_ARG(def->name),
                     field ? "field" : "argument", pl_kind_phrase(x->e->kind(x->state, slot)));
    else if (!(def->locations & (field ? FIELDS : INPUTS)))
        GQL_COMPLAIN(x, slot,
                     "There is an implementation of \"@%.*s\" for %s, where the schema does not allow it: it "
                     "would never be called.",
                     PL_STR_ARG(def->name), field ? "fields" : "arguments and input fields");
    else
        *ref = x->e->keep(x->state, slot);
}

/* { field = function, argument = function } */
static void bind_parts(gql_binder *x, gql_directive_binding *d, pl_slot table)
{
    x->e->push_absent(x->state);
    pl_slot key = x->e->top(x->state);
    while (x->e->next(x->state, table)) {
        pl_str name =
            x->e->kind(x->state, key) == PL_KIND_STRING ? x->e->get_string(x->state, key) : PL_STR_NONE;
        bool field = pl_str_is(name, "field");
        if (field || pl_str_is(name, "argument"))
            bind_part(x, d->def, key + 1, field, field ? &d->field : &d->argument);
        else
            GQL_COMPLAIN(x, key + 1, "\"@%.*s\" has \"%.*s\"; what it can have is field and argument.",
                         PL_STR_ARG(d->def->name), PL_STR_ARG(name));
        x->e->pop_to(x->state, key);
    }
}

void gql_bind_directive(gql_binder *x, pl_str at_name, pl_slot slot)
{
    pl_str name = {at_name.ptr + 1, at_name.len - 1};
    const gql_directive_def *def = gql_schema_directive(x->b->schema, name);
    bool function = x->e->is_function(x->state, slot);
    if (!function && x->e->kind(x->state, slot) != PL_KIND_MAP) {
        GQL_COMPLAIN(x, 0, "\"@%.*s\" must be a function(resolve, args, field), not %s.", PL_STR_ARG(name),
                     pl_kind_phrase(x->e->kind(x->state, slot)));
        return;
    }
    if (!is_possible(x, name, def, function ? slot : 0))
        return;
    gql_directive_binding *d = pl_arena_zalloc(&x->b->arena, sizeof *d);
    if (d)
        d->file = pl_arena_str(&x->b->arena, pl_str_of(x->file)).ptr;
    if (!d || !d->file) {
        x->list->out_of_memory = true;
        return;
    }
    d->def = def;
    d->field = d->argument = PL_REF_NONE;
    if (function)
        bind_part(x, def, slot, true, &d->field);
    else
        bind_parts(x, d, slot);
    d->next = x->b->directives;
    x->b->directives = d;
}

/* --- arguments --- */
pl_code gql_directive_arguments(gql_binding *b, const gql_directive_def *def, const gql_directive *applied,
                                pl_arena *arena, pl_value *out, pl_error *err)
{
    gql_input_env env = {.binding = b, .arena = arena};
    for (uint32_t i = 0; i < def->argument_count; i++) {
        const gql_input *a = &def->arguments[i];
        const gql_value *literal = a->default_ast;
        for (uint32_t k = 0; k < applied->argument_count; k++) {
            if (pl_str_eq(applied->arguments[k].name.text, a->name))
                literal = &applied->arguments[k].value;
        }
        out[i].kind = PL_KIND_ABSENT;
        if (literal && gql_input_literal(&env, literal, a->type, &out[i], err) != PL_OK)
            return err->code;
    }
    return PL_OK;
}

bool gql_push_directive_arguments(gql_binder *x, const gql_directive_def *def, const gql_directive *applied)
{
    pl_error err = {0};
    pl_value *values = pl_arena_array(x->list->arena, def->argument_count, sizeof *values);
    if (!values || gql_directive_arguments(x->b, def, applied, x->list->arena, values, &err) != PL_OK) {
        x->list->out_of_memory = true; /* the schema is valid: nothing else can be wrong */
        return false;
    }
    x->e->push_map(x->state, def->argument_count);
    pl_slot map = x->e->top(x->state);
    for (uint32_t i = 0; i < def->argument_count; i++) {
        if (values[i].kind == PL_KIND_ABSENT || values[i].kind == PL_KIND_NULL)
            continue;
        pl_push_input(x->state, &values[i]);
        x->e->set_member(x->state, map, def->arguments[i].name);
    }
    return true;
}

/* --- the directives of a field, outermost first --- */
typedef struct applied_list {
    const gql_directive **items;
    uint32_t count;
} applied_list;

static bool carries(const gql_directives *directives, pl_str name)
{
    for (uint32_t i = 0; directives && i < directives->count; i++) {
        if (pl_str_eq(directives->items[i].name.text, name))
            return true;
    }
    return false;
}

static bool is_listed(const applied_list *list, uint32_t from, pl_str name)
{
    for (uint32_t i = from; i < list->count; i++) {
        if (pl_str_eq(list->items[i]->name.text, name))
            return true;
    }
    return false;
}

/* The items are counted without a list first. */
static void add_all(const gql_binding *b, applied_list *list, const gql_directives *directives)
{
    for (uint32_t i = 0; directives && i < directives->count; i++) {
        if (!wraps(b, directives->items[i].name.text))
            continue;
        if (list->items)
            list->items[list->count] = &directives->items[i];
        list->count++;
    }
}

/* What an interface says holds for its objects, unless they, or an interface before it, say it themselves. */
static void inherit(const gql_binding *b, applied_list *list, uint32_t from, const gql_directives *own,
                    const gql_directives *inherited)
{
    uint32_t end = list->count;
    for (uint32_t i = 0; inherited && i < inherited->count; i++) {
        const gql_directive *d = &inherited->items[i];
        if (!wraps(b, d->name.text) || carries(own, d->name.text))
            continue;
        applied_list before = {list->items, end};
        if (list->items && is_listed(&before, from, d->name.text))
            continue;
        if (list->items)
            list->items[list->count] = d;
        list->count++;
    }
}

static void list_directives(const gql_binding *b, const gql_named *type, const gql_field *field,
                            applied_list *list)
{
    list->count = 0;
    for (uint32_t i = 0; i < type->interface_count; i++)
        inherit(b, list, 0, type->directives, type->interfaces[i]->directives);
    add_all(b, list, type->directives);
    uint32_t from = list->count;
    for (uint32_t i = 0; i < type->interface_count; i++) {
        const gql_field *f = pl_map_get(&type->interfaces[i]->field_map, field->name);
        if (f)
            inherit(b, list, from, field->directives, f->directives);
    }
    add_all(b, list, field->directives);
}

/* --- wrapping --- */

/* Pushes { parent_type, field_name, return_type, directives = { { name, args } } }. */
static bool push_field(gql_binder *x, const gql_field *field)
{
    const pl_engine *e = x->e;
    e->push_map(x->state, 4);
    pl_slot map = e->top(x->state);
    e->push_string(x->state, field->parent->name);
    e->set_member(x->state, map, PL_STR("parent_type"));
    e->push_string(x->state, field->name);
    e->set_member(x->state, map, PL_STR("field_name"));
    if (!gql_push_type(e, x->state, field->type))
        return false;
    e->set_member(x->state, map, PL_STR("return_type"));
    e->push_list(x->state, field->directives ? field->directives->count : 0);
    pl_slot list = e->top(x->state);
    for (uint32_t i = 0; field->directives && i < field->directives->count; i++) {
        const gql_directive *d = &field->directives->items[i];
        const gql_directive_def *def = gql_schema_directive(x->b->schema, d->name.text);
        e->push_map(x->state, 2);
        e->push_string(x->state, d->name.text);
        e->set_member(x->state, list + 1, PL_STR("name"));
        if (def && !gql_push_directive_arguments(x, def, d))
            return false;
        if (def)
            e->set_member(x->state, list + 1, PL_STR("args"));
        e->set_element(x->state, list, i);
    }
    e->set_member(x->state, map, PL_STR("directives"));
    return true;
}

void gql_push_resolver(gql_binder *x, const gql_field *field)
{
    const gql_field_binding *fb = &x->b->fields[field->id];
    if (fb->resolver != PL_REF_NONE)
        x->e->push_ref(x->state, fb->resolver);
    else if (field->parent == x->b->schema->subscription)
        x->e->push_reader(x->state, NULL); /* the event itself */
    else if (x->b->default_resolver != PL_REF_NONE)
        x->e->push_ref(x->state, x->b->default_resolver);
    else
        x->e->push_reader(x->state, fb->key);
}

/* Where the error says, or else where the implementation stands. */
void gql_complain_raised(gql_binder *x, const gql_directive_binding *d, pl_ref function, const char *place,
                         const pl_error *err)
{
    gql_source source = {.name = pl_arena_str(x->list->arena, pl_str_of(err->file)).ptr};
    gql_loc loc = {.line = err->line};
    if (err->file[0] == '\0' || !source.name)
        loc = gql_binder_place(x, x->e->push_ref(x->state, function), &source);
    gql_diagnose(x->list, NULL, &source, loc, (gql_loc){0}, "@%.*s on %s: %s", PL_STR_ARG(d->def->name),
                 place, err->message);
}

void gql_complain_result(gql_binder *x, const gql_directive_binding *d, pl_ref function, const char *place,
                         const char *expected, pl_slot result)
{
    pl_slot at = x->e->push_ref(x->state, function);
    GQL_COMPLAIN(x, at, "@%.*s on %s: the implementation must return %s, not %s.", PL_STR_ARG(d->def->name),
                 place, expected, pl_kind_phrase(x->e->kind(x->state, result)));
}

/* False: it cannot be wrapped. */
static bool wrap(gql_binder *x, const gql_field *field, const gql_directive *applied)
{
    const gql_directive_binding *d = gql_directive_find(x->b, applied->name.text);
    gql_field_binding *fb = &x->b->fields[field->id];
    pl_slot result;
    pl_error err = {0};
    char place[256];
    snprintf(place, sizeof place, "%.*s.%.*s", PL_STR_ARG(field->parent->name), PL_STR_ARG(field->name));
    x->file = d->file;
    x->source.name = d->file;
    x->e->push_ref(x->state, d->field);
    gql_push_resolver(x, field);
    if (!gql_push_directive_arguments(x, d->def, applied) || !push_field(x, field)) {
        x->list->out_of_memory = true;
        return false;
    }
    if (x->e->call_loading(x->state, 3, &result, &err) != PL_OK) {
        gql_complain_raised(x, d, d->field, place, &err);
        return false;
    }
    if (!x->e->is_function(x->state, result)) {
        gql_complain_result(x, d, d->field, place, "a resolver", result);
        return false;
    }
    fb->resolver = x->e->keep(x->state, result);
    fb->arity = x->e->arity(x->state, result);
    fb->file = d->file;
    return true;
}

static void wrap_field(gql_binder *x, const gql_named *type, const gql_field *field)
{
    applied_list list = {0};
    list_directives(x->b, type, field, &list);
    if (list.count == 0)
        return;
    list.items = pl_arena_array(x->list->arena, list.count, sizeof(*list.items));
    if (!list.items) {
        x->list->out_of_memory = true;
        return;
    }
    list_directives(x->b, type, field, &list);
    pl_slot top = x->e->top(x->state);
    for (uint32_t i = list.count; i-- > 0;) {
        bool ok = wrap(x, field, list.items[i]);
        x->e->pop_to(x->state, top);
        if (!ok)
            return;
    }
}

void gql_binding_finish(gql_binding *b, const gql_access_options *access, gql_diagnostics *list)
{
    gql_binder x = {.b = b, .e = pl_engine_of(b->state), .state = b->state, .list = list};
    if (!x.e->reserve(b->state, 20)) {
        list->out_of_memory = true;
        return;
    }
    gql_bind_access(b, access, list);
    for (uint32_t i = 0; b->directives && i < b->schema->type_count; i++) {
        const gql_named *type = b->schema->types[i];
        for (uint32_t k = 0; type->kind == GQL_OBJECT && !type->builtin && k < type->field_count; k++) {
            if (!gql_is_federation_field(b->schema, &type->fields[k]))
                wrap_field(&x, type, &type->fields[k]);
        }
    }
    gql_bind_arguments(&x);
}
