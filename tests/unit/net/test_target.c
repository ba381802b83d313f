/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "net/target.h"
#include "support/failing.h"

/* The target as one line: what it is, authority and name. */
static const char *show(const char *text)
{
    static char line[2000];
    pl_arena arena;
    pl_target t;
    pl_error err;
    pl_arena_init(&arena, 0);
    int len = 0;
    if (pl_target_parse(pl_str_of(text), &arena, &t, &err) != PL_OK) {
        assert_int_equal(err.code, PL_INVALID_ARGUMENT);
        snprintf(line, sizeof(line), "%s", err.message);
    } else {
        if (t.kind == PL_TARGET_DNS)
            len = snprintf(line, sizeof(line), "dns %s %s", t.dns.host, t.dns.port);
        for (size_t i = 0; t.kind == PL_TARGET_LIST && i < t.list.count; i++)
            len += snprintf(line + len, sizeof(line) - (size_t)len, "%s%.*s", i > 0 ? " " : "",
                            PL_STR_ARG(t.list.addresses[i].address));
        if (t.kind == PL_TARGET_CONSUL)
            len = snprintf(line, sizeof(line), "%s token=%s ca=%s %us%s", t.consul.url,
                           t.consul.token ? t.consul.token : "-", t.consul.ca ? t.consul.ca : "-",
                           t.consul.wait_s, t.consul.warnings ? " warnings" : "");
        snprintf(line + len, sizeof(line) - (size_t)len, " | %.*s | %.*s", PL_STR_ARG(t.authority),
                 PL_STR_ARG(t.name));
    }
    pl_arena_dispose(&arena);
    return line;
}

static void names(void **state)
{
    assert_string_equal(show("example.org:50051"), "dns example.org 50051 | example.org:50051 | example.org");
    assert_string_equal(show("example.org"), "dns example.org 443 | example.org:443 | example.org");
    assert_string_equal(show("dns:example.org:1"), "dns example.org 1 | example.org:1 | example.org");
    assert_string_equal(show("dns:///example.org:65535"),
                        "dns example.org 65535 | example.org:65535 | example.org");
    assert_string_equal(show("dns:///ex%61mple.org:80"), "dns example.org 80 | example.org:80 | example.org");
}

static void addresses(void **state)
{
    assert_string_equal(show("127.0.0.1:80"), "127.0.0.1:80 | 127.0.0.1:80 | 127.0.0.1");
    assert_string_equal(show("dns:///[::1]:80"), "[::1]:80 | [::1]:80 | ::1");
    assert_string_equal(show("::1"), "[::1]:443 | [::1]:443 | ::1");
    assert_string_equal(show("ipv4:10.0.0.1:1,10.0.0.2,10.0.0.1:1"),
                        "10.0.0.1:1 10.0.0.2:443 | 10.0.0.1:1 | 10.0.0.1");
    assert_string_equal(
        show("ipv6:[2001:db8::1]:1,2001:db8::2,[2001:db8::3]"),
        "[2001:db8::1]:1 [2001:db8::2]:443 [2001:db8::3]:443 | [2001:db8::1]:1 | 2001:db8::1");
    assert_string_equal(show("ipv6:%5B::1%5D:5"), "[::1]:5 | [::1]:5 | ::1");
}

static void unix_sockets(void **state)
{
    assert_string_equal(show("unix:a/b"), "unix:a/b | localhost | localhost");
    assert_string_equal(show("unix:/a/b"), "unix:/a/b | localhost | localhost");
    assert_string_equal(show("unix:///a%20b"), "unix:/a b | localhost | localhost");
    assert_string_equal(show("unix-abstract:name"), "unix-abstract:name | localhost | localhost");
}

static void consul(void **state)
{
    assert_string_equal(show("consul://localhost:8500/users"),
                        "http://localhost:8500/v1/health/service/users?wait=300s&passing token=- ca=- 300s | "
                        "users | users");
    assert_string_equal(
        show("consul://[::1]/a%20b?tag=x%26y&tag=z&dc=eu&passing=false&wait=10&stale=true"),
        "http://[::1]:8500/v1/health/service/a%20b?wait=10s&tag=x%26y&tag=z&dc=eu&stale token=- "
        "ca=- 10s warnings | a b | a b");
    assert_string_equal(
        show("consul://c/s?token=secret%21&tls=true&ca=/a.pem"),
        "https://c:8500/v1/health/service/s?wait=300s&passing token=secret! ca=/a.pem 300s | s | "
        "s");
}

static void secrets_are_not_shown(void **state)
{
    pl_arena arena;
    pl_target t;
    pl_error err;
    pl_arena_init(&arena, 0);
    pl_str text = PL_STR("consul://c/s?dc=a&token=secret&tag=b");
    assert_int_equal(pl_target_parse(text, &arena, &t, &err), PL_OK);
    assert_memory_equal(t.text.ptr, "consul://c/s?dc=a&tag=b", t.text.len);
    assert_null(strstr(show("consul://c/s?token=secret&wait=3"), "secret"));
    assert_null(strstr(show("consul://c/s?token=se%cret"), "secret"));
    assert_null(strstr(show("consul://c:0/s?token=secret"), "secret"));
    pl_arena_dispose(&arena);
}

static void what_is_wrong(void **state)
{
    static const struct {
        const char *target, *message;
    } cases[] = {
        {"", "target \"\": a host is missing"},
        {":80", "target \":80\": a host is missing"},
        {"host:", "target \"host:\": \"\" is no port: 1 to 65535 is expected"},
        {"host:0", "target \"host:0\": \"0\" is no port: 1 to 65535 is expected"},
        {"host:65536", "target \"host:65536\": \"65536\" is no port: 1 to 65535 is expected"},
        {"host:http", "target \"host:http\": \"http\" is no port: 1 to 65535 is expected"},
        {"[::1", "target \"[::1\": [::1 is no address: [IPv6]:PORT is expected"},
        {"xds:///a",
         "target \"xds:///a\": \"xds\" is no scheme of names that is known; there are dns, ipv4, ipv6, "
         "unix, unix-abstract and consul"},
        {"dns://8.8.8.8/a",
         "target \"dns://8.8.8.8/a\": the DNS server cannot be chosen; dns:///HOST:PORT asks "
         "those of the system (8.8.8.8 stands where the server's name would)"},
        {"dns:///a%2", "target \"dns:///a%2\": % must be followed by two hexadecimal digits"},
        {"dns:///a%0a:80", "target \"dns:///a%0a:80\": it has control characters"},
        {"ipv4:::1", "target \"ipv4:::1\": \"::1\" is no IPv4 address"},
        {"ipv4:", "target \"ipv4:\": a host is missing"},
        {"ipv4:1.2.3.4,", "target \"ipv4:1.2.3.4,\": a host is missing"},
        {"ipv6:1.2.3.4", "target \"ipv6:1.2.3.4\": \"1.2.3.4\" is no IPv6 address"},
        {"ipv4:host:80", "target \"ipv4:host:80\": \"host\" is no IPv4 address"},
        {"unix://a", "target \"unix://a\": unix:///PATH takes an absolute path, and unix:PATH any"},
        {"unix:", "target \"unix:\": \"unix:\" is no address: the path has 1 to 107 bytes"},
        {"consul:a", "target \"consul:a\": consul://AGENT[:PORT]/SERVICE is expected"},
        {"consul://a", "target \"consul://a\": one name of a service is expected: "
                       "consul://AGENT[:PORT]/SERVICE"},
        {"consul://a/b/c", "target \"consul://a/b/c\": one name of a service is expected: "
                           "consul://AGENT[:PORT]/SERVICE"},
        {"consul://a/b?x=1",
         "target \"consul://a/b\": \"x\" is no parameter; there are tag, dc, near, filter, ns, "
         "partition, stale, passing, token, tls, ca and wait"},
        {"consul://a/b?wait=601", "target \"consul://a/b\": wait must be 5 to 600 (seconds), not \"601\""},
        {"consul://a/b?passing=maybe",
         "target \"consul://a/b\": passing must be true or false, not \"maybe\""},
        {"consul://a/b?tag", "target \"consul://a/b\": \"tag\" has no value"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(show(cases[i].target), cases[i].message);
    assert_non_null(strstr(show("a b:80"), "\"a b\" is no host"));
    assert_non_null(strstr(show("http://a:80"), "no scheme"));
}

static void bounds(void **state)
{
    pl_buf text;
    pl_buf_init(&text);
    PL_BUF_LIT(&text, "ipv4:1.2.3.4");
    for (int i = 0; i < 4095; i++)
        pl_buf_printf(&text, ",10.0.%d.%d:1", i / 250, i % 250);
    pl_arena arena;
    pl_target t;
    pl_error err;
    pl_arena_init(&arena, 0);
    assert_int_equal(pl_target_parse(pl_buf_view(&text), &arena, &t, &err), PL_OK);
    assert_int_equal(t.list.count, 4096);
    PL_BUF_LIT(&text, ",1.2.3.5");
    assert_int_equal(pl_target_parse(pl_buf_view(&text), &arena, &t, &err), PL_INVALID_ARGUMENT);
    pl_arena_dispose(&arena);
    pl_buf_dispose(&text);
}

static void without_memory(void **state)
{
    static const char *const targets[] = {"example.org:1", "ipv4:1.2.3.4,1.2.3.5:8", "unix:/a",
                                          "consul://a/b?token=c&tag=d"};
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        failing a = {0};
        while (failing_next(&a)) {
            pl_arena arena;
            pl_target t;
            pl_error err;
            pl_arena_init(&arena, 16);
            failing_begin(&a);
            pl_code code = pl_target_parse(pl_str_of(targets[i]), &arena, &t, &err);
            bool failed = failing_end(&a);
            assert_int_equal(code, failed ? PL_RESOURCE_EXHAUSTED : PL_OK);
            pl_arena_dispose(&arena);
        }
        assert_true(a.made > 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(addresses),
        cmocka_unit_test(unix_sockets),
        cmocka_unit_test(consul),
        cmocka_unit_test(secrets_are_not_shown),
        cmocka_unit_test(what_is_wrong),
        cmocka_unit_test(bounds),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
