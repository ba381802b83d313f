/* SPDX-License-Identifier: MIT */
#ifndef TESTS_SUPPORT_LUA_STATE_H
#define TESTS_SUPPORT_LUA_STATE_H

#include <lua.h>

#include "base/buf.h"
#include "support/failing.h"
#include "value/engine.h"

/* A state of the Lua engine on a host with a virtual clock: nothing happens but by ls_turn, and it happens at
 * once. Scripts find the globals time, errors and sleep. A call that does not end within 30 s ends the
 * process. */

typedef struct ls_state ls_state;

typedef struct ls_options {
    const char *const *files; /* path, text, path, text… NULL, in any order */
    pl_state_limits limits;
    bool watched;  /* by a watchdog, without which nothing is interrupted */
    bool detached; /* not attached to the host */
    bool testing;
    struct pl_compiled_cache *compiled;
} ls_options;

ls_state *ls_new(const ls_options *options); /* NULL: all as it comes */
void ls_free(ls_state *s);
/* Frees the engine's state now: what waits is cancelled. */
void ls_close(ls_state *s);
pl_state *ls_engine_state(ls_state *s);
lua_State *ls_lua(ls_state *s);
pl_host *ls_host(ls_state *s);
const pl_buf *ls_log(ls_state *s);

/* --- calls: they belong to the state, and stay until it is freed or ls_forget --- */
typedef struct ls_call {
    ls_state *s;
    struct ls_call *next;
    bool waits;
    bool cancelled;
    pl_call_status status; /* when it does not wait */
    char *result;          /* DONE: as JSON, or "(a function)" */
    pl_failure failure;    /* FAILED */
    unsigned ends;         /* how often done was called */
    pl_call *pending;
    pl_work work, *used;
    pl_arena arena;
    failing *failing; /* begun with the call; NULL once it has ended */
} ls_call;

/* Begins a call of function(ctx) BODY end. */
ls_call *ls_start(ls_state *s, const char *body);
/* The same, for the work of another call. */
ls_call *ls_join(ls_call *first, const char *body);
/* Begins it, and turns the loop until it has ended. */
ls_call *ls_run(ls_state *s, const char *body);
/* As ls_run, with allocations that fail from the call's beginning to its end. */
ls_call *ls_run_failing(ls_state *s, const char *body, failing *a);
void ls_cancel(ls_call *call);
void ls_forget(ls_state *s); /* all calls that have ended */
/* What ended calls said, for failed assertions: "DONE …" or "FAILED CODE: message". */
const char *ls_text(const ls_call *call);

/* Goes to the time of the next timer and runs what is due; false: there is none. */
bool ls_turn(ls_state *s);
uint64_t ls_now(const ls_state *s);
/* Time passes until then; what is due on the way is run. */
void ls_advance(ls_state *s, uint64_t until);

/* Loads text as the bundle file at path, which must be in the list of files or be "call.lua". */
pl_code ls_load(ls_state *s, const char *path, const char *text, pl_error *err);

#define ls_ok(s, body, json) ls_ok_at(s, body, json, __FILE__, __LINE__)
#define ls_fails(s, body, code, text) ls_fails_at(s, body, code, text, __FILE__, __LINE__)
void ls_ok_at(ls_state *s, const char *body, const char *json, const char *file, int line);
/* Fails with this code, and with text in its message. */
void ls_fails_at(ls_state *s, const char *body, pl_code code, const char *text, const char *file, int line);
void ls_check_done(const ls_call *call, const char *json, const char *file, int line);
void ls_check_failed(const ls_call *call, pl_code code, const char *text, const char *file, int line);
#define ls_is_done(call, json) ls_check_done(call, json, __FILE__, __LINE__)
#define ls_is_failed(call, code, text) ls_check_failed(call, code, text, __FILE__, __LINE__)

/* Collects all garbage; bytes that are left. */
size_t ls_collect(ls_state *s);
/* Milliseconds of processor time of this thread: for bounds on how long a call may take, on a busy machine,
 * too. */
uint64_t ls_clock(void);

#endif
