/* SPDX-License-Identifier: MIT */
#include "graphql/execution/plan.h"

#include "base/alloc.h"
#include "graphql/execution/entities.h"
#include "value/json.h"

#define DEFAULT_MAX_FIELDS 20000
#define MAX_STEPS 1000000 /* selections looked at over the life of a plan */
#define MAX_DEPTH 500     /* of selection sets, fragments followed: bounds the executor's recursion */

gql_plan *gql_plan_new(const gql_document *document, const gql_operation *operation, gql_binding *binding,
                       gql_incremental incremental, uint32_t max_fields)
{
    gql_plan *plan = pl_calloc(1, sizeof *plan);
    if (!plan)
        return NULL;
    pl_arena_init(&plan->arena, 2048);
    plan->document = document;
    plan->operation = operation;
    plan->binding = binding;
    plan->incremental = incremental;
    plan->max_fields = max_fields ? max_fields : DEFAULT_MAX_FIELDS;
    plan->root.declared = gql_schema_root(binding->schema, operation->kind);
    plan->root.root = &operation->selections;
    pl_map_init(&plan->fragments);
    for (uint32_t i = 0; i < document->fragment_count; i++) {
        if (!pl_map_set(&plan->fragments, document->fragments[i].name.text, &document->fragments[i])) {
            gql_plan_free(plan);
            return NULL;
        }
    }
    return plan;
}

void gql_plan_free(gql_plan *plan)
{
    if (!plan)
        return;
    pl_map_dispose(&plan->fragments);
    pl_arena_dispose(&plan->arena);
    pl_free(plan);
}

/* --- conditions --- */
static bool condition(const gql_plan *plan, const gql_directive *directive, bool otherwise)
{
    for (uint32_t i = 0; i < directive->argument_count; i++) {
        const gql_argument *a = &directive->arguments[i];
        if (!pl_str_is(a->name.text, "if"))
            continue;
        if (a->value.kind == GQL_VALUE_BOOLEAN)
            return a->value.boolean;
        if (a->value.kind != GQL_VALUE_VARIABLE)
            continue;
        const gql_variable *v = gql_variable_find(plan->variables, plan->variable_count, a->value.text);
        if (v && v->given && v->value.kind == PL_KIND_BOOL)
            return v->value.boolean;
    }
    return otherwise;
}

static bool is_included(const gql_plan *plan, const gql_directives *directives)
{
    for (uint32_t i = 0; i < directives->count; i++) {
        const gql_directive *d = &directives->items[i];
        if (pl_str_is(d->name.text, "skip") && condition(plan, d, false))
            return false;
        if (pl_str_is(d->name.text, "include") && !condition(plan, d, true))
            return false;
    }
    return true;
}

/* --- collecting fields (spec 6.3.2) --- */
typedef struct group {
    pl_str key;
    const gql_selection **nodes;
    uint32_t count, capacity;
} group;

typedef struct collector {
    gql_plan *plan;
    const gql_named *type;
    pl_arena *scratch;
    pl_map groups;    /* response key -> group *, in order */
    uint8_t *visited; /* fragments, by index */
    pl_error *err;
} collector;

static pl_code collect(collector *c, const gql_selection_set *set, unsigned depth);

static pl_code collect_field(collector *c, const gql_selection *field)
{
    pl_str key = field->alias.text.ptr ? field->alias.text : field->name.text;
    group *g = pl_map_get(&c->groups, key);
    if (!g) {
        g = pl_arena_zalloc(c->scratch, sizeof *g);
        if (!g || !pl_map_set(&c->groups, key, g))
            return pl_fail_memory(c->err);
        g->key = key;
    }
    if (g->count == g->capacity) {
        uint32_t capacity = g->capacity ? g->capacity * 2 : 2;
        const gql_selection **nodes = pl_arena_array(c->scratch, capacity, sizeof(*nodes));
        if (!nodes)
            return pl_fail_memory(c->err);
        if (g->count > 0)
            memcpy(nodes, g->nodes, g->count * sizeof(*nodes));
        g->nodes = nodes;
        g->capacity = capacity;
    }
    g->nodes[g->count++] = field;
    return PL_OK;
}

static bool applies(collector *c, const gql_type *condition_type)
{
    if (!condition_type)
        return true;
    const gql_named *named = gql_schema_type(c->plan->binding->schema, condition_type->name);
    if (!named)
        return false;
    return named == c->type || (gql_is_abstract(named) && gql_is_possible(named, c->type));
}

static pl_code collect_spread(collector *c, const gql_selection *spread, unsigned depth)
{
    const gql_fragment *fragment = pl_map_get(&c->plan->fragments, spread->name.text);
    if (!fragment || c->visited[fragment->index])
        return PL_OK;
    c->visited[fragment->index] = 1;
    if (!applies(c, fragment->type_condition))
        return PL_OK;
    return collect(c, &fragment->selections, depth + 1);
}

static pl_code collect(collector *c, const gql_selection_set *set, unsigned depth)
{
    pl_code code = PL_OK;
    if (depth > MAX_DEPTH)
        return pl_fail(c->err, PL_RESOURCE_EXHAUSTED,
                       "The operation nests fragments more than %d levels deep.", MAX_DEPTH);
    c->plan->steps += set->count;
    if (c->plan->steps > MAX_STEPS)
        return pl_fail(c->err, PL_RESOURCE_EXHAUSTED,
                       "The operation's fragments expand to more than %d selections.", MAX_STEPS);
    for (uint32_t i = 0; i < set->count && code == PL_OK; i++) {
        const gql_selection *s = &set->items[i];
        if (!is_included(c->plan, &s->directives))
            continue;
        if (s->kind == GQL_FIELD)
            code = collect_field(c, s);
        else if (s->kind == GQL_FRAGMENT_SPREAD)
            code = collect_spread(c, s, depth);
        else if (applies(c, s->type_condition))
            code = collect(c, &s->selections, depth + 1);
    }
    return code;
}

/* --- compiling a field --- */
static bool has_variable(const gql_value *v)
{
    if (v->kind == GQL_VALUE_VARIABLE)
        return true;
    for (uint32_t i = 0; i < v->count; i++) {
        if (has_variable(v->kind == GQL_VALUE_LIST ? &v->items[i] : &v->fields[i].value))
            return true;
    }
    return false;
}

/* Whether a value of the type may have a custom scalar in it that a script parses; seen: by type id. */
static bool reaches_script(const gql_binding *b, const gql_named *type, uint8_t *seen)
{
    if (type->kind == GQL_SCALAR)
        return b->types[type->id].parse != PL_REF_NONE;
    if (type->kind != GQL_INPUT_OBJECT || seen[type->id])
        return false;
    seen[type->id] = 1;
    for (uint32_t i = 0; i < type->input_count; i++) {
        if (reaches_script(b, type->inputs[i].type->named, seen)) /* as deep as the schema has input types */
            return true;
    }
    return false;
}

/* Whether coercing a value of the type may call a script: then its result is not kept in the plan. Found out
 * once for a type. */
static bool needs_script(gql_binding *b, const gql_named *type)
{
    gql_type_binding *tb = &b->types[type->id];
    if (type->kind == GQL_INPUT_OBJECT && tb->script == GQL_SCRIPT_UNKNOWN) {
        uint8_t *seen = pl_calloc(b->schema->type_count, 1);
        if (!seen)
            return true;
        tb->script = reaches_script(b, type, seen) ? GQL_SCRIPT_YES : GQL_SCRIPT_NO;
        pl_free(seen);
    }
    return type->kind == GQL_INPUT_OBJECT ? tb->script == GQL_SCRIPT_YES : tb->parse != PL_REF_NONE;
}

/* Coerces a constant argument (or default) now; leaves it to each call where that is not possible. */
static pl_code compile_constant(gql_plan *plan, gql_plan_argument *a, pl_error *err)
{
    const gql_value *literal = a->literal ? a->literal : a->def->default_ast;
    if (!literal || has_variable(literal) || needs_script(plan->binding, a->def->type->named))
        return PL_OK;
    gql_input_env env = {.binding = plan->binding, .arena = &plan->arena};
    pl_value *value = pl_arena_zalloc(&plan->arena, sizeof *value);
    pl_error ignored;
    if (!value)
        return pl_fail_memory(err);
    if (gql_input_literal(&env, literal, a->def->type, value, &ignored) == PL_OK)
        a->constant = value; /* else: the call reports it, as a field error */
    return PL_OK;
}

static pl_code compile_arguments(gql_plan *plan, gql_plan_field *f, const gql_selection *node, pl_error *err)
{
    const gql_field *def = f->def;
    f->arguments = pl_arena_array(&plan->arena, def->argument_count, sizeof *f->arguments);
    if (!f->arguments)
        return pl_fail_memory(err);
    f->argument_count = def->argument_count;
    for (uint32_t i = 0; i < def->argument_count; i++) {
        gql_plan_argument *a = &f->arguments[i];
        a->def = &def->arguments[i];
        if (f->how != GQL_RESOLVE_META)
            a->key = plan->binding->inputs[a->def->id];
        for (uint32_t k = 0; k < node->argument_count; k++) {
            if (pl_str_eq(node->arguments[k].name.text, a->def->name))
                a->literal = &node->arguments[k].value;
        }
        if (compile_constant(plan, a, err) != PL_OK)
            return err->code;
    }
    return PL_OK;
}

static pl_code compile_prefix(gql_plan *plan, gql_plan_field *f, pl_error *err)
{
    pl_buf text;
    pl_buf_init(&text);
    pl_buf_char(&text, ',');
    pl_json_string(&text, f->response_key);
    pl_buf_char(&text, ':');
    if (!text.failed)
        f->prefix = pl_arena_str(&plan->arena, pl_buf_view(&text));
    pl_buf_dispose(&text);
    return f->prefix.ptr ? PL_OK : pl_fail_memory(err);
}

static void choose_resolver(gql_plan *plan, const gql_named *type, gql_plan_field *f)
{
    const gql_schema *schema = plan->binding->schema;
    if (f->def == schema->typename_field) {
        f->how = GQL_RESOLVE_TYPENAME;
        f->access = plan->binding->types[type->id].access;
        f->text = pl_arena_printf(&plan->arena, "\"%.*s\"", PL_STR_ARG(type->name));
        return;
    }
    if (f->def == schema->schema_field || f->def == schema->type_field ||
        (type->builtin && type->kind == GQL_OBJECT)) {
        f->how = GQL_RESOLVE_META;
        f->access = type->builtin ? NULL : plan->binding->introspection;
        return;
    }
    const gql_field_binding *fb = &plan->binding->fields[f->def->id];
    f->key = fb->key;
    f->access = fb->access;
    if (gql_federation_choose(schema, f->def, &f->how))
        return;
    if (type == schema->subscription && fb->resolver == PL_REF_NONE) {
        f->how = GQL_RESOLVE_EVENT;
        return;
    }
    f->resolver = fb->resolver != PL_REF_NONE ? fb->resolver : plan->binding->default_resolver;
    f->arity = fb->resolver != PL_REF_NONE ? fb->arity : plan->binding->default_arity;
    f->how = f->resolver != PL_REF_NONE ? GQL_RESOLVE_CALL : GQL_RESOLVE_PROPERTY;
}

static pl_code compile_field(gql_plan *plan, const gql_plan_set *set, const gql_named *type, const group *g,
                             gql_plan_field *f, pl_error *err)
{
    const gql_selection *node = g->nodes[0];
    f->response_key = g->key;
    f->def = gql_schema_field(plan->binding->schema, type, node->name.text);
    if (!f->def)
        return pl_fail(err, PL_INTERNAL, "Cannot query field \"%.*s\" on type \"%.*s\".",
                       PL_STR_ARG(node->name.text), PL_STR_ARG(type->name));
    f->nodes = pl_arena_array(&plan->arena, g->count, sizeof(*f->nodes));
    if (!f->nodes || compile_prefix(plan, f, err) != PL_OK)
        return pl_fail_memory(err);
    memcpy(f->nodes, g->nodes, g->count * sizeof(*f->nodes));
    f->node_count = g->count;
    choose_resolver(plan, type, f);
    if (f->how == GQL_RESOLVE_TYPENAME && !f->text.ptr)
        return pl_fail_memory(err);
    if (gql_is_composite(f->def->type->named)) {
        f->set = pl_arena_zalloc(&plan->arena, sizeof *f->set);
        if (!f->set)
            return pl_fail_memory(err);
        f->set->declared = f->def->type->named;
        f->set->nodes = f->nodes;
        f->set->node_count = f->node_count;
        f->set->depth = set->depth + 1;
    }
    return compile_arguments(plan, f, node, err);
}

static pl_code compile_groups(gql_plan *plan, gql_plan_set *set, collector *c, gql_plan_object *object)
{
    object->fields = pl_arena_array(&plan->arena, c->groups.count, sizeof *object->fields);
    if (!object->fields)
        return pl_fail_memory(c->err);
    plan->field_count += (uint32_t)c->groups.count;
    if (plan->field_count > plan->max_fields)
        return pl_fail(c->err, PL_RESOURCE_EXHAUSTED, "The operation selects more than %u fields.",
                       plan->max_fields);
    for (size_t i = 0; i < c->groups.count; i++) {
        if (compile_field(plan, set, object->type, c->groups.entries[i].value, &object->fields[i], c->err) !=
            PL_OK)
            return c->err->code;
        object->count++;
    }
    return PL_OK;
}

static pl_code compile_object(gql_plan *plan, gql_plan_set *set, const gql_named *type, gql_plan_object **out,
                              pl_error *err)
{
    pl_arena scratch;
    pl_arena_init(&scratch, 0);
    collector c = {.plan = plan, .type = type, .scratch = &scratch, .err = err};
    pl_map_init(&c.groups);
    gql_plan_object *object = pl_arena_zalloc(&plan->arena, sizeof *object);
    pl_code code = PL_OK;
    c.visited = pl_arena_array(&scratch, plan->document->fragment_count, 1);
    if (!object || !c.visited) {
        code = pl_fail_memory(err);
        goto done;
    }
    object->type = type;
    if (set->root)
        code = collect(&c, set->root, 0);
    for (uint32_t i = 0; i < set->node_count && code == PL_OK; i++)
        code = collect(&c, &set->nodes[i]->selections, 0);
    if (code == PL_OK)
        code = compile_groups(plan, set, &c, object);
    *out = object;
done:
    pl_map_dispose(&c.groups);
    pl_arena_dispose(&scratch);
    return code;
}

pl_code gql_plan_object_get(gql_plan *plan, gql_plan_set *set, const gql_named *type,
                            const gql_variable *variables, uint32_t variable_count,
                            const gql_plan_object **out, pl_error *err)
{
    for (gql_plan_object *o = set->objects; o; o = o->next) {
        if (o->type == type) {
            *out = o;
            return PL_OK;
        }
    }
    if (set->depth > MAX_DEPTH)
        return pl_fail(err, PL_RESOURCE_EXHAUSTED, "The operation is nested more than %d levels deep.",
                       MAX_DEPTH);
    gql_plan_object *object = NULL;
    plan->variables = variables;
    plan->variable_count = variable_count;
    pl_code code = compile_object(plan, set, type, &object, err);
    plan->variables = NULL;
    plan->variable_count = 0;
    if (code)
        return code;
    object->next = set->objects;
    set->objects = object;
    *out = object;
    return PL_OK;
}

/* --- condition variables --- */
typedef struct finder {
    pl_str *names;
    uint32_t count, max;
} finder;

static void find_in_directives(finder *f, const gql_directives *directives)
{
    for (uint32_t i = 0; i < directives->count; i++) {
        const gql_directive *d = &directives->items[i];
        if (!pl_str_is(d->name.text, "skip") && !pl_str_is(d->name.text, "include"))
            continue;
        for (uint32_t k = 0; k < d->argument_count; k++) {
            const gql_value *v = &d->arguments[k].value;
            if (v->kind != GQL_VALUE_VARIABLE || f->count > f->max)
                continue;
            bool known = false;
            for (uint32_t j = 0; j < f->count && j < f->max; j++)
                known |= pl_str_eq(f->names[j], v->text);
            if (known)
                continue;
            if (f->count < f->max)
                f->names[f->count] = v->text;
            f->count++;
        }
    }
}

static void find_in_set(finder *f, const gql_selection_set *set)
{
    for (uint32_t i = 0; i < set->count; i++) {
        find_in_directives(f, &set->items[i].directives);
        find_in_set(f, &set->items[i].selections); /* as deep as the parser allows */
    }
}

uint32_t gql_condition_variables(const gql_document *document, pl_str *names, uint32_t max)
{
    finder f = {names, 0, max};
    for (uint32_t i = 0; i < document->operation_count; i++)
        find_in_set(&f, &document->operations[i].selections);
    for (uint32_t i = 0; i < document->fragment_count; i++)
        find_in_set(&f, &document->fragments[i].selections);
    return f.count;
}
