/* SPDX-License-Identifier: MIT */
#ifndef PL_APP_EXPIRY_H
#define PL_APP_EXPIRY_H

#include "value/engine.h"

/* When the credentials of a work end: ctx.expires_at, seconds of the Unix time, as an interceptor has set it.
 */
#define PL_NO_EXPIRY UINT64_MAX

/* Milliseconds from now on; 0: they have ended already; PL_NO_EXPIRY: nothing is said. Not below pl_protect.
 */
uint64_t pl_expiry_left(pl_state *state, const pl_work *work);

#endif
