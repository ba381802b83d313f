/* SPDX-License-Identifier: MIT */
#ifndef PL_GRPC_TRANSCODE_REQUEST_H
#define PL_GRPC_TRANSCODE_REQUEST_H

#include "grpc/codec_proto.h"
#include "grpc/transcode/routes.h"

/* The message of a request that is plain HTTP: made of a body, of the query's parameters and of the path's
 * variables, in this order; what comes later wins. Each becomes a piece of the message's bytes, and pieces of
 * a message, one behind the other, are a message. */
typedef struct pl_http_input {
    const pl_http_route *route;
    const pl_str *values; /* of the route's variables, as sent */
    pl_str query;         /* as sent; ptr NULL: none */
    pl_str body, content_type;
    const pl_grpc_proto_type *type;
    pl_arena *arena;
    pl_state *state;
    pl_buf *bytes; /* to work with; whoever owns it disposes of it, as functions here may jump */
} pl_http_input;

/* Pushes the message. INVALID_ARGUMENT: names the field, or the place in the body. [jumps] */
pl_code pl_http_input_push(pl_http_input *in, pl_error *err);

/* Appends the field as text has it; a repeated one's element. Not of a map, nor of a message that is not
 * textual. INVALID_ARGUMENT says what is expected. [jumps] */
pl_code pl_http_put_text(pb_codec *codec, pl_state *state, const pb_field *field, pl_str text, pl_buf *out,
                         pl_error *err);

#endif
