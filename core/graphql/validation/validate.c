/* SPDX-License-Identifier: MIT */
#include "graphql/validation/validate.h"

#include "graphql/validation/walk.h"

#define RULE(id, Name) &gql_rule_##id,
static const gql_rule *const rules[] = {GQL_RULES(RULE)};
#define RULE_COUNT (sizeof(rules) / sizeof(rules[0]))

#define SUGGESTION_WORK (2 * 1000 * 1000)

static bool is_wanted(const gql_rule *rule, const gql_validate_options *options)
{
    if (!options->only)
        return !rule->optional;
    for (uint32_t i = 0; i < options->only_count; i++) {
        if (pl_str_is(pl_str_of(options->only[i]), rule->name))
            return true;
    }
    return false;
}

/* Fills the lists of who listens to what. Gives whether a rule asks for the uses of variables. */
static bool choose_rules(gql_walk *w)
{
    bool with_usages = false;
    for (int event = 0; event < GQL_EVENT_COUNT; event++) {
        gql_hooks *hooks = &w->hooks[event];
        hooks->rules = gql_walk_alloc(w, RULE_COUNT, sizeof(*hooks->rules));
        for (size_t i = 0; i < RULE_COUNT && hooks->rules; i++) {
            if (!rules[i]->on[event] || !is_wanted(rules[i], w->options))
                continue;
            hooks->rules[hooks->count++] = rules[i];
            with_usages |= rules[i]->with_usages;
        }
    }
    return with_usages;
}

static void dispose(gql_walk *w)
{
    pl_map_dispose(&w->fragments);
    pl_map_dispose(&w->variable_names);
    pl_map_dispose(&w->operation_names);
    pl_map_dispose(&w->fragment_names);
    pl_map_dispose(&w->labels);
    pl_map_dispose(&w->variable_types);
    gql_overlaps_dispose(w);
    pl_arena_dispose(&w->arena);
}

pl_code gql_validate(const gql_schema *schema, const gql_document *document,
                     const gql_validate_options *options, gql_diagnostics *list)
{
    static const gql_validate_options defaults;
    gql_walk w = {
        .schema = schema, .document = document, .options = options ? options : &defaults, .list = list};
    pl_arena_init(&w.arena, 16 * 1024);
    uint32_t visits =
        w.options->max_fragment_visits ? w.options->max_fragment_visits : GQL_DEFAULT_FRAGMENT_VISITS;
    w.visits_left = visits;
    w.suggest_left = SUGGESTION_WORK;
    bool with_usages = choose_rules(&w);
    gql_facts_collect(&w, with_usages);
    gql_walk_document(&w);
    if (w.options->work)
        *w.options->work = (gql_validate_work){w.calls, visits - w.visits_left, w.comparisons,
                                               SUGGESTION_WORK - w.suggest_left};
    dispose(&w);
    return w.code;
}

const char *const *gql_validation_rules(void)
{
#define NAME(id, Name) #Name,
    static const char *const names[] = {GQL_RULES(NAME) NULL};
    return names;
}
