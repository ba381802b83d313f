/* SPDX-License-Identifier: MIT */
#include "events/policy/flow.h"

#include "base/alloc.h"

/* Records behind one that is not done, as a multiple of those that may be in hand: all of them would be
 * handled again after a crash. */
#define SPAN 10

typedef enum lane_place { NOWHERE, READY, WAITING, BUSY, PLACES } lane_place;

typedef struct pl_flow_lane lane;
struct pl_flow_lane {
    pl_flow_record *first, *last; /* by offset */
    unsigned running;             /* of its records */
    lane_place place;
    lane *prev, *next; /* there; or (next only) in the pool */
    uint64_t hash;     /* of the key: that of its first record */
    lane *chained;     /* in the table of keys */
    bool keyed;
};

typedef struct lane_list {
    lane *first, *last;
} lane_list;

struct pl_flow {
    pl_flow_config config;
    pl_offsets offsets;
    /* READY: first come, first served; WAITING: by the time of their first record. */
    lane_list lists[PLACES];
    lane **table; /* of keys; room places, a power of two */
    size_t room, keys;
    lane *only; /* PL_BY_PARTITION */
    lane *pool;
    size_t count, bytes;
    unsigned running;
    bool full;
};

/* --- lists of lanes --- */
static void list_remove(lane_list *list, lane *l)
{
    *(l->prev ? &l->prev->next : &list->first) = l->next;
    *(l->next ? &l->next->prev : &list->last) = l->prev;
    l->prev = l->next = NULL;
}

static void list_insert_after(lane_list *list, lane *before, lane *l)
{
    l->prev = before;
    l->next = before ? before->next : list->first;
    *(before ? &before->next : &list->first) = l;
    *(l->next ? &l->next->prev : &list->last) = l;
}

static void move(pl_flow *flow, lane *l, lane_place to, lane *before)
{
    if (l->place != NOWHERE)
        list_remove(&flow->lists[l->place], l);
    l->place = to;
    if (to != NOWHERE)
        list_insert_after(&flow->lists[to], before, l);
}

/* Puts the lane where it belongs. */
static void place(pl_flow *flow, lane *l)
{
    move(flow, l, NOWHERE, NULL);
    if (l->running > 0) {
        move(flow, l, BUSY, NULL);
    } else if (l->first && l->first->ready_at == 0) {
        move(flow, l, READY, flow->lists[READY].last);
    } else if (l->first) { /* waits grow: its place is near the end */
        lane *before = flow->lists[WAITING].last;
        while (before && before->first->ready_at > l->first->ready_at)
            before = before->prev;
        move(flow, l, WAITING, before);
    }
}

/* --- keys --- */
static bool grow_table(pl_flow *flow)
{
    size_t room = flow->room ? 2 * flow->room : 64;
    lane **table = pl_calloc(room, sizeof(lane *));
    if (!table)
        return false;
    for (size_t i = 0; i < flow->room; i++) {
        for (lane *l = flow->table[i], *next; l; l = next) {
            next = l->chained;
            l->chained = table[l->hash & (room - 1)];
            table[l->hash & (room - 1)] = l;
        }
    }
    pl_free(flow->table);
    flow->table = table;
    flow->room = room;
    return true;
}

static lane *find_key(const pl_flow *flow, pl_str key, uint64_t hash)
{
    lane *l = flow->room ? flow->table[hash & (flow->room - 1)] : NULL;
    while (l && (l->hash != hash || !pl_str_eq(l->first->key, key)))
        l = l->chained;
    return l;
}

static void remember_key(pl_flow *flow, lane *l)
{
    lane **at = &flow->table[l->hash & (flow->room - 1)];
    l->chained = *at;
    *at = l;
    flow->keys++;
}

static void forget_key(pl_flow *flow, lane *l)
{
    lane **at = &flow->table[l->hash & (flow->room - 1)];
    while (*at != l)
        at = &(*at)->chained;
    *at = l->chained;
    flow->keys--;
}

/* --- lanes --- */
static lane *make_lane(pl_flow *flow)
{
    lane *l = flow->pool;
    if (!l)
        return pl_calloc(1, sizeof *l);
    flow->pool = l->next;
    *l = (lane){0};
    return l;
}

static lane *lane_for(pl_flow *flow, const pl_flow_record *record)
{
    bool keyed = flow->config.ordering == PL_BY_KEY && record->key.ptr;
    uint64_t hash = keyed ? pl_hash(record->key.ptr, record->key.len) : 0;
    lane *l = keyed ? find_key(flow, record->key, hash) : flow->only;
    if (l)
        return l;
    if (keyed && flow->keys >= flow->room && !grow_table(flow))
        return NULL;
    if (!(l = make_lane(flow)))
        return NULL;
    if (flow->config.ordering == PL_BY_PARTITION)
        flow->only = l;
    l->keyed = keyed;
    l->hash = hash;
    return l;
}

/* Nothing was ever in this lane. */
static void abandon(pl_flow *flow, lane *l)
{
    if (l == flow->only)
        return;
    l->next = flow->pool;
    flow->pool = l;
}

/* --- life --- */
pl_flow *pl_flow_new(const pl_flow_config *config, int64_t from)
{
    pl_flow *flow = pl_calloc(1, sizeof *flow);
    if (!flow)
        return NULL;
    flow->config.ordering = config->ordering;
    pl_flow_configure(flow, config);
    pl_offsets_init(&flow->offsets, from);
    return flow;
}

void pl_flow_configure(pl_flow *flow, const pl_flow_config *config)
{
    pl_ordering ordering = flow->config.ordering;
    flow->config = *config;
    flow->config.ordering = ordering;
    if (flow->config.concurrency == 0)
        flow->config.concurrency = 1;
    if (flow->config.most_records == 0)
        flow->config.most_records = 1000;
    if (flow->config.most_bytes == 0)
        flow->config.most_bytes = (size_t)16 << 20;
}

void pl_flow_free(pl_flow *flow)
{
    if (!flow)
        return;
    while (pl_flow_drop(flow))
        ;
    for (lane *l = flow->pool, *next; l; l = next) {
        next = l->next;
        pl_free(l);
    }
    pl_free(flow->only);
    pl_offsets_dispose(&flow->offsets);
    pl_free(flow->table);
    pl_free(flow);
}

/* --- records --- */
static void append(pl_flow *flow, lane *l, pl_flow_record *record)
{
    record->lane = l;
    record->next = NULL;
    record->prev = l->last;
    *(l->last ? &l->last->next : &l->first) = record;
    l->last = record;
    if (record->prev)
        return;
    if (l->keyed)
        remember_key(flow, l);
    place(flow, l);
}

/* The lane may be gone afterwards. */
static void take_out(pl_flow *flow, pl_flow_record *record)
{
    lane *l = record->lane;
    if (l->first == l->last && l->keyed)
        forget_key(flow, l); /* while its key is still to be seen */
    *(record->prev ? &record->prev->next : &l->first) = record->next;
    *(record->next ? &record->next->prev : &l->last) = record->prev;
    record->lane = NULL;
    record->prev = record->next = NULL;
    flow->count--;
    flow->bytes -= record->bytes;
    if (record->running)
        flow->running -= --l->running == 0;
    record->running = false;
    if (l->first) {
        if (l->running == 0)
            place(flow, l);
        return;
    }
    move(flow, l, NOWHERE, NULL);
    if (l != flow->only) {
        l->next = flow->pool;
        flow->pool = l;
    }
}

bool pl_flow_add(pl_flow *flow, pl_flow_record *record)
{
    lane *l = lane_for(flow, record);
    if (!l)
        return false;
    if (!pl_offsets_take(&flow->offsets, record->offset, &record->ticket)) {
        if (!l->first)
            abandon(flow, l);
        return false;
    }
    record->running = false;
    flow->count++;
    flow->bytes += record->bytes;
    append(flow, l, record);
    return true;
}

/* What has waited long enough is ready, behind what already is. */
static void wake(pl_flow *flow, uint64_t now)
{
    lane *l;
    while ((l = flow->lists[WAITING].first) && l->first->ready_at <= now)
        move(flow, l, READY, flow->lists[READY].last);
}

size_t pl_flow_take(pl_flow *flow, pl_flow_record **out, size_t most, uint64_t now)
{
    size_t n = 0;
    wake(flow, now);
    lane *l = flow->lists[READY].first;
    if (!l || flow->running >= flow->config.concurrency)
        return 0;
    for (pl_flow_record *r = l->first; r && n < most && r->ready_at <= now; r = r->next) {
        r->running = true;
        out[n++] = r;
    }
    l->running = (unsigned)n;
    flow->running++;
    move(flow, l, BUSY, NULL);
    return n;
}

size_t pl_flow_take_first(pl_flow *flow, pl_flow_record **out, size_t most, uint64_t now)
{
    wake(flow, now);
    for (lane *l = flow->lists[READY].first; l; l = l->next) {
        if (l->first->ticket != flow->offsets.first)
            continue;
        move(flow, l, READY, NULL);
        return pl_flow_take(flow, out, most, now);
    }
    return 0;
}

bool pl_flow_done(pl_flow *flow, pl_flow_record *record)
{
    uint64_t ticket = record->ticket;
    take_out(flow, record);
    return pl_offsets_done(&flow->offsets, ticket);
}

void pl_flow_retry(pl_flow *flow, pl_flow_record *record, uint64_t at)
{
    lane *l = record->lane;
    record->running = false;
    record->ready_at = at;
    if (--l->running > 0)
        return;
    flow->running--;
    place(flow, l);
}

pl_flow_record *pl_flow_handled(const pl_flow *flow)
{
    const lane *l = flow->lists[BUSY].first;
    pl_flow_record *record = l ? l->first : NULL;
    while (record && !record->running)
        record = record->next;
    return record;
}

pl_flow_record *pl_flow_drop(pl_flow *flow)
{
    for (lane_place p = READY; p < PLACES; p++) {
        for (lane *l = flow->lists[p].first; l; l = l->next) {
            pl_flow_record *record = l->last;
            if (record->running)
                continue;
            take_out(flow, record);
            return record;
        }
    }
    return NULL;
}

/* --- what is to be known --- */
uint64_t pl_flow_wake_at(const pl_flow *flow)
{
    const lane *l = flow->lists[WAITING].first;
    return l ? l->first->ready_at : UINT64_MAX;
}

int64_t pl_flow_next_offset(const pl_flow *flow)
{
    return pl_offsets_next(&flow->offsets);
}

bool pl_flow_is_full(pl_flow *flow)
{
    size_t share = flow->full ? 2 : 1;
    flow->full = flow->count >= flow->config.most_records / share ||
                 flow->bytes >= flow->config.most_bytes / share ||
                 pl_offsets_span(&flow->offsets) >= SPAN * flow->config.most_records / share;
    return flow->full;
}

size_t pl_flow_count(const pl_flow *flow)
{
    return flow->count;
}

unsigned pl_flow_running(const pl_flow *flow)
{
    return flow->running;
}
