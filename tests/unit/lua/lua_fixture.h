/* SPDX-License-Identifier: MIT */
#ifndef TESTS_LUA_FIXTURE_H
#define TESTS_LUA_FIXTURE_H

#include <lua.h>

#include "base/buf.h"
#include "support/failing.h"
#include "value/engine.h"
#include "value/shared.h"

/* A Lua state with a plain loop to run on: timers, and two helper threads. For the tests of the library. */

typedef struct fixture fixture;

/* False where the modules are tested without the server (plain/plain_fixture.c): there nothing waits. */
extern const bool fixture_in_server;

typedef struct fixture_options {
    const char *directory; /* of the bundle; NULL is none */
    size_t memory;         /* of the state */
    pl_shared *shared;     /* NULL: none */
    const pl_file *files;  /* further ones, sorted, with paths before "main.lua" */
    size_t file_count;
    const struct pb_pool *protos;
    /* For pl_host_ops.execute: the response to a request; NULL is none. */
    const char *(*execute)(pl_str request);
} fixture_options;

fixture *fixture_new(const fixture_options *options); /* options NULL: all as it comes */
void fixture_free(fixture *f);

/* Runs code as top-level code of a bundle file. NULL, or the error (until the next one). */
const char *fixture_load(fixture *f, const char *code);
/* Runs code as a call, to its end: NULL, or the error as "CODE: message" (until the next one). The code's
 * result, when it is a string or a number, is in fixture_result. */
const char *fixture_call(fixture *f, const char *code);
const char *fixture_result(fixture *f);
/* The same, with allocations of this thread that fail from the call's beginning to its end. */
const char *fixture_call_failing(fixture *f, const char *code, failing *a);
/* Asserts that the call succeeds; that it fails with an error that contains text. */
#define fixture_ok(f, code) fixture_ok_at(f, code, __FILE__, __LINE__)
#define fixture_fails(f, code, text) fixture_fails_at(f, code, text, __FILE__, __LINE__)
void fixture_ok_at(fixture *f, const char *code, const char *file, int line);
void fixture_fails_at(fixture *f, const char *code, const char *text, const char *file, int line);

/* Begins a call; true while it waits. Several may wait at a time, numbered from 0 (slot). */
bool fixture_start(fixture *f, int slot, const char *code);
bool fixture_waits(fixture *f, int slot);
void fixture_cancel(fixture *f, int slot);
/* Turns the loop until the call in slot has ended; its error as fixture_call gives it. */
const char *fixture_finish(fixture *f, int slot);
/* Turns the loop until helpers and timers have nothing to do. */
void fixture_drain(fixture *f);
/* Holds back (and lets go) what helper threads would run. */
void fixture_pause_helpers(fixture *f, bool pause);
/* Makes the host refuse the next n jobs. */
void fixture_refuse_jobs(fixture *f, int n);
/* Frees the state but not the host; jobs may still be on their way. */
void fixture_free_state(fixture *f);

lua_State *fixture_lua(fixture *f);
pl_state *fixture_state(fixture *f);
const pl_buf *fixture_log(fixture *f); /* lines of JSON */

#endif
