/* SPDX-License-Identifier: MIT */
#include "app/graphql_http.h"

#include "app/generation.h"
#include "app/graphql_read.h"
#include "app/media.h"

typedef struct exchange exchange;
struct exchange {
    exchange *next, *prev; /* those of the instance that wait */
    pl_http_request *http;
    pl_instance *instance;
    pl_work work;
    gql_run *run;
    pl_media media;
    bool pretty;
};

static const pl_str media_names[] = {
    [PL_MEDIA_JSON] = PL_STR("application/json; charset=utf-8"),
    [PL_MEDIA_GRAPHQL_RESPONSE] = PL_STR("application/graphql-response+json; charset=utf-8"),
};

static void answer(pl_http_request *http, int status, pl_media media, bool pretty, pl_str body,
                   const pl_header *headers, size_t count)
{
    pl_buf text;
    pl_buf_init(&text);
    if (pretty) {
        pl_json_pretty(&text, body);
        pl_buf_char(&text, '\n');
        if (!text.failed)
            body = pl_buf_view(&text);
    }
    pl_http_response response = {.status = status,
                                 .content_type = media_names[media],
                                 .body = body,
                                 .headers = headers,
                                 .header_count = count};
    pl_http_respond(http, &response);
    pl_buf_dispose(&text);
}

static void answer_refusal(exchange *x, const pl_graphql_refusal *why)
{
    const pl_header allow = {PL_STR("allow"), why->allow};
    pl_buf body;
    pl_buf_init(&body);
    pl_graphql_write_refusal(&body, why);
    answer(x->http, why->status, x->media, x->pretty, body.failed ? PL_STR("{}") : pl_buf_view(&body), &allow,
           why->allow.len > 0);
    pl_buf_dispose(&body);
}

static void answer_error(exchange *x, int status, pl_code code, const char *message)
{
    answer_refusal(x, &(pl_graphql_refusal){.status = status, .code = code, .message = pl_str_of(message)});
}

static int status_of(const exchange *x, gql_result result)
{
    if (result == GQL_RESULT_QUERY_ONLY)
        return 405;
    if (result == GQL_RESULT_THROTTLED)
        return 429;
    if (result == GQL_RESULT_REFUSED && x->media == PL_MEDIA_GRAPHQL_RESPONSE)
        return 400;
    return 200;
}

static void waiting_add(exchange *x)
{
    x->next = x->instance->waiting;
    if (x->next)
        x->next->prev = x;
    x->instance->waiting = x;
}

static void waiting_remove(exchange *x)
{
    if (!x->run)
        return;
    if (x->prev)
        x->prev->next = x->next;
    else
        x->instance->waiting = x->next;
    if (x->next)
        x->next->prev = x->prev;
}

static void run_done(void *data, gql_result result, pl_str body)
{
    static const pl_header allow[] = {{PL_STR("allow"), PL_STR("POST")}};
    exchange *x = data;
    pl_instance *instance = x->instance;
    waiting_remove(x);
    pl_engine_of(instance->state)->work_end(instance->state, &x->work);
    answer(x->http, status_of(x, result), x->media, x->pretty, body, allow, result == GQL_RESULT_QUERY_ONLY);
    instance->in_flight--;
}

static void end_early(exchange *x)
{
    pl_instance *instance = x->instance;
    waiting_remove(x);
    gql_run_cancel(x->run);
    pl_engine_of(instance->state)->work_end(instance->state, &x->work);
    instance->in_flight--;
}

static void cancelled(pl_http_request *http)
{
    exchange *x = http->data;
    end_early(x);
}

void pl_graphql_http_cancel_all(pl_instance *instance)
{
    while (instance->waiting) {
        exchange *x = instance->waiting;
        end_early(x);
        x->http->cancelled = NULL;
        answer_error(
            x, 503, PL_UNAVAILABLE,
            "The server has gone over to a newer version, and this request took too long on the old one.");
    }
}

static void run(exchange *x, const gql_request *request, pl_host *host, pl_logger *log)
{
    pl_http_request *http = x->http;
    (void)host;
    x->work = (pl_work){.protocol = "graphql",
                        .id = http->id,
                        .peer = http->peer,
                        .headers = http->headers,
                        .header_count = http->header_count,
                        .arena = http->arena,
                        .ctx = PL_REF_NONE,
                        .log = log};
    x->instance->in_flight++;
    gql_run *started = gql_service_run(x->instance->service, request, &x->work, run_done, x);
    if (!started)
        return; /* answered already: x is gone */
    x->run = started;
    waiting_add(x);
    http->data = x;
    http->cancelled = cancelled;
}

void pl_graphql_http(pl_instance *instance, pl_http_request *http, pl_host *host, pl_logger *log)
{
    exchange *x = pl_arena_zalloc(http->arena, sizeof *x), on_stack = {0};
    pl_graphql_input input;
    pl_graphql_refusal why;
    bool no_memory = !x;
    if (no_memory)
        x = &on_stack;
    x->http = http;
    x->instance = instance;
    x->pretty = instance->generation->config.pretty || pl_query_has(http->query, PL_STR("pretty"));
    bool acceptable = pl_media_choose(pl_http_header(http, PL_STR("accept")), &x->media);
    if (no_memory) {
        answer_error(x, 503, PL_RESOURCE_EXHAUSTED, "out of memory");
    } else if (!acceptable) {
        answer_error(x, 406, PL_INVALID_ARGUMENT,
                     "The response can be application/graphql-response+json or application/json; the Accept "
                     "header allows neither.");
    } else if (!pl_graphql_read(instance, http, &input, &why)) {
        answer_refusal(x, &why);
    } else {
        run(x, &input.operations[0].request, host, log);
    }
}
