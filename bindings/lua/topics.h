/* SPDX-License-Identifier: MIT */
#ifndef PLUA_TOPICS_H
#define PLUA_TOPICS_H

#include "bindings/lua/plua.h"
#include "value/incoming.h"

/* Pushes { topic, partition, offset, timestamp, id, key, value, headers }. [jumps] */
void plua_push_incoming(lua_State *L, const pl_incoming *in);

#endif
