/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_PRINTER_INTERNAL_H
#define PL_GRAPHQL_PRINTER_INTERNAL_H

#include "graphql/language/printer.h"

/* What is wider is broken into lines. Widths are in UTF-16 units, as in the formatter that ours follows. */
enum { GQL_LINE_WIDTH = 80 };

typedef struct gql_writer {
    pl_buf *out;
    unsigned indent;
    bool one_line; /* lists, objects and arguments stay on one line however wide they are */
    bool open; /* the last definition has no members in braces, and would take braces that follow it for them
                */
} gql_writer;

void gql_write_newline(gql_writer *w);
void gql_write_value(gql_writer *w, const gql_value *value);
void gql_write_type(gql_writer *w, const gql_type *type);
void gql_write_string(gql_writer *w, pl_str text, bool block);

/* How wide a value is on one line. Looks at no more of it than tells that it is wider than most; the answer
 * is then some width above most. */
size_t gql_value_width(const gql_value *value, size_t most);
size_t gql_arguments_width(const gql_argument *arguments, uint32_t count, size_t most);
/* Whether a value takes several lines where one_line is off. */
bool gql_value_is_multiline(const gql_value *value);

#endif
