/* SPDX-License-Identifier: MIT */
#include "grpc/service.h"

#include "base/alloc.h"
#include "grpc/call.h"
#include "grpc/transcode/routes.h"
#include "proto/pool.h"

/* google.protobuf.MethodOptions */
#define IDEMPOTENCY_LEVEL 34
#define NO_SIDE_EFFECTS 1

typedef struct service_name {
    bool off;
} service_name;

pl_grpc_service *pl_grpc_service_new(pl_state *state, const pl_grpc_options *options, pl_ref interceptors,
                                     unsigned *in_flight)
{
    pl_grpc_service *s = pl_calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->state = state;
    s->options = *options;
    if (s->options.max_message == 0)
        s->options.max_message = (size_t)4 << 20;
    if (s->options.compress_from == 0)
        s->options.compress_from = 1024;
    s->interceptors = interceptors;
    s->in_flight = in_flight;
    pl_map_init(&s->methods);
    pl_map_init(&s->names);
    pl_arena_init(&s->arena, 0);
    return s;
}

void pl_grpc_service_free(pl_grpc_service *s)
{
    if (!s)
        return;
    pl_map_dispose(&s->methods);
    pl_map_dispose(&s->names);
    pl_http_routes_free(s->routes);
    pl_arena_dispose(&s->arena);
    pl_free(s);
}

pl_code pl_grpc_service_route(pl_grpc_service *s, pl_str path, pl_error *err)
{
    const pl_grpc_method *method = pl_map_get(&s->methods, path);
    if (!method || !method->descriptor)
        return PL_OK;
    if (!s->routes && !(s->routes = pl_http_routes_new()))
        return pl_fail_memory(err);
    return pl_http_routes_add(s->routes, method, err);
}

/* "/user.v1.UserService/GetUser" → "user.v1.UserService" */
static pl_str name_of(pl_str path)
{
    const char *slash = path.len > 1 ? memrchr(path.ptr + 1, '/', path.len - 1) : NULL;
    return slash ? (pl_str){path.ptr + 1, (size_t)(slash - path.ptr) - 1} : PL_STR_NONE;
}

static service_name *add_name(pl_grpc_service *s, pl_str name)
{
    service_name *own = pl_map_get(&s->names, name);
    if (own)
        return own;
    own = pl_arena_zalloc(&s->arena, sizeof *own);
    return own && pl_map_set(&s->names, name, own) ? own : NULL;
}

pl_code pl_grpc_service_add(pl_grpc_service *s, const pl_grpc_method *method)
{
    if (pl_map_has(&s->methods, method->path))
        return PL_ALREADY_EXISTS;
    pl_grpc_method *own = pl_arena_alloc(&s->arena, sizeof *own);
    if (!own)
        return PL_RESOURCE_EXHAUSTED;
    *own = *method;
    own->mark = pl_arena_zalloc(&s->arena, sizeof *own->mark); /* NULL: it is looked for each time */
    if (own->native)
        own->codec = &pl_grpc_native_codec;
    return add_name(s, name_of(own->path)) && pl_map_set(&s->methods, own->path, own) ? PL_OK
                                                                                      : PL_RESOURCE_EXHAUSTED;
}

const pl_grpc_method *pl_grpc_service_find(pl_grpc_service *s, pl_str path)
{
    const service_name *name = s->some_off ? pl_map_get(&s->names, name_of(path)) : NULL;
    if (name && name->off)
        return NULL;
    if (!s->recent || !pl_str_eq(s->recent->path, path))
        s->recent = pl_map_get(&s->methods, path);
    return s->recent;
}

bool pl_grpc_service_has(const pl_grpc_service *s, pl_str name)
{
    const service_name *own = pl_map_get(&s->names, name);
    return own && !own->off;
}

bool pl_grpc_method_is_pure(const pl_grpc_method *method)
{
    uint64_t level = 0;
    return method->descriptor && pb_find_varint(method->descriptor->options, IDEMPOTENCY_LEVEL, &level) &&
           level == NO_SIDE_EFFECTS;
}

bool pl_grpc_service_knows(const pl_grpc_service *s, pl_str path)
{
    pl_str name = path.len > 0 && path.ptr[0] == '/' ? name_of(path) : PL_STR_NONE;
    return name.ptr && pl_grpc_service_has(s, name);
}

size_t pl_grpc_service_count(const pl_grpc_service *s)
{
    return s->methods.count;
}

void pl_grpc_service_end_calls(pl_grpc_service *s, const char *why)
{
    while (s->calls)
        pl_grpc_call_fail(s->calls, PL_UNAVAILABLE, "%s", why);
}

void pl_grpc_service_finish_calls(pl_grpc_service *s, const char *why)
{
    while (s->calls)
        pl_grpc_native_finish(s->calls, PL_UNAVAILABLE, pl_str_of(why));
}

void pl_grpc_service_set_off(pl_grpc_service *s, pl_str name, bool off)
{
    service_name *own = pl_map_get(&s->names, name);
    if (!own || own->off == off)
        return;
    own->off = off;
    s->some_off |= off;
    for (pl_grpc_call *call = s->calls, *next; off && call; call = next) {
        next = call->next;
        if (pl_str_eq(name_of(call->method->path), name))
            pl_grpc_native_finish(call, PL_UNAVAILABLE, PL_STR("The service has been switched off."));
    }
}

bool pl_grpc_service_each(const pl_grpc_service *s, bool (*fn)(void *data, pl_str name), void *data)
{
    for (size_t i = 0; i < s->names.count; i++) {
        const service_name *own = s->names.entries[i].value;
        if (!own->off && !fn(data, s->names.entries[i].key))
            return false;
    }
    return true;
}
