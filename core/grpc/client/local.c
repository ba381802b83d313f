/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"
#include "grpc/client/internal.h"

/* Calls to services of the same process: a carrier between a call of a client and one that is served, without
 * sockets and HTTP/2. Both sides only leave word; what they have for each other is handed over in the turn,
 * where scripts may run. Each side is given no more than a window of bytes that it has not taken. */

#define WINDOW ((size_t)256 << 10)
#define STREAM_CHUNK 2048
#define CANCEL 0x8

typedef struct local_stream local_stream;
struct local_stream {
    pl_client_stream client; /* first */
    pl_grpc_stream server;
    pl_client_set *set;
    pl_grpc_handler *handler; /* NULL: it has been asked */
    local_stream *next_due;
    bool is_due, in_turn, again;
    bool client_gone;               /* nobody listens there any more */
    bool client_finished, end_told; /* the request is whole; the server knows */
    bool answered, answer_told;     /* headers are there; the client knows */
    bool server_finished;           /* the answer is whole */
    bool was_reset;                 /* by the server */
    uint32_t error;
    const pl_header *trailers;
    size_t trailer_count;
    size_t untaken_request, untaken_answer; /* bytes */
};

static void due(local_stream *s)
{
    if (s->in_turn) {
        s->again = true;
    } else if (!s->is_due) {
        s->is_due = true;
        s->next_due = s->set->due_locals;
        s->set->due_locals = s;
    }
    client_soon(s->set);
}

/* --- the client's side --- */
static local_stream *of_client(pl_client_stream *stream)
{
    return (local_stream *)stream;
}

static void client_flush(pl_client_stream *stream)
{
    due(of_client(stream));
}

static void client_finish(pl_client_stream *stream)
{
    of_client(stream)->client_finished = true;
    due(of_client(stream));
}

static void client_cancel(pl_client_stream *stream, uint32_t error)
{
    (void)error;
    of_client(stream)->client_gone = true;
    due(of_client(stream));
}

static void client_consumed(pl_client_stream *stream, size_t bytes)
{
    of_client(stream)->untaken_answer -= bytes;
    due(of_client(stream));
}

static const pl_client_stream_ops client_ops = {
    .flush = client_flush, .finish = client_finish, .cancel = client_cancel, .consumed = client_consumed};

/* --- the server's side --- */
static local_stream *of_server(pl_grpc_stream *stream)
{
    return (local_stream *)((char *)stream - offsetof(local_stream, server));
}

/* What cannot be copied is left out, which is said. */
static void copy_headers(local_stream *s, pl_grpc_metadata *out, const pl_header *headers, size_t count)
{
    pl_arena *arena = &s->client.arena;
    for (size_t i = 0; i < count; i++) {
        pl_str name = pl_arena_str(arena, headers[i].name), value = pl_arena_str(arena, headers[i].value);
        if (!name.ptr || !value.ptr || !pl_grpc_metadata_add(out, arena, name, value))
            s->client.headers_too_large = true;
    }
}

static void server_respond(pl_grpc_stream *stream, int status, const pl_header *headers, size_t count,
                           bool alone)
{
    local_stream *s = of_server(stream);
    if (s->answered)
        return;
    s->answered = true;
    s->client.status = status;
    s->client.alone = s->server_finished = alone;
    copy_headers(s, &s->client.headers, headers, count);
    due(s);
}

static void server_flush(pl_grpc_stream *stream)
{
    due(of_server(stream));
}

static void server_finish(pl_grpc_stream *stream, const pl_header *trailers, size_t count)
{
    local_stream *s = of_server(stream);
    s->server_finished = true;
    s->trailers = trailers;
    s->trailer_count = count;
    stream->waits = false;
    due(s);
}

static void server_reset(pl_grpc_stream *stream, uint32_t error)
{
    local_stream *s = of_server(stream);
    s->was_reset = true;
    s->error = error;
    due(s);
}

static void server_consumed(pl_grpc_stream *stream, size_t bytes)
{
    of_server(stream)->untaken_request -= bytes;
    due(of_server(stream));
}

static const pl_grpc_stream_ops server_ops = {.respond = server_respond,
                                              .flush = server_flush,
                                              .finish = server_finish,
                                              .reset = server_reset,
                                              .consumed = server_consumed};

/* --- handing over; each of these may run scripts, which leave word only --- */
static void ask(local_stream *s)
{
    pl_grpc_handler *handler = s->handler;
    s->handler = NULL;
    handler->request(handler, &s->server);
}

static void hand_request(local_stream *s)
{
    size_t n = pl_client_stream_unsent(&s->client);
    if (n > 0 && s->untaken_request < WINDOW && s->server.events) {
        pl_buf bytes = s->client.out;
        size_t from = s->client.sent;
        pl_buf_init(&s->client.out);
        s->client.sent = 0;
        s->untaken_request += n;
        s->server.events->data(&s->server, (pl_str){bytes.data + from, n});
        pl_buf_dispose(&bytes);
    }
    if (s->client.waits && !s->client_gone && pl_client_stream_unsent(&s->client) == 0) {
        s->client.waits = false;
        s->client.events->writable(&s->client);
    }
    if (s->client_finished && !s->end_told && pl_client_stream_unsent(&s->client) == 0) {
        s->end_told = true;
        if (s->server.events)
            s->server.events->end(&s->server);
    }
}

static void hand_answer(local_stream *s)
{
    size_t n = pl_grpc_stream_unsent(&s->server);
    if (s->answered && !s->answer_told && !s->client.alone && !s->client_gone) {
        s->answer_told = true;
        s->client.events->headers(&s->client);
    }
    if (n > 0 && s->untaken_answer < WINDOW && !s->client_gone) {
        pl_buf bytes = s->server.out;
        size_t from = s->server.sent;
        pl_buf_init(&s->server.out);
        s->server.sent = 0;
        s->untaken_answer += n;
        s->client.events->data(&s->client, (pl_str){bytes.data + from, n});
        pl_buf_dispose(&bytes);
    }
    if (s->server.waits && s->server.events && pl_grpc_stream_unsent(&s->server) == 0) {
        s->server.waits = false;
        s->server.events->writable(&s->server);
    }
}

/* True: it is over for the client. */
static bool hand_end(local_stream *s)
{
    pl_client_end end = {.kind = PL_CLIENT_ANSWERED, .sent = true};
    if (s->client_gone)
        return true;
    if (s->was_reset) {
        end.kind = PL_CLIENT_RESET;
        end.error = s->error;
    } else if (!s->server_finished || pl_grpc_stream_unsent(&s->server) > 0) {
        return false;
    }
    copy_headers(s, &s->client.trailers, s->trailers, s->trailer_count);
    s->client_gone = true;
    s->client.events->closed(&s->client, &end);
    return true;
}

static void destroy(local_stream *s)
{
    pl_arena_dispose(&s->client.arena);
    pl_buf_dispose(&s->client.out);
    pl_grpc_stream_dispose(&s->server);
    pl_free(s);
}

static void hand_over(local_stream *s)
{
    s->in_turn = true;
    s->again = false;
    if (s->handler && !s->client_gone)
        ask(s);
    if (!s->client_gone && !s->was_reset)
        hand_request(s);
    if (!s->client_gone)
        hand_answer(s);
    bool over = hand_end(s);
    if (over && s->server.events)
        s->server.events->closed(&s->server);
    s->in_turn = false;
    if (over)
        destroy(s);
    else if (s->again)
        due(s);
}

void client_local_turn(pl_client_set *set)
{
    local_stream *list = set->due_locals;
    set->due_locals = NULL;
    while (list) {
        local_stream *s = list;
        list = s->next_due;
        s->is_due = false;
        hand_over(s);
    }
}

/* --- the beginning --- */
static bool read_request(local_stream *s, const pl_header *headers, size_t count)
{
    pl_grpc_stream *server = &s->server;
    for (size_t i = 0; i < count; i++) {
        pl_str name = pl_arena_str(&server->arena, headers[i].name);
        pl_str value = pl_arena_str(&server->arena, headers[i].value);
        pl_str *place = pl_str_is(name, ":path")        ? &server->path
                        : pl_str_is(name, ":method")    ? &server->method
                        : pl_str_is(name, ":scheme")    ? &server->scheme
                        : pl_str_is(name, ":authority") ? &server->authority
                                                        : NULL;
        if (!name.ptr || !value.ptr)
            return false;
        if (place)
            *place = value;
        else if (!pl_grpc_metadata_add(&server->headers, &server->arena, name, value))
            return false;
    }
    return true;
}

pl_client_stream *client_local_start(pl_client_channel *channel, const pl_header *headers, size_t count,
                                     const pl_client_stream_events *events, void *call)
{
    local_stream *s = channel->local ? pl_calloc(1, sizeof *s) : NULL;
    if (!s)
        return NULL;
    s->set = channel->set;
    s->handler = channel->local;
    s->client.ops = &client_ops;
    s->client.events = events;
    s->client.call = call;
    pl_arena_init(&s->client.arena, STREAM_CHUNK);
    pl_buf_init(&s->client.out);
    s->server.ops = &server_ops;
    s->server.peer = PL_STR("local");
    s->server.secure = true;
    pl_grpc_stream_init(&s->server, STREAM_CHUNK);
    if (!read_request(s, headers, count)) {
        destroy(s);
        return NULL;
    }
    due(s);
    return &s->client;
}
