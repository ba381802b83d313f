/* SPDX-License-Identifier: MIT */
#include "base/suggest.h"
#include "graphql/validation/walk.h"

/* --- ValuesOfCorrectType --- */
static void check_value(gql_walk *w, const gql_value *value, const gql_typeref *type);

static void report_unexpected(gql_walk *w, const gql_value *value, const gql_typeref *type)
{
    gql_walk_report(w, value->loc, GQL_NOWHERE, "Expected value of type \"%.*s\", found %.*s.",
                    PL_STR_ARG(type->text), PL_STR_ARG(gql_value_text(w, value)));
}

static bool fits_int(pl_str digits)
{
    bool negative = digits.len != 0 && digits.ptr[0] == '-';
    int64_t n = 0;
    for (size_t i = negative; i < digits.len; i++) {
        n = n * 10 + (digits.ptr[i] - '0');
        if (n > (int64_t)INT32_MAX + negative)
            return false;
    }
    return true;
}

/* A kind of literal is a bit. */
#define KIND(k) (1u << GQL_VALUE_##k)

static void check_builtin(gql_walk *w, const gql_value *value, const gql_named *type)
{
    static const struct {
        unsigned kinds;
        const char *complaint;
    } rules[] = {
        [GQL_SCALAR_INT] = {KIND(INT), "Int cannot represent non-integer value: "},
        [GQL_SCALAR_FLOAT] = {KIND(INT) | KIND(FLOAT), "Float cannot represent non numeric value: "},
        [GQL_SCALAR_STRING] = {KIND(STRING), "String cannot represent a non string value: "},
        [GQL_SCALAR_BOOLEAN] = {KIND(BOOLEAN), "Boolean cannot represent a non boolean value: "},
        [GQL_SCALAR_ID] = {KIND(STRING) | KIND(INT),
                           "ID cannot represent a non-string and non-integer value: "},
    };
    if (!(rules[type->scalar].kinds & (1u << value->kind)))
        gql_walk_report(w, value->loc, GQL_NOWHERE, "%s%.*s", rules[type->scalar].complaint,
                        PL_STR_ARG(gql_value_text(w, value)));
    else if (type->scalar == GQL_SCALAR_INT && !fits_int(value->text))
        gql_walk_report(w, value->loc, GQL_NOWHERE,
                        "Int cannot represent non 32-bit signed integer value: %.*s",
                        PL_STR_ARG(value->text));
}

/* What only the one who validates can tell. */
static void check_meaning(gql_walk *w, const gql_value *value, const gql_typeref *type)
{
    const gql_validate_options *options = w->options;
    pl_str why = PL_STR("");
    if (!options->scalar_literal || options->scalar_literal(options->data, type->named, value, &why))
        return;
    if (why.len == 0)
        report_unexpected(w, value, type);
    else
        gql_walk_report(w, value->loc, GQL_NOWHERE, "Expected value of type \"%.*s\", found %.*s; %.*s",
                        PL_STR_ARG(type->text), PL_STR_ARG(gql_value_text(w, value)), PL_STR_ARG(why));
}

static void check_scalar(gql_walk *w, const gql_value *value, const gql_typeref *type)
{
    unsigned kinds = ~0u;
    switch (type->named->scalar) {
    case GQL_SCALAR_DATETIME:
    case GQL_SCALAR_DATE:
    case GQL_SCALAR_UUID:
        kinds = KIND(STRING);
        break;
    case GQL_SCALAR_BIGINT:
        kinds = KIND(INT) | KIND(STRING);
        break;
    case GQL_SCALAR_UPLOAD:
        gql_walk_report(
            w, value->loc, GQL_NOWHERE,
            "Expected value of type \"%.*s\", found %.*s; a file can only be given as a variable.",
            PL_STR_ARG(type->text), PL_STR_ARG(gql_value_text(w, value)));
        return;
    case GQL_SCALAR_JSON:
    case GQL_SCALAR_CUSTOM:
        break;
    default:
        check_builtin(w, value, type->named);
        return;
    }
    if (!(kinds & (1u << value->kind)))
        report_unexpected(w, value, type);
    else
        check_meaning(w, value, type);
}

static pl_str suggest_enum_values(gql_walk *w, const gql_named *type, pl_str name)
{
    pl_suggestions s;
    pl_suggest_init(&s, name);
    for (uint32_t i = 0; i < type->value_count; i++) {
        pl_str known = type->values[i].name;
        if (!pl_suggest_afford(w, name.len * known.len + 1))
            break;
        pl_suggest_add(&s, known);
    }
    return pl_suggest_text(&s, &w->arena, "the enum value");
}

static void check_enum(gql_walk *w, const gql_value *value, const gql_named *type)
{
    if (value->kind == GQL_VALUE_ENUM && pl_map_has(&type->value_map, value->text))
        return;
    pl_str text = gql_value_text(w, value), hint = suggest_enum_values(w, type, text);
    if (value->kind == GQL_VALUE_ENUM)
        gql_walk_report(w, value->loc, GQL_NOWHERE, "Value \"%.*s\" does not exist in \"%.*s\" enum.%.*s",
                        PL_STR_ARG(text), PL_STR_ARG(type->name), PL_STR_ARG(hint));
    else
        gql_walk_report(w, value->loc, GQL_NOWHERE,
                        "Enum \"%.*s\" cannot represent non-enum value: %.*s.%.*s", PL_STR_ARG(type->name),
                        PL_STR_ARG(text), PL_STR_ARG(hint));
}

/* A value that has to be one whole: where no list is meant, or no input object. */
static void check_whole(gql_walk *w, const gql_value *value, const gql_typeref *type)
{
    if (type->named->kind == GQL_SCALAR)
        check_scalar(w, value, type);
    else if (type->named->kind == GQL_ENUM)
        check_enum(w, value, type->named);
    else
        report_unexpected(w, value, type);
}

/* --- input objects --- */
static void check_required_fields(gql_walk *w, const gql_value *object, const gql_named *type)
{
    uint8_t *given = gql_walk_alloc(w, type->input_count, 1);
    for (uint32_t i = 0; given && i < object->count; i++) {
        const gql_input *input = pl_map_get(&type->input_map, object->fields[i].name.text);
        if (input)
            given[input->index] = 1;
    }
    for (uint32_t i = 0; i < type->input_count && !w->stopped; i++) {
        const gql_input *input = &type->inputs[i];
        if (!given[i] && gql_must_be_given(input))
            gql_walk_report(w, object->loc, GQL_NOWHERE,
                            "Field \"%.*s.%.*s\" of required type \"%.*s\" was not provided.",
                            PL_STR_ARG(type->name), PL_STR_ARG(input->name), PL_STR_ARG(input->type->text));
    }
}

/* Whether an operation's variable may be null. Outside of operations VariablesInAllowedPosition alone can
 * tell. */
static bool is_nullable_variable(gql_walk *w, pl_str name)
{
    const gql_operation *operation = w->at.operation;
    if (!operation)
        return false;
    const gql_type *type = pl_map_get(&w->variable_types, name);
    return type && type->kind != GQL_TYPE_NON_NULL;
}

static void check_one_of(gql_walk *w, const gql_value *object, const gql_named *type)
{
    bool one = object->count != 0;
    for (uint32_t i = 1; i < object->count && one; i++)
        one = pl_str_eq(object->fields[i].name.text, object->fields[0].name.text);
    if (!one) {
        gql_walk_report(w, object->loc, GQL_NOWHERE,
                        "OneOf Input Object \"%.*s\" must specify exactly one key.", PL_STR_ARG(type->name));
        return;
    }
    const gql_object_field *field = &object->fields[object->count - 1];
    if (field->value.kind == GQL_VALUE_NULL)
        gql_walk_report(w, object->loc, GQL_NOWHERE, "Field \"%.*s.%.*s\" must be non-null.",
                        PL_STR_ARG(type->name), PL_STR_ARG(field->name.text));
    else if (field->value.kind == GQL_VALUE_VARIABLE && is_nullable_variable(w, field->value.text))
        gql_walk_report(w, object->loc, GQL_NOWHERE,
                        "Variable \"%.*s\" must be non-nullable to be used for OneOf Input Object \"%.*s\".",
                        PL_STR_ARG(field->value.text), PL_STR_ARG(type->name));
}

static void check_object(gql_walk *w, const gql_value *object, const gql_named *type)
{
    check_required_fields(w, object, type);
    if (type->one_of && !w->stopped)
        check_one_of(w, object, type);
    for (uint32_t i = 0; i < object->count && !w->stopped; i++) {
        const gql_object_field *field = &object->fields[i];
        const gql_input *input = pl_map_get(&type->input_map, field->name.text);
        if (input) {
            check_value(w, &field->value, input->type);
            continue;
        }
        pl_str hint = pl_suggest_inputs(w, field->name.text, type->inputs, type->input_count);
        gql_walk_report(w, field->name.loc, GQL_NOWHERE,
                        "Field \"%.*s\" is not defined by type \"%.*s\".%.*s", PL_STR_ARG(field->name.text),
                        PL_STR_ARG(type->name), PL_STR_ARG(hint));
    }
}

static void check_list(gql_walk *w, const gql_value *list, const gql_typeref *type)
{
    const gql_typeref *inner = gql_nullable(type);
    if (inner->kind != GQL_TYPE_LIST) {
        check_whole(w, list, inner);
        return;
    }
    for (uint32_t i = 0; i < list->count && !w->stopped; i++)
        check_value(w, &list->items[i], inner->of);
}

static void check_value(gql_walk *w, const gql_value *value, const gql_typeref *type)
{
    switch (value->kind) {
    case GQL_VALUE_VARIABLE:
        break;
    case GQL_VALUE_NULL:
        if (type->kind == GQL_TYPE_NON_NULL)
            report_unexpected(w, value, type);
        break;
    case GQL_VALUE_LIST:
        check_list(w, value, type);
        break;
    case GQL_VALUE_OBJECT:
        if (type->named->kind == GQL_INPUT_OBJECT) {
            check_object(w, value, type->named);
            break;
        }
        /* fall through */
    default:
        check_whole(w, value, type);
    }
}

static void check_literal(gql_walk *w)
{
    if (w->at.input_type)
        check_value(w, w->at.value, w->at.input_type);
}

static void begin_operation(gql_walk *w)
{
    pl_map_dispose(&w->variable_types);
}

static void note_variable(gql_walk *w)
{
    gql_walk_map_set(w, &w->variable_types, w->at.variable->name.text, w->at.variable->type);
}

const gql_rule gql_rule_values_of_correct_type = {
    .name = "ValuesOfCorrectType",
    .on = {[ON_LITERAL] = check_literal, [ON_OPERATION] = begin_operation, [ON_VARIABLE] = note_variable},
};

/* --- UniqueInputFieldNames --- */
static void check_input_field_name(gql_walk *w)
{
    const gql_name *name = &w->at.object_field->name;
    if (w->at.first_same)
        gql_walk_report(w, w->at.first_same->name.loc, name->loc,
                        "There can be only one input field named \"%.*s\".", PL_STR_ARG(name->text));
}

const gql_rule gql_rule_unique_input_field_names = {
    .name = "UniqueInputFieldNames",
    .on = {[ON_OBJECT_FIELD] = check_input_field_name},
};
