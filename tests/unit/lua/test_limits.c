/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/lua_state.h"

/* Scripts that run too long, or take too much: each call ends in time, with the right code, and the state is
 * as good as before. */

#define RUN_MS 30
#ifdef __SANITIZE_THREAD__
#define SLACK_MS 2000 /* large strings are slow there */
#define ENOUGH_MS 100000
#else
#define SLACK_MS 400    /* sanitizers */
#define ENOUGH_MS 20000 /* what is quick may take long on a busy machine */
#endif
#define MIB ((size_t)1 << 20)

static const ls_options options = {
    .limits = {.run_ms = RUN_MS, .load_ms = 80, .call_memory = 8 * MIB, .memory = 24 * MIB}, .watched = true};

static pl_state_limits current;

static void set_limits(ls_state *s, pl_state_limits limits)
{
    current = limits;
    pl_engine_of(ls_engine_state(s))->set_limits(ls_engine_state(s), &current);
}

static int set_up(void **data)
{
    current = options.limits;
    *data = ls_new(&options);
    return 0;
}

static int tear_down(void **data)
{
    ls_free(*data);
    return 0;
}

/* The state works, and holds about as much as at first. */
static void is_well(ls_state *s, size_t before)
{
    pl_state_limits limits = current;
    set_limits(s, (pl_state_limits){.run_ms = ENOUGH_MS});
    ls_ok(s, "local t = {} for i = 1, 1000 do t[i] = i end sleep(1) return #t", "1000");
    ls_fails(s, "error('ordinary', 0)", PL_INTERNAL, "ordinary");
    ls_ok(s, "return { pcall(error, 'x') }", "[false,\"x\"]");
    set_limits(s, limits);
    size_t after = ls_collect(s);
    if (after > before + 200000)
        fail_msg("%zu bytes before, %zu after", before, after);
}

static void ends(ls_state *s, const char *body, pl_code code, const char *text, uint64_t most_ms)
{
    size_t before = ls_collect(s);
    uint64_t begin = ls_clock();
    ls_call *c = ls_run(s, body);
    uint64_t took = ls_clock() - begin;
    if (c->status != PL_CALL_FAILED || c->failure.code != code || !strstr(ls_text(c), text))
        fail_msg("%s\nexpected %s: %s, got %s", body, pl_code_name(code), text, ls_text(c));
    if (took > most_ms)
        fail_msg("%s\ntook %llu ms", body, (unsigned long long)took);
    ls_forget(s);
    is_well(s, before);
}

static void ends_in_time(ls_state *s, const char *body)
{
    ends(s, body, PL_DEADLINE_EXCEEDED, "ran longer than 30 ms", 4 * RUN_MS + SLACK_MS);
}

static void ends_for_memory(ls_state *s, const char *body)
{
    ends(s, body, PL_RESOURCE_EXHAUSTED, "memory", 9000);
}

/* --- time --- */

static void endless_loops(void **data)
{
    static const char *const bodies[] = {
        "while true do end",
        "::again:: goto again",
        "repeat until false",
        "for i = 1, math.huge do end",
        "pcall(function() while true do end end) return 1",
        "while true do pcall(function() while true do end end) end",
        "while true do pcall(pcall, function() while true do end end) end",
        "xpcall(function() while true do end end, function() return 1 end) return 1",
        "xpcall(function() while true do end end, function() while true do end end) return 1",
        "xpcall(function() error 'x' end, function() while true do end end) return 1",
        "xpcall(function() local x <close> = setmetatable({}, { __close = function() while true do end end "
        "}) end, print)",
        "setmetatable({}, { __index = function() while true do end end }).x()",
        "return setmetatable({}, { __add = function() while true do end end }) + 1",
        "return #setmetatable({}, { __len = function() while true do end end })",
        "return tostring(setmetatable({}, { __tostring = function() while true do end end }))",
        "for k in pairs(setmetatable({}, { __pairs = function() while true do end end })) do end",
        "for x in function() return 1 end do end",
        "table.sort({3, 2, 1}, function() while true do end end)",
        "string.gsub('x', 'x', function() while true do end end)",
        "pcall(table.sort, {3, 2, 1}, function() while true do end end) return 1",
        "load(function() while true do end end)",
        "load(function() return ' ' end)",
        "local t = setmetatable({}, { __index = function(t, k) return t[k + 1] end }) "
        "while true do pcall(function() return t[1] end) end",
        "local function f() return f() end f()",
        "sleep(1) while true do end",
        "sleep(1) pcall(function() sleep(1) while true do end end)",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        ends_in_time(*data, bodies[i]);
}

static void endless_loops_in_coroutines(void **data)
{
    static const char *const bodies[] = {
        "coroutine.wrap(function() while true do end end)()",
        "pcall(coroutine.wrap(function() while true do end end)) return 1",
        "while true do pcall(coroutine.wrap(function() while true do end end)) end",
        "return coroutine.resume(coroutine.create(function() while true do end end))",
        "while true do coroutine.resume(coroutine.create(function() pcall(function() while true do end end) "
        "end)) end",
        "for x in coroutine.wrap(function() while true do coroutine.yield(1) end end) do end",
        "local f = coroutine.wrap(function() while true do coroutine.yield() end end) while true do f() end",
        "while true do coroutine.wrap(function() end)() end",
        "while true do coroutine.close(coroutine.create(print)) end",
        "local function f() coroutine.wrap(f)() end while true do pcall(f) end",
        "coroutine.wrap(function() coroutine.wrap(function() while true do end end)() end)()",
        "table.sort({3, 2, 1}, function() coroutine.wrap(function() while true do end end)() end)",
        "local function g() table.sort({2, 1}, function() while true do end end) end coroutine.wrap(g)()",
        "sleep(1) coroutine.wrap(function() sleep(1) while true do end end)()",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        ends_in_time(*data, bodies[i]);
}

static void endless_loops_in_close_handlers(void **data)
{
#define FOREVER "setmetatable({}, { __close = function() while true do end end })"
    static const char *const bodies[] = {
        "local x <close> = " FOREVER,
        "local x <close> = " FOREVER " while true do end",
        "local x <close> = " FOREVER " local y <close> = " FOREVER " while true do end",
        "pcall(function() local x <close> = " FOREVER " error 'x' end) return 1",
        "pcall(function() local x <close> = " FOREVER " while true do end end) return 1",
        "pcall(function() local x <close> = " FOREVER
        " table.sort({2, 1}, function() while true do end end) end)",
        "local x <close> = " FOREVER " table.sort({2, 1}, function() while true do end end)",
        "coroutine.wrap(function() local x <close> = " FOREVER " while true do end end)()",
        "coroutine.wrap(function() local x <close> = " FOREVER
        " table.sort({2, 1}, function() while true do end end) end)()",
        "local co = coroutine.create(function() local x <close> = " FOREVER
        " coroutine.yield() end) coroutine.resume(co) coroutine.close(co)",
        "local co = coroutine.create(function() local x <close> = " FOREVER
        " coroutine.yield() end) coroutine.resume(co) while true do pcall(coroutine.close, co) end",
        "coroutine.wrap(function() local x <close> = " FOREVER " error 'x' end)()",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        ends_in_time(*data, bodies[i]);
}

/* A coroutine that was interrupted is kept, and closed by a later call. */
static void an_interrupted_coroutine_is_closed_later(void **data)
{
    ls_state *s = *data;
    static const char *const loops[] = {"while true do end",
                                        "table.sort({2, 1}, function() while true do end end)"};
    for (int i = 0; i < 2; i++) {
        pl_buf body;
        pl_buf_init(&body);
        pl_buf_printf(&body,
                      "kept = coroutine.create(function() local x <close> = " FOREVER
                      " %s end) coroutine.resume(kept) kept = nil",
                      loops[i]);
        pl_buf_char(&body, '\0');
        ls_fails(s, body.data, PL_DEADLINE_EXCEEDED, "ran longer");
        pl_buf_dispose(&body);
        uint64_t begin = ls_clock();
        ls_run(s, "coroutine.close(kept) coroutine.close(kept)");
        ls_run(s, "coroutine.resume(kept)");
        assert_true(ls_clock() - begin < 4 * RUN_MS + SLACK_MS);
        ls_run(s, "kept = nil");
        ls_forget(s);
    }
}

static void close_handlers_run_after_an_interruption(void **data)
{
    ls_state *s = *data;
#define CLOSES(name)                                                                                    \
    "local " name                                                                                       \
    " <close> = setmetatable({}, { __close = function() pcall(error, 'x') closed[#closed + 1] = '" name \
    "' end }) "
    ls_ok(s, "closed = {} return 1", "1");
    ls_fails(s, CLOSES("a") CLOSES("b") "while true do end", PL_DEADLINE_EXCEEDED, "ran longer");
    ls_ok(s, "return closed", "[\"b\",\"a\"]");
    ls_ok(s, "closed = {} return 1", "1");
    ls_fails(s, CLOSES("a") "pcall(function() " CLOSES("b") "while true do end end)", PL_DEADLINE_EXCEEDED,
             "ran longer");
    ls_ok(s, "return closed", "[\"b\",\"a\"]");
    ls_ok(s, "closed = {} return 1", "1");
    ls_fails(s, CLOSES("a") "coroutine.wrap(function() " CLOSES("b") "while true do end end)()",
             PL_DEADLINE_EXCEEDED, "ran longer");
    ls_ok(s, "return closed", "[\"b\",\"a\"]");
}

/* The same coroutines are used again: the next calls must be as well guarded as the first. */
static void interruption_works_again_and_again(void **data)
{
    for (int i = 0; i < 3; i++) {
        ends_in_time(*data, "while true do end");
        ends_in_time(*data, "table.sort({2, 1}, function() while true do end end)");
        ends_in_time(*data, "string.gsub('x', 'x', function() while true do end end)");
    }
}

static void the_message_says_where(void **data)
{
    ls_state *s = *data;
    ls_call *c = ls_run(s, "\n\nwhile true do end");
    assert_non_null(strstr(ls_text(c), "call.lua:3:"));
    c = ls_run(s, "local f = function()\nwhile true do end\nend\ncoroutine.wrap(f)()");
    assert_non_null(strstr(ls_text(c), "call.lua:2:"));
    assert_non_null(strstr(c->failure.traceback.ptr, "call.lua:4:"));
    assert_false(c->failure.expected);
}

static void long_runs_that_wait_are_fine(void **data)
{
    ls_state *s = *data;
    set_limits(s, (pl_state_limits){.run_ms = 200});
    /* Each run is short; together they are longer than one may be. */
    ls_ok(s,
          "local n = 0 for i = 1, 25 do local t = time.monotonic() while time.monotonic() - t < 0.01 do n = "
          "n + 1 end "
          "sleep(0) end return 1",
          "1");
}

/* --- C functions that could run long --- */

static void slow_library_functions(void **data)
{
    static const char *const bodies[] = {
        "local s = ('a'):rep(30000) return s:find(('a*'):rep(30) .. 'b')",
        "local s = ('a'):rep(30000) pcall(string.find, s, '.-.-.-.-b') while true do end",
        "return ('a'):rep(100000):gsub('(a*)*b', '')",
        "while true do local s = ('x'):rep(300000) s = s:upper() .. s:lower() end",
        "local a = ('x'):rep(300000) local b = a .. 'y' while true do local c = a < b end",
        "while true do local t = {} for i = 1, 10000 do t[i] = i end table.concat(t) end",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        ends_in_time(*data, bodies[i]);
}

/* Loops in C with nothing in them, as long as a script says: refused, or done at once. */
static void library_loops_without_bound(void **data)
{
    ls_state *s = *data;
    static const char *const bodies[] = {
        "return string.rep('', 1 << 60)",
        "return ('').rep('', math.maxinteger, '')",
        "return table.concat({}, '', 1, math.maxinteger)",
        "return table.concat(setmetatable({}, { __index = table.concat }), '', 1, math.maxinteger)",
        "return table.concat(setmetatable({}, { __len = function() return math.maxinteger end }))",
        "table.insert(setmetatable({}, { __len = function() return 1 << 50 end }), 1, 1)",
        "table.remove(setmetatable({}, { __len = function() return 1 << 50 end }), 1)",
        "table.sort(setmetatable({}, { __len = function() return (1 << 31) - 2 end }), rawequal)",
        "table.move({}, 1, 1 << 60, 2)",
        "table.move({}, 1, math.maxinteger, 1)",
        "return table.unpack({}, 1, 1 << 30)",
        "return table.unpack({}, 1, 5000000)",
        "return select('#', table.unpack({}, 1, math.maxinteger))",
        "return string.format('%' .. ('9'):rep(50) .. 'd', 1)",
        "return string.format('%99.99f', 1e308)",
        "return ('%s'):rep(100000):format()",
        "return utf8.char(table.unpack({}, 1, 200))",
        "return math.random(0) and string.pack('!16 i16 i16', 1, 2)",
        "return ('x'):rep(1000):byte(1, -1)",
        "return load(('('):rep(100000) .. ')')",
        "return load('return ' .. ('{'):rep(100000))",
        "return load('x = ' .. ('a.'):rep(100000) .. 'b')",
        "return os.date(('%c'):rep(10000)) and 1",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        uint64_t begin = ls_clock();
        ls_run(s, bodies[i]);
        if (ls_clock() - begin > 4 * RUN_MS + SLACK_MS)
            fail_msg("%s\ntook %llu ms", bodies[i], (unsigned long long)(ls_clock() - begin));
        ls_forget(s);
    }
    ls_ok(s, "return string.rep('', 1 << 60)", "\"\"");
    ls_ok(s, "return string.rep('ab', 3, '-')", "\"ab-ab-ab\"");
    ls_ok(s, "return string.rep('', 3, '-')", "\"--\"");
    ls_ok(s, "local t = {1, 2, 3} table.insert(t, 1, 0) table.remove(t) return table.concat(t, ',')",
          "\"0,1,2\"");
    ls_ok(s, "return table.concat({1, 2, 3}, '-', 2, 3)", "\"2-3\"");
    ls_ok(s, "local t = {3, 1, 2} table.sort(t) table.sort(t, function(a, b) return a > b end) return t",
          "[3,2,1]");
}

/* --- memory --- */

static void growth_without_end(void **data)
{
    set_limits(*data, (pl_state_limits){.run_ms = ENOUGH_MS, .call_memory = 8 * MIB, .memory = 24 * MIB});
    static const char *const bodies[] = {
        "local t = {} while true do t[#t + 1] = {} end",
        "pcall(function() local t = {} while true do t[#t + 1] = {} end end) return 1",
        "while true do pcall(function() local t = {} while true do t[#t + 1] = {} end end) end",
        "while true do pcall(pcall, pcall, function() local t = {} while true do t[#t + 1] = {} end end) end",
        "coroutine.wrap(function() local t = {} while true do t[#t + 1] = {} end end)()",
        "pcall(coroutine.wrap(function() local t = {} while true do t[#t + 1] = {} end end)) return 1",
        "while true do local co = coroutine.create(function() local t = {} while true do t[#t + 1] = {} end "
        "end) "
        "coroutine.resume(co) end",
        "xpcall(function() local t = {} while true do t[#t + 1] = {} end end, function() return 1 end) "
        "return 1",
        "local s = 'x' while true do s = s .. s end",
        "pcall(function() local s = 'x' while true do s = s .. s end end) return 1",
        "return #string.rep('x', 1 << 30)",
        "pcall(string.rep, 'x', 1 << 30) return 1",
        "return #string.rep('x', 20000000)",
        "local t = {} for i = 1, 1e6 do t[i] = function() return i end end return #t",
        "local t = {} while true do t[#t + 1] = coroutine.create(print) end",
        "local t = {} while true do t[#t + 1] = coroutine.wrap(function() coroutine.yield() end) t[#t]() end",
        "local t = {} while true do t[#t + 1] = ('x'):rep(100) .. #t end",
        "return string.format('%s', ('x'):rep(5000000)) .. ('%s%s%s'):format(('x'):rep(5000000), "
        "('y'):rep(5000000), 1)",
        "return table.concat(setmetatable({}, { __index = type }), '', 1, 9000000)",
        "return load(function() return ('x'):rep(100000) end)",
        "return load('return {' .. ('{},'):rep(2000000) .. '}')",
        "local t = {} for i = 1, 1e9 do t['k' .. i] = i end",
        "local x <close> = setmetatable({}, { __close = function() local t = {} while true do t[#t + 1] = {} "
        "end end })",
        "table.sort({2, 1}, function() local t = {} while true do t[#t + 1] = {} end end)",
        "return #(('x'):rep(1000000):gsub('x', ('y'):rep(100)))",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        ends_for_memory(*data, bodies[i]);
}

/* What is live stays below the limit, but leaves little room: the collector must not run for every object. */
static void garbage_beside_much_live_data(void **data)
{
    ls_state *s = *data;
    size_t before = ls_collect(s);
    uint64_t begin = ls_clock();
    ls_run(s, "local t, i = {}, 0 local n = collectgarbage('count') "
              "while collectgarbage('count') - n < 7 * 1024 + 900 do i = i + 1 t[i] = { i } end "
              "while true do local x = { { {} } } end");
    assert_true(ls_clock() - begin < 4 * RUN_MS + SLACK_MS);
    ls_forget(s);
    is_well(s, before);
}

static void garbage_is_collected(void **data)
{
    ls_state *s = *data;
    set_limits(s, (pl_state_limits){.run_ms = ENOUGH_MS, .call_memory = 4 * MIB, .memory = 8 * MIB});
    ls_ok(s, "local n = 0 for i = 1, 300000 do local t = { i, { i } } n = n + #t end return n", "600000");
    ls_ok(s, "local n = 0 for i = 1, 3000 do local s = ('x'):rep(10000) .. i n = n + 1 end return n", "3000");
    ls_ok(s, "for i = 1, 20000 do coroutine.wrap(function() coroutine.yield(i) end)() end return 1", "1");
    ls_ok(s, "for i = 1, 10 do local s = ('x'):rep(1000000) s = nil end return 1", "1");
}

static void what_stays_counts_for_the_state(void **data)
{
    ls_state *s = *data;
    set_limits(s, (pl_state_limits){.run_ms = ENOUGH_MS, .call_memory = 8 * MIB, .memory = 24 * MIB});
    size_t before = ls_collect(s);
    ls_call *c = NULL;
    ls_ok(s, "kept = {} return 1", "1");
    for (int i = 0; i < 10; i++) {
        c = ls_run(s, "local t = {} for i = 1, 60000 do t[i] = { i } end kept[#kept + 1] = t");
        if (c->status == PL_CALL_FAILED)
            break;
        assert_true(pl_engine_of(ls_engine_state(s))->memory(ls_engine_state(s)) < 25 * MIB);
    }
    ls_is_failed(c, PL_RESOURCE_EXHAUSTED, "memory");
    ls_ok(s, "kept = nil return 1", "1");
    ls_forget(s);
    is_well(s, before);
}

/* --- recursion: an ordinary error, which a script may catch --- */

static void deep_recursion(void **data)
{
    ls_state *s = *data;
    set_limits(s, (pl_state_limits){.run_ms = ENOUGH_MS});
    /* Small frames run out of memory before Lua's own limit of a million slots, large ones do not. */
    ends(s, "local function f() return 1 + f() end return f()", PL_RESOURCE_EXHAUSTED, "memory", 4000);
    ends(s, "local function f(a, b, c, d, e) return 1 + f(1, 2, 3, 4, 5) end return f()", PL_INTERNAL,
         "stack overflow", 4000);
    ends(s,
         "local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k .. 'x'] end "
         "return t.x",
         PL_INTERNAL, "overflow", 2000);
    ends(s, "local function f() return tostring(setmetatable({}, { __tostring = f })) end f()", PL_INTERNAL,
         "overflow", 2000);
    ends(s, "local function f() return ('x'):gsub('x', f) end f()", PL_INTERNAL, "overflow", 2000);
    ends(s, "local function f() coroutine.wrap(f)() end f()", PL_INTERNAL, "overflow", 2000);
    ends(s, "local t = {} for i = 1, 300 do t = setmetatable({}, { __index = t }) end return t.x.y",
         PL_INTERNAL, "", 2000);
    ls_ok(s, "local function f(a, b, c, d, e) return 1 + f(1, 2, 3, 4, 5) end return (pcall(f))", "false");
    ls_ok(s, "local function f(n) if n == 0 then return 0 end return 1 + f(n - 1) end return f(10000)",
          "10000");
    ls_ok(s, "local function f(n) if n == 0 then return 0 end return f(n - 1) end return f(100000)", "0");
}

static void recursion_in_error_handlers(void **data)
{
    ls_state *s = *data;
    set_limits(s, (pl_state_limits){.run_ms = ENOUGH_MS});
    ls_ok(s, "local function h() error 'again' end return (xpcall(error, h, 'x'))", "false");
    ls_ok(s, "local function h(m) return h(m) .. 'x' end return (xpcall(error, h, 'x'))", "false");
    set_limits(s, (pl_state_limits){.run_ms = RUN_MS});
    uint64_t begin = ls_clock(); /* 2^200 handlers, and 200 overflows */
    ls_run(s, "local function f(a, b, c, d, e) return 1 + f(1, 2, 3, 4, 5) end xpcall(f, function() return "
              "f() end)");
    ls_run(s, "local function h() xpcall(error, h, 'x') error 'x' end xpcall(error, h, 'x')");
    assert_true(ls_clock() - begin < 4 * RUN_MS + SLACK_MS);
    ls_forget(s);
    is_well(s, ls_collect(s));
}

/* --- instructions --- */

static void instruction_budget(void **data)
{
    ls_state *s = *data;
    set_limits(s, (pl_state_limits){.run_ms = 5000, .instructions = 3000000});
    ls_fails(s, "while true do end", PL_RESOURCE_EXHAUSTED, "more than 3000000 instructions");
    ls_fails(s, "pcall(function() while true do end end)", PL_RESOURCE_EXHAUSTED, "instructions");
    ls_fails(s, "coroutine.wrap(function() while true do end end)()", PL_RESOURCE_EXHAUSTED, "instructions");
    ls_fails(s,
             "while true do local t = time.monotonic() while time.monotonic() - t < 0.02 do end sleep(1) end",
             PL_RESOURCE_EXHAUSTED, "instructions");
    ls_ok(s, "local n = 0 for i = 1, 100000 do n = n + 1 end return n", "100000");
}

/* --- top-level code --- */

static void fails_to_load(ls_state *s, const char *text, const char *message)
{
    pl_error err = {0};
    uint64_t begin = ls_clock();
    assert_int_not_equal(ls_load(s, "call.lua", text, &err), PL_OK);
    if (!strstr(err.message, message))
        fail_msg("%s\nexpected %s, got %s", text, message, err.message);
    assert_true(ls_clock() - begin < 4 * 80 + SLACK_MS);
}

static void top_level_code_that_overruns(void **data)
{
    static const char *const texts[] = {
        "while true do end",
        "pcall(function() while true do end end)",
        "while true do pcall(function() while true do end end) end",
        "coroutine.wrap(function() while true do end end)()",
        "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
        "xpcall(function() while true do end end, function() while true do end end)",
        "local x <close> = " FOREVER " while true do end",
        "local f = coroutine.wrap(function() while true do coroutine.yield() end end) while true do f() end",
        "while true do pcall(require, 'slow') end",
    };
    static const char *const files[] = {"slow.lua", "while true do end", NULL};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ls_options o = options;
        o.files = files;
        o.detached = true;
        ls_state *s = ls_new(&o);
        fails_to_load(s, texts[i], "top-level code ran longer than 80 ms");
        ls_free(s);
    }
}

/* All files together have load_ms. */
static void top_level_code_of_several_files(void **data)
{
    static const char spin[] = "local t = time.monotonic() while time.monotonic() - t < 0.03 do end return 1";
    ls_options o = options;
    o.detached = true;
    ls_state *s = ls_new(&o);
    pl_error err = {0};
    int loaded = 0;
    while (loaded < 10 && ls_load(s, "call.lua", spin, &err) == PL_OK)
        loaded++;
    assert_in_range(loaded, 1, 3);
    assert_non_null(strstr(err.message, "80 ms"));
    ls_free(s);
}

static void top_level_code_that_grows(void **data)
{
    static const char *const texts[] = {
        "local t = {} while true do t[#t + 1] = {} end",
        "pcall(function() local t = {} while true do t[#t + 1] = {} end end)",
        "return ('x'):rep(1 << 30)",
        "coroutine.wrap(function() local t = {} while true do t[#t + 1] = {} end end)()",
    };
    ls_options o = options;
    o.detached = true;
    o.limits.load_ms = 20000;
    ls_state *s = ls_new(&o);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        fails_to_load(s, texts[i], "memory");
    pl_error err = {0};
    assert_int_equal(ls_load(s, "call.lua", "return { pcall(error, 'x') }", &err), PL_OK);
    ls_free(s);
}

/* An error value whose __tostring misbehaves. */
static void top_level_errors_are_read_without_running_code(void **data)
{
    ls_state *s = *data;
    fails_to_load(s, "error(setmetatable({}, { __tostring = function() while true do end end }))", "");
    fails_to_load(s, "error(setmetatable({}, { __tostring = function() error 'x' end }))", "");
    fails_to_load(s, "error(setmetatable({}, { __name = ('x'):rep(5000) }))", "");
    fails_to_load(s, "error(nil)", "nil");
    fails_to_load(s, "error(errors.not_found 'no plan')", "no plan");
}

/* --- the end of a state --- */

static void the_end_of_a_state_is_bounded(void **data)
{
    ls_state *s = ls_new(&options);
    for (int i = 0; i < 20; i++)
        assert_true(ls_start(s, "local x <close> = " FOREVER " sleep(10)")->waits);
    assert_true(
        ls_start(s, "coroutine.wrap(function() local x <close> = " FOREVER " sleep(10) end)()")->waits);
    uint64_t begin = ls_clock();
    ls_close(s);
    assert_true(ls_clock() - begin < 4 * RUN_MS + SLACK_MS);
    ls_free(s);
}

static void cancelling_is_bounded(void **data)
{
    ls_state *s = *data;
    static const char *const bodies[] = {
        "local x <close> = " FOREVER " sleep(10)",
        "coroutine.wrap(function() local x <close> = " FOREVER " sleep(10) end)()",
        "pcall(function() local x <close> = " FOREVER " sleep(10) end)",
    };
    for (int i = 0; i < 3; i++) {
        size_t before = ls_collect(s);
        ls_call *c = ls_start(s, bodies[i]);
        assert_true(c->waits);
        uint64_t begin = ls_clock();
        ls_cancel(c);
        assert_true(ls_clock() - begin < 4 * RUN_MS + SLACK_MS);
        ls_forget(s);
        is_well(s, before);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(endless_loops),
        TEST(endless_loops_in_coroutines),
        TEST(endless_loops_in_close_handlers),
        TEST(an_interrupted_coroutine_is_closed_later),
        TEST(close_handlers_run_after_an_interruption),
        TEST(interruption_works_again_and_again),
        TEST(the_message_says_where),
        TEST(long_runs_that_wait_are_fine),
        TEST(slow_library_functions),
        TEST(library_loops_without_bound),
        TEST(growth_without_end),
        TEST(garbage_beside_much_live_data),
        TEST(garbage_is_collected),
        TEST(what_stays_counts_for_the_state),
        TEST(deep_recursion),
        TEST(recursion_in_error_handlers),
        TEST(instruction_budget),
        TEST(top_level_code_that_overruns),
        TEST(top_level_code_of_several_files),
        TEST(top_level_code_that_grows),
        TEST(top_level_errors_are_read_without_running_code),
        TEST(the_end_of_a_state_is_bounded),
        TEST(cancelling_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
