/* SPDX-License-Identifier: MIT */
#include "app/graphql_sse.h"

#include "app/csrf.h"
#include "app/generation.h"
#include "app/graphql_read.h"
#include "app/graphql_stream.h"
#include "app/operation.h"
#include "base/alloc.h"
#include "net/stream.h"

#define HEARTBEAT_MS 15000
#define MUCH_QUEUED (256 << 10)
#define MAX_ID 256

struct pl_sse {
    pl_endpoint *endpoint;
    pl_sse_hub *hub;
    pl_sse_part *part;
    struct stream *streams;
};

/* An operation whose events go to a stream of this worker. */
typedef struct running running;
struct running {
    running *next, **place;
    struct stream *stream;
    pl_operation *operation; /* NULL: over */
    bool held;
    running *held_next, *held_prev;
    pl_str id;
    gql_request request;
    pl_work work;
    pl_arena arena;
};

/* The stream of a token whose home is this worker. */
typedef struct stream {
    pl_endpoint_link link; /* first */
    struct stream *next, **place;
    pl_sse *sse;
    pl_http_request *http;
    char token[PL_SSE_TOKEN_LENGTH + 1];
    running *operations;
    uint32_t count;
    bool holding; /* operations are on hold: the client does not read */
    running *held, *last_held;
    pl_timer heartbeat;
    bool heartbeat_armed;
    uint64_t written_at;
} stream;

/* What the home of a token has to do for a request that came elsewhere (or here: it is all the same). */
typedef struct errand {
    pl_sse_errand errand;  /* first */
    pl_http_request *http; /* that waits for the answer; NULL: its client has gone */
    pl_endpoint *endpoint; /* of the sender */
    pl_arena arena;        /* all of the following */
    bool stop;             /* DELETE */
    pl_str id;
    pl_str request; /* JSON */
    pl_work work;   /* who asks */
    int status;     /* the answer */
    const char *message;
} errand;

/* --- answers --- */
static void respond(pl_http_request *http, int status, pl_str type, pl_str body)
{
    static const pl_header no_store = {PL_STR("cache-control"), PL_STR("no-store")};
    pl_http_response response = {
        .status = status, .content_type = type, .body = body, .headers = &no_store, .header_count = 1};
    pl_http_respond(http, &response);
}

static void respond_error(pl_http_request *http, int status, pl_code code, pl_str message)
{
    pl_buf body;
    pl_buf_init(&body);
    gql_write_error(&body, code, message);
    respond(http, status, PL_STR("application/json; charset=utf-8"),
            body.failed ? PL_STR("{}") : pl_buf_view(&body));
    pl_buf_dispose(&body);
}

static void respond_refusal(pl_http_request *http, const pl_graphql_refusal *why)
{
    pl_buf body;
    pl_buf_init(&body);
    pl_graphql_write_refusal(&body, why);
    respond(http, why->status, PL_STR("application/json; charset=utf-8"),
            body.failed ? PL_STR("{}") : pl_buf_view(&body));
    pl_buf_dispose(&body);
}

static pl_host *host_of(const pl_sse *sse)
{
    return sse->endpoint->host;
}

/* --- operations of a stream --- */
static void write(stream *s, pl_buf *bytes)
{
    if (bytes->failed || !pl_http_stream_write(s->http, pl_buf_view(bytes)))
        pl_log(s->sse->endpoint->log, PL_ERROR, "stream broken off: out of memory",
               PL_F_STR("request", s->http->id));
    pl_buf_dispose(bytes);
    s->written_at = host_of(s->sse)->ops->now(host_of(s->sse));
}

static void forget_held(running *r)
{
    stream *s = r->stream;
    if (!r->held)
        return;
    r->held = false;
    *(r->held_prev ? &r->held_prev->held_next : &s->held) = r->held_next;
    *(r->held_next ? &r->held_next->held_prev : &s->last_held) = r->held_prev;
}

static void running_free(running *r)
{
    forget_held(r);
    *r->place = r->next;
    if (r->next)
        r->next->place = r->place;
    r->stream->count--;
    pl_arena_dispose(&r->arena);
    pl_free(r);
}

static void write_event(running *r, const char *event, pl_str payload)
{
    pl_buf bytes;
    pl_buf_init(&bytes);
    pl_buf_printf(&bytes, "event: %s\ndata: {\"id\":", event);
    pl_json_string(&bytes, r->id);
    if (payload.ptr) {
        PL_BUF_LIT(&bytes, ",\"payload\":");
        pl_buf_str(&bytes, payload);
    }
    PL_BUF_LIT(&bytes, "}\n\n");
    write(r->stream, &bytes);
}

static void hold(running *r)
{
    stream *s = r->stream;
    if (!r->operation || r->held)
        return;
    r->held = true;
    r->held_next = NULL;
    r->held_prev = s->last_held;
    *(s->last_held ? &s->last_held->held_next : &s->held) = r;
    s->last_held = r;
    pl_operation_hold(r->operation, true);
}

/* last: the one whose payload was too much, and which has had its turn. */
static void hold_all(stream *s, running *last)
{
    for (running *r = s->holding ? NULL : s->operations; r; r = r->next) {
        if (r != last)
            hold(r);
    }
    s->holding = true;
    hold(last); /* it may have begun since */
}

/* One after the other, the one first that was held first: what it gives at once may fill the queue again, and
 * end it and others. */
static void let_go(stream *s)
{
    s->holding = false;
    while (!s->holding && s->held) {
        running *r = s->held;
        forget_held(r);
        pl_operation_hold(r->operation, false);
    }
}

static void on_payload(void *data, const gql_payload *payload)
{
    running *r = data;
    stream *s = r->stream;
    if (!payload->has_next)
        r->operation = NULL;
    if (payload->body.ptr)
        write_event(r, "next", payload->body);
    if (!payload->has_next) {
        write_event(r, "complete", PL_STR_NONE);
        running_free(r);
    } else if (pl_http_stream_queued(s->http) > MUCH_QUEUED) {
        hold_all(s, r);
    }
}

static void stop(running *r)
{
    if (r->operation)
        pl_operation_cancel(r->operation);
    running_free(r);
}

static running *find(stream *s, pl_str id)
{
    for (running *r = s->operations; r; r = r->next) {
        if (pl_str_eq(r->id, id))
            return r;
    }
    return NULL;
}

/* --- the stream --- */
static void leave(stream *s)
{
    pl_endpoint_remove(&s->link);
    if (s->heartbeat_armed)
        host_of(s->sse)->ops->timer_stop(host_of(s->sse), &s->heartbeat);
    s->heartbeat_armed = false;
    while (s->operations)
        stop(s->operations);
    *s->place = s->next;
    if (s->next)
        s->next->place = s->place;
    pl_sse_close(s->sse->part, s->token);
}

static void on_heartbeat(pl_timer *timer);

static void heartbeat_start(stream *s, uint64_t since)
{
    pl_host *host = host_of(s->sse);
    s->heartbeat = (pl_timer){.fire = on_heartbeat, .data = s};
    s->heartbeat_armed = host->ops->timer_start(host, &s->heartbeat, since + HEARTBEAT_MS) == 0;
}

static void on_heartbeat(pl_timer *timer)
{
    stream *s = timer->data;
    uint64_t now = host_of(s->sse)->ops->now(host_of(s->sse));
    pl_buf bytes;
    pl_buf_init(&bytes);
    if (now >= s->written_at + HEARTBEAT_MS && pl_http_stream_queued(s->http) == 0) {
        pl_stream_write_heartbeat(PL_STREAM_SSE, &bytes, false);
        write(s, &bytes);
    }
    heartbeat_start(s, now >= s->written_at + HEARTBEAT_MS ? now : s->written_at);
}

static void cancelled(pl_http_request *http)
{
    leave(http->data);
}

static void drained(pl_http_request *http)
{
    let_go(http->data);
}

static void drain(pl_endpoint_link *link)
{
    stream *s = (stream *)link;
    leave(s);
    pl_http_stream_end(s->http);
}

static void stream_begin(pl_sse *sse, pl_http_request *http, stream *s)
{
    static const pl_header headers[] = {{PL_STR("cache-control"), PL_STR("no-cache, no-transform")},
                                        {PL_STR("x-accel-buffering"), PL_STR("no")}};
    pl_http_response head = {.status = 200,
                             .content_type = pl_stream_content_type(PL_STREAM_SSE, false),
                             .headers = headers,
                             .header_count = 2};
    s->sse = sse;
    s->http = http;
    s->link.drain = drain;
    s->next = sse->streams;
    if (s->next)
        s->next->place = &s->next;
    s->place = &sse->streams;
    sse->streams = s;
    http->data = s;
    http->cancelled = cancelled;
    http->drained = drained;
    pl_endpoint_add(sse->endpoint, &s->link);
    s->written_at = host_of(sse)->ops->now(host_of(sse));
    heartbeat_start(s, s->written_at);
    pl_http_stream_begin(http, &head);
    pl_buf bytes; /* proxies hold the head back until there is a body, and the client waits for the head */
    pl_buf_init(&bytes);
    pl_stream_write_heartbeat(PL_STREAM_SSE, &bytes, true);
    write(s, &bytes);
}

static void open_stream(pl_sse *sse, pl_http_request *http, const char *token)
{
    stream *s = pl_arena_zalloc(http->arena, sizeof *s);
    if (!s) {
        respond_error(http, 503, PL_RESOURCE_EXHAUSTED, PL_STR("out of memory"));
        return;
    }
    memcpy(s->token, token, sizeof s->token);
    switch (pl_sse_open(sse->part, token, host_of(sse)->ops->now(host_of(sse)))) {
    case PL_SSE_OPENED:
        stream_begin(sse, http, s);
        break;
    case PL_SSE_IN_USE:
        respond_error(http, 409, PL_ALREADY_EXISTS, PL_STR("The stream of this token is open already."));
        break;
    default:
        respond_error(http, 404, PL_NOT_FOUND, PL_STR("There is no such token; PUT reserves one."));
        break;
    }
}

/* --- errands, at home --- */
static pl_str copy(pl_arena *arena, pl_str s)
{
    return s.ptr ? pl_arena_str(arena, s) : PL_STR_NONE;
}

static bool copy_work(pl_arena *arena, const pl_work *from, pl_work *to)
{
    pl_header *headers = pl_arena_array(arena, from->header_count, sizeof *headers);
    *to = *from;
    to->arena = arena;
    to->id = copy(arena, from->id);
    to->peer = copy(arena, from->peer);
    to->headers = headers;
    bool ok = headers && to->id.ptr && to->peer.ptr;
    for (size_t i = 0; ok && i < from->header_count; i++) {
        headers[i] = (pl_header){copy(arena, from->headers[i].name), copy(arena, from->headers[i].value)};
        ok = headers[i].name.ptr && headers[i].value.ptr;
    }
    return ok;
}

/* NULL: memory. */
static running *running_new(stream *s, const errand *e)
{
    running *r = pl_calloc(1, sizeof *r);
    pl_value *json = NULL;
    pl_error err;
    pl_error_clear(&err);
    if (!r)
        return NULL;
    pl_arena_init(&r->arena, 1024);
    json = pl_arena_alloc(&r->arena, sizeof *json);
    r->id = copy(&r->arena, e->id);
    if (!json || !r->id.ptr || !copy_work(&r->arena, &e->work, &r->work) ||
        pl_json_read(&r->arena, e->request, NULL, json, &err) != PL_OK ||
        gql_request_read(json, &r->request, &err) != PL_OK) {
        pl_arena_dispose(&r->arena);
        pl_free(r);
        return NULL;
    }
    r->stream = s;
    r->next = s->operations;
    if (r->next)
        r->next->place = &r->next;
    r->place = &s->operations;
    s->operations = r;
    s->count++;
    return r;
}

static void begin(pl_sse *sse, stream *s, errand *e)
{
    pl_instance *live = sse->endpoint->live;
    if (find(s, e->id)) {
        e->status = 409;
        e->message = "There is an operation with this id already.";
        return;
    }
    if (!live->service || s->count >= live->generation->config.websocket.max_operations) {
        e->status = live->service ? 429 : 503;
        e->message = live->service ? "The stream has as many operations as it may have."
                                   : "The server has no GraphQL schema any more.";
        return;
    }
    running *r = running_new(s, e);
    if (!r) {
        e->status = 503;
        e->message = "out of memory";
        return;
    }
    r->request.subscriptions = true;
    r->request.incremental = GQL_INCREMENTAL_NEW;
    e->status = 202;
    pl_operation_config config = {.instance = live,
                                  .request = &r->request,
                                  .work = &r->work,
                                  .host = sse->endpoint->host,
                                  .endpoint = sse->endpoint,
                                  .payload = on_payload,
                                  .data = r,
                                  .place = &r->operation};
    pl_operation_start(&config);
}

static void carry_out(void *data, pl_sse_errand *sent)
{
    pl_sse *sse = data;
    errand *e = (errand *)sent;
    stream *s = sse->streams;
    while (s && strcmp(s->token, sent->token) != 0)
        s = s->next;
    if (s && e->stop) {
        running *r = find(s, e->id);
        e->status = 200;
        if (r)
            stop(r);
    } else if (s) {
        begin(sse, s, e);
    }
    pl_sse_answer(sent);
}

/* --- errands, at the sender --- */
static void errand_free(errand *e)
{
    pl_arena_dispose(&e->arena);
    pl_free(e);
}

static void answered(pl_sse_errand *sent)
{
    errand *e = (errand *)sent;
    pl_http_request *http = sent->lost ? NULL : e->http;
    if (http) {
        http->cancelled = NULL;
        if (e->status == 0)
            respond_error(http, 404, PL_NOT_FOUND, PL_STR("The stream of this token has ended."));
        else if (e->message)
            respond_error(http, e->status, e->status == 409 ? PL_ALREADY_EXISTS : PL_RESOURCE_EXHAUSTED,
                          pl_str_of(e->message));
        else
            respond(http, e->status, PL_STR_NONE, PL_STR_NONE);
    }
    errand_free(e);
}

static void errand_cancelled(pl_http_request *http)
{
    ((errand *)http->data)->http = NULL;
}

static void write_request(pl_buf *out, const gql_request *request)
{
    PL_BUF_LIT(out, "{\"query\":");
    pl_json_string(out, request->query);
    if (request->operation_name.ptr) {
        PL_BUF_LIT(out, ",\"operationName\":");
        pl_json_string(out, request->operation_name);
    }
    if (request->variables) {
        PL_BUF_LIT(out, ",\"variables\":");
        pl_json_value(out, request->variables);
    }
    if (request->extensions) {
        PL_BUF_LIT(out, ",\"extensions\":");
        pl_json_value(out, request->extensions);
    }
    pl_buf_char(out, '}');
}

static errand *errand_new(pl_sse *sse, pl_http_request *http, const char *token, pl_str id,
                          const gql_request *request)
{
    errand *e = pl_calloc(1, sizeof *e);
    pl_buf json;
    if (!e)
        return NULL;
    pl_arena_init(&e->arena, 1024);
    e->http = http;
    e->endpoint = sse->endpoint;
    e->errand.answered = answered;
    e->stop = !request;
    memcpy(e->errand.token, token, sizeof e->errand.token);
    pl_work work = {.protocol = "graphql",
                    .id = http->id,
                    .peer = http->peer,
                    .certificate = http->certificate,
                    .headers = http->headers,
                    .header_count = http->header_count,
                    .ctx = PL_REF_NONE,
                    .log = sse->endpoint->log};
    pl_buf_init(&json);
    if (request)
        write_request(&json, request);
    e->id = copy(&e->arena, id);
    e->request = json.failed ? PL_STR_NONE : pl_arena_str(&e->arena, pl_buf_view(&json));
    pl_buf_dispose(&json);
    if (e->id.ptr && (e->stop || e->request.ptr) && copy_work(&e->arena, &work, &e->work))
        return e;
    errand_free(e);
    return NULL;
}

static void send_errand(pl_sse *sse, pl_http_request *http, const char *token, pl_str id,
                        const gql_request *request)
{
    errand *e = errand_new(sse, http, token, id, request);
    if (!e) {
        respond_error(http, 503, PL_RESOURCE_EXHAUSTED, PL_STR("out of memory"));
        return;
    }
    http->data = e;
    http->cancelled = errand_cancelled;
    if (pl_sse_send(sse->part, &e->errand))
        return;
    http->cancelled = NULL;
    errand_free(e);
    respond_error(http, 404, PL_NOT_FOUND, PL_STR("No stream is open with this token."));
}

/* --- requests --- */
static void post(pl_sse *sse, pl_http_request *http, const char *token)
{
    pl_graphql_input input;
    pl_graphql_refusal why;
    if (!pl_graphql_read(sse->endpoint->live, http, &input, &why)) {
        respond_refusal(http, &why);
        return;
    }
    const gql_request *request = &input.operations[0].request;
    const pl_value *id = !input.batch && request->extensions
                             ? pl_value_member(request->extensions, PL_STR("operationId"))
                             : NULL;
    if (!id || id->kind != PL_KIND_STRING || id->string.len == 0 || id->string.len > MAX_ID) {
        respond_error(
            http, 400, PL_INVALID_ARGUMENT,
            PL_STR("An operation over a reserved stream needs \"extensions\": {\"operationId\": …}, a "
                   "string of 1 to 256 bytes."));
        return;
    }
    send_errand(sse, http, token, id->string, request);
}

static void delete (pl_sse *sse, pl_http_request *http, const char *token)
{
    pl_str id = pl_query_parameter(http->arena, http->query, PL_STR("operationId"));
    if (!id.ptr || id.len == 0)
        respond_error(http, 400, PL_INVALID_ARGUMENT, PL_STR("Which operation? ?operationId=… is missing."));
    else
        send_errand(sse, http, token, id, NULL);
}

static void put(pl_sse *sse, pl_http_request *http)
{
    char token[PL_SSE_TOKEN_LENGTH + 1];
    const pl_config *config = &sse->endpoint->live->generation->config;
    if (config->reading.csrf.mode != PL_CSRF_OFF && pl_csrf_is_foreign(&config->http.cors, http))
        respond_error(
            http, 403, PL_PERMISSION_DENIED,
            PL_STR("Pages of this origin may not do this: http.cors.origins names those that may."));
    else if (pl_sse_reserve(sse->hub, host_of(sse)->ops->now(host_of(sse)), token))
        respond(http, 201, PL_STR("text/plain; charset=utf-8"), pl_str_of(token));
    else
        respond_error(http, 503, PL_RESOURCE_EXHAUSTED, PL_STR("Too many streams are reserved."));
}

/* The request's token, as text that ends with a NUL; NULL: it has none. One of a wrong length is known to
 * nobody. */
static const char *token_of(const pl_http_request *http, char *room)
{
    pl_str token = pl_http_header(http, PL_STR("x-graphql-event-stream-token"));
    if (!token.ptr)
        token = pl_query_parameter(http->arena, http->query, PL_STR("token"));
    if (!token.ptr)
        return NULL;
    memset(room, 0, PL_SSE_TOKEN_LENGTH + 1);
    if (token.len == PL_SSE_TOKEN_LENGTH)
        memcpy(room, token.ptr, token.len);
    return room;
}

bool pl_sse_handle(pl_sse *sse, pl_http_request *http)
{
    char room[PL_SSE_TOKEN_LENGTH + 1];
    if (pl_str_is(http->method, "PUT") && sse->endpoint->live->generation->schema->subscription) {
        put(sse, http);
        return true;
    }
    const char *token = token_of(http, room);
    if (!token)
        return false;
    if (pl_str_is(http->method, "POST"))
        post(sse, http, token);
    else if (pl_str_is(http->method, "DELETE"))
        delete (sse, http, token);
    else if (pl_str_is(http->method, "GET"))
        open_stream(sse, http, token);
    else
        return false;
    return true;
}

/* --- life --- */
pl_sse *pl_sse_new(pl_sse_hub *hub, pl_loop *loop, pl_endpoint *endpoint)
{
    pl_sse *sse = pl_calloc(1, sizeof *sse);
    if (!sse)
        return NULL;
    sse->hub = hub;
    sse->endpoint = endpoint;
    sse->part = pl_sse_join(hub, loop, carry_out, sse);
    if (sse->part)
        return sse;
    pl_free(sse);
    return NULL;
}

void pl_sse_end(pl_sse *sse)
{
    pl_sse_leave(sse->part);
}

void pl_sse_free(pl_sse *sse)
{
    if (!sse)
        return;
    pl_sse_part_free(sse->part);
    pl_free(sse);
}
