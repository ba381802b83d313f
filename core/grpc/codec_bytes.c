/* SPDX-License-Identifier: MIT */
#include "grpc/codec.h"

static pl_code decode(const void *type, pl_state *state, pl_str bytes, pl_error *err)
{
    (void)type;
    (void)err;
    pl_engine_of(state)->push_string(state, bytes.ptr ? bytes : PL_STR(""));
    return PL_OK;
}

static pl_code encode(const void *type, pl_state *state, pl_slot slot, pl_buf *out, pl_error *err)
{
    const pl_engine *e = pl_engine_of(state);
    (void)type;
    if (e->kind(state, slot) != PL_KIND_STRING)
        return pl_fail(err, PL_INTERNAL, "a message must be a string here, not %s",
                       pl_kind_phrase(e->kind(state, slot)));
    pl_buf_str(out, e->get_string(state, slot));
    return out->failed ? pl_fail_memory(err) : PL_OK;
}

const pl_grpc_codec pl_grpc_bytes_codec = {.name = {"bytes", 5}, .decode = decode, .encode = encode};
