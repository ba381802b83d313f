/* SPDX-License-Identifier: MIT */
#include "graphql/execution/internal.h"
#include "graphql/language/printer.h"
#include "value/json.h"

/* Introspection (spec, section 4): the schema's own structures written by the same plan as any other
 * selection; no script is involved, nothing waits. */

typedef enum meta_kind {
    META_SCHEMA,
    META_TYPE,
    META_WRAPPER,
    META_FIELD,
    META_INPUT,
    META_ENUM_VALUE,
    META_DIRECTIVE
} meta_kind;

/* A source value of introspection. */
typedef struct meta {
    meta_kind kind;
    const void *ptr; /* gql_schema, gql_named, gql_typeref (lists and non-nulls), gql_field, gql_input,
                        gql_enum_value, gql_directive_def */
} meta;

static void write_object(gql_execution *x, gql_plan_set *set, meta value);

static meta type_meta(const gql_typeref *type)
{
    return type->kind == GQL_TYPE_NAMED ? (meta){META_TYPE, type->named} : (meta){META_WRAPPER, type};
}

static void write_null(gql_execution *x)
{
    PL_BUF_LIT(&x->out.buf, "null");
}

static void write_text(gql_execution *x, pl_str s)
{
    if (s.ptr)
        pl_json_string(&x->out.buf, s);
    else
        write_null(x);
}

static void write_bool(gql_execution *x, bool v)
{
    pl_buf_str(&x->out.buf, v ? PL_STR("true") : PL_STR("false"));
}

static void write_maybe(gql_execution *x, const gql_plan_field *f, meta value)
{
    if (value.ptr)
        write_object(x, f->set, value);
    else
        write_null(x);
}

/* --- lists --- */
static void list_begin(gql_execution *x)
{
    pl_buf_char(&x->out.buf, '[');
}

static void list_item(gql_execution *x, const gql_plan_field *f, meta value)
{
    if (x->out.buf.len > 0 && x->out.buf.data[x->out.buf.len - 1] != '[')
        pl_buf_char(&x->out.buf, ',');
    write_object(x, f->set, value);
}

static void list_end(gql_execution *x)
{
    pl_buf_char(&x->out.buf, ']');
}

static bool include_deprecated(gql_execution *x, const gql_plan_field *f)
{
    pl_value *values = pl_arena_array(x->arena, f->argument_count, sizeof *values);
    pl_error err;
    if (!values || f->argument_count == 0 || gql_field_arguments(x, f, values, &err) != PL_OK)
        return false;
    return values[0].kind == PL_KIND_BOOL && values[0].boolean;
}

static void write_inputs(gql_execution *x, const gql_plan_field *f, const gql_input *inputs, uint32_t count)
{
    bool all = include_deprecated(x, f);
    list_begin(x);
    for (uint32_t i = 0; i < count; i++) {
        if (all || !inputs[i].deprecation.is)
            list_item(x, f, (meta){META_INPUT, &inputs[i]});
    }
    list_end(x);
}

static void write_types(gql_execution *x, const gql_plan_field *f, gql_named **types, uint32_t count)
{
    list_begin(x);
    for (uint32_t i = 0; i < count; i++)
        list_item(x, f, (meta){META_TYPE, types[i]});
    list_end(x);
}

/* --- __Schema --- */
static void schema_field(gql_execution *x, const gql_plan_field *f, const gql_schema *schema)
{
    pl_str name = f->def->name;
    if (pl_str_is(name, "description")) {
        write_text(x, schema->description);
    } else if (pl_str_is(name, "types")) {
        write_types(x, f, schema->types, schema->type_count);
    } else if (pl_str_is(name, "queryType")) {
        write_maybe(x, f, (meta){META_TYPE, schema->query});
    } else if (pl_str_is(name, "mutationType")) {
        write_maybe(x, f, (meta){META_TYPE, schema->mutation});
    } else if (pl_str_is(name, "subscriptionType")) {
        write_maybe(x, f, (meta){META_TYPE, schema->subscription});
    } else { /* directives */
        list_begin(x);
        for (uint32_t i = 0; i < schema->directive_count; i++)
            list_item(x, f, (meta){META_DIRECTIVE, schema->directives[i]});
        list_end(x);
    }
}

/* --- __Type --- */
static void type_fields(gql_execution *x, const gql_plan_field *f, const gql_named *type)
{
    if (type->kind != GQL_OBJECT && type->kind != GQL_INTERFACE) {
        write_null(x);
        return;
    }
    bool all = include_deprecated(x, f);
    list_begin(x);
    for (uint32_t i = 0; i < type->field_count; i++) {
        if (all || !type->fields[i].deprecation.is)
            list_item(x, f, (meta){META_FIELD, &type->fields[i]});
    }
    list_end(x);
}

static void type_enum_values(gql_execution *x, const gql_plan_field *f, const gql_named *type)
{
    if (type->kind != GQL_ENUM) {
        write_null(x);
        return;
    }
    bool all = include_deprecated(x, f);
    list_begin(x);
    for (uint32_t i = 0; i < type->value_count; i++) {
        if (all || !type->values[i].deprecation.is)
            list_item(x, f, (meta){META_ENUM_VALUE, &type->values[i]});
    }
    list_end(x);
}

static void type_lists(gql_execution *x, const gql_plan_field *f, const gql_named *type)
{
    pl_str name = f->def->name;
    if (pl_str_is(name, "fields"))
        type_fields(x, f, type);
    else if (pl_str_is(name, "enumValues"))
        type_enum_values(x, f, type);
    else if (pl_str_is(name, "interfaces") && (type->kind == GQL_OBJECT || type->kind == GQL_INTERFACE))
        write_types(x, f, type->interfaces, type->interface_count);
    else if (pl_str_is(name, "possibleTypes") && gql_is_abstract(type))
        write_types(x, f, type->possible, type->possible_count);
    else if (pl_str_is(name, "inputFields") && type->kind == GQL_INPUT_OBJECT)
        write_inputs(x, f, type->inputs, type->input_count);
    else
        write_null(x);
}

static void type_field(gql_execution *x, const gql_plan_field *f, const gql_named *type)
{
    static const char *const kinds[] = {"\"SCALAR\"", "\"OBJECT\"", "\"INTERFACE\"",
                                        "\"UNION\"",  "\"ENUM\"",   "\"INPUT_OBJECT\""};
    pl_str name = f->def->name;
    if (pl_str_is(name, "kind"))
        pl_buf_str(&x->out.buf, pl_str_of(kinds[type->kind]));
    else if (pl_str_is(name, "name"))
        write_text(x, type->name);
    else if (pl_str_is(name, "description"))
        write_text(x, type->description);
    else if (pl_str_is(name, "specifiedByURL"))
        write_text(x, type->specified_by);
    else if (pl_str_is(name, "isOneOf") && type->kind == GQL_INPUT_OBJECT)
        write_bool(x, type->one_of);
    else
        type_lists(x, f, type);
}

static void wrapper_field(gql_execution *x, const gql_plan_field *f, const gql_typeref *type)
{
    if (pl_str_is(f->def->name, "kind"))
        pl_buf_str(&x->out.buf, type->kind == GQL_TYPE_LIST ? PL_STR("\"LIST\"") : PL_STR("\"NON_NULL\""));
    else if (pl_str_is(f->def->name, "ofType"))
        write_object(x, f->set, type_meta(type->of));
    else
        write_null(x);
}

/* --- what is common to fields, arguments, enum values --- */
static bool named_field(gql_execution *x, pl_str name, pl_str own, pl_str description,
                        const gql_deprecation *deprecation)
{
    if (pl_str_is(name, "name"))
        write_text(x, own);
    else if (pl_str_is(name, "description"))
        write_text(x, description);
    else if (pl_str_is(name, "isDeprecated"))
        write_bool(x, deprecation->is);
    else if (pl_str_is(name, "deprecationReason"))
        write_text(x, deprecation->is ? deprecation->reason : PL_STR_NONE);
    else
        return false;
    return true;
}

static void field_field(gql_execution *x, const gql_plan_field *f, const gql_field *field)
{
    if (named_field(x, f->def->name, field->name, field->description, &field->deprecation))
        return;
    if (pl_str_is(f->def->name, "args"))
        write_inputs(x, f, field->arguments, field->argument_count);
    else
        write_object(x, f->set, type_meta(field->type));
}

static void input_field(gql_execution *x, const gql_plan_field *f, const gql_input *input)
{
    if (named_field(x, f->def->name, input->name, input->description, &input->deprecation))
        return;
    if (pl_str_is(f->def->name, "type")) {
        write_object(x, f->set, type_meta(input->type));
    } else if (input->default_ast) { /* defaultValue */
        pl_buf text;
        pl_buf_init(&text);
        gql_print_value(&text, input->default_ast);
        pl_json_string(&x->out.buf, pl_buf_view(&text));
        x->out.buf.failed |= text.failed;
        pl_buf_dispose(&text);
    } else {
        write_null(x);
    }
}

static void write_directive_locations(gql_execution *x, const gql_directive_def *directive)
{
    bool first = true;
    list_begin(x);
    for (unsigned bit = 0; bit < 32; bit++) {
        const char *name = gql_location_name((gql_location)(directive->locations & (1u << bit)));
        if (!name)
            continue;
        pl_buf_printf(&x->out.buf, "%s\"%s\"", first ? "" : ",", name);
        first = false;
    }
    list_end(x);
}

static void directive_field(gql_execution *x, const gql_plan_field *f, const gql_directive_def *directive)
{
    static const gql_deprecation never = {0};
    if (named_field(x, f->def->name, directive->name, directive->description, &never))
        return;
    if (pl_str_is(f->def->name, "isRepeatable"))
        write_bool(x, directive->repeatable);
    else if (pl_str_is(f->def->name, "locations"))
        write_directive_locations(x, directive);
    else
        write_inputs(x, f, directive->arguments, directive->argument_count);
}

static void write_field(gql_execution *x, const gql_plan_field *f, meta value)
{
    const gql_enum_value *ev = value.ptr;
    switch (value.kind) {
    case META_SCHEMA:
        schema_field(x, f, value.ptr);
        break;
    case META_TYPE:
        type_field(x, f, value.ptr);
        break;
    case META_WRAPPER:
        wrapper_field(x, f, value.ptr);
        break;
    case META_FIELD:
        field_field(x, f, value.ptr);
        break;
    case META_INPUT:
        input_field(x, f, value.ptr);
        break;
    case META_ENUM_VALUE:
        if (!named_field(x, f->def->name, ev->name, ev->description, &ev->deprecation))
            write_null(x);
        break;
    case META_DIRECTIVE:
        directive_field(x, f, value.ptr);
        break;
    }
}

/* Depth is bounded by the plan. */
static void write_object(gql_execution *x, gql_plan_set *set, meta value)
{
    const gql_plan_object *object;
    pl_buf *buf = &x->out.buf;
    if (gql_plan_object_get(x->plan, set, set->declared, x->env.variables, x->env.variable_count, &object,
                            &x->fatal) != PL_OK) {
        write_null(x);
        return;
    }
    if (object->count == 0)
        pl_buf_char(buf, '{');
    for (uint32_t i = 0; i < object->count; i++) {
        const gql_plan_field *f = &object->fields[i];
        pl_buf_str(buf, f->prefix);
        if (f->how == GQL_RESOLVE_TYPENAME)
            pl_buf_str(buf, f->text);
        else
            write_field(x, f, value);
    }
    pl_buf_char(buf, '}');
}

gql_outcome gql_introspect(gql_execution *x, const gql_plan_field *f, const gql_path *path)
{
    const gql_schema *schema = x->binding->schema;
    if (f->def == schema->schema_field) {
        write_object(x, f->set, (meta){META_SCHEMA, schema});
        return GQL_WRITTEN;
    }
    pl_value name[1] = {{.kind = PL_KIND_ABSENT}}; /* __type(name: String!) */
    pl_error err;
    pl_error_clear(&err);
    if (gql_field_arguments(x, f, name, &err) != PL_OK || name[0].kind != PL_KIND_STRING)
        gql_error_add(x, f, path, PL_INVALID_ARGUMENT, pl_str_of(err.message), NULL, NULL);
    else
        write_maybe(x, f, (meta){META_TYPE, gql_schema_type(schema, name[0].string)});
    if (name[0].kind != PL_KIND_STRING)
        write_null(x);
    return GQL_WRITTEN;
}
