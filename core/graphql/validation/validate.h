/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_VALIDATE_H
#define PL_GRAPHQL_VALIDATE_H

#include "base/error.h"
#include "graphql/diagnostics.h"
#include "graphql/language/ast.h"
#include "graphql/schema/schema.h"

/* Validates an executable document against a schema (spec, section 5). Names of rules are graphql-js's
 * without the ending "Rule". */
/* What a validation took, in steps that do not depend on the machine. */
typedef struct gql_validate_work {
    uint64_t calls;       /* of rules, for nodes of the document */
    uint64_t visits;      /* of max_fragment_visits */
    uint64_t comparisons; /* of max_comparisons */
    uint64_t suggestions; /* bytes compared, squared */
} gql_validate_work;

typedef struct gql_validate_options {
    /* Run these rules alone; NULL: all that are not optional. Optional are NoDeprecatedCustom and
     * NoSchemaIntrospectionCustom. Names that are no rule's are passed over. */
    const char *const *only;
    uint32_t only_count;
    /* Of OverlappingFieldsCanBeMerged: how many fields may be looked at beside where they are written,
     * because a fragment brings them in or because fields of one response name merge; and, once a conflict is
     * known to be there, how many pairs may be compared to name it. A document without spreads and repeated
     * names costs nothing. 0 is 100,000. */
    uint32_t max_comparisons;
    /* Of all other rules that follow spreads, together: a spread that an operation reaches is one, and so is
     * each selection, directive and use of a variable behind it, for every operation and rule that looks at
     * it anew. 0 is 500,000. */
    uint32_t max_fragment_visits;
    /* Whether a literal suits a scalar that is not built in; of the ready-made ones the kind of the literal
     * was looked at before. false: it does not, and *why is what to add to the message, or empty. NULL: every
     * literal suits. */
    bool (*scalar_literal)(void *data, const gql_named *scalar, const gql_value *value, pl_str *why);
    void *data;              /* for scalar_literal */
    gql_validate_work *work; /* filled, unless it is NULL: for tests */
} gql_validate_options;

/* PL_OK when nothing was found; INVALID_ARGUMENT with the list filled; RESOURCE_EXHAUSTED when a bound on
 * work or memory was hit (the last diagnostic says so, or list->out_of_memory). Validation ends when the list
 * is full, and after 10,000 diagnostics in any case. Work is linear in the document, but for those bounds.
 * Diagnostics are in the order of graphql-js: as one walk over the document meets them. options NULL: the
 * defaults. */
pl_code gql_validate(const gql_schema *schema, const gql_document *document,
                     const gql_validate_options *options, gql_diagnostics *list);
/* The names of all rules there are, the optional ones too, NULL-terminated. */
const char *const *gql_validation_rules(void);

#endif
