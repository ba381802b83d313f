/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_FEDERATION_INTERNAL_H
#define PL_GRAPHQL_FEDERATION_INTERNAL_H

#include "base/buf.h"
#include "graphql/federation/federation.h"
#include "graphql/schema/internal.h"

/* What the files of this directory share while a schema is built. They work on the trees, before there are
 * types (links.c, elements.c, subgraph.c, sdl.c), and once more on the finished types (field_sets.c). */

/* One @link: a specification that the SDL uses, and how it calls what it takes from there. */
typedef struct gql_feature gql_feature;
struct gql_feature {
    gql_feature *next;
    pl_str identity; /* "https://specs.apollo.dev/federation" */
    pl_str name;     /* "federation" */
    unsigned major, minor;
    pl_str as;                  /* the namespace in this schema: name, or what `as:` says */
    const char *known;          /* the specification's name in the table of elements; NULL: not one of ours */
    const gql_value *imports;   /* NULL: none */
    gql_place place, url_place; /* of the @, and of the url's value */
};

typedef struct gql_subgraph {
    gql_builder *b;
    gql_feature *features, *last_feature;
    gql_feature *federation; /* NULL: version 1, or no subgraph at all */
    pl_str link_name;        /* how @link is called here; ptr NULL: it is not used */
    bool version_1;
    pl_map types, directives; /* names that are defined: by the SDL, or by what is printed for it */
    pl_map orphans;           /* names of types that the SDL only extends -> gql_type_system *, the first */
    size_t own_documents;     /* of the SDL's own; those behind them were added by the build */
    pl_str query;             /* the name of the query root */
    bool query_named;         /* the SDL itself says so, with `query:` */
    bool schema_definition;   /* there is a `schema { … }` */
    bool any_entity;          /* an object type with a @key */
    bool any_resolvable;      /* … that can be resolved by it */
} gql_subgraph;

/* The n-th definition of all files together: for (at = {0}; gql_each_definition(b, &at, &ast);) */
typedef struct gql_definition_at {
    size_t document;
    uint32_t index;
} gql_definition_at;
bool gql_each_definition(gql_builder *b, gql_definition_at *at, gql_type_system **ast);
/* Of the argument, or NULL. */
const gql_value *gql_directive_argument(const gql_directive *directive, const char *name);

/* links.c: reads every @link into s->features; reports those that are wrong. */
void gql_links_read(gql_subgraph *s);
/* How an element of a feature ("key", or the type "FieldSet") is called in this schema; ptr NULL: memory. */
pl_str gql_feature_name(gql_subgraph *s, const gql_feature *feature, pl_str element, bool directive);
/* The same for a directive of federation, in both versions. */
pl_str gql_federation_directive(gql_subgraph *s, const char *name);

/* elements.c: what the specifications define. */
#define GQL_FEDERATION_MAX_MINOR 14
/* Whether the version of a specification that has elements here exists; *known gets its name in the table, or
 * NULL when it is none of them. */
bool gql_specification_find(pl_str identity, unsigned major, unsigned minor, const char **known);
/* Whether it has the element, as an import names it ("@key", "FieldSet"). near: the names there are. */
struct pl_suggestions;
bool gql_specification_has(const gql_feature *feature, pl_str import, struct pl_suggestions *near);
/* The definitions of all features (or of version 1) that the SDL does not have itself, as SDL. */
void gql_elements_print(gql_subgraph *s, pl_buf *out);
/* Whether name is a directive of version 1 ("key"), or its scalar ("_FieldSet"). */
bool gql_is_version_1_name(pl_str name, bool directive);

/* sdl.c: what _service answers, from the trees, when the machinery has been taken out of them; ptr NULL:
 * memory. */
pl_str gql_subgraph_sdl(gql_subgraph *s);

/* Stages of the build. */
/* subgraph.c, after parsing: finds out whether this is a subgraph, and completes the documents. */
void gql_federation_prepare(gql_builder *b);
/* subgraph.c, when all documents are there: prints the SDL, and makes definitions of extensions that have
 * none. */
void gql_federation_finish(gql_builder *b);
/* field_sets.c, on the finished types: field sets, entities. */
void gql_federation_check(gql_builder *b);

#endif
