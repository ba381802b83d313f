/* SPDX-License-Identifier: MIT */
#ifndef PLUA_WAITERS_H
#define PLUA_WAITERS_H

#include "bindings/lua/plua.h"

/* Calls that wait for the same thing: a list, of which cancelled ones take themselves out. */
typedef struct plua_waiter plua_waiter;
struct plua_waiter {
    plua_wait wait;
    plua_waiter *next, **place;
};

/* The running call waits in the list, which stays where it is as long as somebody does. The caller goes on as
 * after plua_wait_begin. The waiter is left on the stack. [jumps] */
void plua_waiters_begin(lua_State *L, const char *what, plua_waiter **list);
/* All who wait go on, as plua_wait_finish lets them; whoever does may cancel another one, or wait anew. The
 * list is empty before the first one runs, and is not touched afterwards. */
void plua_waiters_finish(plua_waiter **list);

#endif
