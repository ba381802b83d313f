/* SPDX-License-Identifier: MIT */
#include "graphql/validation/walk.h"

/* --- KnownDirectives --- */
static void check_directive(gql_walk *w)
{
    const gql_directive *directive = w->at.directive;
    const gql_directive_def *def = w->at.directive_def;
    if (!def)
        gql_walk_report(w, directive->loc, GQL_NOWHERE, "Unknown directive \"@%.*s\".",
                        PL_STR_ARG(directive->name.text));
    else if (!(def->locations & w->at.location))
        gql_walk_report(w, directive->loc, GQL_NOWHERE, "Directive \"@%.*s\" may not be used on %s.",
                        PL_STR_ARG(directive->name.text), gql_location_name(w->at.location));
}

const gql_rule gql_rule_known_directives = {
    .name = "KnownDirectives",
    .on = {[ON_DIRECTIVE] = check_directive},
};

/* --- UniqueDirectivesPerLocation --- */
static void check_repeated(gql_walk *w)
{
    const gql_directives *directives = w->at.directives;
    gql_same same;
    if (directives->count < 2 ||
        !gql_find_same(w, directives->items, directives->count, sizeof(*directives->items), &same) ||
        !same.first)
        return;
    for (uint32_t i = 1; i < directives->count && !w->stopped; i++) {
        pl_str name = directives->items[i].name.text;
        if (same.first[i] == i)
            continue;
        const gql_directive_def *def = gql_schema_directive(w->schema, name);
        if (def && !def->repeatable)
            gql_walk_report(w, directives->items[same.first[i]].loc, directives->items[i].loc,
                            "The directive \"@%.*s\" can only be used once at this location.",
                            PL_STR_ARG(name));
    }
}

const gql_rule gql_rule_unique_directives_per_location = {
    .name = "UniqueDirectivesPerLocation",
    .on = {[ON_OPERATION] = check_repeated,
           [ON_FRAGMENT] = check_repeated,
           [ON_VARIABLE] = check_repeated,
           [ON_FIELD] = check_repeated,
           [ON_SPREAD] = check_repeated,
           [ON_INLINE_FRAGMENT] = check_repeated},
};
