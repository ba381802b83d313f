/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/lua_state.h"

/* perilune.streams. The cases are Lua, in streams/NAME.lua beside this file, and raise an error where
 * something is wrong. Those with many random runs are called several times, each for a part of them: none
 * takes long. */
#define PARTS 10

static char *read_case(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "tests/unit/lua/streams/%s.lua", name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    char *text = calloc(1, 1 << 16);
    assert_non_null(text);
    size_t n = fread(text, 1, (1 << 16) - 1, file);
    assert_true(n > 0 && n < (1 << 16) - 1);
    fclose(file);
    return text;
}

static void run_part(const char *support, const char *text, int part)
{
    char folder[] = "/tmp/perilune-streams-XXXXXX", code[128], command[128], *body;
    assert_non_null(mkdtemp(folder));
    snprintf(code, sizeof code, "return '%s'", folder);
    const char *files[] = {"support.lua", support, "folder.lua", code, NULL};
    ls_state *s =
        ls_new(&(ls_options){.files = files, .limits = {.instructions = UINT64_MAX, .load_ms = 60000}});
    assert_true(asprintf(&body, "local PART, PARTS = %d, %d %s", part, PARTS, text) > 0);
    ls_ok(s, body, "\"ok\"");
    ls_free(s);
    free(body);
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

static void run_case(const char *name)
{
    char *support = read_case("support"), *text = read_case(name);
    int parts = strstr(text, "PART, ") ? PARTS : 1;
    for (int part = 1; part <= parts; part++)
        run_part(support, text, part);
    free(text);
    free(support);
}

#define CASE(name)                        \
    static void test_##name(void **state) \
    {                                     \
        run_case(#name);                  \
    }
CASE(stateless)
CASE(windows)
CASE(joins)
CASE(process)
CASE(bad)
CASE(state)
CASE(runtime)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stateless), cmocka_unit_test(test_windows), cmocka_unit_test(test_joins),
        cmocka_unit_test(test_process),   cmocka_unit_test(test_bad),     cmocka_unit_test(test_state),
        cmocka_unit_test(test_runtime),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
