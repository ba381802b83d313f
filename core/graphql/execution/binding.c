/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"
#include "graphql/execution/access_internal.h"
#include "graphql/execution/binding_internal.h"
#include "graphql/federation/federation.h"

static const char *const info_members[] = {
    [GQL_INFO_FIELD_NAME] = "field_name",   [GQL_INFO_PARENT_TYPE] = "parent_type",
    [GQL_INFO_RETURN_TYPE] = "return_type", [GQL_INFO_OPERATION] = "operation",
    [GQL_INFO_SELECTED] = "selected",       [GQL_INFO_PATH] = "path"};

gql_binding *gql_binding_new(const gql_schema *schema, pl_state *state)
{
    gql_binding *b = pl_calloc(1, sizeof *b);
    if (!b)
        return NULL;
    const pl_engine *e = pl_engine_of(state);
    pl_arena_init(&b->arena, 0);
    b->schema = schema;
    b->state = state;
    b->default_resolver = PL_REF_NONE;
    b->fields = pl_arena_array(&b->arena, schema->field_count, sizeof *b->fields);
    b->types = pl_arena_array(&b->arena, schema->type_count, sizeof *b->types);
    b->inputs = pl_arena_array(&b->arena, schema->input_count, sizeof *b->inputs);
    b->typename_key = e->key(state, PL_STR("__typename"));
    bool keys = b->typename_key != NULL;
    for (size_t i = 0; i < GQL_INFO_MEMBERS; i++) {
        b->info_keys[i] = e->key(state, pl_str_of(info_members[i]));
        keys = keys && b->info_keys[i];
    }
    if (!b->fields || !b->types || !b->inputs || !keys)
        goto failed;
    for (uint32_t i = 0; i < schema->field_count; i++)
        b->fields[i].resolver = b->fields[i].subscribe = PL_REF_NONE;
    for (uint32_t i = 0; i < schema->type_count; i++) {
        b->types[i].resolve_type = b->types[i].serialize = b->types[i].parse = PL_REF_NONE;
        b->types[i].resolve_reference = b->types[i].resolve_references = PL_REF_NONE;
        for (uint32_t k = 0; k < schema->types[i]->field_count; k++) {
            const gql_field *f = &schema->types[i]->fields[k];
            b->fields[f->id].key = e->key(state, f->name);
            if (!b->fields[f->id].key)
                goto failed;
            for (uint32_t a = 0; a < f->argument_count; a++) {
                if (!(b->inputs[f->arguments[a].id] = e->key(state, f->arguments[a].name)))
                    goto failed;
            }
        }
    }
    return b;
failed:
    gql_binding_free(b);
    return NULL;
}

void gql_binding_free(gql_binding *b)
{
    if (!b)
        return;
    gql_access_free(b->access);
    pl_arena_dispose(&b->arena);
    pl_free(b);
}

/* --- binding one file --- */
typedef gql_binder binder;
#define COMPLAIN GQL_COMPLAIN

gql_loc gql_binder_place(binder *x, pl_slot slot, gql_source *source)
{
    pl_str file, copy;
    uint32_t line = 0;
    *source = x->source;
    if (slot == 0 || !x->e->where(x->state, slot, &file, &line))
        return (gql_loc){0};
    copy = pl_arena_str(x->list->arena, file);
    if (copy.ptr)
        source->name = copy.ptr;
    return (gql_loc){.line = line};
}

static void bind_function(binder *x, pl_slot slot, pl_ref *ref, const char *taken, const char *what,
                          pl_str type, pl_str name)
{
    if (!x->e->is_function(x->state, slot)) {
        COMPLAIN(x, 0, "%.*s.%.*s: %s must be a function, not %s.", PL_STR_ARG(type), PL_STR_ARG(name), what,
                 pl_kind_phrase(x->e->kind(x->state, slot)));
        return;
    }
    if (*ref != PL_REF_NONE) {
        COMPLAIN(x, slot, "%.*s.%.*s is defined twice: here and in %s.", PL_STR_ARG(type), PL_STR_ARG(name),
                 taken ? taken : x->file);
        return;
    }
    *ref = x->e->keep(x->state, slot);
}

static const char *file_copy(binder *x)
{
    const char *copy = pl_arena_str(&x->b->arena, pl_str_of(x->file)).ptr;
    x->list->out_of_memory |= !copy;
    return copy;
}

static void bind_subscribe(binder *x, const gql_field *field, pl_slot fn)
{
    gql_field_binding *fb = &x->b->fields[field->id];
    bind_function(x, fn, &fb->subscribe, fb->file, "subscribe", field->parent->name, field->name);
    if (x->e->is_function(x->state, fn))
        fb->subscribe_arity = x->e->arity(x->state, fn);
    fb->file = file_copy(x);
}

static void bind_event_resolver(binder *x, const gql_field *field, pl_slot fn)
{
    gql_field_binding *fb = &x->b->fields[field->id];
    bind_function(x, fn, &fb->resolver, fb->file, "resolve", field->parent->name, field->name);
    if (x->e->is_function(x->state, fn))
        fb->arity = x->e->arity(x->state, fn);
    fb->file = file_copy(x);
}

/* A field of Subscription: { subscribe = function, resolve = function }, or its subscribe function. */
static bool bind_subscription(binder *x, const gql_field *field, pl_slot slot)
{
    if (field->parent != x->b->schema->subscription)
        return false;
    if (x->e->kind(x->state, slot) != PL_KIND_MAP) {
        bind_subscribe(x, field, slot);
        return true;
    }
    x->e->push_absent(x->state);
    pl_slot key = x->e->top(x->state);
    while (x->e->next(x->state, slot)) {
        pl_str name =
            x->e->kind(x->state, key) == PL_KIND_STRING ? x->e->get_string(x->state, key) : PL_STR_NONE;
        if (pl_str_is(name, "subscribe"))
            bind_subscribe(x, field, key + 1);
        else if (pl_str_is(name, "resolve"))
            bind_event_resolver(x, field, key + 1);
        else
            COMPLAIN(x, key + 1, "%.*s.%.*s has \"%.*s\"; what it can have is subscribe and resolve.",
                     PL_STR_ARG(field->parent->name), PL_STR_ARG(field->name), PL_STR_ARG(name));
        x->e->pop_to(x->state, key);
    }
    return true;
}

/* __resolve_reference or __resolve_references; false: it is neither. */
static bool bind_reference(binder *x, const gql_named *type, pl_str name, pl_slot slot)
{
    gql_type_binding *tb = &x->b->types[type->id];
    bool all = pl_str_is(name, "__resolve_references");
    if (!all && !pl_str_is(name, "__resolve_reference"))
        return false;
    if (!gql_is_entity(x->b->schema, type)) {
        COMPLAIN(x, slot, "\"%.*s\" has %.*s, but it is no entity: the type has no @key.",
                 PL_STR_ARG(type->name), PL_STR_ARG(name));
        return true;
    }
    if ((all ? tb->resolve_reference : tb->resolve_references) != PL_REF_NONE) {
        COMPLAIN(x, slot,
                 "\"%.*s\" has both __resolve_reference and __resolve_references; it can have one of them.",
                 PL_STR_ARG(type->name));
        return true;
    }
    bind_function(x, slot, all ? &tb->resolve_references : &tb->resolve_reference, tb->file,
                  all ? "__resolve_references" : "__resolve_reference", type->name, name);
    if (x->e->is_function(x->state, slot))
        *(all ? &tb->references_arity : &tb->reference_arity) = x->e->arity(x->state, slot);
    tb->file = file_copy(x);
    return true;
}

static void bind_field(binder *x, const gql_named *type, pl_str name, pl_slot slot)
{
    gql_field *field = pl_map_get(&type->field_map, name);
    if (bind_reference(x, type, name, slot))
        return;
    if (!field) {
        COMPLAIN(x, slot, "There is a resolver for \"%.*s.%.*s\", but type \"%.*s\" has no field \"%.*s\".",
                 PL_STR_ARG(type->name), PL_STR_ARG(name), PL_STR_ARG(type->name), PL_STR_ARG(name));
        return;
    }
    if (gql_is_federation_field(x->b->schema, field)) {
        COMPLAIN(x, slot, "\"%.*s.%.*s\" cannot have a resolver: the server answers it itself.",
                 PL_STR_ARG(type->name), PL_STR_ARG(name));
        return;
    }
    if (bind_subscription(x, field, slot))
        return;
    gql_field_binding *fb = &x->b->fields[field->id];
    bind_function(x, slot, &fb->resolver, fb->file, "a resolver", type->name, name);
    fb->arity = x->e->arity(x->state, slot);
    fb->file = file_copy(x);
}

static void bind_scalar(binder *x, const gql_named *type, pl_str name, pl_slot slot)
{
    gql_type_binding *tb = &x->b->types[type->id];
    if (pl_str_is(name, "serialize"))
        bind_function(x, slot, &tb->serialize, tb->file, "serialize", type->name, name);
    else if (pl_str_is(name, "parse"))
        bind_function(x, slot, &tb->parse, tb->file, "parse", type->name, name);
    else
        COMPLAIN(x, slot, "Scalar \"%.*s\" has \"%.*s\"; what a scalar can have is serialize and parse.",
                 PL_STR_ARG(type->name), PL_STR_ARG(name));
    tb->file = file_copy(x);
}

static void bind_enum(binder *x, const gql_named *type, pl_str name, pl_slot slot)
{
    gql_type_binding *tb = &x->b->types[type->id];
    gql_enum_value *value = pl_map_get(&type->value_map, name);
    if (!value) {
        COMPLAIN(x, 0, "Enum \"%.*s\" has no value \"%.*s\".", PL_STR_ARG(type->name), PL_STR_ARG(name));
        return;
    }
    if (!tb->internal) {
        tb->internal = pl_arena_array(&x->b->arena, type->value_count, sizeof *tb->internal);
        for (uint32_t i = 0; tb->internal && i < type->value_count; i++)
            tb->internal[i] = (pl_value){.kind = PL_KIND_STRING, .string = type->values[i].name};
    }
    pl_error err;
    pl_kind kind = x->e->kind(x->state, slot);
    if (!tb->internal) {
        x->list->out_of_memory = true;
        return;
    }
    if (kind < PL_KIND_BOOL || kind > PL_KIND_STRING) {
        COMPLAIN(
            x, 0,
            "%.*s.%.*s: the value of an enum inside scripts must be a string, number or boolean, not %s.",
            PL_STR_ARG(type->name), PL_STR_ARG(name), pl_kind_phrase(kind));
        return;
    }
    if (pl_read_value(x->state, slot, 1, &x->b->arena, &tb->internal[value->index], &err) != PL_OK)
        x->list->out_of_memory = true;
}

static void bind_abstract(binder *x, const gql_named *type, pl_str name, pl_slot slot)
{
    gql_type_binding *tb = &x->b->types[type->id];
    if (pl_str_is(name, "__resolve_type")) {
        bind_function(x, slot, &tb->resolve_type, tb->file, "__resolve_type", type->name, name);
        tb->file = file_copy(x);
        return;
    }
    if (type->kind == GQL_INTERFACE && bind_reference(x, type, name, slot))
        return;
    COMPLAIN(x, slot,
             "\"%.*s.%.*s\": a resolver belongs to an object type; %s \"%.*s\" can have __resolve_type only.",
             PL_STR_ARG(type->name), PL_STR_ARG(name), type->kind == GQL_UNION ? "union" : "interface",
             PL_STR_ARG(type->name));
}

static void bind_entry(binder *x, const gql_named *type, pl_str name, pl_slot slot)
{
    switch (type->kind) {
    case GQL_OBJECT:
        bind_field(x, type, name, slot);
        break;
    case GQL_SCALAR:
        bind_scalar(x, type, name, slot);
        break;
    case GQL_ENUM:
        bind_enum(x, type, name, slot);
        break;
    case GQL_UNION:
    case GQL_INTERFACE:
        bind_abstract(x, type, name, slot);
        break;
    case GQL_INPUT_OBJECT:
        COMPLAIN(x, slot, "Input type \"%.*s\" cannot have resolvers.", PL_STR_ARG(type->name));
        break;
    }
}

/* The function of a table, if it has one, to name a line for messages about the whole table. */
static void bind_type(binder *x, pl_str name, pl_slot table)
{
    gql_named *type = gql_schema_type(x->b->schema, name);
    if (!type || type->builtin) {
        COMPLAIN(x, 0, "There are resolvers for type \"%.*s\", which the schema does not define.",
                 PL_STR_ARG(name));
        return;
    }
    if (x->e->kind(x->state, table) != PL_KIND_MAP) {
        COMPLAIN(x, table, "\"%.*s\" must be a table of %s, not %s.", PL_STR_ARG(name),
                 type->kind == GQL_OBJECT ? "resolvers" : "functions or values",
                 pl_kind_phrase(x->e->kind(x->state, table)));
        return;
    }
    x->e->push_absent(x->state);
    pl_slot key = x->e->top(x->state);
    while (x->e->next(x->state, table)) {
        if (x->e->kind(x->state, key) == PL_KIND_STRING)
            bind_entry(x, type, x->e->get_string(x->state, key), key + 1);
        else
            COMPLAIN(x, key + 1, "\"%.*s\" has an entry that is not named by a string.", PL_STR_ARG(name));
        x->e->pop_to(x->state, key);
    }
}

void gql_binding_add(gql_binding *b, pl_slot table, const char *file, gql_diagnostics *list)
{
    binder x = {.b = b, .e = pl_engine_of(b->state), .state = b->state, .file = file, .list = list};
    x.source.name = file;
    if (!x.e->reserve(b->state, 16)) {
        list->out_of_memory = true;
        return;
    }
    if (x.e->kind(b->state, table) != PL_KIND_MAP) {
        COMPLAIN(&x, 0,
                 "A resolvers file must return a table { TypeName = { fieldName = function } }, not %s.",
                 pl_kind_phrase(x.e->kind(b->state, table)));
        return;
    }
    x.e->push_absent(b->state);
    pl_slot key = x.e->top(b->state);
    while (x.e->next(b->state, table)) {
        pl_str name =
            x.e->kind(b->state, key) == PL_KIND_STRING ? x.e->get_string(b->state, key) : PL_STR_NONE;
        if (pl_str_starts(name, PL_STR("@")))
            gql_bind_directive(&x, name, key + 1);
        else if (name.ptr)
            bind_type(&x, name, key + 1);
        else
            COMPLAIN(&x, 0, "The returned table has an entry that is not named by a type.");
        x.e->pop_to(b->state, key);
    }
}

void gql_binding_set_default(gql_binding *b, pl_slot function)
{
    b->default_resolver = pl_engine_of(b->state)->keep(b->state, function);
    b->default_arity = pl_engine_of(b->state)->arity(b->state, function);
}
