/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "lua/lua_fixture.h"
#include "proto/pool.h"
#include "support/failing.h"

#define PROTO "local proto, perilune = require 'perilune.proto', require 'perilune' "

pl_str test_protos(void);
static fixture *f;
static pb_pool *pool;

static void round_trip(void **state)
{
    fixture_ok(f, PROTO
               "local bytes = proto.encode('test.v1.User', {user_id = 'u', emails = {{address = 'a@b'}}})"
               "assert(bytes == '\\x0a\\1u\\x1a\\5\\x0a\\3a@b')"
               "local user = proto.decode('test.v1.User', bytes)"
               "assert(user.user_id == 'u' and user.display_name == '' and #user.emails == 1)"
               "assert(user.emails[1].address == 'a@b' and user.emails[1].verified == false)");
    fixture_ok(f,
               PROTO "local v = proto.decode('test.v1.Scalars', proto.encode('test.v1.Scalars', "
                     "{f_int64 = math.mininteger, f_uint64 = -1, f_double = 1, f_bytes = '\\0\\xff'}))"
                     "assert(v.f_int64 == math.mininteger and v.f_uint64 == -1 and v.f_bytes == '\\0\\xff')"
                     "assert(math.type(v.f_double) == 'float' and math.type(v.f_int32) == 'integer')");
    fixture_ok(f, PROTO
               "local m = proto.decode('test.v1.Maps', proto.encode('test.v1.Maps', {by_name = {a = 1}, "
               "by_number = {[-5] = 'x', [1] = 'y'}, by_flag = {[true] = 'yes', [false] = 'no'}}))"
               "assert(m.by_name.a == 1 and m.by_number[-5] == 'x' and m.by_number[1] == 'y')"
               "assert(m.by_flag[true] == 'yes' and m.by_flag[false] == 'no' and next(m.by_id) == nil)");
    fixture_ok(f,
               PROTO "local c = proto.decode('test.v1.Choice', '\\x20\\0') assert(c.nothing == perilune.null)"
                     "assert(proto.encode('test.v1.Choice', c) == '\\x20\\0')");
}

static void presence(void **state)
{
    fixture_ok(f, PROTO
               "local v = proto.decode('test.v1.Optionals', '') assert(next(v) == nil)"
               "v = proto.decode('test.v1.Optionals', '\\8\\0') assert(v.number == 0 and v.text == nil)"
               "assert(proto.encode('test.v1.Optionals', {number = 0, text = perilune.null}) == '\\8\\0')");
    fixture_ok(f,
               PROTO "local d = proto.defaults 'test.v0.Old' assert(d.name == 'nobody' and d.size == 'LARGE')"
                     "assert(d.ratio == -math.huge and d.on == true and d.blob == 'a\\0\\1\\n')");
}

static void unknown_fields(void **state)
{
    fixture_ok(f, PROTO "local bytes = '\\x0a\\1u\\xa0\\6\\1' local u = proto.decode('test.v1.User', bytes)"
                        "local n = 0 for k in pairs(u) do n = n + 1 end assert(n == 3)"
                        "u.user_id = 'v' assert(proto.encode('test.v1.User', u) == '\\x0a\\1v\\xa0\\6\\1')"
                        "local copy = {} for k, v in pairs(u) do copy[k] = v end "
                        "assert(proto.encode('test.v1.User', copy) == '\\x0a\\1v')");
}

static void json(void **state)
{
    fixture_ok(f, PROTO "assert(proto.to_json('test.v1.User', {user_id = 'u'}) == '{\"userId\":\"u\"}')"
                        "assert(proto.to_json('test.v1.User', {}, {defaults = true, proto_names = true}) == "
                        "'{\"user_id\":\"\",\"display_name\":\"\",\"emails\":[]}')"
                        "assert(proto.from_json('test.v1.User', '{\"userId\":\"u\"}').user_id == 'u')"
                        "assert(proto.from_json('test.v1.User', '{\"x\":1}', {ignore_unknown = true}))");
    fixture_fails(f, PROTO "proto.from_json('test.v1.User', '{\"x\":1}')", "INVALID_ARGUMENT");
    fixture_fails(f, PROTO "proto.from_json('test.v1.User', '{\"emails\":[{\"verified\":1}]}')",
                  "emails[1].verified: a boolean is expected");
}

static void known_types(void **state)
{
    fixture_ok(
        f,
        PROTO "local t = proto.timestamp '2001-02-03T04:05:06.5Z'"
              "assert(t.seconds == 981173106 and t.nanos == 500000000 and proto.seconds(t) == 981173106.5)"
              "assert(proto.rfc3339(t) == '2001-02-03T04:05:06.500Z')"
              "assert(proto.timestamp().seconds > 1700000000)"
              "assert(proto.seconds(proto.duration '-2s') == -2 and proto.duration(1.5).nanos == 500000000)");
    fixture_ok(f, PROTO
               "local k = proto.decode('test.v1.Known', proto.encode('test.v1.Known', {"
               "object = {a = {1, 'x', perilune.null}, b = {}}, value = 3, int64 = 5, mask = {'a', 'b'},"
               "any = {['@type'] = 'x/test.v1.Route', get = 'g'}}))"
               "assert(k.object.a[1] == 1 and math.type(k.object.a[1]) == 'integer')"
               "assert(k.object.a[3] == perilune.null and next(k.object.b) == nil and k.value == 3)"
               "assert(k.int64 == 5 and k.mask[2] == 'b' and k.any.get == 'g' and k.at == nil)");
    fixture_ok(f, PROTO "assert(proto.uint64(-1) == '18446744073709551615' and proto.uint64(7) == '7')"
                        "assert(proto.uint64(math.mininteger) == '9223372036854775808')");
}

static void types(void **state)
{
    fixture_ok(f, PROTO "local seen = {} for _, name in ipairs(proto.types()) do seen[name] = true end "
                        "assert(seen['test.v1.User'] and seen['test.v1.User.Email'] and seen['test.v0.Old'])"
                        "assert(not seen['google.protobuf.Any'] and not seen['test.v1.Maps.ByNameEntry'])"
                        "assert(proto.enum('test.v1.Color').COLOR_BELOW == -3)");
    fixture_fails(f, PROTO "proto.encode('test.v1.Usr', {})",
                  "there is no message \"test.v1.Usr\". Did you mean \"test.v1.User\"");
    fixture_fails(f, PROTO "proto.enum 'test.v1.User'", "there is no enum");
    fixture_fails(f, PROTO "proto.decode('test.v1.User')", "string expected");
    fixture_fails(f, PROTO "proto.decode('test.v1.User', '\\x0a\\9u')", "user_id: the message has a field");
    fixture_fails(f, PROTO "proto.encode('test.v1.User', {emails = {{}, {address = 1}}})",
                  "emails[2].address: a string is expected, not an integer");
    fixture_fails(f, PROTO "proto.encode('test.v1.User', {emails = {{}, nil, {}}})",
                  "emails[2]: the list has a hole here");
    fixture_fails(f, PROTO "local n = {} n.next = n proto.encode('test.v1.Node', n)",
                  "more than 100 messages inside");
    fixture_fails(f, PROTO "proto.encode('test.v1.User', {user_id = print})", "not a function");
    fixture_fails(f, PROTO "proto.encode('test.v1.User', {[1.5] = 1})", "keys that are no strings");
}

static void where_it_is_called(void **state)
{
    assert_null(fixture_load(f, PROTO "assert(proto.decode('test.v1.User', '\\x0a\\1u').user_id == 'u')"));
    fixture_ok(f, PROTO
               "local co = coroutine.wrap(function() return proto.decode('test.v1.User', '\\x0a\\1u') end)"
               "assert(co().user_id == 'u')");
    fixture_ok(f, PROTO "table.sort({1, 2, 3}, function(a, b) proto.encode('test.v1.User', {user_id = 'x'}) "
                        "return a < b end)");
    fixture_ok(f, PROTO "for i = 1, 200 do proto.decode('test.v1.Node', proto.encode('test.v1.Node', "
                        "{children = {{}, {}}})) end");
}

static void without_messages(void **state)
{
    fixture *none = fixture_new(NULL);
    fixture_fails(none, PROTO "proto.decode('a.B', '')", "the bundle has no .proto files");
    fixture_free(none);
}

static void without_memory(void **state)
{
    static const char code[] =
        PROTO "local v = proto.decode('test.v1.User', '\\x0a\\1u\\xa0\\6\\1\\x1a\\5\\x0a\\3a@b') "
              "assert(proto.encode('test.v1.User', proto.from_json('test.v1.User', "
              "proto.to_json('test.v1.User', v))) "
              "== '\\x0a\\1u\\x1a\\5\\x0a\\3a@b')";
    failing a = {0};
    while (failing_next(&a)) {
        const char *error = fixture_call_failing(f, code, &a);
        if (error && !strstr(error, "RESOURCE_EXHAUSTED"))
            fail_msg("allocation %zu: %s", a.n, error);
    }
    assert_true(a.made > 5);
    fixture_ok(f, code);
}

/* What one call may take is limited, whatever a message makes of it. */
static void large_messages(void **state)
{
    fixture_fails(f, PROTO "proto.decode('test.v1.Node', ('\\x12\\0'):rep(2000000))", "RESOURCE_EXHAUSTED");
    fixture_ok(f, PROTO "assert(#proto.decode('test.v1.Lists', '\\x0a\\x80\\x89\\x7a' .. "
                        "('\\1'):rep(2000000)).numbers == 2000000)");
}

static void no_loading(void **state)
{
    fixture_fails(f, PROTO "proto.load 'x.binpb'", "FAILED_PRECONDITION: in the server");
    fixture_fails(f, PROTO "proto.add ''", "FAILED_PRECONDITION: in the server");
}

static int open_all(void **state)
{
    pl_error err;
    pb_source source = {"tests.binpb", test_protos()};
    assert_int_equal(pb_pool_new(&source, 1, &pool, &err), PL_OK);
    f = fixture_new(&(fixture_options){.protos = pool});
    return 0;
}

static int close_all(void **state)
{
    fixture_free(f);
    pb_pool_free(pool);
    return 0;
}

int main(void)
{
    const struct CMUnitTest everywhere[] = {
        cmocka_unit_test(round_trip),         cmocka_unit_test(presence),
        cmocka_unit_test(unknown_fields),     cmocka_unit_test(json),
        cmocka_unit_test(known_types),        cmocka_unit_test(types),
        cmocka_unit_test(where_it_is_called), cmocka_unit_test(without_memory),
    };
    const struct CMUnitTest in_server[] = {cmocka_unit_test(without_messages),
                                           cmocka_unit_test(large_messages), cmocka_unit_test(no_loading)};
    int failed = cmocka_run_group_tests(everywhere, open_all, close_all);
    return fixture_in_server ? failed + cmocka_run_group_tests(in_server, open_all, close_all) : failed;
}
