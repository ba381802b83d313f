/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "lua/lua_fixture.h"

/* perilune.time, crypto, errors, and perilune itself: in the server and in plain Lua. */

static fixture *f;

/* --- time --- */
#define TIME "local time = require 'perilune.time' "

static void clocks(void **state)
{
    fixture_ok(f, TIME "assert(math.type(time.now_ms()) == 'integer' and math.abs(time.now() * 1000 - "
                       "time.now_ms()) < 1000)");
    fixture_ok(f, TIME "assert(math.abs(time.now() - os.time()) < 2) local a = time.monotonic() "
                       "assert(time.monotonic() >= a)");
}

static void rfc3339(void **state)
{
    fixture_ok(f, TIME "assert(time.rfc3339(0) == '1970-01-01T00:00:00Z' and time.rfc3339(951782400) == "
                       "'2000-02-29T00:00:00Z')");
    fixture_ok(f, TIME "assert(time.rfc3339(-1) == '1969-12-31T23:59:59Z' and time.rfc3339(0.25) == "
                       "'1970-01-01T00:00:00.250Z')");
    fixture_ok(f, TIME "assert(time.rfc3339(1.9999) == '1970-01-01T00:00:02.000Z' and time.rfc3339(-0.25, 2) "
                       "== '1969-12-31T23:59:59.75Z')");
    fixture_ok(f, TIME "assert(time.rfc3339(253402300799) == '9999-12-31T23:59:59Z' and "
                       "time.rfc3339(-62167219200) == '0000-01-01T00:00:00Z')");
    fixture_ok(f, TIME
               "assert(time.rfc3339(5, 9) == '1970-01-01T00:00:05.000000000Z' and #time.rfc3339() == 24)");
    fixture_fails(f, TIME "time.rfc3339(253402300800)", "not within the years");
    fixture_fails(f, TIME "time.rfc3339(253402300799.9999)", "not within the years");
    fixture_fails(f, TIME "time.rfc3339(0/0)", "not within the years");
    fixture_fails(f, TIME "time.rfc3339(0, 10)", "digits");
}

static void parse_rfc3339(void **state)
{
    fixture_ok(
        f, TIME
        "for _, s in ipairs { 0, 1, -1, 951782399, 951868800, 1709251199, 4107542400, -62167219200, "
        "253402300799 } do "
        "local v = time.parse_rfc3339(time.rfc3339(s)) assert(v == s and math.type(v) == 'integer', s) end");
    fixture_ok(
        f, TIME
        "local p = time.parse_rfc3339 "
        "assert(p '1985-04-12T23:20:50.52Z' == 482196050.52 and p '1996-12-19T16:39:57-08:00' == 851042397)"
        "assert(p '1990-12-31T23:59:60Z' == 662688000 and p '1990-12-31T15:59:60-08:00' == 662688000)"
        "assert(p '1937-01-01T12:00:27.87+00:20' == -1041337172.13 and p '2024-02-29t00:00:00z' == "
        "1709164800)"
        "assert(p '2024-02-29 00:00:00.000Z' == 1709164800)");
    fixture_ok(
        f, TIME
        "for _, s in ipairs { '', '2024', '2024-01-01', '2023-02-29T00:00:00Z', '1900-02-29T00:00:00Z', "
        "'2024-13-01T00:00:00Z', '2024-00-01T00:00:00Z', '2024-04-31T00:00:00Z', '2024-01-01T24:00:00Z', "
        "'2024-01-01T00:60:00Z', '2024-01-01T00:00:60Z', '2024-01-01T23:59:60Z', '2024-01-01T00:00:00', "
        "'2024-01-01T00:00:00.Z', '2024-01-01T00:00:00+24:00', '2024-01-01T00:00:00+0100', "
        "'2024-01-01T00:00:00Zx', "
        "' 2024-01-01T00:00:00Z', '+2024-01-01T00:00:00Z', '2024-1-01T00:00:00Z', '2024-01-01T00:00:0\\0Z' } "
        "do "
        "local v, m = time.parse_rfc3339(s) assert(v == nil and m:find 'not an RFC 3339 time', s) end");
}

static void dates(void **state)
{
    fixture_ok(f, TIME "local d = time.date(1709210096) "
                       "assert(d.year == 2024 and d.month == 2 and d.day == 29 and d.hour == 12 and d.min == "
                       "34 and d.sec == 56)"
                       "assert(d.weekday == 4 and d.yday == 60 and time.utc(d) == 1709210096)");
    fixture_ok(
        f, TIME
        "assert(time.utc {year = 2024, month = 14, day = 0} == time.utc {year = 2025, month = 1, day = 31})"
        "assert(time.utc {year = 1970} == 0 and time.utc {year = 1969, month = 12, day = 31, hour = 23} == "
        "-3600)");
    fixture_ok(f, TIME
               "for i = 0, 150000, 37 do local t = i * 86400 - 3000000000 local d, o = time.date(t), "
               "os.date('!*t', t) "
               "assert(d.year == o.year and d.month == o.month and d.day == o.day and d.yday == o.yday and "
               "d.weekday % 7 + 1 == o.wday) end");
    fixture_fails(f, TIME "time.utc {month = 2}", "field 'year'");
}

/* --- crypto --- */
#define CRYPTO "local c = require 'perilune.crypto' "

static void hashes(void **state)
{
    fixture_ok(f, CRYPTO
               "assert(c.sha256 'abc' == 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')"
               "assert(c.sha256('', 'raw') == c.hex_decode "
               "'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')"
               "assert(c.sha512('abc'):sub(1, 32) == 'ddaf35a193617abacc417349ae204131')");
    /* RFC 4231, test case 2 */
    fixture_ok(
        f, CRYPTO
        "assert(c.hmac_sha256('Jefe', 'what do ya want for nothing?') == "
        "'5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843')"
        "assert(c.hmac_sha512('Jefe', 'what do ya want for nothing?'):sub(1, 16) == '164b7a7bfcf819e2')"
        "assert(#c.hmac_sha256('', '', 'raw') == 32)");
    fixture_fails(f, CRYPTO "c.sha256('a', 'base2')", "invalid option");
    fixture_ok(f, CRYPTO "assert(c.equal('ab', 'ab') and not c.equal('ab', 'ac') and not c.equal('ab', "
                         "'abc') and c.equal('', ''))");
}

static void random_and_uuids(void **state)
{
    fixture_ok(f, CRYPTO "assert(#c.random_bytes(0) == 0 and #c.random_bytes(5000) == 5000 and "
                         "c.random_bytes(16) ~= c.random_bytes(16))");
    fixture_fails(f, CRYPTO "c.random_bytes(-1)", "16777216");
    fixture_ok(f,
               CRYPTO "local u = c.uuid4() assert(u:find "
                      "'^%x%x%x%x%x%x%x%x%-%x%x%x%x%-4%x%x%x%-[89ab]%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$', u)");
    fixture_ok(f, CRYPTO "local last = '' for i = 1, 20000 do local u = c.uuid7() assert(u > last and u:find "
                         "'^%x+%-%x+%-7%x%x%x%-[89ab]') last = u end "
                         "local ms = tonumber((c.uuid7():gsub('-', ''):sub(1, 12)), 16) "
                         "assert(math.abs(ms - require 'perilune.time'.now_ms()) < 1000)");
}

static void base_n(void **state)
{
    fixture_ok(f, CRYPTO "local v = {[''] = '', f = 'Zg==', fo = 'Zm8=', foo = 'Zm9v', foob = 'Zm9vYg==', "
                         "fooba = 'Zm9vYmE=', foobar = 'Zm9vYmFy'} "
                         "for plain, code in pairs(v) do assert(c.base64_encode(plain) == code and "
                         "c.base64_decode(code) == plain) "
                         "local url = code:gsub('=', '') assert(c.base64url_encode(plain) == url and "
                         "c.base64url_decode(url) == plain "
                         "and c.base64url_decode(code) == plain) end");
    fixture_ok(f, CRYPTO
               "assert(c.base64_encode '\\xfb\\xff' == '+/8=' and c.base64url_encode '\\xfb\\xff' == '-_8')");
    fixture_ok(
        f, CRYPTO
        "for n = 0, 64 do local s = c.random_bytes(n) assert(c.base64_decode(c.base64_encode(s)) == s and "
        "c.base64url_decode(c.base64url_encode(s)) == s and c.hex_decode(c.hex_encode(s)) == s) end");
    fixture_ok(
        f, CRYPTO
        "for _, s in ipairs {'Zg', 'Zg=', 'Z', 'Zg===', 'Zh==', 'Zm9=', '=', '====', 'Zm 9v', 'Zm9v\\n', "
        "'Zm9-', 'Zg==Zg=='} do "
        "local v, m = c.base64_decode(s) assert(v == nil and type(m) == 'string', s) end "
        "for _, s in ipairs {'Z', 'Zg=', 'Zh', 'Zm9+', 'Zm9vZ'} do assert(c.base64url_decode(s) == nil, s) "
        "end "
        "assert(c.hex_decode 'abc' == nil and c.hex_decode 'zz' == nil and c.hex_decode 'aF' == '\\xaf')");
}

/* --- errors --- */
#define ERRORS "local e = require 'perilune.errors' "

static void errors(void **state)
{
    fixture_fails(f, ERRORS "error(e.not_found 'no such user')", "NOT_FOUND: no such user");
    fixture_ok(
        f, ERRORS
        "for _, n in ipairs {'cancelled', 'unknown', 'invalid_argument', 'deadline_exceeded', 'not_found', "
        "'already_exists',"
        "'permission_denied', 'resource_exhausted', 'failed_precondition', 'aborted', 'out_of_range', "
        "'unimplemented',"
        "'internal', 'unavailable', 'data_loss', 'unauthenticated'} do local x = e[n] 'm' "
        "assert(x.code == n:upper() and x.message == 'm' and e.is(x) and e.is(x, n) and e.is(x, n:upper())) "
        "assert(tostring(x) == n:upper() .. ': m' and getmetatable(x) == e.metatable) end");
    fixture_ok(f, ERRORS
               "local x = e.invalid_argument('bad', {email = 'must contain @'}, {extensions = {hint = 1}}) "
               "assert(x.details.email == 'must contain @' and x.extensions.hint == 1)");
    fixture_ok(f, ERRORS "local x = e.unavailable('later', {extensions = {retry = 5}}) "
                         "assert(x.extensions.retry == 5 and x.details == nil)");
    fixture_ok(f, ERRORS "assert(e.not_found().message == 'not found' and not e.is {} and not e.is 'x' and "
                         "not e.is(e.aborted(), 'not_found'))");
    fixture_fails(f, ERRORS "e.not_found {}",
                  "main.lua:1: errors.not_found: the message is a table, not a string");
    fixture_fails(f, ERRORS "e.invalid_argument('x', 'y')",
                  "errors.invalid_argument: the violations is a string");
    /* what C raises is the same kind of thing */
    fixture_ok(f, ERRORS "local ok, x = pcall(require 'perilune.json'.decode, '[') assert(not ok and e.is(x, "
                         "'invalid_argument'))");
    fixture_ok(
        f, "local p = require 'perilune' assert(type(p.version) == 'string' and type(p.null) == 'userdata')");
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(clocks),        cmocka_unit_test(rfc3339),
                                       cmocka_unit_test(parse_rfc3339), cmocka_unit_test(dates),
                                       cmocka_unit_test(hashes),        cmocka_unit_test(random_and_uuids),
                                       cmocka_unit_test(base_n),        cmocka_unit_test(errors)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
