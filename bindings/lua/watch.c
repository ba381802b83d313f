/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "bindings/lua/run.h"

/* Limits on running time, at no cost to calls that keep them.
 *
 * A run is one uninterrupted stretch of script code: from a resume to the next yield, return or error. Around
 * it run_seq is made odd and even. The watchdog thread looks in about every 10 ms (plua_watch); when it finds
 * the same odd number twice, the run has taken at least that long, and the watchdog sends a signal to the
 * state's thread. The handler arms Lua's count hook (lua_sethook may be called from a signal handler; lua.c
 * does the same for SIGINT), and from then on the hook, on the script's own thread, counts instructions and
 * reads the clock.
 *
 * When a limit is passed, the hook yields: the coroutine stops where it is, no pcall and no error handler
 * hears of it, and the coroutines around it pass that on to the engine (coroutine.c), which closes them all
 * as for a cancelled call. Below a C function that cannot yield (table.sort, a string.gsub replacement) it
 * raises an error instead: Lua's own memory error, as that calls no message handler; pcall raises it again
 * (sandbox.c). An error thrown by a hook leaves hooks off in its coroutine until a pcall inside of it has
 * caught it; a coroutine that ended so would run its to-be-closed variables without any limit, and so is not
 * closed but left to the collector (hook_threw). */

#define HOOK_COUNT 200 /* instructions between two looks */
#define ARM_AFTER_MS 8 /* a run that is younger is left alone */

__thread plua_state *volatile plua_running PLUA_OF_THREAD;
__thread pid_t plua_thread PLUA_OF_THREAD;

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

int plua_throw(lua_State *L)
{
    lua_pushliteral(L, "not enough memory"); /* Lua's memory error, known by its text */
    return lua_error(L);
}

int plua_interrupt(lua_State *L)
{
    if (lua_isyieldable(L) && plua_state_of(L)->unyieldable == 0)
        return lua_yield(L, 0);
    return plua_throw(L);
}

static void describe(lua_State *L, plua_state *st, const char *fmt, unsigned long long limit)
{
    lua_Debug ar = {.currentline = 0};
    for (int level = 0; level < 3 && ar.currentline <= 0 && lua_getstack(L, level, &ar); level++)
        lua_getinfo(L, "Sl", &ar);
    int n = ar.currentline > 0
                ? snprintf(st->interruption, sizeof st->interruption, "%s:%d: ", ar.short_src, ar.currentline)
                : 0;
    snprintf(st->interruption + n, sizeof st->interruption - (size_t)n, fmt, limit);
}

/* in_hook: called by Lua as the hook, where yielding means something else than in a C function. */
static void interrupt(lua_State *L, plua_state *st, pl_code code, const char *fmt, unsigned long long limit,
                      bool in_hook)
{
    if (!st->interrupted)
        describe(L, st, fmt, limit);
    st->interrupted = code;
    if (in_hook && lua_isyieldable(L)) {
        lua_yield(L, 0);
        return;
    }
    st->hook_threw = in_hook;
    plua_throw(L);
}

static void look(lua_State *L, bool in_hook)
{
    plua_state *st = plua_state_of(L);
    unsigned limit_ms = st->loading ? st->config.limits.load_ms : st->config.limits.run_ms;
    uint64_t now = clock_ms();
    if (st->run_deadline == 0)
        st->run_deadline = now + limit_ms - (limit_ms > ARM_AFTER_MS ? ARM_AFTER_MS : 0);
    if (st->current) {
        st->current->instructions += HOOK_COUNT;
        if (st->current->instructions > st->config.limits.instructions) {
            interrupt(L, st, PL_RESOURCE_EXHAUSTED, "the script used more than %llu instructions in one call",
                      st->config.limits.instructions, in_hook);
            return;
        }
    }
    if (now >= st->run_deadline)
        interrupt(L, st, PL_DEADLINE_EXCEEDED,
                  st->loading ? "the bundle's top-level code ran longer than %llu ms"
                              : "the script ran longer than %llu ms without waiting",
                  limit_ms, in_hook);
}

static bool is_armed(const plua_state *st)
{
    unsigned seq = atomic_load_explicit(&st->run_seq, memory_order_relaxed);
    return (seq & 1) != 0 && atomic_load_explicit(&st->armed_seq, memory_order_relaxed) == seq;
}

static void hook(lua_State *L, lua_Debug *ar)
{
    if (is_armed(plua_state_of(L)))
        look(L, true);
    else
        plua_hook_clear(L); /* left over from an earlier run */
}

static void arm_running(plua_state *st)
{
    lua_State *L = atomic_load_explicit(&st->running, memory_order_relaxed);
    unsigned seq = atomic_load_explicit(&st->run_seq, memory_order_relaxed);
    if (!L || (seq & 1) == 0 || atomic_load_explicit(&st->armed_seq, memory_order_relaxed) == seq)
        return;
    st->run_deadline = 0;
    atomic_store_explicit(&st->armed_seq, seq, memory_order_relaxed);
    lua_sethook(L, hook, LUA_MASKCOUNT, HOOK_COUNT);
}

static void on_signal(int signo)
{
    if (plua_running)
        arm_running(plua_running);
}

/* ThreadSanitizer holds signals back until the thread calls something that it intercepts, which a loop in Lua
 * never does: there the watchdog's own thread arms the hook. */
static void interrupt_thread(plua_state *st)
{
#ifdef __SANITIZE_THREAD__
    arm_running(st);
#else
    /* By its number: the thread may have ended meanwhile, when a host program has scripts run by several. */
    tgkill(getpid(), atomic_load_explicit(&st->thread, memory_order_relaxed), watch_signal());
#endif
}

/* The child's thread has another number. */
static void after_fork(void)
{
    plua_thread = 0;
}

static void install_handler(void)
{
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&sa.sa_mask);
    sigaction(watch_signal(), &sa, NULL);
    pthread_atfork(NULL, NULL, after_fork);
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

static void arm(plua_state *st, lua_State *L, uint64_t deadline)
{
    st->run_deadline = deadline;
    atomic_store_explicit(&st->armed_seq, atomic_load_explicit(&st->run_seq, memory_order_relaxed),
                          memory_order_relaxed);
    lua_sethook(L, hook, LUA_MASKCOUNT, HOOK_COUNT);
}

void plua_close_begin(plua_state *st, lua_State *co, plua_run *run)
{
    uint64_t by = clock_ms() + st->config.limits.run_ms;
    if (st->freeing && st->close_by == 0)
        st->close_by = by;
    plua_run_begin(st, co, run);
    arm(st, co, st->freeing ? st->close_by : by);
}

void plua_close_end(plua_state *st, const plua_run *run)
{
    plua_run_end(st, run);
    if (!run->outer_co)
        return;
    st->interrupted = run->outer_interrupted;
    st->hook_threw = run->outer_threw;
    st->refused = run->outer_refused;
}

void plua_load_begin(plua_state *st, plua_run *run)
{
    uint64_t limit = st->config.limits.load_ms;
    st->loading = true;
    plua_run_begin(st, st->L, run);
    st->run_cap = st->config.limits.memory;
    st->load_began = clock_ms();
    arm(st, st->L, st->load_began + (limit > st->load_spent ? limit - st->load_spent : 0));
}

void plua_load_end(plua_state *st, const plua_run *run)
{
    plua_run_end(st, run);
    st->load_spent += clock_ms() - st->load_began;
    st->loading = false;
}

void plua_run_switch(plua_state *st, lua_State *co)
{
    atomic_store_explicit(&st->running, co, memory_order_relaxed);
    /* Not again, as that would begin the count anew: coroutines that switch often would never get to its end.
     */
    if (is_armed(st) && lua_gethook(co) != hook)
        lua_sethook(co, hook, LUA_MASKCOUNT, HOOK_COUNT);
}

void plua_check_interrupt(lua_State *L)
{
    if (is_armed(plua_state_of(L)))
        look(L, false);
}

void plua_watch(pl_state *state, uint64_t now)
{
    plua_state *st = plua_cast(state);
    if (!atomic_load(&st->attached))
        return;
    atomic_store_explicit(&st->watched_now, now, memory_order_relaxed);
    unsigned seq = atomic_load_explicit(&st->run_seq, memory_order_relaxed);
    if ((seq & 1) == 0 || seq != st->watched_seq) {
        st->watched_seq = seq;
        st->watched_since = now;
        return;
    }
    if (now - st->watched_since < ARM_AFTER_MS ||
        atomic_load_explicit(&st->armed_seq, memory_order_relaxed) == seq)
        return;
    interrupt_thread(st);
}

uint64_t plua_watched_at(const pl_state *state)
{
    return atomic_load_explicit(&((const plua_state *)state)->watched_now, memory_order_relaxed);
}
