/* SPDX-License-Identifier: MIT */
#include "app/instance.h"

#include <stdlib.h>

#include "app/consumer_decl.h"
#include "app/natives.h"
#include "app/rate_limit.h"
#include "app/services.h"
#include "base/alloc.h"
#include "graphql/federation/federation.h"
#include "grpc/service.h"
#include "proto/codec.h"
#include "value/mailbox.h"

typedef struct builder {
    pl_instance *instance;
    const pl_instance_source *source;
    pl_report *report;
    bool ok;
} builder;

static const pl_engine *engine_of(const builder *b)
{
    return b->source->engine;
}

/* --- app.lua --- */

/* Pushes the member of the map in the top slot; false when there is none, or no memory. */
static bool push_member(builder *b, pl_str name)
{
    const pl_engine *e = engine_of(b);
    pl_state *state = b->instance->state;
    pl_key *key = e->key(state, name);
    b->report->errors.out_of_memory |= !key;
    return key && e->field(state, e->top(state), key);
}

/* Keeps the functions at app.timers[name].run. The names are the first state's: app.lua may have made
 * something else here. */
static pl_ref keep_timer(builder *b, const pl_timer_config *timer)
{
    const pl_engine *e = engine_of(b);
    pl_state *state = b->instance->state;
    if (timer->module.ptr)
        return e->library ? e->library(state, timer->module, PL_STR("run")) : PL_REF_NONE;
    if (push_member(b, PL_STR("timers")) && push_member(b, timer->name) && push_member(b, PL_STR("run")) &&
        e->is_function(state, e->top(state)))
        return e->keep(state, e->top(state));
    return PL_REF_NONE;
}

static void keep_timers(builder *b, pl_slot app)
{
    const pl_engine *e = engine_of(b);
    pl_state *state = b->instance->state;
    size_t n = b->source->config->timer_count;
    b->instance->timers = pl_arena_array(&b->instance->arena, n, sizeof *b->instance->timers);
    b->report->errors.out_of_memory |= !b->instance->timers;
    for (size_t i = 0; b->instance->timers && i < n; i++) {
        const pl_timer_config *timer = &b->source->config->timers[i];
        b->instance->timers[i] = keep_timer(b, timer);
        if (b->instance->timers[i] == PL_REF_NONE && !pl_report_has_errors(b->report))
            pl_report_error(b->report, "app.lua", 0, 0,
                            "The timer \"%.*s\" is not there every time that the file runs.",
                            PL_STR_ARG(timer->name));
        e->pop_to(state, app);
    }
}

/* Pushes loaders[name], or what stands at `member` of it where it is a table, if that is a function. */
static bool push_loader_function(builder *b, pl_str name, pl_str member)
{
    const pl_engine *e = engine_of(b);
    pl_state *state = b->instance->state;
    if (!push_member(b, PL_STR("loaders")) || !push_member(b, name))
        return false;
    if (e->is_function(state, e->top(state)))
        return pl_str_is(member, "batch");
    return push_member(b, member) && e->is_function(state, e->top(state));
}

static void keep_loaders(builder *b, pl_slot app)
{
    const pl_engine *e = engine_of(b);
    pl_state *state = b->instance->state;
    size_t n = b->source->config->loader_count;
    pl_loader *loaders = pl_arena_array(&b->instance->arena, n, sizeof *loaders);
    b->report->errors.out_of_memory |= !loaders;
    for (size_t i = 0; loaders && i < n; i++) {
        const pl_loader_config *config = &b->source->config->loaders[i];
        loaders[i] = (pl_loader){.name = config->name,
                                 .batch = PL_REF_NONE,
                                 .key = PL_REF_NONE,
                                 .max_batch = config->max_batch,
                                 .uncached = config->uncached};
        if (push_loader_function(b, config->name, PL_STR("batch")))
            loaders[i].batch = e->keep(state, e->top(state));
        else if (!pl_report_has_errors(b->report))
            pl_report_error(b->report, "app.lua", 0, 0,
                            "The loader \"%.*s\" is not there every time that the file runs.",
                            PL_STR_ARG(config->name));
        e->pop_to(state, app);
        if (push_loader_function(b, config->name, PL_STR("key")))
            loaders[i].key = e->keep(state, e->top(state));
        e->pop_to(state, app);
    }
    b->instance->loaders = loaders;
    if (loaders && e->set_loaders)
        e->set_loaders(state, loaders, n);
}

/* Pushes app.interceptors; false: there are none. */
static bool push_interceptors(builder *b, pl_slot app)
{
    const pl_engine *e = engine_of(b);
    pl_state *state = b->instance->state;
    if (app > 0 && push_member(b, PL_STR("interceptors")) && e->kind(state, e->top(state)) == PL_KIND_LIST)
        return true;
    e->pop_to(state, app);
    return false;
}

/* The chain of the host program's, and of app.interceptors. app: 0 without app.lua. */
static void keep_interceptors(builder *b, pl_slot app)
{
    const pl_engine *e = engine_of(b);
    pl_state *state = b->instance->state;
    pl_error err = {0};
    size_t natives = pl_natives_interceptor_count(b->source->natives);
    pl_slot list = push_interceptors(b, app) ? e->top(state) : 0;
    size_t n = natives + (list > 0 ? e->length(state, list) : 0);
    pl_ref *functions = n > 0 ? pl_arena_array(&b->instance->arena, n, sizeof *functions) : NULL;
    b->report->errors.out_of_memory |= n > 0 && !functions;
    if (natives > 0 && functions &&
        pl_natives_keep_interceptors(b->source->natives, state, functions, &err) < natives) {
        pl_report_add(b->report, &err);
        functions = NULL;
    }
    for (size_t i = natives; functions && i < n; i++) {
        e->element(state, list, i - natives);
        functions[i] = e->keep(state, e->top(state));
        e->pop_to(state, list);
    }
    if (functions)
        b->instance->interceptors = e->chain(state, functions, n);
    e->pop_to(state, app);
}

/* Tests have a database of their own, never that of the application. */
static void set_database(builder *b)
{
    pl_database_config database = b->source->config->database;
    const char *file = b->source->testing ? getenv("PERILUNE_SQLITE_PATH") : NULL;
    if (database.path.ptr && file)
        database.path = pl_str_of(file);
    if (engine_of(b)->set_database)
        engine_of(b)->set_database(b->instance->state, &database);
}

static void open_section(void *data)
{
    builder *b = data;
    const pl_engine *e = engine_of(b);
    pl_state *state = b->instance->state;
    pl_slot app;
    pl_error err = {0};
    if (!pl_bundle_find(b->source->bundle, PL_STR("app.lua"))) {
        keep_interceptors(b, 0);
        b->ok = !pl_report_has_errors(b->report);
        return;
    }
    if (e->load(state, PL_STR("app.lua"), &app, &err) != PL_OK) {
        pl_report_add(b->report, &err);
        return;
    }
    if (b->source->read_config)
        pl_config_read(state, app, b->source->config_arena, b->source->config, b->report);
    set_database(b);
    if (!pl_report_has_errors(b->report)) {
        keep_timers(b, app);
        keep_loaders(b, app);
        keep_interceptors(b, app);
    }
    if (push_member(b, PL_STR("default_resolver")) && e->is_function(state, e->top(state)))
        b->instance->default_resolver = e->keep(state, e->top(state));
    e->pop_to(state, app);
    if (push_member(b, PL_STR("graphql")) && push_member(b, PL_STR("cache")) &&
        push_member(b, PL_STR("session")) && e->is_function(state, e->top(state)))
        b->instance->cache_session = e->keep(state, e->top(state));
    b->ok = !pl_report_has_errors(b->report);
}

pl_instance *pl_instance_open(const pl_instance_source *source, pl_report *report)
{
    pl_error err = {0};
    pl_instance *instance = pl_calloc(1, sizeof *instance);
    pl_state_config config = {.files = source->bundle->files,
                              .file_count = source->bundle->file_count,
                              .directory = source->bundle->directory,
                              .limits = source->limits,
                              .log = source->log,
                              .shared = source->shared,
                              .compiled = source->compiled,
                              .protos = source->protos,
                              .schemas = source->schemas,
                              .testing = source->testing};
    if (!instance) {
        report->errors.out_of_memory = true;
        return NULL;
    }
    pl_arena_init(&instance->arena, 0);
    pl_timers_init(&instance->armed);
    instance->default_resolver = instance->interceptors = instance->cache_session = PL_REF_NONE;
    if (source->engine->state_new(source->engine, &config, &instance->state, &err) != PL_OK) {
        pl_report_add(report, &err);
        pl_instance_free(instance);
        return NULL;
    }
    builder b = {.instance = instance, .source = source, .report = report};
    if (!source->engine->protect(instance->state, open_section, &b, &err))
        pl_report_add(report, &err);
    if (!b.ok) {
        pl_instance_free(instance);
        return NULL;
    }
    return instance;
}

/* --- resolvers --- */
static void load_resolvers(builder *b, const pl_file *file)
{
    const pl_engine *e = engine_of(b);
    pl_state *state = b->instance->state;
    pl_slot top = e->top(state), table;
    pl_error err = {0};
    if (e->load(state, file->path, &table, &err) != PL_OK)
        pl_report_add(b->report, &err);
    else if (b->instance->binding)
        gql_binding_add(b->instance->binding, table, file->path.ptr, &b->report->errors);
    else
        pl_report_error(b->report, file->path.ptr, 0, 0,
                        "There are resolvers, but the bundle has no schema/*.graphql.");
    e->pop_to(state, top);
}

static void warn_unresolved(builder *b, const gql_named *root)
{
    if (!root || b->instance->default_resolver != PL_REF_NONE)
        return;
    for (uint32_t i = 0; i < root->field_count; i++) {
        const gql_field *f = &root->fields[i];
        if (b->instance->binding->fields[f->id].resolver == PL_REF_NONE && b->source->read_config &&
            !gql_is_federation_field(b->source->schema, f))
            pl_report_warning(b->report, f->source ? f->source->name : NULL, f->loc.line, f->loc.column,
                              "%.*s.%.*s has no resolver: it is always null.", PL_STR_ARG(root->name),
                              PL_STR_ARG(f->name));
    }
}

static void warn_without_source(builder *b, const gql_named *root)
{
    for (uint32_t i = 0; root && i < root->field_count; i++) {
        const gql_field *f = &root->fields[i];
        if (b->instance->binding->fields[f->id].subscribe == PL_REF_NONE && b->source->read_config)
            pl_report_warning(b->report, f->source ? f->source->name : NULL, f->loc.line, f->loc.column,
                              "%.*s.%.*s has no subscribe function: nobody can subscribe to it.",
                              PL_STR_ARG(root->name), PL_STR_ARG(f->name));
    }
}

static void bind_section(void *data)
{
    builder *b = data;
    pl_instance *instance = b->instance;
    if (!pl_natives_bind(b->source->natives, instance, b->report))
        return;
    for (size_t i = 0; i < b->source->bundle->file_count; i++) {
        const pl_file *file = &b->source->bundle->files[i];
        if (pl_file_is(file, "resolvers/", ".lua"))
            load_resolvers(b, file);
    }
    if (instance->binding && instance->default_resolver != PL_REF_NONE) {
        pl_slot slot = engine_of(b)->push_ref(instance->state, instance->default_resolver);
        gql_binding_set_default(instance->binding, slot);
    }
    pl_natives_place_scalars(b->source->natives, instance, b->report);
    if (instance->binding && !pl_report_has_errors(b->report))
        gql_binding_finish(instance->binding, &b->source->config->access, &b->report->errors);
    pl_services_load(instance, b->source, b->report);
    pl_consumers_load(instance, b->source, b->report);
    b->ok = !pl_report_has_errors(b->report);
    if (instance->binding && b->ok) {
        warn_unresolved(b, b->source->schema->query);
        warn_unresolved(b, b->source->schema->mutation);
        warn_without_source(b, b->source->schema->subscription);
    }
}

bool pl_instance_bind(pl_instance *instance, const pl_instance_source *source, pl_report *report)
{
    builder b = {.instance = instance, .source = source, .report = report};
    pl_error err = {0};
    if (source->schema) {
        instance->binding = gql_binding_new(source->schema, instance->state);
        if (!instance->binding) {
            report->errors.out_of_memory = true;
            return false;
        }
    }
    source->engine->set_limits(instance->state, &source->config->limits);
    if (!source->engine->protect(instance->state, bind_section, &b, &err))
        pl_report_add(report, &err);
    if (!b.ok)
        return false;
    if (instance->binding) {
        gql_service_options options = source->config->graphql;
        if (source->config->rate_limit.capacity > 0) {
            options.cost.admit = pl_rate_limit_admit;
            options.cost.admit_data = instance;
        }
        instance->service = gql_service_new(instance->binding, &options);
        report->errors.out_of_memory |= !instance->service;
        if (instance->service) {
            gql_service_set_interceptors(instance->service, instance->interceptors);
            gql_service_set_session(instance->service, instance->cache_session);
        }
    }
    return !report->errors.out_of_memory;
}

void pl_instance_free(pl_instance *instance)
{
    if (!instance)
        return;
    gql_service_free(instance->service);
    gql_binding_free(instance->binding);
    pl_grpc_service_free(instance->grpc);
    pb_codec_free(instance->codec);
    if (instance->state)
        pl_engine_of(instance->state)->state_free(instance->state);
    pl_mailbox_unref(instance->mailbox);
    pl_timers_dispose(&instance->armed);
    pl_arena_dispose(&instance->arena);
    pl_free(instance);
}
