/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_SCHEMA_FILES_H
#define PL_APP_SCHEMA_FILES_H

#include "app/report.h"
#include "app/schema_plan.h"
#include "value/json_schemas.h"

/* The JSON Schemas of a bundle: its files *.schema.json. *out is NULL when there are none. False: report says
 * what is wrong. */
bool pl_json_schemas_load(const pl_bundle *bundle, pl_report *report, pl_json_schemas **out);
/* Whether the messages and schemas that kafka.topics names are there. */
void pl_topics_check(const pl_schema_sources *sources, const pl_json_schemas *schemas, pl_report *report);

#endif
