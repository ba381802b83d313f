/* SPDX-License-Identifier: MIT */
#ifndef PL_PROTO_CODEC_H
#define PL_PROTO_CODEC_H

#include "proto/pool.h"
#include "value/engine.h"

/* Messages straight between their wire form, or their JSON form, and script values: no tree in between.
 *
 * A message is a map with the field names of the .proto file. docs/protobuf.md says what each type is for a
 * script; here is what the core must know:
 * - decoded messages always have their repeated fields and maps (empty ones, too) and the fields without
 *   presence (their default); what has presence is absent when it was not sent;
 * - enums are names, or integers where the number has no name; unsigned 64-bit integers are two's complement;
 * - unknown fields go along as the map's attachment (pl_engine.attach), and are written again;
 * - an extension's key is "[full.name]".
 *
 * A codec is a pool in use by one state: it holds interned keys and scratch memory. It belongs to the state's
 * thread. */

typedef struct pb_codec pb_codec;

typedef struct pb_limits {
    unsigned max_depth; /* of messages inside of messages; 0 is 100, more than 200 is 200 */
    size_t max_memory;  /* what one decoded message may take, estimated; 0 is 256 MiB */
} pb_limits;

typedef struct pb_json_options {
    bool ignore_unknown; /* reading: passes over unknown fields and enum names */
    bool defaults;       /* writing: fields without presence are written even if they have their default */
    bool proto_names;    /* writing: names as in the .proto file */
    bool enum_numbers;   /* writing */
} pb_json_options;

/* The pool must outlive the codec, and so must the state. NULL: memory. */
pb_codec *pb_codec_new(const pb_pool *pool, pl_state *state);
void pb_codec_free(pb_codec *codec); /* NULL is fine */
void pb_codec_limit(pb_codec *codec, const pb_limits *limits);
const pb_pool *pb_codec_pool(const pb_codec *codec);

/* Those that push leave one value on top of the stack, or, on an error, the stack as it was; the others leave
 * it as it was. Errors: INVALID_ARGUMENT with the path of the field, counted as scripts count
 * ("user.emails[2].address: …"), RESOURCE_EXHAUSTED for memory and what is too deep. All [jumps]; a jump
 * leaves nothing behind. */
pl_code pb_decode(pb_codec *codec, const pb_message *message, pl_str bytes, pl_error *err);
/* Appends. Fields come in the order of their numbers; the entries of maps in no order. */
pl_code pb_encode(pb_codec *codec, const pb_message *message, pl_slot value, pl_buf *out, pl_error *err);
/* ProtoJSON. */
pl_code pb_json_read(pb_codec *codec, const pb_message *message, pl_str text, const pb_json_options *options,
                     pl_error *err);
pl_code pb_json_write(pb_codec *codec, const pb_message *message, pl_slot value,
                      const pb_json_options *options, pl_buf *out, pl_error *err);
/* Pushes a map with the defaults of all fields that are not messages: stated ones, and those of their types.
 */
pl_code pb_push_defaults(pb_codec *codec, const pb_message *message, pl_error *err);

#endif
