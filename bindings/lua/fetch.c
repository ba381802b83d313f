/* SPDX-License-Identifier: MIT */
#include "bindings/lua/fetch.h"

#include <curl/curl.h>
#include <pthread.h>
#include <strings.h>

#define MOST_REDIRECTIONS 3

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* A part of a URL; *out NULL: it has none. To be freed with curl_free. */
static bool part(CURLU *url, CURLUPart what, char **out)
{
    *out = NULL;
    return curl_url_get(url, what, out, 0) == CURLUE_OK && *out;
}

static bool is_this_machine(const char *host)
{
    return strcasecmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 || strcmp(host, "[::1]") == 0;
}

static pl_code check_parts(CURLU *parts, const char *url, bool plain, pl_error *err)
{
    char *scheme, *host, *user;
    pl_code code = PL_OK;
    bool has_scheme = part(parts, CURLUPART_SCHEME, &scheme), has_host = part(parts, CURLUPART_HOST, &host);
    bool has_user = part(parts, CURLUPART_USER, &user);
    if (!has_scheme || !has_host || (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0))
        code = pl_fail(err, PL_INVALID_ARGUMENT, "%s is no https URL", url);
    else if (has_user)
        code = pl_fail(err, PL_INVALID_ARGUMENT, "the URL must not hold a user or password");
    else if (strcmp(scheme, "http") == 0 && !plain && !is_this_machine(host))
        code = pl_fail(err, PL_INVALID_ARGUMENT,
                       "%s: what comes by http can be changed on its way; https is expected (allow_http "
                       "takes it all the same)",
                       url);
    curl_free(scheme);
    curl_free(host);
    curl_free(user);
    return code;
}

pl_code plua_fetch_check(const char *url, bool plain, pl_error *err)
{
    pthread_once(&once, init);
    CURLU *parts = curl_url();
    if (!parts)
        return pl_fail_memory(err);
    pl_code code = curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK
                       ? check_parts(parts, url, plain, err)
                       : pl_fail(err, PL_INVALID_ARGUMENT, "%s is no URL", url);
    curl_url_cleanup(parts);
    return code;
}

static size_t take(char *bytes, size_t size, size_t count, void *data)
{
    pl_buf *out = data;
    pl_buf_append(out, bytes, size * count);
    return out->failed ? 0 : size * count; /* 0 ends the transfer */
}

static void set_options(CURL *curl, const plua_fetch_options *o, pl_buf *out, char *message)
{
    curl_easy_setopt(curl, CURLOPT_URL, o->url);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L); /* other threads are about */
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)o->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, o->plain ? "http,https" : "https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, (long)MOST_REDIRECTIONS);
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "perilune/" PL_VERSION);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, out);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, message);
    if (o->ca_file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, o->ca_file);
}

pl_code plua_fetch(const plua_fetch_options *options, pl_buf *out, pl_error *err)
{
    char message[CURL_ERROR_SIZE] = "";
    long status = 0;
    pthread_once(&once, init);
    CURL *curl = curl_easy_init();
    if (!curl)
        return pl_fail_memory(err);
    out->limit = options->most;
    set_options(curl, options, out, message);
    CURLcode result = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    if (out->failed)
        return pl_fail(err, PL_UNAVAILABLE, "the response is larger than %zu bytes, or memory is short",
                       options->most);
    if (result != CURLE_OK)
        return pl_fail(err, PL_UNAVAILABLE, "%s", message[0] ? message : curl_easy_strerror(result));
    return status == 200 ? PL_OK : pl_fail(err, PL_UNAVAILABLE, "the response has status %ld", status);
}
