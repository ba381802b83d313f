/* SPDX-License-Identifier: MIT */
#ifndef PL_CLI_SCHEMAS_H
#define PL_CLI_SCHEMAS_H

#include "app/generation.h"
#include "app/schema_review.h"

/* As pl_schemas_review, of a generation that was built. */
bool pl_cli_review(const pl_generation *generation, pl_schema_review what, pl_report *report, pl_buf *out);

#endif
