/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include "grpc/policy/service_config.h"
#include "value/json.h"

#define MOST_TEXT ((size_t)1 << 20)
#define MOST_SECONDS 315576000000.0 /* of a google.protobuf.Duration */

typedef struct reader {
    pl_arena *arena;
    bool strict;
    pl_service_config *config;
    pl_error *err;
    char path[512]; /* of the value in hand */
    size_t path_len;
} reader;

/* --- the path --- */
/* Steps down; returns what leave() needs. A path that is too long is cut. */
static size_t enter(reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static size_t enter(reader *r, const char *fmt, ...)
{
    size_t before = r->path_len, room = sizeof r->path - before;
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(r->path + before, room, fmt, args);
    va_end(args);
    if (n > 0)
        r->path_len += (size_t)n < room ? (size_t)n : room - 1;
    r->path_len = pl_utf8_check(r->path, r->path_len);
    r->path[r->path_len] = '\0';
    return before;
}

static void leave(reader *r, size_t before)
{
    r->path_len = before;
    r->path[before] = '\0';
}

static pl_code wrong(reader *r, const pl_value *value, const char *expected)
{
    const char *path = r->path_len ? r->path : "the service config";
    switch (value->kind) {
    case PL_KIND_INT:
        return pl_fail(r->err, PL_INVALID_ARGUMENT, "%s must be %s, not %lld", path, expected,
                       (long long)value->integer);
    case PL_KIND_FLOAT:
        return pl_fail(r->err, PL_INVALID_ARGUMENT, "%s must be %s, not %g", path, expected, value->number);
    case PL_KIND_STRING:
        if (value->string.len <= 64)
            return pl_fail(r->err, PL_INVALID_ARGUMENT, "%s must be %s, not \"%.*s\"", path, expected,
                           PL_STR_ARG(value->string));
        /* fall through */
    default:
        return pl_fail(r->err, PL_INVALID_ARGUMENT, "%s must be %s, not %s", path, expected,
                       pl_kind_phrase(value->kind));
    }
}

static pl_code missing(reader *r, const char *name)
{
    return pl_fail(r->err, PL_INVALID_ARGUMENT, "%s%s%s is missing", r->path, r->path_len ? "." : "", name);
}

/* --- members --- */
typedef pl_code read_fn(reader *r, const pl_value *value, void *target);
typedef struct member {
    const char *name;
    read_fn *read;
    size_t offset; /* in the target */
} member;

static pl_code read_member(reader *r, const pl_member *m, const member *members, void *target)
{
    for (const member *known = members; known->name; known++) {
        if (pl_str_is(m->name, known->name))
            return m->value.kind == PL_KIND_NULL ? PL_OK
                                                 : known->read(r, &m->value, (char *)target + known->offset);
    }
    if (r->strict)
        return pl_fail(r->err, PL_INVALID_ARGUMENT, "%s: there is no such setting", r->path);
    return PL_OK;
}

/* members ends with a NULL name; a null counts as left out. */
static pl_code read_map(reader *r, const pl_value *value, const member *members, void *target)
{
    pl_code code = PL_OK;
    if (value->kind != PL_KIND_MAP)
        return wrong(r, value, "a map");
    for (size_t i = 0; i < value->map.count && code == PL_OK; i++) {
        const pl_member *m = &value->map.members[i];
        size_t before = enter(r, "%s%.*s", r->path_len ? "." : "", PL_STR_ARG(m->name));
        code = read_member(r, m, members, target);
        leave(r, before);
    }
    return code;
}

/* An empty list of a script is an empty map. */
static pl_code check_list(reader *r, const pl_value *value, size_t *count)
{
    *count = value->kind == PL_KIND_LIST ? value->list.count : 0;
    if (value->kind == PL_KIND_LIST || (value->kind == PL_KIND_MAP && value->map.count == 0))
        return PL_OK;
    return wrong(r, value, "a list");
}

/* --- scalars --- */
static pl_code read_bool(reader *r, const pl_value *value, void *target)
{
    if (value->kind != PL_KIND_BOOL)
        return wrong(r, value, "a boolean");
    *(bool *)target = value->boolean;
    return PL_OK;
}

static pl_code read_string(reader *r, const pl_value *value, void *target)
{
    if (value->kind != PL_KIND_STRING)
        return wrong(r, value, "a string");
    *(pl_str *)target = value->string;
    return PL_OK;
}

static pl_code read_attempts(reader *r, const pl_value *value, void *target)
{
    double n = value->kind == PL_KIND_INT     ? (double)value->integer
               : value->kind == PL_KIND_FLOAT ? value->number
                                              : 0;
    if (!(n >= 2) || n != floor(n))
        return wrong(r, value, "an integer of at least 2");
    *(uint32_t *)target = n > PL_MOST_ATTEMPTS ? PL_MOST_ATTEMPTS : (uint32_t)n;
    return PL_OK;
}

static bool number_of(const pl_value *value, double *out)
{
    if (value->kind == PL_KIND_INT)
        *out = (double)value->integer;
    else if (value->kind == PL_KIND_FLOAT)
        *out = value->number;
    else
        return false;
    return true;
}

static pl_code read_multiplier(reader *r, const pl_value *value, void *target)
{
    if (!number_of(value, target) || !(*(double *)target > 0))
        return wrong(r, value, "a number above 0");
    return PL_OK;
}

/* As proto's JSON has 64-bit numbers: a string does, too. */
static pl_code read_bytes(reader *r, const pl_value *value, void *target)
{
    uint64_t n = 0;
    bool ok = value->kind == PL_KIND_INT && value->integer >= 0;
    if (ok) {
        n = (uint64_t)value->integer;
    } else if (value->kind == PL_KIND_STRING && value->string.len > 0 && value->string.len <= 18) {
        ok = true;
        for (size_t i = 0; i < value->string.len && ok; i++) {
            unsigned digit = (unsigned char)value->string.ptr[i] - (unsigned)'0';
            ok = digit <= 9;
            n = n * 10 + digit;
        }
    }
    if (!ok)
        return wrong(r, value, "a number of bytes");
    *(uint64_t *)target = n;
    return PL_OK;
}

/* "1.5s": digits, at most 9 after the point. */
static bool duration_of(pl_str s, uint64_t *ms)
{
    uint64_t seconds = 0, nanos = 0, unit = 1000000000;
    size_t i = 0;
    for (; i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9'; i++) {
        if (i == 12)
            return false;
        seconds = seconds * 10 + (uint64_t)(s.ptr[i] - '0');
    }
    if (i == 0 || (double)seconds > MOST_SECONDS)
        return false;
    if (i < s.len && s.ptr[i] == '.') {
        size_t point = i++;
        for (; i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9'; i++) {
            if (i - point > 9)
                return false;
            unit /= 10;
            nanos += unit * (uint64_t)(s.ptr[i] - '0');
        }
        if (i == point + 1)
            return false;
    }
    *ms = seconds * 1000 + (nanos + 999999) / 1000000;
    return i + 1 == s.len && s.ptr[i] == 's';
}

static bool read_ms(const pl_value *value, uint64_t *ms)
{
    double seconds;
    if (value->kind == PL_KIND_STRING)
        return duration_of(value->string, ms);
    if (!number_of(value, &seconds) || !(seconds >= 0 && seconds <= MOST_SECONDS))
        return false;
    *ms = (uint64_t)ceil(seconds * 1000);
    return true;
}

static pl_code read_duration(reader *r, const pl_value *value, void *target)
{
    return read_ms(value, target) ? PL_OK : wrong(r, value, "a duration such as \"1.5s\"");
}

static pl_code read_positive_duration(reader *r, const pl_value *value, void *target)
{
    if (!read_ms(value, target) || *(uint64_t *)target == 0)
        return wrong(r, value, "a duration above 0 such as \"0.1s\"");
    return PL_OK;
}

/* --- codes --- */
static bool code_of(const pl_value *value, unsigned *out)
{
    if (value->kind == PL_KIND_INT && value->integer >= PL_CANCELLED &&
        value->integer <= PL_UNAUTHENTICATED) {
        *out = (unsigned)value->integer;
        return true;
    }
    if (value->kind != PL_KIND_STRING)
        return false;
    for (unsigned code = PL_CANCELLED; code <= PL_UNAUTHENTICATED; code++) {
        const char *name = pl_code_name((pl_code)code);
        if (strlen(name) == value->string.len &&
            strncasecmp(name, value->string.ptr, value->string.len) == 0) {
            *out = code;
            return true;
        }
    }
    return false;
}

static pl_code read_codes(reader *r, const pl_value *value, void *target)
{
    size_t count;
    if (check_list(r, value, &count) != PL_OK)
        return r->err->code;
    for (size_t i = 0; i < count; i++) {
        unsigned code;
        size_t before = enter(r, "[%zu]", i);
        if (!code_of(&value->list.items[i], &code))
            return wrong(r, &value->list.items[i], "a status code such as \"UNAVAILABLE\"");
        leave(r, before);
        *(pl_code_set *)target |= (pl_code_set)1 << code;
    }
    return PL_OK;
}

/* --- retries and hedging --- */
static pl_code read_retry(reader *r, const pl_value *value, void *target)
{
    static const member members[] = {
        {"maxAttempts", read_attempts, offsetof(pl_retry_policy, max_attempts)},
        {"initialBackoff", read_positive_duration, offsetof(pl_retry_policy, initial_backoff)},
        {"maxBackoff", read_positive_duration, offsetof(pl_retry_policy, max_backoff)},
        {"backoffMultiplier", read_multiplier, offsetof(pl_retry_policy, multiplier)},
        {"retryableStatusCodes", read_codes, offsetof(pl_retry_policy, codes)},
        {NULL, NULL, 0},
    };
    pl_retry_policy *policy = pl_arena_zalloc(r->arena, sizeof *policy);
    if (!policy)
        return pl_fail_memory(r->err);
    pl_code code = read_map(r, value, members, policy);
    if (code)
        return code;
    const char *lacks = policy->max_attempts == 0      ? "maxAttempts"
                        : policy->initial_backoff == 0 ? "initialBackoff"
                        : policy->max_backoff == 0     ? "maxBackoff"
                        : policy->multiplier == 0      ? "backoffMultiplier"
                                                       : NULL;
    if (lacks)
        return missing(r, lacks);
    if (policy->codes == 0)
        return pl_fail(r->err, PL_INVALID_ARGUMENT, "%s.retryableStatusCodes must name at least one code",
                       r->path);
    *(const pl_retry_policy **)target = policy;
    return PL_OK;
}

static pl_code read_hedging(reader *r, const pl_value *value, void *target)
{
    static const member members[] = {
        {"maxAttempts", read_attempts, offsetof(pl_hedging_policy, max_attempts)},
        {"hedgingDelay", read_duration, offsetof(pl_hedging_policy, delay)},
        {"nonFatalStatusCodes", read_codes, offsetof(pl_hedging_policy, non_fatal)},
        {NULL, NULL, 0},
    };
    pl_hedging_policy *policy = pl_arena_zalloc(r->arena, sizeof *policy);
    if (!policy)
        return pl_fail_memory(r->err);
    pl_code code = read_map(r, value, members, policy);
    if (code)
        return code;
    if (policy->max_attempts == 0)
        return missing(r, "maxAttempts");
    *(const pl_hedging_policy **)target = policy;
    return PL_OK;
}

/* --- methods --- */
typedef struct method_reading {
    pl_method_config config;
    const pl_value *names;
} method_reading;

static pl_code read_names(reader *r, const pl_value *value, void *target)
{
    size_t count;
    *(const pl_value **)target = value;
    return check_list(r, value, &count);
}

static pl_code read_wait_for_ready(reader *r, const pl_value *value, void *target)
{
    pl_method_config *config = target;
    config->has_wait_for_ready = true;
    return read_bool(r, value, &config->wait_for_ready);
}

static pl_code read_timeout(reader *r, const pl_value *value, void *target)
{
    pl_method_config *config = target;
    config->has_timeout = true;
    return read_duration(r, value, &config->timeout);
}

/* name: { service, method }; both may be missing, or the method. */
static pl_code add_name(reader *r, const pl_value *value, pl_method_config *config)
{
    static const member members[] = {
        {"service", read_string, 0}, {"method", read_string, sizeof(pl_str)}, {NULL, NULL, 0}};
    pl_str names[2] = {PL_STR(""), PL_STR("")};
    pl_code code = read_map(r, value, members, names);
    if (code)
        return code;
    if (names[0].len == 0 && names[1].len > 0)
        return missing(r, "service");
    pl_str key = PL_STR("");
    if (names[0].len > 0)
        key = pl_arena_printf(r->arena, "%.*s/%.*s", PL_STR_ARG(names[0]), PL_STR_ARG(names[1]));
    if (!key.ptr)
        return pl_fail_memory(r->err);
    if (pl_map_has(&r->config->methods, key))
        return pl_fail(r->err, PL_INVALID_ARGUMENT, "%s names %s%.*s, which an earlier name has", r->path,
                       key.len ? "" : "all methods", PL_STR_ARG(key));
    return pl_map_set(&r->config->methods, key, config) ? PL_OK : pl_fail_memory(r->err);
}

static pl_code add_names(reader *r, const pl_value *names, pl_method_config *config)
{
    size_t count = names && names->kind == PL_KIND_LIST ? names->list.count : 0;
    for (size_t i = 0; i < count; i++) {
        size_t before = enter(r, ".name[%zu]", i);
        pl_code code = add_name(r, &names->list.items[i], config);
        if (code)
            return code;
        leave(r, before);
    }
    return PL_OK;
}

static pl_code read_method(reader *r, const pl_value *value)
{
    static const member members[] = {
        {"name", read_names, offsetof(method_reading, names)},
        {"waitForReady", read_wait_for_ready, offsetof(method_reading, config)},
        {"timeout", read_timeout, offsetof(method_reading, config)},
        {"maxRequestMessageBytes", read_bytes, offsetof(method_reading, config.max_request)},
        {"maxResponseMessageBytes", read_bytes, offsetof(method_reading, config.max_response)},
        {"retryPolicy", read_retry, offsetof(method_reading, config.retry)},
        {"hedgingPolicy", read_hedging, offsetof(method_reading, config.hedging)},
        {NULL, NULL, 0},
    };
    method_reading *m = pl_arena_zalloc(r->arena, sizeof *m);
    if (!m)
        return pl_fail_memory(r->err);
    m->config.max_request = m->config.max_response = UINT64_MAX;
    pl_code code = read_map(r, value, members, m);
    if (code)
        return code;
    if (m->config.retry && m->config.hedging)
        return pl_fail(r->err, PL_INVALID_ARGUMENT,
                       "%s has retryPolicy and hedgingPolicy: one of them is allowed", r->path);
    return add_names(r, m->names, &m->config);
}

static pl_code read_methods(reader *r, const pl_value *value, void *target)
{
    size_t count;
    if (check_list(r, value, &count) != PL_OK)
        return r->err->code;
    for (size_t i = 0; i < count; i++) {
        size_t before = enter(r, "[%zu]", i);
        pl_code code = read_method(r, &value->list.items[i]);
        if (code)
            return code;
        leave(r, before);
    }
    return PL_OK;
}

/* --- throttling, balancing, health --- */
/* Thousandths: three places after the point count. */
static pl_code read_tokens(reader *r, const pl_value *value, void *target)
{
    double n;
    if (!number_of(value, &n) || !(n > 0 && n <= 1000))
        return wrong(r, value, "a number above 0 and up to 1000");
    *(uint32_t *)target = (uint32_t)(n * 1000 + 0.5);
    return *(uint32_t *)target > 0 ? PL_OK : wrong(r, value, "at least 0.001");
}

static pl_code read_ratio(reader *r, const pl_value *value, void *target)
{
    double n;
    if (!number_of(value, &n) || !(n > 0))
        return wrong(r, value, "a number above 0");
    double thousandths = floor(n < 1000 ? n * 1000 + 0.5 : 1e6);
    *(uint32_t *)target = thousandths < 1 ? 1 : (uint32_t)thousandths;
    return PL_OK;
}

static pl_code read_throttling(reader *r, const pl_value *value, void *target)
{
    static const member members[] = {{"maxTokens", read_tokens, offsetof(pl_service_config, max_tokens)},
                                     {"tokenRatio", read_ratio, offsetof(pl_service_config, token_ratio)},
                                     {NULL, NULL, 0}};
    pl_service_config *config = target;
    pl_code code = read_map(r, value, members, config);
    if (code)
        return code;
    if (config->max_tokens == 0 || config->token_ratio == 0)
        return missing(r, config->max_tokens == 0 ? "maxTokens" : "tokenRatio");
    config->has_throttling = true;
    return PL_OK;
}

static pl_code read_policy_name(reader *r, const pl_value *value, void *target)
{
    pl_service_config *config = target;
    if (value->kind != PL_KIND_STRING)
        return wrong(r, value, "a string");
    if (config->has_balancing) /* loadBalancingConfig goes before */
        return PL_OK;
    config->has_balancing = pl_balancing_policy_named(value->string, &config->balancing.policy);
    return config->has_balancing || !r->strict
               ? PL_OK
               : wrong(r, value, "pick_first, round_robin, least_request or weighted");
}

static pl_code read_choices(reader *r, const pl_value *value, void *target)
{
    double n;
    if (!number_of(value, &n) || !(n >= 2) || n != floor(n))
        return wrong(r, value, "an integer of at least 2");
    *(uint32_t *)target = n > 10 ? 10 : (uint32_t)n;
    return PL_OK;
}

static pl_code read_policy(reader *r, const pl_value *value, pl_balancing *out)
{
    static const member first[] = {{"shuffleAddressList", read_bool, offsetof(pl_balancing, shuffle)},
                                   {NULL, NULL, 0}};
    static const member least[] = {{"choiceCount", read_choices, offsetof(pl_balancing, choices)},
                                   {NULL, NULL, 0}};
    static const member none[] = {{NULL, NULL, 0}};
    return read_map(r, value,
                    out->policy == PL_PICK_FIRST      ? first
                    : out->policy == PL_LEAST_REQUEST ? least
                                                      : none,
                    out);
}

/* A list of maps with one member each; the first that names a policy there is counts. */
static pl_code read_balancing(reader *r, const pl_value *value, void *target)
{
    pl_service_config *config = target;
    size_t count;
    if (check_list(r, value, &count) != PL_OK)
        return r->err->code;
    for (size_t i = 0; i < count; i++) {
        const pl_value *item = &value->list.items[i];
        pl_balancing balancing = {.choices = 2};
        size_t before = enter(r, "[%zu]", i);
        if (item->kind != PL_KIND_MAP || item->map.count != 1)
            return wrong(r, item, "a map with one member, the name of a policy");
        const pl_member *m = &item->map.members[0];
        if (pl_balancing_policy_named(m->name, &balancing.policy)) {
            enter(r, ".%.*s", PL_STR_ARG(m->name));
            pl_code code = read_policy(r, &m->value, &balancing);
            if (code)
                return code;
            leave(r, before);
            config->balancing = balancing;
            config->has_balancing = true;
            return PL_OK;
        }
        leave(r, before);
    }
    if (count == 0)
        return PL_OK;
    return pl_fail(r->err, PL_INVALID_ARGUMENT,
                   "%s names none of pick_first, round_robin, least_request and weighted", r->path);
}

static pl_code read_health(reader *r, const pl_value *value, void *target)
{
    static const member members[] = {
        {"serviceName", read_string, offsetof(pl_service_config, health_service)}, {NULL, NULL, 0}};
    pl_service_config *config = target;
    config->has_health = true;
    pl_code code = read_map(r, value, members, config);
    if (code)
        return code;
    config->health_service = pl_arena_str(r->arena, config->health_service);
    return config->health_service.ptr ? PL_OK : pl_fail_memory(r->err);
}

/* --- all of it --- */
static void dispose_methods(void *data)
{
    pl_map_dispose(data);
}

pl_code pl_service_config_read(pl_arena *arena, const pl_value *value, bool strict,
                               const pl_service_config **out, pl_error *err)
{
    static const member members[] = {
        {"loadBalancingConfig", read_balancing, 0}, {"loadBalancingPolicy", read_policy_name, 0},
        {"methodConfig", read_methods, 0},          {"retryThrottling", read_throttling, 0},
        {"healthCheckConfig", read_health, 0},      {NULL, NULL, 0},
    };
    pl_error ignored = {.code = PL_OK};
    pl_service_config *config = pl_arena_zalloc(arena, sizeof *config);
    reader r = {.arena = arena, .strict = strict, .config = config, .err = err ? err : &ignored};
    if (!config)
        return pl_fail_memory(err);
    config->balancing.choices = 2;
    config->health_service = PL_STR("");
    pl_map_init(&config->methods);
    if (pl_arena_on_dispose(arena, dispose_methods, &config->methods) != 0)
        return pl_fail_memory(err);
    pl_code code = read_map(&r, value, members, config);
    if (code == PL_OK)
        *out = config;
    return code;
}

pl_code pl_service_config_parse(pl_arena *arena, pl_str text, bool strict, const pl_service_config **out,
                                pl_error *err)
{
    const pl_json_limits limits = {.max_bytes = MOST_TEXT, .unique_names = true};
    pl_value value;
    pl_code code = pl_json_read(arena, text, &limits, &value, err);
    return code ? code : pl_service_config_read(arena, &value, strict, out, err);
}
