/* SPDX-License-Identifier: MIT */
#include "bindings/lua/internal.h"

/* Declarations of consumers go through perilune.consumer: what is made of a handler there (deduplication,
 * say) needs nothing of the core. */

static void push_library(lua_State *L)
{
    lua_pushcfunction(L, plua_require);
    lua_pushliteral(L, "perilune.consumer");
}

static pl_code declare(pl_state *state, pl_slot slot, pl_slot *out, pl_error *err)
{
    const pl_engine *e = pl_engine_of(state);
    lua_State *L = plua_cast(state)->L;
    pl_slot library;
    push_library(L);
    if (e->call_loading(state, 1, &library, err) != PL_OK)
        return err->code;
    lua_pushvalue(L, slot);
    return e->call_loading(state, 1, out, err);
}

void plua_declare_init(pl_engine *engine)
{
    engine->declare = declare;
}
