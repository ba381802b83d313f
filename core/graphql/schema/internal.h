/* SPDX-License-Identifier: MIT */
#ifndef PL_GRAPHQL_SCHEMA_INTERNAL_H
#define PL_GRAPHQL_SCHEMA_INTERNAL_H

#include "graphql/schema/schema.h"

/* What the files of this directory share while a schema is being made.
 *
 * Building goes in stages, and each one may rely on what the stages before it have found to be right:
 *   parse       every file, so that all syntax errors are seen            build.c
 *   federation  of a subgraph: what it need not define itself             ../federation
 *   ready-made  definitions of known directives that the SDL only uses    ready_made.c
 *   rules       names, directives, duplicates: on the trees alone         sdl_rules.c
 *   assemble    types, fields, inputs, numbers: cannot fail but for memory build.c, possible.c
 *   check       what a schema must be                                     check*.c, literal.c
 *   defaults    default values coerced                                    defaults.c
 * A stage that found anything ends the build. */

/* A type's definition, and then its extensions in the order of the files. */
typedef struct gql_node {
    gql_type_system *ast;
    struct gql_node *next;
} gql_node;
typedef struct gql_group {
    pl_str name;
    gql_type_system *definition; /* NULL: there are only extensions */
    gql_node *first, *last;
} gql_group;

/* Where a piece of SDL stands. */
typedef struct gql_place {
    const gql_source *source;
    gql_loc loc;
} gql_place;

typedef struct gql_builder {
    gql_schema *schema;
    gql_schema_options options;
    gql_source *sources; /* copies, in the schema's arena */
    gql_document **documents;
    size_t count;
    gql_document *builtins;
    pl_arena scratch; /* for this build only */
    pl_map groups;    /* name -> gql_group *, of the SDL's types */
    gql_type_system *schema_definition;
    gql_node *schema_extensions, *last_schema_extension;

    gql_diagnostics *list;
    gql_source *listed; /* sources with their names in the list's arena: they outlive a failed build */
    uint32_t errors;
    bool no_memory;

    /* What a checked thing was made from. */
    gql_group **type_groups;                /* by type id, of the SDL's types */
    const gql_field_ast **field_asts;       /* by field id */
    const gql_input_value_ast **input_asts; /* by input id */
    gql_named **input_owners;               /* by input id: the input object; NULL for arguments */
    uint32_t sdl_type_count;                /* type ids below this are the SDL's own */
    struct gql_defaults *defaults;
    struct gql_subgraph *subgraph; /* federation/internal.h; NULL: it is none */
} gql_builder;

/* Zeroed memory of the schema or of this build; NULL sets no_memory. */
void *gql_build_alloc(gql_builder *b, size_t count, size_t size);
void *gql_scratch_alloc(gql_builder *b, size_t count, size_t size);
/* pl_map_set that sets no_memory. */
bool gql_build_map(gql_builder *b, pl_map *map, pl_str key, void *value);
/* Nothing more is worth looking for. */
static inline bool gql_build_stop(const gql_builder *b)
{
    return b->no_memory || b->list->full;
}

/* Reports a problem at places (NULLs in source are left out). Places in another file than the last one's are
 * put into the message. */
void gql_report(gql_builder *b, const char *rule, const gql_place *places, uint32_t count, const char *fmt,
                ...) __attribute__((format(printf, 5, 6)));
static inline gql_place gql_at(const gql_source *source, gql_loc loc)
{
    return (gql_place){source, loc};
}

/* builtins.c: the SDL of built-in scalars, directives, introspection types, and "__Meta" with the meta
 * fields. */
extern const gql_source gql_builtin_source;
bool gql_is_builtin_type_name(pl_str name);
extern const char *const gql_builtin_type_names[]; /* NULL-terminated; scalars first */

/* ready_made.c */
void gql_add_ready_made(gql_builder *b);
/* sdl_rules.c */
void gql_check_sdl(gql_builder *b);
/* assemble.c: no error but for memory. */
void gql_assemble(gql_builder *b);
/* possible.c: after the type ids are there. */
void gql_build_possible(gql_builder *b);

/* check.c and its parts */
void gql_check_schema(gql_builder *b);
void gql_check_name(gql_builder *b, pl_str name, gql_place place);
gql_place gql_deprecated_place(const gql_source *source, const gql_directives *directives);
void gql_check_interfaces(gql_builder *b, gql_named *type);
void gql_check_finite_inputs(gql_builder *b);
void gql_check_applied_directives(gql_builder *b);
void gql_check_cost_directives(gql_builder *b);
static inline bool gql_is_required(const gql_input *input)
{
    return input->type->kind == GQL_TYPE_NON_NULL && !input->default_ast;
}

/* literal.c: values written in SDL. A path names the place inside the value, innermost step first. */
typedef struct gql_step {
    const struct gql_step *parent;
    pl_str field; /* ptr NULL: an index */
    uint32_t index;
} gql_step;
typedef struct gql_literal_check {
    gql_builder *builder;
    void (*fault)(struct gql_literal_check *check, gql_loc loc, const gql_step *path, pl_str message);
} gql_literal_check;
void gql_check_literal(gql_literal_check *check, const gql_value *value, const gql_typeref *type,
                       const gql_step *path);
/* ".a[2].b" in the scratch arena. */
pl_str gql_step_text(gql_builder *b, const gql_step *path);
/* The value of a literal that was found to be right; defaults of the input fields that it leaves out must be
 * there already. False: memory. */
bool gql_coerce_literal(gql_builder *b, const gql_value *value, const gql_typeref *type, pl_value *out);
/* Finds fields of an object literal by name. */
typedef struct gql_object_index {
    const gql_value *object;
    pl_map map; /* only for large ones */
} gql_object_index;
bool gql_object_index_init(gql_builder *b, gql_object_index *index, const gql_value *object);
const gql_object_field *gql_object_index_find(const gql_object_index *index, pl_str name);
void gql_object_index_dispose(gql_object_index *index);

/* defaults.c */
bool gql_defaults_init(gql_builder *b);
void gql_check_default_cycles(gql_builder *b, gql_named *type);
void gql_coerce_defaults(gql_builder *b);

#endif
