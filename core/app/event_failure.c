/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "app/event_call.h"
#include "app/metrics_events.h"

/* What becomes of a record whose handler has failed. On its way through a retry topic, or into a dead-letter
 * topic, it keeps its key, its value and its headers, and gets some of ours. Those of dead letters are the
 * ones that Spring Kafka uses, as there are tools that know them; all values are texts. */

#define AGAIN_MS 5000 /* when the other topic cannot be written */
#define MOST_MESSAGE 1024
#define MOST_TRACEBACK 8192
#define OUR_HEADERS 10 /* at most */

#define H_TOPIC "perilune-original-topic"
#define H_PARTITION "perilune-original-partition"
#define H_OFFSET "perilune-original-offset"
#define H_TIMESTAMP "perilune-original-timestamp"
#define H_ATTEMPT "perilune-attempt"
#define H_RETRY_AT "perilune-retry-at"
#define H_FOR_GROUP "perilune-replay-group" /* of `perilune dlq replay`: the others have handled it */

/* --- where a record comes from --- */
static int64_t number_of(pl_str text, int64_t standard)
{
    char copy[32], *end;
    if (!text.ptr || text.len == 0 || text.len >= sizeof copy)
        return standard;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    long long n = strtoll(copy, &end, 10);
    return *end || n < 0 ? standard : n;
}

/* From 1; 0: it is none. */
static unsigned retry_topic_of(const pl_consumer_decl *decl, const pl_record *r)
{
    for (unsigned i = 0; i < decl->retry.topic_count; i++) {
        if (pl_str_is(decl->retry_topics[i], r->topic))
            return i + 1;
    }
    return 0;
}

int64_t pl_event_not_before(const pl_consumer_decl *decl, const pl_record *r)
{
    return retry_topic_of(decl, r) ? number_of(pl_record_header(r, H_RETRY_AT), 0) : 0;
}

static bool is_ours(pl_str name)
{
    static const char *const names[] = {H_TOPIC, H_PARTITION, H_OFFSET, H_TIMESTAMP, H_ATTEMPT, H_RETRY_AT};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (pl_str_is(name, names[i]))
            return true;
    }
    return false;
}

static void read_ours(pl_origin *origin, const pl_header *h)
{
    if (pl_str_is(h->name, H_TOPIC))
        origin->topic = h->value;
    else if (pl_str_is(h->name, H_PARTITION))
        origin->partition = (int32_t)number_of(h->value, origin->partition);
    else if (pl_str_is(h->name, H_OFFSET))
        origin->offset = number_of(h->value, origin->offset);
    else if (pl_str_is(h->name, H_TIMESTAMP))
        origin->timestamp = number_of(h->value, origin->timestamp);
    else if (pl_str_is(h->name, H_ATTEMPT))
        origin->attempts = (unsigned)number_of(h->value, 0);
}

bool pl_event_read_origin(const pl_consumer_decl *decl, pl_arena *arena, pl_event_item *item)
{
    const pl_record *r = item->record;
    const pl_header *all;
    size_t count, n = 0;
    item->origin = (pl_origin){.topic = pl_str_of(r->topic),
                               .partition = r->partition,
                               .offset = r->flow.offset,
                               .timestamp = r->timestamp,
                               .retry_topics = retry_topic_of(decl, r)};
    if (item->call->member->handed) {
        item->headers = item->call->member->handed->headers;
        item->header_count = item->call->member->handed->header_count;
        return true;
    }
    if (!pl_record_headers(r, arena, &all, &count))
        return false;
    item->headers = all;
    item->header_count = count;
    for (size_t i = 0; i < count; i++)
        item->passed_over |= pl_str_is(all[i].name, H_FOR_GROUP) && !pl_str_eq(all[i].value, decl->group);
    if (item->origin.retry_topics == 0)
        return true;
    pl_header *own = pl_arena_array(arena, count, sizeof *own);
    if (!own)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (is_ours(all[i].name))
            read_ours(&item->origin, &all[i]);
        else
            own[n++] = all[i];
    }
    item->headers = own;
    item->header_count = n;
    return true;
}

/* --- on to another topic --- */
typedef struct letter {
    pl_arena *arena;
    pl_header *headers;
    size_t count;
    bool failed;
} letter;

static void put(letter *l, const char *name, pl_str value)
{
    l->failed |= !value.ptr;
    l->headers[l->count++] = (pl_header){pl_str_of(name), value};
}

static void put_number(letter *l, const char *name, int64_t value)
{
    put(l, name, pl_arena_printf(l->arena, "%lld", (long long)value));
}

static pl_str cut(pl_str text, size_t most)
{
    if (!text.ptr)
        return PL_STR("");
    return (pl_str){text.ptr, text.len < most ? text.len : most};
}

static unsigned attempts_of(const pl_event_item *item)
{
    return item->origin.attempts + item->record->retries + 1;
}

static void put_dead(letter *l, const pl_event_item *item)
{
    const pl_origin *o = &item->origin;
    put(l, "kafka_dlt-original-topic", o->topic);
    put_number(l, "kafka_dlt-original-partition", o->partition);
    put_number(l, "kafka_dlt-original-offset", o->offset);
    put_number(l, "kafka_dlt-original-timestamp", o->timestamp);
    put(l, "kafka_dlt-original-consumer-group", item->call->decl->group);
    put(l, "kafka_dlt-exception-fqcn", pl_str_of(pl_code_name(item->failure->code)));
    put(l, "kafka_dlt-exception-message", cut(item->failure->message, MOST_MESSAGE));
    put(l, "kafka_dlt-exception-stacktrace", cut(item->failure->traceback, MOST_TRACEBACK));
    put_number(l, H_ATTEMPT, attempts_of(item));
}

static void put_retry(letter *l, const pl_event_item *item, uint64_t wait)
{
    const pl_origin *o = &item->origin;
    pl_host *host = item->call->member->host;
    uint64_t monotonic, utc;
    host->ops->clock(host, &monotonic, &utc);
    put(l, H_TOPIC, o->topic);
    put_number(l, H_PARTITION, o->partition);
    put_number(l, H_OFFSET, o->offset);
    put_number(l, H_TIMESTAMP, o->timestamp);
    put_number(l, H_ATTEMPT, attempts_of(item));
    put_number(l, H_RETRY_AT, (int64_t)(utc / 1000000 + wait));
}

static pl_str dead_letter_topic(const pl_event_item *item)
{
    const pl_consumer_decl *decl = item->call->decl;
    return decl->dead_letter.len > 0
               ? decl->dead_letter
               : pl_arena_printf(&item->call->arena, "%.*s-dlq", PL_STR_ARG(item->origin.topic));
}

static void delivered(pl_delivery *delivery, const pl_acknowledgement *ack);

/* The record is done with when the other topic has it. With transactions, that is when they are committed. */
static pl_code send_on(pl_event_item *item, const pl_outgoing *event, pl_error *err)
{
    pl_event_call *call = item->call;
    bool waits;
    if (call->decl->exactly_once)
        return pl_consumer_publish(call->member->consumer, item->record, event, err);
    item->delivery = (pl_delivery){.done = delivered, .data = item};
    pl_code code = pl_events_produce(call->member->events, event, &item->delivery, &waits, err);
    call->pending += code == PL_OK;
    return code;
}

static void try_later(pl_event_item *item, const char *why)
{
    const pl_origin *o = &item->origin;
    pl_log(item->call->member->log, PL_ERROR,
           item->dead ? "dead letter not written, tried again" : "not retried, tried again",
           PL_F_CSTR("to", item->to ? item->to : "?"), PL_F_STR("topic", o->topic),
           PL_F_INT("partition", o->partition), PL_F_INT("offset", o->offset),
           PL_F_STR("group", item->call->decl->group), PL_F_CSTR("error", why));
    pl_consumer_retry(item->call->member->consumer, item->record, AGAIN_MS);
    item->record = NULL;
}

/* --- what is counted --- */
static pl_event_series *series_of(const pl_event_item *item)
{
    pl_group_member *member = item->call->member;
    return pl_event_series_get(&member->series, pl_metrics_of(member->host), item->record->topic,
                               item->call->decl->group);
}

static double seconds_since(const pl_event_call *call)
{
    return (double)(pl_metrics_now_ns(pl_metrics_of(call->member->host)) - call->began) * 1e-9;
}

static void count_attempt(const pl_event_call *call)
{
    const pl_event_series *s = series_of(&call->items[0]);
    if (s)
        pl_stat_observe(s->duration, seconds_since(call));
}

static void count_consumed(const pl_event_item *item)
{
    const pl_event_series *s = series_of(item);
    if (s)
        pl_stat_add(s->consumed, 1);
}

static void sent_on(pl_event_item *item)
{
    pl_group_member *member = item->call->member;
    const pl_event_series *s = series_of(item);
    if (s)
        pl_stat_add(item->dead ? s->dead_lettered : s->retried, 1);
    count_consumed(item);
    *(item->dead ? &member->stats.dead_lettered : &member->stats.retried) += 1;
    pl_consumer_done(member->consumer, item->record);
    item->record = NULL;
}

static void delivered(pl_delivery *delivery, const pl_acknowledgement *ack)
{
    pl_event_item *item = delivery->data;
    pl_event_call *call = item->call;
    if (ack->code)
        try_later(item, ack->why);
    else
        sent_on(item);
    if (--call->pending == 0)
        pl_event_call_free(call);
}

static void pass_on(pl_event_item *item, const pl_retry_verdict *verdict)
{
    pl_event_call *call = item->call;
    pl_error err;
    letter l = {.arena = &call->arena};
    pl_outgoing event = {
        .key = item->record->flow.key, .value = item->record->value, .partition = PL_ANY_PARTITION};
    pl_error_clear(&err);
    item->dead = verdict->kind == PL_DEAD_LETTER;
    event.topic = item->dead ? dead_letter_topic(item) : call->decl->retry_topics[verdict->topic];
    l.headers = pl_arena_array(&call->arena, item->header_count + OUR_HEADERS, sizeof *l.headers);
    if (l.headers && event.topic.ptr) {
        if (item->header_count > 0)
            memcpy(l.headers, item->headers, item->header_count * sizeof *l.headers);
        l.count = item->header_count;
        if (item->dead)
            put_dead(&l, item);
        else
            put_retry(&l, item, verdict->wait);
    }
    event.headers = l.headers;
    event.header_count = l.count;
    item->to = event.topic.ptr;
    if (!l.headers || !event.topic.ptr || l.failed)
        try_later(item, "out of memory");
    else if (send_on(item, &event, &err) != PL_OK)
        try_later(item, err.message);
    else if (call->decl->exactly_once)
        sent_on(item);
}

/* --- the decision --- */
static void log_failure(const pl_event_item *item, const pl_retry_verdict *verdict)
{
    static const char *const next[] = {"tried again", "retry topic", "dead letter"};
    const pl_failure *failure = item->failure;
    const pl_origin *o = &item->origin;
    pl_log_field fields[] = {PL_F_STR("topic", o->topic),
                             PL_F_INT("partition", o->partition),
                             PL_F_INT("offset", o->offset),
                             PL_F_STR("group", item->call->decl->group),
                             PL_F_INT("attempt", attempts_of(item)),
                             PL_F_CSTR("next", next[verdict->kind]),
                             PL_F_CSTR("code", pl_code_name(failure->code)),
                             PL_F_STR("error", failure->message),
                             PL_F_STR("traceback", failure->traceback)};
    size_t count = sizeof fields / sizeof *fields;
    pl_log_write(item->call->member->log, verdict->kind == PL_DEAD_LETTER ? PL_ERROR : PL_WARN,
                 PL_STR("event failed"), fields, failure->traceback.len > 0 ? count : count - 1);
}

static pl_retry_verdict decide(const pl_event_item *item)
{
    const pl_consumer_decl *decl = item->call->decl;
    double chance = pl_random_unit(&item->call->member->random);
    unsigned attempt = item->record->retries + 1;
    pl_retry_verdict verdict =
        pl_retry_decide(&decl->retry, item->failure->code, attempt, item->origin.retry_topics, chance);
    if (verdict.kind == PL_DEAD_LETTER && decl->no_dead_letter) {
        pl_retry_policy patient = decl->retry;
        patient.attempts = attempt + 1;
        patient.never = pl_code_bit(PL_OK);
        verdict = pl_retry_decide(&patient, item->failure->code, attempt, 0, chance);
    }
    return verdict;
}

static void resume(pl_timer *timer)
{
    pl_group_member *member = timer->data;
    pl_circuit_resumed(&member->circuit);
    pl_log(member->log, PL_INFO, "consumer goes on after a pause");
    pl_consumer_hold(member->consumer, PL_HELD_BY_CIRCUIT, false);
}

static void count_failure(pl_event_item *item)
{
    pl_group_member *member = item->call->member;
    const pl_consumer_decl *decl = item->call->decl;
    const pl_event_series *s = series_of(item);
    member->stats.failed++;
    if (s)
        pl_event_series_failed(s, item->failure->code);
    if (!pl_retry_is_worthwhile(&decl->retry, item->failure->code))
        return; /* the event's own fault */
    uint64_t pause = pl_circuit_failed(&member->circuit, &decl->circuit);
    if (pause == 0)
        return;
    member->resume = (pl_timer){.fire = resume, .data = member};
    if (member->host->ops->timer_start(member->host, &member->resume,
                                       member->host->ops->now(member->host) + pause) != 0) {
        pl_circuit_resumed(&member->circuit);
        return;
    }
    pl_log(member->log, PL_ERROR, "consumer pauses: everything fails", PL_F_STR("group", decl->group),
           PL_F_STR("consumer", decl->name), PL_F_INT("failures", member->circuit.failures),
           PL_F_INT("pause_ms", (int64_t)pause), PL_F_STR("error", item->failure->message));
    pl_consumer_hold(member->consumer, PL_HELD_BY_CIRCUIT, true);
}

static void settle_failed(pl_event_item *item)
{
    count_failure(item);
    pl_consumer_discard(item->call->member->consumer, item->record);
    pl_retry_verdict verdict = decide(item);
    log_failure(item, &verdict);
    if (verdict.kind == PL_RETRY_HERE) {
        const pl_event_series *s = series_of(item);
        if (s)
            pl_stat_add(s->retried, 1);
        pl_consumer_retry(item->call->member->consumer, item->record, verdict.wait);
        item->record = NULL;
    } else {
        pass_on(item, &verdict);
    }
}

/* What a batch has published goes with the last record of it that is done: only when all before are done,
 * too, their transaction is complete. */
static void keep_outputs(pl_event_call *call)
{
    for (size_t i = call->count; i-- > 0;) {
        if (!call->items[i].failed) {
            pl_consumer_hand_over(call->items[0].record, call->items[i].record);
            return;
        }
    }
}

/* Nothing is tried again, and there are no dead letters: whoever has handed it over is told. */
static void settle_handed(pl_event_call *call)
{
    pl_group_member *member = call->member;
    pl_arena arena = call->arena; /* the failure is in it */
    const pl_failure *failure = call->items[0].failed ? call->items[0].failure : NULL;
    pl_arena_init(&call->arena, 0);
    pl_event_call_free(call);
    member->handed->settled(member, failure);
    pl_arena_dispose(&arena);
}

/* Of a batch, whose records were last touched before its first was handled. */
static void look_ahead(const pl_event_call *call, size_t i)
{
    for (unsigned near = 0; near < 2; near++) {
        size_t place = i + (near ? 3 : 6);
        if (place < call->count && call->items[place].record)
            pl_record_soon(call->items[place].record, near);
    }
}

void pl_event_settle(pl_event_call *call)
{
    if (call->member->handed) {
        settle_handed(call);
        return;
    }
    call->pending = 1; /* until all have been seen */
    count_attempt(call);
    if (call->decl->exactly_once)
        keep_outputs(call);
    for (size_t i = 0; i < call->count; i++) {
        pl_event_item *item = &call->items[i];
        look_ahead(call, i);
        if (item->failed) {
            settle_failed(item);
            continue;
        }
        pl_circuit_succeeded(&call->member->circuit);
        count_consumed(item);
        pl_consumer_done(call->member->consumer, item->record);
        item->record = NULL;
    }
    if (--call->pending == 0)
        pl_event_call_free(call);
}
