/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_TRANSCODE_RULE_H
#define PL_GRPC_TRANSCODE_RULE_H

#include "grpc/transcode/routes.h"

/* google.api.HttpRule, as it stands in the options of a method. */

typedef struct pl_http_rules {
    pl_http_route *routes; /* the rule and its additional bindings */
    size_t count;          /* 0: the method has no rule */
} pl_http_rules;

/* In the arena. INVALID_ARGUMENT: a rule that is wrong; RESOURCE_EXHAUSTED. */
pl_code pl_http_rules_read(const struct pl_grpc_method *method, pl_arena *arena, pl_http_rules *out,
                           pl_error *err);

/* Whether a field can be given as text, in a path or a query: scalars, enums, and messages whose JSON is a
 * string or a number. */
bool pl_http_is_textual(const pb_field *field);

#endif
