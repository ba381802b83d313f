/* SPDX-License-Identifier: MIT */
#include "app/services.h"

#include <stdio.h>

#include "app/natives.h"
#include "base/suggest.h"
#include "grpc/codec_proto.h"
#include "grpc/service.h"

typedef struct loader {
    pl_instance *instance;
    pl_state *state;
    const pl_engine *e;
    pl_report *report;
    const pb_pool *protos; /* NULL: none */
    bool described;        /* .proto files of the bundle have services */
    bool warn;             /* once, not for each instance */
    const pl_natives *natives;
    bool is_native;   /* what is being read is the host program's */
    const char *file; /* that is being read */
    pl_str service;   /* the same */
    const pb_service *descriptor;
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

static const struct kind *kind_of(const pb_method *m)
{
    return &kinds[m->client_streaming * 2 + m->server_streaming];
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

/* " Did you mean …?", in the instance's arena; or "". */
static pl_str suggest_method(loader *l, pl_str name)
{
    pl_suggestions s;
    pl_suggest_init(&s, name);
    for (size_t i = 0; i < l->descriptor->count; i++)
        pl_suggest_add(&s, l->descriptor->methods[i].name);
    return pl_suggest_text(&s, &l->instance->arena, NULL);
}

static pl_str suggest_service(loader *l, pl_str name)
{
    size_t count;
    const pb_service *const *services = pb_pool_services(l->protos, &count);
    pl_suggestions s;
    pl_suggest_init(&s, name);
    for (size_t i = 0; i < count; i++)
        pl_suggest_add(&s, services[i]->full_name);
    return pl_suggest_text(&s, &l->instance->arena, NULL);
}

/* Whether the function at slot is in this file, and where; one of another file is named by its entry alone.
 */
static uint32_t line_of(loader *l, pl_slot function)
{
    pl_str file;
    uint32_t line;
    return l->e->where(l->state, function, &file, &line) && pl_str_is(file, l->file) ? line : 0;
}

static const void *proto_type(loader *l, const pb_message *message)
{
    pl_grpc_proto_type *type = pl_arena_alloc(&l->instance->arena, sizeof *type);
    l->report->errors.out_of_memory |= !type;
    if (type)
        *type = (pl_grpc_proto_type){l->instance->codec, message};
    return type;
}

/* Fills in what the .proto file says. entry: the function alone, or a table that says which kind it is. */
static bool describe(loader *l, pl_str name, bool plain, const struct kind *kind, pl_grpc_method *out)
{
    const pb_method *m = pb_service_method(l->descriptor, name);
    uint32_t line = line_of(l, l->e->top(l->state));
    if (!m) {
        pl_report_error(l->report, l->file, line, 0, "The service %.*s (in %.*s) has no method \"%.*s\".%.*s",
                        PL_STR_ARG(l->service), PL_STR_ARG(l->descriptor->file->name), PL_STR_ARG(name),
                        PL_STR_ARG(suggest_method(l, name)));
        return false;
    }
    if (!plain && kind != kind_of(m)) {
        pl_report_error(l->report, l->file, line, 0,
                        "The method %.*s.%.*s is %s in %.*s, not %s: a plain function is enough.",
                        PL_STR_ARG(l->service), PL_STR_ARG(name), kind_of(m)->name,
                        PL_STR_ARG(l->descriptor->file->name), kind->name);
        return false;
    }
    out->descriptor = m;
    out->client_streaming = m->client_streaming;
    out->server_streaming = m->server_streaming;
    out->codec = &pl_grpc_proto_codec;
    out->input = proto_type(l, m->input);
    out->output = proto_type(l, m->output);
    return out->input && out->output;
}

/* Of a service that no .proto file describes, where others are described: its functions must say what they
 * are, as a name that is only misspelt has plain ones. */
static bool check_undescribed(loader *l, pl_str name, bool plain)
{
    if (!l->described || !plain)
        return true;
    pl_str text = suggest_service(l, l->service);
    pl_report_error(
        l->report, l->file, line_of(l, l->e->top(l->state)), 0,
        "There is no service \"%.*s\" in proto/.%.*s%s", PL_STR_ARG(l->service), PL_STR_ARG(text),
        text.len ? ""
                 : " If its messages are bytes, say of each method which kind it is: { unary = function }.");
    return false;
}

static void bad_entry(loader *l, pl_str name, pl_slot entry)
{
    if (!is_name(name, false))
        pl_report_error(l->report, l->file, 0, 0, "The service %.*s: \"%.*s\" is no name of a method.",
                        PL_STR_ARG(l->service), name.len > 100 ? 100 : (int)name.len, name.ptr);
    else if (l->descriptor)
        pl_report_error(l->report, l->file, 0, 0, "%.*s.%.*s must be a function, not %s.",
                        PL_STR_ARG(l->service), PL_STR_ARG(name),
                        pl_kind_phrase(l->e->kind(l->state, entry)));
    else
        pl_report_error(
            l->report, l->file, 0, 0,
            "%.*s.%.*s must be a function, or a table { unary = function }, { server_streaming = … }, "
            "{ client_streaming = … } or { bidi_streaming = … }, not %s.",
            PL_STR_ARG(l->service), PL_STR_ARG(name), pl_kind_phrase(l->e->kind(l->state, entry)));
}

/* The method's google.api.http. */
static void add_routes(loader *l, const pl_grpc_method *method)
{
    pl_error err;
    pl_error_clear(&err);
    pl_code code = pl_grpc_service_route(l->instance->grpc, method->path, &err);
    if (code == PL_RESOURCE_EXHAUSTED)
        l->report->errors.out_of_memory = true;
    if (code != PL_INVALID_ARGUMENT && code != PL_ALREADY_EXISTS)
        return;
    pl_str file = pl_arena_printf(&l->instance->arena, "proto/%.*s",
                                  PL_STR_ARG(method->descriptor->service->file->name));
    pl_report_error(l->report, file.ptr ? file.ptr : l->file, 0, 0, "%.*s: google.api.http: %s.",
                    PL_STR_ARG(method->descriptor->full_name), err.message);
}

static void push_name(loader *l, const pb_message *message)
{
    if (message)
        l->e->push_string(l->state, message->full_name);
    else
        l->e->push_absent(l->state);
}

/* A function of the host program gives a sequence where messages are streamed, and may want them as bytes:
 * the one at the top is replaced. */
static bool wrap_native(loader *l, pl_str name, const pl_grpc_method *method)
{
    pl_slot result, function = l->e->top(l->state);
    pl_error err = {0};
    bool bytes = method->descriptor && pl_natives_wants_bytes(l->natives, l->service, name);
    if (!bytes && !method->client_streaming && !method->server_streaming)
        return true;
    pl_str kind = pl_str_of(kind_of(method->descriptor)->name); /* without one there are only unary ones */
    pl_ref wrap = l->e->library ? l->e->library(l->state, PL_STR("perilune.native"), kind) : PL_REF_NONE;
    if (wrap == PL_REF_NONE) {
        pl_report_error(l->report, l->file, 0, 0, "The method %.*s is more than the engine \"%s\" can do.",
                        PL_STR_ARG(method->path), l->e->name);
        return false;
    }
    l->e->push_ref(l->state, wrap);
    l->e->push_copy(l->state, function);
    push_name(l, bytes ? method->descriptor->input : NULL);
    push_name(l, bytes ? method->descriptor->output : NULL);
    bool ok = l->e->call_loading(l->state, 3, &result, &err) == PL_OK;
    l->e->drop(l->state, wrap);
    if (!ok)
        pl_report_add(l->report, &err);
    return ok;
}

/* False: the rest of the service is of no interest. */
static bool add_method(loader *l, pl_str name, pl_slot entry)
{
    const struct kind *kind = is_name(name, false) ? push_function(l, entry) : NULL;
    bool plain = l->e->is_function(l->state, entry);
    if (!kind) {
        bad_entry(l, name, entry);
        return true;
    }
    pl_grpc_method method = {
        .path = pl_arena_printf(&l->instance->arena, "/%.*s/%.*s", PL_STR_ARG(l->service), PL_STR_ARG(name)),
        .client_streaming = kind->client_streaming,
        .server_streaming = kind->server_streaming,
        .codec = &pl_grpc_bytes_codec};
    if (l->descriptor ? !describe(l, name, plain, kind, &method) : !check_undescribed(l, name, plain))
        return l->descriptor != NULL;
    if (l->is_native && !wrap_native(l, name, &method))
        return true;
    method.function = l->e->keep(l->state, l->e->top(l->state));
    method.arity = l->e->arity(l->state, l->e->top(l->state));
    pl_code code = method.path.ptr ? pl_grpc_service_add(l->instance->grpc, &method) : PL_RESOURCE_EXHAUSTED;
    if (code == PL_ALREADY_EXISTS)
        pl_report_error(
            l->report, l->file, line_of(l, l->e->top(l->state)), 0,
            "The method %.*s/%.*s is there already, in %s.", PL_STR_ARG(l->service), PL_STR_ARG(name),
            pl_natives_has_method(l->natives, l->service, name) ? PL_HOST_PROGRAM : "another file");
    else if (code != PL_OK)
        l->report->errors.out_of_memory = true;
    else
        add_routes(l, &method);
    return true;
}

/* Calls add for each entry of the map at slot that is named by a string, until it is false. */
static void each(loader *l, pl_slot map, const char *what, bool (*add)(loader *l, pl_str name, pl_slot entry))
{
    if (l->e->kind(l->state, map) != PL_KIND_MAP || !l->e->reserve(l->state, 16)) {
        pl_report_error(l->report, l->file, 0, 0, "%s, not %s.", what,
                        pl_kind_phrase(l->e->kind(l->state, map)));
        return;
    }
    l->e->push_absent(l->state);
    pl_slot key = l->e->top(l->state);
    for (bool more = true; more && l->e->next(l->state, map);) {
        if (l->e->kind(l->state, key) == PL_KIND_STRING)
            more = add(l, l->e->get_string(l->state, key), key + 1);
        else
            pl_report_error(l->report, l->file, 0, 0, "%s: an entry is not named by a string.", what);
        l->e->pop_to(l->state, key);
    }
}

static bool add_service(loader *l, pl_str name, pl_slot methods)
{
    char what[600];
    if (!is_name(name, true)) {
        pl_report_error(l->report, l->file, 0, 0,
                        "\"%.*s\" is no name of a service: it is like \"package.Service\".",
                        name.len > 100 ? 100 : (int)name.len, name.ptr);
        return true;
    }
    l->service = name;
    l->descriptor = l->protos ? pb_pool_service(l->protos, name) : NULL;
    snprintf(what, sizeof what, "The service %.*s must be a table { Method = function }", PL_STR_ARG(name));
    each(l, methods, what, add_method);
    return true;
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

/* Methods without a function, of services that have some; a client hears UNIMPLEMENTED. */
static void warn_missing(loader *l)
{
    size_t count;
    const pb_service *const *services = l->protos ? pb_pool_services(l->protos, &count) : NULL;
    for (size_t i = 0; services && i < count; i++) {
        for (size_t k = 0;
             pl_grpc_service_has(l->instance->grpc, services[i]->full_name) && k < services[i]->count; k++) {
            char path[1100];
            pl_str name = services[i]->methods[k].name;
            int n = snprintf(path, sizeof path, "/%.*s/%.*s", PL_STR_ARG(services[i]->full_name),
                             PL_STR_ARG(name));
            if ((size_t)n < sizeof path &&
                !pl_grpc_service_find(l->instance->grpc, (pl_str){path, (size_t)n}))
                pl_report_warning(l->report, NULL, 0, 0,
                                  "%.*s.%.*s (in proto/%.*s) has no function: it answers UNIMPLEMENTED.",
                                  PL_STR_ARG(services[i]->full_name), PL_STR_ARG(name),
                                  PL_STR_ARG(services[i]->file->name));
        }
    }
}

static void load_natives(loader *l)
{
    pl_slot top = l->e->top(l->state);
    l->file = PL_HOST_PROGRAM;
    l->is_native = true;
    pl_natives_push_services(l->natives, l->state);
    each(l, top + 1, "Services", add_service);
    l->e->pop_to(l->state, top);
    l->is_native = false;
}

static bool open_protos(loader *l)
{
    size_t services = 0;
    if (!l->protos)
        return true;
    pb_pool_services(l->protos, &services);
    l->described = services > 0;
    l->instance->codec = pb_codec_new(l->protos, l->state);
    return l->instance->codec != NULL;
}

void pl_services_load(pl_instance *instance, const pl_instance_source *source, pl_report *report)
{
    const pl_bundle *bundle = source->bundle;
    loader l = {.instance = instance,
                .state = instance->state,
                .e = source->engine,
                .report = report,
                .protos = source->protos,
                .warn = source->read_config,
                .natives = source->natives};
    if (!pl_bundle_has_services(bundle) && !pl_natives_has_methods(l.natives))
        return;
    instance->grpc = pl_grpc_service_new(instance->state, &source->config->grpc.calls, instance->interceptors,
                                         &instance->in_flight);
    if (!instance->grpc || !open_protos(&l)) {
        report->errors.out_of_memory = true;
        return;
    }
    if (pl_natives_has_methods(l.natives))
        load_natives(&l);
    for (size_t i = 0; i < bundle->file_count; i++) {
        if (pl_file_is(&bundle->files[i], "services/", ".lua"))
            load_file(&l, &bundle->files[i]);
    }
    if (l.warn && !pl_report_has_errors(report))
        warn_missing(&l);
}
