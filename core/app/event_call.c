/* SPDX-License-Identifier: MIT */
#include "app/event_call.h"

#include <limits.h>

#include "app/consumer_hooks.h"
#include "app/generation.h"
#include "base/alloc.h"
#include "base/format.h"
#include "proto/codec.h"
#include "value/json_tape.h"
#include "value/meter.h"

#define RETRY_WITHOUT_MEMORY_MS 1000
#define MOST_TOKENS 4096 /* of JSON: memory for more is not kept */
#ifdef PL_ARENA_POISONS
#define MOST_SPARE 0 /* AddressSanitizer is to see what is used behind its end */
#else
#define MOST_SPARE 1024
#endif
#define ARENA_BYTES 1024
#define ARGUMENTS 3 /* event, msg, ctx */

static const pl_engine *engine_of(const pl_event_call *call)
{
    return pl_engine_of(call->instance->state);
}

/* --- what a handler gets --- */

/* Pushes the event. Not OK: the bytes are none, or memory. [jumps] */
static pl_code push_event(pl_event_call *call, const pl_record *r, pl_error *err)
{
    const pl_engine *e = engine_of(call);
    pl_state *state = call->instance->state;
    const pl_json_limits limits = {.max_depth = 200};
    pl_json_tape *tape = &call->member->tape;
    if (!r->value.ptr) {
        e->push_absent(state);
        return PL_OK;
    }
    if (call->decl->format == PL_EVENT_BYTES) {
        e->push_string(state, r->value);
        return PL_OK;
    }
    if (call->decl->format == PL_EVENT_PROTOBUF)
        return pb_decode(call->instance->codec, call->decl->message, r->value, err);
    pl_json_tape_trim(tape, MOST_TOKENS);
    if (pl_json_scan(tape, &call->arena, r->value, &limits, err) != PL_OK)
        return err->code;
    pl_push_tape(state, tape);
    return PL_OK;
}

static void set_text(pl_event_call *call, pl_slot map, const char *name, pl_str text)
{
    const pl_engine *e = engine_of(call);
    if (!text.ptr)
        return;
    e->push_string(call->instance->state, text);
    e->set_member(call->instance->state, map, pl_str_of(name));
}

static void set_int(pl_event_call *call, pl_slot map, const char *name, int64_t value)
{
    const pl_engine *e = engine_of(call);
    e->push_int(call->instance->state, value);
    e->set_member(call->instance->state, map, pl_str_of(name));
}

static pl_str id_of(pl_event_call *call, const pl_origin *origin)
{
    size_t len = origin->topic.len, room = len + 2 * (1 + PL_FORMAT_INT_MAX) + 1;
    bool own = origin != &call->items[0].origin || room > sizeof call->id;
    char *text = own ? pl_arena_alloc(&call->arena, room) : call->id;
    if (!text)
        return PL_STR_NONE;
    if (len > 0)
        memcpy(text, origin->topic.ptr, len);
    text[len++] = '/';
    len += pl_format_int(text + len, origin->partition);
    text[len++] = '/';
    len += pl_format_int(text + len, origin->offset);
    text[len] = '\0';
    return (pl_str){text, len};
}

/* Of headers with the same name the last one counts. [jumps] */
static void push_message_map(pl_event_call *call, const pl_event_message *m, pl_str id)
{
    const pl_engine *e = engine_of(call);
    pl_state *state = call->instance->state;
    e->push_map(state, 10);
    pl_slot map = e->top(state);
    set_text(call, map, "key", m->key);
    set_text(call, map, "value", m->value);
    set_text(call, map, "topic", m->topic);
    set_text(call, map, "id", id);
    set_int(call, map, "partition", m->partition);
    set_int(call, map, "offset", m->offset);
    set_int(call, map, "attempt", m->attempt);
    if (m->timestamp >= 0) {
        e->push_float(state, (double)m->timestamp / 1000.0);
        e->set_member(state, map, PL_STR("timestamp"));
    }
    e->push_map(state, m->header_count);
    pl_slot headers = e->top(state);
    for (size_t i = 0; i < m->header_count; i++) {
        e->push_string(state, m->headers[i].value.ptr ? m->headers[i].value : PL_STR(""));
        e->set_member(state, headers, m->headers[i].name);
    }
    e->set_member(state, map, PL_STR("headers"));
}

/* [jumps] */
static void push_msg(pl_event_call *call, const pl_event_item *item)
{
    const pl_engine *e = engine_of(call);
    const pl_record *r = item->record;
    const pl_origin *o = &item->origin;
    const pl_event_message m = {.key = r->flow.key,
                                .value = r->value,
                                .topic = o->topic,
                                .partition = o->partition,
                                .offset = o->offset,
                                .timestamp = o->timestamp,
                                .attempt = o->attempts + r->retries + 1,
                                .headers = item->headers,
                                .header_count = item->header_count};
    /* Functions of the host program read it as they read any map. */
    if (e->push_message && call->functions->arity != PL_ARITY_NATIVE)
        e->push_message(call->instance->state, &m);
    else
        push_message_map(call, &m, item == call->items ? call->work.id : id_of(call, o));
}

/* --- the end --- */
static void unlink_call(pl_event_call *call)
{
    *(call->prev ? &call->prev->next : &call->member->calls) = call->next;
    if (call->next)
        call->next->prev = call->prev;
}

void pl_group_member_dispose(pl_group_member *member)
{
    for (pl_event_call *call = member->spare, *next; call; call = next) {
        next = call->next;
        pl_arena_dispose(&call->arena);
        pl_free(call);
    }
    member->spare = NULL;
    member->spare_count = 0;
    pl_json_tape_dispose(&member->tape);
}

/* Zero, but for an arena that has its first chunk. NULL: memory. */
static pl_event_call *take_call(pl_group_member *member, size_t count)
{
    pl_event_call *call = count == 1 ? member->spare : NULL;
    size_t size = sizeof *call + count * sizeof *call->items;
    if (!call) {
        if ((call = pl_calloc(1, size)) != NULL)
            pl_arena_init(&call->arena, count == 1 ? ARENA_BYTES : 0);
        return call;
    }
    pl_arena arena = call->arena;
    for (size_t i = 0; call->next && i < size; i += 64) /* the next one is going to be used, too */
        __builtin_prefetch((const char *)call->next + i, 1);
    member->spare = call->next;
    member->spare_count--;
    memset(call, 0, size);
    call->arena = arena;
    return call;
}

static void keep_call(pl_group_member *member, pl_event_call *call)
{
    if (call->count != 1 || member->handed || member->spare_count + 1 > MOST_SPARE) {
        pl_arena_dispose(&call->arena);
        pl_free(call);
        return;
    }
    pl_arena_reset(&call->arena);
    call->next = member->spare;
    member->spare = call;
    member->spare_count++;
}

void pl_event_call_free(pl_event_call *call)
{
    pl_group_member *member = call->member;
    pl_host *host = member->host;
    host->ops->timer_stop(host, &call->deadline);
    engine_of(call)->work_end(call->instance->state, &call->work);
    call->instance->in_flight--;
    unlink_call(call);
    keep_call(member, call);
    if (member->handed && !member->calls)
        pl_group_member_dispose(member);
    pl_consumer_hooks *hooks = member->calls ? NULL : member->hooks;
    if (hooks)
        pl_consumer_hooks_step(hooks);
}

static void cancel_scripts(pl_event_call *call)
{
    pl_call *running = call->running, *chain = call->chain;
    call->running = call->chain = NULL;
    if (running)
        engine_of(call)->cancel(call->instance->state, running);
    if (chain)
        engine_of(call)->cancel(call->instance->state, chain);
}

void pl_event_call_cancel(pl_event_call *call)
{
    pl_consumer *consumer = call->member->consumer;
    cancel_scripts(call);
    for (size_t i = 0; i < call->count; i++) {
        pl_event_item *item = &call->items[i];
        pl_delivery_forget(&item->delivery);
        if (item->record && consumer)
            pl_consumer_retry(consumer, item->record, 0);
    }
    pl_event_call_free(call);
}

/* Its bytes are in the arena, or for ever. */
static const pl_failure *keep_failure(pl_event_call *call, const pl_failure *failure)
{
    pl_failure *kept = pl_arena_alloc(&call->arena, sizeof *kept);
    if (!kept)
        return &pl_failure_no_memory;
    *kept = *failure;
    return kept;
}

/* The same for all of them. */
static void fail_all(pl_event_call *call, const pl_failure *failure)
{
    const pl_failure *kept = keep_failure(call, failure);
    for (size_t i = 0; i < call->count; i++) {
        if (call->items[i].failed || call->items[i].passed_over)
            continue; /* it could not be decoded: that is what counts */
        call->items[i].failed = true;
        call->items[i].failure = kept;
    }
}

/* --- the handler, and what the interceptors make of its end --- */
typedef struct section {
    pl_event_call *call;
    pl_call_status status;
    pl_call *pending;
    pl_failure failure;
    bool ran;
} section;

static void proceed_section(void *data)
{
    section *s = data;
    pl_event_call *call = s->call;
    pl_push_outcome(call->instance->state, call->code, call->message);
    s->ran = true;
    engine_of(call)->proceed(call->instance->state, call->chain, PL_CALL_DONE, NULL);
}

static void handler_ended(pl_event_call *call)
{
    section s = {.call = call};
    pl_error err;
    pl_error_clear(&err);
    call->running = NULL;
    call->handler_over = true;
    if (!call->chain) {
        pl_event_settle(call);
        return;
    }
    engine_of(call)->protect(call->instance->state, proceed_section, &s, &err);
    if (s.ran)
        return; /* the chain's end has settled it, or is awaited */
    cancel_scripts(call);
    fail_all(call, &pl_failure_no_memory);
    pl_event_settle(call);
}

static void handler_failed(pl_event_call *call, const pl_failure *failure)
{
    call->code = failure->code;
    call->message = failure->message;
    fail_all(call, failure);
    handler_ended(call);
}

/* A batch's handler may return { [3] = error, … }: those have failed, and the others have not. [jumps] */
static void read_failures(pl_event_call *call, pl_slot result)
{
    const pl_engine *e = engine_of(call);
    pl_state *state = call->instance->state;
    pl_kind kind = e->kind(state, result);
    if (!call->decl->batch || (kind != PL_KIND_MAP && kind != PL_KIND_LIST))
        return;
    e->make_room(state, 8);
    e->push_absent(state);
    pl_slot key = e->top(state);
    while (e->next(state, result)) {
        int64_t i = e->kind(state, key) == PL_KIND_INT ? e->get_int(state, key) : 0;
        pl_failure failure = {.code = PL_UNKNOWN, .expected = true, .message = PL_STR("the handler says so")};
        if (e->kind(state, key + 1) == PL_KIND_STRING)
            failure.message = pl_arena_str(&call->arena, e->get_string(state, key + 1));
        else if (e->read_error)
            e->read_error(state, key + 1, &call->arena, &failure);
        for (size_t k = 0; i >= 1 && k < call->count; k++) {
            if (call->items[k].place == (size_t)i) {
                call->items[k].failed = true;
                call->items[k].failure = keep_failure(call, &failure);
            }
        }
        e->pop_to(state, key);
    }
}

static void handler_done(pl_call *pending, pl_call_status status, pl_slot result, const pl_failure *failure)
{
    pl_event_call *call = pending->data;
    call->running = NULL;
    if (call->handler_over)
        return; /* called once more, since what follows on the end was left by a jump */
    if (status == PL_CALL_FAILED) {
        handler_failed(call, failure);
    } else {
        read_failures(call, result);
        handler_ended(call);
    }
}

/* Pushes the event of an item, or notes why that cannot be. [jumps] */
static bool decode(pl_event_call *call, pl_event_item *item)
{
    pl_error err;
    pl_error_clear(&err);
    if (push_event(call, item->record, &err) == PL_OK)
        return true;
    const pl_failure failure = {
        .code = err.code, .expected = true, .message = pl_arena_str(&call->arena, pl_str_of(err.message))};
    item->failed = true;
    item->failure = keep_failure(call, &failure);
    return false;
}

/* stack: → event [msg] */
static int push_single(pl_event_call *call, int arity)
{
    if (!decode(call, &call->items[0]))
        return 0;
    if (arity >= 2)
        push_msg(call, &call->items[0]);
    return arity >= 2 ? 2 : 1;
}

/* stack: → events msgs, without those that are no events */
static int push_batch(pl_event_call *call)
{
    const pl_engine *e = engine_of(call);
    pl_state *state = call->instance->state;
    size_t n = 0;
    e->push_list(state, call->count);
    pl_slot events = e->top(state);
    e->push_list(state, call->count);
    pl_slot msgs = e->top(state);
    for (size_t i = 0; i < call->count; i++) {
        if (call->items[i].passed_over || !decode(call, &call->items[i]))
            continue;
        e->set_element(state, events, n);
        push_msg(call, &call->items[i]);
        e->set_element(state, msgs, n);
        call->items[i].place = ++n;
    }
    return n > 0 ? 2 : 0;
}

static void invoke_section(void *data)
{
    section *s = data;
    pl_event_call *call = s->call;
    const pl_engine *e = engine_of(call);
    pl_state *state = call->instance->state;
    int arity = call->functions->arity;
    s->failure = pl_failure_no_memory;
    if (!e->reserve(state, 32))
        return;
    int nargs = call->decl->batch ? push_batch(call) : push_single(call, arity);
    if (nargs == 0) { /* nothing is left to be handled */
        for (size_t i = call->count; i-- > 0;) {
            if (call->items[i].failed)
                s->failure = *call->items[i].failure;
        }
        s->status = PL_CALL_FAILED;
        return;
    }
    if (nargs == 2 && arity >= ARGUMENTS) {
        e->push_ctx(state, &call->work);
        nargs = ARGUMENTS;
    }
    s->status = e->call(state, call->functions->handler, nargs, &call->work, &s->pending, &s->failure);
    if (s->status == PL_CALL_DONE)
        read_failures(call, e->top(state));
}

static void invoke(pl_event_call *call)
{
    section s = {.call = call, .status = PL_CALL_FAILED, .failure = pl_failure_no_memory};
    pl_error err;
    pl_error_clear(&err);
    engine_of(call)->protect(call->instance->state, invoke_section, &s, &err);
    if (s.status == PL_CALL_PENDING) {
        s.pending->done = handler_done;
        s.pending->data = call;
        call->running = s.pending;
    } else if (s.status == PL_CALL_FAILED) {
        handler_failed(call, &s.failure);
    } else {
        handler_ended(call);
    }
}

/* --- interceptors --- */
static void chain_ended(pl_event_call *call, pl_call_status status, const pl_failure *failure)
{
    call->chain = NULL;
    if (status == PL_CALL_FAILED)
        fail_all(call, failure);
    else if (!call->handler_over)
        fail_all(call, &pl_failure_no_next);
    call->handler_over = true;
    pl_event_settle(call);
}

static void chain_done(pl_call *pending, pl_call_status status, pl_slot result, const pl_failure *failure)
{
    (void)result;
    chain_ended(pending->data, status, failure);
}

static void chain_proceed(pl_call *pending)
{
    invoke(pending->data);
}

static void intercept(pl_event_call *call)
{
    pl_call *pending = NULL;
    pl_failure failure;
    pl_call_status status = pl_call_with_ctx(call->instance->state, call->instance->interceptors, &call->work,
                                             &pending, &failure);
    if (status != PL_CALL_PENDING) {
        chain_ended(call, status, &failure);
        return;
    }
    call->chain = pending;
    pending->done = chain_done;
    pending->proceed = chain_proceed;
    pending->data = call;
    if (pending->wants_next)
        invoke(call);
}

/* --- the beginning --- */
static void on_deadline(pl_timer *timer)
{
    pl_event_call *call = timer->data;
    pl_failure failure = {.code = PL_DEADLINE_EXCEEDED, .expected = true};
    if (call->handler_over && !call->chain)
        return; /* only a delivery is under way, which has a time of its own */
    failure.message =
        pl_arena_printf(&call->arena, "the handler has taken longer than %u ms", call->decl->timeout_ms);
    cancel_scripts(call);
    call->handler_over = true;
    fail_all(call, &failure);
    pl_event_settle(call);
}

static pl_code publish(pl_event_sink *sink, const pl_outgoing *event, pl_error *err)
{
    pl_event_call *call = (pl_event_call *)((char *)sink - offsetof(pl_event_call, sink));
    return pl_consumer_publish(call->member->consumer, call->items[0].record, event, err);
}

static bool fill(pl_event_call *call, pl_record **records)
{
    bool ok = true;
    for (size_t i = 0; i < call->count; i++) {
        pl_event_item *item = &call->items[i];
        item->call = call;
        item->record = records[i];
        records[i]->work = call;
        ok &= pl_event_read_origin(call->decl, &call->arena, item);
    }
    const pl_event_item *first = &call->items[0];
    call->work = (pl_work){.protocol = "event",
                           .id = id_of(call, &first->origin),
                           .headers = first->headers,
                           .header_count = first->header_count,
                           .arena = &call->arena,
                           .operation_name = first->origin.topic,
                           .operation_kind = call->decl->batch ? "batch" : "event",
                           .ctx = PL_REF_NONE,
                           .log = call->member->log};
    if (call->decl->exactly_once && !call->member->handed) {
        call->sink.publish = publish;
        call->work.sink = &call->sink;
    }
    return ok && call->work.id.ptr;
}

static void set_deadline(pl_event_call *call)
{
    pl_host *host = call->member->host;
    call->deadline = (pl_timer){.fire = on_deadline, .data = call};
    if (call->decl->timeout_ms == 0)
        return;
    call->work.deadline = host->ops->now(host) + call->decl->timeout_ms;
    host->ops->timer_start(host, &call->deadline, call->work.deadline);
}

static bool is_for_others(const pl_event_call *call)
{
    bool all = true;
    for (size_t i = 0; i < call->count; i++)
        all &= call->items[i].passed_over;
    return all;
}

void pl_event_call_start(pl_group_member *member, pl_record **records, size_t count)
{
    pl_event_call *call = take_call(member, count);
    if (!call && member->handed) {
        member->handed->settled(member, &pl_failure_no_memory);
        return;
    }
    if (!call) {
        for (size_t i = 0; i < count; i++)
            pl_consumer_retry(member->consumer, records[i], RETRY_WITHOUT_MEMORY_MS);
        return;
    }
    call->member = member;
    call->instance = member->live;
    call->decl = &call->instance->generation->config.consumers[member->index];
    call->functions = &call->instance->consumers[member->index];
    call->count = count;
    call->began = member->host->meter ? member->host->meter->now(member->host->meter) : 0;
    call->instance->in_flight++;
    call->next = member->calls;
    if (call->next)
        call->next->prev = call;
    member->calls = call;
    if (!fill(call, records)) {
        fail_all(call, &pl_failure_no_memory);
        pl_event_settle(call);
        return;
    }
    if (is_for_others(call)) {
        pl_event_settle(call);
        return;
    }
    set_deadline(call);
    if (call->instance->interceptors != PL_REF_NONE)
        intercept(call);
    else
        invoke(call);
}
