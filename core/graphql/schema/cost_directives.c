/* SPDX-License-Identifier: MIT */
#include "graphql/schema/cost_directives.h"

#include <math.h>
#include <stdlib.h>

#include "graphql/schema/internal.h"

#define MAX_WEIGHT 1e9

const gql_value *gql_directive_value(const gql_directive *directive, const char *argument)
{
    for (uint32_t i = 0; i < directive->argument_count; i++) {
        const gql_argument *a = &directive->arguments[i];
        if (pl_str_is(a->name.text, argument))
            return a->value.kind == GQL_VALUE_NULL ? NULL : &a->value;
    }
    return NULL;
}

/* Under its own name, or under that of federation's namespace. */
static const gql_directive *find(const gql_directives *directives, const char *name)
{
    for (uint32_t i = 0; directives && i < directives->count; i++) {
        pl_str text = directives->items[i].name.text;
        pl_str prefix = PL_STR("federation__");
        if (pl_str_starts(text, prefix))
            text = (pl_str){text.ptr + prefix.len, text.len - prefix.len};
        if (pl_str_is(text, name))
            return &directives->items[i];
    }
    return NULL;
}

const gql_directive *gql_list_size_directive(const gql_directives *directives)
{
    return find(directives, "listSize");
}

static bool read_weight(const gql_value *value, double *weight)
{
    char text[40], *end;
    if (value->text.len == 0 || value->text.len >= sizeof text ||
        (value->kind != GQL_VALUE_STRING && value->kind != GQL_VALUE_INT && value->kind != GQL_VALUE_FLOAT))
        return false;
    memcpy(text, value->text.ptr, value->text.len);
    text[value->text.len] = '\0';
    *weight = strtod(text, &end);
    return *end == '\0' && isfinite(*weight) && *weight >= 0 && *weight <= MAX_WEIGHT;
}

bool gql_cost_weight(const gql_directives *directives, double *weight)
{
    const gql_directive *directive = find(directives, "cost");
    const gql_value *value = directive ? gql_directive_value(directive, "weight") : NULL;
    return value && read_weight(value, weight);
}

uint32_t gql_literal_strings(const gql_value *list)
{
    if (!list)
        return 0;
    return list->kind == GQL_VALUE_LIST ? list->count : list->kind == GQL_VALUE_STRING;
}

pl_str gql_literal_string(const gql_value *list, uint32_t i)
{
    const gql_value *item = list->kind == GQL_VALUE_LIST ? &list->items[i] : list;
    return item->kind == GQL_VALUE_STRING ? item->text : PL_STR("");
}

pl_str gql_path_step(pl_str *path)
{
    const char *dot = path->len ? memchr(path->ptr, '.', path->len) : NULL;
    pl_str step = {path->ptr, dot ? (size_t)(dot - path->ptr) : path->len};
    size_t used = step.len + (dot != NULL);
    *path = (pl_str){path->ptr + used, path->len - used};
    return step;
}

/* --- what a schema may say with them --- */

static void check_weight(gql_builder *b, const gql_source *source, const gql_directives *directives)
{
    double weight;
    const gql_directive *directive = find(directives, "cost");
    const gql_value *value = directive ? gql_directive_value(directive, "weight") : NULL;
    if (!value || read_weight(value, &weight))
        return;
    gql_place place = gql_at(source, value->loc);
    gql_report(
        b, NULL, &place, 1,
        "The weight of @cost must be a number from 0 to a billion, such as \"5\" or \"0.5\", not \"%.*s\".",
        value->text.len > 100 ? 100 : (int)value->text.len, value->text.ptr);
}

static bool is_int(const gql_typeref *type)
{
    const gql_typeref *inner = type->kind == GQL_TYPE_NON_NULL ? type->of : type;
    return inner->kind == GQL_TYPE_NAMED && inner->named->kind == GQL_SCALAR &&
           inner->named->scalar == GQL_SCALAR_INT;
}

static bool is_int_argument(const gql_field *field, pl_str path)
{
    const gql_input *input = gql_input_find(field->arguments, field->argument_count, gql_path_step(&path));
    while (input && path.len > 0) {
        const gql_named *type = input->type->named;
        pl_str step = gql_path_step(&path);
        input = type->kind == GQL_INPUT_OBJECT ? pl_map_get(&type->input_map, step) : NULL;
    }
    return input && is_int(input->type);
}

static void check_list_size(gql_builder *b, const gql_field *field)
{
    const gql_directive *directive = gql_list_size_directive(field->directives);
    if (!directive)
        return;
    gql_place place = gql_at(field->source, directive->loc);
    const gql_value *slicing = gql_directive_value(directive, "slicingArguments");
    const gql_value *sized = gql_directive_value(directive, "sizedFields");
    const gql_value *assumed = gql_directive_value(directive, "assumedSize");
    if (assumed && assumed->text.len > 0 && assumed->text.ptr[0] == '-')
        gql_report(b, NULL, &place, 1, "The assumedSize of @listSize on %.*s.%.*s must not be negative.",
                   PL_STR_ARG(field->parent->name), PL_STR_ARG(field->name));
    for (uint32_t i = 0; i < gql_literal_strings(slicing) && !gql_build_stop(b); i++) {
        pl_str path = gql_literal_string(slicing, i);
        if (!is_int_argument(field, path))
            gql_report(b, NULL, &place, 1,
                       "The slicing argument \"%.*s\" of @listSize is no argument of type Int of %.*s.%.*s.",
                       PL_STR_ARG(path), PL_STR_ARG(field->parent->name), PL_STR_ARG(field->name));
    }
    for (uint32_t i = 0; i < gql_literal_strings(sized) && !gql_build_stop(b); i++) {
        pl_str name = gql_literal_string(sized, i);
        const gql_named *type = field->type->named;
        if (!gql_is_composite(type) || !pl_map_has(&type->field_map, name))
            gql_report(b, NULL, &place, 1,
                       "The sized field \"%.*s\" of @listSize is no field of type \"%.*s\".",
                       PL_STR_ARG(name), PL_STR_ARG(type->name));
    }
}

static void check_inputs(gql_builder *b, const gql_input *inputs, uint32_t count)
{
    for (uint32_t i = 0; i < count && !gql_build_stop(b); i++)
        check_weight(b, inputs[i].source, inputs[i].directives);
}

void gql_check_cost_directives(gql_builder *b)
{
    for (uint32_t i = 0; i < b->sdl_type_count && !gql_build_stop(b); i++) {
        const gql_named *type = b->schema->types[i];
        check_weight(b, type->source, type->directives);
        check_inputs(b, type->inputs, type->input_count);
        for (uint32_t k = 0; k < type->field_count && !gql_build_stop(b); k++) {
            check_weight(b, type->fields[k].source, type->fields[k].directives);
            check_list_size(b, &type->fields[k]);
            check_inputs(b, type->fields[k].arguments, type->fields[k].argument_count);
        }
    }
}
