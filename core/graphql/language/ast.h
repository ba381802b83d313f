/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_AST_H
#define PL_GRAPHQL_AST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/str.h"

/* The syntax tree of a GraphQL document (September 2025 edition, section 2 and appendix B). Nodes and strings
 * live in the arena that the parser was given, or point into the source, which the caller keeps as long.
 * Lists are arrays with a count. Names are the spec's. */

/* A text to parse, and what to call it in messages. */
typedef struct gql_source {
    const char *name; /* file, relative to the bundle; or "GraphQL request" */
    pl_str text;
} gql_source;

/* A place in a source: line and column from 1 (a column is a code point), offset in bytes from 0. */
typedef struct gql_loc {
    uint32_t line, column, offset;
} gql_loc;

typedef struct gql_name {
    pl_str text;
    gql_loc loc;
} gql_name;

typedef struct gql_value gql_value;
typedef struct gql_object_field gql_object_field;
typedef struct gql_directive gql_directive;
typedef struct gql_selection gql_selection;
typedef struct gql_type gql_type;

typedef enum gql_value_kind {
    GQL_VALUE_VARIABLE, /* text: the name without $ */
    GQL_VALUE_INT,      /* text: the digits as written */
    GQL_VALUE_FLOAT,    /* text: as written */
    GQL_VALUE_STRING,   /* text: decoded, UTF-8 */
    GQL_VALUE_BOOLEAN,  /* boolean */
    GQL_VALUE_NULL,
    GQL_VALUE_ENUM, /* text */
    GQL_VALUE_LIST,
    GQL_VALUE_OBJECT,
} gql_value_kind;

struct gql_value {
    gql_value_kind kind;
    gql_loc loc;
    bool boolean;
    bool block; /* a STRING written as a block string */
    pl_str text;
    gql_value *items;         /* LIST */
    gql_object_field *fields; /* OBJECT */
    uint32_t count;           /* of items or fields */
};
struct gql_object_field {
    gql_name name;
    gql_value value;
};

typedef struct gql_argument {
    gql_name name;
    gql_value value;
} gql_argument;

struct gql_directive {
    gql_name name;
    gql_loc loc; /* of the @ */
    gql_argument *arguments;
    uint32_t argument_count;
};

typedef struct gql_directives {
    gql_directive *items;
    uint32_t count;
} gql_directives;

typedef enum gql_type_kind { GQL_TYPE_NAMED, GQL_TYPE_LIST, GQL_TYPE_NON_NULL } gql_type_kind;
/* A type reference as written. */
struct gql_type {
    gql_type_kind kind;
    gql_loc loc;
    pl_str name;  /* NAMED */
    gql_type *of; /* LIST, NON_NULL */
};

/* --- executable documents --- */
typedef struct gql_selection_set {
    gql_selection *items;
    uint32_t count; /* 0: there is none (an empty {} is a syntax error) */
    gql_loc loc;    /* of the { */
} gql_selection_set;

typedef enum gql_selection_kind { GQL_FIELD, GQL_FRAGMENT_SPREAD, GQL_INLINE_FRAGMENT } gql_selection_kind;
struct gql_selection {
    gql_selection_kind kind;
    gql_loc loc;
    gql_directives directives;
    gql_name name;  /* FIELD: the field; SPREAD: the fragment */
    gql_name alias; /* FIELD; text.ptr NULL when there is none */
    gql_argument *arguments;
    uint32_t argument_count;
    gql_type *type_condition; /* INLINE_FRAGMENT; NULL when there is none */
    gql_selection_set selections;
};

typedef enum gql_operation_kind { GQL_QUERY, GQL_MUTATION, GQL_SUBSCRIPTION } gql_operation_kind;

typedef struct gql_variable_definition {
    gql_name name; /* without $ */
    gql_loc loc;   /* of the description, or of the $ */
    gql_type *type;
    gql_value *default_value; /* NULL when there is none */
    gql_directives directives;
    pl_str description;
    bool block_description;
} gql_variable_definition;

typedef struct gql_operation {
    gql_operation_kind kind;
    gql_loc loc;
    gql_name name; /* text.ptr NULL when anonymous */
    gql_variable_definition *variables;
    uint32_t variable_count;
    gql_directives directives;
    gql_selection_set selections;
    pl_str description;
    bool block_description;
} gql_operation;

typedef struct gql_fragment {
    gql_name name;
    gql_loc loc;
    gql_type *type_condition;
    gql_directives directives;
    gql_selection_set selections;
    pl_str description;
    bool block_description;
    uint32_t index; /* its place in gql_document.fragments */
} gql_fragment;

/* --- type system documents --- */
typedef struct gql_input_value_ast { /* an argument or an input field */
    gql_name name;
    gql_loc loc;
    gql_type *type;
    gql_value *default_value; /* NULL when there is none */
    gql_directives directives;
    pl_str description; /* ptr NULL when there is none, here and everywhere */
    bool block_description;
} gql_input_value_ast;

typedef struct gql_field_ast {
    gql_name name;
    gql_loc loc;
    gql_input_value_ast *arguments;
    uint32_t argument_count;
    gql_type *type;
    gql_directives directives;
    pl_str description;
    bool block_description;
} gql_field_ast;

typedef struct gql_enum_value_ast {
    gql_name name;
    gql_loc loc;
    gql_directives directives;
    pl_str description;
    bool block_description;
} gql_enum_value_ast;

typedef struct gql_operation_type_ast {
    gql_operation_kind kind;
    gql_loc loc;
    gql_name type;
} gql_operation_type_ast;

typedef enum gql_system_kind {
    GQL_DEF_SCHEMA,
    GQL_DEF_SCALAR,
    GQL_DEF_OBJECT,
    GQL_DEF_INTERFACE,
    GQL_DEF_UNION,
    GQL_DEF_ENUM,
    GQL_DEF_INPUT,
    GQL_DEF_DIRECTIVE,
} gql_system_kind;

typedef struct gql_type_system {
    gql_system_kind kind;
    bool extension; /* extend … */
    gql_loc loc;
    const gql_source *source;
    pl_str description;
    bool block_description;
    gql_name name; /* not of SCHEMA */
    gql_directives directives;
    gql_operation_type_ast *operation_types; /* SCHEMA */
    uint32_t operation_type_count;
    gql_name *interfaces; /* OBJECT, INTERFACE: implements …; UNION: the members */
    uint32_t interface_count;
    gql_field_ast *fields; /* OBJECT, INTERFACE */
    uint32_t field_count;
    gql_enum_value_ast *values; /* ENUM */
    uint32_t value_count;
    gql_input_value_ast *inputs; /* INPUT: fields; DIRECTIVE: arguments */
    uint32_t input_count;
    bool repeatable;     /* DIRECTIVE */
    gql_name *locations; /* DIRECTIVE, as written */
    uint32_t location_count;
} gql_type_system;

/* A whole document. Definitions of each kind are in source order. */
typedef struct gql_document {
    const gql_source *source;
    gql_operation *operations;
    uint32_t operation_count;
    gql_fragment *fragments;
    uint32_t fragment_count;
    gql_type_system *definitions;
    uint32_t definition_count;
} gql_document;

#endif
