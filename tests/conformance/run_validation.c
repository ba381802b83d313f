/* SPDX-License-Identifier: MIT */
/* run_validation CASES.jsonl: runs each case's rule alone over its document and compares messages and places
 * exactly. The first line holds schemas, each further line a case. Prints what failed, what was skipped, and
 * "N passed, M failed". */
#include <stdio.h>
#include <stdlib.h>

#include "graphql/language/parser.h"
#include "graphql/schema/schema.h"
#include "graphql/validation/validate.h"
#include "value/json.h"

/* Cases whose data cannot be right: the places are not ones where the document has the directive. */
static const char *const faulty[] = {"duplicate custom non-repeatable directives in one location"};

typedef struct runner {
    pl_value schemas;   /* of the first line */
    gql_schema **built; /* those that were needed so far */
    unsigned passed, failed;
    const pl_value *skipped[64]; /* rules that there are not, and how often they were asked for */
    unsigned skipped_count[64], skipped_rules, faulty;
} runner;

static pl_str text_of(const pl_value *map, const char *name)
{
    const pl_value *v = pl_value_member(map, pl_str_of(name));
    return v && v->kind == PL_KIND_STRING ? v->string : PL_STR("");
}

static void print_errors(const char *label, const gql_diagnostics *list)
{
    printf("  %s\n", label);
    for (const gql_diagnostic *d = list->first; d; d = d->next) {
        printf("    %.*s", PL_STR_ARG(d->message));
        for (uint32_t i = 0; i < d->location_count; i++)
            printf(" %u:%u", d->locations[i].line, d->locations[i].column);
        printf("\n");
    }
}

static void print_expected(const pl_value *errors)
{
    pl_buf buf;
    pl_buf_init(&buf);
    pl_json_value(&buf, errors);
    printf("  expected\n    %.*s\n", PL_STR_ARG(pl_buf_view(&buf)));
    pl_buf_dispose(&buf);
}

/* --- schemas --- */
static gql_schema *build(pl_str text)
{
    pl_arena arena;
    gql_diagnostics list;
    gql_schema *schema = NULL;
    gql_source source = {"schema.graphql", text};
    gql_schema_options options = {.no_ready_made_scalars = true};
    pl_arena_init(&arena, 0);
    gql_diagnostics_init(&list, &arena, 0);
    if (gql_schema_build(&source, 1, &options, &list, &schema))
        print_errors("schema", &list);
    pl_arena_dispose(&arena);
    return schema;
}

/* *own is set when the schema is for this case alone. */
static gql_schema *schema_of(runner *r, const pl_value *test, gql_schema **own)
{
    const pl_value *schema = pl_value_member(test, PL_STR("schema"));
    if (schema && schema->kind == PL_KIND_STRING)
        return *own = build(schema->string);
    if (!schema || schema->kind != PL_KIND_INT || (uint64_t)schema->integer >= r->schemas.list.count)
        return NULL;
    gql_schema **place = &r->built[schema->integer];
    if (!*place)
        *place = build(r->schemas.list.items[schema->integer].string);
    return *place;
}

/* --- cases --- */
static bool same_places(const gql_diagnostic *d, const pl_value *locations)
{
    if (!locations || locations->kind != PL_KIND_LIST || locations->list.count != d->location_count)
        return false;
    for (uint32_t i = 0; i < d->location_count; i++) {
        const pl_value *line = pl_value_member(&locations->list.items[i], PL_STR("line"));
        const pl_value *column = pl_value_member(&locations->list.items[i], PL_STR("column"));
        if (!line || !column || line->integer != d->locations[i].line ||
            column->integer != d->locations[i].column)
            return false;
    }
    return true;
}

static bool same_errors(const gql_diagnostics *list, const pl_value *errors)
{
    const gql_diagnostic *d = list->first;
    if (!errors || errors->kind != PL_KIND_LIST || errors->list.count != list->count)
        return false;
    for (size_t i = 0; i < errors->list.count; i++, d = d->next) {
        const pl_value *expected = &errors->list.items[i];
        if (!pl_str_eq(text_of(expected, "message"), d->message) ||
            !same_places(d, pl_value_member(expected, PL_STR("locations"))))
            return false;
    }
    return true;
}

/* A scalar that takes nothing: SDL cannot say so, the name of the case does. */
static bool refuse_literal(void *data, const gql_named *scalar, const gql_value *value, pl_str *why)
{
    return false;
}

static bool case_refuses_literals(pl_str name)
{
    static const char ending[] = "reports error for custom scalar that returns undefined";
    size_t n = sizeof(ending) - 1;
    return name.len >= n && memcmp(name.ptr + name.len - n, ending, n) == 0;
}

static void run_case(runner *r, const pl_value *test)
{
    pl_arena arena;
    gql_diagnostics list;
    gql_document *document = NULL;
    gql_schema *own = NULL, *schema = schema_of(r, test, &own);
    pl_str name = text_of(test, "name");
    gql_source source = {"GraphQL request", text_of(test, "query")};
    const pl_value *errors = pl_value_member(test, PL_STR("errors"));
    pl_error err = {0};
    pl_arena_init(&arena, 0);
    gql_diagnostics_init(&list, &arena, 0);
    pl_str rule = pl_arena_str(&arena, text_of(test, "rule"));
    gql_validate_options options = {.only = &rule.ptr, .only_count = 1};
    if (case_refuses_literals(name))
        options.scalar_literal = refuse_literal;
    pl_code code = schema ? gql_parse(&arena, &source, NULL, &document, &err) : PL_INTERNAL;
    if (!code)
        code = gql_validate(schema, document, &options, &list);
    bool right = document && code == (list.count ? PL_INVALID_ARGUMENT : PL_OK) && same_errors(&list, errors);
    if (right) {
        r->passed++;
    } else {
        r->failed++;
        printf("FAIL %s: %.*s (%s) %s\n", rule.ptr, PL_STR_ARG(name), pl_code_name(code), err.message);
        print_errors("got", &list);
        print_expected(errors);
    }
    pl_arena_dispose(&arena);
    gql_schema_free(own);
}

static bool is_known(pl_str rule)
{
    for (const char *const *name = gql_validation_rules(); *name; name++) {
        if (pl_str_is(rule, *name))
            return true;
    }
    return false;
}

static void skip(runner *r, const pl_value *rule)
{
    unsigned i = 0;
    while (i < r->skipped_rules && !pl_str_eq(r->skipped[i]->string, rule->string))
        i++;
    if (i == sizeof(r->skipped) / sizeof(r->skipped[0]))
        return;
    if (i == r->skipped_rules)
        r->skipped[r->skipped_rules++] = rule;
    r->skipped_count[i]++;
}

static bool is_faulty(pl_str name)
{
    for (size_t i = 0; i < sizeof(faulty) / sizeof(faulty[0]); i++) {
        if (pl_str_is(name, faulty[i]))
            return true;
    }
    return false;
}

static void take_line(runner *r, pl_arena *arena, pl_str line, bool first)
{
    pl_error err = {0};
    pl_value *value = pl_arena_zalloc(arena, sizeof(*value));
    if (!value || pl_json_read(arena, line, NULL, value, &err) || value->kind != PL_KIND_MAP) {
        printf("FAIL cannot read a line: %s\n", err.message);
        r->failed++;
    } else if (first) {
        const pl_value *schemas = pl_value_member(value, PL_STR("schemas"));
        if (schemas && schemas->kind == PL_KIND_LIST)
            r->schemas = *schemas;
        r->built = pl_arena_array(arena, r->schemas.list.count, sizeof(gql_schema *));
    } else if (!is_known(text_of(value, "rule"))) {
        skip(r, pl_value_member(value, PL_STR("rule")));
    } else if (is_faulty(text_of(value, "name"))) {
        r->faulty++;
    } else {
        run_case(r, value);
    }
}

static bool read_file(const char *path, pl_buf *out)
{
    char chunk[8192];
    size_t n;
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    while ((n = fread(chunk, 1, sizeof(chunk), file)) > 0)
        pl_buf_append(out, chunk, n);
    bool ok = !ferror(file) && !out->failed;
    fclose(file);
    return ok;
}

static void print_summary(const runner *r)
{
    if (r->skipped_rules != 0) {
        printf("skipped:");
        for (unsigned i = 0; i < r->skipped_rules; i++)
            printf("%s %u of %.*s", i ? "," : "", r->skipped_count[i], PL_STR_ARG(r->skipped[i]->string));
        printf("\n");
    }
    if (r->faulty != 0)
        printf("left out: %u with places that the document does not have\n", r->faulty);
    printf("%u passed, %u failed\n", r->passed, r->failed);
}

int main(int argc, char **argv)
{
    runner r = {0};
    pl_buf text;
    pl_arena arena;
    pl_buf_init(&text);
    pl_arena_init(&arena, 64 * 1024);
    if (argc != 2 || !read_file(argv[1], &text)) {
        fprintf(stderr, "usage: run_validation CASES.jsonl\n");
        return 2;
    }
    for (size_t at = 0, line = 0; at < text.len; line++) {
        const char *end = memchr(text.data + at, '\n', text.len - at);
        size_t len = end ? (size_t)(end - (text.data + at)) : text.len - at;
        if (len != 0)
            take_line(&r, &arena, (pl_str){text.data + at, len}, line == 0);
        at += len + 1;
    }
    print_summary(&r);
    for (size_t i = 0; i < r.schemas.list.count; i++)
        gql_schema_free(r.built[i]);
    pl_arena_dispose(&arena);
    pl_buf_dispose(&text);
    return r.failed != 0 || r.passed == 0;
}
