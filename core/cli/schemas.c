/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <string.h>

#include "app/proto_load.h"
#include "cli/build.h"
#include "cli/cli.h"
#include "cli/schemas.h"

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
    pl_cli_build build;
    pl_buf text;
    pl_buf_init(&text);
    bool ok =
        pl_cli_build_open(&build, directory) && pl_cli_review(build.generation, what, &build.report, &text);
    pl_report_text(&build.report, &text);
    pl_cli_print(&text);
    pl_buf_dispose(&text);
    pl_cli_build_close(&build);
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
