/* SPDX-License-Identifier: MIT */
#include "grpc/reflection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "grpc/native_protobuf.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "support/failing.h"
#include "support/native_fixture.h"

pl_str test_protos(void);
pl_str pl_own_protos(void);

typedef Grpc__Reflection__V1__ServerReflectionRequest request_message;
typedef Grpc__Reflection__V1__ServerReflectionResponse response_message;

typedef struct world {
    pb_pool *own, *live;
    pl_grpc_reflection reflection;
    pl_arena arena;
} world;

static size_t pools(void *data, const pb_pool *out[PL_GRPC_REFLECTION_POOLS])
{
    const world *w = data;
    size_t n = 0;
    if (w->live)
        out[n++] = w->live;
    out[n++] = w->own;
    return n;
}

static void each(void *data, bool (*add)(void *arg, pl_str service), void *arg)
{
    (void)data;
    (void)(add(arg, PL_STR("test.v1.Users")) && add(arg, PL_STR("bytes.Alone")) &&
           add(arg, PL_STR("grpc.health.v1.Health")));
}

static pb_pool *pool_of(pl_str bytes)
{
    pl_error err;
    pb_pool *pool;
    pb_source source = {"tests.binpb", bytes};
    if (pb_pool_new(&source, 1, &pool, &err))
        fail_msg("%s", err.message);
    return pool;
}

static void set_up(world *w)
{
    *w = (world){.own = pool_of(pl_own_protos()), .live = pool_of(test_protos())};
    w->reflection = (pl_grpc_reflection){.pools = pools, .each = each, .data = w};
    pl_arena_init(&w->arena, 0);
}

static void tear_down(world *w)
{
    pl_arena_dispose(&w->arena);
    pb_pool_free(w->own);
    pb_pool_free(w->live);
}

static pl_str pack(world *w, const request_message *request)
{
    pl_buf buf;
    pl_buf_init(&buf);
    assert_true(pl_grpc_pack(&request->base, &buf));
    pl_str copy = pl_arena_str(&w->arena, pl_buf_view(&buf));
    pl_buf_dispose(&buf);
    return copy;
}

static const response_message *ask(world *w, const request_message *request)
{
    pl_buf out;
    pl_error err;
    pl_buf_init(&out);
    assert_int_equal(pl_grpc_reflection_answer(&w->reflection, pack(w, request), &out, &err), PL_OK);
    const response_message *response = pl_grpc_unpack(
        &grpc__reflection__v1__server_reflection_response__descriptor, pl_buf_view(&out), &w->arena, &err);
    assert_non_null(response);
    pl_buf_dispose(&out);
    return response;
}

static request_message request_of(Grpc__Reflection__V1__ServerReflectionRequest__MessageRequestCase what,
                                  const char *text)
{
    request_message r = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    r.message_request_case = what;
    r.file_by_filename = (char *)(uintptr_t)text; /* a union */
    return r;
}
#define CASE(name) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##name

/* The names of the files, separated by spaces; or "!CODE". */
static const char *files(world *w, const request_message *request)
{
    static char text[2000];
    const response_message *r = ask(w, request);
    text[0] = '\0';
    if (r->message_response_case ==
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE) {
        snprintf(text, sizeof text, "!%d", r->error_response->error_code);
        return text;
    }
    for (size_t i = 0; i < r->file_descriptor_response->n_file_descriptor_proto; i++) {
        ProtobufCBinaryData file = r->file_descriptor_response->file_descriptor_proto[i];
        pl_str name = PL_STR("?");
        pb_find_bytes((pl_str){(const char *)file.data, file.len}, 1, &name);
        size_t n = strlen(text);
        snprintf(text + n, sizeof text - n, "%s%.*s", n ? " " : "", PL_STR_ARG(name));
    }
    return text;
}

static const char *by_name(world *w, const char *name)
{
    request_message r = request_of(CASE(FILE_BY_FILENAME), name);
    return files(w, &r);
}

static const char *by_symbol(world *w, const char *name)
{
    request_message r = request_of(CASE(FILE_CONTAINING_SYMBOL), name);
    return files(w, &r);
}

static void test_files(void **state)
{
    world w;
    set_up(&w);
    assert_string_equal(by_name(&w, "google/protobuf/empty.proto"), "google/protobuf/empty.proto");
    assert_string_equal(by_name(&w, "grpc/health/v1/health.proto"), "grpc/health/v1/health.proto");
    assert_string_equal(by_name(&w, "grpc/health/v1/health"), "!5");
    assert_string_equal(by_name(&w, ""), "!5");
    const char *all = by_name(&w, "everything.proto");
    assert_true(strncmp(all, "everything.proto google/protobuf/any.proto ", 43) == 0);
    assert_non_null(strstr(all, "google/protobuf/descriptor.proto"));
    tear_down(&w);
}

static void test_symbols(void **state)
{
    world w;
    set_up(&w);
    static const char *const own[] = {"grpc.health.v1.Health",
                                      "grpc.health.v1.Health.Check",
                                      "grpc.health.v1.HealthCheckResponse",
                                      "grpc.health.v1.HealthCheckResponse.ServingStatus",
                                      "grpc.health.v1.HealthCheckResponse.SERVING",
                                      "grpc.health.v1.HealthCheckRequest.service",
                                      "grpc.health.v1.HealthListResponse.StatusesEntry"};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        assert_string_equal(by_symbol(&w, own[i]), "grpc/health/v1/health.proto");
    static const char *const none[] = {"",
                                       ".",
                                       "grpc.health.v1",
                                       "grpc.health.v1.HealthCheckRequest.Service",
                                       "grpc.health.v1.Health.check",
                                       "Health"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_string_equal(by_symbol(&w, none[i]), "!5");
    assert_string_equal(by_symbol(&w, "grpc.reflection.v1.ServerReflectionRequest.message_request"),
                        "grpc/reflection/v1/reflection.proto");
    pb_pool_free(w.live);
    w.live = NULL;
    assert_string_equal(by_symbol(&w, "test.v1.Users"), "!5");
    tear_down(&w);
}

static const char *by_extension(world *w, const char *type, int32_t number)
{
    Grpc__Reflection__V1__ExtensionRequest extension = GRPC__REFLECTION__V1__EXTENSION_REQUEST__INIT;
    request_message r = request_of(CASE(FILE_CONTAINING_EXTENSION), NULL);
    extension.containing_type = (char *)(uintptr_t)type;
    extension.extension_number = number;
    r.file_containing_extension = &extension;
    return files(w, &r);
}

static void test_extensions(void **state)
{
    world w;
    set_up(&w);
    const pb_message *options = pb_pool_message(w.live, PL_STR("google.protobuf.MethodOptions"));
    assert_true(options->extension_count > 0);
    request_message r = request_of(CASE(ALL_EXTENSION_NUMBERS_OF_TYPE), "google.protobuf.MethodOptions");
    const Grpc__Reflection__V1__ExtensionNumberResponse *numbers =
        ask(&w, &r)->all_extension_numbers_response;
    assert_string_equal(numbers->base_type_name, "google.protobuf.MethodOptions");
    assert_int_equal(numbers->n_extension_number, options->extension_count);
    for (size_t i = 0; i < options->extension_count; i++) {
        assert_int_equal(numbers->extension_number[i], options->extensions[i]->number);
        pl_str file = options->extensions[i]->file->name;
        const char *found = by_extension(&w, "google.protobuf.MethodOptions", numbers->extension_number[i]);
        assert_true(strncmp(found, file.ptr, file.len) == 0 && found[file.len] == ' ');
    }
    assert_string_equal(by_extension(&w, "google.protobuf.MethodOptions", 3), "!5");
    assert_string_equal(by_extension(&w, "google.protobuf.MethodOptions", -1), "!5");
    assert_string_equal(by_extension(&w, "no.Such", 3), "!5");
    r = request_of(CASE(ALL_EXTENSION_NUMBERS_OF_TYPE), "grpc.health.v1.HealthCheckRequest");
    assert_int_equal(ask(&w, &r)->all_extension_numbers_response->n_extension_number, 0);
    r = request_of(CASE(ALL_EXTENSION_NUMBERS_OF_TYPE), "grpc.health.v1.Health");
    assert_string_equal(files(&w, &r), "!5");
    tear_down(&w);
}

static void test_list(void **state)
{
    world w;
    set_up(&w);
    request_message r = request_of(CASE(LIST_SERVICES), "");
    r.host = (char *)(uintptr_t) "here";
    const response_message *response = ask(&w, &r);
    const Grpc__Reflection__V1__ListServiceResponse *list = response->list_services_response;
    assert_int_equal(list->n_service, 2); /* those with descriptors, by name */
    assert_string_equal(list->service[0]->name, "grpc.health.v1.Health");
    assert_string_equal(list->service[1]->name, "test.v1.Users");
    assert_string_equal(response->valid_host, "here");
    assert_string_equal(response->original_request->host, "here");
    r = (request_message)GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
    assert_string_equal(files(&w, &r), "!3");
    tear_down(&w);
}

static void test_stream(void **state)
{
    world w;
    nf f;
    set_up(&w);
    nf_open(&f);
    assert_int_equal(pl_grpc_reflection_add(f.service, &w.reflection), PL_OK);
    static const char *const paths[] = {"/" PL_GRPC_REFLECTION "/ServerReflectionInfo",
                                        "/" PL_GRPC_REFLECTION_ALPHA "/ServerReflectionInfo"};
    request_message r = request_of(CASE(FILE_BY_FILENAME), "everything.proto");
    for (size_t i = 0; i < 2; i++) {
        nf_call *call = nf_begin(&f, paths[i]);
        nf_send(call, pack(&w, &r), false);
        assert_int_equal(nf_count(call), 1);
        nf_send(call, pack(&w, &r), false);
        assert_true(pl_str_eq(nf_message(call, 0), nf_message(call, 1)));
        call->stuck = true; /* what is answered is bounded by what is read */
        for (int k = 0; k < 50; k++)
            nf_send(call, pack(&w, &r), k == 49);
        assert_true(pl_grpc_stream_unsent(&call->stream) < PL_GRPC_UNSENT + nf_message(call, 0).len + 10);
        call->stuck = false;
        while (call->stream.waits)
            nf_take(call);
        assert_int_equal(nf_count(call), 52);
        assert_int_equal(call->code, PL_OK);
        nf_end(call);
        call = nf_begin(&f, paths[i]);
        nf_send(call, PL_STR("\xff"), false);
        assert_int_equal(call->code, PL_INTERNAL);
        nf_end(call);
    }
    nf_close(&f);
    tear_down(&w);
}

static void test_no_memory(void **state)
{
    const request_message requests[] = {request_of(CASE(FILE_BY_FILENAME), "everything.proto"),
                                        request_of(CASE(FILE_BY_FILENAME), "none"),
                                        request_of(CASE(LIST_SERVICES), ""),
                                        request_of(CASE(ALL_EXTENSION_NUMBERS_OF_TYPE), "test.v1.Users")};
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        failing a = {0};
        while (failing_next(&a)) {
            world w;
            pl_buf out;
            pl_error err;
            set_up(&w);
            pl_buf_init(&out);
            pl_str bytes = pack(&w, &requests[i]);
            failing_begin(&a);
            pl_code code = pl_grpc_reflection_answer(&w.reflection, bytes, &out, &err);
            assert_int_equal(code, failing_end(&a) ? PL_RESOURCE_EXHAUSTED : PL_OK);
            pl_buf_dispose(&out);
            tear_down(&w);
        }
        assert_true(a.made >= 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_files),      cmocka_unit_test(test_symbols),
                                       cmocka_unit_test(test_extensions), cmocka_unit_test(test_list),
                                       cmocka_unit_test(test_stream),     cmocka_unit_test(test_no_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
