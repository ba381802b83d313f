/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "net/resolve_internal.h"

#define MOST_LOOKUPS 4 /* at once */
#define FIRST_RETRY_MS 1000
#define MOST_RETRY_MS 120000.0
#define RETRY_GROWS 1.6
#define RETRY_JITTER 0.2
#define MIN_INTERVAL_MS 30000

uint64_t pl_resolver_now(const pl_resolver *r)
{
    return r->resolving->host->ops->now(r->resolving->host);
}

void pl_resolver_ask_at(pl_resolver *r, uint64_t at)
{
    pl_host *host = r->resolving->host;
    host->ops->timer_start(host, &r->timer, at);
}

/* In [1 - RETRY_JITTER, 1 + RETRY_JITTER): the hash has a key of the process's own. */
static double jitter(pl_resolving *resolving)
{
    resolving->chance++;
    unsigned long long hash = pl_hash(&resolving->chance, sizeof(resolving->chance));
    return 1 - RETRY_JITTER + 2 * RETRY_JITTER * (double)(hash >> 11) / (double)(1ull << 53);
}

static void report(pl_resolver *r, pl_code code, const char *format, va_list arguments)
{
    char what[700];
    pl_error err;
    pl_str target = r->target.text;
    vsnprintf(what, sizeof(what), format, arguments);
    pl_fail(&err, code, "%.*s: %s", (int)(target.len < 300 ? target.len : 300), target.ptr, what);
    r->in_error = true;
    r->config.error(r->config.data, &err);
}

void pl_resolver_report(pl_resolver *r, pl_code code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    report(r, code, format, arguments);
    va_end(arguments);
}

void pl_resolver_failed(pl_resolver *r, pl_code code, const char *format, ...)
{
    va_list arguments;
    r->retry_ms = r->retry_ms == 0 ? r->config.retry_ms : r->retry_ms * RETRY_GROWS;
    if (r->retry_ms > MOST_RETRY_MS)
        r->retry_ms = MOST_RETRY_MS;
    pl_resolver_ask_at(r, pl_resolver_now(r) + (uint64_t)(r->retry_ms * jitter(r->resolving)));
    va_start(arguments, format);
    report(r, code, format, arguments);
    va_end(arguments);
}

/* Whether it is another list than the one before; remembers it. */
static bool is_news(pl_resolver *r, const pl_resolved *addresses, size_t count)
{
    pl_buf text;
    pl_buf_init(&text);
    for (size_t i = 0; i < count; i++)
        pl_buf_printf(&text, "%.*s %u\n", PL_STR_ARG(addresses[i].address), addresses[i].weight);
    bool same = !text.failed && text.len > 0 && pl_str_eq(pl_buf_view(&text), pl_buf_view(&r->known));
    pl_buf_dispose(&r->known);
    r->known = text;
    return !same;
}

void pl_resolver_answered(pl_resolver *r, const pl_resolved *addresses, size_t count)
{
    /* Who was told of a failure may wait to hear that all is well. */
    bool tell = is_news(r, addresses, count) || r->in_error;
    r->retry_ms = 0;
    r->in_error = false;
    if (tell)
        r->config.update(r->config.data, addresses, count);
}

/* --- DNS --- */
static pl_code read_address(const struct addrinfo *info, pl_arena *arena, pl_str *out, pl_error *err)
{
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (getnameinfo(info->ai_addr, info->ai_addrlen, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return pl_fail(err, PL_INTERNAL, "an address that cannot be written");
    *out = pl_arena_printf(arena, info->ai_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
    return out->ptr ? PL_OK : pl_fail_memory(err);
}

static bool is_listed(const pl_resolved *list, size_t count, pl_str address)
{
    for (size_t i = 0; i < count; i++) {
        if (pl_str_eq(list[i].address, address))
            return true;
    }
    return false;
}

static pl_code read_list(const struct addrinfo *list, pl_arena *arena, pl_resolved **out, size_t *count,
                         pl_error *err)
{
    size_t most = 0;
    for (const struct addrinfo *at = list; at; at = at->ai_next)
        most++;
    *out = pl_arena_array(arena, most, sizeof(**out));
    *count = 0;
    if (!*out)
        return pl_fail_memory(err);
    for (const struct addrinfo *at = list; at; at = at->ai_next) {
        pl_str address;
        if (at->ai_family != AF_INET && at->ai_family != AF_INET6)
            continue;
        if (read_address(at, arena, &address, err) != PL_OK)
            return err->code;
        if (!is_listed(*out, *count, address))
            (*out)[(*count)++] = (pl_resolved){address, 1};
    }
    return *count > 0 ? PL_OK : pl_fail(err, PL_NOT_FOUND, "the name has no addresses");
}

static void on_looked_up(void *data, int failure, int system, const struct addrinfo *list)
{
    pl_resolver *r = data;
    pl_arena arena;
    pl_resolved *addresses;
    size_t count;
    pl_error err;
    r->lookup = NULL;
    if (failure != 0) {
        bool unknown = failure == EAI_NONAME;
        pl_resolver_failed(r, unknown ? PL_NOT_FOUND : PL_UNAVAILABLE, "cannot look up %s: %s",
                           r->target.dns.host,
                           failure == EAI_SYSTEM ? strerror(system) : gai_strerror(failure));
        return;
    }
    pl_arena_init(&arena, 0);
    if (read_list(list, &arena, &addresses, &count, &err) != PL_OK) {
        pl_resolver_failed(r, err.code, "%s", err.message);
    } else {
        if (r->config.poll_ms != 0)
            pl_resolver_ask_at(r, pl_resolver_now(r) + r->config.poll_ms);
        pl_resolver_answered(r, addresses, count);
    }
    pl_arena_dispose(&arena);
}

void pl_resolver_ask_dns(pl_resolver *r)
{
    pl_resolving *resolving = r->resolving;
    r->lookup = pl_lookup_start(resolving->lookups, resolving->loop, r->target.dns.host, r->target.dns.port,
                                on_looked_up, r);
    if (!r->lookup)
        pl_resolver_failed(r, PL_RESOURCE_EXHAUSTED, "no memory, or no thread, to look up a name");
}

/* --- all --- */
static void on_timer(pl_timer *timer)
{
    pl_resolver *r = timer->data;
    r->asked_at = pl_resolver_now(r);
    switch (r->target.kind) {
    case PL_TARGET_LIST:
        pl_resolver_answered(r, r->target.list.addresses, r->target.list.count);
        break;
    case PL_TARGET_DNS:
        pl_resolver_ask_dns(r);
        break;
    case PL_TARGET_CONSUL:
        pl_resolver_ask_consul(r);
        break;
    }
}

/* Consul tells by itself, and a list does not change. What has failed is asked again in its time. */
void pl_resolver_refresh(pl_resolver *r)
{
    if (r->target.kind != PL_TARGET_DNS || r->lookup || r->retry_ms > 0 || r->asked_at == 0)
        return;
    uint64_t now = pl_resolver_now(r), at = r->asked_at + r->config.min_interval_ms;
    if (at < now)
        at = now;
    if (r->timer.index == 0 || at < r->timer.at)
        pl_resolver_ask_at(r, at);
}

pl_resolver *pl_resolver_new(pl_resolving *resolving, const pl_resolver_config *config, pl_error *err)
{
    pl_resolver *r = pl_calloc(1, sizeof(*r));
    if (!r) {
        pl_fail_memory(err);
        return NULL;
    }
    pl_host *host = resolving->host;
    r->resolving = resolving;
    r->config = *config;
    if (r->config.min_interval_ms == 0)
        r->config.min_interval_ms = MIN_INTERVAL_MS;
    if (r->config.retry_ms == 0)
        r->config.retry_ms = FIRST_RETRY_MS;
    r->timer = (pl_timer){.fire = on_timer, .data = r};
    pl_arena_init(&r->arena, 0);
    pl_buf_init(&r->known);
    bool ok = pl_target_parse(config->target, &r->arena, &r->target, err) == PL_OK;
    r->config.target = r->target.text;
    if (ok && r->target.kind == PL_TARGET_CONSUL && !resolving->fetcher) {
        resolving->fetcher = pl_http_fetcher_new(resolving->loop, err);
        ok = resolving->fetcher != NULL;
    }
    if (ok && host->ops->timer_start(host, &r->timer, pl_resolver_now(r)) != 0) {
        pl_fail_memory(err);
        ok = false;
    }
    if (ok)
        return r;
    pl_resolver_free(r);
    return NULL;
}

void pl_resolver_free(pl_resolver *r)
{
    if (!r)
        return;
    pl_host *host = r->resolving->host;
    host->ops->timer_stop(host, &r->timer);
    if (r->lookup)
        pl_lookup_cancel(r->lookup);
    if (r->fetch)
        pl_http_fetch_cancel(r->fetch);
    pl_buf_dispose(&r->known);
    pl_arena_dispose(&r->arena);
    pl_free(r);
}

pl_resolving *pl_resolving_new(pl_loop *loop, pl_error *err)
{
    pl_resolving *resolving = pl_calloc(1, sizeof(*resolving));
    if (resolving)
        resolving->lookups = pl_lookups_new(MOST_LOOKUPS);
    if (!resolving || !resolving->lookups) {
        pl_free(resolving);
        pl_fail_memory(err);
        return NULL;
    }
    resolving->loop = loop;
    resolving->host = pl_loop_host(loop);
    return resolving;
}

void pl_resolving_free(pl_resolving *resolving)
{
    if (!resolving)
        return;
    pl_lookups_free(resolving->lookups);
    pl_http_fetcher_free(resolving->fetcher);
    pl_free(resolving);
}
