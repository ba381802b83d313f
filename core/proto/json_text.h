/* SPDX-License-Identifier: MIT */
#ifndef PL_PROTO_JSON_TEXT_H
#define PL_PROTO_JSON_TEXT_H

#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

/* JSON (RFC 8259) as it is read from the beginning to the end, without a tree: the caller asks for what it
 * expects. Numbers stay text, since integers of 64 bits must stay exact. */

typedef struct pb_json {
    const char *begin, *p, *end;
    pl_buf *text;      /* strings with escapes are made here */
    const char *wrong; /* of the last call that was false: static text */
} pb_json;

/* The next byte that is no space; 0 at the end. */
char pb_json_peek(pb_json *json);
/* Takes the next byte, which must be this one. */
bool pb_json_take(pb_json *json, char c);
/* "null", "true", "false": true, and taken, when it comes next. */
bool pb_json_word(pb_json *json, const char *word);
/* Valid until the next string is read, or in the text itself. Always UTF-8. */
bool pb_json_string(pb_json *json, pl_str *out);
bool pb_json_number(pb_json *json, pl_str *out);
/* Whether the whole of s is a number. */
bool pb_json_is_number(pl_str s);
/* Passes over one value; nesting is bounded by depth. */
bool pb_json_skip(pb_json *json, unsigned depth);
/* Before each member or element of a map or list: false at the end (close taken), or, with wrong set, when
 * something else comes. first: at the first one; set to false. */
bool pb_json_next(pb_json *json, char close, bool *first);

/* What a number says. An integer may be written as 1.0 or 1e3. NULL when all is well, or what is wrong. */
const char *pb_json_integer(pl_str number, bool is_unsigned, int64_t *out);
const char *pb_json_double(pl_str number, pl_buf *scratch, double *out);
/* Decodes Base64 of both alphabets, with padding or without, into out; false when it is none. */
bool pb_base64_read(pl_str text, pl_buf *out);

#endif
