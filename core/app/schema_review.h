/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_SCHEMA_REVIEW_H
#define PL_APP_SCHEMA_REVIEW_H

#include "app/report.h"
#include "app/schema_plan.h"

/* What the schema registry says of the schemas that a bundle publishes with: of all topics of kafka.topics
 * that have registry = true, and of what their schemas import. For tools: it waits for the answers, on a loop
 * of its own. */
typedef enum pl_schema_review {
    PL_REVIEW_CHECK,    /* are they compatible with what is registered? Nothing is changed */
    PL_REVIEW_REGISTER, /* registers them, where auto_register is off as well */
} pl_schema_review;

/* False: report says what is not compatible, or was not accepted, with its file; or that the registry could
 * not be asked. A line for each schema is appended to out. */
bool pl_schemas_review(const pl_schema_sources *sources, pl_schema_review what, pl_report *report,
                       pl_buf *out);

#endif
