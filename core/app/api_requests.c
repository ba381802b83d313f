/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "app/api_internal.h"
#include "app/direct.h"
#include "base/alloc.h"

/* --- what it says of itself --- */
static char *take_text(pl_buf *text)
{
    pl_buf_char(text, '\0');
    if (!text->failed)
        return text->data;
    pl_buf_dispose(text);
    return NULL;
}

char *pl_app_addresses(pl_app *app)
{
    pl_server *server = pl_app_server(app);
    pl_buf out;
    pl_buf_init(&out);
    pl_buf_char(&out, '{');
    if (server)
        pl_server_write_addresses(server, &out);
    pl_buf_char(&out, '}');
    return take_text(&out);
}

const char *pl_app_address(pl_app *app, const char *name)
{
    static const struct {
        const char *name;
        const char *(*of)(const pl_server *server);
    } all[] = {{"http", pl_server_address},        {"https", pl_server_tls_address},
               {"grpc", pl_server_grpc_address},   {"grpcs", pl_server_grpc_tls_address},
               {"kafka", pl_server_kafka_address}, {"metrics", pl_server_metrics_address}};
    pl_server *server = pl_app_server(app);
    for (size_t i = 0; server && name && i < sizeof all / sizeof *all; i++) {
        if (strcmp(all[i].name, name) == 0)
            return all[i].of(server);
    }
    return NULL;
}

char *pl_app_status(pl_app *app)
{
    pl_server *server = pl_app_server(app);
    pl_buf out;
    pl_buf_init(&out);
    if (server)
        pl_server_status(server, &out);
    else
        PL_BUF_LIT(&out, "{}");
    return take_text(&out);
}

char *pl_app_metrics(pl_app *app)
{
    pl_server *server = pl_app_server(app);
    pl_buf out;
    pl_buf_init(&out);
    if (server && !pl_server_metrics(server, &out))
        out.failed = true;
    return take_text(&out);
}

/* --- requests --- */
static const char no_memory[] = "{\"errors\":[{\"message\":\"out of memory\"}]}";

typedef pl_direct_request *maker(pl_str name, pl_str text, pl_app_done done, void *data);

static pl_direct_request *make_graphql(pl_str name, pl_str text, pl_app_done done, void *data)
{
    (void)name;
    return pl_direct_graphql(text, done, data);
}

static void send(pl_app *app, maker *make, pl_str name, pl_str text, pl_app_done done, void *data)
{
    pl_server *server = pl_app_server(app);
    pl_direct_request *direct = make(name, text, done, data);
    if (!direct) {
        done(data, PL_RESOURCE_EXHAUSTED, no_memory, sizeof no_memory - 1);
    } else if (server) {
        pl_server_direct(server, direct);
    } else {
        pl_direct_refuse(direct);
    }
}

/* --- waiting for one --- */
typedef struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool done;
    pl_code code;
    char *text;
    size_t length;
} waiter;

static void wake(void *data, pl_code code, const char *response, size_t length)
{
    waiter *w = data;
    char *text = pl_malloc(length + 1);
    if (text) {
        memcpy(text, response, length);
        text[length] = '\0';
    }
    pthread_mutex_lock(&w->lock);
    w->code = text ? code : PL_RESOURCE_EXHAUSTED;
    w->text = text;
    w->length = text ? length : 0;
    w->done = true;
    pthread_cond_signal(&w->ended);
    pthread_mutex_unlock(&w->lock);
}

static void wait(pl_app *app, waiter *w)
{
    while (app->worker && !w->done)
        pl_loop_turn(pl_worker_loop(app->worker), -1);
    pthread_mutex_lock(&w->lock);
    while (!w->done)
        pthread_cond_wait(&w->ended, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

static pl_code ask(pl_app *app, maker *make, pl_str name, pl_str text, char **response, size_t *length)
{
    waiter w = {.code = PL_OK};
    pl_app_entry entry;
    pl_server *server = pl_app_server(app);
    pthread_mutex_init(&w.lock, NULL);
    pthread_cond_init(&w.ended, NULL);
    bool inside = app->options.workers != 0 && server && pl_server_is_inside(server);
    if (inside || !pl_app_enter(app, &entry)) {
        pl_direct_answer_error(wake, &w, PL_FAILED_PRECONDITION,
                               PL_STR("A callback or a native function of the app cannot wait for it."));
    } else {
        send(app, make, name, text, wake, &w);
        wait(app, &w);
        pl_app_leave(app, &entry);
    }
    pthread_cond_destroy(&w.ended);
    pthread_mutex_destroy(&w.lock);
    *response = w.text;
    if (length)
        *length = w.length;
    return w.code;
}

pl_code pl_app_execute(pl_app *app, const char *text, size_t text_length, char **response, size_t *length)
{
    return ask(app, make_graphql, PL_STR(""), (pl_str){text, text_length}, response, length);
}

void pl_app_execute_async(pl_app *app, const char *text, size_t text_length, pl_app_done done, void *data)
{
    send(app, make_graphql, PL_STR(""), (pl_str){text, text_length}, done, data);
}
