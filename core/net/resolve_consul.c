/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "net/consul.h"
#include "net/resolve_internal.h"

/* Blocking queries: the agent keeps each until something with a greater index has happened, or `wait` has
 * passed; the answer says the index for the next. After a failure it is forgotten, since an agent that has
 * begun anew may be at a smaller one, which it would wait to be passed. */

#define MOST_BODY ((size_t)16 << 20)
#define CONNECT_MS 5000
#define SLACK_MS                                                                               \
    10000 /* for what is on its way when `wait` has passed; the agent adds up to a 16th itself \
           */
#define LEAST_BETWEEN_MS 200 /* from one question to the next, however often things change */

/* What an agent says beside 200 is text; the beginning of its first line is shown. */
static void report_status(pl_resolver *r, const pl_http_answer *answer)
{
    char text[201];
    size_t len = 0;
    while (len < sizeof(text) - 1 && len < answer->body.len && answer->body.ptr[len] >= 0x20 &&
           answer->body.ptr[len] < 0x7f)
        len++;
    memcpy(text, len > 0 ? answer->body.ptr : "", len);
    text[len] = '\0';
    bool denied = answer->status == 401 || answer->status == 403;
    const char *hint = denied && r->target.consul.token ? " (the token may not read this service)"
                       : denied ? " (a token that may read this service is given as ?token=)"
                                : "";
    pl_resolver_failed(r, denied ? PL_PERMISSION_DENIED : PL_UNAVAILABLE, "the agent answers %ld%s%s%s",
                       answer->status, len > 0 ? ": " : "", text, hint);
}

/* No failure: the next query waits until there is one. */
static void report_none(pl_resolver *r, size_t names)
{
    r->retry_ms = 0;
    if (names > 0)
        pl_resolver_report(r, PL_FAILED_PRECONDITION,
                           "the instances are registered with host names; IP addresses are needed");
    else
        pl_resolver_report(r, PL_NOT_FOUND, "Consul knows no instance whose checks pass");
}

static void take_answer(pl_resolver *r, const pl_http_answer *answer, pl_arena *arena)
{
    const pl_resolved *addresses;
    size_t count, names;
    uint64_t index = 0;
    pl_error err;
    if (answer->code != PL_OK) {
        pl_resolver_failed(r, PL_UNAVAILABLE, "cannot ask the agent: %s", answer->why);
        return;
    }
    if (answer->status != 200) {
        report_status(r, answer);
        return;
    }
    if (!pl_consul_next_index(pl_http_answer_header(answer, "X-Consul-Index"), r->index, &index)) {
        pl_resolver_failed(r, PL_UNAVAILABLE,
                           "the answer has no X-Consul-Index: is this the HTTP API of a Consul agent?");
        return;
    }
    if (pl_consul_read(answer->body, r->target.consul.warnings, arena, &addresses, &count, &names, &err) !=
        PL_OK) {
        pl_resolver_failed(r, PL_UNAVAILABLE, "%s", err.message);
        return;
    }
    r->index = index;
    uint64_t now = pl_resolver_now(r), next = r->asked_at + LEAST_BETWEEN_MS;
    pl_resolver_ask_at(r, next > now ? next : now);
    if (count > 0)
        pl_resolver_answered(r, addresses, count);
    else
        report_none(r, names);
}

static void on_answer(void *data, const pl_http_answer *answer)
{
    pl_resolver *r = data;
    pl_arena arena;
    r->fetch = NULL;
    pl_arena_init(&arena, (size_t)16 << 10);
    take_answer(r, answer, &arena);
    pl_arena_dispose(&arena);
}

void pl_resolver_ask_consul(pl_resolver *r)
{
    pl_buf text; /* the URL, then the token's header */
    pl_buf_init(&text);
    if (r->retry_ms > 0)
        r->index = 0;
    pl_buf_printf(&text, "%s", r->target.consul.url);
    if (r->index > 0)
        pl_buf_printf(&text, "&index=%llu", (unsigned long long)r->index);
    pl_buf_char(&text, '\0');
    size_t header_at = text.len;
    if (r->target.consul.token)
        pl_buf_printf(&text, "X-Consul-Token: %s", r->target.consul.token);
    pl_buf_char(&text, '\0');
    unsigned wait_ms = r->target.consul.wait_s * 1000;
    if (!text.failed) {
        const char *const headers[] = {r->target.consul.token ? text.data + header_at : NULL, NULL};
        pl_http_fetch_options options = {
            .url = text.data,
            .headers = headers,
            .ca = r->target.consul.ca,
            .connect_timeout_ms = CONNECT_MS,
            .timeout_ms = r->index > 0 ? wait_ms + wait_ms / 16 + SLACK_MS : SLACK_MS,
            .most = MOST_BODY,
            .done = on_answer,
            .data = r,
        };
        r->fetch = pl_http_fetch_start(r->resolving->fetcher, &options, NULL);
    }
    pl_buf_dispose(&text);
    if (!r->fetch)
        pl_resolver_failed(r, PL_RESOURCE_EXHAUSTED, "out of memory");
}
