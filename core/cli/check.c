/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <unistd.h>

#include "app/generation.h"
#include "cli/cli.h"
#include "cli/schemas.h"
#include "perilune/engines.h"
#include "value/shared.h"

int pl_cli_check(int argc, char **argv)
{
    const char *directory = ".";
    bool json = false, registry = false;
    const pl_option table[] = {
        {"json", PL_OPTION_FLAG, &json, NULL, NULL, "print what is found as JSON"},
        {"registry", PL_OPTION_FLAG, &registry, NULL, NULL,
         "ask the schema registry whether the schemas of kafka.topics are compatible"},
        {NULL, PL_OPTION_FLAG, NULL, NULL, NULL, NULL},
    };
    const pl_usage usage = {"perilune check [DIR] [options]",
                            "Does everything that a reload does before it changes anything: compiles every "
                            "file, runs top-level code, builds\n"
                            "the schema, binds every resolver. Prints file:line:column: message; the exit "
                            "status is 1 when there is an error.",
                            table};
    int status = pl_options_read(&usage, argc, argv, &directory, 1);
    if (status)
        return status == 1 ? 0 : status;
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
    bool ok = generation != NULL;
    pl_buf reviewed;
    pl_buf_init(&reviewed);
    if (ok && (registry || generation->config.schemas.check))
        ok = pl_cli_review(generation, PL_REVIEW_CHECK, &report, &reviewed);
    if (!json)
        pl_buf_str(&text, pl_buf_view(&reviewed));
    pl_buf_dispose(&reviewed);
    if (json)
        pl_report_json(&report, &text);
    else
        pl_report_text(&report, &text);
    if (json)
        pl_buf_char(&text, '\n');
    else if (ok)
        pl_buf_printf(&text, "%s: %zu files, no errors\n", directory, bundle->file_count);
    pl_cli_print(&text);
    status = ok ? 0 : 1;
    pl_generation_free(generation);
    pl_bundle_unref(bundle);
    pl_shared_free(shared);
    pl_logger_free(log);
    pl_buf_dispose(&text);
    pl_report_dispose(&report);
    return status;
}
