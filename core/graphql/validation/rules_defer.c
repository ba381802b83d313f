/* SPDX-License-Identifier: MIT */
#include "graphql/validation/walk.h"

static bool is_defer(const gql_directive *directive)
{
    return pl_str_is(directive->name.text, "defer");
}

static bool is_stream(const gql_directive *directive)
{
    return pl_str_is(directive->name.text, "stream");
}

/* The selections of the fragment that node spreads, when they are met for the first time since
 * gql_marks_begin. */
static const gql_selection_set *open_spread(gql_walk *w, const gql_selection *node)
{
    const gql_fragment *fragment = gql_fragment_named(w, node->name.text);
    if (!fragment || gql_is_marked(w, fragment))
        return NULL;
    gql_mark(w, fragment);
    return &fragment->selections;
}

/* The next selection. The tag of what is reached through a spread is 1: that is paid for. */
static const gql_selection *next_of(gql_walk *w, gql_trail *trail, uint32_t *tag)
{
    const gql_selection *node = w->stopped ? NULL : gql_trail_next(trail, tag);
    return node && gql_walk_visit(w, *tag != 0 ? 1 + node->directives.count : 0) ? node : NULL;
}

/* --- DeferStreamDirectiveOnRootField --- */
static void report_root(gql_walk *w, const gql_directive *directive, const gql_named *root)
{
    gql_walk_report(w, directive->loc, GQL_NOWHERE, "%s directive cannot be used on root %s type \"%.*s\".",
                    is_stream(directive) ? "Stream" : "Defer",
                    w->at.operation->kind == GQL_MUTATION ? "mutation" : "subscription",
                    PL_STR_ARG(root->name));
}

static void check_root(gql_walk *w)
{
    const gql_operation *operation = w->at.operation;
    const gql_named *root = gql_schema_root(w->schema, operation->kind);
    gql_trail trail = {0};
    const gql_selection *node;
    uint32_t tag;
    if (operation->kind == GQL_QUERY || !root)
        return;
    gql_marks_begin(w);
    gql_trail_push(w, &trail, &operation->selections, 0, NULL);
    while ((node = next_of(w, &trail, &tag))) {
        const gql_selection_set *inner = NULL;
        if (node->kind == GQL_INLINE_FRAGMENT)
            inner = &node->selections;
        else if (node->kind == GQL_FRAGMENT_SPREAD && !(inner = open_spread(w, node)))
            continue;
        const gql_directive *found =
            gql_find_directive(&node->directives, node->kind == GQL_FIELD ? "stream" : "defer");
        if (found)
            report_root(w, found, root);
        if (inner)
            gql_trail_push(w, &trail, inner, node->kind == GQL_FRAGMENT_SPREAD ? 1 : tag, NULL);
    }
}

const gql_rule gql_rule_defer_stream_directive_on_root_field = {
    .name = "DeferStreamDirectiveOnRootField",
    .on = {[ON_OPERATION] = check_root},
};

/* --- DeferStreamDirectiveOnValidOperations --- */
/* The value of the argument `if`, or NULL. */
static const gql_value *condition(gql_walk *w, const gql_directive *directive)
{
    const gql_argument *argument =
        gql_walk_visit(w, directive->argument_count) ? gql_find_argument(directive, "if") : NULL;
    return argument ? &argument->value : NULL;
}

static bool may_be_off(gql_walk *w, const gql_directive *directive)
{
    const gql_value *value = condition(w, directive);
    return value &&
           (value->kind == GQL_VALUE_VARIABLE || (value->kind == GQL_VALUE_BOOLEAN && !value->boolean));
}

static bool may_be_left_out(gql_walk *w, const gql_selection *node)
{
    const gql_directive *skip = gql_find_directive(&node->directives, "skip");
    const gql_directive *include = gql_find_directive(&node->directives, "include");
    const gql_value *skip_if = skip ? condition(w, skip) : NULL;
    const gql_value *include_if = include ? condition(w, include) : NULL;
    if (skip && !(skip_if && skip_if->kind == GQL_VALUE_BOOLEAN && !skip_if->boolean))
        return true;
    return include_if && !(include_if->kind == GQL_VALUE_BOOLEAN && include_if->boolean);
}

/* The places are the directive's and those of the spreads that lead to it, innermost first. */
static void report_unconditional(gql_walk *w, const gql_directive *directive, const gql_trail *trail)
{
    if (!gql_walk_visit(w, trail->count))
        return;
    gql_diagnostic *d =
        gql_walk_report(w, directive->loc, GQL_NOWHERE,
                        "%s directive not supported on subscription operations. Disable `@%.*s` by setting "
                        "the `if` argument to `false`.",
                        is_stream(directive) ? "Stream" : "Defer", PL_STR_ARG(directive->name.text));
    for (uint32_t i = trail->count; i > 0; i--) {
        if (trail->steps[i - 1].via)
            gql_diagnose_also(w->list, d, trail->steps[i - 1].via->loc);
    }
}

static void check_unconditional(gql_walk *w)
{
    gql_trail trail = {0};
    const gql_selection *node;
    uint32_t tag;
    if (w->at.operation->kind != GQL_SUBSCRIPTION)
        return;
    gql_marks_begin(w);
    gql_trail_push(w, &trail, &w->at.operation->selections, 0, NULL);
    while ((node = next_of(w, &trail, &tag))) {
        if (may_be_left_out(w, node))
            continue;
        for (uint32_t i = 0; i < node->directives.count && !w->stopped; i++) {
            const gql_directive *directive = &node->directives.items[i];
            if ((is_defer(directive) || is_stream(directive)) && !may_be_off(w, directive))
                report_unconditional(w, directive, &trail);
        }
        bool spread = node->kind == GQL_FRAGMENT_SPREAD;
        const gql_selection_set *inner = spread ? open_spread(w, node) : &node->selections;
        if (inner && inner->count != 0)
            gql_trail_push(w, &trail, inner, spread ? 1 : tag, spread ? node : NULL);
    }
}

const gql_rule gql_rule_defer_stream_directive_on_valid_operations = {
    .name = "DeferStreamDirectiveOnValidOperations",
    .on = {[ON_OPERATION] = check_unconditional},
};

/* --- DeferStreamDirectiveLabel --- */
static void check_label(gql_walk *w)
{
    const gql_directive *directive = w->at.directive;
    const gql_argument *label =
        is_defer(directive) || is_stream(directive) ? gql_find_argument(directive, "label") : NULL;
    if (!label || label->value.kind == GQL_VALUE_NULL)
        return;
    if (label->value.kind != GQL_VALUE_STRING) {
        gql_walk_report(w, directive->loc, GQL_NOWHERE, "Argument \"@%.*s(label:)\" must be a static string.",
                        PL_STR_ARG(directive->name.text));
        return;
    }
    const gql_directive *first = pl_map_get(&w->labels, label->value.text);
    if (first)
        gql_walk_report(
            w, first->loc, directive->loc,
            "Value for arguments \"defer(label:)\" and \"stream(label:)\" must be unique across all "
            "Defer/Stream directive usages.");
    else
        gql_walk_map_set(w, &w->labels, label->value.text, directive);
}

const gql_rule gql_rule_defer_stream_directive_label = {
    .name = "DeferStreamDirectiveLabel",
    .on = {[ON_DIRECTIVE] = check_label},
};

/* --- StreamDirectiveOnListField --- */
static void check_stream(gql_walk *w)
{
    const gql_directive *directive = w->at.directive;
    const gql_field *field = w->at.field;
    if (!field || !w->at.parent_type || !is_stream(directive) ||
        gql_nullable(field->type)->kind == GQL_TYPE_LIST)
        return;
    gql_walk_report(w, directive->loc, GQL_NOWHERE,
                    "Directive \"@stream\" cannot be used on non-list field \"%.*s.%.*s\".",
                    PL_STR_ARG(w->at.parent_type->name), PL_STR_ARG(field->name));
}

const gql_rule gql_rule_stream_directive_on_list_field = {
    .name = "StreamDirectiveOnListField",
    .on = {[ON_DIRECTIVE] = check_stream},
};
