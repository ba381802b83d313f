/* SPDX-License-Identifier: MIT */
#include "app/trusted.h"

#include <stdio.h>

#include "app/digest.h"
#include "base/alloc.h"
#include "base/map.h"
#include "graphql/language/parser.h"
#include "graphql/validation/validate.h"
#include "value/json.h"

struct pl_trusted {
    pl_arena arena;
    pl_map by_id;   /* to a document */
    pl_map by_text; /* the same */
    size_t count;
};

typedef struct document {
    pl_str text;
    const char *file; /* of the bundle */
} document;

typedef struct builder {
    pl_trusted *trusted;
    const gql_schema *schema;
    const gql_service_options *options;
    pl_report *report;
} builder;

static void no_memory(builder *b)
{
    b->report->errors.out_of_memory = true;
}

/* --- one document --- */

/* place is put before what is wrong: which entry of a manifest it is, or "". */
static void report_all(builder *b, const char *file, const char *place, const gql_diagnostics *list)
{
    bool manifest = place[0] != '\0';
    for (const gql_diagnostic *d = list->first; d; d = d->next) {
        gql_loc at = d->location_count > 0 ? d->locations[0] : (gql_loc){0};
        /* Line and column are those of the text in a manifest, not of the manifest. */
        if (manifest)
            pl_report_error(b->report, file, 0, 0, "%s%.*s (line %u, column %u of the document)", place,
                            PL_STR_ARG(d->message), at.line, at.column);
        else
            pl_report_error(b->report, file, at.line, at.column, "%.*s", PL_STR_ARG(d->message));
    }
    if (list->out_of_memory)
        no_memory(b);
}

static bool check(builder *b, const char *file, const char *place, pl_str text)
{
    pl_arena arena;
    pl_error err = {0};
    gql_diagnostics list;
    gql_document *parsed;
    gql_source source = {.name = file, .text = text};
    pl_arena_init(&arena, 0);
    gql_diagnostics_init(&list, &arena, 20);
    pl_code code = gql_parse(&arena, &source, &b->options->parse, &parsed, &err);
    if (code)
        gql_diagnose(&list, NULL, &source, (gql_loc){err.line, err.column, 0}, (gql_loc){0}, "%s",
                     err.message);
    else if (parsed->operation_count == 0)
        gql_diagnose(&list, NULL, &source, (gql_loc){1, 1, 0}, (gql_loc){0},
                     "The document has no operation.");
    else
        code = gql_validate(b->schema, parsed, &b->options->validate, &list);
    bool ok = code == PL_OK && list.count == 0;
    report_all(b, file, place, &list);
    pl_arena_dispose(&arena);
    return ok;
}

/* Makes the document known by one more id. The same id for another text is an error. */
static void add_id(builder *b, document *d, pl_str id)
{
    const document *other = pl_map_get(&b->trusted->by_id, id);
    if (other) {
        if (!pl_str_eq(other->text, d->text))
            pl_report_error(b->report, d->file, 0, 0,
                            "The document id \"%.*s\" is that of another document in %s already.",
                            id.len > 100 ? 100 : (int)id.len, id.ptr, other->file);
        return;
    }
    pl_str key = pl_arena_str(&b->trusted->arena, id);
    if (!key.ptr || !pl_map_set(&b->trusted->by_id, key, d))
        no_memory(b);
}

static void add_hash(builder *b, document *d, pl_str text)
{
    char hex[PL_SHA256_HEX + 1];
    if (pl_sha256_hex(text, hex))
        add_id(b, d, (pl_str){hex, PL_SHA256_HEX});
    else
        no_memory(b);
}

static document *add_document(builder *b, const char *file, const char *place, pl_str text)
{
    document *d;
    if (!check(b, file, place, text) || pl_report_has_errors(b->report))
        return NULL;
    d = pl_map_get(&b->trusted->by_text, text);
    if (d)
        return d;
    d = pl_arena_zalloc(&b->trusted->arena, sizeof *d);
    if (!d) {
        no_memory(b);
        return NULL;
    }
    d->file = pl_arena_str(&b->trusted->arena, pl_str_of(file)).ptr;
    d->text = pl_arena_str(&b->trusted->arena, text);
    if (!d->file || !d->text.ptr || !pl_map_set(&b->trusted->by_text, d->text, d)) {
        no_memory(b);
        return NULL;
    }
    b->trusted->count++;
    add_hash(b, d, d->text);
    return d;
}

/* --- files --- */
static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* "documents/home/feed.graphql", below "documents", is "home.feed". */
static pl_str name_of(builder *b, pl_str path, size_t below)
{
    pl_str name = pl_arena_str(&b->trusted->arena, (pl_str){path.ptr + below, path.len - below});
    const char *dot = name.ptr ? strrchr(name.ptr, '.') : NULL;
    if (dot)
        name.len = (size_t)(dot - name.ptr);
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '/')
            ((char *)name.ptr)[i] = '.';
    }
    return name;
}

static void add_graphql_file(builder *b, const pl_file *file, size_t below)
{
    document *d = add_document(b, file->path.ptr, "", file->bytes);
    if (!d)
        return;
    pl_str trimmed = d->text;
    while (trimmed.len > 0 && is_space(trimmed.ptr[trimmed.len - 1]))
        trimmed.len--;
    if (trimmed.len < d->text.len)
        add_hash(b, d, trimmed);
    pl_str name = name_of(b, file->path, below);
    if (name.ptr)
        add_id(b, d, name);
    else
        no_memory(b);
}

static void add_entry(builder *b, const pl_file *file, pl_str id, const pl_value *text)
{
    char place[200];
    snprintf(place, sizeof place, "document \"%.*s\": ", id.len > 120 ? 120 : (int)id.len, id.ptr);
    if (text->kind != PL_KIND_STRING) {
        pl_report_error(b->report, file->path.ptr, 0, 0, "%sthe text must be a string, not %s.", place,
                        pl_kind_phrase(text->kind));
        return;
    }
    document *d = add_document(b, file->path.ptr, place, text->string);
    if (!d)
        return;
    if (pl_str_starts(id, PL_STR("sha256:")))
        id = (pl_str){id.ptr + 7, id.len - 7};
    add_id(b, d, id);
}

static void add_apollo_manifest(builder *b, const pl_file *file, const pl_value *json)
{
    const pl_value *version = pl_value_member(json, PL_STR("version"));
    const pl_value *operations = pl_value_member(json, PL_STR("operations"));
    if (!version || version->kind != PL_KIND_INT || version->integer != 1 || !operations ||
        operations->kind != PL_KIND_LIST) {
        pl_report_error(b->report, file->path.ptr, 0, 0,
                        "The manifest must have \"version\": 1 and a list of \"operations\".");
        return;
    }
    for (size_t i = 0; i < operations->list.count; i++) {
        const pl_value *entry = &operations->list.items[i];
        const pl_value *id = entry->kind == PL_KIND_MAP ? pl_value_member(entry, PL_STR("id")) : NULL;
        const pl_value *body = id ? pl_value_member(entry, PL_STR("body")) : NULL;
        if (!body || id->kind != PL_KIND_STRING)
            pl_report_error(b->report, file->path.ptr, 0, 0,
                            "operations[%zu] must have an \"id\" and a \"body\".", i);
        else
            add_entry(b, file, id->string, body);
    }
}

static void add_manifest(builder *b, const pl_file *file)
{
    pl_arena arena;
    pl_error err = {0};
    pl_value json;
    pl_arena_init(&arena, 0);
    if (pl_json_read(&arena, file->bytes, &(pl_json_limits){.unique_names = true}, &json, &err) != PL_OK)
        pl_report_error(b->report, file->path.ptr, 0, 0, "%s", err.message);
    else if (json.kind != PL_KIND_MAP)
        pl_report_error(b->report, file->path.ptr, 0, 0,
                        "The manifest must be a JSON object: Apollo's format, or ids with their documents.");
    else if (pl_value_member(&json, PL_STR("format")))
        add_apollo_manifest(b, file, &json);
    else
        for (size_t i = 0; i < json.map.count; i++)
            add_entry(b, file, json.map.members[i].name, &json.map.members[i].value);
    pl_arena_dispose(&arena);
}

/* Whether the file is what path names, or below it; *below: where what is after the folder begins. */
static bool is_at(pl_str file, pl_str path, size_t *below)
{
    *below = path.len + 1;
    if (pl_str_eq(file, path)) {
        const char *slash = memrchr(file.ptr, '/', file.len);
        *below = slash ? (size_t)(slash - file.ptr) + 1 : 0;
        return true;
    }
    return pl_str_starts(file, path) && file.ptr[path.len] == '/';
}

static void add_files(builder *b, const pl_bundle *bundle, pl_str path)
{
    size_t found = 0, below;
    while (path.len > 0 && path.ptr[path.len - 1] == '/')
        path.len--;
    for (size_t i = 0; i < bundle->file_count; i++) {
        const pl_file *file = &bundle->files[i];
        if (!is_at(file->path, path, &below))
            continue;
        bool manifest = pl_file_is(file, "", ".json");
        if (!manifest && !pl_file_is(file, "", ".graphql") && !pl_file_is(file, "", ".gql"))
            continue;
        found++;
        if (manifest)
            add_manifest(b, file);
        else
            add_graphql_file(b, file, below);
    }
    if (found == 0)
        pl_report_error(
            b->report, "app.lua", 0, 0,
            "graphql.documents.path: the bundle has no documents at \"%.*s\": neither *.graphql files "
            "nor a manifest whose name ends with manifest.json, documents.json or queries.json.",
            PL_STR_ARG(path));
}

/* --- life --- */
pl_trusted *pl_trusted_new(const pl_bundle *bundle, pl_str path, const gql_schema *schema,
                           const gql_service_options *options, pl_report *report)
{
    pl_trusted *t = pl_calloc(1, sizeof *t);
    if (!t) {
        report->errors.out_of_memory = true;
        return NULL;
    }
    pl_arena_init(&t->arena, 0);
    builder b = {.trusted = t, .schema = schema, .options = options, .report = report};
    if (schema)
        add_files(&b, bundle, path);
    else
        pl_report_error(report, "app.lua", 0, 0,
                        "graphql.documents is set, but the bundle has no schema/*.graphql.");
    if (!pl_report_has_errors(report))
        return t;
    pl_trusted_free(t);
    return NULL;
}

void pl_trusted_free(pl_trusted *t)
{
    if (!t)
        return;
    pl_map_dispose(&t->by_id);
    pl_map_dispose(&t->by_text);
    pl_arena_dispose(&t->arena);
    pl_free(t);
}

pl_str pl_trusted_find(const pl_trusted *t, pl_str id)
{
    if (pl_str_starts(id, PL_STR("sha256:")))
        id = (pl_str){id.ptr + 7, id.len - 7};
    const document *d = pl_map_get(&t->by_id, id);
    return d ? d->text : PL_STR_NONE;
}

bool pl_trusted_has_text(const pl_trusted *t, pl_str text)
{
    return pl_map_has(&t->by_text, text);
}

size_t pl_trusted_count(const pl_trusted *t)
{
    return t->count;
}
