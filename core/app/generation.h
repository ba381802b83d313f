/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_GENERATION_H
#define PL_APP_GENERATION_H

#include <time.h>

#include "app/instance.h"

/* A bundle made live: schema, settings, and an instance for each worker. Built whole or not at all, by the
 * main thread, away from the loops. After that everything but the instances is read only. The main thread
 * owns it; it goes when its last instance has come back. */
struct pl_generation {
    uint64_t id; /* 1, 2, … in a server */
    pl_bundle *bundle;
    gql_schema *schema;              /* NULL: the bundle has none */
    struct pl_protos *protos;        /* proto_load.h; NULL: nothing in proto/ */
    struct pl_json_schemas *schemas; /* value/json_schemas.h; NULL: the same */
    struct pl_trusted *trusted;      /* trusted.h; NULL: graphql.documents is off */
    pl_config config;
    pl_arena arena;
    pl_instance **instances; /* by worker; NULL once it has come back */
    unsigned instance_count, instances_left;
    struct timespec loaded_at;
    char reason[64]; /* "start", "reload", "SIGHUP", "files changed", "rollback" */
    pl_generation *next;
};

typedef struct pl_generation_options {
    const pl_engine *engine;
    unsigned workers;
    pl_logger *log;
    struct pl_shared *shared;
    struct pl_compiled_cache *compiled; /* of earlier generations; outlives this one; may be NULL */
    struct pl_proto_cache *protos;      /* of earlier generations; may be NULL */
    const struct pl_natives *natives;   /* natives.h; outlives the generation; NULL: none */
    bool testing;
    void (*override)(void *data, pl_config *config); /* flags and environment win over app.lua; may be NULL */
    void *override_data;
} pl_generation_options;

/* The schema of all SDL files of the bundle together; NULL, with PL_OK, when there is none. None of the
 * bundle's code is run. */
pl_code pl_bundle_schema(const pl_bundle *bundle, const gql_schema_options *options, pl_report *report,
                         gql_schema **out);
/* Loads and checks the bundle, which the generation keeps a reference to. NULL: report says why. */
pl_generation *pl_generation_build(pl_bundle *bundle, const pl_generation_options *options,
                                   pl_report *report);
/* Frees it with all instances that are still here. NULL is fine. */
void pl_generation_free(pl_generation *generation);

#endif
