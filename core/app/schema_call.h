/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_SCHEMA_CALL_H
#define PL_APP_SCHEMA_CALL_H

#include "app/config.h"
#include "events/registry/rest.h"
#include "net/http_fetch.h"

/* One question to a schema registry: over HTTP, of the addresses that there are, again after a while when
 * none has answered, until the time is over. */
typedef struct pl_schema_call {
    /* Of whoever makes it. */
    pl_host *host;
    pl_http_fetcher *fetcher;
    const pl_schemas_config *config;
    pl_arena *arena;   /* for answers */
    unsigned *address; /* the one that has answered last: the first to be asked */
    /* Not from inside of pl_schema_call_start. err: as pl_schema_read_answer has it, and UNAVAILABLE when
     * there was no answer. Another call may be started from there. */
    void (*done)(struct pl_schema_call *call, pl_code code, const pl_schema_answer *answer,
                 const pl_error *err);
    /* Its own. */
    pl_schema_ask ask;
    pl_buf path, body;
    pl_http_fetch *fetch;
    pl_timer pause;
    uint64_t end; /* of the time there is */
    unsigned tries;
    pl_error last;
} pl_schema_call;

/* Before the first start: sets its own members. */
void pl_schema_call_init(pl_schema_call *call);
/* One at a time. RESOURCE_EXHAUSTED: memory; done is not called then. */
pl_code pl_schema_call_start(pl_schema_call *call, pl_schema_ask ask, pl_str subject, int32_t id,
                             const pl_schema *schema, pl_error *err);
void pl_schema_call_dispose(pl_schema_call *call); /* gives up what is under way */

#endif
