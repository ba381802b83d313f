/* SPDX-License-Identifier: MIT */
#include "graphql/execution/inspect.h"

#include "value/json.h"

#define MAX_DEPTH 2
#define MAX_ITEMS 10

static void inspect(pl_buf *out, const pl_value *v, unsigned depth, size_t end);

static void inspect_list(pl_buf *out, const pl_value *v, unsigned depth, size_t end)
{
    if (v->list.count > 0 && depth >= MAX_DEPTH) {
        PL_BUF_LIT(out, "[Array]");
        return;
    }
    pl_buf_char(out, '[');
    for (size_t i = 0; i < v->list.count && i < MAX_ITEMS; i++) {
        if (i > 0)
            PL_BUF_LIT(out, ", ");
        inspect(out, &v->list.items[i], depth + 1, end);
    }
    if (v->list.count > MAX_ITEMS)
        pl_buf_printf(out, ", ... %zu more item%s", v->list.count - MAX_ITEMS,
                      v->list.count > MAX_ITEMS + 1 ? "s" : "");
    pl_buf_char(out, ']');
}

static void inspect_map(pl_buf *out, const pl_value *v, unsigned depth, size_t end)
{
    if (v->map.count == 0) {
        PL_BUF_LIT(out, "{}");
        return;
    }
    if (depth >= MAX_DEPTH) {
        PL_BUF_LIT(out, "[Object]");
        return;
    }
    PL_BUF_LIT(out, "{ ");
    for (size_t i = 0; i < v->map.count && out->len < end; i++) {
        if (i > 0)
            PL_BUF_LIT(out, ", ");
        pl_buf_str(out, v->map.members[i].name);
        PL_BUF_LIT(out, ": ");
        inspect(out, &v->map.members[i].value, depth + 1, end);
    }
    PL_BUF_LIT(out, " }");
}

static void inspect(pl_buf *out, const pl_value *v, unsigned depth, size_t end)
{
    if (v->kind == PL_KIND_LIST)
        inspect_list(out, v, depth, end);
    else if (v->kind == PL_KIND_MAP)
        inspect_map(out, v, depth, end);
    else
        pl_json_value(out, v);
}

void gql_inspect(pl_buf *out, const pl_value *value, size_t max)
{
    size_t start = out->len;
    inspect(out, value, 0, start + max);
    if (out->len - start <= max)
        return;
    out->len = start + max;
    while (((unsigned char)out->data[out->len] & 0xc0) == 0x80) /* not within a character */
        out->len--;
    PL_BUF_LIT(out, "…");
}
