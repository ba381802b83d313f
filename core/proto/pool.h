/* SPDX-License-Identifier: MIT */
#ifndef PL_PROTO_POOL_H
#define PL_PROTO_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "proto/wire.h"

/* Descriptors: what .proto files say, with everything looked up. Made of FileDescriptorSets, as
 * `protoc --include_imports --descriptor_set_out` writes them (proto2, proto3, editions 2023 and 2024).
 *
 * A pool is immutable once made, may be shared by threads, and owns all that it gives out. Options are kept
 * as the bytes of their message, so that extensions of them (google.api.http) can be read by whoever knows
 * them: pb_find_bytes(options, number, &bytes), and pb_decode with the message's own type. */

typedef struct pb_pool pb_pool;
typedef struct pb_file pb_file;
typedef struct pb_message pb_message;
typedef struct pb_field pb_field;
typedef struct pb_oneof pb_oneof;
typedef struct pb_enum pb_enum;
typedef struct pb_service pb_service;
typedef struct pb_method pb_method;

typedef enum pb_type { /* as in descriptor.proto; PB_GROUP becomes MESSAGE with `delimited` */
                       PB_DOUBLE = 1,
                       PB_FLOAT = 2,
                       PB_INT64 = 3,
                       PB_UINT64 = 4,
                       PB_INT32 = 5,
                       PB_FIXED64 = 6,
                       PB_FIXED32 = 7,
                       PB_BOOL = 8,
                       PB_STRING = 9,
                       PB_GROUP = 10,
                       PB_MESSAGE = 11,
                       PB_BYTES = 12,
                       PB_UINT32 = 13,
                       PB_ENUM = 14,
                       PB_SFIXED32 = 15,
                       PB_SFIXED64 = 16,
                       PB_SINT32 = 17,
                       PB_SINT64 = 18,
} pb_type;

/* Messages that have a form of their own, in scripts or in JSON. */
typedef enum pb_special {
    PB_PLAIN,
    PB_ANY,
    PB_TIMESTAMP,
    PB_DURATION,
    PB_FIELD_MASK,
    PB_STRUCT,
    PB_VALUE,
    PB_LIST_VALUE,
    PB_WRAPPER,
    PB_EMPTY,
} pb_special;

/* A scalar outside of any script; which member holds it depends on the field's type. */
typedef union pb_scalar {
    int64_t integer; /* all integers and enums; unsigned 64-bit ones in two's complement */
    double number;   /* float, double */
    bool boolean;
    pl_str string; /* string, bytes */
} pb_scalar;

typedef enum pb_edition { PB_PROTO2 = 998, PB_PROTO3 = 999, PB_2023 = 1000, PB_2024 = 1001 } pb_edition;

struct pb_field {
    pl_str name;      /* "email" */
    pl_str json_name; /* "email"; of an extension "[pkg.email]" */
    pl_str key;       /* in scripts: the name, or "[pkg.email]" */
    pl_str full_name; /* of an extension; else absent */
    pl_str options;   /* FieldOptions */
    uint32_t number;
    uint32_t index; /* in its message: of fields from 0, of extensions behind them */
    pb_type type;
    pb_wire wire;  /* of one element that is not packed */
    bool repeated; /* maps, too */
    bool is_map;   /* message is the entry type */
    bool packed;   /* when written; both forms are read */
    bool presence; /* singular, and absent is not the same as the default */
    bool required;
    bool utf8;      /* a string that must be UTF-8 */
    bool delimited; /* a message between group tags */
    bool extension;
    bool has_default;         /* stated in the .proto file */
    bool null_value;          /* its type is google.protobuf.NullValue */
    pb_scalar otherwise;      /* the default: of scalars that are not repeated */
    const pb_message *parent; /* whose field it is; of an extension: what is extended */
    const pb_message *message;
    const pb_enum *enumeration;
    const pb_oneof *oneof; /* not of proto3's `optional` */
    const pb_file *file;
};

struct pb_oneof {
    pl_str name;
    pl_str options;
    uint32_t index; /* among the oneofs of the message */
    const pb_field **fields;
    size_t count;
};

/* A hash table of names, made once. */
typedef struct pb_names {
    struct pb_name *slots;
    size_t mask; /* 0: empty */
} pb_names;

struct pb_message {
    pl_str full_name; /* "user.v1.User" */
    pl_str name;      /* "User" */
    pl_str options;   /* MessageOptions */
    uint32_t index;   /* in the pool */
    pb_special special;
    bool map_entry;
    bool message_set; /* proto1's format: fields are extensions inside of groups */
    pb_field *fields; /* by number */
    size_t field_count;
    pb_field **extensions; /* by number */
    size_t extension_count;
    pb_oneof *oneofs; /* without those that stand for proto3's `optional` */
    size_t oneof_count;
    size_t required_count;
    size_t filled_count; /* fields that a decoded message always has */
    const pb_file *file;
    const pb_message *parent; /* NULL: not nested */
    /* For lookups. */
    const pb_field **dense; /* by number, up to dense_count */
    size_t dense_count;
    pb_names names;
};

typedef struct pb_enum_value {
    pl_str name;
    pl_str options;
    int32_t number;
    uint32_t index;
} pb_enum_value;

struct pb_enum {
    pl_str full_name, name;
    pl_str options;
    uint32_t index;        /* in the pool */
    bool closed;           /* numbers without a name are not accepted */
    pb_enum_value *values; /* as declared */
    size_t count;
    const pb_file *file;
    const pb_message *parent;
    const pb_enum_value **by_number; /* without aliases */
    size_t distinct;
    pb_names names;
};

struct pb_method {
    pl_str name, full_name; /* "GetUser", "user.v1.UserService.GetUser" */
    pl_str options;
    const pb_message *input, *output;
    bool client_streaming, server_streaming;
    const pb_service *service;
};

struct pb_service {
    pl_str full_name, name;
    pl_str options;
    pb_method *methods;
    size_t count;
    const pb_file *file;
};

struct pb_file {
    pl_str name, package;
    pl_str bytes; /* its FileDescriptorProto, as given: for reflection */
    pl_str options;
    pb_edition edition;
    const pb_file **imports;
    size_t import_count;
    bool built_in; /* supplied by the program */
};

typedef struct pb_source {
    const char *name; /* for messages: the file, "proto/user.binpb" */
    pl_str bytes;     /* copied */
} pb_source;

/* The well-known types (google/protobuf, google/rpc, google/api) are added where the sets have none. The same
 * file may come twice if it says the same. Errors name the source, the .proto file and the message:
 * INVALID_ARGUMENT for sets that are not whole or not consistent, RESOURCE_EXHAUSTED for memory. */
pl_code pb_pool_new(const pb_source *sources, size_t count, pb_pool **out, pl_error *err);
void pb_pool_free(pb_pool *pool); /* NULL is fine */

/* By full name, without a dot before it; NULL: there is none. */
const pb_message *pb_pool_message(const pb_pool *pool, pl_str full_name);
const pb_enum *pb_pool_enum(const pb_pool *pool, pl_str full_name);
const pb_service *pb_pool_service(const pb_pool *pool, pl_str full_name);
const pb_field *pb_pool_extension(const pb_pool *pool, pl_str full_name);
const pb_file *pb_pool_file(const pb_pool *pool, pl_str name);
/* The file that defines a message, enum, enum value, extension, service or method. */
const pb_file *pb_pool_file_of(const pb_pool *pool, pl_str full_name);
/* All of them, in the order of files and of their declaration. */
const pb_message *const *pb_pool_messages(const pb_pool *pool, size_t *count);
const pb_enum *const *pb_pool_enums(const pb_pool *pool, size_t *count);
const pb_service *const *pb_pool_services(const pb_pool *pool, size_t *count);
const pb_file *const *pb_pool_files(const pb_pool *pool, size_t *count);

/* NULL: there is none. */
const pb_field *pb_message_extension(const pb_message *message, uint32_t number);
const pb_field *pb_message_field_slow(const pb_message *message, uint32_t number);
static inline const pb_field *pb_message_field(const pb_message *message, uint32_t number)
{
    return number < message->dense_count ? message->dense[number] : pb_message_field_slow(message, number);
}
/* By its name in the .proto file, or in JSON. */
const pb_field *pb_message_field_named(const pb_message *message, pl_str name);
const pb_enum_value *pb_enum_named(const pb_enum *enumeration, pl_str name);
const pb_enum_value *pb_enum_numbered(const pb_enum *enumeration, int64_t number);
const pb_method *pb_service_method(const pb_service *service, pl_str name);

static inline bool pb_is_packable(pb_type type)
{
    return type != PB_STRING && type != PB_BYTES && type != PB_MESSAGE;
}

#endif
