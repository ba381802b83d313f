/* SPDX-License-Identifier: MIT */
#ifndef PERILUNE_PROTO_H
#define PERILUNE_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "perilune/code.h"

/* Protobuf messages without generated code: between bytes, or JSON, and values of the host program. A *pool*
 * is made of a FileDescriptorSet. A *codec* reads and makes the program's values through a table of
 * functions, with no tree of its own in between.
 *
 * A message is a map with the names of its fields, as docs/protobuf.md says it of Lua's tables; a
 * google.protobuf.Timestamp, for one, may be text as well. Fields that the descriptors do not know are
 * dropped. */

#ifdef __cplusplus
extern "C" {
#endif

/* Immutable; any thread, any number of them. */
typedef struct pl_proto_pool pl_proto_pool;

/* set: what `protoc --include_imports --descriptor_set_out` writes; it is copied. The well-known types need
 * not be in it. NULL: error has why, "file: message". */
PL_API pl_proto_pool *pl_proto_pool_new(const char *set, size_t length, char *error, size_t error_size);
/* After its codecs. NULL is fine. */
PL_API void pl_proto_pool_free(pl_proto_pool *pool);
/* The full names of its messages, without those that are built in, one after the other: *position is 0 at
 * first. NULL: that was the last. Names are not terminated. */
PL_API const char *pl_proto_next_message(const pl_proto_pool *pool, size_t *position, size_t *length);
/* The values of an enum, in the order of their declaration; NULL beyond the last, and for an enum that is not
 * there. */
PL_API const char *pl_proto_enum_value(const pl_proto_pool *pool, const char *name, size_t index,
                                       size_t *length, int *number);

/* What a method takes and gives, and which of the two are streams. */
typedef struct pl_proto_method {
    const char *input, *output; /* full names of messages, not terminated */
    size_t input_length, output_length;
    bool client_streaming, server_streaming;
} pl_proto_method;
/* name: "user.v1.UserService/GetUser". False: there is none. */
PL_API bool pl_proto_find_method(const pl_proto_pool *pool, const char *name, pl_proto_method *method);

/* --- values of the program --- */
typedef void *pl_proto_value; /* NULL is no value */

typedef enum pl_proto_kind {
    PL_PROTO_NULL,
    PL_PROTO_BOOL,
    PL_PROTO_INT,
    PL_PROTO_FLOAT,
    PL_PROTO_STRING, /* text or bytes; integers beyond int64_t are their digits */
    PL_PROTO_LIST,
    PL_PROTO_MAP,
    PL_PROTO_OTHER, /* no value that a message can have */
} pl_proto_kind;

/* data is what the codec was made with. What gives a value gives a reference of its own, which `release`
 * ends; NULL is that there is none, and where one is made, that there is no memory: the work then ends with
 * RESOURCE_EXHAUSTED. Nothing else is called from inside of these functions. */
typedef struct pl_proto_values {
    size_t size; /* of this struct, as the caller was compiled with */

    void (*release)(void *data, pl_proto_value value);
    pl_proto_value (*retain)(void *data, pl_proto_value value);

    pl_proto_value (*make_null)(void *data);
    pl_proto_value (*make_bool)(void *data, bool value);
    pl_proto_value (*make_int)(void *data, int64_t value);
    pl_proto_value (*make_unsigned)(void *data, uint64_t value); /* beyond INT64_MAX */
    pl_proto_value (*make_float)(void *data, double value);
    pl_proto_value (*make_text)(void *data, const char *utf8, size_t length);
    pl_proto_value (*make_bytes)(void *data, const char *bytes, size_t length);
    pl_proto_value (*make_list)(void *data, size_t size_hint);
    pl_proto_value (*make_map)(void *data, size_t size_hint);
    /* A text that will be the key of many maps, or an enum's value; kept as long as the codec. */
    pl_proto_value (*make_key)(void *data, const char *utf8, size_t length);
    /* Of maps and lists that were made here. False: memory. value NULL: the member goes. */
    bool (*set)(void *data, pl_proto_value map, pl_proto_value key, pl_proto_value value);
    bool (*append)(void *data, pl_proto_value list, pl_proto_value value);

    pl_proto_kind (*kind)(void *data, pl_proto_value value);
    bool (*get_bool)(void *data, pl_proto_value value);
    int64_t (*get_int)(void *data, pl_proto_value value);
    double (*get_float)(void *data, pl_proto_value value);
    /* Valid as long as the value. */
    const char *(*get_string)(void *data, pl_proto_value value, size_t *length);
    size_t (*length)(void *data, pl_proto_value list);
    pl_proto_value (*element)(void *data, pl_proto_value list, size_t index); /* from 0 */
    pl_proto_value (*member)(void *data, pl_proto_value map, pl_proto_value key);
    /* Steps through a map, which does not change meanwhile: *position is 0 at first, and then the table's
     * own. False at the end; else *key and *value. */
    bool (*next)(void *data, pl_proto_value map, size_t *position, pl_proto_value *key,
                 pl_proto_value *value);
} pl_proto_values;

/* One thread at a time, and one of the calls below at a time. */
typedef struct pl_proto_codec pl_proto_codec;

/* The table and data outlive it. NULL: memory. */
PL_API pl_proto_codec *pl_proto_codec_new(const pl_proto_pool *pool, const pl_proto_values *values,
                                          void *data);
PL_API void pl_proto_codec_free(pl_proto_codec *codec); /* NULL is fine */

/* message: "user.v1.User". NOT_FOUND: there is none of this name. INVALID_ARGUMENT: the value, the bytes or
 * the text is none; error has the path of the field, counted from 0: "emails[1].address: a string is
 * expected, not an integer". RESOURCE_EXHAUSTED: memory, or it is nested too deeply. */
PL_API pl_code pl_proto_decode(pl_proto_codec *codec, const char *message, const char *bytes, size_t length,
                               pl_proto_value *value, char *error, size_t error_size);
/* *bytes lives until the codec is used again, or freed. */
PL_API pl_code pl_proto_encode(pl_proto_codec *codec, const char *message, pl_proto_value value,
                               const char **bytes, size_t *length, char *error, size_t error_size);

typedef enum pl_proto_json_flags {
    PL_PROTO_IGNORE_UNKNOWN = 1, /* reading: passes over unknown fields and enum names */
    PL_PROTO_DEFAULTS = 2,     /* writing: fields without presence are there though they have their default */
    PL_PROTO_PROTO_NAMES = 4,  /* writing: names as in the .proto file */
    PL_PROTO_ENUM_NUMBERS = 8, /* writing */
} pl_proto_json_flags;

/* ProtoJSON. */
PL_API pl_code pl_proto_from_json(pl_proto_codec *codec, const char *message, const char *text, size_t length,
                                  unsigned flags, pl_proto_value *value, char *error, size_t error_size);
PL_API pl_code pl_proto_to_json(pl_proto_codec *codec, const char *message, pl_proto_value value,
                                unsigned flags, const char **text, size_t *length, char *error,
                                size_t error_size);

#ifdef __cplusplus
}
#endif

#endif
