/* SPDX-License-Identifier: MIT */
#include <perilune/proto.h>
#include <stdlib.h>

#include "support/failing.h"
#include "support/proto_fixture.h"

/* Messages through perilune/proto.h, with values of a program that counts its references. */

typedef struct value value;
struct value {
    unsigned refs;
    pl_proto_kind kind;
    int64_t integer;
    double number;
    char *text;
    size_t length, count;
    value *keys[32], *items[32];
};

typedef struct program {
    size_t alive;
    size_t makes_left; /* how many values can still be made */
} program;

static pl_proto_value make(void *data, pl_proto_kind kind)
{
    program *p = data;
    if (p->makes_left == 0)
        return NULL;
    p->makes_left--;
    value *v = calloc(1, sizeof *v);
    v->refs = 1;
    v->kind = kind;
    p->alive++;
    return v;
}

static void release(void *data, pl_proto_value any)
{
    value *v = any;
    if (--v->refs > 0)
        return;
    for (size_t i = 0; i < v->count; i++) {
        if (v->keys[i])
            release(data, v->keys[i]);
        release(data, v->items[i]);
    }
    free(v->text);
    free(v);
    ((program *)data)->alive--;
}

static pl_proto_value retain(void *data, pl_proto_value any)
{
    ((value *)any)->refs++;
    return any;
}

static pl_proto_value make_null(void *data)
{
    return make(data, PL_PROTO_NULL);
}

static pl_proto_value make_int(void *data, int64_t integer)
{
    value *v = make(data, PL_PROTO_INT);
    if (v)
        v->integer = integer;
    return v;
}

static pl_proto_value make_unsigned(void *data, uint64_t integer)
{
    value *v = make_int(data, (int64_t)integer);
    if (v)
        v->number = (double)integer;
    return v;
}

static pl_proto_value make_bool(void *data, bool boolean)
{
    value *v = make_int(data, boolean);
    if (v)
        v->kind = PL_PROTO_BOOL;
    return v;
}

static pl_proto_value make_float(void *data, double number)
{
    value *v = make(data, PL_PROTO_FLOAT);
    if (v)
        v->number = number;
    return v;
}

static pl_proto_value make_text(void *data, const char *bytes, size_t length)
{
    value *v = make(data, PL_PROTO_STRING);
    if (v) {
        v->text = malloc(length + 1);
        memcpy(v->text, bytes, length);
        v->text[length] = '\0';
        v->length = length;
    }
    return v;
}

static pl_proto_value make_list(void *data, size_t size_hint)
{
    return make(data, PL_PROTO_LIST);
}

static pl_proto_value make_map(void *data, size_t size_hint)
{
    return make(data, PL_PROTO_MAP);
}

static size_t find(const value *map, const value *key)
{
    size_t i = 0;
    while (i < map->count &&
           (map->keys[i]->integer != key->integer ||
            strcmp(map->keys[i]->text ? map->keys[i]->text : "", key->text ? key->text : "") != 0))
        i++;
    return i;
}

static bool set(void *data, pl_proto_value any, pl_proto_value key, pl_proto_value item)
{
    value *map = any;
    size_t i = find(map, key);
    if (i < map->count) {
        release(data, map->keys[i]);
        release(data, map->items[i]);
        map->keys[i] = map->keys[--map->count];
        map->items[i] = map->items[map->count];
    }
    if (!item)
        return true;
    assert_true(map->count < 32);
    map->keys[map->count] = retain(data, key);
    map->items[map->count++] = retain(data, item);
    return true;
}

static bool append(void *data, pl_proto_value list, pl_proto_value item)
{
    value *v = list;
    assert_true(v->count < 32);
    v->items[v->count++] = retain(data, item);
    return true;
}

static pl_proto_kind kind(void *data, pl_proto_value any)
{
    return ((value *)any)->kind;
}

static bool get_bool(void *data, pl_proto_value any)
{
    return ((value *)any)->integer != 0;
}

static int64_t get_int(void *data, pl_proto_value any)
{
    return ((value *)any)->integer;
}

static double get_float(void *data, pl_proto_value any)
{
    return ((value *)any)->number;
}

static const char *get_string(void *data, pl_proto_value any, size_t *length)
{
    *length = ((value *)any)->length;
    return ((value *)any)->text;
}

static size_t length_of(void *data, pl_proto_value any)
{
    return ((value *)any)->count;
}

static pl_proto_value element(void *data, pl_proto_value list, size_t index)
{
    return retain(data, ((value *)list)->items[index]);
}

static pl_proto_value member(void *data, pl_proto_value map, pl_proto_value key)
{
    size_t i = find(map, key);
    return i < ((value *)map)->count ? retain(data, ((value *)map)->items[i]) : NULL;
}

static bool next(void *data, pl_proto_value any, size_t *position, pl_proto_value *key, pl_proto_value *item)
{
    value *map = any;
    if (*position >= map->count)
        return false;
    *key = retain(data, map->keys[*position]);
    *item = retain(data, map->items[(*position)++]);
    return true;
}

static const pl_proto_values values = {
    .size = sizeof(pl_proto_values),
    .release = release,
    .retain = retain,
    .make_null = make_null,
    .make_bool = make_bool,
    .make_int = make_int,
    .make_unsigned = make_unsigned,
    .make_float = make_float,
    .make_text = make_text,
    .make_bytes = make_text,
    .make_list = make_list,
    .make_map = make_map,
    .make_key = make_text,
    .set = set,
    .append = append,
    .kind = kind,
    .get_bool = get_bool,
    .get_int = get_int,
    .get_float = get_float,
    .get_string = get_string,
    .length = length_of,
    .element = element,
    .member = member,
    .next = next,
};

static pl_proto_pool *open_pool(void)
{
    char error[256] = "";
    pl_str set_of_tests = test_protos();
    pl_proto_pool *pool = pl_proto_pool_new(set_of_tests.ptr, set_of_tests.len, error, sizeof error);
    if (!pool)
        fail_msg("%s", error);
    return pool;
}

static const char text[] = "{\"name\":\"a\",\"children\":[{\"name\":\"b\"},{\"next\":{\"name\":\"c\"}}],"
                           "\"named\":{\"k\":{\"name\":\"d\"}}}";

/* JSON to a value to bytes to a value to JSON. Everything is given back. */
static pl_code there_and_back(pl_proto_codec *codec, program *p, char *out, size_t size)
{
    pl_proto_value v = NULL, again = NULL;
    const char *bytes, *json;
    size_t length;
    char error[256];
    pl_code code =
        pl_proto_from_json(codec, "test.v1.Node", text, sizeof text - 1, 0, &v, error, sizeof error);
    if (!code)
        code = pl_proto_encode(codec, "test.v1.Node", v, &bytes, &length, error, sizeof error);
    if (!code)
        code = pl_proto_decode(codec, "test.v1.Node", bytes, length, &again, error, sizeof error);
    if (!code)
        code = pl_proto_to_json(codec, "test.v1.Node", again, 0, &json, &length, error, sizeof error);
    if (!code)
        snprintf(out, size, "%.*s", (int)length, json);
    if (v)
        release(p, v);
    if (again)
        release(p, again);
    return code;
}

static void all_directions(void **state)
{
    program p = {.makes_left = SIZE_MAX};
    pl_proto_pool *pool = open_pool();
    pl_proto_codec *codec = pl_proto_codec_new(pool, &values, &p);
    char out[512] = "";
    assert_int_equal(there_and_back(codec, &p, out, sizeof out), PL_OK);
    assert_string_equal(out, text);
    pl_proto_codec_free(codec);
    assert_int_equal(p.alive, 0);
    pl_proto_pool_free(pool);
}

static void errors_count_from_zero(void **state)
{
    program p = {.makes_left = SIZE_MAX};
    pl_proto_pool *pool = open_pool();
    pl_proto_codec *codec = pl_proto_codec_new(pool, &values, &p);
    const char *wrong = "{\"emails\":[{},{\"address\":7}]}";
    pl_proto_value v;
    char error[256];
    assert_int_equal(
        pl_proto_from_json(codec, "test.v1.User", wrong, strlen(wrong), 0, &v, error, sizeof error),
        PL_INVALID_ARGUMENT);
    assert_null(v);
    assert_non_null(strstr(error, "emails[1].address: "));
    assert_int_equal(pl_proto_decode(codec, "test.v1.Usr", "", 0, &v, error, sizeof error), PL_NOT_FOUND);
    assert_non_null(strstr(error, "test.v1.User"));
    pl_proto_codec_free(codec);
    assert_int_equal(p.alive, 0);
    pl_proto_pool_free(pool);
}

static void values_that_cannot_be_made(void **state)
{
    pl_proto_pool *pool = open_pool();
    char out[512];
    pl_code code = PL_RESOURCE_EXHAUSTED;
    size_t n = 0;
    for (; code; n++) {
        program p = {.makes_left = n};
        pl_proto_codec *codec = pl_proto_codec_new(pool, &values, &p);
        code = there_and_back(codec, &p, out, sizeof out);
        assert_true(code == PL_OK || code == PL_RESOURCE_EXHAUSTED);
        pl_proto_codec_free(codec);
        assert_int_equal(p.alive, 0);
    }
    assert_true(n > 20);
    pl_proto_pool_free(pool);
}

static void each_allocation_fails(void **state)
{
    failing a = {0};
    pl_proto_pool *pool = open_pool();
    char out[512];
    while (failing_next(&a)) {
        program p = {.makes_left = SIZE_MAX};
        failing_begin(&a);
        pl_proto_codec *codec = pl_proto_codec_new(pool, &values, &p);
        pl_code code = codec ? there_and_back(codec, &p, out, sizeof out) : PL_RESOURCE_EXHAUSTED;
        pl_proto_codec_free(codec);
        if (failing_end(&a))
            assert_true(code == PL_OK || code == PL_RESOURCE_EXHAUSTED);
        else
            assert_int_equal(code, PL_OK);
        assert_int_equal(p.alive, 0);
    }
    assert_true(a.made > 5);
    pl_proto_pool_free(pool);
}

static void names(void **state)
{
    pl_proto_pool *pool = open_pool();
    size_t position = 0, length, count = 0;
    int number;
    pl_proto_method method;
    const char *name;
    bool found = false;
    while ((name = pl_proto_next_message(pool, &position, &length))) {
        found |= length == strlen("test.v1.User") && memcmp(name, "test.v1.User", length) == 0;
        count++;
    }
    assert_true(found && count > 10);
    name = pl_proto_enum_value(pool, "test.v1.Color", 3, &length, &number);
    assert_int_equal(number, -3);
    assert_memory_equal(name, "COLOR_BELOW", length);
    assert_null(pl_proto_enum_value(pool, "test.v1.Color", 4, &length, &number));
    assert_null(pl_proto_enum_value(pool, "test.v1.None", 0, &length, &number));
    assert_true(pl_proto_find_method(pool, "test.v1.Users/Upload", &method));
    assert_memory_equal(method.input, "test.v1.User", method.input_length);
    assert_true(method.client_streaming && !method.server_streaming);
    assert_false(pl_proto_find_method(pool, "test.v1.Users", &method));
    assert_false(pl_proto_find_method(pool, "test.v1.Users/None", &method));
    pl_proto_pool_free(pool);
    assert_null(pl_proto_pool_new("\xff", 1, NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_directions),
        cmocka_unit_test(errors_count_from_zero),
        cmocka_unit_test(values_that_cannot_be_made),
        cmocka_unit_test(each_allocation_fails),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
