/* SPDX-License-Identifier: MIT */
#include "graphql/execution/binding_internal.h"
#include "graphql/execution/internal.h"

/* info, the fourth argument of a resolver: made only for functions that take it. All but the path is the same
 * for each call of a plan's field: from the second call on it is kept, and copied member by member. */

static void set(gql_execution *x, pl_slot map, pl_str name)
{
    x->e->set_member(x->state, map, name);
}

bool gql_push_type(const pl_engine *e, pl_state *state, const gql_typeref *type)
{
    static const char *const kinds[] = {"SCALAR", "OBJECT", "INTERFACE", "UNION", "ENUM", "INPUT_OBJECT"};
    if (!e->reserve(state, 6))
        return false;
    e->push_map(state, 2);
    pl_slot map = e->top(state);
    if (type->kind == GQL_TYPE_NAMED) {
        e->push_string(state, pl_str_of(kinds[type->named->kind]));
        e->set_member(state, map, PL_STR("kind"));
        e->push_string(state, type->named->name);
        e->set_member(state, map, PL_STR("name"));
        return true;
    }
    e->push_string(state, type->kind == GQL_TYPE_LIST ? PL_STR("LIST") : PL_STR("NON_NULL"));
    e->set_member(state, map, PL_STR("kind"));
    if (!gql_push_type(e, state, type->of)) /* as deep as the type is written */
        return false;
    e->set_member(state, map, PL_STR("of_type"));
    return true;
}

static size_t push_steps(gql_execution *x, pl_slot list, const gql_path *path)
{
    if (!path)
        return 0;
    size_t i = push_steps(x, list, path->parent);
    if (path->key.ptr)
        x->e->push_string(x->state, path->key);
    else
        x->e->push_int(x->state, (int64_t)path->index);
    x->e->set_element(x->state, list, i);
    return i + 1;
}

static void push_operation(gql_execution *x)
{
    static const char *const kinds[] = {"query", "mutation", "subscription"};
    const gql_operation *op = x->plan->operation;
    x->e->push_map(x->state, 2);
    pl_slot map = x->e->top(x->state);
    x->e->push_string(x->state, pl_str_of(kinds[op->kind]));
    set(x, map, PL_STR("kind"));
    if (op->name.text.ptr) {
        x->e->push_string(x->state, op->name.text);
        set(x, map, PL_STR("name"));
    }
}

static void push_names(gql_execution *x, pl_slot map, const gql_plan_object *object)
{
    for (uint32_t i = 0; i < object->count; i++) {
        x->e->push_bool(x->state, true);
        set(x, map, object->fields[i].def->name);
    }
}

/* The names of the sub-fields that are selected, as a set {name = true}; fields of any possible type count.
 */
static void push_selected(gql_execution *x, const gql_plan_field *f)
{
    x->e->push_map(x->state, 4);
    pl_slot map = x->e->top(x->state);
    const gql_named *declared = f->def->type->named;
    for (uint32_t i = 0; f->set && i < declared->possible_count && i < 64; i++) {
        const gql_plan_object *object;
        pl_error err;
        if (gql_plan_object_get(x->plan, f->set, declared->possible[i], x->env.variables,
                                x->env.variable_count, &object, &err) != PL_OK)
            return;
        push_names(x, map, object);
        for (uint32_t k = 0; object->deferral && k < object->deferral->group_count; k++)
            push_names(x, map, &object->deferral->groups[k].object);
    }
}

static void set_key(gql_execution *x, pl_slot map, int member)
{
    x->e->set_field(x->state, map, x->binding->info_keys[member]);
}

/* Pushes all but the path. False: memory. */
static bool push_common(gql_execution *x, const gql_plan_field *f)
{
    const pl_engine *e = x->e;
    e->push_map(x->state, GQL_INFO_MEMBERS);
    pl_slot map = e->top(x->state);
    e->push_string(x->state, f->def->name);
    set_key(x, map, GQL_INFO_FIELD_NAME);
    e->push_string(x->state, f->def->parent->name);
    set_key(x, map, GQL_INFO_PARENT_TYPE);
    if (!gql_push_type(e, x->state, f->def->type))
        return false;
    set_key(x, map, GQL_INFO_RETURN_TYPE);
    push_operation(x);
    set_key(x, map, GQL_INFO_OPERATION);
    push_selected(x, f);
    set_key(x, map, GQL_INFO_SELECTED);
    return true;
}

static bool keep_common(gql_execution *x, const gql_plan_field *f)
{
    pl_slot top = x->e->top(x->state);
    if (!push_common(x, f))
        return false;
    f->info->shared = x->e->keep(x->state, top + 1);
    x->e->pop_to(x->state, top);
    return true;
}

static void push_copy(gql_execution *x, pl_ref shared)
{
    const pl_engine *e = x->e;
    e->push_map(x->state, GQL_INFO_MEMBERS);
    pl_slot map = e->top(x->state);
    e->push_ref(x->state, shared);
    for (int i = 0; i < GQL_INFO_PATH; i++) {
        if (e->field(x->state, map + 1, x->binding->info_keys[i]))
            set_key(x, map, i);
    }
    e->pop_to(x->state, map);
}

bool gql_push_info(gql_execution *x, const gql_plan_field *f, const gql_path *path)
{
    const pl_engine *e = x->e;
    gql_plan_info *info = f->info;
    if (!e->reserve(x->state, 16))
        return false;
    if (info && info->called) {
        if (info->shared == PL_REF_NONE && !keep_common(x, f))
            return false;
        push_copy(x, info->shared);
    } else if (!push_common(x, f)) {
        return false;
    }
    if (info)
        info->called = true;
    pl_slot map = e->top(x->state);
    e->push_list(x->state, 4);
    push_steps(x, map + 1, path);
    set_key(x, map, GQL_INFO_PATH);
    return true;
}
