/* SPDX-License-Identifier: MIT */
#include "value/value.h"

const pl_value *pl_value_member(const pl_value *map, pl_str name)
{
    if (!map || map->kind != PL_KIND_MAP)
        return NULL;
    for (size_t i = 0; i < map->map.count; i++) {
        if (pl_str_eq(map->map.members[i].name, name))
            return &map->map.members[i].value;
    }
    return NULL;
}

const char *pl_kind_phrase(pl_kind kind)
{
    static const char *const phrases[] = {
        [PL_KIND_ABSENT] = "nothing",
        [PL_KIND_NULL] = "null",
        [PL_KIND_BOOL] = "a boolean",
        [PL_KIND_INT] = "an integer",
        [PL_KIND_FLOAT] = "a float",
        [PL_KIND_STRING] = "a string",
        [PL_KIND_LIST] = "a list",
        [PL_KIND_MAP] = "a map",
        [PL_KIND_OTHER] = "a function, thread or foreign object",
        [PL_KIND_SCRIPT] = "a script value",
        [PL_KIND_UPLOAD] = "an uploaded file",
    };
    unsigned i = (unsigned)kind;
    return i < sizeof(phrases) / sizeof(phrases[0]) ? phrases[i] : "an unknown value";
}
