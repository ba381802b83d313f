/* SPDX-License-Identifier: MIT */
#include <stdatomic.h>

#include "base/alloc.h"
#include "value/native_internal.h"

/* Where values of marked scalars stand: shared by the calls of a resolver, and by those who keep it. */
struct pl_native_scalars {
    atomic_uint refs;
    size_t length;
    char packed[];
};

pl_native_scalars *pl_native_scalars_new(pl_str packed)
{
    pl_native_scalars *scalars = pl_malloc(sizeof *scalars + packed.len);
    if (!scalars)
        return NULL;
    scalars->refs = 1;
    scalars->length = packed.len;
    memcpy(scalars->packed, packed.ptr, packed.len);
    return scalars;
}

pl_native_scalars *pl_native_scalars_of(pl_native_call *call)
{
    if (!call->state || call->entry->number == 0 || !((pl_state_head *)call->state)->scalars)
        return NULL;
    pl_native_scalars *scalars = ((pl_state_head *)call->state)->scalars[call->entry->number - 1];
    return scalars ? pl_native_scalars_ref(scalars) : NULL;
}

pl_native_scalars *pl_native_scalars_ref(pl_native_scalars *scalars)
{
    atomic_fetch_add_explicit(&scalars->refs, 1, memory_order_relaxed);
    return scalars;
}

void pl_native_scalars_free(pl_native_scalars *scalars)
{
    if (scalars && atomic_fetch_sub(&scalars->refs, 1) == 1)
        pl_free(scalars);
}

const char *pl_native_scalars_pack(const pl_native_scalars *scalars, size_t *length)
{
    *length = scalars->length;
    return scalars->packed;
}
