/* SPDX-License-Identifier: MIT */
#ifndef PL_TESTS_GRAPHQL_SCHEMAS_H
#define PL_TESTS_GRAPHQL_SCHEMAS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "graphql/schema/schema.h"
#include "support/failing.h"

/* One SDL text and all that is to be found wrong with it: a line for each problem, "Rule: message @
 * line:column …", with
 * "-" for what is no SDL rule's. Empty: nothing. */
typedef struct schema_case {
    const char *name, *sdl, *problems;
} schema_case;

static inline void write_problems(pl_buf *out, const gql_diagnostics *list)
{
    for (const gql_diagnostic *d = list->first; d; d = d->next) {
        pl_buf_printf(out, "%s: %.*s @", d->rule ? d->rule : "-", PL_STR_ARG(d->message));
        for (uint32_t i = 0; i < d->location_count; i++)
            pl_buf_printf(out, " %u:%u", d->locations[i].line, d->locations[i].column);
        pl_buf_char(out, '\n');
    }
}

static inline void check_case(const schema_case *c)
{
    gql_source source = {"case.graphql", pl_str_of(c->sdl)};
    gql_schema *schema = NULL;
    gql_diagnostics list;
    pl_arena arena;
    pl_buf problems;
    pl_arena_init(&arena, 0);
    pl_buf_init(&problems);
    gql_diagnostics_init(&list, &arena, 0);
    pl_code code = gql_schema_build(&source, 1, NULL, &list, &schema);
    write_problems(&problems, &list);
    pl_buf_char(&problems, '\0');
    assert_false(problems.failed);
    if (strcmp(problems.data, c->problems) != 0)
        print_message("in %s:\n", c->name);
    assert_string_equal(problems.data, c->problems);
    assert_int_equal(code, *c->problems ? PL_INVALID_ARGUMENT : PL_OK);
    assert_true(*c->problems ? schema == NULL : schema != NULL);
    for (const gql_diagnostic *d = list.first; d; d = d->next)
        assert_string_equal(d->file, "case.graphql");
    gql_schema_free(schema);
    pl_buf_dispose(&problems);
    pl_arena_dispose(&arena);
}

#define CHECK_CASES(cases)                                                 \
    do {                                                                   \
        for (size_t i_ = 0; i_ < sizeof(cases) / sizeof((cases)[0]); i_++) \
            check_case(&(cases)[i_]);                                      \
    } while (0)

/* A schema that is expected to be right; its source's bytes are wiped as soon as it is built. */
static inline gql_schema *build_schema(const char *sdl, const gql_schema_options *options)
{
    gql_schema *schema = NULL;
    gql_diagnostics list;
    pl_arena arena;
    pl_buf text, problems;
    pl_arena_init(&arena, 0);
    pl_buf_init(&text);
    pl_buf_init(&problems);
    pl_buf_str(&text, pl_str_of(sdl));
    char name[] = "test.graphql";
    gql_source source = {name, pl_buf_view(&text)};
    gql_diagnostics_init(&list, &arena, 0);
    gql_schema_build(&source, 1, options, &list, &schema);
    memset(text.data, '?', text.len);
    memset(name, '?', sizeof(name));
    write_problems(&problems, &list);
    pl_buf_char(&problems, '\0');
    if (!schema)
        print_message("%s", problems.data);
    pl_buf_dispose(&text);
    pl_buf_dispose(&problems);
    pl_arena_dispose(&arena);
    assert_non_null(schema);
    return schema;
}

/* Whatever allocation fails, the schema is not built, and the list says so. */
static inline void check_without_memory(const char *sdl, pl_code expected)
{
    gql_source source = {"memory.graphql", pl_str_of(sdl)};
    failing a = {0};
    while (failing_next(&a)) {
        gql_schema *schema = NULL;
        gql_diagnostics list;
        pl_arena arena;
        pl_arena_init(&arena, 64);
        gql_diagnostics_init(&list, &arena, 0);
        failing_begin(&a);
        pl_code code = gql_schema_build(&source, 1, NULL, &list, &schema);
        bool failed = failing_end(&a);
        assert_int_equal(code, failed ? PL_RESOURCE_EXHAUSTED : expected);
        assert_int_equal(list.out_of_memory, failed);
        gql_schema_free(schema);
        pl_arena_dispose(&arena);
    }
    assert_true(a.failed > 9);
}

#endif
