/* SPDX-License-Identifier: MIT */
#include "graphql/cache/trace.h"
#include "graphql/execution/internal.h"
#include "graphql/execution/scalars.h"
#include "value/json.h"

/* Value completion (spec 6.4.3). */

static gql_outcome complete_value(gql_execution *x, const gql_plan_field *f, const gql_typeref *type,
                                  pl_slot value, const gql_path *path, gql_frame *frame);

static gql_outcome __attribute__((noinline))
null_refused(gql_execution *x, const gql_plan_field *f, const gql_path *path)
{
    char message[512];
    snprintf(message, sizeof message, "Cannot return null for non-nullable field %.*s.%.*s.",
             PL_STR_ARG(f->def->parent->name), PL_STR_ARG(f->def->name));
    gql_error_add(x, f, path, PL_INTERNAL, pl_str_of(message), NULL, NULL);
    return GQL_FAILED;
}

static gql_outcome __attribute__((noinline))
complete_nullable(gql_execution *x, const gql_plan_field *f, const gql_typeref *type, pl_slot value,
                  const gql_path *path, gql_frame *parent)
{
    gql_frame frame = {.parent = parent, .start = x->out.buf.len};
    gql_outcome outcome = complete_value(x, f, type, value, path, &frame);
    if (outcome == GQL_FAILED) {
        gql_output_rewind(&x->out, frame.start, gql_drop_patch, x);
        frame.scope = NULL;
    }
    if (outcome != GQL_WRITTEN)
        PL_BUF_LIT(&x->out.buf, "null");
    if (frame.scope)
        frame.scope->end = x->out.buf.len;
    return GQL_WRITTEN;
}

gql_outcome gql_complete(gql_execution *x, const gql_plan_field *f, const gql_typeref *type, pl_slot value,
                         const gql_path *path, gql_frame *frame)
{
    if (type->kind != GQL_TYPE_NON_NULL)
        return complete_nullable(x, f, type, value, path, frame);
    gql_outcome outcome = complete_value(x, f, type->of, value, path, frame);
    return outcome != GQL_NULL ? outcome : null_refused(x, f, path);
}

/* Then there is nothing to decide before the fields of an object. */
static const gql_plan_object *planned(const gql_plan_field *f, const gql_named *type)
{
    const gql_plan_object *object = f->set ? f->set->objects : NULL;
    return object && object->type == type && !object->deferral ? object : NULL;
}

/* The same for objects that cannot be null. */
static const gql_plan_object *planned_always(const gql_plan_field *f, const gql_typeref *type)
{
    return type->kind == GQL_TYPE_NON_NULL && type->of->kind != GQL_TYPE_LIST ? planned(f, type->of->named)
                                                                              : NULL;
}

static gql_outcome __attribute__((noinline))
no_room(gql_execution *x, const gql_plan_field *f, const gql_path *path)
{
    gql_error_internal_text(x, f, path, PL_RESOURCE_EXHAUSTED, "out of memory");
    return GQL_FAILED;
}

gql_outcome gql_complete_field(gql_execution *x, const gql_plan_field *f, pl_slot value, const gql_path *path,
                               gql_frame *frame)
{
    const gql_plan_object *object = planned_always(f, f->def->type);
    if (!object || x->e->shape(x->state, value) != PL_KIND_MAP)
        return gql_complete(x, f, f->def->type, value, path, frame);
    if (!x->e->reserve(x->state, GQL_OBJECT_SLOTS))
        return no_room(x, f, path);
    return gql_write_object(x, object, value, true, path, frame, value);
}

/* An empty table may be a list. */
bool gql_is_empty_map(gql_execution *x, pl_slot value)
{
    pl_slot top = x->e->top(x->state);
    x->e->push_absent(x->state);
    bool empty = !x->e->next(x->state, value);
    x->e->pop_to(x->state, top);
    return empty;
}

/* The messages of the walk are made in functions of their own, to keep its frames small. */
static gql_outcome __attribute__((noinline))
not_a_list(gql_execution *x, const gql_plan_field *f, pl_kind kind, const gql_path *path)
{
    char message[512];
    snprintf(message, sizeof message,
             "Expected a list for field \"%.*s.%.*s\", but the resolver returned %s.",
             PL_STR_ARG(f->def->parent->name), PL_STR_ARG(f->def->name), pl_kind_phrase(kind));
    gql_error_internal_text(x, f, path, PL_INTERNAL, message);
    return GQL_FAILED;
}

gql_outcome gql_list_too_long(gql_execution *x, const gql_plan_field *f, const gql_path *path)
{
    char message[512];
    snprintf(message, sizeof message, "The list of field \"%.*s.%.*s\" has more than %u items.",
             PL_STR_ARG(f->def->parent->name), PL_STR_ARG(f->def->name), x->options.max_list_items);
    gql_error_add(x, f, path, PL_RESOURCE_EXHAUSTED, pl_str_of(message), NULL, NULL);
    return GQL_FAILED;
}

/* Perhaps what gives a list. */
static gql_outcome __attribute__((noinline))
not_a_plain_list(gql_execution *x, const gql_plan_field *f, const gql_typeref *type, pl_slot value,
                 pl_kind kind, const gql_path *path, gql_frame *frame)
{
    gql_outcome outcome = GQL_NULL;
    if (kind == PL_KIND_OTHER || kind == PL_KIND_MAP)
        outcome = gql_complete_iterator(x, f, type, value, path, frame);
    return outcome == GQL_NULL ? not_a_list(x, f, kind, path) : outcome;
}

static gql_outcome __attribute__((noinline))
complete_list(gql_execution *x, const gql_plan_field *f, const gql_typeref *type, pl_slot value, pl_kind kind,
              const gql_path *path, gql_frame *frame)
{
    const pl_engine *e = x->e;
    if (kind != PL_KIND_LIST && !(kind == PL_KIND_MAP && gql_is_empty_map(x, value)))
        return not_a_plain_list(x, f, type, value, kind, path, frame);
    const gql_plan_object *plain = planned_always(f, type->of);
    size_t n = e->length(x->state, value), streamed = SIZE_MAX;
    if (x->options.max_list_items > 0 && n > x->options.max_list_items)
        return gql_list_too_long(x, f, path);
    if (f->stream && path->key.ptr && !gql_stream_initial(x, f, path, &streamed))
        return GQL_FAILED;
    pl_slot top = e->top(x->state);
    gql_path here = {.parent = path};
    pl_buf_char(&x->out.buf, '[');
    for (size_t i = 0; i < n && i < streamed; i++) {
        if (i > 0)
            pl_buf_char(&x->out.buf, ',');
        here.index = i;
        pl_kind item = e->item(x->state, value, i);
        gql_outcome outcome = plain && item == PL_KIND_MAP
                                  ? gql_write_object(x, plain, top + 1, true, &here, frame, top + 1)
                                  : gql_complete(x, f, type->of, top + 1, &here, frame);
        e->pop_to(x->state, top);
        if (outcome != GQL_WRITTEN)
            return outcome;
        if (x->out.buf.failed)
            return GQL_FAILED;
    }
    if (streamed <= n && !gql_stream_open(x, f, type->of, value, streamed, path, frame))
        return GQL_FAILED;
    pl_buf_char(&x->out.buf, ']');
    return GQL_WRITTEN;
}

/* --- leaves --- */
static gql_outcome leaf_error(gql_execution *x, const gql_plan_field *f, const gql_path *path,
                              const char *message)
{
    gql_error_internal_text(x, f, path, PL_INTERNAL, message);
    return GQL_FAILED;
}

static bool same_scalar(pl_state *state, pl_slot slot, const pl_value *v)
{
    const pl_engine *e = pl_engine_of(state);
    if (e->kind(state, slot) != v->kind)
        return false;
    switch (v->kind) {
    case PL_KIND_STRING:
        return pl_str_eq(e->get_string(state, slot), v->string);
    case PL_KIND_INT:
        return e->get_int(state, slot) == v->integer;
    case PL_KIND_FLOAT:
        return e->get_float(state, slot) == v->number;
    case PL_KIND_BOOL:
        return e->get_bool(state, slot) == v->boolean;
    default:
        return false;
    }
}

static const gql_enum_value *find_enum_value(gql_execution *x, const gql_named *type, pl_slot slot)
{
    const pl_value *internal = x->binding->types[type->id].internal;
    if (!internal)
        return x->e->kind(x->state, slot) == PL_KIND_STRING
                   ? pl_map_get(&type->value_map, x->e->get_string(x->state, slot))
                   : NULL;
    for (uint32_t i = 0; i < type->value_count; i++) {
        if (same_scalar(x->state, slot, &internal[i]))
            return &type->values[i];
    }
    return NULL;
}

static gql_outcome complete_enum(gql_execution *x, const gql_plan_field *f, const gql_named *type,
                                 pl_slot slot, const gql_path *path)
{
    const gql_enum_value *value = find_enum_value(x, type, slot);
    if (!value) {
        char message[512];
        pl_buf shown;
        pl_buf_init(&shown);
        gql_show_slot(&shown, x->state, slot);
        snprintf(message, sizeof message, "Enum \"%.*s\" cannot represent value: %.*s",
                 PL_STR_ARG(type->name), (int)shown.len, shown.data ? shown.data : "");
        pl_buf_dispose(&shown);
        return leaf_error(x, f, path, message);
    }
    pl_buf_char(&x->out.buf, '"');
    pl_buf_str(&x->out.buf, value->name);
    pl_buf_char(&x->out.buf, '"');
    return GQL_WRITTEN;
}

/* A scalar whose serialize is a script function: what that returns is written as JSON. */
static gql_outcome complete_custom(gql_execution *x, const gql_plan_field *f, const gql_named *type,
                                   pl_ref serialize, pl_slot slot, const gql_path *path)
{
    pl_slot top = x->e->top(x->state);
    pl_call *pending;
    pl_failure failure = {0};
    pl_error err;
    gql_outcome outcome = GQL_WRITTEN;
    if (!x->e->reserve(x->state, 8))
        return leaf_error(x, f, path, "out of memory");
    x->e->push_copy(x->state, slot);
    switch (x->e->call(x->state, serialize, 1, x->work, &pending, &failure)) {
    case PL_CALL_DONE:
        if (x->e->kind(x->state, top + 1) <= PL_KIND_NULL)
            outcome = GQL_NULL;
        else if (gql_scalar_write(GQL_SCALAR_CUSTOM, type->name, x->state, top + 1, &x->out.buf, &err) !=
                 PL_OK)
            outcome = leaf_error(x, f, path, err.message);
        break;
    case PL_CALL_PENDING:
        x->e->cancel(x->state, pending);
        outcome = leaf_error(x, f, path, "the serialize function of a scalar cannot wait");
        break;
    case PL_CALL_FAILED:
        gql_error_failure(x, f, path, &failure);
        outcome = GQL_FAILED;
        break;
    }
    x->e->pop_to(x->state, top);
    return outcome;
}

static gql_outcome __attribute__((noinline))
complete_scalar(gql_execution *x, const gql_plan_field *f, const gql_named *type, pl_slot slot,
                const gql_path *path)
{
    pl_error err;
    if (gql_scalar_write(type->scalar, type->name, x->state, slot, &x->out.buf, &err) != PL_OK)
        return leaf_error(x, f, path, err.message);
    return GQL_WRITTEN;
}

static gql_outcome write_leaf(gql_execution *x, const gql_plan_field *f, const gql_named *type, pl_slot slot,
                              pl_kind kind, const gql_path *path)
{
    if (type->kind == GQL_ENUM)
        return complete_enum(x, f, type, slot, path);
    if (kind == PL_KIND_STRING && (type->scalar == GQL_SCALAR_STRING || type->scalar == GQL_SCALAR_ID)) {
        if (pl_json_string(&x->out.buf, x->e->get_string(x->state, slot)))
            return GQL_WRITTEN;
        return leaf_error(x, f, path,
                          type->scalar == GQL_SCALAR_ID ? "ID cannot represent bytes that are not UTF-8"
                                                        : "String cannot represent bytes that are not UTF-8");
    }
    pl_ref serialize = x->binding->types[type->id].serialize;
    if (serialize != PL_REF_NONE)
        return complete_custom(x, f, type, serialize, slot, path);
    return complete_scalar(x, f, type, slot, path);
}

static gql_outcome complete_leaf(gql_execution *x, const gql_plan_field *f, const gql_named *type,
                                 pl_slot slot, pl_kind kind, const gql_path *path)
{
    const pl_buf *buf = &x->out.buf;
    size_t start = buf->len;
    gql_outcome outcome = write_leaf(x, f, type, slot, kind, path);
    if (x->params.cache && outcome == GQL_WRITTEN && !buf->failed)
        gql_cache_leaf(x->params.cache, f->def, (pl_str){buf->data + start, buf->len - start});
    return outcome;
}

/* --- composites --- */

/* Pushes the name of the concrete type: from __resolve_type, or the value's __typename. False: an error was
 * recorded. */
static bool push_type_name(gql_execution *x, const gql_plan_field *f, const gql_named *type, pl_slot value,
                           const gql_path *path)
{
    pl_ref resolve = x->binding->types[type->id].resolve_type;
    pl_call *pending;
    pl_failure failure = {0};
    if (resolve == PL_REF_NONE) {
        if (x->e->field(x->state, value, x->binding->typename_key))
            return true;
        resolve = x->e->index_function(x->state);
        x->e->push_copy(x->state, value);
        x->e->push_key(x->state, x->binding->typename_key);
    } else {
        x->e->push_copy(x->state, value);
        x->e->push_ctx(x->state, x->work);
    }
    switch (x->e->call(x->state, resolve, 2, x->work, &pending, &failure)) {
    case PL_CALL_DONE:
        return true;
    case PL_CALL_PENDING:
        x->e->cancel(x->state, pending);
        gql_error_internal_text(x, f, path, PL_INTERNAL, "__resolve_type cannot wait");
        return false;
    default:
        gql_error_failure(x, f, path, &failure);
        return false;
    }
}

const gql_named *gql_resolve_type(gql_execution *x, const gql_plan_field *f, const gql_named *type,
                                  pl_slot value, const gql_path *path)
{
    pl_slot top = x->e->top(x->state);
    if (!push_type_name(x, f, type, value, path)) {
        x->e->pop_to(x->state, top);
        return NULL;
    }
    char message[512];
    const gql_named *object = NULL;
    if (x->e->kind(x->state, top + 1) != PL_KIND_STRING) {
        snprintf(message, sizeof message,
                 "Abstract type \"%.*s\" must resolve to an Object type at runtime for field \"%.*s.%.*s\": "
                 "give the value a __typename, or the "
                 "type a __resolve_type function.",
                 PL_STR_ARG(type->name), PL_STR_ARG(f->def->parent->name), PL_STR_ARG(f->def->name));
    } else {
        pl_str name = x->e->get_string(x->state, top + 1);
        object = gql_schema_type(x->binding->schema, name);
        if (!object || object->kind != GQL_OBJECT || !gql_is_possible(type, object)) {
            snprintf(message, sizeof message,
                     "Runtime Object type \"%.*s\" is not a possible type for \"%.*s\".",
                     name.len > 100 ? 100 : (int)name.len, name.ptr, PL_STR_ARG(type->name));
            object = NULL;
        }
    }
    x->e->pop_to(x->state, top);
    if (!object)
        gql_error_internal_text(x, f, path, PL_INTERNAL, message);
    return object;
}

static gql_outcome __attribute__((noinline))
not_an_object(gql_execution *x, const gql_plan_field *f, const gql_named *type, pl_kind kind,
              const gql_path *path)
{
    char message[512];
    snprintf(message, sizeof message,
             "Expected an object of type \"%.*s\" for field \"%.*s.%.*s\", but the resolver returned %s.",
             PL_STR_ARG(type->name), PL_STR_ARG(f->def->parent->name), PL_STR_ARG(f->def->name),
             pl_kind_phrase(kind));
    gql_error_internal_text(x, f, path, PL_INTERNAL, message);
    return GQL_FAILED;
}

/* NULL: an error was recorded. */
static const gql_plan_object *__attribute__((noinline))
compile(gql_execution *x, const gql_plan_field *f, const gql_named *type, const gql_path *path)
{
    const gql_plan_object *object;
    pl_error err;
    if (gql_plan_object_get(x->plan, f->set, type, x->env.variables, x->env.variable_count, &object, &err) ==
        PL_OK)
        return object;
    gql_error_add(x, f, path, err.code, pl_str_of(err.message), NULL, NULL);
    return NULL;
}

static gql_outcome complete_composite(gql_execution *x, const gql_plan_field *f, const gql_named *type,
                                      pl_slot value, pl_kind kind, const gql_path *path, gql_frame *frame)
{
    if (kind != PL_KIND_MAP && kind != PL_KIND_LIST && kind != PL_KIND_OTHER)
        return not_an_object(x, f, type, kind, path);
    if (gql_is_abstract(type)) {
        type = gql_resolve_type(x, f, type, value, path);
        if (!type)
            return GQL_FAILED;
    }
    const gql_plan_object *object = f->set->objects;
    if (!object || object->type != type)
        object = compile(x, f, type, path);
    if (!object || (object->deferral && gql_deferral_is_full(x, f, path)))
        return GQL_FAILED;
    return gql_execute_fields(x, object, value, path, frame);
}

static gql_outcome complete_value(gql_execution *x, const gql_plan_field *f, const gql_typeref *type,
                                  pl_slot value, const gql_path *path, gql_frame *frame)
{
    bool is_list = type->kind == GQL_TYPE_LIST, is_leaf = !is_list && !f->set;
    pl_kind kind = is_list || is_leaf ? x->e->kind(x->state, value) : x->e->shape(x->state, value);
    if (kind == PL_KIND_ABSENT || kind == PL_KIND_NULL)
        return GQL_NULL;
    if (is_leaf)
        return complete_leaf(x, f, type->named, value, kind, path);
    if (!x->e->reserve(x->state, 4 + GQL_OBJECT_SLOTS))
        return no_room(x, f, path);
    if (is_list)
        return complete_list(x, f, type, value, kind, path, frame);
    const gql_plan_object *object = kind == PL_KIND_MAP ? planned(f, type->named) : NULL;
    if (object)
        return gql_write_object(x, object, value, true, path, frame, x->e->top(x->state));
    return complete_composite(x, f, type->named, value, kind, path, frame);
}
