/* SPDX-License-Identifier: MIT */
/* Executable documents, single values and type references through the parser and the printer. */
#include "roundtrip.h"

static bool reprint_value(pl_str text, pl_buf *out)
{
    pl_arena arena;
    pl_arena_init(&arena, 0);
    gql_source source = {"fuzz", text};
    gql_value value;
    bool ok = gql_parse_const_value(&arena, &source, &value, NULL) == PL_OK;
    if (ok)
        gql_print_value(out, &value);
    pl_arena_dispose(&arena);
    return ok;
}

static bool reprint_type(pl_str text, pl_buf *out)
{
    pl_arena arena;
    pl_arena_init(&arena, 0);
    gql_source source = {"fuzz", text};
    gql_type *type;
    bool ok = gql_parse_type(&arena, &source, &type, NULL) == PL_OK;
    if (ok)
        gql_print_type(out, type);
    pl_arena_dispose(&arena);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_roundtrip(reprint_document, data, size);
    check_roundtrip(reprint_value, data, size);
    check_roundtrip(reprint_type, data, size);
    return 0;
}
