/* SPDX-License-Identifier: MIT */
#include "app/csrf.h"

#include "app/media.h"

/* What clients of GraphQL send of their own accord, or are told to send by other servers. */
static const pl_str standard[] = {PL_STR("apollo-require-preflight"), PL_STR("x-apollo-operation-name"),
                                  PL_STR("graphql-preflight"),        PL_STR("graphql-require-preflight"),
                                  PL_STR("x-graphql-yoga-csrf"),      PL_STR("x-requested-with")};

static bool has_header(const pl_reading_config *config, const pl_http_request *http)
{
    const pl_str *names = config->csrf.header_count > 0 ? config->csrf.headers : standard;
    size_t count =
        config->csrf.header_count > 0 ? config->csrf.header_count : sizeof standard / sizeof *standard;
    for (size_t i = 0; i < count; i++) {
        if (pl_http_header(http, names[i]).len > 0)
            return true;
    }
    return false;
}

/* Whether a browser sends a request with this Content-Type without asking first. */
static bool is_simple(pl_str type)
{
    return pl_media_is(type, "text/plain") || pl_media_is(type, "application/x-www-form-urlencoded") ||
           pl_media_is(type, "multipart/form-data");
}

static bool is_allowed(const pl_cors *cors, pl_str origin)
{
    for (size_t i = 0; i < cors->origin_count; i++) {
        if (pl_str_eq(cors->origins[i], origin) || pl_str_is(cors->origins[i], "*"))
            return true;
    }
    return false;
}

/* "https://shop.example:8080" is from the host "shop.example:8080". */
static bool is_of_host(pl_str origin, pl_str host)
{
    size_t scheme = pl_str_starts(origin, PL_STR("https://"))  ? 8
                    : pl_str_starts(origin, PL_STR("http://")) ? 7
                                                               : 0;
    return scheme > 0 && host.len > 0 && pl_str_eq((pl_str){origin.ptr + scheme, origin.len - scheme}, host);
}

bool pl_csrf_is_foreign(const pl_cors *cors, const pl_http_request *http)
{
    pl_str origin = pl_http_header(http, PL_STR("origin"));
    pl_str site = pl_http_header(http, PL_STR("sec-fetch-site"));
    if (origin.ptr && is_allowed(cors, origin))
        return false;
    if (site.ptr)
        return !pl_str_is(site, "same-origin") && !pl_str_is(site, "none");
    return origin.ptr && !is_of_host(origin, pl_http_header(http, PL_STR("host")));
}

const char *pl_csrf_check(const pl_reading_config *config, const pl_cors *cors, const pl_http_request *http)
{
    pl_str type = pl_http_header(http, PL_STR("content-type"));
    bool get = pl_str_is(http->method, "GET") || pl_str_is(http->method, "HEAD");
    if (config->csrf.mode == PL_CSRF_OFF || (type.len > 0 && !is_simple(type)) || has_header(config, http))
        return NULL;
    if (!get)
        return "This request could have been forged by a page of another site, so it is refused. Send a "
               "header "
               "that makes browsers ask first, such as \"graphql-preflight: 1\", or another content-type "
               "than "
               "text/plain, application/x-www-form-urlencoded and multipart/form-data.";
    if (config->csrf.mode == PL_CSRF_STRICT)
        return "This request could have been forged by a page of another site, so it is refused. Send a "
               "header "
               "that makes browsers ask first, such as \"graphql-preflight: 1\", or \"content-type: "
               "application/json\".";
    if (pl_csrf_is_foreign(cors, http))
        return "A page of another site asks for this, so it is refused. Send a header that makes browsers "
               "ask "
               "first, such as \"graphql-preflight: 1\", or allow the origin with the setting "
               "http.cors.origins.";
    return NULL;
}
