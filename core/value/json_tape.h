/* SPDX-License-Identifier: MIT */
#ifndef PL_VALUE_JSON_TAPE_H
#define PL_VALUE_JSON_TAPE_H

#include "value/engine.h"
#include "value/json.h"

/* JSON that was read, as a flat list of tokens in the order of the text: of a map, behind its own token, the
 * name and the value of each member in turn. It can be pushed as a script's value without a tree in between.
 */
typedef struct pl_json_token {
    uint8_t kind; /* a pl_kind: NULL, BOOL, INT, FLOAT, STRING, LIST, MAP */
    bool copied;  /* the string is in the arena, since it had escapes; else in the text */
    union {
        bool boolean;
        int64_t integer;
        double number;
        pl_str string;
        size_t count; /* of values in a list or map */
    };
} pl_json_token;

/* All zero at first; used again for one text after the other, and its memory with it. */
typedef struct pl_json_tape {
    pl_json_token *tokens;
    size_t count, room;
} pl_json_tape;

/* Fills the tape, in place of what was there. It points into text and arena. limits may be NULL, and
 * unique_names does not count. Errors: as pl_json_read. */
pl_code pl_json_scan(pl_json_tape *tape, pl_arena *arena, pl_str text, const pl_json_limits *limits,
                     pl_error *err);
/* Gives memory back that holds more than so many tokens. */
void pl_json_tape_trim(pl_json_tape *tape, size_t most);
void pl_json_tape_dispose(pl_json_tape *tape);

/* Pushes the value, as pl_push_value would. Of a repeated name the last value counts. [jumps] */
void pl_push_tape(pl_state *state, const pl_json_tape *tape);

#endif
