/* SPDX-License-Identifier: MIT */
#include "grpc/client/settings.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#define MOST_SECONDS 1e6

typedef struct reading {
    pl_arena *arena;
    const pl_value *map;
    pl_error *err;
    bool failed;
} reading;

static const pl_value *member(const pl_value *map, const char *name)
{
    for (size_t i = 0; map->kind == PL_KIND_MAP && i < map->map.count; i++) {
        if (pl_str_is(map->map.members[i].name, name))
            return &map->map.members[i].value;
    }
    return NULL;
}

static void __attribute__((format(printf, 3, 4))) fail(reading *r, pl_code code, const char *fmt, ...)
{
    va_list args;
    if (r->failed)
        return;
    r->failed = true;
    r->err->code = code;
    va_start(args, fmt);
    vsnprintf(r->err->message, sizeof r->err->message, fmt, args);
    va_end(args);
}

/* Whether there is a number; in *out. */
static bool number(reading *r, const char *name, double least, double most, double *out)
{
    const pl_value *v = member(r->map, name);
    if (!v || v->kind == PL_KIND_ABSENT)
        return false;
    double n = v->kind == PL_KIND_INT ? (double)v->integer : v->kind == PL_KIND_FLOAT ? v->number : NAN;
    if (!(n >= least && n <= most)) {
        fail(r, PL_INVALID_ARGUMENT, "%s must be a number from %g to %g", name, least, most);
        return false;
    }
    *out = n;
    return true;
}

static void milliseconds(reading *r, const char *name, unsigned *out)
{
    double n;
    if (number(r, name, 0, MOST_SECONDS, &n))
        *out = (unsigned)(n * 1000);
}

static void long_milliseconds(reading *r, const char *name, uint64_t *out)
{
    double n;
    if (number(r, name, 0, MOST_SECONDS, &n))
        *out = (uint64_t)(n * 1000);
}

static void bytes(reading *r, const char *name, double most, size_t *out)
{
    double n;
    if (number(r, name, 1, most, &n))
        *out = (size_t)n;
}

static void count(reading *r, const char *name, uint32_t *out)
{
    double n;
    if (number(r, name, 0, 1e9, &n))
        *out = (uint32_t)n;
}

static void boolean(reading *r, const char *name, bool *out)
{
    const pl_value *v = member(r->map, name);
    if (!v || v->kind == PL_KIND_ABSENT)
        return;
    if (v->kind != PL_KIND_BOOL)
        fail(r, PL_INVALID_ARGUMENT, "%s must be true or false", name);
    else
        *out = v->boolean;
}

static void string(reading *r, const char *name, pl_str *out)
{
    const pl_value *v = member(r->map, name);
    if (!v || v->kind == PL_KIND_ABSENT)
        return;
    if (v->kind != PL_KIND_STRING || v->string.len == 0 || memchr(v->string.ptr, '\0', v->string.len)) {
        fail(r, PL_INVALID_ARGUMENT, "%s must be a string", name);
        return;
    }
    *out = pl_arena_str(r->arena, v->string);
    if (!out->ptr)
        fail(r, PL_RESOURCE_EXHAUSTED, "out of memory");
}

static bool enter(reading *r, const char *name, reading *inner)
{
    const pl_value *v = member(r->map, name);
    if (!v || v->kind == PL_KIND_ABSENT || r->failed)
        return false;
    if (v->kind != PL_KIND_MAP && !(v->kind == PL_KIND_LIST && v->list.count == 0)) {
        fail(r, PL_INVALID_ARGUMENT, "%s must be a table", name);
        return false;
    }
    *inner = (reading){.arena = r->arena, .map = v, .err = r->err};
    return true;
}

static void read_config(reading *r, pl_client_settings *out)
{
    const pl_value *v = member(r->map, "service_config");
    pl_code code = PL_OK;
    if (!v || v->kind == PL_KIND_ABSENT || r->failed)
        return;
    code = v->kind == PL_KIND_STRING
               ? pl_service_config_parse(r->arena, v->string, true, &out->config, r->err)
               : pl_service_config_read(r->arena, v, true, &out->config, r->err);
    if (code == PL_OK && out->config->has_balancing)
        out->balancing = out->config->balancing;
    r->failed |= code != PL_OK;
}

static void read_balance(reading *r, pl_client_settings *out)
{
    pl_str name = PL_STR_NONE;
    string(r, "balance", &name);
    if (name.ptr && !pl_balancing_policy_named(name, &out->balancing.policy))
        fail(r, PL_INVALID_ARGUMENT,
             "balance must be \"pick_first\", \"round_robin\", \"least_request\" or \"weighted\", not "
             "\"%.*s\"",
             PL_STR_ARG(name));
}

static void read_breaker(reading *r, pl_client_settings *out)
{
    reading in;
    pl_breaker_config *b = &out->breaker;
    double share;
    if (!enter(r, "breaker", &in))
        return;
    out->has_breaker = true;
    b->failures = 5;
    count(&in, "failures", &b->failures);
    if (number(&in, "rate", 0, 1, &share))
        b->rate = share;
    long_milliseconds(&in, "window", &b->window);
    count(&in, "minimum", &b->minimum);
    long_milliseconds(&in, "open", &b->open);
    count(&in, "probes", &b->probes);
    long_milliseconds(&in, "slow", &b->slow);
    if (b->slow > 0)
        b->slow_rate = 0.5;
    if (number(&in, "slow_rate", 0, 1, &share))
        b->slow_rate = share;
    r->failed |= in.failed;
}

static void read_backoff(reading *r, pl_client_settings *out)
{
    reading in;
    if (enter(r, "reconnect", &in)) {
        long_milliseconds(&in, "initial", &out->backoff.initial);
        long_milliseconds(&in, "max", &out->backoff.max);
        r->failed |= in.failed;
    }
    long_milliseconds(r, "connect_timeout", &out->backoff.connect);
}

static void read_keepalive(reading *r, pl_client_settings *out)
{
    reading in;
    if (!enter(r, "keepalive", &in))
        return;
    out->session.keepalive_ms = 300000;
    milliseconds(&in, "time", &out->session.keepalive_ms);
    milliseconds(&in, "timeout", &out->session.keepalive_timeout_ms);
    boolean(&in, "without_calls", &out->session.ping_without_calls);
    if (out->session.keepalive_ms > 0 && out->session.keepalive_ms < 10)
        out->session.keepalive_ms = 10;
    r->failed |= in.failed;
}

static void read_tls(reading *r, pl_client_settings *out)
{
    const pl_value *v = member(r->map, "tls");
    pl_client_tls *tls = &out->tls;
    reading in;
    if (v && v->kind == PL_KIND_BOOL) {
        tls->on = v->boolean;
        return;
    }
    if (!enter(r, "tls", &in))
        return;
    tls->on = true;
    string(&in, "ca", &tls->ca);
    string(&in, "certificate", &tls->certificate);
    string(&in, "key", &tls->key);
    string(&in, "server_name", &tls->server_name);
    boolean(&in, "unverified", &tls->unverified);
    if (!tls->certificate.ptr != !tls->key.ptr)
        fail(&in, PL_INVALID_ARGUMENT, "tls: certificate and key belong together");
    r->failed |= in.failed;
}

static void read_messages(reading *r, pl_client_settings *out)
{
    pl_str name = PL_STR_NONE;
    bytes(r, "max_request", 4294967295.0, &out->max_request);
    bytes(r, "max_response", 4294967295.0, &out->max_response);
    bytes(r, "compress_from", 4294967295.0, &out->compress_from);
    bytes(r, "max_headers", 1 << 24, &out->session.max_headers);
    string(r, "compression", &name);
    if (name.ptr && (out->coding = pl_grpc_coding_read(name)) == PL_GRPC_CODINGS)
        fail(r, PL_INVALID_ARGUMENT, "compression must be one of %.*s, not \"%.*s\"",
             PL_STR_ARG(pl_grpc_coding_names()), PL_STR_ARG(name));
}

pl_code pl_client_settings_read(pl_client_settings *out, pl_arena *arena, const pl_value *options,
                                pl_error *err)
{
    static const pl_value none = {.kind = PL_KIND_ABSENT};
    reading r = {.arena = arena, .map = options ? options : &none, .err = err};
    *out = (pl_client_settings){.max_request = UINT32_MAX,
                                .max_response = (size_t)4 << 20,
                                .compress_from = 1024,
                                .coding = PL_GRPC_IDENTITY,
                                .user_agent = PL_STR("perilune/" PL_VERSION),
                                .idle_ms = 1800000};
    read_config(&r, out);
    read_balance(&r, out);
    read_breaker(&r, out);
    read_backoff(&r, out);
    read_keepalive(&r, out);
    read_tls(&r, out);
    read_messages(&r, out);
    string(&r, "authority", &out->authority);
    string(&r, "user_agent", &out->user_agent);
    milliseconds(&r, "idle_timeout", &out->idle_ms);
    out->session.handshake_ms = (unsigned)(out->backoff.connect ? out->backoff.connect : 20000);
    return r.failed ? err->code : PL_OK;
}
