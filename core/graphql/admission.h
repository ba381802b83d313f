/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_ADMISSION_H
#define PL_GRAPHQL_ADMISSION_H

#include "graphql/documents.h"

/* Whether an operation may run, once its variables are known: what it costs, whether that is too much, and
 * whether its client may spend as much now. Where nothing asks for the cost, it is not computed. */
typedef struct gql_admission {
    bool paid;  /* given: nothing is taken from the budget */
    bool known; /* the cost was computed */
    double cost;
    uint64_t max_cost;   /* 0: none */
    bool report;         /* the client wants to be told: write it to extensions */
    bool only;           /* the client wants to be told, and nothing to be executed */
    bool throttled;      /* refused by the rate limit */
    gql_throttle budget; /* of the client; capacity 0: there is no rate limit */
} gql_admission;

/* False: refused; *code and errors say why. A header "graphql-cost: report" of the work sets `report`,
 * "graphql-cost: validate" sets `only` as well. All of *out but `paid` is filled. variables are coerced,
 * sorted by name. */
bool gql_admit(gql_documents *documents, gql_prepared *prepared, const gql_operation *operation,
               const gql_variable *variables, uint32_t variable_count, pl_work *work, gql_diagnostics *errors,
               pl_code *code, gql_admission *out);
/* "cost":{…} for the response's extensions; nothing when it is not to be reported. */
void gql_admission_write(const gql_admission *admission, pl_buf *out);

#endif
