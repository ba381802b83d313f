/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "edge_harness.h"
#include "support/failing.h"
#include "tls_files.h"

static pl_listeners *open_at(const char *address, unsigned workers, pl_error *err)
{
    return pl_listeners_open(&(pl_edge_config){.address = address}, workers, err);
}

static void port_zero_is_the_same_for_all_workers(void **state)
{
    pl_error err;
    pl_listeners *l = open_at("127.0.0.1:0", 3, &err);
    assert_non_null(l);
    const char *address = pl_listeners_address(l);
    assert_int_equal(strncmp(address, "127.0.0.1:", 10), 0);
    assert_true(atoi(address + 10) > 0);
    assert_null(pl_listeners_tls_address(l));
    int fd = connect_to(address);
    close(fd);
    pl_listeners_free(l);
    pl_listeners_free(NULL);
}

static void an_address_in_use_is_an_error(void **state)
{
    pl_error err;
    pl_listeners *first = open_at("127.0.0.1:0", 2, &err);
    assert_non_null(first);
    assert_null(open_at(pl_listeners_address(first), 2, &err));
    assert_int_equal(err.code, PL_ALREADY_EXISTS);
    assert_non_null(strstr(err.message, pl_listeners_address(first)));
    char address[300];
    snprintf(address, sizeof(address), "%s", pl_listeners_address(first));
    pl_listeners_free(first);
    pl_listeners *again = open_at(address, 2, &err);
    assert_non_null(again);
    pl_listeners_free(again);
}

static void addresses(void **state)
{
    const char *const good[] = {":0", "*:0", "localhost:0"};
    pl_error err;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        pl_listeners *l = open_at(good[i], 1, &err);
        if (!l)
            fail_msg("%s", err.message);
        pl_listeners_free(l);
    }
    const char *const bad[] = {
        "",          "8080",  "127.0.0.1",    "127.0.0.1:",      "127.0.0.1:x", "127.0.0.1:65536",
        "1:2:3:4:5", "unix:", "127.0.0.1:-1", "127.0.0.1:99999", "[::1:80",     "no.such.host.invalid:80"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_null(open_at(bad[i], 1, &err));
        assert_int_equal(err.code, PL_INVALID_ARGUMENT);
    }
}

static void any_address_takes_both_families(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){.address = "*:0"});
    int fd = client(&s); /* 127.0.0.1 */
    get(fd, "/request");
    answer a;
    read_answer(fd, &a, false);
    assert_non_null(strstr(a.body, "peer=127.0.0.1:"));
    close(fd);
    server_stop(&s);
}

/* --- unix: --- */

static void unix_sockets(void **state)
{
    char address[128];
    snprintf(address, sizeof(address), "unix:%s/socket", directory);
    for (int i = 0; i < 2; i++) { /* the second time over the file of the first */
        server s = {0};
        server_start(&s, &(pl_edge_config){.address = address});
        assert_string_equal(pl_listeners_address(s.listeners), address);
        pl_error err;
        assert_null(open_at(address, 1, &err));
        assert_int_equal(err.code, PL_ALREADY_EXISTS);
        int fd = client(&s);
        get(fd, "/request");
        answer a;
        read_answer(fd, &a, false);
        assert_non_null(strstr(a.body, "peer=unix\n"));
        get(fd, "/wait");
        wait_for(&s.arrived);
        close(fd);
        wait_for(&s.cancelled);
        server_stop(&s);
    }
}

static void files_that_are_no_sockets_stay(void **state)
{
    char address[128], longest[200] = "unix:";
    snprintf(address, sizeof(address), "unix:%s/file", directory);
    FILE *file = fopen(address + 5, "w");
    assert_non_null(file);
    fclose(file);
    pl_error err;
    assert_null(open_at(address, 2, &err));
    assert_int_equal(err.code, PL_ALREADY_EXISTS);
    struct stat info;
    assert_int_equal(stat(address + 5, &info), 0);
    memset(longest + 5, 'a', sizeof(longest) - 6);
    assert_null(open_at(longest, 2, &err));
    assert_int_equal(err.code, PL_INVALID_ARGUMENT);
}

/* --- TLS --- */

static void tls_answers(void **state)
{
    char certificate[128], key[128], other[128];
    make_certificate(certificate, key, other, sizeof(certificate));
    server s = {0};
    server_start(&s, &(pl_edge_config){
                         .address = "127.0.0.1:0", .tls_address = "127.0.0.1:0", .tls = {certificate, key}});
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_CTX_set_min_proto_version(context, version);
        SSL_CTX_set_max_proto_version(context, version);
        SSL_CTX_set_alpn_protos(context, (const unsigned char *)"\x08http/1.1", 9);
        int fd = connect_to(pl_listeners_tls_address(s.listeners));
        SSL *ssl = tls_client(context, fd);
        assert_int_equal(SSL_connect(ssl), 1);
        const unsigned char *chosen;
        unsigned chosen_len;
        SSL_get0_alpn_selected(ssl, &chosen, &chosen_len);
        assert_int_equal(chosen_len, 8);
        const char *request =
            "GET /request HTTP/1.1\r\nHost: localhost\r\n\r\nGET /wait HTTP/1.1\r\nHost: x\r\n\r\n";
        assert_int_equal(SSL_write(ssl, request, (int)strlen(request)), strlen(request));
        char text[2000];
        int n = 0;
        while (n < (int)sizeof(text) - 1 && (n == 0 || !memmem(text, (size_t)n, "host: localhost\n", 16))) {
            int got = SSL_read(ssl, text + n, (int)sizeof(text) - 1 - n);
            assert_true(got > 0);
            n += got;
        }
        assert_non_null(memmem(text, (size_t)n, "secure=1", 8));
        wait_for(&s.arrived);
        close(fd);
        wait_for(&s.cancelled);
        SSL_free(ssl);
    }
    /* h2 is preferred, TLS 1.1 refused. */
    SSL_CTX_set_alpn_protos(context, (const unsigned char *)"\x08http/1.1\x02h2", 12);
    int fd = connect_to(pl_listeners_tls_address(s.listeners));
    SSL *ssl = tls_client(context, fd);
    assert_int_equal(SSL_connect(ssl), 1);
    const unsigned char *chosen;
    unsigned chosen_len;
    SSL_get0_alpn_selected(ssl, &chosen, &chosen_len);
    assert_int_equal(chosen_len, 2);
    assert_memory_equal(chosen, "h2", 2);
    SSL_free(ssl);
    close(fd);
    SSL_CTX_set_min_proto_version(context, TLS1_1_VERSION);
    SSL_CTX_set_max_proto_version(context, TLS1_1_VERSION);
    SSL_CTX_set_security_level(context, 0);
    fd = connect_to(pl_listeners_tls_address(s.listeners));
    ssl = tls_client(context, fd);
    assert_int_not_equal(SSL_connect(ssl), 1);
    SSL_free(ssl);
    close(fd);
    /* A handshake that is not finished is ended with the edge. */
    fd = connect_to(pl_listeners_tls_address(s.listeners));
    SSL_CTX_free(context);
    server_stop(&s);
    expect_end(fd);
    close(fd);
}

static void tls_errors_name_the_file(void **state)
{
    char certificate[128], key[128], other[128], broken[128];
    make_certificate(certificate, key, other, sizeof(certificate));
    snprintf(broken, sizeof(broken), "%s/broken.pem", directory);
    FILE *file = fopen(broken, "w");
    fputs("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n", file);
    fclose(file);
    const struct {
        const char *certificate, *key, *blamed;
    } cases[] = {{"/nowhere/cert.pem", key, "/nowhere/cert.pem"},
                 {certificate, "/nowhere/key.pem", "/nowhere/key.pem"},
                 {broken, key, broken},
                 {certificate, broken, broken},
                 {certificate, other, other},
                 {key, key, key}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pl_error err = {0};
        pl_edge_config config = {.tls_address = "127.0.0.1:0", .tls = {cases[i].certificate, cases[i].key}};
        assert_null(pl_listeners_open(&config, 1, &err));
        assert_int_equal(err.code, PL_INVALID_ARGUMENT);
        assert_string_equal(err.file, cases[i].blamed);
        assert_true(err.message[0] != '\0');
    }
    pl_error err = {0};
    assert_null(pl_listeners_open(&(pl_edge_config){.tls_address = "127.0.0.1:0"}, 1, &err));
    assert_int_equal(err.code, PL_INVALID_ARGUMENT);
}

/* --- What is missing --- */

static void short_memory_is_an_error(void **state)
{
    failing a = {.sticky = true};
    while (failing_next(&a)) {
        pl_error err = {0};
        pl_loop *loop = pl_loop_new(NULL, NULL, &err);
        server s = {.service = {.handle = handle, .settings = settings_of}};
        pl_edge_config config = {.address = "127.0.0.1:0"};
        failing_begin(&a);
        pl_listeners *l = pl_listeners_open(&config, 2, &err);
        pl_edge *edge = l ? pl_edge_new(loop, &config, l, 1, &s.service, NULL, &err) : NULL;
        assert_int_equal(edge == NULL, failing_end(&a));
        if (!edge)
            assert_int_equal(err.code, PL_RESOURCE_EXHAUSTED);
        pl_edge_free(edge);
        pl_listeners_free(l);
        pl_loop_free(loop);
    }
}

static struct rlimit all_descriptors;

static void leave_one_descriptor(server *s)
{
    int lowest = dup(0);
    close(lowest);
    getrlimit(RLIMIT_NOFILE, &all_descriptors);
    struct rlimit few = {(rlim_t)lowest + 1, all_descriptors.rlim_max};
    setrlimit(RLIMIT_NOFILE, &few);
}

static void accepting_goes_on_when_descriptors_come_back(void **state)
{
    server s = {0};
    server_start(&s, &(pl_edge_config){0});
    on_loop(&s, leave_one_descriptor);
    int fd = client(&s); /* takes the last one */
    get(fd, "/hello");
    struct timespec before, after;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    struct timeval soon = {.tv_usec = 300000};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
    char byte;
    assert_int_equal(read(fd, &byte, 1), -1); /* nobody accepts it */
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    double used = (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9;
    setrlimit(RLIMIT_NOFILE, &all_descriptors);
    assert_true(used < 0.15); /* the loop has not been spinning */
    soon.tv_sec = 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
    expect_answer(fd, 200, "{\"hello\":1}");
    close(fd);
    server_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(port_zero_is_the_same_for_all_workers),
        cmocka_unit_test(an_address_in_use_is_an_error),
        cmocka_unit_test(addresses),
        cmocka_unit_test(any_address_takes_both_families),
        cmocka_unit_test(unix_sockets),
        cmocka_unit_test(files_that_are_no_sockets_stay),
        cmocka_unit_test(tls_answers),
        cmocka_unit_test(tls_errors_name_the_file),
        cmocka_unit_test(short_memory_is_an_error),
        cmocka_unit_test(accepting_goes_on_when_descriptors_come_back),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
