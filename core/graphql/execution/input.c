/* SPDX-License-Identifier: MIT */
#include "graphql/execution/input.h"

#include <stdio.h>
#include <stdlib.h>

#include "graphql/execution/scalars.h"
#include "value/json.h"

struct gql_input_ref {
    gql_input_ref *next;
    pl_ref ref;
};

void gql_input_release(gql_input_env *env)
{
    for (gql_input_ref *r = env->refs; r; r = r->next)
        pl_engine_of(env->binding->state)->drop(env->binding->state, r->ref);
    env->refs = NULL;
}

const gql_variable *gql_input_variable(const gql_input_env *env, pl_str name)
{
    for (uint32_t i = 0; i < env->variable_count; i++) {
        if (pl_str_eq(env->variables[i].name, name))
            return &env->variables[i];
    }
    return NULL;
}

/* --- leaves --- */

/* What parse made is at the top of the stack: scalars are copied, anything else is kept as it is. */
static pl_code take_parsed(gql_input_env *env, pl_value *out, pl_error *err)
{
    pl_state *state = env->binding->state;
    const pl_engine *e = pl_engine_of(state);
    pl_slot slot = e->top(state);
    pl_kind kind = e->kind(state, slot);
    if (kind == PL_KIND_BOOL || kind == PL_KIND_INT || kind == PL_KIND_FLOAT || kind == PL_KIND_STRING || kind == PL_KIND_NULL)
        return pl_read_value(state, slot, 1, env->arena, out, err);
    if (kind == PL_KIND_ABSENT)
        return pl_fail(err, PL_INVALID_ARGUMENT, "the value is not valid");
    gql_input_ref *ref = pl_arena_alloc(env->arena, sizeof *ref);
    if (!ref)
        return pl_fail_memory(err);
    *ref = (gql_input_ref){env->refs, e->keep(state, slot)};
    env->refs = ref;
    *out = (pl_value){.kind = PL_KIND_SCRIPT, .script = ref->ref};
    return PL_OK;
}

static pl_code parse_custom(gql_input_env *env, const gql_named *type, pl_ref parse, const pl_value *in, pl_value *out,
                            pl_error *err)
{
    pl_state *state = env->binding->state;
    const pl_engine *e = pl_engine_of(state);
    pl_slot top = e->top(state);
    pl_call *pending;
    pl_failure failure = {0};
    if (!e->reserve(state, 8))
        return pl_fail_memory(err);
    pl_push_value(state, in);
    pl_code code = PL_OK;
    switch (e->call(state, parse, 1, env->work, &pending, &failure)) {
    case PL_CALL_DONE:
        code = take_parsed(env, out, err);
        break;
    case PL_CALL_PENDING:
        e->cancel(state, pending);
        code = pl_fail(err, PL_INTERNAL, "the parse function of scalar \"%.*s\" cannot wait", PL_STR_ARG(type->name));
        break;
    case PL_CALL_FAILED:
        code = pl_fail(err, PL_INVALID_ARGUMENT, "%.*s", PL_STR_ARG(failure.message));
        break;
    }
    e->pop_to(state, top);
    return code;
}

static pl_code coerce_scalar(gql_input_env *env, const gql_named *type, const pl_value *in, pl_value *out, pl_error *err)
{
    pl_ref parse = env->binding->types[type->id].parse;
    if (parse != PL_REF_NONE)
        return parse_custom(env, type, parse, in, out, err);
    return gql_scalar_parse(type->scalar, type->name, in, env->arena, out, err);
}

static pl_code coerce_enum(gql_input_env *env, const gql_named *type, pl_str name, pl_value *out, pl_error *err)
{
    const gql_enum_value *value = pl_map_get(&type->value_map, name);
    if (!value)
        return pl_fail(err, PL_INVALID_ARGUMENT, "Value \"%.*s\" does not exist in \"%.*s\" enum.", PL_STR_ARG(name),
                       PL_STR_ARG(type->name));
    const pl_value *internal = env->binding->types[type->id].internal;
    *out = internal ? internal[value->index] : (pl_value){.kind = PL_KIND_STRING, .string = value->name};
    return PL_OK;
}

/* --- input objects: the same for both sources, but for where a field's value comes from --- */
static pl_code check_one_of(const gql_named *type, const pl_member *members, size_t count, pl_error *err)
{
    if (!type->one_of)
        return PL_OK;
    if (count != 1)
        return pl_fail(err, PL_INVALID_ARGUMENT, "Exactly one key must be specified for OneOf type \"%.*s\".",
                       PL_STR_ARG(type->name));
    if (members[0].value.kind == PL_KIND_NULL)
        return pl_fail(err, PL_INVALID_ARGUMENT, "Field \"%.*s\" must be non-null.", PL_STR_ARG(members[0].name));
    return PL_OK;
}

/* For an input field that was not given: its default, or an error when it is required. ABSENT: leave it out. */
static pl_code missing_field(gql_input_env *env, const gql_named *type, const gql_input *field, pl_value *out, pl_error *err)
{
    (void)type;
    out->kind = PL_KIND_ABSENT;
    if (field->default_ast)
        return gql_coerce_literal(env, field->default_ast, field->type, out, err);
    if (field->type->kind == GQL_TYPE_NON_NULL)
        return pl_fail(err, PL_INVALID_ARGUMENT, "Field \"%.*s\" of required type \"%.*s\" was not provided.",
                       PL_STR_ARG(field->name), PL_STR_ARG(field->type->text));
    return PL_OK;
}

/* --- literals --- */
static pl_code literal_number(const gql_value *literal, pl_arena *arena, pl_value *out, pl_error *err)
{
    pl_str text = pl_arena_str(arena, literal->text);
    if (!text.ptr)
        return pl_fail_memory(err);
    if (literal->kind == GQL_VALUE_INT) {
        char *end;
        long long v = strtoll(text.ptr, &end, 10);
        char back[24];
        int n = snprintf(back, sizeof back, "%lld", v);
        if (pl_str_eq((pl_str){back, (size_t)n}, text) || pl_str_is(text, "-0")) {
            *out = (pl_value){.kind = PL_KIND_INT, .integer = v};
            return PL_OK;
        }
    }
    *out = (pl_value){.kind = PL_KIND_FLOAT, .number = strtod(text.ptr, NULL)};
    return PL_OK;
}

static pl_code literal_plain(gql_input_env *env, const gql_value *literal, pl_value *out, pl_error *err);

static pl_code literal_plain_list(gql_input_env *env, const gql_value *literal, pl_value *out, pl_error *err)
{
    pl_value *items = pl_arena_array(env->arena, literal->count, sizeof *items);
    if (!items)
        return pl_fail_memory(err);
    for (uint32_t i = 0; i < literal->count; i++) {
        if (literal_plain(env, &literal->items[i], &items[i], err) != PL_OK)
            return err->code;
    }
    *out = (pl_value){.kind = PL_KIND_LIST, .list = {items, literal->count}};
    return PL_OK;
}

static pl_code literal_plain_object(gql_input_env *env, const gql_value *literal, pl_value *out, pl_error *err)
{
    pl_member *members = pl_arena_array(env->arena, literal->count, sizeof *members);
    if (!members)
        return pl_fail_memory(err);
    for (uint32_t i = 0; i < literal->count; i++) {
        members[i].name = literal->fields[i].name.text;
        if (literal_plain(env, &literal->fields[i].value, &members[i].value, err) != PL_OK)
            return err->code;
    }
    *out = (pl_value){.kind = PL_KIND_MAP, .map = {members, literal->count}};
    return PL_OK;
}

/* A literal as it stands, for scalars (graphql-js: valueFromASTUntyped). */
static pl_code literal_plain(gql_input_env *env, const gql_value *literal, pl_value *out, pl_error *err)
{
    const gql_variable *variable;
    switch (literal->kind) {
    case GQL_VALUE_VARIABLE:
        variable = gql_input_variable(env, literal->text);
        *out = variable && variable->given ? variable->value : (pl_value){.kind = PL_KIND_NULL};
        return PL_OK;
    case GQL_VALUE_INT:
    case GQL_VALUE_FLOAT:
        return literal_number(literal, env->arena, out, err);
    case GQL_VALUE_STRING:
    case GQL_VALUE_ENUM:
        *out = (pl_value){.kind = PL_KIND_STRING, .string = literal->text};
        return PL_OK;
    case GQL_VALUE_BOOLEAN:
        *out = (pl_value){.kind = PL_KIND_BOOL, .boolean = literal->boolean};
        return PL_OK;
    case GQL_VALUE_NULL:
        *out = (pl_value){.kind = PL_KIND_NULL};
        return PL_OK;
    case GQL_VALUE_LIST:
        return literal_plain_list(env, literal, out, err);
    case GQL_VALUE_OBJECT:
        return literal_plain_object(env, literal, out, err);
    }
    return pl_fail(err, PL_INTERNAL, "unknown literal");
}

static pl_code literal_list(gql_input_env *env, const gql_value *literal, const gql_typeref *type, pl_value *out, pl_error *err)
{
    bool is_list = literal->kind == GQL_VALUE_LIST;
    size_t n = is_list ? literal->count : 1;
    pl_value *items = pl_arena_array(env->arena, n, sizeof *items);
    if (!items)
        return pl_fail_memory(err);
    for (size_t i = 0; i < n; i++) {
        if (gql_coerce_literal(env, is_list ? &literal->items[i] : literal, type->of, &items[i], err) != PL_OK)
            return err->code;
        if (items[i].kind == PL_KIND_ABSENT) { /* a variable that was not given */
            if (type->of->kind == GQL_TYPE_NON_NULL)
                return pl_fail(err, PL_INVALID_ARGUMENT, "Expected non-nullable type \"%.*s\" not to be null.",
                               PL_STR_ARG(type->of->text));
            items[i].kind = PL_KIND_NULL;
        }
    }
    *out = (pl_value){.kind = PL_KIND_LIST, .list = {items, n}};
    return PL_OK;
}

static const gql_value *object_field(const gql_value *object, pl_str name)
{
    for (uint32_t i = 0; i < object->count; i++) {
        if (pl_str_eq(object->fields[i].name.text, name))
            return &object->fields[i].value;
    }
    return NULL;
}

static pl_code literal_object(gql_input_env *env, const gql_value *literal, const gql_named *type, pl_value *out, pl_error *err)
{
    if (literal->kind != GQL_VALUE_OBJECT)
        return pl_fail(err, PL_INVALID_ARGUMENT, "Expected type \"%.*s\" to be an object.", PL_STR_ARG(type->name));
    pl_member *members = pl_arena_array(env->arena, type->input_count, sizeof *members);
    size_t count = 0;
    if (!members)
        return pl_fail_memory(err);
    for (uint32_t i = 0; i < literal->count; i++) {
        if (!pl_map_has(&type->input_map, literal->fields[i].name.text))
            return pl_fail(err, PL_INVALID_ARGUMENT, "Field \"%.*s\" is not defined by type \"%.*s\".",
                           PL_STR_ARG(literal->fields[i].name.text), PL_STR_ARG(type->name));
    }
    for (uint32_t i = 0; i < type->input_count; i++) {
        const gql_input *field = &type->inputs[i];
        const gql_value *given = object_field(literal, field->name);
        pl_value value = {.kind = PL_KIND_ABSENT};
        if (given && gql_coerce_literal(env, given, field->type, &value, err) != PL_OK)
            return err->code;
        if (value.kind == PL_KIND_ABSENT && missing_field(env, type, field, &value, err) != PL_OK)
            return err->code;
        if (value.kind != PL_KIND_ABSENT)
            members[count++] = (pl_member){field->name, value};
    }
    *out = (pl_value){.kind = PL_KIND_MAP, .map = {members, count}};
    return check_one_of(type, members, count, err);
}

static pl_code literal_variable(gql_input_env *env, const gql_value *literal, const gql_typeref *type, pl_value *out, pl_error *err)
{
    const gql_variable *variable = gql_input_variable(env, literal->text);
    if (!variable || !variable->given) {
        out->kind = PL_KIND_ABSENT;
        return PL_OK;
    }
    if (variable->value.kind == PL_KIND_NULL && type->kind == GQL_TYPE_NON_NULL)
        return pl_fail(err, PL_INVALID_ARGUMENT, "Expected non-nullable type \"%.*s\" not to be null.", PL_STR_ARG(type->text));
    *out = variable->value;
    return PL_OK;
}

pl_code gql_coerce_literal(gql_input_env *env, const gql_value *literal, const gql_typeref *type, pl_value *out, pl_error *err)
{
    if (literal->kind == GQL_VALUE_VARIABLE)
        return literal_variable(env, literal, type, out, err);
    if (type->kind == GQL_TYPE_NON_NULL) {
        if (literal->kind == GQL_VALUE_NULL)
            return pl_fail(err, PL_INVALID_ARGUMENT, "Expected non-nullable type \"%.*s\" not to be null.", PL_STR_ARG(type->text));
        type = type->of;
    }
    if (literal->kind == GQL_VALUE_NULL) {
        out->kind = PL_KIND_NULL;
        return PL_OK;
    }
    if (type->kind == GQL_TYPE_LIST)
        return literal_list(env, literal, type, out, err);
    const gql_named *named = type->named;
    if (named->kind == GQL_INPUT_OBJECT)
        return literal_object(env, literal, named, out, err);
    if (named->kind == GQL_ENUM) {
        if (literal->kind != GQL_VALUE_ENUM)
            return pl_fail(err, PL_INVALID_ARGUMENT, "Enum \"%.*s\" cannot represent a value that is not a name.",
                           PL_STR_ARG(named->name));
        return coerce_enum(env, named, literal->text, out, err);
    }
    pl_value plain;
    if (literal_plain(env, literal, &plain, err) != PL_OK)
        return err->code;
    return coerce_scalar(env, named, &plain, out, err);
}

/* --- JSON --- */
static pl_code json_list(gql_input_env *env, const pl_value *in, const gql_typeref *type, pl_buf *path, pl_value *out, pl_error *err)
{
    bool is_list = in->kind == PL_KIND_LIST;
    size_t n = is_list ? in->list.count : 1;
    pl_value *items = pl_arena_array(env->arena, n, sizeof *items);
    if (!items)
        return pl_fail_memory(err);
    size_t mark = path->len;
    for (size_t i = 0; i < n; i++) {
        if (is_list)
            pl_buf_printf(path, "[%zu]", i);
        if (gql_coerce_json(env, is_list ? &in->list.items[i] : in, type->of, path, &items[i], err) != PL_OK)
            return err->code;
        path->len = mark;
    }
    *out = (pl_value){.kind = PL_KIND_LIST, .list = {items, n}};
    return PL_OK;
}

static pl_code json_object(gql_input_env *env, const pl_value *in, const gql_named *type, pl_buf *path, pl_value *out, pl_error *err)
{
    if (in->kind != PL_KIND_MAP)
        return pl_fail(err, PL_INVALID_ARGUMENT, "Expected type \"%.*s\" to be an object.", PL_STR_ARG(type->name));
    pl_member *members = pl_arena_array(env->arena, type->input_count, sizeof *members);
    pl_value *given = pl_arena_array(env->arena, type->input_count, sizeof *given); /* by index; ABSENT: not given */
    size_t mark = path->len, count = 0;
    if (!members || !given)
        return pl_fail_memory(err);
    for (size_t i = 0; i < in->map.count; i++) {
        const pl_member *m = &in->map.members[i];
        const gql_input *field = pl_map_get(&type->input_map, m->name);
        if (!field)
            return pl_fail(err, PL_INVALID_ARGUMENT, "Field \"%.*s\" is not defined by type \"%.*s\".", PL_STR_ARG(m->name),
                           PL_STR_ARG(type->name));
        pl_buf_printf(path, ".%.*s", PL_STR_ARG(m->name));
        if (gql_coerce_json(env, &m->value, field->type, path, &given[field->index], err) != PL_OK)
            return err->code;
        path->len = mark;
    }
    for (uint32_t i = 0; i < type->input_count; i++) {
        if (given[i].kind == PL_KIND_ABSENT && missing_field(env, type, &type->inputs[i], &given[i], err) != PL_OK)
            return err->code;
        if (given[i].kind != PL_KIND_ABSENT)
            members[count++] = (pl_member){type->inputs[i].name, given[i]};
    }
    *out = (pl_value){.kind = PL_KIND_MAP, .map = {members, count}};
    return check_one_of(type, members, count, err);
}

pl_code gql_coerce_json(gql_input_env *env, const pl_value *in, const gql_typeref *type, pl_buf *path, pl_value *out, pl_error *err)
{
    if (type->kind == GQL_TYPE_NON_NULL) {
        if (in->kind == PL_KIND_NULL)
            return pl_fail(err, PL_INVALID_ARGUMENT, "Expected non-nullable type \"%.*s\" not to be null.", PL_STR_ARG(type->text));
        type = type->of;
    }
    if (in->kind == PL_KIND_NULL) {
        out->kind = PL_KIND_NULL;
        return PL_OK;
    }
    if (type->kind == GQL_TYPE_LIST)
        return json_list(env, in, type, path, out, err);
    const gql_named *named = type->named;
    if (named->kind == GQL_INPUT_OBJECT)
        return json_object(env, in, named, path, out, err);
    if (named->kind == GQL_ENUM) {
        if (in->kind != PL_KIND_STRING)
            return pl_fail(err, PL_INVALID_ARGUMENT, "Enum \"%.*s\" cannot represent non-string value: %s.", PL_STR_ARG(named->name),
                           pl_kind_phrase(in->kind));
        return coerce_enum(env, named, in->string, out, err);
    }
    return coerce_scalar(env, named, in, out, err);
}

/* --- variables --- */
static void wrong_value(gql_variable *v, const pl_value *given, pl_buf *path, const pl_error *err, pl_buf *message)
{
    pl_buf_printf(message, "Variable \"$%.*s\" got invalid value ", PL_STR_ARG(v->name));
    size_t start = message->len;
    pl_json_value(message, given);
    if (message->len - start > 200) { /* a message, not an echo; cut at a character */
        message->len = start + 200;
        while (((unsigned char)message->data[message->len] & 0xc0) == 0x80)
            message->len--;
        PL_BUF_LIT(message, "…");
    }
    if (path->len > 0)
        pl_buf_printf(message, " at \"%.*s%.*s\"", PL_STR_ARG(v->name), (int)path->len, path->data);
    pl_buf_printf(message, "; %s", err->message);
    pl_buf_char(message, '\0');
}

static bool coerce_variable(gql_input_env *env, const gql_variable_definition *def, const gql_typeref *type, const pl_value *given,
                            gql_variable *v, pl_buf *message)
{
    pl_error err = {0};
    if (!given) {
        if (def->default_value) {
            v->given = true;
            if (gql_coerce_literal(env, def->default_value, type, &v->value, &err) == PL_OK)
                return true;
            pl_buf_printf(message, "Variable \"$%.*s\" has an invalid default value; %s", PL_STR_ARG(v->name), err.message);
            pl_buf_char(message, '\0');
            return false;
        }
        if (type->kind != GQL_TYPE_NON_NULL)
            return true;
        pl_buf_printf(message, "Variable \"$%.*s\" of required type \"%.*s\" was not provided.", PL_STR_ARG(v->name),
                      PL_STR_ARG(type->text));
        pl_buf_char(message, '\0');
        return false;
    }
    v->given = true;
    if (given->kind == PL_KIND_NULL && type->kind == GQL_TYPE_NON_NULL) {
        pl_buf_printf(message, "Variable \"$%.*s\" of non-null type \"%.*s\" must not be null.", PL_STR_ARG(v->name),
                      PL_STR_ARG(type->text));
        pl_buf_char(message, '\0');
        return false;
    }
    pl_buf path;
    pl_buf_init(&path);
    bool ok = gql_coerce_json(env, given, type, &path, &v->value, &err) == PL_OK;
    if (!ok)
        wrong_value(v, given, &path, &err, message);
    pl_buf_dispose(&path);
    return ok;
}

bool gql_coerce_variables(gql_input_env *env, const gql_operation *operation, const pl_value *given, gql_variable *out,
                          void (*report)(void *data, const gql_variable_definition *definition, const char *message), void *data)
{
    bool ok = true;
    for (uint32_t i = 0; i < operation->variable_count; i++) {
        const gql_variable_definition *def = &operation->variables[i];
        const gql_typeref *type = gql_schema_typeref(env->binding->schema, env->arena, def->type);
        pl_buf message;
        pl_buf_init(&message);
        out[i] = (gql_variable){.name = def->name.text};
        if (!type || !gql_is_input(type->named)) {
            report(data, def, "The type of a variable must be an input type.");
            ok = false;
        } else if (!coerce_variable(env, def, type, pl_value_member(given, def->name.text), &out[i], &message)) {
            report(data, def, message.failed || !message.data ? "out of memory" : message.data);
            ok = false;
        }
        pl_buf_dispose(&message);
    }
    return ok;
}
