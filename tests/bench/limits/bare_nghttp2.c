/* SPDX-License-Identifier: MIT */
/* The limit that gRPC's benchmarks are held against: nghttp2 on h2o's sockets and nothing else, which answers
 * each request with the bytes of one file (frames of gRPC) and the status OK. Called as: bare_nghttp2 PORT
 * FILE [chat]; PORT 0 is any free one. With "chat" each message of a request is answered with these bytes as
 * it comes, and the request's end with the status. Prints a ready line with its address when it accepts; ends
 * on SIGTERM by default action. */

#include <h2o.h>
#include <nghttp2/nghttp2.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "listen.h"

#define OUT_SIZE ((size_t)128 << 10)
#define NV(name, value)                                                                                  \
    {                                                                                                    \
        (uint8_t *)(name), (uint8_t *)(value), sizeof(name) - 1, sizeof(value) - 1, NGHTTP2_NV_FLAG_NONE \
    }

typedef struct server {
    nghttp2_session_callbacks *callbacks;
    char *answer;
    size_t size;
    bool chat;
} server;

typedef struct connection {
    server *srv;
    h2o_socket_t *sock;
    nghttp2_session *session;
    bool writing, broken;
    size_t used;
    char out[OUT_SIZE * 2];
} connection;

static void flush_out(connection *c);

static void end(connection *c)
{
    nghttp2_session_del(c->session);
    h2o_socket_close(c->sock);
    free(c);
}

static void on_written(h2o_socket_t *sock, const char *err)
{
    connection *c = sock->data;
    c->writing = false;
    if (err != NULL || c->broken)
        end(c);
    else
        flush_out(c);
}

/* Many frames for each write. */
static void flush_out(connection *c)
{
    const uint8_t *piece;
    ssize_t n;
    if (c->writing)
        return;
    c->used = 0;
    while (c->used < OUT_SIZE && (n = nghttp2_session_mem_send(c->session, &piece)) > 0) {
        memcpy(c->out + c->used, piece, (size_t)n);
        c->used += (size_t)n;
    }
    if (c->used == 0)
        return;
    h2o_iovec_t bytes = h2o_iovec_init(c->out, c->used);
    c->writing = true;
    h2o_socket_write(c->sock, &bytes, 1, on_written);
}

static ssize_t read_answer(nghttp2_session *session, int32_t stream, uint8_t *to, size_t size,
                           uint32_t *flags, nghttp2_data_source *source, void *data)
{
    static const nghttp2_nv trailers[] = {NV("grpc-status", "0")};
    const server *srv = ((connection *)data)->srv;
    size_t at = (size_t)nghttp2_session_get_stream_user_data(session, stream);
    size_t n = srv->size - at < size ? srv->size - at : size;
    memcpy(to, srv->answer + at, n);
    nghttp2_session_set_stream_user_data(session, stream, (void *)(at + n));
    if (at + n == srv->size) {
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_submit_trailer(session, stream, trailers, 1);
    }
    return (ssize_t)n;
}

/* Of a call of "chat". */
typedef struct chat {
    int32_t id;
    uint8_t prefix[5]; /* of the message that comes in */
    size_t prefixed;   /* how much of it is there */
    size_t missing;    /* bytes of its body that are not */
    size_t owed;       /* bytes of answers that are still to be sent */
    bool ended, waits;
} chat;

static ssize_t read_chat(nghttp2_session *session, int32_t stream, uint8_t *to, size_t size, uint32_t *flags,
                         nghttp2_data_source *source, void *data)
{
    static const nghttp2_nv trailers[] = {NV("grpc-status", "0")};
    const server *srv = ((connection *)data)->srv;
    chat *call = source->ptr;
    size_t used = 0;
    while (call->owed > 0 && used < size) {
        size_t at = (srv->size - call->owed % srv->size) % srv->size;
        size_t n = srv->size - at < size - used ? srv->size - at : size - used;
        memcpy(to + used, srv->answer + at, n);
        used += n;
        call->owed -= n;
    }
    if (call->owed == 0 && call->ended) {
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        nghttp2_submit_trailer(session, stream, trailers, 1);
    } else if (used == 0) {
        call->waits = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    return (ssize_t)used;
}

static void go_on(nghttp2_session *session, chat *call)
{
    if (call->waits) {
        call->waits = false;
        nghttp2_session_resume_data(session, call->id);
    }
}

static int on_chat_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *bytes,
                        size_t size, void *data)
{
    chat *call = nghttp2_session_get_stream_user_data(session, stream);
    const uint8_t *end = bytes + size;
    while (call != NULL && bytes < end) {
        if (call->prefixed < sizeof(call->prefix)) {
            call->prefix[call->prefixed++] = *bytes++;
            if (call->prefixed == sizeof(call->prefix))
                call->missing = (size_t)call->prefix[1] << 24 | (size_t)call->prefix[2] << 16 |
                                (size_t)call->prefix[3] << 8 | call->prefix[4];
        } else {
            size_t n = (size_t)(end - bytes) < call->missing ? (size_t)(end - bytes) : call->missing;
            call->missing -= n;
            bytes += n;
        }
        if (call->prefixed == sizeof(call->prefix) && call->missing == 0) {
            call->prefixed = 0;
            call->owed += ((connection *)data)->srv->size;
            go_on(session, call);
        }
    }
    return 0;
}

static int on_chat_frame(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
    static const nghttp2_nv headers[] = {NV(":status", "200"), NV("content-type", "application/grpc")};
    int32_t stream = frame->hd.stream_id;
    if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        chat *call = h2o_mem_alloc(sizeof(*call));
        *call = (chat){.id = stream};
        nghttp2_data_provider provider = {.source.ptr = call, .read_callback = read_chat};
        nghttp2_session_set_stream_user_data(session, stream, call);
        nghttp2_submit_response(session, stream, headers, 2, &provider);
    }
    chat *call = nghttp2_session_get_stream_user_data(session, stream);
    bool request = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
    if (call != NULL && request && frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
        call->ended = true;
        go_on(session, call);
    }
    return 0;
}

static int on_chat_close(nghttp2_session *session, int32_t stream, uint32_t error, void *data)
{
    free(nghttp2_session_get_stream_user_data(session, stream));
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *data)
{
    static const nghttp2_nv headers[] = {NV(":status", "200"), NV("content-type", "application/grpc")};
    static const nghttp2_data_provider provider = {.read_callback = read_answer};
    bool request = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
    (void)data;
    if (request && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        nghttp2_submit_response(session, frame->hd.stream_id, headers, 2, &provider);
    return 0;
}

static void on_read(h2o_socket_t *sock, const char *err)
{
    connection *c = sock->data;
    ssize_t n = -1;
    if (err == NULL)
        n = nghttp2_session_mem_recv(c->session, (uint8_t *)sock->input->bytes, sock->input->size);
    if (n < 0) {
        h2o_socket_read_stop(sock);
        c->broken = true;
        if (!c->writing)
            end(c);
        return;
    }
    h2o_buffer_consume(&sock->input, (size_t)n);
    flush_out(c);
}

static void on_accept(h2o_socket_t *listener, const char *err)
{
    static const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 1000}};
    h2o_socket_t *sock;
    if (err != NULL)
        return;
    for (int i = 0; i < 16 && (sock = h2o_evloop_socket_accept(listener)) != NULL; i++) {
        connection *c = h2o_mem_alloc(sizeof *c);
        *c = (connection){.srv = listener->data, .sock = sock};
        sock->data = c;
        nghttp2_session_server_new(&c->session, c->srv->callbacks, c);
        nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, 1);
        h2o_socket_read_start(sock, on_read);
        flush_out(c);
    }
}

static bool read_file(const char *path, server *srv)
{
    FILE *file = fopen(path, "rb");
    long size = -1;
    if (file != NULL && fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) >= 0 &&
        fseek(file, 0, SEEK_SET) == 0) {
        srv->size = (size_t)size;
        srv->answer = h2o_mem_alloc(srv->size + 1);
        if (fread(srv->answer, 1, srv->size, file) != srv->size)
            size = -1;
    }
    if (file != NULL)
        fclose(file);
    if (size < 0)
        perror(path);
    return size >= 0;
}

int main(int argc, char **argv)
{
    static server srv;
    int fd;
    signal(SIGPIPE, SIG_IGN);
    srv.chat = argc == 4 && strcmp(argv[3], "chat") == 0;
    if ((argc != 3 && !srv.chat) || !read_file(argv[2], &srv) ||
        (fd = listen_on("bare_nghttp2", atoi(argv[1]))) == -1)
        return 1;
    nghttp2_session_callbacks_new(&srv.callbacks);
    nghttp2_session_callbacks_set_on_frame_recv_callback(srv.callbacks, srv.chat ? on_chat_frame : on_frame);
    if (srv.chat) {
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(srv.callbacks, on_chat_data);
        nghttp2_session_callbacks_set_on_stream_close_callback(srv.callbacks, on_chat_close);
    }
    h2o_loop_t *loop = h2o_evloop_create();
    h2o_socket_t *listener = h2o_evloop_socket_create(loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    listener->data = &srv;
    h2o_socket_read_start(listener, on_accept);
    if (!print_ready(fd, "grpc"))
        return 1;
    while (h2o_evloop_run(loop, INT32_MAX) == 0)
        ;
    return 0;
}
