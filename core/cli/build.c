/* SPDX-License-Identifier: MIT */
#include "cli/build.h"

#include <unistd.h>

#include "perilune/engines.h"
#include "value/shared.h"

bool pl_cli_build_open(pl_cli_build *b, const char *directory)
{
    pl_error err = {0};
    *b = (pl_cli_build){.log = pl_logger_new(STDERR_FILENO, PL_LOG_TEXT, PL_WARN),
                        .shared = pl_shared_new(0),
                        .bundle = pl_bundle_read(directory, &err)};
    pl_generation_options options = {
        .engine = pl_lua_engine(), .workers = 1, .log = b->log, .shared = b->shared};
    pl_report_init(&b->report);
    if (b->bundle)
        b->generation = pl_generation_build(b->bundle, &options, &b->report);
    else
        pl_report_add(&b->report, &err);
    return b->generation;
}

void pl_cli_build_close(pl_cli_build *b)
{
    pl_generation_free(b->generation);
    pl_bundle_unref(b->bundle);
    pl_shared_free(b->shared);
    pl_logger_free(b->log);
    pl_report_dispose(&b->report);
}
