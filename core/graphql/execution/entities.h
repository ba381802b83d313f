/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_ENTITIES_H
#define PL_GRAPHQL_ENTITIES_H

#include "graphql/execution/internal.h"

/* The fields that a subgraph of federation answers by itself. */

/* How such a field is resolved; false: it is none. */
bool gql_federation_choose(const gql_schema *schema, const gql_field *field, gql_resolve_how *how);
/* Query._service, Query._entities; or one entity, whose parent is its representation. path: the field's, or
 * entity's. */
gql_outcome gql_federation_resolve(gql_execution *x, const gql_plan_field *f, pl_slot parent,
                                   const gql_path *path, gql_frame *frame);

#endif
