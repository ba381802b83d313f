/* SPDX-License-Identifier: MIT */
#include <perilune.h>
#include <stdio.h>
#include <string.h>

#include "app/local.h"
#include "base/alloc.h"
#include "perilune/engines.h"

struct pl_app {
    pl_local *local;
};

static void give_error(char *error, size_t size, const pl_report *report, const pl_error *err)
{
    pl_buf text;
    if (!error || size == 0)
        return;
    pl_buf_init(&text);
    pl_report_text(report, &text);
    if (err->code)
        pl_buf_printf(&text, "%s%s%s\n", err->file, err->file[0] ? ": " : "", err->message);
    snprintf(error, size, "%.*s", text.failed ? 0 : (int)text.len, text.data ? text.data : "");
    pl_buf_dispose(&text);
}

/* Takes over the bundle (NULL: err says why there is none). */
static pl_app *open_bundle(pl_bundle *bundle, pl_error *err, char *error, size_t error_size)
{
    pl_report report;
    pl_local_options options = {.engine = pl_lua_engine()};
    pl_report_init(&report);
    pl_app *app = bundle ? pl_calloc(1, sizeof *app) : NULL;
    if (bundle && !app)
        pl_fail_memory(err);
    if (app)
        app->local = pl_local_open(bundle, &options, &report, err);
    if (app && !app->local) {
        pl_free(app);
        app = NULL;
    }
    if (!app)
        give_error(error, error_size, &report, err);
    pl_bundle_unref(bundle);
    pl_report_dispose(&report);
    return app;
}

pl_app *pl_app_open(const char *directory, char *error, size_t error_size)
{
    pl_error err = {0};
    pl_bundle *bundle = pl_bundle_read(directory, &err);
    return open_bundle(bundle, &err, error, error_size);
}

pl_app *pl_app_open_memory(const pl_app_file *files, size_t count, char *error, size_t error_size)
{
    pl_error err = {0};
    pl_bundle *bundle = NULL;
    pl_file *list = pl_calloc(count + 1, sizeof *list);
    for (size_t i = 0; list && i < count; i++)
        list[i] =
            (pl_file){pl_str_of(files[i].path), {files[i].bytes ? files[i].bytes : "", files[i].length}};
    if (list)
        bundle = pl_bundle_from_memory(list, count, &err);
    else
        pl_fail_memory(&err);
    pl_free(list);
    return open_bundle(bundle, &err, error, error_size);
}

void pl_app_close(pl_app *app)
{
    if (!app)
        return;
    pl_local_close(app->local);
    pl_free(app);
}

int pl_app_execute(pl_app *app, const char *request, size_t request_length, char **response, size_t *length)
{
    pl_buf out;
    pl_error err = {0};
    pl_buf_init(&out);
    pl_code code = pl_local_execute(app->local, (pl_str){request, request_length}, &out, &err);
    if (code)
        gql_write_error(&out, code, pl_str_of(err.message));
    pl_buf_char(&out, '\0');
    *response = NULL;
    *length = 0;
    if (out.failed) {
        pl_buf_dispose(&out);
        return PL_RESOURCE_EXHAUSTED;
    }
    *response = out.data;
    *length = out.len - 1;
    return (int)code;
}

void pl_app_free(char *response)
{
    pl_free(response);
}

const char *pl_version(void)
{
    return PL_VERSION;
}
