/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "support/lua_state.h"
#include "value/topic.h"

/* perilune.streams.core: what it asks of the host, and folders. */

static struct {
    ls_state *s;
    pl_host_ops ops;
    pl_topic_asker *asker;
    pl_topic_want want;
    char name[32];
    bool refuse;
} w;

static pl_code host_ask(pl_host *host, const pl_topic_want *want, pl_topic_asker *asker, pl_error *err)
{
    if (w.refuse)
        return pl_fail(err, PL_FAILED_PRECONDITION, "there are no brokers");
    w.want = *want;
    snprintf(w.name, sizeof w.name, "%s", want->name.ptr);
    w.asker = asker;
    asker->place = &w.asker;
    return PL_OK;
}

static void answer(pl_code code, unsigned partitions)
{
    const pl_topic_found found = {.code = code, .why = code ? "no leader" : NULL, .partitions = partitions};
    pl_topic_asker *asker = w.asker;
    assert_non_null(asker);
    asker->place = NULL;
    w.asker = NULL;
    asker->done(asker, &found);
}

static int set_up(void **state)
{
    static const char *const files[] = {"c.lua", "core = require 'perilune.streams.core'", NULL};
    const ls_options options = {.files = files};
    pl_error err;
    memset(&w, 0, sizeof w);
    w.s = ls_new(&options);
    w.ops = *ls_host(w.s)->ops;
    w.ops.ask_topic = host_ask;
    ls_host(w.s)->ops = &w.ops;
    return ls_load(w.s, "c.lua", files[1], &err);
}

static int tear_down(void **state)
{
    ls_free(w.s);
    return 0;
}

static void topics(void **state)
{
    ls_call *call = ls_start(w.s, "return core.topic('clicks', 5, true)");
    assert_true(call->waits && w.want.partitions == 5 && w.want.compacted);
    assert_string_equal(w.name, "clicks");
    answer(PL_OK, 7);
    ls_is_done(call, "7");
    call = ls_start(w.s, "return core.topic 'none'");
    assert_true(w.want.partitions == 0 && !w.want.compacted);
    answer(PL_OK, 0);
    ls_is_done(call, "null");
    call = ls_start(w.s, "return core.topic 'away'");
    answer(PL_UNAVAILABLE, 0);
    ls_is_failed(call, PL_UNAVAILABLE, "no leader");
    ls_fails(w.s, "core.topic ''", PL_INTERNAL, "no name of a topic");
    w.refuse = true;
    ls_fails(w.s, "core.topic 'x'", PL_FAILED_PRECONDITION, "x: there are no brokers");
    w.ops.ask_topic = NULL;
    ls_fails(w.s, "core.topic 'x'", PL_FAILED_PRECONDITION, "only where there is a server");
}

/* Nobody is told when the call has gone. */
static void cancelled(void **state)
{
    ls_call *call = ls_start(w.s, "return core.topic 'clicks'");
    assert_non_null(w.asker);
    ls_cancel(call);
    assert_null(w.asker);
}

static void folders(void **state)
{
    char folder[] = "/tmp/perilune-folder-XXXXXX", code[256], deep[128], command[128];
    struct stat info;
    assert_non_null(mkdtemp(folder));
    snprintf(code, sizeof code, "return core.folder '%s/a/b'", folder);
    snprintf(deep, sizeof deep, "%s/a/b", folder);
    for (int i = 0; i < 2; i++) { /* the second time it is there */
        char expected[160];
        snprintf(expected, sizeof expected, "\"%s\"", deep);
        ls_ok(w.s, code, expected);
        assert_true(stat(deep, &info) == 0 && S_ISDIR(info.st_mode) && (info.st_mode & 007) == 0);
    }
    ls_ok(w.s, "return core.folder 'a'", "null"); /* the bundle has none */
    ls_fails(w.s, "core.folder '/dev/null/a'", PL_FAILED_PRECONDITION, "the folder cannot be made");
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(topics, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cancelled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(folders, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
