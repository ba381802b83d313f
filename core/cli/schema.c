/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "app/generation.h"
#include "cli/cli.h"
#include "graphql/federation/federation.h"
#include "graphql/schema/diff.h"
#include "graphql/schema/print.h"
#include "value/json.h"

/* --- reading schemas --- */

/* A schema and what its texts stand in. */
typedef struct source_schema {
    const char *path;
    pl_bundle *bundle; /* NULL: path is a file */
    gql_schema *schema;
} source_schema;

static bool is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static pl_code read_bundle(source_schema *s, pl_report *report, pl_error *err)
{
    s->bundle = pl_bundle_read(s->path, err);
    if (!s->bundle)
        return err->code;
    pl_code code = pl_bundle_schema(s->bundle, NULL, report, &s->schema);
    if (!code && !s->schema)
        return pl_fail(err, PL_NOT_FOUND, "%s: there is no schema here: no schema/*.graphql", s->path);
    return PL_OK;
}

static pl_code read_file(source_schema *s, pl_report *report, pl_error *err)
{
    pl_buf text;
    pl_buf_init(&text);
    pl_code code = pl_cli_read_file(s->path, &text, err);
    gql_source source = {s->path, pl_buf_view(&text)};
    if (!code)
        gql_schema_build(&source, 1, NULL, &report->errors, &s->schema);
    pl_buf_dispose(&text);
    return code;
}

/* The schema of a bundle's directory, or of one file. What is wrong goes to stderr. */
static bool read_schema(source_schema *s)
{
    pl_report report;
    pl_buf text;
    pl_error err = {0};
    pl_report_init(&report);
    pl_buf_init(&text);
    pl_code code = is_directory(s->path) ? read_bundle(s, &report, &err) : read_file(s, &report, &err);
    if (code)
        pl_report_add(&report, &err);
    if (!s->schema) {
        pl_report_text(&report, &text);
        fwrite(text.data, 1, text.len, stderr);
    }
    pl_buf_dispose(&text);
    pl_report_dispose(&report);
    return s->schema != NULL;
}

static void dispose(source_schema *s)
{
    gql_schema_free(s->schema);
    pl_bundle_unref(s->bundle);
}

/* --- print --- */

static int print_command(int argc, char **argv)
{
    source_schema s = {.path = "."};
    gql_print_options options = {.directives = true};
    bool subgraph = false;
    const pl_option table[] = {
        {"subgraph", PL_OPTION_FLAG, &subgraph, NULL, NULL,
         "print what a subgraph of federation answers to { _service { sdl } }"},
        {"sort", PL_OPTION_FLAG, &options.sort, NULL, NULL, "put all names in order"},
        {NULL, PL_OPTION_FLAG, NULL, NULL, NULL, NULL},
    };
    const pl_usage usage = {
        "perilune schema print [DIR|FILE] [options]",
        "Checks the schema of a bundle, and prints it as one SDL document: files and "
        "extensions are merged, directives kept.\n"
        "Runs none of the bundle's code. The exit status is 1 when the schema has errors.",
        table};
    int status = pl_options_read(&usage, argc, argv, &s.path, 1);
    if (status)
        return status == 1 ? 0 : status;
    pl_buf out;
    pl_buf_init(&out);
    status = 1;
    if (read_schema(&s) && subgraph && !s.schema->federation) {
        fprintf(stderr,
                "perilune: %s: this is no subgraph: it neither links to the specification of federation, "
                "nor uses its directives\n",
                s.path);
    } else if (s.schema) {
        if (subgraph)
            pl_buf_str(&out, s.schema->federation->sdl);
        else
            gql_schema_print_with(&out, s.schema, &options);
        if (!subgraph)
            pl_buf_char(&out, '\n');
        pl_cli_print(&out);
        status = out.failed;
    }
    dispose(&s);
    pl_buf_dispose(&out);
    return status;
}

/* --- diff --- */

static const char *const levels[] = {
    [GQL_CHANGE_BREAKING] = "breaking",
    [GQL_CHANGE_DANGEROUS] = "dangerous",
    [GQL_CHANGE_SAFE] = "safe",
};

/* Files of a bundle other than the one in the working directory are named with its path. */
static void write_file_name(pl_buf *out, const source_schema *of, const char *name)
{
    if (of->bundle && strcmp(of->path, ".") != 0) {
        size_t n = strlen(of->path);
        pl_buf_printf(out, "%s%s", of->path, n > 0 && of->path[n - 1] == '/' ? "" : "/");
    }
    pl_buf_str(out, pl_str_of(name));
}

static void write_change(pl_buf *out, const gql_change *c, const source_schema *old, const source_schema *new)
{
    const gql_definition_place *place = c->after.source ? &c->after : &c->before;
    if (place->source) {
        write_file_name(out, c->after.source ? new : old, place->source->name);
        pl_buf_printf(out, ":%u:%u: ", place->loc.line, place->loc.column);
    }
    pl_buf_printf(out, "%s: %s: ", levels[gql_change_level_of(c->kind)], gql_change_name(c->kind));
    for (size_t i = 0; i < c->description.len; i++) {
        char byte = c->description.ptr[i];
        pl_buf_char(out, (unsigned char)byte < 0x20 || byte == 0x7f ? ' ' : byte);
    }
    pl_buf_char(out, '\n');
}

/* The most serious changes come first. */
static void write_text(pl_buf *out, const gql_changes *changes, const source_schema *old,
                       const source_schema *new)
{
    for (gql_change_level level = GQL_CHANGE_BREAKING; level <= GQL_CHANGE_SAFE; level++) {
        for (const gql_change *c = changes->first; c; c = c->next) {
            if (gql_change_level_of(c->kind) == level)
                write_change(out, c, old, new);
        }
    }
    pl_buf_printf(out, "%u breaking, %u dangerous, %u safe\n", changes->counts[GQL_CHANGE_BREAKING],
                  changes->counts[GQL_CHANGE_DANGEROUS], changes->counts[GQL_CHANGE_SAFE]);
}

static void write_place(pl_buf *out, const char *key, const gql_definition_place *place)
{
    pl_buf_printf(out, ",\"%s\":", key);
    if (!place->source) {
        PL_BUF_LIT(out, "null");
        return;
    }
    PL_BUF_LIT(out, "{\"file\":");
    pl_json_string(out, pl_str_of(place->source->name));
    pl_buf_printf(out, ",\"line\":%u,\"column\":%u}", place->loc.line, place->loc.column);
}

static void write_json(pl_buf *out, const gql_changes *changes)
{
    pl_buf_printf(out, "{\"breaking\":%u,\"dangerous\":%u,\"safe\":%u,\"changes\":[",
                  changes->counts[GQL_CHANGE_BREAKING], changes->counts[GQL_CHANGE_DANGEROUS],
                  changes->counts[GQL_CHANGE_SAFE]);
    for (const gql_change *c = changes->first; c; c = c->next) {
        pl_buf_printf(out,
                      "%s{\"level\":\"%s\",\"type\":\"%s\",\"description\":", c == changes->first ? "" : ",",
                      levels[gql_change_level_of(c->kind)], gql_change_name(c->kind));
        pl_json_string(out, c->description);
        PL_BUF_LIT(out, ",\"coordinate\":");
        pl_json_string(out, c->coordinate);
        write_place(out, "before", &c->before);
        write_place(out, "after", &c->after);
        pl_buf_char(out, '}');
    }
    PL_BUF_LIT(out, "]}\n");
}

/* Prints the changes; the exit status. */
static int compare(const source_schema *old, const source_schema *new, bool json, gql_change_level fail_on)
{
    pl_arena arena;
    pl_buf out;
    gql_changes changes;
    pl_error err;
    int status = 2;
    pl_arena_init(&arena, 0);
    pl_buf_init(&out);
    if (gql_schema_diff(old->schema, new->schema, &arena, &changes) != PL_OK) {
        pl_fail_memory(&err);
        pl_cli_fail(&err);
        goto done;
    }
    if (json)
        write_json(&out, &changes);
    else
        write_text(&out, &changes, old, new);
    pl_cli_print(&out);
    status = 0;
    for (gql_change_level level = GQL_CHANGE_BREAKING; level <= fail_on; level++)
        status |= changes.counts[level] > 0;
done:
    pl_buf_dispose(&out);
    pl_arena_dispose(&arena);
    return status;
}

static int find_level(const char *name)
{
    for (int i = 0; i <= GQL_CHANGE_SAFE; i++) {
        if (strcmp(levels[i], name) == 0)
            return i;
    }
    fprintf(stderr, "perilune: the value of --fail-on is breaking, dangerous or safe\n");
    return -1;
}

static int diff_command(int argc, char **argv)
{
    source_schema old = {0}, new = {.path = "."};
    bool json = false;
    const char *fail_on = "breaking";
    const pl_option table[] = {
        {"against", PL_OPTION_TEXT, &old.path, NULL, "FILE|DIR", "the schema as it was: SDL, or a bundle"},
        {"json", PL_OPTION_FLAG, &json, NULL, NULL, "print the changes as JSON"},
        {"fail-on", PL_OPTION_TEXT, &fail_on, NULL, "LEVEL",
         "least level that makes the exit status 1: breaking (default), dangerous, safe"},
        {NULL, PL_OPTION_FLAG, NULL, NULL, NULL, NULL},
    };
    const pl_usage usage = {
        "perilune schema diff [DIR|FILE] --against FILE|DIR [options]",
        "Lists what changed in a schema: breaking changes first, then dangerous, then safe "
        "ones, each with the place of the\n"
        "new definition. The exit status is 1 when there is a breaking change, 2 when the "
        "two could not be compared.",
        table};
    int status = pl_options_read(&usage, argc, argv, &new.path, 1);
    if (status)
        return status == 1 ? 0 : status;
    if (!old.path) {
        fprintf(stderr, "perilune: --against FILE is needed: the schema to compare with\n");
        return 2;
    }
    int level = find_level(fail_on);
    if (level < 0)
        return 2;
    status = read_schema(&old) && read_schema(&new) ? compare(&old, &new, json, (gql_change_level)level) : 2;
    dispose(&old);
    dispose(&new);
    return status;
}

int pl_cli_schema(int argc, char **argv)
{
    static const char usage[] =
        "Usage: perilune schema print [DIR|FILE] [options]\n"
        "       perilune schema diff [DIR|FILE] --against FILE|DIR [options]\n\n"
        "Works on a bundle's schema without serving it.\n\n"
        "  print   one SDL document\n"
        "  diff    breaking, dangerous and safe changes\n\n"
        "`perilune schema print --help` and `perilune schema diff --help` tell more.\n";
    if (argc > 0 && strcmp(argv[0], "print") == 0)
        return print_command(argc - 1, argv + 1);
    if (argc > 0 && strcmp(argv[0], "diff") == 0)
        return diff_command(argc - 1, argv + 1);
    bool help = argc > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0);
    if (argc > 0 && !help)
        fprintf(stderr, "perilune: there is no command \"schema %s\"\n\n", argv[0]);
    fputs(usage, help ? stdout : stderr);
    return help ? 0 : 2;
}
