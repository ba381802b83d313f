/* SPDX-License-Identifier: MIT */
#include "net/cors.h"

#include <stdio.h>

#define LONGEST_HEADER_LIST 1024
#define DEFAULT_MAX_AGE 600

static bool any_origin(const pl_cors *cors)
{
    return cors->origin_count == 1 && pl_str_is(cors->origins[0], "*");
}

bool pl_cors_allows(const pl_cors *cors, pl_str origin)
{
    if (!origin.ptr || cors->origin_count == 0)
        return false;
    if (any_origin(cors))
        return true;
    for (size_t i = 0; i < cors->origin_count; i++) {
        if (pl_str_eq(cors->origins[i], origin))
            return true;
    }
    return false;
}

static void add(pl_cors_answer *out, pl_str name, pl_str value)
{
    out->headers[out->count++] = (pl_header){name, value};
}

/* What the answers to a preflight and to the request itself have in common. */
static bool allow(const pl_cors *cors, pl_str origin, pl_cors_answer *out)
{
    if (!pl_cors_allows(cors, origin))
        return false;
    bool any = any_origin(cors);
    add(out, PL_STR("access-control-allow-origin"), any ? PL_STR("*") : origin);
    if (cors->credentials && !any)
        add(out, PL_STR("access-control-allow-credentials"), PL_STR("true"));
    return true;
}

void pl_cors_actual(const pl_cors *cors, pl_str origin, pl_cors_answer *out)
{
    out->count = 0;
    if (cors->origin_count == 0)
        return;
    if (allow(cors, origin, out) && cors->expose_headers.len != 0)
        add(out, PL_STR("access-control-expose-headers"), cors->expose_headers);
    if (!any_origin(cors))
        add(out, PL_STR("vary"), PL_STR("origin"));
}

static bool is_header_list(pl_str s)
{
    if (s.len == 0 || s.len > LONGEST_HEADER_LIST)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        bool alphanumeric = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (!alphanumeric && (c == 0 || !strchr("!#$%&'*+-.^_`|~, \t", c)))
            return false;
    }
    return true;
}

void pl_cors_preflight(const pl_cors *cors, pl_str origin, pl_str headers, pl_cors_answer *out)
{
    out->count = 0;
    if (allow(cors, origin, out)) {
        add(out, PL_STR("access-control-allow-methods"),
            PL_STR("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
        if (cors->allow_headers.len != 0)
            add(out, PL_STR("access-control-allow-headers"), cors->allow_headers);
        else if (is_header_list(headers))
            add(out, PL_STR("access-control-allow-headers"), headers);
        int n = snprintf(out->max_age, sizeof(out->max_age), "%u",
                         cors->max_age_s != 0 ? cors->max_age_s : DEFAULT_MAX_AGE);
        add(out, PL_STR("access-control-max-age"), (pl_str){out->max_age, (size_t)n});
    }
    add(out, PL_STR("vary"), PL_STR("origin, access-control-request-method, access-control-request-headers"));
}
