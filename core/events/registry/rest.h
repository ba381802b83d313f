/* SPDX-License-Identifier: MIT */
#ifndef PL_EVENTS_REGISTRY_REST_H
#define PL_EVENTS_REGISTRY_REST_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

/* The REST interface of schema registries, as Confluent's has it: what requests are made of, and what answers
 * say. No I/O. */

typedef enum pl_schema_type { PL_SCHEMA_PROTOBUF, PL_SCHEMA_JSON, PL_SCHEMA_AVRO } pl_schema_type;

/* What a schema imports: under which name it does so, and where that is registered. */
typedef struct pl_schema_reference {
    pl_str name, subject;
    int32_t version;
} pl_schema_reference;

typedef struct pl_schema {
    pl_schema_type type;
    pl_str text;
    const pl_schema_reference *references;
    size_t reference_count;
} pl_schema;

typedef enum pl_schema_ask {
    PL_SCHEMA_GET,        /* GET /schemas/ids/ID: text, type */
    PL_SCHEMA_REGISTER,   /* POST /subjects/SUBJECT/versions: id */
    PL_SCHEMA_LOOK_UP,    /* POST /subjects/SUBJECT: id, version */
    PL_SCHEMA_LATEST,     /* GET /subjects/SUBJECT/versions/latest: id, version, text, type */
    PL_SCHEMA_COMPATIBLE, /* POST /compatibility/subjects/SUBJECT/versions: compatible, why */
} pl_schema_ask;

typedef struct pl_schema_answer {
    bool missing; /* there is no such subject, version or schema; `why` has the registry's words */
    bool compatible;
    pl_schema_type type;
    int32_t id, version; /* 0: not said */
    pl_str text, why;
} pl_schema_answer;

/* Path and query, behind the registry's address. subject, id: as the question needs them. normalize: the
 * registry is to look past differences in form. */
void pl_schema_put_path(pl_buf *out, pl_schema_ask ask, pl_str subject, int32_t id, bool normalize);
/* The body of POST requests. */
void pl_schema_put_body(pl_buf *out, const pl_schema *schema);
static inline bool pl_schema_has_body(pl_schema_ask ask)
{
    return ask == PL_SCHEMA_REGISTER || ask == PL_SCHEMA_LOOK_UP || ask == PL_SCHEMA_COMPATIBLE;
}

/* Whether an answer of this status may be another one at the next try. */
bool pl_schema_is_passing(long status);
/* What was answered; strings are in the arena. Errors: INVALID_ARGUMENT (the registry does not accept the
 * schema), FAILED_PRECONDITION (it is not compatible with earlier ones), UNAVAILABLE (anything that is no
 * answer of a schema registry, credentials that are refused: nothing is said about the schema then),
 * RESOURCE_EXHAUSTED. */
pl_code pl_schema_read_answer(pl_schema_ask ask, long status, pl_str body, pl_arena *arena,
                              pl_schema_answer *out, pl_error *err);

#endif
