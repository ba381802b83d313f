/* SPDX-License-Identifier: MIT */
#include "graphql/execution/failure.h"
#include "graphql/execution/internal.h"
#include "graphql/execution/trace.h"
#include "value/json.h"
#include "value/meter.h"

/* Errors go as JSON into their own buffer as they happen. What a client sees of an unexpected error is a code
 * and the request's id; the log has the rest. */

#define DEFAULT_MAX_ERRORS 100

const gql_path *gql_path_copy(gql_execution *x, const gql_path *path)
{
    gql_path *first = NULL, **at = &first;
    for (; path; path = path->parent) {
        gql_path *copy = pl_arena_alloc(x->arena, sizeof *copy);
        if (!copy) {
            x->out.failed = true;
            return NULL;
        }
        *copy = *path;
        copy->parent = NULL;
        *at = copy;
        at = (gql_path **)&copy->parent;
    }
    return first;
}

static size_t path_list(const gql_path *path, const gql_path **list, size_t max)
{
    size_t n = 0;
    for (const gql_path *p = path; p; p = p->parent)
        n++;
    size_t i = n;
    for (const gql_path *p = path; p; p = p->parent) {
        if (--i < max)
            list[i] = p;
    }
    return n < max ? n : max;
}

#define MAX_PATH 1024

void gql_path_print(pl_buf *out, const gql_path *path)
{
    const gql_path *list[MAX_PATH];
    size_t n = path_list(path, list, MAX_PATH);
    for (size_t i = 0; i < n; i++) {
        if (list[i]->key.ptr)
            pl_buf_printf(out, "%s%.*s", i ? "." : "", PL_STR_ARG(list[i]->key));
        else
            pl_buf_printf(out, "[%zu]", list[i]->index);
    }
}

void gql_write_path(pl_buf *out, const gql_path *path, size_t from)
{
    const gql_path *list[MAX_PATH];
    size_t n = path_list(path, list, MAX_PATH);
    pl_buf_char(out, '[');
    for (size_t i = from; i < n; i++) {
        if (i > from)
            pl_buf_char(out, ',');
        if (list[i]->key.ptr)
            pl_json_string(out, list[i]->key);
        else
            pl_json_int(out, (int64_t)list[i]->index);
    }
    pl_buf_char(out, ']');
}

static void write_locations(pl_buf *out, const gql_plan_field *field)
{
    PL_BUF_LIT(out, ",\"locations\":[");
    for (uint32_t i = 0; i < field->node_count && i < 16; i++)
        pl_buf_printf(out, "%s{\"line\":%u,\"column\":%u}", i ? "," : "", field->nodes[i]->loc.line,
                      field->nodes[i]->loc.column);
    pl_buf_char(out, ']');
}

void gql_write_error_extensions(pl_buf *out, pl_code code, const pl_value *details,
                                const pl_value *extensions, pl_str id)
{
    PL_BUF_LIT(out, ",\"extensions\":{\"code\":\"");
    pl_buf_str(out, pl_str_of(pl_code_name(code)));
    pl_buf_char(out, '"');
    if (id.ptr) {
        PL_BUF_LIT(out, ",\"id\":");
        pl_json_string(out, id);
    }
    if (details && details->kind == PL_KIND_MAP && details->map.count > 0) {
        PL_BUF_LIT(out, ",\"violations\":");
        pl_json_value(out, details);
    }
    if (extensions && extensions->kind == PL_KIND_MAP) {
        for (size_t i = 0; i < extensions->map.count; i++) {
            const pl_member *m = &extensions->map.members[i];
            if (pl_str_is(m->name, "code") || pl_str_is(m->name, "violations") || pl_str_is(m->name, "id"))
                continue;
            pl_buf_char(out, ',');
            pl_json_string(out, m->name);
            pl_buf_char(out, ':');
            pl_json_value(out, &m->value);
        }
    }
    pl_buf_char(out, '}');
}

static void count_error(const gql_execution *x, pl_code code)
{
    const pl_host *host = ((const pl_state_head *)x->state)->host;
    if (host && host->meter && (unsigned)code < PL_METER_CODES)
        host->meter->graphql_errors[code]++;
}

static void add(gql_execution *x, const gql_plan_field *field, const gql_path *path, pl_code code,
                pl_str message, const pl_value *details, const pl_value *extensions, pl_str id)
{
    uint32_t max = x->options.max_errors ? x->options.max_errors : DEFAULT_MAX_ERRORS;
    x->errors_met++;
    count_error(x, code);
    if (x->error_count++ >= max) {
        if (x->part == &x->first)
            return;
        x->errors.len = x->last_error; /* this one may be what the part fails with */
    } else if (x->errors.len > 0) {
        pl_buf_char(&x->errors, ',');
    }
    size_t begin = x->errors.len;
    x->last_error = begin;
    PL_BUF_LIT(&x->errors, "{\"message\":");
    pl_json_string(&x->errors, message);
    write_locations(&x->errors, field);
    PL_BUF_LIT(&x->errors, ",\"path\":");
    gql_write_path(&x->errors, path, 0);
    if (code != PL_OK)
        gql_write_error_extensions(&x->errors, code, details, extensions, id);
    pl_buf_char(&x->errors, '}');
    if (x->params.trace && !x->errors.failed)
        gql_trace_error(x->params.trace, field, path, message,
                        (pl_str){x->errors.data + begin, x->errors.len - begin});
}

void gql_error_add(gql_execution *x, const gql_plan_field *field, const gql_path *path, pl_code code,
                   pl_str message, const pl_value *details, const pl_value *extensions)
{
    add(x, field, path, code, message, details, extensions, PL_STR_NONE);
}

pl_str gql_failure_message(const pl_failure *failure, bool show_internal)
{
    if (failure->expected || show_internal)
        return failure->message;
    if (failure->code == PL_RESOURCE_EXHAUSTED)
        return PL_STR("The resolver used more than it may of memory or instructions.");
    if (failure->code == PL_DEADLINE_EXCEEDED)
        return PL_STR("The resolver took too long.");
    return PL_STR("Internal server error");
}

static void log_internal(gql_execution *x, const gql_path *path, const pl_failure *failure)
{
    pl_buf where;
    pl_buf_init(&where);
    gql_path_print(&where, path);
    pl_log_field fields[] = {PL_F_STR("request", x->work->id), PL_F_STR("path", pl_buf_view(&where)),
                             PL_F_CSTR("code", pl_code_name(failure->code)),
                             PL_F_STR("error", failure->message), PL_F_STR("traceback", failure->traceback)};
    size_t n = failure->traceback.len > 0 ? 5 : 4;
    pl_log_write(x->work->log, PL_ERROR, PL_STR("resolver failed"), fields, n);
    pl_buf_dispose(&where);
}

void gql_error_internal(gql_execution *x, const gql_plan_field *field, const gql_path *path,
                        const pl_failure *failure)
{
    if (x->error_count < (x->options.max_errors ? x->options.max_errors : DEFAULT_MAX_ERRORS))
        log_internal(x, path, failure);
    add(x, field, path, failure->code, gql_failure_message(failure, x->options.show_internal), NULL, NULL,
        x->work->id);
}

void gql_error_internal_text(gql_execution *x, const gql_plan_field *field, const gql_path *path,
                             pl_code code, const char *message)
{
    pl_failure failure = {.code = code, .message = pl_str_of(message)};
    gql_error_internal(x, field, path, &failure);
}

void gql_error_failure(gql_execution *x, const gql_plan_field *field, const gql_path *path,
                       const pl_failure *failure)
{
    if (failure->expected)
        gql_error_add(x, field, path, failure->code, failure->message, &failure->details,
                      &failure->extensions);
    else
        gql_error_internal(x, field, path, failure);
}
