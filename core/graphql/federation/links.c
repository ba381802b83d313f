/* SPDX-License-Identifier: MIT */
#include "base/suggest.h"
#include "graphql/federation/internal.h"

/* Applied @link directives (https://specs.apollo.dev/link/v1.0): which specifications a schema uses, under
 * which names. */

#define SPECIFICATIONS "https://specs.apollo.dev/"

const gql_value *gql_directive_argument(const gql_directive *directive, const char *name)
{
    for (uint32_t i = 0; i < directive->argument_count; i++) {
        if (pl_str_is(directive->arguments[i].name.text, name))
            return &directive->arguments[i].value;
    }
    return NULL;
}

static bool is_string(const gql_value *value)
{
    return value && value->kind == GQL_VALUE_STRING;
}

/* --- names --- */

static bool is_name(pl_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return s.len > 0;
}

/* A type's name, or a directive's with @. */
static bool is_import_name(pl_str s)
{
    if (s.len == 0)
        return false;
    bool directive = s.ptr[0] == '@';
    return is_name((pl_str){s.ptr + directive, s.len - directive});
}

/* What an item of `import:` brings in, and what it is called here. False: it is not such an item. */
static bool read_import(const gql_value *item, pl_str *name, pl_str *as)
{
    *name = *as = PL_STR_NONE;
    if (item->kind == GQL_VALUE_STRING) {
        *name = *as = item->text;
    } else if (item->kind == GQL_VALUE_OBJECT) {
        for (uint32_t i = 0; i < item->count; i++) {
            const gql_object_field *field = &item->fields[i];
            pl_str *target = pl_str_is(field->name.text, "name") ? name
                             : pl_str_is(field->name.text, "as") ? as
                                                                 : NULL;
            if (!target || field->value.kind != GQL_VALUE_STRING)
                return false;
            *target = field->value.text;
        }
        if (!as->ptr)
            *as = *name;
    }
    return is_import_name(*name) && is_import_name(*as);
}

static uint32_t import_count(const gql_feature *feature)
{
    if (!feature->imports)
        return 0;
    return feature->imports->kind == GQL_VALUE_LIST ? feature->imports->count : 1;
}

static const gql_value *import_at(const gql_feature *feature, uint32_t i)
{
    return feature->imports->kind == GQL_VALUE_LIST ? &feature->imports->items[i] : feature->imports;
}

pl_str gql_feature_name(gql_subgraph *s, const gql_feature *feature, pl_str element, bool directive)
{
    pl_str name, as;
    for (uint32_t i = 0; i < import_count(feature); i++) {
        if (!read_import(import_at(feature, i), &name, &as) || (name.ptr[0] == '@') != directive)
            continue;
        if (pl_str_eq((pl_str){name.ptr + directive, name.len - directive}, element))
            return (pl_str){as.ptr + directive, as.len - directive};
    }
    if (directive && pl_str_eq(element, feature->name))
        return feature->as;
    name = pl_arena_printf(&s->b->schema->arena, "%.*s__%.*s", PL_STR_ARG(feature->as), PL_STR_ARG(element));
    s->b->no_memory |= !name.ptr;
    return name;
}

pl_str gql_federation_directive(gql_subgraph *s, const char *name)
{
    return s->federation ? gql_feature_name(s, s->federation, pl_str_of(name), true) : pl_str_of(name);
}

/* --- one @link --- */

static bool read_number(pl_str s, unsigned *out)
{
    *out = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9' || *out > 99999)
            return false;
        *out = *out * 10 + (unsigned)(s.ptr[i] - '0');
    }
    return s.len > 0 && s.len < 6;
}

static size_t last_index(pl_str s, char c)
{
    size_t i = s.len;
    while (i > 0 && s.ptr[i - 1] != c)
        i--;
    return i; /* behind it; 0: there is none */
}

/* "https://specs.apollo.dev/federation/v2.9" */
static bool read_url(pl_str url, gql_feature *feature)
{
    size_t slash = last_index(url, '/');
    pl_str version = {url.ptr + slash, url.len - slash};
    if (slash < 2 || version.len < 4 || version.ptr[0] != 'v')
        return false;
    size_t dot = last_index(version, '.');
    if (dot < 3 || !read_number((pl_str){version.ptr + 1, dot - 2}, &feature->major) ||
        !read_number((pl_str){version.ptr + dot, version.len - dot}, &feature->minor))
        return false;
    feature->identity = (pl_str){url.ptr, slash - 1};
    size_t name = last_index(feature->identity, '/');
    feature->name = (pl_str){url.ptr + name, feature->identity.len - name};
    return name > 0 && is_name(feature->name);
}

static void check_version(gql_subgraph *s, gql_feature *feature)
{
    if (gql_specification_find(feature->identity, feature->major, feature->minor, &feature->known))
        return;
    bool federation = pl_str_is(feature->name, "federation");
    gql_report(s->b, NULL, &feature->url_place, 1,
               "There is no version v%u.%u of \"%.*s\" that is known here%s.", feature->major, feature->minor,
               PL_STR_ARG(feature->identity), federation ? ": it must be v2.0 to v2.14" : "");
}

static void check_import(gql_subgraph *s, const gql_feature *feature, const gql_value *item)
{
    pl_str name, as;
    gql_place place = {feature->place.source, item->loc};
    if (!read_import(item, &name, &as)) {
        gql_report(s->b, NULL, &place, 1,
                   "An import of @link must be a name (\"@key\", \"FieldSet\") or { name: \"@key\", as: "
                   "\"@myKey\" }.");
    } else if ((name.ptr[0] == '@') != (as.ptr[0] == '@')) {
        gql_report(
            s->b, NULL, &place, 1,
            "\"%.*s\" cannot be imported as \"%.*s\": the names of directives, and no others, begin with "
            "\"@\".",
            PL_STR_ARG(name), PL_STR_ARG(as));
    } else if (feature->known) {
        pl_suggestions near;
        pl_suggest_init(&near, name);
        if (!gql_specification_has(feature, name, &near))
            gql_report(s->b, NULL, &place, 1,
                       "Cannot import unknown element \"%.*s\" of \"%.*s/v%u.%u\".%.*s", PL_STR_ARG(name),
                       PL_STR_ARG(feature->identity), feature->major, feature->minor,
                       PL_STR_ARG(pl_suggest_text(&near, &s->b->scratch, NULL)));
    }
}

/* Two elements that are imported under one name. */
static void check_import_names(gql_subgraph *s, const gql_feature *feature)
{
    pl_map seen = {0}; /* as -> name */
    pl_str name, as;
    for (uint32_t i = 0; i < import_count(feature) && !gql_build_stop(s->b); i++) {
        const gql_value *item = import_at(feature, i);
        if (!read_import(item, &name, &as))
            continue;
        const gql_value *first = pl_map_get(&seen, as);
        if (!first) {
            gql_build_map(s->b, &seen, as, (void *)(uintptr_t)item);
            continue;
        }
        gql_place places[] = {{feature->place.source, first->loc}, {feature->place.source, item->loc}};
        gql_report(s->b, NULL, places, 2, "\"%.*s\" is imported more than once.", PL_STR_ARG(as));
    }
    pl_map_dispose(&seen);
}

static void check_imports(gql_subgraph *s, const gql_feature *feature)
{
    for (uint32_t i = 0; i < import_count(feature) && !gql_build_stop(s->b); i++)
        check_import(s, feature, import_at(feature, i));
    check_import_names(s, feature);
}

static void add_feature(gql_subgraph *s, gql_feature *feature)
{
    for (const gql_feature *f = s->features; f; f = f->next) {
        if (!pl_str_eq(f->identity, feature->identity))
            continue;
        gql_place places[] = {f->place, feature->place};
        gql_report(s->b, NULL, places, 2, "\"%.*s\" is linked to more than once.",
                   PL_STR_ARG(feature->identity));
        return;
    }
    if (s->last_feature)
        s->last_feature->next = feature;
    else
        s->features = feature;
    s->last_feature = feature;
    if (feature->known && pl_str_is(pl_str_of(feature->known), "federation"))
        s->federation = feature;
}

static void read_link(gql_subgraph *s, const gql_source *source, const gql_directive *directive)
{
    gql_builder *b = s->b;
    const gql_value *url = gql_directive_argument(directive, "url"),
                    *as = gql_directive_argument(directive, "as");
    gql_feature *feature = gql_scratch_alloc(b, 1, sizeof(*feature));
    if (!feature)
        return;
    feature->place = gql_at(source, directive->loc);
    feature->url_place = url ? gql_at(source, url->loc) : feature->place;
    if (!is_string(url) || !read_url(url->text, feature)) {
        gql_report(b, NULL, &feature->url_place, 1,
                   "@%.*s needs the url of a specification that ends with its name and version, such as \"" //
                   SPECIFICATIONS "federation/v2.9\".",
                   PL_STR_ARG(directive->name.text));
        return;
    }
    feature->as = is_string(as) ? as->text : feature->name;
    if (!is_name(feature->as)) {
        gql_place place = {source, as->loc};
        gql_report(b, NULL, &place, 1, "A namespace (`as:`) must be a name, not \"%.*s\".",
                   PL_STR_ARG(feature->as));
        return;
    }
    feature->imports = gql_directive_argument(directive, "import");
    if (feature->imports && feature->imports->kind == GQL_VALUE_NULL)
        feature->imports = NULL;
    check_version(s, feature);
    if (gql_build_stop(b))
        return;
    check_imports(s, feature);
    add_feature(s, feature);
}

/* --- all of them --- */

/* Calls visit for every directive on the schema definition and its extensions. */
static void each_schema_directive(gql_subgraph *s, void (*visit)(gql_subgraph *s, const gql_source *source,
                                                                 const gql_directive *directive))
{
    gql_definition_at at = {0};
    gql_type_system *ast;
    while (gql_each_definition(s->b, &at, &ast)) {
        for (uint32_t i = 0; ast->kind == GQL_DEF_SCHEMA && i < ast->directives.count; i++) {
            if (!gql_build_stop(s->b))
                visit(s, ast->source, &ast->directives.items[i]);
        }
    }
}

/* @link may itself have another name, which its link to its own specification tells. */
static void find_link_name(gql_subgraph *s, const gql_source *source, const gql_directive *directive)
{
    const gql_value *url = gql_directive_argument(directive, "url"),
                    *as = gql_directive_argument(directive, "as");
    pl_str name = directive->name.text;
    if (!is_string(url))
        return;
    if (pl_str_starts(url->text, PL_STR(SPECIFICATIONS "link/v")) &&
        (is_string(as) ? pl_str_eq(as->text, name) : pl_str_is(name, "link")))
        s->link_name = name;
    /* Without one, the usual name is enough, unless the SDL means something else by it. */
    else if (!s->link_name.ptr && pl_str_is(name, "link") &&
             (pl_str_starts(url->text, PL_STR(SPECIFICATIONS)) || !pl_map_has(&s->directives, name)))
        s->link_name = name;
}

static void read_if_link(gql_subgraph *s, const gql_source *source, const gql_directive *directive)
{
    if (pl_str_eq(directive->name.text, s->link_name))
        read_link(s, source, directive);
}

/* The specification of @link need not be linked to. */
static void add_link_itself(gql_subgraph *s)
{
    for (const gql_feature *f = s->features; f; f = f->next) {
        if (f->known && pl_str_is(pl_str_of(f->known), "link"))
            return;
    }
    gql_feature *link = gql_scratch_alloc(s->b, 1, sizeof(*link));
    if (!link)
        return;
    *link = (gql_feature){.identity = PL_STR(SPECIFICATIONS "link"),
                          .name = PL_STR("link"),
                          .major = 1,
                          .as = PL_STR("link"),
                          .known = "link"};
    add_feature(s, link);
}

void gql_links_read(gql_subgraph *s)
{
    each_schema_directive(s, find_link_name);
    if (!s->link_name.ptr || s->b->no_memory)
        return;
    each_schema_directive(s, read_if_link);
    if (!s->b->no_memory)
        add_link_itself(s);
}
