/* SPDX-License-Identifier: MIT */
#include "bindings/lua/waiters.h"

static void take_out(plua_waiter *waiter)
{
    if (!waiter->place)
        return;
    *waiter->place = waiter->next;
    if (waiter->next)
        waiter->next->place = waiter->place;
    waiter->place = NULL;
}

static void cancelled(plua_wait *wait)
{
    take_out(wait->data);
}

void plua_waiters_begin(lua_State *L, const char *what, plua_waiter **list)
{
    plua_waiter *waiter = lua_newuserdatauv(L, sizeof *waiter, 0);
    *waiter = (plua_waiter){.wait = {.data = waiter}};
    plua_wait_begin(L, what, &waiter->wait, cancelled);
    waiter->next = *list;
    if (waiter->next)
        waiter->next->place = &waiter->next;
    waiter->place = list;
    *list = waiter;
}

void plua_waiters_finish(plua_waiter **list)
{
    plua_waiter *left = *list;
    *list = NULL;
    if (left)
        left->place = &left;
    while (left) {
        plua_waiter *waiter = left;
        take_out(waiter);
        plua_wait_finish(&waiter->wait);
    }
}
