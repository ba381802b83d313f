/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/map.h"
#include "cli/dlq.h"
#include "events/producer.h"

/* Replaying and dropping: the dead letters that match and are not done yet become so. An event that is
 * replayed is done when the brokers have acknowledged it, and not before; that is committed about once a
 * second, and at the end. So one that ends in the middle, however hard, has lost nothing; at most it
 * publishes the events of the last second again, with the same header perilune-replay-of. */

#define MOST_UNDER_WAY 500
#define COMMIT_MS 1000
#define MOST_TOLD 5 /* letters that cannot be replayed, one by one */

typedef struct replay replay;

/* An event on its way. */
typedef struct sent {
    pl_delivery delivery; /* first */
    replay *replay;
    pl_scan_part *part;
    int64_t offset;
} sent;

/* How many went where. */
typedef struct target {
    pl_str topic;
    uint64_t count;
} target;

struct replay {
    dlq *d;
    const char *topic;
    bool drops;
    pl_scan *scan;
    pl_scan_part *parts;
    size_t count;
    int64_t *passed; /* of each partition: the offset behind the last record that was looked at */
    pl_producer *producer;
    size_t under_way;
    uint64_t matched, finished, others, homeless;
    pl_map targets;
    bool dirty, stopped, enough;
    uint64_t committed_at;
    pl_error failure; /* of an event */
    pl_header *headers;
    size_t header_room;
};

/* SIGINT and SIGTERM are blocked while it runs: what has been done is remembered before it ends. */
static bool is_asked_to_stop(void)
{
    sigset_t pending;
    sigpending(&pending);
    return sigismember(&pending, SIGINT) || sigismember(&pending, SIGTERM);
}

/* --- what is done --- */
static pl_code finish(replay *r, pl_scan_part *part, int64_t offset, pl_error *err)
{
    if (!pl_marks_add(&part->done, offset, offset + 1))
        return pl_fail_memory(err);
    r->finished++;
    r->dirty = true;
    return PL_OK;
}

static pl_code commit(replay *r, pl_error *err)
{
    r->committed_at = pl_clock_ms();
    if (!r->dirty || r->d->dry_run)
        return PL_OK;
    r->dirty = false;
    return pl_scan_commit(r->scan, r->topic, r->parts, r->count, err);
}

static void on_done(pl_delivery *delivery, const pl_acknowledgement *ack)
{
    sent *s = (sent *)delivery;
    replay *r = s->replay;
    r->under_way--;
    if (ack->code) {
        if (!r->failure.code)
            pl_fail(&r->failure, ack->code, "%s/%d/%" PRId64 " was not published again: %s%s", r->topic,
                    s->part->id, s->offset, ack->why ? ack->why : "",
                    ack->code == PL_NOT_FOUND ? " (--by-key chooses partitions anew)" : "");
    } else {
        pl_error err = {0};
        if (finish(r, s->part, s->offset, &err) != PL_OK && !r->failure.code)
            r->failure = err;
    }
    pl_free(s);
}

/* Until no more than so many are under way. */
static pl_code wait_for_acknowledgements(replay *r, size_t most)
{
    while (r->under_way > most) {
        struct pollfd fd = {.fd = pl_producer_fd(r->producer), .events = POLLIN};
        if (poll(&fd, 1, 1000) > 0)
            pl_producer_poll(r->producer);
    }
    return r->failure.code;
}

/* --- what a replayed event is --- */
/* perilune-replayed-event is for consumers that keep sequences: where the event was when it failed; and other
 * groups pass over what is for perilune-replay-group. */
static pl_code make_headers(replay *r, const pl_incoming *in, pl_outgoing *out, pl_str mark, pl_str origin,
                            pl_str group, pl_error *err)
{
    size_t n = 0;
    if (in->header_count + 3 > r->header_room) {
        size_t room = in->header_count + 16;
        pl_header *headers = pl_realloc(r->headers, room * sizeof *headers);
        if (!headers)
            return pl_fail_memory(err);
        r->headers = headers;
        r->header_room = room;
    }
    for (size_t i = 0; i < in->header_count; i++) {
        if (dlq_is_own_header(in->headers[i].name))
            r->headers[n++] = in->headers[i];
    }
    r->headers[n++] = (pl_header){PL_STR("perilune-replay-of"), mark};
    r->headers[n++] = (pl_header){PL_STR("perilune-replayed-event"), origin};
    if (group.len)
        r->headers[n++] = (pl_header){PL_STR("perilune-replay-group"), group};
    out->headers = r->headers;
    out->header_count = n;
    return PL_OK;
}

/* The topic's name, with a NUL; one for all letters that come from there. */
static target *find_target(replay *r, pl_str topic)
{
    target *t = pl_map_get(&r->targets, topic);
    if (t)
        return t;
    t = pl_arena_zalloc(&r->d->arena, sizeof *t);
    pl_str copy = pl_arena_str(&r->d->arena, topic);
    if (!t || !copy.ptr)
        return NULL;
    t->topic = copy;
    return pl_map_set(&r->targets, copy, t) ? t : NULL;
}

static pl_code send(replay *r, pl_scan_part *part, const dead_letter *l, const target *to, pl_error *err)
{
    const pl_incoming *in = l->in;
    char mark[320], origin[320];
    int m = snprintf(origin, sizeof origin, "%.*s/%" PRId64 "/%" PRId64,
                     l->topic.len > 250 ? 250 : (int)l->topic.len, l->topic.ptr, l->partition, l->offset);
    int n = snprintf(mark, sizeof mark, "%s/%d/%" PRId64, r->topic, in->partition, in->offset);
    pl_outgoing event = {
        .topic = to->topic, .key = in->key, .value = in->value, .partition = PL_ANY_PARTITION};
    bool waits;
    if (r->d->keep_timestamp && l->timestamp > 0)
        event.timestamp = l->timestamp;
    /* Where it was before: with that, events of one key stay in one partition however that was chosen. */
    if (!r->d->to && !r->d->by_key && l->partition >= 0 && l->partition <= INT32_MAX)
        event.partition = (int32_t)l->partition;
    if (make_headers(r, in, &event, (pl_str){mark, (size_t)n}, (pl_str){origin, (size_t)m}, l->group, err) !=
        PL_OK)
        return err->code;
    sent *s = pl_calloc(1, sizeof *s);
    if (!s)
        return pl_fail_memory(err);
    *s = (sent){.delivery = {.done = on_done}, .replay = r, .part = part, .offset = in->offset};
    if (pl_producer_send(r->producer, &event, &s->delivery, &waits, err) != PL_OK) {
        pl_free(s);
        return err->code;
    }
    r->under_way++;
    return PL_OK;
}

/* --- letter by letter --- */
/* Offsets without a record (of transactions' markers, or compacted) must not hold up what is committed. */
static pl_code pass_gap(replay *r, pl_scan_part *part, int64_t offset, pl_error *err)
{
    int64_t *passed = &r->passed[part - r->parts];
    if (offset > *passed && !pl_marks_add(&part->done, *passed, offset))
        return pl_fail_memory(err);
    *passed = offset + 1;
    return PL_OK;
}

/* Each hole in what is done has to be remembered, and brokers do not take much for that. */
static pl_code check_room(replay *r, pl_scan_part *part, pl_error *err)
{
    if (pl_marks_have_room(&part->done))
        return PL_OK;
    if (r->producer && wait_for_acknowledgements(r, 0))
        return pl_fail(err, r->failure.code, "%s", r->failure.message);
    if (pl_marks_have_room(&part->done))
        return PL_OK;
    return pl_fail(
        err, PL_RESOURCE_EXHAUSTED,
        "%s/%d: no more single events can be remembered as done: there are too many gaps between those "
        "that are. Replay or drop the older ones first: the first that is not done is at offset %" PRId64,
        r->topic, part->id, part->done.next);
}

static void has_no_home(replay *r, const pl_incoming *in)
{
    if (r->homeless++ < MOST_TOLD)
        fprintf(stderr, "%s/%d/%" PRId64 ": no header says which topic it comes from; --to TOPIC would\n",
                r->topic, in->partition, in->offset);
}

static pl_code replay_one(replay *r, pl_scan_part *part, const dead_letter *l, pl_error *err)
{
    pl_str name = r->d->to ? pl_str_of(r->d->to) : l->topic;
    if (!name.ptr || name.len == 0 || memchr(name.ptr, '\0', name.len)) {
        has_no_home(r, l->in);
        return PL_OK;
    }
    target *to = find_target(r, name);
    if (!to)
        return pl_fail_memory(err);
    r->matched++;
    to->count++;
    if (r->d->dry_run)
        return PL_OK;
    if (wait_for_acknowledgements(r, MOST_UNDER_WAY - 1))
        return pl_fail(err, r->failure.code, "%s", r->failure.message);
    return send(r, part, l, to, err);
}

static pl_code on_letter(void *data, pl_scan_part *part, const pl_incoming *in, pl_error *err)
{
    replay *r = data;
    dead_letter letter;
    if (pass_gap(r, part, in->offset, err) != PL_OK)
        return err->code;
    if (pl_marks_has(&part->done, in->offset))
        return PL_OK;
    dlq_read(in, &letter);
    if (!dlq_matches(&r->d->filter, &letter)) {
        r->others++;
        return PL_OK;
    }
    if (r->d->limit != DLQ_NO_LIMIT && r->matched == r->d->limit) {
        r->enough = true;
        return pl_fail(err, PL_CANCELLED, "enough");
    }
    if (check_room(r, part, err) != PL_OK)
        return err->code;
    if (!r->drops)
        return replay_one(r, part, &letter, err);
    r->matched++;
    return r->d->dry_run ? PL_OK : finish(r, part, in->offset, err);
}

static pl_code on_idle(void *data, pl_error *err)
{
    replay *r = data;
    if (r->producer)
        pl_producer_poll(r->producer);
    if (r->failure.code)
        return pl_fail(err, r->failure.code, "%s", r->failure.message);
    if (is_asked_to_stop()) {
        r->stopped = true;
        return pl_fail(err, PL_CANCELLED, "stopped");
    }
    return pl_clock_ms() - r->committed_at >= COMMIT_MS ? commit(r, err) : PL_OK;
}

/* --- all of it --- */
static pl_code open_replay(replay *r)
{
    dlq *d = r->d;
    const pl_producer_config config = {.kafka = &d->kafka, .log = d->log};
    if (!(r->scan = dlq_open(d, r->topic)) ||
        pl_scan_parts(r->scan, r->topic, &r->parts, &r->count, &d->err) != PL_OK)
        return d->err.code;
    if (!(r->passed = pl_calloc(r->count + 1, sizeof *r->passed)))
        return pl_fail_memory(&d->err);
    for (size_t i = 0; i < r->count; i++) {
        pl_scan_part *part = &r->parts[i];
        part->at = part->done.next;
        if (part->odd)
            fprintf(stderr,
                    "%s/%d: the group has committed something that this command does not know: what is "
                    "done is taken from its offset, %" PRId64 "\n",
                    r->topic, part->id, part->done.next);
        if (d->filter.partition >= 0 && d->filter.partition != part->id)
            part->at = part->high;
        else if (d->filter.offset > part->at)
            part->at = d->filter.offset;
        r->passed[i] = part->at;
    }
    if (!r->drops && !d->dry_run && !(r->producer = pl_producer_new(&config, &d->err)))
        return d->err.code;
    return PL_OK;
}

static pl_code run_replay(replay *r)
{
    static const pl_scan_ops ops = {.event = on_letter, .idle = on_idle};
    dlq *d = r->d;
    pl_error err = {0};
    r->committed_at = pl_clock_ms();
    pl_code code = pl_scan_read(r->scan, r->topic, r->parts, r->count, &ops, r, &d->err);
    if (r->enough || r->stopped)
        code = PL_OK;
    /* Whatever has gone wrong: what was done is remembered. */
    if (r->producer && wait_for_acknowledgements(r, 0) && !code)
        code = pl_fail(&d->err, r->failure.code, "%s", r->failure.message);
    if (commit(r, &err) != PL_OK) {
        fprintf(stderr, "perilune: %s: what was done since the last second will be done again\n",
                err.message);
        if (!code)
            code = pl_fail(&d->err, err.code, "%s", err.message);
    }
    if (!code && d->delete &&!d->dry_run)
        code = pl_scan_delete(r->scan, r->topic, r->parts, r->count, &d->err);
    return code;
}

static void report(const replay *r)
{
    const char *would = r->d->dry_run ? "would be " : "";
    uint64_t n = r->d->dry_run ? r->matched : r->finished;
    printf("%" PRIu64 " %s %s%s", n, n == 1 ? "event" : "events", would, r->drops ? "dropped" : "replayed");
    for (size_t i = 0; !r->drops && i < r->targets.count; i++) {
        const target *t = r->targets.entries[i].value;
        printf("%s%.*s (%" PRIu64 ")", i == 0 ? ", to " : ", ", PL_STR_ARG(t->topic), t->count);
    }
    printf("; %" PRIu64 " did not match the filter", r->others);
    if (r->homeless > 0)
        printf("; %" PRIu64 " do not say where they come from", r->homeless);
    printf("%s.\n", r->stopped ? "; stopped before the end" : r->enough ? "; there are more" : "");
}

static void close_replay(replay *r)
{
    pl_producer_free(r->producer);
    pl_scan_parts_free(r->parts, r->count);
    pl_scan_close(r->scan);
    pl_map_dispose(&r->targets);
    pl_free(r->passed);
    pl_free(r->headers);
}

static int go(dlq *d, const char *topic, bool drops)
{
    replay r = {.d = d, .topic = topic, .drops = drops};
    sigset_t signals, before;
    pl_map_init(&r.targets);
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, &before);
    pl_code code = open_replay(&r);
    if (!code) {
        code = run_replay(&r);
        report(&r);
    }
    bool stopped = r.stopped, homeless = r.homeless > 0;
    close_replay(&r);
    fflush(stdout);
    pthread_sigmask(SIG_SETMASK, &before, NULL); /* now the signal ends it, as it would have */
    return code || stopped || homeless ? 1 : 0;
}

int dlq_replay(dlq *d, const char *topic)
{
    return go(d, topic, false);
}

int dlq_drop(dlq *d, const char *topic)
{
    if (dlq_filter_is_any(&d->filter) && !d->all) {
        pl_fail(&d->err, PL_INVALID_ARGUMENT,
                "drop gives events up: say which, by --filter or --partition, or --all");
        return 2;
    }
    return go(d, topic, true);
}
