/* SPDX-License-Identifier: MIT */
#ifndef TEST_APP_LOCAL_HARNESS_H
#define TEST_APP_LOCAL_HARNESS_H

/* Bundles that requests are executed in without a server. Included after app_harness.h. */

#include "app/local.h"
#include "perilune/engines.h"

#define LOCAL_BUNDLE(schema, resolvers, app) \
    MEMORY_BUNDLE("app.lua", app, "resolvers/r.lua", resolvers, "schema/s.graphql", schema)

/* Takes the bundle. NULL: report says why. */
static inline pl_local *local_open(pl_bundle *bundle, const pl_state_limits *limits, pl_report *report)
{
    pl_error err = {0};
    pl_local_options options = {.engine = pl_lua_engine(), .limits = limits};
    pl_local *local = pl_local_open(bundle, &options, report, &err);
    pl_bundle_unref(bundle);
    return local;
}

static inline pl_local *local_open_ok(pl_bundle *bundle, const pl_state_limits *limits)
{
    pl_report report;
    pl_report_init(&report);
    pl_local *local = local_open(bundle, limits, &report);
    if (!local)
        fail_msg("%s", report_text(&report));
    pl_report_dispose(&report);
    return local;
}

/* The response, or "CODE: message", in a buffer that the next call uses again. */
static inline const char *local_execute(pl_local *local, const char *request)
{
    static char text[8192];
    pl_buf response;
    pl_error err = {0};
    pl_buf_init(&response);
    pl_code code = pl_local_execute(local, pl_str_of(request), &response, &err);
    if (code)
        snprintf(text, sizeof(text), "%s: %s", pl_code_name(code), err.message);
    else
        snprintf(text, sizeof(text), "%.*s", PL_STR_ARG(pl_buf_view(&response)));
    pl_buf_dispose(&response);
    return text;
}

/* The same; quotes in the query are written as \". */
static inline const char *local_ask(pl_local *local, const char *query)
{
    char request[2048];
    assert_true((size_t)snprintf(request, sizeof(request), "{\"query\":\"%s\"}", query) < sizeof(request));
    return local_execute(local, request);
}

#endif
