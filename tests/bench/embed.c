/* SPDX-License-Identifier: MIT */
#include <perilune.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* embed [SECONDS]: what a GraphQL request costs through the C API, from the call to the response, and how
 * many a second one worker answers. Prints a line for each way of asking and query (the best of five runs).
 */

static const char schema[] = "type Query { hello: String!  items: [Item!]! }\n"
                             "type Item { id: Int!  name: String! }";
static const char code[] =
    "return { Query = { hello = function() return 'world' end,\n"
    "  items = function() local l = {} for i = 1, 10 do l[i] = { id = i } end return l end },\n"
    "  Item = { name = function(item) return 'item ' .. item.id end } }";

static const struct query {
    const char *name, *text;
} queries[] = {{"{ hello }", "{\"query\":\"{ hello }\"}"},
               {"10 items, 11 resolvers", "{\"query\":\"{ items { id name } }\"}"}};

static pl_app *start(int workers)
{
    const pl_app_file files[] = {{"schema/s.graphql", schema, sizeof schema - 1},
                                 {"resolvers/q.lua", code, sizeof code - 1}};
    char error[1000];
    pl_app_options options = PL_APP_OPTIONS_INIT;
    options.files = files;
    options.file_count = 2;
    options.workers = workers;
    pl_app *app = pl_app_new(&options, error, sizeof error);
    if (!app || pl_app_start(app, error, sizeof error)) {
        fprintf(stderr, "embed: %s\n", error);
        exit(1);
    }
    return app;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Each waits for the one before. */
static unsigned long one_by_one(pl_app *app, const char *text, double until)
{
    unsigned long count = 0;
    size_t length = strlen(text);
    while (now() < until) {
        for (int i = 0; i < 100; i++, count++) {
            char *response;
            if (pl_app_execute(app, text, length, &response, NULL))
                exit(1);
            pl_free_text(response);
        }
    }
    return count;
}

static atomic_ulong answered;

static void on_done(void *data, pl_code result, const char *response, size_t length)
{
    (void)data;
    (void)response;
    (void)length;
    if (result)
        exit(1);
    atomic_fetch_add(&answered, 1);
}

/* 256 are in hand. */
static unsigned long many_at_once(pl_app *app, const char *text, double until)
{
    unsigned long asked = 0, length = strlen(text);
    atomic_store(&answered, 0);
    while (now() < until) {
        while (asked < atomic_load(&answered) + 256) {
            pl_app_execute_async(app, text, length, on_done, NULL);
            asked++;
        }
        if (pl_app_turn(app, 0) != PL_OK)
            sched_yield();
    }
    while (atomic_load(&answered) < asked) {
        if (pl_app_turn(app, -1) != PL_OK)
            sched_yield();
    }
    return asked;
}

static void measure(const char *way, int workers, double seconds,
                    unsigned long (*run)(pl_app *app, const char *text, double until))
{
    pl_app *app = start(workers);
    for (size_t q = 0; q < sizeof queries / sizeof *queries; q++) {
        double best = 1e9;
        run(app, queries[q].text, now() + 0.1);
        for (int i = 0; i < 5; i++) {
            double began = now();
            unsigned long count = run(app, queries[q].text, began + seconds);
            double each = (now() - began) / (double)count;
            best = each < best ? each : best;
        }
        printf("%-36s %-24s %7.2f us %9.0f/s\n", way, queries[q].name, best * 1e6, 1 / best);
    }
    pl_app_free(app);
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 1.0;
    measure("on the caller's thread", 0, seconds, one_by_one);
    measure("on the caller's thread, 256 in hand", 0, seconds, many_at_once);
    measure("by a worker, waiting", 1, seconds, one_by_one);
    measure("by a worker, 256 in hand", 1, seconds, many_at_once);
    return 0;
}
