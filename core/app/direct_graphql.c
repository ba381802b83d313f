/* SPDX-License-Identifier: MIT */
#include "app/direct_internal.h"
#include "app/generation.h"
#include "app/graphql_read.h"
#include "app/operation.h"
#include "value/json.h"

static pl_code code_of(const gql_payload *payload)
{
    switch (payload->result) {
    case GQL_RESULT_DATA:
        return PL_OK;
    case GQL_RESULT_NO_SUBSCRIPTION:
        return PL_UNIMPLEMENTED;
    case GQL_RESULT_THROTTLED:
        return PL_RESOURCE_EXHAUSTED;
    default:
        return payload->code ? payload->code : PL_INVALID_ARGUMENT;
    }
}

static void on_payload(void *data, const gql_payload *payload)
{
    pl_direct_request *r = data;
    r->job = NULL;
    if (payload->body.len == 0)
        pl_direct_fail(r, PL_RESOURCE_EXHAUSTED, PL_STR("out of memory"));
    else
        pl_direct_end(r, code_of(payload), payload->body);
}

static void refuse(pl_direct_request *r, const pl_graphql_refusal *why)
{
    pl_buf body;
    pl_buf_init(&body);
    pl_graphql_write_refusal(&body, why);
    if (body.failed)
        pl_direct_fail(r, PL_RESOURCE_EXHAUSTED, PL_STR("out of memory"));
    else
        pl_direct_end(r, why->code ? why->code : PL_INVALID_ARGUMENT, pl_buf_view(&body));
    pl_buf_dispose(&body);
}

static void execute(pl_direct_request *r, pl_instance *instance, gql_request *request, pl_str id)
{
    pl_work work = {.protocol = "graphql",
                    .id = id,
                    .peer = r->peer,
                    .headers = r->headers,
                    .header_count = r->header_count,
                    .arena = &r->arena,
                    .ctx = PL_REF_NONE,
                    .log = r->direct->log};
    request->no_subscriptions = "A subscription has many responses: it cannot be executed here.";
    pl_operation_config config = {.instance = instance,
                                  .request = request,
                                  .work = &work,
                                  .host = r->direct->host,
                                  .endpoint = r->direct->endpoint,
                                  .payload = on_payload,
                                  .data = r,
                                  .place = (pl_operation **)&r->job};
    pl_operation_start(&config);
}

static void start(pl_direct_request *r)
{
    static const pl_json_limits limits = {.unique_names = true, .skip_bom = true};
    pl_instance *instance = r->direct->endpoint->live;
    pl_value *json = pl_arena_zalloc(&r->arena, sizeof *json);
    pl_str id = pl_direct_id(r);
    pl_graphql_refusal why;
    gql_request request;
    pl_error err = {0};
    if (!json || !id.ptr)
        pl_direct_fail(r, PL_RESOURCE_EXHAUSTED, PL_STR("out of memory"));
    else if (!instance->service)
        pl_direct_fail(r, PL_FAILED_PRECONDITION, PL_STR("The bundle has no schema."));
    else if (pl_json_read(&r->arena, r->text, &limits, json, &err) != PL_OK)
        pl_direct_fail(r, err.code, pl_str_of(err.message));
    else if (json->kind != PL_KIND_MAP)
        pl_direct_fail(r, PL_INVALID_ARGUMENT, PL_STR("The request must be a JSON object."));
    else if (!pl_graphql_read_operation(instance, &r->arena, json, &request, &why))
        refuse(r, &why);
    else
        execute(r, instance, &request, id);
}

static void cancel(pl_direct_request *r)
{
    if (r->job)
        pl_operation_cancel(r->job);
    r->job = NULL;
}

pl_direct_request *pl_direct_graphql(const pl_app_request *request, pl_app_done done, void *data)
{
    static const pl_direct_kind kind = {.start = start, .cancel = cancel, .write_error = gql_write_error};
    return pl_direct_make(&kind, request, done, data);
}
