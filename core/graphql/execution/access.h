/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_ACCESS_H
#define PL_GRAPHQL_ACCESS_H

#include "graphql/diagnostics.h"
#include "value/engine.h"

/* Access by schema: who may use a field, from directives of the SDL and the script's ctx.user.
 *
 * directive @auth(requires: Role) on OBJECT | INTERFACE | FIELD_DEFINITION, whatever the type of `requires`
 * (an enum or strings, one or a list), is enforced here unless a resolvers file implements "@auth" itself. A
 * field needs what is said of it, of the same field of its type's interfaces, of its type and that type's
 * interfaces, and of the type that it returns: all of it. So there is no way around it by another type, field
 * or fragment. */

typedef struct gql_access gql_access;               /* what a field, or a type's __typename, needs */
typedef struct gql_access_tables gql_access_tables; /* of a binding: the names of roles and scopes */
typedef struct gql_viewer gql_viewer;               /* who asks, read from ctx.user once for an execution */
struct gql_binding;

typedef struct gql_role {
    pl_str name;
    const pl_str *includes; /* roles whose rights it has, too; theirs as well */
    size_t count;
} gql_role;

typedef enum gql_introspection_for {
    GQL_INTROSPECTION_FOR_ALL,
    GQL_INTROSPECTION_FOR_SIGNED_IN,
    GQL_INTROSPECTION_FOR_ROLES,
} gql_introspection_for;

typedef struct gql_access_options {
    const gql_role *roles; /* the hierarchy */
    size_t role_count;
    bool enforce_scopes; /* @authenticated and @requiresScopes, too */
    gql_introspection_for introspection;
    const pl_str *introspection_roles; /* any of them */
    size_t introspection_role_count;
} gql_access_options;

/* PL_OK; or UNAUTHENTICATED, PERMISSION_DENIED, or another code when ctx.user could not be read: *err has it
 * all. *viewer is NULL at first, and is made in work's arena. Nothing stays on the value stack. [jumps] */
pl_code gql_access_check(const struct gql_binding *binding, const gql_access *access, pl_work *work,
                         gql_viewer **viewer, pl_error *err);

#endif
