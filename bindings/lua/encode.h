/* SPDX-License-Identifier: MIT */
#ifndef PLUA_ENCODE_H
#define PLUA_ENCODE_H

#include "base/buf.h"
#include "bindings/lua/plua.h"

/* Lua values as JSON, for the modules. Metamethods are not run. */

#define PLUA_ENCODE_DEPTH 64

typedef struct plua_encode_options {
    bool sorted; /* map keys in byte order; otherwise in table order */
    bool lossy;  /* what has no JSON form becomes a word in a string, and nothing is an error: for logs */
} plua_encode_options;

/* Appends the value at index. False, with *err filled (INVALID_ARGUMENT, naming the path), when it has no
 * JSON form; memory shows in out->failed. out must be anchored: [jumps] */
bool plua_encode(lua_State *L, int index, const plua_encode_options *options, pl_buf *out, pl_error *err);
/* Pushes what was read from JSON; null as perilune.null. [jumps] */
void plua_push_json(lua_State *L, const pl_value *v);
/* Whether the table at index has the mark of plua_mark_list. */
bool plua_has_list_mark(lua_State *L, int index);
/* Pushes a userdata that holds an empty pl_buf and disposes of it when it is collected. */
pl_buf *plua_push_buf(lua_State *L);

#endif
