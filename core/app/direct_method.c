/* SPDX-License-Identifier: MIT */
#include "app/direct_internal.h"
#include "base/alloc.h"
#include "grpc/wire.h"
#include "value/json.h"

/* A unary method is called as a client would do it over the Connect protocol with JSON: so all that holds for
 * calls (limits, interceptors, deadlines, metrics) holds for this. The carrier is memory; it ends at the end
 * of the turn in which the call has, since the call's functions may still be on the stack. */

#define STREAM_CHUNK 2048

typedef struct pl_direct_call pl_direct_call;
struct pl_direct_call {
    pl_grpc_stream base; /* first */
    pl_direct_request *request;
    pl_direct_call *next; /* due */
    int status;
    bool is_due, answered, broken;
};

static pl_direct_call *of(pl_grpc_stream *stream)
{
    return (pl_direct_call *)stream;
}

static void make_due(pl_direct_call *c)
{
    pl_direct *d = c->request->direct;
    if (!c->is_due) {
        c->is_due = true;
        c->next = d->due;
        d->due = c;
    }
    /* Should there be no memory for it: whatever comes next does the same. */
    if (d->soon.index == 0)
        d->host->ops->timer_start(d->host, &d->soon, d->host->ops->now(d->host));
}

/* --- what the call does --- */
static void respond(pl_grpc_stream *stream, int status, const pl_header *headers, size_t count, bool alone)
{
    (void)headers;
    (void)count;
    if (!of(stream)->answered)
        of(stream)->status = status;
    of(stream)->answered = true;
    if (alone)
        make_due(of(stream));
}

static void flush(pl_grpc_stream *stream)
{
    (void)stream; /* all is taken at the end */
}

static void finish(pl_grpc_stream *stream, const pl_header *trailers, size_t count)
{
    (void)trailers;
    (void)count;
    make_due(of(stream));
}

static void reset(pl_grpc_stream *stream, uint32_t error)
{
    (void)error;
    of(stream)->broken = true;
    make_due(of(stream));
}

static void consumed(pl_grpc_stream *stream, size_t bytes)
{
    (void)stream; /* all of the request is here */
    (void)bytes;
}

/* --- the end --- */
static void free_call(pl_direct_call *c)
{
    const pl_grpc_stream_events *events = c->base.events;
    c->base.events = NULL;
    if (events)
        events->closed(&c->base);
    if (c->is_due) {
        pl_direct_call **at = &c->request->direct->due;
        while (*at != c)
            at = &(*at)->next;
        *at = c->next;
    }
    pl_grpc_stream_dispose(&c->base);
    pl_free(c);
}

/* The code of {"code": "not_found", …}; that of the HTTP status where there is no such body. */
static pl_code read_code(pl_direct_request *r, int status, pl_str body)
{
    pl_value json;
    pl_error err = {0};
    const pl_value *name = pl_json_read(&r->arena, body, NULL, &json, &err) == PL_OK
                               ? pl_value_member(&json, PL_STR("code"))
                               : NULL;
    pl_code code = name && name->kind == PL_KIND_STRING ? pl_grpc_connect_code(name->string) : PL_OK;
    return code ? code : pl_grpc_code_of_http(status);
}

static void end(pl_direct_call *c)
{
    pl_direct_request *r = c->request;
    pl_buf out = c->base.out;
    size_t sent = c->base.sent;
    int status = c->status;
    bool lost = c->broken || !c->answered || out.failed;
    pl_buf_init(&c->base.out);
    free_call(c);
    r->job = NULL;
    pl_str body = out.len > sent ? (pl_str){out.data + sent, out.len - sent} : PL_STR("");
    if (lost)
        pl_direct_fail(r, PL_RESOURCE_EXHAUSTED, PL_STR("out of memory"));
    else if (status == 200)
        pl_direct_end(r, PL_OK, body);
    else if (body.len > 0)
        pl_direct_end(r, read_code(r, status, body), body);
    else if (status == 415)
        pl_direct_fail(r, PL_UNIMPLEMENTED,
                       PL_STR("The method is not unary, or no .proto file describes it."));
    else
        pl_direct_fail(r, pl_grpc_code_of_http(status), PL_STR("The call was refused."));
    pl_buf_dispose(&out);
}

void pl_direct_end_calls(pl_direct *d)
{
    while (d->due) {
        pl_direct_call *c = d->due;
        d->due = c->next;
        c->is_due = false;
        end(c);
    }
}

static void on_soon(pl_timer *timer)
{
    pl_direct_end_calls(timer->data);
}

/* --- the beginning --- */
static const pl_grpc_stream_ops ops = {
    .respond = respond, .flush = flush, .finish = finish, .reset = reset, .consumed = consumed};

/* What the protocol says for itself is not the host program's to say. */
static bool add_headers(pl_grpc_stream *s, const pl_direct_request *r)
{
    for (size_t i = 0; i < r->header_count; i++) {
        pl_str name = r->headers[i].name;
        if (pl_grpc_is_reserved(name) || pl_str_is(name, "connect-protocol-version"))
            continue;
        if (!pl_grpc_metadata_add(&s->headers, &s->arena, name, r->headers[i].value))
            return false;
    }
    return true;
}

static bool fill(pl_direct_call *c, pl_direct_request *r)
{
    pl_grpc_stream *s = &c->base;
    pl_grpc_stream_init(s, STREAM_CHUNK);
    s->ops = &ops;
    s->no_trailers = true;
    s->method = PL_STR("POST");
    s->scheme = PL_STR("app");
    s->peer = r->peer;
    s->id = pl_direct_id(r);
    s->path = pl_arena_printf(&s->arena, "/%.*s", PL_STR_ARG(r->name));
    return s->id.ptr && s->path.ptr &&
           pl_grpc_metadata_add(&s->headers, &s->arena, PL_STR("content-type"), PL_STR("application/json")) &&
           pl_grpc_metadata_add(&s->headers, &s->arena, PL_STR("connect-protocol-version"), PL_STR("1")) &&
           add_headers(s, r);
}

static void start(pl_direct_request *r)
{
    pl_direct *d = r->direct;
    pl_direct_call *c = pl_calloc(1, sizeof *c);
    d->soon.fire = on_soon;
    d->soon.data = d;
    if (!c) {
        pl_direct_fail(r, PL_RESOURCE_EXHAUSTED, PL_STR("out of memory"));
        return;
    }
    c->request = r;
    r->job = c;
    if (!fill(c, r)) {
        c->broken = true;
        end(c);
        return;
    }
    pl_grpc_stream_hand_over(&c->base, pl_grpc_server_handler(pl_rpc_http_server(d->rpc)), r->text);
}

static void cancel(pl_direct_request *r)
{
    if (r->job)
        free_call(r->job);
    r->job = NULL;
}

static void write_error(pl_buf *out, pl_code code, pl_str message)
{
    const pl_grpc_status status = {.code = code, .message = message};
    pl_grpc_connect_error(&status, out);
}

pl_direct_request *pl_direct_method(const pl_app_request *request, pl_app_done done, void *data)
{
    static const pl_direct_kind kind = {.start = start, .cancel = cancel, .write_error = write_error};
    return pl_direct_make(&kind, request, done, data);
}
