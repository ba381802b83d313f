/* SPDX-License-Identifier: MIT */
#include "graphql/validation/walk.h"

/* --- ExecutableDefinitions --- */
static void check_definitions(gql_walk *w)
{
    for (uint32_t i = 0; i < w->document->definition_count && !w->stopped; i++) {
        const gql_type_system *definition = &w->document->definitions[i];
        if (definition->kind == GQL_DEF_SCHEMA)
            gql_walk_report(w, definition->loc, GQL_NOWHERE, "The schema definition is not executable.");
        else
            gql_walk_report(w, definition->loc, GQL_NOWHERE, "The \"%.*s\" definition is not executable.",
                            PL_STR_ARG(definition->name.text));
    }
}

const gql_rule gql_rule_executable_definitions = {
    .name = "ExecutableDefinitions",
    .on = {[ON_DOCUMENT] = check_definitions},
};

/* --- KnownOperationTypes --- */
static void check_operation_type(gql_walk *w)
{
    static const char *const names[] = {
        [GQL_QUERY] = "query", [GQL_MUTATION] = "mutation", [GQL_SUBSCRIPTION] = "subscription"};
    const gql_operation *operation = w->at.operation;
    if (!gql_schema_root(w->schema, operation->kind))
        gql_walk_report(w, operation->loc, GQL_NOWHERE, "The %s operation is not supported by the schema.",
                        names[operation->kind]);
}

const gql_rule gql_rule_known_operation_types = {
    .name = "KnownOperationTypes",
    .on = {[ON_OPERATION] = check_operation_type},
};

/* --- UniqueOperationNames --- */
static void check_operation_name(gql_walk *w)
{
    const gql_name *name = &w->at.operation->name;
    if (!name->text.ptr)
        return;
    const gql_name *first = pl_map_get(&w->operation_names, name->text);
    if (first)
        gql_walk_report(w, first->loc, name->loc, "There can be only one operation named \"%.*s\".",
                        PL_STR_ARG(name->text));
    else
        gql_walk_map_set(w, &w->operation_names, name->text, name);
}

const gql_rule gql_rule_unique_operation_names = {
    .name = "UniqueOperationNames",
    .on = {[ON_OPERATION] = check_operation_name},
};

/* --- LoneAnonymousOperation --- */
static void check_anonymous(gql_walk *w)
{
    const gql_operation *operation = w->at.operation;
    if (!operation->name.text.ptr && w->document->operation_count > 1)
        gql_walk_report(w, operation->loc, GQL_NOWHERE,
                        "This anonymous operation must be the only defined operation.");
}

const gql_rule gql_rule_lone_anonymous_operation = {
    .name = "LoneAnonymousOperation",
    .on = {[ON_OPERATION] = check_anonymous},
};

/* --- SingleFieldSubscriptions --- */
typedef struct gql_root_field {
    pl_str response; /* first, for gql_find_same */
    const gql_selection *node;
} gql_root_field;
typedef struct gql_root_fields {
    gql_root_field *fields;
    uint32_t count, capacity;
    const gql_directive **forbidden; /* @skip and @include */
    uint32_t forbidden_count, forbidden_capacity;
} gql_root_fields;

static bool is_forbidden(gql_walk *w, gql_root_fields *out, const gql_selection *node)
{
    const gql_directive *found = gql_find_directive(&node->directives, "skip");
    if (!found)
        found = gql_find_directive(&node->directives, "include");
    if (found && gql_walk_grow(w, &out->forbidden, out->forbidden_count, &out->forbidden_capacity,
                               sizeof(*out->forbidden)))
        out->forbidden[out->forbidden_count++] = found;
    return found;
}

static bool applies_to(const gql_walk *w, const gql_type *condition, const gql_named *root)
{
    const gql_named *type = condition ? gql_schema_type(w->schema, condition->name) : root;
    return type == root || (type && gql_is_abstract(type) && gql_is_possible(type, root));
}

static const gql_selection_set *opened(gql_walk *w, const gql_selection *node, const gql_named *root)
{
    if (node->kind == GQL_INLINE_FRAGMENT)
        return applies_to(w, node->type_condition, root) ? &node->selections : NULL;
    const gql_fragment *fragment = gql_fragment_named(w, node->name.text);
    if (!fragment || gql_is_marked(w, fragment))
        return NULL;
    gql_mark(w, fragment);
    return applies_to(w, fragment->type_condition, root) ? &fragment->selections : NULL;
}

static void collect_root_fields(gql_walk *w, const gql_named *root, gql_root_fields *out)
{
    gql_trail trail = {0};
    const gql_selection *node;
    uint32_t tag;
    gql_marks_begin(w);
    if (!gql_trail_push(w, &trail, &w->at.operation->selections, 0, NULL))
        return;
    while (!w->stopped && (node = gql_trail_next(&trail, &tag))) {
        /* The tag of what is reached through a spread is 1: that is paid for. */
        if (!gql_walk_visit(w, tag != 0 ? 1 + node->directives.count : 0) || is_forbidden(w, out, node))
            continue;
        if (node->kind != GQL_FIELD) {
            const gql_selection_set *inner = opened(w, node, root);
            if (inner)
                gql_trail_push(w, &trail, inner, node->kind == GQL_FRAGMENT_SPREAD ? 1 : tag, NULL);
        } else if (gql_walk_grow(w, &out->fields, out->count, &out->capacity, sizeof(*out->fields))) {
            out->fields[out->count++] = (gql_root_field){gql_response_name(node), node};
        }
    }
}

/* "Subscription "S" must…" or "Anonymous Subscription must…". */
#define REPORT_SUBSCRIPTION(w, loc, what)                                               \
    ((w)->at.operation->name.text.ptr                                                   \
         ? gql_walk_report(w, loc, GQL_NOWHERE, "Subscription \"%.*s\" must " what ".", \
                           PL_STR_ARG((w)->at.operation->name.text))                    \
         : gql_walk_report(w, loc, GQL_NOWHERE, "Anonymous Subscription must " what "."))

static void report_forbidden(gql_walk *w, const gql_root_fields *found)
{
    gql_diagnostic *d = REPORT_SUBSCRIPTION(
        w, found->forbidden[0]->loc, "not use `@skip` or `@include` directives in the top level selection");
    for (uint32_t i = 1; i < found->forbidden_count; i++)
        gql_diagnose_also(w->list, d, found->forbidden[i]->loc);
}

static bool is_first(const gql_same *same, uint32_t i)
{
    return !same->first || same->first[i] == i;
}

/* Calls gql_diagnose_also for all fields of the response name of field i, from the one after it. */
static void also_same(gql_walk *w, gql_diagnostic *d, const gql_root_fields *found, const gql_same *same,
                      uint32_t i)
{
    for (uint32_t j = same->next ? same->next[i] : 0; j != 0; j = same->next[j])
        gql_diagnose_also(w->list, d, found->fields[j].node->loc);
}

static void report_extra(gql_walk *w, const gql_root_fields *found, const gql_same *same)
{
    gql_diagnostic *d = NULL;
    for (uint32_t i = 1; i < found->count && !w->stopped; i++) {
        if (!is_first(same, i))
            continue;
        gql_loc loc = found->fields[i].node->loc;
        if (d)
            gql_diagnose_also(w->list, d, loc);
        else if (!(d = REPORT_SUBSCRIPTION(w, loc, "select only one top level field")))
            return;
        also_same(w, d, found, same, i);
    }
}

static void report_introspection(gql_walk *w, const gql_root_fields *found, const gql_same *same)
{
    for (uint32_t i = 0; i < found->count && !w->stopped; i++) {
        const gql_selection *node = found->fields[i].node;
        if (!is_first(same, i) || !pl_str_starts(node->name.text, PL_STR("__")))
            continue;
        gql_diagnostic *d = REPORT_SUBSCRIPTION(w, node->loc, "not select an introspection top level field");
        also_same(w, d, found, same, i);
    }
}

static void check_subscription(gql_walk *w)
{
    gql_root_fields found = {0};
    gql_same same;
    if (w->at.operation->kind != GQL_SUBSCRIPTION || !w->schema->subscription)
        return;
    collect_root_fields(w, w->schema->subscription, &found);
    if (w->stopped)
        return;
    if (found.forbidden_count != 0) {
        report_forbidden(w, &found);
    } else if (gql_find_same(w, found.fields, found.count, sizeof(*found.fields), &same)) {
        report_extra(w, &found, &same);
        report_introspection(w, &found, &same);
    }
}

const gql_rule gql_rule_single_field_subscriptions = {
    .name = "SingleFieldSubscriptions",
    .on = {[ON_OPERATION] = check_subscription},
};
