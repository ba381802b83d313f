/* SPDX-License-Identifier: MIT */
#include "graphql/documents.h"

#include "base/alloc.h"
#include "graphql/execution/literal_check.h"

#define DEFAULT_CACHE_BYTES ((size_t)16 << 20)
#define MAX_CONDITIONS 32 /* variables of @skip and @include that tell cached plans apart */
#define MAX_PLANS 16      /* of one document */

typedef struct cached_plan {
    const gql_operation *operation;
    gql_incremental incremental;
    uint64_t conditions;
    gql_plan *plan;
} cached_plan;

/* What an operation's cost comes to, or why it cannot be told. */
typedef struct cached_cost {
    bool made;
    const gql_cost_plan *plan;
    pl_code code;
    pl_str message;
} cached_cost;

struct gql_prepared {
    gql_prepared *prev, *next; /* most recently used first */
    pl_arena arena;
    gql_source source;
    gql_document *document;
    pl_str conditions[MAX_CONDITIONS];
    uint32_t condition_count;
    cached_plan plans[MAX_PLANS];
    uint32_t plan_count;
    cached_cost *costs; /* by operation; NULL: none was asked for */
    size_t bytes;       /* as counted in the cache */
    unsigned in_use;
    bool cached;
};

struct gql_documents {
    gql_binding *binding;
    const gql_service_options *options;
    pl_map by_text;
    gql_prepared *first, *last;
    size_t bytes, max_bytes;
    uint64_t hits, misses;
    pl_arena arena;
    gql_cost_model *cost_model; /* NULL: not asked for yet; in arena */
};

gql_documents *gql_documents_new(gql_binding *binding, const gql_service_options *options)
{
    gql_documents *d = pl_calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->binding = binding;
    d->options = options;
    d->max_bytes = options->cache_bytes ? options->cache_bytes : DEFAULT_CACHE_BYTES;
    pl_map_init(&d->by_text);
    pl_arena_init(&d->arena, 0);
    return d;
}

static void prepared_free(gql_prepared *p)
{
    for (uint32_t i = 0; i < p->plan_count; i++)
        gql_plan_free(p->plans[i].plan);
    pl_arena_dispose(&p->arena);
    pl_free(p);
}

void gql_documents_free(gql_documents *d)
{
    if (!d)
        return;
    for (gql_prepared *p = d->first, *next; p; p = next) {
        next = p->next;
        prepared_free(p);
    }
    pl_map_dispose(&d->by_text);
    pl_arena_dispose(&d->arena);
    pl_free(d);
}

/* --- the list, most recently used first --- */
static void unlink_entry(gql_documents *d, gql_prepared *p)
{
    *(p->prev ? &p->prev->next : &d->first) = p->next;
    *(p->next ? &p->next->prev : &d->last) = p->prev;
}

static void link_first(gql_documents *d, gql_prepared *p)
{
    p->prev = NULL;
    p->next = d->first;
    *(d->first ? &d->first->prev : &d->last) = p;
    d->first = p;
}

static void evict(gql_documents *d, gql_prepared *p)
{
    unlink_entry(d, p);
    pl_map_remove(&d->by_text, p->source.text);
    d->bytes -= p->bytes;
    p->cached = false;
    if (p->in_use == 0)
        prepared_free(p);
}

static void evict_to_fit(gql_documents *d)
{
    while (d->bytes > d->max_bytes && d->last && d->last != d->first)
        evict(d, d->last);
}

/* What the entry takes now; plans grow while they are used. */
static void recount(gql_documents *d, gql_prepared *p)
{
    size_t bytes = sizeof *p + p->arena.used;
    for (uint32_t i = 0; i < p->plan_count; i++)
        bytes += sizeof(gql_plan) + p->plans[i].plan->arena.used;
    if (p->cached)
        d->bytes += bytes - p->bytes;
    p->bytes = bytes;
}

/* --- making one --- */
static bool parse(gql_documents *d, gql_prepared *p, pl_str text, gql_diagnostics *errors, pl_code *code)
{
    pl_error err = {0};
    p->source.name = "GraphQL request";
    p->source.text = pl_arena_str(&p->arena, text);
    if (!p->source.text.ptr) {
        errors->out_of_memory = true;
        *code = PL_RESOURCE_EXHAUSTED;
        return false;
    }
    *code = gql_parse(&p->arena, &p->source, &d->options->parse, &p->document, &err);
    if (*code)
        gql_diagnose(errors, NULL, NULL, (gql_loc){err.line, err.column, 0}, (gql_loc){0}, "%s", err.message);
    return *code == PL_OK;
}

static bool validate(gql_documents *d, gql_prepared *p, pl_work *work, gql_diagnostics *errors, pl_code *code)
{
    const char *optional[2];
    gql_literal_checker checker = {d->binding, work, errors->arena};
    gql_validate_options all = d->options->validate, only = {.only = optional};
    all.scalar_literal = gql_literal_suits;
    all.data = &checker;
    if (d->options->no_introspection)
        optional[only.only_count++] = "NoSchemaIntrospectionCustom";
    if (d->options->no_deprecated)
        optional[only.only_count++] = "NoDeprecatedCustom";
    *code = gql_limits_check(p->document, &d->options->limits, errors, NULL);
    if (*code == PL_OK)
        *code = gql_validate(d->binding->schema, p->document, &all, errors);
    if (*code == PL_OK && only.only_count > 0)
        *code = gql_validate(d->binding->schema, p->document, &only, errors);
    return *code == PL_OK;
}

static gql_prepared *prepare(gql_documents *d, pl_str text, pl_work *work, gql_diagnostics *errors,
                             pl_code *code)
{
    gql_prepared *p = pl_calloc(1, sizeof *p);
    if (!p) {
        errors->out_of_memory = true;
        *code = PL_RESOURCE_EXHAUSTED;
        return NULL;
    }
    pl_arena_init(&p->arena, 2048);
    if (!parse(d, p, text, errors, code) || !validate(d, p, work, errors, code)) {
        prepared_free(p);
        return NULL;
    }
    p->condition_count = gql_condition_variables(p->document, p->conditions, MAX_CONDITIONS);
    return p;
}

gql_prepared *gql_documents_get(gql_documents *d, pl_str text, pl_work *work, gql_diagnostics *errors,
                                pl_code *code)
{
    gql_prepared *p = pl_map_get(&d->by_text, text);
    if (p) {
        d->hits++;
        if (p != d->first) {
            unlink_entry(d, p);
            link_first(d, p);
        }
        p->in_use++;
        return p;
    }
    d->misses++;
    p = prepare(d, text, work, errors, code);
    if (!p)
        return NULL;
    p->in_use = 1;
    recount(d, p);
    if (p->bytes <= d->max_bytes / 4 && pl_map_set(&d->by_text, p->source.text, p)) {
        p->cached = true;
        d->bytes += p->bytes;
        link_first(d, p);
        evict_to_fit(d);
    }
    return p;
}

void gql_prepared_release(gql_documents *d, gql_prepared *p)
{
    p->in_use--;
    if (!p->cached) {
        if (p->in_use == 0)
            prepared_free(p);
        return;
    }
    recount(d, p);
    if (d->bytes > d->max_bytes)
        evict_to_fit(d);
}

const gql_document *gql_prepared_document(const gql_prepared *p)
{
    return p->document;
}

/* --- plans --- */
static uint64_t condition_bits(const gql_prepared *p, const gql_variable *variables, uint32_t count)
{
    uint64_t bits = 0;
    for (uint32_t i = 0; i < p->condition_count; i++) {
        for (uint32_t k = 0; k < count; k++) {
            if (pl_str_eq(variables[k].name, p->conditions[i]) && variables[k].value.kind == PL_KIND_BOOL)
                bits |= (uint64_t)(variables[k].value.boolean ? 2 : 1) << (2 * i);
        }
    }
    return bits;
}

gql_plan *gql_prepared_plan(gql_documents *d, gql_prepared *p, const gql_operation *operation,
                            gql_incremental incremental, const gql_variable *variables,
                            uint32_t variable_count, bool *own)
{
    *own = p->condition_count > MAX_CONDITIONS;
    uint64_t conditions = *own || p->condition_count == 0 ? 0 : condition_bits(p, variables, variable_count);
    for (uint32_t i = 0; !*own && i < p->plan_count; i++) {
        const cached_plan *cached = &p->plans[i];
        if (cached->operation == operation && cached->incremental == incremental &&
            cached->conditions == conditions)
            return cached->plan;
    }
    gql_plan *plan = gql_plan_new(p->document, operation, d->binding, incremental, d->options->max_fields);
    if (!plan || p->plan_count == MAX_PLANS) {
        *own = true;
        return plan;
    }
    if (!*own)
        p->plans[p->plan_count++] = (cached_plan){operation, incremental, conditions, plan};
    return plan;
}

/* --- cost --- */
const gql_cost_options *gql_documents_cost_options(const gql_documents *d)
{
    return &d->options->cost;
}

static void make_cost(gql_documents *d, gql_prepared *p, const gql_operation *operation, cached_cost *cost)
{
    pl_error err = {0};
    gql_cost_plan *plan = NULL;
    cost->code = gql_cost_plan_new(&p->arena, d->cost_model, p->document, operation, &plan, NULL, &err);
    cost->plan = cost->code ? NULL : plan;
    if (cost->code)
        cost->message = pl_arena_str(&p->arena, pl_str_of(err.message));
    cost->made = cost->code == PL_OK || cost->message.ptr; /* else another try finds memory */
}

pl_code gql_prepared_cost(gql_documents *d, gql_prepared *p, const gql_operation *operation,
                          const gql_cost_plan **out, pl_error *err)
{
    *out = NULL;
    if (!d->cost_model)
        d->cost_model = gql_cost_model_new(&d->arena, d->binding->schema, d->options->cost.default_list_size);
    if (!p->costs)
        p->costs = pl_arena_array(&p->arena, p->document->operation_count, sizeof *p->costs);
    if (!d->cost_model || !p->costs)
        return PL_RESOURCE_EXHAUSTED;
    cached_cost *cost = &p->costs[operation - p->document->operations];
    if (!cost->made)
        make_cost(d, p, operation, cost);
    *out = cost->plan;
    return cost->code ? pl_fail(err, cost->code, "%.*s", PL_STR_ARG(cost->message)) : PL_OK;
}

gql_service_stats gql_documents_stats(const gql_documents *d)
{
    return (gql_service_stats){d->by_text.count, d->bytes, d->hits, d->misses};
}
