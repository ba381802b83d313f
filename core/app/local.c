/* SPDX-License-Identifier: MIT */
#include "app/local.h"

#include "app/grpc_clients.h"
#include "app/instance_host.h"
#include "app/pubsub.h"
#include "base/alloc.h"

struct pl_local {
    pl_helpers *helpers;
    pl_loop *loop;
    pl_host_ops ops; /* the loop's, with execute added */
    struct pl_shared *shared;
    pl_pubsub_hub *hub;
    pl_pubsub *pubsub;
    pl_grpc_clients *clients;
    pl_watchdog *watchdog;
    pl_generation *generation;
    pl_logger *log;
    unsigned requests;
    struct operation *waiting; /* list */
};

/* --- one operation --- */
typedef struct operation operation;
struct operation {
    operation *next, *prev; /* of those that wait */
    gql_run *run;           /* NULL until it is among them */
    pl_local *local;
    pl_arena arena;
    pl_work work;
    void (*done)(void *data, pl_str response);
    void *data;
};

static void waiting_add(operation *op)
{
    op->next = op->local->waiting;
    if (op->next)
        op->next->prev = op;
    op->local->waiting = op;
}

static void waiting_remove(operation *op)
{
    if (!op->run)
        return;
    *(op->prev ? &op->prev->next : &op->local->waiting) = op->next;
    if (op->next)
        op->next->prev = op->prev;
}

static void operation_end(operation *op, pl_str body)
{
    pl_state *state = op->local->generation->instances[0]->state;
    waiting_remove(op);
    pl_engine_of(state)->work_end(state, &op->work);
    op->done(op->data, body);
    pl_arena_dispose(&op->arena);
    pl_free(op);
}

static void on_payload(void *data, const gql_payload *payload)
{
    operation_end(data, payload->body);
}

/* The request's "headers", a map of strings: what a test says came with it. */
static bool read_headers(operation *op, const pl_value *request)
{
    const pl_value *map = pl_value_member(request, PL_STR("headers"));
    size_t count = map && map->kind == PL_KIND_MAP ? map->map.count : 0;
    pl_header *headers = pl_arena_array(&op->arena, count, sizeof *headers);
    op->work.headers = headers;
    for (size_t i = 0; headers && i < count; i++) {
        const pl_member *m = &map->map.members[i];
        char *name = pl_arena_alloc(&op->arena, m->name.len);
        if (!name)
            return false;
        for (size_t k = 0; k < m->name.len; k++) {
            char c = m->name.ptr[k];
            name[k] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
        }
        if (m->value.kind == PL_KIND_STRING)
            headers[op->work.header_count++] = (pl_header){{name, m->name.len}, m->value.string};
    }
    return headers != NULL;
}

static pl_code operation_start(pl_local *local, pl_str request, void (*done)(void *data, pl_str response),
                               void *data, pl_error *err)
{
    pl_instance *instance = local->generation->instances[0];
    if (!instance->service)
        return pl_fail(err, PL_FAILED_PRECONDITION, "the bundle has no schema");
    operation *op = pl_calloc(1, sizeof *op);
    if (!op)
        return pl_fail_memory(err);
    pl_arena_init(&op->arena, 0);
    op->local = local;
    op->done = done;
    op->data = data;
    pl_value json;
    gql_request parsed;
    pl_code code = pl_json_read(&op->arena, request, NULL, &json, err);
    if (code == PL_OK)
        code = gql_request_read(&json, &parsed, err);
    if (code) {
        pl_arena_dispose(&op->arena);
        pl_free(op);
        return code;
    }
    op->work = (pl_work){.protocol = "graphql",
                         .id = pl_arena_printf(&op->arena, "local-%u", ++local->requests),
                         .arena = &op->arena,
                         .ctx = PL_REF_NONE,
                         .log = local->log};
    if (!read_headers(op, &json)) {
        pl_arena_dispose(&op->arena);
        pl_free(op);
        return pl_fail_memory(err);
    }
    gql_run *run = gql_service_run(instance->service, &parsed, &op->work, on_payload, op);
    if (run) { /* else op is gone */
        op->run = run;
        waiting_add(op);
    }
    return PL_OK;
}

static pl_code host_execute(pl_host *host, pl_state *state, pl_str request,
                            void (*done)(void *data, pl_str response), void *data, pl_error *err)
{
    (void)state;
    return operation_start(host->owner, request, done, data, err);
}

static int host_subscribe(pl_host *host, pl_str topic, pl_subscriber *subscriber)
{
    return pl_pubsub_subscribe(((pl_local *)host->owner)->pubsub, host, topic, subscriber);
}

static void host_unsubscribe(pl_host *host, pl_subscriber *subscriber)
{
    pl_pubsub_unsubscribe(((pl_local *)host->owner)->pubsub, subscriber);
}

static pl_code host_publish(pl_host *host, pl_str topic, pl_str json, pl_error *err)
{
    return pl_pubsub_publish(((pl_local *)host->owner)->pubsub, topic, json, err);
}

static pl_code host_purge(pl_host *host, pl_str type, pl_str id, size_t *dropped, pl_error *err)
{
    return pl_instance_purge(pl_local_instance(host->owner), type, id, dropped, err);
}

static pl_code host_remote(pl_host *host, const pl_remote_config *config, pl_remote **out, pl_error *err)
{
    pl_local *local = host->owner;
    return pl_grpc_clients_open(local->clients, pl_local_instance(local), config, out, err);
}

typedef struct waiter {
    pl_local *local;
    pl_buf *response;
    bool done;
} waiter;

static void waiter_done(void *data, pl_str response)
{
    waiter *w = data;
    pl_buf_str(w->response, response);
    w->done = true;
    pl_local_wake(w->local);
}

pl_code pl_local_execute(pl_local *local, pl_str request, pl_buf *response, pl_error *err)
{
    waiter w = {local, response, false};
    pl_code code = operation_start(local, request, waiter_done, &w, err);
    if (code)
        return code;
    pl_local_run_until(local, &w.done);
    return response->failed ? pl_fail_memory(err) : PL_OK;
}

/* --- life --- */
static pl_code open_parts(pl_local *local, pl_error *err)
{
    local->helpers = pl_helpers_new(1, 1000);
    local->shared = pl_shared_new(0);
    local->hub = pl_pubsub_hub_new(0);
    local->watchdog = pl_watchdog_new();
    if (!local->helpers || !local->shared || !local->watchdog || !local->hub)
        return pl_fail(err, PL_RESOURCE_EXHAUSTED, "memory or threads are exhausted");
    local->loop = pl_loop_new(local->helpers, local->log, err);
    if (!local->loop)
        return err->code;
    pl_host *host = pl_loop_host(local->loop);
    local->ops = *host->ops;
    local->ops.execute = host_execute;
    local->ops.subscribe = host_subscribe;
    local->ops.unsubscribe = host_unsubscribe;
    local->ops.publish = host_publish;
    local->ops.purge = host_purge;
    local->ops.remote = host_remote;
    if (!(local->pubsub = pl_pubsub_join(local->hub, local->loop)))
        return pl_fail_memory(err);
    if (!(local->clients = pl_grpc_clients_new(local->loop, local->log, err)))
        return err->code;
    host->ops = &local->ops;
    host->owner = local;
    host->shared = local->shared;
    return PL_OK;
}

pl_local *pl_local_open(pl_bundle *bundle, const pl_local_options *options, pl_report *report, pl_error *err)
{
    pl_local *local = pl_calloc(1, sizeof *local);
    if (!local) {
        pl_fail_memory(err);
        return NULL;
    }
    local->log = options->log;
    if (open_parts(local, err) != PL_OK)
        goto failed;
    pl_generation_options generation = {.engine = options->engine,
                                        .workers = 1,
                                        .log = options->log,
                                        .shared = local->shared,
                                        .natives = options->natives,
                                        .testing = options->testing};
    local->generation = pl_generation_build(bundle, &generation, report);
    if (!local->generation)
        goto failed;
    pl_state *state = local->generation->instances[0]->state;
    if (options->limits)
        options->engine->set_limits(state, options->limits);
    if (!pl_watchdog_add(local->watchdog, state)) {
        pl_fail_memory(err);
        goto failed;
    }
    options->engine->state_attach(state, pl_loop_host(local->loop));
    return local;
failed:
    pl_local_close(local);
    return NULL;
}

void pl_local_close(pl_local *local)
{
    if (!local)
        return;
    while (local->waiting) {
        gql_run_cancel(local->waiting->run);
        operation_end(local->waiting, PL_STR("{\"errors\":[{\"message\":\"The bundle has been closed.\"}]}"));
    }
    if (local->generation && local->watchdog)
        pl_watchdog_remove(local->watchdog, local->generation->instances[0]->state);
    pl_watchdog_free(local->watchdog);
    if (local->clients && local->generation)
        pl_grpc_clients_leave(local->clients, pl_local_instance(local));
    pl_grpc_clients_free(local->clients);
    pl_generation_free(local->generation);
    if (local->pubsub)
        pl_pubsub_leave(local->pubsub);
    pl_loop_free(local->loop);
    pl_pubsub_free(local->pubsub);
    pl_pubsub_hub_free(local->hub);
    pl_helpers_free(local->helpers);
    pl_shared_free(local->shared);
    pl_free(local);
}

pl_instance *pl_local_instance(pl_local *local)
{
    return local->generation->instances[0];
}

void pl_local_run_until(pl_local *local, const bool *done)
{
    while (!*done)
        pl_loop_run(local->loop);
}

void pl_local_wake(pl_local *local)
{
    pl_loop_stop(local->loop);
}
