/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include "app/ws_session.h"
#include "value/json.h"

/* GraphQL over WebSocket: a client that says anything, and operations that end, or end the connection, at any
 * moment. Lines of an input are messages, but those that begin with '@' are what happens on the server's
 * side:
 *
 *   @a @r @f    connection_init is accepted, rejected, forbidden     @A   all are accepted at once
 *   @nI @eI @xI operation I (a letter) gets a payload; ends; ends with errors
 *   @c @k @t    the server closes; keeps alive; the time for connection_init is over
 *   @s @p       the next message that is sent, operation that is stopped, closes the connection
 *   @SLETTERS   what operations do from within start: n, e, x, c
 *
 * The first byte chooses the protocol. What must hold: each operation ends once, all that is sent is a JSON
 * object with a type, nothing happens after the connection has been closed. */

#define MOST 5

static void must(bool condition)
{
    if (!condition)
        abort();
}

typedef struct server {
    pl_ws_session *session;
    bool accepts, close_on_send, close_on_stop, closed, asked;
    const pl_value *params;
    pl_ws_operation *running[MOST + 1];
    size_t count;
    char on_start[8];
} server;

static void forget(server *s, pl_ws_operation *op)
{
    size_t i = 0;
    while (i < s->count && s->running[i] != op)
        i++;
    must(i < s->count);
    s->running[i] = s->running[--s->count];
}

static void on_send(void *data, pl_str message)
{
    server *s = data;
    pl_arena arena;
    pl_value value;
    pl_error err;
    must(!s->closed);
    pl_arena_init(&arena, 0);
    must(pl_json_read(&arena, message, NULL, &value, &err) == PL_OK && value.kind == PL_KIND_MAP);
    const pl_value *type = pl_value_member(&value, PL_STR("type"));
    must(type && type->kind == PL_KIND_STRING);
    pl_arena_dispose(&arena);
    if (!s->close_on_send)
        return;
    s->close_on_send = false;
    pl_ws_session_close(s->session, 1001, "send");
}

static void on_close(void *data, unsigned code, const char *reason)
{
    server *s = data;
    must(!s->closed && s->count == 0);
    must(code >= 1000 && code < 5000 && strlen(reason) <= 123);
    s->closed = true;
}

static void on_init(void *data, const pl_value *payload)
{
    server *s = data;
    must(!s->closed && !s->asked);
    s->asked = true;
    s->params = payload;
    if (s->accepts)
        pl_ws_session_acknowledge(s->session);
}

static void end(server *s, pl_ws_operation *op, bool errors)
{
    forget(s, op);
    pl_ws_session_end(op, errors ? PL_STR("[{\"message\":\"no\"}]") : PL_STR_NONE);
}

static bool next(pl_ws_operation *op)
{
    return pl_ws_session_next(op, PL_STR("{\"data\":{\"a\":1}}"));
}

static void on_start(void *data, pl_ws_operation *op, const pl_value *payload)
{
    server *s = data;
    must(!s->closed && pl_ws_session_is_open(s->session));
    must(op->id.len > 0 && op->id.len <= 256 && payload->kind == PL_KIND_MAP);
    must(s->count < MOST);
    s->running[s->count++] = op;
    for (const char *c = s->on_start; *c; c++) {
        if (*c == 'n' && !next(op))
            return;
        if (*c == 'e' || *c == 'x') {
            end(s, op, *c == 'x');
            return;
        }
        if (*c == 'c') {
            pl_ws_session_close(s->session, 1001, "start");
            return;
        }
    }
}

static void on_stop(void *data, pl_ws_operation *op)
{
    server *s = data;
    forget(s, op);
    if (!s->close_on_stop)
        return;
    s->close_on_stop = false;
    pl_ws_session_close(s->session, 1001, "stop");
}

static pl_ws_operation *chosen(server *s, pl_str line)
{
    return s->count && line.len > 2 ? s->running[(unsigned char)line.ptr[2] % s->count] : NULL;
}

static void act(server *s, pl_str line)
{
    pl_ws_operation *op = chosen(s, line);
    switch (line.len > 1 ? line.ptr[1] : 0) {
    case 'a':
        pl_ws_session_acknowledge(s->session);
        break;
    case 'A':
        s->accepts = true;
        break;
    case 'r':
    case 'f':
        pl_ws_session_reject(s->session, line.ptr[1] == 'f', (pl_str){line.ptr + 2, line.len - 2});
        break;
    case 'n':
        if (op)
            next(op);
        break;
    case 'e':
    case 'x':
        if (op)
            end(s, op, line.ptr[1] == 'x');
        break;
    case 'c':
        pl_ws_session_close(s->session, 1000, "");
        break;
    case 'k':
        pl_ws_session_keep_alive(s->session);
        break;
    case 't':
        pl_ws_session_init_timeout(s->session);
        break;
    case 's':
        s->close_on_send = true;
        break;
    case 'p':
        s->close_on_stop = true;
        break;
    case 'S':
        snprintf(s->on_start, sizeof s->on_start, "%.*s", (int)(line.len - 2), line.ptr + 2);
        break;
    }
}

/* As a socket gives it: its bytes go afterwards. */
static void receive(server *s, pl_str line)
{
    char *bytes = malloc(line.len + 1);
    memcpy(bytes, line.ptr, line.len);
    pl_ws_session_message(s->session, (pl_str){bytes, line.len});
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const pl_ws_ops ops = {
        .send = on_send, .close = on_close, .init = on_init, .start = on_start, .stop = on_stop};
    server s = {0};
    if (size == 0)
        return 0;
    s.session =
        pl_ws_session_new(data[0] & 1 ? PL_WS_LEGACY : PL_WS_TRANSPORT, &(pl_ws_limits){MOST}, &ops, &s);
    pl_str rest = {(const char *)data + 1, size - 1};
    while (rest.len > 0) {
        const char *end_of_line = memchr(rest.ptr, '\n', rest.len);
        size_t n = end_of_line ? (size_t)(end_of_line - rest.ptr) : rest.len;
        pl_str line = {rest.ptr, n};
        if (line.len > 0 && line.ptr[0] == '@')
            act(&s, line);
        else
            receive(&s, line);
        n += end_of_line != NULL;
        rest = (pl_str){rest.ptr + n, rest.len - n};
        must(pl_ws_session_operations(s.session) == s.count && s.count <= MOST);
        must(!s.closed || !pl_ws_session_is_open(s.session));
        if (s.params) { /* they live as long as the session */
            pl_buf json;
            pl_buf_init(&json);
            pl_json_value(&json, s.params);
            pl_buf_dispose(&json);
        }
    }
    pl_ws_session_free(s.session);
    must(s.count == 0);
    return 0;
}
