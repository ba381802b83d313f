/* SPDX-License-Identifier: MIT */
#include "app/cache_headers.h"

#include <stdio.h>

#include "app/digest.h"

static void add(pl_cache_answer *out, pl_str name, pl_str value)
{
    out->headers[out->count++] = (pl_header){name, value};
}

/* --- If-None-Match --- */
static pl_str trim(pl_str s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = (pl_str){s.ptr + 1, s.len - 1};
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

static pl_str cut_end(pl_str s, const char *end)
{
    size_t n = strlen(end);
    if (s.len >= n && memcmp(s.ptr + s.len - n, end, n) == 0)
        s.len -= n;
    return s;
}

/* "W/" and the coding that the edge adds do not matter: what is asked is whether the body is the same. */
static bool is_tag(pl_str given, pl_str ours)
{
    if (pl_str_starts(given, PL_STR("W/")))
        given = (pl_str){given.ptr + 2, given.len - 2};
    if (given.len < 2 || given.ptr[0] != '"' || given.ptr[given.len - 1] != '"')
        return false;
    given = cut_end(cut_end((pl_str){given.ptr + 1, given.len - 2}, "-gzip"), "-br");
    return given.len == ours.len - 2 && memcmp(given.ptr, ours.ptr + 1, given.len) == 0;
}

static bool matches(pl_str list, pl_str ours)
{
    while (list.len > 0) {
        const char *comma = memchr(list.ptr, ',', list.len);
        pl_str one = {list.ptr, comma ? (size_t)(comma - list.ptr) : list.len};
        list = comma ? (pl_str){comma + 1, list.len - one.len - 1} : (pl_str){NULL, 0};
        one = trim(one);
        if (pl_str_is(one, "*") || is_tag(one, ours))
            return true;
    }
    return false;
}

/* --- the headers --- */
static void add_etag(const pl_http_request *http, const gql_payload *payload, const char *variant,
                     pl_cache_answer *out)
{
    char hex[PL_SHA256_HEX + 1] = "";
    const char *hash = payload->cache.hash;
    if (!hash[0] && pl_sha256_hex(payload->body, hex))
        hash = hex;
    if (!hash[0])
        return;
    snprintf(out->etag, sizeof out->etag, "\"%.32s-%.8s\"", hash, variant);
    pl_str etag = pl_str_of(out->etag);
    add(out, PL_STR("etag"), etag);
    out->not_modified = matches(pl_http_header(http, PL_STR("if-none-match")), etag);
}

void pl_cache_headers(const pl_http_request *http, const gql_payload *payload, int status,
                      const char *variant, pl_str session, pl_cache_answer *out)
{
    const gql_payload_cache *cache = &payload->cache;
    out->count = 0;
    out->not_modified = false;
    if (cache->max_age == 0 || status != 200) {
        add(out, PL_STR("cache-control"), PL_STR("no-store"));
        return;
    }
    snprintf(out->control, sizeof out->control, "max-age=%u, %s", cache->max_age,
             cache->is_private ? "private" : "public");
    add(out, PL_STR("cache-control"), pl_str_of(out->control));
    out->vary =
        session.ptr ? pl_arena_printf(http->arena, "accept, %.*s", PL_STR_ARG(session)) : PL_STR("accept");
    if (out->vary.ptr)
        add(out, PL_STR("vary"), out->vary);
    if (cache->hit) {
        snprintf(out->age, sizeof out->age, "%u", cache->age);
        add(out, PL_STR("age"), pl_str_of(out->age));
    }
    if (pl_str_is(http->method, "GET"))
        add_etag(http, payload, variant, out);
}
