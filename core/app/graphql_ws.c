/* SPDX-License-Identifier: MIT */
#include "app/graphql_ws.h"

#include "app/csrf.h"
#include "app/expiry.h"
#include "app/generation.h"
#include "app/graphql_read.h"
#include "app/operation.h"
#include "app/ws_session.h"
#include "base/alloc.h"
#include "net/websocket.h"

#define MUCH_QUEUED (256 << 10) /* bytes that the client has not taken: no more events until it has */

typedef struct connection {
    pl_endpoint_link link; /* first */
    pl_endpoint *endpoint;
    pl_websocket *ws;
    pl_ws_session *session;
    pl_ws_protocol protocol;
    pl_arena arena;
    pl_work work; /* what each operation's begins as */
    pl_ws_config config;

    /* connection_init: the interceptors. */
    pl_instance *init_instance; /* NULL: not under way */
    pl_call *init_call;
    pl_work init_work;
    pl_timer timer; /* of the initialisation; then keeps alive */
    bool timer_armed;
    pl_timer expiry;
    bool expiry_armed;
    bool holding; /* operations are on hold: the client does not read */
    struct running *held, *last_held;
} connection;

/* An operation of the connection: the session's record, in whose arena it is. */
typedef struct running running;
struct running {
    connection *c;
    pl_ws_operation *record;
    pl_operation *operation; /* NULL: over */
    bool held;
    running *held_next, *held_prev;
    gql_request request;
    pl_work work;
};

static pl_host *host_of(connection *c)
{
    return c->endpoint->host;
}

static bool start_timer(connection *c, pl_timer *timer, void (*fire)(pl_timer *timer), uint64_t ms)
{
    timer->fire = fire;
    timer->data = c;
    return host_of(c)->ops->timer_start(host_of(c), timer, host_of(c)->ops->now(host_of(c)) + ms) == 0;
}

static void stop_timers(connection *c)
{
    if (c->timer_armed)
        host_of(c)->ops->timer_stop(host_of(c), &c->timer);
    if (c->expiry_armed)
        host_of(c)->ops->timer_stop(host_of(c), &c->expiry);
    c->timer_armed = c->expiry_armed = false;
}

static void on_keep_alive(pl_timer *timer)
{
    connection *c = timer->data;
    pl_ws_session_keep_alive(c->session);
    c->timer_armed = start_timer(c, &c->timer, on_keep_alive, c->config.ping_ms);
}

static void on_init_timeout(pl_timer *timer)
{
    connection *c = timer->data;
    c->timer_armed = false;
    pl_ws_session_init_timeout(c->session);
}

static void on_expiry(pl_timer *timer)
{
    connection *c = timer->data;
    c->expiry_armed = false;
    pl_ws_session_close(c->session, c->protocol == PL_WS_LEGACY ? 1008 : PL_WS_FORBIDDEN,
                        "The credentials of the connection have expired");
}

/* --- connection_init --- */
/* What keeps the connection from being accepted; ptr NULL: nothing. */
static pl_str set_expiry(connection *c)
{
    uint64_t left = pl_expiry_left(c->init_instance->state, &c->init_work);
    if (left == PL_NO_EXPIRY)
        return PL_STR_NONE;
    if (left == 0)
        return PL_STR("The credentials of the connection have expired");
    c->expiry_armed = start_timer(c, &c->expiry, on_expiry, left);
    return c->expiry_armed ? PL_STR_NONE : PL_STR("out of memory"); /* nobody would close it in time */
}

static void init_end(connection *c)
{
    pl_instance *instance = c->init_instance;
    pl_engine_of(instance->state)->work_end(instance->state, &c->init_work);
    instance->in_flight--;
    c->init_instance = NULL;
    c->init_call = NULL;
}

static void accept_init(connection *c)
{
    pl_str objection = set_expiry(c);
    init_end(c);
    if (objection.ptr) {
        pl_ws_session_reject(c->session, true, objection);
        return;
    }
    if (c->timer_armed)
        host_of(c)->ops->timer_stop(host_of(c), &c->timer);
    c->timer_armed =
        c->protocol == PL_WS_LEGACY && start_timer(c, &c->timer, on_keep_alive, c->config.ping_ms);
    pl_ws_session_acknowledge(c->session);
}

static void reject_init(connection *c, const pl_failure *failure)
{
    if (!failure->expected)
        gql_log_failure(&c->init_work, failure, "interceptor failed");
    pl_str message = failure->expected ? failure->message : PL_STR("Internal server error");
    message = pl_arena_str(&c->arena, message);
    bool forbidden = failure->expected;
    init_end(c);
    pl_ws_session_reject(c->session, forbidden, message.ptr ? message : PL_STR("out of memory"));
}

static void init_done(pl_call *call, pl_call_status status, pl_slot result, const pl_failure *failure)
{
    connection *c = call->data;
    (void)result;
    c->init_call = NULL;
    if (status == PL_CALL_FAILED)
        reject_init(c, failure);
    else
        accept_init(c);
}

typedef struct section {
    connection *c;
    pl_call_status status;
    pl_call *call;
} section;

static void proceed_section(void *data)
{
    section *s = data;
    pl_state *state = s->c->init_instance->state;
    const pl_engine *e = pl_engine_of(state);
    if (!e->reserve(state, 4))
        return;
    e->push_map(state, 0);
    s->status = PL_CALL_DONE;
    e->proceed(state, s->call, PL_CALL_DONE, NULL);
}

/* There is nothing that the interceptors wrap: what counts is that they do not raise. */
static void init_proceed(pl_call *call)
{
    connection *c = call->data;
    section s = {.c = c, .status = PL_CALL_FAILED, .call = call};
    pl_state *state = c->init_instance->state;
    pl_error err;
    pl_error_clear(&err);
    if (pl_engine_of(state)->protect(state, proceed_section, &s, &err) && s.status == PL_CALL_DONE)
        return;
    c->init_call = NULL;
    pl_engine_of(state)->cancel(state, call);
    reject_init(c, &pl_failure_no_memory);
}

static void on_init(void *data, const pl_value *payload)
{
    connection *c = data;
    pl_instance *instance = c->endpoint->live;
    pl_call *call;
    pl_failure failure;
    c->work.connection_params = payload;
    c->init_instance = instance;
    c->init_work = c->work;
    c->init_work.operation_kind = "connection";
    instance->in_flight++;
    if (instance->interceptors == PL_REF_NONE) {
        accept_init(c);
        return;
    }
    pl_call_status status =
        pl_call_with_ctx(instance->state, instance->interceptors, &c->init_work, &call, &failure);
    if (status == PL_CALL_FAILED) {
        reject_init(c, &failure);
    } else if (status == PL_CALL_DONE) {
        accept_init(c);
    } else {
        c->init_call = call;
        call->done = init_done;
        call->proceed = init_proceed;
        call->data = c;
        if (call->wants_next)
            init_proceed(call);
    }
}

static void cancel_init(connection *c)
{
    if (!c->init_instance)
        return;
    if (c->init_call)
        pl_engine_of(c->init_instance->state)->cancel(c->init_instance->state, c->init_call);
    init_end(c);
}

/* --- operations --- */
static void hold(running *r)
{
    connection *c = r->c;
    if (!r->operation || r->held)
        return;
    r->held = true;
    r->held_next = NULL;
    r->held_prev = c->last_held;
    *(c->last_held ? &c->last_held->held_next : &c->held) = r;
    c->last_held = r;
    pl_operation_hold(r->operation, true);
}

static void forget_held(running *r)
{
    connection *c = r->c;
    if (!r->held)
        return;
    r->held = false;
    *(r->held_prev ? &r->held_prev->held_next : &c->held) = r->held_next;
    *(r->held_next ? &r->held_next->held_prev : &c->last_held) = r->held_prev;
}

/* last: the one whose payload was too much, and which has had its turn; NULL: it is over. */
static void hold_all(connection *c, running *last)
{
    for (pl_ws_operation *op = pl_ws_session_first(c->session); op && !c->holding; op = op->next) {
        if (op->data && op->data != last)
            hold(op->data);
    }
    c->holding = true;
    if (last)
        hold(last); /* it may have begun since */
}

/* One after the other, the one first that was held first: what it gives at once may fill the queue again, and
 * end it and others. */
static void let_go(connection *c)
{
    c->holding = false;
    while (!c->holding && c->held) {
        running *r = c->held;
        forget_held(r);
        pl_operation_hold(r->operation, false);
    }
}

/* [{…}] of {"errors":[{…}]} */
static pl_str errors_of(pl_str body)
{
    static const pl_str head = PL_STR("{\"errors\":");
    if (!pl_str_starts(body, head) || body.len < head.len + 2)
        return PL_STR("[{\"message\":\"Internal server error\"}]");
    return (pl_str){body.ptr + head.len, body.len - head.len - 1};
}

static void on_payload(void *data, const gql_payload *payload)
{
    running *r = data;
    connection *c = r->c;
    if (payload->result == GQL_RESULT_SUBSCRIBED)
        return;
    if (!payload->has_next) {
        forget_held(r);
        r->operation = NULL;
    }
    if (payload->result == GQL_RESULT_DATA) {
        bool last = !payload->has_next;
        pl_ws_operation *record = r->record;
        if (!pl_ws_session_next(record, payload->body))
            return; /* the session has closed, and the record is gone */
        if (last) {
            pl_ws_session_end(record, PL_STR_NONE);
            r = NULL;
        }
    } else {
        pl_ws_session_end(r->record,
                          payload->result == GQL_RESULT_COMPLETE ? PL_STR_NONE : errors_of(payload->body));
        return;
    }
    if (pl_websocket_queued(c->ws) > MUCH_QUEUED)
        hold_all(c, r);
}

static void refuse(running *r, const pl_graphql_refusal *why)
{
    pl_buf body;
    pl_buf_init(&body);
    pl_graphql_write_refusal(&body, why);
    pl_ws_session_end(r->record, body.failed ? PL_STR("[{\"message\":\"out of memory\"}]")
                                             : errors_of(pl_buf_view(&body)));
    pl_buf_dispose(&body);
}

static void on_start(void *data, pl_ws_operation *record, const pl_value *payload)
{
    connection *c = data;
    pl_instance *instance = c->endpoint->live;
    pl_graphql_refusal why = {0};
    running *r = pl_arena_zalloc(&record->arena, sizeof *r);
    if (!r || !instance->service) {
        pl_ws_session_end(record, r ? PL_STR("[{\"message\":\"The server has no GraphQL schema any more.\"}]")
                                    : PL_STR("[{\"message\":\"out of memory\"}]"));
        return;
    }
    r->c = c;
    r->record = record;
    record->data = r;
    if (!pl_graphql_read_operation(instance, &record->arena, payload, &r->request, &why)) {
        refuse(r, &why);
        return;
    }
    r->request.subscriptions = true;
    r->request.incremental = GQL_INCREMENTAL_NEW;
    r->work = c->work;
    r->work.arena = &record->arena;
    pl_operation_config config = {.instance = instance,
                                  .request = &r->request,
                                  .work = &r->work,
                                  .host = c->endpoint->host,
                                  .endpoint = c->endpoint,
                                  .payload = on_payload,
                                  .data = r,
                                  .place = &r->operation};
    pl_operation_start(&config);
}

static void on_stop(void *data, pl_ws_operation *record)
{
    running *r = record->data;
    (void)data;
    if (!r)
        return;
    forget_held(r);
    if (r->operation)
        pl_operation_cancel(r->operation);
}

static void on_send(void *data, pl_str message)
{
    connection *c = data;
    pl_websocket_send(c->ws, message); /* a failure closes it */
}

static void on_close(void *data, unsigned code, const char *reason)
{
    connection *c = data;
    stop_timers(c);
    cancel_init(c);
    pl_endpoint_remove(&c->link);
    pl_websocket_close(c->ws, code, pl_str_of(reason));
}

/* --- the WebSocket --- */
static void ws_message(pl_websocket *ws, pl_str message, bool binary)
{
    connection *c = pl_websocket_data(ws);
    if (binary)
        pl_ws_session_close(c->session, c->protocol == PL_WS_LEGACY ? 1003 : PL_WS_BAD_MESSAGE,
                            "messages must be text");
    else
        pl_ws_session_message(c->session, message);
}

static void ws_drained(pl_websocket *ws)
{
    connection *c = pl_websocket_data(ws);
    if (c->holding)
        let_go(c);
}

static void ws_closed(pl_websocket *ws, unsigned code)
{
    connection *c = pl_websocket_data(ws);
    (void)code;
    stop_timers(c);
    pl_endpoint_remove(&c->link);
    cancel_init(c);
    pl_ws_session_free(c->session);
    pl_arena_dispose(&c->arena);
    pl_free(c);
}

static void drain(pl_endpoint_link *link)
{
    connection *c = (connection *)link;
    pl_ws_session_close(c->session, 1001, "The server is going away");
}

/* --- the handshake --- */
static bool offers(pl_str offered, const char *protocol)
{
    while (offered.len > 0) {
        const char *comma = memchr(offered.ptr, ',', offered.len);
        size_t n = comma ? (size_t)(comma - offered.ptr) : offered.len;
        pl_str one = {offered.ptr, n};
        while (one.len > 0 && (one.ptr[0] == ' ' || one.ptr[0] == '\t')) {
            one.ptr++;
            one.len--;
        }
        while (one.len > 0 && (one.ptr[one.len - 1] == ' ' || one.ptr[one.len - 1] == '\t'))
            one.len--;
        if (pl_str_is(one, protocol))
            return true;
        n += comma != NULL;
        offered = (pl_str){offered.ptr + n, offered.len - n};
    }
    return false;
}

/* What operations see of the request, which goes with the handshake. */
static bool copy_request(connection *c, const pl_http_request *http)
{
    pl_header *headers = pl_arena_array(&c->arena, http->header_count, sizeof *headers);
    if (!headers)
        return false;
    for (size_t i = 0; i < http->header_count; i++) {
        headers[i] = (pl_header){pl_arena_str(&c->arena, http->headers[i].name),
                                 pl_arena_str(&c->arena, http->headers[i].value)};
        if (!headers[i].name.ptr || !headers[i].value.ptr)
            return false;
    }
    c->work = (pl_work){.protocol = "graphql",
                        .id = pl_arena_str(&c->arena, http->id),
                        .peer = pl_arena_str(&c->arena, http->peer),
                        .headers = headers,
                        .header_count = http->header_count,
                        .arena = &c->arena,
                        .ctx = PL_REF_NONE,
                        .log = c->endpoint->log};
    return c->work.id.ptr && c->work.peer.ptr;
}

static connection *connection_new(pl_endpoint *endpoint, const pl_http_request *http, pl_ws_protocol protocol)
{
    static const pl_ws_ops ops = {
        .send = on_send, .close = on_close, .init = on_init, .start = on_start, .stop = on_stop};
    connection *c = pl_calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->endpoint = endpoint;
    c->protocol = protocol;
    c->config = endpoint->live->generation->config.websocket;
    pl_arena_init(&c->arena, 512);
    pl_ws_limits limits = {.max_operations = c->config.max_operations};
    c->session = pl_ws_session_new(protocol, &limits, &ops, c);
    if (c->session && copy_request(c, http))
        return c;
    pl_ws_session_free(c->session);
    pl_arena_dispose(&c->arena);
    pl_free(c);
    return NULL;
}

static void respond(pl_http_request *http, int status, pl_code code, const char *message)
{
    pl_buf body;
    pl_buf_init(&body);
    gql_write_error(&body, code, pl_str_of(message));
    pl_http_response response = {.status = status,
                                 .content_type = PL_STR("application/json; charset=utf-8"),
                                 .body = body.failed ? PL_STR("{}") : pl_buf_view(&body)};
    pl_http_respond(http, &response);
    pl_buf_dispose(&body);
}

/* A client that speaks neither protocol: it is told so by the code of the closing handshake. */
static void closed_at_once(pl_websocket *ws, unsigned code)
{
    (void)ws;
    (void)code;
}

static void no_message(pl_websocket *ws, pl_str message, bool binary)
{
    (void)ws;
    (void)message;
    (void)binary;
}

static void refuse_protocol(pl_http_request *http)
{
    static const pl_websocket_handler handler = {.message = no_message, .closed = closed_at_once};
    static const pl_websocket_options options = {0};
    pl_websocket *ws = pl_websocket_accept(http, PL_STR_NONE, &options, &handler, NULL);
    if (ws)
        pl_websocket_close(ws, PL_WS_SUBPROTOCOL, PL_STR("Subprotocol not acceptable"));
}

void pl_graphql_ws(pl_endpoint *endpoint, pl_http_request *http)
{
    static const pl_websocket_handler handler = {
        .message = ws_message, .drained = ws_drained, .closed = ws_closed};
    const pl_config *config = &endpoint->live->generation->config;
    pl_str offered = pl_http_header(http, PL_STR("sec-websocket-protocol"));
    bool newer = offered.ptr && offers(offered, "graphql-transport-ws");
    if (!newer && !(offered.ptr && offers(offered, "graphql-ws"))) {
        refuse_protocol(http);
        return;
    }
    if (config->reading.csrf.mode != PL_CSRF_OFF && pl_csrf_is_foreign(&config->http.cors, http)) {
        respond(
            http, 403, PL_PERMISSION_DENIED,
            "WebSockets are not opened for pages of this origin: http.cors.origins names those that may.");
        return;
    }
    connection *c = connection_new(endpoint, http, newer ? PL_WS_TRANSPORT : PL_WS_LEGACY);
    if (!c) {
        respond(http, 503, PL_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    pl_websocket_options options = {.max_message = c->config.max_message,
                                    .max_queued = c->config.max_queued,
                                    .ping_ms = c->config.ping_ms,
                                    .pong_timeout_ms = c->config.pong_timeout_ms};
    c->ws = pl_websocket_accept(http, newer ? PL_STR("graphql-transport-ws") : PL_STR("graphql-ws"), &options,
                                &handler, c);
    if (!c->ws) {
        pl_ws_session_free(c->session);
        pl_arena_dispose(&c->arena);
        pl_free(c);
        return;
    }
    c->link.drain = drain;
    pl_endpoint_add(endpoint, &c->link);
    c->timer_armed = start_timer(c, &c->timer, on_init_timeout, c->config.init_timeout_ms);
    if (!c->timer_armed) /* nobody would end its waiting */
        pl_ws_session_close(c->session, 1013, "out of memory");
}
