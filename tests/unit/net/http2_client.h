/* SPDX-License-Identifier: MIT */
#ifndef TEST_NET_HTTP2_CLIENT_H
#define TEST_NET_HTTP2_CLIENT_H

/* A client that knows just enough of HTTP/2: it writes frames, and reads them one by one. Included after
 * edge_harness.h. */

enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, GOAWAY = 7, WINDOW_UPDATE = 8 };
enum { END_STREAM = 1, END_HEADERS = 4 };

static inline void send_frame(int fd, unsigned type, unsigned flags, uint32_t stream, const void *payload,
                              size_t len)
{
    unsigned char head[9] = {
        (unsigned char)(len >> 16),    (unsigned char)(len >> 8),    (unsigned char)len,
        (unsigned char)type,           (unsigned char)flags,         (unsigned char)(stream >> 24),
        (unsigned char)(stream >> 16), (unsigned char)(stream >> 8), (unsigned char)stream};
    send_bytes(fd, head, sizeof(head));
    if (len != 0)
        send_bytes(fd, payload, len);
}

static inline int client2(server *s)
{
    int fd = client(s);
    send_text(fd, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    send_frame(fd, SETTINGS, 0, 0, NULL, 0);
    return fd;
}

/* GET, http, the path, and a header of one's own (name NULL: none), nothing of it indexed. */
static inline void request2(int fd, uint32_t stream, const char *path, const char *name, const char *value,
                            unsigned flags)
{
    unsigned char block[512] = {0x82, 0x86, 0x04};
    size_t n = 3;
    block[n++] = (unsigned char)strlen(path);
    memcpy(block + n, path, strlen(path));
    n += strlen(path);
    if (name) {
        block[n++] = 0x00;
        block[n++] = (unsigned char)strlen(name);
        memcpy(block + n, name, strlen(name));
        n += strlen(name);
        block[n++] = (unsigned char)strlen(value);
        memcpy(block + n, value, strlen(value));
        n += strlen(value);
    }
    send_frame(fd, HEADERS, flags | END_HEADERS, stream, block, n);
}

static inline void get2(int fd, uint32_t stream, const char *path)
{
    request2(fd, stream, path, NULL, NULL, END_STREAM);
}

typedef struct frame {
    unsigned type, flags;
    uint32_t stream;
    size_t len;
    unsigned char payload[16384 + 1];
} frame;

/* False at the end of the connection. */
static inline bool read_frame(int fd, frame *f)
{
    unsigned char head[9];
    ssize_t n = recv(fd, head, sizeof(head), MSG_WAITALL);
    if (n == 0 || (n < 0 && errno == ECONNRESET))
        return false;
    assert_int_equal(n, sizeof(head));
    f->len = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
    f->type = head[3];
    f->flags = head[4];
    f->stream = (uint32_t)head[5] << 24 | (uint32_t)head[6] << 16 | (uint32_t)head[7] << 8 | head[8];
    assert_true(f->len < sizeof(f->payload));
    if (f->len != 0)
        assert_int_equal(recv(fd, f->payload, f->len, MSG_WAITALL), (ssize_t)f->len);
    f->payload[f->len] = 0;
    return true;
}

/* The next frame of this type. */
static inline void expect_frame(int fd, unsigned type, frame *f)
{
    do {
        if (!read_frame(fd, f))
            fail_msg("the connection ended before a frame of type %u", type);
    } while (f->type != type);
}

static inline void expect_body(int fd, uint32_t stream, const char *body)
{
    frame f;
    expect_frame(fd, DATA, &f);
    assert_int_equal(f.stream, stream);
    assert_int_equal(f.flags & END_STREAM, END_STREAM);
    assert_string_equal((char *)f.payload, body);
}

static inline void expect_end2(int fd)
{
    frame f;
    while (read_frame(fd, &f))
        ;
}

#endif
