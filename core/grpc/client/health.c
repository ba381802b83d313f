/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"
#include "grpc/client/internal.h"

/* What an endpoint says of itself: grpc.health.v1.Health/Watch on each connection, as long as it lasts. An
 * endpoint without that service counts as healthy. */

#define PATH "/grpc.health.v1.Health/Watch"
#define SERVING 1
#define MOST_BYTES 4096
#define CANCEL 0x8

typedef struct health {
    pl_client_link *link;
    pl_client_stream *stream; /* NULL: none at the moment */
    pl_grpc_reader reader;
    pl_timer again;
    unsigned failures;
} health;

static void tell(health *h, bool serving)
{
    pl_client_link *link = h->link;
    pl_client_channel *c = link->channel;
    if (!link->endpoint)
        return;
    client_channel_connected(link);
    pl_balancer_health(c->balancer, link->endpoint, serving, client_now(c->set));
    c->repick = true;
    client_channel_due(c);
}

static void try_again(health *h)
{
    pl_client_set *set = h->link->channel->set;
    uint64_t wait = (uint64_t)1000 << (h->failures < 6 ? h->failures : 6);
    h->failures++;
    h->stream = NULL;
    tell(h, false);
    client_timer_start(set, &h->again, client_now(set) + wait);
}

/* --- answers: a message with the status in field 1 --- */
static bool is_serving(pl_str message)
{
    return message.len >= 2 && message.ptr[0] == 0x08 && message.ptr[1] == SERVING;
}

static void on_headers(pl_client_stream *stream)
{
    (void)stream;
}

static void on_data(pl_client_stream *stream, pl_str bytes)
{
    health *h = stream->call;
    pl_grpc_message message;
    pl_grpc_read read = PL_GRPC_BAD_FLAGS;
    stream->ops->consumed(stream, bytes.len);
    if (pl_grpc_reader_add(&h->reader, bytes)) {
        while ((read = pl_grpc_reader_next(&h->reader, &message)) == PL_GRPC_MESSAGE) {
            h->failures = 0;
            tell(h, !message.compressed && is_serving(message.payload));
        }
    }
    if (read == PL_GRPC_MORE)
        return;
    stream->ops->cancel(stream, CANCEL);
    try_again(h);
}

static void on_closed(pl_client_stream *stream, const pl_client_end *end)
{
    health *h = stream->call;
    pl_arena arena;
    pl_remote_status status;
    h->stream = NULL;
    if (end->kind == PL_CLIENT_LOST)
        return; /* the link sees to it */
    pl_arena_init(&arena, 0);
    answer_status(stream, end, &arena, &status);
    if (status.code == PL_UNIMPLEMENTED)
        tell(h, true);
    else
        try_again(h);
    pl_arena_dispose(&arena);
}

static void on_writable(pl_client_stream *stream)
{
    (void)stream;
}

static const pl_client_stream_events events = {
    .headers = on_headers, .data = on_data, .writable = on_writable, .closed = on_closed};

/* --- asking --- */
static void put_request(pl_buf *out, pl_str service)
{
    size_t begin = pl_grpc_message_begin(out);
    if (service.len > 0) {
        pl_buf_char(out, 0x0a);
        for (size_t n = service.len; n > 0; n >>= 7)
            pl_buf_char(out, (char)(n < 0x80 ? n : (n & 0x7f) | 0x80));
        pl_buf_str(out, service);
    }
    pl_grpc_message_end(out, begin, 0);
}

static bool ask(health *h)
{
    pl_client_channel *c = h->link->channel;
    pl_str service = c->settings.config->health_service;
    const pl_header headers[] = {
        {PL_STR(":method"), PL_STR("POST")},
        {PL_STR(":scheme"), c->settings.tls.on ? PL_STR("https") : PL_STR("http")},
        {PL_STR(":path"), PL_STR(PATH)},
        {PL_STR(":authority"), c->settings.authority.ptr ? c->settings.authority : c->about.authority},
        {PL_STR("te"), PL_STR("trailers")},
        {PL_STR("content-type"), PL_STR("application/grpc")},
        {PL_STR("user-agent"), c->settings.user_agent},
    };
    pl_grpc_reader_reset(&h->reader, MOST_BYTES);
    h->stream =
        pl_client_session_start(h->link->session, headers, sizeof headers / sizeof *headers, &events, h);
    if (!h->stream)
        return false;
    put_request(&h->stream->out, service);
    h->stream->ops->finish(h->stream);
    return true;
}

static void on_again(pl_timer *timer)
{
    health *h = timer->data;
    if (!ask(h))
        try_again(h);
}

bool client_health_start(pl_client_link *link)
{
    health *h = pl_calloc(1, sizeof *h);
    if (!h)
        return false;
    h->link = link;
    h->again = (pl_timer){.fire = on_again, .data = h};
    pl_grpc_reader_init(&h->reader, MOST_BYTES);
    link->health = h;
    if (ask(h))
        return true;
    client_health_stop(link);
    return false;
}

void client_health_stop(pl_client_link *link)
{
    health *h = link->health;
    if (!h)
        return;
    link->health = NULL;
    if (h->stream)
        h->stream->ops->cancel(h->stream, CANCEL);
    client_timer_stop(link->channel->set, &h->again);
    pl_grpc_reader_dispose(&h->reader);
    pl_free(h);
}
