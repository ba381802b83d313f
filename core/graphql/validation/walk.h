/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_VALIDATION_WALK_H
#define PL_GRAPHQL_VALIDATION_WALK_H

#include "base/buf.h"
#include "base/map.h"
#include "graphql/validation/validate.h"

/* How validation works. One typed walk over the document (walk.c) tells rules of what it meets, as *events*,
 * and knows what the schema says of the place where it stands. A rule is a row of functions, one for each
 * event it cares about; the table of rules is in validate.c. What several rules ask about the document as a
 * whole (which fragments an operation reaches, which variables are used there) is found beforehand, in
 * facts.c.
 *
 * Nothing here recurses over fragments: only over nested selections and values, whose depth the parser
 * bounds. */
typedef struct gql_walk gql_walk;

typedef enum gql_event {
    ON_DOCUMENT,
    ON_DOCUMENT_END,
    ON_OPERATION,
    ON_OPERATION_END,
    ON_FRAGMENT,
    ON_VARIABLE,      /* a definition */
    ON_TYPE,          /* a named type, as written */
    ON_SELECTION_SET, /* not of inline fragments */
    ON_FIELD,
    ON_FIELD_END,
    ON_SPREAD,
    ON_INLINE_FRAGMENT,
    ON_DIRECTIVE,
    ON_DIRECTIVE_END,
    ON_ARGUMENT,
    ON_LITERAL, /* a value, not one inside another */
    ON_VALUE,   /* any value */
    ON_OBJECT_FIELD,
    GQL_EVENT_COUNT,
} gql_event;

typedef void gql_rule_fn(gql_walk *w);
typedef struct gql_rule {
    const char *name;
    bool optional;    /* runs only when it is named */
    bool with_usages; /* asks for uses of variables */
    gql_rule_fn *on[GQL_EVENT_COUNT];
} gql_rule;

/* Where the walk stands. What is not there is NULL. */
typedef struct gql_position {
    const gql_operation *operation;
    const gql_fragment *fragment;
    const gql_variable_definition *variable;
    const gql_type *type_name; /* ON_TYPE */
    const gql_selection_set *selection_set;
    const gql_selection *selection;   /* the innermost field, spread or inline fragment */
    const gql_directives *directives; /* of the innermost thing that can have them */
    gql_location location;            /* of those */
    const gql_directive *directive;
    const gql_argument *argument;
    const gql_value *value;
    const gql_object_field *object_field;
    const gql_object_field *first_same; /* the first object field of that name, if this is another one */

    const gql_named *parent_type; /* the composite type that is selected from */
    const gql_named *condition;   /* ON_INLINE_FRAGMENT, ON_FRAGMENT: the type, any kind */
    const gql_field *field;       /* the innermost field's definition */
    const gql_directive_def *directive_def;
    const gql_input *argument_def;
    const gql_typeref *input_type; /* what is expected of the value */
    const gql_typeref *parent_input_type;
    bool has_default; /* the argument or input field has one */
} gql_position;

/* A spread, and the fragment that it names. */
typedef struct gql_spread {
    const gql_selection *node;
    const gql_fragment *fragment; /* NULL: there is none */
} gql_spread;
/* A use of a variable. */
typedef struct gql_usage {
    const gql_value *node;
    struct gql_known_variable *variable;
    bool has_default;
    const gql_typeref *type;
    const gql_named *one_of; /* it is the value of a field of this oneOf type; or NULL */
} gql_usage;
/* What an operation or a fragment holds, without what it spreads. */
typedef struct gql_facts {
    gql_spread *spreads;
    uint32_t spread_count;
    gql_usage *usages;
    uint32_t usage_count, usage_capacity;
} gql_facts;

/* All variables of one name, in whatever operation. */
typedef struct gql_known_variable {
    uint32_t operation; /* number of the one that defined it last, or 0; numbers count from 1 */
    uint32_t used_by;   /* number of the operation in which it was last seen used */
    const gql_variable_definition *definition;
    const gql_typeref *type; /* NULL: unknown */
} gql_known_variable;

/* NoFragmentCycles: whether a fragment was looked at, and its place on the path that is followed; 0: it is
 * not there. */
typedef struct gql_cycle_state {
    uint32_t place;
    bool visited;
} gql_cycle_state;

typedef struct gql_hooks {
    const gql_rule **rules;
    uint32_t count;
} gql_hooks;

struct gql_walk {
    const gql_schema *schema;
    const gql_document *document;
    const gql_validate_options *options;
    gql_diagnostics *list;
    pl_arena arena; /* for this validation only */
    gql_hooks hooks[GQL_EVENT_COUNT];
    const gql_rule *rule; /* that runs now */
    gql_position at;

    bool stopped; /* nothing more is worth doing, for the reason in code */
    pl_code code;
    uint32_t reported;
    uint64_t calls, comparisons; /* of rules; of fields */
    uint32_t visits_left;        /* of max_fragment_visits */
    uint64_t suggest_left;       /* work for suggestions: past it, messages come without */

    /* facts.c */
    pl_map fragments; /* name -> gql_fragment *, the last of that name */
    gql_facts *operation_facts, *fragment_facts;
    gql_facts *collecting;
    pl_map variable_names;     /* name -> gql_known_variable * */
    const gql_facts **reached; /* the current operation's facts, and those of the fragments that it reaches */
    uint32_t reached_count, reached_capacity;
    uint32_t *reached_by; /* by fragment: number of the operation that last reached it */
    const gql_operation *reached_for;
    uint32_t *marks; /* by fragment; see gql_marks_begin */
    uint32_t mark;

    /* Of single rules. */
    pl_map operation_names, fragment_names, labels;
    pl_map variable_types;                 /* of the current operation: name -> gql_type */
    gql_cycle_state *cycle_states;         /* by fragment */
    struct gql_introspected *introspected; /* by fragment */
    const gql_selection *introspection_field;
    struct gql_overlaps *overlaps;
};

/* walk.c */
void gql_walk_document(gql_walk *w);

/* facts.c: fills the facts, those on variables only if a rule asks. */
void gql_facts_collect(gql_walk *w, bool with_usages);
const gql_fragment *gql_fragment_named(const gql_walk *w, pl_str name);
static inline const gql_facts *gql_facts_of_fragment(const gql_walk *w, const gql_fragment *fragment)
{
    return &w->fragment_facts[fragment->index];
}
/* Fills `reached`, and the definitions of variables, for the operation where the walk stands. False: stopped.
 */
bool gql_reach(gql_walk *w);

/* Marks on fragments, for whoever follows spreads within one event. */
static inline void gql_marks_begin(gql_walk *w)
{
    w->mark++;
}
static inline bool gql_is_marked(const gql_walk *w, const gql_fragment *fragment)
{
    return w->marks[fragment->index] == w->mark;
}
static inline void gql_mark(gql_walk *w, const gql_fragment *fragment)
{
    w->marks[fragment->index] = w->mark;
}

/* support.c: errors */
#define GQL_NOWHERE ((gql_loc){0, 0, 0})
/* Reports for the rule that runs; the format's arguments follow. Gives the diagnostic or NULL. */
#define gql_walk_report(w, first, second, ...) \
    gql_walk_reported(                         \
        w, gql_diagnose((w)->list, (w)->rule->name, (w)->document->source, first, second, __VA_ARGS__))
gql_diagnostic *gql_walk_reported(gql_walk *w, gql_diagnostic *d);
void gql_walk_no_memory(gql_walk *w);
/* Ends validation for a bound that was hit; the format's argument is the bound. */
void gql_walk_exhausted(gql_walk *w, const char *rule, const char *what, uint32_t limit);
#define GQL_DEFAULT_FRAGMENT_VISITS 500000
/* Takes cost from the fragment visits that are left. False: stopped. */
bool gql_walk_visit(gql_walk *w, uint32_t cost);

/* support.c: memory of the walk. NULL or false: stopped. */
void *gql_walk_alloc(gql_walk *w, size_t count, size_t size);
/* Makes room for one more item in *items (a pointer to an array of items of that size). */
bool gql_walk_grow(gql_walk *w, void *items, uint32_t count, uint32_t *capacity, size_t size);
bool gql_walk_map_set(gql_walk *w, pl_map *map, pl_str key, const void *value);

/* support.c: which of some names are repeated. items are count structs of `stride` bytes that begin with a
 * pl_str. */
typedef struct gql_same {
    uint32_t *first; /* for each item, the first one of its name; NULL: all are different */
    uint32_t *next;  /* the next one of its name; 0: none */
} gql_same;
bool gql_find_same(gql_walk *w, const void *items, uint32_t count, size_t stride, gql_same *out);

/* support.c: selections one after the other, depth first, through whatever the caller pushes. */
typedef struct gql_trail_step {
    const gql_selection_set *set;
    uint32_t next, tag;
    const gql_selection *via; /* the spread that led here, or NULL */
} gql_trail_step;
typedef struct gql_trail {
    gql_trail_step *steps;
    uint32_t count, capacity;
} gql_trail;
bool gql_trail_push(gql_walk *w, gql_trail *trail, const gql_selection_set *set, uint32_t tag,
                    const gql_selection *via);
/* The next selection, with the tag of its set; NULL at the end. */
const gql_selection *gql_trail_next(gql_trail *trail, uint32_t *tag);

/* support.c: small things */
const gql_typeref *gql_walk_typeref(gql_walk *w, const gql_type *type); /* NULL: unknown, or stopped */
const gql_directive *gql_find_directive(const gql_directives *directives, const char *name);
const gql_argument *gql_find_argument(const gql_directive *directive, const char *name);
pl_str gql_value_text(gql_walk *w, const gql_value *value);
static inline pl_str gql_response_name(const gql_selection *field)
{
    return field->alias.text.ptr ? field->alias.text : field->name.text;
}
static inline bool gql_has_default(const gql_input *input)
{
    return input->default_ast || input->default_value;
}
static inline bool gql_must_be_given(const gql_input *input)
{
    return input->type->kind == GQL_TYPE_NON_NULL && !gql_has_default(input);
}
static inline const gql_typeref *gql_nullable(const gql_typeref *type)
{
    return type && type->kind == GQL_TYPE_NON_NULL ? type->of : type;
}
/* The composite type named or NULL. */
static inline const gql_named *gql_composite(const gql_named *named)
{
    return named && gql_is_composite(named) ? named : NULL;
}

/* support.c: " Did you mean …?" or empty. */
struct pl_suggestions;
bool pl_suggest_afford(gql_walk *w, uint64_t cost);
pl_str pl_suggest_inputs(gql_walk *w, pl_str name, const gql_input *inputs, uint32_t count);

void gql_overlaps_dispose(gql_walk *w); /* overlapping_fields.c: its maps */

/* All rules, in the order in which they are told of an event, and the files that they are in. */
// clang-format off
#define GQL_RULES(X) \
    X(executable_definitions, ExecutableDefinitions) /* rules_operations.c */ \
    X(known_operation_types, KnownOperationTypes) \
    X(unique_operation_names, UniqueOperationNames) \
    X(lone_anonymous_operation, LoneAnonymousOperation) \
    X(single_field_subscriptions, SingleFieldSubscriptions) \
    X(known_type_names, KnownTypeNames) /* rules_types.c */ \
    X(fragments_on_composite_types, FragmentsOnCompositeTypes) \
    X(variables_are_input_types, VariablesAreInputTypes) \
    X(scalar_leafs, ScalarLeafs) /* rules_fields.c */ \
    X(fields_on_correct_type, FieldsOnCorrectType) \
    X(unique_fragment_names, UniqueFragmentNames) /* rules_fragments.c */ \
    X(known_fragment_names, KnownFragmentNames) \
    X(no_unused_fragments, NoUnusedFragments) \
    X(possible_fragment_spreads, PossibleFragmentSpreads) \
    X(no_fragment_cycles, NoFragmentCycles) \
    X(unique_variable_names, UniqueVariableNames) /* rules_variables.c */ \
    X(no_undefined_variables, NoUndefinedVariables) \
    X(no_unused_variables, NoUnusedVariables) \
    X(known_directives, KnownDirectives) /* rules_directives.c */ \
    X(unique_directives_per_location, UniqueDirectivesPerLocation) \
    X(defer_stream_directive_on_root_field, DeferStreamDirectiveOnRootField) /* rules_defer.c */ \
    X(defer_stream_directive_on_valid_operations, DeferStreamDirectiveOnValidOperations) \
    X(defer_stream_directive_label, DeferStreamDirectiveLabel) \
    X(stream_directive_on_list_field, StreamDirectiveOnListField) \
    X(known_argument_names, KnownArgumentNames) /* rules_arguments.c */ \
    X(unique_argument_names, UniqueArgumentNames) \
    X(values_of_correct_type, ValuesOfCorrectType) /* rules_values.c */ \
    X(provided_required_arguments, ProvidedRequiredArguments) /* rules_arguments.c */ \
    X(variables_in_allowed_position, VariablesInAllowedPosition) /* rules_variables.c */ \
    X(overlapping_fields_can_be_merged, OverlappingFieldsCanBeMerged) /* overlapping_fields.c */ \
    X(unique_input_field_names, UniqueInputFieldNames) /* rules_values.c */ \
    X(max_introspection_depth, MaxIntrospectionDepth) /* rules_introspection.c */ \
    X(no_deprecated_custom, NoDeprecatedCustom) /* rules_fields.c */ \
    X(no_schema_introspection_custom, NoSchemaIntrospectionCustom) /* rules_introspection.c */
// clang-format on

#define GQL_RULE_DECLARE(id, Name) extern const gql_rule gql_rule_##id;
GQL_RULES(GQL_RULE_DECLARE)
#undef GQL_RULE_DECLARE

#endif
