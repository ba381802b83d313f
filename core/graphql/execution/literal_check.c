/* SPDX-License-Identifier: MIT */
#include "graphql/execution/literal_check.h"

/* As deep as the parser lets values nest. */
static bool has_variable(const gql_value *value)
{
    if (value->kind == GQL_VALUE_VARIABLE)
        return true;
    for (uint32_t i = 0; i < value->count; i++) {
        if (has_variable(value->kind == GQL_VALUE_LIST ? &value->items[i] : &value->fields[i].value))
            return true;
    }
    return false;
}

typedef struct attempt {
    gql_input_env env;
    const gql_value *literal;
    gql_typeref type;
    pl_code code;
    pl_error err;
} attempt;

static void attempt_section(void *data)
{
    attempt *a = data;
    pl_value value;
    a->code = gql_input_literal(&a->env, a->literal, &a->type, &value, &a->err);
}

bool gql_literal_suits(void *checker, const gql_named *scalar, const gql_value *value, pl_str *why)
{
    const gql_literal_checker *c = checker;
    pl_state *state = c->binding->state;
    pl_arena scratch;
    pl_error err = {0};
    if (has_variable(value))
        return true;
    pl_arena_init(&scratch, 0);
    attempt a = {.env = {.binding = c->binding, .arena = &scratch, .work = c->work},
                 .literal = value,
                 .type = {.kind = GQL_TYPE_NAMED, .named = (gql_named *)scalar, .text = scalar->name}};
    if (!pl_engine_of(state)->protect(state, attempt_section, &a, &err))
        a.code = PL_RESOURCE_EXHAUSTED;
    if (a.code == PL_INVALID_ARGUMENT && !a.env.script_gave_nothing) {
        *why = pl_arena_str(c->arena, pl_str_of(a.err.message));
        if (!why->ptr)
            *why = PL_STR("");
    }
    gql_input_release(&a.env);
    pl_arena_dispose(&scratch);
    return a.code != PL_INVALID_ARGUMENT;
}
