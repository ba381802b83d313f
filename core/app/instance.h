/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_INSTANCE_H
#define PL_APP_INSTANCE_H

#include "app/bundle.h"
#include "app/config.h"
#include "app/report.h"
#include "graphql/service.h"

/* One worker's part of a generation: an engine state with the bundle's code, bound to the generation's
 * schema. Made on the main thread, then handed to its worker; freed when the generation is drained there. */
typedef struct pl_generation pl_generation;
typedef struct pl_instance pl_instance;
struct pl_instance {
    pl_generation *generation; /* NULL in tools that have none */
    pl_state *state;
    gql_binding *binding;                    /* NULL: the bundle has no schema */
    gql_service *service;                    /* the same */
    struct pb_codec *codec;                  /* of gRPC messages; NULL: there are none */
    struct pl_grpc_service *grpc;            /* NULL: the bundle has no services */
    pl_ref default_resolver;                 /* of app.lua; PL_REF_NONE */
    pl_ref interceptors;                     /* the chain of app.lua's; PL_REF_NONE */
    pl_ref cache_session;                    /* graphql.cache.session of app.lua; PL_REF_NONE */
    pl_ref *timers;                          /* the run function of each timer of the configuration */
    pl_loader *loaders;                      /* as the engine has them */
    struct pl_consumer_functions *consumers; /* of each consumer of the configuration */
    pl_arena arena;

    /* The worker's, on its thread. */
    pl_host host, *loop;             /* instance_host.h */
    struct pl_pubsub *pubsub;        /* the worker's; may be NULL */
    struct pl_events *events;        /* the same */
    struct pl_reads *reads;          /* the same */
    struct pl_topics *topics;        /* the same */
    struct pl_grpc_clients *clients; /* the same */
    struct pl_schemas *schemas;      /* the same */
    struct pl_response_cache *cache; /* the server's; may be NULL */
    struct pl_health_hub *health;    /* the same */
    struct pl_mailbox *mailbox;      /* below the loop's; NULL until it is asked for */
    pl_timers armed;                 /* the script's */
    pl_timer turn;                   /* of the loop, for the first of them */
    unsigned in_flight;              /* requests, timer calls and helper jobs that began on it */
    bool retired;                    /* a newer one is live; goes when it is quiet */
    pl_instance *next;
    struct pl_leg *operations, *rebasing; /* in hand (operation.c); those that go over to rebase_to */
    pl_instance *rebase_to;
    bool schema_gone;     /* retired by one without a schema: what would go over ends */
    pl_timer rebase_turn; /* of the worker's loop */
    pl_timer drain_deadline;
    void *worker;
};

typedef struct pl_instance_source {
    const pl_engine *engine;
    pl_bundle *bundle;
    const gql_schema *schema; /* NULL: none */
    pl_config *config;        /* filled from app.lua when read_config is set, read otherwise */
    pl_arena *config_arena;
    bool read_config;
    pl_logger *log;
    struct pl_shared *shared;
    struct pl_compiled_cache *compiled;    /* NULL: none */
    const struct pb_pool *protos;          /* NULL: the bundle has none */
    const struct pl_json_schemas *schemas; /* the same */
    const struct pl_natives *natives;      /* natives.h; NULL: none */
    bool testing;
    pl_state_limits limits;
} pl_instance_source;

/* The state and app.lua alone: step one, so that the settings are known before the schema is built. NULL: see
 * report. */
pl_instance *pl_instance_open(const pl_instance_source *source, pl_report *report);
/* Step two: resolvers bound to the schema, the GraphQL service made. */
bool pl_instance_bind(pl_instance *instance, const pl_instance_source *source, pl_report *report);
void pl_instance_free(pl_instance *instance); /* NULL is fine */

#endif
