/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "grpc/connect.h"
#include "grpc/service.h"
#include "grpc/transcode/routes.h"
#include "proto/wire.h"

/* Lines of path templates, the last of which is a request's path: what is accepted as a template has its
 * promises kept, and values of variables lie in the path. The same for the query of a GET of Connect's. */

#define MOST 16

static void must(bool condition)
{
    if (!condition)
        abort();
}

static const pb_message *message(void)
{
    static pb_pool *pool;
    pl_error err;
    if (!pool)
        must(pb_pool_new(NULL, 0, &pool, &err) == PL_OK);
    return pb_pool_message(pool, PL_STR("google.protobuf.Type"));
}

/* MethodOptions with { get: text, body: "*" }. */
static void write_options(pl_buf *out, pl_str text)
{
    pl_buf rule = {0};
    uint8_t length[10];
    pl_buf_char(&rule, 2 << 3 | PB_WIRE_LEN);
    pl_buf_append(&rule, length, pb_put_varint(length, text.len));
    pl_buf_str(&rule, text);
    PL_BUF_LIT(&rule, "\x3a\x01*");
    pl_buf_append(out, "\x82\xd3\xe4\x93\x02", 5);
    pl_buf_append(out, length, pb_put_varint(length, rule.len));
    pl_buf_str(out, pl_buf_view(&rule));
    pl_buf_dispose(&rule);
}

static void check_match(const pl_http_routes *routes, pl_str path)
{
    static const char *const verbs[] = {"GET", "HEAD", "POST"};
    pl_http_match match;
    for (size_t i = 0; i < 3; i++) {
        if (!pl_http_routes_match(routes, pl_str_of(verbs[i]), path, &match))
            continue;
        must((match.route != NULL) == (i < 2));
        must(match.route || strcmp(match.allowed, "GET") == 0);
        for (size_t k = 0; match.route && k < match.route->path.variable_count; k++) {
            const pl_str *v = &match.values[k];
            must(v->ptr >= path.ptr && v->ptr + v->len <= path.ptr + path.len);
            must(match.route->path.variables[k].several || !memchr(v->ptr, '/', v->len));
        }
    }
}

static void check_query(pl_str path)
{
    pl_grpc_stream stream = {.path = path};
    pl_grpc_connect_get get;
    pl_arena_init(&stream.arena, 0);
    if (pl_grpc_connect_get_read(&stream, &get))
        must(get.message.ptr && get.encoding.ptr && !get.wrong);
    else
        must(get.wrong != NULL);
    pl_arena_dispose(&stream.arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pl_str rest = {(const char *)data, size};
    pl_http_routes *routes = pl_http_routes_new();
    pb_method descriptors[MOST] = {0};
    pl_grpc_method methods[MOST] = {0};
    pl_buf options[MOST] = {0};
    pl_error err;
    must(routes != NULL);
    for (size_t i = 0; i < MOST && rest.len > 0; i++) {
        const char *end = memchr(rest.ptr, '\n', rest.len);
        if (!end)
            break;
        write_options(&options[i], (pl_str){rest.ptr, (size_t)(end - rest.ptr)});
        descriptors[i] = (pb_method){.full_name = PL_STR("t.S.M"),
                                     .options = pl_buf_view(&options[i]),
                                     .input = message(),
                                     .output = message()};
        methods[i].descriptor = &descriptors[i];
        if (pl_http_routes_add(routes, &methods[i], &err) != PL_OK)
            must(err.message[0] != '\0');
        rest = (pl_str){end + 1, rest.len - (size_t)(end + 1 - rest.ptr)};
    }
    check_match(routes, rest);
    check_query(rest);
    pl_http_routes_free(routes);
    for (size_t i = 0; i < MOST; i++)
        pl_buf_dispose(&options[i]);
    return 0;
}
