/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "grpc/session.h"

/* A client of HTTP/2 that says anything, in pieces of any size, to a server that does anything that a call
 * may do. The first bytes are how: options, the size of pieces, time between them, and what the server does
 * at each event in turn; the rest is what the client says. What must hold: a stream is told of its data and
 * its end before it is closed and nothing afterwards, each is closed once, sessions count them rightly, what
 * waits is bounded, and a session that is not open any more begins nothing.
 *
 * With QUIET the server does nothing, and what it has been told must be the same in pieces and as a whole. */

#define ACTIONS 16
#define HEAD (4 + ACTIONS)
#define MOST_STREAMS 20
#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define HELLO PREFACE "\0\0\0\4\0\0\0\0\0" /* with SETTINGS */

enum { NO_HELLO = 1, QUIET = 2, DRAIN = 4, NO_SEND = 8 };

static void must(bool condition)
{
    if (!condition)
        abort();
}

typedef struct server {
    pl_grpc_handler handler; /* first */
    const uint8_t *actions;
    unsigned next;
    bool quiet;
    unsigned open, begun;
    size_t data;
    pl_buf told; /* QUIET */
} server;

static server *the; /* libFuzzer is one thread; streams have no other way to it */

static void tell(pl_str a, pl_str b)
{
    if (!the->quiet)
        return;
    pl_buf_str(&the->told, a);
    pl_buf_char(&the->told, '=');
    pl_buf_str(&the->told, b);
    pl_buf_char(&the->told, '\n');
}

static void send_bytes(pl_grpc_stream *stream, size_t count)
{
    static const char bytes[70000];
    pl_buf_append(&stream->out, bytes, count);
    stream->ops->flush(stream);
    if (pl_grpc_stream_unsent(stream) > PL_GRPC_UNSENT)
        stream->waits = true;
}

static void end(pl_grpc_stream *stream)
{
    static const pl_header status[] = {{{"grpc-status", 11}, {"0", 1}}, {{"x", 1}, {"", 0}}};
    stream->ops->finish(stream, status, the->next % 3);
}

static void act(pl_grpc_stream *stream)
{
    static const pl_header headers[] = {{{"content-type", 12}, {"application/grpc", 16}}};
    if (the->quiet)
        return;
    uint8_t what = the->actions[the->next++ % ACTIONS];
    switch (what % 9) {
    case 1:
        stream->ops->respond(stream, 200, headers, 1, true);
        break;
    case 2:
    case 3:
        stream->ops->respond(stream, 200, headers, 1, false);
        if (pl_grpc_stream_unsent(stream) <= PL_GRPC_UNSENT)
            send_bytes(stream, (size_t)what * 270);
        break;
    case 4:
        stream->ops->respond(stream, 200, headers, 1, false);
        end(stream);
        break;
    case 5:
        stream->ops->reset(stream, what);
        break;
    case 6:
        stream->ops->consumed(stream, the->data);
        the->data = 0;
        break;
    case 7:
        stream->ops->respond(stream, 404, NULL, 0, what > 100);
        stream->events = NULL; /* it has lost its interest */
        the->open--;
        break;
    default:
        break;
    }
}

static void on_data(pl_grpc_stream *stream, pl_str bytes)
{
    must(stream->call == the);
    the->data += bytes.len;
    for (size_t i = 0; the->quiet && i < bytes.len; i++)
        tell(PL_STR("byte"), (pl_str){bytes.ptr + i, 1});
    act(stream);
}

static void on_end(pl_grpc_stream *stream)
{
    must(stream->call == the);
    tell(stream->path, PL_STR("end"));
    act(stream);
}

static void on_closed(pl_grpc_stream *stream)
{
    must(stream->call == the && the->open > 0);
    stream->call = NULL;
    the->open--;
}

static void on_request(pl_grpc_handler *handler, pl_grpc_stream *stream)
{
    static const pl_grpc_stream_events events = {
        .data = on_data, .end = on_end, .writable = act, .closed = on_closed};
    must(handler == &the->handler && !stream->call);
    must(stream->method.ptr && stream->headers.count <= 1000);
    stream->call = the;
    stream->events = &events;
    the->open++;
    the->begun++;
    tell(stream->method, stream->path);
    for (size_t i = 0; i < stream->headers.count; i++)
        tell(stream->headers.items[i].name, stream->headers.items[i].value);
    act(stream);
}

/* Whether it goes on. */
static bool feed(pl_grpc_session *session, const uint8_t *head, const uint8_t *bytes, size_t size, bool whole)
{
    size_t piece = whole || head[1] == 0 ? size : head[1];
    uint64_t now = 1000, step = the->quiet ? 0 : head[2];
    bool drains = !the->quiet && (head[0] & DRAIN), sends = !the->quiet && !(head[0] & NO_SEND);
    pl_buf out;
    pl_buf_init(&out);
    bool open = true;
    if (!(head[0] & NO_HELLO))
        pl_grpc_session_receive(session, (pl_str){HELLO, sizeof HELLO - 1}, now);
    for (size_t at = 0; at < size && open; at += piece) {
        size_t n = size - at < piece ? size - at : piece;
        pl_grpc_session_receive(session, (pl_str){(const char *)bytes + at, n}, now);
        now += step;
        if (drains && at / piece == 3)
            pl_grpc_session_drain(session, now);
        pl_buf_reset(&out, (size_t)1 << 20);
        if (sends) {
            bool sound = pl_grpc_session_send(session, &out, 100000, now);
            must(sound == (pl_grpc_session_get_state(session) != PL_GRPC_SESSION_BROKEN));
            must(out.len < 200000);
        }
        pl_grpc_session_tick(session, now);
        pl_grpc_session_stats stats = pl_grpc_session_get_stats(session);
        must(stats.streams <= MOST_STREAMS && the->open <= stats.streams && the->begun <= stats.begun);
        open = pl_grpc_session_get_state(session) == PL_GRPC_SESSION_OPEN;
    }
    pl_buf_dispose(&out);
    return open;
}

static bool run(const uint8_t *head, const uint8_t *bytes, size_t size, bool whole, pl_buf *told)
{
    server s = {.handler = {.request = on_request}, .actions = head + 4, .quiet = (head[0] & QUIET) != 0};
    pl_grpc_session_options options = {.max_streams = MOST_STREAMS,
                                       .stream_window = 1000u + head[3] * 1000u,
                                       .max_headers = 4000,
                                       .max_resets = 20,
                                       .keepalive_ms = 2000,
                                       .ping_interval_ms = 100,
                                       .idle_ms = 5000,
                                       .age_ms = 20000,
                                       .age_grace_ms = 2000};
    pl_error err;
    the = &s;
    pl_buf_init(&s.told);
    pl_grpc_streams *streams = pl_grpc_streams_new(4);
    pl_grpc_session_config config = {
        .options = &options, .streams = streams, .handler = &s.handler, .now = 1000, .random = 7};
    pl_grpc_session *session = streams ? pl_grpc_session_new(&config, &err) : NULL;
    must(session != NULL);
    bool open = feed(session, head, bytes, size, whole);
    pl_grpc_session_free(session);
    must(s.open == 0);
    pl_grpc_streams_free(streams);
    *told = s.told;
    return open;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pl_buf pieces, whole;
    if (size < HEAD)
        return 0;
    bool open = run(data, data + HEAD, size - HEAD, false, &pieces);
    if (data[0] & QUIET) {
        bool also = run(data, data + HEAD, size - HEAD, true, &whole);
        /* When it is at an end (by a GOAWAY, type 7, of the client's, too), what comes behind that in the
         * same piece may be heard of, or not. */
        bool ends = !open || !also || memchr(data + HEAD, 7, size - HEAD);
        must(ends ? pl_str_starts(pl_buf_view(&whole), pl_buf_view(&pieces))
                  : pl_str_eq(pl_buf_view(&pieces), pl_buf_view(&whole)));
        pl_buf_dispose(&whole);
    }
    pl_buf_dispose(&pieces);
    return 0;
}
