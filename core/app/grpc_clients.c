/* SPDX-License-Identifier: MIT */
#include "app/grpc_clients.h"

#include <stdio.h>
#include <sys/random.h>

#include "base/alloc.h"
#include "grpc/client/channel.h"
#include "grpc/server.h"
#include "net/dial.h"
#include "net/resolve.h"

#define KEPT_BYTES ((size_t)256 << 10)
#define WRITE_MS 60000

/* TLS credentials, one for each set of files. */
typedef struct credentials credentials;
struct credentials {
    credentials *next;
    pl_tls_credentials *tls;
    pl_arena arena;
    pl_client_tls config;
};

typedef struct connection {
    pl_grpc_clients *clients;
    pl_client_link *link; /* NULL: nobody wants to hear of it any more */
    pl_connection *io;    /* NULL: it could not be begun */
    pl_buf out;           /* being written */
    pl_timer timer;       /* then: to say so */
    pl_error why;
    bool open;
} connection;

/* Calls of an instance to its own services. */
typedef struct local_server local_server;
struct local_server {
    local_server *next;
    pl_instance *instance;
    pl_grpc_server *server;
};

struct pl_grpc_clients {
    pl_client_io io; /* first */
    pl_bytes_service service;
    pl_host *host;
    pl_logger *log;
    pl_dialer *dialer;
    pl_resolving *resolving;
    pl_client_set *set;
    credentials *credentials;
    local_server *locals;
    uint32_t random;
};

/* --- connections --- */
static void forget(connection *c)
{
    pl_buf_dispose(&c->out);
    if (c->timer.index != 0)
        c->clients->host->ops->timer_stop(c->clients->host, &c->timer);
    pl_free(c);
}

static bool opened(pl_bytes_service *service, pl_connection *io)
{
    (void)service;
    connection *c = io->data;
    if (!c->link) {
        forget(c);
        return false;
    }
    c->open = true;
    pl_client_link_opened(c->link);
    return true;
}

static void received(pl_bytes_service *service, pl_connection *io, pl_str bytes)
{
    (void)service;
    connection *c = io->data;
    if (c->link)
        pl_client_link_received(c->link, bytes);
}

static void written(pl_bytes_service *service, pl_connection *io)
{
    (void)service;
    connection *c = io->data;
    if (c->link)
        pl_client_link_written(c->link);
}

static void closed(pl_bytes_service *service, pl_connection *io)
{
    (void)service;
    connection *c = io->data;
    if (c->link)
        pl_client_link_closed(c->link, pl_connection_why(io));
    forget(c);
}

static void failed(pl_bytes_service *service, pl_connection *io, const pl_error *why)
{
    (void)service;
    connection *c = io->data;
    if (c->link)
        pl_client_link_failed(c->link, why->message);
    forget(c);
}

static void failed_at_once(pl_timer *timer)
{
    connection *c = timer->data;
    char why[sizeof c->why.file + sizeof c->why.message + 4];
    snprintf(why, sizeof why, "%s%s%s", c->why.file, c->why.file[0] ? ": " : "", c->why.message);
    if (c->link)
        pl_client_link_failed(c->link, why);
    forget(c);
}

/* --- credentials --- */
static bool same(pl_str a, pl_str b)
{
    return !a.ptr == !b.ptr && pl_str_eq(a, b);
}

static credentials *credentials_new(const pl_client_tls *tls, pl_error *err)
{
    credentials *c = pl_calloc(1, sizeof *c);
    if (!c) {
        pl_fail_memory(err);
        return NULL;
    }
    pl_arena_init(&c->arena, 256);
    c->config.unverified = tls->unverified;
    const pl_str from[] = {tls->ca, tls->certificate, tls->key};
    pl_str *const to[] = {&c->config.ca, &c->config.certificate, &c->config.key};
    bool ok = true;
    for (int i = 0; i < 3; i++) {
        if (from[i].ptr)
            ok &= (*to[i] = pl_arena_str(&c->arena, from[i])).ptr != NULL;
    }
    pl_tls_credentials_config config = {.ca = c->config.ca.ptr,
                                        .certificate = c->config.certificate.ptr,
                                        .key = c->config.key.ptr,
                                        .insecure = tls->unverified};
    if (!ok)
        pl_fail_memory(err);
    else
        c->tls = pl_tls_credentials_new(&config, err);
    if (c->tls)
        return c;
    pl_arena_dispose(&c->arena);
    pl_free(c);
    return NULL;
}

static pl_tls_credentials *credentials_of(pl_grpc_clients *clients, const pl_client_tls *tls, pl_error *err)
{
    credentials *c = clients->credentials;
    while (c && !(same(c->config.ca, tls->ca) && same(c->config.certificate, tls->certificate) &&
                  same(c->config.key, tls->key) && c->config.unverified == tls->unverified))
        c = c->next;
    if (!c && (c = credentials_new(tls, err))) {
        c->next = clients->credentials;
        clients->credentials = c;
    }
    return c ? c->tls : NULL;
}

/* --- what the channels ask for --- */
static void *begin_to_connect(pl_client_io *io, pl_client_link *link, pl_str address,
                              const pl_client_tls *tls, pl_str name, uint64_t timeout_ms)
{
    pl_grpc_clients *clients = (pl_grpc_clients *)io;
    connection *c = pl_calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->clients = clients;
    c->link = link;
    c->timer = (pl_timer){.fire = failed_at_once, .data = c};
    pl_buf_init(&c->out);
    pl_dial_to to = {.address = address, .name = name, .timeout_ms = (unsigned)timeout_ms};
    if (tls->on)
        to.tls = credentials_of(clients, tls, &c->why);
    if (c->why.file[0]) {
        pl_error why = c->why;
        pl_fail(&c->why, why.code, "%s: %s", why.file, why.message);
    }
    if (!tls->on || to.tls)
        c->io = pl_dial(clients->dialer, &to, &clients->service, c, &c->why);
    if (c->io || clients->host->ops->timer_start(clients->host, &c->timer,
                                                 clients->host->ops->now(clients->host)) == 0)
        return c;
    forget(c);
    return NULL;
}

static void write_piece(void *data, pl_buf *piece)
{
    connection *c = data;
    pl_buf empty = c->out;
    c->out = *piece;
    *piece = empty;
    pl_buf_reset(piece, KEPT_BYTES);
    pl_connection_write(c->io, pl_buf_view(&c->out));
}

static void cut(void *data)
{
    connection *c = data;
    c->link = NULL;
    if (c->io)
        pl_connection_cut(c->io);
}

static void end(void *data)
{
    connection *c = data;
    c->link = NULL;
    if (c->open && !pl_connection_is_writing(c->io))
        pl_connection_end(c->io);
    else if (c->io)
        pl_connection_cut(c->io);
}

/* --- names --- */
static void resolved(void *data, const pl_resolved *addresses, size_t count)
{
    pl_address *list = pl_calloc(count ? count : 1, sizeof *list);
    if (!list) {
        pl_client_channel_unresolved(data, "out of memory");
        return;
    }
    for (size_t i = 0; i < count; i++)
        list[i] = (pl_address){.address = addresses[i].address, .weight = addresses[i].weight};
    pl_client_channel_resolved(data, list, count);
    pl_free(list);
}

static void unresolved(void *data, const pl_error *why)
{
    pl_client_channel_unresolved(data, why->message);
}

static pl_code resolve(pl_client_io *io, pl_client_channel *channel, pl_str target, void **out, pl_error *err)
{
    pl_grpc_clients *clients = (pl_grpc_clients *)io;
    pl_resolver_config config = {.target = target, .data = channel, .update = resolved, .error = unresolved};
    *out = pl_resolver_new(clients->resolving, &config, err);
    return *out ? PL_OK : err->code;
}

static void resolve_again(void *resolver)
{
    pl_resolver_refresh(resolver);
}

static void resolve_end(void *resolver)
{
    pl_resolver_free(resolver);
}

static pl_code describe(pl_client_io *io, pl_str target, pl_arena *arena, pl_client_target *out,
                        pl_error *err)
{
    pl_target parsed;
    (void)io;
    pl_code code = pl_target_parse(target, arena, &parsed, err);
    if (code == PL_OK)
        *out = (pl_client_target){.text = parsed.text, .authority = parsed.authority, .name = parsed.name};
    return code;
}

/* --- the instance's own services --- */
static pl_grpc_handler *local_of(pl_grpc_clients *clients, pl_instance *instance)
{
    local_server *l = clients->locals;
    if (!instance->grpc)
        return NULL;
    while (l && l->instance != instance)
        l = l->next;
    if (l)
        return pl_grpc_server_handler(l->server);
    pl_grpc_server_config config = {
        .host = clients->host, .log = clients->log, .id_prefix = ++clients->random};
    l = pl_calloc(1, sizeof *l);
    if (l)
        l->server = pl_grpc_server_new(&config);
    if (!l || !l->server) {
        pl_free(l);
        return NULL;
    }
    l->instance = instance;
    l->next = clients->locals;
    clients->locals = l;
    pl_grpc_server_set_service(l->server, instance->grpc);
    return pl_grpc_server_handler(l->server);
}

static void drop_local(pl_grpc_clients *clients, const pl_instance *instance)
{
    for (local_server **at = &clients->locals; *at;) {
        local_server *l = *at;
        if (instance && l->instance != instance) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        pl_grpc_server_free(l->server);
        pl_free(l);
    }
}

pl_code pl_grpc_clients_open(pl_grpc_clients *clients, pl_instance *instance, const pl_remote_config *config,
                             pl_remote **out, pl_error *err)
{
    bool local = pl_str_starts(config->target, PL_STR("local:"));
    return pl_client_set_open(clients->set, config, local ? local_of(clients, instance) : NULL, instance, out,
                              err);
}

void pl_grpc_clients_leave(pl_grpc_clients *clients, pl_instance *instance)
{
    pl_client_set_leave(clients->set, instance);
    drop_local(clients, instance);
}

pl_client_stats pl_grpc_clients_stats(const pl_grpc_clients *clients)
{
    return pl_client_set_stats(clients->set);
}

/* --- life --- */
pl_grpc_clients *pl_grpc_clients_new(pl_loop *loop, pl_logger *log, pl_error *err)
{
    pl_grpc_clients *clients = pl_calloc(1, sizeof *clients);
    uint64_t seed = (uint64_t)(uintptr_t)clients;
    if (!clients) {
        pl_fail_memory(err);
        return NULL;
    }
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
        seed ^= (uint64_t)(uintptr_t)loop;
    clients->random = (uint32_t)seed;
    clients->io = (pl_client_io){.connect = begin_to_connect,
                                 .write = write_piece,
                                 .end = end,
                                 .cut = cut,
                                 .describe = describe,
                                 .resolve = resolve,
                                 .resolve_again = resolve_again,
                                 .resolve_end = resolve_end};
    clients->service = (pl_bytes_service){
        .opened = opened, .received = received, .written = written, .closed = closed, .failed = failed};
    clients->host = pl_loop_host(loop);
    clients->log = log;
    pl_client_set_config config = {.host = clients->host, .log = log, .io = &clients->io, .seed = seed};
    pl_error_clear(err);
    clients->dialer = pl_dialer_new(loop, WRITE_MS);
    clients->resolving = clients->dialer ? pl_resolving_new(loop, err) : NULL;
    clients->set = clients->resolving ? pl_client_set_new(&config) : NULL;
    if (clients->set)
        return clients;
    if (err->code == PL_OK)
        pl_fail_memory(err);
    pl_grpc_clients_free(clients);
    return NULL;
}

void pl_grpc_clients_free(pl_grpc_clients *clients)
{
    if (!clients)
        return;
    pl_client_set_free(clients->set);
    pl_resolving_free(clients->resolving);
    pl_dialer_free(clients->dialer);
    drop_local(clients, NULL);
    while (clients->credentials) {
        credentials *c = clients->credentials;
        clients->credentials = c->next;
        pl_tls_credentials_drop(c->tls);
        pl_arena_dispose(&c->arena);
        pl_free(c);
    }
    pl_free(clients);
}

void pl_grpc_clients_each(const pl_grpc_clients *clients,
                          void (*fn)(void *data, const pl_client_channel_info *info), void *data)
{
    pl_client_set_each(clients->set, fn, data);
}
