/* SPDX-License-Identifier: MIT */
#include "app/config.h"

#include <stdio.h>
#include <stdlib.h>

#define FILE_NAME "app.lua"
#define DEFAULT_RESPONSE_CACHE ((size_t)64 << 20)

void pl_config_default(pl_config *config)
{
    *config = (pl_config){.path = PL_STR("/graphql")};
    config->http.compress = true;
    config->websocket = (pl_ws_config){.init_timeout_ms = 10000,
                                       .ping_ms = 30000,
                                       .pong_timeout_ms = 10000,
                                       .max_operations = 256,
                                       .max_message = (size_t)1 << 20,
                                       .max_queued = (size_t)4 << 20};
    config->reading.apq.size = (size_t)16 << 20;
    config->reading.apq.ttl_ms = (uint64_t)24 * 3600 * 1000;
    config->reading.uploads.directory = PL_STR("");
    config->reading.documents.path = PL_STR("documents");
    config->reading.uploads.max_file_size = (size_t)16 << 20;
    config->reading.uploads.max_files = 10;
    config->reading.uploads.timeout_ms = 300000;
}

/* --- a table that says which settings there are, and reads them --- */
typedef struct context context;
typedef void (*reader)(context *c, const char *path, pl_slot slot, void *target);
typedef struct setting {
    const char *name;
    reader read;
    size_t offset; /* of the target in what the table fills, pl_config as a rule */
} setting;

struct context {
    pl_state *state;
    const pl_engine *e;
    pl_arena *arena;
    pl_config *config;
    pl_report *report;
};

static void wrong(context *c, const char *path, const char *expected, pl_slot slot)
{
    pl_report_error(c->report, FILE_NAME, 0, 0, "%s must be %s, not %s.", path, expected,
                    pl_kind_phrase(c->e->kind(c->state, slot)));
}

static void read_bool(context *c, const char *path, pl_slot slot, void *target)
{
    if (c->e->kind(c->state, slot) == PL_KIND_BOOL)
        *(bool *)target = c->e->get_bool(c->state, slot);
    else
        wrong(c, path, "true or false", slot);
}

static void read_not_bool(context *c, const char *path, pl_slot slot, void *target)
{
    read_bool(c, path, slot, target);
    *(bool *)target = !*(bool *)target;
}

static bool get_count(context *c, const char *path, pl_slot slot, int64_t max, int64_t *out)
{
    pl_kind kind = c->e->kind(c->state, slot);
    double d = kind == PL_KIND_FLOAT ? c->e->get_float(c->state, slot) : 0;
    int64_t v = kind == PL_KIND_INT ? c->e->get_int(c->state, slot) : d >= 1 && d < 0x1p63 ? (int64_t)d : 0;
    if (v < 1 || v > max || (kind == PL_KIND_FLOAT && d != (double)v)) {
        char expected[64];
        snprintf(expected, sizeof expected, "a whole number from 1 to %lld", (long long)max);
        wrong(c, path, expected, slot);
        return false;
    }
    *out = v;
    return true;
}

static void read_uint32(context *c, const char *path, pl_slot slot, void *target)
{
    int64_t v;
    if (get_count(c, path, slot, UINT32_MAX, &v))
        *(uint32_t *)target = (uint32_t)v;
}

static void read_uint64(context *c, const char *path, pl_slot slot, void *target)
{
    int64_t v;
    if (get_count(c, path, slot, INT64_MAX, &v))
        *(uint64_t *)target = (uint64_t)v;
}

/* Bytes: a number, or "64MB", "512 kB", "1GiB". */
static void read_size(context *c, const char *path, pl_slot slot, void *target)
{
    int64_t v;
    if (c->e->kind(c->state, slot) != PL_KIND_STRING) {
        if (get_count(c, path, slot, INT64_MAX, &v))
            *(size_t *)target = (size_t)v;
        return;
    }
    char text[32], *end;
    pl_str s = c->e->get_string(c->state, slot);
    size_t len = s.len < sizeof text ? s.len : 0;
    memcpy(text, s.ptr, len);
    text[len] = '\0';
    double d = strtod(text, &end);
    while (*end == ' ')
        end++;
    static const char units[] = "kMG";
    const char *unit = *end ? strchr(units, *end == 'K' ? 'k' : *end) : NULL;
    int shift = unit ? (int)(unit - units + 1) * 10 : 0;
    d *= (double)(1ull << shift);
    end += unit != NULL;
    if (*end == 'i' && unit)
        end++;
    if (*end == 'B')
        end++;
    if (len == 0 || end != text + len || !(d >= 1 && d <= 1e15))
        wrong(c, path, "a size such as 1048576 or \"1MB\"", slot);
    else
        *(size_t *)target = (size_t)d;
}

/* Seconds, to milliseconds. */
static bool get_seconds(context *c, const char *path, pl_slot slot, uint64_t *out)
{
    pl_kind kind = c->e->kind(c->state, slot);
    double d = kind == PL_KIND_INT     ? (double)c->e->get_int(c->state, slot)
               : kind == PL_KIND_FLOAT ? c->e->get_float(c->state, slot)
                                       : 0;
    if (!(d >= 0.001 && d <= 1e9)) {
        wrong(c, path, "a number of seconds, from 0.001", slot);
        return false;
    }
    *out = (uint64_t)(d * 1000.0 + 0.5);
    return true;
}

static void read_seconds(context *c, const char *path, pl_slot slot, void *target)
{
    uint64_t ms;
    if (get_seconds(c, path, slot, &ms))
        *(unsigned *)target = ms > UINT32_MAX ? UINT32_MAX : (unsigned)ms;
}

static pl_str copy(context *c, pl_str s)
{
    pl_str kept = pl_arena_str(c->arena, s);
    if (!kept.ptr)
        c->report->errors.out_of_memory = true;
    return kept;
}

static pl_str copy_string(context *c, pl_slot slot)
{
    return copy(c, c->e->get_string(c->state, slot));
}

static void read_string(context *c, const char *path, pl_slot slot, void *target)
{
    if (c->e->kind(c->state, slot) == PL_KIND_STRING)
        *(pl_str *)target = copy_string(c, slot);
    else
        wrong(c, path, "a string", slot);
}

static void read_path(context *c, const char *path, pl_slot slot, void *target)
{
    if (c->e->kind(c->state, slot) == PL_KIND_STRING &&
        pl_str_starts(c->e->get_string(c->state, slot), PL_STR("/")))
        *(pl_str *)target = copy_string(c, slot);
    else
        wrong(c, path, "a path that begins with \"/\"", slot);
}

static size_t count_entries(context *c, pl_slot slot)
{
    size_t n = 0;
    c->e->push_absent(c->state);
    pl_slot key = c->e->top(c->state);
    while (c->e->next(c->state, slot)) {
        n++;
        c->e->pop_to(c->state, key);
    }
    return n;
}

/* A list of strings, in the arena; NULL when it is none, which has been reported. */
static pl_str *read_strings(context *c, const char *path, pl_slot slot, const char *expected, size_t *count)
{
    size_t n = c->e->length(c->state, slot);
    pl_kind kind = c->e->kind(c->state, slot);
    if (kind != PL_KIND_LIST && (kind != PL_KIND_MAP || count_entries(c, slot) > 0)) {
        wrong(c, path, expected, slot);
        return NULL;
    }
    pl_str *strings = pl_arena_array(c->arena, n, sizeof *strings);
    if (!strings) {
        c->report->errors.out_of_memory = true;
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        c->e->element(c->state, slot, i);
        pl_slot item = c->e->top(c->state);
        if (c->e->kind(c->state, item) == PL_KIND_STRING)
            strings[i] = copy_string(c, item);
        else
            wrong(c, path, "a list of strings", item);
        c->e->pop_to(c->state, item - 1);
    }
    *count = n;
    return strings;
}

static void read_origins(context *c, const char *path, pl_slot slot, void *target)
{
    pl_cors *cors = &c->config->http.cors;
    (void)target;
    size_t n = 0;
    pl_str *origins = read_strings(
        c, path, slot, "a list of origins such as { \"https://shop.example\" }, or { \"*\" }", &n);
    if (origins) {
        cors->origins = origins;
        cors->origin_count = n;
    }
}

static void read_table(context *c, const char *path, pl_slot slot, const setting *settings, void *base);

#define AT(field) offsetof(pl_config, field)

static void read_cors(context *c, const char *path, pl_slot slot, void *target)
{
    static const setting settings[] = {{"origins", read_origins, 0},
                                       {"credentials", read_bool, AT(http.cors.credentials)},
                                       {"max_age", read_uint32, AT(http.cors.max_age_s)},
                                       {"allow_headers", read_string, AT(http.cors.allow_headers)},
                                       {"expose_headers", read_string, AT(http.cors.expose_headers)},
                                       {NULL, NULL, 0}};
    (void)target;
    read_table(c, path, slot, settings, c->config);
}

/* A string that is one of the words, as its place among them. */
static bool read_word(context *c, pl_slot slot, const char *const *words, unsigned *out)
{
    if (c->e->kind(c->state, slot) != PL_KIND_STRING)
        return false;
    pl_str s = c->e->get_string(c->state, slot);
    for (unsigned i = 0; words[i]; i++) {
        if (pl_str_is(s, words[i])) {
            *out = i;
            return true;
        }
    }
    return false;
}

/* A table of settings, which may also be `false` (off) or `true` (on, with the defaults). */
static void read_switch(context *c, const char *path, pl_slot slot, const setting *settings, bool *on)
{
    if (c->e->kind(c->state, slot) == PL_KIND_BOOL) {
        *on = c->e->get_bool(c->state, slot);
        return;
    }
    *on = true;
    read_table(c, path, slot, settings, c->config);
}

/* Bytes of the arena. */
static void to_lower(pl_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char *byte = (char *)s.ptr + i;
        *byte = *byte >= 'A' && *byte <= 'Z' ? (char)(*byte | 0x20) : *byte;
    }
}

static void read_csrf_headers(context *c, const char *path, pl_slot slot, void *target)
{
    size_t n = 0;
    (void)target;
    pl_str *names = read_strings(c, path, slot, "a list of header names such as { \"x-my-client\" }", &n);
    for (size_t i = 0; names && i < n; i++)
        to_lower(names[i]);
    c->config->reading.csrf.headers = names;
    c->config->reading.csrf.header_count = names ? n : 0;
}

static void read_csrf_strict(context *c, const char *path, pl_slot slot, void *target)
{
    bool strict = false;
    read_bool(c, path, slot, &strict);
    if (strict)
        *(pl_csrf_mode *)target = PL_CSRF_STRICT;
}

/* true, false, "strict" or { headers = {…}, strict = … } */
static void read_csrf(context *c, const char *path, pl_slot slot, void *target)
{
    static const setting settings[] = {{"headers", read_csrf_headers, 0},
                                       {"strict", read_csrf_strict, AT(reading.csrf.mode)},
                                       {NULL, NULL, 0}};
    static const char *const words[] = {"strict", NULL};
    pl_csrf_mode *mode = target;
    unsigned word;
    bool on = true;
    *mode = PL_CSRF_ON;
    if (read_word(c, slot, words, &word))
        *mode = PL_CSRF_STRICT;
    else
        read_switch(c, path, slot, settings, &on);
    if (!on)
        *mode = PL_CSRF_OFF;
}

static void read_batching(context *c, const char *path, pl_slot slot, void *target)
{
    static const setting settings[] = {{"max", read_uint32, AT(reading.max_batch)}, {NULL, NULL, 0}};
    bool on = false;
    uint32_t *max = target;
    *max = 10;
    read_switch(c, path, slot, settings, &on);
    if (!on)
        *max = 0;
}

static void read_uploads(context *c, const char *path, pl_slot slot, void *target)
{
    static const setting settings[] = {{"max_file_size", read_size, AT(reading.uploads.max_file_size)},
                                       {"max_files", read_uint32, AT(reading.uploads.max_files)},
                                       {"max_size", read_size, AT(reading.uploads.max_size)},
                                       {"max_total", read_size, AT(reading.uploads.max_total)},
                                       {"timeout", read_seconds, AT(reading.uploads.timeout_ms)},
                                       {"directory", read_string, AT(reading.uploads.directory)},
                                       {NULL, NULL, 0}};
    read_switch(c, path, slot, settings, target);
}

static void read_status(context *c, const char *path, pl_slot slot, void *target)
{
    static const char *const words[] = {"audit", "draft", NULL};
    unsigned word = 0;
    if (!read_word(c, slot, words, &word))
        wrong(c, path, "\"audit\" or \"draft\"", slot);
    *(bool *)target = word == 1;
}

static void read_documents_mode(context *c, const char *path, pl_slot slot, void *target)
{
    static const char *const words[] = {"off", "mixed", "strict", NULL};
    unsigned word = 0;
    if (!read_word(c, slot, words, &word))
        wrong(c, path, "\"strict\", \"mixed\" or \"off\"", slot);
    *(pl_documents_mode *)target = (pl_documents_mode)word;
}

/* { path = …, mode = … }; a table alone means strict, which is what the list is for. */
static void read_documents(context *c, const char *path, pl_slot slot, void *target)
{
    static const setting settings[] = {{"path", read_string, AT(reading.documents.path)},
                                       {"mode", read_documents_mode, AT(reading.documents.mode)},
                                       {NULL, NULL, 0}};
    bool on = true;
    pl_documents_mode *mode = target;
    *mode = PL_DOCUMENTS_STRICT;
    read_switch(c, path, slot, settings, &on);
    if (!on)
        *mode = PL_DOCUMENTS_OFF;
}

static void read_ttl(context *c, const char *path, pl_slot slot, void *target)
{
    get_seconds(c, path, slot, target);
}

static void read_apq(context *c, const char *path, pl_slot slot, void *target)
{
    static const setting settings[] = {{"size", read_size, AT(reading.apq.size)},
                                       {"ttl", read_ttl, AT(reading.apq.ttl_ms)},
                                       {NULL, NULL, 0}};
    read_switch(c, path, slot, settings, target);
}

/* true, or a table of settings for the page, which then is on. */
static void read_graphiql(context *c, const char *path, pl_slot slot, void *target)
{
    static const setting settings[] = {{"title", read_string, AT(ide.title)},
                                       {"default_query", read_string, AT(ide.default_query)},
                                       {"headers", read_not_bool, AT(ide.no_headers)},
                                       {NULL, NULL, 0}};
    read_switch(c, path, slot, settings, target);
}

static void read_websocket(context *c, const char *path, pl_slot slot, void *target)
{
    static const setting settings[] = {{"init_timeout", read_seconds, AT(websocket.init_timeout_ms)},
                                       {"ping", read_seconds, AT(websocket.ping_ms)},
                                       {"pong_timeout", read_seconds, AT(websocket.pong_timeout_ms)},
                                       {"max_operations", read_uint32, AT(websocket.max_operations)},
                                       {"max_message", read_size, AT(websocket.max_message)},
                                       {"max_queued", read_size, AT(websocket.max_queued)},
                                       {NULL, NULL, 0}};
    (void)target;
    read_table(c, path, slot, settings, c->config);
}

static void read_http(context *c, const char *path, pl_slot slot, void *target)
{
    static const setting settings[] = {{"path", read_path, AT(path)},
                                       {"cors", read_cors, 0},
                                       {"compress", read_bool, AT(http.compress)},
                                       {"pretty", read_bool, AT(pretty)},
                                       {"csrf", read_csrf, AT(reading.csrf.mode)},
                                       {"batching", read_batching, AT(reading.max_batch)},
                                       {"uploads", read_uploads, AT(reading.uploads.on)},
                                       {"status", read_status, AT(reading.draft_status)},
                                       {"graphiql", read_graphiql, AT(ide.enabled)},
                                       {"websocket", read_websocket, 0},
                                       {NULL, NULL, 0}};
    (void)target;
    read_table(c, path, slot, settings, c->config);
}

static void read_amount(context *c, const char *path, pl_slot slot, void *target)
{
    pl_kind kind = c->e->kind(c->state, slot);
    double d = kind == PL_KIND_INT     ? (double)c->e->get_int(c->state, slot)
               : kind == PL_KIND_FLOAT ? c->e->get_float(c->state, slot)
                                       : 0;
    if (d >= 0.001 && d <= 1e12)
        *(double *)target = d;
    else
        wrong(c, path, "a number, from 0.001", slot);
}

/* "peer", "user" or "header:NAME" */
static void read_rate_by(context *c, const char *path, pl_slot slot, void *target)
{
    static const char *const words[] = {"peer", "user", NULL};
    static const pl_str prefix = PL_STR("header:");
    pl_rate_config *rate = &c->config->rate_limit;
    unsigned word = 0;
    (void)target;
    if (read_word(c, slot, words, &word)) {
        rate->by = word == 0 ? PL_RATE_BY_PEER : PL_RATE_BY_USER;
        return;
    }
    pl_str s = c->e->kind(c->state, slot) == PL_KIND_STRING ? copy_string(c, slot) : PL_STR("");
    if (s.ptr && s.len > prefix.len && pl_str_starts(s, prefix)) {
        rate->by = PL_RATE_BY_HEADER;
        rate->header = (pl_str){s.ptr + prefix.len, s.len - prefix.len};
        to_lower(rate->header);
    } else if (s.ptr) {
        wrong(c, path, "\"peer\", \"user\" or \"header:NAME\"", slot);
    }
}

static void read_rate_limit(context *c, const char *path, pl_slot slot, void *target)
{
    static const setting settings[] = {{"capacity", read_amount, AT(rate_limit.capacity)},
                                       {"refill", read_amount, AT(rate_limit.refill)},
                                       {"by", read_rate_by, 0},
                                       {NULL, NULL, 0}};
    pl_rate_config *rate = &c->config->rate_limit;
    (void)target;
    read_table(c, path, slot, settings, c->config);
    if (c->e->kind(c->state, slot) == PL_KIND_MAP && (rate->capacity == 0 || rate->refill == 0))
        pl_report_error(c->report, FILE_NAME, 0, 0, "%s has no \"%s\".", path,
                        rate->capacity == 0 ? "capacity" : "refill");
}

/* --- cache = { size = "64MB", default_max_age = 0, session = "header:authorization" | function } --- */
static void read_age(context *c, const char *path, pl_slot slot, void *target)
{
    int64_t v = 0;
    if (c->e->kind(c->state, slot) == PL_KIND_INT && c->e->get_int(c->state, slot) == 0)
        *(uint32_t *)target = 0;
    else if (get_count(c, path, slot, INT32_MAX, &v))
        *(uint32_t *)target = (uint32_t)v;
}

static void read_cache_bytes(context *c, const char *path, pl_slot slot, void *target)
{
    if (c->e->kind(c->state, slot) == PL_KIND_INT && c->e->get_int(c->state, slot) == 0)
        *(size_t *)target = 0; /* nothing is kept */
    else
        read_size(c, path, slot, target);
}

static void read_session(context *c, const char *path, pl_slot slot, void *target)
{
    gql_cache_settings *cache = target;
    pl_str text = PL_STR(""), prefix = PL_STR("header:");
    if (c->e->is_function(c->state, slot)) {
        cache->session_function = true;
        return;
    }
    if (c->e->kind(c->state, slot) == PL_KIND_STRING)
        text = c->e->get_string(c->state, slot);
    if (!pl_str_starts(text, prefix) || text.len == prefix.len) {
        wrong(c, path, "a function, or a header such as \"header:authorization\"", slot);
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

static void read_cache(context *c, const char *path, pl_slot slot, void *target)
{
    static const setting settings[] = {
        {"size", read_cache_bytes, offsetof(gql_cache_settings, size)},
        {"default_max_age", read_age, offsetof(gql_cache_settings, default_max_age)},
        {"session", read_session, 0},
        {NULL, NULL, 0}};
    gql_cache_settings *cache = target;
    if (c->e->kind(c->state, slot) == PL_KIND_BOOL && !c->e->get_bool(c->state, slot))
        return;
    *cache = (gql_cache_settings){.on = true, .size = DEFAULT_RESPONSE_CACHE};
    if (c->e->kind(c->state, slot) != PL_KIND_BOOL)
        read_table(c, path, slot, settings, cache);
}

/* true, false, "authenticated", or the roles that may. */
static void read_introspection(context *c, const char *path, pl_slot slot, void *target)
{
    static const char *const words[] = {"authenticated", NULL};
    static const char expected[] = "true, false, \"authenticated\", or a list of roles";
    gql_access_options *access = &c->config->access;
    unsigned word;
    (void)target;
    if (c->e->kind(c->state, slot) == PL_KIND_BOOL) {
        read_not_bool(c, path, slot, &c->config->graphql.no_introspection);
    } else if (c->e->kind(c->state, slot) == PL_KIND_LIST) {
        access->introspection = GQL_INTROSPECTION_FOR_ROLES;
        access->introspection_roles =
            read_strings(c, path, slot, expected, &access->introspection_role_count);
    } else if (read_word(c, slot, words, &word)) {
        access->introspection = GQL_INTROSPECTION_FOR_SIGNED_IN;
    } else {
        wrong(c, path, expected, slot);
    }
}

static void read_roles(context *c, const char *path, pl_slot slot, void *target);

static void read_graphql(context *c, const char *path, pl_slot slot, void *target)
{
    static const setting settings[] = {
        {"introspection", read_introspection, 0},
        {"roles", read_roles, 0},
        {"enforce_scopes", read_bool, AT(access.enforce_scopes)},
        {"documents", read_documents, AT(reading.documents.mode)},
        {"apq", read_apq, AT(reading.apq.on)},
        {"ready_made_scalars", read_not_bool, AT(schema.no_ready_made_scalars)},
        {"subgraph", read_bool, AT(schema.subgraph)},
        {"timeout", read_seconds, AT(graphql.execute.timeout_ms)},
        {"max_tokens", read_uint32, AT(graphql.parse.max_tokens)},
        {"max_nesting", read_uint32, AT(graphql.parse.max_depth)},
        {"max_fields", read_uint32, AT(graphql.max_fields)},
        {"max_depth", read_uint32, AT(graphql.limits.max_depth)},
        {"max_aliases", read_uint32, AT(graphql.limits.max_aliases)},
        {"max_root_fields", read_uint32, AT(graphql.limits.max_root_fields)},
        {"max_directives", read_uint32, AT(graphql.limits.max_directives)},
        {"max_list_items", read_uint32, AT(graphql.limits.max_list_items)},
        {"max_introspection", read_uint32, AT(graphql.limits.max_introspection)},
        {"max_cost", read_uint64, AT(graphql.cost.max_cost)},
        {"default_list_size", read_uint32, AT(graphql.cost.default_list_size)},
        {"rate_limit", read_rate_limit, 0},
        {"refuse_deprecated", read_bool, AT(graphql.no_deprecated)},
        {"max_errors", read_uint32, AT(graphql.max_errors)},
        {"max_response", read_size, AT(graphql.max_response)},
        {"max_result_items", read_uint32, AT(graphql.execute.max_list_items)},
        {"cache_size", read_size, AT(graphql.cache_bytes)},
        {"cache", read_cache, AT(graphql.cache)},
        {"show_internal_errors", read_bool, AT(graphql.execute.show_internal)},
        {NULL, NULL, 0}};
    (void)target;
    read_table(c, path, slot, settings, c->config);
}

static void read_limits(context *c, const char *path, pl_slot slot, void *target)
{
    static const setting settings[] = {{"memory", read_size, AT(limits.memory)},
                                       {"call_memory", read_size, AT(limits.call_memory)},
                                       {"instructions", read_uint64, AT(limits.instructions)},
                                       {"run_time", read_seconds, AT(limits.run_ms)},
                                       {"load_time", read_seconds, AT(limits.load_ms)},
                                       {NULL, NULL, 0}};
    (void)target;
    read_table(c, path, slot, settings, c->config);
}

static void read_function(context *c, const char *path, pl_slot slot, void *target)
{
    (void)target; /* each state binds its own */
    if (!c->e->is_function(c->state, slot))
        wrong(c, path, "a function", slot);
}

static void read_interceptors(context *c, const char *path, pl_slot slot, void *target)
{
    static const char expected[] = "a list of functions f(ctx, next)";
    size_t n = c->e->length(c->state, slot);
    (void)target; /* each state binds its own */
    if (c->e->kind(c->state, slot) != PL_KIND_LIST &&
        (c->e->kind(c->state, slot) != PL_KIND_MAP || count_entries(c, slot) > 0)) {
        wrong(c, path, expected, slot);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        char at[256];
        snprintf(at, sizeof at, "%s[%zu]", path, i + 1);
        c->e->element(c->state, slot, i);
        pl_slot item = c->e->top(c->state);
        if (!c->e->is_function(c->state, item))
            wrong(c, at, "a function f(ctx, next)", item);
        c->e->pop_to(c->state, item - 1);
    }
}

/* --- timers = { name = { every = seconds, run = function } } --- */
typedef struct timer_entry {
    uint64_t every_ms;
    bool has_every, has_run;
} timer_entry;

static void read_every(context *c, const char *path, pl_slot slot, void *target)
{
    timer_entry *t = target;
    t->has_every = true;
    get_seconds(c, path, slot, &t->every_ms);
}

static void read_run(context *c, const char *path, pl_slot slot, void *target)
{
    timer_entry *t = target;
    t->has_run = true;
    read_function(c, path, slot, NULL);
}

static void read_timer(context *c, const char *path, pl_slot slot, pl_str name)
{
    static const setting settings[] = {{"every", read_every, 0}, {"run", read_run, 0}, {NULL, NULL, 0}};
    timer_entry entry = {0};
    if (c->e->kind(c->state, slot) != PL_KIND_MAP) {
        wrong(c, path, "a table { every = seconds, run = function }", slot);
        return;
    }
    read_table(c, path, slot, settings, &entry);
    if (!entry.has_every || !entry.has_run)
        pl_report_error(c->report, FILE_NAME, 0, 0, "%s has no \"%s\".", path,
                        entry.has_every ? "run" : "every");
    c->config->timers[c->config->timer_count++] = (pl_timer_config){copy(c, name), entry.every_ms};
}

/* A table by names: room for one item of size bytes for each entry. NULL: an error was reported, or memory
 * is short. expected says what the table should be. */
static void *begin_named(context *c, const char *path, pl_slot slot, const char *expected, size_t size)
{
    if (c->e->kind(c->state, slot) != PL_KIND_MAP) {
        wrong(c, path, expected, slot);
        return NULL;
    }
    void *items = pl_arena_array(c->arena, count_entries(c, slot), size);
    if (!items)
        c->report->errors.out_of_memory = true;
    return items;
}

static void read_named(context *c, const char *path, pl_slot slot,
                       void (*read)(context *c, const char *path, pl_slot slot, pl_str name))
{
    c->e->push_absent(c->state);
    pl_slot key = c->e->top(c->state);
    while (c->e->next(c->state, slot)) {
        char at[256];
        if (c->e->kind(c->state, key) == PL_KIND_STRING) {
            pl_str name = c->e->get_string(c->state, key);
            snprintf(at, sizeof at, "%s.%.*s", path, PL_STR_ARG(name));
            read(c, at, key + 1, name);
        } else {
            pl_report_error(c->report, FILE_NAME, 0, 0, "%s has an entry that is not named by a string.",
                            path);
        }
        c->e->pop_to(c->state, key);
    }
}

static void read_role(context *c, const char *path, pl_slot slot, pl_str name)
{
    size_t n = 0;
    const pl_str *includes = read_strings(c, path, slot, "a list of the roles that it includes", &n);
    gql_role *roles = (gql_role *)c->config->access.roles;
    if (includes)
        roles[c->config->access.role_count++] = (gql_role){copy(c, name), includes, n};
}

/* { ADMIN = { "EDITOR" } } */
static void read_roles(context *c, const char *path, pl_slot slot, void *target)
{
    (void)target;
    c->config->access.role_count = 0;
    c->config->access.roles =
        begin_named(c, path, slot, "a table { ROLE = { \"INCLUDED_ROLE\" } }", sizeof(gql_role));
    if (c->config->access.roles)
        read_named(c, path, slot, read_role);
}

static int compare_timers(const void *a, const void *b)
{
    return pl_str_cmp(((const pl_timer_config *)a)->name, ((const pl_timer_config *)b)->name);
}

static void read_timers(context *c, const char *path, pl_slot slot, void *target)
{
    (void)target;
    c->config->timer_count = 0;
    c->config->timers = begin_named(c, path, slot, "a table { name = { every = seconds, run = function } }",
                                    sizeof *c->config->timers);
    if (!c->config->timers)
        return;
    read_named(c, path, slot, read_timer);
    if (c->config->timer_count > 1)
        qsort(c->config->timers, c->config->timer_count, sizeof *c->config->timers, compare_timers);
}

/* --- loaders = { name = function, name = { batch = function, … } } --- */
typedef struct loader_entry {
    pl_loader_config config;
    bool has_batch;
} loader_entry;

static void read_batch(context *c, const char *path, pl_slot slot, void *target)
{
    ((loader_entry *)target)->has_batch = true;
    read_function(c, path, slot, NULL);
}

static void read_loader(context *c, const char *path, pl_slot slot, pl_str name)
{
    static const setting settings[] = {{"batch", read_batch, 0},
                                       {"key", read_function, 0},
                                       {"max_batch", read_uint32, offsetof(loader_entry, config.max_batch)},
                                       {"cache", read_not_bool, offsetof(loader_entry, config.uncached)},
                                       {NULL, NULL, 0}};
    loader_entry entry = {.config.name = copy(c, name)};
    if (!c->e->is_function(c->state, slot)) {
        if (c->e->kind(c->state, slot) != PL_KIND_MAP) {
            wrong(c, path, "a function(keys, ctx), or a table { batch = function, … }", slot);
            return;
        }
        read_table(c, path, slot, settings, &entry);
        if (!entry.has_batch)
            pl_report_error(c->report, FILE_NAME, 0, 0, "%s has no \"batch\".", path);
    }
    c->config->loaders[c->config->loader_count++] = entry.config;
}

static int compare_loaders(const void *a, const void *b)
{
    return pl_str_cmp(((const pl_loader_config *)a)->name, ((const pl_loader_config *)b)->name);
}

static void read_loaders(context *c, const char *path, pl_slot slot, void *target)
{
    (void)target;
    c->config->loader_count = 0;
    c->config->loaders =
        begin_named(c, path, slot, "a table { name = function(keys, ctx) }", sizeof *c->config->loaders);
    if (!c->config->loaders)
        return;
    read_named(c, path, slot, read_loader);
    if (c->config->loader_count > 1)
        qsort(c->config->loaders, c->config->loader_count, sizeof *c->config->loaders, compare_loaders);
}

static const setting *find_setting(const setting *settings, pl_str name)
{
    for (; settings->name; settings++) {
        if (pl_str_is(name, settings->name))
            return settings;
    }
    return NULL;
}

static void read_entry(context *c, const char *path, pl_slot key, const setting *settings, void *base)
{
    char at[256];
    if (c->e->kind(c->state, key) != PL_KIND_STRING) {
        pl_report_error(c->report, FILE_NAME, 0, 0, "%s has an entry that is not named by a string.",
                        path[0] ? path : "the settings");
        return;
    }
    pl_str name = c->e->get_string(c->state, key);
    snprintf(at, sizeof at, "%s%s%.*s", path, path[0] ? "." : "", PL_STR_ARG(name));
    const setting *s = find_setting(settings, name);
    if (s)
        s->read(c, at, key + 1, (char *)base + s->offset);
    else
        pl_report_error(c->report, FILE_NAME, 0, 0, "There is no setting \"%s\".", at);
}

static void read_table(context *c, const char *path, pl_slot slot, const setting *settings, void *base)
{
    if (!c->e->reserve(c->state, 16)) {
        c->report->errors.out_of_memory = true;
        return;
    }
    if (c->e->kind(c->state, slot) != PL_KIND_MAP) {
        wrong(c, path[0] ? path : "what app.lua returns", "a table of settings", slot);
        return;
    }
    c->e->push_absent(c->state);
    pl_slot key = c->e->top(c->state);
    while (c->e->next(c->state, slot)) {
        read_entry(c, path, key, settings, base);
        c->e->pop_to(c->state, key);
    }
}

void pl_config_read(pl_state *state, pl_slot slot, pl_arena *arena, pl_config *config, pl_report *report)
{
    static const setting settings[] = {{"name", read_string, AT(name)},
                                       {"http", read_http, 0},
                                       {"graphql", read_graphql, 0},
                                       {"limits", read_limits, 0},
                                       {"timers", read_timers, 0},
                                       {"loaders", read_loaders, 0},
                                       {"interceptors", read_interceptors, 0},
                                       {"default_resolver", read_function, 0},
                                       {NULL, NULL, 0}};
    context c = {state, pl_engine_of(state), arena, config, report};
    read_table(&c, "", slot, settings, config);
}
