/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"
#include "base/buf.h"
#include "bindings/lua/internal.h"
#include "events/policy/retry.h"

/* perilune.test.core: the C half of perilune.test.
 *
 * An operation is begun and finished from timers of zero delay: it runs resolvers in the same state, which
 * must not happen inside of the call that asks for it. The host may be at work for longer than the call
 * lives; so what it is given has two owners, the call (through a userdata on its stack) and the host. */

typedef struct operation {
    plua_wait wait;
    pl_timer timer;
    pl_host *host;
    pl_state *state;
    pl_buf request, response;
    pl_error error;
    bool armed;
    int owners;
} operation;

static void release(operation *op)
{
    if (--op->owners > 0)
        return;
    pl_buf_dispose(&op->request);
    pl_buf_dispose(&op->response);
    pl_free(op);
}

static void disarm(operation *op)
{
    if (op->armed)
        op->host->ops->timer_stop(op->host, &op->timer);
    op->armed = false;
}

static void finish(pl_timer *timer)
{
    operation *op = timer->data;
    op->armed = false;
    plua_wait_finish(&op->wait);
}

static bool arm(operation *op, void (*fire)(pl_timer *timer))
{
    op->timer.fire = fire;
    op->timer.data = op;
    op->armed = op->host->ops->timer_start(op->host, &op->timer, op->host->ops->now(op->host)) == 0;
    return op->armed;
}

static void on_response(void *data, pl_str response)
{
    operation *op = data;
    if (op->wait.call) {
        pl_buf_str(&op->response, response);
        if (!arm(op, finish))
            plua_wait_finish(&op->wait);
    }
    release(op);
}

static void start(pl_timer *timer)
{
    operation *op = timer->data;
    op->armed = false;
    op->owners++;
    if (op->host->ops->execute(op->host, op->state, pl_buf_view(&op->request), on_response, op, &op->error)) {
        plua_wait_finish(&op->wait);
        release(op);
    }
}

static void on_cancelled(plua_wait *wait)
{
    disarm(wait->data);
}

static int box_gc(lua_State *L)
{
    operation **box = lua_touserdata(L, 1);
    if (!*box)
        return 0;
    disarm(*box);
    release(*box);
    *box = NULL;
    return 0;
}

/* Pushes the userdata that owns a new operation. */
static operation *push_operation(lua_State *L)
{
    operation **box = lua_newuserdatauv(L, sizeof(*box), 0);
    *box = NULL;
    plua_push_type(L, &(plua_type){.name = "perilune.test.operation", .gc = box_gc});
    lua_setmetatable(L, -2);
    operation *op = *box = pl_calloc(1, sizeof(*op));
    if (!op)
        plua_raise(L, PL_RESOURCE_EXHAUSTED, "test: out of memory");
    op->owners = 1;
    pl_buf_init(&op->request);
    pl_buf_init(&op->response);
    return op;
}

/* stack: request box */
static int executed(lua_State *L, int status, lua_KContext ctx)
{
    operation *op = *(operation **)lua_touserdata(L, 2);
    if (op->error.code)
        return plua_raise(L, op->error.code, "%s", op->error.message);
    if (op->response.failed)
        return plua_raise(L, PL_RESOURCE_EXHAUSTED, "test: out of memory");
    lua_pushlstring(L, op->response.data ? op->response.data : "", op->response.len);
    return 1;
}

/* execute(request as JSON) → response as JSON */
static int test_execute(lua_State *L)
{
    pl_str request;
    request.ptr = luaL_checklstring(L, 1, &request.len);
    lua_settop(L, 1);
    plua_wait_check(L, "test.graphql");
    pl_host *host = plua_host(L);
    if (!host->ops->execute)
        return luaL_error(L, "test.graphql: there is nothing here that runs GraphQL operations");
    operation *op = push_operation(L);
    op->host = host;
    op->state = (pl_state *)plua_of(L);
    op->wait.data = op;
    pl_buf_str(&op->request, request);
    if (op->request.failed || !arm(op, start))
        return plua_raise(L, PL_RESOURCE_EXHAUSTED, "test: out of memory");
    plua_wait_begin(L, "test.graphql", &op->wait, on_cancelled);
    return plua_wait_yield(L, 0, executed);
}

/* where(level) → file, line of a caller: level 1 is the function that called the one that calls this. Nothing
 * when it is not known. */
static int test_where(lua_State *L)
{
    lua_Debug ar;
    int level = (int)luaL_checkinteger(L, 1) + 1;
    if (!lua_getstack(L, level, &ar) || !lua_getinfo(L, "Sl", &ar) || ar.currentline <= 0)
        return 0;
    lua_pushstring(L, ar.source[0] == '@' || ar.source[0] == '=' ? ar.source + 1 : ar.short_src);
    lua_pushinteger(L, ar.currentline);
    return 2;
}

/* files(prefix) → the paths of the bundle's files that begin with it */
static int test_files(lua_State *L)
{
    const pl_state_config *config = plua_config(L);
    pl_str prefix;
    prefix.ptr = luaL_checklstring(L, 1, &prefix.len);
    lua_newtable(L);
    for (size_t i = 0; i < config->file_count; i++) {
        pl_str path = config->files[i].path;
        if (path.len < prefix.len || memcmp(path.ptr, prefix.ptr, prefix.len) != 0)
            continue;
        lua_pushlstring(L, path.ptr, path.len);
        lua_rawseti(L, 2, (lua_Integer)lua_rawlen(L, 2) + 1);
    }
    return 1;
}

/* context() → the ctx of the test's own call */
static int test_context(lua_State *L)
{
    const pl_work *work = plua_work(L);
    if (!work)
        return luaL_error(L, "test.events: events can be given to handlers inside of a test only");
    plua_state *st = plua_of(L);
    if (!lua_checkstack(st->L, 8))
        return plua_raise(L, PL_RESOURCE_EXHAUSTED, "test: out of memory");
    plua_ctx_push(st, (pl_work *)work);
    if (st->L != L)
        lua_xmove(st->L, L, 1);
    return 1;
}

static pl_code code_of(const char *name)
{
    for (int code = PL_OK + 1; code <= PL_UNAUTHENTICATED; code++) {
        if (strcmp(pl_code_name((pl_code)code), name) == 0)
            return (pl_code)code;
    }
    return PL_UNKNOWN;
}

/* Pushes retry[name]. */
static int push_option(lua_State *L, const char *name)
{
    lua_settop(L, 4);
    return lua_getfield(L, 4, name);
}

static uint64_t milliseconds(lua_State *L, const char *name)
{
    return push_option(L, name) == LUA_TNIL ? 0 : (uint64_t)(luaL_checknumber(L, -1) * 1000);
}

static void read_topics(lua_State *L, pl_retry_policy *policy)
{
    if (push_option(L, "topics") != LUA_TTABLE)
        return;
    size_t n = lua_rawlen(L, 5);
    for (size_t i = 0; i < n && i < PL_MOST_RETRY_TOPICS; i++) {
        lua_rawgeti(L, 5, (lua_Integer)i + 1);
        policy->topics[policy->topic_count++] = (uint64_t)(luaL_checknumber(L, -1) * 1000);
    }
}

static void read_never(lua_State *L, pl_retry_policy *policy)
{
    if (push_option(L, "never") != LUA_TTABLE)
        return;
    policy->never = pl_code_bit(PL_OK); /* an empty list is one, too */
    for (size_t i = 0, n = lua_rawlen(L, 5); i < n; i++) {
        lua_rawgeti(L, 5, (lua_Integer)i + 1);
        policy->never |= pl_code_bit(code_of(luaL_checkstring(L, -1)));
    }
}

/* verdict(code, attempt, topic, retry) → "here" or "topic" and the seconds to wait; or "dead_letter": as the
 * consumers decide it, without jitter */
static int test_verdict(lua_State *L)
{
    static const char *const growths[] = {"constant", "linear", "exponential", NULL};
    static const char *const kinds[] = {"here", "topic", "dead_letter"};
    luaL_checktype(L, 4, LUA_TTABLE);
    pl_retry_policy policy = {.initial = milliseconds(L, "initial"), .max = milliseconds(L, "max")};
    push_option(L, "attempts");
    policy.attempts = (unsigned)luaL_optinteger(L, -1, 3);
    push_option(L, "backoff");
    policy.growth = (pl_growth)luaL_checkoption(L, -1, "exponential", growths);
    push_option(L, "multiplier");
    policy.multiplier = luaL_optnumber(L, -1, 0);
    read_topics(L, &policy);
    read_never(L, &policy);
    unsigned attempt = (unsigned)luaL_checkinteger(L, 2), topic = (unsigned)luaL_checkinteger(L, 3);
    pl_retry_verdict verdict = pl_retry_decide(&policy, code_of(luaL_checkstring(L, 1)), attempt, topic, 0);
    lua_pushstring(L, kinds[verdict.kind]);
    lua_pushnumber(L, (lua_Number)verdict.wait / 1000);
    return 2;
}

int plua_open_test(lua_State *L)
{
    static const luaL_Reg functions[] = {{"execute", test_execute}, {"where", test_where},
                                         {"files", test_files},     {"context", test_context},
                                         {"verdict", test_verdict}, {NULL, NULL}};
    luaL_newlib(L, functions);
    return 1;
}
