/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/rate_limit.h"
#include "base/alloc.h"

/* What tells clients apart. (By ctx.user: in the integration tests, as it takes a script.) */
static void expect_key(pl_rate_by by, pl_str peer, pl_str header, const char *key)
{
    pl_arena arena;
    pl_header headers[] = {{PL_STR("x-other"), PL_STR("o")}, {PL_STR("x-key"), header}};
    pl_rate_config config = {.capacity = 1, .refill = 1, .by = by, .header = PL_STR("x-key")};
    pl_arena_init(&arena, 0);
    pl_work work = {.arena = &arena, .peer = peer, .headers = headers, .header_count = 2, .ctx = PL_REF_NONE};
    pl_str got = pl_rate_limit_key(&config, NULL, &work);
    assert_int_equal(got.len, strlen(key));
    assert_memory_equal(got.ptr, key, got.len);
    pl_arena_dispose(&arena);
}

static void expect_peer(const char *peer, const char *key)
{
    expect_key(PL_RATE_BY_PEER, pl_str_of(peer), PL_STR(""), key);
}

static void test_addresses(void **state)
{
    expect_peer("192.0.2.1:53211", "peer:192.0.2.1");
    expect_peer("192.0.2.1:1", "peer:192.0.2.1");
    expect_peer("[2001:db8:1:2:3:4:5:6]:443", "peer:2001:db8:1:2::/64");
    expect_peer("[2001:db8:1:2:ffff::1]:443", "peer:2001:db8:1:2::/64");
    expect_peer("[2001:db8:1:3::1]:443", "peer:2001:db8:1:3::/64");
    expect_peer("[::1]:443", "peer:::/64");
    expect_peer("[::ffff:192.0.2.1]:80", "peer:192.0.2.1"); /* a socket for both kinds */
    expect_peer("unix", "peer:unix");
    expect_peer("", "peer:");
    expect_peer("[nonsense]:1", "peer:nonsense");
    expect_peer("[1", "peer:[1");
}

static void test_headers(void **state)
{
    pl_str peer = PL_STR("192.0.2.1:1");
    expect_key(PL_RATE_BY_HEADER, peer, PL_STR("abc"), "header:abc");
    expect_key(PL_RATE_BY_HEADER, peer, PL_STR(""), "peer:192.0.2.1");
    expect_key(PL_RATE_BY_PEER, peer, PL_STR("abc"), "peer:192.0.2.1");
    expect_key(PL_RATE_BY_USER, peer, PL_STR("abc"), "peer:192.0.2.1"); /* no interceptor has run */
    /* a header cannot be made to look like an address, or a user */
    expect_key(PL_RATE_BY_HEADER, peer, PL_STR("peer:192.0.2.2"), "header:peer:192.0.2.2");
}

static void test_no_memory(void **state)
{
    pl_arena arena;
    pl_rate_config config = {.capacity = 1, .refill = 1};
    pl_arena_init(&arena, 0);
    pl_work work = {.arena = &arena, .peer = PL_STR("192.0.2.1:1"), .ctx = PL_REF_NONE};
    pl_alloc_fail_at(1, 1);
    assert_null(pl_rate_limit_key(&config, NULL, &work).ptr);
    pl_alloc_fail_at(0, 0);
    pl_arena_dispose(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
