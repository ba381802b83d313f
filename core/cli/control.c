/* SPDX-License-Identifier: MIT */
#include <cjson/cJSON.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
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

static const char *text_of(const cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

/* 0 where there is none. */
static long long number_of(const cJSON *object, const char *name)
{
    const cJSON *number = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(number) ? (long long)number->valuedouble : 0;
}

static bool is_ok(const cJSON *answer)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(answer, "ok"));
}

static void print_problem(const cJSON *problem)
{
    const char *file = text_of(problem, "file"), *message = text_of(problem, "message");
    const char *severity = text_of(problem, "severity");
    long long line = number_of(problem, "line"), column = number_of(problem, "column");
    if (file)
        fprintf(stderr, "%s", file);
    if (line > 0)
        fprintf(stderr, ":%lld", line);
    if (column > 0)
        fprintf(stderr, ":%lld", column);
    fprintf(stderr, "%s%s%s\n", file ? ": " : "",
            severity && strcmp(severity, "warning") == 0 ? "warning: " : "", message ? message : "");
}

/* 0 when the change was made. */
static int print_change(const cJSON *answer)
{
    const char *result = text_of(answer, "result");
    const cJSON *problem;
    cJSON_ArrayForEach(problem, cJSON_GetObjectItemCaseSensitive(answer, "problems"))
    {
        print_problem(problem);
    }
    if (!is_ok(answer) || !result) {
        fprintf(stderr, "refused: nothing has changed\n");
        return 1;
    }
    printf("%s: generation %lld is live\n", result, number_of(answer, "generation"));
    return 0;
}

static int print_answer(const control *c, bool is_change, const cJSON *answer, const pl_buf *bytes)
{
    const char *metrics = text_of(answer, "metrics");
    pl_buf text;
    if (is_change && !c->json)
        return print_change(answer);
    pl_buf_init(&text);
    if (metrics && !c->json) {
        pl_buf_str(&text, pl_str_of(metrics));
    } else {
        pl_json_pretty(&text, pl_buf_view(bytes));
        pl_buf_char(&text, '\n');
    }
    pl_cli_print(&text);
    pl_buf_dispose(&text);
    return is_change && !is_ok(answer);
}

static int call(const control *c, const char *command, bool is_change)
{
    char path[PATH_MAX];
    pl_error err = {0};
    pl_buf bytes;
    cJSON *answer = NULL;
    int status = 1;
    pl_buf_init(&bytes);
    if (c->admin)
        snprintf(path, sizeof path, "%s", c->admin);
    else if (pl_admin_default_path(c->directory, path, sizeof path, &err) != PL_OK)
        goto done;
    if (pl_admin_call(path, command, TIMEOUT_MS, &bytes, &err) != PL_OK)
        goto done;
    answer = cJSON_ParseWithLength(bytes.data, bytes.len);
    if (answer)
        status = print_answer(c, is_change, answer, &bytes);
    else
        pl_fail(&err, PL_INTERNAL, "%s: the answer is no JSON: %.*s", path,
                bytes.len > 200 ? 200 : (int)bytes.len, bytes.data ? bytes.data : "");
done:
    if (err.code)
        status = pl_cli_fail(&err);
    cJSON_Delete(answer);
    pl_buf_dispose(&bytes);
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
