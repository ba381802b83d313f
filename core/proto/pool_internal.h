/* SPDX-License-Identifier: MIT */
#ifndef PL_PROTO_POOL_INTERNAL_H
#define PL_PROTO_POOL_INTERNAL_H

#include "base/arena.h"
#include "base/map.h"
#include "proto/pool.h"

/* How a pool comes to be: descriptor.c reads what the sets say, and notes what has to be looked up; link.c
 * looks it up and settles what follows from it (features, defaults, special types); layout.c makes the
 * tables for lookups. */

typedef enum pb_symbol_kind {
    PB_SYMBOL_MESSAGE,
    PB_SYMBOL_ENUM,
    PB_SYMBOL_ENUM_VALUE,
    PB_SYMBOL_EXTENSION,
    PB_SYMBOL_SERVICE,
    PB_SYMBOL_METHOD,
} pb_symbol_kind;

typedef struct pb_symbol {
    pb_symbol_kind kind;
    void *is; /* pb_message, pb_enum, pb_field, pb_service, pb_method; NULL for values */
    const pb_file *file;
} pb_symbol;

typedef struct pb_list { /* of pointers */
    void **items;
    size_t count, capacity;
} pb_list;

struct pb_pool {
    pl_arena arena;
    pl_map symbols; /* full name -> pb_symbol */
    pl_map by_name; /* of files */
    pb_list files, messages, enums, services;
};

/* What the features of editions come to; proto2 and proto3 are sets of them. */
typedef struct pb_features {
    uint8_t presence, enum_type, repeated, utf8, encoding; /* numbers of descriptor.proto's FeatureSet */
} pb_features;
enum { PB_EXPLICIT = 1, PB_IMPLICIT = 2, PB_LEGACY_REQUIRED = 3 };
enum { PB_OPEN = 1, PB_CLOSED = 2 };
enum { PB_PACKED = 1, PB_EXPANDED = 2 };
enum { PB_UTF8_VERIFY = 2, PB_UTF8_NONE = 3 };
enum { PB_LENGTH_PREFIXED = 1, PB_DELIMITED = 2 };

/* A field as read, to be linked. */
typedef struct pb_raw_field {
    pb_field *field;
    pl_str type_name, extendee, default_text;
    pl_str scope; /* where relative names are looked up: a message or a package */
    pb_features features;
    uint8_t label;
    bool has_default;
} pb_raw_field;

typedef struct pb_raw_method {
    pb_method *method;
    pl_str input, output;
} pb_raw_method;

typedef struct pb_raw_file {
    pb_file *file;
    const char *source;
    pl_str *imports;
    size_t import_count;
} pb_raw_file;

typedef struct pb_builder {
    pb_pool *pool;
    pl_error *err;
    pl_code code;
    const char *source; /* what is being read, for messages */
    const pb_file *file;
    pl_str scope;
    pb_list fields, methods, files; /* raw ones */
    bool built_in;
} pb_builder;

/* All give false when they failed, with the error told. */
bool pb_fails(pb_builder *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool pb_out_of_memory(pb_builder *b);
bool pb_list_add(pb_list *list, void *item); /* false: memory; tells nothing */

/* descriptor.c: file is the bytes of a FileDescriptorProto, inside the pool's arena. */
bool pb_read_file(pb_builder *b, pl_str name, pl_str bytes);
/* Whether one of the messages, enums or extensions at the file's top level is there already. */
bool pb_is_defined(const pb_builder *b, pl_str bytes);
/* features.c */
bool pb_features_of_file(pb_builder *b, pb_file *file, pl_str syntax, uint64_t edition, pb_features *out);
void pb_features_merge(pb_features *features, pl_str options, uint32_t number);
/* link.c, for all that has been read. */
bool pb_link(pb_builder *b);
/* default_value.c */
bool pb_read_default(pb_builder *b, pb_raw_field *raw);
/* layout.c, for a linked message. */
bool pb_layout_enum(pb_builder *b, pb_enum *e);
bool pb_layout_message(pb_builder *b, pb_message *m);
pl_str pb_json_name(pl_arena *arena, pl_str name);

/* Names that are looked up often. */
struct pb_name {
    pl_str name;
    const void *is; /* NULL: free */
};
bool pb_names_init(pb_names *names, pl_arena *arena, size_t count); /* false: memory */
void pb_names_add(pb_names *names, pl_str name, const void *is);    /* the first of a name stays */
const void *pb_names_get(const pb_names *names, pl_str name);

#endif
