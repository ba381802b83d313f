/* SPDX-License-Identifier: MIT */
#include "graphql/execution/incremental.h"
#include "value/json.h"

/* The JSON of payloads. The 2022 form knows no ids: each entry says by path and label where it belongs. */

static bool is_new(const gql_execution *x)
{
    return x->plan->incremental == GQL_INCREMENTAL_NEW;
}

static const gql_path *path_of(const gql_open *o)
{
    return o->group ? o->group->path : o->stream->work.path;
}

static pl_str label_of(const gql_open *o)
{
    return o->group ? o->group->defer->label : o->stream->plan->label;
}

static void begin_entry(pl_buf *out)
{
    if (out->len > 0)
        pl_buf_char(out, ',');
    pl_buf_char(out, '{');
}

static void write_id(pl_buf *out, const gql_open *o)
{
    pl_buf_printf(out, "\"id\":\"%u\"", o->id);
}

static void write_path(pl_buf *out, const gql_path *path)
{
    PL_BUF_LIT(out, ",\"path\":");
    gql_write_path(out, path, 0);
}

static void write_label(pl_buf *out, pl_str label)
{
    if (!label.ptr)
        return;
    PL_BUF_LIT(out, ",\"label\":");
    pl_json_string(out, label);
}

static void write_errors(pl_buf *out, pl_str errors)
{
    if (errors.len == 0)
        return;
    PL_BUF_LIT(out, ",\"errors\":[");
    pl_buf_str(out, errors);
    pl_buf_char(out, ']');
}

void gql_publish_pending(gql_execution *x, gql_open *o)
{
    pl_buf *out = &x->delivery->pending;
    if (!is_new(x))
        return;
    if (!o->has_id)
        o->id = x->delivery->next_id++;
    o->has_id = true;
    begin_entry(out);
    write_id(out, o);
    write_path(out, path_of(o));
    write_label(out, label_of(o));
    pl_buf_char(out, '}');
}

/* Of the groups that the task belongs to and the client knows, the one with the longest path. */
static const gql_group *best_group(const gql_group *group, const gql_task *task)
{
    for (uint32_t i = 0; i < task->link_count; i++) {
        const gql_group *other = task->links[i].group;
        if (other->open.has_id && other->depth > group->depth)
            group = other;
    }
    return group;
}

void gql_publish_task(gql_execution *x, const gql_group *group, gql_task *task)
{
    pl_buf *out = &x->delivery->incremental;
    const gql_part *part = task->part;
    const gql_group *best = is_new(x) ? best_group(group, task) : group;
    begin_entry(out);
    if (is_new(x)) {
        write_id(out, &best->open);
        pl_buf_char(out, ',');
    }
    PL_BUF_LIT(out, "\"data\":");
    pl_buf_str(out, pl_buf_view(&part->out.buf));
    if (!is_new(x))
        write_path(out, group->path);
    write_errors(out, pl_buf_view(&part->errors));
    if (is_new(x) && task->work.depth > best->depth) {
        PL_BUF_LIT(out, ",\"subPath\":");
        gql_write_path(out, task->work.path, best->depth);
    } else if (!is_new(x)) {
        write_label(out, group->defer->label);
    }
    pl_buf_char(out, '}');
}

void gql_publish_success(gql_execution *x, gql_open *o)
{
    pl_buf *out = &x->delivery->completed;
    if (!is_new(x))
        return;
    begin_entry(out);
    write_id(out, o);
    pl_buf_char(out, '}');
    o->has_id = false;
}

void gql_publish_failure(gql_execution *x, gql_open *o, pl_str error)
{
    pl_buf *out = is_new(x) ? &x->delivery->completed : &x->delivery->incremental;
    begin_entry(out);
    if (is_new(x)) {
        write_id(out, o);
        write_errors(out, error);
    } else {
        pl_buf_str(out, o->group ? PL_STR("\"data\":null") : PL_STR("\"items\":null"));
        write_path(out, path_of(o));
        write_errors(out, error);
        write_label(out, label_of(o));
    }
    pl_buf_char(out, '}');
    o->has_id = false;
}

void gql_publish_items(gql_execution *x, gql_stream *s)
{
    pl_buf *out = &x->delivery->incremental;
    begin_entry(out);
    if (is_new(x)) {
        write_id(out, &s->open);
        pl_buf_char(out, ',');
    }
    PL_BUF_LIT(out, "\"items\":[");
    pl_buf_str(out, pl_buf_view(&s->items));
    pl_buf_char(out, ']');
    if (!is_new(x))
        write_path(out, &(gql_path){.parent = s->work.path, .index = s->delivered});
    write_errors(out, pl_buf_view(&s->errors));
    if (!is_new(x))
        write_label(out, s->plan->label);
    pl_buf_char(out, '}');
}

bool gql_publish_is_empty(const gql_execution *x)
{
    const gql_delivery *d = x->delivery;
    return d->pending.len == 0 && d->incremental.len == 0 && d->completed.len == 0;
}

#define KEEP (64 << 10) /* bytes of a buffer that are kept for the next payload */

static void write_list(pl_buf *out, const char *name, pl_buf *list)
{
    if (list->len > 0) {
        pl_buf_printf(out, ",\"%s\":[", name);
        pl_buf_str(out, pl_buf_view(list));
        pl_buf_char(out, ']');
    }
    out->failed |= list->failed;
    pl_buf_reset(list, KEEP);
}

void gql_publish(gql_execution *x, pl_buf *out, bool has_next)
{
    pl_buf_printf(out, "{\"hasNext\":%s", has_next ? "true" : "false");
    write_list(out, "pending", &x->delivery->pending);
    write_list(out, "incremental", &x->delivery->incremental);
    write_list(out, "completed", &x->delivery->completed);
    pl_buf_char(out, '}');
}

void gql_publish_first(gql_execution *x, pl_buf *out)
{
    write_list(out, "pending", &x->delivery->pending);
    PL_BUF_LIT(out, ",\"hasNext\":true");
}
