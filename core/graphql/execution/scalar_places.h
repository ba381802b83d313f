/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_SCALAR_PLACES_H
#define PL_GRAPHQL_SCALAR_PLACES_H

#include "base/buf.h"
#include "graphql/execution/binding.h"

/* Where values of some scalars stand in the arguments and the result of a resolver, for a host program that
 * converts them itself, on another thread. Of a result what its default resolvers read counts: a field that
 * has a resolver of its own makes its value there. */
typedef struct gql_scalar_places {
    const gql_binding *binding; /* all resolvers are bound, and no directive has wrapped them yet */
    bool *holds;                /* by type id: there is such a scalar in it, or it is one */
} gql_scalar_places;

/* holds comes with the scalars alone; types that hold them are added. */
void gql_scalar_places_find(const gql_scalar_places *places);
/* Appends, as MessagePack, [arguments, result, types]; nothing where no such scalar stands in either.
 *
 *     arguments   {name: place}
 *     place       [how many lists, the index of a type]; nil: nowhere in it
 *     type        of a scalar its name; of an object {field: place}; of an interface or a union
 *                 [[name of an object, its index], …]
 *
 * Types may refer to each other in circles. False: memory. */
bool gql_scalar_places_pack(const gql_scalar_places *places, const gql_field *field, pl_buf *out);

#endif
