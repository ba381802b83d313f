/* SPDX-License-Identifier: MIT */
#include <perilune.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guard.h"

/* Requests, calls and events through the C API, on the caller's thread. */

#define BUNDLES "tests/bench/bundles/"

typedef struct ask {
    const char *bundle, *method; /* method NULL: GraphQL */
    const char *body;
    const char *answer; /* its first bytes */
    size_t length;      /* of all of them; 0: not known */
} ask;

typedef struct asking {
    pl_app *app;
    const ask *ask;
    pl_app_request request;
    char *response;
    size_t length;
} asking;

static pl_app *start(const pl_app_options *options)
{
    char error[1000];
    pl_app *app = pl_app_new(options, error, sizeof error);
    if (!app || pl_app_start(app, error, sizeof error))
        guard_die("start", error);
    return app;
}

/* Slices and timers read this clock: what is counted must not depend on how fast it goes. */
static uint64_t standing_clock(void *data)
{
    return UINT64_C(1000000000000);
}

static void *prepare_ask(const void *data)
{
    asking *a = calloc(1, sizeof *a);
    if (!a)
        guard_die("prepare", "out of memory");
    pl_app_options options = PL_APP_OPTIONS_INIT;
    a->ask = data;
    options.directory = a->ask->bundle;
    options.clock = standing_clock;
    a->app = start(&options);
    a->request = (pl_app_request)PL_APP_REQUEST_INIT;
    a->request.method = a->ask->method;
    a->request.body = a->ask->body;
    a->request.length = strlen(a->ask->body);
    return a;
}

static void ask_once(void *prepared)
{
    asking *a = prepared;
    pl_free_text(a->response);
    if (pl_app_ask(a->app, &a->request, &a->response, &a->length))
        guard_die("request", a->response ? a->response : "out of memory");
}

static void check_ask(void *prepared)
{
    asking *a = prepared;
    const ask *wanted = a->ask;
    if ((wanted->length && a->length != wanted->length) ||
        strncmp(a->response, wanted->answer, strlen(wanted->answer)) != 0) {
        fprintf(stderr, "guard: %zu bytes: %s\n", a->length, a->response);
        guard_die("answer", "not as expected");
    }
}

static void dispose_ask(void *prepared)
{
    asking *a = prepared;
    pl_free_text(a->response);
    pl_app_free(a->app);
    free(a);
}

/* --- an event: parsed, and given to a handler that changes it --- */
typedef struct handling {
    pl_app *app;
    pl_app_event event;
} handling;

static const char consumer[] = "return { topic = 'input', group = 'guard', handler = function(event, msg)\n"
                               "  event.quantity = event.quantity + 1\n"
                               "  assert(event.quantity == 8 and msg.key == 'order-1')\n"
                               "end }";

static void *prepare_event(const void *data)
{
    handling *h = calloc(1, sizeof *h);
    if (!h)
        guard_die("prepare", "out of memory");
    pl_app_options options = PL_APP_OPTIONS_INIT;
    const pl_app_file file = {"events/change.lua", consumer, sizeof consumer - 1};
    options.files = &file;
    options.file_count = 1;
    options.kafka = "off";
    options.clock = standing_clock;
    h->app = start(&options);
    h->event = (pl_app_event){.topic = "input", .key = "order-1", .key_length = 7, .value = data};
    h->event.value_length = strlen(data);
    return h;
}

static void handle_once(void *prepared)
{
    handling *h = prepared;
    char error[1000];
    if (pl_app_handle_event(h->app, &h->event, error, sizeof error))
        guard_die("event", error);
}

static void check_event(void *prepared)
{
}

static void dispose_event(void *prepared)
{
    handling *h = prepared;
    pl_app_free(h->app);
    free(h);
}

/* --- all --- */
#define ASK(...)                                                \
    prepare_ask, ask_once, check_ask, dispose_ask, &(const ask) \
    {                                                           \
        __VA_ARGS__                                             \
    }
#define GRAPHQL(BODY, ANSWER, LENGTH) ASK(BUNDLES "graphql", NULL, BODY, ANSWER, LENGTH)
#define GRPC(METHOD, BODY, ANSWER, LENGTH) ASK(BUNDLES "grpc", "bench.v1.Bench/" METHOD, BODY, ANSWER, LENGTH)

static const char nested[] =
    "{\"query\":\"{ users { id name email posts { id title author { id name } } } }\"}";
static const char list[] =
    "{\"query\":\"{ items { id name description price quantity available colour weight "
    "rating supplier } }\"}";
static const char variables[] =
    "{\"query\":\"query ($person: PersonInput!, $times: Int!) { greet(person: $person, times: $times) "
    "{ lines tone age tags } "
    "}\",\"variables\":{\"person\":{\"name\":\"Ada\",\"age\":36,\"tags\":[\"a\",\"b\"]},"
    "\"times\":3}}";
static const char mutation[] = "{\"query\":\"mutation ($text: String!) { addNote(text: $text) { id text } "
                               "}\",\"variables\":{\"text\":\"a "
                               "note\"}}";
static const char order[] =
    "{\"id\":\"o-1\",\"customer\":{\"id\":\"c-1\",\"name\":\"Ada Lovelace\",\"email\":\"ada@example.com\","
    "\"address\":{\"street\":\"St James's Square "
    "12\",\"city\":\"London\",\"country\":\"GB\",\"postcode\":\"SW1Y\"}},"
    "\"lines\":[{\"product\":\"p-1\",\"title\":\"Paper\",\"quantity\":2,\"price\":1.5,\"tags\":[\"a\",\"b\"]}"
    ","
    "{\"product\":\"p-2\",\"title\":\"Ink\",\"quantity\":1,\"price\":4.25,\"tags\":[\"c\"]}],"
    "\"labels\":{\"channel\":\"web\",\"priority\":\"high\"},\"status\":\"STATUS_OPEN\","
    "\"createdAt\":\"2024-05-06T07:08:09.5Z\",\"card\":{\"holder\":\"A. Lovelace\",\"lastDigits\":\"4242\","
    "\"expiryYear\":2030},\"related\":[\"1\",\"2\",\"3000000000\"]}";

const guard_case guard_cases[] = {
    {"graphql-hello", 2000, GRAPHQL("{\"query\":\"{ hello }\"}", "{\"data\":{\"hello\":\"world\"}}", 26)},
    {"graphql-nested", 150,
     GRAPHQL(nested, "{\"data\":{\"users\":[{\"id\":\"1\",\"name\":\"User number 1\"", 9347)},
    {"graphql-list", 20,
     GRAPHQL(list, "{\"data\":{\"items\":[{\"id\":\"1\",\"name\":\"Item number 1\"", 220708)},
    {"graphql-variables", 1000, GRAPHQL(variables, "{\"data\":{\"greet\":{\"lines\":[\"Hello, Ada!\"", 116)},
    {"graphql-loaders", 100,
     GRAPHQL("{\"query\":\"{ feed { id title author { id name } } }\"}",
             "{\"data\":{\"feed\":[{\"id\":\"1\",\"title\":\"Entry number 1\"", 8123)},
    {"graphql-mutation", 500, GRAPHQL(mutation, "{\"data\":{\"addNote\":{\"id\":\"", 0)},
    {"grpc-hello", 2000, GRPC("Hello", "{\"name\":\"world\"}", "{\"message\":\"Hello world\"}", 25)},
    {"grpc-nested", 500, GRPC("Nested", order, "{\"id\":\"o-1\",\"customer\":{\"id\":\"c-1\"", 562)},
    {"event", 2000, prepare_event, handle_once, check_event, dispose_event,
     "{\"id\":\"o-1\",\"quantity\":7,\"price\":1.5}"},
    {0},
};
