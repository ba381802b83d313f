/* SPDX-License-Identifier: MIT */
#ifndef PL_NET_HTTP_FETCH_H
#define PL_NET_HTTP_FETCH_H

#include "net/loop.h"

/* HTTP requests of the server itself, small ones: libcurl's multi interface on a loop. Redirections are not
 * followed, proxies not used. Names are looked up by threads of curl's. */
typedef struct pl_http_fetcher pl_http_fetcher;
/* NULL: RESOURCE_EXHAUSTED (memory, descriptors). */
pl_http_fetcher *pl_http_fetcher_new(pl_loop *loop, pl_error *err);
void pl_http_fetcher_free(pl_http_fetcher *fetcher); /* gives up what is under way; NULL is fine */

typedef struct pl_http_answer {
    pl_code code; /* OK: there is a response, whatever its status; else UNAVAILABLE or RESOURCE_EXHAUSTED */
    const char *why; /* when not OK */
    long status;
    pl_str body;
    void *handle;
} pl_http_answer;
/* The value of the header, its last; NULL: none. Until the next call. */
const char *pl_http_answer_header(const pl_http_answer *answer, const char *name);

typedef struct pl_http_fetch pl_http_fetch;
typedef struct pl_http_fetch_options {
    const char *url;
    const char *method;          /* NULL: GET */
    pl_str body;                 /* copied; ptr NULL: none */
    const char *user, *password; /* for basic authentication; user NULL: none */
    bool reuse; /* the connection may be one that was used before, and used again: a request whose connection
                   ends before there is an answer is then sent once more */
    const char *const *headers; /* "name: value", ends with NULL; or NULL */
    const char *ca;             /* PEM file; NULL: the system's */
    unsigned connect_timeout_ms;
    unsigned timeout_ms; /* for all of it */
    size_t most;         /* bytes of the body */
    /* On the loop's thread, not from inside of the functions here. The answer goes when it returns; so does
     * the fetch. */
    void (*done)(void *data, const pl_http_answer *answer);
    void *data;
} pl_http_fetch_options;
/* The options need not last. NULL: memory, or a URL that is none. */
pl_http_fetch *pl_http_fetch_start(pl_http_fetcher *fetcher, const pl_http_fetch_options *options,
                                   pl_error *err);
void pl_http_fetch_cancel(pl_http_fetch *fetch); /* `done` is not called */

#endif
