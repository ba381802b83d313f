/* SPDX-License-Identifier: MIT */
#include "app/services.h"

#include <stdio.h>

#include "grpc/service.h"

typedef struct loader {
    pl_instance *instance;
    pl_state *state;
    const pl_engine *e;
    pl_report *report;
    const char *file; /* that is being read */
    pl_str service;   /* the same */
} loader;

bool pl_bundle_has_services(const pl_bundle *bundle)
{
    for (size_t i = 0; i < bundle->file_count; i++) {
        if (pl_file_is(&bundle->files[i], "services/", ".lua"))
            return true;
    }
    return false;
}

/* --- methods --- */

/* Of services that no .proto file describes: { bidi_streaming = function }. */
static const struct kind {
    const char *name;
    bool client_streaming, server_streaming;
} kinds[] = {{"unary", false, false},
             {"server_streaming", false, true},
             {"client_streaming", true, false},
             {"bidi_streaming", true, true}};
#define KINDS (sizeof kinds / sizeof *kinds)

/* Pushes the function of a method's entry; NULL: there is none. stack: … entry → … entry function */
static const struct kind *push_function(loader *l, pl_slot entry)
{
    if (l->e->is_function(l->state, entry)) {
        l->e->push_copy(l->state, entry);
        return &kinds[0];
    }
    for (size_t i = 0; l->e->kind(l->state, entry) == PL_KIND_MAP && i < KINDS; i++) {
        pl_key *key = l->e->key(l->state, pl_str_of(kinds[i].name));
        l->report->errors.out_of_memory |= !key;
        if (key && l->e->field(l->state, entry, key) && l->e->is_function(l->state, entry + 1))
            return &kinds[i];
        l->e->pop_to(l->state, entry);
    }
    return NULL;
}

static bool is_name(pl_str name, bool dots)
{
    bool ok = name.len > 0 && name.len < 500;
    for (size_t i = 0; ok && i < name.len; i++) {
        char c = name.ptr[i];
        ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
             (dots && c == '.');
    }
    return ok;
}

static void add_method(loader *l, pl_str name, pl_slot entry)
{
    const struct kind *kind = is_name(name, false) ? push_function(l, entry) : NULL;
    if (!kind) {
        pl_report_error(
            l->report, l->file, 0, 0,
            "%.*s.%.*s must be a function, or a table { unary = function }, { server_streaming = … }, "
            "{ client_streaming = … } or { bidi_streaming = … }, not %s.",
            PL_STR_ARG(l->service), PL_STR_ARG(name), pl_kind_phrase(l->e->kind(l->state, entry)));
        return;
    }
    pl_grpc_method method = {
        .path = pl_arena_printf(&l->instance->arena, "/%.*s/%.*s", PL_STR_ARG(l->service), PL_STR_ARG(name)),
        .client_streaming = kind->client_streaming,
        .server_streaming = kind->server_streaming,
        .codec = &pl_grpc_bytes_codec,
        .function = l->e->keep(l->state, l->e->top(l->state)),
        .arity = l->e->arity(l->state, l->e->top(l->state))};
    pl_code code = method.path.ptr ? pl_grpc_service_add(l->instance->grpc, &method) : PL_RESOURCE_EXHAUSTED;
    if (code == PL_ALREADY_EXISTS)
        pl_report_error(l->report, l->file, 0, 0, "The method %.*s/%.*s is there already, in another file.",
                        PL_STR_ARG(l->service), PL_STR_ARG(name));
    else if (code != PL_OK)
        l->report->errors.out_of_memory = true;
}

/* Calls add for each entry of the map at slot that is named by a string. */
static void each(loader *l, pl_slot map, const char *what, void (*add)(loader *l, pl_str name, pl_slot entry))
{
    if (l->e->kind(l->state, map) != PL_KIND_MAP || !l->e->reserve(l->state, 16)) {
        pl_report_error(l->report, l->file, 0, 0, "%s, not %s.", what,
                        pl_kind_phrase(l->e->kind(l->state, map)));
        return;
    }
    l->e->push_absent(l->state);
    pl_slot key = l->e->top(l->state);
    while (l->e->next(l->state, map)) {
        if (l->e->kind(l->state, key) == PL_KIND_STRING)
            add(l, l->e->get_string(l->state, key), key + 1);
        else
            pl_report_error(l->report, l->file, 0, 0, "%s: an entry is not named by a string.", what);
        l->e->pop_to(l->state, key);
    }
}

static void add_service(loader *l, pl_str name, pl_slot methods)
{
    char what[600];
    if (!is_name(name, true)) {
        pl_report_error(l->report, l->file, 0, 0,
                        "\"%.*s\" is no name of a service: it is like \"package.Service\".",
                        name.len > 100 ? 100 : (int)name.len, name.ptr);
        return;
    }
    l->service = name;
    snprintf(what, sizeof what, "The service %.*s must be a table { Method = function }", PL_STR_ARG(name));
    each(l, methods, what, add_method);
}

static void load_file(loader *l, const pl_file *file)
{
    pl_slot top = l->e->top(l->state), table;
    pl_error err = {0};
    l->file = file->path.ptr;
    if (l->e->load(l->state, file->path, &table, &err) != PL_OK)
        pl_report_add(l->report, &err);
    else
        each(l, table,
             "A file of services must return a table { [\"package.Service\"] = { Method = function } }",
             add_service);
    l->e->pop_to(l->state, top);
}

void pl_services_load(pl_instance *instance, const pl_instance_source *source, pl_report *report)
{
    const pl_bundle *bundle = source->bundle;
    loader l = {.instance = instance, .state = instance->state, .e = source->engine, .report = report};
    if (!pl_bundle_has_services(bundle))
        return;
    instance->grpc = pl_grpc_service_new(instance->state, &source->config->grpc.calls, instance->interceptors,
                                         &instance->in_flight);
    if (!instance->grpc) {
        report->errors.out_of_memory = true;
        return;
    }
    for (size_t i = 0; i < bundle->file_count; i++) {
        if (pl_file_is(&bundle->files[i], "services/", ".lua"))
            load_file(&l, &bundle->files[i]);
    }
}
