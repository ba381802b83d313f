/* SPDX-License-Identifier: MIT */
#ifndef PL_PROTO_FOREIGN_H
#define PL_PROTO_FOREIGN_H

#include "perilune/proto.h"
#include "value/engine.h"

/* Values of a host program (perilune/proto.h) as the codec sees them: an engine of cursor and builder
 * functions alone. Its functions never jump: what cannot be made is absent, and `failed` says so in the end.
 */
typedef struct pl_foreign pl_foreign;

pl_foreign *pl_foreign_new(const pl_proto_values *values, void *data); /* NULL: memory */
void pl_foreign_free(pl_foreign *foreign);                             /* NULL is fine */
pl_state *pl_foreign_state(pl_foreign *foreign);

/* Empties the stack, and forgets that something has failed. */
void pl_foreign_reset(pl_foreign *foreign);
bool pl_foreign_failed(const pl_foreign *foreign);
/* Pushes a value, of which it takes a reference of its own. False: memory. */
bool pl_foreign_push(pl_foreign *foreign, pl_proto_value value);
/* Takes the value on top away, reference and all; NULL: there is none. */
pl_proto_value pl_foreign_take(pl_foreign *foreign);

#endif
