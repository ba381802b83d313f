/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_CSRF_H
#define PL_APP_CSRF_H

#include <stdbool.h>

#include "app/config.h"

/* Protection against cross-site request forgery: a foreign page that makes a visitor's browser send an
 * operation, with the visitor's cookies. A browser asks first (a preflight, which CORS answers) before it
 * sends what a plain form or image could not send: another content type than the three "simple" ones, or a
 * header of its own. So a request that has neither is refused, as Apollo Server, GraphQL Yoga and Hot
 * Chocolate do it.
 *
 * GET is another matter. GraphQL over HTTP wants GET without any content type and header to be served (the
 * graphql-http audits test it), and it can do no harm but load, as only queries are executed by it. So a GET
 * is refused by what browsers of today say on their own: `Sec-Fetch-Site` tells where the page is from, and
 * `Origin` who asks. A client that sends neither is no browser, or one from before 2023, or one that talks to
 * a plain http address, where there is nothing to protect. PL_CSRF_STRICT demands of a GET what is demanded
 * of a POST. */

/* Whether a page of another site, which http.cors.origins does not name, is behind the request, as far as the
 * browser tells: for WebSockets, which browsers open for any page, with the visitor's cookies. */
bool pl_csrf_is_foreign(const pl_cors *cors, const pl_http_request *http);
/* Whether a request may be executed. NULL: yes. Otherwise the message for the client, in the request's arena
 * or static; the status is 403. method is that of the request, GET and HEAD alike. */
const char *pl_csrf_check(const pl_reading_config *config, const pl_cors *cors, const pl_http_request *http);

#endif
