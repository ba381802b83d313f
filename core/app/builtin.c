/* SPDX-License-Identifier: MIT */
#include "app/builtin.h"

#include "app/generation.h"
#include "app/proto_load.h"
#include "base/alloc.h"
#include "grpc/reflection.h"

#define MAX_REQUEST ((size_t)64 << 10)

struct pl_builtin {
    pl_grpc_service *service;
    unsigned in_flight;
    pl_grpc_health *health;
    pl_grpc_reflection reflection;
    pl_channelz *channelz;
    pl_builtin_hub *hub;
    pl_health_observer observer;
    const pl_instance *live;
    bool draining;
};

/* --- health --- */
static bool is_live(const pl_builtin *b, pl_str name)
{
    return b->live && b->live->grpc && pl_grpc_service_has(b->live->grpc, name);
}

static pl_health status(void *data, pl_str name)
{
    const pl_builtin *b = data;
    pl_health said = pl_health_hub_get(b->hub->health, name);
    if (!said && name.len > 0 && !is_live(b, name))
        return PL_HEALTH_SERVICE_UNKNOWN;
    return b->draining ? PL_HEALTH_NOT_SERVING : said ? said : PL_HEALTH_SERVING;
}

typedef struct listing {
    pl_builtin *builtin;
    bool (*add)(void *arg, pl_str name, pl_health status);
    void *arg;
} listing;

static bool list_said(void *data, pl_str name, pl_health said)
{
    const listing *l = data;
    return l->add(l->arg, name, l->builtin->draining ? PL_HEALTH_NOT_SERVING : said);
}

static bool list_live(void *data, pl_str name)
{
    const listing *l = data;
    if (pl_health_hub_get(l->builtin->hub->health, name))
        return true;
    return l->add(l->arg, name, status(l->builtin, name));
}

static void each(void *data, bool (*add)(void *arg, pl_str name, pl_health status), void *arg)
{
    pl_builtin *b = data;
    listing l = {b, add, arg};
    if (pl_health_hub_each(b->hub->health, list_said, &l) && list_live(&l, PL_STR("")) && b->live &&
        b->live->grpc)
        pl_grpc_service_each(b->live->grpc, list_live, &l);
}

static void health_changed(void *data)
{
    pl_grpc_health_changed(((pl_builtin *)data)->health);
}

/* --- reflection --- */
static size_t pools(void *data, const pb_pool *out[PL_GRPC_REFLECTION_POOLS])
{
    const pl_builtin *b = data;
    size_t n = 0;
    const pb_pool *live = b->live ? pl_protos_pool(b->live->generation->protos) : NULL;
    if (live)
        out[n++] = live;
    out[n++] = b->hub->protos;
    return n;
}

typedef struct services {
    const pl_builtin *builtin;
    bool (*add)(void *arg, pl_str service);
    void *arg;
} services;

static bool add_live(void *data, pl_str name)
{
    const services *s = data;
    return s->add(s->arg, name);
}

static bool add_own(void *data, pl_str name)
{
    const services *s = data;
    return is_live(s->builtin, name) || s->add(s->arg, name);
}

static void each_service(void *data, bool (*add)(void *arg, pl_str service), void *arg)
{
    const pl_builtin *b = data;
    services s = {b, add, arg};
    if (!b->live || !b->live->grpc || pl_grpc_service_each(b->live->grpc, add_live, &s))
        pl_grpc_service_each(b->service, add_own, &s);
}

/* --- life --- */
pl_str pl_own_protos(void); /* made by scripts/embed-protos */

pl_builtin_hub *pl_builtin_hub_new(pl_error *err)
{
    const pb_source source = {.name = "built-in services", .bytes = pl_own_protos()};
    pl_builtin_hub *hub = pl_calloc(1, sizeof *hub);
    if (hub && (hub->health = pl_health_hub_new()) && (hub->channelz = pl_channelz_hub_new()) &&
        pb_pool_new(&source, 1, &hub->protos, err) == PL_OK)
        return hub;
    pl_fail_memory(err);
    pl_builtin_hub_free(hub);
    return NULL;
}

void pl_builtin_hub_free(pl_builtin_hub *hub)
{
    if (!hub)
        return;
    pl_health_hub_free(hub->health);
    pb_pool_free(hub->protos);
    pl_channelz_hub_free(hub->channelz);
    pl_free(hub);
}

static pl_code set_up(pl_builtin *b, pl_loop *loop, pl_error *err)
{
    const pl_grpc_options options = {.max_message = MAX_REQUEST};
    const pl_grpc_health_source source = {.status = status, .each = each, .data = b};
    b->service = pl_grpc_service_new(NULL, &options, PL_REF_NONE, &b->in_flight);
    b->health = pl_grpc_health_new(&source, 0);
    b->reflection = (pl_grpc_reflection){.pools = pools, .each = each_service, .data = b};
    b->channelz = pl_channelz_join(b->hub->channelz, loop);
    if (!b->service || !b->health || !b->channelz || pl_grpc_health_add(b->health, b->service) != PL_OK ||
        pl_grpc_reflection_add(b->service, &b->reflection) != PL_OK ||
        pl_grpc_channelz_add(b->service, pl_channelz_source(b->channelz)) != PL_OK)
        return pl_fail_memory(err);
    return PL_OK;
}

pl_builtin *pl_builtin_new(pl_loop *loop, pl_builtin_hub *hub, pl_error *err)
{
    pl_builtin *b = pl_calloc(1, sizeof *b);
    if (!b) {
        pl_fail_memory(err);
        return NULL;
    }
    b->hub = hub;
    if (set_up(b, loop, err) != PL_OK) {
        pl_builtin_free(b);
        return NULL;
    }
    b->observer.changed = health_changed;
    b->observer.data = b;
    pl_health_hub_join(hub->health, &b->observer, loop);
    return b;
}

pl_grpc_service *pl_builtin_service(pl_builtin *b)
{
    return b->service;
}

void pl_builtin_adopt(pl_builtin *b, const pl_instance *instance)
{
    const pl_grpc_config *config = &instance->generation->config.grpc;
    b->live = instance;
    pl_grpc_service_set_off(b->service, PL_STR(PL_GRPC_HEALTH), !config->health);
    pl_grpc_service_set_off(b->service, PL_STR(PL_GRPC_REFLECTION), !config->reflection);
    pl_grpc_service_set_off(b->service, PL_STR(PL_GRPC_REFLECTION_ALPHA), !config->reflection);
    pl_grpc_service_set_off(b->service, PL_STR(PL_GRPC_CHANNELZ), !config->channelz);
    pl_grpc_health_changed(b->health);
}

void pl_builtin_set_endpoint(pl_builtin *b, pl_grpc_endpoint *endpoint, pl_grpc_clients *clients)
{
    pl_channelz_set_clients(b->channelz, clients);
    pl_channelz_set_endpoint(b->channelz, endpoint);
}

void pl_builtin_drain(pl_builtin *b)
{
    b->draining = true;
    pl_grpc_health_changed(b->health);
    pl_grpc_service_finish_calls(b->service, "The server is shutting down.");
}

void pl_builtin_leave(pl_builtin *b)
{
    if (!b)
        return;
    pl_health_hub_leave(&b->observer);
    pl_channelz_leave(b->channelz);
}

void pl_builtin_free(pl_builtin *b)
{
    if (!b)
        return;
    pl_grpc_service_free(b->service);
    pl_grpc_health_free(b->health);
    pl_channelz_free(b->channelz);
    pl_free(b);
}
