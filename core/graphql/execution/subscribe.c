/* SPDX-License-Identifier: MIT */
#include "graphql/execution/subscribe.h"

#include "graphql/execution/internal.h"
#include "value/json.h"

static const gql_plan_field *field_of(gql_execution *x)
{
    return &x->root->fields[0];
}

static gql_path path_of(gql_execution *x)
{
    return (gql_path){.key = field_of(x)->response_key};
}

/* The operation's only field; validation has seen to that, but for @skip and @include. */
static bool find_field(gql_execution *x)
{
    pl_error err;
    pl_error_clear(&err);
    if (gql_plan_object_get(x->plan, &x->plan->root, x->plan->root.declared, x->env.variables,
                            x->env.variable_count, &x->root, &err) != PL_OK) {
        x->fatal = err;
        return false;
    }
    if (x->root->count == 1)
        return true;
    pl_fail(&x->fatal, PL_INVALID_ARGUMENT, "A subscription must select exactly one field.");
    return false;
}

/* Pushes the arguments (root, args, ctx, info) that the function looks at. */
static bool push_arguments(gql_execution *x, const gql_path *path, int nargs)
{
    if (nargs >= 1)
        x->e->push_absent(x->state);
    if (nargs >= 2 && !gql_push_arguments(x, field_of(x), path))
        return false;
    if (nargs >= 3)
        x->e->push_ctx(x->state, x->work);
    if (nargs >= 4 && !gql_push_info(x, field_of(x), path)) {
        pl_fail_memory(&x->fatal);
        return false;
    }
    return true;
}

pl_call_status gql_subscribe(gql_execution *x, pl_call **pending)
{
    pl_failure failure = {0};
    if (!find_field(x))
        return PL_CALL_FAILED;
    const gql_path path = path_of(x);
    const gql_field_binding *binding = &x->binding->fields[field_of(x)->def->id];
    if (field_of(x)->access && !gql_field_allowed(x, field_of(x), &path))
        return PL_CALL_FAILED;
    if (field_of(x)->how == GQL_RESOLVE_META || field_of(x)->how == GQL_RESOLVE_TYPENAME ||
        binding->subscribe == PL_REF_NONE) {
        gql_error_internal_text(x, field_of(x), &path, PL_UNIMPLEMENTED,
                                "the subscription field has no subscribe function");
        return PL_CALL_FAILED;
    }
    int nargs = binding->subscribe_arity < 4 ? binding->subscribe_arity : 4;
    if (!push_arguments(x, &path, nargs))
        return PL_CALL_FAILED;
    pl_call_status status = x->e->call(x->state, binding->subscribe, nargs, x->work, pending, &failure);
    if (status == PL_CALL_FAILED)
        gql_error_failure(x, field_of(x), &path, &failure);
    return status;
}

void gql_subscribe_failed(gql_execution *x, const pl_failure *failure)
{
    const gql_path path = path_of(x);
    gql_error_failure(x, field_of(x), &path, failure);
}

void gql_subscribe_no_source(gql_execution *x)
{
    const gql_path path = path_of(x);
    char message[256];
    snprintf(message, sizeof message,
             "subscribe must return an iterator (a function, or an object with a method next), not %s",
             pl_kind_phrase(x->e->kind(x->state, x->e->top(x->state))));
    gql_error_internal_text(x, field_of(x), &path, PL_INTERNAL, message);
}

void gql_subscribe_write_errors(gql_execution *x, pl_buf *out)
{
    if (x->fatal.code || x->errors.len == 0 || x->errors.failed) {
        PL_BUF_LIT(out, "{\"errors\":[{\"message\":");
        pl_json_string(out, pl_str_of(x->fatal.code ? x->fatal.message : "out of memory"));
        pl_buf_printf(out, ",\"extensions\":{\"code\":\"%s\"}}]}",
                      pl_code_name(x->fatal.code ? x->fatal.code : PL_RESOURCE_EXHAUSTED));
        return;
    }
    PL_BUF_LIT(out, "{\"errors\":[");
    pl_buf_str(out, pl_buf_view(&x->errors));
    PL_BUF_LIT(out, "]}");
}
