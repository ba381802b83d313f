/* SPDX-License-Identifier: MIT */
#ifndef PLUA_TOPICS_H
#define PLUA_TOPICS_H

#include "bindings/lua/plua.h"
#include "value/incoming.h"
#include "value/progress.h"

/* Pushes { topic, partition, offset, timestamp, id, key, value, headers }. [jumps] */
void plua_push_incoming(lua_State *L, const pl_incoming *in);
/* What the value at the index, one of core.progress, refers to; NULL: it is none. */
pl_topic_progress *plua_test_progress(lua_State *L, int index);

#endif
