/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"
#include "bindings/lua/loader.h"

#define SLICE_MS 20 /* after so long the loop gets its turn, and the rest comes in its next one */
#define MAX_SPARE 4096

/* --- entries and loads, used again --- */
plua_entry *plua_entry_new(plua_state *st)
{
    plua_entry *entry = st->loads.entries;
    if (!entry)
        return pl_malloc(sizeof *entry);
    st->loads.entries = entry->next;
    st->loads.spare--;
    return entry;
}

static void entry_free(plua_state *st, plua_entry *entry)
{
    if (st->loads.spare >= MAX_SPARE) {
        pl_free(entry);
        return;
    }
    st->loads.spare++;
    entry->next = st->loads.entries;
    st->loads.entries = entry;
}

plua_load *plua_load_new(plua_state *st)
{
    plua_load *load = st->loads.loads;
    if (!load)
        return pl_malloc(sizeof *load);
    st->loads.loads = load->next;
    st->loads.spare--;
    return load;
}

void plua_load_free(plua_state *st, plua_load *load)
{
    if (st->loads.spare >= MAX_SPARE) {
        pl_free(load);
        return;
    }
    st->loads.spare++;
    load->next = st->loads.loads;
    st->loads.loads = load;
}

void plua_loads_dispose(plua_state *st)
{
    st->loads.spare = MAX_SPARE;
    while (st->loads.entries) {
        plua_entry *entry = st->loads.entries;
        st->loads.entries = entry->next;
        pl_free(entry);
    }
    while (st->loads.loads) {
        plua_load *load = st->loads.loads;
        st->loads.loads = load->next;
        pl_free(load);
    }
    pl_free(st->loads.in_hand);
}

/* --- lists --- */
static void append(plua_batches *list, plua_batch *batch)
{
    batch->next = NULL;
    batch->prev = list->last;
    *(batch->prev ? &batch->prev->next : &list->first) = batch;
    list->last = batch;
}

static void unlink_batch(plua_batches *list, plua_batch *batch)
{
    *(batch->prev ? &batch->prev->next : &list->first) = batch->next;
    *(batch->next ? &batch->next->prev : &list->last) = batch->prev;
}

void plua_batch_drop(plua_batch *batch)
{
    plua_state *st = batch->loader->set->st;
    while (batch->entries) {
        plua_entry *entry = batch->entries;
        batch->entries = entry->next;
        entry_free(st, entry);
    }
    int self = batch->self;
    batch->self = LUA_NOREF;
    luaL_unref(st->L, LUA_REGISTRYINDEX, self);
}

/* --- the end of a batch --- */

/* The cache forgets the batch's keys, or (with results in the slot `results`) learns what they are. Needs no
 * memory: the keys are there. stack: … batch → … batch */
static void settle(lua_State *L, const plua_batch *batch, int results)
{
    lua_getiuservalue(L, -1, PLUA_BATCH_KEYS);
    lua_getiuservalue(L, -2, PLUA_BATCH_LOADER);
    lua_getiuservalue(L, -1, PLUA_LOADER_CACHE);
    lua_replace(L, -2); /* stack: … batch keys cache */
    for (const plua_entry *entry = batch->entries; entry; entry = entry->next) {
        lua_rawgeti(L, -2, (lua_Integer)entry->index + 1);
        lua_pushvalue(L, -1);
        lua_rawget(L, -3);
        bool same = lua_touserdata(L, -1) == (const void *)entry; /* else: cleared meanwhile */
        lua_pop(L, 1);                                            /* stack: … batch keys cache key */
        if (!same) {
            lua_pop(L, 1);
            continue;
        }
        if (!results)
            lua_pushnil(L);
        else if (lua_rawgeti(L, results, (lua_Integer)entry->index + 1) == LUA_TNIL) {
            lua_pop(L, 1);
            plua_push_null(L);
        }
        lua_rawset(L, -3);
    }
    lua_pop(L, 2);
}

static void end(plua_batch *batch, plua_batch_state state)
{
    batch->state = state;
    append(&batch->loader->set->answered, batch);
}

/* stack: … error → … */
static void fail_with(lua_State *L, plua_batch *batch)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, batch->self);
    settle(L, batch, 0);
    lua_insert(L, -2);
    lua_setiuservalue(L, -2, PLUA_BATCH_ANSWER);
    lua_pop(L, 1);
    end(batch, PLUA_FAILED);
}

/* What each load of the batch raises. The log has heard of the rest. */
static void push_error(plua_state *st, const pl_failure *failure)
{
    lua_State *L = st->L;
    if (!failure->expected && failure->code == PL_INTERNAL) {
        lua_pushlstring(L, failure->message.ptr, failure->message.len);
        return;
    }
    if (!failure->expected) {
        plua_push_failure(L, failure->code,
                          failure->code == PL_DEADLINE_EXCEEDED
                              ? PL_STR("The loader took too long.")
                              : PL_STR("The loader used more than it may of memory or instructions."));
        return;
    }
    plua_push_failure(L, failure->code, failure->message);
    if (failure->details.kind != PL_KIND_ABSENT) {
        pl_push_value((pl_state *)st, &failure->details);
        lua_setfield(L, -2, "details");
    }
    if (failure->packed.kind != PL_KIND_ABSENT) {
        pl_push_value((pl_state *)st, &failure->packed);
        lua_setfield(L, -2, "packed");
    }
    if (failure->extensions.kind != PL_KIND_ABSENT) {
        pl_push_value((pl_state *)st, &failure->extensions);
        lua_setfield(L, -2, "extensions");
    }
}

static void fail(plua_batch *batch, const pl_failure *failure)
{
    plua_loaders *set = batch->loader->set;
    if (!failure->expected)
        pl_log(set->work->log, PL_ERROR, "loader failed", PL_F_STR("request", set->work->id),
               PL_F_STR("loader", batch->loader->declared->name), PL_F_INT("keys", batch->count),
               PL_F_CSTR("code", pl_code_name(failure->code)), PL_F_STR("error", failure->message),
               PL_F_STR("traceback", failure->traceback));
    push_error(set->st, failure);
    fail_with(set->st->L, batch);
}

/* The number of places that a list has: its n, if it says so (table.pack), else its last index. -1: it has
 * other keys, so that it is no list. */
static lua_Integer count_places(lua_State *L, int list, lua_Integer expected)
{
    lua_Integer n = (lua_Integer)lua_rawlen(L, list);
    if (n == expected)
        return n;
    lua_pushliteral(L, "n");
    if (lua_rawget(L, list) == LUA_TNUMBER && lua_isinteger(L, -1))
        n = lua_tointeger(L, -1);
    else
        n = 0;
    lua_pop(L, 1);
    if (n > 0)
        return n;
    for (lua_pushnil(L); lua_next(L, list); lua_pop(L, 1)) {
        if (!lua_isinteger(L, -2) || lua_tointeger(L, -2) < 1) {
            lua_pop(L, 2);
            return -1;
        }
        if (lua_tointeger(L, -2) > n)
            n = lua_tointeger(L, -2);
    }
    return n;
}

/* stack: … list → … list error */
static bool refuse_list(lua_State *L, const plua_batch *batch)
{
    pl_str name = batch->loader->declared->name;
    lua_Integer n = lua_istable(L, -1) ? count_places(L, lua_gettop(L), batch->count) : -1;
    if (n == batch->count)
        return false;
    lua_pushlstring(L, name.ptr, name.len);
    if (n < 0)
        lua_pushfstring(
            L,
            "loader \"%s\": the batch function must return a list with a value for each of its %d "
            "keys, not %s",
            lua_tostring(L, -1), (int)batch->count,
            lua_istable(L, -2) ? "a table with other keys" : luaL_typename(L, -2));
    else
        lua_pushfstring(L,
                        "loader \"%s\": the batch function returned %I values for %I keys; there must be one "
                        "for each, in the order of keys, and perilune.null for what is not found",
                        lua_tostring(L, -1), n, (lua_Integer)batch->count);
    lua_replace(L, -2);
    return true;
}

/* stack: … list → … list */
static void answer(plua_state *st, plua_batch *batch)
{
    lua_State *L = st->L;
    int list = lua_gettop(L);
    if (refuse_list(L, batch)) {
        fail_with(L, batch);
        return;
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, batch->self);
    settle(L, batch, list);
    lua_pushvalue(L, list);
    lua_setiuservalue(L, -2, PLUA_BATCH_ANSWER);
    lua_pop(L, 1);
    end(batch, PLUA_ANSWERED);
}

static void batch_done(pl_call *call, pl_call_status status, pl_slot result, const pl_failure *failure)
{
    plua_batch *batch = call->data;
    plua_loaders *set = batch->loader->set;
    lua_State *L = set->st->L;
    (void)result; /* the top slot */
    if (!lua_checkstack(L, LUA_MINSTACK))
        plua_throw(L);
    if (batch->state == PLUA_STARTING) { /* the first time was left by a jump */
        lua_pushnil(L);
        fail_with(L, batch);
    } else if (batch->state == PLUA_RUNNING) {
        batch->state = PLUA_STARTING;
        unlink_batch(&set->running, batch);
        if (status == PL_CALL_DONE)
            answer(set->st, batch);
        else
            fail(batch, failure);
    }
    plua_loaders_pump(set);
}

/* --- the start of a batch --- */

/* The keys as the batch function gets them, in a list that it may do with what it likes. stack: … → … keys */
static void push_keys(lua_State *L, const plua_batch *batch)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, batch->self);
    if (lua_getiuservalue(L, -1, PLUA_BATCH_GIVEN) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_getiuservalue(L, -1, PLUA_BATCH_KEYS);
        lua_createtable(L, batch->count > 65536 ? 65536 : (int)batch->count, 0);
        for (lua_Integer i = 1; i <= batch->count; i++) {
            lua_rawgeti(L, -2, i);
            lua_rawseti(L, -2, i);
        }
        lua_replace(L, -2);
    }
    plua_mark_list(L, -1);
    lua_replace(L, -2);
}

static void start_section(void *data)
{
    plua_batch *batch = data;
    plua_loaders *set = batch->loader->set;
    lua_State *L = set->st->L;
    pl_failure failure = {0};
    pl_call *call = NULL;
    if (batch->loader->declared->uncached) { /* what is loaded from here on is fetched anew */
        lua_rawgeti(L, LUA_REGISTRYINDEX, batch->self);
        settle(L, batch, 0);
        lua_pop(L, 1);
    }
    push_keys(L, batch);
    plua_ctx_push(set->st, set->work);
    pl_call_status status = plua_call_function((pl_state *)set->st, batch->loader->declared->batch, 2,
                                               set->work, &call, &failure);
    if (status == PL_CALL_PENDING) {
        batch->state = PLUA_RUNNING;
        batch->call = call;
        call->done = batch_done;
        call->data = batch;
        append(&set->running, batch);
    } else if (status == PL_CALL_DONE) {
        answer(set->st, batch);
    } else {
        fail(batch, &failure);
    }
}

static void fail_section(void *data)
{
    plua_batch *batch = data;
    lua_State *L = batch->loader->set->st->L;
    lua_pushnil(L);
    fail_with(L, batch);
}

static void start(plua_loaders *set)
{
    plua_batch *batch = set->collecting.first;
    pl_error err;
    pl_error_clear(&err);
    unlink_batch(&set->collecting, batch);
    if (batch->loader->open == batch)
        batch->loader->open = NULL;
    batch->state = PLUA_STARTING;
    if (plua_protect((pl_state *)set->st, start_section, batch, &err) || batch->state != PLUA_STARTING)
        return;
    pl_log(set->work->log, PL_ERROR, "loader failed", PL_F_STR("request", set->work->id),
           PL_F_STR("loader", batch->loader->declared->name), PL_F_CSTR("error", err.message));
    if (!plua_protect((pl_state *)set->st, fail_section, batch, &err))
        end(batch, PLUA_FAILED);
}

/* --- going on --- */

/* Resumes one load of the first batch that has an answer; or lets go of that batch. */
static void deliver(plua_loaders *set)
{
    plua_batch *batch = set->answered.first;
    plua_load *load = batch->loads;
    if (!load) {
        unlink_batch(&set->answered, batch);
        plua_batch_drop(batch);
        return;
    }
    batch->loads = load->next;
    *(batch->loads ? &batch->loads->prev : &batch->last_load) = NULL;
    plua_wait wait = load->wait;
    plua_load_free(set->st, load);
    plua_wait_finish(&wait);
}

static void disarm(plua_loaders *set)
{
    pl_host *host = set->st->head.host;
    if (set->timer.index != 0)
        host->ops->timer_stop(host, &set->timer);
}

static void on_timer(pl_timer *timer)
{
    plua_loaders_pump(timer->data);
}

int plua_loaders_arm(plua_loaders *set)
{
    pl_host *host = set->st->head.host;
    if (set->timer.index != 0 || set->pumping)
        return 0;
    set->timer.fire = on_timer;
    set->timer.data = set;
    /* While the core has more to run, it says when it has done with that; this is for when it does not. */
    return host->ops->timer_start(host, &set->timer, host->ops->now(host) + set->work->runnable);
}

void plua_loaders_pump(plua_loaders *set)
{
    if (set->pumping)
        return;
    uint64_t began = plua_watched_at((pl_state *)set->st);
    set->pumping = true;
    while (set->work) {
        if (set->answered.first)
            deliver(set);
        else if (set->collecting.first && !set->work->runnable)
            start(set);
        else
            break;
        if (plua_watched_at((pl_state *)set->st) - began >= SLICE_MS)
            break;
    }
    set->pumping = false;
    if (!set->work)
        luaL_unref(set->st->L, LUA_REGISTRYINDEX, set->self);
    else if (!set->answered.first && !set->collecting.first)
        disarm(set);
    else if (plua_loaders_arm(set) != 0)
        pl_log(set->work->log, PL_ERROR, "loaders cannot go on: out of memory",
               PL_F_STR("request", set->work->id));
}

void plua_dispatch(pl_state *state, pl_work *work)
{
    (void)state;
    if (work->loaders)
        plua_loaders_pump(work->loaders);
}

/* --- the end of the work --- */
static void drop_all(plua_batches *list)
{
    while (list->first) {
        plua_batch *batch = list->first;
        unlink_batch(list, batch);
        batch->state = PLUA_FAILED;
        plua_batch_drop(batch);
    }
}

void plua_loaders_end(pl_work *work)
{
    plua_loaders *set = work->loaders;
    if (!set)
        return;
    work->loaders = NULL;
    set->work = NULL;
    disarm(set);
    while (set->running.first) {
        plua_batch *batch = set->running.first;
        pl_call *call = batch->call;
        unlink_batch(&set->running, batch);
        batch->state = PLUA_FAILED;
        plua_batch_drop(batch);
        plua_call_cancel((pl_state *)set->st, call);
    }
    drop_all(&set->collecting);
    drop_all(&set->answered);
    if (!set->pumping)
        luaL_unref(set->st->L, LUA_REGISTRYINDEX, set->self);
}
