/* SPDX-License-Identifier: MIT */
#include "app/schema_call.h"

#include <stdio.h>

#define LEAST_TRIES 3
#define PAUSE_MS 100
#define CONNECT_MS 2000
#define MOST_BODY ((size_t)8 << 20)
#define KEEP_BYTES 65536

static unsigned most_tries(const pl_schema_call *call)
{
    return call->config->url_count > LEAST_TRIES ? (unsigned)call->config->url_count : LEAST_TRIES;
}

static pl_str url_of(const pl_schema_call *call)
{
    return call->config->urls[*call->address % call->config->url_count];
}

static void end(pl_schema_call *call, pl_code code, const pl_schema_answer *answer, const pl_error *err)
{
    call->host->ops->timer_stop(call->host, &call->pause);
    call->done(call, code, answer, err);
}

static void on_answer(void *data, const pl_http_answer *http);

static bool send_request(pl_schema_call *call)
{
    const pl_schemas_config *config = call->config;
    pl_buf text; /* the URL, then the token's header */
    uint64_t now = call->host->ops->now(call->host);
    unsigned left = call->end > now ? (unsigned)(call->end - now) : 1;
    unsigned share = left / (most_tries(call) - call->tries);
    pl_str url = url_of(call);
    pl_buf_init(&text);
    pl_buf_str(&text, url);
    pl_buf_str(&text, pl_buf_view(&call->path));
    pl_buf_char(&text, '\0');
    size_t header_at = text.len;
    pl_buf_printf(&text, "Authorization: Bearer %s", config->token.ptr ? config->token.ptr : "");
    pl_buf_char(&text, '\0');
    call->tries++;
    if (!text.failed) {
        const char *const headers[] = {"Accept: application/vnd.schemaregistry.v1+json, application/json",
                                       "Content-Type: application/vnd.schemaregistry.v1+json",
                                       config->token.ptr ? text.data + header_at : NULL, NULL};
        bool post = pl_schema_has_body(call->ask);
        pl_http_fetch_options options = {.url = text.data,
                                         .method = post ? "POST" : NULL,
                                         .body = post ? pl_buf_view(&call->body) : PL_STR_NONE,
                                         .user = config->user.ptr,
                                         .password = config->password.ptr,
                                         .reuse = true,
                                         .headers = headers,
                                         .ca = config->ca.ptr,
                                         .connect_timeout_ms = share < CONNECT_MS ? share + 1 : CONNECT_MS,
                                         .timeout_ms = share + 1,
                                         .most = MOST_BODY,
                                         .done = on_answer,
                                         .data = call};
        call->fetch = pl_http_fetch_start(call->fetcher, &options, NULL);
    }
    pl_buf_dispose(&text);
    return call->fetch != NULL;
}

static void go_on(pl_timer *timer)
{
    pl_schema_call *call = timer->data;
    if (!send_request(call)) {
        pl_fail_memory(&call->last);
        end(call, PL_RESOURCE_EXHAUSTED, NULL, &call->last);
    }
}

/* The next address at once; when all were asked, after a pause. False: there is no other try. */
static bool try_again(pl_schema_call *call)
{
    uint64_t now = call->host->ops->now(call->host);
    unsigned round = call->tries / (unsigned)call->config->url_count;
    bool all_asked = call->tries % call->config->url_count == 0;
    uint64_t at = now + (all_asked ? (uint64_t)PAUSE_MS << (round < 6 ? round : 6) : 0);
    ++*call->address;
    return call->tries < most_tries(call) && at < call->end &&
           call->host->ops->timer_start(call->host, &call->pause, at) == 0;
}

static void failed(pl_schema_call *call)
{
    if (call->last.code != PL_UNAVAILABLE || !try_again(call))
        end(call, call->last.code, NULL, &call->last);
}

static void on_answer(void *data, const pl_http_answer *http)
{
    pl_schema_call *call = data;
    pl_schema_answer answer;
    pl_str url = url_of(call);
    call->fetch = NULL;
    pl_error_clear(&call->last);
    if (http->code)
        pl_fail(&call->last, http->code, "the schema registry %.*s does not answer: %s", PL_STR_ARG(url),
                http->why);
    else
        pl_schema_read_answer(call->ask, http->status, http->body, call->arena, &answer, &call->last);
    if (http->code || pl_schema_is_passing(http->status))
        failed(call);
    else
        end(call, call->last.code, &answer, &call->last);
}

void pl_schema_call_init(pl_schema_call *call)
{
    pl_buf_init(&call->path);
    pl_buf_init(&call->body);
    call->pause = (pl_timer){.fire = go_on, .data = call};
}

pl_code pl_schema_call_start(pl_schema_call *call, pl_schema_ask ask, pl_str subject, int32_t id,
                             const pl_schema *schema, pl_error *err)
{
    pl_buf_reset(&call->path, KEEP_BYTES);
    pl_buf_reset(&call->body, KEEP_BYTES);
    pl_error_clear(&call->last);
    call->ask = ask;
    call->tries = 0;
    call->end = call->host->ops->now(call->host) + call->config->timeout_ms;
    pl_schema_put_path(&call->path, ask, subject, id, call->config->normalize);
    if (pl_schema_has_body(ask))
        pl_schema_put_body(&call->body, schema);
    if (call->path.failed || call->body.failed || !send_request(call))
        return pl_fail_memory(err);
    return PL_OK;
}

void pl_schema_call_dispose(pl_schema_call *call)
{
    if (call->fetch)
        pl_http_fetch_cancel(call->fetch);
    call->fetch = NULL;
    call->host->ops->timer_stop(call->host, &call->pause);
    pl_buf_dispose(&call->path);
    pl_buf_dispose(&call->body);
}
