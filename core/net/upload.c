/* SPDX-License-Identifier: MIT */
#include "net/upload.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* A body moves to disk when its buffer, which doubles, would be as large as this: beyond half of it. Bodies
 * of up to max_body stay in memory. */
#define SPILL_BYTES ((size_t)4 << 20)
#define LOOK_MS 50 /* between two looks at what arrives, while uploads are allowed */

/* --- h2o's temporary files --- */
static void prepare(void)
{
    const char *directory = getenv("TMPDIR");
    h2o_buffer_mmap_settings_t *settings = &h2o_socket_buffer_mmap_settings;
    settings->threshold = SPILL_BYTES;
    if (directory && directory[0] == '/')
        snprintf(settings->fn_template, sizeof settings->fn_template, "%s/perilune.XXXXXX", directory);
    else
        snprintf(settings->fn_template, sizeof settings->fn_template, "/tmp/perilune.XXXXXX");
}

/* The buffer that the body of a request is collected in; NULL: not to be known. */
static h2o_buffer_t *buffer_of(const edge_conn *conn, const h2o_req_t *req)
{
    if (req->version < 0x200)
        return conn->socket->input;
    if (conn->edge->streams_unknown)
        return NULL;
    return pl_h2o_stream_body(req);
}

/* The same of a complete request, compared with where its body is: what is known of h2o's streams is a copy.
 */
static h2o_buffer_t *complete_buffer_of(const edge_conn *conn, const h2o_req_t *req)
{
    h2o_buffer_t *buffer = buffer_of(conn, req);
    if (req->version < 0x200 || !buffer || pl_h2o_buffer_begin(buffer) == req->entity.base)
        return buffer;
    pl_log_plain(conn->edge->log, PL_ERROR, "bodies over HTTP/2 cannot be watched: this is another h2o");
    conn->edge->streams_unknown = true;
    return NULL;
}

static bool is_on_disk(const h2o_buffer_t *buffer)
{
    return buffer && buffer->bytes && pl_h2o_buffer_fd(buffer) >= 0;
}

/* The mapping is shared, so its pages are in the file, and come back when they are touched. */
static void let_go_of_pages(h2o_buffer_t *buffer)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t used = (size_t)(buffer->bytes - (char *)buffer) + buffer->size;
    madvise(buffer, (used + page - 1) / page * page, MADV_DONTNEED);
}

/* --- what a request may send --- */
static const pl_http_uploads *uploads_of(const pl_edge *edge)
{
    return &edge->service->settings(edge->service)->uploads;
}

static bool is_form(const h2o_req_t *req)
{
    static const char type[] = "multipart/form-data";
    ssize_t i = h2o_find_header(&req->headers, H2O_TOKEN_CONTENT_TYPE, -1);
    if (i < 0)
        return false;
    const h2o_iovec_t *value = &req->headers.entries[i].value;
    size_t n = sizeof type - 1;
    return value->len > n && strncasecmp(value->base, type, n) == 0 &&
           (value->base[n] == ';' || value->base[n] == ' ' || value->base[n] == '\t');
}

static bool is_upload_to(const pl_edge *edge, const h2o_req_t *req, pl_str path)
{
    const pl_http_uploads *uploads = uploads_of(edge);
    return uploads->path.len != 0 && pl_str_eq(path, uploads->path) &&
           h2o_memis(req->input.method.base, req->input.method.len, H2O_STRLIT("POST")) && is_form(req);
}

bool edge_is_upload(const pl_edge *edge, const h2o_req_t *req)
{
    pl_str path = {req->input.path.base, req->input.path.len};
    const char *query = path.ptr ? memchr(path.ptr, '?', path.len) : NULL;
    if (query)
        path.len = (size_t)(query - path.ptr);
    return is_upload_to(edge, req, path);
}

size_t edge_body_limit(const edge_request *r)
{
    bool upload = is_upload_to(r->edge, r->req, r->public.path);
    return upload ? uploads_of(r->edge)->max_size : r->edge->max_body;
}

unsigned edge_receive_timeout(const pl_edge *edge, const h2o_req_t *req)
{
    if (uploads_of(edge)->path.len == 0 || !edge_is_upload(edge, req))
        return edge->request_timeout;
    unsigned timeout = uploads_of(edge)->timeout_ms;
    return timeout > edge->request_timeout ? timeout : edge->request_timeout;
}

/* --- what arrives --- */
typedef struct look {
    pl_edge *edge;
    size_t total; /* bytes of bodies on disk */
} look;

static void end_body(edge_conn *conn, const h2o_req_t *req, const char *why, size_t size)
{
    pl_log(conn->edge->log, PL_WARN, "request body cut off", PL_F_CSTR("why", why),
           PL_F_STR("peer", conn->peer),
           PL_F_STR("path", ((pl_str){req->input.path.base, req->input.path.len})), PL_F_INT("bytes", size));
    /* With a reset: a client that is busy sending does not look for an end. */
    struct linger at_once = {.l_onoff = 1};
    setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    edge_conn_cut(conn);
}

static int look_at(h2o_req_t *req, void *data)
{
    look *l = data;
    edge_conn *conn = edge_conn_of(req->conn);
    if (!conn || conn->cut || req->pathconf || req->timestamps.request_begin_at.tv_sec == 0)
        return 0;
    h2o_buffer_t *buffer = buffer_of(conn, req);
    if (!buffer || !buffer->bytes)
        return 0;
    size_t size = buffer->size;
    if (is_on_disk(buffer)) {
        l->total += size;
        let_go_of_pages(buffer);
    }
    if (size > l->edge->max_body * 2 + H2O_MAX_REQLEN && !edge_is_upload(l->edge, req))
        end_body(conn, req, "it is larger than max_body, and no upload", size);
    else if (is_on_disk(buffer) && l->total > uploads_of(l->edge)->max_total)
        end_body(conn, req, "all uploads together are larger than http.uploads.max_total", size);
    return 0;
}

static void on_look(pl_timer *timer)
{
    pl_edge *edge = timer->data;
    look l = {.edge = edge, .total = edge->held};
    /* First of all: the heap has just given up this timer's place, so that this cannot fail. */
    edge->host->ops->timer_start(edge->host, timer, edge->host->ops->now(edge->host) + LOOK_MS);
    pl_h2o_each_http1(&edge->context, look_at, &l);
    pl_h2o_each_http2(&edge->context, look_at, &l);
}

void edge_body_arrived(edge_request *r)
{
    h2o_buffer_t *buffer = r->req->entity.len > 0 ? complete_buffer_of(r->conn, r->req) : NULL;
    r->public.body_fd = -1;
    r->held = 0;
    if (!is_on_disk(buffer))
        return;
    r->public.body_fd = pl_h2o_buffer_fd(buffer);
    r->public.body_at = (uint64_t)(r->req->entity.base - (const char *)buffer);
    r->held = r->req->entity.len;
    r->edge->held += r->held;
    let_go_of_pages(buffer);
}

void edge_body_gone(edge_request *r)
{
    r->edge->held -= r->held;
    r->held = 0;
}

/* --- settings --- */
void edge_uploads_configure(pl_edge *edge)
{
    if (edge->host_context) /* bodies are received as the host will have it */
        return;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, prepare);
    const pl_http_uploads *uploads = uploads_of(edge);
    size_t margin = edge->max_body < SIZE_MAX / 4 ? edge->max_body * 2 : SIZE_MAX / 2;
    unsigned timeout = edge->request_timeout;
    /* A body that is too large by less than its bound again is read and then answered with 413 by the edge:
     * over HTTP/2, h2o would reset the stream and invite the client to try again. */
    edge->globals.max_request_entity_size = margin;
    if (uploads->path.len > 0) {
        edge->globals.max_request_entity_size +=
            uploads->max_size < SIZE_MAX / 4 ? uploads->max_size : SIZE_MAX / 4;
        timeout = uploads->timeout_ms > timeout ? uploads->timeout_ms : timeout;
    }
    /* The sweep tells idle from slow; this is for what it does not see. */
    edge->globals.http1.req_timeout = (uint64_t)edge->idle_timeout + timeout + 1000;
    if (edge->context.loop)
        pl_h2o_set_http1_timeout(&edge->context, edge->globals.http1.req_timeout);
    bool looking = edge->uploads_look.index != 0;
    edge->uploads_look.fire = on_look;
    edge->uploads_look.data = edge;
    if (uploads->path.len == 0)
        edge_uploads_stop(edge);
    else if (!looking)
        edge->host->ops->timer_start(edge->host, &edge->uploads_look,
                                     edge->host->ops->now(edge->host) + LOOK_MS);
}

void edge_uploads_stop(pl_edge *edge)
{
    edge->host->ops->timer_stop(edge->host, &edge->uploads_look);
}
