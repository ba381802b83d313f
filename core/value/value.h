/* SPDX-License-Identifier: MIT */
#ifndef PL_VALUE_VALUE_H
#define PL_VALUE_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

/* A value outside of any script: what came in as JSON, a coerced variable, a default. Immutable once made,
 * and owned, with everything below it, by the arena it was made in. */
typedef enum pl_kind {
    PL_KIND_ABSENT, /* no value at all: an absent field, Lua's nil */
    PL_KIND_NULL,
    PL_KIND_BOOL,
    PL_KIND_INT,
    PL_KIND_FLOAT,
    PL_KIND_STRING,
    PL_KIND_LIST,
    PL_KIND_MAP,
    PL_KIND_OTHER,  /* a function, a thread, a foreign object: has no form outside its script */
    PL_KIND_SCRIPT, /* pl_value only: a value kept inside an engine (a custom scalar's parsed form) */
    PL_KIND_UPLOAD, /* pl_value only: a file that came with the request */
} pl_kind;

typedef struct pl_value pl_value;
typedef struct pl_member pl_member;
struct pl_value {
    pl_kind kind;
    union {
        bool boolean;
        int64_t integer;
        double number;
        pl_str string;
        int script;                     /* a pl_ref of the state that made it (engine.h) */
        const struct pl_upload *upload; /* value/upload.h */
        struct {
            const pl_value *items;
            size_t count;
        } list;
        struct {
            const pl_member *members; /* in the order of the source; names unique */
            size_t count;
        } map;
    };
};
struct pl_member {
    pl_str name;
    pl_value value;
};

/* The member's value, or NULL. Linear: requests are small maps. */
const pl_value *pl_value_member(const pl_value *map, pl_str name);
/* "a list", "a string"… for error messages. */
const char *pl_kind_phrase(pl_kind kind);

#endif
