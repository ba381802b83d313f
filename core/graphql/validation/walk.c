/* SPDX-License-Identifier: MIT */
#include "graphql/validation/walk.h"

/* Every function here saves the position, changes it, and puts it back: so a leave event sees what its enter
 * event saw. */

static void tell(gql_walk *w, gql_event event)
{
    const gql_hooks *hooks = &w->hooks[event];
    for (uint32_t i = 0; i < hooks->count && !w->stopped; i++) {
        w->rule = hooks->rules[i];
        w->calls++;
        hooks->rules[i]->on[event](w);
    }
}

/* --- values --- */
static void expect(gql_walk *w, const gql_typeref *type, const gql_typeref *parent, bool has_default)
{
    w->at.input_type = type && gql_is_input(type->named) ? type : NULL;
    w->at.parent_input_type = parent;
    w->at.has_default = has_default;
}

static void walk_value(gql_walk *w, const gql_value *value);

static void walk_list(gql_walk *w, const gql_value *list)
{
    const gql_typeref *outer = w->at.input_type, *inner = gql_nullable(outer);
    if (inner && inner->kind == GQL_TYPE_LIST)
        inner = inner->of;
    for (uint32_t i = 0; i < list->count && !w->stopped; i++) {
        expect(w, inner, outer, false);
        walk_value(w, &list->items[i]);
    }
}

static void walk_object(gql_walk *w, const gql_value *object)
{
    const gql_typeref *outer = w->at.input_type;
    const gql_named *type = outer && outer->named->kind == GQL_INPUT_OBJECT ? outer->named : NULL;
    gql_same same = {0};
    if (w->hooks[ON_OBJECT_FIELD].count != 0)
        gql_find_same(w, object->fields, object->count, sizeof(*object->fields), &same);
    for (uint32_t i = 0; i < object->count && !w->stopped; i++) {
        const gql_object_field *field = &object->fields[i];
        const gql_input *def = type ? pl_map_get(&type->input_map, field->name.text) : NULL;
        expect(w, def ? def->type : NULL, outer, def && gql_has_default(def));
        w->at.object_field = field;
        w->at.first_same = same.first && same.first[i] != i ? &object->fields[same.first[i]] : NULL;
        tell(w, ON_OBJECT_FIELD);
        walk_value(w, &field->value);
    }
}

static void walk_value(gql_walk *w, const gql_value *value)
{
    gql_position saved = w->at;
    w->at.value = value;
    tell(w, ON_VALUE);
    if (value->kind == GQL_VALUE_LIST)
        walk_list(w, value);
    else if (value->kind == GQL_VALUE_OBJECT)
        walk_object(w, value);
    w->at = saved;
}

static void walk_literal(gql_walk *w, const gql_value *value)
{
    w->at.value = value;
    tell(w, ON_LITERAL);
    walk_value(w, value);
}

/* --- arguments and directives --- */
/* Arguments of an unknown directive are looked up in the field around it, as graphql-js does. */
static void walk_arguments(gql_walk *w, const gql_argument *arguments, uint32_t count)
{
    gql_position saved = w->at;
    gql_input *inputs = NULL;
    uint32_t input_count = 0;
    if (w->at.directive_def) {
        inputs = w->at.directive_def->arguments;
        input_count = w->at.directive_def->argument_count;
    } else if (w->at.field) {
        inputs = w->at.field->arguments;
        input_count = w->at.field->argument_count;
    }
    for (uint32_t i = 0; i < count && !w->stopped; i++) {
        const gql_input *def = gql_input_find(inputs, input_count, arguments[i].name.text);
        w->at.argument = &arguments[i];
        w->at.argument_def = def;
        expect(w, def ? def->type : NULL, NULL, def && gql_has_default(def));
        tell(w, ON_ARGUMENT);
        walk_literal(w, &arguments[i].value);
    }
    w->at = saved;
}

static void walk_directives(gql_walk *w, const gql_directives *directives)
{
    gql_position saved = w->at;
    for (uint32_t i = 0; i < directives->count && !w->stopped; i++) {
        const gql_directive *directive = &directives->items[i];
        w->at.directive = directive;
        w->at.directive_def = gql_schema_directive(w->schema, directive->name.text);
        tell(w, ON_DIRECTIVE);
        walk_arguments(w, directive->arguments, directive->argument_count);
        tell(w, ON_DIRECTIVE_END);
    }
    w->at = saved;
}

static void stand_on(gql_walk *w, const gql_directives *directives, gql_location location)
{
    w->at.directives = directives;
    w->at.location = location;
}

static void walk_type(gql_walk *w, const gql_type *type)
{
    while (type->kind != GQL_TYPE_NAMED)
        type = type->of;
    w->at.type_name = type;
    tell(w, ON_TYPE);
    w->at.type_name = NULL;
}

/* --- selections --- */
static void walk_selections(gql_walk *w, const gql_selection_set *set, const gql_named *parent);

static void walk_field(gql_walk *w, const gql_selection *node)
{
    const gql_named *parent = w->at.parent_type;
    const gql_field *field = parent ? gql_schema_field(w->schema, parent, node->name.text) : NULL;
    w->at.field = field;
    stand_on(w, &node->directives, GQL_ON_FIELD);
    tell(w, ON_FIELD);
    walk_arguments(w, node->arguments, node->argument_count);
    walk_directives(w, &node->directives);
    if (node->selections.count != 0) {
        w->at.selection_set = &node->selections;
        const gql_named *inner = field ? gql_composite(field->type->named) : NULL;
        gql_position saved = w->at;
        w->at.parent_type = inner;
        tell(w, ON_SELECTION_SET);
        w->at = saved;
        walk_selections(w, &node->selections, inner);
    }
    tell(w, ON_FIELD_END);
}

static void walk_spread(gql_walk *w, const gql_selection *node)
{
    stand_on(w, &node->directives, GQL_ON_FRAGMENT_SPREAD);
    tell(w, ON_SPREAD);
    walk_directives(w, &node->directives);
}

static void walk_inline_fragment(gql_walk *w, const gql_selection *node)
{
    const gql_type *condition = node->type_condition;
    w->at.condition = condition ? gql_schema_type(w->schema, condition->name) : w->at.parent_type;
    const gql_named *inner = gql_composite(w->at.condition);
    stand_on(w, &node->directives, GQL_ON_INLINE_FRAGMENT);
    tell(w, ON_INLINE_FRAGMENT);
    if (condition)
        walk_type(w, condition);
    walk_directives(w, &node->directives);
    walk_selections(w, &node->selections, inner);
}

static void walk_selections(gql_walk *w, const gql_selection_set *set, const gql_named *parent)
{
    gql_position saved = w->at;
    for (uint32_t i = 0; i < set->count && !w->stopped; i++) {
        const gql_selection *node = &set->items[i];
        w->at.parent_type = parent;
        w->at.selection = node;
        if (node->kind == GQL_FIELD)
            walk_field(w, node);
        else if (node->kind == GQL_FRAGMENT_SPREAD)
            walk_spread(w, node);
        else
            walk_inline_fragment(w, node);
        w->at = saved;
    }
}

static void walk_root(gql_walk *w, const gql_selection_set *set, const gql_named *type)
{
    w->at.selection_set = set;
    w->at.parent_type = type;
    tell(w, ON_SELECTION_SET);
    w->at.parent_type = NULL;
    walk_selections(w, set, type);
}

/* --- definitions --- */
static void walk_variable(gql_walk *w, const gql_variable_definition *variable)
{
    gql_position saved = w->at;
    w->at.variable = variable;
    stand_on(w, &variable->directives, GQL_ON_VARIABLE_DEFINITION);
    tell(w, ON_VARIABLE);
    walk_type(w, variable->type);
    if (variable->default_value) {
        expect(w, gql_walk_typeref(w, variable->type), NULL, false);
        walk_literal(w, variable->default_value);
    }
    walk_directives(w, &variable->directives);
    w->at = saved;
}

static void walk_operation(gql_walk *w, const gql_operation *operation)
{
    static const gql_location locations[] = {[GQL_QUERY] = GQL_ON_QUERY,
                                             [GQL_MUTATION] = GQL_ON_MUTATION,
                                             [GQL_SUBSCRIPTION] = GQL_ON_SUBSCRIPTION};
    w->at = (gql_position){.operation = operation};
    w->collecting = &w->operation_facts[operation - w->document->operations];
    stand_on(w, &operation->directives, locations[operation->kind]);
    tell(w, ON_OPERATION);
    for (uint32_t i = 0; i < operation->variable_count && !w->stopped; i++)
        walk_variable(w, &operation->variables[i]);
    walk_directives(w, &operation->directives);
    walk_root(w, &operation->selections, gql_schema_root(w->schema, operation->kind));
    tell(w, ON_OPERATION_END);
}

static void walk_fragment(gql_walk *w, const gql_fragment *fragment)
{
    w->at = (gql_position){.fragment = fragment};
    w->collecting = &w->fragment_facts[fragment->index];
    w->at.condition = gql_schema_type(w->schema, fragment->type_condition->name);
    const gql_named *type = gql_composite(w->at.condition);
    stand_on(w, &fragment->directives, GQL_ON_FRAGMENT_DEFINITION);
    tell(w, ON_FRAGMENT);
    walk_type(w, fragment->type_condition);
    walk_directives(w, &fragment->directives);
    walk_root(w, &fragment->selections, type);
}

/* Operations and fragments, each of them in the order of the source. */
void gql_walk_document(gql_walk *w)
{
    const gql_document *document = w->document;
    uint32_t o = 0, f = 0;
    tell(w, ON_DOCUMENT);
    while (!w->stopped && (o < document->operation_count || f < document->fragment_count)) {
        if (f == document->fragment_count ||
            (o < document->operation_count &&
             document->operations[o].loc.offset < document->fragments[f].loc.offset))
            walk_operation(w, &document->operations[o++]);
        else
            walk_fragment(w, &document->fragments[f++]);
    }
    w->at = (gql_position){0};
    tell(w, ON_DOCUMENT_END);
}
