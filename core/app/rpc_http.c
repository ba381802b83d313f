/* SPDX-License-Identifier: MIT */
#include "app/rpc_http.h"

#include <sys/random.h>

#include "app/generation.h"
#include "base/alloc.h"
#include "net/stream.h"

#define STREAM_CHUNK 2048
#define KEPT_BYTES ((size_t)16 << 10)
#define POOLED 256
#define EDGE_QUEUE PL_GRPC_UNSENT /* bytes that the edge is given at once */

/* One request. It stays until the end of the turn in which it has ended, since a call's functions may still
 * be on the stack. */
typedef struct exchange exchange;
struct exchange {
    pl_grpc_stream base; /* first */
    pl_rpc_http *rpc;
    exchange *next;        /* due, or free */
    pl_http_request *http; /* NULL: the client has gone, or all is answered */
    int status;
    pl_header *headers;
    size_t header_count;
    bool is_due, answered, alone, finished, broken, begun, ended;
};

struct pl_rpc_http {
    pl_host *host;
    pl_logger *log;
    pl_grpc_server *server;
    bool live; /* there are services */
    exchange *due, *free;
    unsigned free_count;
    pl_timer soon;
};

static void make_due(exchange *x)
{
    pl_rpc_http *rpc = x->rpc;
    if (!x->is_due) {
        x->is_due = true;
        x->next = rpc->due;
        rpc->due = x;
    }
    /* Should there be no memory for it: whatever comes next does the same. */
    if (rpc->soon.index == 0)
        rpc->host->ops->timer_start(rpc->host, &rpc->soon, rpc->host->ops->now(rpc->host));
}

/* --- what calls do --- */
static exchange *of(pl_grpc_stream *stream)
{
    return (exchange *)stream;
}

static pl_str copy(exchange *x, pl_str s)
{
    pl_str own = pl_arena_str(&x->base.arena, s);
    x->broken |= !own.ptr;
    return own;
}

static void respond(pl_grpc_stream *stream, int status, const pl_header *headers, size_t count, bool alone)
{
    exchange *x = of(stream);
    if (x->answered)
        return;
    x->answered = true;
    x->status = status;
    x->alone = x->finished = alone;
    x->headers = pl_arena_array(&stream->arena, count, sizeof *x->headers);
    x->broken |= !x->headers;
    for (size_t i = 0; x->headers && i < count; i++)
        x->headers[x->header_count++] = (pl_header){copy(x, headers[i].name), copy(x, headers[i].value)};
    make_due(x);
}

static void flush(pl_grpc_stream *stream)
{
    make_due(of(stream));
}

static void finish(pl_grpc_stream *stream, const pl_header *trailers, size_t count)
{
    (void)trailers; /* whoever has some does not get here: no_trailers */
    (void)count;
    of(stream)->finished = true;
    make_due(of(stream));
}

static void reset(pl_grpc_stream *stream, uint32_t error)
{
    (void)error;
    of(stream)->broken = true;
    make_due(of(stream));
}

static void consumed(pl_grpc_stream *stream, size_t bytes)
{
    (void)stream; /* all of the body is here */
    (void)bytes;
}

static const pl_grpc_stream_ops ops = {
    .respond = respond, .flush = flush, .finish = finish, .reset = reset, .consumed = consumed};

/* --- records --- */
static exchange *take(pl_rpc_http *rpc)
{
    exchange *x = rpc->free;
    if (x) {
        rpc->free = x->next;
        rpc->free_count--;
    } else if ((x = pl_calloc(1, sizeof *x))) {
        pl_grpc_stream_init(&x->base, STREAM_CHUNK);
    } else {
        return NULL;
    }
    exchange fresh = {.rpc = rpc,
                      .base = {.ops = &ops,
                               .arena = x->base.arena,
                               .out = x->base.out,
                               .scratch = x->base.scratch,
                               .reader = x->base.reader,
                               .no_trailers = true}};
    *x = fresh;
    return x;
}

static void destroy(exchange *x)
{
    pl_grpc_stream_dispose(&x->base);
    pl_free(x);
}

static void release(exchange *x)
{
    pl_rpc_http *rpc = x->rpc;
    if (rpc->free_count >= POOLED) {
        destroy(x);
        return;
    }
    pl_grpc_stream_reset(&x->base, KEPT_BYTES);
    x->next = rpc->free;
    rpc->free = x;
    rpc->free_count++;
}

/* It is over, whoever has ended it: the call is told if it does not know. */
static void close_stream(exchange *x)
{
    const pl_grpc_stream_events *events = x->base.events;
    x->base.events = NULL;
    x->ended = true;
    x->http = NULL;
    if (events)
        events->closed(&x->base);
    make_due(x); /* to be released */
}

static void cancelled(pl_http_request *http)
{
    close_stream(http->data);
}

/* --- answers, at the end of the turn --- */
static pl_http_response head_of(const exchange *x)
{
    pl_http_response head = {.status = x->status, .headers = x->headers, .header_count = x->header_count};
    for (size_t i = 0; i < x->header_count; i++) {
        if (!pl_str_is(x->headers[i].name, "content-type"))
            continue;
        head.content_type = x->headers[i].value;
        /* The rest without it: it is the first, where there is one. */
        if (i == 0) {
            head.headers++;
            head.header_count--;
        }
        break;
    }
    return head;
}

/* The call ends first: its scripts may look at the request until then. */
static void break_off(exchange *x)
{
    pl_http_request *http = x->http;
    close_stream(x);
    if (x->begun)
        pl_http_stream_break(http);
    else
        pl_http_respond(http, &(pl_http_response){.status = 503});
}

static void answer_whole(exchange *x)
{
    pl_http_response response = head_of(x);
    response.body = (pl_str){x->base.out.data + x->base.sent, pl_grpc_stream_unsent(&x->base)};
    if (x->base.out.len == 0)
        response.body = PL_STR_NONE;
    pl_http_respond(x->http, &response);
    close_stream(x);
}

static void begin(exchange *x)
{
    pl_http_response head = head_of(x);
    x->begun = true;
    pl_http_stream_begin(x->http, &head); /* what fails is told by `cancelled` */
}

/* What the edge has room for. */
static void move(exchange *x)
{
    pl_grpc_stream *stream = &x->base;
    size_t unsent = pl_grpc_stream_unsent(stream);
    if (unsent == 0 || pl_http_stream_queued(x->http) >= EDGE_QUEUE)
        return;
    pl_http_stream_write(x->http, (pl_str){stream->out.data + stream->sent, unsent});
    stream->sent = 0;
    pl_buf_reset(&stream->out, PL_GRPC_UNSENT);
}

static void step(exchange *x)
{
    if (!x->http)
        return;
    if (x->broken) {
        break_off(x);
    } else if (x->answered && x->finished && !x->begun) {
        answer_whole(x);
    } else if (x->answered) {
        if (!x->begun)
            begin(x);
        move(x);
        if (x->finished && pl_grpc_stream_unsent(&x->base) == 0) {
            pl_http_stream_end(x->http);
            close_stream(x);
        }
    }
}

/* All that was queued has gone out. */
static void drained(pl_http_request *http)
{
    exchange *x = http->data;
    pl_grpc_stream *stream = &x->base;
    step(x);
    if (x->ended || !stream->waits || pl_grpc_stream_unsent(stream) > PL_GRPC_UNSENT)
        return;
    stream->waits = false;
    if (stream->events)
        stream->events->writable(stream);
}

static void on_soon(pl_timer *timer)
{
    pl_rpc_http *rpc = timer->data;
    while (rpc->due) {
        exchange *x = rpc->due;
        rpc->due = x->next;
        x->is_due = false;
        if (x->ended)
            release(x);
        else
            step(x);
    }
}

/* --- requests --- */
static bool fill(exchange *x, pl_http_request *http)
{
    pl_grpc_stream *s = &x->base;
    s->method = http->method;
    s->path = http->target;
    s->scheme = http->secure ? PL_STR("https") : PL_STR("http");
    s->id = http->id;
    s->peer = http->peer;
    s->certificate = http->certificate;
    s->secure = http->secure;
    for (size_t i = 0; i < http->header_count; i++) {
        if (pl_str_is(http->headers[i].name, "host"))
            s->authority = http->headers[i].value;
        else if (!pl_grpc_metadata_add(&s->headers, &s->arena, http->headers[i].name, http->headers[i].value))
            return false;
    }
    return true;
}

bool pl_rpc_http_handle(pl_rpc_http *rpc, pl_http_request *http)
{
    exchange *x = rpc->live ? take(rpc) : NULL;
    if (!rpc->live)
        return false;
    if (!x || !fill(x, http)) {
        if (x)
            release(x);
        pl_http_respond(http, &(pl_http_response){.status = 503});
        return true;
    }
    if (!pl_grpc_server_serves(rpc->server, &x->base)) {
        release(x);
        return false;
    }
    x->http = http;
    http->data = x;
    http->cancelled = cancelled;
    http->drained = drained;
    pl_grpc_stream_hand_over(&x->base, pl_grpc_server_handler(rpc->server), http->body);
    return true;
}

/* --- life --- */
pl_rpc_http *pl_rpc_http_new(pl_host *host, pl_logger *log)
{
    pl_rpc_http *rpc = pl_calloc(1, sizeof *rpc);
    pl_grpc_server_config config = {.host = host, .log = log};
    if (!rpc)
        return NULL;
    rpc->host = host;
    rpc->log = log;
    rpc->soon = (pl_timer){.fire = on_soon, .data = rpc};
    rpc->server = pl_grpc_server_new(&config);
    if (rpc->server)
        return rpc;
    pl_free(rpc);
    return NULL;
}

void pl_rpc_http_adopt(pl_rpc_http *rpc, pl_instance *instance)
{
    rpc->live = instance->grpc != NULL;
    pl_grpc_server_set_service(rpc->server, instance->grpc);
    pl_grpc_server_set_max_held(rpc->server, instance->generation->config.grpc.max_held);
}

void pl_rpc_http_free(pl_rpc_http *rpc)
{
    if (!rpc)
        return;
    on_soon(&rpc->soon);
    rpc->host->ops->timer_stop(rpc->host, &rpc->soon);
    while (rpc->free) {
        exchange *x = rpc->free;
        rpc->free = x->next;
        destroy(x);
    }
    pl_grpc_server_free(rpc->server);
    pl_free(rpc);
}

pl_grpc_server *pl_rpc_http_server(pl_rpc_http *rpc)
{
    return rpc->server;
}

pl_grpc_server_stats pl_rpc_http_get_stats(const pl_rpc_http *rpc)
{
    return pl_grpc_server_get_stats(rpc->server);
}
