/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_SCHEMA_PRINT_H
#define PL_GRAPHQL_SCHEMA_PRINT_H

#include "base/buf.h"
#include "graphql/schema/schema.h"

/* The schema as SDL, laid out as graphql-js's printSchema does: extensions are merged in, built-in types and
 * the built-in directives are left out, and so are directives on definitions other than @deprecated,
 * @specifiedBy and
 * @oneOf. A default value is on one line, however long it is. Types are in the order of their ids. No newline
 * at the end. */
void gql_schema_print(pl_buf *out, const gql_schema *schema);

typedef struct gql_print_options {
    bool sort;       /* names in order: types, fields, arguments, members, values, locations */
    bool directives; /* all directives on definitions, as they were written */
} gql_print_options;
void gql_schema_print_with(pl_buf *out, const gql_schema *schema, const gql_print_options *options);

#endif
