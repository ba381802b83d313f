/* SPDX-License-Identifier: MIT */
#include "proto/pool_internal.h"

/* A feature that is set in the options of a file, message, enum, oneof or field holds for what is inside. */

static const pb_features proto2 = {PB_EXPLICIT, PB_CLOSED, PB_EXPANDED, PB_UTF8_NONE, PB_LENGTH_PREFIXED};
static const pb_features proto3 = {PB_IMPLICIT, PB_OPEN, PB_PACKED, PB_UTF8_VERIFY, PB_LENGTH_PREFIXED};
static const pb_features edition_2023 = {PB_EXPLICIT, PB_OPEN, PB_PACKED, PB_UTF8_VERIFY, PB_LENGTH_PREFIXED};

#define FILE_OPTIONS_FEATURES 50

bool pb_features_of_file(pb_builder *b, pb_file *file, pl_str syntax, uint64_t edition, pb_features *out)
{
    if (syntax.len == 0 || pl_str_is(syntax, "proto2")) {
        file->edition = PB_PROTO2;
        *out = proto2;
    } else if (pl_str_is(syntax, "proto3")) {
        file->edition = PB_PROTO3;
        *out = proto3;
    } else if (!pl_str_is(syntax, "editions")) {
        return pb_fails(b, "its syntax is \"%.*s\"; proto2, proto3 and editions are known",
                        PL_STR_ARG(syntax));
    } else if (edition == PB_2023 || edition == PB_2024) {
        file->edition = (pb_edition)edition;
        *out = edition_2023;
    } else {
        return pb_fails(b, "it is of edition number %llu; editions 2023 (1000) and 2024 (1001) are known",
                        (unsigned long long)edition);
    }
    pb_features_merge(out, file->options, FILE_OPTIONS_FEATURES);
    return true;
}

void pb_features_merge(pb_features *features, pl_str options, uint32_t number)
{
    pl_str set;
    uint64_t v;
    uint8_t *const places[] = {&features->presence, &features->enum_type, &features->repeated,
                               &features->utf8, &features->encoding};
    if (!pb_find_bytes(options, number, &set))
        return;
    for (uint32_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (pb_find_varint(set, i + 1, &v) && v > 0 && v < 8)
            *places[i] = (uint8_t)v;
    }
}
