/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"
#include "graphql/execution/failure.h"
#include "graphql/service_internal.h"

gql_service *gql_service_new(gql_binding *binding, const gql_service_options *options)
{
    gql_service *s = pl_calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->binding = binding;
    s->options = *options;
    s->interceptors = s->cache_session = PL_REF_NONE;
    if (s->options.max_errors == 0)
        s->options.max_errors = 5;
    if (s->options.max_response == 0)
        s->options.max_response = (size_t)64 << 20;
    pl_buf_init(&s->spare);
    s->documents = gql_documents_new(binding, &s->options);
    if (!s->documents || !gql_cache_open(s)) {
        gql_service_free(s);
        return NULL;
    }
    return s;
}

void gql_service_free(gql_service *s)
{
    if (!s)
        return;
    gql_cache_close(s);
    gql_documents_free(s->documents);
    pl_buf_dispose(&s->spare);
    pl_free(s);
}

gql_service_stats gql_service_get_stats(const gql_service *s)
{
    return gql_documents_stats(s->documents);
}

void gql_service_set_interceptors(gql_service *s, pl_ref chain)
{
    s->interceptors = chain;
}

/* --- JSON of requests and errors --- */
static pl_code wrong_type(pl_error *err, const char *name, const char *expected)
{
    return pl_fail(err, PL_INVALID_ARGUMENT, "\"%s\" must be %s.", name, expected);
}

pl_code gql_request_read_members(const pl_value *json, gql_request *out, pl_error *err)
{
    *out = (gql_request){0};
    if (json->kind != PL_KIND_MAP)
        return pl_fail(err, PL_INVALID_ARGUMENT, "The request must be a JSON object, but it is %s.",
                       pl_kind_phrase(json->kind));
    const pl_value *query = pl_value_member(json, PL_STR("query"));
    const pl_value *name = pl_value_member(json, PL_STR("operationName"));
    const pl_value *variables = pl_value_member(json, PL_STR("variables"));
    const pl_value *extensions = pl_value_member(json, PL_STR("extensions"));
    if (query && query->kind != PL_KIND_STRING && query->kind != PL_KIND_NULL)
        return wrong_type(err, "query", "a string");
    if (name && name->kind != PL_KIND_STRING && name->kind != PL_KIND_NULL)
        return wrong_type(err, "operationName", "a string");
    if (variables && variables->kind != PL_KIND_MAP && variables->kind != PL_KIND_NULL)
        return wrong_type(err, "variables", "an object");
    if (extensions && extensions->kind != PL_KIND_MAP && extensions->kind != PL_KIND_NULL)
        return wrong_type(err, "extensions", "an object");
    if (query && query->kind == PL_KIND_STRING)
        out->query = query->string;
    if (name && name->kind == PL_KIND_STRING)
        out->operation_name = name->string;
    if (variables && variables->kind == PL_KIND_MAP)
        out->variables = variables;
    if (extensions && extensions->kind == PL_KIND_MAP)
        out->extensions = extensions;
    return PL_OK;
}

pl_code gql_request_read(const pl_value *json, gql_request *out, pl_error *err)
{
    pl_code code = gql_request_read_members(json, out, err);
    if (code == PL_OK && !out->query.ptr)
        code = pl_fail(err, PL_INVALID_ARGUMENT, "The request must have a \"query\".");
    return code;
}

void gql_write_error(pl_buf *out, pl_code code, pl_str message)
{
    PL_BUF_LIT(out, "{\"errors\":[{\"message\":");
    pl_json_string(out, message);
    pl_buf_printf(out, ",\"extensions\":{\"code\":\"%s\"}}]}", pl_code_name(code));
}

void gql_write_diagnostics(pl_buf *out, const gql_diagnostics *list, pl_code code)
{
    if (list->out_of_memory || !list->first) {
        gql_write_error(out, PL_RESOURCE_EXHAUSTED, PL_STR("out of memory"));
        return;
    }
    PL_BUF_LIT(out, "{\"errors\":[");
    for (const gql_diagnostic *d = list->first; d; d = d->next) {
        if (d != list->first)
            pl_buf_char(out, ',');
        PL_BUF_LIT(out, "{\"message\":");
        pl_json_string(out, d->message);
        for (uint32_t i = 0; i < d->location_count; i++)
            pl_buf_printf(out, "%s{\"line\":%u,\"column\":%u}", i ? "," : ",\"locations\":[",
                          d->locations[i].line, d->locations[i].column);
        if (d->location_count > 0)
            pl_buf_char(out, ']');
        pl_buf_printf(out, ",\"extensions\":{\"code\":\"%s\"", pl_code_name(code));
        if (d->limit)
            pl_buf_printf(out, ",\"limit\":\"%s\",\"value\":%llu,\"maximum\":%llu", d->limit,
                          (unsigned long long)d->value, (unsigned long long)d->most);
        if (d->retry_after_ms > 0)
            pl_buf_printf(out, ",\"retryAfter\":%.3f", (double)d->retry_after_ms / 1000);
        PL_BUF_LIT(out, "}}");
    }
    PL_BUF_LIT(out, "]}");
}

/* --- what scripts make of an answer --- */
void gql_log_failure(const pl_work *work, const pl_failure *failure, const char *what)
{
    pl_log_field fields[] = {PL_F_STR("request", work->id), PL_F_CSTR("code", pl_code_name(failure->code)),
                             PL_F_STR("error", failure->message), PL_F_STR("traceback", failure->traceback)};
    pl_log_write(work->log, PL_ERROR, pl_str_of(what), fields, failure->traceback.len > 0 ? 4 : 3);
}

void gql_write_failure(pl_buf *out, const pl_work *work, const pl_failure *failure, const char *what,
                       bool show_internal)
{
    if (!failure->expected)
        gql_log_failure(work, failure, what);
    PL_BUF_LIT(out, "{\"errors\":[{\"message\":");
    pl_json_string(out, gql_failure_message(failure, show_internal));
    gql_write_error_extensions(out, failure->code, &failure->details, &failure->extensions,
                               failure->expected ? PL_STR_NONE : work->id);
    PL_BUF_LIT(out, "}]}");
}

typedef struct extensions {
    pl_state *state;
    const pl_work *work;
    pl_buf text; /* a JSON object */
    bool whole;  /* nothing was missed for want of memory */
} extensions;

/* Below pl_protect: a table may be met that has to be walked. */
static void extensions_section(void *data)
{
    extensions *x = data;
    const pl_engine *e = pl_engine_of(x->state);
    pl_error err;
    pl_error_clear(&err);
    pl_key *key = e->key(x->state, PL_STR("extensions"));
    if (!key)
        return;
    e->make_room(x->state, 8);
    e->push_ctx(x->state, (pl_work *)x->work);
    x->whole = true;
    if (!e->field(x->state, e->top(x->state), key) || e->kind(x->state, e->top(x->state)) != PL_KIND_MAP)
        return;
    pl_code code = pl_write_json(x->state, e->top(x->state), 32, &x->text, &err);
    x->whole = !x->text.failed && (code == PL_OK || err.code != PL_RESOURCE_EXHAUSTED);
    if (code == PL_OK || !x->whole)
        return;
    x->text.len = 0;
    pl_log(x->work->log, PL_WARN, "ctx.extensions cannot be written", PL_F_STR("request", x->work->id),
           PL_F_CSTR("error", err.message));
}

bool gql_write_ctx_extensions(pl_buf *out, size_t begin, pl_state *state, const pl_work *work)
{
    extensions x = {.state = state, .work = work};
    pl_error err;
    pl_error_clear(&err);
    if (work->ctx == PL_REF_NONE)
        return true;
    pl_buf_init(&x.text);
    bool whole = pl_engine_of(state)->protect(state, extensions_section, &x, &err) && x.whole;
    bool found = whole && x.text.len > 2;
    if (found && out->len > begin)
        pl_buf_char(out, ',');
    if (found)
        pl_buf_append(out, x.text.data + 1, x.text.len - 2);
    pl_buf_dispose(&x.text);
    return whole;
}
