/* SPDX-License-Identifier: MIT */
#ifndef PLUA_PLAIN_H
#define PLUA_PLAIN_H

#include "bindings/lua/internal.h"

/* The modules that need no server, in a Lua state that another program owns (lua5.4). The same module_*.c and
 * Lua files as in the server; in place of the engine around them (state.c, call.c, watch.c …) there is a
 * small plua_state that has values and no calls. It lives in the registry, and as long as the Lua state.
 *
 * What the host's states have, and the server's have not: finalizers of scripts, which run whenever memory is
 * taken from Lua, also after ours when the state is closed; coroutines from before we came, so that nothing
 * can be in the extra space; an allocator that is not ours. */

/* Makes the plua_state the first time. Requires perilune.errors. [jumps] */
plua_state *plua_plain_open(lua_State *L);

/* log.c: lines of JSON on stderr, text when that is a terminal. NULL: memory. */
pl_logger *plua_plain_logger(void);

/* descriptors.c: adds load and add to the table of perilune.proto.core at the top. [jumps] */
void plua_add_descriptors(lua_State *L);

#endif
