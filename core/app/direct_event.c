/* SPDX-License-Identifier: MIT */
#include "app/direct_internal.h"
#include "app/event_call.h"
#include "app/generation.h"
#include "base/alloc.h"

/* Events of the host program: published, or handed to the bundle's own consumers. */

void pl_direct_write_message(pl_buf *out, pl_code code, pl_str message)
{
    (void)code;
    pl_buf_str(out, message);
}

/* --- the event --- */
static bool copy_event(pl_arena *arena, const pl_app_event *event, pl_outgoing *out)
{
    pl_header *headers;
    *out = (pl_outgoing){.topic = pl_arena_str(arena, pl_str_of(event->topic ? event->topic : "")),
                         .partition = PL_ANY_PARTITION};
    if (event->key)
        out->key = pl_arena_str(arena, (pl_str){event->key, event->key_length});
    if (event->value)
        out->value = pl_arena_str(arena, (pl_str){event->value, event->value_length});
    bool copied = pl_direct_copy_headers(arena, event->headers, &headers, &out->header_count);
    out->headers = headers;
    return copied && out->topic.ptr && !event->key == !out->key.ptr && !event->value == !out->value.ptr;
}

static pl_direct_request *make(const pl_direct_kind *kind, size_t size, const pl_app_event *event,
                               pl_outgoing **out, pl_app_done done, void *data)
{
    static const pl_app_request nothing = PL_APP_REQUEST_INIT;
    static const pl_app_event none = {.topic = NULL};
    event = event ? event : &none;
    pl_direct_request *r = pl_direct_make(kind, &nothing, done, data);
    void *job = r ? pl_arena_zalloc(&r->arena, size) : NULL;
    pl_outgoing copy;
    if (job && copy_event(&r->arena, event, &copy)) {
        r->job = job;
        *out = pl_arena_zalloc(&r->arena, sizeof **out);
    }
    if (r && r->job && *out) {
        **out = copy;
        return r;
    }
    if (r)
        pl_direct_unmake(r);
    return NULL;
}

/* --- publishing --- */
typedef struct publishing {
    pl_outgoing *event;
    pl_delivery delivery;
} publishing;

static void on_delivered(pl_delivery *delivery, const pl_acknowledgement *ack)
{
    pl_direct_request *r = delivery->data;
    if (ack->code) {
        pl_direct_fail(r, ack->code, pl_str_of(ack->why ? ack->why : ""));
        return;
    }
    pl_str answer = pl_arena_printf(&r->arena, "{\"partition\":%d,\"offset\":%lld}", (int)ack->partition,
                                    (long long)ack->offset);
    pl_direct_end(r, PL_OK, answer.ptr ? answer : PL_STR("{}"));
}

static void publish(pl_direct_request *r)
{
    publishing *p = r->job;
    pl_events *events = r->direct->endpoint->live->events;
    bool waits = false;
    pl_error err;
    pl_error_clear(&err);
    p->delivery = (pl_delivery){.done = on_delivered, .data = r};
    if (pl_events_produce(events, p->event, &p->delivery, &waits, &err) != PL_OK)
        pl_direct_fail(r, err.code, pl_str_of(err.message));
}

static void forget(pl_direct_request *r)
{
    pl_delivery_forget(&((publishing *)r->job)->delivery);
}

pl_direct_request *pl_direct_publish(const pl_app_event *event, pl_app_done done, void *data)
{
    static const pl_direct_kind kind = {
        .start = publish, .cancel = forget, .write_error = pl_direct_write_message};
    pl_outgoing *copy = NULL;
    pl_direct_request *r = make(&kind, sizeof(publishing), event, &copy, done, data);
    if (r)
        ((publishing *)r->job)->event = copy;
    return r;
}

/* --- handling --- */
/* One consumer's part; all of them begin in one turn. */
typedef struct handling handling;
typedef struct handler {
    pl_group_member member; /* first */
    pl_record record;
    handling *of;
    bool over;
} handler;

struct handling {
    pl_direct_request *request;
    pl_outgoing *event;
    pl_handed_event handed;
    pl_instance *instance;
    handler *handlers;
    size_t count, left;
    pl_code code; /* of the first that has failed */
    pl_str message;
};

static bool reads(const pl_consumer_decl *decl, pl_str topic)
{
    for (size_t i = 0; i < decl->topic_count; i++) {
        if (pl_topic_pattern_matches(decl->patterns[i], topic.ptr))
            return true;
    }
    return false;
}

static void one_is_over(handling *h)
{
    if (--h->left > 0)
        return;
    if (h->code)
        pl_direct_fail(h->request, h->code, h->message);
    else
        pl_direct_end(h->request, PL_OK, PL_STR("{}"));
}

static void log_failure(const handler *one, const pl_failure *failure)
{
    const handling *h = one->of;
    pl_log_field fields[] = {
        PL_F_STR("topic", h->event->topic),
        PL_F_STR("group", h->instance->generation->config.consumers[one->member.index].group),
        PL_F_CSTR("code", pl_code_name(failure->code)), PL_F_STR("error", failure->message),
        PL_F_STR("traceback", failure->traceback)};
    size_t count = sizeof fields / sizeof *fields;
    pl_log_write(h->request->direct->log, PL_WARN, PL_STR("event failed"), fields,
                 failure->traceback.len > 0 ? count : count - 1);
}

static void on_settled(pl_group_member *member, const pl_failure *failure)
{
    handler *one = (handler *)member;
    handling *h = one->of;
    one->over = true;
    if (failure) {
        log_failure(one, failure);
        if (!h->code) {
            h->code = failure->code ? failure->code : PL_UNKNOWN;
            h->message = pl_arena_str(&h->request->arena, failure->message);
        }
    }
    one_is_over(h);
}

static void begin(handling *h, handler *one, size_t index)
{
    pl_direct *d = h->request->direct;
    uint64_t monotonic, utc;
    d->host->ops->clock(d->host, &monotonic, &utc);
    one->of = h;
    one->member = (pl_group_member){.host = d->host,
                                    .events = h->instance->events,
                                    .log = d->log,
                                    .handed = &h->handed,
                                    .live = h->instance,
                                    .index = index};
    one->record = (pl_record){.flow = {.offset = (int64_t)d->last_id++, .key = h->event->key},
                              .topic = h->event->topic.ptr,
                              .timestamp = (int64_t)(utc / 1000000),
                              .value = h->event->value};
}

static void handle(pl_direct_request *r)
{
    handling *h = r->job;
    const pl_config *config = &r->direct->endpoint->live->generation->config;
    h->request = r;
    h->instance = r->direct->endpoint->live;
    h->handed = (pl_handed_event){h->event->headers, h->event->header_count, on_settled};
    h->handlers = pl_arena_array(&r->arena, config->consumer_count, sizeof *h->handlers);
    for (size_t i = 0; h->handlers && i < config->consumer_count; i++) {
        if (reads(&config->consumers[i], h->event->topic))
            begin(h, &h->handlers[h->count++], i);
    }
    if (!h->handlers) {
        pl_direct_fail(r, PL_RESOURCE_EXHAUSTED, PL_STR("out of memory"));
        return;
    }
    if (h->count == 0) {
        pl_direct_fail(r, PL_NOT_FOUND, PL_STR("No consumer of the bundle reads this topic."));
        return;
    }
    h->left = h->count + 1; /* until all have begun */
    for (size_t i = 0; i < h->count; i++) {
        pl_record *record = &h->handlers[i].record;
        pl_event_call_start(&h->handlers[i].member, &record, 1);
    }
    one_is_over(h);
}

static void stop_handling(pl_direct_request *r)
{
    const handling *h = r->job;
    for (size_t i = 0; i < h->count; i++) {
        while (h->handlers[i].member.calls)
            pl_event_call_cancel(h->handlers[i].member.calls);
    }
}

static void cut(pl_direct_request *r, const pl_instance *instance)
{
    const handling *h = r->job;
    if (h->instance != instance)
        return;
    stop_handling(r);
    pl_direct_fail(
        r, PL_UNAVAILABLE,
        PL_STR("The app has gone over to a newer version, and the handler took too long on the old "
               "one."));
}

pl_direct_request *pl_direct_handle(const pl_app_event *event, pl_app_done done, void *data)
{
    static const pl_direct_kind kind = {
        .start = handle, .cancel = stop_handling, .cut = cut, .write_error = pl_direct_write_message};
    pl_outgoing *copy = NULL;
    pl_direct_request *r = make(&kind, sizeof(handling), event, &copy, done, data);
    if (r)
        ((handling *)r->job)->event = copy;
    return r;
}
