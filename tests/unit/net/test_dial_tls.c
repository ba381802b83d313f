/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/ssl.h>

#include "net/dial_harness.h"
#include "net/tls.h"

static pl_tls_credentials *credentials(const pl_tls_credentials_config *config)
{
    pl_error err;
    pl_tls_credentials *c = pl_tls_credentials_new(config, &err);
    if (!c)
        fail_msg("%s: %s", err.file, err.message);
    return c;
}

static world *tls_world(const char *certificate, const char *client_ca)
{
    char file[64], key[64];
    snprintf(file, sizeof(file), "%s.pem", certificate);
    snprintf(key, sizeof(key), "%s.key", certificate);
    return new_world(&(pl_bytes_config){.tls_address = "127.0.0.1:0",
                                        .tls = {in_directory(file), in_directory(key)},
                                        .client_ca = client_ca ? in_directory(client_ca) : NULL});
}

/* Dials with what config says, until it is open or has failed. */
static void dial_tls(world *w, const pl_tls_credentials_config *config, const char *name)
{
    pl_error err;
    pl_tls_credentials *c = credentials(config);
    pl_str address = pl_str_of(pl_bytes_listeners_tls_address(w->listeners));
    pl_dial_to to = {.address = address, .tls = c, .name = pl_str_of(name)};
    if (dial(w, &to, &err) != PL_OK)
        fail_msg("%s", err.message);
    pl_tls_credentials_drop(c);
}

static void expect_failure(world *w, const char *message)
{
    char expected[500];
    assert_int_equal(w->client.failed, 1);
    assert_int_equal(w->client.opened, 0);
    assert_int_equal(w->client.why.code, PL_UNAVAILABLE);
    snprintf(expected, sizeof(expected), "cannot connect to %s: %s",
             pl_bytes_listeners_tls_address(w->listeners), message);
    assert_string_equal(w->client.why.message, expected);
    free_world(w);
}

static void a_trusted_server(void **state)
{
    static const char *const names[] = {"localhost", "a.example.org", "127.0.0.1", "::1"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        world *w = tls_world("server", NULL);
        dial_tls(w, &(pl_tls_credentials_config){.ca = in_directory("ca.pem")}, names[i]);
        if (!w->client.is_open)
            fail_msg("%s", w->client.why.message);
        assert_true(w->client.connection->secure);
        assert_string_equal(w->client.certificate, "server");
        exchange(w, 1);
        exchange(w, 3 << 20);
        pl_connection_end(w->client.connection);
        turn_until(w, both_have_gone);
        assert_int_equal(w->client.closed, 1);
        free_world(w);
    }
}

static void another_name(void **state)
{
    world *w = tls_world("server", NULL);
    dial_tls(w, &(pl_tls_credentials_config){.ca = in_directory("ca.pem")}, "other.example.com");
    expect_failure(w,
                   "the server's certificate is not for other.example.com, but for localhost, *.example.org, "
                   "127.0.0.1, ::1");
    w = tls_world("server", NULL);
    dial_tls(w, &(pl_tls_credentials_config){.ca = in_directory("ca.pem")}, "10.0.0.1");
    expect_failure(
        w, "the server's certificate is not for 10.0.0.1, but for localhost, *.example.org, 127.0.0.1, "
           "::1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trusted_server),
        cmocka_unit_test(another_name),
    };
    signal(SIGPIPE, SIG_IGN);
    make_test_directory();
    authority ca = make_authority("Test CA", "ca.pem");
    make_certificate("server", "DNS:localhost,DNS:*.example.org,IP:127.0.0.1,IP:::1", -60, &ca);
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    free_authority(&ca);
    remove_test_directory();
    return failures;
}
