/* SPDX-License-Identifier: MIT */
#include "app/natives.h"

#include "base/alloc.h"

/* An entry of a table of tables, as a file of resolvers has it: { [group] = { [name] = function } }. */
typedef struct native native;
struct native {
    native *next;
    pl_str group, name;
    pl_native_entry entry;
};

struct pl_natives {
    pl_arena arena;
    native *resolvers, **last_resolver;
};

pl_natives *pl_natives_new(void)
{
    pl_natives *n = pl_calloc(1, sizeof *n);
    if (!n)
        return NULL;
    pl_arena_init(&n->arena, 0);
    n->last_resolver = &n->resolvers;
    return n;
}

void pl_natives_free(pl_natives *n)
{
    if (!n)
        return;
    pl_arena_dispose(&n->arena);
    pl_free(n);
}

/* --- the list --- */
static bool is_name(const char *name)
{
    size_t i = 0;
    for (; name && name[i] && i < 500; i++) {
        char c = name[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return i > 0 && i < 500;
}

static native *find(native *list, const char *group, const char *name)
{
    while (list && !(pl_str_is(list->group, group) && pl_str_is(list->name, name)))
        list = list->next;
    return list;
}

static pl_code add(pl_natives *n, native ***last, const char *group, const char *name,
                   pl_native_function function, void *data)
{
    native *one = pl_arena_zalloc(&n->arena, sizeof *one);
    if (!one)
        return PL_RESOURCE_EXHAUSTED;
    one->group = pl_arena_str(&n->arena, pl_str_of(group));
    one->name = pl_arena_str(&n->arena, pl_str_of(name));
    one->entry = (pl_native_entry){function, data, pl_arena_printf(&n->arena, "%s.%s", group, name).ptr};
    if (!one->group.ptr || !one->name.ptr || !one->entry.name)
        return PL_RESOURCE_EXHAUSTED;
    **last = one;
    *last = &one->next;
    return PL_OK;
}

pl_code pl_natives_add_resolver(pl_natives *n, const char *type, const char *field,
                                pl_native_function function, void *data)
{
    if (!is_name(type) || !is_name(field) || !function)
        return PL_INVALID_ARGUMENT;
    if (find(n->resolvers, type, field))
        return PL_ALREADY_EXISTS;
    return add(n, &n->last_resolver, type, field, function, data);
}

pl_code pl_natives_add_scalar(pl_natives *n, const char *type, pl_native_function serialize,
                              pl_native_function parse, void *data)
{
    pl_code code = serialize || parse ? PL_OK : PL_INVALID_ARGUMENT;
    if (is_name(type) && (find(n->resolvers, type, "serialize") || find(n->resolvers, type, "parse")))
        return PL_ALREADY_EXISTS;
    if (!code && serialize)
        code = pl_natives_add_resolver(n, type, "serialize", serialize, data);
    if (!code && parse)
        code = pl_natives_add_resolver(n, type, "parse", parse, data);
    return code;
}

/* --- binding --- */

/* Pushes { [group] = { [name] = function } }. [jumps] */
static pl_slot push_table(pl_state *state, const native *list)
{
    const pl_engine *e = pl_engine_of(state);
    e->make_room(state, 16);
    e->push_map(state, 8);
    pl_slot table = e->top(state);
    for (const native *one = list; one; one = one->next) {
        if (!e->member(state, table, one->group)) {
            e->push_map(state, 8);
            e->push_copy(state, e->top(state));
            e->set_member(state, table, one->group);
        }
        e->push_native(state, &one->entry);
        e->set_member(state, table + 1, one->name);
        e->pop_to(state, table);
    }
    return table;
}

void pl_natives_bind(const pl_natives *n, pl_instance *instance, pl_report *report)
{
    pl_state *state = instance->state;
    const pl_engine *e = pl_engine_of(state);
    if (!n)
        return;
    if (!e->push_native) {
        pl_report_error(report, PL_HOST_PROGRAM, 0, 0, "The engine \"%s\" cannot call functions of it.",
                        e->name);
        return;
    }
    pl_slot top = e->top(state);
    if (n->resolvers && instance->binding)
        gql_binding_add(instance->binding, push_table(state, n->resolvers), PL_HOST_PROGRAM, &report->errors);
    else if (n->resolvers)
        pl_report_error(report, PL_HOST_PROGRAM, 0, 0,
                        "There are resolvers, but the bundle has no schema/*.graphql.");
    e->pop_to(state, top);
}
