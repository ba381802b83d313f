/* SPDX-License-Identifier: MIT */
#include "graphql/execution/access.h"

#include "graphql/execution/access_internal.h"
#include "graphql/execution/binding.h"

struct gql_viewer {
    bool signed_in;
    uint64_t *roles, *scopes; /* bits */
    bool failed;              /* ctx.user could not be read */
};

typedef struct reader {
    const gql_access_tables *tables;
    const pl_engine *e;
    pl_state *state;
    pl_work *work;
    gql_viewer *viewer;
} reader;

/* Pushes value[key]; false: it could not be read. A class instance has its fields behind a metatable, so that
 * script code may have to run. */
static bool push_field(reader *r, pl_slot value, const pl_key *key)
{
    if (r->e->field(r->state, value, key))
        return true;
    pl_ref index = r->e->index_function(r->state);
    pl_call *pending = NULL;
    pl_failure failure = {0};
    r->e->push_copy(r->state, value);
    r->e->push_key(r->state, key);
    switch (r->e->call(r->state, index, 2, r->work, &pending, &failure)) {
    case PL_CALL_DONE:
        return true;
    case PL_CALL_PENDING:
        r->e->cancel(r->state, pending);
        failure.message = PL_STR("it waits");
        break;
    case PL_CALL_FAILED:
        break;
    }
    r->viewer->failed = true;
    pl_log(r->work->log, PL_ERROR, "ctx.user cannot be read", PL_F_STR("request", r->work->id),
           PL_F_STR("error", failure.message), PL_F_STR("traceback", failure.traceback));
    return false;
}

static void add_role(reader *r, pl_str name)
{
    int64_t id = gql_access_find(&r->tables->roles, name);
    for (size_t w = 0; id >= 0 && w < gql_access_words(&r->tables->roles); w++)
        r->viewer->roles[w] |= r->tables->granted[id][w];
}

static void add_scope(reader *r, pl_str name)
{
    int64_t id = gql_access_find(&r->tables->scopes, name);
    if (id >= 0)
        r->viewer->scopes[id / 64] |= (uint64_t)1 << (id % 64);
}

/* "read:posts write:posts" */
static void add_scopes(reader *r, pl_str text)
{
    for (size_t i = 0; i < text.len;) {
        size_t end = i;
        while (end < text.len && text.ptr[end] != ' ')
            end++;
        add_scope(r, (pl_str){text.ptr + i, end - i});
        i = end + 1;
    }
}

/* A name, a list of names, or a set { name = true }. */
static void add_names(reader *r, pl_slot slot, void (*add)(reader *r, pl_str name))
{
    const pl_engine *e = r->e;
    switch (e->kind(r->state, slot)) {
    case PL_KIND_STRING:
        add(r, e->get_string(r->state, slot));
        break;
    case PL_KIND_LIST:
        for (size_t i = 0; i < e->length(r->state, slot); i++) {
            e->element(r->state, slot, i);
            if (e->kind(r->state, slot + 1) == PL_KIND_STRING)
                add(r, e->get_string(r->state, slot + 1));
            e->pop_to(r->state, slot);
        }
        break;
    case PL_KIND_MAP:
        e->push_absent(r->state);
        while (e->next(r->state, slot)) {
            bool is_true = e->kind(r->state, slot + 2) == PL_KIND_BOOL && e->get_bool(r->state, slot + 2);
            if (is_true && e->kind(r->state, slot + 1) == PL_KIND_STRING)
                add(r, e->get_string(r->state, slot + 1));
            e->pop_to(r->state, slot + 1);
        }
        break;
    default:
        break;
    }
}

static void read_names(reader *r, pl_slot user, const pl_key *key, void (*add)(reader *r, pl_str name))
{
    if (push_field(r, user, key))
        add_names(r, r->e->top(r->state), add);
    r->e->pop_to(r->state, user);
}

static void read_user(reader *r)
{
    const pl_engine *e = r->e;
    const gql_access_tables *t = r->tables;
    pl_slot ctx = e->push_ctx(r->state, r->work);
    if (!e->field(r->state, ctx, t->user)) /* nobody has set it */
        return;
    pl_slot user = e->top(r->state);
    pl_kind kind = e->kind(r->state, user);
    r->viewer->signed_in = kind != PL_KIND_ABSENT && kind != PL_KIND_NULL &&
                           (kind != PL_KIND_BOOL || e->get_bool(r->state, user));
    if (!r->viewer->signed_in || (kind != PL_KIND_MAP && kind != PL_KIND_LIST && kind != PL_KIND_OTHER))
        return;
    if (t->roles.map.count > 0) {
        read_names(r, user, t->role, add_role);
        read_names(r, user, t->roles_key, add_role);
    }
    if (t->scopes.map.count > 0) {
        read_names(r, user, t->scope, add_scopes);
        read_names(r, user, t->scopes_key, add_scope);
    }
}

static gql_viewer *viewer_read(const gql_binding *b, pl_work *work, pl_error *err)
{
    const pl_engine *e = pl_engine_of(b->state);
    gql_viewer *viewer = pl_arena_zalloc(work->arena, sizeof *viewer);
    if (viewer) {
        viewer->roles = pl_arena_array(work->arena, gql_access_words(&b->access->roles), sizeof(uint64_t));
        viewer->scopes = pl_arena_array(work->arena, gql_access_words(&b->access->scopes), sizeof(uint64_t));
    }
    if (!viewer || !viewer->roles || !viewer->scopes || !e->reserve(b->state, 16)) {
        pl_fail_memory(err);
        return NULL;
    }
    reader r = {b->access, e, b->state, work, viewer};
    pl_slot top = e->top(b->state);
    read_user(&r);
    e->pop_to(b->state, top);
    return viewer;
}

static bool has(const uint64_t *bits, uint32_t id)
{
    return (bits[id / 64] >> (id % 64)) & 1;
}

static bool allows(const gql_access_rule *rule, const gql_viewer *viewer)
{
    if (rule->kind == GQL_ACCESS_SIGNED_IN)
        return true;
    for (uint32_t i = 0; rule->kind == GQL_ACCESS_ROLES && i < rule->roles.count; i++) {
        if (has(viewer->roles, rule->roles.names[i]))
            return true;
    }
    for (uint32_t i = 0; rule->kind == GQL_ACCESS_SCOPES && i < rule->scope_count; i++) {
        uint32_t k = 0;
        while (k < rule->scopes[i].count && has(viewer->scopes, rule->scopes[i].names[k]))
            k++;
        if (k == rule->scopes[i].count)
            return true;
    }
    return false;
}

pl_code gql_access_check(const gql_binding *b, const gql_access *access, pl_work *work, gql_viewer **viewer,
                         pl_error *err)
{
    if (!*viewer && !(*viewer = viewer_read(b, work, err)))
        return err->code;
    if ((*viewer)->failed)
        return pl_fail(err, PL_INTERNAL, "ctx.user cannot be read");
    if (!(*viewer)->signed_in)
        return pl_fail(err, PL_UNAUTHENTICATED, "You have to be signed in to use \"%.*s\".",
                       PL_STR_ARG(access->name));
    for (uint32_t i = 0; i < access->count; i++) {
        if (!allows(access->rules[i], *viewer))
            return pl_fail(err, PL_PERMISSION_DENIED, "You are not allowed to use \"%.*s\".",
                           PL_STR_ARG(access->name));
    }
    return PL_OK;
}
