/* SPDX-License-Identifier: MIT */
#include "cli/rpc.h"

#include "app/grpc_clients.h"
#include "base/alloc.h"

#define HELPERS 1 /* standard input */

struct rpc {
    pl_helpers *helpers;
    pl_loop *loop;
    pl_grpc_clients *clients;
    pl_remote *remote;
    bool woken;
};

static void add(pl_member *members, size_t *count, const char *name, const char *text)
{
    if (text)
        members[(*count)++] =
            (pl_member){pl_str_of(name), {.kind = PL_KIND_STRING, .string = pl_str_of(text)}};
}

static pl_code open_remote(rpc *r, const rpc_options *o, pl_error *err)
{
    pl_member tls[5], all[5];
    size_t tls_count = 0, count = 0;
    add(tls, &tls_count, "ca", o->ca);
    add(tls, &tls_count, "certificate", o->certificate);
    add(tls, &tls_count, "key", o->key);
    add(tls, &tls_count, "server_name", o->server_name);
    if (o->insecure)
        tls[tls_count++] = (pl_member){PL_STR("unverified"), {.kind = PL_KIND_BOOL, .boolean = true}};
    if (o->tls && tls_count > 0)
        all[count++] = (pl_member){PL_STR("tls"), {.kind = PL_KIND_MAP, .map = {tls, tls_count}}};
    else
        all[count++] = (pl_member){PL_STR("tls"), {.kind = PL_KIND_BOOL, .boolean = o->tls}};
    add(all, &count, "authority", o->authority);
    add(all, &count, "compression", o->compression);
    all[count++] = (pl_member){PL_STR("max_response"), {.kind = PL_KIND_INT, .integer = UINT32_MAX}};
    if (o->connect_timeout_s > 0)
        all[count++] =
            (pl_member){PL_STR("connect_timeout"), {.kind = PL_KIND_INT, .integer = o->connect_timeout_s}};
    pl_value options = {.kind = PL_KIND_MAP, .map = {all, count}};
    pl_remote_config config = {.target = pl_str_of(o->target), .key = PL_STR("call"), .options = &options};
    return pl_grpc_clients_open(r->clients, NULL, &config, &r->remote, err);
}

rpc *rpc_open(const rpc_options *options, pl_error *err)
{
    rpc *r = pl_calloc(1, sizeof(*r));
    if (!r) {
        pl_fail_memory(err);
        return NULL;
    }
    r->helpers = pl_helpers_new(HELPERS, 16);
    if (!r->helpers)
        pl_fail_memory(err);
    else
        r->loop = pl_loop_new(r->helpers, NULL, err);
    if (r->loop)
        r->clients = pl_grpc_clients_new(r->loop, NULL, err);
    if (r->clients && open_remote(r, options, err) == PL_OK)
        return r;
    rpc_close(r);
    return NULL;
}

void rpc_close(rpc *r)
{
    if (!r)
        return;
    if (r->remote)
        r->remote->ops->close(r->remote);
    pl_grpc_clients_free(r->clients);
    pl_helpers_free(r->helpers);
    pl_loop_free(r->loop);
    pl_free(r);
}

pl_host *rpc_host(rpc *r)
{
    return pl_loop_host(r->loop);
}

void rpc_wake(rpc *r)
{
    r->woken = true;
    pl_loop_stop(r->loop);
}

void rpc_wait(rpc *r)
{
    if (!r->woken)
        pl_loop_run(r->loop);
    r->woken = false;
}

static void on_changed(pl_remote_call *call)
{
    rpc_wake(call->waiter);
}

pl_code rpc_start(rpc *r, const rpc_call_options *options, pl_remote_call **out, pl_error *err)
{
    pl_remote_call_config config = {.path = pl_str_of(options->path),
                                    .metadata = options->metadata,
                                    .metadata_count = options->metadata_count,
                                    .timeout_ms = options->timeout_ms,
                                    .wait_for_ready = -1,
                                    .compression = PL_STR_NONE};
    pl_code code = r->remote->ops->start(r->remote, &config, out, err);
    if (code != PL_OK)
        return code;
    (*out)->changed = on_changed;
    (*out)->waiter = r;
    return PL_OK;
}

bool rpc_receive(rpc *r, pl_remote_call *call, pl_str *message)
{
    for (;;) {
        pl_remote_result result = call->ops->receive(call, message);
        if (result == PL_REMOTE_DONE || result == PL_REMOTE_END)
            return result == PL_REMOTE_DONE;
        rpc_wait(r);
    }
}
