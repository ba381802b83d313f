/* SPDX-License-Identifier: MIT */
#include "app/config_values.h"

#include <stdio.h>
#include <stdlib.h>

void pl_config_default(pl_config *config)
{
    *config = (pl_config){.path = PL_STR("/graphql")};
    config->http.compress = true;
    config->http.main_path = config->path;
    config->metrics = (pl_metrics_config){.enabled = true, .path = PL_STR("/metrics")};
    config->max_operations = 10000;
    config->websocket = (pl_ws_config){.init_timeout_ms = 10000,
                                       .ping_ms = 30000,
                                       .pong_timeout_ms = 10000,
                                       .max_operations = 256,
                                       .max_message = (size_t)1 << 20,
                                       .max_queued = (size_t)4 << 20};
    pl_config_default_grpc(&config->grpc);
    pl_config_default_kafka(&config->kafka);
    pl_config_default_database(&config->database);
    config->schemas.timeout_ms = 10000;
    config->schemas.missing_ms = 1000;
    config->reading.apq.size = (size_t)16 << 20;
    config->reading.apq.ttl_ms = (uint64_t)24 * 3600 * 1000;
    config->reading.uploads.directory = PL_STR("");
    config->reading.documents.path = PL_STR("documents");
    config->reading.uploads.max_file_size = (size_t)16 << 20;
    config->reading.uploads.max_files = 10;
    config->reading.uploads.timeout_ms = 300000;
}

static void read_path(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    if (c->e->kind(c->state, slot) == PL_KIND_STRING &&
        pl_str_starts(c->e->get_string(c->state, slot), PL_STR("/")))
        *(pl_str *)target = cfg_copy_string(c, slot);
    else
        cfg_wrong(c, path, "a path that begins with \"/\"", slot);
}

static void read_origins(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    pl_cors *cors = &c->config->http.cors;
    (void)target;
    size_t n = 0;
    pl_str *origins = cfg_strings(c, path, slot,
                                  "a list of origins such as { \"https://shop.example\" }, or { \"*\" }", &n);
    if (origins) {
        cors->origins = origins;
        cors->origin_count = n;
    }
}

static void read_cors(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const cfg_setting settings[] = {{"origins", read_origins, 0},
                                           {"credentials", cfg_bool, CFG_AT(http.cors.credentials)},
                                           {"max_age", cfg_uint32, CFG_AT(http.cors.max_age_s)},
                                           {"allow_headers", cfg_string, CFG_AT(http.cors.allow_headers)},
                                           {"expose_headers", cfg_string, CFG_AT(http.cors.expose_headers)},
                                           {NULL, NULL, 0}};
    (void)target;
    cfg_table(c, path, slot, settings, c->config);
}

static void read_csrf_headers(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    size_t n = 0;
    (void)target;
    pl_str *names = cfg_strings(c, path, slot, "a list of header names such as { \"x-my-client\" }", &n);
    for (size_t i = 0; names && i < n; i++)
        cfg_lower(names[i]);
    c->config->reading.csrf.headers = names;
    c->config->reading.csrf.header_count = names ? n : 0;
}

static void read_csrf_strict(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    bool strict = false;
    cfg_bool(c, path, slot, &strict);
    if (strict)
        *(pl_csrf_mode *)target = PL_CSRF_STRICT;
}

/* true, false, "strict" or { headers = {…}, strict = … } */
static void read_csrf(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const cfg_setting settings[] = {{"headers", read_csrf_headers, 0},
                                           {"strict", read_csrf_strict, CFG_AT(reading.csrf.mode)},
                                           {NULL, NULL, 0}};
    static const char *const words[] = {"strict", NULL};
    pl_csrf_mode *mode = target;
    unsigned word;
    bool on = true;
    *mode = PL_CSRF_ON;
    if (cfg_word(c, slot, words, &word))
        *mode = PL_CSRF_STRICT;
    else
        cfg_switch(c, path, slot, settings, &on);
    if (!on)
        *mode = PL_CSRF_OFF;
}

static void read_batching(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const cfg_setting settings[] = {{"max", cfg_uint32, CFG_AT(reading.max_batch)}, {NULL, NULL, 0}};
    bool on = false;
    uint32_t *max = target;
    *max = 10;
    cfg_switch(c, path, slot, settings, &on);
    if (!on)
        *max = 0;
}

static void read_uploads(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const cfg_setting settings[] = {{"max_file_size", cfg_size, CFG_AT(reading.uploads.max_file_size)},
                                           {"max_files", cfg_uint32, CFG_AT(reading.uploads.max_files)},
                                           {"max_size", cfg_size, CFG_AT(reading.uploads.max_size)},
                                           {"max_total", cfg_size, CFG_AT(reading.uploads.max_total)},
                                           {"timeout", cfg_seconds, CFG_AT(reading.uploads.timeout_ms)},
                                           {"directory", cfg_string, CFG_AT(reading.uploads.directory)},
                                           {NULL, NULL, 0}};
    cfg_switch(c, path, slot, settings, target);
}

static void read_status(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const char *const words[] = {"audit", "draft", NULL};
    unsigned word = 0;
    if (!cfg_word(c, slot, words, &word))
        cfg_wrong(c, path, "\"audit\" or \"draft\"", slot);
    *(bool *)target = word == 1;
}

/* true, or a table of settings for the page, which then is on. */
static void read_graphiql(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const cfg_setting settings[] = {{"title", cfg_string, CFG_AT(ide.title)},
                                           {"default_query", cfg_string, CFG_AT(ide.default_query)},
                                           {"headers", cfg_not_bool, CFG_AT(ide.no_headers)},
                                           {NULL, NULL, 0}};
    cfg_switch(c, path, slot, settings, target);
}

static void read_websocket(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const cfg_setting settings[] = {{"init_timeout", cfg_seconds, CFG_AT(websocket.init_timeout_ms)},
                                           {"ping", cfg_seconds, CFG_AT(websocket.ping_ms)},
                                           {"pong_timeout", cfg_seconds, CFG_AT(websocket.pong_timeout_ms)},
                                           {"max_operations", cfg_uint32, CFG_AT(websocket.max_operations)},
                                           {"max_message", cfg_size, CFG_AT(websocket.max_message)},
                                           {"max_queued", cfg_size, CFG_AT(websocket.max_queued)},
                                           {NULL, NULL, 0}};
    (void)target;
    cfg_table(c, path, slot, settings, c->config);
}

static void read_http(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const cfg_setting settings[] = {{"path", read_path, CFG_AT(path)},
                                           {"cors", read_cors, 0},
                                           {"compress", cfg_bool, CFG_AT(http.compress)},
                                           {"pretty", cfg_bool, CFG_AT(pretty)},
                                           {"csrf", read_csrf, CFG_AT(reading.csrf.mode)},
                                           {"batching", read_batching, CFG_AT(reading.max_batch)},
                                           {"uploads", read_uploads, CFG_AT(reading.uploads.on)},
                                           {"status", read_status, CFG_AT(reading.draft_status)},
                                           {"graphiql", read_graphiql, CFG_AT(ide.enabled)},
                                           {"websocket", read_websocket, 0},
                                           {NULL, NULL, 0}};
    (void)target;
    cfg_table(c, path, slot, settings, c->config);
}

/* true, false, or { path = …, enabled = … } */
static void read_metrics(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const cfg_setting settings[] = {{"path", read_path, CFG_AT(metrics.path)},
                                           {"enabled", cfg_bool, CFG_AT(metrics.enabled)},
                                           {NULL, NULL, 0}};
    cfg_switch(c, path, slot, settings, target);
}

static void read_limits(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const cfg_setting settings[] = {{"memory", cfg_size, CFG_AT(limits.memory)},
                                           {"call_memory", cfg_size, CFG_AT(limits.call_memory)},
                                           {"instructions", cfg_uint64, CFG_AT(limits.instructions)},
                                           {"run_time", cfg_seconds, CFG_AT(limits.run_ms)},
                                           {"load_time", cfg_seconds, CFG_AT(limits.load_ms)},
                                           {NULL, NULL, 0}};
    (void)target;
    cfg_table(c, path, slot, settings, c->config);
}

static void read_function(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    (void)target; /* each state binds its own */
    if (!c->e->is_function(c->state, slot))
        cfg_wrong(c, path, "a function", slot);
}

static void read_interceptors(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const char expected[] = "a list of functions f(ctx, next)";
    size_t n = c->e->length(c->state, slot);
    (void)target; /* each state binds its own */
    if (c->e->kind(c->state, slot) != PL_KIND_LIST &&
        (c->e->kind(c->state, slot) != PL_KIND_MAP || cfg_count_entries(c, slot) > 0)) {
        cfg_wrong(c, path, expected, slot);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        char at[256];
        snprintf(at, sizeof at, "%s[%zu]", path, i + 1);
        c->e->element(c->state, slot, i);
        pl_slot item = c->e->top(c->state);
        if (!c->e->is_function(c->state, item))
            cfg_wrong(c, at, "a function f(ctx, next)", item);
        c->e->pop_to(c->state, item - 1);
    }
}

/* --- timers = { name = { every = seconds, run = function } } --- */
typedef struct timer_entry {
    uint64_t every_ms;
    bool has_every, has_run;
} timer_entry;

static void read_every(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    timer_entry *t = target;
    t->has_every = true;
    cfg_get_seconds(c, path, slot, &t->every_ms);
}

static void read_run(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    timer_entry *t = target;
    t->has_run = true;
    read_function(c, path, slot, NULL);
}

static void read_timer(cfg_context *c, const char *path, pl_slot slot, pl_str name)
{
    static const cfg_setting settings[] = {{"every", read_every, 0}, {"run", read_run, 0}, {NULL, NULL, 0}};
    timer_entry entry = {0};
    if (c->e->kind(c->state, slot) != PL_KIND_MAP) {
        cfg_wrong(c, path, "a table { every = seconds, run = function }", slot);
        return;
    }
    cfg_table(c, path, slot, settings, &entry);
    if (pl_str_starts(name, PL_STR("perilune.")))
        pl_report_error(c->report, c->file, 0, 0,
                        "%s: names that begin with \"perilune.\" are the server's own.", path);
    if (!entry.has_every || !entry.has_run)
        pl_report_error(c->report, c->file, 0, 0, "%s has no \"%s\".", path,
                        entry.has_every ? "run" : "every");
    c->config->timers[c->config->timer_count++] =
        (pl_timer_config){.name = cfg_copy(c, name), .every_ms = entry.every_ms};
}

static int compare_timers(const void *a, const void *b)
{
    return pl_str_cmp(((const pl_timer_config *)a)->name, ((const pl_timer_config *)b)->name);
}

static void read_timers(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    (void)target;
    c->config->timer_count = 0;
    c->config->timers = cfg_begin_named(
        c, path, slot, "a table { name = { every = seconds, run = function } }", sizeof *c->config->timers);
    if (!c->config->timers)
        return;
    cfg_each_named(c, path, slot, read_timer);
    if (c->config->timer_count > 1)
        qsort(c->config->timers, c->config->timer_count, sizeof *c->config->timers, compare_timers);
}

/* --- loaders = { name = function, name = { batch = function, … } } --- */
typedef struct loader_entry {
    pl_loader_config config;
    bool has_batch;
} loader_entry;

static void read_batch(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    ((loader_entry *)target)->has_batch = true;
    read_function(c, path, slot, NULL);
}

static void read_loader(cfg_context *c, const char *path, pl_slot slot, pl_str name)
{
    static const cfg_setting settings[] = {
        {"batch", read_batch, 0},
        {"key", read_function, 0},
        {"max_batch", cfg_uint32, offsetof(loader_entry, config.max_batch)},
        {"cache", cfg_not_bool, offsetof(loader_entry, config.uncached)},
        {NULL, NULL, 0}};
    loader_entry entry = {.config.name = cfg_copy(c, name)};
    if (!c->e->is_function(c->state, slot)) {
        if (c->e->kind(c->state, slot) != PL_KIND_MAP) {
            cfg_wrong(c, path, "a function(keys, ctx), or a table { batch = function, … }", slot);
            return;
        }
        cfg_table(c, path, slot, settings, &entry);
        if (!entry.has_batch)
            pl_report_error(c->report, c->file, 0, 0, "%s has no \"batch\".", path);
    }
    c->config->loaders[c->config->loader_count++] = entry.config;
}

static int compare_loaders(const void *a, const void *b)
{
    return pl_str_cmp(((const pl_loader_config *)a)->name, ((const pl_loader_config *)b)->name);
}

static void read_loaders(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    (void)target;
    c->config->loader_count = 0;
    c->config->loaders =
        cfg_begin_named(c, path, slot, "a table { name = function(keys, ctx) }", sizeof *c->config->loaders);
    if (!c->config->loaders)
        return;
    cfg_each_named(c, path, slot, read_loader);
    if (c->config->loader_count > 1)
        qsort(c->config->loaders, c->config->loader_count, sizeof *c->config->loaders, compare_loaders);
}

static void read_pubsub(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const cfg_setting settings[] = {{"topic", cfg_string, CFG_AT(pubsub_topic)}, {NULL, NULL, 0}};
    (void)target;
    cfg_table(c, path, slot, settings, c->config);
}

void pl_config_read(pl_state *state, pl_slot slot, pl_arena *arena, pl_config *config, pl_report *report)
{
    static const cfg_setting settings[] = {{"name", cfg_string, CFG_AT(name)},
                                           {"http", read_http, 0},
                                           {"graphql", cfg_graphql, 0},
                                           {"grpc", cfg_grpc, 0},
                                           {"kafka", cfg_kafka, 0},
                                           {"pubsub", read_pubsub, 0},
                                           {"metrics", read_metrics, CFG_AT(metrics.enabled)},
                                           {"sqlite", cfg_sqlite, 0},
                                           {"limits", read_limits, 0},
                                           {"timers", read_timers, 0},
                                           {"loaders", read_loaders, 0},
                                           {"interceptors", read_interceptors, 0},
                                           {"default_resolver", read_function, 0},
                                           {NULL, NULL, 0}};
    cfg_context c = {state, pl_engine_of(state), arena, config, report, "app.lua"};
    cfg_table(&c, "", slot, settings, config);
    config->http.main_path = config->path;
    if (config->metrics.enabled && pl_str_eq(config->metrics.path, config->path))
        pl_report_error(report, c.file, 0, 0, "metrics.path and http.path are the same, \"%.*s\".",
                        PL_STR_ARG(config->path));
    cfg_add_built_in(&c);
}
