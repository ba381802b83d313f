/* SPDX-License-Identifier: MIT */
#include "base/buf.h"
#include "graphql/schema/internal.h"

/* Default values of input fields may rest on each other: `b: B = {}` takes in the defaults of B's fields. So
 * they are coerced in an order in which each stands behind those that it takes in, found by a search in depth
 * that keeps its stack on the heap (a chain may be as long as the schema). A default that takes in itself is
 * an error. */

typedef struct frame {
    gql_input *field;
    bool leave;
} frame;

struct gql_defaults {
    enum { DEFAULT_NEW, DEFAULT_OPEN, DEFAULT_DONE } * states; /* by input id */
    gql_input **order;
    uint32_t order_count;
    frame *stack;
    size_t stack_count, stack_capacity;
    gql_input **path; /* fields that are open, outermost first */
    uint32_t path_count;
};

bool gql_defaults_init(gql_builder *b)
{
    uint32_t n = b->schema->input_count;
    struct gql_defaults *d = b->defaults = gql_scratch_alloc(b, 1, sizeof(*d));
    if (!d)
        return false;
    d->states = gql_scratch_alloc(b, n, sizeof(*d->states));
    d->order = gql_scratch_alloc(b, n, sizeof(gql_input *));
    d->path = gql_scratch_alloc(b, n, sizeof(gql_input *));
    return !b->no_memory;
}

static void push(gql_builder *b, gql_input *field, bool leave)
{
    struct gql_defaults *d = b->defaults;
    if (d->stack_count == d->stack_capacity) {
        size_t capacity = d->stack_capacity ? 2 * d->stack_capacity : 64;
        frame *stack = gql_scratch_alloc(b, capacity, sizeof(*stack));
        if (!stack)
            return;
        if (d->stack_count != 0)
            memcpy(stack, d->stack, d->stack_count * sizeof(*stack));
        d->stack = stack;
        d->stack_capacity = capacity;
    }
    d->stack[d->stack_count++] = (frame){field, leave};
}

static bool takes_in(const gql_input *field)
{
    return field->default_ast && field->type->named->kind == GQL_INPUT_OBJECT;
}

static void report_cycle(gql_builder *b, const gql_input *field)
{
    struct gql_defaults *d = b->defaults;
    uint32_t start = 0;
    while (d->path[start] != field)
        start++;
    uint32_t count = d->path_count - start;
    gql_place *places = gql_scratch_alloc(b, count, sizeof(*places));
    pl_buf names;
    pl_buf_init(&names);
    for (uint32_t i = 0; places && i < count; i++) {
        const gql_input *at = d->path[start + i];
        places[i] = gql_at(at->source, at->default_ast->loc);
        if (i > 0)
            pl_buf_printf(&names, "%s%.*s.%.*s", i > 1 ? ", " : " via the default values of: ",
                          PL_STR_ARG(b->input_owners[at->id]->name), PL_STR_ARG(at->name));
    }
    b->no_memory |= names.failed;
    if (places)
        gql_report(b, NULL, places, count,
                   "Invalid circular reference. The default value of Input Object field %.*s.%.*s references "
                   "itself%.*s.",
                   PL_STR_ARG(b->input_owners[field->id]->name), PL_STR_ARG(field->name),
                   PL_STR_ARG(pl_buf_view(&names)));
    pl_buf_dispose(&names);
}

/* Pushes the fields whose defaults the value takes in, so that the first of them is on top. */
static void push_taken(gql_builder *b, const gql_value *value, const gql_named *type)
{
    for (uint32_t i = value->kind == GQL_VALUE_LIST ? value->count : 0; i > 0; i--)
        push_taken(b, &value->items[i - 1], type);
    if (value->kind != GQL_VALUE_OBJECT)
        return;
    gql_object_index index;
    bool ok = gql_object_index_init(b, &index, value);
    for (uint32_t i = type->input_count; ok && i > 0 && !gql_build_stop(b); i--) {
        gql_input *field = &type->inputs[i - 1];
        if (field->type->named->kind != GQL_INPUT_OBJECT)
            continue;
        const gql_object_field *given = gql_object_index_find(&index, field->name);
        if (given)
            push_taken(b, &given->value, field->type->named);
        else if (takes_in(field) && b->defaults->states[field->id] != DEFAULT_DONE)
            push(b, field, false);
    }
    gql_object_index_dispose(&index);
}

void gql_check_default_cycles(gql_builder *b, gql_named *type)
{
    struct gql_defaults *d = b->defaults;
    for (uint32_t i = 0; i < type->input_count; i++) {
        if (takes_in(&type->inputs[i]))
            push(b, &type->inputs[i], false);
        while (d->stack_count > 0 && !gql_build_stop(b)) {
            frame top = d->stack[--d->stack_count];
            if (top.leave) {
                d->states[top.field->id] = DEFAULT_DONE;
                d->path_count--;
                d->order[d->order_count++] = top.field;
            } else if (d->states[top.field->id] == DEFAULT_OPEN) {
                report_cycle(b, top.field); /* all that is open leads here */
            } else if (d->states[top.field->id] == DEFAULT_NEW) {
                d->states[top.field->id] = DEFAULT_OPEN;
                d->path[d->path_count++] = top.field;
                push(b, top.field, true);
                push_taken(b, top.field->default_ast, top.field->type->named);
            }
        }
    }
}

static void coerce_default(gql_builder *b, gql_input *input)
{
    pl_value *value = gql_build_alloc(b, 1, sizeof(*value));
    if (value && gql_coerce_literal(b, input->default_ast, input->type, value))
        input->default_value = value;
}

/* Those that take in nothing come first, then the input fields in their order, then arguments. */
static void coerce_inputs(gql_builder *b, gql_input *inputs, uint32_t count, bool leaves)
{
    for (uint32_t i = 0; i < count && !b->no_memory; i++) {
        if (inputs[i].default_ast && (!leaves || !takes_in(&inputs[i])))
            coerce_default(b, &inputs[i]);
    }
}

void gql_coerce_defaults(gql_builder *b)
{
    gql_schema *schema = b->schema;
    for (uint32_t i = 0; i < schema->type_count; i++)
        coerce_inputs(b, schema->types[i]->inputs, schema->types[i]->input_count, true);
    for (uint32_t i = 0; i < b->defaults->order_count && !b->no_memory; i++)
        coerce_default(b, b->defaults->order[i]);
    for (uint32_t i = 0; i < schema->type_count; i++) {
        const gql_named *type = schema->types[i];
        for (uint32_t j = 0; j < type->field_count; j++)
            coerce_inputs(b, type->fields[j].arguments, type->fields[j].argument_count, false);
    }
    for (uint32_t i = 0; i < schema->directive_count; i++)
        coerce_inputs(b, schema->directives[i]->arguments, schema->directives[i]->argument_count, false);
}
