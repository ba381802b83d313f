/* SPDX-License-Identifier: MIT */
#include "grpc/codec_proto.h"

#include <stdio.h>

/* Errors of the codec name the field; here they get the message's name, too, and become what they are to a
 * call: a peer that sends what cannot be read, or a script that gives what cannot be written, is INTERNAL. */
static pl_code explain(const pl_grpc_proto_type *type, pl_code code, pl_error *err)
{
    char text[sizeof err->message];
    pl_str name = type->message->full_name, said = pl_str_of(err->message);
    if (code == PL_OK)
        return code;
    memcpy(text, err->message, sizeof text);
    if (code == PL_INVALID_ARGUMENT)
        code = PL_INTERNAL;
    if (pl_str_starts(said, name))
        return pl_fail(err, code, "%s", text);
    return pl_fail(err, code, "%.*s: %s", PL_STR_ARG(name), text);
}

static pl_code decode(const void *type, pl_state *state, pl_str bytes, pl_error *err)
{
    const pl_grpc_proto_type *t = type;
    (void)state;
    return explain(t, pb_decode(t->codec, t->message, bytes, err), err);
}

static pl_code encode(const void *type, pl_state *state, pl_slot slot, pl_buf *out, pl_error *err)
{
    const pl_grpc_proto_type *t = type;
    (void)state;
    return explain(t, pb_encode(t->codec, t->message, slot, out, err), err);
}

const pl_grpc_codec pl_grpc_proto_codec = {.name = {"proto", 5}, .decode = decode, .encode = encode};

static pl_code read_json(const void *type, pl_state *state, pl_str bytes, pl_error *err)
{
    const pl_grpc_proto_type *t = type;
    const pb_json_options options = {.ignore_unknown = true};
    (void)state;
    return explain(t, pb_json_read(t->codec, t->message, bytes, &options, err), err);
}

static pl_code write_json(const void *type, pl_state *state, pl_slot slot, pl_buf *out, pl_error *err)
{
    const pl_grpc_proto_type *t = type;
    const pb_json_options options = {0};
    (void)state;
    return explain(t, pb_json_write(t->codec, t->message, slot, &options, out, err), err);
}

const pl_grpc_codec pl_grpc_json_codec = {.name = {"json", 4}, .decode = read_json, .encode = write_json};
