/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_APQ_H
#define PL_APP_APQ_H

#include "app/config.h"
#include "value/shared.h"

/* Automatic persisted queries, Apollo's protocol: a client sends the SHA-256 of a query, and the text only
 * when the server does not know it. Texts are kept in a shared dictionary, so that what one worker was told
 * all of them know, and a reload forgets nothing. */

/* The text of a hash (64 lower-case hexadecimal digits), copied into arena; ptr NULL when there is none. */
pl_str pl_apq_find(pl_shared *shared, const pl_reading_config *config, pl_str hash, uint64_t now,
                   pl_arena *arena);
/* Keeps text under its hash, which the caller has checked. Whether there was room is nobody's concern. */
void pl_apq_keep(pl_shared *shared, const pl_reading_config *config, pl_str hash, pl_str text, uint64_t now);

#endif
