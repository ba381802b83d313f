/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_SCHEMAS_H
#define PL_APP_SCHEMAS_H

#include "app/schema_plan.h"
#include "net/loop.h"
#include "value/registry.h"

/* Schemas on a worker: asks the schema registry for what its scripts write and read. Answers are kept for all
 * workers and generations (events/registry/cache.h); those who ask the same at the same time share one
 * question. What is under way goes on when nobody waits for it any more. */
typedef struct pl_schemas pl_schemas;

/* shared: where answers are kept. NULL: memory. */
pl_schemas *pl_schemas_new(pl_loop *loop, pl_registry *shared);
/* As pl_host_ops.ask_schema; counted: goes up when the answer comes later, and down with it. */
pl_code pl_schemas_ask(pl_schemas *schemas, const pl_schema_sources *sources, const pl_schema_want *want,
                       pl_schema_asker *asker, unsigned *counted, pl_error *err);
/* Gives up what is under way: nobody is told. NULL is fine. */
void pl_schemas_free(pl_schemas *schemas);

#endif
