/* SPDX-License-Identifier: MIT */
#ifndef PL_NET_H2O_VERSION_H
#define PL_NET_H2O_VERSION_H

/* What another version of libh2o calls or lays out differently: this is for 2.2, and docs/h2o.md says
 * what 2.3 has instead. Everything else of h2o that Perilune uses is the same in both. */

#include <h2o.h>
#include <h2o/http1.h>
#include <h2o/http2_scheduler.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

_Static_assert(H2O_LIBRARY_VERSION_MAJOR == 0 && H2O_LIBRARY_VERSION_MINOR == 13,
               "this is another libh2o than 2.2: see docs/h2o.md");

#define PL_H2O_OF(type, member, ptr) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* --- an alarm: a call at the end of the loop's turn, or of the next one when h2o has been there already.
 * Alarms of the same turn are called in the order in which they were made; behind each, h2o makes callbacks
 * of writes that have ended. --- */
typedef struct pl_h2o_alarm pl_h2o_alarm;
struct pl_h2o_alarm {
    h2o_timeout_t list; /* of no duration */
    h2o_timeout_entry_t entry;
    void (*fire)(pl_h2o_alarm *alarm);
};

static inline void pl_h2o_alarm_fire(h2o_timeout_entry_t *entry)
{
    pl_h2o_alarm *alarm = PL_H2O_OF(pl_h2o_alarm, entry, entry);
    alarm->fire(alarm);
}

static inline void pl_h2o_alarm_init(pl_h2o_alarm *alarm, h2o_loop_t *loop, void (*fire)(pl_h2o_alarm *alarm))
{
    *alarm = (pl_h2o_alarm){.entry = {.cb = pl_h2o_alarm_fire}, .fire = fire};
    h2o_timeout_init(loop, &alarm->list, 0);
}

static inline int pl_h2o_alarm_is_set(pl_h2o_alarm *alarm)
{
    return h2o_timeout_is_linked(&alarm->entry);
}

/* Not when it is set. */
static inline void pl_h2o_alarm_set(pl_h2o_alarm *alarm, h2o_loop_t *loop)
{
    h2o_timeout_link(loop, &alarm->list, &alarm->entry);
}

/* Not in an alarm, of whomever. */
static inline void pl_h2o_alarm_dispose(pl_h2o_alarm *alarm, h2o_loop_t *loop)
{
    h2o_timeout_unlink(&alarm->entry);
    h2o_timeout_dispose(loop, &alarm->list);
}

/* Calls it now, and h2o's callbacks behind it. */
static inline void pl_h2o_alarm_run(pl_h2o_alarm *alarm, h2o_loop_t *loop)
{
    pl_h2o_alarm_set(alarm, loop);
    h2o_timeout_run(loop, &alarm->list, h2o_now(loop));
}

/* --- the loop --- */

/* How h2o's epoll backend lays it out. */
typedef struct pl_h2o_epoll_loop {
    h2o_evloop_t super;
    int epoll_fd;
} pl_h2o_epoll_loop;

static inline int pl_h2o_loop_fd(const h2o_loop_t *loop)
{
    return ((const pl_h2o_epoll_loop *)loop)->epoll_fd;
}

/* Writes that ended at once have left callbacks. */
static inline int pl_h2o_has_callbacks(const h2o_loop_t *loop)
{
    return loop->_pending_as_client || loop->_pending_as_server;
}

/* There are sockets that the descriptor does not know of yet. */
static inline int pl_h2o_has_changes(const h2o_loop_t *loop)
{
    return loop->_statechanged.head != NULL;
}

/* When h2o wants to turn at the latest, in milliseconds of the clock on the wall; UINT64_MAX: never. */
static inline uint64_t pl_h2o_wake_at(h2o_loop_t *loop)
{
    return h2o_timeout_get_wake_at(&loop->_timeouts);
}

static inline void pl_h2o_loop_destroy(h2o_loop_t *loop)
{
    int epoll_fd = pl_h2o_loop_fd(loop);
    h2o_evloop_destroy(loop); /* which leaves that open */
    close(epoll_fd);
}

/* --- contexts --- */

static inline void pl_h2o_context_dispose(h2o_context_t *context)
{
    h2o_timeout_unlink(&context->http2._graceful_shutdown_timeout);
    h2o_multithread_queue_t *queue = context->queue;
    h2o_context_dispose(context);
    free(queue); /* which h2o leaves behind */
}

/* How long an HTTP/1.1 connection may take for a request; of a context that is there already. */
static inline void pl_h2o_set_http1_timeout(h2o_context_t *context, uint64_t ms)
{
    context->http1.req_timeout.timeout = ms;
}

/* Calls see for each request that a connection has, complete or not. */
static inline void pl_h2o_each_http1(h2o_context_t *context, int (*see)(h2o_req_t *req, void *data),
                                     void *data)
{
    context->globalconf->http1.callbacks.foreach_request(context, see, data);
}

static inline void pl_h2o_each_http2(h2o_context_t *context, int (*see)(h2o_req_t *req, void *data),
                                     void *data)
{
    context->globalconf->http2.callbacks.foreach_request(context, see, data);
}

/* --- requests --- */

static inline void *pl_h2o_pool_alloc(h2o_mem_pool_t *pool, size_t size)
{
    return h2o_mem_alloc_pool(pool, size);
}

static inline void *pl_h2o_pool_alloc_shared(h2o_mem_pool_t *pool, size_t size, void (*dispose)(void *memory))
{
    return h2o_mem_alloc_shared(pool, size, dispose);
}

static inline void *pl_h2o_add_prefilter(h2o_req_t *req, size_t size)
{
    return h2o_add_prefilter(req, size);
}

static inline void *pl_h2o_add_ostream(h2o_req_t *req, size_t size, h2o_ostream_t **slot)
{
    return h2o_add_ostream(req, size, slot);
}

/* The buffer in which the body of an HTTP/2 request is collected. The end of h2o's HTTP/2 stream, whose
 * header the package leaves out: there is no other way to see how much of a body has arrived. */
static inline h2o_buffer_t *pl_h2o_stream_body(const h2o_req_t *req)
{
    typedef struct stream_end {
        h2o_buffer_t *body;
        size_t expected_length;
        H2O_VECTOR(h2o_iovec_t) data;
        void *pull, *counter, *digests;
        uint32_t push_or_pull[2];
        struct {
            h2o_linklist_t link;
            h2o_http2_scheduler_openref_t scheduler;
        } refs;
        h2o_send_state_t send_state;
        h2o_req_t req;
    } stream_end;
    return PL_H2O_OF(const stream_end, req, (char *)(uintptr_t)req)->body;
}

/* A buffer's file; -1: it is in memory alone. Its bytes begin in the file where they begin in the buffer. */
static inline int pl_h2o_buffer_fd(const h2o_buffer_t *buffer)
{
    return buffer->_fd;
}

static inline const char *pl_h2o_buffer_begin(const h2o_buffer_t *buffer)
{
    return (const char *)buffer + offsetof(h2o_buffer_t, _buf);
}

/* --- TLS --- */

static inline void pl_h2o_accept_tls(h2o_socket_t *socket, SSL_CTX *tls, h2o_socket_cb done)
{
    h2o_socket_ssl_handshake(socket, tls, NULL, done);
}

/* What h2o encrypts the socket by; NULL: it is not encrypted. The begin of h2o's record, which it keeps to
 * itself. */
static inline SSL *pl_h2o_socket_tls(const h2o_socket_t *socket)
{
    typedef struct tls_begin {
        SSL_CTX *context;
        SSL *tls;
    } tls_begin;
    return socket->ssl ? ((const tls_begin *)(const void *)socket->ssl)->tls : NULL;
}

#endif
