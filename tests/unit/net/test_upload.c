/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "edge_harness.h"
#include "http2_client.h"

#define MAX_BODY ((size_t)64 << 10)
#define MAX_UPLOAD ((size_t)16 << 20)
#define FORM "multipart/form-data; boundary=b"

static char block[(size_t)1 << 20];

/* Tells the body's length, whether it is on disk, and whether what is there is what was sent. */
static bool tell_body(server *s, pl_http_request *r)
{
    char text[200], piece[1000];
    bool same = r->body.len > 0 && r->body.ptr[0] == 'x' && r->body.ptr[r->body.len - 1] == 'x';
    if (!pl_str_is(r->path, "/up") && !pl_str_is(r->path, "/other"))
        return false;
    if (r->body_fd >= 0) {
        uint64_t middle = r->body_at + r->body.len / 2;
        same = same && pread(r->body_fd, piece, sizeof piece, (off_t)middle) == sizeof piece &&
               memcmp(piece, r->body.ptr + r->body.len / 2, sizeof piece) == 0;
    }
    snprintf(text, sizeof text, "%zu %s %s", r->body.len, r->body_fd >= 0 ? "disk" : "memory",
             same ? "same" : "other");
    respond(r, 200, pl_str_of(text));
    return true;
}

static void changed(server *s)
{
    pl_edge_settings_changed(s->edge);
}

static void start_with(server *s, pl_edge_config config, unsigned timeout_ms)
{
    memset(block, 'x', sizeof block);
    config.max_body = MAX_BODY;
    s->settings.uploads = (pl_http_uploads){
        .path = PL_STR("/up"), .max_size = MAX_UPLOAD, .max_total = MAX_UPLOAD * 2, .timeout_ms = timeout_ms};
    s->more = tell_body;
    server_start(s, &config);
}

static void start(server *s)
{
    start_with(s, (pl_edge_config){0}, 20000);
}

static void send_head(int fd, const char *path, const char *type, size_t len)
{
    char head[300];
    snprintf(head, sizeof head,
             "POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n", path, type,
             len);
    send_text(fd, head);
}

static void send_body(int fd, size_t len)
{
    for (size_t n; len > 0; len -= n) {
        n = len < sizeof block ? len : sizeof block;
        send_bytes(fd, block, n);
    }
}

static void post(int fd, const char *path, const char *type, size_t len)
{
    send_head(fd, path, type, len);
    send_body(fd, len);
}

/* Sends until the connection ends or `most` bytes have gone. */
static size_t push(int fd, size_t most)
{
    size_t sent = 0;
    while (sent < most) {
        ssize_t n = send(fd, block, sizeof block, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        sent += (size_t)n;
    }
    return sent;
}

static void small_ones_stay_in_memory(void **state)
{
    (void)state;
    server s = {0};
    start(&s);
    int fd = client(&s);
    post(fd, "/up", FORM, 100);
    expect_answer(fd, 200, "100 memory same");
    post(fd, "/up?a=b", FORM, MAX_BODY * 3);
    expect_answer(fd, 200, "196608 memory same");
    post(fd, "/other", FORM, MAX_BODY);
    expect_answer(fd, 200, "65536 memory same");
    close(fd);
    server_stop(&s);
}

static void large_ones_are_on_disk(void **state)
{
    (void)state;
    server s = {0};
    start(&s);
    int fd = client(&s);
    post(fd, "/up", FORM, (size_t)8 << 20);
    expect_answer(fd, 200, "8388608 disk same");
    post(fd, "/up", "Multipart/Form-Data;boundary=b", MAX_UPLOAD);
    expect_answer(fd, 200, "16777216 disk same");
    post(fd, "/up", FORM, 1); /* the next one does not see it */
    expect_answer(fd, 200, "1 memory same");
    close(fd);
    server_stop(&s);
}

static void larger_ones_are_refused(void **state)
{
    (void)state;
    server s = {0};
    answer a;
    start(&s);
    int fd = client(&s);
    post(fd, "/up", FORM, MAX_UPLOAD + 1);
    read_answer(fd, &a, false);
    assert_int_equal(a.status, 413);
    close(fd);
    fd = client(&s); /* without reading it */
    send_head(fd, "/up", FORM, MAX_UPLOAD * 2);
    read_answer(fd, &a, false);
    assert_int_equal(a.status, 413);
    close(fd);
    server_stop(&s);
}

/* Neither another path, nor method, nor type may bring more than max_body. */
static void everything_else_keeps_its_bound(void **state)
{
    (void)state;
    static const char *const others[][2] = {{"/other", FORM},
                                            {"/up/", FORM},
                                            {"/up", "application/json"},
                                            {"/up", "multipart/form-datax"},
                                            {"/up", "multipart/mixed; boundary=b"}};
    server s = {0};
    answer a;
    start(&s);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        int fd = client(&s);
        post(fd, others[i][0], others[i][1], MAX_BODY + 1);
        read_answer(fd, &a, false);
        assert_int_equal(a.status, 413);
        /* While it arrives: what has come is looked at soon. */
        send_head(fd, others[i][0], others[i][1], MAX_UPLOAD - 1);
        send_body(fd, MAX_BODY * 2 + (512 << 10));
        expect_end(fd);
        close(fd);
    }
    server_stop(&s);
}

static void without_uploads_nothing_is_large(void **state)
{
    (void)state;
    server s = {0};
    answer a;
    start(&s);
    s.settings.uploads = (pl_http_uploads){0};
    on_loop(&s, changed);
    int fd = client(&s);
    send_head(fd, "/up", FORM, MAX_BODY * 2 + 1);
    read_answer(fd, &a, false);
    assert_int_equal(a.status, 413);
    close(fd);
    s.settings.uploads = (pl_http_uploads){
        .path = PL_STR("/other"), .max_size = MAX_UPLOAD, .max_total = MAX_UPLOAD, .timeout_ms = 1000};
    on_loop(&s, changed);
    fd = client(&s);
    post(fd, "/other", FORM, MAX_BODY * 4);
    expect_answer(fd, 200, "262144 memory same");
    close(fd);
    server_stop(&s);
}

static void all_of_them_together_are_bounded(void **state)
{
    (void)state;
    server s = {0};
    start(&s);
    int fds[4];
    for (size_t i = 0; i < 3; i++) { /* each within its bound, but not all */
        fds[i] = client(&s);
        send_head(fds[i], "/up", FORM, MAX_UPLOAD);
        push(fds[i], MAX_UPLOAD - sizeof block);
    }
    size_t ended = 0;
    while (ended == 0) {
        for (size_t i = 0; i < 3; i++) {
            char byte;
            ssize_t n = recv(fds[i], &byte, 1, MSG_DONTWAIT);
            ended += n == 0 || (n < 0 && errno == ECONNRESET);
        }
    }
    assert_true(ended < 3);
    for (size_t i = 0; i < 3; i++)
        close(fds[i]);
    int fd = client(&s);
    get(fd, "/hello");
    expect_answer(fd, 200, "{\"hello\":1}");
    close(fd);
    server_stop(&s);
}

static void uploads_have_their_own_time(void **state)
{
    (void)state;
    server s = {0};
    start_with(&s, (pl_edge_config){.request_timeout_ms = 200}, 1200);
    int quick = client(&s), slow = client(&s), other = client(&s);
    send_head(quick, "/up", FORM, 2);
    send_head(slow, "/up", FORM, 2);
    send_head(other, "/other", FORM, 2);
    expect_end(other); /* after 200 ms or a little more */
    send_text(quick, "xx");
    expect_answer(quick, 200, "2 memory same");
    expect_end(slow);
    close(quick);
    close(slow);
    close(other);
    server_stop(&s);
}

/* --- HTTP/2 --- */

/* POST, http, the path and the content-type. */
static void post2(int fd, uint32_t stream, const char *path, const char *type)
{
    unsigned char head[300] = {0x83, 0x86, 0x04};
    size_t n = 3, len = strlen(path);
    head[n++] = (unsigned char)len;
    memcpy(head + n, path, len);
    n += len;
    head[n++] = 0x0f; /* the name is content-type, of the static table: 31 */
    head[n++] = 0x10;
    len = strlen(type);
    head[n++] = (unsigned char)len;
    memcpy(head + n, type, len);
    send_frame(fd, HEADERS, END_HEADERS, stream, head, n + len);
}

/* False: the connection has ended. */
static bool send_data(int fd, uint32_t stream, size_t len, bool last)
{
    char bytes[9 + 16384] = {0, (char)(len >> 8), (char)len, DATA, last ? END_STREAM : 0, 0, 0,
                             0, (char)stream};
    memcpy(bytes + 9, block, len);
    for (size_t sent = 0; sent < len + 9;) {
        ssize_t n = send(fd, bytes + sent, len + 9 - sent, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        sent += (size_t)n;
    }
    return true;
}

/* Sends a body within the windows that the server opens. False: the connection, or the stream, has ended. */
static bool send_body2(int fd, uint32_t stream, size_t len, bool whole)
{
    size_t all = 65535, own = 65535;
    frame f;
    while (len > 0) {
        size_t n = all < own ? all : own;
        n = n < 16384 ? n : 16384;
        n = n < len ? n : len;
        if (n > 0) {
            if (!send_data(fd, stream, n, whole && n == len))
                return false;
            all -= n;
            own -= n;
            len -= n;
            continue;
        }
        if (!read_frame(fd, &f) || f.type == RST_STREAM)
            return false;
        if (f.type == WINDOW_UPDATE) {
            size_t more = (size_t)f.payload[1] << 16 | (size_t)f.payload[2] << 8 | f.payload[3];
            *(f.stream == 0 ? &all : &own) += more;
        }
        if (f.type == SETTINGS) { /* of the initial window, among others */
            for (size_t i = 0; f.flags == 0 && i + 6 <= f.len; i += 6) {
                if (f.payload[i + 1] == 4)
                    own +=
                        ((size_t)f.payload[i + 3] << 16 | (size_t)f.payload[i + 4] << 8 | f.payload[i + 5]) -
                        65535;
            }
        }
    }
    return true;
}

static void large_ones_over_http2(void **state)
{
    (void)state;
    server s = {0};
    start(&s);
    int fd = client2(&s);
    post2(fd, 1, "/up", FORM);
    assert_true(send_body2(fd, 1, (size_t)8 << 20, true));
    expect_body(fd, 1, "8388608 disk same");
    post2(fd, 3, "/up", FORM);
    send_frame(fd, DATA, END_STREAM, 3, "x", 1);
    expect_body(fd, 3, "1 memory same");
    close(fd);
    server_stop(&s);
}

static void others_over_http2_keep_their_bound(void **state)
{
    (void)state;
    server s = {0};
    start(&s);
    int fd = client2(&s);
    post2(fd, 1, "/other", FORM);
    /* More than would be accepted: what has come is looked at soon. */
    if (send_body2(fd, 1, MAX_BODY * 2 + (512 << 10), false))
        expect_end2(fd);
    close(fd);
    server_stop(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_ones_stay_in_memory),
        cmocka_unit_test(large_ones_are_on_disk),
        cmocka_unit_test(larger_ones_are_refused),
        cmocka_unit_test(everything_else_keeps_its_bound),
        cmocka_unit_test(without_uploads_nothing_is_large),
        cmocka_unit_test(all_of_them_together_are_bounded),
        cmocka_unit_test(uploads_have_their_own_time),
        cmocka_unit_test(large_ones_over_http2),
        cmocka_unit_test(others_over_http2_keep_their_bound),
    };
    return cmocka_run_group_tests_name("upload", tests, NULL, NULL);
}
