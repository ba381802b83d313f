/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/failing.h"
#include "support/lua_state.h"
#include "value/compiled.h"

static const char *const files[] = {
    "rules/pricing.lua",
    "loads = (loads or 0) + 1 return { name = ..., price = function(n) return n * 2 end, fail = "
    "function()\n\nerror 'too dear' end }",
    "lib/init.lua",
    "return 'lib of ' .. ...",
    "lib/sub/init.lua",
    "return 'sub'",
    "both.lua",
    "return 'both.lua'",
    "both/init.lua",
    "return 'both/init.lua'",
    "cycle_a.lua",
    "return require 'cycle_b'",
    "cycle_b.lua",
    "return require 'cycle_a'",
    "itself.lua",
    "return require 'itself'",
    "returns_false.lua",
    "count_false = (count_false or 0) + 1 return false",
    "returns_nil.lua",
    "count_nil = (count_nil or 0) + 1",
    "returns_many.lua",
    "return 1, 2, 3",
    "sets_loaded.lua",
    "package.loaded[...] = 'by itself'",
    "flaky.lua",
    "tries = (tries or 0) + 1 if tries < 3 then error('try ' .. tries) end return tries",
    "outer.lua",
    "local inner = require 'bad.syntax'",
    "bad/syntax.lua",
    "local x = 1\nlocal y = = 2",
    "bad/runtime.lua",
    "local t = nil\n\nreturn t.x",
    "bad/nested.lua",
    "\nreturn require 'bad.runtime'",
    "bad/coded.lua",
    "error(require('perilune.errors').unavailable 'no database')",
    "bad/table.lua",
    "error({ code = 1 })",
    "bad/nil.lua",
    "error()",
    "bad/far.lua",
    "error('not mine', 2)",
    "name with space.lua",
    "return 'space'",
    "perilune/json.lua",
    "return 'from the bundle'",
    NULL,
};
static ls_options options = {.files = files};

static int set_up(void **data)
{
    *data = ls_new(&options);
    return 0;
}

static int tear_down(void **data)
{
    ls_free(*data);
    return 0;
}

static void finds_files_of_the_bundle(void **data)
{
    ls_state *s = *data;
    ls_ok(s, "return require('rules.pricing').price(21)", "42");
    ls_ok(s, "return require('rules.pricing').name", "\"rules.pricing\"");
    ls_ok(s, "return require('rules.pricing') == require 'rules.pricing'", "true");
    ls_ok(s, "return loads", "1");
    ls_ok(s, "return require 'lib'", "\"lib of lib\"");
    ls_ok(s, "return require 'lib.sub'", "\"sub\"");
    ls_ok(s, "return require 'both'", "\"both.lua\"");
    ls_ok(s, "return require 'name with space'", "\"space\"");
    ls_ok(s, "return { require 'returns_many' }", "[1]");
}

static void finds_the_library_first(void **data)
{
    ls_state *s = *data;
    ls_ok(s, "return type(require('perilune.json').encode)", "\"function\"");
    ls_ok(s, "return require 'perilune.errors' == errors", "true");
    ls_ok(s,
          "local n = {} for _, m in ipairs { 'perilune', 'perilune.json', 'perilune.log', 'perilune.time', "
          "'perilune.crypto', "
          "'perilune.sqlite', 'perilune.shared', 'perilune.errors' } do n[#n + 1] = type(require(m)) end "
          "return table.concat(n, ' ')",
          "\"table table table table table table table table\"");
}

static void what_there_is_not(void **data)
{
    ls_state *s = *data;
    static const char *const names[] = {"nothing",
                                        "",
                                        ".",
                                        "..",
                                        "../x",
                                        "/etc/passwd",
                                        "rules",
                                        "rules.pricing.lua",
                                        "rules/pricing.lua",
                                        "%s",
                                        "lib.",
                                        ".lib",
                                        "nothing\\0lib",
                                        "io",
                                        "os",
                                        "perilune.nothing"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char body[100];
        snprintf(body, sizeof body, "return require '%s'", names[i]);
        ls_fails(s, body, PL_INTERNAL,
                 "not found: no such file in the bundle, and no such module of perilune");
    }
    ls_fails(s, "\n\nrequire 'nothing'", PL_INTERNAL, "call.lua:3: module 'nothing' not found");
    ls_fails(s, "require()", PL_INTERNAL, "string expected");
    ls_fails(s, "require {}", PL_INTERNAL, "string expected");
}

static void cycles_are_errors(void **data)
{
    ls_state *s = *data;
    ls_fails(s, "require 'cycle_a'", PL_INTERNAL, "module 'cycle_a' is required while it is being loaded");
    ls_fails(s, "require 'cycle_b'", PL_INTERNAL, "module 'cycle_b' is required while it is being loaded");
    ls_fails(s, "require 'itself'", PL_INTERNAL, "itself.lua:1: module 'itself' is required while");
}

static void what_a_module_returns_is_kept(void **data)
{
    ls_state *s = *data;
    ls_ok(s, "return { require 'returns_false', require 'returns_false', count_false }", "[false,false,1]");
    ls_ok(s, "return { require 'returns_nil', require 'returns_nil', count_nil }", "[true,true,1]");
    ls_ok(s, "return { require 'sets_loaded', require 'sets_loaded' }", "[\"by itself\",\"by itself\"]");
    ls_ok(s, "package.loaded.mine = 'given' return require 'mine'", "\"given\"");
    ls_ok(
        s,
        "package.loaded['rules.pricing'] = nil require 'rules.pricing' package.loaded['rules.pricing'] = nil "
        "require 'rules.pricing' return loads",
        "2");
}

static void a_failed_load_is_not_kept(void **data)
{
    ls_state *s = *data;
    ls_fails(s, "require 'flaky'", PL_INTERNAL, "flaky.lua:1: try 1");
    ls_fails(s, "require 'flaky'", PL_INTERNAL, "flaky.lua:1: try 2");
    ls_ok(s, "return require 'flaky'", "3");
    ls_ok(s, "return require 'flaky'", "3");
    ls_ok(s, "return { pcall(require, 'bad.runtime') }",
          "[false,\"bad/runtime.lua:3: attempt to index a nil value (local 't')\"]");
    ls_fails(s, "require 'bad.runtime'", PL_INTERNAL, "bad/runtime.lua:3:");
}

static void errors_say_where(void **data)
{
    ls_state *s = *data;
    ls_fails(s, "require 'bad.syntax'", PL_INTERNAL, "bad/syntax.lua:2: unexpected symbol near '='");
    ls_fails(s, "require 'outer'", PL_INTERNAL, "bad/syntax.lua:2:");
    ls_fails(s, "require 'bad.nested'", PL_INTERNAL, "bad/runtime.lua:3: attempt to index a nil value");
    ls_fails(s, "require 'bad.coded'", PL_UNAVAILABLE, "no database");
    ls_fails(s, "require 'bad.table'", PL_INTERNAL, "the script threw a table: {\"code\":1}");
    ls_fails(s, "require 'bad.nil'", PL_INTERNAL, "the script threw a nil value");
    ls_call *c = ls_run(s, "local p = require 'rules.pricing'\np.fail()");
    ls_is_failed(c, PL_INTERNAL, "rules/pricing.lua:3: too dear");
    assert_non_null(strstr(c->failure.traceback.ptr, "rules/pricing.lua:3: in "));
    assert_non_null(strstr(c->failure.traceback.ptr, "call.lua:2: in "));
    assert_null(strstr(c->failure.traceback.ptr, "[string"));
}

static void load_gives_file_and_line(void **data)
{
    ls_state *s = *data;
    pl_error err = {0};
    assert_int_equal(ls_load(s, "outer.lua", NULL, &err), PL_INVALID_ARGUMENT);
    assert_string_equal(err.file, "bad/syntax.lua");
    assert_int_equal(err.line, 2);
    assert_string_equal(err.message, "unexpected symbol near '='");
    assert_int_equal(ls_load(s, "bad/nested.lua", NULL, &err), PL_INVALID_ARGUMENT);
    assert_string_equal(err.file, "bad/runtime.lua");
    assert_int_equal(err.line, 3);
    assert_int_equal(ls_load(s, "bad/syntax.lua", NULL, &err), PL_INVALID_ARGUMENT);
    assert_string_equal(err.file, "bad/syntax.lua");
    assert_int_equal(err.line, 2);
    assert_int_equal(ls_load(s, "bad/table.lua", NULL, &err), PL_INVALID_ARGUMENT);
    assert_string_equal(err.file, "bad/table.lua");
    assert_int_equal(err.line, 0);
    assert_int_equal(ls_load(s, "bad/far.lua", NULL, &err), PL_INVALID_ARGUMENT);
    assert_string_equal(err.message, "not mine");
    assert_string_equal(err.file, "bad/far.lua");
    pl_slot slot;
    assert_int_equal(
        pl_engine_of(ls_engine_state(s))->load(ls_engine_state(s), PL_STR("missing.lua"), &slot, &err),
        PL_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "there is no file missing.lua in the bundle"));
    /* A message that merely looks like a place. */
    assert_int_equal(ls_load(s, "call.lua", "error('at 12:30: too late', 0)", &err), PL_INVALID_ARGUMENT);
    assert_string_equal(err.message, "at 12:30: too late");
}

static void states_are_apart(void **data)
{
    ls_state *s = *data, *other = ls_new(&options);
    ls_ok(s, "require('rules.pricing').price = 'changed' return loads", "1");
    ls_ok(other, "return { loads == nil, type(require('rules.pricing').price) }", "[true,\"function\"]");
    ls_free(other);
}

/* --- code that another state has compiled --- */
static void add_code(pl_buf *out, const char *name, const char *text)
{
    pl_compiled *found = pl_compiled_find(options.compiled, pl_str_of(name), pl_str_of(text));
    if (!found)
        return;
    pl_buf_str(out, pl_compiled_code(found));
    pl_compiled_unref(found);
}

static void compiled_code_is_used_for_its_text_only(void **data)
{
    static const char *const first[] = {"m.lua", "return 'first'", NULL};
    static const char *const second[] = {"m.lua", "return 'second'", NULL};
    pl_buf code;
    ls_state *s = ls_new(&(ls_options){.files = first, .compiled = options.compiled});
    ls_ok(s, "return require 'm'", "\"first\"");
    ls_free(s);
    /* It shows that it is used: what is kept of one text is what another one is. */
    pl_buf_init(&code);
    add_code(&code, "@m.lua", "return 'first'");
    assert_true(code.len > 0);
    pl_compiled_keep(options.compiled, PL_STR("@m.lua"), PL_STR("return 'second'"), pl_buf_view(&code));
    s = ls_new(&(ls_options){.files = second, .compiled = options.compiled});
    ls_ok(s, "return require 'm'", "\"first\"");
    ls_free(s);
    s = ls_new(&(ls_options){.files = first, .compiled = options.compiled});
    ls_ok(s, "return require 'm'", "\"first\"");
    ls_free(s);
    s = ls_new(&(ls_options){.files = second, .compiled = options.compiled});
    ls_ok(s, "return require 'm'", "\"second\"");
    ls_free(s);
    pl_buf_dispose(&code);
}

static void a_bundle_has_no_compiled_code(void **data)
{
    static const char *const binary[] = {"m.lua", "\x1bLuaT\x19\x93\r\n\x1a\n", NULL};
    for (int i = 0; i < 2; i++) {
        ls_state *s = ls_new(&(ls_options){.files = binary, .compiled = options.compiled});
        ls_fails(s, "require 'm'", PL_INTERNAL, "attempt to load a binary chunk (mode is 't')");
        ls_free(s);
    }
}

static void allocations_fail(void **data)
{
    static const char text[] = "return function() return require('lib.sub') end";
    ls_state *s = ls_new(&options);
    for (int kept = 0; kept < 2; kept++) { /* compiled and kept, then read from there */
        failing a = {0};
        while (failing_next(&a)) {
            pl_error err = {0};
            failing_begin(&a);
            pl_code code = ls_load(s, "call.lua", text, &err);
            assert_true(failing_end(&a) || code == PL_OK);
            assert_true(code == PL_OK || code == PL_INVALID_ARGUMENT || code == PL_RESOURCE_EXHAUSTED);
        }
        assert_true(a.made > 2);
    }
    ls_ok(s, "return require 'lib.sub'", "\"sub\"");
    ls_free(s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(finds_files_of_the_bundle), TEST(finds_the_library_first),       TEST(what_there_is_not),
        TEST(cycles_are_errors),         TEST(what_a_module_returns_is_kept), TEST(a_failed_load_is_not_kept),
        TEST(errors_say_where),          TEST(load_gives_file_and_line),      TEST(states_are_apart),
    };
    /* The same again in states that find there what those before them have compiled. */
    const struct CMUnitTest shared[] = {TEST(compiled_code_is_used_for_its_text_only),
                                        TEST(a_bundle_has_no_compiled_code), TEST(allocations_fail)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    options.compiled = pl_compiled_cache_new(0);
    for (int i = 0; i < 2; i++)
        failed += cmocka_run_group_tests(tests, NULL, NULL);
    failed += cmocka_run_group_tests(shared, NULL, NULL);
    pl_compiled_cache_free(options.compiled);
    return failed;
}
