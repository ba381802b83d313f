/* SPDX-License-Identifier: MIT */
#include "bindings/lua/remote_keys.h"

#include <pthread.h>
#include <stdio.h>

#include "base/alloc.h"
#include "bindings/lua/fetch.h"

#define KIND "perilune.auth.keys"

struct plua_remote_keys {
    pl_thing thing; /* first */
    pthread_mutex_t lock;
    pl_jwk_set *set;
    plua_remote_state state;
    bool plain;
    unsigned timeout_ms;
    char *ca_file; /* NULL: none */
    char url[];
};

static void dispose(pl_thing *thing)
{
    plua_remote_keys *keys = (plua_remote_keys *)thing;
    pl_jwk_set_unref(keys->set);
    pthread_mutex_destroy(&keys->lock);
    pl_free(keys->ca_file);
    pl_free(keys);
}

static pl_thing *make(void *arg)
{
    const plua_remote_options *o = arg;
    size_t len = strlen(o->url) + 1, ca_len = o->ca_file ? strlen(o->ca_file) + 1 : 0;
    plua_remote_keys *keys = pl_calloc(1, sizeof *keys + len);
    if (!keys)
        return NULL;
    keys->ca_file = ca_len ? pl_malloc(ca_len) : NULL;
    if (ca_len && !keys->ca_file) {
        pl_free(keys);
        return NULL;
    }
    if (ca_len)
        memcpy(keys->ca_file, o->ca_file, ca_len);
    memcpy(keys->url, o->url, len);
    keys->plain = o->plain;
    keys->timeout_ms = o->timeout_ms;
    keys->thing.dispose = dispose;
    pthread_mutex_init(&keys->lock, NULL);
    return &keys->thing;
}

plua_remote_keys *plua_remote_keys_get(pl_registry *registry, const plua_remote_options *options,
                                       pl_error *err)
{
    /* What is fetched in another way is another thing. */
    pl_buf name;
    pl_buf_init(&name);
    pl_buf_printf(&name, "%s %d %u %s", options->url, options->plain, options->timeout_ms,
                  options->ca_file ? options->ca_file : "");
    pl_thing *thing = NULL;
    if (name.failed)
        pl_fail_memory(err);
    else
        thing = pl_registry_get(registry, KIND, pl_buf_view(&name), make, (void *)options, err);
    pl_buf_dispose(&name);
    return (plua_remote_keys *)thing;
}

void plua_remote_keys_release(pl_registry *registry, plua_remote_keys *keys)
{
    pl_registry_release(registry, &keys->thing);
}

pl_jwk_set *plua_remote_keys_set(plua_remote_keys *keys)
{
    pthread_mutex_lock(&keys->lock);
    pl_jwk_set *set = keys->set ? pl_jwk_set_ref(keys->set) : NULL;
    pthread_mutex_unlock(&keys->lock);
    return set;
}

plua_remote_state plua_remote_keys_look(plua_remote_keys *keys)
{
    pthread_mutex_lock(&keys->lock);
    plua_remote_state state = keys->state;
    pthread_mutex_unlock(&keys->lock);
    return state;
}

/* --- fetching --- */
typedef struct job {
    pl_job job; /* first */
    plua_remote_keys *keys;
    pl_registry *registry;
    pl_logger *log;
    uint64_t begun;
} job;

static void take_set(job *j, pl_jwk_set *set)
{
    plua_remote_keys *keys = j->keys;
    pthread_mutex_lock(&keys->lock);
    pl_jwk_set *old = keys->set;
    if (set) {
        keys->set = set;
        keys->state.has_set = true;
        keys->state.fetched_at = j->begun;
    } else {
        old = NULL; /* stays */
        keys->state.failures++;
    }
    keys->state.fetching = false;
    pthread_mutex_unlock(&keys->lock);
    pl_jwk_set_unref(old);
}

static void run(pl_job *base)
{
    job *j = (job *)base;
    const plua_fetch_options options = {.url = j->keys->url,
                                        .ca_file = j->keys->ca_file,
                                        .plain = j->keys->plain,
                                        .timeout_ms = j->keys->timeout_ms,
                                        .most = PL_MOST_KEY_TEXT};
    pl_error err = {.code = PL_OK};
    pl_jwk_set *set = NULL;
    pl_buf body;
    pl_buf_init(&body);
    pl_code code = plua_fetch(&options, &body, &err);
    if (code == PL_OK)
        code = pl_jwk_set_read(pl_buf_view(&body), false, false, &set, &err);
    pl_buf_dispose(&body);
    if (code)
        pl_log(j->log, PL_ERROR, "keys could not be fetched", PL_F_CSTR("url", j->keys->url),
               PL_F_CSTR("error", err.message));
    else
        pl_log(j->log, PL_INFO, "keys fetched", PL_F_CSTR("url", j->keys->url),
               PL_F_INT("keys", pl_jwk_set_count(set)));
    take_set(j, set);
}

static void done(pl_job *base)
{
    job *j = (job *)base;
    plua_remote_keys_release(j->registry, j->keys);
    pl_free(j);
}

/* Whether this caller is to fetch; *under_way: whether somebody does. */
static bool begin(plua_remote_keys *keys, uint64_t now, uint64_t cooldown_ms, bool *under_way)
{
    pthread_mutex_lock(&keys->lock);
    plua_remote_state *s = &keys->state;
    bool begins = !s->fetching && (s->tried_at == 0 || now >= s->tried_at + cooldown_ms);
    if (begins) {
        s->fetching = true;
        s->tried_at = now ? now : 1;
        s->fetches++;
    }
    *under_way = s->fetching;
    pthread_mutex_unlock(&keys->lock);
    return begins;
}

static void give_up(plua_remote_keys *keys)
{
    pthread_mutex_lock(&keys->lock);
    keys->state.fetching = false;
    keys->state.failures++;
    pthread_mutex_unlock(&keys->lock);
}

bool plua_remote_keys_refresh(plua_remote_keys *keys, pl_registry *registry, pl_host *host,
                              uint64_t cooldown_ms)
{
    bool under_way;
    uint64_t now = host->ops->now(host);
    if (!begin(keys, now, cooldown_ms, &under_way))
        return under_way;
    job *j = pl_calloc(1, sizeof *j);
    if (j) {
        *j = (job){.job = {.run = run, .done = done},
                   .keys = keys,
                   .registry = registry,
                   .log = host->log,
                   .begun = now};
        pl_registry_hold(registry, &keys->thing); /* the job's */
        if (host->ops->offload(host, &j->job, NULL) == 0)
            return true;
        plua_remote_keys_release(registry, keys);
    }
    pl_free(j);
    give_up(keys);
    return false;
}
