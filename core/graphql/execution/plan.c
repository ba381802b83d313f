/* SPDX-License-Identifier: MIT */
#include "graphql/execution/plan_internal.h"

#include "base/alloc.h"
#include "graphql/execution/entities.h"
#include "value/json.h"

#define DEFAULT_MAX_FIELDS 20000

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
    plan->incremental = operation->kind == GQL_SUBSCRIPTION ? GQL_INCREMENTAL_OFF : incremental;
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
    for (const gql_plan_info *info = plan->infos; info; info = info->next) {
        if (info->shared != PL_REF_NONE)
            pl_engine_of(plan->binding->state)->drop(plan->binding->state, info->shared);
    }
    pl_map_dispose(&plan->fragments);
    pl_arena_dispose(&plan->arena);
    pl_free(plan);
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

static pl_code compile_prefix(gql_plan *plan, gql_plan_field *f, bool first, pl_error *err)
{
    pl_buf text;
    pl_buf_init(&text);
    pl_buf_char(&text, first ? '{' : ',');
    pl_json_string(&text, f->response_key);
    pl_buf_char(&text, ':');
    char *padded = text.failed ? NULL : pl_arena_zalloc(&plan->arena, gql_prefix_room(text.len));
    if (padded)
        f->prefix = (pl_str){memcpy(padded, text.data, text.len), text.len};
    pl_buf_dispose(&text);
    return f->prefix.ptr ? PL_OK : pl_fail_memory(err);
}

static gql_plan_info *new_info(gql_plan *plan)
{
    gql_plan_info *info = pl_arena_alloc(&plan->arena, sizeof *info);
    if (!info)
        return NULL; /* then it is made at each call */
    *info = (gql_plan_info){.next = plan->infos, .shared = PL_REF_NONE};
    plan->infos = info;
    return info;
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
    int arity = fb->resolver != PL_REF_NONE ? fb->arity : plan->binding->default_arity;
    f->native = arity == PL_ARITY_NATIVE;
    f->nargs = f->native ? 3 : arity < 4 ? arity : 4;
    f->how = f->resolver != PL_REF_NONE ? GQL_RESOLVE_CALL : GQL_RESOLVE_PROPERTY;
    if (f->how == GQL_RESOLVE_CALL && f->nargs == 4)
        f->info = new_info(plan);
}

/* current: the group that executes the field. */
static gql_plan_set *new_set(gql_plan *plan, const gql_plan_field *f, const gql_collected *g, uint32_t depth,
                             const gql_defer_set *current)
{
    gql_plan_set *set = pl_arena_zalloc(&plan->arena, sizeof *set);
    if (!set)
        return NULL;
    set->declared = f->def->type->named;
    set->nodes = f->nodes;
    set->node_count = f->node_count;
    set->depth = depth;
    if (!g || !g->deferred || f->how == GQL_RESOLVE_META)
        return set;
    set->current = current;
    set->defers = pl_arena_array(&plan->arena, g->count, sizeof(*set->defers));
    if (!set->defers)
        return NULL;
    memcpy(set->defers, g->defers, g->count * sizeof(*set->defers));
    return set;
}

static bool is_list(const gql_typeref *type)
{
    return (type->kind == GQL_TYPE_NON_NULL ? type->of : type)->kind == GQL_TYPE_LIST;
}

/* Items of a stream are executed on their own: whatever the field itself is deferred with is over then. */
static pl_code compile_stream(gql_plan *plan, gql_plan_field *f, const gql_selection *node, uint32_t depth,
                              pl_error *err)
{
    const gql_typeref *type = f->def->type;
    const gql_directive *directive = gql_collect_stream(plan, node);
    if (type->kind == GQL_TYPE_NON_NULL)
        type = type->of;
    if (!directive || type->kind != GQL_TYPE_LIST || f->how == GQL_RESOLVE_META)
        return PL_OK;
    gql_plan_stream *stream = pl_arena_zalloc(&plan->arena, sizeof *stream);
    gql_plan_field *item = pl_arena_alloc(&plan->arena, sizeof *item);
    if (!stream || !item)
        return pl_fail_memory(err);
    *item = *f;
    if (f->set && !(item->set = new_set(plan, f, NULL, depth, NULL)))
        return pl_fail_memory(err);
    stream->item = item;
    stream->label = gql_collect_label(directive);
    for (uint32_t i = 0; i < directive->argument_count; i++) {
        if (pl_str_is(directive->arguments[i].name.text, "initialCount"))
            stream->initial_count = &directive->arguments[i].value;
    }
    f->stream = stream;
    return PL_OK;
}

static pl_code compile_field(gql_plan *plan, const gql_plan_set *set, const gql_named *type,
                             const gql_collected *g, const gql_defer_set *current, bool first,
                             gql_plan_field *f, pl_error *err)
{
    const gql_selection *node = g->nodes[0];
    f->response_key = g->key;
    f->def = gql_schema_field(plan->binding->schema, type, node->name.text);
    if (!f->def)
        return pl_fail(err, PL_INTERNAL, "Cannot query field \"%.*s\" on type \"%.*s\".",
                       PL_STR_ARG(node->name.text), PL_STR_ARG(type->name));
    f->nodes = pl_arena_array(&plan->arena, g->count, sizeof(*f->nodes));
    if (!f->nodes || compile_prefix(plan, f, first, err) != PL_OK)
        return pl_fail_memory(err);
    memcpy(f->nodes, g->nodes, g->count * sizeof(*f->nodes));
    f->node_count = g->count;
    choose_resolver(plan, type, f);
    if (f->how == GQL_RESOLVE_TYPENAME && !f->text.ptr)
        return pl_fail_memory(err);
    if (gql_is_composite(f->def->type->named) && !(f->set = new_set(plan, f, g, set->depth + 1, current)))
        return pl_fail_memory(err);
    if (compile_arguments(plan, f, node, err) != PL_OK)
        return err->code;
    plan->has_lists |= f->set && is_list(f->def->type);
    return plan->incremental ? compile_stream(plan, f, node, set->depth + 1, err) : PL_OK;
}

/* A property that is a scalar without code. */
static bool is_plain_scalar(const gql_plan *plan, const gql_plan_field *f)
{
    const gql_named *type = f->def->type->named;
    const gql_typeref *outer = f->def->type->kind == GQL_TYPE_NON_NULL ? f->def->type->of : f->def->type;
    return f->how == GQL_RESOLVE_PROPERTY && !f->access && outer->kind != GQL_TYPE_LIST &&
           type->kind == GQL_SCALAR && type->scalar <= GQL_SCALAR_ID &&
           plan->binding->types[type->id].serialize == PL_REF_NONE;
}

static pl_code find_runs(gql_plan *plan, gql_plan_object *object, pl_error *err)
{
    const pl_key **keys = pl_arena_array(&plan->arena, object->count, sizeof(*keys));
    if (!keys)
        return pl_fail_memory(err);
    for (uint32_t i = object->count; i-- > 0;) {
        gql_plan_field *f = &object->fields[i];
        keys[i] = f->key;
        if (!is_plain_scalar(plan, f))
            continue;
        f->run_keys = &keys[i];
        f->scalar = f->def->type->named->scalar;
        f->run = i + 1 < object->count ? f[1].run + 1 : 1;
        if (f->run > GQL_MAX_RUN)
            f->run = GQL_MAX_RUN;
        for (uint32_t k = 0; k < f->run; k++)
            f->run_room += (uint32_t)gql_prefix_room(f[k].prefix.len) + GQL_SCALAR_ROOM;
    }
    for (uint32_t i = 0; i < object->count && plan->pin_count < GQL_MAX_PINS; i++) {
        if (object->fields[i].run == 0)
            continue;
        plan->pins[plan->pin_count++] = keys[i];
        object->fields[i].pin = plan->pin_count;
    }
    return PL_OK;
}

static pl_code compile_part(gql_plan *plan, gql_plan_set *set, const gql_collected_part *part,
                            gql_plan_object *object, pl_error *err)
{
    object->fields = pl_arena_array(&plan->arena, part->count, sizeof *object->fields);
    if (!object->fields)
        return pl_fail_memory(err);
    plan->field_count += part->count;
    if (plan->field_count > plan->max_fields)
        return pl_fail(err, PL_RESOURCE_EXHAUSTED, "The operation selects more than %u fields.",
                       plan->max_fields);
    for (const gql_collected *g = part->first; g; g = g->next) {
        if (compile_field(plan, set, object->type, g, part->set, object->count == 0,
                          &object->fields[object->count], err) != PL_OK)
            return err->code;
        object->count++;
    }
    return find_runs(plan, object, err);
}

static pl_code compile_deferral(gql_plan *plan, gql_plan_set *set, const gql_collection *c,
                                gql_plan_object *object, pl_error *err)
{
    gql_plan_deferral *deferral = pl_arena_zalloc(&plan->arena, sizeof *deferral);
    if (!deferral ||
        !(deferral->groups = pl_arena_array(&plan->arena, c->part_count, sizeof *deferral->groups)))
        return pl_fail_memory(err);
    deferral->defers = c->defers;
    for (gql_defer *d = c->defers; d; d = d->next) {
        d->owner = deferral;
        d->index = deferral->defer_count++;
    }
    for (const gql_collected_part *part = c->main->next; part; part = part->next) {
        gql_plan_group *group = &deferral->groups[deferral->group_count];
        group->set = part->set;
        group->object.type = object->type;
        if (compile_part(plan, set, part, &group->object, err) != PL_OK)
            return err->code;
        deferral->group_count++;
    }
    object->deferral = deferral;
    return PL_OK;
}

static pl_code compile_object(gql_plan *plan, gql_plan_set *set, const gql_named *type, gql_plan_object **out,
                              pl_error *err)
{
    gql_collection c;
    gql_plan_object *object = pl_arena_zalloc(&plan->arena, sizeof *object);
    if (!object)
        return pl_fail_memory(err);
    object->type = type;
    pl_code code = gql_collect(plan, set, type, &c, err);
    if (code == PL_OK)
        code = compile_part(plan, set, c.main, object, err);
    if (code == PL_OK && (c.defers || c.main->next))
        code = compile_deferral(plan, set, &c, object, err);
    *out = object;
    gql_collection_dispose(&c);
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
    if (set->depth > GQL_MAX_DEPTH)
        return pl_fail(err, PL_RESOURCE_EXHAUSTED, "The operation is nested more than %d levels deep.",
                       GQL_MAX_DEPTH);
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
        if (!pl_str_is(d->name.text, "skip") && !pl_str_is(d->name.text, "include") &&
            !pl_str_is(d->name.text, "defer") && !pl_str_is(d->name.text, "stream"))
            continue;
        for (uint32_t k = 0; k < d->argument_count; k++) {
            const gql_value *v = &d->arguments[k].value;
            if (v->kind != GQL_VALUE_VARIABLE || f->count > f->max ||
                !pl_str_is(d->arguments[k].name.text, "if"))
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
