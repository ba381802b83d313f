/* SPDX-License-Identifier: MIT */
#include "app/natives.h"

#include "base/alloc.h"
#include "graphql/execution/scalar_places.h"
#include "value/json.h"

/* An entry of a table of tables, as a file of resolvers has it: { [group] = { [name] = function } }. */
typedef struct native native;
struct native {
    native *next;
    pl_str group, name;
    pl_native_entry entry;
    bool bytes; /* a method that has its messages as bytes */
};

typedef struct marked {
    struct marked *next;
    pl_str name;
} marked;

typedef struct consumer {
    struct consumer *next;
    pl_value declaration; /* MAP */
    pl_native_entry handler;
} consumer;

typedef struct interceptor {
    struct interceptor *next;
    pl_native_entry before, after; /* function NULL: there is none */
} interceptor;

struct pl_natives {
    pl_arena arena;
    native *resolvers, **last_resolver;
    size_t resolver_count;
    marked *scalars;
    native *methods, **last_method;
    consumer *consumers, **last_consumer;
    size_t consumer_count;
    interceptor *interceptors, **last_interceptor;
    size_t interceptor_count;
};

pl_natives *pl_natives_new(void)
{
    pl_natives *n = pl_calloc(1, sizeof *n);
    if (!n)
        return NULL;
    pl_arena_init(&n->arena, 0);
    n->last_resolver = &n->resolvers;
    n->last_method = &n->methods;
    n->last_consumer = &n->consumers;
    n->last_interceptor = &n->interceptors;
    return n;
}

void pl_natives_free(pl_natives *n)
{
    if (!n)
        return;
    pl_arena_dispose(&n->arena);
    pl_free(n);
}

/* --- the list --- */

/* dots: between parts, which each begin with a letter. */
static bool is_name(const char *name, bool dots)
{
    size_t i = 0;
    bool begins = true;
    for (; name && name[i] && i < 500; i++) {
        char c = name[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        bool dot = dots && c == '.';
        if (!letter && (begins || (!dot && (c < '0' || c > '9'))))
            return false;
        begins = dot;
    }
    return i > 0 && i < 500 && !begins;
}

static native *find(native *list, const char *group, const char *name)
{
    while (list && !(pl_str_is(list->group, group) && pl_str_is(list->name, name)))
        list = list->next;
    return list;
}

static pl_code add(pl_natives *n, native ***last, const char *group, const char *name,
                   pl_native_function function, void *data)
{
    native *one = pl_arena_zalloc(&n->arena, sizeof *one);
    if (!one)
        return PL_RESOURCE_EXHAUSTED;
    one->group = pl_arena_str(&n->arena, pl_str_of(group));
    one->name = pl_arena_str(&n->arena, pl_str_of(name));
    one->entry = (pl_native_entry){function, data, pl_arena_printf(&n->arena, "%s.%s", group, name).ptr, 0};
    if (!one->group.ptr || !one->name.ptr || !one->entry.name)
        return PL_RESOURCE_EXHAUSTED;
    **last = one;
    *last = &one->next;
    return PL_OK;
}

pl_code pl_natives_add_resolver(pl_natives *n, const char *type, const char *field,
                                pl_native_function function, void *data)
{
    if (!is_name(type, false) || !is_name(field, false) || !function)
        return PL_INVALID_ARGUMENT;
    if (find(n->resolvers, type, field))
        return PL_ALREADY_EXISTS;
    native **place = n->last_resolver;
    pl_code code = add(n, &n->last_resolver, type, field, function, data);
    if (!code)
        (*place)->entry.number = ++n->resolver_count;
    return code;
}

pl_code pl_natives_mark_scalar(pl_natives *n, const char *type)
{
    if (!is_name(type, false))
        return PL_INVALID_ARGUMENT;
    for (const marked *m = n->scalars; m; m = m->next) {
        if (pl_str_is(m->name, type))
            return PL_OK;
    }
    marked *m = pl_arena_zalloc(&n->arena, sizeof *m);
    if (!m || !(m->name = pl_arena_str(&n->arena, pl_str_of(type))).ptr)
        return PL_RESOURCE_EXHAUSTED;
    m->next = n->scalars;
    n->scalars = m;
    return PL_OK;
}

pl_code pl_natives_add_scalar(pl_natives *n, const char *type, pl_native_function serialize,
                              pl_native_function parse, void *data)
{
    pl_code code = serialize || parse ? PL_OK : PL_INVALID_ARGUMENT;
    if (is_name(type, false) && (find(n->resolvers, type, "serialize") || find(n->resolvers, type, "parse")))
        return PL_ALREADY_EXISTS;
    if (!code && serialize)
        code = pl_natives_add_resolver(n, type, "serialize", serialize, data);
    if (!code && parse)
        code = pl_natives_add_resolver(n, type, "parse", parse, data);
    return code;
}

pl_code pl_natives_add_method(pl_natives *n, const char *service, const char *method, bool bytes,
                              pl_native_function function, void *data)
{
    native **place = n->last_method;
    if (!is_name(service, true) || !is_name(method, false) || !function)
        return PL_INVALID_ARGUMENT;
    if (find(n->methods, service, method))
        return PL_ALREADY_EXISTS;
    pl_code code = add(n, &n->last_method, service, method, function, data);
    if (!code)
        (*place)->bytes = bytes;
    return code;
}

pl_code pl_natives_add_consumer(pl_natives *n, const char *declaration, pl_native_function handler,
                                void *data, pl_error *err)
{
    pl_error unused = {0};
    err = err ? err : &unused;
    pl_error_clear(err);
    if (!declaration || !handler)
        return pl_fail(err, PL_INVALID_ARGUMENT, "a consumer needs a declaration and a handler");
    consumer *one = pl_arena_zalloc(&n->arena, sizeof *one);
    if (!one)
        return pl_fail_memory(err);
    if (pl_json_read(&n->arena, pl_str_of(declaration), NULL, &one->declaration, err) != PL_OK)
        return err->code == PL_RESOURCE_EXHAUSTED ? err->code : PL_INVALID_ARGUMENT;
    if (one->declaration.kind != PL_KIND_MAP)
        return pl_fail(err, PL_INVALID_ARGUMENT, "the declaration of a consumer is a JSON object");
    one->handler = (pl_native_entry){handler, data, "the handler of events", 0};
    *n->last_consumer = one;
    n->last_consumer = &one->next;
    n->consumer_count++;
    return PL_OK;
}

pl_code pl_natives_add_interceptor(pl_natives *n, pl_native_function before, pl_native_function after,
                                   void *data)
{
    if (!before && !after)
        return PL_INVALID_ARGUMENT;
    interceptor *one = pl_arena_zalloc(&n->arena, sizeof *one);
    if (!one)
        return PL_RESOURCE_EXHAUSTED;
    one->before = (pl_native_entry){before, data, "an interceptor (before)", 0};
    one->after = (pl_native_entry){after, data, "an interceptor (after)", 0};
    *n->last_interceptor = one;
    n->last_interceptor = &one->next;
    n->interceptor_count++;
    return PL_OK;
}

/* --- binding --- */

/* Pushes { [group] = { [name] = function } }. [jumps] */
static pl_slot push_table(pl_state *state, const native *list)
{
    const pl_engine *e = pl_engine_of(state);
    e->make_room(state, 16);
    e->push_map(state, 8);
    pl_slot table = e->top(state);
    for (const native *one = list; one; one = one->next) {
        if (!e->member(state, table, one->group)) {
            e->push_map(state, 8);
            e->push_copy(state, e->top(state));
            e->set_member(state, table, one->group);
        }
        e->push_native(state, &one->entry);
        e->set_member(state, table + 1, one->name);
        e->pop_to(state, table);
    }
    return table;
}

bool pl_natives_bind(const pl_natives *n, pl_instance *instance, pl_report *report)
{
    pl_state *state = instance->state;
    const pl_engine *e = pl_engine_of(state);
    if (!n)
        return true;
    if (!e->push_native) {
        pl_report_error(report, PL_HOST_PROGRAM, 0, 0, "The engine \"%s\" cannot call functions of it.",
                        e->name);
        return false;
    }
    pl_slot top = e->top(state);
    if (n->resolvers && instance->binding)
        gql_binding_add(instance->binding, push_table(state, n->resolvers), PL_HOST_PROGRAM, &report->errors);
    else if (n->resolvers)
        pl_report_error(report, PL_HOST_PROGRAM, 0, 0,
                        "There are resolvers, but the bundle has no schema/*.graphql.");
    e->pop_to(state, top);
    return true;
}

/* --- marked scalars --- */

/* Freed with the instance; what calls still hold stays. */
typedef struct places {
    size_t count;
    pl_native_scalars *of[];
} places;

static void free_places(void *data)
{
    places *p = data;
    for (size_t i = 0; i < p->count; i++)
        pl_native_scalars_free(p->of[i]);
}

static void mark(const pl_natives *n, const gql_schema *schema, bool *holds, pl_report *report)
{
    for (const marked *m = n->scalars; m; m = m->next) {
        const gql_named *type = gql_schema_type(schema, m->name);
        if (type && type->kind == GQL_SCALAR && !type->builtin)
            holds[type->id] = true;
        else
            pl_report_error(report, PL_HOST_PROGRAM, 0, 0, "There are functions for scalar \"%.*s\", %s.",
                            PL_STR_ARG(m->name),
                            !type                      ? "which the schema does not define"
                            : type->kind == GQL_SCALAR ? "which is built in"
                                                       : "which is no scalar");
    }
}

/* False: memory. */
static bool place(const gql_scalar_places *p, const native *resolver, pl_native_scalars **out)
{
    const gql_named *type = gql_schema_type(p->binding->schema, resolver->group);
    const gql_field *field = type ? gql_schema_field(p->binding->schema, type, resolver->name) : NULL;
    if (!field) /* a function of a scalar, or of an abstract type */
        return true;
    pl_buf packed;
    pl_buf_init(&packed);
    bool ok = gql_scalar_places_pack(p, field, &packed);
    if (ok && packed.len > 0)
        ok = (*out = pl_native_scalars_new(pl_buf_view(&packed))) != NULL;
    pl_buf_dispose(&packed);
    return ok;
}

void pl_natives_place_scalars(const pl_natives *n, pl_instance *instance, pl_report *report)
{
    if (!n || !n->scalars)
        return;
    if (!instance->binding) {
        pl_report_error(report, PL_HOST_PROGRAM, 0, 0,
                        "There are functions for scalars, but the bundle has no schema/*.graphql.");
        return;
    }
    const gql_schema *schema = instance->binding->schema;
    bool *holds = pl_arena_array(&instance->arena, schema->type_count, sizeof *holds);
    places *all = pl_arena_zalloc(&instance->arena, sizeof *all + n->resolver_count * sizeof(*all->of));
    bool ok = holds && all && pl_arena_on_dispose(&instance->arena, free_places, all) == 0;
    gql_scalar_places p = {.binding = instance->binding, .holds = holds};
    if (ok) {
        all->count = n->resolver_count;
        mark(n, schema, holds, report);
        gql_scalar_places_find(&p);
    }
    for (const native *one = n->resolvers; ok && one; one = one->next)
        ok = place(&p, one, &all->of[one->entry.number - 1]);
    if (ok)
        ((pl_state_head *)instance->state)->scalars = all->of;
    report->errors.out_of_memory |= !ok;
}

bool pl_natives_has_methods(const pl_natives *n)
{
    return n && n->methods;
}

static const native *find_method(const pl_natives *n, pl_str service, pl_str method)
{
    const native *one = n ? n->methods : NULL;
    while (one && !(pl_str_eq(one->group, service) && pl_str_eq(one->name, method)))
        one = one->next;
    return one;
}

bool pl_natives_has_method(const pl_natives *n, pl_str service, pl_str method)
{
    return find_method(n, service, method) != NULL;
}

bool pl_natives_wants_bytes(const pl_natives *n, pl_str service, pl_str method)
{
    const native *one = find_method(n, service, method);
    return one && one->bytes;
}

void pl_natives_push_services(const pl_natives *n, pl_state *state)
{
    push_table(state, n->methods);
}

size_t pl_natives_consumer_count(const pl_natives *n)
{
    return n ? n->consumer_count : 0;
}

void pl_natives_push_consumers(const pl_natives *n, pl_state *state)
{
    const pl_engine *e = pl_engine_of(state);
    size_t i = 0;
    e->make_room(state, 16);
    e->push_list(state, n->consumer_count);
    pl_slot list = e->top(state);
    for (const consumer *one = n->consumers; one; one = one->next) {
        pl_push_value(state, &one->declaration);
        e->push_native(state, &one->handler);
        e->set_member(state, list + 1, PL_STR("handler"));
        e->set_element(state, list, i++);
    }
}

size_t pl_natives_interceptor_count(const pl_natives *n)
{
    return n ? n->interceptor_count : 0;
}

static void push_or_absent(pl_state *state, const pl_native_entry *entry)
{
    if (entry->function)
        pl_engine_of(state)->push_native(state, entry);
    else
        pl_engine_of(state)->push_absent(state);
}

size_t pl_natives_keep_interceptors(const pl_natives *n, pl_state *state, pl_ref *refs, pl_error *err)
{
    const pl_engine *e = pl_engine_of(state);
    size_t kept = 0;
    pl_slot result, top = e->top(state);
    e->make_room(state, 16);
    pl_ref make =
        e->library ? e->library(state, PL_STR("perilune.native"), PL_STR("interceptor")) : PL_REF_NONE;
    if (make == PL_REF_NONE || !e->push_native) {
        pl_fail(err, PL_UNIMPLEMENTED, "the engine cannot call interceptors of the host program");
        return 0;
    }
    for (const interceptor *one = n->interceptors; one; one = one->next) {
        e->push_ref(state, make);
        push_or_absent(state, &one->before);
        push_or_absent(state, &one->after);
        if (e->call_loading(state, 2, &result, err) != PL_OK)
            break;
        refs[kept++] = e->keep(state, result);
        e->pop_to(state, top);
    }
    e->drop(state, make);
    return kept;
}
