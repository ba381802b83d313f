/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_SCALARS_H
#define PL_GRAPHQL_SCALARS_H

#include "base/buf.h"
#include "base/error.h"
#include "graphql/schema/schema.h"
#include "value/engine.h"

/* What the built-in and the ready-made scalars (DateTime, Date, JSON, UUID, BigInt, Upload) do with values.
 * CUSTOM is passed through. */

/* Input coercion (spec 3.5): in comes from JSON or a literal. Messages are graphql-js's: "Int cannot
 * represent non-integer value: \"x\"". Strings are shared with in, or made in arena. */
pl_code gql_scalar_parse(gql_scalar_kind scalar, pl_str name, const pl_value *in, pl_arena *arena,
                         pl_value *out, pl_error *err);

/* Result coercion: writes the script value in slot as JSON; it is not nil and not null. On an error out is as
 * before. */
pl_code gql_scalar_write(gql_scalar_kind scalar, pl_str name, pl_state *state, pl_slot slot, pl_buf *out,
                         pl_error *err);

/* Appends a script value as messages show it; of lists, maps and others only what they are. Does not jump. */
void gql_show_slot(pl_buf *out, pl_state *state, pl_slot slot);

#endif
