/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_BINDING_INTERNAL_H
#define PL_GRAPHQL_BINDING_INTERNAL_H

#include "graphql/execution/binding.h"

/* What the parts of binding share. */

typedef struct gql_binder {
    gql_binding *b;
    const pl_engine *e;
    pl_state *state;
    const char *file;
    gql_source source;
    gql_diagnostics *list;
} gql_binder;

/* The place of a function value, which may stand in another file than the one that returned it; or the file
 * that is bound alone. */
gql_loc gql_binder_place(gql_binder *x, pl_slot slot, gql_source *source);

#define GQL_COMPLAIN(x, slot, ...)                                                \
    do {                                                                          \
        gql_source source_;                                                       \
        gql_loc loc_ = gql_binder_place(x, slot, &source_);                       \
        gql_diagnose((x)->list, NULL, &source_, loc_, (gql_loc){0}, __VA_ARGS__); \
    } while (0)

/* binding_directives.c: the entry "@name" of a resolvers file. */
void gql_bind_directive(gql_binder *x, pl_str name, pl_slot slot);
/* NULL: no resolvers file implements the directive. */
const gql_directive_binding *gql_directive_find(const gql_binding *b, pl_str name);
/* Pushes the coerced arguments as a map; false: memory. [jumps] */
bool gql_push_directive_arguments(gql_binder *x, const gql_directive_def *def, const gql_directive *applied);
/* Pushes the field's resolver so far, or what does without one. [jumps] */
void gql_push_resolver(gql_binder *x, const gql_field *field);
/* Complaints about an implementation, at a place of the schema ("User.name"). [jumps] */
void gql_complain_raised(gql_binder *x, const gql_directive_binding *d, pl_ref function, const char *place,
                         const pl_error *err);
void gql_complain_result(gql_binder *x, const gql_directive_binding *d, pl_ref function, const char *place,
                         const char *expected, pl_slot result);
/* binding_arguments.c: after all resolvers have been wrapped */
void gql_bind_arguments(gql_binder *x);
/* The coerced arguments of an applied directive: out[i] for argument i of the definition, ABSENT when neither
 * given nor defaulted. Scalars' parse functions are not called. */
pl_code gql_directive_arguments(gql_binding *b, const gql_directive_def *def, const gql_directive *applied,
                                pl_arena *arena, pl_value *out, pl_error *err);

/* info.c: pushes a type as in introspection, {kind, name} or {kind, of_type}; false: no room on the stack.
 * [jumps] */
bool gql_push_type(const pl_engine *e, pl_state *state, const gql_typeref *type);

/* access_bind.c: fills access of the binding's types and fields. */
void gql_bind_access(gql_binding *b, const gql_access_options *options, gql_diagnostics *list);

#endif
