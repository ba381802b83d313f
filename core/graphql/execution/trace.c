/* SPDX-License-Identifier: MIT */
#include "graphql/execution/trace.h"

#include "base/base64.h"
#include "graphql/execution/trace_internal.h"

#define MAX_NODES                                                                            \
    50000 /* of one trace: what is more is left out, and the trace says that it is not whole \
           */

static uint64_t elapsed(const gql_trace *trace)
{
    uint64_t now;
    trace->host->ops->clock(trace->host, &now, NULL);
    return now - trace->began;
}

static void dispose(void *data)
{
    pl_map_dispose(&((gql_trace *)data)->nodes);
}

gql_trace *gql_trace_new(pl_arena *arena, pl_host *host)
{
    gql_trace *trace = host && host->ops->clock ? pl_arena_zalloc(arena, sizeof *trace) : NULL;
    if (!trace || pl_arena_on_dispose(arena, dispose, trace) != 0)
        return NULL;
    trace->arena = arena;
    trace->host = host;
    host->ops->clock(host, &trace->began, &trace->wall[0]);
    return trace;
}

static gql_trace_node *node_new(gql_trace *trace, gql_trace_node *parent, const gql_path *path,
                                const uintptr_t key[2])
{
    gql_trace_node *node =
        trace->nodes.count < MAX_NODES ? pl_arena_zalloc(trace->arena, sizeof *node) : NULL;
    if (!node) {
        trace->incomplete = true;
        return NULL;
    }
    memcpy(node->key, key, sizeof node->key);
    node->name = path->key;
    node->index = path->index > UINT32_MAX ? UINT32_MAX : (uint32_t)path->index;
    if (!pl_map_set(&trace->nodes, (pl_str){(const char *)node->key, sizeof node->key}, node)) {
        trace->incomplete = true;
        return NULL;
    }
    if (parent->last_child)
        parent->last_child->next = node;
    else
        parent->children = node;
    parent->last_child = node;
    return node;
}

/* The node of a place in the response, made when there is none yet; NULL: there are too many. Recursion is as
 * deep as the response. A step is told by its address: a plan's response keys stay where they are. */
static gql_trace_node *node_at(gql_trace *trace, const gql_path *path)
{
    if (!path)
        return &trace->root;
    gql_trace_node *parent = node_at(trace, path->parent);
    if (!parent)
        return NULL;
    uintptr_t key[2] = {(uintptr_t)parent, path->key.ptr ? (uintptr_t)path->key.ptr : path->index};
    gql_trace_node *node = pl_map_get(&trace->nodes, (pl_str){(const char *)key, sizeof key});
    return node ? node : node_new(trace, parent, path, key);
}

void gql_trace_begin(gql_trace *trace, const gql_plan_field *field, const gql_path *path)
{
    if (field->how == GQL_RESOLVE_TYPENAME || field->how == GQL_RESOLVE_META)
        return;
    gql_trace_node *node = node_at(trace, path);
    if (!node)
        return;
    node->field = field;
    node->begin = node->end = elapsed(trace);
}

void gql_trace_end(gql_trace *trace, const gql_path *path)
{
    gql_trace_node *node = node_at(trace, path);
    if (node && !node->field && path->parent) /* an item: its list is as late as the last of them */
        node = node_at(trace, path->parent);
    if (node && node->field)
        node->end = elapsed(trace);
}

void gql_trace_error(gql_trace *trace, const gql_plan_field *field, const gql_path *path, pl_str message,
                     pl_str json)
{
    gql_trace_node *node = node_at(trace, path);
    gql_trace_error_node *error = pl_arena_zalloc(trace->arena, sizeof *error);
    if (!error || !(error->message = pl_arena_str(trace->arena, message)).ptr ||
        !(error->json = pl_arena_str(trace->arena, json)).ptr) {
        trace->incomplete = true;
        return;
    }
    node = node ? node : &trace->root;
    error->field = field;
    error->time = elapsed(trace);
    if (node->last_error)
        node->last_error->next = error;
    else
        node->errors = error;
    node->last_error = error;
}

void gql_trace_write(gql_trace *trace, pl_buf *out)
{
    uint64_t now;
    pl_buf message;
    pl_buf_init(&message);
    trace->host->ops->clock(trace->host, &now, &trace->wall[1]);
    trace->duration = now - trace->began;
    gql_trace_encode(trace, &message);
    pl_base64_write(out, pl_buf_view(&message));
    out->failed |= message.failed;
    pl_buf_dispose(&message);
}
