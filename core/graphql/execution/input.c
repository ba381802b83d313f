/* SPDX-License-Identifier: MIT */
#include "graphql/execution/input.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/suggest.h"
#include "graphql/execution/inspect.h"
#include "graphql/execution/scalars.h"
#include "value/json.h"

#define MAX_SHOWN 200 /* bytes of a value that a message repeats */

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

static int compare_name(const void *name, const void *variable)
{
    return pl_str_cmp(*(const pl_str *)name, ((const gql_variable *)variable)->name);
}

const gql_variable *gql_variable_find(const gql_variable *variables, uint32_t count, pl_str name)
{
    return count > 0 ? bsearch(&name, variables, count, sizeof *variables, compare_name) : NULL;
}

const gql_variable *gql_input_variable(const gql_input_env *env, pl_str name)
{
    return gql_variable_find(env->variables, env->variable_count, name);
}

/* --- leaves --- */

/* What parse made is at the top of the stack: scalars are copied, anything else is kept as it is. */
static pl_code take_parsed(gql_input_env *env, pl_value *out, pl_error *err)
{
    pl_state *state = env->binding->state;
    const pl_engine *e = pl_engine_of(state);
    pl_slot slot = e->top(state);
    pl_kind kind = e->kind(state, slot);
    if (kind == PL_KIND_BOOL || kind == PL_KIND_INT || kind == PL_KIND_FLOAT || kind == PL_KIND_STRING ||
        kind == PL_KIND_NULL)
        return pl_read_value(state, slot, 1, env->arena, out, err);
    env->script_gave_nothing = kind == PL_KIND_ABSENT;
    if (env->script_gave_nothing)
        return pl_fail(err, PL_INVALID_ARGUMENT, "the value is not valid");
    gql_input_ref *ref = pl_arena_alloc(env->arena, sizeof *ref);
    if (!ref)
        return pl_fail_memory(err);
    *ref = (gql_input_ref){env->refs, e->keep(state, slot)};
    env->refs = ref;
    *out = (pl_value){.kind = PL_KIND_SCRIPT, .script = ref->ref};
    return PL_OK;
}

/* What an unexpected error says is for the log, not for clients. */
static pl_code parse_failed(gql_input_env *env, const gql_named *type, const pl_failure *failure,
                            pl_error *err)
{
    if (failure->expected)
        return pl_fail(err, PL_INVALID_ARGUMENT, "%.*s", PL_STR_ARG(failure->message));
    env->script_gave_nothing = true;
    pl_log(env->work->log, PL_WARN, "parse function failed", PL_F_STR("request", env->work->id),
           PL_F_STR("scalar", type->name), PL_F_STR("error", failure->message),
           PL_F_STR("traceback", failure->traceback));
    return pl_fail(err, failure->code == PL_RESOURCE_EXHAUSTED ? PL_RESOURCE_EXHAUSTED : PL_INVALID_ARGUMENT,
                   "Expected a value of type \"%.*s\".", PL_STR_ARG(type->name));
}

static pl_code parse_custom(gql_input_env *env, const gql_named *type, pl_ref parse, const pl_value *in,
                            pl_value *out, pl_error *err)
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
        code = pl_fail(err, PL_INTERNAL, "the parse function of scalar \"%.*s\" cannot wait",
                       PL_STR_ARG(type->name));
        break;
    case PL_CALL_FAILED:
        code = parse_failed(env, type, &failure, err);
        break;
    }
    e->pop_to(state, top);
    env->script_refused |= code != PL_OK;
    return code;
}

static pl_code coerce_scalar(gql_input_env *env, const gql_named *type, const pl_value *in, pl_value *out,
                             pl_error *err)
{
    pl_ref parse = env->binding->types[type->id].parse;
    if (parse != PL_REF_NONE && env->work)
        return parse_custom(env, type, parse, in, out, err);
    return gql_scalar_parse(type->scalar, type->name, in, env->arena, out, err);
}

/* A name from a request, for a message. */
static pl_str cut(pl_str name)
{
    return name.len > MAX_SHOWN ? (pl_str){name.ptr, MAX_SHOWN} : name;
}

static pl_str suggest_enum_value(gql_input_env *env, const gql_named *type, pl_str name)
{
    pl_suggestions s;
    pl_suggest_init(&s, name);
    for (uint32_t i = 0; i < type->value_count; i++)
        pl_suggest_add(&s, type->values[i].name);
    return pl_suggest_text(&s, env->arena, "the enum value");
}

static pl_str suggest_field(gql_input_env *env, const gql_named *type, pl_str name)
{
    pl_suggestions s;
    pl_suggest_init(&s, name);
    for (uint32_t i = 0; i < type->input_count; i++)
        pl_suggest_add(&s, type->inputs[i].name);
    return pl_suggest_text(&s, env->arena, NULL);
}

static pl_code coerce_enum(gql_input_env *env, const gql_named *type, pl_str name, pl_value *out,
                           pl_error *err)
{
    const gql_enum_value *value = pl_map_get(&type->value_map, name);
    if (!value) {
        pl_str hint = suggest_enum_value(env, type, name);
        return pl_fail(err, PL_INVALID_ARGUMENT, "Value \"%.*s\" does not exist in \"%.*s\" enum.%.*s",
                       PL_STR_ARG(cut(name)), PL_STR_ARG(type->name), PL_STR_ARG(hint));
    }
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
        return pl_fail(err, PL_INVALID_ARGUMENT, "Field \"%.*s\" must be non-null.",
                       PL_STR_ARG(members[0].name));
    return PL_OK;
}

/* For an input field that was not given: its default, or an error when it is required. ABSENT: leave it out.
 */
static pl_code missing_field(gql_input_env *env, const gql_input *field, pl_value *out, pl_error *err)
{
    out->kind = PL_KIND_ABSENT;
    if (field->default_ast)
        return gql_input_literal(env, field->default_ast, field->type, out, err);
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

static pl_code literal_plain_object(gql_input_env *env, const gql_value *literal, pl_value *out,
                                    pl_error *err)
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

static pl_code literal_list(gql_input_env *env, const gql_value *literal, const gql_typeref *type,
                            pl_value *out, pl_error *err)
{
    bool is_list = literal->kind == GQL_VALUE_LIST;
    size_t n = is_list ? literal->count : 1;
    pl_value *items = pl_arena_array(env->arena, n, sizeof *items);
    if (!items)
        return pl_fail_memory(err);
    for (size_t i = 0; i < n; i++) {
        if (gql_input_literal(env, is_list ? &literal->items[i] : literal, type->of, &items[i], err) != PL_OK)
            return err->code;
        if (items[i].kind == PL_KIND_ABSENT) { /* a variable that was not given */
            if (type->of->kind == GQL_TYPE_NON_NULL)
                return pl_fail(err, PL_INVALID_ARGUMENT,
                               "Expected non-nullable type \"%.*s\" not to be null.",
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

static pl_code literal_object(gql_input_env *env, const gql_value *literal, const gql_named *type,
                              pl_value *out, pl_error *err)
{
    if (literal->kind != GQL_VALUE_OBJECT)
        return pl_fail(err, PL_INVALID_ARGUMENT, "Expected type \"%.*s\" to be an object.",
                       PL_STR_ARG(type->name));
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
        if (given && gql_input_literal(env, given, field->type, &value, err) != PL_OK)
            return err->code;
        if (value.kind == PL_KIND_ABSENT && missing_field(env, field, &value, err) != PL_OK)
            return err->code;
        if (value.kind != PL_KIND_ABSENT)
            members[count++] = (pl_member){field->name, value};
    }
    *out = (pl_value){.kind = PL_KIND_MAP, .map = {members, count}};
    return check_one_of(type, members, count, err);
}

static pl_code literal_variable(gql_input_env *env, const gql_value *literal, const gql_typeref *type,
                                pl_value *out, pl_error *err)
{
    const gql_variable *variable = gql_input_variable(env, literal->text);
    if (!variable || !variable->given) {
        out->kind = PL_KIND_ABSENT;
        return PL_OK;
    }
    if (variable->value.kind == PL_KIND_NULL && type->kind == GQL_TYPE_NON_NULL)
        return pl_fail(err, PL_INVALID_ARGUMENT, "Expected non-nullable type \"%.*s\" not to be null.",
                       PL_STR_ARG(type->text));
    *out = variable->value;
    return PL_OK;
}

pl_code gql_input_literal(gql_input_env *env, const gql_value *literal, const gql_typeref *type,
                          pl_value *out, pl_error *err)
{
    if (literal->kind == GQL_VALUE_VARIABLE)
        return literal_variable(env, literal, type, out, err);
    if (type->kind == GQL_TYPE_NON_NULL) {
        if (literal->kind == GQL_VALUE_NULL)
            return pl_fail(err, PL_INVALID_ARGUMENT, "Expected non-nullable type \"%.*s\" not to be null.",
                           PL_STR_ARG(type->text));
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
            return pl_fail(err, PL_INVALID_ARGUMENT,
                           "Enum \"%.*s\" cannot represent a value that is not a name.",
                           PL_STR_ARG(named->name));
        return coerce_enum(env, named, literal->text, out, err);
    }
    pl_value plain = {.kind = PL_KIND_STRING, .string = literal->text};
    bool digits = named->scalar == GQL_SCALAR_ID &&
                  literal->kind == GQL_VALUE_INT; /* more digits than 64 bits hold are fine */
    if (!digits && literal_plain(env, literal, &plain, err) != PL_OK)
        return err->code;
    return coerce_scalar(env, named, &plain, out, err);
}

/* --- JSON --- */

/* On the way back from an error: puts a step before those that are there. Nothing is allocated before there
 * is an error, as coercion may jump. */
static void path_prepend(pl_buf *path, pl_str step)
{
    pl_buf_str(path, step);
    if (path->failed)
        return;
    memmove(path->data + step.len, path->data, path->len - step.len);
    memcpy(path->data, step.ptr, step.len);
}

static void path_prepend_field(pl_buf *path, pl_str name)
{
    path_prepend(path, name);
    path_prepend(path, PL_STR("."));
}

static pl_code json_list(gql_input_env *env, const pl_value *in, const gql_typeref *type,
                         gql_input_fault *fault, pl_value *out, pl_error *err)
{
    bool is_list = in->kind == PL_KIND_LIST;
    size_t n = is_list ? in->list.count : 1;
    if (env->max_list_items > 0 && n > env->max_list_items)
        return pl_fail(err, PL_INVALID_ARGUMENT, "The list has %zu items; graphql.max_list_items allows %u.",
                       n, env->max_list_items);
    pl_value *items = pl_arena_array(env->arena, n, sizeof *items);
    if (!items)
        return pl_fail_memory(err);
    for (size_t i = 0; i < n; i++) {
        if (gql_input_json(env, is_list ? &in->list.items[i] : in, type->of, fault, &items[i], err) == PL_OK)
            continue;
        char step[32];
        if (is_list)
            path_prepend(&fault->path, (pl_str){step, (size_t)snprintf(step, sizeof step, "[%zu]", i)});
        return err->code;
    }
    *out = (pl_value){.kind = PL_KIND_LIST, .list = {items, n}};
    return PL_OK;
}

/* The given members by the index of their field; *unknown is the first that has none. */
static const pl_value **sort_members(gql_input_env *env, const pl_value *in, const gql_named *type,
                                     const pl_member **unknown)
{
    const pl_value **given = pl_arena_array(env->arena, type->input_count, sizeof(*given));
    for (size_t i = 0; given && i < in->map.count; i++) {
        const gql_input *field = pl_map_get(&type->input_map, in->map.members[i].name);
        if (field)
            given[field->index] = &in->map.members[i].value;
        else if (!*unknown)
            *unknown = &in->map.members[i];
    }
    return given;
}

static pl_code check_object(gql_input_env *env, const gql_named *type, const pl_member *unknown,
                            const pl_member *members, size_t count, gql_input_fault *fault, pl_error *err)
{
    if (unknown) {
        pl_str hint = suggest_field(env, type, unknown->name);
        return pl_fail(err, PL_INVALID_ARGUMENT, "Field \"%.*s\" is not defined by type \"%.*s\".%.*s",
                       PL_STR_ARG(cut(unknown->name)), PL_STR_ARG(type->name), PL_STR_ARG(hint));
    }
    if (check_one_of(type, members, count, err) == PL_OK)
        return PL_OK;
    if (count == 1) { /* its value is null */
        static const pl_value null = {.kind = PL_KIND_NULL};
        fault->value = &null;
        path_prepend_field(&fault->path, members[0].name);
    }
    return err->code;
}

static pl_code json_object(gql_input_env *env, const pl_value *in, const gql_named *type,
                           gql_input_fault *fault, pl_value *out, pl_error *err)
{
    if (in->kind != PL_KIND_MAP)
        return pl_fail(err, PL_INVALID_ARGUMENT, "Expected type \"%.*s\" to be an object.",
                       PL_STR_ARG(type->name));
    const pl_member *unknown = NULL;
    const pl_value **given = sort_members(env, in, type, &unknown);
    pl_member *members = pl_arena_array(env->arena, type->input_count, sizeof *members);
    size_t count = 0;
    if (!members || !given)
        return pl_fail_memory(err);
    for (uint32_t i = 0; i < type->input_count; i++) {
        const gql_input *field = &type->inputs[i];
        pl_value value = {.kind = PL_KIND_ABSENT};
        if (given[i] && gql_input_json(env, given[i], field->type, fault, &value, err) != PL_OK) {
            path_prepend_field(&fault->path, field->name);
            return err->code;
        }
        if (!given[i] && missing_field(env, field, &value, err) != PL_OK)
            return err->code;
        if (value.kind != PL_KIND_ABSENT)
            members[count++] = (pl_member){field->name, value};
    }
    *out = (pl_value){.kind = PL_KIND_MAP, .map = {members, count}};
    return check_object(env, type, unknown, members, count, fault, err);
}

static pl_code json_enum(gql_input_env *env, const pl_value *in, const gql_named *type, pl_value *out,
                         pl_error *err)
{
    if (in->kind == PL_KIND_STRING)
        return coerce_enum(env, type, in->string, out, err);
    pl_buf shown;
    pl_buf_init(&shown);
    gql_inspect(&shown, in, MAX_SHOWN);
    pl_str hint = suggest_enum_value(env, type, pl_buf_view(&shown));
    pl_fail(err, PL_INVALID_ARGUMENT, "Enum \"%.*s\" cannot represent non-string value: %.*s.%.*s",
            PL_STR_ARG(type->name), PL_STR_ARG(pl_buf_view(&shown)), PL_STR_ARG(hint));
    pl_buf_dispose(&shown);
    return err->code;
}

static pl_code json_value(gql_input_env *env, const pl_value *in, const gql_typeref *type,
                          gql_input_fault *fault, pl_value *out, pl_error *err)
{
    if (type->kind == GQL_TYPE_NON_NULL) {
        if (in->kind == PL_KIND_NULL)
            return pl_fail(err, PL_INVALID_ARGUMENT, "Expected non-nullable type \"%.*s\" not to be null.",
                           PL_STR_ARG(type->text));
        type = type->of;
    }
    if (in->kind == PL_KIND_NULL) {
        out->kind = PL_KIND_NULL;
        return PL_OK;
    }
    if (type->kind == GQL_TYPE_LIST)
        return json_list(env, in, type, fault, out, err);
    if (type->named->kind == GQL_INPUT_OBJECT)
        return json_object(env, in, type->named, fault, out, err);
    if (type->named->kind == GQL_ENUM)
        return json_enum(env, in, type->named, out, err);
    return coerce_scalar(env, type->named, in, out, err);
}

pl_code gql_input_json(gql_input_env *env, const pl_value *in, const gql_typeref *type,
                       gql_input_fault *fault, pl_value *out, pl_error *err)
{
    pl_code code = json_value(env, in, type, fault, out, err);
    if (code && !fault->value)
        fault->value = in;
    return code;
}

/* --- variables --- */
typedef struct coercion {
    gql_input_env *env;
    pl_buf *message;
    pl_code code; /* when there is a message */
} coercion;

static bool refuse(coercion *c, pl_code code)
{
    c->code = code;
    return false;
}

static bool refuse_value(coercion *c, pl_str name, const gql_input_fault *fault, const pl_error *err)
{
    pl_buf_printf(c->message, "Variable \"$%.*s\" got invalid value ", PL_STR_ARG(name));
    gql_inspect(c->message, fault->value, MAX_SHOWN);
    if (fault->path.len > 0)
        pl_buf_printf(c->message, " at \"%.*s%.*s\"", PL_STR_ARG(name),
                      PL_STR_ARG(pl_buf_view(&fault->path)));
    pl_buf_printf(c->message, "; %s", err->message);
    return refuse(c, err->code);
}

static bool default_variable(coercion *c, const gql_variable_definition *def, const gql_typeref *type,
                             gql_variable *v)
{
    pl_error err;
    pl_error_clear(&err);
    if (!def->default_value && type->kind != GQL_TYPE_NON_NULL)
        return true;
    if (!def->default_value) {
        pl_buf_printf(c->message, "Variable \"$%.*s\" of required type \"%.*s\" was not provided.",
                      PL_STR_ARG(v->name), PL_STR_ARG(type->text));
        return refuse(c, PL_INVALID_ARGUMENT);
    }
    v->given = true;
    if (gql_input_literal(c->env, def->default_value, type, &v->value, &err) == PL_OK)
        return true;
    pl_buf_printf(c->message, "Variable \"$%.*s\" has an invalid default value; %s", PL_STR_ARG(v->name),
                  err.message);
    return refuse(c, err.code);
}

static bool coerce_variable(coercion *c, const gql_variable_definition *def, const pl_value *given,
                            gql_variable *v)
{
    pl_error err;
    pl_error_clear(&err);
    const gql_typeref *type = gql_schema_typeref(c->env->binding->schema, c->env->arena, def->type);
    if (!type || !gql_is_input(type->named)) {
        PL_BUF_LIT(c->message, "The type of a variable must be an input type.");
        return refuse(c, PL_INVALID_ARGUMENT);
    }
    if (!given)
        return default_variable(c, def, type, v);
    v->given = true;
    if (given->kind == PL_KIND_NULL && type->kind == GQL_TYPE_NON_NULL) {
        pl_buf_printf(c->message, "Variable \"$%.*s\" of non-null type \"%.*s\" must not be null.",
                      PL_STR_ARG(v->name), PL_STR_ARG(type->text));
        return refuse(c, PL_INVALID_ARGUMENT);
    }
    gql_input_fault fault = {0};
    bool ok = gql_input_json(c->env, given, type, &fault, &v->value, &err) == PL_OK ||
              refuse_value(c, v->name, &fault, &err);
    pl_buf_dispose(&fault.path);
    return ok;
}

static int compare_variables(const void *a, const void *b)
{
    return pl_str_cmp(((const gql_variable *)a)->name, ((const gql_variable *)b)->name);
}

/* Sorts out by name, and finds what was given for each: given_of is by the place in out. */
static void match_variables(const gql_operation *operation, const pl_value *given, gql_variable *out,
                            const pl_value **given_of)
{
    for (uint32_t i = 0; i < operation->variable_count; i++)
        out[i] = (gql_variable){.name = operation->variables[i].name.text};
    qsort(out, operation->variable_count, sizeof *out, compare_variables);
    for (size_t i = 0; given && i < given->map.count; i++) {
        const gql_variable *v = gql_variable_find(out, operation->variable_count, given->map.members[i].name);
        if (v)
            given_of[v - out] = &given->map.members[i].value;
    }
}

bool gql_input_variables(gql_input_env *env, const gql_operation *operation, const pl_value *given,
                         gql_variable *out, gql_variable_report *report, void *data)
{
    uint32_t faults = 0, max_faults = env->max_faults ? env->max_faults : UINT32_MAX;
    const pl_value **given_of = pl_arena_array(env->arena, operation->variable_count, sizeof(*given_of));
    if (!given_of) {
        report(data, NULL, PL_RESOURCE_EXHAUSTED, PL_STR("out of memory"));
        return false;
    }
    match_variables(operation, given, out, given_of);
    for (uint32_t i = 0; i < operation->variable_count && faults < max_faults; i++) {
        const gql_variable_definition *def = &operation->variables[i];
        gql_variable *v = (gql_variable *)gql_variable_find(out, operation->variable_count, def->name.text);
        pl_buf message;
        pl_buf_init(&message);
        coercion c = {.env = env, .message = &message};
        if (!coerce_variable(&c, def, given_of[v - out], v)) {
            bool memory = message.failed || c.code == PL_RESOURCE_EXHAUSTED;
            report(data, def, memory ? PL_RESOURCE_EXHAUSTED : c.code, pl_buf_view(&message));
            faults++;
        }
        pl_buf_dispose(&message);
    }
    return faults == 0;
}
