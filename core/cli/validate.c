/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "graphql/language/parser.h"
#include "graphql/schema/schema.h"
#include "graphql/validation/validate.h"
#include "value/json.h"

static bool is_among(const char *const *names, const char *name)
{
    while (*names && (!name || strcmp(*names, name) != 0))
        names++;
    return *names;
}

/* [{"message", "locations", "rule"}] of what the rules (without any: all) have said; how many. */
static size_t write_list(const gql_diagnostics *list, const char *const *rules, pl_buf *out)
{
    size_t count = 0;
    pl_buf_char(out, '[');
    for (const gql_diagnostic *d = list->first; d; d = d->next) {
        if (rules[0] && !is_among(rules, d->rule))
            continue;
        pl_buf_str(out, count++ == 0 ? PL_STR("{\"message\":") : PL_STR(",{\"message\":"));
        pl_json_string(out, d->message);
        PL_BUF_LIT(out, ",\"locations\":[");
        for (uint32_t i = 0; i < d->location_count; i++)
            pl_buf_printf(out, "%s{\"line\":%u,\"column\":%u}", i ? "," : "", d->locations[i].line,
                          d->locations[i].column);
        PL_BUF_LIT(out, "],\"rule\":");
        if (d->rule)
            pl_json_string(out, pl_str_of(d->rule));
        else
            PL_BUF_LIT(out, "null");
        pl_buf_char(out, '}');
    }
    PL_BUF_LIT(out, "]\n");
    return count;
}

static bool rules_exist(const char *const *rules, const char *const *known)
{
    for (; *rules; rules++) {
        if (is_among(known, *rules))
            continue;
        fprintf(stderr, "perilune: there is no rule \"%s\"; the rules are:", *rules);
        for (; *known; known++)
            fprintf(stderr, " %s", *known);
        fprintf(stderr, "\n");
        return false;
    }
    return true;
}

static void validate_document(const gql_schema *schema, const char *path, pl_str text,
                              const char *const *rules, gql_diagnostics *list)
{
    gql_source source = {path, text};
    gql_document *document;
    pl_error err = {0};
    gql_validate_options options = {.only = rules[0] ? rules : NULL};
    while (rules[options.only_count])
        options.only_count++;
    if (gql_parse(list->arena, &source, NULL, &document, &err) != PL_OK)
        gql_diagnose(list, NULL, &source, (gql_loc){err.line, err.column, 0}, (gql_loc){0}, "%s",
                     err.message);
    else
        gql_validate(schema, document, &options, list);
}

int pl_cli_validate(int argc, char **argv)
{
    static const char *const all[] = {NULL};
    const char *schema_path = NULL, *document_path = NULL, *rules[PL_OPTION_LIST_MAX] = {NULL};
    const pl_option table[] = {
        {"schema", PL_OPTION_TEXT, &schema_path, NULL, "FILE", "the schema, in SDL"},
        {"rule", PL_OPTION_LIST, rules, NULL, "NAME", "run this rule only; may be given several times"},
        {NULL, PL_OPTION_FLAG, NULL, NULL, NULL, NULL},
    };
    const pl_usage usage = {"perilune validate --schema FILE [--rule NAME]... [DOCUMENT]",
                            "Validates a GraphQL document against a schema, or the schema itself when no "
                            "document is given. Prints a JSON list\n"
                            "of {message, locations, rule}; the exit status is 1 when it is not empty.",
                            table};
    int status = pl_options_read(&usage, argc, argv, &document_path, 1);
    if (status)
        return status == 1 ? 0 : status;
    if (!schema_path) {
        fprintf(stderr, "perilune: --schema FILE is needed\n");
        return 2;
    }
    if (!rules_exist(rules, document_path ? gql_validation_rules() : gql_schema_rules()))
        return 2;
    pl_buf sdl, document, out;
    pl_arena arena;
    pl_error err = {0};
    gql_diagnostics list;
    gql_schema *schema = NULL;
    pl_buf_init(&sdl);
    pl_buf_init(&document);
    pl_buf_init(&out);
    pl_arena_init(&arena, 0);
    gql_diagnostics_init(&list, &arena, 0);
    status = 2;
    if (pl_cli_read_file(schema_path, &sdl, &err) != PL_OK ||
        (document_path && pl_cli_read_file(document_path, &document, &err) != PL_OK)) {
        pl_cli_fail(&err);
        goto done;
    }
    gql_source source = {schema_path, pl_buf_view(&sdl)};
    if (gql_schema_build(&source, 1, NULL, &list, &schema) == PL_OK && document_path)
        validate_document(schema, document_path, pl_buf_view(&document), rules, &list);
    /* Rules of documents are asked of nothing else; what is wrong with the schema comes first, then. */
    status = write_list(&list, document_path ? all : rules, &out) > 0;
    pl_cli_print(&out);
done:
    gql_schema_free(schema);
    pl_arena_dispose(&arena);
    pl_buf_dispose(&out);
    pl_buf_dispose(&document);
    pl_buf_dispose(&sdl);
    return status;
}
