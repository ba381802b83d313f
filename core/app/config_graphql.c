/* SPDX-License-Identifier: MIT */
#include "app/config_values.h"

/* graphql = { … } */

#define DEFAULT_RESPONSE_CACHE ((size_t)64 << 20)

static void read_documents_mode(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const char *const words[] = {"off", "mixed", "strict", NULL};
    unsigned word = 0;
    if (!cfg_word(c, slot, words, &word))
        cfg_wrong(c, path, "\"strict\", \"mixed\" or \"off\"", slot);
    *(pl_documents_mode *)target = (pl_documents_mode)word;
}

/* { path = …, mode = … }; a table alone means strict, which is what the list is for. */
static void read_documents(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const cfg_setting settings[] = {{"path", cfg_string, CFG_AT(reading.documents.path)},
                                           {"mode", read_documents_mode, CFG_AT(reading.documents.mode)},
                                           {NULL, NULL, 0}};
    bool on = true;
    pl_documents_mode *mode = target;
    *mode = PL_DOCUMENTS_STRICT;
    cfg_switch(c, path, slot, settings, &on);
    if (!on)
        *mode = PL_DOCUMENTS_OFF;
}

static void read_ttl(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    cfg_get_seconds(c, path, slot, target);
}

static void read_apq(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const cfg_setting settings[] = {{"size", cfg_size, CFG_AT(reading.apq.size)},
                                           {"ttl", read_ttl, CFG_AT(reading.apq.ttl_ms)},
                                           {NULL, NULL, 0}};
    cfg_switch(c, path, slot, settings, target);
}

static void read_amount(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    pl_kind kind = c->e->kind(c->state, slot);
    double d = kind == PL_KIND_INT     ? (double)c->e->get_int(c->state, slot)
               : kind == PL_KIND_FLOAT ? c->e->get_float(c->state, slot)
                                       : 0;
    if (d >= 0.001 && d <= 1e12)
        *(double *)target = d;
    else
        cfg_wrong(c, path, "a number, from 0.001", slot);
}

/* "peer", "user" or "header:NAME" */
static void read_rate_by(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const char *const words[] = {"peer", "user", NULL};
    static const pl_str prefix = PL_STR("header:");
    pl_rate_config *rate = &c->config->rate_limit;
    unsigned word = 0;
    (void)target;
    if (cfg_word(c, slot, words, &word)) {
        rate->by = word == 0 ? PL_RATE_BY_PEER : PL_RATE_BY_USER;
        return;
    }
    pl_str s = c->e->kind(c->state, slot) == PL_KIND_STRING ? cfg_copy_string(c, slot) : PL_STR("");
    if (s.ptr && s.len > prefix.len && pl_str_starts(s, prefix)) {
        rate->by = PL_RATE_BY_HEADER;
        rate->header = (pl_str){s.ptr + prefix.len, s.len - prefix.len};
        cfg_lower(rate->header);
    } else if (s.ptr) {
        cfg_wrong(c, path, "\"peer\", \"user\" or \"header:NAME\"", slot);
    }
}

static void read_rate_limit(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const cfg_setting settings[] = {{"capacity", read_amount, CFG_AT(rate_limit.capacity)},
                                           {"refill", read_amount, CFG_AT(rate_limit.refill)},
                                           {"by", read_rate_by, 0},
                                           {NULL, NULL, 0}};
    pl_rate_config *rate = &c->config->rate_limit;
    uint32_t problems = c->report->errors.count;
    (void)target;
    cfg_table(c, path, slot, settings, c->config);
    if (c->report->errors.count == problems && (rate->capacity == 0 || rate->refill == 0))
        pl_report_error(c->report, c->file, 0, 0, "%s has no \"%s\".", path,
                        rate->capacity == 0 ? "capacity" : "refill");
}

/* --- cache = { size = "64MB", default_max_age = 0, session = "header:authorization" | function } --- */
static void read_age(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    int64_t v = 0;
    if (c->e->kind(c->state, slot) == PL_KIND_INT && c->e->get_int(c->state, slot) == 0)
        *(uint32_t *)target = 0;
    else if (cfg_get_count(c, path, slot, INT32_MAX, &v))
        *(uint32_t *)target = (uint32_t)v;
}

static void read_cache_bytes(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    if (c->e->kind(c->state, slot) == PL_KIND_INT && c->e->get_int(c->state, slot) == 0)
        *(size_t *)target = 0; /* nothing is kept */
    else
        cfg_size(c, path, slot, target);
}

static void read_session(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    gql_cache_settings *cache = target;
    pl_str text = PL_STR(""), prefix = PL_STR("header:");
    if (c->e->is_function(c->state, slot))
        return; /* each state keeps its own */
    if (c->e->kind(c->state, slot) == PL_KIND_STRING)
        text = c->e->get_string(c->state, slot);
    if (!pl_str_starts(text, prefix) || text.len == prefix.len) {
        cfg_wrong(c, path, "a function, or a header such as \"header:authorization\"", slot);
        return;
    }
    char *name = pl_arena_alloc(c->arena, text.len - prefix.len);
    c->report->errors.out_of_memory |= !name;
    for (size_t i = prefix.len; name && i < text.len; i++) {
        char b = text.ptr[i];
        name[i - prefix.len] = b >= 'A' && b <= 'Z' ? (char)(b - 'A' + 'a') : b;
    }
    cache->session_header = (pl_str){name, name ? text.len - prefix.len : 0};
}

static void read_cache(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const cfg_setting settings[] = {
        {"size", read_cache_bytes, offsetof(gql_cache_settings, size)},
        {"default_max_age", read_age, offsetof(gql_cache_settings, default_max_age)},
        {"session", read_session, 0},
        {NULL, NULL, 0}};
    gql_cache_settings *cache = target;
    if (c->e->kind(c->state, slot) == PL_KIND_BOOL && !c->e->get_bool(c->state, slot))
        return;
    *cache = (gql_cache_settings){.on = true, .size = DEFAULT_RESPONSE_CACHE};
    if (c->e->kind(c->state, slot) != PL_KIND_BOOL)
        cfg_table(c, path, slot, settings, cache);
}

/* true, false, "authenticated", or the roles that may. */
static void read_introspection(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const char *const words[] = {"authenticated", NULL};
    static const char expected[] = "true, false, \"authenticated\", or a list of roles";
    gql_access_options *access = &c->config->access;
    unsigned word;
    (void)target;
    if (c->e->kind(c->state, slot) == PL_KIND_BOOL) {
        cfg_not_bool(c, path, slot, &c->config->graphql.no_introspection);
    } else if (c->e->kind(c->state, slot) == PL_KIND_LIST) {
        access->introspection = GQL_INTROSPECTION_FOR_ROLES;
        access->introspection_roles = cfg_strings(c, path, slot, expected, &access->introspection_role_count);
    } else if (cfg_word(c, slot, words, &word)) {
        access->introspection = GQL_INTROSPECTION_FOR_SIGNED_IN;
    } else {
        cfg_wrong(c, path, expected, slot);
    }
}

static void read_role(cfg_context *c, const char *path, pl_slot slot, pl_str name)
{
    size_t n = 0;
    const pl_str *includes = cfg_strings(c, path, slot, "a list of the roles that it includes", &n);
    gql_role *roles = (gql_role *)c->config->access.roles;
    if (includes)
        roles[c->config->access.role_count++] = (gql_role){cfg_copy(c, name), includes, n};
}

/* { ADMIN = { "EDITOR" } } */
static void read_roles(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    (void)target;
    c->config->access.role_count = 0;
    c->config->access.roles =
        cfg_begin_named(c, path, slot, "a table { ROLE = { \"INCLUDED_ROLE\" } }", sizeof(gql_role));
    if (c->config->access.roles)
        cfg_each_named(c, path, slot, read_role);
}

void cfg_graphql(cfg_context *c, const char *path, pl_slot slot, void *target)
{
    static const cfg_setting settings[] = {
        {"introspection", read_introspection, 0},
        {"roles", read_roles, 0},
        {"enforce_scopes", cfg_bool, CFG_AT(access.enforce_scopes)},
        {"documents", read_documents, CFG_AT(reading.documents.mode)},
        {"apq", read_apq, CFG_AT(reading.apq.on)},
        {"ready_made_scalars", cfg_not_bool, CFG_AT(schema.no_ready_made_scalars)},
        {"subgraph", cfg_bool, CFG_AT(schema.subgraph)},
        {"timeout", cfg_seconds, CFG_AT(graphql.execute.timeout_ms)},
        {"max_operations", cfg_uint32, CFG_AT(max_operations)},
        {"max_tokens", cfg_uint32, CFG_AT(graphql.parse.max_tokens)},
        {"max_nesting", cfg_uint32, CFG_AT(graphql.parse.max_depth)},
        {"max_fields", cfg_uint32, CFG_AT(graphql.max_fields)},
        {"max_depth", cfg_uint32, CFG_AT(graphql.limits.max_depth)},
        {"max_aliases", cfg_uint32, CFG_AT(graphql.limits.max_aliases)},
        {"max_root_fields", cfg_uint32, CFG_AT(graphql.limits.max_root_fields)},
        {"max_directives", cfg_uint32, CFG_AT(graphql.limits.max_directives)},
        {"max_list_items", cfg_uint32, CFG_AT(graphql.limits.max_list_items)},
        {"max_introspection", cfg_uint32, CFG_AT(graphql.limits.max_introspection)},
        {"max_cost", cfg_uint64, CFG_AT(graphql.cost.max_cost)},
        {"default_list_size", cfg_uint32, CFG_AT(graphql.cost.default_list_size)},
        {"rate_limit", read_rate_limit, 0},
        {"refuse_deprecated", cfg_bool, CFG_AT(graphql.no_deprecated)},
        {"max_errors", cfg_uint32, CFG_AT(graphql.max_errors)},
        {"max_response", cfg_size, CFG_AT(graphql.max_response)},
        {"max_result_items", cfg_uint32, CFG_AT(graphql.execute.max_list_items)},
        {"cache_size", cfg_size, CFG_AT(graphql.cache_bytes)},
        {"cache", read_cache, CFG_AT(graphql.cache)},
        {"show_internal_errors", cfg_bool, CFG_AT(graphql.execute.show_internal)},
        {NULL, NULL, 0}};
    (void)target;
    cfg_table(c, path, slot, settings, c->config);
}
