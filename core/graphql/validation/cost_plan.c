/* SPDX-License-Identifier: MIT */
#include "base/map.h"
#include "graphql/schema/cost_directives.h"
#include "graphql/validation/cost_internal.h"

#define MAX_STEPS 500000
#define MAX_DEPTH 500 /* of selection sets, fragments followed */

/* Selection sets are added up per concrete type, and each such sum is made once. */
typedef struct planner {
    pl_arena *arena;  /* the plan's */
    pl_arena scratch; /* for planning only */
    gql_cost_env env;
    const gql_cost_model *model;
    gql_cost_plan *plan;
    uint32_t node_capacity;
    pl_map fragments; /* name -> gql_fragment * */
    pl_map sums;      /* sum_key -> gql_cost_term * */
    uint64_t steps;
    unsigned depth;
    pl_error *err;
    pl_code code; /* why planning has ended early */
} planner;

typedef struct sum_key {
    const gql_selection_set *set;
    const gql_named *type;
    uint64_t what;              /* no padding: the bytes are the key */
    const gql_selection *sizer; /* who gives lengths to sized fields of the set, and which */
    const gql_list_size *list_size;
    double size;
} sum_key;

enum { OF_SET, OF_ITEM, OF_ITEM_WITH_TYPE };

static const gql_cost_size no_size;

static void fail_memory(planner *p)
{
    if (p->code == PL_OK)
        p->code = pl_fail_memory(p->err);
}

static bool step(planner *p)
{
    if (++p->steps > MAX_STEPS && p->code == PL_OK)
        p->code = pl_fail(p->err, PL_RESOURCE_EXHAUSTED,
                          "The cost of the operation takes more than %d steps to compute: it has too many "
                          "fields on types with many possible types.",
                          MAX_STEPS);
    return p->code == PL_OK;
}

/* --- terms --- */

typedef struct sum {
    double constant;
    gql_cost_term *terms;
    uint32_t count, capacity;
} sum;

static void add_term(planner *p, sum *s, gql_cost_term term)
{
    s->constant = gql_cost_bounded(s->constant + term.constant);
    if (!term.node)
        return;
    if (s->count == s->capacity) {
        uint32_t capacity = s->capacity ? s->capacity * 2 : 8;
        gql_cost_term *grown = pl_arena_array(&p->scratch, capacity, sizeof *grown);
        if (!grown) {
            fail_memory(p);
            return;
        }
        if (s->count > 0)
            memcpy(grown, s->terms, s->count * sizeof *grown);
        s->terms = grown;
        s->capacity = capacity;
    }
    s->terms[s->count++] = (gql_cost_term){0, term.node};
}

/* The number of the new node; 0: memory. Terms are copied. */
static uint32_t add_node(planner *p, gql_cost_node node)
{
    gql_cost_plan *plan = p->plan;
    if (plan->node_count == p->node_capacity) {
        uint32_t capacity = p->node_capacity ? p->node_capacity * 2 : 8;
        gql_cost_node *grown = pl_arena_array(p->arena, capacity, sizeof *grown);
        if (!grown) {
            fail_memory(p);
            return 0;
        }
        if (plan->node_count > 0)
            memcpy(grown, plan->nodes, plan->node_count * sizeof *grown);
        plan->nodes = grown;
        p->node_capacity = capacity;
    }
    gql_cost_term *terms = pl_arena_array(p->arena, node.term_count, sizeof *terms);
    if (!terms) {
        fail_memory(p);
        return 0;
    }
    memcpy(terms, node.terms, node.term_count * sizeof *terms);
    node.terms = terms;
    plan->nodes[plan->node_count++] = node;
    return plan->node_count;
}

static gql_cost_term close_sum(planner *p, const sum *s)
{
    if (s->count < 2)
        return (gql_cost_term){s->constant, s->count ? s->terms[0].node : 0};
    return (gql_cost_term){
        s->constant,
        add_node(p, (gql_cost_node){.kind = GQL_COST_SUM, .terms = s->terms, .term_count = s->count})};
}

/* --- what is known already --- */

static sum_key key_of(const gql_selection_set *set, const gql_named *type, uint64_t what,
                      const gql_cost_size *size)
{
    return (sum_key){set, type, what, size->field, size->list_size, size->constant};
}

static const gql_cost_term *recall(planner *p, const sum_key *key)
{
    return pl_map_get(&p->sums, (pl_str){(const char *)key, sizeof *key});
}

static void remember(planner *p, const sum_key *key, gql_cost_term term)
{
    pl_str kept = pl_arena_str(&p->scratch, (pl_str){(const char *)key, sizeof *key});
    gql_cost_term *entry = pl_arena_alloc(&p->scratch, sizeof *entry);
    if (entry)
        *entry = term;
    if (!kept.ptr || !entry || !pl_map_set(&p->sums, kept, entry))
        fail_memory(p);
}

/* --- selections --- */

static gql_cost_term cost_of_set(planner *p, const gql_selection_set *set, const gql_named *type,
                                 const gql_cost_size *size);

static double type_weight(const planner *p, const gql_named *type)
{
    double weight = p->model->types[type->id];
    return weight >= 0 ? weight : gql_is_composite(type) ? 1 : 0;
}

/* The most expensive possible type of one item. */
static gql_cost_term cost_of_possible(planner *p, const gql_selection_set *set, const gql_named *type,
                                      bool with_type, const gql_cost_size *size)
{
    gql_cost_term most = {0, 0};
    sum varying = {0};
    for (uint32_t i = 0; i < type->possible_count && step(p); i++) {
        gql_cost_term term = cost_of_set(p, set, type->possible[i], size);
        if (with_type)
            term.constant += type_weight(p, type->possible[i]);
        if (term.node) {
            add_term(p, &varying, (gql_cost_term){0, term.node});
            if (p->code == PL_OK)
                varying.terms[varying.count - 1].constant = term.constant;
        } else if (term.constant > most.constant) {
            most = term;
        }
    }
    if (varying.count == 0 || p->code)
        return most;
    add_term(p, &varying, (gql_cost_term){0, varying.terms[0].node}); /* room for one more */
    if (p->code)
        return most;
    varying.terms[varying.count - 1] = most;
    return (gql_cost_term){0, add_node(p, (gql_cost_node){.kind = GQL_COST_MAX,
                                                          .terms = varying.terms,
                                                          .term_count = varying.count})};
}

/* One item of a field's value, without the field's own weight. */
static gql_cost_term cost_of_item(planner *p, const gql_selection_set *set, const gql_named *type,
                                  bool with_type, const gql_cost_size *size)
{
    if (type->kind == GQL_OBJECT) {
        gql_cost_term term = cost_of_set(p, set, type, size);
        term.constant += with_type ? type_weight(p, type) : 0;
        return term;
    }
    sum_key key = key_of(set, type, with_type ? OF_ITEM_WITH_TYPE : OF_ITEM, size);
    const gql_cost_term *known = recall(p, &key);
    if (known)
        return *known;
    gql_cost_term term = cost_of_possible(p, set, type, with_type, size);
    remember(p, &key, term);
    return term;
}

static bool is_list(const gql_typeref *type)
{
    return (type->kind == GQL_TYPE_NON_NULL ? type->of : type)->kind == GQL_TYPE_LIST;
}

static bool is_sized(const gql_list_size *list_size, pl_str name)
{
    for (uint32_t i = 0; i < gql_literal_strings(list_size->sized); i++) {
        if (pl_str_eq(gql_literal_string(list_size->sized, i), name))
            return true;
    }
    return false;
}

/* The length that the field's own @listSize gives, if any: for itself, or for sized fields below. */
static gql_cost_size own_size(planner *p, const gql_selection *node, const gql_list_size *list_size,
                              bool varies)
{
    uint32_t count;
    if (varies && list_size->slicing_count > 0)
        return (gql_cost_size){-1, node, list_size};
    double n = gql_cost_slice(&p->env, node, list_size, &count);
    if (gql_cost_is_unsliced(list_size, count) && !p->plan->unsliced.field)
        p->plan->unsliced = (gql_unsliced){node, list_size, count};
    return (gql_cost_size){n >= 0 ? n : p->model->default_list_size, NULL, list_size};
}

static gql_cost_term cost_of_field(planner *p, const gql_selection *node, const gql_field *def,
                                   const gql_cost_size *outer)
{
    const gql_schema *schema = p->model->schema;
    if (def == schema->typename_field || def == schema->schema_field || def == schema->type_field)
        return (gql_cost_term){0, 0};
    const gql_list_size *list_size = p->model->list_sizes[def->id];
    bool varies = gql_cost_arguments_vary(node);
    gql_cost_size size = {1, NULL, NULL}, own = no_size;
    if (list_size)
        own = own_size(p, node, list_size, varies);
    if (is_list(def->type)) {
        size = (gql_cost_size){p->model->default_list_size, NULL, NULL};
        if (outer->list_size && is_sized(outer->list_size, node->name.text))
            size = *outer;
        else if (list_size)
            size = own;
    }
    double weight = p->model->fields[def->id];
    gql_cost_term item = {0, 0};
    if (gql_is_composite(def->type->named))
        item = cost_of_item(p, &node->selections, def->type->named, weight < 0,
                            list_size && list_size->sized ? &own : &no_size);
    else if (weight < 0)
        item.constant = type_weight(p, def->type->named);
    item.constant += weight >= 0 ? weight : 0;
    if (!item.node && !varies && size.constant >= 0 && !gql_cost_conditions_vary(&node->directives))
        return (gql_cost_term){
            gql_cost_bounded(size.constant * item.constant + gql_cost_arguments(&p->env, node, def)), 0};
    return (gql_cost_term){0, add_node(p, (gql_cost_node){.kind = GQL_COST_FIELD,
                                                          .terms = &item,
                                                          .term_count = 1,
                                                          .directives = &node->directives,
                                                          .field = node,
                                                          .def = def,
                                                          .list_size = varies ? list_size : NULL,
                                                          .size = size})};
}

static gql_cost_term gate(planner *p, const gql_selection *node, gql_cost_term term)
{
    if (!gql_cost_conditions_vary(&node->directives) || (!term.node && term.constant == 0))
        return term;
    return (gql_cost_term){0, add_node(p, (gql_cost_node){.kind = GQL_COST_GATE,
                                                          .terms = &term,
                                                          .term_count = 1,
                                                          .directives = &node->directives})};
}

static bool applies(const planner *p, const gql_type *condition, const gql_named *type)
{
    const gql_named *named = condition ? gql_schema_type(p->model->schema, condition->name) : type;
    return named == type ||
           (named && gql_is_abstract(named) && type->kind == GQL_OBJECT && gql_is_possible(named, type));
}

static gql_cost_term cost_of_selection(planner *p, const gql_selection *node, const gql_named *type,
                                       const gql_cost_size *size)
{
    static const gql_cost_term nothing;
    bool fixed = !gql_cost_conditions_vary(&node->directives);
    if (fixed && !gql_cost_included(&p->env, &node->directives))
        return nothing;
    if (node->kind == GQL_FIELD) {
        const gql_field *def = gql_schema_field(p->model->schema, type, node->name.text);
        return def ? cost_of_field(p, node, def, size) : nothing;
    }
    if (node->kind == GQL_INLINE_FRAGMENT)
        return applies(p, node->type_condition, type)
                   ? gate(p, node, cost_of_set(p, &node->selections, type, size))
                   : nothing;
    const gql_fragment *fragment = pl_map_get(&p->fragments, node->name.text);
    if (!fragment || !applies(p, fragment->type_condition, type))
        return nothing;
    return gate(p, node, cost_of_set(p, &fragment->selections, type, size));
}

/* type is an object type. size: of the sized fields in the set. */
static gql_cost_term cost_of_set(planner *p, const gql_selection_set *set, const gql_named *type,
                                 const gql_cost_size *size)
{
    sum s = {0};
    sum_key key = key_of(set, type, OF_SET, size);
    const gql_cost_term *known = recall(p, &key);
    if (known)
        return *known;
    if (p->depth == MAX_DEPTH && p->code == PL_OK)
        p->code = pl_fail(p->err, PL_RESOURCE_EXHAUSTED,
                          "The operation nests fragments more than %d levels deep.", MAX_DEPTH);
    p->depth++;
    for (uint32_t i = 0; i < set->count && step(p); i++)
        add_term(p, &s, cost_of_selection(p, &set->items[i], type, size));
    p->depth--;
    gql_cost_term term = close_sum(p, &s);
    remember(p, &key, term);
    return term;
}

pl_code gql_cost_plan_new(pl_arena *arena, const gql_cost_model *model, const gql_document *document,
                          const gql_operation *operation, gql_cost_plan **out, uint64_t *steps, pl_error *err)
{
    planner p = {.arena = arena, .model = model, .env = {.model = model}, .err = err};
    pl_arena_init(&p.scratch, 0);
    const gql_named *root = gql_schema_root(model->schema, operation->kind);
    *out = p.plan = pl_arena_zalloc(arena, sizeof *p.plan);
    if (!p.plan)
        fail_memory(&p);
    for (uint32_t i = 0; i < document->fragment_count && p.code == PL_OK; i++) {
        if (!pl_map_set(&p.fragments, document->fragments[i].name.text, &document->fragments[i]))
            fail_memory(&p);
    }
    if (p.code == PL_OK && root) {
        p.plan->model = model;
        p.plan->total = cost_of_set(&p, &operation->selections, root, &no_size);
        p.plan->total.constant += operation->kind == GQL_MUTATION ? GQL_MUTATION_COST : 0;
    }
    if (steps)
        *steps = p.steps;
    pl_map_dispose(&p.fragments);
    pl_map_dispose(&p.sums);
    pl_arena_dispose(&p.scratch);
    return p.code;
}
