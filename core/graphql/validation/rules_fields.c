/* SPDX-License-Identifier: MIT */
#include "base/suggest.h"
#include "graphql/validation/walk.h"

/* --- ScalarLeafs --- */
static void check_leaf(gql_walk *w)
{
    const gql_selection *node = w->at.selection;
    if (!w->at.field)
        return;
    pl_str name = node->name.text, type = w->at.field->type->text;
    bool selects = node->selections.count != 0;
    if (gql_is_leaf(w->at.field->type->named)) {
        if (selects)
            gql_walk_report(w, node->selections.loc, GQL_NOWHERE,
                            "Field \"%.*s\" must not have a selection since type \"%.*s\" has no subfields.",
                            PL_STR_ARG(name), PL_STR_ARG(type));
    } else if (!selects) {
        gql_walk_report(w, node->loc, GQL_NOWHERE,
                        "Field \"%.*s\" of type \"%.*s\" must have a selection of subfields. Did you mean "
                        "\"%.*s { ... }\"?",
                        PL_STR_ARG(name), PL_STR_ARG(type), PL_STR_ARG(name));
    }
}

const gql_rule gql_rule_scalar_leafs = {
    .name = "ScalarLeafs",
    .on = {[ON_FIELD] = check_leaf},
};

/* --- FieldsOnCorrectType --- */
/* A type that has the field, and how many of the possible types come with it. */
typedef struct gql_candidate {
    const gql_named *type;
    uint32_t uses;
} gql_candidate;
typedef struct gql_candidates {
    gql_candidate *items;
    uint32_t count, capacity;
    pl_map places; /* name -> index + 1 */
} gql_candidates;

static void add_candidate(gql_walk *w, gql_candidates *list, const gql_named *type)
{
    uintptr_t place = (uintptr_t)pl_map_get(&list->places, type->name);
    if (place != 0) {
        list->items[place - 1].uses++;
        return;
    }
    if (!gql_walk_grow(w, &list->items, list->count, &list->capacity, sizeof(*list->items)))
        return;
    list->items[list->count++] = (gql_candidate){type, 1};
    gql_walk_map_set(w, &list->places, type->name, (const void *)(uintptr_t)list->count);
}

static void collect_candidates(gql_walk *w, gql_candidates *list, const gql_named *type, pl_str name)
{
    for (uint32_t i = 0; i < type->possible_count && !w->stopped; i++) {
        const gql_named *possible = type->possible[i];
        if (!pl_suggest_afford(w, 20 * (1 + possible->interface_count)))
            return;
        if (!pl_map_has(&possible->field_map, name))
            continue;
        add_candidate(w, list, possible);
        for (uint32_t j = 0; j < possible->interface_count && !w->stopped; j++) {
            if (pl_map_has(&possible->interfaces[j]->field_map, name))
                add_candidate(w, list, possible->interfaces[j]);
        }
    }
}

static bool implements(const gql_named *type, const gql_named *interface)
{
    for (uint32_t i = 0; interface->kind == GQL_INTERFACE && i < type->interface_count; i++) {
        if (type->interfaces[i] == interface)
            return true;
    }
    return false;
}

/* Often used ones first, then supertypes. */
static bool comes_before(const gql_candidate *a, const gql_candidate *b)
{
    if (a->uses != b->uses)
        return a->uses > b->uses;
    if (implements(b->type, a->type))
        return true;
    if (implements(a->type, b->type))
        return false;
    return pl_str_cmp(a->type->name, b->type->name) < 0;
}

/* " Did you mean to use an inline fragment on …?" */
static pl_str suggest_conditions(gql_walk *w, const gql_named *type, pl_str name)
{
    gql_candidates list = {0};
    pl_suggestions s;
    pl_suggest_init(&s, name);
    if (gql_is_abstract(type))
        collect_candidates(w, &list, type, name);
    while (s.count < PL_SUGGEST_COUNT && s.count < list.count) {
        uint32_t best = s.count;
        for (uint32_t i = best + 1; i < list.count; i++) {
            if (comes_before(&list.items[i], &list.items[best]))
                best = i;
        }
        gql_candidate found = list.items[best];
        list.items[best] = list.items[s.count];
        s.names[s.count++] = found.type->name;
    }
    pl_map_dispose(&list.places);
    return pl_suggest_text(&s, &w->arena, "to use an inline fragment on");
}

static pl_str suggest_fields(gql_walk *w, const gql_named *type, pl_str name)
{
    pl_suggestions s;
    pl_suggest_init(&s, name);
    for (uint32_t i = 0; i < type->field_count; i++) {
        pl_str known = type->fields[i].name;
        if (!pl_suggest_afford(w, name.len * known.len + 1))
            break;
        pl_suggest_add(&s, known);
    }
    return pl_suggest_text(&s, &w->arena, NULL);
}

static void check_field(gql_walk *w)
{
    const gql_named *type = w->at.parent_type;
    if (!type || w->at.field)
        return;
    const gql_selection *node = w->at.selection;
    pl_str name = node->name.text, hint = suggest_conditions(w, type, name);
    if (hint.len == 0)
        hint = suggest_fields(w, type, name);
    gql_walk_report(w, node->loc, GQL_NOWHERE, "Cannot query field \"%.*s\" on type \"%.*s\".%.*s",
                    PL_STR_ARG(name), PL_STR_ARG(type->name), PL_STR_ARG(hint));
}

const gql_rule gql_rule_fields_on_correct_type = {
    .name = "FieldsOnCorrectType",
    .on = {[ON_FIELD] = check_field},
};

/* --- NoDeprecatedCustom --- */
static void check_deprecated_field(gql_walk *w)
{
    const gql_field *field = w->at.field;
    if (field && field->deprecation.is)
        gql_walk_report(w, w->at.selection->loc, GQL_NOWHERE, "The field %.*s.%.*s is deprecated. %.*s",
                        PL_STR_ARG(w->at.parent_type->name), PL_STR_ARG(field->name),
                        PL_STR_ARG(field->deprecation.reason));
}

static void check_deprecated_argument(gql_walk *w)
{
    const gql_input *argument = w->at.argument_def;
    if (!argument || !argument->deprecation.is)
        return;
    gql_loc loc = w->at.argument->name.loc;
    if (w->at.directive_def)
        gql_walk_report(w, loc, GQL_NOWHERE, "Directive \"@%.*s\" argument \"%.*s\" is deprecated. %.*s",
                        PL_STR_ARG(w->at.directive_def->name), PL_STR_ARG(argument->name),
                        PL_STR_ARG(argument->deprecation.reason));
    else if (w->at.parent_type)
        gql_walk_report(w, loc, GQL_NOWHERE, "Field \"%.*s.%.*s\" argument \"%.*s\" is deprecated. %.*s",
                        PL_STR_ARG(w->at.parent_type->name), PL_STR_ARG(w->at.field->name),
                        PL_STR_ARG(argument->name), PL_STR_ARG(argument->deprecation.reason));
}

static void check_deprecated_input(gql_walk *w)
{
    const gql_typeref *parent = w->at.parent_input_type;
    const gql_named *type = parent && parent->named->kind == GQL_INPUT_OBJECT ? parent->named : NULL;
    const gql_name *name = &w->at.object_field->name;
    const gql_input *input = type ? pl_map_get(&type->input_map, name->text) : NULL;
    if (input && input->deprecation.is)
        gql_walk_report(w, name->loc, GQL_NOWHERE, "The input field %.*s.%.*s is deprecated. %.*s",
                        PL_STR_ARG(type->name), PL_STR_ARG(input->name),
                        PL_STR_ARG(input->deprecation.reason));
}

static void check_deprecated_value(gql_walk *w)
{
    const gql_value *value = w->at.value;
    const gql_typeref *expected = w->at.input_type;
    if (value->kind != GQL_VALUE_ENUM || !expected || expected->named->kind != GQL_ENUM)
        return;
    const gql_enum_value *def = pl_map_get(&expected->named->value_map, value->text);
    if (def && def->deprecation.is)
        gql_walk_report(w, value->loc, GQL_NOWHERE, "The enum value \"%.*s.%.*s\" is deprecated. %.*s",
                        PL_STR_ARG(expected->named->name), PL_STR_ARG(def->name),
                        PL_STR_ARG(def->deprecation.reason));
}

const gql_rule gql_rule_no_deprecated_custom = {
    .name = "NoDeprecatedCustom",
    .optional = true,
    .on = {[ON_FIELD] = check_deprecated_field,
           [ON_ARGUMENT] = check_deprecated_argument,
           [ON_OBJECT_FIELD] = check_deprecated_input,
           [ON_VALUE] = check_deprecated_value},
};
