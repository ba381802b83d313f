/* SPDX-License-Identifier: MIT */
#include "net/mount.h"

#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "net/edge_internal.h"

/* A context that has been made for paths: how many of them it knows. */
typedef struct known_context {
    struct known_context *next;
    const h2o_context_t *context;
    unsigned paths;
} known_context;

struct pl_mounts {
    edge_path *paths;
    void (*gone)(void *data, struct st_h2o_context_t *context); /* may be NULL */
    void *gone_data;
    pthread_mutex_t lock; /* of what follows: contexts are made and disposed of by their threads */
    known_context *contexts;
    bool memory_was_short;
};

/* --- contexts --- */

/* h2o gives a context as many slots for handlers as there are when it is made. */
static void on_context_init(h2o_handler_t *self, h2o_context_t *context)
{
    pl_mounts *m = ((edge_path *)self)->mounts;
    if (!m)
        return;
    pthread_mutex_lock(&m->lock);
    known_context *known = m->contexts;
    while (known && known->context != context)
        known = known->next;
    if (!known && (known = pl_calloc(1, sizeof(*known)))) {
        known->context = context;
        known->next = m->contexts;
        m->contexts = known;
    }
    if (known)
        known->paths++;
    else
        m->memory_was_short = true;
    pthread_mutex_unlock(&m->lock);
}

static void on_context_dispose(h2o_handler_t *self, h2o_context_t *context)
{
    pl_mounts *m = ((edge_path *)self)->mounts;
    if (!m)
        return;
    if (m->gone)
        m->gone(m->gone_data, context);
    pthread_mutex_lock(&m->lock);
    for (known_context **at = &m->contexts; *at; at = &(*at)->next) {
        known_context *known = *at;
        if (known->context != context)
            continue;
        if (--known->paths == 0) {
            *at = known->next;
            pl_free(known);
        }
        break;
    }
    pthread_mutex_unlock(&m->lock);
}

static pl_code check_context(pl_mounts *m, const h2o_context_t *context, pl_error *err)
{
    unsigned wanted = 0, found = 0;
    pthread_mutex_lock(&m->lock);
    for (const edge_path *p = m->paths; p; p = p->next)
        wanted += p->globals == context->globalconf;
    for (const known_context *known = m->contexts; known; known = known->next) {
        if (known->context == context)
            found = known->paths;
    }
    bool short_of_memory = m->memory_was_short;
    pthread_mutex_unlock(&m->lock);
    if (found == wanted)
        return PL_OK;
    if (short_of_memory)
        return pl_fail_memory(err);
    return pl_fail(err, PL_FAILED_PRECONDITION,
                   "%u of %u paths were mounted after h2o_context_init: mount them before contexts are made",
                   wanted - found, wanted);
}

/* --- paths --- */

pl_mounts *pl_mounts_new(void)
{
    pl_mounts *m = pl_calloc(1, sizeof(*m));
    if (m)
        pthread_mutex_init(&m->lock, NULL);
    return m;
}

void pl_mounts_free(pl_mounts *m)
{
    if (!m)
        return;
    for (edge_path *p = m->paths; p; p = p->next)
        p->mounts = NULL;
    while (m->contexts) {
        known_context *known = m->contexts;
        m->contexts = known->next;
        pl_free(known);
    }
    pthread_mutex_destroy(&m->lock);
    pl_free(m);
}

void pl_mounts_on_dispose(pl_mounts *m, void (*gone)(void *data, struct st_h2o_context_t *context),
                          void *data)
{
    m->gone = gone;
    m->gone_data = data;
}

/* The configuration ends; h2o frees the handler. */
static void on_path_dispose(h2o_handler_t *self)
{
    edge_path *path = (edge_path *)self;
    if (!path->mounts)
        return;
    for (edge_path **at = &path->mounts->paths; *at; at = &(*at)->next) {
        if (*at == path) {
            *at = path->next;
            break;
        }
    }
}

static int on_request(h2o_handler_t *self, h2o_req_t *req)
{
    pl_edge *edge = h2o_context_get_handler_context(req->conn->ctx, self);
    if (edge)
        return edge_request_begin(edge, (const edge_path *)self, req);
    h2o_send_error_503(req, "Service Unavailable", "not attached", 0);
    return 0;
}

static h2o_pathconf_t *find_path(h2o_hostconf_t *host, const char *path)
{
    for (size_t i = 0; i < host->paths.size; i++) {
        h2o_pathconf_t *known = &host->paths.entries[i];
        if (known->path.len == strlen(path) && memcmp(known->path.base, path, known->path.len) == 0)
            return known;
    }
    return NULL;
}

pl_code pl_mounts_add(pl_mounts *m, struct st_h2o_hostconf_t *host, const char *path, pl_error *err)
{
    if (!path || path[0] != '/')
        return pl_fail(err, PL_INVALID_ARGUMENT, "\"%s\" is no path: it begins with a slash",
                       path ? path : "");
    size_t len = strlen(path);
    h2o_pathconf_t *conf = find_path(host, path);
    while (len > 0 && path[len - 1] == '/')
        len--;
    if (!conf) {
        /* h2o compares as it is written: /api/ would not take /api. */
        char *plain = pl_malloc(len + 2);
        if (!plain)
            return pl_fail_memory(err);
        memcpy(plain, len != 0 ? path : "/", len != 0 ? len : 1);
        plain[len != 0 ? len : 1] = '\0';
        conf = find_path(host, plain);
        if (!conf)
            conf = h2o_config_register_path(host, plain, 0);
        pl_free(plain);
    }
    edge_path *p = (edge_path *)h2o_create_handler(conf, sizeof(*p));
    p->super.on_req = on_request;
    p->super.on_context_init = on_context_init;
    p->super.on_context_dispose = on_context_dispose;
    p->super.dispose = on_path_dispose;
    p->globals = conf->global;
    p->prefix = len;
    p->mounts = m;
    p->next = m->paths;
    m->paths = p;
    return PL_OK;
}

/* --- what the service sees --- */

/* The path as sent, from behind the prefix. h2o has compared the path without escapes and dots, and says at
 * which byte of the other each of its bytes ends. */
static pl_str target_below(const edge_request *r)
{
    const h2o_req_t *req = r->req;
    size_t at = r->path->prefix;
    if (req->norm_indexes && at > 0)
        at = req->norm_indexes[at - 1];
    if (at > req->path.len)
        at = req->path.len;
    return (pl_str){req->path.base + at, req->path.len - at};
}

/* Both parts in the request's arena. */
static pl_str join(edge_request *r, pl_str a, pl_str b)
{
    char *joined = pl_arena_alloc(&r->arena, a.len + b.len + 1);
    if (!joined)
        return PL_STR_NONE;
    memcpy(joined, a.len != 0 ? a.ptr : "", a.len);
    memcpy(joined + a.len, b.len != 0 ? b.ptr : "", b.len);
    return (pl_str){joined, a.len + b.len};
}

static pl_str main_path_of(const edge_request *r)
{
    return r->edge->service->settings(r->edge->service)->main_path;
}

bool edge_path_place(edge_request *r)
{
    size_t prefix = r->path->prefix;
    pl_http_request *public = &r->public;
    if (prefix == 0)
        return true;
    public->path = (pl_str){public->full_path.ptr + prefix, public->full_path.len - prefix};
    public->target = target_below(r);
    if (public->path.len != 0)
        return true;
    pl_str path = main_path_of(r);
    if (path.len == 0)
        path = PL_STR("/");
    const char *query = public->target.len != 0 ? memchr(public->target.ptr, '?', public->target.len) : NULL;
    pl_str rest = PL_STR_NONE;
    if (query)
        rest = (pl_str){query, public->target.len - (size_t)(query - public->target.ptr)};
    public->path = join(r, path, PL_STR_NONE);
    public->target = join(r, path, rest);
    return public->path.ptr && public->target.ptr;
}

bool edge_path_place_below(edge_request *r)
{
    pl_http_request *public = &r->public;
    if (!r->path || r->path->prefix == 0 || public->full_path.len == r->path->prefix)
        return false;
    pl_str path = main_path_of(r);
    if (path.len == 0)
        return false;
    pl_str below = join(r, path, public->path), target = join(r, path, public->target);
    if (!below.ptr || !target.ptr)
        return false;
    public->path = below;
    public->target = target;
    return true;
}

/* --- edges --- */

static void set_edge(pl_edge *edge, pl_edge *value)
{
    for (edge_path *p = edge->mounts->paths; p; p = p->next) {
        if (p->globals == edge->host_context->globalconf)
            h2o_context_set_handler_context(edge->host_context, &p->super, value);
    }
}

void edge_paths_attach(pl_edge *edge)
{
    set_edge(edge, edge);
}

void edge_paths_detach(pl_edge *edge)
{
    set_edge(edge, NULL);
}

pl_edge *pl_edge_mount(pl_loop *loop, struct st_h2o_context_t *context, pl_mounts *mounts,
                       const pl_edge_config *config, pl_http_service *service, pl_logger *log, pl_error *err)
{
    if (check_context(mounts, context, err) != PL_OK)
        return NULL;
    pl_edge *edge = edge_new(loop, config, service, log, err);
    if (!edge)
        return NULL;
    edge->host_context = context;
    edge->mounts = mounts;
    edge_paths_attach(edge);
    return edge;
}
