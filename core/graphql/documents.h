/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_DOCUMENTS_H
#define PL_GRAPHQL_DOCUMENTS_H

#include "graphql/execution/plan.h"
#include "graphql/service.h"
#include "graphql/validation/cost.h"

/* The cache of prepared documents: parsed, validated, and with the plans that executions have asked for.
 * Bounded in memory; entries in use are kept until they are released. */
typedef struct gql_documents gql_documents;
typedef struct gql_prepared gql_prepared;

gql_documents *gql_documents_new(gql_binding *binding, const gql_service_options *options);
void gql_documents_free(gql_documents *documents); /* nothing may be in use; NULL is fine */
/* The document for the text, from the cache or made now, for work: scripts that check literals are called for
 * it. NULL: what is wrong is in errors, and its code in *code. Release it after use. Not below pl_protect. */
gql_prepared *gql_documents_get(gql_documents *documents, pl_str text, pl_work *work, gql_diagnostics *errors,
                                pl_code *code);
void gql_prepared_release(gql_documents *documents, gql_prepared *prepared);
const gql_document *gql_prepared_document(const gql_prepared *prepared);
/* The plan for the operation under these values of its condition variables. own: it is not in the cache, and
 * the caller frees it. NULL: memory. */
gql_plan *gql_prepared_plan(gql_documents *documents, gql_prepared *prepared, const gql_operation *operation,
                            gql_incremental incremental, const gql_variable *variables,
                            uint32_t variable_count, bool *own);
/* The cost plan of the operation, made when it is first asked for. Errors: as gql_cost_plan_new; without a
 * message it is memory. *out is NULL then. */
pl_code gql_prepared_cost(gql_documents *documents, gql_prepared *prepared, const gql_operation *operation,
                          const gql_cost_plan **out, pl_error *err);
const gql_cost_options *gql_documents_cost_options(const gql_documents *documents);
gql_service_stats gql_documents_stats(const gql_documents *documents);

#endif
