/* SPDX-License-Identifier: MIT */
#include "support/client_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "grpc/session.h"
#include "value/json.h"

#define MAX_SERVERS 16
#define MAX_TURNS 10000

typedef struct place {
    char address[64];
    cf_server how;
    unsigned requests;
    char health[16]; /* with health_len; -1: there is none */
    int health_len;
    pl_grpc_stream *watch;
    char watched[300];
    size_t watched_len;
} place;

typedef struct connection connection;
struct connection {
    connection *next;
    cf *f;
    place *place;
    pl_client_link *link; /* NULL: the client wants to hear nothing more */
    pl_grpc_session *server;
    pl_buf to_server, to_client;
    bool open, writing, told, dropped, ending;
};

typedef struct resolver {
    cf *f;
    pl_client_channel *channel;
    pl_timer timer;
    char target[256];
} resolver;

struct cf {
    pl_client_io io;         /* first */
    pl_grpc_handler handler; /* of all servers */
    pl_host host;
    pl_timers timers;
    uint64_t now;
    place places[MAX_SERVERS];
    size_t place_count;
    connection *connections;
    unsigned connected, cancelled, max_streams;
    pl_client_set *set;
    pl_grpc_streams *streams;
    place *local;
    size_t fail_at, made; /* cf_fail_at */
    char text[4096];
};

size_t cf_fail_at(cf *f, size_t n)
{
    size_t made = f->made + pl_alloc_fail_at(n, 0);
    f->fail_at = n;
    f->made = 0;
    return made;
}

/* What a server allocates does not count: the client is what is tested. */
static void pause_failing(cf *f)
{
    f->made += pl_alloc_fail_at(0, 0);
}
static void resume_failing(cf *f)
{
    pl_alloc_fail_at(f->fail_at > f->made ? f->fail_at - f->made : 0, 0);
}

/* --- the host --- */
static cf *of_host(pl_host *host)
{
    return host->owner;
}
static uint64_t host_now(pl_host *host)
{
    return of_host(host)->now;
}
static int host_timer_start(pl_host *host, pl_timer *timer, uint64_t at)
{
    return pl_timers_start(&of_host(host)->timers, timer, at);
}
static void host_timer_stop(pl_host *host, pl_timer *timer)
{
    pl_timers_stop(&of_host(host)->timers, timer);
}

/* --- what servers answer --- */
typedef struct served {
    cf *f;
    place *place;
    pl_buf data;
    unsigned left; /* of Many */
    unsigned number;
    bool answered;
} served;

static pl_str header_of(const pl_grpc_stream *s, const char *name)
{
    for (size_t i = 0; i < s->headers.count; i++) {
        if (pl_str_is(s->headers.items[i].name, name))
            return s->headers.items[i].value;
    }
    return PL_STR_NONE;
}

static unsigned number_of(const pl_grpc_stream *s, const char *name)
{
    char text[16];
    snprintf(text, sizeof text, "%.*s", PL_STR_ARG(header_of(s, name)));
    return (unsigned)atoi(text);
}

static bool calls(const pl_grpc_stream *s, const char *method)
{
    size_t n = strlen(method);
    return s->path.len > n && memcmp(s->path.ptr + s->path.len - n, method, n) == 0;
}

static void begin(pl_grpc_stream *s, bool alone, const pl_header *more, size_t count)
{
    pl_header headers[8] = {{PL_STR("content-type"), PL_STR("application/grpc")}};
    for (size_t i = 0; i < count; i++)
        headers[i + 1] = more[i];
    s->ops->respond(s, 200, headers, count + 1, alone);
}

static void end(pl_grpc_stream *s, pl_str code)
{
    served *v = s->call;
    pl_header *trailer = pl_arena_alloc(&s->arena, sizeof *trailer);
    v->answered = true;
    if (!trailer) {
        s->ops->reset(s, 2);
        return;
    }
    *trailer = (pl_header){PL_STR("grpc-status"), code};
    s->ops->finish(s, trailer, 1);
}

static void fail(pl_grpc_stream *s)
{
    served *v = s->call;
    pl_str pushback = header_of(s, "pushback");
    pl_header headers[] = {{PL_STR("grpc-status"), header_of(s, "code")},
                           {PL_STR("grpc-retry-pushback-ms"), pushback}};
    v->answered = true;
    begin(s, true, headers, pushback.ptr ? 2 : 1);
}

static void go_on(pl_grpc_stream *s)
{
    served *v = s->call;
    char message[1000];
    memset(message, 'm', sizeof message);
    while (v->left > 0 && pl_grpc_stream_unsent(s) <= PL_GRPC_UNSENT) {
        size_t at = pl_grpc_message_begin(&s->out);
        pl_buf_append(&s->out, message, sizeof message);
        pl_grpc_message_end(&s->out, at, 0);
        v->left--;
    }
    s->waits = v->left > 0;
    s->ops->flush(s);
    if (v->left == 0)
        end(s, PL_STR("0"));
}

static void tell_health(place *p)
{
    pl_grpc_stream *s = p->watch;
    size_t at = pl_grpc_message_begin(&s->out);
    pl_buf_append(&s->out, p->health, (size_t)p->health_len);
    pl_grpc_message_end(&s->out, at, 0);
    s->ops->flush(s);
}

static void watch(pl_grpc_stream *s)
{
    static const pl_header unimplemented = {PL_STR("grpc-status"), PL_STR("12")};
    served *v = s->call;
    place *p = v->place;
    p->watched_len = v->data.len < sizeof p->watched ? v->data.len : sizeof p->watched;
    memcpy(p->watched, v->data.data, p->watched_len);
    if (p->health_len < 0) {
        v->answered = true;
        begin(s, true, &unimplemented, 1);
        return;
    }
    p->watch = s;
    begin(s, false, NULL, 0);
    tell_health(p);
}

static void answer(pl_grpc_stream *s)
{
    served *v = s->call;
    pl_str code = header_of(s, "code");
    if (calls(s, "/Fail") || (calls(s, "/Flaky") && v->number <= number_of(s, "times"))) {
        fail(s);
    } else if (calls(s, "/Hang")) {
        return;
    } else if (calls(s, "/Watch")) {
        watch(s);
    } else if (calls(s, "/Many")) {
        v->left = number_of(s, "count");
        begin(s, false, NULL, 0);
        go_on(s);
    } else {
        begin(s, false, NULL, 0);
        pl_buf_str(&s->out, pl_buf_view(&v->data));
        s->ops->flush(s);
        end(s, calls(s, "/Late") ? code : PL_STR("0"));
    }
}

static void on_data(pl_grpc_stream *s, pl_str bytes)
{
    served *v = s->call;
    pl_buf_str(&v->data, bytes);
    s->ops->consumed(s, calls(s, "/Hang") ? 0 : bytes.len);
}

static void on_writable(pl_grpc_stream *s)
{
    served *v = s->call;
    if (!v->answered)
        go_on(s);
}

static void on_closed(pl_grpc_stream *s)
{
    served *v = s->call;
    v->f->cancelled += !v->answered;
    if (v->place && v->place->watch == s)
        v->place->watch = NULL;
}

static void drop_data(void *data)
{
    pl_buf_dispose(&((served *)data)->data);
}

static const pl_grpc_stream_events served_events = {
    .data = on_data, .end = answer, .writable = on_writable, .closed = on_closed};

static void on_request(pl_grpc_handler *handler, pl_grpc_stream *s)
{
    cf *f = (cf *)((char *)handler - offsetof(cf, handler));
    served *v = pl_arena_zalloc(&s->arena, sizeof *v);
    place *at = f->local;
    for (size_t i = 0; i < f->place_count; i++) {
        if (pl_str_is(s->peer, f->places[i].address))
            at = &f->places[i];
    }
    if (at)
        at->requests++;
    if (!v || pl_arena_on_dispose(&s->arena, drop_data, v) != 0) {
        s->ops->reset(s, 2);
        return;
    }
    v->f = f;
    v->place = at;
    v->number = at ? at->requests : 1;
    pl_buf_init(&v->data);
    s->call = v;
    s->events = &served_events;
}

/* --- connections --- */
static place *place_of(cf *f, pl_str address)
{
    for (size_t i = 0; i < f->place_count; i++) {
        if (pl_str_is(address, f->places[i].address))
            return &f->places[i];
    }
    if (f->place_count == MAX_SERVERS)
        abort();
    place *p = &f->places[f->place_count++];
    *p = (place){.how = CF_SERVES, .health_len = -1};
    snprintf(p->address, sizeof p->address, "%.*s", PL_STR_ARG(address));
    return p;
}

static void *io_connect(pl_client_io *io, pl_client_link *link, pl_str address, const pl_client_tls *tls,
                        pl_str name, uint64_t timeout_ms)
{
    cf *f = (cf *)io;
    (void)tls, (void)name, (void)timeout_ms;
    connection *c = pl_calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->f = f;
    c->place = place_of(f, address);
    c->link = link;
    pl_buf_init(&c->to_server);
    pl_buf_init(&c->to_client);
    c->next = f->connections;
    f->connections = c;
    return c;
}

static void io_write(void *data, pl_buf *piece)
{
    connection *c = data;
    pause_failing(c->f);
    pl_buf_str(&c->to_server, pl_buf_view(piece));
    resume_failing(c->f);
    c->writing = true;
}
static void io_cut(void *data)
{
    connection *c = data;
    c->link = NULL;
    c->dropped = true;
}
static void io_end(void *data)
{
    connection *c = data;
    c->link = NULL;
    c->ending = true;
}

static void connection_free(cf *f, connection *c)
{
    for (connection **at = &f->connections; *at; at = &(*at)->next) {
        if (*at == c) {
            *at = c->next;
            break;
        }
    }
    pause_failing(f);
    pl_grpc_session_free(c->server);
    resume_failing(f);
    pl_buf_dispose(&c->to_server);
    pl_buf_dispose(&c->to_client);
    pl_free(c);
}

static void open_connection(connection *c)
{
    cf *f = c->f;
    const pl_grpc_session_options options = {.stream_window = 65535, .max_streams = f->max_streams};
    pl_error err;
    pl_grpc_session_config config = {.options = &options,
                                     .streams = f->streams,
                                     .handler = &f->handler,
                                     .peer = pl_str_of(c->place->address),
                                     .now = f->now};
    c->told = true;
    pause_failing(f);
    c->server = c->place->how == CF_SERVES ? pl_grpc_session_new(&config, &err) : NULL;
    resume_failing(f);
    if (c->place->how == CF_REFUSES) {
        pl_client_link *link = c->link;
        c->link = NULL;
        c->dropped = true;
        pl_client_link_failed(link, "connection refused");
        return;
    }
    c->open = true;
    f->connected++;
    pl_client_link_opened(c->link);
}

/* True: something has happened. */
static bool move(connection *c)
{
    bool any = false;
    cf *f = c->f;
    if (!c->told && c->link && c->place->how != CF_HANGS) {
        open_connection(c);
        return true;
    }
    if (c->dropped || (c->ending && c->to_server.len == 0)) {
        pl_client_link *link = c->link;
        c->link = NULL;
        if (link)
            pl_client_link_closed(link, "the server has closed the connection");
        connection_free(f, c);
        return true;
    }
    if (c->to_server.len > 0) {
        pause_failing(f);
        if (c->server)
            pl_grpc_session_receive(c->server, pl_buf_view(&c->to_server), f->now);
        pl_buf_reset(&c->to_server, 0);
        resume_failing(f);
        any = true;
    }
    if (c->writing) {
        c->writing = false;
        if (c->link)
            pl_client_link_written(c->link);
        return true;
    }
    if (c->server) {
        pause_failing(f);
        pl_grpc_session_tick(c->server, f->now);
        pl_buf_reset(&c->to_client, 0);
        c->dropped |= !pl_grpc_session_send(c->server, &c->to_client, 65536, f->now);
        resume_failing(f);
        if (c->to_client.len > 0) {
            if (c->link)
                pl_client_link_received(c->link, pl_buf_view(&c->to_client));
            return true;
        }
        c->dropped |= pl_grpc_session_get_state(c->server) != PL_GRPC_SESSION_OPEN;
        any |= c->dropped;
    }
    return any;
}

/* --- names --- */
static pl_code io_describe(pl_client_io *io, pl_str target, pl_arena *arena, pl_client_target *out,
                           pl_error *err)
{
    (void)io, (void)arena;
    if (pl_str_starts(target, PL_STR("wrong")))
        return pl_fail(err, PL_INVALID_ARGUMENT, "%.*s is no target", PL_STR_ARG(target));
    *out = (pl_client_target){target, target, target};
    return PL_OK;
}

static void resolved(pl_timer *timer)
{
    resolver *r = timer->data;
    pl_address list[MAX_SERVERS];
    size_t count = 0;
    if (strcmp(r->target, "unknown") == 0) {
        pl_client_channel_unresolved(r->channel, "unknown cannot be resolved");
        return;
    }
    for (const char *at = r->target; at && count < MAX_SERVERS; count++) {
        const char *comma = strchr(at, ',');
        list[count] = (pl_address){.address = {at, comma ? (size_t)(comma - at) : strlen(at)}};
        at = comma ? comma + 1 : NULL;
    }
    pl_client_channel_resolved(r->channel, list, count);
}

static pl_code io_resolve(pl_client_io *io, pl_client_channel *channel, pl_str target, void **out,
                          pl_error *err)
{
    cf *f = (cf *)io;
    resolver *r = pl_calloc(1, sizeof *r);
    if (!r)
        return pl_fail_memory(err);
    r->f = f;
    r->channel = channel;
    r->timer = (pl_timer){.fire = resolved, .data = r};
    snprintf(r->target, sizeof r->target, "%.*s", PL_STR_ARG(target));
    if (pl_timers_start(&f->timers, &r->timer, f->now) != 0) {
        pl_free(r);
        return pl_fail_memory(err);
    }
    *out = r;
    return PL_OK;
}
static void io_resolve_again(void *data)
{
    (void)data;
}
static void io_resolve_end(void *data)
{
    resolver *r = data;
    pl_timers_stop(&r->f->timers, &r->timer);
    pl_free(r);
}

/* --- time --- */
void cf_turn(cf *f)
{
    for (int i = 0; i < MAX_TURNS; i++) {
        bool any = pl_timers_next(&f->timers) <= f->now && pl_timers_run(&f->timers, f->now) > 0;
        for (connection *c = f->connections, *next; c; c = next) {
            next = c->next;
            any |= move(c);
        }
        if (!any)
            return;
    }
    abort(); /* it never ends */
}

void cf_wait(cf *f, uint64_t ms)
{
    uint64_t until = f->now + ms;
    cf_turn(f);
    for (uint64_t next; (next = pl_timers_next(&f->timers)) <= until;) {
        f->now = next > f->now ? next : f->now;
        cf_turn(f);
    }
    f->now = until;
    cf_turn(f);
}

/* --- servers --- */
void cf_serve(cf *f, const char *address, cf_server how)
{
    place_of(f, pl_str_of(address))->how = how;
}

void cf_limit_streams(cf *f, unsigned most)
{
    f->max_streams = most;
}

void cf_drop(cf *f, const char *address)
{
    for (connection *c = f->connections; c; c = c->next)
        c->dropped |= strcmp(c->place->address, address) == 0;
}

void cf_health(cf *f, const char *address, const char *message, size_t len)
{
    place *p = place_of(f, pl_str_of(address));
    p->health_len = message ? (int)len : -1;
    if (message)
        memcpy(p->health, message, len);
    if (message && p->watch)
        tell_health(p);
}

pl_str cf_watched(const cf *f, const char *address)
{
    const place *p = place_of((cf *)f, pl_str_of(address));
    return (pl_str){p->watched, p->watched_len};
}

void cf_drain(cf *f, const char *address)
{
    for (connection *c = f->connections; c; c = c->next) {
        if (strcmp(c->place->address, address) == 0 && c->server)
            pl_grpc_session_drain(c->server, f->now);
    }
}

unsigned cf_requests(const cf *f, const char *address)
{
    for (size_t i = 0; i < f->place_count; i++) {
        if (strcmp(f->places[i].address, address) == 0)
            return f->places[i].requests;
    }
    return 0;
}

unsigned cf_connections(const cf *f)
{
    unsigned n = 0;
    for (const connection *c = f->connections; c; c = c->next)
        n += c->open;
    return n;
}

unsigned cf_connected(const cf *f)
{
    return f->connected;
}

unsigned cf_cancelled(const cf *f)
{
    return f->cancelled;
}

/* --- calls --- */
pl_remote *cf_open(cf *f, const char *target, const char *options, const void *owner, pl_error *err)
{
    pl_arena arena;
    pl_value value = {.kind = PL_KIND_ABSENT};
    pl_remote *remote = NULL;
    char key[512];
    snprintf(key, sizeof key, "%s %s", target, options ? options : "");
    pl_arena_init(&arena, 0);
    pl_remote_config config = {.target = pl_str_of(target), .key = pl_str_of(key), .options = &value};
    if (!options || pl_json_read(&arena, pl_str_of(options), NULL, &value, err) == PL_OK)
        pl_client_set_open(f->set, &config, &f->handler, owner, &remote, err);
    pl_arena_dispose(&arena);
    return remote;
}

pl_remote_call *cf_start(pl_remote *remote, const char *method, uint64_t timeout, const char *const *headers)
{
    pl_remote_call *call = NULL;
    pl_header list[16];
    pl_error err;
    char path[64];
    size_t count = 0;
    snprintf(path, sizeof path, "/t.S/%s", method);
    for (; headers && headers[2 * count]; count++)
        list[count] = (pl_header){pl_str_of(headers[2 * count]), pl_str_of(headers[2 * count + 1])};
    pl_remote_call_config config = {.path = pl_str_of(path),
                                    .metadata = list,
                                    .metadata_count = count,
                                    .timeout_ms = timeout,
                                    .wait_for_ready = -1};
    return remote->ops->start(remote, &config, &call, &err) == PL_OK ? call : NULL;
}

pl_remote_call *cf_unary(pl_remote *remote, const char *method, uint64_t timeout, const char *const *headers,
                         const char *message)
{
    pl_error err;
    pl_remote_call *call = cf_start(remote, method, timeout, headers);
    if (!call)
        return NULL;
    call->ops->send(call, pl_str_of(message), &err);
    call->ops->finish(call);
    return call;
}

bool cf_ended(pl_remote_call *call, pl_remote_status *status)
{
    pl_str message;
    const pl_header *trailers;
    size_t count;
    pl_remote_result result;
    while ((result = call->ops->receive(call, &message)) == PL_REMOTE_DONE)
        ;
    if (result != PL_REMOTE_END)
        return false;
    *status = *call->ops->status(call, &trailers, &count);
    return true;
}

const char *cf_receive(cf *f, pl_remote_call *call)
{
    pl_str message;
    if (call->ops->receive(call, &message) != PL_REMOTE_DONE)
        return NULL;
    snprintf(f->text, sizeof f->text, "%.*s", PL_STR_ARG(message));
    return f->text;
}

/* --- life --- */
pl_client_set *cf_set(cf *f)
{
    return f->set;
}

uint64_t cf_now(const cf *f)
{
    return f->now;
}

cf *cf_new(void)
{
    static const pl_host_ops ops = {
        .now = host_now, .timer_start = host_timer_start, .timer_stop = host_timer_stop};
    cf *f = pl_calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->io = (pl_client_io){.describe = io_describe,
                           .connect = io_connect,
                           .write = io_write,
                           .end = io_end,
                           .cut = io_cut,
                           .resolve = io_resolve,
                           .resolve_again = io_resolve_again,
                           .resolve_end = io_resolve_end};
    f->handler.request = on_request;
    f->host = (pl_host){.ops = &ops, .owner = f};
    f->now = 1000000;
    pl_timers_init(&f->timers);
    f->local = place_of(f, PL_STR("local"));
    pl_client_set_config config = {.host = &f->host, .io = &f->io, .seed = 1};
    f->streams = pl_grpc_streams_new(4);
    f->set = f->streams ? pl_client_set_new(&config) : NULL;
    if (f->set)
        return f;
    pl_grpc_streams_free(f->streams);
    pl_timers_dispose(&f->timers);
    pl_free(f);
    return NULL;
}

void cf_free(cf *f)
{
    pl_client_set_free(f->set);
    while (f->connections)
        connection_free(f, f->connections);
    pl_grpc_streams_free(f->streams);
    pl_timers_dispose(&f->timers);
    pl_free(f);
}
