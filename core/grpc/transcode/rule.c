/* SPDX-License-Identifier: MIT */
#include "grpc/transcode/rule.h"

#include "grpc/service.h"

#define HTTP_OPTION 72295728 /* google.api.http in MethodOptions */
#define MOST_BINDINGS 64

/* Fields of HttpRule. */
enum {
    GET = 2,
    PUT = 3,
    POST = 4,
    DELETE = 5,
    PATCH = 6,
    BODY = 7,
    CUSTOM = 8,
    ADDITIONAL = 11,
    RESPONSE = 12
};

static size_t count_bindings(pl_str rule)
{
    pb_reader reader = pb_reader_of(rule);
    pb_record record;
    const char *wrong = NULL;
    size_t count = 1;
    while (pb_next_record(&reader, &record, &wrong))
        count += record.number == ADDITIONAL;
    return count;
}

bool pl_http_is_textual(const pb_field *f)
{
    if (!f->message)
        return true;
    return f->message->special == PB_TIMESTAMP || f->message->special == PB_DURATION ||
           f->message->special == PB_FIELD_MASK || f->message->special == PB_WRAPPER;
}

/* --- fields --- */
static const pb_field *step(const pb_message *message, pl_str name, bool last, bool repeated, pl_error *err)
{
    const pb_field *f = message ? pb_message_field_named(message, name) : NULL;
    if (!f) {
        pl_fail(err, PL_INVALID_ARGUMENT, "%.*s has no field \"%.*s\"",
                message ? (int)message->full_name.len : 9, message ? message->full_name.ptr : "a scalar",
                name.len > 100 ? 100 : (int)name.len, name.ptr);
        return NULL;
    }
    const char *wrong = f->is_map                        ? "is a map"
                        : f->repeated && !last           ? "is repeated"
                        : f->repeated && !repeated       ? "is repeated"
                        : last && !pl_http_is_textual(f) ? "is a message"
                                                         : NULL;
    if (!wrong)
        return f;
    pl_fail(err, PL_INVALID_ARGUMENT, "the field \"%.*s\" of %.*s %s: it cannot be given as text",
            PL_STR_ARG(f->name), PL_STR_ARG(message->full_name), wrong);
    return NULL;
}

const pb_field *const *pl_http_field_path(const pb_message *message, pl_str path, bool repeated,
                                          pl_arena *arena, size_t *depth, pl_error *err)
{
    const pb_field *fields[PL_HTTP_MOST_VARIABLES];
    size_t n = 0;
    for (;;) {
        const char *dot = path.len > 0 ? memchr(path.ptr, '.', path.len) : NULL;
        pl_str name = {path.ptr, dot ? (size_t)(dot - path.ptr) : path.len};
        if (n == PL_HTTP_MOST_VARIABLES) {
            pl_fail(err, PL_INVALID_ARGUMENT, "the path of a field is too deep");
            return NULL;
        }
        if (!(fields[n] = step(message, name, !dot, repeated, err)))
            return NULL;
        message = fields[n++]->message;
        if (!dot)
            break;
        path = (pl_str){dot + 1, path.len - name.len - 1};
    }
    const pb_field **own = pl_arena_array(arena, n, sizeof *own);
    if (!own) {
        pl_fail_memory(err);
        return NULL;
    }
    memcpy(own, fields, n * sizeof *own);
    *depth = n;
    return own;
}

/* --- one rule --- */
typedef struct reading {
    const pl_grpc_method *method;
    pl_arena *arena;
    pl_http_rules *out;
    pl_error *err;
} reading;

static pl_code check(reading *r, pl_http_route *route, pl_str body, pl_str response)
{
    const pb_method *m = route->descriptor;
    for (size_t i = 0; i < route->path.variable_count; i++) {
        pl_http_variable *v = &route->path.variables[i];
        v->fields = pl_http_field_path(m->input, v->path, false, r->arena, &v->depth, r->err);
        if (!v->fields)
            return r->err->code;
        for (size_t k = 0; k < i; k++) {
            if (pl_str_eq(route->path.variables[k].path, v->path))
                return pl_fail(r->err, PL_INVALID_ARGUMENT, "the path %.*s has the variable {%.*s} twice",
                               PL_STR_ARG(route->text), PL_STR_ARG(v->path));
        }
    }
    route->body_is_all = pl_str_is(body, "*");
    if (body.len > 0 && !route->body_is_all && !(route->body = pb_message_field_named(m->input, body)))
        return pl_fail(r->err, PL_INVALID_ARGUMENT, "body: %.*s has no field \"%.*s\"",
                       PL_STR_ARG(m->input->full_name), PL_STR_ARG(body));
    if (response.len > 0 && !(route->response = pb_message_field_named(m->output, response)))
        return pl_fail(r->err, PL_INVALID_ARGUMENT, "response_body: %.*s has no field \"%.*s\"",
                       PL_STR_ARG(m->output->full_name), PL_STR_ARG(response));
    return PL_OK;
}

/* kind and path of a CustomHttpPattern. */
static void read_custom(pl_str bytes, pl_http_route *route)
{
    route->verb = PL_STR("*");
    pb_find_bytes(bytes, 1, &route->verb);
    pb_find_bytes(bytes, 2, &route->text);
}

static pl_code read_rule(reading *r, pl_str rule, bool nested)
{
    static const struct {
        uint32_t number;
        const char *verb;
    } verbs[] = {{GET, "GET"}, {PUT, "PUT"}, {POST, "POST"}, {DELETE, "DELETE"}, {PATCH, "PATCH"}};
    pb_reader reader = pb_reader_of(rule);
    pb_record record;
    const char *wrong = NULL;
    pl_str body = PL_STR(""), response = PL_STR("");
    pl_http_route *route = &r->out->routes[r->out->count++];
    *route = (pl_http_route){.method = r->method, .descriptor = r->method->descriptor};
    while (pb_next_record(&reader, &record, &wrong)) {
        for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
            if (record.number == verbs[i].number) {
                route->verb = pl_str_of(verbs[i].verb);
                route->text = record.bytes;
            }
        }
        if (record.number == CUSTOM)
            read_custom(record.bytes, route);
        else if (record.number == BODY)
            body = record.bytes;
        else if (record.number == RESPONSE)
            response = record.bytes;
        else if (record.number == ADDITIONAL && nested)
            return pl_fail(r->err, PL_INVALID_ARGUMENT, "additional_bindings have none of their own");
    }
    if (wrong || route->text.len == 0)
        return pl_fail(r->err, PL_INVALID_ARGUMENT,
                       "the rule has no path: get, put, post, delete, patch or custom");
    pl_code code = pl_http_template_parse(route->text, r->arena, &route->path, r->err);
    return code == PL_OK ? check(r, route, body, response) : code;
}

pl_code pl_http_rules_read(const pl_grpc_method *method, pl_arena *arena, pl_http_rules *out, pl_error *err)
{
    pl_str rule;
    *out = (pl_http_rules){0};
    if (!method->descriptor || !pb_find_bytes(method->descriptor->options, HTTP_OPTION, &rule))
        return PL_OK;
    if (method->client_streaming)
        return pl_fail(err, PL_INVALID_ARGUMENT,
                       "a method with a stream of requests cannot be called as plain HTTP");
    size_t count = count_bindings(rule);
    if (count > MOST_BINDINGS)
        return pl_fail(err, PL_INVALID_ARGUMENT, "there are more than %d bindings", MOST_BINDINGS);
    out->routes = pl_arena_array(arena, count, sizeof *out->routes);
    if (!out->routes)
        return pl_fail_memory(err);
    reading r = {.method = method, .arena = arena, .out = out, .err = err};
    pl_code code = read_rule(&r, rule, false);
    pb_reader reader = pb_reader_of(rule);
    pb_record record;
    const char *wrong = NULL;
    while (code == PL_OK && pb_next_record(&reader, &record, &wrong)) {
        if (record.number == ADDITIONAL && record.wire == PB_WIRE_LEN)
            code = read_rule(&r, record.bytes, true);
    }
    return code;
}
