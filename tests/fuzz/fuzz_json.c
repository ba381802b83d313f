/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "value/json.h"

/* What is accepted is written, read and written again: both texts must be the same, and so must the values.
 */

static void must(bool condition)
{
    if (!condition)
        abort();
}

static bool same(const pl_value *a, const pl_value *b)
{
    if (a->kind != b->kind) {
        /* A float without a fraction is written as an integer. */
        return a->kind == PL_KIND_FLOAT && b->kind == PL_KIND_INT && a->number == (double)b->integer;
    }
    switch (a->kind) {
    case PL_KIND_BOOL:
        return a->boolean == b->boolean;
    case PL_KIND_INT:
        return a->integer == b->integer;
    case PL_KIND_FLOAT:
        return a->number == b->number;
    case PL_KIND_STRING:
        return pl_str_eq(a->string, b->string);
    case PL_KIND_LIST:
        if (a->list.count != b->list.count)
            return false;
        for (size_t i = 0; i < a->list.count; i++) {
            if (!same(&a->list.items[i], &b->list.items[i]))
                return false;
        }
        return true;
    case PL_KIND_MAP:
        if (a->map.count != b->map.count)
            return false;
        for (size_t i = 0; i < a->map.count; i++) {
            const pl_member *m = &a->map.members[i], *n = &b->map.members[i];
            if (!pl_str_eq(m->name, n->name) || !same(&m->value, &n->value))
                return false;
        }
        return true;
    default:
        return true;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pl_arena arena;
    pl_buf first, second, pretty;
    pl_value value, again;
    pl_error err;
    pl_arena_init(&arena, 0);
    pl_buf_init(&first);
    pl_buf_init(&second);
    pl_buf_init(&pretty);
    pl_code code = pl_json_read(&arena, (pl_str){(const char *)data, size}, NULL, &value, &err);
    if (code) {
        must(err.code == code && err.message[0] != '\0' && err.column <= size + 1);
        must(pl_str_is_utf8(pl_str_of(err.message)));
        goto done;
    }
    pl_json_value(&first, &value);
    must(pl_str_is_utf8(pl_buf_view(&first)));
    must(pl_json_read(&arena, pl_buf_view(&first), NULL, &again, &err) == PL_OK);
    must(same(&value, &again));
    pl_json_value(&second, &again);
    must(pl_str_eq(pl_buf_view(&first), pl_buf_view(&second)));
    pl_json_pretty(&pretty, pl_buf_view(&first));
    must(pl_json_read(&arena, pl_buf_view(&pretty), NULL, &again, &err) == PL_OK);
    must(same(&value, &again));
done:
    pl_buf_dispose(&first);
    pl_buf_dispose(&second);
    pl_buf_dispose(&pretty);
    pl_arena_dispose(&arena);
    return 0;
}
