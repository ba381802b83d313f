/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/lua_state.h"

/* ctx: what scripts see of the piece of work that they run for. */

typedef struct world {
    ls_state *s;
    const pl_engine *e;
    pl_state *state;
} world;

static int set_up(void **data)
{
    world *w = calloc(1, sizeof *w);
    w->s = ls_new(NULL);
    w->state = ls_engine_state(w->s);
    w->e = pl_engine_of(w->state);
    *data = w;
    return 0;
}

static int tear_down(void **data)
{
    world *w = *data;
    ls_free(w->s);
    free(w);
    return 0;
}

/* A call of function(ctx) BODY end for work: its result as JSON. */
typedef struct section {
    world *w;
    pl_work *work;
    const char *body;
    char json[1024];
} section;

static void call(void *data)
{
    section *c = data;
    const pl_engine *e = c->w->e;
    char text[1024];
    pl_error err = {0};
    pl_slot function;
    snprintf(text, sizeof text, "f = function(ctx) %s end", c->body);
    assert_int_equal(ls_load(c->w->s, "call.lua", text, &err), PL_OK);
    assert_int_equal(ls_load(c->w->s, "call.lua", "return f", &err), PL_OK);
    assert_int_equal(e->load(c->w->state, PL_STR("call.lua"), &function, &err), PL_OK);
    pl_ref ref = e->keep(c->w->state, function);
    pl_call *pending;
    pl_failure failure;
    e->push_ctx(c->w->state, c->work);
    pl_call_status status = e->call(c->w->state, ref, 1, c->work, &pending, &failure);
    e->drop(c->w->state, ref);
    if (status != PL_CALL_DONE) {
        snprintf(c->json, sizeof c->json, "FAILED %.*s", PL_STR_ARG(failure.message));
        return;
    }
    pl_buf out;
    pl_buf_init(&out);
    pl_write_json(c->w->state, e->top(c->w->state), 8, &out, &err);
    snprintf(c->json, sizeof c->json, "%.*s", (int)out.len, out.data);
    pl_buf_dispose(&out);
}

static void gives(world *w, pl_work *work, const char *body, const char *json, int line)
{
    section c = {.w = w, .work = work, .body = body};
    pl_error err;
    assert_true(w->e->protect(w->state, call, &c, &err));
    if (strcmp(c.json, json) != 0) {
        print_error("%s:%d: expected %s, got %s\n", __FILE__, line, json, c.json);
        _fail(__FILE__, line);
    }
}
#define ctx_gives(w, work, body, json) gives(w, work, body, json, __LINE__)

static pl_work work_with(pl_arena *arena, const pl_header *headers, size_t count)
{
    pl_arena_init(arena, 0);
    return (pl_work){.protocol = "graphql",
                     .id = PL_STR("r-1"),
                     .peer = PL_STR("127.0.0.1:5"),
                     .headers = headers,
                     .header_count = count,
                     .arena = arena,
                     .ctx = PL_REF_NONE};
}

static void done(world *w, pl_work *work)
{
    w->e->work_end(w->state, work);
    assert_int_equal(work->ctx, PL_REF_NONE);
    pl_arena_dispose(work->arena);
}

static void fields_are_read(void **data)
{
    world *w = *data;
    static const pl_header headers[] = {{PL_STR("accept"), PL_STR("a/b")},
                                        {PL_STR("x-n"), PL_STR("1")},
                                        {PL_STR("accept"), PL_STR("c/d")},
                                        {PL_STR("x-empty"), PL_STR("")},
                                        {PL_STR("accept"), PL_STR("e")}};
    pl_arena arena;
    pl_work work = work_with(&arena, headers, 5);
    ctx_gives(w, &work, "return { ctx.protocol, ctx.request_id, ctx.trace_id, ctx.peer }",
              "[\"graphql\",\"r-1\",\"r-1\",\"127.0.0.1:5\"]");
    ctx_gives(w, &work,
              "return { ctx.headers.accept, ctx.headers['x-n'], ctx.headers['x-empty'], ctx.headers.missing "
              "== nil }",
              "[\"a/b, c/d, e\",\"1\",\"\",true]");
    ctx_gives(w, &work, "return ctx.headers == ctx.headers", "true");
    ctx_gives(
        w, &work,
        "return { ctx.nothing == nil, ctx[1] == nil, ctx[true] == nil, ctx[{}] == nil, ctx[0/0] == nil }",
        "[true,true,true,true,true]");
    ctx_gives(w, &work, "return type(ctx.log.info)", "\"function\"");
    ctx_gives(w, &work, "return tostring(ctx):match '^perilune.ctx: '", "\"perilune.ctx: \"");
    done(w, &work);
    work = work_with(&arena, NULL, 0);
    work.peer = PL_STR_NONE;
    ctx_gives(w, &work, "return { next(ctx.headers) == nil, ctx.peer == nil }", "[true,true]");
    done(w, &work);
}

static void fields_are_read_lazily_and_kept(void **data)
{
    world *w = *data;
    pl_arena arena;
    pl_work work = work_with(&arena, NULL, 0);
    ctx_gives(w, &work, "return rawget(ctx, 'headers') == nil and next(ctx) == nil", "true");
    ctx_gives(w, &work, "local h = ctx.headers return rawget(ctx, 'headers') == h", "true");
    ctx_gives(w, &work, "ctx.headers.added = 'x' return 1", "1");
    ctx_gives(w, &work, "return ctx.headers.added", "\"x\"");
    done(w, &work);
}

static void assignments_stay_with_the_work(void **data)
{
    world *w = *data;
    pl_arena arenas[2];
    pl_work a = work_with(&arenas[0], NULL, 0), b = work_with(&arenas[1], NULL, 0);
    ctx_gives(w, &a, "ctx.user = { id = 7 } ctx.protocol = 'mine' ctx[1] = 'one' kept_a = ctx return 1", "1");
    ctx_gives(w, &b, "return { ctx.user == nil, ctx.protocol, ctx ~= kept_a }", "[true,\"graphql\",true]");
    ctx_gives(w, &a, "return { ctx.user.id, ctx.protocol, ctx[1], ctx == kept_a }",
              "[7,\"mine\",\"one\",true]");
    done(w, &b);
    ctx_gives(w, &a, "return { ctx.user.id, ctx.peer }", "[7,\"127.0.0.1:5\"]");
    done(w, &a);
}

static void the_deadline_counts_down(void **data)
{
    world *w = *data;
    pl_arena arena;
    pl_work work = work_with(&arena, NULL, 0);
    ctx_gives(w, &work, "return ctx.deadline == nil", "true");
    work.deadline = ls_now(w->s) + 2500;
    ctx_gives(w, &work, "return ctx.deadline", "2.5");
    ls_ok(w->s, "sleep(1.5) return 1", "1");
    ctx_gives(w, &work, "return ctx.deadline", "1");
    ls_ok(w->s, "sleep(5) return 1", "1");
    ctx_gives(w, &work, "return ctx.deadline", "0");
    ctx_gives(w, &work, "ctx.deadline = 'mine' return ctx.deadline", "\"mine\"");
    done(w, &work);
}

static void a_kept_ctx_is_safe(void **data)
{
    world *w = *data;
    pl_header *headers = malloc(sizeof *headers); /* so that a late read would be seen */
    char *peer = strdup("1.2.3.4:5");
    *headers = (pl_header){PL_STR("a"), PL_STR("b")};
    pl_arena arena, other_arena;
    pl_work *work = malloc(sizeof *work), other = work_with(&other_arena, NULL, 0);
    *work = work_with(&arena, headers, 1);
    work->peer = pl_str_of(peer);
    work->deadline = 100000;
    ctx_gives(w, work, "kept = ctx kept.mine = 1 local _ = kept.request_id return 1", "1");
    done(w, work);
    free(headers);
    free(peer);
    free(work);
    ctx_gives(w, &other,
              "return { kept.headers == nil, kept.peer == nil, kept.protocol == nil, kept.deadline == nil, "
              "kept.log == nil }",
              "[true,true,true,true,true]");
    ctx_gives(w, &other, "return { kept.mine, kept.request_id, kept ~= ctx }",
              "[1,\"r-1\",true]"); /* the table's own fields */
    ctx_gives(w, &other,
              "kept.more = 2 for k, v in pairs(kept) do if type(v) == 'userdata' then return k end end "
              "return kept.more",
              "2");
    done(w, &other);
    ls_collect(w->s);
}

static void work_without_ctx_ends(void **data)
{
    world *w = *data;
    pl_arena arena;
    pl_work work = work_with(&arena, NULL, 0);
    w->e->work_end(w->state, &work);
    w->e->work_end(w->state, &work);
    pl_arena_dispose(&arena);
}

/* A table that inherits from ctx. */
static void inheriting_from_ctx(void **data)
{
    world *w = *data;
    pl_arena arena;
    pl_work work = work_with(&arena, NULL, 0);
    ctx_gives(w, &work,
              "local mine = setmetatable({}, { __index = ctx }) return { mine.peer, rawget(mine, 'peer') == "
              "nil, mine.x == nil }",
              "[\"127.0.0.1:5\",true,true]");
    done(w, &work);
}

static void many_works(void **data)
{
    world *w = *data;
    enum { N = 300 };
    pl_arena arenas[N];
    pl_work works[N];
    size_t before = ls_collect(w->s);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++) {
            works[i] = work_with(&arenas[i], NULL, 0);
            works[i].id = pl_arena_printf(&arenas[i], "id-%d", i);
            ctx_gives(w, &works[i], "ctx.n = 1 return 1", "1");
        }
        for (int i = 0; i < N; i += 37) {
            char json[40];
            snprintf(json, sizeof json, "\"id-%d\"", i);
            ctx_gives(w, &works[i], "return ctx.request_id", json);
        }
        for (int i = 0; i < N; i++)
            done(w, &works[(i * 7) % N]);
    }
    assert_true(ls_collect(w->s) < before + 100000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fields_are_read),
        TEST(fields_are_read_lazily_and_kept),
        TEST(assignments_stay_with_the_work),
        TEST(the_deadline_counts_down),
        TEST(a_kept_ctx_is_safe),
        TEST(work_without_ctx_ends),
        TEST(inheriting_from_ctx),
        TEST(many_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
