/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>

#include "graphql/schema/cost_directives.h"
#include "graphql/validation/cost_internal.h"

/* --- arguments --- */

/* What a variable's value costs wherever it stands: that depends on the weight of the place only through how
 * many lists, objects and leaves the value has at its top, outside of any object. */
struct gql_cost_score {
    bool known;
    double shells;  /* lists, objects and leaves at the top */
    double objects; /* of those, the objects */
    double fields;  /* what is inside the objects */
};

static double weight_at(const gql_cost_model *model, const gql_input *input)
{
    double own = model->inputs[input->id];
    return own >= 0 ? own : model->types[input->type->named->id];
}

static double weight_or(double weight, double otherwise)
{
    return weight >= 0 ? weight : otherwise;
}

static const gql_typeref *nullable(const gql_typeref *type)
{
    return type->kind == GQL_TYPE_NON_NULL ? type->of : type;
}

/* As deep as the JSON reader lets values nest. */
static void score_value(const gql_cost_model *model, const pl_value *value, const gql_typeref *type,
                        gql_cost_score *score)
{
    type = nullable(type);
    if (value->kind == PL_KIND_NULL || value->kind == PL_KIND_ABSENT)
        return;
    score->shells++;
    if (type->kind == GQL_TYPE_LIST) {
        for (size_t i = 0; value->kind == PL_KIND_LIST && i < value->list.count; i++)
            score_value(model, &value->list.items[i], type->of, score);
        return;
    }
    if (type->named->kind != GQL_INPUT_OBJECT || value->kind != PL_KIND_MAP)
        return;
    score->objects++;
    for (size_t i = 0; i < value->map.count; i++) {
        const gql_input *field = pl_map_get(&type->named->input_map, value->map.members[i].name);
        gql_cost_score inner = {0};
        if (!field)
            continue;
        score_value(model, &value->map.members[i].value, field->type, &inner);
        double weight = weight_at(model, field);
        score->fields += inner.fields + (weight >= 0 ? weight * inner.shells : inner.objects);
    }
}

static double variable_cost(gql_cost_env *env, pl_str name, const gql_input *input)
{
    const gql_variable *v = gql_variable_find(env->variables, env->variable_count, name);
    if (!v || !v->given || !env->scores)
        return 0;
    gql_cost_score *score = &env->scores[v - env->variables];
    if (!score->known) {
        score_value(env->model, &v->value, input->type, score);
        score->known = true;
    }
    double weight = weight_at(env->model, input);
    return score->fields + (weight >= 0 ? weight * score->shells : score->objects);
}

/* As deep as the parser lets values nest. */
static double literal_cost(gql_cost_env *env, const gql_value *value, const gql_input *input)
{
    const gql_named *type = input->type->named;
    double weight = weight_at(env->model, input), sum;
    switch (value->kind) {
    case GQL_VALUE_VARIABLE:
        return variable_cost(env, value->text, input);
    case GQL_VALUE_NULL:
        return 0;
    case GQL_VALUE_LIST:
        sum = weight_or(weight, 0);
        for (uint32_t i = 0; i < value->count; i++)
            sum += literal_cost(env, &value->items[i], input);
        return sum;
    case GQL_VALUE_OBJECT:
        if (type->kind != GQL_INPUT_OBJECT)
            break;
        sum = weight_or(weight, 1);
        for (uint32_t i = 0; i < value->count; i++) {
            const gql_input *field = pl_map_get(&type->input_map, value->fields[i].name.text);
            sum += field ? literal_cost(env, &value->fields[i].value, field) : 0;
        }
        return sum;
    default:
        break;
    }
    return weight_or(weight, 0);
}

static const gql_value *argument_of(const gql_selection *field, pl_str name)
{
    for (uint32_t i = 0; i < field->argument_count; i++) {
        if (pl_str_eq(field->arguments[i].name.text, name))
            return &field->arguments[i].value;
    }
    return NULL;
}

double gql_cost_arguments(gql_cost_env *env, const gql_selection *field, const gql_field *def)
{
    double sum = 0;
    for (uint32_t i = 0; i < field->argument_count; i++) {
        const gql_argument *argument = &field->arguments[i];
        const gql_input *input = gql_input_find(def->arguments, def->argument_count, argument->name.text);
        sum += input ? literal_cost(env, &argument->value, input) : 0;
    }
    return sum;
}

static bool varies(const gql_value *value)
{
    if (value->kind == GQL_VALUE_VARIABLE)
        return true;
    for (uint32_t i = 0; i < value->count; i++) {
        if (varies(value->kind == GQL_VALUE_LIST ? &value->items[i] : &value->fields[i].value))
            return true;
    }
    return false;
}

bool gql_cost_arguments_vary(const gql_selection *field)
{
    for (uint32_t i = 0; i < field->argument_count; i++) {
        if (varies(&field->arguments[i].value))
            return true;
    }
    return false;
}

/* --- lengths of lists --- */

static bool number_of_value(const pl_value *value, pl_str path, double *out)
{
    while (path.len > 0 && value && value->kind == PL_KIND_MAP)
        value = pl_value_member(value, gql_path_step(&path));
    if (!value || path.len > 0 || value->kind != PL_KIND_INT)
        return false;
    *out = (double)value->integer;
    return true;
}

static bool number_of_literal(const gql_cost_env *env, const gql_value *value, pl_str path, double *out)
{
    while (value && value->kind == GQL_VALUE_OBJECT && path.len > 0) {
        pl_str step = gql_path_step(&path);
        const gql_value *found = NULL;
        for (uint32_t i = 0; i < value->count && !found; i++) {
            if (pl_str_eq(value->fields[i].name.text, step))
                found = &value->fields[i].value;
        }
        value = found;
    }
    if (value && value->kind == GQL_VALUE_VARIABLE) {
        const gql_variable *v = gql_variable_find(env->variables, env->variable_count, value->text);
        return v && v->given && number_of_value(&v->value, path, out);
    }
    if (!value || path.len > 0 || value->kind != GQL_VALUE_INT || value->text.len > 20)
        return false;
    char text[24];
    memcpy(text, value->text.ptr, value->text.len);
    text[value->text.len] = '\0';
    *out = strtod(text, NULL);
    return true;
}

/* Of a list, or of what stands for a list of one. */
static bool items_of_literal(const gql_cost_env *env, const gql_value *value, double *out)
{
    if (value && value->kind == GQL_VALUE_VARIABLE) {
        const gql_variable *v = gql_variable_find(env->variables, env->variable_count, value->text);
        *out = v && v->value.kind == PL_KIND_LIST ? (double)v->value.list.count : 1;
        return v && v->given;
    }
    *out = value && value->kind == GQL_VALUE_LIST ? value->count : 1;
    return value != NULL;
}

double gql_cost_slice(const gql_cost_env *env, const gql_selection *field, const gql_list_size *list_size,
                      uint32_t *count)
{
    double most = -1;
    *count = 0;
    for (uint32_t i = 0; i < list_size->slicing_count; i++) {
        const gql_slicing *s = &list_size->slicing[i];
        const gql_value *given = argument_of(field, s->argument->name);
        double n;
        if (s->items ? items_of_literal(env, given, &n)
                     : number_of_literal(env, given ? given : s->argument->default_ast, s->path, &n)) {
            (*count)++;
            most = n > most ? n : most;
        }
    }
    return most >= 0 ? most : list_size->assumed;
}

void gql_cost_write_slicing(pl_buf *out, const gql_unsliced *unsliced)
{
    for (uint32_t i = 0; i < unsliced->list_size->slicing_count; i++) {
        const gql_slicing *s = &unsliced->list_size->slicing[i];
        pl_buf_printf(out, "%s\"%.*s%s%.*s\"", i ? ", " : "", PL_STR_ARG(s->argument->name),
                      s->path.len ? "." : "", PL_STR_ARG(s->path));
    }
}

/* --- @skip and @include --- */

static const gql_value *condition_of(const gql_directive *directive)
{
    return pl_str_is(directive->name.text, "skip") || pl_str_is(directive->name.text, "include")
               ? gql_directive_value(directive, "if")
               : NULL;
}

bool gql_cost_conditions_vary(const gql_directives *directives)
{
    for (uint32_t i = 0; i < directives->count; i++) {
        const gql_value *condition = condition_of(&directives->items[i]);
        if (condition && condition->kind == GQL_VALUE_VARIABLE)
            return true;
    }
    return false;
}

bool gql_cost_included(const gql_cost_env *env, const gql_directives *directives)
{
    for (uint32_t i = 0; i < directives->count; i++) {
        const gql_directive *directive = &directives->items[i];
        const gql_value *condition = condition_of(directive);
        bool includes = pl_str_is(directive->name.text, "include"), value = includes;
        if (!condition)
            continue;
        const gql_variable *v = condition->kind == GQL_VALUE_VARIABLE
                                    ? gql_variable_find(env->variables, env->variable_count, condition->text)
                                    : NULL;
        if (condition->kind == GQL_VALUE_BOOLEAN)
            value = condition->boolean;
        else if (v && v->given && v->value.kind == PL_KIND_BOOL)
            value = v->value.boolean;
        if (value != includes)
            return false;
    }
    return true;
}

/* --- evaluation --- */

typedef struct evaluation {
    gql_cost_env env;
    const gql_cost_plan *plan;
    double *values; /* of nodes, from 1 */
    /* Fields that miss a slicing argument are NaN, so that the total tells whether one of them counts. */
    bool poison;
    gql_unsliced unsliced;
} evaluation;

static double term_value(const evaluation *ev, gql_cost_term term)
{
    return term.constant + (term.node ? ev->values[term.node] : 0);
}

static double list_length(evaluation *ev, const gql_cost_size *size)
{
    uint32_t count;
    if (size->constant >= 0)
        return size->constant;
    double n = gql_cost_slice(&ev->env, size->field, size->list_size, &count);
    return n >= 0 ? n : ev->plan->model->default_list_size;
}

static double field_value(evaluation *ev, const gql_cost_node *node)
{
    uint32_t count;
    if (!gql_cost_included(&ev->env, node->directives))
        return 0;
    if (node->list_size) {
        gql_cost_slice(&ev->env, node->field, node->list_size, &count);
        if (gql_cost_is_unsliced(node->list_size, count)) {
            if (ev->poison)
                return NAN;
            if (!ev->unsliced.field)
                ev->unsliced = (gql_unsliced){node->field, node->list_size, count};
        }
    }
    return list_length(ev, &node->size) * term_value(ev, node->terms[0]) +
           gql_cost_arguments(&ev->env, node->field, node->def);
}

static double node_value(evaluation *ev, const gql_cost_node *node)
{
    double value = 0;
    switch (node->kind) {
    case GQL_COST_SUM:
        for (uint32_t i = 0; i < node->term_count; i++)
            value += term_value(ev, node->terms[i]);
        return value;
    case GQL_COST_MAX:
        for (uint32_t i = 0; i < node->term_count; i++) {
            double other = term_value(ev, node->terms[i]);
            value = other > value || isnan(other) ? other : value; /* once NaN, nothing is greater */
        }
        return value;
    case GQL_COST_FIELD:
        return field_value(ev, node);
    case GQL_COST_GATE:
        return gql_cost_included(&ev->env, node->directives) ? term_value(ev, node->terms[0]) : 0;
    }
    return 0;
}

static double evaluate(evaluation *ev, bool poison)
{
    ev->poison = poison;
    for (uint32_t i = 1; i <= ev->plan->node_count; i++)
        ev->values[i] = gql_cost_bounded(node_value(ev, &ev->plan->nodes[i - 1]));
    return gql_cost_bounded(term_value(ev, ev->plan->total));
}

pl_code gql_cost(const gql_cost_plan *plan, const gql_variable *variables, uint32_t variable_count,
                 pl_arena *scratch, gql_cost_result *out)
{
    *out = (gql_cost_result){plan->total.constant, plan->unsliced};
    if (plan->node_count == 0)
        return PL_OK;
    evaluation ev = {.env = {.model = plan->model, .variables = variables, .variable_count = variable_count},
                     .plan = plan};
    ev.env.scores = pl_arena_array(scratch, variable_count, sizeof *ev.env.scores);
    ev.values = pl_arena_array(scratch, (size_t)plan->node_count + 1, sizeof *ev.values);
    if (!ev.env.scores || !ev.values)
        return PL_RESOURCE_EXHAUSTED;
    out->cost = evaluate(&ev, false);
    if (!out->unsliced.field && ev.unsliced.field && isnan(evaluate(&ev, true)))
        out->unsliced = ev.unsliced;
    return PL_OK;
}
