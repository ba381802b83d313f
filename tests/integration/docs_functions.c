/* SPDX-License-Identifier: MIT */
/* What the examples of docs/native-functions.md and docs/embedding.md need around them to be a program:
 * test_embedding_docs.py puts their text into the files that are included here. Prints an answer a line. */
#include <perilune.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct user {
    const char *id, *name;
};

static const struct user *find_user(const struct user *users, const char *id)
{
    while (users->id && strcmp(users->id, id) != 0)
        users++;
    return users->id ? users : NULL;
}

static pl_native_status count(pl_native_call *call, void *data);

#include "user.inc" /* docs/native-functions.md */

static pl_native_status get_user(pl_native_call *call, void *data)
{
    return pl_native_fail(call, PL_UNIMPLEMENTED, data ? "later" : "never");
}

static pl_native_status write_time(pl_native_call *call, void *data)
{
    (void)data;
    pl_native_put_text(call, "12:00");
    return PL_NATIVE_DONE;
}

#define read_time write_time

static pl_native_status on_payment(pl_native_call *call, void *data)
{
    pl_native_slot event = pl_native_argument(call, 0);
    printf("%s %s\n", (const char *)data, pl_native_json(call, event, NULL));
    return PL_NATIVE_DONE;
}

static pl_native_status authenticate(pl_native_call *call, void *data)
{
    (void)data;
    if (!pl_native_header(call, "authorization"))
        return PL_NATIVE_DONE;
    return pl_native_fail(call, PL_UNAUTHENTICATED, "not like that");
}

static unsigned counted;

static pl_native_status count(pl_native_call *call, void *data)
{
    (void)call;
    (void)data;
    counted++;
    return PL_NATIVE_DONE;
}

static void register_all(pl_app *app, struct user *users, char *ledger)
{
#include "register.inc"
}

static int ask_the_database(void)
{
    return 42;
}

static void queue_push(void *queue, void *(*job)(void *), void *call)
{
    pthread_t thread;
    if (pthread_create(&thread, queue, job, call) == 0)
        pthread_detach(thread);
}

#include "slow.inc"

struct ticks {
    int at, most;
};

static struct ticks *ticks_new(void)
{
    struct ticks *t = malloc(sizeof *t);
    *t = (struct ticks){0, 3};
    return t;
}

#include "ticks.inc"

#define user other_user /* docs/embedding.md has one of its own */
#include "other_user.inc"
#undef user

static unsigned turns;

static void own_loop(pl_app *app)
{
#include "loop.inc" /* for one turn */
}

static void on_done(void *data, pl_code code, const char *response, size_t length)
{
    (void)data;
    printf("%s %.*s\n", pl_code_name(code), (int)length, response);
}

static void ask(pl_app *app, const char *query)
{
    char request[300], *response;
    int length = snprintf(request, sizeof request, "{\"query\":\"%s\"}", query);
    pl_app_execute(app, request, (size_t)length, &response, NULL);
    puts(response ? response : "no memory");
    pl_free_text(response);
}

int main(void)
{
    static const char schema[] =
        "scalar DateTime  type User { id: ID  name: String }  type Subscription { none: Int }\n"
        "type Query { user(id: ID!): User  other(id: Int!): User  slow: Int  ticks: [Int]  at: DateTime }";
    static const char resolvers[] = "return { Query = { at = function() return 1 end },\n"
                                    "  Subscription = { none = { subscribe = function() end } } }";
    static const char proto[] = "syntax = \"proto3\"; package user.v1; message M {}\n"
                                "service UserService { rpc GetUser(M) returns (M); }";
    const pl_app_file files[] = {{"schema/s.graphql", schema, sizeof schema - 1},
                                 {"resolvers/q.lua", resolvers, sizeof resolvers - 1},
                                 {"proto/u.proto", proto, sizeof proto - 1}};
    struct user users[] = {{"1", "Ann"}, {NULL, NULL}};
    char error[1000], *response, ledger[] = "ledger";
    pl_app_options options = PL_APP_OPTIONS_INIT;
    options.files = files;
    options.file_count = sizeof files / sizeof *files;
    options.kafka = "off";
    pl_app *app = pl_app_new(&options, error, sizeof error);
    register_all(app, users, ledger);
    pl_app_resolver(app, "Query", "other", other_user, NULL);
    pl_app_resolver(app, "Query", "slow", slow, NULL);
    pl_app_resolver(app, "Query", "ticks", ticks, NULL);
    if (pl_app_start(app, error, sizeof error)) {
        printf("%s", error);
        return 1;
    }
    ask(app, "{ user(id: 1) { id name } }");
    ask(app, "{ user(id: 2) { id } }");
    ask(app, "{ other(id: 1) { name } }");
    ask(app, "{ slow ticks at }");
    pl_app_call(app, "user.v1.UserService/GetUser", "{}", 2, &response, NULL);
    puts(response);
    pl_free_text(response);
    const pl_app_event event = {.topic = "payments", .value = "{\"amount\":7}", .value_length = 12};
    pl_app_handle_event(app, &event, NULL, 0);
    pl_app_execute_async(app, "{\"query\":\"{ __typename }\"}", 26, on_done, NULL);
    own_loop(app);
    printf("%u\n", counted);
    pl_app_free(app);
    return 0;
}
