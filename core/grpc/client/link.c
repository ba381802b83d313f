/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"
#include "grpc/client/internal.h"

/* A connection to an endpoint: bytes between the io and a session.
 *
 *   CONNECTING ── the io has it ──> OPEN ── SETTINGS are there ──> (told) ── … ──> OVER
 *
 * Without an endpoint it takes no new calls, and goes with its last one. */

#define PIECE ((size_t)128 << 10)    /* that is given to the io at once */
#define KEPT_BYTES ((size_t)4 << 10) /* of the buffer of a connection that is quiet */

static pl_client_io *io_of(const pl_client_link *link)
{
    return link->channel->set->config.io;
}

static void wake(void *data)
{
    client_link_due(data);
}

/* Whom the certificate must be for. */
static pl_str name_of(const pl_client_channel *c)
{
    return c->settings.tls.server_name.ptr ? c->settings.tls.server_name : c->about.name;
}

/* --- the end --- */
static void unlink_link(pl_client_link *link)
{
    pl_client_channel *c = link->channel;
    if (link->prev)
        link->prev->next = link->next;
    else
        c->links = link->next;
    if (link->next)
        link->next->prev = link->prev;
    for (pl_client_link **at = &c->set->due_links; link->is_due && *at; at = &(*at)->next_due) {
        if (*at == link) {
            *at = link->next_due;
            break;
        }
    }
    link->is_due = false;
}

void client_link_free(pl_client_link *link, const char *why)
{
    client_channel_lost(link, why);
    link->state = LINK_OVER;
    client_health_stop(link);
    pl_client_session_free(link->session, why);
    if (link->connection)
        io_of(link)->cut(link->connection);
    client_timer_stop(link->channel->set, &link->timer);
    unlink_link(link);
    pl_buf_dispose(&link->out);
    pl_free(link);
}

/* All is sent: the io closes it in good order. */
static void finish(pl_client_link *link)
{
    void *connection = link->connection;
    link->connection = NULL;
    io_of(link)->end(connection);
    client_link_free(link, pl_client_session_why(link->session)[0] ? pl_client_session_why(link->session)
                                                                   : "the connection was closed");
}

void client_link_retire(pl_client_link *link)
{
    link->endpoint = NULL;
    client_health_stop(link);
    if (link->session)
        pl_client_session_drain(link->session);
    client_link_due(link);
}

/* --- what is due --- */
static void arm(pl_client_link *link)
{
    pl_client_set *set = link->channel->set;
    uint64_t at = pl_client_session_tick(link->session, client_now(set));
    if (at == UINT64_MAX)
        client_timer_stop(set, &link->timer);
    else if (link->timer.index == 0 || link->timer.at != at)
        client_timer_start(set, &link->timer, at);
}

/* The balancer is told what the session has come to. */
static void look(pl_client_link *link)
{
    pl_client_channel *c = link->channel;
    pl_client_session_state state = pl_client_session_get_state(link->session);
    if (!link->endpoint)
        return;
    if (state == PL_CLIENT_SESSION_OPEN && !link->told && !link->health) {
        bool asks = c->settings.config && c->settings.config->has_health &&
                    c->settings.balancing.policy != PL_PICK_FIRST;
        if (!asks)
            client_channel_connected(link);
        else if (!client_health_start(link))
            client_channel_lost(link, "out of memory");
    } else if (state > PL_CLIENT_SESSION_OPEN) {
        if (pl_client_session_pings_too_often(link->session) && c->keepalive_ms < 1u << 30)
            c->keepalive_ms *= 2;
        client_channel_lost(link, pl_client_session_why(link->session));
    }
}

static void write_out(pl_client_link *link)
{
    pl_client_set *set = link->channel->set;
    pl_buf_reset(&link->out, PIECE * 2);
    pl_client_session_send(link->session, &link->out, PIECE, client_now(set));
    if (link->out.failed || pl_client_session_get_state(link->session) == PL_CLIENT_SESSION_BROKEN)
        return;
    if (link->out.len > 0) {
        link->writing = true;
        io_of(link)->write(link->connection, &link->out);
    } else if (link->out.cap > KEPT_BYTES) {
        pl_buf_reset(&link->out, KEPT_BYTES);
    }
}

void client_link_pump(pl_client_link *link)
{
    if (link->state == LINK_CONNECTING) {
        if (!link->endpoint)
            client_link_free(link, "the client has closed the connection");
        return;
    }
    arm(link);
    if (!link->writing)
        write_out(link);
    look(link);
    pl_client_session_state state = pl_client_session_get_state(link->session);
    if (state == PL_CLIENT_SESSION_BROKEN)
        client_link_free(link, pl_client_session_why(link->session));
    else if (state == PL_CLIENT_SESSION_DONE && !link->writing)
        finish(link);
}

/* --- what the io tells --- */
void pl_client_link_opened(pl_client_link *link)
{
    pl_client_channel *c = link->channel;
    pl_error err;
    pl_client_session_options options = c->settings.session;
    options.keepalive_ms = c->keepalive_ms;
    pl_client_session_config config = {.options = &options,
                                       .streams = c->set->streams,
                                       .now = client_now(c->set),
                                       .wake = wake,
                                       .data = link};
    client_timer_stop(c->set, &link->timer);
    link->session = pl_client_session_new(&config, &err);
    if (!link->session) {
        client_link_free(link, err.message);
        return;
    }
    link->state = LINK_OPEN;
    client_link_due(link);
}

void pl_client_link_failed(pl_client_link *link, const char *why)
{
    link->connection = NULL;
    client_link_free(link, why);
}

void pl_client_link_received(pl_client_link *link, pl_str bytes)
{
    if (!link->session)
        return;
    pl_client_session_receive(link->session, bytes, client_now(link->channel->set));
    client_link_due(link);
}

void pl_client_link_written(pl_client_link *link)
{
    link->writing = false;
    client_link_due(link);
}

void pl_client_link_closed(pl_client_link *link, const char *why)
{
    link->connection = NULL;
    const char *said = link->session ? pl_client_session_why(link->session) : "";
    client_link_free(link, said[0] ? said : why);
}

/* --- life --- */
static void on_timer(pl_timer *timer)
{
    pl_client_link *link = timer->data;
    if (link->state == LINK_CONNECTING)
        client_link_free(link, "connecting took too long");
    else
        client_link_due(link);
}

pl_client_link *client_link_new(pl_client_channel *c, pl_endpoint *endpoint, uint64_t connect_by)
{
    uint64_t now = client_now(c->set);
    pl_client_link *link = pl_calloc(1, sizeof *link + endpoint->address.len + 1);
    if (!link)
        return NULL;
    char *address = (char *)(link + 1); /* the endpoint may go first */
    memcpy(address, endpoint->address.ptr, endpoint->address.len);
    link->address = (pl_str){address, endpoint->address.len};
    link->channel = c;
    link->endpoint = endpoint;
    link->timer = (pl_timer){.fire = on_timer, .data = link};
    pl_buf_init(&link->out);
    uint64_t timeout = connect_by > now ? connect_by - now : 1;
    link->connection =
        io_of(link)->connect(io_of(link), link, link->address, &c->settings.tls, name_of(c), timeout);
    if (!link->connection) {
        pl_free(link);
        return NULL;
    }
    client_timer_start(c->set, &link->timer, now + timeout);
    link->next = c->links;
    if (link->next)
        link->next->prev = link;
    c->links = link;
    return link;
}
