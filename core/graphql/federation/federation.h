/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_FEDERATION_H
#define PL_GRAPHQL_FEDERATION_H

#include "graphql/schema/schema.h"

/* The subgraph side of Apollo Federation: what a schema is beside being a schema when it is one part of a
 * supergraph.
 *
 * A schema that links to https://specs.apollo.dev/federation/v2.x is a subgraph of version 2; one that uses
 * @key, @requires, @provides, @external or @extends without linking is one of version 1. While it is built,
 * its SDL gets what it need not define itself (the directives and scalars of federation, _Any, _Service,
 * _Entity, Query._service and Query._entities), and an `extend type` whose type is defined in another
 * subgraph counts as the definition. */
struct gql_federation {
    unsigned major, minor; /* 1.0, or 2.0 to 2.14 */
    pl_str sdl;            /* what Query._service.sdl answers: the sources, without the machinery */
    bool *entities;        /* by type id: whether the type (OBJECT or INTERFACE) has a @key */
    gql_field *service;    /* Query._service */
    gql_field *service_sdl;
    gql_field *resolve;           /* Query._entities; NULL: there is nothing to resolve */
    const gql_typeref **typerefs; /* by type id, of entities: the plain type, nullable */
};

static inline bool gql_is_entity(const gql_schema *schema, const gql_named *type)
{
    return schema->federation && schema->federation->entities[type->id];
}
/* Whether the server itself answers the field: Query._service, its sdl, Query._entities. */
static inline bool gql_is_federation_field(const gql_schema *schema, const gql_field *field)
{
    const gql_federation *f = schema->federation;
    return f && (field == f->service || field == f->service_sdl || field == f->resolve);
}

#endif
