/* SPDX-License-Identifier: MIT */
#include "grpc/health.h"

#include "base/alloc.h"
#include "grpc/health/v1/health.pb-c.h"
#include "grpc/native_protobuf.h"

#define DEFAULT_WATCHERS 1000

typedef struct watcher watcher;
struct watcher {
    watcher *prev, *next;
    pl_grpc_health *health; /* NULL: not in the list */
    pl_grpc_call *call;
    pl_str service;
    pl_health told;
    bool has_told, waits; /* waits: for the client to read */
};

struct pl_grpc_health {
    pl_grpc_health_source source;
    unsigned max_watchers, watchers;
    watcher *first;
};

typedef Grpc__Health__V1__HealthCheckRequest check_request;
typedef Grpc__Health__V1__HealthCheckResponse check_response;
typedef Grpc__Health__V1__HealthListResponse list_response;
typedef Grpc__Health__V1__HealthListResponse__StatusesEntry list_entry;

static check_response response_of(pl_health status)
{
    check_response response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    response.status = (Grpc__Health__V1__HealthCheckResponse__ServingStatus)status;
    return response;
}

/* What is asked for; ptr NULL: the call has been ended with an error. */
static pl_str read_service(pl_grpc_call *call, pl_str bytes)
{
    pl_error err = {0};
    const check_request *request = pl_grpc_unpack(&grpc__health__v1__health_check_request__descriptor, bytes,
                                                  pl_grpc_native_arena(call), &err);
    if (request)
        return pl_str_of(request->service);
    pl_grpc_native_finish(call, err.code, pl_str_of(err.message));
    return PL_STR_NONE;
}

/* --- Check --- */
static void check(pl_grpc_call *call, pl_str bytes)
{
    const pl_grpc_health *health = pl_grpc_native_data(call);
    pl_str service = read_service(call, bytes);
    if (!service.ptr)
        return;
    pl_health status = health->source.status(health->source.data, service);
    check_response response = response_of(status);
    if (status == PL_HEALTH_SERVICE_UNKNOWN)
        pl_grpc_native_finish(call, PL_NOT_FOUND, PL_STR("unknown service"));
    else
        pl_grpc_native_reply(call, &response.base);
}

/* --- Watch --- */

/* The state, if it is another than the client knows. */
static void tell(watcher *w)
{
    const pl_grpc_health *health = w->health;
    pl_health status = health->source.status(health->source.data, w->service);
    if (w->waits || (w->has_told && status == w->told))
        return;
    w->has_told = true;
    w->told = status;
    check_response response = response_of(status);
    w->waits = !pl_grpc_native_send_message(w->call, &response.base);
}

static void watch(pl_grpc_call *call, pl_str bytes)
{
    pl_grpc_health *health = pl_grpc_native_data(call);
    watcher *w = pl_grpc_native_state(call);
    w->call = call;
    w->service = read_service(call, bytes);
    if (!w->service.ptr)
        return;
    if (health->watchers >= health->max_watchers) {
        pl_grpc_native_finish(call, PL_RESOURCE_EXHAUSTED, PL_STR("there are too many watchers"));
        return;
    }
    health->watchers++;
    w->health = health;
    w->next = health->first;
    if (w->next)
        w->next->prev = w;
    health->first = w;
    tell(w);
}

static void watch_writable(pl_grpc_call *call)
{
    watcher *w = pl_grpc_native_state(call);
    w->waits = false;
    if (w->health)
        tell(w);
}

static void watch_closed(pl_grpc_call *call)
{
    watcher *w = pl_grpc_native_state(call);
    if (!w->health)
        return;
    if (w->prev)
        w->prev->next = w->next;
    else
        w->health->first = w->next;
    if (w->next)
        w->next->prev = w->prev;
    w->health->watchers--;
    w->health = NULL;
}

void pl_grpc_health_changed(pl_grpc_health *health)
{
    for (watcher *w = health->first, *next; w; w = next) {
        next = w->next;
        tell(w);
    }
}

/* --- List --- */
typedef struct listing {
    pl_arena *arena;
    list_entry **entries;
    check_response *responses;
    size_t count, capacity;
    bool failed;
} listing;

static bool grow(listing *l)
{
    size_t capacity = l->capacity ? l->capacity * 2 : 32;
    list_entry **entries = pl_arena_array(l->arena, capacity, sizeof *entries);
    if (!entries)
        return false;
    if (l->count > 0)
        memcpy(entries, l->entries, l->count * sizeof *entries);
    l->entries = entries;
    l->capacity = capacity;
    return true;
}

static bool list_one(void *arg, pl_str name, pl_health status)
{
    listing *l = arg;
    list_entry *entry = pl_arena_alloc(l->arena, sizeof *entry);
    check_response *response = pl_arena_alloc(l->arena, sizeof *response);
    pl_str copy = pl_arena_str(l->arena, name);
    l->failed |= !entry || !response || !copy.ptr || (l->count == l->capacity && !grow(l));
    if (l->failed)
        return false;
    *response = response_of(status);
    *entry = (list_entry)GRPC__HEALTH__V1__HEALTH_LIST_RESPONSE__STATUSES_ENTRY__INIT;
    entry->key = pl_grpc_cstr(copy);
    entry->value = response;
    l->entries[l->count++] = entry;
    return true;
}

static void list(pl_grpc_call *call, pl_str bytes)
{
    const pl_grpc_health *health = pl_grpc_native_data(call);
    listing l = {.arena = pl_grpc_native_arena(call)};
    list_response response = GRPC__HEALTH__V1__HEALTH_LIST_RESPONSE__INIT;
    (void)bytes;
    health->source.each(health->source.data, list_one, &l);
    response.n_statuses = l.count;
    response.statuses = l.entries;
    if (l.failed)
        pl_grpc_native_finish(call, PL_RESOURCE_EXHAUSTED, PL_STR("out of memory"));
    else
        pl_grpc_native_reply(call, &response.base);
}

/* --- life --- */
pl_grpc_health *pl_grpc_health_new(const pl_grpc_health_source *source, unsigned max_watchers)
{
    pl_grpc_health *health = pl_calloc(1, sizeof *health);
    if (!health)
        return NULL;
    health->source = *source;
    health->max_watchers = max_watchers ? max_watchers : DEFAULT_WATCHERS;
    return health;
}

void pl_grpc_health_free(pl_grpc_health *health)
{
    pl_free(health);
}

pl_code pl_grpc_health_add(pl_grpc_health *health, pl_grpc_service *service)
{
    static const pl_grpc_native checking = {.message = check}, listing_all = {.message = list},
                                watching = {.size = sizeof(watcher),
                                            .message = watch,
                                            .writable = watch_writable,
                                            .closed = watch_closed};
    const pl_grpc_method methods[] = {
        {.path = PL_STR("/" PL_GRPC_HEALTH "/Check"), .native = &checking, .native_data = health},
        {.path = PL_STR("/" PL_GRPC_HEALTH "/List"), .native = &listing_all, .native_data = health},
        {.path = PL_STR("/" PL_GRPC_HEALTH "/Watch"),
         .native = &watching,
         .native_data = health,
         .server_streaming = true}};
    pl_code code = PL_OK;
    for (size_t i = 0; !code && i < sizeof methods / sizeof *methods; i++)
        code = pl_grpc_service_add(service, &methods[i]);
    return code;
}
