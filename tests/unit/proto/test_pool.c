/* SPDX-License-Identifier: MIT */
#include "base/buf.h"
#include <math.h>

#include "support/failing.h"
#include "support/proto_fixture.h"

/* --- sets that no compiler of today would write --- */
static void put_int(pl_buf *out, uint32_t number, uint64_t v)
{
    uint8_t bytes[20];
    size_t n = pb_put_varint(bytes, number << 3);
    n += pb_put_varint(bytes + n, v);
    pl_buf_append(out, bytes, n);
}

static void put_bytes(pl_buf *out, uint32_t number, const void *bytes, size_t len)
{
    uint8_t head[20];
    size_t n = pb_put_varint(head, number << 3 | PB_WIRE_LEN);
    n += pb_put_varint(head + n, len);
    pl_buf_append(out, head, n);
    pl_buf_append(out, bytes, len);
}

static void put_text(pl_buf *out, uint32_t number, const char *text)
{
    put_bytes(out, number, text, strlen(text));
}

/* Moves what is in part into out, as one field. */
static void put_part(pl_buf *out, uint32_t number, pl_buf *part)
{
    put_bytes(out, number, part->data, part->len);
    pl_buf_dispose(part);
}

/* Options with one feature. */
static void put_feature(pl_buf *out, uint32_t options, uint32_t features, uint32_t feature, uint64_t v)
{
    pl_buf set = {0}, bytes = {0};
    put_int(&set, feature, v);
    put_part(&bytes, features, &set);
    put_part(out, options, &bytes);
}

typedef struct made_field {
    const char *name, *type_name;
    uint32_t number, label, type, feature;
    uint64_t v;
} made_field;

static void put_field(pl_buf *message, const made_field *field)
{
    pl_buf f = {0};
    put_text(&f, 1, field->name);
    put_int(&f, 3, field->number);
    put_int(&f, 4, field->label);
    put_int(&f, 5, field->type);
    if (field->type_name)
        put_text(&f, 6, field->type_name);
    if (field->feature)
        put_feature(&f, 8, 21, field->feature, field->v);
    put_part(message, 2, &f);
}

/* A set of one file in edition 2023, with a message M of these fields. */
static void make_set(pl_buf *set, const made_field *fields, size_t count, uint32_t file_feature, uint64_t v)
{
    pl_buf file = {0}, message = {0};
    put_text(&file, 1, "made.proto");
    put_text(&file, 2, "made");
    put_text(&file, 12, "editions");
    put_int(&file, 14, PB_2023);
    if (file_feature)
        put_feature(&file, 8, 50, file_feature, v);
    put_text(&message, 1, "M");
    for (size_t i = 0; i < count; i++)
        put_field(&message, &fields[i]);
    put_part(&file, 4, &message);
    put_part(set, 1, &file);
}

static pb_pool *made(const made_field *fields, size_t count, uint32_t file_feature, uint64_t v)
{
    pl_buf set = {0};
    pb_pool *pool;
    pl_error err;
    make_set(&set, fields, count, file_feature, v);
    pb_source source = {"made.binpb", pl_buf_view(&set)};
    if (pb_pool_new(&source, 1, &pool, &err))
        fail_msg("%s: %s", err.file, err.message);
    pl_buf_dispose(&set);
    return pool;
}

static const pb_field *field_of(const pb_pool *pool, const char *message, const char *name)
{
    const pb_field *f = pb_message_field_named(pb_pool_message(pool, pl_str_of(message)), pl_str_of(name));
    assert_non_null(f);
    return f;
}

static void features(void **state)
{
    static const made_field fields[] = {
        {"plain", NULL, 1, 1, PB_INT32, 0, 0},
        {"implicit", NULL, 2, 1, PB_INT32, 1, 2},
        {"needed", NULL, 3, 1, PB_INT32, 1, 3},
        {"list", NULL, 4, 3, PB_INT32, 0, 0},
        {"expanded", NULL, 5, 3, PB_INT32, 3, 2},
        {"text", NULL, 6, 1, PB_STRING, 0, 0},
        {"any_text", NULL, 7, 1, PB_STRING, 4, 3},
        {"sub", ".made.M", 8, 1, PB_MESSAGE, 0, 0},
        {"delimited", ".made.M", 9, 1, PB_MESSAGE, 5, 2},
    };
    size_t count = sizeof fields / sizeof fields[0];
    pb_pool *pool = made(fields, count, 0, 0);
    assert_true(field_of(pool, "made.M", "plain")->presence);
    assert_false(field_of(pool, "made.M", "implicit")->presence);
    assert_true(field_of(pool, "made.M", "needed")->required);
    assert_true(field_of(pool, "made.M", "list")->packed);
    assert_false(field_of(pool, "made.M", "expanded")->packed);
    assert_true(field_of(pool, "made.M", "text")->utf8);
    assert_false(field_of(pool, "made.M", "any_text")->utf8);
    assert_false(field_of(pool, "made.M", "sub")->delimited);
    assert_true(field_of(pool, "made.M", "delimited")->delimited);
    assert_int_equal(field_of(pool, "made.M", "delimited")->wire, PB_WIRE_GROUP);
    pb_pool_free(pool);
    /* Those of the file hold where fields have none of their own. */
    pool = made(fields, count, 1, 2);
    assert_false(field_of(pool, "made.M", "plain")->presence);
    assert_true(field_of(pool, "made.M", "needed")->required);
    assert_true(field_of(pool, "made.M", "sub")->presence);
    pb_pool_free(pool);
    pool = made(fields, count, 5, 2);
    assert_true(field_of(pool, "made.M", "sub")->delimited);
    pb_pool_free(pool);
}

/* --- lookups --- */
static void lookups(void **state)
{
    pf f;
    size_t count;
    pf_open(&f);
    const pb_message *user = pf_type(&f, "User");
    assert_true(pl_str_is(user->file->name, "everything.proto"));
    assert_int_equal(user->field_count, 3);
    assert_true(pb_message_field_named(user, PL_STR("userId")) == pb_message_field(user, 1));
    assert_true(pb_message_field_named(user, PL_STR("user_id")) == pb_message_field(user, 1));
    assert_null(pb_message_field_named(user, PL_STR("userid")));
    assert_null(pb_message_field(user, 0));
    assert_null(pb_message_field(user, 536870911));
    const pb_message *email = pf_type(&f, "test.v1.User.Email");
    assert_true(email->parent == user && pb_message_field(user, 3)->message == email);
    assert_null(pb_pool_message(f.pool, PL_STR("test.v1.Color")));
    assert_null(pb_pool_message(f.pool, PL_STR(".test.v1.User")));
    const pb_enum *color = pb_pool_enum(f.pool, PL_STR("test.v1.Color"));
    assert_false(color->closed);
    assert_int_equal(pb_enum_named(color, PL_STR("COLOR_BELOW"))->number, -3);
    assert_true(pl_str_is(pb_enum_numbered(color, 5)->name, "COLOR_GREEN"));
    assert_true(pl_str_is(pb_enum_numbered(color, 0)->name, "COLOR_UNSPECIFIED"));
    assert_null(pb_enum_numbered(color, 2));
    assert_null(pb_enum_numbered(color, (int64_t)1 << 32));
    assert_true(pb_pool_enum(f.pool, PL_STR("test.v0.Size"))->closed);
    assert_true(pl_str_is(pb_pool_file_of(f.pool, PL_STR("test.v1.COLOR_RED"))->name, "everything.proto"));
    assert_true(pb_pool_file(f.pool, PL_STR("google/protobuf/any.proto"))->built_in);
    pb_pool_services(f.pool, &count);
    assert_int_equal(count, 1);
    assert_int_equal(pf_type(&f, "google.protobuf.Any")->special, PB_ANY);
    assert_int_equal(pf_type(&f, "google.protobuf.UInt32Value")->special, PB_WRAPPER);
    assert_int_equal(pf_type(&f, "google.protobuf.Method")->special, PB_PLAIN);
    pf_close(&f);
}

static void services_and_options(void **state)
{
    pf f;
    pl_str route = PL_STR_NONE, get = PL_STR_NONE;
    pf_open(&f);
    const pb_service *users = pb_pool_service(f.pool, PL_STR("test.v1.Users"));
    assert_int_equal(users->count, 4);
    const pb_method *m = pb_service_method(users, PL_STR("Get"));
    assert_true(pl_str_is(m->full_name, "test.v1.Users.Get"));
    assert_true(pl_str_is(m->input->full_name, "test.v1.Route") &&
                pl_str_is(m->output->full_name, "test.v1.User"));
    assert_true(!m->client_streaming && !m->server_streaming);
    assert_true(pb_find_bytes(m->options, 50001, &route) && pb_find_bytes(route, 1, &get));
    assert_true(pl_str_is(get, "/v1/users"));
    m = pb_service_method(users, PL_STR("Watch"));
    assert_true(!m->client_streaming && m->server_streaming);
    m = pb_service_method(users, PL_STR("Upload"));
    assert_true(m->client_streaming && !m->server_streaming);
    m = pb_service_method(users, PL_STR("Chat"));
    assert_true(m->client_streaming && m->server_streaming);
    assert_null(pb_service_method(users, PL_STR("get")));
    const pb_field *extension = pb_pool_extension(f.pool, PL_STR("test.v1.route"));
    assert_int_equal(extension->number, 50001);
    assert_true(pl_str_is(extension->key, "[test.v1.route]"));
    assert_true(pb_message_extension(pf_type(&f, "google.protobuf.MethodOptions"), 50001) == extension);
    pf_close(&f);
}

static void defaults(void **state)
{
    pf f;
    pf_open(&f);
    assert_true(pl_str_is(field_of(f.pool, "test.v0.Old", "name")->otherwise.string, "nobody"));
    assert_int_equal(field_of(f.pool, "test.v0.Old", "size")->otherwise.integer, 2);
    assert_true(field_of(f.pool, "test.v0.Old", "ratio")->otherwise.number == -(double)INFINITY);
    assert_true(field_of(f.pool, "test.v0.Old", "big")->otherwise.integer == -1);
    assert_true(field_of(f.pool, "test.v0.Old", "on")->otherwise.boolean);
    const pb_scalar *blob = &field_of(f.pool, "test.v0.Old", "blob")->otherwise;
    assert_int_equal(blob->string.len, 4);
    assert_memory_equal(blob->string.ptr, "a\0\1\n", 4);
    assert_false(field_of(f.pool, "test.v0.Old", "id")->has_default);
    pf_close(&f);
}

/* --- what is wrong --- */
static void refused(pl_buf *set, const char *message)
{
    pb_pool *pool;
    pl_error err;
    pb_source source = {"made.binpb", pl_buf_view(set)};
    assert_int_equal(pb_pool_new(&source, 1, &pool, &err), PL_INVALID_ARGUMENT);
    assert_null(pool);
    assert_string_equal(err.message, message);
    assert_string_equal(err.file, "made.binpb");
    pl_buf_dispose(set);
}

static void refused_fields(const made_field *fields, size_t count, const char *message)
{
    pl_buf set = {0};
    make_set(&set, fields, count, 0, 0);
    refused(&set, message);
}

static void broken_sets(void **state)
{
    pl_buf set = {0}, file = {0};
    PL_BUF_LIT(&set, "\x0a\x05"
                     "abc");
    refused(&set, "it is no descriptor set: it has a field that is longer than what is left of it");
    put_text(&set, 1, "");
    refused(&set, "it has a file without a name: is it a descriptor set?");
    put_text(&file, 1, "a.proto");
    put_text(&file, 3, "b.proto");
    put_part(&set, 1, &file);
    refused(&set, "a.proto: it imports \"b.proto\", which is not among the files: write the set with protoc "
                  "--include_imports");
    put_text(&file, 1, "a.proto");
    put_text(&file, 12, "proto4");
    put_part(&set, 1, &file);
    refused(&set, "a.proto: its syntax is \"proto4\"; proto2, proto3 and editions are known");
    put_text(&file, 1, "a.proto");
    put_text(&file, 12, "editions");
    put_int(&file, 14, 1002);
    put_part(&set, 1, &file);
    refused(&set, "a.proto: it is of edition number 1002; editions 2023 (1000) and 2024 (1001) are known");
}

static void broken_messages(void **state)
{
    static const made_field unknown = {"a", ".made.N", 1, 1, PB_MESSAGE, 0, 0};
    static const made_field no_enum = {"a", ".made.M", 1, 1, PB_ENUM, 0, 0};
    static const made_field number = {"a", NULL, 0, 1, PB_INT32, 0, 0};
    static const made_field type = {"a", NULL, 1, 1, 30, 0, 0};
    static const made_field name = {"a b", NULL, 1, 1, PB_INT32, 0, 0};
    static const made_field twice[] = {{"a", NULL, 1, 1, PB_INT32, 0, 0}, {"b", NULL, 1, 1, PB_INT32, 0, 0}};
    refused_fields(&unknown, 1, "made.proto: made.M: field a: there is no message .made.N");
    refused_fields(&no_enum, 1, "made.proto: made.M: field a: there is no enum .made.M");
    refused_fields(&number, 1, "made.proto: made.M: field a has the number 0");
    refused_fields(&type, 1, "made.proto: made.M: field a has no type, or one that is not known");
    refused_fields(&name, 1, "made.proto: made.M: a field has a name that is no identifier");
    refused_fields(twice, 2, "made.proto: made.M: the fields a and b have the same number");
}

static void the_same_file_may_come_twice(void **state)
{
    static const made_field field = {"a", NULL, 1, 1, PB_INT32, 0, 0},
                            other = {"b", NULL, 1, 1, PB_INT32, 0, 0};
    pl_buf first = {0}, second = {0};
    pb_pool *pool;
    pl_error err;
    make_set(&first, &field, 1, 0, 0);
    make_set(&second, &other, 1, 0, 0);
    pb_source same[] = {{"1", pl_buf_view(&first)}, {"2", pl_buf_view(&first)}};
    assert_int_equal(pb_pool_new(same, 2, &pool, &err), PL_OK);
    pb_pool_free(pool);
    pb_source different[] = {{"1", pl_buf_view(&first)}, {"2", pl_buf_view(&second)}};
    assert_int_equal(pb_pool_new(different, 2, &pool, &err), PL_INVALID_ARGUMENT);
    assert_string_equal(err.message, "it has another made.proto than the sets before it");
    assert_string_equal(err.file, "2");
    pl_buf_dispose(&first);
    pl_buf_dispose(&second);
}

static void without_sets_there_are_the_well_known_types(void **state)
{
    pb_pool *pool;
    pl_error err;
    assert_int_equal(pb_pool_new(NULL, 0, &pool, &err), PL_OK);
    assert_non_null(pb_pool_message(pool, PL_STR("google.protobuf.Timestamp")));
    assert_non_null(pb_pool_message(pool, PL_STR("google.protobuf.FileDescriptorSet")));
    pb_pool_free(pool);
}

/* Each byte of a set changed, and the set cut at each place: an error or none, and nothing else. */
static void damaged_sets(void **state)
{
    pl_buf set = {0};
    static const made_field fields[] = {{"a", ".made.M", 1, 3, PB_MESSAGE, 0, 0},
                                        {"b", NULL, 2, 1, PB_INT32, 1, 2}};
    make_set(&set, fields, 2, 1, 2);
    for (size_t i = 0; i < set.len; i++) {
        pb_pool *pool;
        pl_error err;
        char before = set.data[i];
        pb_source cut = {"cut", {set.data, i}}, changed = {"changed", pl_buf_view(&set)};
        if (pb_pool_new(&cut, 1, &pool, &err) == PL_OK)
            pb_pool_free(pool);
        for (int bit = 0; bit < 8; bit++) {
            set.data[i] = (char)(before ^ 1 << bit);
            if (pb_pool_new(&changed, 1, &pool, &err) == PL_OK)
                pb_pool_free(pool);
        }
        set.data[i] = before;
    }
    pl_buf_dispose(&set);
}

static void without_memory(void **state)
{
    failing a = {0};
    pb_source source = {"tests", test_protos()};
    while (failing_next(&a)) {
        pb_pool *pool;
        pl_error err;
        failing_begin(&a);
        pl_code code = pb_pool_new(&source, 1, &pool, &err);
        if (failing_end(&a))
            assert_int_equal(code, PL_RESOURCE_EXHAUSTED);
        else
            assert_int_equal(code, PL_OK);
        pb_pool_free(pool);
    }
    assert_true(a.made > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lookups),
        cmocka_unit_test(services_and_options),
        cmocka_unit_test(defaults),
        cmocka_unit_test(features),
        cmocka_unit_test(broken_sets),
        cmocka_unit_test(broken_messages),
        cmocka_unit_test(the_same_file_may_come_twice),
        cmocka_unit_test(without_sets_there_are_the_well_known_types),
        cmocka_unit_test(damaged_sets),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
