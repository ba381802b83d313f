/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_CONFIG_H
#define PL_APP_CONFIG_H

#include "app/report.h"
#include "graphql/service.h"
#include "net/edge.h"

/* What app.lua says: the settings of a generation. Everything lives in the arena that it was read into. */
typedef struct pl_timer_config {
    pl_str name;
    uint64_t every_ms;
} pl_timer_config;

typedef struct pl_config {
    pl_str name;
    pl_str path; /* http.path: where GraphQL is served; "/graphql" */
    pl_http_settings http;
    bool pretty; /* http.pretty: indented JSON for all; ?pretty asks for it once */
    gql_service_options graphql;
    gql_schema_options schema;
    pl_state_limits limits;
    pl_timer_config *timers; /* sorted by name */
    size_t timer_count;
} pl_config;

void pl_config_default(pl_config *config);
/* Reads the table that app.lua returned, at slot: what is set replaces what is in *config. Settings that do
 * not exist, and values of a wrong kind, are errors. Below pl_protect. */
void pl_config_read(pl_state *state, pl_slot slot, pl_arena *arena, pl_config *config, pl_report *report);

#endif
