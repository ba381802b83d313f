/* SPDX-License-Identifier: MIT */
#include "graphql/service.h"

#include "base/alloc.h"
#include "graphql/admission.h"
#include "graphql/documents.h"

struct gql_service {
    gql_binding *binding;
    gql_service_options options;
    gql_documents *documents;
    pl_buf spare; /* a response buffer between two runs */
};

struct gql_run {
    gql_service *service;
    pl_work *work;
    gql_prepared *prepared;
    gql_plan *plan;
    bool plan_is_own; /* not in the cache: freed with the run */
    gql_input_env env;
    gql_admission admission;
    gql_execution *execution;
    gql_run_done done;
    void *data;
    bool *ended;  /* set when the run ends before gql_service_run returns */
    pl_code code; /* of the errors */
    gql_diagnostics errors;
    gql_source source;
};

gql_service *gql_service_new(gql_binding *binding, const gql_service_options *options)
{
    gql_service *s = pl_calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->binding = binding;
    s->options = *options;
    if (s->options.max_errors == 0)
        s->options.max_errors = 5;
    if (s->options.max_response == 0)
        s->options.max_response = (size_t)64 << 20;
    pl_buf_init(&s->spare);
    s->documents = gql_documents_new(binding, &s->options);
    if (!s->documents) {
        gql_service_free(s);
        return NULL;
    }
    return s;
}

void gql_service_free(gql_service *s)
{
    if (!s)
        return;
    gql_documents_free(s->documents);
    pl_buf_dispose(&s->spare);
    pl_free(s);
}

gql_service_stats gql_service_get_stats(const gql_service *s)
{
    return gql_documents_stats(s->documents);
}

/* --- the end of a run: the run is in the work's arena, which done may let go of --- */
static void run_release(gql_run *run)
{
    if (run->plan_is_own)
        gql_plan_free(run->plan);
    if (run->prepared)
        gql_prepared_release(run->service->documents, run->prepared);
    if (run->ended)
        *run->ended = true;
}

static void run_refuse(gql_run *run, gql_result result)
{
    static const pl_str no_memory = PL_STR(
        "{\"errors\":[{\"message\":\"out of memory\",\"extensions\":{\"code\":\"RESOURCE_EXHAUSTED\"}}]}");
    pl_buf body;
    pl_buf_init(&body);
    gql_write_diagnostics(&body, &run->errors, run->code);
    gql_input_release(&run->env);
    run_release(run);
    run->done(run->data, result, body.failed ? no_memory : pl_buf_view(&body));
    pl_buf_dispose(&body);
}

static gql_run *run_refuse_with(gql_run *run, gql_result result, const char *message)
{
    gql_diagnose(&run->errors, NULL, NULL, (gql_loc){0}, (gql_loc){0}, "%s", message);
    run_refuse(run, result);
    return NULL;
}

/* The members of the response's extensions. */
static void write_extensions(void *data, pl_buf *out)
{
    gql_run *run = data;
    gql_admission_write(&run->admission, out);
}

/* The cost of the operation, which is not executed. */
static void run_answer_cost(gql_run *run)
{
    pl_buf body;
    pl_buf_init(&body);
    PL_BUF_LIT(&body, "{\"extensions\":{");
    gql_admission_write(&run->admission, &body);
    PL_BUF_LIT(&body, "}}");
    gql_input_release(&run->env);
    run_release(run);
    run->done(run->data, GQL_RESULT_DATA, body.failed ? PL_STR("{}") : pl_buf_view(&body));
    pl_buf_dispose(&body);
}

static void run_payload(void *data, pl_str response, bool has_next)
{
    gql_run *run = data;
    run_release(run);
    run->done(run->data, GQL_RESULT_DATA, response);
}

void gql_run_cancel(gql_run *run)
{
    gql_execution_cancel(run->execution);
    run_release(run);
}

/* --- the steps --- */
static bool choose_operation(gql_run *run, const gql_request *request, const gql_operation **out)
{
    const gql_document *doc = gql_prepared_document(run->prepared);
    *out = NULL;
    if (request->operation_name.ptr && request->operation_name.len > 0) {
        for (uint32_t i = 0; i < doc->operation_count && !*out; i++) {
            if (pl_str_eq(doc->operations[i].name.text, request->operation_name))
                *out = &doc->operations[i];
        }
        if (!*out)
            gql_diagnose(&run->errors, NULL, NULL, (gql_loc){0}, (gql_loc){0},
                         "Unknown operation named \"%.*s\".",
                         request->operation_name.len > 200 ? 200 : (int)request->operation_name.len,
                         request->operation_name.ptr);
    } else if (doc->operation_count == 1) {
        *out = &doc->operations[0];
    } else {
        gql_diagnose(&run->errors, NULL, NULL, (gql_loc){0}, (gql_loc){0},
                     doc->operation_count == 0
                         ? "Must provide an operation."
                         : "Must provide operation name if query contains multiple operations.");
    }
    return *out != NULL;
}

static void report_variable(void *data, const gql_variable_definition *definition, pl_code code,
                            pl_str message)
{
    gql_run *run = data;
    if (code == PL_RESOURCE_EXHAUSTED)
        run->errors.out_of_memory = true;
    else
        gql_diagnose(&run->errors, NULL, &run->source, definition->loc, (gql_loc){0}, "%.*s",
                     PL_STR_ARG(message));
}

typedef struct coercion {
    gql_run *run;
    const gql_operation *operation;
    const pl_value *given;
    gql_variable *variables;
    bool ok;
} coercion;

static void coerce_section(void *data)
{
    coercion *c = data;
    c->ok = gql_input_variables(&c->run->env, c->operation, c->given, c->variables, report_variable, c->run);
}

static bool coerce_variables(gql_run *run, const gql_operation *operation, const pl_value *given)
{
    pl_error err = {0};
    if (operation->variable_count == 0)
        return true;
    coercion c = {.run = run, .operation = operation, .given = given};
    c.variables = pl_arena_array(run->work->arena, operation->variable_count, sizeof *c.variables);
    if (!c.variables || !pl_engine_of(run->service->binding->state)
                             ->protect(run->service->binding->state, coerce_section, &c, &err)) {
        run->errors.out_of_memory = true;
        return false;
    }
    run->env.variables = c.variables;
    run->env.variable_count = operation->variable_count;
    return c.ok;
}

static gql_run *run_new(gql_service *s, pl_work *work, gql_run_done done, void *data)
{
    gql_run *run = pl_arena_zalloc(work->arena, sizeof *run);
    if (!run)
        return NULL;
    run->service = s;
    run->work = work;
    run->done = done;
    run->data = data;
    run->source.name = "GraphQL request";
    run->code = PL_INVALID_ARGUMENT;
    uint32_t max_list_items = s->options.limits.max_list_items;
    run->env =
        (gql_input_env){.binding = s->binding,
                        .arena = work->arena,
                        .work = work,
                        .max_list_items = max_list_items ? max_list_items : GQL_DEFAULT_MAX_LIST_ITEMS};
    gql_diagnostics_init(&run->errors, work->arena, s->options.max_errors);
    return run;
}

gql_run *gql_service_run(gql_service *s, const gql_request *request, pl_work *work, gql_run_done done,
                         void *data)
{
    static const pl_str no_memory = PL_STR(
        "{\"errors\":[{\"message\":\"out of memory\",\"extensions\":{\"code\":\"RESOURCE_EXHAUSTED\"}}]}");
    work->extensions = request->extensions;
    gql_run *run = run_new(s, work, done, data);
    if (!run) {
        done(data, GQL_RESULT_REFUSED, no_memory);
        return NULL;
    }
    const gql_operation *operation;
    run->prepared = gql_documents_get(s->documents, request->query, work, &run->errors, &run->code);
    if (run->prepared)
        run->code = PL_INVALID_ARGUMENT; /* of what may be wrong from here on */
    if (!run->prepared || !choose_operation(run, request, &operation)) {
        run_refuse(run, GQL_RESULT_REFUSED);
        return NULL;
    }
    if (operation->kind == GQL_SUBSCRIPTION)
        return run_refuse_with(run, GQL_RESULT_REFUSED,
                               "A subscription cannot be executed over this transport.");
    if (!gql_schema_root(s->binding->schema, operation->kind))
        return run_refuse_with(run, GQL_RESULT_REFUSED,
                               "The schema does not have a root type for this operation.");
    if (request->query_only && operation->kind != GQL_QUERY)
        return run_refuse_with(run, GQL_RESULT_QUERY_ONLY,
                               "Can only perform a mutation operation from a POST request.");
    if (!coerce_variables(run, operation, request->variables)) {
        run_refuse(run, GQL_RESULT_REFUSED);
        return NULL;
    }
    if (!gql_admit(s->documents, run->prepared, operation, run->env.variables, run->env.variable_count, work,
                   &run->errors, &run->code, &run->admission)) {
        run_refuse(run, run->admission.throttled ? GQL_RESULT_THROTTLED : GQL_RESULT_REFUSED);
        return NULL;
    }
    if (run->admission.only) {
        run_answer_cost(run);
        return NULL;
    }
    run->plan = gql_prepared_plan(s->documents, run->prepared, operation, request->incremental,
                                  run->env.variables, run->env.variable_count, &run->plan_is_own);
    if (run->plan)
        run->execution = gql_execution_new(run->plan, &run->env, work, &s->options.execute,
                                           &(gql_execution_params){PL_REF_NONE, write_extensions, run},
                                           &s->spare, s->options.max_response);
    if (!run->execution) {
        run->errors.out_of_memory = true;
        run_refuse(run, GQL_RESULT_REFUSED);
        return NULL;
    }
    bool ended = false;
    run->ended = &ended;
    gql_execution_start(run->execution, run_payload, run);
    if (ended)
        return NULL;
    run->ended = NULL;
    return run;
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
        PL_BUF_LIT(out, "}}");
    }
    PL_BUF_LIT(out, "]}");
}
