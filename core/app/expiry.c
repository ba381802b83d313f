/* SPDX-License-Identifier: MIT */
#include "app/expiry.h"

#include <time.h>

#define FAR_AWAY 2000000000.0 /* seconds: beyond this, it is as good as never */

typedef struct reading {
    pl_state *state;
    const pl_work *work;
    double at;
    bool looked, found;
} reading;

static void section(void *data)
{
    reading *r = data;
    const pl_engine *e = pl_engine_of(r->state);
    pl_key *key = e->key(r->state, PL_STR("expires_at"));
    if (!key || !e->reserve(r->state, 8))
        return;
    e->push_ctx(r->state, (pl_work *)r->work);
    r->looked = true;
    if (!e->field(r->state, e->top(r->state), key))
        return;
    pl_slot slot = e->top(r->state);
    pl_kind kind = e->kind(r->state, slot);
    r->found = kind == PL_KIND_INT || kind == PL_KIND_FLOAT;
    if (r->found)
        r->at = kind == PL_KIND_INT ? (double)e->get_int(r->state, slot) : e->get_float(r->state, slot);
}

uint64_t pl_expiry_left(pl_state *state, const pl_work *work)
{
    reading r = {.state = state, .work = work};
    pl_error err = {0};
    struct timespec now;
    if (work->ctx == PL_REF_NONE)
        return PL_NO_EXPIRY;
    if (!pl_engine_of(state)->protect(state, section, &r, &err) || !r.looked)
        return 0; /* without memory to look, nothing is known to be valid */
    if (!r.found)
        return PL_NO_EXPIRY;
    clock_gettime(CLOCK_REALTIME, &now);
    double left = r.at - (double)now.tv_sec - (double)now.tv_nsec / 1e9;
    if (!(left > 0))
        return 0;
    return left < FAR_AWAY ? (uint64_t)(left * 1000.0) + 1 : PL_NO_EXPIRY;
}
