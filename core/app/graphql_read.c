/* SPDX-License-Identifier: MIT */
#include "app/graphql_read.h"

#include "app/media.h"

static bool refuse(pl_graphql_refusal *why, int status, pl_code code, pl_str message)
{
    *why = (pl_graphql_refusal){.status = status, .code = code, .message = message};
    return false;
}

static bool refuse_memory(pl_graphql_refusal *why)
{
    return refuse(why, 503, PL_RESOURCE_EXHAUSTED, PL_STR("out of memory"));
}

static bool refuse_with(pl_arena *arena, pl_graphql_refusal *why, const pl_error *err)
{
    pl_str message = pl_arena_str(arena, pl_str_of(err->message));
    return message.ptr ? refuse(why, 400, err->code, message) : refuse_memory(why);
}

void pl_graphql_write_refusal(pl_buf *out, const pl_graphql_refusal *why)
{
    PL_BUF_LIT(out, "{\"errors\":[{\"message\":");
    pl_json_string(out, why->message);
    pl_buf_printf(out, ",\"extensions\":{\"code\":\"%s\"}}]}",
                  why->error_code ? why->error_code : pl_code_name(why->code));
}

bool pl_graphql_read_operation(pl_instance *instance, pl_arena *arena, const pl_value *json, gql_request *out,
                               pl_graphql_refusal *why)
{
    pl_error err = {0};
    (void)instance;
    return gql_request_read(json, out, &err) == PL_OK || refuse_with(arena, why, &err);
}

static bool read_body(pl_instance *instance, pl_http_request *http, gql_request *out, pl_graphql_refusal *why)
{
    pl_error err = {0};
    pl_value *json = pl_arena_zalloc(http->arena, sizeof *json);
    if (!json)
        return refuse_memory(why);
    if (!pl_media_is_json(pl_http_header(http, PL_STR("content-type"))))
        return refuse(why, 415, PL_INVALID_ARGUMENT,
                      PL_STR("The body of a POST must be JSON: content-type: application/json."));
    if (pl_json_read(http->arena, http->body, NULL, json, &err) != PL_OK)
        return refuse_with(http->arena, why, &err);
    return pl_graphql_read_operation(instance, http->arena, json, out, why);
}

static bool read_parameters(pl_http_request *http, gql_request *out, pl_graphql_refusal *why)
{
    pl_error err = {0};
    pl_str query = pl_query_parameter(http->arena, http->query, PL_STR("query"));
    pl_str name = pl_query_parameter(http->arena, http->query, PL_STR("operationName"));
    pl_str variables = pl_query_parameter(http->arena, http->query, PL_STR("variables"));
    *out = (gql_request){.query = query, .operation_name = name, .query_only = true};
    if (!query.ptr)
        return refuse(why, 400, PL_INVALID_ARGUMENT, PL_STR("The request must have a \"query\" parameter."));
    if (!variables.ptr || variables.len == 0)
        return true;
    pl_value *json = pl_arena_zalloc(http->arena, sizeof *json);
    if (!json)
        return refuse_memory(why);
    if (pl_json_read(http->arena, variables, NULL, json, &err) != PL_OK) {
        pl_str message = pl_arena_printf(http->arena, "The \"variables\" parameter: %s", err.message);
        return message.ptr ? refuse(why, 400, err.code, message) : refuse_memory(why);
    }
    if (json->kind != PL_KIND_MAP && json->kind != PL_KIND_NULL)
        return refuse(why, 400, PL_INVALID_ARGUMENT,
                      PL_STR("The \"variables\" parameter must be a JSON object."));
    out->variables = json->kind == PL_KIND_MAP ? json : NULL;
    return true;
}

bool pl_graphql_read(pl_instance *instance, pl_http_request *http, pl_graphql_input *out,
                     pl_graphql_refusal *why)
{
    pl_graphql_operation *operation = pl_arena_zalloc(http->arena, sizeof *operation);
    if (!operation)
        return refuse_memory(why);
    *out = (pl_graphql_input){.operations = operation, .count = 1};
    if (pl_str_is(http->method, "POST"))
        return read_body(instance, http, &operation->request, why);
    if (pl_str_is(http->method, "GET") || pl_str_is(http->method, "HEAD"))
        return read_parameters(http, &operation->request, why);
    refuse(why, 405, PL_INVALID_ARGUMENT, PL_STR("GraphQL is served by GET and POST."));
    why->allow = PL_STR("GET, POST");
    return false;
}
