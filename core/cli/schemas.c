/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "app/proto_load.h"
#include "cli/cli.h"
#include "cli/schemas.h"
#include "perilune/engines.h"
#include "value/shared.h"

bool pl_cli_review(const pl_generation *generation, pl_schema_review what, pl_report *report, pl_buf *out)
{
    const pl_schema_sources sources = {.bundle = generation->bundle,
                                       .protos = pl_protos_pool(generation->protos),
                                       .config = &generation->config.schemas};
    signal(SIGPIPE, SIG_IGN);
    bool ok = pl_schemas_review(&sources, what, report, out);
    pl_report_keep(report);
    return ok;
}

static int review(const char *directory, pl_schema_review what)
{
    pl_report report;
    pl_error err = {0};
    pl_buf text;
    pl_report_init(&report);
    pl_buf_init(&text);
    pl_logger *log = pl_logger_new(STDERR_FILENO, PL_LOG_TEXT, PL_WARN);
    struct pl_shared *shared = pl_shared_new(0);
    pl_generation_options options = {.engine = pl_lua_engine(), .workers = 1, .log = log, .shared = shared};
    pl_bundle *bundle = pl_bundle_read(directory, &err);
    pl_generation *generation = bundle ? pl_generation_build(bundle, &options, &report) : NULL;
    if (!bundle)
        pl_report_add(&report, &err);
    bool ok = generation && pl_cli_review(generation, what, &report, &text);
    pl_report_text(&report, &text);
    pl_cli_print(&text);
    pl_generation_free(generation);
    pl_bundle_unref(bundle);
    pl_shared_free(shared);
    pl_logger_free(log);
    pl_buf_dispose(&text);
    pl_report_dispose(&report);
    return ok ? 0 : 1;
}

int pl_cli_schemas(int argc, char **argv)
{
    const char *arguments[2] = {"", "."};
    const pl_option table[] = {{NULL, PL_OPTION_FLAG, NULL, NULL, NULL, NULL}};
    const pl_usage usage = {
        "perilune schemas check|register [DIR]",
        "Asks the schema registry (kafka.registry of app.lua) about the schemas of all topics of\n"
        "kafka.topics with registry = true, and of what they import: whether they are compatible with\n"
        "what is registered, or registers them. The exit status is 1 when one is refused.",
        table};
    int status = pl_options_read(&usage, argc, argv, arguments, 2);
    if (status)
        return status == 1 ? 0 : status;
    if (strcmp(arguments[0], "check") == 0)
        return review(arguments[1], PL_REVIEW_CHECK);
    if (strcmp(arguments[0], "register") == 0)
        return review(arguments[1], PL_REVIEW_REGISTER);
    pl_error err = {0};
    pl_fail(&err, PL_INVALID_ARGUMENT, "perilune schemas check [DIR], or perilune schemas register [DIR]");
    return pl_cli_fail(&err);
}
