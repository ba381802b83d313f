/* SPDX-License-Identifier: MIT */
#include "support/proto_fixture.h"

static pf f;

static int open_all(void **state)
{
    pf_open(&f);
    return 0;
}

static int close_all(void **state)
{
    pf_close(&f);
    return 0;
}

static void scalars(void **state)
{
    pf_encodes(&f, "Scalars", "{}", "");
    pf_encodes(&f, "Scalars",
               "{\"f_int32\":0,\"f_string\":\"\",\"f_bool\":false,\"f_double\":0,\"f_color\":0}", "");
    pf_encodes(&f, "Scalars", "{\"f_double\":-0.0}", "09 0000000000000080");
    pf_encodes(&f, "Scalars", "{\"f_double\":3}", "09 0000000000000840");
    pf_encodes(&f, "Scalars", "{\"f_float\":1.5}", "15 0000c03f");
    pf_encodes(&f, "Scalars", "{\"f_int32\":-1}", "18 ffffffffffffffffff01");
    pf_encodes(&f, "Scalars", "{\"f_int32\":150.0}", "18 9601");
    pf_encodes(&f, "Scalars", "{\"f_int64\":-9223372036854775808}", "20 80808080808080808001");
    pf_encodes(&f, "Scalars", "{\"f_int64\":\"-9223372036854775808\"}", "20 80808080808080808001");
    pf_encodes(&f, "Scalars", "{\"f_uint32\":4294967295}", "28 ffffffff0f");
    pf_encodes(&f, "Scalars", "{\"f_uint64\":-1}", "30 ffffffffffffffffff01");
    pf_encodes(&f, "Scalars", "{\"f_uint64\":\"18446744073709551615\"}", "30 ffffffffffffffffff01");
    pf_encodes(&f, "Scalars", "{\"f_uint64\":1e19}", "30 8080a0cfc8e0c8e38a01");
    pf_encodes(&f, "Scalars", "{\"f_sint32\":-2147483648,\"f_sint64\":-9223372036854775808}",
               "38 ffffffff0f 40 ffffffffffffffffff01");
    pf_encodes(&f, "Scalars", "{\"f_fixed32\":4294967295,\"f_sfixed32\":-1}", "4d ffffffff 5d ffffffff");
    pf_encodes(&f, "Scalars", "{\"f_fixed64\":1,\"f_sfixed64\":-2}",
               "51 0100000000000000 61 feffffffffffffff");
    pf_encodes(&f, "Scalars", "{\"f_bool\":true,\"f_string\":\"a\\u0001\",\"f_bytes\":\"b\"}",
               "6801 7202 6101 7a01 62");
    pf_encodes(&f, "Scalars", "{\"f_color\":\"COLOR_GREEN\"}", "800105");
    pf_encodes(&f, "Scalars", "{\"f_color\":77}", "80014d");
    pf_encodes(&f, "Scalars", "{\"f_color\":-3}", "8001 fdffffffffffffffff01");
    pf_encodes(&f, "Scalars", "{\"f_color\":null,\"f_int32\":null}", "");
}

static void presence(void **state)
{
    pf_encodes(&f, "Optionals", "{\"number\":0,\"text\":\"\",\"color\":0,\"node\":{}}",
               "0800 1200 1800 2200");
    pf_encodes(&f, "Optionals", "{\"number\":null}", "");
    pf_encodes(&f, "Choice", "{\"number\":0}", "1000");
    pf_encodes(&f, "Choice", "{\"nothing\":null,\"other\":\"x\"}", "2000 4a0178");
    pf_encodes(&f, "Choice", "{\"text\":null,\"node\":{}}", "1a00");
    pf_refuses(&f, PF_ENCODE, "Choice", "{\"number\":0,\"text\":\"\"}",
               "text: number is set, too, and both are of the oneof value");
    pf_encodes(&f, "test.v0.Old", "{\"id\":0}", "0800");
    pf_refuses(&f, PF_ENCODE, "test.v0.Old", "{}", "id: the field is required, and not set");
}

static void lists_and_maps(void **state)
{
    pf_encodes(&f, "Lists", "{\"numbers\":[1,-1,150],\"loose\":[3,4],\"texts\":[\"a\",\"\"]}",
               "0a0d 01 ffffffffffffffffff01 9601 1003 1004 1a0161 1a00");
    pf_encodes(&f, "Lists", "{\"numbers\":[],\"texts\":{},\"flags\":[true,false],\"doubles\":[1]}",
               "2a08 000000000000f03f 3202 0100");
    pf_encodes(&f, "Maps", "{\"by_name\":{\"a\":0},\"by_id\":{}}", "0a05 0a0161 1000");
    pf_encodes(&f, "Maps", "{\"by_number\":[\"x\",\"y\"]}", "1205 0802 120179 1205 0801 120178");
    pf_encodes(&f, "Maps", "{\"lists\":{\"k\":{\"flags\":[true]}}}", "2a08 0a016b 1203 320101");
    pf_refuses(&f, PF_ENCODE, "Maps", "{\"by_number\":{\"1\":\"x\"}}",
               "by_number[\"1\"]: the map's keys are integers");
    pf_refuses(&f, PF_ENCODE, "Maps", "{\"by_name\":[1]}", "by_name[1]: the map's keys are strings");
    pf_refuses(&f, PF_ENCODE, "Maps", "{\"by_flag\":{\"true\":\"x\"}}",
               "by_flag[\"true\"]: the map's keys are booleans");
    pf_refuses(&f, PF_ENCODE, "Lists", "{\"numbers\":5}", "numbers: a list is expected, not an integer");
    pf_refuses(&f, PF_ENCODE, "Lists", "{\"numbers\":{\"a\":5}}", "numbers: a list is expected, not a map");
    pf_refuses(&f, PF_ENCODE, "Lists", "{\"numbers\":[1,null]}",
               "numbers[2]: an integer (int32) is expected, not null");
}

static void known_types(void **state)
{
    pf_encodes(&f, "Known", "{\"at\":{\"seconds\":1,\"nanos\":5}}", "0a04 0801 1005");
    pf_encodes(&f, "Known", "{\"at\":1.5}", "0a08 0801 1080cab5ee01");
    pf_encodes(&f, "Known", "{\"at\":-0.5}", "0a11 08ffffffffffffffffff01 1080cab5ee01");
    pf_encodes(&f, "Known", "{\"at\":1770000000.1}", "0a0b 08809d80cc06 1080c2d72f");
    pf_encodes(&f, "Known", "{\"at\":\"1970-01-01T01:00:01.5+01:00\"}", "0a08 0801 1080cab5ee01");
    pf_encodes(&f, "Known", "{\"lasts\":\"-1.5s\"}", "1216 08ffffffffffffffffff01 1080b6ca91feffffffff01");
    pf_encodes(&f, "Known", "{\"lasts\":3}", "1202 0803");
    pf_encodes(&f, "Known", "{\"object\":{\"a\":[1,\"x\",null,{}]}}",
               "1a21 0a1f 0a0161 121a 3218 0a09 11000000000000f03f 0a03 1a0178 0a02 0800 0a02 2a00");
    pf_encodes(&f, "Known", "{\"int64\":5,\"string\":\"\",\"bool\":true,\"double\":0.5}",
               "4a02 0805 5200 5a02 0801 6a09 09000000000000e03f");
    pf_encodes(&f, "Known", "{\"int64\":{\"value\":5},\"mask\":{\"paths\":[\"a\"]}}",
               "3a03 0a0161 4a02 0805");
    pf_encodes(&f, "Known", "{\"mask\":[\"a\",\"b.c\"],\"empty\":{}}", "3a08 0a0161 0a03622e63 4200");
    pf_refuses(&f, PF_ENCODE, "Known", "{\"at\":\"yesterday\"}",
               "at: the text is no time in the form of RFC 3339, as \"2026-05-09T12:30:00.250Z\"");
    pf_refuses(&f, PF_ENCODE, "Known", "{\"at\":{\"secs\":1}}",
               "at: google.protobuf.Timestamp has no field \"secs\"");
    pf_refuses(
        &f, PF_ENCODE, "Known", "{\"value\":{\"a\":[9007199254740993]}}",
        "value.a[1]: the number would lose digits, as a google.protobuf.Value holds a double: give it as a "
        "string");
    pf_refuses(&f, PF_ENCODE, "Known", "{\"int64\":\"x\"}",
               "int64: an integer (int64) is expected, and the text is none");
}

static void anys(void **state)
{
    pf_encodes(&f, "google.protobuf.Any", "{\"@type\":\"x/test.v1.Route\",\"get\":\"x\"}",
               "0a0f 782f746573742e76312e526f757465 1203 0a0178");
    pf_encodes(&f, "google.protobuf.Any", "{\"@type\":\"x/google.protobuf.Int64Value\",\"value\":3}",
               "0a1c 782f676f6f676c652e70726f746f6275662e496e74363456616c7565 1202 0803");
    pf_encodes(&f, "google.protobuf.Any", "{\"@type\":\"x/a.b\",\"value\":\"AB\"}",
               "0a05 782f612e62 1202 4142");
    pf_encodes(&f, "google.protobuf.Any", "{}", "");
    pf_refuses(&f, PF_ENCODE, "Known", "{\"any\":{\"get\":\"x\"}}",
               "any: an Any has to say its type in \"@type\"");
    pf_refuses(&f, PF_ENCODE, "Known", "{\"any\":{\"@type\":\"x/test.v1.Route\",\"gte\":\"x\"}}",
               "any: test.v1.Route has no field \"gte\". Did you mean \"get\"?");
    pf_refuses(
        &f, PF_ENCODE, "Known", "{\"anys\":[{},{\"@type\":\"x/a.b\"}]}",
        "anys[2]: there is no message of the type \"x/a.b\": give its bytes as \"value\", or load its .proto "
        "file");
}

static void older_messages(void **state)
{
    pf_encodes(&f, "test.v0.Old", "{\"id\":1,\"detail\":{\"x\":7},\"item\":[{\"label\":\"a\"},{}]}",
               "0801 3308 0734 430a016144 4344");
    pf_encodes(&f, "test.v0.Old",
               "{\"id\":1,\"[test.v0.nick]\":\"a\",\"[test.v0.marks]\":[5,6],\"packed\":[1]}",
               "0801 2a0101 a2060161 a80605 a80606");
    pf_refuses(&f, PF_ENCODE, "test.v0.Old", "{\"id\":1,\"size\":9}",
               "size: enum test.v0.Size, which is closed, has no value 9");
}

static void wrong_values(void **state)
{
    static const struct {
        const char *value, *message;
    } cases[] = {
        {"[1]", "test.v1.Scalars: a map of fields is expected, not a list"},
        {"[]", "test.v1.Scalars: a map of fields is expected, not a list"},
        {"{\"f_int32\":\"1\"}", "f_int32: an integer (int32) is expected, not a string"},
        {"{\"f_int32\":2147483648}", "f_int32: the number is out of range: an integer (int32) is expected"},
        {"{\"f_int32\":1.5}", "f_int32: an integer (int32) is expected, and the number is none"},
        {"{\"f_uint32\":-1}", "f_uint32: the number is out of range: an integer (uint32) is expected"},
        {"{\"f_int64\":1e19}", "f_int64: the number is out of range: an integer (int64) is expected"},
        {"{\"f_int64\":\"9223372036854775808\"}",
         "f_int64: an integer (int64) is expected, and the text is none"},
        {"{\"f_uint64\":1e20}", "f_uint64: the number is out of range: an integer (uint64) is expected"},
        {"{\"f_float\":1e39}", "f_float: the number is out of range: a float is expected"},
        {"{\"f_double\":\"1\"}", "f_double: a number is expected, not a string"},
        {"{\"f_bool\":1}", "f_bool: a boolean is expected, not an integer"},
        {"{\"f_string\":1}", "f_string: a string is expected, not an integer"},
        {"{\"f_bytes\":[]}", "f_bytes: a string (bytes) is expected, not a list"},
        {"{\"f_color\":\"COLOR_GREN\"}", "f_color: enum test.v1.Color has no value \"COLOR_GREN\". Did you "
                                         "mean \"COLOR_GREEN\", \"COLOR_RED\", or "
                                         "\"COLOR_BELOW\"?"},
        {"{\"f_int23\":1}",
         "test.v1.Scalars has no field \"f_int23\". Did you mean \"f_int32\", \"f_int64\", "
         "\"f_sint32\", \"f_uint32\", or \"f_sint64\"?"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        pf_refuses(&f, PF_ENCODE, "Scalars", cases[i].value, cases[i].message);
    pf_refuses(&f, PF_ENCODE, "User", "{\"emails\":[{},{\"address\":5}]}",
               "emails[2].address: a string is expected, not an integer");
    pf_refuses(&f, PF_ENCODE, "User", "{\"emails\":[{},{\"adress\":\"\"}]}",
               "emails[2]: test.v1.User.Email has no field \"adress\". Did you mean \"address\"?");
    pf_refuses(&f, PF_ENCODE, "User", "{\"userId\":\"\"}",
               "test.v1.User has no field \"userId\". Did you mean \"user_id\"?");
    pf_refuses(&f, PF_ENCODE, "Node", "{\"named\":{\"k\":{\"next\":{\"name\":true}}}}",
               "named[\"k\"].next.name: a string is expected, not a boolean");
}

typedef struct trip {
    const pb_message *type;
    pl_str in;
    pl_buf out;
    pl_code code;
} trip;

static void go(void *data)
{
    trip *t = data;
    pl_state *state = te_state(f.t);
    pl_error err;
    pl_engine_of(state)->reserve(state, 8);
    t->code = pb_decode(f.codec, t->type, t->in, &err);
    if (!t->code)
        t->code = pb_encode(f.codec, t->type, pl_engine_of(state)->top(state), &t->out, &err);
}

static void same_after(const char *type, pl_str in, pl_str out)
{
    trip t = {.type = pf_type(&f, type), .in = in};
    pl_error err;
    assert_true(pl_engine_of(te_state(f.t))->protect(te_state(f.t), go, &t, &err));
    assert_int_equal(t.code, PL_OK);
    assert_int_equal(t.out.len, out.len);
    assert_memory_equal(t.out.data, out.ptr, out.len);
    pl_buf_dispose(&t.out);
}

#define BYTES(literal) ((pl_str){literal, sizeof(literal) - 1})

static void unknown_fields_are_kept(void **state)
{
    /* All wire types, a group among them; fields of a type that the field has not. */
    same_after("User",
               BYTES("\x0a\x01u\xa0\x06\x01\xa1\x06\x01\x02\x03\x04\x05\x06\x07\x08\xa2\x06\x02zz\xa3\x06\x08"
                     "\x05\xa4\x06\xa5\x06wxyz"),
               BYTES("\x0a\x01u\xa0\x06\x01\xa1\x06\x01\x02\x03\x04\x05\x06\x07\x08\xa2\x06\x02zz\xa3\x06\x08"
                     "\x05\xa4\x06\xa5\x06wxyz"));
    same_after("User", BYTES("\x08\x07\x0a\x01u"), BYTES("\x0a\x01u\x08\x07"));
    /* Of messages inside, each its own; of merged ones, in their order. */
    same_after("Optionals", BYTES("\x22\x06\xa0\x06\x01\x0a\x01n\xa0\x06\x02\x22\x03\xa0\x06\x03"),
               BYTES("\x22\x09\x0a\x01n\xa0\x06\x01\xa0\x06\x03\xa0\x06\x02"));
    /* Values of a closed enum that nobody knows, alone, in lists and in maps. */
    same_after("test.v0.Old", BYTES("\x08\x01\x18\x09\x20\x01\x20\x09\x22\x02\x09\x02"),
               BYTES("\x08\x01\x20\x01\x20\x02\x18\x09\x20\x09\x20\x09"));
    same_after("test.v0.Old", BYTES("\x08\x01\x6a\x05\x0a\x01z\x10\x09"),
               BYTES("\x08\x01\x6a\x05\x0a\x01z\x10\x09"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars),        cmocka_unit_test(presence),
        cmocka_unit_test(lists_and_maps), cmocka_unit_test(known_types),
        cmocka_unit_test(anys),           cmocka_unit_test(older_messages),
        cmocka_unit_test(wrong_values),   cmocka_unit_test(unknown_fields_are_kept),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
