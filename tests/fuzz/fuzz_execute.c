/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "graphql/federation/federation.h"
#include "graphql/service.h"
#include "support/test_engine.h"

/* Executes a document on a schema that has something of everything. The input is the document and, after a
 * NUL, bytes that decide what resolvers do (return, return something wrong or an iterator, fail, wait), in
 * what order what waits ends, in which form @defer and @stream are obeyed, and whether the operation is held,
 * cancelled, runs out of time or of memory. */

static const char sdl[] =
    "interface Node { id: ID! name: String next: Node }\n"
    "interface Named { name: String }\n"
    "type User implements Node & Named @key(fields: \"id\") { id: ID! name: String next: Node posts(first: "
    "Int = 2, filter: "
    "Filter): [Post!]! friend: User best: User! "
    "role: Role! born: Date scores: [[Float]!] any: JSON }\n"
    "type Post implements Node & Named @key(fields: \"id\") { id: ID! name: String next: Node author: User! "
    "tags: [String!] kin: "
    "[Thing] size: Int! at: DateTime }\n"
    "type Note @key(fields: \"text\") { text: String! thing: Thing on: Odd }\n"
    "union Thing = User | Post | Note\n"
    "enum Role { ADMIN USER GUEST }\n"
    "scalar Odd scalar Date scalar DateTime scalar JSON scalar BigInt\n"
    "input Filter { role: Role = USER tags: [String!] min: Int! = 0 not: Filter odd: Odd pick: Pick }\n"
    "input Pick @oneOf { id: ID name: String filter: Filter }\n"
    "type Query { node(id: ID): Node nodes(ids: [ID!]): [Node] user: User users(filter: Filter, first: Int): "
    "[User!] must: User! thing: Thing "
    "things: [Thing!]! note: Note a: Int b: Int! f: Float s: String t: Boolean role(role: Role): Role "
    "odd(odd: Odd): Odd big(v: BigInt): BigInt }\n"
    "type Mutation { add(filter: Filter): User! set(a: Int): Int drop: Thing note: Note! }\n";

typedef struct decisions {
    const uint8_t *bytes;
    size_t count, next;
} decisions;

static te *engine;
static gql_schema *schema;
static gql_binding *binding;
static decisions decided;

#define CHECK(condition)                                            \
    do {                                                            \
        if (!(condition)) {                                         \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
            abort();                                                \
        }                                                           \
    } while (0)

/* A number below n. */
static unsigned decide(unsigned n)
{
    if (decided.count == 0)
        return 0;
    size_t at = decided.next++;
    return (decided.bytes[at % decided.count] + (unsigned)(at / decided.count)) % n;
}

/* --- values by type --- */
static te_outcome resolve(te_invocation *in, void *data);

static te_value leaf_value(const gql_named *type)
{
    if (type->kind == GQL_ENUM)
        return te_bytes(engine, type->values[decide(type->value_count)].name);
    switch (type->scalar) {
    case GQL_SCALAR_INT:
    case GQL_SCALAR_BIGINT:
        return te_int(7);
    case GQL_SCALAR_FLOAT:
        return te_float(0.25);
    case GQL_SCALAR_BOOLEAN:
        return te_bool(true);
    case GQL_SCALAR_DATE:
        return te_string(engine, "2024-02-29");
    case GQL_SCALAR_DATETIME:
        return te_string(engine, "2024-02-29T12:00:00Z");
    case GQL_SCALAR_JSON:
        return te_map(engine, "list", te_list(engine, 2, te_int(1), te_null()), NULL);
    default:
        return te_string(engine, "text");
    }
}

/* An object of the type: with the name of its type, and with some fields as functions that only the index
 * function calls. */
static te_value object_value(const gql_named *type)
{
    const gql_named *object = type->possible[decide(type->possible_count)];
    te_value map = te_map(engine, "__typename", te_bytes(engine, object->name), "id", te_string(engine, "1"),
                          "name", te_null(), NULL);
    if (decide(4) != 0)
        return map;
    gql_field *name = pl_map_get(&object->field_map, PL_STR("name"));
    if (name)
        te_set(engine, map, "name", te_function(engine, resolve, name, 0));
    return te_object(engine, map);
}

/* --- iterators --- */
typedef struct iterator {
    te_value list;
    size_t next;
    bool is_open;
} iterator;

static iterator iterators[256];
static unsigned iterator_count;

static te_outcome iterate(te_invocation *in, void *data)
{
    iterator *it = data;
    unsigned how = decide(16);
    CHECK(it->is_open);
    if (how == 15)
        return te_fail(in, PL_ABORTED, "no more");
    in->result = te_item(it->list, it->next++);
    return how >= 10 ? TE_PEND : TE_RETURN;
}

static te_outcome close_iterator(te_invocation *in, void *data)
{
    iterator *it = data;
    CHECK(it->is_open); /* once only */
    it->is_open = false;
    return decide(8) == 7 ? TE_PEND : TE_RETURN;
}

/* The items of the list as an iterator gives them. */
static te_value iterator_value(te_value list)
{
    if (iterator_count == sizeof iterators / sizeof *iterators)
        return list;
    iterator *it = &iterators[iterator_count++];
    *it = (iterator){list, 0, true};
    te_value next = te_function(engine, iterate, it, 0);
    /* The engine would not find the list by the pointer to it. */
    te_value value = te_map(engine, "next", next, "list", list, NULL);
    if (decide(2) == 1)
        te_set(engine, value, "close", te_function(engine, close_iterator, it, 0));
    return value;
}

static te_value type_value(const gql_typeref *type)
{
    if (type->kind == GQL_TYPE_NON_NULL)
        return type_value(type->of);
    unsigned how = decide(32);
    if (how == 31)
        return te_null();
    if (how == 30)
        return te_map(engine, "odd", te_int(1), NULL);
    if (how == 29)
        return te_bytes(engine, PL_STR("\xff"));
    if (type->kind == GQL_TYPE_LIST) {
        te_value list = te_list(engine, 0);
        for (unsigned n = decide(4); n > 0; n--)
            te_append(engine, list, type_value(type->of));
        return how >= 24 ? iterator_value(list) : list;
    }
    return gql_is_leaf(type->named) ? leaf_value(type->named) : object_value(type->named);
}

static te_outcome resolve(te_invocation *in, void *data)
{
    const gql_field *field = data;
    unsigned how = decide(16);
    if (how == 15)
        return te_fail(in, PL_NOT_FOUND, "not there");
    if (how == 14)
        return te_crash(in, "went wrong");
    in->result = type_value(field->type);
    return how >= 10 ? TE_PEND : TE_RETURN;
}

static te_outcome resolve_entity(te_invocation *in, void *data)
{
    unsigned how = decide(16);
    if (how == 15)
        return te_fail(in, PL_NOT_FOUND, "no such entity");
    in->result = how == 14 ? te_null() : object_value(data);
    return how >= 8 ? TE_PEND : TE_RETURN;
}

static te_outcome resolve_entities(te_invocation *in, void *data)
{
    unsigned how = decide(16);
    if (how == 15)
        return te_crash(in, "went wrong");
    in->result = te_list(engine, 0);
    for (unsigned n = decide(4); n > 0; n--)
        te_append(engine, in->result, how == 14 ? te_int(1) : object_value(data));
    return how >= 8 ? TE_PEND : TE_RETURN;
}

static te_outcome convert(te_invocation *in, void *data)
{
    switch (decide(8)) {
    case 7:
        return te_fail(in, PL_INVALID_ARGUMENT, "odd");
    case 6:
        return TE_PEND;
    case 5:
        return te_crash(in, "broken");
    case 4:
        in->result = te_map(engine, "odd", in->args[0], NULL);
        return TE_RETURN;
    default:
        in->result = in->args[0];
        return TE_RETURN;
    }
}

static te_outcome type_name(te_invocation *in, void *data)
{
    if (decide(16) == 15)
        return TE_PEND;
    in->result = te_get(in->args[0], "__typename");
    return TE_RETURN;
}

/* --- set-up --- */
static void bind_all(void *data)
{
    gql_diagnostics *list = data;
    te_value table = te_map(engine, NULL);
    for (uint32_t i = 0; i < schema->type_count; i++) {
        gql_named *type = schema->types[i];
        te_value entries = te_map(engine, NULL);
        for (uint32_t k = 0; k < type->field_count && type->kind == GQL_OBJECT && !type->builtin; k++) {
            if (!pl_str_is(type->fields[k].name, "name") && /* a property */
                !gql_is_federation_field(schema, &type->fields[k]))
                te_set_key(engine, entries, te_bytes(engine, type->fields[k].name),
                           te_function(engine, resolve, &type->fields[k], (int)(k % 5)));
        }
        if (pl_str_is(type->name, "User"))
            te_set(engine, entries, "__resolve_reference", te_function(engine, resolve_entity, type, 2));
        if (pl_str_is(type->name, "Post"))
            te_set(engine, entries, "__resolve_references", te_function(engine, resolve_entities, type, 2));
        if (type->kind == GQL_OBJECT && !type->builtin)
            te_set_key(engine, table, te_bytes(engine, type->name), entries);
    }
    te_value odd = te_map(engine, "parse", te_function(engine, convert, NULL, 1), "serialize",
                          te_function(engine, convert, NULL, 1), NULL);
    te_set(engine, table, "Odd", odd);
    te_set(engine, table, "Thing",
           te_map(engine, "__resolve_type", te_function(engine, type_name, NULL, 2), NULL));
    te_set(engine, table, "Role", te_map(engine, "GUEST", te_string(engine, "GUEST"), NULL));
    CHECK(te_engine()->reserve(te_state(engine), 1));
    gql_binding_add(binding, te_push(engine, table), "fuzz.c", list);
    te_engine()->index_function(te_state(engine));
}

static void open_all(void)
{
    static pl_arena arena;
    gql_diagnostics list;
    gql_source source = {"fuzz.graphql", pl_str_of(sdl)};
    pl_error err;
    pl_arena_init(&arena, 0);
    gql_diagnostics_init(&list, &arena, 0);
    CHECK(gql_schema_build(&source, 1, NULL, &list, &schema) == PL_OK);
    engine = te_new();
    binding = gql_binding_new(schema, te_state(engine));
    CHECK(binding && te_engine()->protect(te_state(engine), bind_all, &list, &err));
    CHECK(!list.first);
    pl_arena_dispose(&arena);
}

/* --- a request --- */
#define MAX_IDS 2048
typedef struct request {
    pl_arena arena;
    pl_work work;
    gql_run *run;
    pl_value variables;
    gql_incremental form;
    unsigned payloads;
    bool over, cancelled, held;
    uint8_t open[MAX_IDS]; /* ids that are pending */
} request;

static void mark_ids(request *r, const pl_value *payload, const char *list, bool is, bool becomes)
{
    const pl_value *entries = pl_value_member(payload, pl_str_of(list));
    for (size_t i = 0; entries && i < entries->list.count; i++) {
        const pl_value *id = pl_value_member(&entries->list.items[i], PL_STR("id"));
        CHECK(id && id->kind == PL_KIND_STRING);
        long n = strtol(id->string.ptr, NULL, 10);
        if (n >= MAX_IDS)
            continue;
        CHECK(r->open[n] == is);
        r->open[n] = becomes;
    }
}

/* Nothing is delivered that was not pending, everything that was comes to an end. */
static void check_payload(request *r, const pl_value *v, bool has_next)
{
    const pl_value *next = pl_value_member(v, PL_STR("hasNext"));
    CHECK(next ? next->boolean == has_next : !has_next && r->payloads == 0);
    CHECK(r->payloads == 0 || !pl_value_member(v, PL_STR("data")));
    if (r->form == GQL_INCREMENTAL_NEW) {
        mark_ids(r, v, "pending", false, true);
        mark_ids(r, v, "incremental", true, true);
        mark_ids(r, v, "completed", true, false);
    }
    bool out_of_memory = r->payloads > 0 && v->map.count == 1;
    for (size_t i = 0; !has_next && !out_of_memory && i < MAX_IDS; i++)
        CHECK(!r->open[i]);
}

static void on_payload(void *data, const gql_payload *payload)
{
    request *r = data;
    pl_str body = payload->body;
    pl_arena arena;
    pl_value v;
    pl_error err;
    pl_arena_init(&arena, 0);
    pl_alloc_fail_at(0, 0);
    bool is_json = pl_json_read(&arena, body, &(pl_json_limits){.max_depth = 900}, &v, &err) == PL_OK;
    if (!is_json)
        fprintf(stderr, "%s\n%.*s\n", err.message, (int)body.len, body.ptr);
    CHECK(is_json);
    bool has_data = pl_value_member(&v, PL_STR("data")), has_errors = pl_value_member(&v, PL_STR("errors"));
    if (r->payloads == 0)
        CHECK(payload->result == GQL_RESULT_DATA ? has_data : has_errors && !has_data);
    CHECK(!r->over && (!r->held || r->payloads == 0 || !payload->has_next));
    check_payload(r, &v, payload->has_next);
    pl_arena_dispose(&arena);
    r->over = !payload->has_next;
    if (r->over)
        r->run = NULL;
    r->payloads++;
}

static const char *const variable_sets[] = {
    "{}",
    "{\"a\":1,\"b\":true,\"c\":\"x\",\"id\":5,\"role\":\"ADMIN\",\"f\":{\"role\":\"GUEST\",\"tags\":\"one\","
    "\"not\":{\"min\":3,\"odd\":1}}}",
    "{\"a\":null,\"b\":false,\"c\":[\"x\"],\"id\":\"i\",\"role\":\"NONE\",\"f\":{\"pick\":{\"filter\":{"
    "\"odd\":{}}},\"odd\":[1]}}",
    "{\"a\":\"1\",\"b\":1,\"c\":{},\"f\":{\"min\":null,\"unknown\":1},\"id\":1.5}",
};

static void start(request *r, gql_service *service, pl_str document)
{
    pl_error err;
    pl_alloc_fail_at(0, 0);
    memset(r, 0, sizeof *r);
    pl_arena_init(&r->arena, 0);
    r->work = (pl_work){.protocol = "graphql", .id = PL_STR("r"), .arena = &r->arena, .ctx = PL_REF_NONE};
    CHECK(pl_json_read(&r->arena, pl_str_of(variable_sets[decide(4)]), &(pl_json_limits){0}, &r->variables,
                       &err) == PL_OK);
    gql_request request = {
        .query = document, .variables = &r->variables, .incremental = (gql_incremental)decide(3)};
    r->form = request.incremental;
    if (decide(8) == 7)
        request.operation_name = PL_STR("Q");
    if (decide(8) == 7)
        pl_alloc_fail_at(1 + decide(64), decide(2) != 0);
    gql_run *run = gql_service_run(service, &request, &r->work, on_payload, r);
    CHECK((run == NULL) == r->over);
    r->run = run;
}

static void go_on(request *requests, size_t count)
{
    unsigned what = decide(32);
    request *r = &requests[what % count];
    if (te_waiting(engine) == 0 || (te_is_due(engine) && what % 2 == 0)) {
        te_advance(engine, 0);
        for (size_t i = 0; i < count; i++) { /* what is held does not stay so */
            if (requests[i].run && requests[i].held)
                gql_run_hold(requests[i].run, requests[i].held = false);
        }
    } else if (what == 29 && r->run) {
        gql_run_hold(r->run, r->held = !r->held);
    } else if (what == 31) {
        te_advance(engine, 20000);
    } else if (what == 30 && r->run) {
        gql_run_cancel(r->run);
        r->run = NULL;
        r->cancelled = true;
    } else if (what >= 26) {
        static const pl_failure failure = {
            .code = PL_ABORTED, .expected = true, .message = PL_STR("aborted")};
        te_fail_call(engine, te_waiting_at(engine, decide((unsigned)te_waiting(engine))), &failure);
    } else {
        te_resume(engine, te_waiting_at(engine, decide((unsigned)te_waiting(engine))));
    }
}

static bool is_held(const request *requests, size_t count)
{
    bool held = false;
    for (size_t i = 0; i < count; i++)
        held |= requests[i].run && requests[i].held;
    return held;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { REQUESTS = 2 };
    static request requests[REQUESTS];
    if (!engine)
        open_all();
    const uint8_t *nul = size > 0 ? memchr(data, 0, size) : NULL;
    pl_str document = {(const char *)data, nul ? (size_t)(nul - data) : size};
    decided = nul ? (decisions){nul + 1, size - document.len - 1, 0} : (decisions){data, size, 0};
    size_t refs = te_refs(engine);
    gql_service_options options = {.max_fields = 500, .max_response = 64 << 10, .cache_bytes = 128 << 10};
    gql_service *service = gql_service_new(binding, &options);
    CHECK(service);
    for (int i = 0; i < REQUESTS; i++)
        start(&requests[i], service, document);
    while (te_waiting(engine) > 0 || is_held(requests, REQUESTS) || te_is_due(engine))
        go_on(requests, REQUESTS);
    pl_alloc_fail_at(0, 0);
    CHECK(te_timers(engine) == 0);
    for (int i = 0; i < REQUESTS; i++) {
        CHECK(requests[i].over == !requests[i].cancelled);
        te_engine()->work_end(te_state(engine), &requests[i].work);
        pl_arena_dispose(&requests[i].arena);
    }
    gql_service_free(service); /* with it go the plans, which keep what their fields' info has in common */
    CHECK(te_refs(engine) == refs);
    te_engine()->idle(te_state(engine));
    iterator_count = 0;
    return 0;
}
