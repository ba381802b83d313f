/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_PRINTER_H
#define PL_GRAPHQL_PRINTER_H

#include "base/buf.h"
#include "graphql/language/ast.h"

/* Text of a part of a tree, as graphql-js's print() gives it on one line. */
void gql_print_value(pl_buf *out, const gql_value *value);
/* The same, but what is wider than a line is broken into lines, as print() does. */
void gql_print_value_lines(pl_buf *out, const gql_value *value);
void gql_print_type(pl_buf *out, const gql_type *type);
/* The whole document, formatted as graphql-js's print() does. */
void gql_print_document(pl_buf *out, const gql_document *document);

#endif
