/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_CONFIG_VALUES_H
#define PL_APP_CONFIG_VALUES_H

#include "app/config.h"

/* How values of app.lua, and what else is declared by tables, are read: a table of settings says which there
 * are, and what reads each. Every reader gets the value's path for messages ("graphql.timeout"), its slot,
 * and where to put it. What is wrong goes to the report. All are below pl_protect. */

#define CFG_AT(field) offsetof(pl_config, field)

typedef struct cfg_context {
    pl_state *state;
    const pl_engine *e;
    pl_arena *arena; /* for what is kept */
    pl_config *config;
    pl_report *report;
    const char *file; /* that is read */
} cfg_context;

typedef void cfg_read(cfg_context *c, const char *path, pl_slot slot, void *target);
typedef struct cfg_setting {
    const char *name; /* NULL ends a table */
    cfg_read *read;
    size_t offset; /* of the target in what the table fills, pl_config as a rule */
} cfg_setting;

/* "PATH must be EXPECTED, not a list." */
void cfg_wrong(cfg_context *c, const char *path, const char *expected, pl_slot slot);

/* --- readers, by what they fill --- */
cfg_read cfg_bool;     /* bool */
cfg_read cfg_not_bool; /* bool, the other way round */
cfg_read cfg_uint32;   /* uint32_t, from 1 */
cfg_read cfg_uint64;   /* uint64_t, from 1 */
cfg_read cfg_size;     /* size_t: bytes, or "64MB", "512 kB", "1GiB" */
cfg_read cfg_seconds;  /* unsigned: milliseconds */
cfg_read cfg_string;   /* pl_str */

/* --- what readers are made of; false or NULL: reported --- */
bool cfg_get_count(cfg_context *c, const char *path, pl_slot slot, int64_t max, int64_t *out);
bool cfg_get_seconds(cfg_context *c, const char *path, pl_slot slot, uint64_t *out);
/* Copies into the arena. */
pl_str cfg_copy(cfg_context *c, pl_str s);
pl_str cfg_copy_string(cfg_context *c, pl_slot slot);
void cfg_lower(pl_str s); /* in place: bytes of the arena */
size_t cfg_count_entries(cfg_context *c, pl_slot slot);
/* A list of strings. */
pl_str *cfg_strings(cfg_context *c, const char *path, pl_slot slot, const char *expected, size_t *count);
/* A string that is one of the words, as its place among them. False: it is none, which is not reported. */
bool cfg_word(cfg_context *c, pl_slot slot, const char *const *words, unsigned *out);

/* A table of settings. base: what the offsets count from. */
void cfg_table(cfg_context *c, const char *path, pl_slot slot, const cfg_setting *settings, void *base);
/* The same of pl_config, or `false` (off) or `true` (on, with the defaults). */
void cfg_switch(cfg_context *c, const char *path, pl_slot slot, const cfg_setting *settings, bool *on);
/* A table by names: room for one item of size bytes for each entry, and a call for each. expected says what
 * the table should be. */
void *cfg_begin_named(cfg_context *c, const char *path, pl_slot slot, const char *expected, size_t size);
void cfg_each_named(cfg_context *c, const char *path, pl_slot slot,
                    void (*read)(cfg_context *c, const char *path, pl_slot slot, pl_str name));

/* config_graphql.c: graphql = { … } */
cfg_read cfg_graphql;
/* config_grpc.c: grpc = { … } */
cfg_read cfg_grpc;
void pl_config_default_grpc(pl_grpc_config *config);
/* config_kafka.c: kafka = { … } */
cfg_read cfg_kafka;
void pl_config_default_kafka(pl_kafka_config *config);
/* config_sqlite.c: sqlite = { … } */
cfg_read cfg_sqlite;
void pl_config_default_database(pl_database_config *config);
/* With a database in a file there are timers more: the relay of its outbox, and projections. */
void cfg_add_built_in(cfg_context *c);
/* config_schemas.c: kafka.registry, kafka.topics */
cfg_read cfg_schema_registry;
cfg_read cfg_topics;
void cfg_check_topics(cfg_context *c); /* when both are read */

#endif
