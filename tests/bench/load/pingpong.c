/* SPDX-License-Identifier: MIT */
/* Calls of bench.v1.Bench whose messages have to be counted, by nghttp2 on one thread:
 *
 *     pingpong HOST:PORT SECONDS CONNECTIONS STREAMS [chat|stream]
 *
 * chat (the default) keeps STREAMS calls of Chat open on each connection; each of them sends its next message
 * when the reply to the last has come. stream keeps STREAMS calls of Stream open on each connection: a call
 * whose 1,000 replies have come is followed by the next. Every byte of every reply is compared, and every
 * call must end with the status OK. The time begins when every stream has had its first reply. Prints one
 * line:
 * {"messages":N,"seconds":S}. */

#include "load.h"

#include <nghttp2/nghttp2.h>
#include <strings.h>
#include <sys/epoll.h>

#define NV(name, value)                                                                                  \
    {                                                                                                    \
        (uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, sizeof(value) - 1, NGHTTP2_NV_FLAG_NONE \
    }

enum {
    OUT_SIZE = 128 << 10,
    WINDOW = 16 << 20,
    REPLIES = 1000, /* of a call of Stream */
};

/* HelloRequest and HelloReply in their frames of gRPC. */
#define PING "\0\0\0\0\x07\x0a\x05world"
#define PULL "\0\0\0\0\x0a\x0a\x05world\x10\xe8\x07" /* count: 1000 */
#define PONG "\0\0\0\0\x0d\x0a\x0bHello world"

typedef struct load load;

typedef struct connection {
    load *run;
    nghttp2_session *session;
    int fd;
    bool polls_out;
    size_t used, sent; /* of out */
    uint8_t out[OUT_SIZE];
} connection;

typedef struct stream {
    connection *conn;
    int32_t id;
    size_t unsent;  /* bytes of the request that are still to be sent */
    size_t at;      /* how much of the reply that is coming in has come */
    long replies;   /* complete ones of this call */
    bool begun;     /* has had a reply since the program began */
    bool deferred;  /* nghttp2 waits for the next message */
    bool ok, ended; /* the trailers said OK; the call is over and no other follows */
} stream;

struct load {
    bool chat;
    const char *request;
    size_t request_size;
    int epoll;
    struct sockaddr_in to;
    nghttp2_session_callbacks *callbacks;
    long begun, ended; /* streams */
    bool closing;      /* the time is over: what is open is brought to its end */
    long messages;     /* since the time began */
};

static void check(int result, const char *what)
{
    if (result != 0)
        die("%s: %s", what, nghttp2_strerror(result));
}

static ssize_t read_request(nghttp2_session *session, int32_t id, uint8_t *to, size_t size, uint32_t *flags,
                            nghttp2_data_source *source, void *data)
{
    stream *s = source->ptr;
    const load *run = s->conn->run;
    bool last = !run->chat || run->closing;
    size_t n = s->unsent < size ? s->unsent : size;
    memcpy(to, run->request + run->request_size - s->unsent, n);
    s->unsent -= n;
    if (s->unsent == 0 && last)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    else if (n == 0) {
        s->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    return (ssize_t)n;
}

static void call(stream *s)
{
    static const nghttp2_nv chat = NV(":path", "/bench.v1.Bench/Chat");
    static const nghttp2_nv pull = NV(":path", "/bench.v1.Bench/Stream");
    const nghttp2_nv headers[] = {NV(":method", "POST"),
                                  NV(":scheme", "http"),
                                  s->conn->run->chat ? chat : pull,
                                  NV(":authority", "localhost"),
                                  NV("content-type", "application/grpc"),
                                  NV("te", "trailers")};
    const nghttp2_data_provider body = {.source.ptr = s, .read_callback = read_request};
    s->unsent = s->conn->run->request_size;
    s->replies = 0;
    s->at = 0;
    s->ok = s->deferred = false;
    s->id =
        nghttp2_submit_request(s->conn->session, NULL, headers, sizeof(headers) / sizeof(*headers), &body, s);
    if (s->id < 0)
        die("a call could not be made: %s", nghttp2_strerror(s->id));
}

static void resume(stream *s)
{
    if (s->deferred) {
        s->deferred = false;
        check(nghttp2_session_resume_data(s->conn->session, s->id), "resume");
    }
}

static void replied(stream *s)
{
    load *run = s->conn->run;
    s->at = 0;
    s->replies++;
    run->messages++;
    if (!s->begun) {
        s->begun = true;
        run->begun++;
    }
    if (!run->chat)
        return;
    if (s->unsent != 0)
        die("a reply came before its request was sent");
    if (!run->closing)
        s->unsent = run->request_size;
    resume(s);
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t size,
                   void *data)
{
    static const size_t whole = sizeof(PONG) - 1;
    stream *s = nghttp2_session_get_stream_user_data(session, id);
    while (size > 0) {
        size_t n = whole - s->at < size ? whole - s->at : size;
        if (memcmp(bytes, &PONG[s->at], n) != 0)
            die("a reply is not \"Hello world\"");
        s->at += n;
        bytes += n;
        size -= n;
        if (s->at == whole)
            replied(s);
    }
    return 0;
}

static bool is(const uint8_t *text, size_t size, const char *other)
{
    return size == strlen(other) && memcmp(text, other, size) == 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_size, const uint8_t *value, size_t value_size, uint8_t flags, void *data)
{
    stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    if (is(name, name_size, ":status") && !is(value, value_size, "200"))
        die("HTTP status %.*s", (int)value_size, (const char *)value);
    if (is(name, name_size, "grpc-status")) {
        s->ok = is(value, value_size, "0");
        if (!s->ok)
            die("grpc-status %.*s", (int)value_size, (const char *)value);
    }
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *data)
{
    stream *s = nghttp2_session_get_stream_user_data(session, id);
    load *run = s->conn->run;
    if (error != NGHTTP2_NO_ERROR)
        die("a call was reset: %s", nghttp2_http2_strerror(error));
    if (!s->ok || s->at != 0)
        die(s->ok ? "a call ended within a message" : "a call ended without a status");
    if (run->chat ? !run->closing : s->replies != REPLIES)
        die("a call ended after %ld replies", s->replies);
    if (run->closing) {
        s->ended = true;
        run->ended++;
    } else {
        call(s);
    }
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR)
        die("the server ends the connection: %s", nghttp2_http2_strerror(frame->goaway.error_code));
    return 0;
}

/* Sends what there is, many frames for each write, until the socket takes no more. */
static void flush(connection *c)
{
    for (;;) {
        const uint8_t *piece;
        ssize_t n;
        if (c->sent == c->used) {
            c->sent = c->used = 0;
            while (c->used < OUT_SIZE / 2 && (n = nghttp2_session_mem_send(c->session, &piece)) > 0) {
                if ((size_t)n > OUT_SIZE / 2)
                    die("a frame of %zd bytes is larger than any that this program sends", n);
                memcpy(c->out + c->used, piece, (size_t)n);
                c->used += (size_t)n;
            }
        }
        if (c->used == 0)
            break;
        n = send(c->fd, c->out + c->sent, c->used - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            die("send: %s", strerror(errno));
        if (n < 0 && errno == EAGAIN)
            break;
        c->sent += n > 0 ? (size_t)n : 0;
    }
    bool wanted = c->sent < c->used;
    if (wanted != c->polls_out) {
        struct epoll_event event = {.events = EPOLLIN | (wanted ? EPOLLOUT : 0), .data.ptr = c};
        c->polls_out = wanted;
        epoll_ctl(c->run->epoll, EPOLL_CTL_MOD, c->fd, &event);
    }
}

static void receive(connection *c)
{
    static uint8_t bytes[256 << 10];
    ssize_t n = recv(c->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n == 0)
        die("the server has closed a connection");
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        die("recv: %s", strerror(errno));
    if (n > 0 && (n = nghttp2_session_mem_recv(c->session, bytes, (size_t)n)) < 0)
        die("HTTP/2: %s", nghttp2_strerror((int)n));
}

static void open_connection(load *run, connection *c)
{
    static const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW},
                                                      {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    c->run = run;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd == -1 || connect(c->fd, (struct sockaddr *)&run->to, sizeof(run->to)) != 0)
        die("connect: %s", strerror(errno));
    nodelay(c->fd);
    check(nghttp2_session_client_new(&c->session, run->callbacks, c), "session");
    check(nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, 2), "settings");
    check(nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, WINDOW), "window");
    if (epoll_ctl(run->epoll, EPOLL_CTL_ADD, c->fd, &event) != 0)
        die("epoll_ctl: %s", strerror(errno));
}

/* One turn of the loop; the end of the wait is the time `until`, if anything is said of it. */
static void turn(load *run, int64_t until)
{
    struct epoll_event events[64];
    int64_t left = until - now_us();
    int n = epoll_wait(run->epoll, events, 64, left > 0 ? (int)(left / 1000 + 1) : 0);
    if (n < 0 && errno != EINTR)
        die("epoll_wait: %s", strerror(errno));
    for (int i = 0; i < n; i++) {
        connection *c = events[i].data.ptr;
        if (events[i].events & ~(uint32_t)EPOLLOUT)
            receive(c);
        flush(c);
    }
}

/* Until every call has had its first reply. */
static void open_all(load *run, connection *conns, long connections, stream *streams, long each)
{
    long count = connections * each;
    for (long i = 0; i < count; i++) {
        connection *c = &conns[i / each];
        if (i % each == 0)
            open_connection(run, c);
        streams[i].conn = c;
        call(&streams[i]);
        if (i % each == each - 1)
            flush(c);
    }
    for (int64_t until = now_us() + patience(); run->begun < count; turn(run, until)) {
        if (now_us() >= until)
            die("%ld of %ld calls had no reply: does the server allow %ld streams a connection?",
                count - run->begun, count, each);
    }
}

static void close_all(load *run, stream *streams, long count)
{
    int64_t until = now_us() + patience();
    run->closing = true;
    for (long i = 0; i < count; i++) {
        resume(&streams[i]);
        flush(streams[i].conn);
    }
    while (run->ended < count) {
        if (now_us() >= until)
            die("%ld of %ld calls did not end", count - run->ended, count);
        turn(run, until);
    }
}

int main(int argc, char **argv)
{
    load run = {.epoll = epoll_create1(EPOLL_CLOEXEC)};
    if (argc < 5 || argc > 6 ||
        (argc == 6 && strcmp(argv[5], "chat") != 0 && strcmp(argv[5], "stream") != 0)) {
        fprintf(stderr, "usage: pingpong HOST:PORT SECONDS CONNECTIONS STREAMS [chat|stream]\n");
        return 2;
    }
    run.to = address(argv[1]);
    run.chat = argc == 5 || strcmp(argv[5], "chat") == 0;
    run.request = run.chat ? PING : PULL;
    run.request_size = run.chat ? sizeof(PING) - 1 : sizeof(PULL) - 1;
    long seconds = number("SECONDS", argv[2], 3600);
    long connections = number("CONNECTIONS", argv[3], 10000), each = number("STREAMS", argv[4], 100000);
    connection *conns = calloc((size_t)connections, sizeof(*conns));
    stream *streams = calloc((size_t)(connections * each), sizeof(*streams));
    if (conns == NULL || streams == NULL || nghttp2_session_callbacks_new(&run.callbacks) != 0)
        die("out of memory");
    need_files(connections + 16);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(run.callbacks, on_data);
    nghttp2_session_callbacks_set_on_header_callback(run.callbacks, on_header);
    nghttp2_session_callbacks_set_on_stream_close_callback(run.callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(run.callbacks, on_frame);

    open_all(&run, conns, connections, streams, each);
    int64_t begin = now_us(), until = begin + seconds * 1000000;
    for (run.messages = 0; now_us() < until;)
        turn(&run, until);
    long messages = run.messages;
    double took = (double)(now_us() - begin) / 1e6;
    if (messages == 0)
        die("no message came in %ld s", seconds);
    close_all(&run, streams, connections * each);
    printf("{\"messages\":%ld,\"seconds\":%.6f}\n", messages, took);
    for (long i = 0; i < connections; i++) {
        nghttp2_session_del(conns[i].session);
        close(conns[i].fd);
    }
    nghttp2_session_callbacks_del(run.callbacks);
    free(streams);
    free(conns);
    close(run.epoll);
    return 0;
}
