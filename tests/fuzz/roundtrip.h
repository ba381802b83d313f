/* SPDX-License-Identifier: MIT */
#ifndef PL_TESTS_FUZZ_ROUNDTRIP_H
#define PL_TESTS_FUZZ_ROUNDTRIP_H

#include <stdint.h>
#include <stdlib.h>

#include "graphql/language/parser.h"
#include "graphql/language/printer.h"

/* Prints what a text parses to; false when it does not parse. The caller disposes out. */
typedef bool reprint_fn(pl_str text, pl_buf *out);

/* What parses also prints, and what is printed parses again and prints the same: else aborts. */
static inline void check_roundtrip(reprint_fn *reprint, const uint8_t *data, size_t size)
{
    /* A copy of its own size, so that a read behind the end is seen. */
    char *copy = malloc(size ? size : 1);
    if (copy == NULL)
        return;
    if (size != 0)
        memcpy(copy, data, size);
    pl_buf first, second;
    pl_buf_init(&first);
    pl_buf_init(&second);
    if (reprint((pl_str){copy, size}, &first)) {
        if (!reprint(pl_buf_view(&first), &second) || !pl_str_eq(pl_buf_view(&first), pl_buf_view(&second)))
            abort();
    }
    pl_buf_dispose(&first);
    pl_buf_dispose(&second);
    free(copy);
}

static inline bool reprint_document(pl_str text, pl_buf *out)
{
    pl_arena arena;
    pl_arena_init(&arena, 0);
    pl_error err;
    gql_source source = {"fuzz", text};
    gql_document *document;
    bool ok = gql_parse(&arena, &source, NULL, &document, &err) == PL_OK;
    if (ok)
        gql_print_document(out, document);
    pl_arena_dispose(&arena);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
