/* SPDX-License-Identifier: MIT */
#include "app/apq.h"

#include <stdio.h>

/* The first to name a dictionary decides its size, so the name holds the size: a reload that changes the
 * setting gets another one. */
static pl_shared_dict *dictionary(pl_shared *shared, const pl_reading_config *config)
{
    char name[64];
    snprintf(name, sizeof name, "perilune.apq:%zu", config->apq.size);
    return shared ? pl_shared_dict_get(shared, pl_str_of(name), config->apq.size) : NULL;
}

pl_str pl_apq_find(pl_shared *shared, const pl_reading_config *config, pl_str hash, uint64_t now,
                   pl_arena *arena)
{
    pl_shared_dict *dict = dictionary(shared, config);
    pl_value text;
    if (!dict || pl_shared_get(dict, hash, now, arena, &text) != PL_OK || text.kind != PL_KIND_STRING)
        return PL_STR_NONE;
    return text.string;
}

void pl_apq_keep(pl_shared *shared, const pl_reading_config *config, pl_str hash, pl_str text, uint64_t now)
{
    pl_shared_dict *dict = dictionary(shared, config);
    pl_value value = {.kind = PL_KIND_STRING, .string = text};
    if (dict)
        pl_shared_set(dict, hash, &value, now, config->apq.ttl_ms);
}
