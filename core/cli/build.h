/* SPDX-License-Identifier: MIT */
#ifndef PL_CLI_BUILD_H
#define PL_CLI_BUILD_H

#include "app/generation.h"

/* A bundle that is built as a server would, to be looked at. */
typedef struct pl_cli_build {
    pl_report report;
    pl_logger *log; /* warnings, to standard error */
    struct pl_shared *shared;
    pl_bundle *bundle;         /* NULL: it cannot be read */
    pl_generation *generation; /* NULL: the report says why */
} pl_cli_build;

bool pl_cli_build_open(pl_cli_build *build, const char *directory); /* whether there is a generation */
void pl_cli_build_close(pl_cli_build *build);                       /* in any case */

#endif
