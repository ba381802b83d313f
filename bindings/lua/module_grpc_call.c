/* SPDX-License-Identifier: MIT */
#include "bindings/lua/internal.h"
#include "bindings/lua/waiters.h"

/* `call`, the ctx of a remote procedure call, as services see it: send, receive, messages, send_headers,
 * metadata, trailers. What the core does with values it does on the main thread's stack (slots are counted
 * there), in a protected section of its own: a jump must not leave the coroutine that runs. */

typedef struct receiver {
    plua_wait wait;
    pl_rpc *rpc; /* NULL: woken, or cancelled */
} receiver;

typedef struct operation {
    pl_rpc *rpc;
    pl_rpc_result (*run)(struct operation *op, pl_slot argument);
    pl_rpc_result result;
    pl_error err;
} operation;

static void prepare(operation *op, pl_rpc *rpc, pl_rpc_result (*run)(operation *op, pl_slot argument))
{
    op->rpc = rpc;
    op->run = run;
    op->result = PL_RPC_FAILED;
    pl_error_clear(&op->err);
}

static pl_rpc *check_rpc(lua_State *L)
{
    pl_work *work = lua_istable(L, 1) ? plua_ctx_work(L, 1) : NULL;
    if (!work || !work->rpc)
        plua_raise(L, PL_CANCELLED, "the call is over");
    return work->rpc;
}

/* --- the core's functions --- */

/* stack: argument operation → [pushed] */
static int run_section(lua_State *M)
{
    operation *op = lua_touserdata(M, 2);
    op->result = op->run(op, 1);
    return lua_gettop(M) > 2 ? 1 : 0;
}

/* Runs op with the value at index; what it pushes (or nil) is on top of L then. */
static void run_operation(lua_State *L, operation *op, int index)
{
    lua_State *M = plua_state_of(L)->L;
    if (!lua_checkstack(M, 8))
        plua_raise(L, PL_RESOURCE_EXHAUSTED, "out of memory");
    lua_pushcfunction(M, run_section);
    lua_pushvalue(L, index);
    lua_xmove(L, M, 1);
    lua_pushlightuserdata(M, op);
    bool ok = lua_pcall(M, 2, 1, 0) == LUA_OK;
    lua_xmove(M, L, 1);
    if (ok)
        return;
    op->rpc->ops->abandoned(op->rpc);
    plua_raise(L, PL_RESOURCE_EXHAUSTED, "out of memory");
}

static int raise_error(lua_State *L, const operation *op)
{
    return plua_raise(L, op->err.code, "%s", op->err.message);
}

/* --- receiving --- */
static pl_rpc_result run_receive(operation *op, pl_slot argument)
{
    (void)argument;
    return op->rpc->ops->receive(op->rpc, &op->err);
}

static void readable(pl_rpc *rpc)
{
    receiver *node = rpc->receiver;
    rpc->readable = NULL;
    rpc->receiver = NULL;
    node->rpc = NULL;
    plua_wait_finish(&node->wait);
}

static void receive_cancelled(plua_wait *wait)
{
    receiver *node = wait->data;
    if (!node->rpc)
        return;
    node->rpc->readable = NULL;
    node->rpc->receiver = NULL;
    node->rpc = NULL;
}

static int receive(lua_State *L, int status, lua_KContext ctx)
{
    operation op;
    prepare(&op, check_rpc(L), run_receive);
    lua_settop(L, 1);
    if (op.rpc->receiver)
        return luaL_error(L, "another coroutine waits for the call's next message already");
    run_operation(L, &op, 1);
    switch (op.result) {
    case PL_RPC_DONE:
        return 1;
    case PL_RPC_END:
        lua_pushnil(L);
        return 1;
    case PL_RPC_FAILED:
        return raise_error(L, &op);
    case PL_RPC_WAIT:
        break;
    }
    lua_settop(L, 1);
    receiver *node = lua_newuserdatauv(L, sizeof *node, 0);
    *node = (receiver){.wait = {.data = node}, .rpc = op.rpc};
    plua_wait_begin(L, "call:receive", &node->wait, receive_cancelled);
    op.rpc->receiver = node;
    op.rpc->readable = readable;
    return plua_wait_yield(L, 0, receive);
}

/* call:receive() waits for the next message, and returns it; nil at the end. */
static int call_receive(lua_State *L)
{
    return receive(L, LUA_OK, 0);
}

/* for message in call:messages() do … end */
static int call_messages(lua_State *L)
{
    check_rpc(L);
    lua_settop(L, 1);
    lua_pushcfunction(L, call_receive);
    lua_insert(L, 1);
    return 2;
}

/* --- sending --- */
static pl_rpc_result run_send(operation *op, pl_slot argument)
{
    return op->rpc->ops->send(op->rpc, argument, &op->err);
}

static void writable(pl_rpc *rpc)
{
    rpc->writable = NULL;
    plua_waiters_finish((plua_waiter **)&rpc->senders);
}

static int sent(lua_State *L, int status, lua_KContext ctx)
{
    (void)ctx;
    check_rpc(L);
    return 0;
}

/* call:send(message) waits while the peer is slow. */
static int call_send(lua_State *L)
{
    operation op;
    prepare(&op, check_rpc(L), run_send);
    luaL_checkany(L, 2);
    run_operation(L, &op, 2);
    if (op.result == PL_RPC_FAILED && op.err.code == PL_INTERNAL)
        return luaL_error(L, "%s", op.err.message); /* the script's fault: for the log, not for the client */
    if (op.result == PL_RPC_FAILED)
        return raise_error(L, &op);
    if (op.result != PL_RPC_WAIT)
        return 0;
    lua_settop(L, 1);
    plua_waiters_begin(L, "call:send", (plua_waiter **)&op.rpc->senders);
    op.rpc->writable = writable;
    return plua_wait_yield(L, 0, sent);
}

static pl_rpc_result run_send_headers(operation *op, pl_slot argument)
{
    return op->rpc->ops->send_headers(op->rpc, argument, &op->err);
}

/* call:send_headers { name = value } */
static int call_send_headers(lua_State *L)
{
    operation op;
    prepare(&op, check_rpc(L), run_send_headers);
    lua_settop(L, 2);
    run_operation(L, &op, 2);
    return op.result == PL_RPC_FAILED ? raise_error(L, &op) : 0;
}

/* --- fields --- */
static pl_rpc_result run_metadata(operation *op, pl_slot argument)
{
    (void)argument;
    op->rpc->ops->push_metadata(op->rpc);
    return PL_RPC_DONE;
}

bool plua_rpc_field(lua_State *L, const char *name, pl_work *work)
{
    static const luaL_Reg methods[] = {{"send", call_send},
                                       {"receive", call_receive},
                                       {"messages", call_messages},
                                       {"send_headers", call_send_headers},
                                       {NULL, NULL}};
    for (const luaL_Reg *m = methods; m->name; m++) {
        if (strcmp(name, m->name) == 0) {
            lua_pushcfunction(L, m->func);
            return true;
        }
    }
    if (strcmp(name, "trailers") == 0) {
        lua_newtable(L); /* for the script to fill */
    } else if (strcmp(name, "metadata") == 0) {
        operation op;
        prepare(&op, work->rpc, run_metadata);
        lua_pushnil(L);
        run_operation(L, &op, -1);
    } else if (strcmp(name, "method") == 0) {
        lua_pushlstring(L, work->operation_name.ptr, work->operation_name.len);
    } else {
        return false;
    }
    return true;
}
