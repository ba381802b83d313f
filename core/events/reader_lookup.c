/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "events/reader_internal.h"

#define ASK_MS 2000 /* that a helper waits for brokers */
#define RETRY_MS 100
#define MOST_RETRY_MS 5000
#define ABSENT_TRIES 3 /* a topic may be so new that not each broker knows it */

static const char lane; /* of all lookups: brokers that are out of reach hold up one helper */

/* --- partitions --- */
static size_t place_of(const pl_reader *r, int32_t id)
{
    size_t low = 0, high = r->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (r->parts[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

pl_reader_part *pl_reader_find(const pl_reader *r, int32_t id)
{
    size_t at = place_of(r, id);
    return at < r->count && r->parts[at].id == id ? &r->parts[at] : NULL;
}

/* librdkafka does not wait for anything here. */
static void pause_part(pl_reader *r, int32_t id)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, r->spec.topic.ptr, id);
    rd_kafka_pause_partitions(r->client, list);
    rd_kafka_topic_partition_list_destroy(list);
}

void pl_reader_part_over(pl_reader *r, pl_reader_part *part)
{
    if (part->over)
        return;
    part->over = true;
    r->over++;
    pause_part(r, part->id);
}

pl_reader_part *pl_reader_tell(pl_reader *r)
{
    for (size_t i = 0; r->untold > 0 && i < r->count; i++) {
        if (!r->parts[i].untold)
            continue;
        r->parts[i].untold = false;
        r->untold--;
        return &r->parts[i];
    }
    return NULL;
}

bool pl_reader_is_over(const pl_reader *r)
{
    return r->spec.to_end && r->placed && r->over == r->count;
}

bool pl_reader_is_placed(const pl_reader *r)
{
    return r->placed;
}

static bool add_part(pl_reader *r, int32_t id, int64_t start, int64_t end)
{
    size_t at = place_of(r, id);
    if (r->count == r->room) {
        size_t room = r->room ? r->room * 2 : 16;
        pl_reader_part *parts = pl_realloc(r->parts, room * sizeof *parts);
        if (!parts)
            return false;
        r->parts = parts;
        r->room = room;
    }
    memmove(&r->parts[at + 1], &r->parts[at], (r->count - at) * sizeof *r->parts);
    r->parts[at] = (pl_reader_part){.id = id, .next = start, .end = r->spec.to_end ? end : -1};
    r->count++;
    if (r->spec.to_end && (end == 0 || start >= end)) {
        r->parts[at].over = r->parts[at].untold = true;
        r->parts[at].next = end;
        r->over++;
        r->untold++;
        return true;
    }
    r->parts[at].started = true;
    rd_kafka_consume_start_queue(r->topic, id, start, r->queue);
    return true;
}

/* --- on a helper: what there is --- */
static const pl_read_place *place_for(const pl_reader *r, int32_t id)
{
    for (size_t i = 0; i < r->spec.place_count; i++) {
        if (r->spec.places[i].partition == id)
            return &r->spec.places[i];
    }
    return r->spec.only_places ? NULL : &r->spec.start;
}

/* Partitions that are not read yet, with what to ask for each of them. */
static void list_new(pl_reader *r, const struct rd_kafka_metadata_topic *topic)
{
    pl_reader_found *found = &r->found;
    static const pl_read_place beginning = {.from = PL_READ_BEGINNING};
    found->starts = rd_kafka_topic_partition_list_new(topic->partition_cnt);
    found->ends = rd_kafka_topic_partition_list_new(topic->partition_cnt);
    for (int i = 0; i < topic->partition_cnt; i++) {
        const struct rd_kafka_metadata_partition *p = &topic->partitions[i];
        const pl_read_place *place = place_for(r, p->id);
        if (!place || pl_reader_find(r, p->id))
            continue;
        if (p->leader < 0) {
            found->incomplete = true;
            continue;
        }
        if (place == &r->spec.start && (r->placed || r->was_absent))
            place = &beginning; /* all that is in it came later */
        rd_kafka_topic_partition_list_add(found->ends, r->spec.topic.ptr, p->id)->offset =
            RD_KAFKA_OFFSET_END;
        rd_kafka_topic_partition_list_add(found->starts, r->spec.topic.ptr, p->id)->offset =
            place->from == PL_READ_BEGINNING ? RD_KAFKA_OFFSET_BEGINNING
            : place->from == PL_READ_END     ? RD_KAFKA_OFFSET_END
                                             : place->at;
    }
}

static bool is_among(const struct rd_kafka_metadata_topic *topic, int32_t id)
{
    for (int i = 0; i < topic->partition_cnt; i++) {
        if (topic->partitions[i].id == id)
            return true;
    }
    return false;
}

static void find_missing(pl_reader *r, const struct rd_kafka_metadata_topic *topic)
{
    for (size_t i = 0; r->spec.only_places && i < r->spec.place_count; i++) {
        if (!is_among(topic, r->spec.places[i].partition)) {
            r->found.no_partition = true;
            r->found.partition = r->spec.places[i].partition;
        }
    }
}

static rd_kafka_resp_err_t first_error(const rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++) {
        if (list->elems[i].err)
            return list->elems[i].err;
    }
    return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* Makes times of the list offsets: -1 and -2 are the times of the end and the beginning. */
static rd_kafka_resp_err_t ask(pl_reader *r, rd_kafka_topic_partition_list_t *list)
{
    if (list->cnt == 0)
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_resp_err_t error = rd_kafka_offsets_for_times(r->client, list, ASK_MS);
    return error ? error : first_error(list);
}

/* Times, of those that begin with one. */
static rd_kafka_resp_err_t ask_times(pl_reader *r, rd_kafka_topic_partition_list_t *starts)
{
    rd_kafka_topic_partition_list_t *times = rd_kafka_topic_partition_list_new(starts->cnt);
    for (int i = 0; i < starts->cnt; i++) {
        const pl_read_place *place = place_for(r, starts->elems[i].partition);
        if (place->from == PL_READ_TIME && starts->elems[i].offset >= 0)
            rd_kafka_topic_partition_list_add(times, r->spec.topic.ptr, starts->elems[i].partition)->offset =
                starts->elems[i].offset;
    }
    rd_kafka_resp_err_t error = ask(r, times);
    for (int i = 0; !error && i < times->cnt; i++)
        rd_kafka_topic_partition_list_set_offset(starts, r->spec.topic.ptr, times->elems[i].partition,
                                                 times->elems[i].offset);
    rd_kafka_topic_partition_list_destroy(times);
    return error;
}

static rd_kafka_resp_err_t ask_offsets(pl_reader *r)
{
    pl_reader_found *found = &r->found;
    rd_kafka_resp_err_t error = ask(r, found->ends);
    if (!error)
        error = ask_times(r, found->starts);
    for (int i = 0; !error && i < found->starts->cnt; i++) {
        int64_t *start = &found->starts->elems[i].offset, end = found->ends->elems[i].offset;
        if (*start == RD_KAFKA_OFFSET_END) /* asked for; or no event is as new as the time */
            *start = end;
        if (*start > end) {
            found->out_of_range = true;
            found->partition = found->starts->elems[i].partition;
            found->end = end;
        }
    }
    return error;
}

static void look_up(pl_job *job)
{
    pl_reader *r = (pl_reader *)((char *)job - offsetof(pl_reader, job));
    const struct rd_kafka_metadata *md = NULL;
    rd_kafka_resp_err_t error = rd_kafka_metadata(r->client, 0, r->topic, &md, ASK_MS);
    r->found = (pl_reader_found){0};
    if (!error)
        error = md->topic_cnt == 1 ? md->topics[0].err : RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    if (!error) {
        list_new(r, &md->topics[0]);
        find_missing(r, &md->topics[0]);
        error = ask_offsets(r);
    } else {
        r->found.no_topic = pl_kafka_code(error) == PL_NOT_FOUND;
    }
    r->found.error = error;
    snprintf(r->found.why, sizeof r->found.why, "%s", rd_kafka_err2str(error));
    if (md)
        rd_kafka_metadata_destroy(md);
}

/* --- on the loop again --- */
static void looked_up(pl_job *job);

static void begin_lookup(pl_reader *r);

static void on_timer(pl_timer *timer)
{
    begin_lookup(timer->data);
}

static void again_in(pl_reader *r, unsigned ms)
{
    r->timer.fire = on_timer;
    r->timer.data = r;
    if (r->host->ops->timer_start(r->host, &r->timer, r->host->ops->now(r->host) + ms) != 0) {
        pl_fail_memory(&r->failure);
        r->failed_for_good = true; /* nobody would look again */
        pl_reader_wake(r);
    }
}

static void again_soon(pl_reader *r)
{
    unsigned ms = r->attempts < 6 ? RETRY_MS << r->attempts : MOST_RETRY_MS;
    r->attempts++;
    again_in(r, ms < MOST_RETRY_MS ? ms : MOST_RETRY_MS);
}

static void begin_lookup(pl_reader *r)
{
    r->job = (pl_job){.run = look_up, .done = looked_up};
    r->busy = true;
    if (r->attempts == 0)
        r->failing_at = r->host->ops->now(r->host);
    if (r->host->ops->offload(r->host, &r->job, &lane) == 0)
        return;
    r->busy = false;
    again_soon(r);
}

pl_code pl_reader_begin(pl_reader *r, pl_error *err)
{
    begin_lookup(r);
    if (r->failure.code)
        return pl_fail(err, r->failure.code, "%s", r->failure.message);
    return PL_OK;
}

static void fail(pl_reader *r, bool for_good, pl_code code, const char *why)
{
    pl_fail(&r->failure, code, "%s: %s", r->spec.topic.ptr, why);
    r->failed_for_good = for_good;
    pl_reader_wake(r);
}

/* What cannot become right by waiting for it. True: it is told. */
static bool is_hopeless(pl_reader *r)
{
    const pl_reader_found *found = &r->found;
    char why[128];
    if (found->out_of_range) {
        snprintf(why, sizeof why,
                 "partition %d ends at offset %" PRId64 ", before the one that it was to be read from",
                 found->partition, found->end);
        fail(r, true, PL_OUT_OF_RANGE, why);
    } else if (r->spec.to_end && found->no_topic && r->attempts + 1 >= ABSENT_TRIES) {
        fail(r, true, PL_NOT_FOUND, "there is no such topic");
    } else if (r->spec.to_end && found->no_partition) {
        snprintf(why, sizeof why, "there is no partition %d", found->partition);
        fail(r, true, PL_NOT_FOUND, why);
    } else if (found->error && pl_kafka_code(found->error) == PL_INVALID_ARGUMENT) {
        fail(r, true, PL_INVALID_ARGUMENT, found->why);
    } else {
        return false;
    }
    return true;
}

/* Whoever reads is told after a while, but it is tried again. */
static void lose_patience(pl_reader *r, const char *why)
{
    uint64_t now = r->host->ops->now(r->host);
    if (!r->spec.patience_ms || now - r->failing_at < r->spec.patience_ms)
        return;
    fail(r, false, PL_UNAVAILABLE, why);
    r->failing_at = now;
}

static void on_failed_lookup(pl_reader *r)
{
    pl_code code = pl_kafka_code(r->found.error);
    if (r->found.no_topic) {
        if (r->attempts + 1 == ABSENT_TRIES) { /* all that will be in it comes later */
            r->was_absent = r->placed = true;
            pl_reader_wake(r);
        }
        again_soon(r);
        return;
    }
    if (r->attempts == 2)
        pl_log(r->log, PL_WARN, "topic cannot be read yet", PL_F_CSTR("topic", r->spec.topic.ptr),
               PL_F_CSTR("error", r->found.why));
    if (code == PL_PERMISSION_DENIED || code == PL_UNAUTHENTICATED)
        fail(r, false, code, r->found.why);
    else
        lose_patience(r, r->found.why);
    again_soon(r);
}

/* False: memory; what could not be added is looked up again. */
static bool add_found(pl_reader *r)
{
    const rd_kafka_topic_partition_list_t *starts = r->found.starts, *ends = r->found.ends;
    for (int i = 0; i < starts->cnt; i++) {
        if (!add_part(r, starts->elems[i].partition, starts->elems[i].offset, ends->elems[i].offset))
            return false;
    }
    return true;
}

static void on_found(pl_reader *r)
{
    if (!add_found(r) || r->found.incomplete || (r->found.no_partition && !r->placed)) {
        if (r->found.incomplete && !r->placed)
            lose_patience(r, "not all of its partitions have a leader");
        again_soon(r);
        return;
    }
    if (r->attempts > 2)
        pl_log(r->log, PL_INFO, "topic can be read", PL_F_CSTR("topic", r->spec.topic.ptr));
    r->attempts = 0;
    r->placed = true;
    pl_reader_wake(r);
    if (!r->spec.to_end && !r->spec.only_places)
        again_in(r, r->discover_ms);
}

static void looked_up(pl_job *job)
{
    pl_reader *r = (pl_reader *)((char *)job - offsetof(pl_reader, job));
    pl_reader_found *found = &r->found;
    r->busy = false;
    if (!r->closed && !is_hopeless(r)) {
        if (found->error)
            on_failed_lookup(r);
        else
            on_found(r);
    }
    if (found->starts)
        rd_kafka_topic_partition_list_destroy(found->starts);
    if (found->ends)
        rd_kafka_topic_partition_list_destroy(found->ends);
    found->starts = found->ends = NULL;
    if (r->closed)
        pl_reader_destroy(r);
}
