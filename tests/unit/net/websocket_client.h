/* SPDX-License-Identifier: MIT */
#ifndef TEST_NET_WEBSOCKET_CLIENT_H
#define TEST_NET_WEBSOCKET_CLIENT_H

/* A blocking WebSocket client that can do everything wrong. Included after edge_harness.h. */

#define HANDSHAKE                                                                              \
    "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

enum { TEXT = 0x81, BINARY = 0x82, CLOSE = 0x88, PING = 0x89, PONG = 0x8a };

static inline int open_websocket(server *s)
{
    answer a;
    int fd = client(s);
    send_text(fd, HANDSHAKE);
    read_answer(fd, &a, true);
    assert_int_equal(a.status, 101);
    return fd;
}

/* The bytes of a masked frame; returns their number. */
static inline size_t make_ws_frame(char *out, unsigned first, const void *payload, size_t len)
{
    size_t n = 0;
    out[n++] = (char)first;
    if (len < 126) {
        out[n++] = (char)(0x80 | len);
    } else if (len < 65536) {
        out[n++] = (char)(0x80 | 126);
        out[n++] = (char)(len >> 8);
        out[n++] = (char)len;
    } else {
        out[n++] = (char)(0x80 | 127);
        for (int i = 7; i >= 0; i--)
            out[n++] = (char)(len >> (8 * i));
    }
    memcpy(out + n, "\1\2\3\4", 4);
    n += 4;
    for (size_t i = 0; i < len; i++)
        out[n++] = (char)(((const char *)payload)[i] ^ (char)(1 + (i & 3)));
    return n;
}

static inline void send_ws(int fd, unsigned first, const void *payload, size_t len)
{
    char *bytes = malloc(len + 14);
    send_bytes(fd, bytes, make_ws_frame(bytes, first, payload, len));
    free(bytes);
}

static inline void say(int fd, const char *text)
{
    send_ws(fd, TEXT, text, strlen(text));
}

typedef struct ws_frame {
    unsigned first;
    size_t len;
    char *payload; /* terminated; the caller's to free */
} ws_frame;

/* False at the end of the connection. */
static inline bool read_ws(int fd, ws_frame *f)
{
    unsigned char head[8];
    ssize_t n = recv(fd, head, 2, MSG_WAITALL);
    if (n == 0 || (n < 0 && errno == ECONNRESET))
        return false;
    if (n != 2)
        fail_msg("no frame came: %s", strerror(errno));
    f->first = head[0];
    f->len = head[1];
    size_t more = head[1] == 126 ? 2 : head[1] == 127 ? 8 : 0;
    if (more != 0) {
        assert_int_equal(recv(fd, head, more, MSG_WAITALL), (ssize_t)more);
        f->len = 0;
        for (size_t i = 0; i < more; i++)
            f->len = f->len << 8 | head[i];
    }
    f->payload = malloc(f->len + 1);
    for (size_t got = 0; got < f->len; got += (size_t)n) {
        n = read(fd, f->payload + got, f->len - got);
        assert_true(n > 0);
    }
    f->payload[f->len] = 0;
    return true;
}

static inline void expect_ws(int fd, unsigned first, const void *payload, size_t len)
{
    ws_frame f;
    assert_true(read_ws(fd, &f));
    assert_int_equal(f.first, first);
    assert_int_equal(f.len, len);
    assert_memory_equal(f.payload, payload, len);
    free(f.payload);
}

static inline void expect_text(int fd, const char *text)
{
    expect_ws(fd, TEXT, text, strlen(text));
}

/* A close frame with this code (0: without one), perhaps after others. */
static inline void expect_close(int fd, unsigned code)
{
    ws_frame f;
    for (;;) {
        if (!read_ws(fd, &f))
            fail_msg("the connection ended without the close frame %u", code);
        unsigned got =
            f.len < 2 ? 0 : (unsigned)(unsigned char)f.payload[0] << 8 | (unsigned char)f.payload[1];
        free(f.payload);
        if (f.first == CLOSE) {
            assert_int_equal(got, code);
            return;
        }
    }
}

static inline void send_close(int fd, unsigned code)
{
    char payload[2] = {(char)(code >> 8), (char)code};
    send_ws(fd, CLOSE, payload, 2);
}

#endif
