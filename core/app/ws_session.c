/* SPDX-License-Identifier: MIT */
#include "app/ws_session.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/map.h"
#include "value/json.h"

#define DEFAULT_OPERATIONS 256
#define MAX_EARLY 32      /* messages of the older protocol that may come before the acknowledgement */
#define EARLY_BYTES 65536 /* all of them */
#define ARENA_CHUNK 1024

typedef enum state { OPENED, INITIALISING, ACKNOWLEDGED, CLOSED } state;

struct pl_ws_session {
    pl_ws_protocol protocol;
    pl_ws_limits limits;
    const pl_ws_ops *ops;
    void *data;
    state state;
    pl_arena arena; /* of connection_init's payload */
    pl_map by_id;
    pl_ws_operation *operations;
    pl_buf out;
    pl_str early[MAX_EARLY]; /* copies */
    size_t early_count, early_bytes;
};

pl_ws_session *pl_ws_session_new(pl_ws_protocol protocol, const pl_ws_limits *limits, const pl_ws_ops *ops,
                                 void *data)
{
    pl_ws_session *s = pl_calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->protocol = protocol;
    s->limits = *limits;
    if (s->limits.max_operations == 0)
        s->limits.max_operations = DEFAULT_OPERATIONS;
    s->ops = ops;
    s->data = data;
    pl_arena_init(&s->arena, ARENA_CHUNK);
    pl_map_init(&s->by_id);
    pl_buf_init(&s->out);
    return s;
}

/* --- operations --- */
static pl_ws_operation *operation_new(pl_ws_session *s)
{
    pl_ws_operation *op = pl_calloc(1, sizeof *op);
    if (!op)
        return NULL;
    op->session = s;
    pl_arena_init(&op->arena, ARENA_CHUNK);
    return op;
}

static void operation_free(pl_ws_operation *op)
{
    pl_arena_dispose(&op->arena);
    pl_free(op);
}

static bool operation_add(pl_ws_operation *op)
{
    pl_ws_session *s = op->session;
    if (!pl_map_set(&s->by_id, op->id, op))
        return false;
    op->next = s->operations;
    if (op->next)
        op->next->prev = op;
    s->operations = op;
    return true;
}

static void operation_remove(pl_ws_operation *op)
{
    pl_ws_session *s = op->session;
    pl_map_remove(&s->by_id, op->id);
    *(op->prev ? &op->prev->next : &s->operations) = op->next;
    if (op->next)
        op->next->prev = op->prev;
}

static void stop(pl_ws_operation *op)
{
    pl_ws_session *s = op->session;
    operation_remove(op);
    s->ops->stop(s->data, op);
    operation_free(op);
}

static void forget_early(pl_ws_session *s)
{
    for (size_t i = 0; i < s->early_count; i++)
        pl_free((char *)s->early[i].ptr);
    s->early_count = s->early_bytes = 0;
}

static void stop_all(pl_ws_session *s)
{
    while (s->operations)
        stop(s->operations);
    forget_early(s);
}

void pl_ws_session_free(pl_ws_session *s)
{
    if (!s)
        return;
    s->state = CLOSED;
    stop_all(s);
    pl_arena_dispose(&s->arena);
    pl_map_dispose(&s->by_id);
    pl_buf_dispose(&s->out);
    pl_free(s);
}

size_t pl_ws_session_operations(const pl_ws_session *s)
{
    return s->by_id.count;
}

pl_ws_operation *pl_ws_session_first(const pl_ws_session *s)
{
    return s->operations;
}

bool pl_ws_session_is_open(const pl_ws_session *s)
{
    return s->state == ACKNOWLEDGED;
}

/* --- what is sent --- */
void pl_ws_session_close(pl_ws_session *s, unsigned code, const char *reason)
{
    if (s->state == CLOSED)
        return;
    s->state = CLOSED;
    stop_all(s);
    s->ops->close(s->data, code, reason);
}

static void close_with(pl_ws_session *s, unsigned code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void close_with(pl_ws_session *s, unsigned code, const char *fmt, ...)
{
    char reason[124]; /* what a close frame can hold */
    va_list args;
    va_start(args, fmt);
    vsnprintf(reason, sizeof reason, fmt, args);
    va_end(args);
    pl_ws_session_close(s, code, reason);
}

static void flush(pl_ws_session *s)
{
    if (s->out.failed)
        pl_ws_session_close(s, s->protocol == PL_WS_LEGACY ? 1011 : PL_WS_INTERNAL, "out of memory");
    else if (s->state != CLOSED)
        s->ops->send(s->data, pl_buf_view(&s->out));
    pl_buf_reset(&s->out, 4096);
}

/* {"id":…,"type":… */
static void begin(pl_ws_session *s, pl_str id, const char *type)
{
    pl_buf_char(&s->out, '{');
    if (id.ptr) {
        PL_BUF_LIT(&s->out, "\"id\":");
        pl_json_string(&s->out, id);
        pl_buf_char(&s->out, ',');
    }
    PL_BUF_LIT(&s->out, "\"type\":\"");
    pl_buf_str(&s->out, pl_str_of(type));
    pl_buf_char(&s->out, '"');
}

static void send_simple(pl_ws_session *s, const char *type)
{
    begin(s, PL_STR_NONE, type);
    pl_buf_char(&s->out, '}');
    flush(s);
}

static void send_payload(pl_ws_session *s, pl_str id, const char *type, pl_str payload)
{
    begin(s, id, type);
    PL_BUF_LIT(&s->out, ",\"payload\":");
    pl_buf_str(&s->out, payload);
    pl_buf_char(&s->out, '}');
    flush(s);
}

static void send_message(pl_ws_session *s, pl_str id, const char *type, const char *message)
{
    begin(s, id, type);
    PL_BUF_LIT(&s->out, ",\"payload\":{\"message\":");
    pl_json_string(&s->out, pl_str_of(message));
    PL_BUF_LIT(&s->out, "}}");
    flush(s);
}

bool pl_ws_session_next(pl_ws_operation *op, pl_str payload)
{
    pl_ws_session *s = op->session;
    if (s->state == ACKNOWLEDGED)
        send_payload(s, op->id, s->protocol == PL_WS_LEGACY ? "data" : "next", payload);
    return s->state == ACKNOWLEDGED;
}

void pl_ws_session_end(pl_ws_operation *op, pl_str errors)
{
    pl_ws_session *s = op->session;
    operation_remove(op);
    if (s->state != ACKNOWLEDGED) {
        operation_free(op);
        return;
    }
    if (!errors.ptr) {
        begin(s, op->id, "complete");
        pl_buf_char(&s->out, '}');
    } else if (s->protocol == PL_WS_TRANSPORT) {
        begin(s, op->id, "error");
        PL_BUF_LIT(&s->out, ",\"payload\":");
        pl_buf_str(&s->out, errors);
        pl_buf_char(&s->out, '}');
    } else { /* its "error" can carry one only */
        begin(s, op->id, "data");
        PL_BUF_LIT(&s->out, ",\"payload\":{\"errors\":");
        pl_buf_str(&s->out, errors);
        PL_BUF_LIT(&s->out, "}}");
        flush(s);
        begin(s, op->id, "complete");
        pl_buf_char(&s->out, '}');
    }
    flush(s);
    operation_free(op);
}

void pl_ws_session_keep_alive(pl_ws_session *s)
{
    if (s->protocol == PL_WS_LEGACY && s->state == ACKNOWLEDGED)
        send_simple(s, "ka");
}

/* --- connection_init --- */
static void handle(pl_ws_session *s, pl_str text);

void pl_ws_session_acknowledge(pl_ws_session *s)
{
    if (s->state != INITIALISING)
        return;
    s->state = ACKNOWLEDGED;
    send_simple(s, "connection_ack");
    pl_ws_session_keep_alive(s);
    for (size_t i = 0; i < s->early_count && s->state == ACKNOWLEDGED; i++)
        handle(s, s->early[i]);
    forget_early(s);
}

void pl_ws_session_reject(pl_ws_session *s, bool forbidden, pl_str message)
{
    char reason[124];
    if (s->state != INITIALISING)
        return;
    snprintf(reason, sizeof reason, "%.*s", message.len > 120 ? 120 : (int)message.len, message.ptr);
    if (s->protocol == PL_WS_LEGACY) {
        send_message(s, PL_STR_NONE, "connection_error", reason);
        pl_ws_session_close(s, 1011, reason);
    } else {
        pl_ws_session_close(s, forbidden ? PL_WS_FORBIDDEN : PL_WS_INTERNAL, reason);
    }
}

void pl_ws_session_init_timeout(pl_ws_session *s)
{
    if (s->state == OPENED || s->state == INITIALISING)
        pl_ws_session_close(s, s->protocol == PL_WS_LEGACY ? 1002 : PL_WS_INIT_TIMEOUT,
                            "Connection initialisation timeout");
}

/* What is wrong with a message: the older protocol says so and goes on, the newer one closes. */
static void bad_message(pl_ws_session *s, pl_str id, const char *what)
{
    if (s->protocol == PL_WS_LEGACY)
        send_message(s, id, s->state == ACKNOWLEDGED ? "error" : "connection_error", what);
    else
        pl_ws_session_close(s, PL_WS_BAD_MESSAGE, what);
}

/* op's arena has the message. */
static void on_init(pl_ws_operation *op, const pl_value *message)
{
    pl_ws_session *s = op->session;
    const pl_value *payload = pl_value_member(message, PL_STR("payload"));
    if (payload && payload->kind == PL_KIND_NULL)
        payload = NULL;
    if (s->state != OPENED) {
        pl_ws_session_close(s, s->protocol == PL_WS_LEGACY ? 1002 : PL_WS_TOO_MANY_INITS,
                            "Too many initialisation requests");
        return;
    }
    if (payload && payload->kind != PL_KIND_MAP) {
        bad_message(s, PL_STR_NONE, "the payload of connection_init must be an object");
        return;
    }
    pl_arena arena = s->arena; /* the payload is the session's from now on */
    s->arena = op->arena;
    op->arena = arena;
    s->state = INITIALISING;
    s->ops->init(s->data, payload);
}

/* --- operations that the client asks for --- */
static const char *request_fault(const pl_value *payload)
{
    if (!payload || payload->kind != PL_KIND_MAP)
        return "the payload of the operation must be an object";
    const pl_value *query = pl_value_member(payload, PL_STR("query"));
    const pl_value *extensions = pl_value_member(payload, PL_STR("extensions"));
    const pl_value *document = pl_value_member(payload, PL_STR("documentId"));
    if (query && query->kind != PL_KIND_STRING && query->kind != PL_KIND_NULL)
        return "the \"query\" of the operation must be a string";
    if ((!query || query->kind != PL_KIND_STRING) && !extensions && !document)
        return "the payload of the operation must have a \"query\"";
    return NULL;
}

static void refuse_flood(pl_ws_operation *op)
{
    char errors[200];
    snprintf(
        errors, sizeof errors,
        "[{\"message\":\"This connection has %u operations already, which is the most that it may have.\","
        "\"extensions\":{\"code\":\"RESOURCE_EXHAUSTED\"}}]",
        op->session->limits.max_operations);
    pl_ws_session_end(op, pl_str_of(errors));
}

/* Takes op over. */
static void on_subscribe(pl_ws_operation *op, const pl_value *message)
{
    pl_ws_session *s = op->session;
    const pl_value *id = pl_value_member(message, PL_STR("id"));
    const pl_value *payload = pl_value_member(message, PL_STR("payload"));
    const char *fault = NULL;
    if (!id || id->kind != PL_KIND_STRING || id->string.len == 0 || id->string.len > 256)
        fault = "an operation must have an \"id\": a string of 1 to 256 bytes";
    else
        fault = request_fault(payload);
    if (fault) {
        bad_message(s, id && id->kind == PL_KIND_STRING ? id->string : PL_STR_NONE, fault);
        operation_free(op);
        return;
    }
    op->id = id->string;
    pl_ws_operation *other = pl_map_get(&s->by_id, op->id);
    if (other && s->protocol == PL_WS_TRANSPORT) {
        close_with(s, PL_WS_DUPLICATE_ID, "Subscriber for %.*s already exists",
                   op->id.len > 80 ? 80 : (int)op->id.len, op->id.ptr);
        operation_free(op);
        return;
    }
    if (other)
        stop(other); /* the older protocol's way */
    if (s->state == CLOSED) {
        operation_free(op);
    } else if (!operation_add(op)) {
        operation_free(op);
        pl_ws_session_close(s, s->protocol == PL_WS_LEGACY ? 1011 : PL_WS_INTERNAL, "out of memory");
    } else if (s->by_id.count > s->limits.max_operations) {
        refuse_flood(op);
    } else {
        s->ops->start(s->data, op, payload);
    }
}

static void on_complete(pl_ws_session *s, const pl_value *message)
{
    const pl_value *id = pl_value_member(message, PL_STR("id"));
    if (!id || id->kind != PL_KIND_STRING) {
        bad_message(s, PL_STR_NONE, "the message must have an \"id\", a string");
        return;
    }
    pl_ws_operation *op = pl_map_get(&s->by_id, id->string);
    if (op)
        stop(op); /* else it has ended meanwhile */
}

static void on_ping(pl_ws_session *s, const pl_value *message)
{
    const pl_value *payload = pl_value_member(message, PL_STR("payload"));
    begin(s, PL_STR_NONE, "pong");
    if (payload && payload->kind == PL_KIND_MAP) {
        PL_BUF_LIT(&s->out, ",\"payload\":");
        pl_json_value(&s->out, payload);
    }
    pl_buf_char(&s->out, '}');
    flush(s);
}

/* --- messages --- */
typedef enum kind { INIT, SUBSCRIBE, COMPLETE, PING, PONG, TERMINATE, UNKNOWN } kind;

static kind kind_of(const pl_ws_session *s, pl_str type)
{
    bool legacy = s->protocol == PL_WS_LEGACY;
    if (pl_str_is(type, "connection_init"))
        return INIT;
    if (pl_str_is(type, legacy ? "start" : "subscribe"))
        return SUBSCRIBE;
    if (pl_str_is(type, legacy ? "stop" : "complete"))
        return COMPLETE;
    if (pl_str_is(type, "connection_terminate") && legacy)
        return TERMINATE;
    if (pl_str_is(type, "ping") && !legacy)
        return PING;
    if (pl_str_is(type, "pong") && !legacy)
        return PONG;
    return UNKNOWN;
}

/* A message that comes too early. Clients of the older protocol do not wait for the acknowledgement. */
static void too_early(pl_ws_session *s, pl_str text)
{
    if (s->protocol == PL_WS_TRANSPORT || s->state == OPENED) {
        pl_ws_session_close(s, s->protocol == PL_WS_LEGACY ? 1002 : PL_WS_UNAUTHORIZED, "Unauthorized");
        return;
    }
    char *copy = s->early_count < MAX_EARLY && s->early_bytes + text.len <= EARLY_BYTES
                     ? pl_malloc(text.len + 1)
                     : NULL;
    if (!copy) {
        pl_ws_session_close(s, 1011, "too many messages before the connection was acknowledged");
        return;
    }
    memcpy(copy, text.ptr, text.len);
    s->early[s->early_count++] = (pl_str){copy, text.len};
    s->early_bytes += text.len;
}

/* Takes op, in whose arena the message is, over. */
static void dispatch(pl_ws_operation *op, pl_str text, const pl_value *message)
{
    pl_ws_session *s = op->session;
    const pl_value *type = pl_value_member(message, PL_STR("type"));
    kind k = type && type->kind == PL_KIND_STRING ? kind_of(s, type->string) : UNKNOWN;
    if ((k == SUBSCRIBE || k == COMPLETE) && s->state != ACKNOWLEDGED) {
        too_early(s, text);
    } else if (k == SUBSCRIBE) {
        on_subscribe(op, message);
        return;
    } else if (k == INIT) {
        on_init(op, message);
    } else if (k == COMPLETE) {
        on_complete(s, message);
    } else if (k == PING) {
        on_ping(s, message);
    } else if (k == TERMINATE) {
        pl_ws_session_close(s, 1000, "");
    } else if (k == UNKNOWN) {
        bad_message(s, PL_STR_NONE,
                    type ? "the message has an unknown \"type\"" : "the message has no \"type\"");
    }
    operation_free(op);
}

static void handle(pl_ws_session *s, pl_str text)
{
    pl_ws_operation *op = operation_new(s);
    pl_value message;
    pl_error err;
    pl_error_clear(&err);
    if (!op) {
        pl_ws_session_close(s, s->protocol == PL_WS_LEGACY ? 1011 : PL_WS_INTERNAL, "out of memory");
        return;
    }
    pl_value *kept = pl_arena_alloc(&op->arena, sizeof *kept);
    pl_code code = kept ? pl_json_read(&op->arena, text, NULL, &message, &err) : PL_RESOURCE_EXHAUSTED;
    if (code == PL_OK && message.kind == PL_KIND_MAP) {
        *kept = message;
        dispatch(op, text, kept);
        return;
    }
    char what[124];
    snprintf(what, sizeof what, "the message is not a JSON object%s%.70s", code ? ": " : "",
             code ? err.message : "");
    bad_message(s, PL_STR_NONE, what);
    operation_free(op);
}

void pl_ws_session_message(pl_ws_session *s, pl_str text)
{
    if (s->state != CLOSED)
        handle(s, text);
}
