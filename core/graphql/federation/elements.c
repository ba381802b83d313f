/* SPDX-License-Identifier: MIT */
#include "base/suggest.h"
#include "graphql/federation/internal.h"

/* What the specifications of https://specs.apollo.dev define: name by name, from the minor version on with
 * which it came until the one in which it changed. */

#define ANY_MINOR 9999
#define ALL_DEFINITIONS                                                                                 \
    "FIELD_DEFINITION | OBJECT | INTERFACE | UNION | ARGUMENT_DEFINITION | SCALAR | ENUM | ENUM_VALUE " \
    "| INPUT_OBJECT | INPUT_FIELD_DEFINITION"
#define ACCESS "FIELD_DEFINITION | OBJECT | INTERFACE | SCALAR | ENUM"
#define COST                                                                                               \
    "(weight: Int!) on ARGUMENT_DEFINITION | ENUM | FIELD_DEFINITION | INPUT_FIELD_DEFINITION | OBJECT | " \
    "SCALAR"
#define LIST_SIZE                                                                                         \
    "(assumedSize: Int, slicingArguments: [String!], sizedFields: [String!], requireOneSlicingArgument: " \
    "Boolean = true) on FIELD_DEFINITION"

typedef struct element {
    const char *specification;
    unsigned from, until; /* minor versions; until is the first without it */
    const char *name;     /* "@key", "FieldSet" */
    const char *rest;     /* behind the name; $T stands for the name of the specification's type T */
} element;

/* Types first within a specification, though the order does not matter to the schema. */
static const element elements[] = {
    {"link", 0, ANY_MINOR, "Purpose", " { SECURITY EXECUTION }"},
    {"link", 0, ANY_MINOR, "Import", ""},
    {"link", 0, ANY_MINOR, "@link",
     "(url: String, as: String, for: $Purpose, import: [$Import]) repeatable on SCHEMA"},

    {"federation", 0, ANY_MINOR, "FieldSet", ""},
    {"federation", 0, ANY_MINOR, "@key",
     "(fields: $FieldSet!, resolvable: Boolean = true) repeatable on OBJECT | INTERFACE"},
    {"federation", 0, ANY_MINOR, "@requires", "(fields: $FieldSet!) on FIELD_DEFINITION"},
    {"federation", 0, ANY_MINOR, "@provides", "(fields: $FieldSet!) on FIELD_DEFINITION"},
    {"federation", 0, ANY_MINOR, "@external", "(reason: String) on OBJECT | FIELD_DEFINITION"},
    {"federation", 0, ANY_MINOR, "@extends", " on OBJECT | INTERFACE"},
    {"federation", 0, 3, "@tag", "(name: String!) repeatable on " ALL_DEFINITIONS},
    {"federation", 3, ANY_MINOR, "@tag", "(name: String!) repeatable on " ALL_DEFINITIONS " | SCHEMA"},
    {"federation", 0, 2, "@shareable", " on OBJECT | FIELD_DEFINITION"},
    {"federation", 2, ANY_MINOR, "@shareable", " repeatable on OBJECT | FIELD_DEFINITION"},
    {"federation", 0, ANY_MINOR, "@inaccessible", " on " ALL_DEFINITIONS},
    {"federation", 0, 7, "@override", "(from: String!) on FIELD_DEFINITION"},
    {"federation", 7, ANY_MINOR, "@override", "(from: String!, label: String) on FIELD_DEFINITION"},
    {"federation", 1, ANY_MINOR, "@composeDirective", "(name: String) repeatable on SCHEMA"},
    {"federation", 3, ANY_MINOR, "@interfaceObject", " on OBJECT"},
    {"federation", 5, ANY_MINOR, "@authenticated", " on " ACCESS},
    {"federation", 5, ANY_MINOR, "Scope", ""},
    {"federation", 5, ANY_MINOR, "@requiresScopes", "(scopes: [[$Scope!]!]!) on " ACCESS},
    {"federation", 6, ANY_MINOR, "Policy", ""},
    {"federation", 6, ANY_MINOR, "@policy", "(policies: [[$Policy!]!]!) on " ACCESS},
    {"federation", 8, ANY_MINOR, "ContextFieldValue", ""},
    {"federation", 8, ANY_MINOR, "@context", "(name: String!) repeatable on INTERFACE | OBJECT | UNION"},
    {"federation", 8, ANY_MINOR, "@fromContext", "(field: $ContextFieldValue) on ARGUMENT_DEFINITION"},
    {"federation", 9, ANY_MINOR, "@cost", COST},
    {"federation", 9, ANY_MINOR, "@listSize", LIST_SIZE},
    {"federation", 12, ANY_MINOR, "@cacheTag", "(format: String!) repeatable on OBJECT | FIELD_DEFINITION"},

    {"version 1", 0, ANY_MINOR, "_FieldSet", ""},
    {"version 1", 0, ANY_MINOR, "@key",
     "(fields: $_FieldSet!, resolvable: Boolean = true) repeatable on OBJECT | INTERFACE"},
    {"version 1", 0, ANY_MINOR, "@requires", "(fields: $_FieldSet!) on FIELD_DEFINITION"},
    {"version 1", 0, ANY_MINOR, "@provides", "(fields: $_FieldSet!) on FIELD_DEFINITION"},
    {"version 1", 0, ANY_MINOR, "@external", "(reason: String) on OBJECT | FIELD_DEFINITION"},
    {"version 1", 0, ANY_MINOR, "@extends", " on OBJECT | INTERFACE"},
    {"version 1", 0, ANY_MINOR, "@tag", "(name: String!) repeatable on " ALL_DEFINITIONS},

    /* The parts of federation that have specifications of their own. */
    {"tag", 1, 2, "@tag", "(name: String!) repeatable on FIELD_DEFINITION | OBJECT | INTERFACE | UNION"},
    {"tag", 2, 3, "@tag", "(name: String!) repeatable on " ALL_DEFINITIONS},
    {"tag", 3, 4, "@tag", "(name: String!) repeatable on " ALL_DEFINITIONS " | SCHEMA"},
    {"inaccessible", 1, 2, "@inaccessible", " on FIELD_DEFINITION | OBJECT | INTERFACE | UNION"},
    {"inaccessible", 2, 3, "@inaccessible", " on " ALL_DEFINITIONS},
    {"authenticated", 1, 2, "@authenticated", " on " ACCESS},
    {"requiresScopes", 1, 2, "Scope", ""},
    {"requiresScopes", 1, 2, "@requiresScopes", "(scopes: [[$Scope!]!]!) on " ACCESS},
    {"policy", 1, 2, "Policy", ""},
    {"policy", 1, 2, "@policy", "(policies: [[$Policy!]!]!) on " ACCESS},
    {"context", 1, 2, "ContextFieldValue", ""},
    {"context", 1, 2, "@context", "(name: String!) repeatable on INTERFACE | OBJECT | UNION"},
    {"context", 1, 2, "@fromContext", "(field: $ContextFieldValue) on ARGUMENT_DEFINITION"},
    {"cost", 1, 2, "@cost", COST},
    {"cost", 1, 2, "@listSize", LIST_SIZE},
};
#define ELEMENT_COUNT (sizeof(elements) / sizeof(elements[0]))

static const struct specification {
    const char *name;
    unsigned major, from, to; /* versions that there are */
} specifications[] = {
    {"federation", 2, 0, GQL_FEDERATION_MAX_MINOR},
    {"link", 1, 0, 0},
    {"tag", 0, 1, 3},
    {"inaccessible", 0, 1, 2},
    {"authenticated", 0, 1, 1},
    {"requiresScopes", 0, 1, 1},
    {"policy", 0, 1, 1},
    {"context", 0, 1, 1},
    {"cost", 0, 1, 1},
};

bool gql_specification_find(pl_str identity, unsigned major, unsigned minor, const char **known)
{
    static const pl_str host = PL_STR("https://specs.apollo.dev/");
    *known = NULL;
    if (!pl_str_starts(identity, host))
        return true;
    pl_str name = {identity.ptr + host.len, identity.len - host.len};
    for (size_t i = 0; i < sizeof(specifications) / sizeof(specifications[0]); i++) {
        const struct specification *s = &specifications[i];
        if (!pl_str_is(name, s->name))
            continue;
        *known = s->name;
        return major == s->major && minor >= s->from && minor <= s->to;
    }
    return true;
}

static bool is_of(const element *e, const char *specification, unsigned minor)
{
    return strcmp(e->specification, specification) == 0 && minor >= e->from && minor < e->until;
}

bool gql_specification_has(const gql_feature *feature, pl_str import, pl_suggestions *near)
{
    for (size_t i = 0; i < ELEMENT_COUNT; i++) {
        if (!is_of(&elements[i], feature->known, feature->minor))
            continue;
        if (pl_str_is(import, elements[i].name))
            return true;
        pl_suggest_add(near, pl_str_of(elements[i].name));
    }
    return false;
}

bool gql_is_version_1_name(pl_str name, bool directive)
{
    for (size_t i = 0; i < ELEMENT_COUNT; i++) {
        const char *known = elements[i].name;
        if (is_of(&elements[i], "version 1", 0) && (*known == '@') == directive &&
            pl_str_is(name, known + directive))
            return true;
    }
    return false;
}

/* --- printing --- */

/* How an element is called in this schema. */
static pl_str name_of(gql_subgraph *s, const gql_feature *feature, const char *element_name)
{
    bool directive = *element_name == '@';
    pl_str plain = pl_str_of(element_name + directive);
    return feature ? gql_feature_name(s, feature, plain, directive) : plain;
}

static void print_rest(gql_subgraph *s, const gql_feature *feature, const char *rest, pl_buf *out)
{
    while (*rest) {
        size_t n = strcspn(rest, "$");
        pl_buf_append(out, rest, n);
        rest += n;
        if (*rest != '$')
            continue;
        char type[32] = {0};
        n = strcspn(++rest, "!,)] ");
        if (n < sizeof type)
            memcpy(type, rest, n);
        pl_buf_str(out, name_of(s, feature, type));
        rest += n;
    }
}

static void print_element(gql_subgraph *s, const gql_feature *feature, const element *e, pl_buf *out)
{
    bool directive = *e->name == '@';
    pl_str name = name_of(s, feature, e->name);
    pl_map *defined = directive ? &s->directives : &s->types;
    if (!name.ptr || pl_map_has(defined, name))
        return; /* the SDL's own, or what another feature has brought in */
    gql_build_map(s->b, defined, name, s);
    pl_buf_str(out, directive ? PL_STR("directive @") : *e->rest ? PL_STR("enum ") : PL_STR("scalar "));
    pl_buf_str(out, name);
    print_rest(s, feature, e->rest, out);
    pl_buf_char(out, '\n');
}

static void print_all(gql_subgraph *s, const gql_feature *feature, const char *specification, unsigned minor,
                      pl_buf *out)
{
    for (size_t i = 0; i < ELEMENT_COUNT && !s->b->no_memory; i++) {
        if (is_of(&elements[i], specification, minor))
            print_element(s, feature, &elements[i], out);
    }
}

void gql_elements_print(gql_subgraph *s, pl_buf *out)
{
    for (const gql_feature *f = s->features; f; f = f->next) {
        if (f->known)
            print_all(s, f, f->known, f->minor, out);
    }
    if (s->version_1)
        print_all(s, NULL, "version 1", 0, out);
}
