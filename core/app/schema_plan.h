/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_SCHEMA_PLAN_H
#define PL_APP_SCHEMA_PLAN_H

#include "app/bundle.h"
#include "app/config.h"
#include "events/registry/rest.h"
#include "events/registry/wire.h"
#include "proto/pool.h"

/* What is to be registered so that a message can be written: the .proto file that it is in, and before it
 * what that imports, each under a subject of its own. A JSON Schema stands alone. */

typedef struct pl_schema_step {
    pl_str subject;
    pl_str file; /* of the bundle, for messages: "proto/pay.proto" */
    pl_schema schema;
    pl_schema_reference *references; /* schema's; the version of each comes of the step it names */
    const size_t *imports;           /* the steps of the references, which are before this one */
    int32_t id, version;             /* for whoever goes through them */
} pl_schema_step;

typedef struct pl_schema_plan {
    pl_schema_step *steps;
    size_t count;  /* the last one is the schema that was asked for */
    bool protobuf; /* then path is where the message is in it */
    pl_schema_path path;
} pl_schema_plan;

/* What a generation has. */
typedef struct pl_schema_sources {
    const pl_bundle *bundle;
    const pb_pool *protos; /* NULL: none */
    const pl_schemas_config *config;
} pl_schema_sources;

/* message: full name of a protobuf message, or ptr NULL: schema is a file of the bundle. Strings are in the
 * arena, but for the texts of the bundle's files. Errors: INVALID_ARGUMENT (there is no such message or
 * file), RESOURCE_EXHAUSTED. */
pl_code pl_schema_plan_make(const pl_schema_sources *sources, pl_str topic, pl_str message, pl_str schema,
                            pl_arena *arena, pl_schema_plan *out, pl_error *err);

#endif
