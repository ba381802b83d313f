/* SPDX-License-Identifier: MIT */
#ifndef PL_VALUE_SCHEMAS_H
#define PL_VALUE_SCHEMAS_H

#include "value/engine.h"

/* Schemas of events, as scripts ask for them (pl_host_ops.ask_schema): what a schema registry says of those
 * that are written and read. */

/* How events of a topic are published where the script does not say it: kafka.topics of app.lua. */
typedef struct pl_topic_defaults {
    pl_str topic;
    pl_str format;  /* "json", "protobuf", "bytes"; ptr NULL: not said */
    pl_str message; /* the full name of a protobuf message; ptr NULL: none */
    pl_str schema;  /* a JSON Schema of the bundle, "schemas/order.schema.json"; ptr NULL: none */
    bool registry;  /* values have the id of their schema in front */
} pl_topic_defaults;

typedef struct pl_schema_want {
    pl_str topic;           /* of the value that is written; ptr NULL: one is read */
    pl_str message, schema; /* one of them is what it is written as */
    int32_t id;             /* of the value that is read, and which message of the schema it is */
    const uint32_t *path;
    size_t depth; /* 0: it is no protobuf */
} pl_schema_want;

typedef struct pl_schema_found {
    pl_code code;
    const char *why;
    pl_str header; /* of a value that is written: what stands in front */
    /* Of one that is read. */
    const char *type; /* "PROTOBUF", "JSON", "AVRO" */
    pl_str name;      /* the message's full name */
    pl_str text;      /* the schema as registered */
} pl_schema_found;

/* Who asks; theirs, until done was called, or pl_schema_asker_forget. */
typedef struct pl_schema_asker pl_schema_asker;
struct pl_schema_asker {
    void (*done)(pl_schema_asker *asker, const pl_schema_found *found);
    /* The host's. */
    pl_schema_asker *next, **place; /* place NULL: it is over, or was never begun */
    unsigned *counted;
};

/* The answer is of no interest any more. */
static inline void pl_schema_asker_forget(pl_schema_asker *asker)
{
    if (!asker->place)
        return;
    *asker->place = asker->next;
    if (asker->next)
        asker->next->place = asker->place;
    asker->place = NULL;
    --*asker->counted;
}

#endif
