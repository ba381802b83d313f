/* SPDX-License-Identifier: MIT */
#include "cli/build.h"
#include "cli/cli.h"
#include "cli/schemas.h"

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
    pl_cli_build build;
    pl_buf text;
    pl_buf_init(&text);
    bool ok = pl_cli_build_open(&build, directory);
    pl_buf reviewed;
    pl_buf_init(&reviewed);
    if (ok && (registry || build.generation->config.schemas.check))
        ok = pl_cli_review(build.generation, PL_REVIEW_CHECK, &build.report, &reviewed);
    if (!json)
        pl_buf_str(&text, pl_buf_view(&reviewed));
    pl_buf_dispose(&reviewed);
    if (json)
        pl_report_json(&build.report, &text);
    else
        pl_report_text(&build.report, &text);
    if (json)
        pl_buf_char(&text, '\n');
    else if (ok)
        pl_buf_printf(&text, "%s: %zu files, no errors\n", directory, build.bundle->file_count);
    pl_cli_print(&text);
    pl_buf_dispose(&text);
    pl_cli_build_close(&build);
    return ok ? 0 : 1;
}
