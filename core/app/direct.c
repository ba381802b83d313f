/* SPDX-License-Identifier: MIT */
#include "app/direct_internal.h"
#include "base/alloc.h"
#include "base/format.h"

bool pl_direct_copy_headers(pl_arena *arena, const char *const *list, pl_header **out, size_t *count)
{
    size_t n = 0;
    while (list && list[2 * n] && list[2 * n + 1])
        n++;
    *out = pl_arena_array(arena, n, sizeof **out);
    *count = *out ? n : 0;
    for (size_t i = 0; i < *count; i++) {
        (*out)[i].name = pl_arena_str(arena, pl_str_of(list[2 * i]));
        (*out)[i].value = pl_arena_str(arena, pl_str_of(list[2 * i + 1]));
        if (!(*out)[i].name.ptr || !(*out)[i].value.ptr)
            return false;
    }
    return *out != NULL;
}

static void lower(pl_header *headers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char *name = (char *)headers[i].name.ptr; /* our copy */
        for (size_t k = 0; k < headers[i].name.len; k++) {
            if (name[k] >= 'A' && name[k] <= 'Z')
                name[k] = (char)(name[k] + ('a' - 'A'));
        }
    }
}

void pl_direct_unmake(pl_direct_request *r)
{
    bool kept = r->joined && pl_cancellation_leave(r->cancellation, &r->part) && !r->cancelling;
    pl_cancellation_free(r->cancellation);
    pl_arena_dispose(&r->arena);
    if (kept)
        r->ended = true;
    else
        pl_free(r);
}

/* Its cancellation has been cancelled. */
static void on_cancelled(pl_message *message)
{
    pl_direct_request *r = message->data;
    if (r->ended) {
        pl_free(r);
        return;
    }
    r->cancelling = true;
    r->kind->cancel(r);
    pl_direct_fail(r, PL_CANCELLED, PL_STR("The request was cancelled."));
}

/* False: it is over, as it has been cancelled on its way. */
static bool join(pl_direct_request *r)
{
    pl_host *host = r->direct->host;
    if (!r->cancellation)
        return true;
    r->part =
        (pl_cancelled_part){.message = {.run = on_cancelled, .data = r}, .mailbox = host->ops->mailbox(host)};
    bool joined = r->joined = pl_cancellation_join(r->cancellation, &r->part);
    if (!joined)
        pl_direct_fail(r, PL_CANCELLED, PL_STR("The request was cancelled."));
    return joined;
}

pl_direct_request *pl_direct_make(const pl_direct_kind *kind, const pl_app_request *from, pl_app_done done,
                                  void *data)
{
    pl_direct_request *r = pl_malloc(sizeof *r);
    if (!r)
        return NULL;
    *r = (pl_direct_request){.kind = kind, .done = done, .data = data};
    pl_arena_init(&r->arena, 0);
    r->name = pl_arena_str(&r->arena, pl_str_of(from->method ? from->method : ""));
    r->peer = pl_arena_str(&r->arena, pl_str_of(from->peer ? from->peer : ""));
    r->text = pl_arena_str(&r->arena, (pl_str){from->body, from->body ? from->length : 0});
    if (r->name.ptr && r->peer.ptr && r->text.ptr &&
        pl_direct_copy_headers(&r->arena, from->headers, &r->headers, &r->header_count)) {
        lower(r->headers, r->header_count);
        r->cancellation = from->cancellation ? pl_cancellation_ref(from->cancellation) : NULL;
        return r;
    }
    pl_direct_unmake(r);
    return NULL;
}

static void list_add(pl_direct *d, pl_direct_request *r)
{
    r->direct = d;
    r->next = d->requests;
    if (r->next)
        r->next->prev = r;
    d->requests = r;
}

static void list_remove(pl_direct_request *r)
{
    pl_direct *d = r->direct;
    if (!d)
        return;
    *(r->prev ? &r->prev->next : &d->requests) = r->next;
    if (r->next)
        r->next->prev = r->prev;
}

static void drain_step(pl_direct *d)
{
    void (*drained)(void *data) = d->drained;
    if (!d->draining || d->requests || !drained)
        return;
    d->drained = NULL;
    d->host->ops->timer_stop(d->host, &d->deadline);
    drained(d->drained_data);
}

void pl_direct_end(pl_direct_request *r, pl_code code, pl_str response)
{
    pl_direct *d = r->direct;
    list_remove(r);
    r->done(r->data, code, response.ptr, response.len);
    pl_direct_unmake(r);
    if (d)
        drain_step(d);
}

void pl_direct_fail(pl_direct_request *r, pl_code code, pl_str message)
{
    pl_buf body;
    pl_buf_init(&body);
    r->kind->write_error(&body, code, message);
    if (body.failed) {
        pl_buf_dispose(&body);
        pl_direct_end(r, PL_RESOURCE_EXHAUSTED, PL_STR(""));
        return;
    }
    pl_direct_end(r, code, pl_buf_view(&body));
    pl_buf_dispose(&body);
}

pl_str pl_direct_id(pl_direct_request *r)
{
    /* With printf it would be a tenth of a small request. */
    char text[4 + 2 * PL_FORMAT_INT_MAX + 1] = "app-";
    size_t len = 4;
    len += pl_format_int(text + len, r->direct->worker);
    text[len++] = '-';
    len += pl_format_int(text + len, (int64_t)++r->direct->last_id);
    return pl_arena_str(&r->arena, (pl_str){text, len});
}

/* --- on their way to a worker --- */
pl_message *pl_direct_message(pl_direct_request *r, void (*run)(pl_message *message), void *data)
{
    r->message = (pl_message){.run = run, .data = data};
    return &r->message;
}

void pl_direct_run(pl_message *message, pl_direct *direct)
{
    pl_direct_request *r = (pl_direct_request *)message;
    if (!direct || direct->draining || !direct->endpoint->live) {
        pl_direct_refuse(r, PL_UNAVAILABLE, PL_STR_NONE);
        return;
    }
    pl_direct_end_calls(direct);
    list_add(direct, r);
    if (join(r))
        r->kind->start(r);
}

void pl_direct_refuse(pl_direct_request *r, pl_code code, pl_str message)
{
    if (message.ptr)
        pl_direct_fail(r, code, message);
    else
        pl_direct_fail(r, PL_UNAVAILABLE, PL_STR("The app does not run, or is about to end."));
}

/* --- life --- */
static void cancel_all(pl_direct *d)
{
    pl_direct_end_calls(d);
    while (d->requests) {
        pl_direct_request *r = d->requests;
        r->kind->cancel(r);
        pl_direct_fail(r, PL_UNAVAILABLE, PL_STR("The app has ended before the request has."));
    }
}

static void on_deadline(pl_timer *timer)
{
    cancel_all(timer->data);
}

pl_direct *pl_direct_new(pl_endpoint *endpoint, pl_rpc_http *rpc, unsigned worker, pl_logger *log)
{
    pl_direct *d = pl_calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->endpoint = endpoint;
    d->rpc = rpc;
    d->host = endpoint->host;
    d->log = log;
    d->worker = worker;
    d->deadline = (pl_timer){.fire = on_deadline, .data = d};
    return d;
}

void pl_direct_cut(pl_direct *d, const pl_instance *instance)
{
    for (pl_direct_request *r = d->requests, *next; r; r = next) {
        next = r->next; /* ending one begins and ends no other */
        if (r->kind->cut)
            r->kind->cut(r, instance);
    }
}

void pl_direct_drain(pl_direct *d, unsigned timeout_ms, void (*done)(void *data), void *data)
{
    uint64_t at = d->host->ops->now(d->host) + timeout_ms;
    d->draining = true;
    d->drained = done;
    d->drained_data = data;
    if (d->requests && d->host->ops->timer_start(d->host, &d->deadline, at) != 0)
        cancel_all(d); /* nobody would end them in time */
    drain_step(d);
}

void pl_direct_free(pl_direct *d)
{
    if (!d)
        return;
    d->drained = NULL;
    cancel_all(d);
    d->host->ops->timer_stop(d->host, &d->deadline);
    d->host->ops->timer_stop(d->host, &d->soon);
    pl_free(d);
}
