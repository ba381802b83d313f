/* SPDX-License-Identifier: MIT */
#include <cjson/cJSON.h>
#include <perilune.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* c_api [WORKERS]: executes GraphQL requests through the C API, on this thread (0) or by workers. Each line
 * of the input is {"files": {path: text}, "requests": [request]}; for each request a line of output is its
 * response. */

static pl_app *open_app(const cJSON *files, int workers)
{
    pl_app_file list[64];
    size_t count = 0;
    char error[4096] = "";
    const cJSON *file;
    cJSON_ArrayForEach(file, files)
    {
        if (count == sizeof list / sizeof *list)
            return NULL;
        list[count++] = (pl_app_file){file->string, file->valuestring, strlen(file->valuestring)};
    }
    pl_app_options options = PL_APP_OPTIONS_INIT;
    options.files = list;
    options.file_count = count;
    options.workers = workers;
    pl_app *app = workers ? pl_app_new(&options, error, sizeof error)
                          : pl_app_open_memory(list, count, error, sizeof error);
    if (app && workers && pl_app_start(app, error, sizeof error)) {
        pl_app_free(app);
        app = NULL;
    }
    if (!app)
        fprintf(stderr, "%s", error);
    return app;
}

static int run_line(const char *line, int workers)
{
    int status = 1;
    cJSON *input = cJSON_Parse(line);
    pl_app *app = input ? open_app(cJSON_GetObjectItem(input, "files"), workers) : NULL;
    const cJSON *request;
    if (!app)
        goto done;
    cJSON_ArrayForEach(request, cJSON_GetObjectItem(input, "requests"))
    {
        char *text = cJSON_PrintUnformatted(request), *response;
        size_t length;
        pl_app_execute(app, text, strlen(text), &response, &length);
        printf("%s\n", response ? response : "null");
        pl_free_text(response);
        free(text);
    }
    status = 0;
done:
    pl_app_close(app);
    cJSON_Delete(input);
    return status;
}

int main(int argc, char **argv)
{
    char *line = NULL;
    size_t capacity = 0;
    int status = 0;
    while (status == 0 && getline(&line, &capacity, stdin) > 0)
        status = run_line(line, argc > 1 ? atoi(argv[1]) : 0);
    free(line);
    return status;
}
