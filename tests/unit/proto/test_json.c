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

/* From JSON to a value, whose JSON (as any value's) contains member. */
static void reads(const char *json, const char *member)
{
    pf_result r = pf_run(&f, PF_READ, "Scalars", json, NULL);
    if (r.code)
        fail_msg("%s: %s", json, r.err.message);
    if (!strstr(r.text, member))
        fail_msg("%s: %s is not in %s", json, member, r.text);
}

static void read_scalars(void **state)
{
    reads("{\"fInt32\":-5}", "\"f_int32\":-5");
    reads("{\"f_int32\":\"7\"}", "\"f_int32\":7");
    reads("{\"fInt32\":1e2}", "\"f_int32\":100");
    reads("{\"fInt32\":12.0}", "\"f_int32\":12");
    reads("{\"fInt32\":\"1200e-2\"}", "\"f_int32\":12");
    reads("{\"fInt32\":0e999999999999}", "\"f_int32\":0");
    reads("{\"fInt64\":\"-9223372036854775808\"}", "\"f_int64\":-9223372036854775808");
    reads("{\"fInt64\":9223372036854775807}", "\"f_int64\":9223372036854775807");
    reads("{\"fUint64\":\"18446744073709551615\"}", "\"f_uint64\":-1");
    reads("{\"fUint64\":18446744073709551615}", "\"f_uint64\":-1");
    reads("{\"fDouble\":\"1.5e3\",\"fFloat\":0.1}", "\"f_double\":1500");
    reads("{\"fBool\":true}", "\"f_bool\":true");
    reads("{\"fString\":\"\\u20ac\\ud83d\\ude00\\n\\/\"}",
          "\"f_string\":\"\xe2\x82\xac\xf0\x9f\x98\x80\\n/\"");
    reads("{\"fString\":\"a\\u0000b\"}", "\"f_string\":\"a\\u0000b\"");
    reads("{\"fBytes\":\"QUI=\"}", "\"f_bytes\":\"AB\"");
    reads("{\"fBytes\":\"QUI\"}", "\"f_bytes\":\"AB\"");
    reads("{\"fBytes\":\"Pz8_Pz8-\"}", "\"f_bytes\":\"?\?\?\?\?>\"");
    reads("{\"fColor\":\"COLOR_RED\"}", "\"f_color\":\"COLOR_RED\"");
    reads("{\"fColor\":5}", "\"f_color\":\"COLOR_GREEN\"");
    reads("{\"fColor\":99}", "\"f_color\":99");
    reads(" { \"fInt32\" : null , \"fString\" : \"x\" } ", "\"f_string\":\"x\"");
}

static void read_others(void **state)
{
    pf_reads(&f, "Optionals",
             "{\"number\":0,\"node\":{\"children\":[{}],\"named\":{\"k\":{\"name\":\"n\"}}}}",
             "{\"number\":0,\"node\":{\"children\":[{\"name\":\"\",\"children\":[],\"named\":{}}],\"named\":{"
             "\"k\":{"
             "\"name\":\"n\",\"children\":[],\"named\":{}}},\"name\":\"\"}}");
    pf_reads(&f, "Choice", "{\"text\":null,\"number\":1}", "{\"number\":1,\"other\":\"\"}");
    pf_reads(&f, "Choice", "{\"nothing\":null}", "{\"nothing\":null,\"other\":\"\"}");
    pf_reads(&f, "Maps", "{\"byNumber\":{\"-1\":\"a\"},\"byName\":{\"x\":1,\"x\":2}}",
             "{\"by_number\":{\"-1\":\"a\"},\"by_name\":{\"x\":2},\"by_flag\":{},\"by_id\":{},\"lists\":{}}");
    pf_reads(
        &f, "test.v0.Old",
        "{\"id\":1,\"[test.v0.nick]\":\"a\",\"detail\":{\"x\":1},\"item\":[{\"label\":\"l\"}]}",
        "{\"id\":1,\"[test.v0.nick]\":\"a\",\"detail\":{\"x\":1},\"item\":[{\"label\":\"l\"}],\"sizes\":[],"
        "\"packed\":[],\"by_name\":{}}");
}

static void read_known_types(void **state)
{
    pf_reads(
        &f, "Known", "{\"at\":\"2001-02-03T04:05:06.789+01:00\",\"lasts\":\"-1.5s\"}",
        "{\"at\":{\"seconds\":981169506,\"nanos\":789000000},\"lasts\":{\"seconds\":-1,\"nanos\":-500000000},"
        "\"anys\":[]}");
    pf_reads(&f, "Known", "{\"object\":{\"a\":[1,1.5,null,\"x\",{}]},\"value\":null,\"list\":[[]]}",
             "{\"object\":{\"a\":[1,1.5,null,\"x\",{}]},\"value\":null,\"list\":[[]],\"anys\":[]}");
    pf_reads(&f, "Known",
             "{\"mask\":\"userId,a.bC\",\"int64\":\"5\",\"bytes\":\"QQ==\",\"bool\":null,\"empty\":{}}",
             "{\"mask\":[\"user_id\",\"a.b_c\"],\"int64\":5,\"bytes\":\"A\",\"empty\":{},\"anys\":[]}");
    pf_reads(&f, "Known", "{\"mask\":\"\"}", "{\"mask\":[],\"anys\":[]}");
    pf_reads(
        &f, "Known",
        "{\"any\":{\"get\":\"x\",\"@type\":\"x/test.v1.Route\"},\"anys\":[{},{\"@type\":"
        "\"x/google.protobuf.Duration\",\"value\":\"3s\"},{\"value\":{\"@type\":\"x/"
        "test.v1.Route\"},\"@type\":"
        "\"x/google.protobuf.Any\"},{\"@type\":\"x/google.protobuf.Empty\",\"value\":{}}]}",
        "{\"any\":{\"get\":\"x\",\"@type\":\"x/"
        "test.v1.Route\"},\"anys\":[{},{\"seconds\":3,\"nanos\":0,\"@type\":"
        "\"x/google.protobuf.Duration\"},{\"value\":{\"get\":\"\",\"@type\":\"x/test.v1.Route\"},\"@type\":"
        "\"x/google.protobuf.Any\"},{\"@type\":\"x/google.protobuf.Empty\"}]}");
}

static void refuse(void **state)
{
    static const struct {
        const char *json, *message;
    } cases[] = {
        {"", "test.v1.Scalars: a map is expected (at byte 1 of the JSON text)"},
        {"[]", "test.v1.Scalars: a map is expected (at byte 1 of the JSON text)"},
        {"{} x", "test.v1.Scalars: there is text behind the value (at byte 4 of the JSON text)"},
        {"{\"fBool\":true,}", "test.v1.Scalars: there is a ',' too many (at byte 15 of the JSON text)"},
        {"{\"fBool\" true}", "test.v1.Scalars: ':' is expected (at byte 10 of the JSON text)"},
        {"{\"fBool\":true", "test.v1.Scalars: the text ends too early (at byte 14 of the JSON text)"},
        {"{\"fBool\":\"true\"}", "f_bool: a boolean is expected (at byte 10 of the JSON text)"},
        {"{\"fInt32\":1.5}",
         "f_int32: the number is no integer: an integer (int32) is expected (at byte 14 of the JSON text)"},
        {"{\"fInt32\":2147483648}",
         "f_int32: the number is out of range: an integer (int32) is expected (at byte 21 of the JSON text)"},
        {"{\"fUint32\":-1}", "f_uint32: the number is out of range: an integer (uint32) is expected (at byte "
                             "14 of the JSON text)"},
        {"{\"fUint64\":\"18446744073709551616\"}", "f_uint64: the number is out of range: an integer "
                                                   "(uint64) is expected (at byte 34 of the JSON text)"},
        {"{\"fInt64\":\" 1\"}",
         "f_int64: an integer (int64) is expected, and the text is none (at byte 15 of the JSON text)"},
        {"{\"fInt64\":01}", "f_int64: a number is expected (at byte 11 of the JSON text)"},
        {"{\"fFloat\":3.5e38}", "f_float: the number is out of range (at byte 17 of the JSON text)"},
        {"{\"fDouble\":1e400}", "f_double: the number is out of range (at byte 17 of the JSON text)"},
        {"{\"fDouble\":NaN}", "f_double: a number is expected (at byte 12 of the JSON text)"},
        {"{\"fString\":1}", "f_string: a string is expected (at byte 12 of the JSON text)"},
        {"{\"fString\":\"\\ud800\"}", "f_string: half of a surrogate pair (at byte 19 of the JSON text)"},
        {"{\"fString\":\"\n\"}", "f_string: a control character in a string (at byte 13 of the JSON text)"},
        {"{\"fString\":\"\xff\"}", "f_string: a string that is not UTF-8 (at byte 13 of the JSON text)"},
        {"{\"fBytes\":\"Q\"}", "f_bytes: the string is no Base64 (at byte 14 of the JSON text)"},
        {"{\"fBytes\":\"Q!==\"}", "f_bytes: the string is no Base64 (at byte 17 of the JSON text)"},
        {"{\"fColor\":\"RED\"}",
         "f_color: enum test.v1.Color has no value \"RED\" (at byte 16 of the JSON text)"},
        {"{\"fBool\":true,\"f_bool\":true}",
         "f_bool: the field is given twice (at byte 24 of the JSON text)"},
        {"{\"fBoot\":true}", "test.v1.Scalars has no field \"fBoot\". Did you mean "
                             "\"f_bool\"? (at byte 9 of the JSON text)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        pf_refuses(&f, PF_READ, "Scalars", cases[i].json, cases[i].message);
    pf_refuses(&f, PF_READ, "User", "{\"emails\":[{},{\"address\":5}]}",
               "emails[2].address: a string is expected (at byte 26 of the JSON text)");
    pf_refuses(&f, PF_READ, "Lists", "{\"numbers\":[null]}",
               "numbers[1]: null cannot be in a list or map of these (at byte 13 of the JSON text)");
    pf_refuses(&f, PF_READ, "Choice", "{\"text\":\"\",\"number\":0}",
               "number: another field of the oneof value is set, too (at byte 21 of the JSON text)");
    pf_refuses(&f, PF_READ, "Maps", "{\"byNumber\":{\"a\":\"\"}}",
               "by_number: the map's keys are integers (at byte 17 of the JSON text)");
    pf_refuses(&f, PF_READ, "test.v0.Old", "{}",
               "test.v0.Old.id, which is required, is not set (at byte 3 of the JSON text)");
    pf_refuses(&f, PF_READ, "Known", "{\"at\":\"2001-02-30T00:00:00Z\"}",
               "at: the text is a time that does not exist (at byte 29 of the JSON text)");
    pf_refuses(&f, PF_READ, "Known", "{\"lasts\":\"315576000001s\"}",
               "lasts: the text is longer than 10,000 years (at byte 25 of the JSON text)");
    pf_refuses(&f, PF_READ, "Known", "{\"any\":{\"get\":\"x\"}}",
               "any: an Any has to say its type in \"@type\" (at byte 8 of the JSON text)");
    pf_refuses(&f, PF_READ, "Known", "{\"any\":{\"@type\":\"x/a.b\"}}",
               "any: there is no message of the type \"x/a.b\" (\"@type\") (at byte 8 of the JSON text)");
}

static void depth_is_limited(void **state)
{
    char json[1024] = "", *p = json;
    for (int i = 0; i < 100; i++)
        p += sprintf(p, "{\"next\":");
    p += sprintf(p, "{}");
    for (int i = 0; i < 100; i++)
        *p++ = '}';
    *p = '\0';
    assert_int_equal(pf_run(&f, PF_READ, "Node", json, NULL).code, PL_RESOURCE_EXHAUSTED);
    assert_int_equal(pf_run(&f, PF_READ, "Node", json + 8, NULL).code, PL_INVALID_ARGUMENT);
    p[-1] = '\0';
    assert_int_equal(pf_run(&f, PF_READ, "Node", json + 8, NULL).code, PL_OK);
    memset(json, '[', 1000);
    assert_int_equal(pf_run(&f, PF_READ, "google.protobuf.Value", json, NULL).code, PL_RESOURCE_EXHAUSTED);
    /* Where nobody looks at the value, too. */
    char unknown[1100];
    snprintf(unknown, sizeof unknown, "{\"x\":%.900s", json);
    pb_json_options options = {.ignore_unknown = true};
    assert_int_not_equal(pf_run(&f, PF_READ, "Node", unknown, &options).code, PL_OK);
}

static void unknown_is_ignored_when_asked(void **state)
{
    pb_json_options options = {.ignore_unknown = true};
    pf_gives(&f, PF_READ, "Optionals", "{\"x\":{\"y\":[1,{}]},\"number\":1,\"color\":\"PINK\"}", &options,
             "{\"number\":1}", __FILE__, __LINE__);
    pf_gives(
        &f, PF_READ, "Lists", "{\"colors\":[\"PINK\",\"COLOR_RED\"]}", &options,
        "{\"colors\":[\"COLOR_RED\"],\"numbers\":[],\"loose\":[],\"texts\":[],\"doubles\":[],\"flags\":[]}",
        __FILE__, __LINE__);
    pf_refuses_at(&f, PF_READ, "Optionals", "{\"x\":[}", &options,
                  "test.v1.Optionals: a value is expected (at byte 7 of the JSON text)", __FILE__, __LINE__);
}

static void write(void **state)
{
    pf_writes(&f, "Scalars", "{\"f_int32\":0,\"f_string\":\"\"}", "{}");
    pf_writes(&f, "Scalars",
              "{\"f_int64\":-5,\"f_uint64\":-1,\"f_int32\":7,\"f_float\":0.1,\"f_double\":0.1}",
              "{\"fDouble\":0.1,\"fFloat\":0.1,\"fInt32\":7,\"fInt64\":\"-5\",\"fUint64\":"
              "\"18446744073709551615\"}");
    pf_writes(&f, "Scalars", "{\"f_float\":16777216,\"f_double\":-0.0}",
              "{\"fDouble\":-0.0,\"fFloat\":16777216}");
    pf_writes(&f, "Scalars", "{\"f_bytes\":\"AB\",\"f_string\":\"\\n\\\"\",\"f_bool\":true,\"f_color\":5}",
              "{\"fBool\":true,\"fString\":\"\\n\\\"\",\"fBytes\":\"QUI=\",\"fColor\":\"COLOR_GREEN\"}");
    pf_writes(&f, "Scalars", "{\"f_color\":6}", "{\"fColor\":6}");
    pf_writes(&f, "Maps", "{\"by_number\":[\"a\"],\"by_id\":{},\"by_name\":{\"b\":0}}",
              "{\"byName\":{\"b\":0},\"byNumber\":{\"1\":\"a\"}}");
    pf_writes(&f, "Optionals", "{\"node\":{\"children\":[{}]},\"number\":0}",
              "{\"number\":0,\"node\":{\"children\":[{}]}}");
    pf_writes(&f, "test.v0.Old", "{\"id\":1,\"[test.v0.marks]\":[1],\"detail\":{\"x\":1}}",
              "{\"id\":1,\"detail\":{\"x\":1},\"[test.v0.marks]\":[1]}");
    pf_writes(&f, "Choice", "{\"nothing\":null}", "{\"nothing\":null}");
    pf_refuses(&f, PF_WRITE, "Choice", "{\"text\":\"\",\"number\":0}",
               "number: text is set, too, and both are of the oneof value");
    pf_refuses(&f, PF_WRITE, "User", "{\"emails\":[{\"adress\":\"\"}]}",
               "emails[1]: test.v1.User.Email has no field \"adress\". Did you mean \"address\"?");
}

static void write_options(void **state)
{
    pb_json_options options = {.defaults = true, .proto_names = true, .enum_numbers = true};
    pf_gives(&f, PF_WRITE, "User", "{\"user_id\":\"u\"}", &options,
             "{\"user_id\":\"u\",\"display_name\":\"\",\"emails\":[]}", __FILE__, __LINE__);
    pf_gives(&f, PF_WRITE, "Optionals", "{\"color\":\"COLOR_RED\"}", &options, "{\"color\":1}", __FILE__,
             __LINE__);
}

static void write_known_types(void **state)
{
    pf_writes(&f, "Known", "{\"at\":0,\"lasts\":{\"nanos\":-1}}",
              "{\"at\":\"1970-01-01T00:00:00Z\",\"lasts\":\"-0.000000001s\"}");
    pf_writes(&f, "Known", "{\"at\":{\"seconds\":-62135596800,\"nanos\":1000},\"lasts\":\"1.50s\"}",
              "{\"at\":\"0001-01-01T00:00:00.000001Z\",\"lasts\":\"1.500s\"}");
    pf_writes(&f, "Known", "{\"at\":\"2024-02-29T23:59:59.123456789Z\"}",
              "{\"at\":\"2024-02-29T23:59:59.123456789Z\"}");
    pf_writes(&f, "Known",
              "{\"mask\":[\"user_id\",\"a.b_c\"],\"int64\":5,\"bytes\":\"A\",\"object\":{\"a\":[1,null]}}",
              "{\"object\":{\"a\":[1,null]},\"mask\":\"userId,a.bC\",\"int64\":\"5\",\"bytes\":\"QQ==\"}");
    pf_writes(&f, "Known", "{\"any\":{\"@type\":\"x/google.protobuf.Timestamp\",\"seconds\":1}}",
              "{\"any\":{\"@type\":\"x/google.protobuf.Timestamp\",\"value\":\"1970-01-01T00:00:01Z\"}}");
    pf_writes(&f, "Known",
              "{\"anys\":[{},{\"@type\":\"x/test.v1.Route\",\"get\":\"g\"},{\"@type\":\"x/"
              "google.protobuf.Int64Value\","
              "\"value\":3},{\"@type\":\"x/google.protobuf.Empty\"}]}",
              "{\"anys\":[{},{\"@type\":\"x/test.v1.Route\",\"get\":\"g\"},{\"@type\":\"x/"
              "google.protobuf.Int64Value\","
              "\"value\":\"3\"},{\"@type\":\"x/google.protobuf.Empty\",\"value\":{}}]}");
    pf_refuses(&f, PF_WRITE, "Known", "{\"at\":253402300800}",
               "at: the value is a time that is not within the years 1 to 9999");
    pf_refuses(&f, PF_WRITE, "Known", "{\"lasts\":{\"seconds\":1,\"nanos\":-1}}",
               "lasts: the value has nanos that are out of range, or of another sign than the seconds");
    pf_refuses(&f, PF_WRITE, "Known", "{\"mask\":[\"ok\",\"a__b\"]}",
               "mask[2]: the path has no form in JSON: lower snake case is expected");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(read_scalars),
        cmocka_unit_test(read_others),
        cmocka_unit_test(read_known_types),
        cmocka_unit_test(refuse),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(unknown_is_ignored_when_asked),
        cmocka_unit_test(write),
        cmocka_unit_test(write_options),
        cmocka_unit_test(write_known_types),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
