/* SPDX-License-Identifier: MIT */
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "app/admin.h"
#include "cli/cli.h"
#include "value/json.h"

/* `perilune reload`, `rollback`, `status`, `metrics`: talk to a running server through its admin socket. */

#define TIMEOUT_MS 60000

typedef struct control {
    const char *directory, *admin;
    bool json;
} control;

static int read_options(control *c, const char *command, const char *about, int argc, char **argv)
{
    char synopsis[128];
    const pl_option table[] = {
        {"admin", PL_OPTION_TEXT, &c->admin, "PERILUNE_ADMIN", "PATH",
         "the server's admin socket (by default that of DIR)"},
        {"json", PL_OPTION_FLAG, &c->json, NULL, NULL, "print the answer as JSON"},
        {NULL, PL_OPTION_FLAG, NULL, NULL, NULL, NULL},
    };
    snprintf(synopsis, sizeof synopsis, "perilune %s [DIR] [options]", command);
    const pl_usage usage = {synopsis, about, table};
    return pl_options_read(&usage, argc, argv, &c->directory, 1);
}

static void print_problem(const pl_value *problem)
{
    const pl_value *file = pl_value_member(problem, PL_STR("file")),
                   *line = pl_value_member(problem, PL_STR("line"));
    const pl_value *column = pl_value_member(problem, PL_STR("column")),
                   *message = pl_value_member(problem, PL_STR("message"));
    const pl_value *severity = pl_value_member(problem, PL_STR("severity"));
    if (file)
        fprintf(stderr, "%.*s", PL_STR_ARG(file->string));
    if (line)
        fprintf(stderr, ":%lld", (long long)line->integer);
    if (column && column->integer > 0)
        fprintf(stderr, ":%lld", (long long)column->integer);
    fprintf(stderr, "%s%s%.*s\n", file ? ": " : "",
            severity && pl_str_is(severity->string, "warning") ? "warning: " : "",
            message ? (int)message->string.len : 0, message ? message->string.ptr : "");
}

/* 0 when the change was made. */
static int print_change(const pl_value *answer)
{
    const pl_value *ok = pl_value_member(answer, PL_STR("ok")),
                   *generation = pl_value_member(answer, PL_STR("generation"));
    const pl_value *result = pl_value_member(answer, PL_STR("result")),
                   *problems = pl_value_member(answer, PL_STR("problems"));
    for (size_t i = 0; problems && problems->kind == PL_KIND_LIST && i < problems->list.count; i++)
        print_problem(&problems->list.items[i]);
    if (!ok || !ok->boolean || !generation || !result) {
        fprintf(stderr, "refused: nothing has changed\n");
        return 1;
    }
    printf("%.*s: generation %lld is live\n", PL_STR_ARG(result->string), (long long)generation->integer);
    return 0;
}

static int call(control *c, const char *command, bool is_change)
{
    char path[PATH_MAX];
    pl_error err = {0};
    pl_buf answer;
    pl_arena arena;
    pl_value value;
    int status = 1;
    pl_buf_init(&answer);
    pl_arena_init(&arena, 0);
    if (c->admin)
        snprintf(path, sizeof path, "%s", c->admin);
    else if (pl_admin_default_path(c->directory, path, sizeof path, &err) != PL_OK)
        goto done;
    if (pl_admin_call(path, command, TIMEOUT_MS, &answer, &err) != PL_OK ||
        pl_json_read(&arena, pl_buf_view(&answer), NULL, &value, &err) != PL_OK)
        goto done;
    const pl_value *metrics = pl_value_member(&value, PL_STR("metrics"));
    if (is_change && !c->json) {
        status = print_change(&value);
    } else if (metrics && metrics->kind == PL_KIND_STRING && !c->json) {
        pl_buf text;
        pl_buf_init(&text);
        pl_buf_str(&text, metrics->string);
        pl_cli_print(&text);
        pl_buf_dispose(&text);
        status = 0;
    } else {
        const pl_value *ok = pl_value_member(&value, PL_STR("ok"));
        pl_buf text;
        pl_buf_init(&text);
        pl_json_pretty(&text, pl_buf_view(&answer));
        pl_buf_char(&text, '\n');
        pl_cli_print(&text);
        pl_buf_dispose(&text);
        status = is_change && !(ok && ok->boolean);
    }
done:
    if (err.code)
        status = pl_cli_fail(&err);
    pl_arena_dispose(&arena);
    pl_buf_dispose(&answer);
    return status;
}

static int control_command(const char *command, const char *about, bool is_change, int argc, char **argv)
{
    control c = {.directory = "."};
    int status = read_options(&c, command, about, argc, argv);
    if (status)
        return status == 1 ? 0 : status;
    return call(&c, command, is_change);
}

int pl_cli_reload(int argc, char **argv)
{
    return control_command("reload",
                           "Makes the server of the bundle in DIR load it anew. When that fails, what is "
                           "wrong is printed, the exit\n"
                           "status is 1, and the server goes on as before.",
                           true, argc, argv);
}

int pl_cli_rollback(int argc, char **argv)
{
    return control_command(
        "rollback",
        "Makes the bundle that was live before the present one live again, from the server's memory.", true,
        argc, argv);
}

int pl_cli_status(int argc, char **argv)
{
    return control_command(
        "status", "Prints generations, workers and requests of the server of the bundle in DIR, as JSON.",
        false, argc, argv);
}

int pl_cli_metrics(int argc, char **argv)
{
    return control_command("metrics",
                           "Prints the metrics of the server of the bundle in DIR, in the text format of "
                           "Prometheus: what /metrics answers.",
                           false, argc, argv);
}
