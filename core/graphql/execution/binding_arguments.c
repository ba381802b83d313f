/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "graphql/execution/binding_internal.h"
#include "graphql/federation/federation.h"

/* Directives on arguments and input fields that scripts implement: called once for each place that carries
 * one, when a generation is built, they give a function(value, ctx) -> value. A resolver with such arguments,
 * or with input types that have such fields somewhere, is wrapped by one of the engine's that calls them. */

typedef struct weaver {
    gql_binder *x;
    bool *woven;    /* by type id, of input types: there is something to call at or below one of its fields */
    pl_ref *fields; /* by type id: { name = spec } of such a type */
    bool failed;
} weaver;

static void no_memory(weaver *w)
{
    w->x->list->out_of_memory = w->failed = true;
}

/* --- where there is something to call --- */
static bool carries(const gql_binding *b, const gql_input *input)
{
    for (uint32_t i = 0; input->directives && i < input->directives->count; i++) {
        const gql_directive_binding *d = gql_directive_find(b, input->directives->items[i].name.text);
        if (d && d->argument != PL_REF_NONE)
            return true;
    }
    return false;
}

static bool matters(const weaver *w, const gql_input *input)
{
    return w->woven[input->type->named->id] || carries(w->x->b, input);
}

/* Input types may contain each other: again, until no type comes to it. */
static void find_woven(weaver *w)
{
    const gql_schema *schema = w->x->b->schema;
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t i = 0; i < schema->type_count; i++) {
            const gql_named *t = schema->types[i];
            for (uint32_t k = 0; !w->woven[i] && t->kind == GQL_INPUT_OBJECT && k < t->input_count; k++)
                changed |= w->woven[i] = matters(w, &t->inputs[k]);
        }
    }
}

/* --- specs --- */

/* Pushes { name, type, parent_type, field_name }. */
static bool push_description(gql_binder *x, const gql_input *input, pl_str parent, pl_str field)
{
    const pl_engine *e = x->e;
    e->push_map(x->state, 4);
    pl_slot map = e->top(x->state);
    e->push_string(x->state, input->name);
    e->set_member(x->state, map, PL_STR("name"));
    if (!gql_push_type(e, x->state, input->type))
        return false;
    e->set_member(x->state, map, PL_STR("type"));
    e->push_string(x->state, parent);
    e->set_member(x->state, map, PL_STR("parent_type"));
    if (!field.ptr)
        return true;
    e->push_string(x->state, field);
    e->set_member(x->state, map, PL_STR("field_name"));
    return true;
}

/* Adds what the directive does to the spec at the top. */
static void call_implementation(weaver *w, const gql_directive_binding *d, const gql_directive *applied,
                                const gql_input *input, pl_str parent, pl_str field, size_t at)
{
    gql_binder *x = w->x;
    char place[256];
    pl_slot result, spec = x->e->top(x->state);
    pl_error err = {0};
    snprintf(place, sizeof place, "%.*s.%.*s%s%.*s", PL_STR_ARG(parent),
             PL_STR_ARG(field.ptr ? field : input->name), field.ptr ? ":" : "",
             PL_STR_ARG(field.ptr ? input->name : PL_STR("")));
    x->file = x->source.name = d->file;
    x->e->push_ref(x->state, d->argument);
    if (!gql_push_directive_arguments(x, d->def, applied) || !push_description(x, input, parent, field)) {
        no_memory(w);
        return;
    }
    if (x->e->call_loading(x->state, 2, &result, &err) != PL_OK) {
        gql_complain_raised(x, d, d->argument, place, &err);
        w->failed = true;
    } else if (!x->e->is_function(x->state, result)) {
        gql_complain_result(x, d, d->argument, place, "a function(value, ctx)", result);
        w->failed = true;
    } else {
        x->e->set_element(x->state, spec, at);
    }
}

static uint32_t depth_of(const gql_typeref *type)
{
    uint32_t depth = 0;
    for (; type->kind != GQL_TYPE_NAMED; type = type->of)
        depth += type->kind == GQL_TYPE_LIST;
    return depth;
}

/* Sets map[input's name] to its spec, if there is something to call. */
static void add_spec(weaver *w, pl_slot map, const gql_input *input, pl_str parent, pl_str field)
{
    gql_binder *x = w->x;
    const gql_named *named = input->type->named;
    size_t at = 0;
    if (w->failed || !matters(w, input))
        return;
    x->e->push_map(x->state, 3);
    pl_slot spec = x->e->top(x->state);
    for (uint32_t i = 0; input->directives && i < input->directives->count && !w->failed; i++) {
        const gql_directive *applied = &input->directives->items[i];
        const gql_directive_binding *d = gql_directive_find(x->b, applied->name.text);
        if (d && d->argument != PL_REF_NONE)
            call_implementation(w, d, applied, input, parent, field, at++);
    }
    if (w->woven[named->id]) {
        x->e->push_ref(x->state, w->fields[named->id]);
        x->e->set_member(x->state, spec, PL_STR("fields"));
        x->e->push_int(x->state, depth_of(input->type));
        x->e->set_member(x->state, spec, PL_STR("depth"));
    }
    x->e->pop_to(x->state, spec);
    x->e->set_member(x->state, map, input->name);
}

/* First all maps, empty, so that types may refer to each other. */
static void make_types(weaver *w)
{
    gql_binder *x = w->x;
    const gql_schema *schema = x->b->schema;
    for (uint32_t i = 0; i < schema->type_count; i++) {
        if (!w->woven[i])
            continue;
        x->e->push_map(x->state, schema->types[i]->input_count);
        w->fields[i] = x->e->keep(x->state, x->e->top(x->state));
        x->e->pop_to(x->state, x->e->top(x->state) - 1);
    }
    for (uint32_t i = 0; i < schema->type_count && !w->failed; i++) {
        const gql_named *t = schema->types[i];
        if (!w->woven[i])
            continue;
        pl_slot map = x->e->push_ref(x->state, w->fields[i]);
        for (uint32_t k = 0; k < t->input_count; k++)
            add_spec(w, map, &t->inputs[k], t->name, PL_STR_NONE);
        x->e->pop_to(x->state, map - 1);
    }
}

/* --- resolvers --- */

/* The resolver at the top is replaced; what it looks at stays the same, but for args and ctx. */
static void wrap_resolver(weaver *w, pl_slot specs, pl_ref *resolver, int *arity)
{
    gql_binder *x = w->x;
    pl_slot result, function = x->e->top(x->state);
    pl_error err = {0};
    int inner = x->e->arity(x->state, function);
    x->e->push_argument_wrapper(x->state);
    x->e->push_copy(x->state, function);
    x->e->push_copy(x->state, specs);
    if (x->e->call_loading(x->state, 2, &result, &err) != PL_OK) {
        no_memory(w);
        return;
    }
    *resolver = x->e->keep(x->state, result);
    *arity = inner < 3 ? 3 : inner;
}

static void weave_field(weaver *w, const gql_field *field)
{
    gql_binder *x = w->x;
    gql_field_binding *fb = &x->b->fields[field->id];
    bool any = false;
    for (uint32_t i = 0; i < field->argument_count; i++)
        any |= matters(w, &field->arguments[i]);
    if (!any)
        return;
    pl_slot top = x->e->top(x->state);
    x->e->push_map(x->state, field->argument_count);
    for (uint32_t i = 0; i < field->argument_count; i++)
        add_spec(w, top + 1, &field->arguments[i], field->parent->name, field->name);
    if (!w->failed && (fb->resolver != PL_REF_NONE || field->parent != x->b->schema->subscription)) {
        gql_push_resolver(x, field);
        wrap_resolver(w, top + 1, &fb->resolver, &fb->arity);
    }
    if (!w->failed && fb->subscribe != PL_REF_NONE) {
        x->e->push_ref(x->state, fb->subscribe);
        wrap_resolver(w, top + 1, &fb->subscribe, &fb->subscribe_arity);
    }
    x->e->pop_to(x->state, top);
}

void gql_bind_arguments(gql_binder *x)
{
    const gql_schema *schema = x->b->schema;
    bool any = false;
    for (const gql_directive_binding *d = x->b->directives; d; d = d->next)
        any |= d->argument != PL_REF_NONE;
    if (!any)
        return;
    weaver w = {.x = x};
    w.woven = pl_arena_array(x->list->arena, schema->type_count, sizeof *w.woven);
    w.fields = pl_arena_array(x->list->arena, schema->type_count, sizeof *w.fields);
    if (!w.woven || !w.fields) {
        no_memory(&w);
        return;
    }
    find_woven(&w);
    make_types(&w);
    for (uint32_t i = 0; i < schema->type_count; i++) {
        const gql_named *t = schema->types[i];
        for (uint32_t k = 0; t->kind == GQL_OBJECT && !t->builtin && k < t->field_count && !w.failed; k++) {
            if (!gql_is_federation_field(schema, &t->fields[k]))
                weave_field(&w, &t->fields[k]);
        }
    }
    for (uint32_t i = 0; i < schema->type_count; i++) {
        if (w.woven[i])
            x->e->drop(x->state, w.fields[i]);
    }
}
