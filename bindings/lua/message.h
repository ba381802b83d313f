/* SPDX-License-Identifier: MIT */
#ifndef PLUA_MESSAGE_H
#define PLUA_MESSAGE_H

#include "bindings/lua/plua.h"

/* msg, the second argument of a handler of events: to scripts a table with key, value, topic and so on. Most
 * of it is read by hardly any handler, so it begins as a table that has nothing but a copy of the bytes; its
 * fields are made when they are read, and all of them, for good, before anybody could see that they are not
 * there. */

/* pl_engine.push_message. [jumps] */
void plua_push_message(pl_state *state, const pl_event_message *message);
/* Makes all fields of the table at index, if it is such a msg: before it is read by other means than
 * indexing. [jumps] */
void plua_message_unfold(lua_State *L, int index);
/* Whether the table at index, absolute, is such a msg, whose fields are not all made. */
bool plua_message_has(lua_State *L, int index);
/* Pops a key and pushes that field of such a msg. False, and nothing is pushed: it is none, or memory. Does
 * not jump; there is room for 4 slots. */
bool plua_message_get(lua_State *L, int index);
/* Once a state. Replaces what reads and writes tables without their metamethods. stack: … base library → the
 * same */
void plua_message_open(lua_State *L);

#endif
