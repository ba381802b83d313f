/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"
#include "base/map.h"
#include "value/json_tape.h"

/* A tree in an arena, from the tape. */

#define LINEAR_MEMBERS 16 /* in larger maps repeated names are found by hash */

typedef struct conversion {
    const pl_json_token *next;
    pl_arena *arena;
    bool unique_names;
    pl_error *err;
} conversion;

static pl_code convert(conversion *c, pl_value *out);

static pl_code convert_string(conversion *c, pl_str *out)
{
    const pl_json_token *token = c->next++;
    *out = token->copied ? token->string : pl_arena_str(c->arena, token->string);
    return out->ptr ? PL_OK : pl_fail_memory(c->err);
}

static pl_code convert_list(conversion *c, pl_value *out)
{
    const pl_json_token *list = c->next++;
    size_t count = list->count;
    pl_value *items = pl_arena_array(c->arena, count, sizeof(*items));
    if (!items)
        return pl_fail_memory(c->err);
    for (size_t i = 0; i < count; i++) {
        pl_code code = convert(c, &items[i]);
        if (code)
            return code;
    }
    out->kind = PL_KIND_LIST;
    out->list.items = items;
    out->list.count = count;
    return PL_OK;
}

/* The member called name, or NULL; names is filled for large maps only. */
static pl_member *find_member(const pl_map *names, pl_member *members, size_t count, pl_str name)
{
    if (names->slots != 0)
        return pl_map_get(names, name);
    for (size_t i = 0; i < count; i++) {
        if (pl_str_eq(members[i].name, name))
            return &members[i];
    }
    return NULL;
}

static pl_code convert_members(conversion *c, size_t most, pl_member *members, size_t *count)
{
    pl_map names;
    pl_code code = PL_OK;
    pl_map_init(&names);
    for (size_t i = 0; i < most && !code; i++) {
        pl_str name;
        pl_value value;
        if ((code = convert_string(c, &name)) || (code = convert(c, &value)))
            break;
        pl_member *member = find_member(&names, members, *count, name);
        if (!member) {
            member = &members[(*count)++];
            member->name = name;
            if (most > LINEAR_MEMBERS && !pl_map_set(&names, name, member))
                code = pl_fail_memory(c->err);
        } else if (c->unique_names) {
            code = pl_fail(c->err, PL_INVALID_ARGUMENT, "The name \"%.*s\" is there twice in one JSON object",
                           name.len > 100 ? 100 : (int)name.len, name.ptr);
        }
        member->value = value;
    }
    pl_map_dispose(&names);
    return code;
}

static pl_code convert_map(conversion *c, pl_value *out)
{
    size_t most = c->next++->count, count = 0;
    pl_member *members = pl_arena_array(c->arena, most, sizeof(*members));
    if (!members)
        return pl_fail_memory(c->err);
    pl_code code = convert_members(c, most, members, &count);
    out->kind = PL_KIND_MAP;
    out->map.members = members;
    out->map.count = count;
    return code;
}

/* Recursion is bounded by the depth that was read. */
static pl_code convert(conversion *c, pl_value *out)
{
    const pl_json_token *token = c->next;
    out->kind = token->kind;
    switch (token->kind) {
    case PL_KIND_STRING:
        return convert_string(c, &out->string);
    case PL_KIND_LIST:
        return convert_list(c, out);
    case PL_KIND_MAP:
        return convert_map(c, out);
    case PL_KIND_INT:
        out->integer = token->integer;
        break;
    case PL_KIND_FLOAT:
        out->number = token->number;
        break;
    case PL_KIND_BOOL:
        out->boolean = token->boolean;
        break;
    default:
        break;
    }
    c->next++;
    return PL_OK;
}

pl_code pl_json_read(pl_arena *arena, pl_str text, const pl_json_limits *limits, pl_value *out, pl_error *err)
{
    pl_json_tape tape = {0};
    pl_value value;
    pl_code code = pl_json_scan(&tape, arena, text, limits, err);
    conversion c = {tape.tokens, arena, limits && limits->unique_names, err};
    if (!code && !(code = convert(&c, &value)))
        *out = value;
    pl_json_tape_dispose(&tape);
    return code;
}
