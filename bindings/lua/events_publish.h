/* SPDX-License-Identifier: MIT */
#ifndef PLUA_EVENTS_PUBLISH_H
#define PLUA_EVENTS_PUBLISH_H

#include "bindings/lua/internal.h"

/* Adds publish and publish_batch to the table at the top: perilune.events.core. [jumps] */
void plua_open_publish(lua_State *L);

#endif
