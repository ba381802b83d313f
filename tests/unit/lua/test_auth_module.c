/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "auth/signer.h"
#include "lua/lua_fixture.h"
#include "support/failing.h"

/* The library in a state without a server; what needs one is in tests/integration/test_auth.py. */

#define SECRET "0123456789012345678901234567890123456789012345678901234567890123"
#define PRELUDE                                                                                         \
    "local auth, errors, time = require 'perilune.auth', require 'perilune.errors', require "           \
    "'perilune.time' "                                                                                  \
    "local function ctx(headers) return { headers = headers or {}, response_headers = {} } end "        \
    "local function code(fn, ...) local ok, e = pcall(fn, ...) return ok and 'OK' or errors.is(e) and " \
    "e.code or e end "
#define V "auth.verifier{ algorithms = 'HS256', secret = '" SECRET "', required = false }"

static fixture *f;

static int set_up(void **state)
{
    f = fixture_new(NULL);
    return 0;
}

static int tear_down(void **state)
{
    fixture_free(f);
    return 0;
}

/* Runs code with the global `token` set to one with these claims. */
static void with_token(const char *claims, const char *code)
{
    signer *s = signer_secret(PL_STR(SECRET));
    pl_buf text;
    pl_buf_init(&text);
    pl_buf_printf(&text, "local token = '");
    signer_token(s, PL_HS256, NULL, claims, &text);
    pl_buf_printf(&text, "' " PRELUDE "%s", code);
    pl_buf_char(&text, '\0');
    assert_false(text.failed);
    fixture_ok(f, text.data);
    pl_buf_dispose(&text);
    signer_free(s);
}

static void claims_are_lua_values(void **state)
{
    with_token("{\"sub\": \"7\", \"n\": 9007199254740993, \"f\": 0.5, \"list\": [1, null], \"o\": {}, "
               "\"no\": null, \"exp\": 99999999999}",
               "local v = " V " local c, ends = v:verify(token) local null = require 'perilune'.null "
               "assert(c.sub == '7' and c.n == 9007199254740993 and c.f == 0.5 and c.list[2] == null and "
               "c.no == null) "
               "assert(ends == 99999999999 + 30) c.sub = 'changed' "
               "assert(v:status().cached == 1 and v:verify(token).sub == '7' and v:status().cached == 1)");
    with_token("{}",
               "local v = " V " local c, ends = v:verify(token) assert(next(c) == nil and ends == nil)");
}

static void bad_tokens(void **state)
{
    with_token("{\"exp\": 5}", "local c, message = " V
                               ":verify(token) assert(c == nil and message == 'the token has expired')");
    with_token("{\"nbf\": 99999999999}",
               "local c, message = " V
               ":verify(token) assert(c == nil and message == 'the token is not valid')");
    with_token("{}", "local v = " V
                     " for i = 1, #token do local c = v:verify(token:sub(1, i - 1)) assert(not c) end");
    fixture_fails(f, PRELUDE V ":verify(5)", "the token is no string");
    fixture_ok(f, PRELUDE "local v = auth.verifier{ algorithms = 'HS256', secret = '" SECRET "', cache = 0 } "
                          "assert(not v:verify '') assert(not v:verify(('x'):rep(100000)))");
    assert_non_null(strstr(fixture_log(f)->data, "tokens refused"));
    fixture_fails(f, PRELUDE "auth.jwt{ algorithms = 'RS256', jwks = 'https://id.example/keys' }",
                  "keys cannot be fetched where this runs");
}

static void interceptors(void **state)
{
    with_token("{\"sub\": \"7\", \"role\": \"A\", \"scope\": \"r w\"}",
               "local i = auth.jwt{ algorithms = 'HS256', secret = '" SECRET "', required = false } "
               "local c = ctx{ authorization = 'Bearer ' .. token } "
               "assert(i(c, function(x) assert(x == c) return 'next' end) == 'next') "
               "assert(c.user.id == '7' and c.user.roles[1] == 'A' and c.expires_at == nil) "
               "assert(auth.has_role(c.user, 'A') and not auth.has_role(c.user, 'B') and "
               "auth.has_scope(c.user, 'w')) "
               "c = ctx() assert(code(i, c, print) == 'UNAUTHENTICATED') "
               "assert(c.response_headers['www-authenticate'] == 'Bearer' and c.user == nil)");
    /* A parameter that is no map, and one under either name. */
    with_token("{\"sub\": \"7\"}",
               "local i = auth.jwt{ algorithms = 'HS256', secret = '" SECRET
               "', required = false, param = 'token' } "
               "local function try(params) local c = ctx() c.connection_params = params return code(i, c, "
               "function() end) end "
               "assert(try{ token = token } == 'OK' and try{ Token = 'bearer ' .. token } == 'OK') "
               "assert(try{} == 'UNAUTHENTICATED' and try(5) == 'UNAUTHENTICATED' and try{ token = {} } == "
               "'UNAUTHENTICATED' "
               "and try{ token = 'Basic ' .. token } == 'UNAUTHENTICATED')");
    fixture_ok(f, PRELUDE "local i = auth.api_key{ keys = { ['key-0123456789abc'] = { id = 1 } } } local c = "
                          "ctx{ ['x-api-key'] = 'key-0123456789abc' } "
                          "i(c, function() end) local first = c.user i(c, function() end) assert(c.user.id "
                          "== 1 and c.user ~= first)");
    fixture_ok(
        f, PRELUDE
        "local i = auth.scheme{ find = function(c) return c.headers.a end, "
        "check = function(a) if a == 'x' then return { id = a }, 99 end end } "
        "local c = ctx{ a = 'x' } i(c, function() end) assert(c.user.id == 'x' and c.expires_at == 99) "
        "assert(code(i, ctx{ a = 'y' }) == 'UNAUTHENTICATED')");
}

static void requirements(void **state)
{
    fixture_ok(
        f, PRELUDE
        "local admin = auth.require{ role = { 'A', 'B' } } local both = auth.require{ scope = { 'r', 'w' } } "
        "local function as(user) return { user = user } end "
        "assert(code(admin, as(nil)) == 'UNAUTHENTICATED' and code(admin, as(false)) == 'UNAUTHENTICATED' "
        "and code(admin, as(require 'perilune'.null)) == 'UNAUTHENTICATED') "
        "assert(code(admin, as{}) == 'PERMISSION_DENIED' and code(admin, as{ role = 'C' }) == "
        "'PERMISSION_DENIED') "
        "assert(code(admin, as'text') == 'PERMISSION_DENIED') "
        "for _, user in ipairs{ { role = 'B' }, { roles = { 'C', 'A' } }, { roles = { A = true } } } do "
        "assert(admin(as(user)) == user) end "
        "assert(code(admin, as{ roles = { A = false } }) == 'PERMISSION_DENIED') "
        "for _, user in ipairs{ { scope = 'r w' }, { scopes = { 'w', 'r' } }, { scope = 'r', scopes = { w = "
        "true } } } do both(as(user)) end "
        "assert(code(both, as{ scope = 'r' }) == 'PERMISSION_DENIED' and code(both, as{ scope = 'rw' }) == "
        "'PERMISSION_DENIED') "
        "local r = admin(function(p, a, c, i) return p .. a .. i end) assert(r('p', 'a', as{ role = 'A' }, "
        "'i') == 'pai') "
        "assert(code(r, 'p', 'a', as{}) == 'PERMISSION_DENIED') "
        "assert(admin(as{ role = 'A' }, function(c) return c.user.role end) == 'A') "
        "assert(auth.require{}(as{ id = 1 }).id == 1)");
    fixture_fails(f, PRELUDE "auth.require{}(5)", "a ctx or a resolver is expected");
}

/* Roles that include each other end all the same. */
static void roles(void **state)
{
    fixture_ok(
        f, PRELUDE
        "local i = auth.roles{ includes = { A = { 'B', 'C' }, B = 'A', C = 'D' }, default = { 'D', 'E' } } "
        "local user = { id = 1, role = 'A', roles = { 'X' } } local c = { user = user } i(c, function() end) "
        "table.sort(c.user.roles) assert(table.concat(c.user.roles) == 'ABCDEX' and c.user.role == nil and "
        "c.user.id == 1) "
        "assert(user.role == 'A' and #user.roles == 1) "
        "c = {} i(c, function() end) assert(c.user == nil)");
}

static void no_memory(void **state)
{
    signer *s = signer_secret(PL_STR(SECRET));
    pl_buf text;
    pl_buf_init(&text);
    pl_buf_printf(&text, PRELUDE "local v = " V " local claims = assert(v:verify '");
    signer_token(s, PL_HS256, NULL, "{\"sub\": \"7\", \"roles\": [\"a\", {\"b\": 1}]}", &text);
    pl_buf_printf(&text, "') assert(claims.roles[2].b == 1)");
    pl_buf_char(&text, '\0');
    fixture_ok(f, text.data);
    failing a = {.dense = 200, .step = 7};
    while (failing_next(&a)) {
        const char *error = fixture_call_failing(f, text.data, &a);
        if (error && !strstr(error, "memory") && !strstr(error, "RESOURCE_EXHAUSTED"))
            fail_msg("allocation %zu: %s", a.n, error);
    }
    assert_true(a.failed > 20);
    fixture_ok(f, text.data);
    pl_buf_dispose(&text);
    signer_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(claims_are_lua_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_tokens, set_up, tear_down),
        cmocka_unit_test_setup_teardown(interceptors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(requirements, set_up, tear_down),
        cmocka_unit_test_setup_teardown(roles, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
