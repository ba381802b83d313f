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
    pl_app_entry entry;
    pl_buf out;
    pl_buf_init(&out);
    pl_app_visit(app, &entry);
    if (!server)
        PL_BUF_LIT(&out, "{}");
    else if (!pl_server_status(server, &out))
        out.failed = true;
    pl_app_leave(app, &entry);
    return take_text(&out);
}

char *pl_app_metrics(pl_app *app)
{
    pl_server *server = pl_app_server(app);
    pl_app_entry entry;
    pl_buf out;
    pl_buf_init(&out);
    pl_app_visit(app, &entry);
    if (server && !pl_server_metrics(server, &out))
        out.failed = true;
    pl_app_leave(app, &entry);
    return take_text(&out);
}

/* --- requests --- */
/* Gives away the request (NULL: there was no memory for it); its `done` is called in any case. */
static void send(pl_app *app, pl_direct_request *request, pl_app_done done, void *data)
{
    pl_server *server = pl_app_server(app);
    if (!request)
        done(data, PL_RESOURCE_EXHAUSTED, "", 0);
    else if (server)
        pl_server_direct(server, request);
    else
        pl_direct_refuse(request, PL_UNAVAILABLE, PL_STR_NONE);
}

static void tell_nobody(void *data, pl_code code, const char *response, size_t length)
{
    (void)data;
    (void)code;
    (void)response;
    (void)length;
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
    char *text = code == PL_OK || length > 0 ? pl_malloc(length + 1) : NULL;
    if (text) {
        if (length > 0)
            memcpy(text, response, length);
        text[length] = '\0';
    }
    pthread_mutex_lock(&w->lock);
    w->code = text || code ? code : PL_RESOURCE_EXHAUSTED;
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

static void waiter_init(waiter *w)
{
    *w = (waiter){.code = PL_OK};
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->ended, NULL);
}

static pl_code give(waiter *w, char **response, size_t *length)
{
    pthread_cond_destroy(&w->ended);
    pthread_mutex_destroy(&w->lock);
    if (response)
        *response = w->text;
    else
        pl_free(w->text);
    if (length)
        *length = w->length;
    return w->code;
}

/* Sends it, waits, and gives what has come. */
static pl_code ask(pl_app *app, pl_direct_request *request, waiter *w, char **response, size_t *length)
{
    static const pl_str inside = PL_STR("A callback or a native function of the app cannot wait for it.");
    pl_app_entry entry;
    pl_server *server = pl_app_server(app);
    bool from_worker = !app->worker && server && pl_server_is_inside(server);
    if (from_worker || !pl_app_enter(app, &entry)) {
        if (request)
            pl_direct_refuse(request, PL_FAILED_PRECONDITION, inside);
        else
            wake(w, PL_RESOURCE_EXHAUSTED, "", 0);
    } else {
        send(app, request, wake, w);
        wait(app, w);
        pl_app_leave(app, &entry);
    }
    return give(w, response, length);
}

/* A caller's struct may be older than ours: what it does not have is zero. NULL: or why it cannot be. */
static const char *read_request(const pl_app_request *from, pl_app_request *request)
{
    const char *bytes = (const char *)from;
    if (!from || from->size < offsetof(pl_app_request, headers))
        return "A request must begin with PL_APP_REQUEST_INIT.";
    for (size_t i = sizeof *request; i < from->size; i++) {
        if (bytes[i])
            return "The request has members that this version, " PL_VERSION ", does not know.";
    }
    memcpy(request, from, from->size < sizeof *request ? from->size : sizeof *request);
    return NULL;
}

static pl_direct_request *make(const pl_app_request *request, pl_app_done done, void *data)
{
    return request->method ? pl_direct_method(request, done, data) : pl_direct_graphql(request, done, data);
}

/* Ends a request that cannot be. */
static void reject(const char *why, pl_app_done done, void *data)
{
    static const pl_app_request nothing = PL_APP_REQUEST_INIT;
    pl_direct_request *r = pl_direct_graphql(&nothing, done, data);
    if (r)
        pl_direct_refuse(r, PL_INVALID_ARGUMENT, pl_str_of(why));
    else
        done(data, PL_RESOURCE_EXHAUSTED, "", 0);
}

pl_code pl_app_ask(pl_app *app, const pl_app_request *from, char **response, size_t *length)
{
    pl_app_request request = PL_APP_REQUEST_INIT;
    const char *why = read_request(from, &request);
    waiter w;
    waiter_init(&w);
    if (!why)
        return ask(app, make(&request, wake, &w), &w, response, length);
    reject(why, wake, &w);
    return give(&w, response, length);
}

void pl_app_ask_async(pl_app *app, const pl_app_request *from, pl_app_done done, void *data)
{
    pl_app_request request = PL_APP_REQUEST_INIT;
    const char *why = read_request(from, &request);
    done = done ? done : tell_nobody;
    if (why)
        reject(why, done, data);
    else
        send(app, make(&request, done, data), done, data);
}

static pl_app_request request_of(const char *method, const char *body, size_t length)
{
    pl_app_request request = PL_APP_REQUEST_INIT;
    request.method = method;
    request.body = body;
    request.length = length;
    return request;
}

pl_code pl_app_execute(pl_app *app, const char *text, size_t text_length, char **response, size_t *length)
{
    const pl_app_request request = request_of(NULL, text, text_length);
    return pl_app_ask(app, &request, response, length);
}

void pl_app_execute_async(pl_app *app, const char *text, size_t text_length, pl_app_done done, void *data)
{
    const pl_app_request request = request_of(NULL, text, text_length);
    pl_app_ask_async(app, &request, done, data);
}

pl_code pl_app_call(pl_app *app, const char *method, const char *text, size_t text_length, char **response,
                    size_t *length)
{
    const pl_app_request request = request_of(method ? method : "", text, text_length);
    return pl_app_ask(app, &request, response, length);
}

void pl_app_call_async(pl_app *app, const char *method, const char *text, size_t text_length,
                       pl_app_done done, void *data)
{
    const pl_app_request request = request_of(method ? method : "", text, text_length);
    pl_app_ask_async(app, &request, done, data);
}

/* --- events --- */
static pl_code give_failure(pl_code code, char *message, char *error, size_t error_size)
{
    if (error && error_size > 0)
        snprintf(error, error_size, "%s", code && message ? message : "");
    pl_free(message);
    return code;
}

pl_code pl_app_publish(pl_app *app, const pl_app_event *event, char *error, size_t error_size)
{
    waiter w;
    char *response;
    waiter_init(&w);
    pl_code code = ask(app, pl_direct_publish(event, wake, &w), &w, &response, NULL);
    return give_failure(code, response, error, error_size);
}

void pl_app_publish_async(pl_app *app, const pl_app_event *event, pl_app_done done, void *data)
{
    done = done ? done : tell_nobody;
    send(app, pl_direct_publish(event, done, data), done, data);
}

pl_code pl_app_handle_event(pl_app *app, const pl_app_event *event, char *error, size_t error_size)
{
    waiter w;
    char *response;
    waiter_init(&w);
    pl_code code = ask(app, pl_direct_handle(event, wake, &w), &w, &response, NULL);
    return give_failure(code, response, error, error_size);
}
