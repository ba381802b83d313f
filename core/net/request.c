/* SPDX-License-Identifier: MIT */
#include <stdio.h>

#include "base/alloc.h"
#include "net/answer.h"
#include "net/edge_internal.h"
#include "net/upload.h"

#define ARENA_CHUNK 6144 /* enough for a small operation, so that its request takes nothing from the heap */
#define MOST_FREE_REQUESTS 1024 /* kept for use again */
#define LONGEST_ID 128

static void pass_on(h2o_req_prefilter_t *self, h2o_req_t *req, h2o_ostream_t **slot)
{
    h2o_setup_next_prefilter(self, req, slot);
}

/* --- Records --- */

static edge_request *new_request(pl_edge *edge)
{
    edge_request *r;
    edge->records++;
    if (!edge_link_empty(&edge->free_requests)) {
        r = EDGE_OF(edge_request, link, edge->free_requests.next);
        edge_link_remove(&r->link);
        edge->free_request_count--;
        return r;
    }
    r = pl_malloc(sizeof(*r));
    if (!r) {
        edge->records--;
        return NULL;
    }
    edge_link_init(&r->link);
    r->edge = edge;
    pl_arena_init(&r->arena, ARENA_CHUNK);
    pl_buf_init(&r->compressed);
    edge_stream_init(r);
    return r;
}

static void destroy_request(edge_request *r)
{
    pl_arena_dispose(&r->arena);
    pl_buf_dispose(&r->compressed);
    pl_free(r);
}

void edge_request_free(edge_request *r)
{
    pl_edge *edge = r->edge;
    edge->records--;
    if (edge->draining && edge->host_context && edge->records == 0)
        edge_soon(edge);
    edge_body_gone(r);
    edge_link_remove(&r->link);
    if (r->stream.begun)
        edge_stream_dispose(r);
    if (edge->free_request_count == MOST_FREE_REQUESTS) {
        destroy_request(r);
        return;
    }
    pl_arena_reset(&r->arena);
    if (r->compressed.data)
        pl_buf_dispose(&r->compressed);
    edge_link_push(&edge->free_requests, &r->link);
    edge->free_request_count++;
}

void edge_requests_free(pl_edge *edge)
{
    while (!edge_link_empty(&edge->free_requests)) {
        edge_request *r = EDGE_OF(edge_request, link, edge->free_requests.next);
        edge_link_remove(&r->link);
        destroy_request(r);
    }
}

/* --- From h2o's request to ours --- */

pl_str pl_http_header(const pl_http_request *request, pl_str name)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (pl_str_eq(request->headers[i].name, name))
            return request->headers[i].value;
    }
    return PL_STR_NONE;
}

static inline pl_str str_of(h2o_iovec_t v)
{
    return (pl_str){v.base, v.len};
}

static bool is_sound_id(pl_str id)
{
    if (id.len == 0 || id.len > LONGEST_ID)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        if (id.ptr[i] < 0x21 || id.ptr[i] > 0x7e)
            return false;
    }
    return true;
}

/* The prefix is random, and the rest counts, in text: no two requests of a server's life share an id. */
static void make_id(edge_request *r)
{
    char *last = r->edge->last_id + sizeof(r->edge->last_id);
    char *digit = last - 1;
    while (digit >= last - PL_EDGE_ID_COUNTER && *digit == 'f')
        *digit-- = '0';
    if (digit >= last - PL_EDGE_ID_COUNTER)
        *digit = *digit == '9' ? 'a' : (char)(*digit + 1);
    memcpy(r->id, r->edge->last_id, sizeof(r->id));
    r->public.id = (pl_str){r->id, sizeof(r->id)};
}

/* Fills in the headers, and notes those that the edge itself looks at. */
static void fill_headers(edge_request *r, const h2o_req_t *req, pl_header *out)
{
    size_t count = 0, size = 0;
    r->origin = r->accept_encoding = PL_STR_NONE;
    pl_str id = PL_STR_NONE;
    if (req->input.authority.base != req->hostconf->authority.hostport.base)
        out[count++] = (pl_header){PL_STR("host"), str_of(req->input.authority)};
    for (size_t i = 0; i < req->headers.size; i++) {
        const h2o_header_t *h = &req->headers.entries[i];
        pl_str name = str_of(*h->name), value = str_of(h->value);
        out[count++] = (pl_header){name, value};
        size += name.len + value.len;
        if (h->name == &H2O_TOKEN_ACCEPT_ENCODING->buf)
            r->accept_encoding = value;
        else if (name.len == 6 && memcmp(name.ptr, "origin", 6) == 0)
            r->origin = value;
        else if (name.len == 12 && memcmp(name.ptr, "x-request-id", 12) == 0)
            id = value;
    }
    r->public.header_count = count;
    if (id.ptr && is_sound_id(id))
        r->public.id = id;
    else
        make_id(r);
    r->header_size = size;
}

static void fill(edge_request *r, h2o_req_t *req, edge_conn *conn)
{
    pl_header *headers = pl_h2o_pool_alloc(&req->pool, (req->headers.size + 1) * sizeof(*headers));
    pl_str query = PL_STR_NONE;
    if (req->query_at < req->path.len)
        query = (pl_str){req->path.base + req->query_at + 1, req->path.len - req->query_at - 1};
    r->conn = conn;
    r->req = req;
    r->began = pl_loop_turn_ns(r->edge->loop);
    r->public = (pl_http_request){
        .method = str_of(req->method),
        .path = str_of(req->path_normalized),
        .query = query,
        .target = str_of(req->path),
        .full_path = str_of(req->path_normalized),
        .body = str_of(req->entity),
        .headers = headers,
        .peer = conn->peer,
        .certificate = conn->certificate,
        .secure = conn->socket->ssl != NULL,
        .http_version = (unsigned)req->version,
        .arena = &r->arena,
    };
    fill_headers(r, req, headers);
    edge_body_arrived(r);
}

/* --- What the edge answers itself --- */

static void answer_plain(edge_request *r, int status, pl_str text)
{
    const pl_header no_store = {PL_STR("cache-control"), PL_STR("no-store")};
    pl_http_respond(&r->public, &(pl_http_response){.status = status,
                                                    .content_type = PL_STR("text/plain; charset=utf-8"),
                                                    .headers = &no_store,
                                                    .header_count = 1,
                                                    .body = text,
                                                    .body_in_arena = true});
}

static void answer_error(edge_request *r, int status)
{
    pl_http_respond(&r->public, &(pl_http_response){.status = status,
                                                    .content_type = PL_STR("application/json"),
                                                    .body = edge_error_body(status),
                                                    .body_in_arena = true});
}

static void answer_preflight(edge_request *r, const pl_cors *cors)
{
    pl_cors_answer answer;
    pl_cors_preflight(cors, r->origin, pl_http_header(&r->public, PL_STR("access-control-request-headers")),
                      &answer);
    edge_answer_preflight(r, &answer);
}

/* Health and preflights. False: it is the service's. */
static bool answer_here(edge_request *r)
{
    pl_edge *edge = r->edge;
    pl_str path = r->public.path;
    if (path.len == 8 && memcmp(path.ptr, "/healthz", 8) == 0) {
        r->public.part = PL_HTTP_PART_HEALTH;
        answer_plain(r, 200, PL_STR("ok\n"));
        return true;
    }
    if (path.len == 7 && memcmp(path.ptr, "/readyz", 7) == 0) {
        r->public.part = PL_HTTP_PART_HEALTH;
        if (edge->draining)
            answer_plain(r, 503, PL_STR("draining\n"));
        else if (!__atomic_load_n(&edge->ready, __ATOMIC_RELAXED))
            answer_plain(r, 503, PL_STR("starting\n"));
        else
            answer_plain(r, 200, PL_STR("ready\n"));
        return true;
    }
    if (r->origin.ptr && pl_str_is(r->public.method, "OPTIONS") &&
        pl_http_header(&r->public, PL_STR("access-control-request-method")).ptr) {
        const pl_http_settings *settings = edge->service->settings(edge->service);
        if (settings->cors.origin_count != 0) {
            answer_preflight(r, &settings->cors);
            return true;
        }
    }
    return false;
}

/* --- The life of a request --- */

static void start(edge_request *r)
{
    pl_edge *edge = r->edge;
    r->state = EDGE_AT_WORK;
    EDGE_ADD(edge->request_count, 1);
    EDGE_ADD(edge->requests_total, 1);
    r->conn->in_hand++;
    if (r->public.body.len > edge->max_body && r->public.body.len > edge_body_limit(r)) {
        answer_error(r, 413);
        return;
    }
    if (edge->max_header != 0 && r->header_size > edge->max_header) {
        answer_error(r, 431);
        return;
    }
    if (answer_here(r))
        return;
    const edge_tie *tie = r->tie;
    bool known = edge->service->handle(edge->service, &r->public);
    if (tie->r == r && !known && r->state == EDGE_AT_WORK && edge_path_place_below(r))
        known = edge->service->handle(edge->service, &r->public);
    if (tie->r != r) /* it has become a WebSocket, and its record is gone */
        return;
    if (!known) {
        if (r->state == EDGE_AT_WORK)
            answer_error(r, 404);
        return;
    }
    if ((r->state == EDGE_AT_WORK || r->state == EDGE_STREAMING) && r->public.http_version < 0x200) {
        r->conn->waiting = r;
        edge_conn_watch(r->conn);
    }
}

static void on_gone(edge_request *r);

/* Of all that h2o offers, only a logger of the path is called for each request that ends, however it ends,
 * and costs no memory. */
static void on_dispose(h2o_logger_t *self, h2o_req_t *req)
{
    if (!req->prefilters || req->prefilters->on_setup_ostream != pass_on)
        return;
    edge_request *r = ((edge_tie *)req->prefilters)->r;
    if (r)
        on_gone(r);
}

/* A host may send its request on to another path when it is answered: the memory of the request's pool is
 * what lasts as long as the request. */
static void on_release(void *memory)
{
    edge_tie *tie = memory;
    if (tie->r)
        on_gone(tie->r);
}

static edge_tie *tie_to(edge_request *r, h2o_req_t *req)
{
    edge_tie *tie;
    if (r->path) {
        tie = pl_h2o_pool_alloc_shared(&req->pool, sizeof(*tie), on_release);
    } else {
        tie = pl_h2o_add_prefilter(req, sizeof(*tie));
        tie->prefilter.on_setup_ostream = pass_on;
    }
    tie->r = r;
    return tie;
}

int edge_request_begin(pl_edge *edge, const edge_path *path, h2o_req_t *req)
{
    pl_loop_touch(edge->loop);
    edge_conn *conn = path ? edge_conn_join(edge, req->conn) : edge_conn_of(req->conn);
    edge_request *r = conn ? new_request(edge) : NULL;
    if (!r) {
        h2o_send_error_503(req, "Service Unavailable", "out of memory", 0);
        return 0;
    }
    r->path = path;
    r->passes = edge_passes_of(req);
    r->tie = tie_to(r, req);
    if (conn->peer.len == 0)
        edge_conn_name_peer(conn);
    fill(r, req, conn);
    if (req->version < 0x200)
        conn->partial_since = 0;
    if (path && !edge_path_place(r)) {
        r->state = EDGE_AT_WORK;
        EDGE_ADD(edge->request_count, 1);
        conn->in_hand++;
        answer_error(r, 503);
    } else if (conn->in_hand >= edge->max_streams) {
        r->state = EDGE_QUEUED;
        edge_link_append(&conn->queue, &r->link);
    } else {
        start(r);
    }
    return 0;
}

void edge_request_tell(edge_request *r)
{
    pl_edge *edge = r->edge;
    EDGE_ADD(edge->request_count, -1u);
    if (r->state == EDGE_AT_WORK)
        edge_request_count(r, 499);
    r->state = EDGE_ENDED;
    if (r->public.cancelled)
        r->public.cancelled(&r->public);
}

/* h2o disposes of the request: its answer has been sent, or its stream or connection has ended. This is
 * called from the middle of what h2o does with the connection: what the service answers to other requests is
 * postponed. */
static void on_gone(edge_request *r)
{
    const h2o_req_t *req = r->req;
    pl_edge *edge = r->edge;
    edge_conn *conn = r->conn;
    if (conn->waiting == r)
        conn->waiting = NULL;
    if (r->state != EDGE_QUEUED)
        conn->in_hand--;
    if (!edge_link_empty(&conn->queue)) {
        edge->queued = true;
        edge_soon(edge);
    }
    if (req->version < 0x200)
        conn->idle_since = edge->host->ops->now(edge->host);
    if (r->state == EDGE_AT_WORK || r->state == EDGE_STREAMING) {
        r->public.body = PL_STR_NONE; /* over HTTP/2, it has been freed before the rest */
        edge->disposing++;
        edge_request_tell(r);
        edge->disposing--;
    }
    edge_request_free(r);
}

void edge_request_detach(edge_request *r)
{
    if (r->conn->waiting == r)
        r->conn->waiting = NULL;
    r->conn->in_hand--;
    EDGE_ADD(r->edge->request_count, -1u);
    r->tie->r = NULL;
}

void edge_request_abandon(edge_request *r)
{
    h2o_req_t *req = r->req;
    if (r->state == EDGE_STREAMING) {
        edge_stream_abandon(r);
        return;
    }
    r->conn->waiting = NULL;
    r->conn->in_hand--;
    r->tie->r = NULL;
    edge_request_tell(r);
    /* h2o closes the connection when it cannot write this: the descriptor has been shut down. */
    req->http1_is_persistent = 0;
    edge_send_nothing(req);
    edge_request_free(r);
}

void edge_requests_catch_up(pl_edge *edge)
{
    while (!edge_link_empty(&edge->postponed)) {
        edge_request *r = EDGE_OF(edge_request, link, edge->postponed.next);
        edge_link_remove(&r->link);
        r->state = EDGE_AT_WORK;
        EDGE_ADD(edge->request_count, 1);
        if (r->postponed)
            pl_http_respond(&r->public, r->postponed);
        else
            answer_error(r, 503);
    }
    if (!edge->queued)
        return;
    edge->queued = false;
    for (edge_link *l = edge->conns.next; l != &edge->conns; l = l->next) {
        edge_conn *conn = EDGE_OF(edge_conn, link, l);
        while (!edge_link_empty(&conn->queue) && conn->in_hand < edge->max_streams) {
            edge_request *r = EDGE_OF(edge_request, link, conn->queue.next);
            edge_link_remove(&r->link);
            start(r);
        }
    }
}

static void on_error_setup(h2o_filter_t *self, h2o_req_t *req, h2o_ostream_t **slot)
{
    pl_edge *edge = *(pl_edge **)(self + 1);
    edge_rewrite_error(edge, req, slot);
}

typedef struct handler {
    h2o_handler_t super;
    pl_edge *edge;
} handler;

static int on_request(h2o_handler_t *self, h2o_req_t *req)
{
    return edge_request_begin(((handler *)self)->edge, NULL, req);
}

void edge_requests_register(pl_edge *edge)
{
    h2o_hostconf_t *host =
        h2o_config_register_host(&edge->globals, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_pathconf_t *path = h2o_config_register_path(host, "/", 0);
    handler *h = (handler *)h2o_create_handler(path, sizeof(*h));
    h->super.on_req = on_request;
    h->edge = edge;
    h2o_logger_t *logger = h2o_create_logger(path, sizeof(*logger));
    logger->log_access = on_dispose;
    /* The errors that h2o sends before a path is chosen. */
    h2o_filter_t *filter = h2o_create_filter(&host->fallback_path, sizeof(*filter) + sizeof(pl_edge *));
    filter->on_setup_ostream = on_error_setup;
    *(pl_edge **)(filter + 1) = edge;
}
