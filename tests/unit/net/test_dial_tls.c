/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include "net/dial_harness.h"
#include "support/failing.h"

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

static void a_signer_that_is_not_trusted(void **state)
{
    char message[300];
    world *w = tls_world("server", NULL);
    snprintf(message, sizeof(message),
             "the server's certificate is signed by /CN=Test CA, which is not trusted by %s (unable to get "
             "local issuer certificate)",
             in_directory("other-ca.pem"));
    dial_tls(w, &(pl_tls_credentials_config){.ca = in_directory("other-ca.pem")}, "localhost");
    expect_failure(w, message);
    w = tls_world("server", NULL);
    dial_tls(w, &(pl_tls_credentials_config){0}, "localhost");
    expect_failure(w,
                   "the server's certificate is signed by /CN=Test CA, which is not trusted by the system's "
                   "certificates (unable to get local issuer certificate)");
}

static void a_certificate_that_is_too_old(void **state)
{
    world *w = tls_world("old", NULL);
    dial_tls(w, &(pl_tls_credentials_config){.ca = in_directory("ca.pem")}, "localhost");
    expect_failure(w, "the server's certificate /CN=old cannot be used: certificate has expired");
}

static void a_certificate_without_names(void **state)
{
    world *w = tls_world("localhost", NULL);
    dial_tls(w, &(pl_tls_credentials_config){.ca = in_directory("ca.pem")}, "localhost");
    expect_failure(w, "the server's certificate is not for localhost: it has no alternative names");
}

static void any_certificate(void **state)
{
    world *w = tls_world("old", NULL);
    dial_tls(w, &(pl_tls_credentials_config){.insecure = true}, "example.org");
    assert_true(w->client.is_open);
    assert_string_equal(w->client.certificate, ""); /* nobody has looked at it */
    exchange(w, 100);
    free_world(w);
}

static void a_server_that_wants_certificates(void **state)
{
    world *w = tls_world("server", "ca.pem");
    dial_tls(w,
             &(pl_tls_credentials_config){.ca = in_directory("ca.pem"),
                                          .certificate = in_directory("client.pem"),
                                          .key = in_directory("client.key")},
             "localhost");
    assert_true(w->client.is_open);
    exchange(w, 100);
    assert_string_equal(w->server.certificate, "client");
    free_world(w);

    /* h2o closes the connection without saying why. */
    static const char *const wrong[][2] = {{NULL, NULL}, {"stranger.pem", "stranger.key"}};
    for (size_t i = 0; i < 2; i++) {
        w = tls_world("server", "ca.pem");
        dial_tls(w,
                 &(pl_tls_credentials_config){.ca = in_directory("ca.pem"),
                                              .certificate = wrong[i][0] ? in_directory(wrong[i][0]) : NULL,
                                              .key = wrong[i][1] ? in_directory(wrong[i][1]) : NULL},
                 "localhost");
        turn_until(w, client_is_gone);
        assert_int_equal(w->server.opened, 0);
        free_world(w);
    }
}

static void copy_file(const char *from, const char *to)
{
    char text[4096];
    FILE *in = fopen(in_directory(from), "r"), *out = fopen(in_directory(to), "w");
    assert_non_null(in);
    assert_non_null(out);
    size_t len = fread(text, 1, sizeof(text), in);
    assert_int_equal(fwrite(text, 1, len, out), len);
    fclose(in);
    fclose(out);
}

static void open_and_end(world *w, pl_tls_credentials *c, bool works)
{
    pl_error err;
    pl_str address = pl_str_of(pl_bytes_listeners_tls_address(w->listeners));
    w->client.opened = w->client.closed = w->client.failed = 0;
    assert_int_equal(dial(w, &(pl_dial_to){.address = address, .tls = c, .name = PL_STR("localhost")}, &err),
                     PL_OK);
    if (works) {
        exchange(w, 10);
        pl_connection_end(w->client.connection);
    }
    turn_until(w, both_have_gone);
    assert_int_equal(w->client.closed, works);
}

static void files_that_change(void **state)
{
    world *w = tls_world("server", "ca.pem");
    copy_file("client.pem", "mine.pem");
    copy_file("client.key", "mine.key");
    copy_file("other-ca.pem", "trusted.pem");
    pl_tls_credentials *c = credentials(&(pl_tls_credentials_config){.ca = in_directory("trusted.pem"),
                                                                     .certificate = in_directory("mine.pem"),
                                                                     .key = in_directory("mine.key")});
    open_and_end(w, c, false);
    copy_file("ca.pem", "trusted.pem"); /* another one, and of another size, or time */
    open_and_end(w, c, true);
    assert_string_equal(w->server.certificate, "client");
    copy_file("second.pem", "mine.pem"); /* its key is not there yet: what was read stays */
    open_and_end(w, c, true);
    assert_string_equal(w->server.certificate, "client");
    copy_file("second.key", "mine.key");
    open_and_end(w, c, true);
    assert_string_equal(w->server.certificate, "second");
    unlink(in_directory("trusted.pem"));
    open_and_end(w, c, true);
    pl_tls_credentials_drop(c);
    free_world(w);
}

static void credentials_that_cannot_be_used(void **state)
{
    pl_error err;
    assert_null(pl_tls_credentials_new(&(pl_tls_credentials_config){.ca = "/nowhere.pem"}, &err));
    assert_int_equal(err.code, PL_INVALID_ARGUMENT);
    assert_string_equal(err.file, "/nowhere.pem");
    pl_tls_credentials_config config = {.certificate = in_directory("client.pem"),
                                        .key = in_directory("server.key")};
    assert_null(pl_tls_credentials_new(&config, &err));
    assert_string_equal(err.file, in_directory("server.key"));
    config.key = NULL;
    assert_null(pl_tls_credentials_new(&config, &err));
    assert_string_equal(err.message, "TLS needs a certificate and a key");
}

static void a_server_without_tls(void **state)
{
    pl_error err;
    world *w = new_world(&(pl_bytes_config){.address = "127.0.0.1:0"});
    pl_tls_credentials *c = credentials(&(pl_tls_credentials_config){.ca = in_directory("ca.pem")});
    pl_str address = pl_str_of(pl_bytes_listeners_address(w->listeners));
    /* It sends back what it gets: a ClientHello, which no server sends. */
    assert_int_equal(dial(w, &(pl_dial_to){.address = address, .tls = c, .name = PL_STR("localhost")}, &err),
                     PL_OK);
    assert_int_equal(w->client.failed, 1);
    assert_non_null(strstr(w->client.why.message, "TLS with localhost failed: "));
    pl_tls_credentials_drop(c);
    free_world(w);
}

static void a_server_that_says_nothing(void **state)
{
    pl_error err;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    char address[32];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(fd, 1), 0);
    getsockname(fd, (struct sockaddr *)&at, &len);
    snprintf(address, sizeof(address), "127.0.0.1:%u", ntohs(at.sin_port));
    world *w = new_world(NULL);
    pl_tls_credentials *c = credentials(&(pl_tls_credentials_config){.ca = in_directory("ca.pem")});
    pl_dial_to to = {.address = pl_str_of(address), .tls = c, .name = PL_STR("localhost"), .timeout_ms = 20};
    assert_int_equal(dial(w, &to, &err), PL_OK);
    assert_int_equal(w->client.failed, 1);
    assert_non_null(strstr(w->client.why.message, "no answer in time in the TLS handshake"));
    pl_tls_credentials_drop(c);
    free_world(w);
    close(fd);
}

/* The system's certificates are read by a helper thread, once; SSL_CERT_FILE says which they are. */
static void the_system_is_trusted(void **state)
{
    setenv("SSL_CERT_FILE", in_directory("ca.pem"), 1);
    world *w = tls_world("server", NULL);
    pl_tls_credentials *c = credentials(&(pl_tls_credentials_config){0});
    assert_false(pl_tls_credentials_is_ready(c));
    open_and_end(w, c, true);
    assert_true(pl_tls_credentials_is_ready(c));
    open_and_end(w, c, true);
    pl_tls_credentials_drop(c);
    free_world(w);
    unsetenv("SSL_CERT_FILE");
}

/* Connections that end while their certificates are being read. */
static void what_ends_meanwhile(void **state)
{
    for (int i = 0; i < 4; i++) {
        pl_error err;
        world *w = tls_world("server", NULL);
        pl_tls_credentials *c = credentials(&(pl_tls_credentials_config){0});
        pl_str address =
            i == 3 ? PL_STR("127.0.0.1:1") : pl_str_of(pl_bytes_listeners_tls_address(w->listeners));
        pl_dial_to to = {.address = address, .tls = c, .name = i == 2 ? PL_STR("a\0b") : PL_STR("localhost")};
        pl_connection *connection = pl_dial(w->dialer, &to, &w->client.service, w, &err);
        pl_tls_credentials_drop(c);
        if (i == 0 && connection)
            pl_connection_cut(connection);
        if (i == 1) {
            pl_dialer_free(w->dialer);
            w->dialer = NULL;
        }
        if (connection) {
            turn_until(w, client_is_settled);
            err = w->client.why;
        }
        assert_int_equal(err.code, i < 2 ? PL_CANCELLED : i == 2 ? PL_INVALID_ARGUMENT : PL_UNAVAILABLE);
        assert_int_equal(w->client.opened, 0);
        free_world(w);
    }
}

/* --- without I/O: a server of OpenSSL's, and the client, byte by byte --- */
static int choose(SSL *ssl, const unsigned char **out, unsigned char *len, const unsigned char *in,
                  unsigned in_len, void *data)
{
    const char *name = data;
    *out = (const unsigned char *)name;
    *len = (unsigned char)strlen(name);
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *server_context(int version, const char *protocol)
{
    static char chosen[16];
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    SSL_CTX_set_min_proto_version(context, version);
    SSL_CTX_set_max_proto_version(context, version);
    SSL_CTX_use_certificate_file(context, in_directory("server.pem"), SSL_FILETYPE_PEM);
    SSL_CTX_use_PrivateKey_file(context, in_directory("server.key"), SSL_FILETYPE_PEM);
    if (protocol) {
        snprintf(chosen, sizeof(chosen), "%s", protocol);
        SSL_CTX_set_alpn_select_cb(context, choose, chosen);
    }
    return context;
}

/* Both shake hands, in pieces of this many bytes; what the client then thinks. */
static pl_tls_state shake(pl_tls_client *client, SSL *server, size_t piece, pl_error *err)
{
    pl_buf plain;
    pl_tls_state state = PL_TLS_HANDSHAKE;
    pl_buf_init(&plain);
    for (int round = 0; round < 10 && state == PL_TLS_HANDSHAKE; round++) {
        char bytes[16384];
        int len;
        if (round == 0)
            state = pl_tls_client_feed(client, PL_STR(""), &plain, err);
        pl_str out = pl_tls_client_take(client);
        BIO_write(SSL_get_rbio(server), out.ptr, (int)out.len);
        SSL_do_handshake(server);
        while (state == PL_TLS_HANDSHAKE &&
               (len = BIO_read(SSL_get_wbio(server), bytes, sizeof(bytes))) > 0) {
            for (size_t at = 0; at < (size_t)len && state == PL_TLS_HANDSHAKE; at += piece) {
                size_t n = (size_t)len - at < piece ? (size_t)len - at : piece;
                state = pl_tls_client_feed(client, (pl_str){bytes + at, n}, &plain, err);
            }
        }
    }
    pl_buf_dispose(&plain);
    return state;
}

static void versions_and_protocols(void **state)
{
    static const struct {
        int version;
        const char *protocol;
        pl_tls_state state;
        const char *message;
    } cases[] = {
        {TLS1_2_VERSION, "h2", PL_TLS_OPEN, NULL},
        {TLS1_3_VERSION, "h2", PL_TLS_OPEN, NULL},
        {TLS1_2_VERSION, NULL, PL_TLS_FAILED, "the server at localhost has not agreed to HTTP/2 (ALPN h2)"},
        {TLS1_3_VERSION, NULL, PL_TLS_FAILED, "the server at localhost has not agreed to HTTP/2 (ALPN h2)"},
    };
    pl_tls_credentials *c = credentials(&(pl_tls_credentials_config){.ca = in_directory("ca.pem")});
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t piece = 1; piece < 20000; piece *= 17) {
            pl_error err;
            SSL_CTX *context = server_context(cases[i].version, cases[i].protocol);
            SSL *server = SSL_new(context);
            SSL_set_accept_state(server);
            SSL_set_bio(server, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
            pl_tls_client *client = pl_tls_client_new(c, PL_STR("localhost"), &err);
            assert_int_equal(shake(client, server, piece, &err), cases[i].state);
            if (cases[i].message)
                assert_non_null(strstr(err.message, cases[i].message));
            assert_string_equal(SSL_get_servername(server, TLSEXT_NAMETYPE_host_name), "localhost");
            pl_tls_client_free(client);
            SSL_free(server);
            SSL_CTX_free(context);
        }
    }
    pl_tls_credentials_drop(c);
}

/* What the client says when the server does not like its certificate. With TLS 1.3 it hears of that when it
 * is open already. */
static void what_a_server_does_not_like(void **state)
{
    static const struct {
        const char *certificate, *key, *message;
    } cases[] = {
        {NULL, NULL, "TLS with localhost failed: the server wants a client certificate, and none is set"},
        {"stranger.pem", "stranger.key", "the server does not trust who signed the client certificate"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        pl_error err;
        char bytes[16384];
        pl_buf plain;
        SSL_CTX *context = server_context(TLS1_3_VERSION, "h2");
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        assert_int_equal(SSL_CTX_load_verify_file(context, in_directory("ca.pem")), 1);
        SSL *server = SSL_new(context);
        SSL_set_accept_state(server);
        SSL_set_bio(server, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
        pl_tls_credentials *c = credentials(&(pl_tls_credentials_config){
            .ca = in_directory("ca.pem"),
            .certificate = cases[i].certificate ? in_directory(cases[i].certificate) : NULL,
            .key = cases[i].key ? in_directory(cases[i].key) : NULL});
        pl_tls_client *client = pl_tls_client_new(c, PL_STR("localhost"), &err);
        assert_int_equal(shake(client, server, sizeof(bytes), &err), PL_TLS_OPEN);
        pl_str out = pl_tls_client_take(client);
        BIO_write(SSL_get_rbio(server), out.ptr, (int)out.len);
        assert_true(SSL_do_handshake(server) < 0);
        int len = BIO_read(SSL_get_wbio(server), bytes, sizeof(bytes));
        pl_buf_init(&plain);
        assert_int_equal(pl_tls_client_feed(client, (pl_str){bytes, (size_t)len}, &plain, &err),
                         PL_TLS_FAILED);
        assert_non_null(strstr(err.message, cases[i].message));
        assert_int_equal(pl_tls_client_write(client, PL_STR("x"), &err), PL_UNAVAILABLE);
        pl_buf_dispose(&plain);
        pl_tls_client_free(client);
        pl_tls_credentials_drop(c);
        SSL_free(server);
        SSL_CTX_free(context);
    }
}

static void names_that_are_none(void **state)
{
    pl_error err;
    pl_tls_credentials *c = credentials(&(pl_tls_credentials_config){.ca = in_directory("ca.pem")});
    assert_null(pl_tls_client_new(c, PL_STR(""), &err));
    assert_null(pl_tls_client_new(c, PL_STR("a\0b"), &err));
    assert_int_equal(err.code, PL_INVALID_ARGUMENT);
    pl_tls_credentials_drop(c);
}

static void without_memory(void **state)
{
    failing a = {0};
    while (failing_next(&a)) {
        pl_error err;
        failing_begin(&a);
        pl_tls_credentials *c =
            pl_tls_credentials_new(&(pl_tls_credentials_config){.ca = in_directory("ca.pem")}, &err);
        pl_tls_client *client = c ? pl_tls_client_new(c, PL_STR("localhost"), &err) : NULL;
        pl_buf plain;
        pl_buf_init(&plain);
        pl_tls_state s = client ? pl_tls_client_feed(client, PL_STR(""), &plain, &err) : PL_TLS_FAILED;
        if (failing_end(&a))
            assert_true(s == PL_TLS_FAILED && err.code == PL_RESOURCE_EXHAUSTED);
        else
            assert_int_equal(s, PL_TLS_HANDSHAKE);
        pl_buf_dispose(&plain);
        pl_tls_client_free(client);
        pl_tls_credentials_drop(c);
    }
    assert_true(a.made > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trusted_server),
        cmocka_unit_test(another_name),
        cmocka_unit_test(a_signer_that_is_not_trusted),
        cmocka_unit_test(a_certificate_that_is_too_old),
        cmocka_unit_test(a_certificate_without_names),
        cmocka_unit_test(any_certificate),
        cmocka_unit_test(a_server_that_wants_certificates),
        cmocka_unit_test(files_that_change),
        cmocka_unit_test(credentials_that_cannot_be_used),
        cmocka_unit_test(a_server_without_tls),
        cmocka_unit_test(a_server_that_says_nothing),
        cmocka_unit_test(the_system_is_trusted),
        cmocka_unit_test(what_ends_meanwhile),
        cmocka_unit_test(versions_and_protocols),
        cmocka_unit_test(what_a_server_does_not_like),
        cmocka_unit_test(names_that_are_none),
        cmocka_unit_test(without_memory),
    };
    signal(SIGPIPE, SIG_IGN);
    make_test_directory();
    authority ca = make_authority("Test CA", "ca.pem"), other = make_authority("Other CA", "other-ca.pem");
    make_certificate("server", "DNS:localhost,DNS:*.example.org,IP:127.0.0.1,IP:::1", -60, &ca);
    make_certificate("old", "DNS:localhost", -7200, &ca);
    make_certificate("localhost", NULL, -60, &ca);
    make_certificate("client", "DNS:client", -60, &ca);
    make_certificate("second", "DNS:second", -60, &ca);
    make_certificate("stranger", "DNS:stranger", -60, &other);
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    free_authority(&ca);
    free_authority(&other);
    remove_test_directory();
    return failures;
}
