/* SPDX-License-Identifier: MIT */
#include "graphql/cache/responses.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/map.h"
#include "value/json.h"

/* Flights: of queries that are the same, one executes, its leader, and the others wait. The leader's end
 * settles the flight; who waits is served from a timer, in turns, so that no run goes on inside of another
 * one's end. If the leader is cancelled, the first that waits takes its place. A flight is left to itself,
 * and a new one begun, when there was a purge since: what its leader has read may be older than that. */
#define MAX_WAITERS 1000 /* of one flight: who comes later executes */
#define SERVED_A_TURN 32

struct gql_responses {
    const gql_cache_rules *rules;
    gql_cache_storage storage;
    bool stores;
    pl_map flights; /* key -> gql_flight * */
};

struct gql_flight {
    gql_responses *responses;
    gql_cache_key key;
    bool by_session; /* all of it has one session */
    bool in_map;
    gql_lookup *leader; /* NULL: it is settled */
    gql_lookup *first, *last;
    unsigned count;
    uint64_t mark;
    gql_cached *result; /* for those who wait; NULL: they execute */
    bool lost;          /* the leader was cancelled: the next one leads */
    pl_timer timer;
    bool armed, serving;
    pl_host *host;
};

gql_responses *gql_responses_new(const gql_cache_rules *rules, const gql_cache_storage *storage)
{
    gql_responses *r = pl_calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->rules = rules;
    r->stores = storage != NULL;
    if (storage)
        r->storage = *storage;
    pl_map_init(&r->flights);
    return r;
}

void gql_responses_free(gql_responses *r)
{
    if (!r)
        return;
    pl_map_dispose(&r->flights);
    pl_free(r);
}

/* --- keys --- */
static int compare_members(const void *a, const void *b)
{
    const pl_member *const *x = a, *const *y = b;
    return pl_str_cmp((*x)->name, (*y)->name);
}

static bool write_value(pl_buf *out, const pl_value *v, pl_arena *arena);

static bool write_map(pl_buf *out, const pl_value *map, pl_arena *arena)
{
    size_t n = map->map.count;
    const pl_member **members = pl_arena_array(arena, n, sizeof *members);
    if (!members)
        return false;
    for (size_t i = 0; i < n; i++)
        members[i] = &map->map.members[i];
    if (n > 1)
        qsort(members, n, sizeof *members, compare_members);
    pl_buf_printf(out, "m%zu", n);
    for (size_t i = 0; i < n; i++) {
        pl_buf_printf(out, " %zu:", members[i]->name.len);
        pl_buf_str(out, members[i]->name);
        if (!write_value(out, &members[i]->value, arena))
            return false;
    }
    return true;
}

/* The same text for the same value, whatever the order of its members; as deep as JSON may be. False: it has
 * no text, or memory is short. */
static bool write_value(pl_buf *out, const pl_value *v, pl_arena *arena)
{
    switch (v->kind) {
    case PL_KIND_NULL:
    case PL_KIND_BOOL:
    case PL_KIND_INT:
    case PL_KIND_FLOAT:
        pl_buf_char(out, v->kind == PL_KIND_FLOAT ? 'f' : 'v');
        pl_json_value(out, v);
        return true;
    case PL_KIND_STRING:
        pl_buf_printf(out, "s%zu:", v->string.len);
        pl_buf_str(out, v->string);
        return true;
    case PL_KIND_LIST:
        pl_buf_printf(out, "l%zu", v->list.count);
        for (size_t i = 0; i < v->list.count; i++) {
            if (!write_value(out, &v->list.items[i], arena))
                return false;
        }
        return true;
    case PL_KIND_MAP:
        return write_map(out, v, arena);
    default:
        return false;
    }
}

static bool write_request(pl_buf *out, const gql_responses *r, const gql_lookup_request *q)
{
    const gql_operation *op = q->operation;
    pl_buf_printf(out, "%llu %zu %zu ", (unsigned long long)r->storage.generation, q->query.len,
                  op->name.text.len);
    pl_buf_str(out, q->query);
    pl_buf_str(out, op->name.text);
    for (uint32_t i = 0; i < op->variable_count; i++) {
        const pl_value *given =
            q->variables ? pl_value_member(q->variables, op->variables[i].name.text) : NULL;
        if (!given)
            pl_buf_char(out, '-');
        else if (!write_value(out, given, q->arena))
            return false;
    }
    if (q->extensions && !write_value(out, q->extensions, q->arena))
        return false;
    return !out->failed;
}

static bool make_key(const gql_responses *r, const gql_lookup_request *q, gql_cache_key *out)
{
    pl_buf text;
    pl_buf_init(&text);
    bool ok = write_request(&text, r, q);
    if (ok)
        r->storage.digest(r->storage.data, pl_buf_view(&text), out);
    pl_buf_dispose(&text);
    return ok;
}

/* Who may have the response: all without a session, all with one, or one session. */
typedef enum audience { WITHOUT_SESSION = 'n', WITH_SESSION = 'a', ONE_SESSION = 'p' } audience;

static bool key_for(const gql_responses *r, const gql_lookup *l, audience who, gql_cache_key *out)
{
    pl_buf text;
    pl_buf_init(&text);
    pl_buf_append(&text, l->key.bytes, GQL_CACHE_KEY);
    pl_buf_char(&text, (char)who);
    if (who == ONE_SESSION)
        pl_buf_str(&text, l->request.session);
    bool ok = !text.failed;
    if (ok)
        r->storage.digest(r->storage.data, pl_buf_view(&text), out);
    pl_buf_dispose(&text);
    return ok;
}

static gql_cached *get_for(const gql_responses *r, const gql_lookup *l, audience who, uint64_t now)
{
    gql_cache_key key;
    return key_for(r, l, who, &key) ? r->storage.get(r->storage.data, &key, now) : NULL;
}

static bool has_session(const gql_lookup *l)
{
    return l->request.session.ptr != NULL;
}

static gql_cached *get(const gql_responses *r, const gql_lookup *l)
{
    uint64_t now = l->request.host->ops->now(l->request.host);
    if (!has_session(l))
        return get_for(r, l, WITHOUT_SESSION, now);
    gql_cached *found = get_for(r, l, ONE_SESSION, now);
    return found ? found : get_for(r, l, WITH_SESSION, now);
}

/* --- flights: who waits --- */
static void waiters_add(gql_flight *f, gql_lookup *l)
{
    l->flight = f;
    l->next = NULL;
    l->prev = f->last;
    *(f->last ? &f->last->next : &f->first) = l;
    f->last = l;
    f->count++;
}

static void waiters_remove(gql_flight *f, gql_lookup *l)
{
    *(l->prev ? &l->prev->next : &f->first) = l->next;
    *(l->next ? &l->next->prev : &f->last) = l->prev;
    l->flight = NULL;
    f->count--;
}

static void leave_map(gql_flight *f)
{
    if (f->in_map)
        pl_map_remove(&f->responses->flights, (pl_str){(const char *)f->key.bytes, GQL_CACHE_KEY});
    f->in_map = false;
}

static void flight_free(gql_flight *f)
{
    leave_map(f);
    if (f->armed)
        f->host->ops->timer_stop(f->host, &f->timer);
    gql_cached_unref(f->result);
    pl_free(f);
}

static bool arm(gql_flight *f)
{
    if (!f->armed)
        f->armed = f->host->ops->timer_start(f->host, &f->timer, f->host->ops->now(f->host)) == 0;
    return f->armed;
}

/* The first that waits leads from now on. */
static void lead(gql_flight *f)
{
    gql_lookup *l = f->first;
    waiters_remove(f, l);
    l->flight = f;
    f->leader = l;
    f->lost = false;
    l->mark = f->mark = f->responses->storage.mark(f->responses->storage.data);
    l->resume(l, NULL); /* f may be gone */
}

static void serve(gql_flight *f)
{
    for (int i = 0; f->first && i < SERVED_A_TURN; i++) {
        gql_lookup *l = f->first;
        waiters_remove(f, l);
        l->mark = f->responses->storage.mark(f->responses->storage.data);
        f->serving = true;
        l->resume(l, f->result);
        f->serving = false;
    }
}

static void on_timer(pl_timer *timer)
{
    gql_flight *f = timer->data;
    f->armed = false;
    if (f->lost && f->first) {
        lead(f);
        return;
    }
    do
        serve(f);
    while (f->first && !arm(f));
    if (!f->first)
        flight_free(f);
}

/* The leader is done. */
static void settle(gql_flight *f)
{
    f->leader = NULL;
    if (!f->first) {
        flight_free(f);
        return;
    }
    if (!f->lost)
        leave_map(f);
    if (!arm(f))
        on_timer(&f->timer); /* memory is short: at once, then */
}

/* --- flights: joining --- */

/* What an operation's own fields say, as long as nothing better is known. */
static gql_cache_outlook look_at_roots(const gql_responses *r, const gql_lookup_request *q)
{
    const gql_selection_set *set = &q->operation->selections;
    const gql_named *query = gql_cache_rules_schema(r->rules)->query;
    gql_cache_outlook outlook = GQL_OUTLOOK_PUBLIC;
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->items[i].kind != GQL_FIELD)
            continue;
        const gql_field *field =
            gql_schema_field(gql_cache_rules_schema(r->rules), query, set->items[i].name.text);
        gql_cache_hint hint = {0};
        if (field)
            hint = gql_cache_rule(r->rules, field, true);
        if (hint.max_age == 0)
            return GQL_OUTLOOK_NONE;
        if (hint.scope == GQL_CACHE_PRIVATE)
            outlook = GQL_OUTLOOK_PRIVATE;
    }
    return outlook;
}

static gql_flight *flight_new(gql_responses *r, gql_lookup *l, const gql_cache_key *key, bool by_session)
{
    gql_flight *f = pl_calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->responses = r;
    f->key = *key;
    f->by_session = by_session;
    f->leader = l;
    f->mark = l->mark;
    f->host = l->request.host;
    f->timer = (pl_timer){.fire = on_timer, .data = f};
    f->in_map = pl_map_set(&r->flights, (pl_str){(const char *)f->key.bytes, GQL_CACHE_KEY}, f);
    if (f->in_map)
        return f;
    pl_free(f);
    return NULL;
}

/* Whether l waits now; otherwise it executes, and leads a flight if it can. */
static bool join(gql_responses *r, gql_lookup *l)
{
    gql_cache_outlook outlook = l->request.plan->cache_outlook;
    gql_cache_key key;
    if (outlook == GQL_OUTLOOK_UNKNOWN)
        outlook = look_at_roots(r, &l->request);
    bool by_session = outlook == GQL_OUTLOOK_PRIVATE;
    if (outlook == GQL_OUTLOOK_NONE || (by_session && !has_session(l)))
        return false;
    audience who = !has_session(l) ? WITHOUT_SESSION : by_session ? ONE_SESSION : WITH_SESSION;
    if (!key_for(r, l, who, &key))
        return false;
    gql_flight *f = pl_map_get(&r->flights, (pl_str){(const char *)key.bytes, GQL_CACHE_KEY});
    if (f && f->mark == l->mark) {
        if (f->count == MAX_WAITERS)
            return false;
        waiters_add(f, l);
        return true;
    }
    if (f)
        leave_map(f);
    l->flight = flight_new(r, l, &key, by_session);
    return false;
}

/* --- lookups --- */
gql_lookup_result gql_responses_find(gql_responses *r, gql_lookup *l, const gql_lookup_request *request,
                                     gql_cached **hit)
{
    l->request = *request;
    l->flight = NULL;
    if (!l->trace)
        l->trace = gql_cache_trace_new(r->rules, request->arena);
    l->keyed = r->stores && !request->bypass && l->trace && request->host && make_key(r, request, &l->key);
    if (!l->keyed)
        return GQL_LOOKUP_EXECUTE;
    l->mark = r->storage.mark(r->storage.data); /* before the look: a purge after it counts */
    *hit = get(r, l);
    bool waits = !*hit && join(r, l);
    r->storage.count(r->storage.data, *hit ? GQL_CACHE_HIT : waits ? GQL_CACHE_JOINED : GQL_CACHE_MISS);
    return *hit ? GQL_LOOKUP_HIT : waits ? GQL_LOOKUP_WAIT : GQL_LOOKUP_EXECUTE;
}

static void set_hash(const gql_responses *r, gql_cached *cached)
{
    gql_cache_key digest;
    r->storage.digest(r->storage.data, cached->body, &digest);
    for (int i = 0; i < 16; i++)
        snprintf(cached->hash + 2 * i, 3, "%02x", digest.bytes[i]);
}

/* Keeps the response; a reference, or NULL: memory. */
static gql_cached *keep(gql_responses *r, gql_lookup *l, gql_cache_hint policy, pl_str body)
{
    bool is_private = policy.scope == GQL_CACHE_PRIVATE;
    uint64_t now = l->request.host->ops->now(l->request.host);
    gql_cached *cached = gql_cached_new(body, policy.max_age, is_private, now);
    gql_cache_tags tags;
    gql_cache_key key;
    if (!cached)
        return NULL;
    set_hash(r, cached);
    audience who = !has_session(l) ? WITHOUT_SESSION : is_private ? ONE_SESSION : WITH_SESSION;
    if (gql_cache_trace_tags(l->trace, &tags) && key_for(r, l, who, &key))
        r->storage.put(r->storage.data, r->storage.generation, &key, cached, &tags, l->mark, now);
    return cached;
}

gql_cache_hint gql_responses_finish(gql_responses *r, gql_lookup *l, const pl_str *body, bool shared)
{
    gql_cache_hint policy = {0, GQL_CACHE_PUBLIC};
    gql_flight *f = l->flight;
    gql_cached *cached = NULL;
    l->flight = NULL;
    if (body && l->trace)
        policy = gql_cache_trace_policy(l->trace);
    bool is_private = policy.scope == GQL_CACHE_PRIVATE;
    if (body) /* an error tells nothing of the next time */
        l->request.plan->cache_outlook = policy.max_age == 0 ? GQL_OUTLOOK_NONE
                                         : is_private        ? GQL_OUTLOOK_PRIVATE
                                                             : GQL_OUTLOOK_PUBLIC;
    if (policy.max_age > 0 && l->keyed && shared && (!is_private || has_session(l)))
        cached = keep(r, l, policy, *body);
    if (f && cached && (!is_private || f->by_session))
        f->result = gql_cached_ref(cached);
    gql_cached_unref(cached);
    if (f)
        settle(f);
    return policy;
}

void gql_responses_abandon(gql_responses *r, gql_lookup *l)
{
    gql_flight *f = l->flight;
    (void)r;
    if (!f)
        return;
    if (f->leader == l) {
        l->flight = NULL;
        f->lost = true;
        settle(f);
        return;
    }
    waiters_remove(f, l);
    if (!f->leader && !f->first && !f->serving)
        flight_free(f);
}
