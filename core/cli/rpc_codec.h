/* SPDX-License-Identifier: MIT */
#ifndef PL_CLI_RPC_CODEC_H
#define PL_CLI_RPC_CODEC_H

#include "proto/codec.h"

/* JSON to messages and back. */
typedef struct rpc_codec rpc_codec;
/* The pool must outlive it. */
rpc_codec *rpc_codec_new(const pb_pool *pool, pl_error *err);
void rpc_codec_free(rpc_codec *codec); /* NULL is fine */

/* Append to out. Errors: INVALID_ARGUMENT with the field's path. */
pl_code rpc_codec_read(rpc_codec *codec, const pb_message *type, pl_str json, pl_buf *out, pl_error *err);
pl_code rpc_codec_write(rpc_codec *codec, const pb_message *type, pl_str bytes,
                        const pb_json_options *options, pl_buf *out, pl_error *err);

#endif
