/* SPDX-License-Identifier: MIT */
#include "app/health.h"

#include <pthread.h>

#include "base/alloc.h"
#include "base/map.h"

typedef struct said {
    pl_health status;
    size_t length;
    char name[];
} said;

struct pl_health_hub {
    pthread_mutex_t lock;
    pl_map names; /* → said */
    pl_health_observer *observers;
};

pl_health_hub *pl_health_hub_new(void)
{
    pl_health_hub *hub = pl_calloc(1, sizeof *hub);
    if (!hub)
        return NULL;
    pthread_mutex_init(&hub->lock, NULL);
    pl_map_init(&hub->names);
    return hub;
}

void pl_health_hub_free(pl_health_hub *hub)
{
    if (!hub)
        return;
    for (size_t i = 0; i < hub->names.count; i++)
        pl_free(hub->names.entries[i].value);
    pl_map_dispose(&hub->names);
    pthread_mutex_destroy(&hub->lock);
    pl_free(hub);
}

/* --- observers --- */
static void run(pl_message *message)
{
    pl_health_observer *observer = message->data;
    pthread_mutex_lock(&observer->hub->lock);
    observer->posted = false;
    pthread_mutex_unlock(&observer->hub->lock);
    if (observer->changed)
        observer->changed(observer->data);
}

static void tell(pl_health_hub *hub)
{
    for (pl_health_observer *o = hub->observers; o; o = o->next) {
        if (!o->posted)
            pl_loop_post(o->loop, &o->message);
        o->posted = true;
    }
}

void pl_health_hub_join(pl_health_hub *hub, pl_health_observer *observer, pl_loop *loop)
{
    observer->hub = hub;
    observer->loop = loop;
    observer->message = (pl_message){.run = run, .data = observer};
    pthread_mutex_lock(&hub->lock);
    observer->next = hub->observers;
    hub->observers = observer;
    pthread_mutex_unlock(&hub->lock);
}

void pl_health_hub_leave(pl_health_observer *observer)
{
    pl_health_hub *hub = observer->hub;
    observer->changed = NULL;
    if (!hub)
        return;
    pthread_mutex_lock(&hub->lock);
    for (pl_health_observer **at = &hub->observers; *at; at = &(*at)->next) {
        if (*at == observer) {
            *at = observer->next;
            break;
        }
    }
    pthread_mutex_unlock(&hub->lock);
}

/* --- what is said --- */
static pl_code check_name(pl_str service, pl_error *err)
{
    if (service.len > PL_HEALTH_MOST_NAME)
        return pl_fail(err, PL_INVALID_ARGUMENT, "the name of a service has at most %d bytes, not %zu",
                       PL_HEALTH_MOST_NAME, service.len);
    if (service.len > 0 && (!pl_str_is_utf8(service) || memchr(service.ptr, '\0', service.len)))
        return pl_fail(err, PL_INVALID_ARGUMENT, "the name of a service must be text in UTF-8");
    return PL_OK;
}

static pl_code add(pl_health_hub *hub, pl_str service, pl_health status, pl_error *err)
{
    if (hub->names.count >= PL_HEALTH_MOST_NAMES)
        return pl_fail(err, PL_RESOURCE_EXHAUSTED,
                       "there are %d names already: clear those that are not needed", PL_HEALTH_MOST_NAMES);
    said *entry = pl_malloc(sizeof *entry + service.len + 1);
    if (!entry)
        return pl_fail_memory(err);
    entry->status = status;
    entry->length = service.len;
    if (service.len > 0)
        memcpy(entry->name, service.ptr, service.len);
    entry->name[service.len] = '\0';
    if (pl_map_set(&hub->names, (pl_str){entry->name, entry->length}, entry))
        return PL_OK;
    pl_free(entry);
    return pl_fail_memory(err);
}

pl_code pl_health_hub_set(pl_health_hub *hub, pl_str service, pl_health status, pl_error *err)
{
    pl_code code = check_name(service, err);
    if (code)
        return code;
    pthread_mutex_lock(&hub->lock);
    said *entry = pl_map_get(&hub->names, service);
    bool changes = status != (entry ? entry->status : PL_HEALTH_UNKNOWN);
    if (changes && status == PL_HEALTH_UNKNOWN)
        pl_free(pl_map_remove(&hub->names, service));
    else if (changes && entry)
        entry->status = status;
    else if (changes)
        code = add(hub, service, status, err);
    if (changes && !code)
        tell(hub);
    pthread_mutex_unlock(&hub->lock);
    return code;
}

pl_health pl_health_hub_get(pl_health_hub *hub, pl_str service)
{
    pthread_mutex_lock(&hub->lock);
    const said *entry = pl_map_get(&hub->names, service);
    pl_health status = entry ? entry->status : PL_HEALTH_UNKNOWN;
    pthread_mutex_unlock(&hub->lock);
    return status;
}

bool pl_health_hub_each(pl_health_hub *hub, bool (*fn)(void *data, pl_str name, pl_health status), void *data)
{
    bool all = true;
    pthread_mutex_lock(&hub->lock);
    for (size_t i = 0; all && i < hub->names.count; i++) {
        const said *entry = hub->names.entries[i].value;
        all = fn(data, hub->names.entries[i].key, entry->status);
    }
    pthread_mutex_unlock(&hub->lock);
    return all;
}
