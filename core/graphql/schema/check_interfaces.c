/* SPDX-License-Identifier: MIT */
#include "graphql/schema/internal.h"

/* Whether a type is what its interfaces promise (spec, section 3.6.1, IsValidImplementation). */

/* All places where type says that it implements the interface, behind those already in places. */
static uint32_t implements_places(gql_builder *b, const gql_named *type, pl_str interface, gql_place *places,
                                  uint32_t count)
{
    for (const gql_node *node = b->type_groups[type->id]->first; node; node = node->next) {
        for (uint32_t i = 0; i < node->ast->interface_count; i++) {
            if (pl_str_eq(node->ast->interfaces[i].text, interface))
                places[count++] = gql_at(node->ast->source, node->ast->interfaces[i].loc);
        }
    }
    return count;
}

static void check_ancestors(gql_builder *b, const gql_named *type, const gql_named *interface,
                            const pl_map *declared)
{
    for (uint32_t i = 0; i < interface->interface_count && !gql_build_stop(b); i++) {
        const gql_named *transitive = interface->interfaces[i];
        if (pl_map_has(declared, transitive->name))
            continue;
        gql_place *places =
            gql_scratch_alloc(b, (size_t)interface->interface_count + type->interface_count, sizeof(*places));
        if (!places)
            return;
        uint32_t count = implements_places(b, interface, transitive->name, places, 0);
        count = implements_places(b, type, interface->name, places, count);
        if (transitive == type)
            gql_report(b, NULL, places, count,
                       "Type %.*s cannot implement %.*s because it would create a circular reference.",
                       PL_STR_ARG(type->name), PL_STR_ARG(interface->name));
        else
            gql_report(b, NULL, places, count,
                       "Type %.*s must implement %.*s because it is implemented by %.*s.",
                       PL_STR_ARG(type->name), PL_STR_ARG(transitive->name), PL_STR_ARG(interface->name));
    }
}

static void report_missing_field(gql_builder *b, const gql_named *type, const gql_field *promised)
{
    uint32_t n = 1;
    for (const gql_node *node = b->type_groups[type->id]->first; node; node = node->next)
        n++;
    gql_place *places = gql_scratch_alloc(b, n, sizeof(*places));
    if (!places)
        return;
    places[0] = gql_at(promised->source, promised->loc);
    n = 1;
    for (const gql_node *node = b->type_groups[type->id]->first; node; node = node->next)
        places[n++] = gql_at(node->ast->source, node->ast->loc);
    gql_report(b, NULL, places, n, "Interface field %.*s.%.*s expected but %.*s does not provide it.",
               PL_STR_ARG(promised->parent->name), PL_STR_ARG(promised->name), PL_STR_ARG(type->name));
}

/* --- arguments; large lists are searched through a map, so that the work stays linear --- */

#define MANY_ARGUMENTS 16

static bool index_arguments(gql_builder *b, const gql_field *field, pl_map *map)
{
    for (uint32_t i = 0; field->argument_count > MANY_ARGUMENTS && i < field->argument_count; i++) {
        if (!gql_build_map(b, map, field->arguments[i].name, &field->arguments[i]))
            return false;
    }
    return true;
}

static const gql_input *find_argument(const gql_field *field, const pl_map *map, pl_str name)
{
    if (field->argument_count > MANY_ARGUMENTS)
        return pl_map_get(map, name);
    return gql_input_find(field->arguments, field->argument_count, name);
}

static void check_promised_argument(gql_builder *b, const gql_field *field, const gql_field *promised,
                                    const gql_input *wanted, const gql_input *given)
{
    const gql_named *interface = promised->parent, *type = field->parent;
    if (!given) {
        gql_place places[] = {gql_at(wanted->source, wanted->loc), gql_at(field->source, field->loc)};
        gql_report(b, NULL, places, 2,
                   "Interface field argument %.*s.%.*s(%.*s:) expected but %.*s.%.*s does not provide it.",
                   PL_STR_ARG(interface->name), PL_STR_ARG(promised->name), PL_STR_ARG(wanted->name),
                   PL_STR_ARG(type->name), PL_STR_ARG(field->name));
    } else if (given->type != wanted->type) { /* interned */
        gql_place places[] = {gql_at(wanted->source, b->input_asts[wanted->id]->type->loc),
                              gql_at(given->source, b->input_asts[given->id]->type->loc)};
        gql_report(
            b, NULL, places, 2,
            "Interface field argument %.*s.%.*s(%.*s:) expects type %.*s but %.*s.%.*s(%.*s:) is type %.*s.",
            PL_STR_ARG(interface->name), PL_STR_ARG(promised->name), PL_STR_ARG(wanted->name),
            PL_STR_ARG(wanted->type->text), PL_STR_ARG(type->name), PL_STR_ARG(field->name),
            PL_STR_ARG(given->name), PL_STR_ARG(given->type->text));
    }
}

static void report_required(gql_builder *b, const gql_field *field, const gql_field *promised,
                            const gql_input *input)
{
    gql_place places[] = {gql_at(input->source, input->loc), gql_at(promised->source, promised->loc)};
    gql_report(b, NULL, places, 2,
               "Argument \"%.*s.%.*s(%.*s:)\" must not be required type \"%.*s\" if not provided by the "
               "Interface field \"%.*s.%.*s\".",
               PL_STR_ARG(field->parent->name), PL_STR_ARG(field->name), PL_STR_ARG(input->name),
               PL_STR_ARG(input->type->text), PL_STR_ARG(promised->parent->name), PL_STR_ARG(promised->name));
}

static void check_arguments(gql_builder *b, const gql_field *field, const gql_field *promised)
{
    pl_map given = {0}, wanted = {0};
    bool ok = index_arguments(b, field, &given) && index_arguments(b, promised, &wanted);
    for (uint32_t i = 0; ok && i < promised->argument_count && !gql_build_stop(b); i++) {
        const gql_input *argument = &promised->arguments[i];
        check_promised_argument(b, field, promised, argument, find_argument(field, &given, argument->name));
    }
    for (uint32_t i = 0; ok && i < field->argument_count && !gql_build_stop(b); i++) {
        const gql_input *argument = &field->arguments[i];
        if (gql_is_required(argument) && !find_argument(promised, &wanted, argument->name))
            report_required(b, field, promised, argument);
    }
    pl_map_dispose(&given);
    pl_map_dispose(&wanted);
}

static void check_promised_field(gql_builder *b, const gql_named *type, const gql_field *promised)
{
    const gql_field *field = pl_map_get(&type->field_map, promised->name);
    if (!field) {
        report_missing_field(b, type, promised);
        return;
    }
    gql_place type_place = gql_at(field->source, b->field_asts[field->id]->type->loc);
    if (!gql_is_subtype(b->schema, field->type, promised->type)) {
        gql_place places[] = {gql_at(promised->source, b->field_asts[promised->id]->type->loc), type_place};
        gql_report(
            b, NULL, places, 2, "Interface field %.*s.%.*s expects type %.*s but %.*s.%.*s is type %.*s.",
            PL_STR_ARG(promised->parent->name), PL_STR_ARG(promised->name), PL_STR_ARG(promised->type->text),
            PL_STR_ARG(type->name), PL_STR_ARG(field->name), PL_STR_ARG(field->type->text));
    }
    check_arguments(b, field, promised);
    if (field->deprecation.is && !promised->deprecation.is) {
        gql_place places[] = {gql_deprecated_place(field->source, field->directives), type_place};
        gql_report(
            b, NULL, places, 2,
            "Interface field %.*s.%.*s is not deprecated, so implementation field %.*s.%.*s must not be "
            "deprecated.",
            PL_STR_ARG(promised->parent->name), PL_STR_ARG(promised->name), PL_STR_ARG(type->name),
            PL_STR_ARG(field->name));
    }
}

/* What is wrong with the entry itself; NULL when it is fine. */
static const char *wrong_entry(const gql_named *type, const gql_named *interface, const pl_map *seen)
{
    if (interface->kind != GQL_INTERFACE)
        return "Type %.*s must only implement Interface types, it cannot implement %.*s.";
    if (type == interface)
        return "Type %.*s cannot implement itself because it would create a circular reference.";
    if (pl_map_has(seen, interface->name))
        return "Type %.*s can only implement %.*s once.";
    return NULL;
}

void gql_check_interfaces(gql_builder *b, gql_named *type)
{
    pl_map declared = {0}, seen = {0};
    for (uint32_t i = 0; i < type->interface_count; i++) {
        if (!gql_build_map(b, &declared, type->interfaces[i]->name, type->interfaces[i]))
            break;
    }
    for (uint32_t i = 0; i < type->interface_count && !gql_build_stop(b); i++) {
        gql_named *interface = type->interfaces[i];
        const char *wrong = wrong_entry(type, interface, &seen);
        if (wrong) {
            gql_place *places = gql_scratch_alloc(b, type->interface_count, sizeof(*places));
            if (places)
                gql_report(b, NULL, places, implements_places(b, type, interface->name, places, 0), wrong,
                           PL_STR_ARG(type->name), PL_STR_ARG(interface->name));
            continue;
        }
        if (!gql_build_map(b, &seen, interface->name, interface))
            break;
        check_ancestors(b, type, interface, &declared);
        for (uint32_t j = 0; j < interface->field_count && !gql_build_stop(b); j++)
            check_promised_field(b, type, &interface->fields[j]);
    }
    pl_map_dispose(&declared);
    pl_map_dispose(&seen);
}
