/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <time.h>

#include "bindings/lua/internal.h"

/* Limits on running time, at no cost to calls that keep them.
 *
 * A run is one uninterrupted stretch of script code: from a resume to the next yield, return or error. Around it run_seq is
 * made odd and even. The watchdog thread looks in about every 10 ms (plua_watch); when it finds the same odd number twice, the
 * run has taken at least that long, and the watchdog sends a signal to the state's thread. The handler arms Lua's count hook
 * (lua_sethook may be called from a signal handler; lua.c does the same for SIGINT), and from then on the hook, on the
 * script's own thread, counts instructions and reads the clock. When a limit is passed it raises an error, again and again
 * until the call has ended: no pcall in a script can swallow it (sandbox.c). */

#define HOOK_COUNT 1000   /* instructions between two looks */
#define ARM_AFTER_MS 8    /* a run that is younger is left alone */

/* The state whose script runs on this thread, for the signal handler. */
static __thread plua_state *volatile running_state __attribute__((tls_model("initial-exec")));

static int watch_signal(void)
{
    return SIGRTMIN + 6;
}

static uint64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void hook_clear(lua_State *L)
{
    lua_sethook(L, NULL, 0, 0);
}

static void hook_raise(lua_State *L, plua_state *st, pl_code code, const char *fmt, unsigned long long limit)
{
    if (st->current)
        st->current->interrupted = code;
    lua_pushfstring(L, fmt, (LUAI_UACINT)limit);
    luaL_where(L, 0);
    lua_insert(L, -2);
    lua_concat(L, 2);
    lua_error(L);
}

static void hook(lua_State *L, lua_Debug *ar)
{
    plua_state *st = plua_state_of(L);
    unsigned seq = atomic_load_explicit(&st->run_seq, memory_order_relaxed);
    if (atomic_load_explicit(&st->armed_seq, memory_order_relaxed) != seq) { /* left over from an earlier run */
        hook_clear(L);
        return;
    }
    unsigned limit_ms = st->loading ? st->config.limits.load_ms : st->config.limits.run_ms;
    uint64_t now = clock_ms();
    if (st->run_deadline == 0)
        st->run_deadline = now + limit_ms - (limit_ms > ARM_AFTER_MS && !st->loading ? ARM_AFTER_MS : 0);
    if (st->current) {
        st->current->instructions += HOOK_COUNT;
        if (st->current->instructions > st->config.limits.instructions)
            hook_raise(L, st, PL_RESOURCE_EXHAUSTED, "the script used more than %I instructions in one call",
                       st->config.limits.instructions);
    }
    if (now >= st->run_deadline)
        hook_raise(L, st, PL_DEADLINE_EXCEEDED,
                   st->loading ? "the bundle's top-level code ran longer than %I ms"
                               : "the script ran longer than %I ms without waiting",
                   limit_ms);
}

static void on_signal(int signo)
{
    plua_state *st = running_state;
    if (!st)
        return;
    lua_State *L = atomic_load_explicit(&st->running, memory_order_relaxed);
    unsigned seq = atomic_load_explicit(&st->run_seq, memory_order_relaxed);
    if (!L || (seq & 1) == 0)
        return;
    st->run_deadline = 0;
    atomic_store_explicit(&st->armed_seq, seq, memory_order_relaxed);
    lua_sethook(L, hook, LUA_MASKCOUNT, HOOK_COUNT);
}

static void install_handler(void)
{
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&sa.sa_mask);
    sigaction(watch_signal(), &sa, NULL);
}

void plua_watch_prepare(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install_handler);
}

void plua_watch_unblock(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, watch_signal());
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void plua_run_begin(plua_state *st, lua_State *co)
{
    st->run_cap = st->used + st->config.limits.call_memory;
    if (st->run_cap > st->config.limits.memory)
        st->run_cap = st->config.limits.memory;
    st->refused = false;
    running_state = st;
    atomic_store_explicit(&st->running, co, memory_order_relaxed);
    atomic_store_explicit(&st->run_seq, atomic_load_explicit(&st->run_seq, memory_order_relaxed) + 1, memory_order_relaxed);
}

void plua_run_end(plua_state *st)
{
    unsigned seq = atomic_load_explicit(&st->run_seq, memory_order_relaxed);
    atomic_store_explicit(&st->run_seq, seq + 1, memory_order_relaxed);
    lua_State *co = atomic_load_explicit(&st->running, memory_order_relaxed);
    atomic_store_explicit(&st->running, NULL, memory_order_relaxed);
    running_state = NULL;
    if (atomic_load_explicit(&st->armed_seq, memory_order_relaxed) == seq)
        hook_clear(co);
    st->run_cap = SIZE_MAX;
}

void plua_load_begin(plua_state *st)
{
    st->loading = true;
    plua_run_begin(st, st->L);
    st->run_cap = st->config.limits.memory;
    st->run_deadline = 0;
    atomic_store(&st->armed_seq, atomic_load(&st->run_seq));
    lua_sethook(st->L, hook, LUA_MASKCOUNT, HOOK_COUNT);
}

void plua_load_end(plua_state *st)
{
    plua_run_end(st);
    hook_clear(st->L);
    st->loading = false;
}

void plua_run_switch(plua_state *st, lua_State *co)
{
    atomic_store_explicit(&st->running, co, memory_order_relaxed);
    unsigned seq = atomic_load_explicit(&st->run_seq, memory_order_relaxed);
    if (atomic_load_explicit(&st->armed_seq, memory_order_relaxed) == seq)
        lua_sethook(co, hook, LUA_MASKCOUNT, HOOK_COUNT);
}

void plua_check_interrupt(lua_State *L)
{
    plua_state *st = plua_state_of(L);
    unsigned seq = atomic_load_explicit(&st->run_seq, memory_order_relaxed);
    if ((seq & 1) != 0 && atomic_load_explicit(&st->armed_seq, memory_order_relaxed) == seq)
        hook(L, NULL);
}

void plua_watch(pl_state *state, uint64_t now)
{
    plua_state *st = plua_cast(state);
    if (!atomic_load(&st->attached))
        return;
    unsigned seq = atomic_load_explicit(&st->run_seq, memory_order_relaxed);
    if ((seq & 1) == 0 || seq != st->watched_seq) {
        st->watched_seq = seq;
        st->watched_since = now;
        return;
    }
    if (now - st->watched_since < ARM_AFTER_MS || atomic_load_explicit(&st->armed_seq, memory_order_relaxed) == seq)
        return;
    pthread_kill(st->thread, watch_signal());
}
