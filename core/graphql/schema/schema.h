/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_SCHEMA_H
#define PL_GRAPHQL_SCHEMA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/map.h"
#include "graphql/diagnostics.h"
#include "graphql/language/ast.h"
#include "value/value.h"

/* A schema: built once from SDL, immutable after that, and read by all workers at once. Everything in it
 * lives in its own arena. Types, fields and arguments carry dense numbers (`id`), so that a worker can keep
 * what it binds to them (resolvers, keys) in plain arrays beside the schema. */
typedef struct gql_schema gql_schema;
typedef struct gql_named gql_named;
typedef struct gql_typeref gql_typeref;
typedef struct gql_input gql_input;
typedef struct gql_field gql_field;
typedef struct gql_enum_value gql_enum_value;
typedef struct gql_directive_def gql_directive_def;
typedef struct gql_federation gql_federation;

typedef enum gql_named_kind {
    GQL_SCALAR,
    GQL_OBJECT,
    GQL_INTERFACE,
    GQL_UNION,
    GQL_ENUM,
    GQL_INPUT_OBJECT,
} gql_named_kind;

/* What a scalar does with values; custom scalars without a ready-made meaning are GQL_SCALAR_CUSTOM. */
typedef enum gql_scalar_kind {
    GQL_SCALAR_INT,
    GQL_SCALAR_FLOAT,
    GQL_SCALAR_STRING,
    GQL_SCALAR_BOOLEAN,
    GQL_SCALAR_ID,
    GQL_SCALAR_DATETIME, /* ready-made, by name: DateTime, Date, JSON, UUID, BigInt, Upload */
    GQL_SCALAR_DATE,
    GQL_SCALAR_JSON,
    GQL_SCALAR_UUID,
    GQL_SCALAR_BIGINT,
    GQL_SCALAR_UPLOAD, /* a file of a multipart request; given as a variable only */
    GQL_SCALAR_CUSTOM,
} gql_scalar_kind;

/* A resolved type reference. Interned per schema: the same written type is the same pointer. */
struct gql_typeref {
    gql_type_kind kind;
    gql_named *named;      /* the innermost named type, for every kind */
    const gql_typeref *of; /* LIST, NON_NULL */
    pl_str text;           /* "[User!]!" */
};

typedef struct gql_deprecation {
    bool is;
    pl_str reason;
} gql_deprecation;

/* An argument or an input field. */
struct gql_input {
    pl_str name;
    pl_str description; /* ptr NULL when there is none, here and below */
    const gql_typeref *type;
    const gql_value *default_ast; /* as written; NULL when there is none */
    const pl_value
        *default_value; /* coerced; NULL when there is none. Enum values are STRINGs with the value's name;
                           custom scalars are as read from the literal (engine parse is applied later) */
    gql_deprecation deprecation;
    const gql_directives *directives;
    uint32_t index; /* among its siblings */
    uint32_t id;    /* dense over all arguments and input fields of the schema */
    const gql_source *source;
    gql_loc loc;
};

struct gql_field {
    pl_str name;
    pl_str description;
    const gql_typeref *type;
    gql_named *parent;
    gql_input *arguments;
    uint32_t argument_count;
    gql_deprecation deprecation;
    const gql_directives *directives;
    uint32_t id; /* dense over all fields of objects and interfaces, introspection types included */
    const gql_source *source;
    gql_loc loc;
};

struct gql_enum_value {
    pl_str name;
    pl_str description;
    gql_deprecation deprecation;
    const gql_directives *directives;
    uint32_t index; /* in its enum */
    const gql_source *source;
    gql_loc loc;
};

struct gql_named {
    gql_named_kind kind;
    pl_str name;
    pl_str description;
    uint32_t id;  /* dense over all types */
    bool builtin; /* the five scalars and the introspection types */
    bool one_of;  /* INPUT_OBJECT with @oneOf */
    gql_scalar_kind scalar;
    pl_str specified_by;
    gql_field *fields; /* OBJECT, INTERFACE; in order of definition, extensions last */
    uint32_t field_count;
    pl_map field_map;       /* name -> gql_field * */
    gql_named **interfaces; /* OBJECT, INTERFACE */
    uint32_t interface_count;
    gql_named **possible; /* OBJECT: itself; UNION: members; INTERFACE: the objects that implement it */
    uint32_t possible_count;
    uint64_t *possible_bits; /* bit per type id: is_possible in constant time */
    gql_enum_value *values;
    uint32_t value_count;
    pl_map value_map; /* name -> gql_enum_value * */
    gql_input *inputs;
    uint32_t input_count;
    pl_map input_map;                 /* name -> gql_input * */
    const gql_directives *directives; /* those of the definition; extensions' are appended */
    const gql_source *source;
    gql_loc loc;
};

/* Bits for directive locations; the names are those of the spec. */
typedef enum gql_location {
    GQL_ON_QUERY = 1u << 0,
    GQL_ON_MUTATION = 1u << 1,
    GQL_ON_SUBSCRIPTION = 1u << 2,
    GQL_ON_FIELD = 1u << 3,
    GQL_ON_FRAGMENT_DEFINITION = 1u << 4,
    GQL_ON_FRAGMENT_SPREAD = 1u << 5,
    GQL_ON_INLINE_FRAGMENT = 1u << 6,
    GQL_ON_VARIABLE_DEFINITION = 1u << 7,
    GQL_ON_SCHEMA = 1u << 8,
    GQL_ON_SCALAR = 1u << 9,
    GQL_ON_OBJECT = 1u << 10,
    GQL_ON_FIELD_DEFINITION = 1u << 11,
    GQL_ON_ARGUMENT_DEFINITION = 1u << 12,
    GQL_ON_INTERFACE = 1u << 13,
    GQL_ON_UNION = 1u << 14,
    GQL_ON_ENUM = 1u << 15,
    GQL_ON_ENUM_VALUE = 1u << 16,
    GQL_ON_INPUT_OBJECT = 1u << 17,
    GQL_ON_INPUT_FIELD_DEFINITION = 1u << 18,
} gql_location;
/* "FIELD_DEFINITION"; NULL for anything that is not one single location. */
const char *gql_location_name(gql_location location);
/* 0 when there is no such location. */
gql_location gql_location_parse(pl_str name);

struct gql_directive_def {
    pl_str name;
    pl_str description;
    bool repeatable;
    bool builtin; /* skip, include, deprecated, specifiedBy, oneOf — not when the SDL defines it itself */
    uint32_t locations; /* gql_location bits */
    gql_input *arguments;
    uint32_t argument_count;
    const gql_source *source;
    gql_loc loc;
};

struct gql_schema {
    pl_arena arena;
    pl_str description;
    const gql_directives *applied; /* on the schema's definition and its extensions */
    gql_named **types; /* by id: those of the SDL in order of definition, then built-in scalars that are used
                          or needed by introspection (String, Boolean always), then introspection types */
    uint32_t type_count;
    pl_map type_map; /* name -> gql_named * */
    gql_directive_def **directives;
    uint32_t directive_count;
    pl_map directive_map;
    gql_named *query, *mutation, *subscription; /* NULL when not there; query always is */
    uint32_t field_count;                       /* field ids are below this */
    uint32_t input_count;                       /* input ids are below this */
    pl_map typeref_map;                         /* text -> gql_typeref * */
    /* The meta fields that stand on no type: __schema and __type on the query root, __typename on every
     * composite. */
    gql_field *schema_field, *type_field, *typename_field;
    gql_federation *federation; /* federation/federation.h; NULL: this is no subgraph */
};

/* Builds and checks a schema from documents (SDL files, read together: definitions and extensions may stand
 * in any order and file). The texts and trees are copied or parsed into the schema's own arena: sources need
 * not outlive the call except their bytes being copied. On any error: NULL in *out and INVALID_ARGUMENT, and
 * every problem found is in list (file, line, column, graphql-js's messages, the SDL rules' names in `rule`).
 */
typedef struct gql_schema_options {
    bool no_ready_made_scalars; /* DateTime, Date, JSON, UUID and BigInt are plain custom scalars */
    bool subgraph; /* a subgraph of federation even when nothing in the SDL says so (version 1 then) */
} gql_schema_options;
pl_code gql_schema_build(const gql_source *sources, size_t count, const gql_schema_options *options,
                         gql_diagnostics *list, gql_schema **out);
/* The names of the SDL rules that are graphql-js's, NULL-terminated. */
const char *const *gql_schema_rules(void);
void gql_schema_free(gql_schema *schema); /* NULL is fine */

gql_named *gql_schema_type(const gql_schema *schema, pl_str name); /* NULL when unknown */
gql_directive_def *gql_schema_directive(const gql_schema *schema, pl_str name);
/* A field of type, by name, __typename (any composite), __schema and __type (on the query root) included; or
 * NULL. */
gql_field *gql_schema_field(const gql_schema *schema, const gql_named *type, pl_str name);
gql_input *gql_input_find(gql_input *inputs, uint32_t count, pl_str name);
/* The reference as it resolves in the schema; NULL when the named type is unknown. Works for types that occur
 * in operations only (allocated in arena then, not interned). */
const gql_typeref *gql_schema_typeref(const gql_schema *schema, pl_arena *arena, const gql_type *type);
gql_named *gql_schema_root(const gql_schema *schema, gql_operation_kind kind);

static inline bool gql_is_composite(const gql_named *t)
{
    return t->kind == GQL_OBJECT || t->kind == GQL_INTERFACE || t->kind == GQL_UNION;
}
static inline bool gql_is_abstract(const gql_named *t)
{
    return t->kind == GQL_INTERFACE || t->kind == GQL_UNION;
}
static inline bool gql_is_leaf(const gql_named *t)
{
    return t->kind == GQL_SCALAR || t->kind == GQL_ENUM;
}
static inline bool gql_is_input(const gql_named *t)
{
    return gql_is_leaf(t) || t->kind == GQL_INPUT_OBJECT;
}
/* Whether an object type can stand where `abstract` is expected. */
static inline bool gql_is_possible(const gql_named *abstract, const gql_named *object)
{
    return (abstract->possible_bits[object->id / 64] >> (object->id % 64)) & 1;
}
/* Whether the two composite types have a possible object type in common. */
bool gql_types_overlap(const gql_schema *schema, const gql_named *a, const gql_named *b);
/* Whether a value of type `sub` may stand where `super` is expected (covariance of the spec, section 3.6.1).
 */
bool gql_is_subtype(const gql_schema *schema, const gql_typeref *sub, const gql_typeref *super);

#endif
