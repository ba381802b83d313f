/* SPDX-License-Identifier: MIT */
#include "app/graphql_http.h"

#include <strings.h>

#include "app/cache_headers.h"
#include "app/generation.h"
#include "app/graphql_read.h"
#include "app/graphql_stream.h"
#include "app/operation.h"
#include "net/stream.h"

#define HEARTBEAT_MS 15000
#define MAX_HEADERS 64 /* that scripts add to an answer */
#define MUCH_QUEUED                                                                        \
    (256 << 10) /* bytes that a stream's client has not taken: no more events until it has \
                 */

typedef struct exchange exchange;

/* One of the operations of a request. */
typedef struct part {
    exchange *x;
    pl_operation *operation; /* NULL: over */
    /* In a batch, in the arena. */
    pl_str body;              /* its payload */
    const pl_header *headers; /* what its script says */
    size_t header_count;
} part;

struct exchange {
    pl_endpoint_link link; /* first; a stream is among the endpoint's lasting ones */
    pl_endpoint *endpoint;
    pl_instance *instance; /* that was live when it came */
    pl_http_request *http;
    pl_accept accept;
    bool pretty, batch;
    part *parts;
    size_t count, left;  /* operations that are not over */
    pl_stream_kind kind; /* of the stream that has begun */
    bool written;        /* something, to the stream */
    pl_timer heartbeat;
    bool heartbeat_armed;
    uint64_t written_at;
};

static const pl_str media_names[] = {
    [PL_MEDIA_JSON] = PL_STR("application/json; charset=utf-8"),
    [PL_MEDIA_GRAPHQL_RESPONSE] = PL_STR("application/graphql-response+json; charset=utf-8"),
};

/* --- one answer --- */
static void answer(const exchange *x, int status, pl_str body, const pl_header *headers, size_t count)
{
    pl_buf text;
    pl_buf_init(&text);
    if (x->pretty && body.len > 0) {
        pl_json_pretty(&text, body);
        pl_buf_char(&text, '\n');
        if (!text.failed)
            body = pl_buf_view(&text);
    }
    pl_http_response response = {.status = status,
                                 .content_type = status == 304 ? PL_STR("") : media_names[x->accept.media],
                                 .body = body,
                                 .headers = headers,
                                 .header_count = count};
    pl_http_respond(x->http, &response);
    pl_buf_dispose(&text);
}

static void answer_refusal(const exchange *x, const pl_graphql_refusal *why)
{
    pl_header headers[2];
    size_t count = 0;
    pl_buf body;
    pl_buf_init(&body);
    if (why->allow.len > 0)
        headers[count++] = (pl_header){PL_STR("allow"), why->allow};
    if (why->no_store)
        headers[count++] = (pl_header){PL_STR("cache-control"), PL_STR("no-store")};
    pl_graphql_write_refusal(&body, why);
    answer(x, why->status, body.failed ? PL_STR("{}") : pl_buf_view(&body), headers, count);
    pl_buf_dispose(&body);
}

static void answer_error(const exchange *x, int status, pl_code code, const char *message)
{
    answer_refusal(x, &(pl_graphql_refusal){.status = status, .code = code, .message = pl_str_of(message)});
}

/* What an interceptor has raised is as good as said by HTTP itself. */
static int status_of_code(pl_code code)
{
    switch (code) {
    case PL_UNAUTHENTICATED:
        return 401;
    case PL_PERMISSION_DENIED:
        return 403;
    case PL_NOT_FOUND:
        return 404;
    case PL_RESOURCE_EXHAUSTED:
        return 429;
    case PL_INVALID_ARGUMENT:
    case PL_FAILED_PRECONDITION:
    case PL_OUT_OF_RANGE:
        return 400;
    case PL_ABORTED:
    case PL_ALREADY_EXISTS:
        return 409;
    case PL_UNAVAILABLE:
        return 503;
    case PL_DEADLINE_EXCEEDED:
        return 504;
    case PL_UNIMPLEMENTED:
        return 501;
    default:
        return 500;
    }
}

static int status_of(const exchange *x, const gql_payload *payload)
{
    bool graphql = x->accept.media == PL_MEDIA_GRAPHQL_RESPONSE;
    switch (payload->result) {
    case GQL_RESULT_REFUSED_BY_SCRIPT:
        return status_of_code(payload->code);
    case GQL_RESULT_THROTTLED:
        return 429;
    case GQL_RESULT_NO_SUBSCRIPTION:
        return graphql ? 406 : 200;
    case GQL_RESULT_REFUSED:
        if (payload->code == PL_UNAVAILABLE)
            return 503;
        break;
    default:
        break;
    }
    return pl_graphql_status(&x->instance->generation->config.reading, graphql, payload->result,
                             payload->errors > 0, payload->invalid);
}

/* --- several payloads --- */
static exchange *exchange_of(pl_http_request *http)
{
    return http->data;
}

static uint64_t now_of(const exchange *x)
{
    return x->endpoint->host->ops->now(x->endpoint->host);
}

static void write(exchange *x, pl_buf *bytes)
{
    x->written = true;
    if (bytes->failed || !pl_http_stream_write(x->http, pl_buf_view(bytes)))
        pl_log(x->endpoint->log, PL_ERROR, "stream broken off: out of memory",
               PL_F_STR("request", x->http->id));
    pl_buf_dispose(bytes);
    x->written_at = now_of(x);
}

static void on_heartbeat(pl_timer *timer);

static void heartbeat_start(exchange *x, uint64_t since)
{
    pl_host *host = x->endpoint->host;
    x->heartbeat = (pl_timer){.fire = on_heartbeat, .data = x};
    x->heartbeat_armed = host->ops->timer_start(host, &x->heartbeat, since + HEARTBEAT_MS) == 0;
}

static void on_heartbeat(pl_timer *timer)
{
    exchange *x = timer->data;
    uint64_t now = now_of(x);
    pl_buf bytes;
    pl_buf_init(&bytes);
    if (now >= x->written_at + HEARTBEAT_MS && pl_http_stream_queued(x->http) == 0) {
        pl_stream_write_heartbeat(x->kind, &bytes, !x->written);
        write(x, &bytes);
    }
    heartbeat_start(x, now >= x->written_at + HEARTBEAT_MS ? now : x->written_at);
}

/* The stream is no more the endpoint's to end. */
static void leave(exchange *x)
{
    pl_host *host = x->endpoint->host;
    pl_endpoint_remove(&x->link);
    if (x->heartbeat_armed)
        host->ops->timer_stop(host, &x->heartbeat);
    x->heartbeat_armed = false;
}

/* The server ends. No "complete" is sent: the client is to come back. */
static void drain(pl_endpoint_link *link)
{
    exchange *x = (exchange *)link;
    leave(x);
    if (x->parts[0].operation)
        pl_operation_cancel(x->parts[0].operation);
    x->parts[0].operation = NULL;
    pl_http_stream_end(x->http);
}

static void on_drained(pl_http_request *http)
{
    exchange *x = exchange_of(http);
    if (x->parts[0].operation)
        pl_operation_hold(x->parts[0].operation, false);
}

static void stream_begin(exchange *x, pl_stream_kind kind)
{
    pl_header headers[MAX_HEADERS + 2] = {{PL_STR("cache-control"), PL_STR("no-cache, no-transform")},
                                          {PL_STR("x-accel-buffering"), PL_STR("no")}};
    size_t count;
    const pl_header *more =
        x->parts[0].operation ? pl_operation_headers(x->parts[0].operation, &count) : NULL;
    if (!more)
        count = 0;
    for (size_t i = 0; i < count && i < MAX_HEADERS; i++)
        headers[i + 2] = more[i];
    x->kind = kind;
    pl_http_response head = {.status = 200,
                             .content_type = pl_stream_content_type(kind, x->accept.old_defer),
                             .headers = headers,
                             .header_count = count + 2};
    x->http->drained = on_drained;
    pl_http_stream_begin(x->http, &head);
    x->link.drain = drain;
    pl_endpoint_add(x->endpoint, &x->link);
    x->written_at = now_of(x);
    if (kind != PL_STREAM_MULTIPART)
        heartbeat_start(x, x->written_at);
}

/* Which stream the payload begins, if it has to be one. */
static pl_stream_kind stream_for(const exchange *x, const gql_payload *payload)
{
    if (payload->result == GQL_RESULT_SUBSCRIBED)
        return x->accept.events;
    if (payload->has_next || !x->accept.single)
        return x->accept.incremental ? x->accept.incremental : x->accept.events;
    return PL_STREAM_NONE;
}

static void stream_payload(exchange *x, const gql_payload *payload)
{
    pl_buf bytes;
    pl_buf_init(&bytes);
    if (payload->body.ptr)
        pl_stream_write(x->kind, &bytes, payload->body, !x->written, payload->has_next);
    else if (payload->result == GQL_RESULT_COMPLETE)
        pl_stream_write_end(x->kind, &bytes, !x->written);
    else if (x->kind == PL_STREAM_SSE && !x->written) /* proxies hold the head back until there is a body */
        pl_stream_write_heartbeat(x->kind, &bytes, true);
    if (bytes.len > 0)
        write(x, &bytes);
    if (!payload->has_next) {
        leave(x);
        pl_http_stream_end(x->http);
    } else if (x->parts[0].operation && pl_http_stream_queued(x->http) > MUCH_QUEUED) {
        pl_operation_hold(x->parts[0].operation, true);
    }
}

/* --- payloads --- */
static void caching(const exchange *x, const gql_payload *payload, int status, pl_cache_answer *out)
{
    const char variant[] = {x->accept.media == PL_MEDIA_JSON ? 'j' : 'g', x->pretty ? 'p' : '\0', '\0'};
    pl_cache_headers(x->http, payload, status, variant,
                     x->instance->generation->config.graphql.cache.session_header, out);
}

static bool same_name(pl_str a, pl_str b)
{
    return a.len == b.len && strncasecmp(a.ptr, b.ptr, a.len) == 0;
}

/* Where a script has said itself how its answer may be cached, it is left at that. */
static bool says_caching(const pl_header *headers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (same_name(headers[i].name, PL_STR("cache-control")))
            return true;
    }
    return false;
}

static void answer_payload(part *p, const gql_payload *payload)
{
    exchange *x = p->x;
    pl_header headers[MAX_HEADERS + 1 + PL_CACHE_HEADERS];
    pl_cache_answer cache;
    int status = status_of(x, payload);
    size_t count = 0, n = 0;
    const pl_header *more = p->operation ? pl_operation_headers(p->operation, &count) : NULL;
    for (; more && n < count && n < MAX_HEADERS; n++)
        headers[n] = more[n];
    if (payload->result == GQL_RESULT_QUERY_ONLY)
        headers[n++] = (pl_header){PL_STR("allow"), PL_STR("POST")};
    if (payload->retry_after_ms > 0) { /* exclusive with the one above */
        pl_str seconds = pl_arena_printf(x->http->arena, "%llu",
                                         (unsigned long long)(payload->retry_after_ms + 999) / 1000);
        if (seconds.ptr)
            headers[n++] = (pl_header){PL_STR("retry-after"), seconds};
    }
    cache.count = 0;
    cache.not_modified = false;
    if (!says_caching(headers, n))
        caching(x, payload, status, &cache);
    for (size_t i = 0; i < cache.count; i++)
        headers[n++] = cache.headers[i];
    answer(x, cache.not_modified ? 304 : status, cache.not_modified ? PL_STR("") : payload->body, headers, n);
}

static void on_payload(void *data, const gql_payload *payload)
{
    part *p = data;
    exchange *x = p->x;
    pl_stream_kind kind = x->kind ? x->kind : stream_for(x, payload);
    if (!payload->has_next)
        x->left = 0;
    if (!kind) {
        answer_payload(p, payload);
        return;
    }
    if (!x->kind)
        stream_begin(x, kind);
    if (!payload->has_next)
        p->operation = NULL;
    stream_payload(x, payload);
}

/* Of two operations that say something different, the one that comes first in the list counts; cookies of all
 * are set. */
static bool is_said(const pl_header *headers, size_t count, pl_str name)
{
    for (size_t i = 0; i < count; i++) {
        if (same_name(headers[i].name, name) && !same_name(name, PL_STR("set-cookie")))
            return true;
    }
    return false;
}

/* What goes out with the list: `headers` has room for MAX_HEADERS. A list is not kept by caches, whatever its
 * operations say. */
static size_t headers_of_batch(const exchange *x, pl_header *headers)
{
    size_t n = 0, left_out = 0;
    headers[n++] = (pl_header){PL_STR("cache-control"), PL_STR("no-store")};
    for (size_t i = 0; i < x->count; i++) {
        for (size_t k = 0; k < x->parts[i].header_count; k++) {
            const pl_header *header = &x->parts[i].headers[k];
            if (is_said(headers, n, header->name))
                continue;
            if (n < MAX_HEADERS)
                headers[n++] = *header;
            else
                left_out++;
        }
    }
    if (left_out > 0)
        pl_log(x->endpoint->log, PL_WARN,
               "the operations of a list have too many entries in ctx.response_headers: some are left out",
               PL_F_STR("request", x->http->id), PL_F_INT("left_out", left_out),
               PL_F_INT("most", MAX_HEADERS));
    return n;
}

static void answer_batch(exchange *x)
{
    pl_header headers[MAX_HEADERS];
    pl_buf body;
    pl_buf_init(&body);
    for (size_t i = 0; i < x->count; i++) {
        pl_buf_char(&body, i == 0 ? '[' : ',');
        pl_buf_str(&body, x->parts[i].body);
    }
    pl_buf_char(&body, ']');
    if (body.failed)
        answer_error(x, 503, PL_RESOURCE_EXHAUSTED, "out of memory");
    else
        answer(x, 200, pl_buf_view(&body), headers, headers_of_batch(x, headers));
    pl_buf_dispose(&body);
}

static void on_batch_payload(void *data, const gql_payload *payload)
{
    part *p = data;
    if (p->operation)
        p->headers = pl_operation_headers(p->operation, &p->header_count);
    p->operation = NULL;
    p->body = pl_arena_str(p->x->http->arena, payload->body);
    if (p->body.len == 0)
        p->body = PL_STR("{\"errors\":[{\"message\":\"out of memory\"}]}");
    if (--p->x->left == 0)
        answer_batch(p->x);
}

/* --- the start --- */
static void cancelled(pl_http_request *http)
{
    exchange *x = exchange_of(http);
    leave(x);
    for (size_t i = 0; i < x->count; i++) {
        if (x->parts[i].operation)
            pl_operation_cancel(x->parts[i].operation);
    }
}

static void start_part(exchange *x, part *p, gql_request *request)
{
    static const char in_json[] =
        "A subscription cannot be executed over this transport, one JSON response: send \"Accept: "
        "text/event-stream\" or \"Accept: multipart/mixed;subscriptionSpec=1.0\", or use a WebSocket.";
    static const char in_batch[] =
        "A subscription cannot be executed in a list of operations: send it alone, "
        "with \"Accept: text/event-stream\", or use a WebSocket.";
    pl_http_request *http = x->http;
    pl_work work = {.protocol = "graphql",
                    .id = http->id,
                    .peer = http->peer,
                    .certificate = http->certificate,
                    .headers = http->headers,
                    .header_count = http->header_count,
                    .arena = http->arena,
                    .ctx = PL_REF_NONE,
                    .log = x->endpoint->log};
    request->no_subscriptions = x->batch ? in_batch : in_json;
    if (!x->batch) {
        request->subscriptions = x->accept.events != PL_STREAM_NONE;
        if (x->accept.incremental)
            request->incremental = x->accept.old_defer ? GQL_INCREMENTAL_2022 : GQL_INCREMENTAL_NEW;
    }
    pl_operation_config config = {.instance = x->instance,
                                  .request = request,
                                  .work = &work,
                                  .host = x->endpoint->host,
                                  .endpoint = x->endpoint,
                                  .payload = x->batch ? on_batch_payload : on_payload,
                                  .data = p,
                                  .place = &p->operation};
    pl_operation_start(&config);
}

static void refuse_part(part *p, const pl_graphql_refusal *why)
{
    pl_buf body;
    pl_buf_init(&body);
    pl_graphql_write_refusal(&body, why);
    on_batch_payload(p, &(gql_payload){.result = GQL_RESULT_REFUSED,
                                       .code = why->code,
                                       .body = body.failed ? PL_STR_NONE : pl_buf_view(&body)});
    pl_buf_dispose(&body);
}

static void run(exchange *x, pl_graphql_input *input)
{
    x->batch = input->batch;
    x->count = x->left = input->count;
    x->parts = pl_arena_array(x->http->arena, input->count, sizeof *x->parts);
    if (!x->parts) {
        answer_error(x, 503, PL_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    x->http->data = x;
    x->http->cancelled = cancelled;
    size_t count = input->count; /* x goes with the last one */
    for (size_t i = 0; i < count; i++) {
        pl_graphql_operation *operation = &input->operations[i];
        x->parts[i].x = x;
        if (operation->refusal.status != 0)
            refuse_part(&x->parts[i], &operation->refusal);
        else
            start_part(x, &x->parts[i], &operation->request);
    }
}

void pl_graphql_http(pl_endpoint *endpoint, pl_http_request *http)
{
    exchange *x = pl_arena_zalloc(http->arena, sizeof *x), on_stack;
    pl_graphql_input input;
    pl_graphql_refusal why;
    bool no_memory = !x;
    if (no_memory) {
        on_stack = (exchange){0};
        x = &on_stack;
    }
    x->endpoint = endpoint;
    x->http = http;
    x->instance = endpoint->live;
    x->pretty = x->instance->generation->config.pretty || pl_query_has(http->query, PL_STR("pretty"));
    bool acceptable = pl_accept_read(pl_http_header(http, PL_STR("accept")), &x->accept);
    if (no_memory)
        answer_error(x, 503, PL_RESOURCE_EXHAUSTED, "out of memory");
    else if (!acceptable)
        answer_error(
            x, 406, PL_INVALID_ARGUMENT,
            "The response can be application/graphql-response+json, application/json, multipart/mixed "
            "or text/event-stream; the Accept header allows none of them.");
    else if (!pl_graphql_read(x->instance, http, &input, &why))
        answer_refusal(x, &why);
    else
        run(x, &input);
}
