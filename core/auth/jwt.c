/* SPDX-License-Identifier: MIT */
#include "auth/jwt.h"

#include <math.h>
#include <strings.h>

#include "base/base64url.h"
#include "value/json.h"

#define MOST_TOKEN ((size_t)16 << 10)
#define MOST_HEADER 4096
#define MOST_SIGNATURE 2048 /* base64url; an RSA key of 8192 bits makes 1366 */
#define MOST_KID 1024
#define MOST_DEPTH 16
#define MOST_SECONDS 1e15

const char *pl_jwt_verdict_name(pl_jwt_verdict verdict)
{
    static const char *const names[] = {"good",   "malformed", "algorithm", "unknown key", "signature",
                                        "claims", "early",     "expired",   "memory"};
    return names[verdict];
}

typedef struct checking {
    pl_arena *arena;
    const pl_jwt_rules *rules;
    pl_jwt *out;
    pl_str signed_part, header, payload, signature; /* of the token */
    pl_jwa algorithm;
    pl_str kid;
} checking;

static pl_jwt_verdict refuse(checking *c, pl_jwt_verdict verdict, const char *why)
{
    c->out->why = why;
    return verdict;
}

static pl_jwt_verdict no_memory(checking *c)
{
    return refuse(c, PL_JWT_MEMORY, "out of memory");
}

/* --- parts --- */
/* header.payload.signature, and nothing else: five parts would be an encrypted token. */
static bool split(checking *c, pl_str token)
{
    const char *end = token.ptr + token.len;
    const char *first = token.len ? memchr(token.ptr, '.', token.len) : NULL;
    const char *second = first ? memchr(first + 1, '.', (size_t)(end - first - 1)) : NULL;
    if (!second || memchr(second + 1, '.', (size_t)(end - second - 1)))
        return false;
    c->header = (pl_str){token.ptr, (size_t)(first - token.ptr)};
    c->payload = (pl_str){first + 1, (size_t)(second - first - 1)};
    c->signature = (pl_str){second + 1, (size_t)(end - second - 1)};
    c->signed_part = (pl_str){token.ptr, (size_t)(second - token.ptr)};
    return c->header.len > 0 && c->payload.len > 0;
}

static pl_jwt_verdict decode(checking *c, pl_str part, pl_str *out)
{
    char *bytes = pl_arena_alloc(c->arena, pl_base64url_room(part));
    if (!bytes)
        return no_memory(c);
    *out = (pl_str){bytes, 0};
    if (!pl_base64url_read(part, bytes, &out->len))
        return refuse(c, PL_JWT_MALFORMED, "a part is not base64url");
    return PL_JWT_GOOD;
}

static pl_jwt_verdict decode_map(checking *c, pl_str part, pl_str *json, pl_value *out, const char *otherwise)
{
    static const pl_json_limits limits = {.max_depth = MOST_DEPTH, .unique_names = true};
    pl_error err;
    pl_jwt_verdict verdict = decode(c, part, json);
    if (verdict)
        return verdict;
    pl_code code = pl_json_read(c->arena, *json, &limits, out, &err);
    if (code == PL_RESOURCE_EXHAUSTED && strcmp(err.message, "out of memory") == 0)
        return no_memory(c);
    if (code || out->kind != PL_KIND_MAP)
        return refuse(c, PL_JWT_MALFORMED, otherwise);
    return PL_JWT_GOOD;
}

/* --- the header --- */
/* "application/" may be left out, and case does not count (RFC 7515, section 4.1.9). */
static bool is_type(const pl_value *typ, pl_str expected)
{
    static const pl_str prefix = PL_STR("application/");
    if (!typ || typ->kind != PL_KIND_STRING)
        return false;
    pl_str s = typ->string;
    if (s.len > prefix.len && strncasecmp(s.ptr, prefix.ptr, prefix.len) == 0)
        s = (pl_str){s.ptr + prefix.len, s.len - prefix.len};
    return s.len == expected.len && strncasecmp(s.ptr, expected.ptr, s.len) == 0;
}

static pl_jwt_verdict read_header(checking *c)
{
    pl_value header;
    pl_str json;
    if (c->header.len > MOST_HEADER)
        return refuse(c, PL_JWT_MALFORMED, "the header is too long");
    pl_jwt_verdict verdict = decode_map(c, c->header, &json, &header, "the header is no JSON object");
    if (verdict)
        return verdict;
    const pl_value *alg = pl_value_member(&header, PL_STR("alg"));
    const pl_value *kid = pl_value_member(&header, PL_STR("kid"));
    if (!alg || alg->kind != PL_KIND_STRING)
        return refuse(c, PL_JWT_MALFORMED, "the header has no algorithm");
    if (!pl_jwa_named(alg->string, &c->algorithm) || !(c->rules->algorithms >> c->algorithm & 1))
        return refuse(c, PL_JWT_ALGORITHM, "its algorithm is not one of those that are allowed");
    /* Extensions that must be understood: there are none that are. */
    if (pl_value_member(&header, PL_STR("crit")))
        return refuse(c, PL_JWT_MALFORMED, "the header has extensions that must be understood (crit)");
    if (c->rules->type.ptr && !is_type(pl_value_member(&header, PL_STR("typ")), c->rules->type))
        return refuse(c, PL_JWT_CLAIMS, "it is a token of another type");
    if (kid && (kid->kind != PL_KIND_STRING || kid->string.len > MOST_KID))
        return refuse(c, PL_JWT_MALFORMED, "the id of the key is no string, or too long");
    c->kid = kid ? kid->string : PL_STR_NONE;
    return PL_JWT_GOOD;
}

static pl_jwt_verdict check_signature(checking *c, const pl_jwk_set *keys)
{
    pl_str signature;
    if (c->signature.len > MOST_SIGNATURE)
        return refuse(c, PL_JWT_MALFORMED, "the signature is too long");
    pl_jwt_verdict verdict = decode(c, c->signature, &signature);
    if (verdict)
        return verdict;
    switch (pl_jwk_set_check(keys, c->algorithm, c->kid, c->signed_part, signature)) {
    case PL_JWS_RIGHT:
        return PL_JWT_GOOD;
    case PL_JWS_NO_KEY:
        return refuse(c, PL_JWT_NO_KEY, "no key has its id and fits its algorithm");
    default:
        return refuse(c, PL_JWT_SIGNATURE, "the signature is wrong");
    }
}

/* --- claims --- */
static const pl_value *claim(const checking *c, const char *name)
{
    return pl_value_member(&c->out->claims, pl_str_of(name));
}

static bool is_one_of(const pl_value *v, const pl_str *allowed, size_t count)
{
    if (v->kind != PL_KIND_STRING)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (pl_str_eq(v->string, allowed[i]))
            return true;
    }
    return false;
}

static pl_jwt_verdict check_issuer(checking *c)
{
    const pl_value *iss = claim(c, "iss");
    if (c->rules->issuer_count == 0)
        return PL_JWT_GOOD;
    if (!iss || !is_one_of(iss, c->rules->issuers, c->rules->issuer_count))
        return refuse(c, PL_JWT_CLAIMS, "it has another issuer");
    return PL_JWT_GOOD;
}

/* A token that names who it is for is for nobody else (RFC 7519, section 4.1.3). */
static pl_jwt_verdict check_audience(checking *c)
{
    const pl_jwt_rules *rules = c->rules;
    const pl_value *aud = claim(c, "aud");
    if (rules->any_audience)
        return PL_JWT_GOOD;
    if (rules->audience_count == 0)
        return aud ? refuse(c, PL_JWT_CLAIMS, "it has an audience, and the rules have none") : PL_JWT_GOOD;
    if (aud && is_one_of(aud, rules->audiences, rules->audience_count))
        return PL_JWT_GOOD;
    for (size_t i = 0; aud && aud->kind == PL_KIND_LIST && i < aud->list.count; i++) {
        if (is_one_of(&aud->list.items[i], rules->audiences, rules->audience_count))
            return PL_JWT_GOOD;
    }
    return refuse(c, PL_JWT_CLAIMS, "it is for another audience");
}

/* False: it is there, and is no time. */
static bool read_time(const checking *c, const char *name, double missing, double *out)
{
    const pl_value *v = claim(c, name);
    *out = missing;
    if (!v)
        return true;
    if (v->kind == PL_KIND_INT)
        *out = (double)v->integer;
    else if (v->kind == PL_KIND_FLOAT)
        *out = v->number;
    else
        return false;
    return fabs(*out) <= MOST_SECONDS;
}

static pl_jwt_verdict read_times(checking *c)
{
    const pl_jwt_rules *rules = c->rules;
    double begins, ends, issued;
    if (!read_time(c, "exp", INFINITY, &ends) || !read_time(c, "nbf", -INFINITY, &begins) ||
        !read_time(c, "iat", NAN, &issued))
        return refuse(c, PL_JWT_CLAIMS, "one of exp, nbf and iat is no time");
    if (rules->max_age > 0) {
        if (isnan(issued))
            return refuse(c, PL_JWT_CLAIMS, "it does not say when it was issued (iat)");
        ends = fmin(ends, issued + rules->max_age);
        begins = fmax(begins, issued); /* from the future: its age says nothing */
    }
    c->out->times = (pl_jwt_times){begins - rules->leeway, ends + rules->leeway};
    return PL_JWT_GOOD;
}

static pl_jwt_verdict check_claims(checking *c)
{
    const pl_jwt_rules *rules = c->rules;
    pl_jwt_verdict verdict =
        decode_map(c, c->payload, &c->out->claims_json, &c->out->claims, "the claims are no JSON object");
    if (verdict)
        return verdict;
    for (size_t i = 0; i < rules->required_count; i++) {
        const pl_value *v = pl_value_member(&c->out->claims, rules->required[i]);
        if (!v || v->kind == PL_KIND_NULL)
            return refuse(c, PL_JWT_CLAIMS, "it lacks a claim that is required");
    }
    verdict = check_issuer(c);
    if (verdict == PL_JWT_GOOD)
        verdict = check_audience(c);
    return verdict == PL_JWT_GOOD ? read_times(c) : verdict;
}

pl_jwt_verdict pl_jwt_check_times(const pl_jwt_times *times, double now)
{
    if (!(now < times->ends))
        return PL_JWT_EXPIRED;
    return now >= times->begins ? PL_JWT_GOOD : PL_JWT_EARLY;
}

pl_jwt_verdict pl_jwt_check(pl_arena *arena, pl_str token, const pl_jwt_rules *rules, const pl_jwk_set *keys,
                            double now, pl_jwt *out)
{
    checking c = {.arena = arena, .rules = rules, .out = out};
    *out = (pl_jwt){.why = ""};
    if (token.len > (rules->max_size ? rules->max_size : MOST_TOKEN))
        return refuse(&c, PL_JWT_MALFORMED, "it is too long");
    if (!split(&c, token))
        return refuse(&c, PL_JWT_MALFORMED, "it has not three parts");
    pl_jwt_verdict verdict = read_header(&c);
    if (verdict == PL_JWT_GOOD)
        verdict = check_signature(&c, keys);
    if (verdict == PL_JWT_GOOD)
        verdict = check_claims(&c);
    if (verdict)
        return verdict;
    verdict = pl_jwt_check_times(&out->times, now);
    if (verdict)
        out->why = verdict == PL_JWT_EARLY ? "it is not valid yet" : "it has expired";
    return verdict;
}
