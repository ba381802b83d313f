/* SPDX-License-Identifier: MIT */
#include "support/graphql_fixture.h"
#include "support/failing.h"

#include <stdlib.h>

static void keep_line(void *data, pl_level level, pl_str line)
{
    gf *f = data;
    pl_buf_str(&f->logged, line);
    pl_buf_char(&f->logged, '\n');
}

static void build_schema(gf *f, const char *sdl)
{
    gql_source source = {"test.graphql", pl_str_of(sdl)};
    gql_diagnostics list;
    gql_diagnostics_init(&list, &f->arena, 0);
    if (gql_schema_build(&source, 1, NULL, &list, &f->schema) != PL_OK)
        fail_msg("the schema: %s", list.first ? list.first->message.ptr : "?");
}

void gf_open(gf *f, const char *sdl)
{
    memset(f, 0, sizeof *f);
    pl_arena_init(&f->arena, 0);
    pl_buf_init(&f->logged);
    f->log = pl_logger_new_sink(keep_line, f, PL_LOG_JSON, PL_DEBUG);
    f->t = te_new();
    assert_non_null(f->t);
    build_schema(f, sdl);
    f->binding = gql_binding_new(f->schema, te_state(f->t));
    assert_non_null(f->binding);
}

void gf_restart(gf *f)
{
    gql_service_free(f->service);
    f->service = gql_service_new(f->binding, &f->options);
    assert_non_null(f->service);
}

static size_t bound_refs(const gf *f)
{
    size_t n = f->binding->default_resolver != PL_REF_NONE;
    for (uint32_t i = 0; i < f->schema->field_count; i++)
        n += (f->binding->fields[i].resolver != PL_REF_NONE) +
             (f->binding->fields[i].subscribe != PL_REF_NONE);
    for (uint32_t i = 0; i < f->schema->type_count; i++) {
        const gql_type_binding *tb = &f->binding->types[i];
        n += (tb->resolve_type != PL_REF_NONE) + (tb->parse != PL_REF_NONE) + (tb->serialize != PL_REF_NONE);
        n += (tb->resolve_reference != PL_REF_NONE) + (tb->resolve_references != PL_REF_NONE);
    }
    return n;
}

static void touch_index(void *data)
{
    te *t = data;
    te_engine()->index_function(te_state(t));
}

void gf_close(gf *f)
{
    pl_error err;
    assert_int_equal(te_waiting(f->t), 0);
    assert_int_equal(te_wrapping(f->t), 0);
    assert_int_equal(te_timers(f->t), 0);
    assert_true(te_engine()->protect(te_state(f->t), touch_index, f->t, &err));
    gql_service_free(f->service);
    assert_int_equal(te_refs(f->t), bound_refs(f) + 1); /* and the index function */
    gql_binding_free(f->binding);
    gql_schema_free(f->schema);
    te_free(f->t);
    pl_logger_free(f->log);
    pl_buf_dispose(&f->logged);
    pl_arena_dispose(&f->arena);
}

int gf_teardown(void **state)
{
    gf_close(*state);
    return 0;
}

/* --- binding --- */
typedef struct binding_step {
    gf *f;
    te_value table;
    gql_diagnostics list;
} binding_step;

static void add_section(void *data)
{
    binding_step *step = data;
    const pl_engine *e = te_engine();
    assert_true(e->reserve(te_state(step->f->t), 1));
    gql_binding_add(step->f->binding, te_push(step->f->t, step->table), "test.c", &step->list);
}

/* A field that has a resolver gets another one; plans that are in the cache keep the old one. */
static void unbind_field(gf *f, const char *type, const char *name)
{
    gql_named *named = gql_schema_type(f->schema, pl_str_of(type));
    gql_field *field =
        named && named->kind == GQL_OBJECT ? pl_map_get(&named->field_map, pl_str_of(name)) : NULL;
    if (field && f->binding->fields[field->id].resolver != PL_REF_NONE) {
        te_engine()->drop(te_state(f->t), f->binding->fields[field->id].resolver);
        f->binding->fields[field->id].resolver = PL_REF_NONE;
    }
}

void gf_bind(gf *f, const char *type, const char *name, te_value v)
{
    unbind_field(f, type, name);
    pl_error err;
    binding_step step = {.f = f, .table = te_map(f->t, type, te_map(f->t, name, v, NULL), NULL)};
    gql_diagnostics_init(&step.list, &f->arena, 0);
    assert_true(te_engine()->protect(te_state(f->t), add_section, &step, &err));
    if (step.list.first)
        fail_msg("%s", step.list.first->message.ptr);
}

void gf_resolve(gf *f, const char *type, const char *name, te_callback *callback, void *data)
{
    gf_bind(f, type, name, te_function(f->t, callback, data, 4));
}

typedef struct given {
    te_value value;
    const char *text;
} given;

static given *given_new(gf *f, te_value v, const char *text)
{
    given *g = pl_arena_alloc(&f->arena, sizeof *g);
    assert_non_null(g);
    *g = (given){v, text};
    return g;
}

static te_outcome give(te_invocation *in, void *data)
{
    in->result = ((given *)data)->value;
    return TE_RETURN;
}

static te_outcome wait(te_invocation *in, void *data)
{
    in->result = ((given *)data)->value;
    in->label = ((given *)data)->text;
    return TE_PEND;
}

static te_outcome refuse(te_invocation *in, void *data)
{
    return te_fail(in, PL_NOT_FOUND, ((given *)data)->text);
}

void gf_give(gf *f, const char *type, const char *name, te_value v)
{
    gf_bind(f, type, name, te_function(f->t, give, given_new(f, v, NULL), 0));
}

void gf_wait(gf *f, const char *type, const char *name, te_value v)
{
    gf_bind(f, type, name, te_function(f->t, wait, given_new(f, v, name), 0));
}

void gf_fail(gf *f, const char *type, const char *name, const char *message)
{
    gf_bind(f, type, name, te_function(f->t, refuse, given_new(f, (te_value){0}, message), 0));
}

/* --- requests --- */
static void append_line(gf_request *r)
{
    size_t before = r->all ? strlen(r->all) : 0, more = r->body ? strlen(r->body) : 0;
    r->all = realloc(r->all, before + more + 2);
    memcpy(r->all + before, r->body, more);
    memcpy(r->all + before + more, "\n", 2);
}

static void on_payload(void *data, const gql_payload *payload)
{
    gf_request *r = data;
    r->done++;
    r->result = payload->result;
    r->cache = payload->cache;
    free(r->body);
    r->body = payload->body.ptr ? strndup(payload->body.ptr, payload->body.len) : NULL;
    append_line(r);
    r->over = !payload->has_next;
    if (r->cancel) {
        r->cancel = false;
        gql_run_cancel(r->run);
    }
}

static const pl_value *read_variables(gf_request *r, const char *json)
{
    pl_value *v = pl_arena_alloc(&r->arena, sizeof *v);
    pl_error err;
    if (!json || !v)
        return NULL;
    return pl_json_read(&r->arena, pl_str_of(json), &(pl_json_limits){0}, v, &err) == PL_OK ? v : NULL;
}

void gf_start_full(gf_request *r, gf *f, const char *query, const char *operation, const char *variables,
                   bool query_only)
{
    memset(r, 0, sizeof *r);
    if (!f->service)
        gf_restart(f);
    r->f = f;
    pl_arena_init(&r->arena, 1024);
    r->work = (pl_work){
        .protocol = "graphql", .id = PL_STR("r1"), .arena = &r->arena, .ctx = PL_REF_NONE, .log = f->log};
    r->work.deadline = f->deadline;
    r->work.headers = f->headers;
    r->work.header_count = f->header_count;
    gql_request request = {.query = pl_str_of(query),
                           .operation_name = pl_str_of(operation),
                           .query_only = query_only,
                           .incremental = f->incremental};
    request.variables = read_variables(r, variables);
    assert_true(!variables || request.variables);
    r->arena.limit = f->arena_limit;
    if (f->failing)
        failing_begin(f->failing);
    r->run = gql_service_run(f->service, &request, &r->work, on_payload, r);
    assert_int_equal(r->over, r->run == NULL);
}

void gf_start(gf_request *r, gf *f, const char *query, const char *variables)
{
    gf_start_full(r, f, query, NULL, variables, false);
}

void gf_end(gf_request *r)
{
    te_engine()->work_end(te_state(r->f->t), &r->work);
    pl_arena_dispose(&r->arena);
    free(r->body);
    free(r->all);
}

void gf_check(gf_request *r, const char *response)
{
    assert_int_equal(r->done, 1);
    assert_string_equal(r->body, response);
    pl_value v;
    pl_error err;
    pl_arena arena;
    pl_arena_init(&arena, 0);
    assert_int_equal(pl_json_read(&arena, pl_str_of(r->body), &(pl_json_limits){0}, &v, &err), PL_OK);
    pl_arena_dispose(&arena);
}

void gf_settle(gf *f)
{
    while (te_is_due(f->t))
        te_advance(f->t, 0);
}

void gf_go_on(gf_request *r, size_t seed, unsigned most)
{
    te *t = r->f->t;
    for (unsigned k = 0; !r->over && !(most > 0 && k == most); k++) {
        if (te_is_due(t))
            te_advance(t, 0);
        else if (te_waiting(t) > 0)
            te_resume(t, te_waiting_at(t, (k * 7 + seed) % te_waiting(t)));
        else
            fail_msg("nothing goes on (seed %zu)", seed);
    }
    if (!r->over)
        gql_run_cancel(r->run);
}

void gf_check_all(gf_request *r, const char *payloads)
{
    char *expected = strdup(payloads);
    for (char *c = expected; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    assert_string_equal(r->all ? r->all : "", expected);
    free(expected);
    free(r->all);
    r->all = NULL;
}

void gf_expect_all(gf *f, const char *query, const char *variables, const char *payloads)
{
    gf_request r;
    gf_start(&r, f, query, variables);
    gf_settle(f);
    while (te_waiting(f->t) > 0) {
        te_resume(f->t, te_waiting_at(f->t, 0));
        gf_settle(f);
    }
    assert_true(r.over);
    gf_check_all(&r, payloads);
    gf_end(&r);
}

void gf_expect(gf *f, const char *query, const char *variables, const char *response)
{
    gf_request r;
    gf_start(&r, f, query, variables);
    gf_check(&r, response);
    gf_end(&r);
}

void gf_expect_in_turn(gf *f, const char *query, const char *response)
{
    gf_request r;
    gf_start(&r, f, query, NULL);
    while (te_waiting(f->t) > 0)
        te_resume(f->t, te_waiting_at(f->t, 0));
    gf_check(&r, response);
    gf_end(&r);
}
