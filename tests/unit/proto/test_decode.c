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

/* The one field of Scalars that is not at its default, found in the value's JSON. */
static void scalar(const char *hex, const char *member)
{
    pf_result r = pf_run(&f, PF_DECODE, "Scalars", hex, NULL);
    if (r.code)
        fail_msg("%s: %s", hex, r.err.message);
    if (!strstr(r.text, member))
        fail_msg("%s: %s is not in %s", hex, member, r.text);
}

static void scalars(void **state)
{
    scalar("09 000000000000f83f", "\"f_double\":1.5");
    scalar("15 0000c03f", "\"f_float\":1.5");
    scalar("18 96 01", "\"f_int32\":150");
    scalar("18 ffffffffffffffffff01", "\"f_int32\":-1");
    scalar("18 ffffffff0f", "\"f_int32\":-1");
    scalar("18 8080808010", "\"f_int32\":0"); /* only the low 32 bits count */
    scalar("20 8080808080808080 8001", "\"f_int64\":-9223372036854775808");
    scalar("20 ffffffffffffffff7f", "\"f_int64\":9223372036854775807");
    scalar("28 ffffffff0f", "\"f_uint32\":4294967295");
    scalar("30 ffffffffffffffffff01", "\"f_uint64\":-1"); /* two's complement */
    scalar("38 01", "\"f_sint32\":-1");
    scalar("38 ffffffff0f", "\"f_sint32\":-2147483648");
    scalar("40 ffffffffffffffffff01", "\"f_sint64\":-9223372036854775808");
    scalar("4d ffffffff", "\"f_fixed32\":4294967295");
    scalar("51 0100000000000080", "\"f_fixed64\":-9223372036854775807");
    scalar("5d ffffffff", "\"f_sfixed32\":-1");
    scalar("61 feffffffffffffff", "\"f_sfixed64\":-2");
    scalar("68 02", "\"f_bool\":true");
    scalar("68 808080808080808001", "\"f_bool\":true");
    scalar("72 03 e282ac", "\"f_string\":\"\xe2\x82\xac\"");
    scalar("7a 02 4142", "\"f_bytes\":\"AB\"");
    scalar("8001 01", "\"f_color\":\"COLOR_RED\"");
    scalar("8001 fdffffffffffffffff01", "\"f_color\":\"COLOR_BELOW\"");
    scalar("8001 07", "\"f_color\":7");                       /* no name */
    scalar("8001 01 8001 05", "\"f_color\":\"COLOR_GREEN\""); /* the last one counts */
}

static void defaults_fill_what_has_no_presence(void **state)
{
    pf_decodes(&f, "Scalars", "",
               "{\"f_double\":0,\"f_float\":0,\"f_int32\":0,\"f_int64\":0,\"f_uint32\":0,\"f_uint64\":0,"
               "\"f_sint32\":0,\"f_sint64\":0,\"f_fixed32\":0,\"f_fixed64\":0,\"f_sfixed32\":0,"
               "\"f_sfixed64\":0,\"f_bool\":false,\"f_string\":\"\",\"f_bytes\":\"\","
               "\"f_color\":\"COLOR_UNSPECIFIED\"}");
    pf_decodes(&f, "Optionals", "", "{}");
    pf_decodes(&f, "Optionals", "0800 1200 1800 2200",
               "{\"number\":0,\"text\":\"\",\"color\":\"COLOR_UNSPECIFIED\",\"node\":{\"name\":\"\","
               "\"children\":[],\"named\":{}}}");
    pf_decodes(&f, "Lists", "",
               "{\"numbers\":[],\"loose\":[],\"texts\":[],\"colors\":[],\"doubles\":[],\"flags\":[]}");
    pf_decodes(&f, "test.v0.Old", "0805", "{\"id\":5,\"sizes\":[],\"packed\":[],\"item\":[],\"by_name\":{}}");
}

static void lists(void **state)
{
    static const char rest[] = ",\"colors\":[],\"doubles\":[],\"flags\":[]}";
    char expected[256];
    /* Packed, not packed, and both at once; whatever the field says. */
    snprintf(expected, sizeof expected, "{\"numbers\":[1,150,-1,2],\"loose\":[],\"texts\":[]%s", rest);
    pf_decodes(&f, "Lists", "0a 0d 01 9601 ffffffffffffffffff01 08 02", expected);
    snprintf(expected, sizeof expected, "{\"loose\":[3,4,5],\"texts\":[\"a\",\"\"],\"numbers\":[]%s", rest);
    pf_decodes(&f, "Lists", "10 03 1a 01 61 10 04 12 01 05 1a 00", expected);
    pf_decodes(&f, "Lists", "22 03 01 07 05 2a 08 000000000000f03f 32 02 00 01",
               "{\"colors\":[\"COLOR_RED\",7,\"COLOR_GREEN\"],\"doubles\":[1],\"flags\":[false,true],"
               "\"numbers\":[],\"loose\":[],\"texts\":[]}");
    pf_decodes(&f, "Lists", "0a 00",
               "{\"numbers\":[],\"loose\":[],\"texts\":[],\"colors\":[],\"doubles\":[],\"flags\":[]}");
}

static void maps(void **state)
{
    static const char rest[] = ",\"by_flag\":{},\"by_id\":{},\"lists\":{}}";
    char expected[256];
    snprintf(expected, sizeof expected, "{\"by_name\":{\"a\":1,\"\":0},\"by_number\":{\"-1\":\"x\"}%s", rest);
    pf_decodes(&f, "Maps", "0a 05 0a01 61 1001 12 0e 08 ffffffffffffffffff01 12 01 78 0a 00", expected);
    /* The value before the key; a key twice; unknown fields inside. */
    snprintf(expected, sizeof expected, "{\"by_name\":{\"a\":3},\"by_number\":{}%s", rest);
    pf_decodes(&f, "Maps", "0a 05 1001 0a01 61 0a 09 0a01 61 1002 1801 1003", expected);
    /* A message that comes in two parts is one. */
    pf_decodes(
        &f, "Maps", "2a 0f 0a01 6b 12 03 0a 01 01 12 05 1a 01 61 1002",
        "{\"lists\":{\"k\":{\"numbers\":[1],\"loose\":[2],\"texts\":[\"a\"],\"colors\":[],\"doubles\":[],"
        "\"flags\":[]}},\"by_name\":{},\"by_number\":{},\"by_flag\":{},\"by_id\":{}}");
}

static void messages_are_merged(void **state)
{
    pf_decodes(&f, "Optionals", "22 03 0a 01 61 22 05 12 03 0a 01 62 22 00",
               "{\"node\":{\"name\":\"a\",\"children\":[{\"name\":\"b\",\"children\":[],\"named\":{}}],"
               "\"named\":{}}}");
    pf_decodes(
        &f, "Optionals", "22 05 22 03 0a 01 61 22 05 22 03 0a 01 62",
        "{\"node\":{\"next\":{\"name\":\"b\",\"children\":[],\"named\":{}},\"name\":\"\",\"children\":[],"
        "\"named\":{}}}");
}

static void oneofs(void **state)
{
    pf_decodes(&f, "Choice", "0a 01 61 10 05", "{\"number\":5,\"other\":\"\"}");
    pf_decodes(&f, "Choice", "10 00", "{\"number\":0,\"other\":\"\"}");
    pf_decodes(&f, "Choice", "20 00", "{\"nothing\":null,\"other\":\"\"}");
    pf_decodes(&f, "Choice", "1a 03 0a 01 61 10 05 1a 03 0a 01 62",
               "{\"node\":{\"name\":\"b\",\"children\":[],\"named\":{}},\"other\":\"\"}");
    pf_decodes(&f, "Choice", "1a 05 12 03 0a 01 61 1a 03 0a 01 62",
               "{\"node\":{\"children\":[{\"name\":\"a\",\"children\":[],\"named\":{}}],\"name\":\"b\","
               "\"named\":{}},"
               "\"other\":\"\"}");
}

static void older_messages(void **state)
{
    pf_decodes(&f, "test.v0.Old", "0801 33 0807 34 43 0a0161 44 43 44",
               "{\"id\":1,\"detail\":{\"x\":7},\"item\":[{\"label\":\"a\"},{}],\"sizes\":[],\"packed\":[],"
               "\"by_name\":{}}");
    pf_decodes(
        &f, "test.v0.Old", "0801 a206 01 61 a806 05 aa06 02 0607 b206 02 0802",
        "{\"id\":1,\"[test.v0.nick]\":\"a\",\"[test.v0.marks]\":[5,6,7],\"[test.v0.other]\":{\"id\":2,"
        "\"sizes\":[],\"packed\":[],\"item\":[],\"by_name\":{}},\"sizes\":[],\"packed\":[],\"item\":[],"
        "\"by_name\":{}}");
    pf_refuses(&f, PF_DECODE, "test.v0.Old", "1201 61", "test.v0.Old.id, which is required, is not set");
    pf_refuses(&f, PF_DECODE, "test.v0.Old", "0801 b206 00",
               "[test.v0.other]: test.v0.Old.id, which is required, is not set");
    /* Strings of proto2 may be anything. */
    pf_decodes(&f, "test.v0.Loose", "0a 01 ff", "{\"text\":\"\xef\xbf\xbd\"}");
}

static void known_types(void **state)
{
    pf_decodes(&f, "Known", "0a 06 08 80a8d6b9 07",
               "{\"at\":{\"seconds\":2000000000,\"nanos\":0},\"anys\":[]}");
    pf_decodes(&f, "Known", "12 0d 10 ffffffffffffffffff01 08 00",
               "{\"lasts\":{\"nanos\":-1,\"seconds\":0},\"anys\":[]}");
}

static void known_values(void **state)
{
    pf_decodes(&f, "google.protobuf.Value", "08 00", "null");
    pf_decodes(&f, "google.protobuf.Value", "", "null");
    pf_decodes(&f, "google.protobuf.Value", "11 0000000000000840", "3");
    pf_decodes(&f, "google.protobuf.Value", "11 000000000000e03f", "0.5");
    pf_decodes(&f, "google.protobuf.Value", "1a 01 61 20 01", "true");
    pf_decodes(&f, "google.protobuf.Value", "32 09 0a 02 2001 0a 03 1a 01 61", "[true,\"a\"]");
    pf_decodes(&f, "google.protobuf.Struct", "0a 07 0a 01 61 12 02 2001 0a 05 0a 01 62 12 00",
               "{\"a\":true,\"b\":null}");
    pf_decodes(&f, "Known", "1a 09 0a 07 0a 01 61 12 02 2001 22 02 2000 2a 04 0a 02 0800",
               "{\"object\":{\"a\":true},\"value\":false,\"list\":[null],\"anys\":[]}");
    pf_decodes(
        &f, "Known", "3a 08 0a 03 612e62 0a 01 63 42 00 4a 02 0805 52 00 5a 02 0801",
        "{\"mask\":[\"a.b\",\"c\"],\"empty\":{},\"int64\":5,\"string\":\"\",\"bool\":true,\"anys\":[]}");
}

static void any_forms(void **state)
{
    pf_decodes(&f, "google.protobuf.Any", "0a 0f 782f746573742e76312e526f757465 12 03 0a 01 78",
               "{\"get\":\"x\",\"@type\":\"x/test.v1.Route\"}");
    pf_decodes(&f, "google.protobuf.Any",
               "0a 1a 782f676f6f676c652e70726f746f6275662e4475726174696f6e 12 02 0803",
               "{\"seconds\":3,\"nanos\":0,\"@type\":\"x/google.protobuf.Duration\"}");
    pf_decodes(&f, "google.protobuf.Any",
               "0a 1c 782f676f6f676c652e70726f746f6275662e496e74363456616c7565 12 02 0803",
               "{\"value\":3,\"@type\":\"x/google.protobuf.Int64Value\"}");
    pf_decodes(&f, "google.protobuf.Any", "0a 05 782f612e62 12 02 4142",
               "{\"value\":\"AB\",\"@type\":\"x/a.b\"}");
    pf_decodes(&f, "google.protobuf.Any", "", "{}");
}

static void broken(void **state)
{
    static const struct {
        const char *hex, *message;
    } cases[] = {
        {"08", "number: the message ends in the middle of a field"},
        {"0880", "number: the message ends in the middle of a field"},
        {"08 ffffffffffffffffffff01", "number: the message has a varint of more than 10 bytes"},
        {"12 05 61", "text: the message has a field that is longer than what is left of it"},
        {"12 ffffffffffffffffff01", "text: the message has a field that is longer than what is left of it"},
        {"00 01", "test.v1.Optionals: the message has a field with the number 0"},
        {"8080808080 01", "test.v1.Optionals: the message has a field number that is too large"},
        {"0e", "test.v1.Optionals: the message has a field of a wire type that does not exist"},
        {"0c", "test.v1.Optionals: the message has the end of a group that did not begin"},
        {"fb01", "test.v1.Optionals: the message ends in the middle of a field"},
        {"fb01 8402", "test.v1.Optionals: the message has a group that ends with another number"},
        {"12 02 c328", "text: the string is not UTF-8 at byte 1 (bytes are for what is no text)"},
        {"22 04 12 02 0a 05",
         "node.children[1].name: the message has a field that is longer than what is left of it"},
        {"22 09 1a 07 0a 01 ff 12 02 12 00",
         "node.named: the string is not UTF-8 at byte 1 (bytes are for what is no text)"},
        {"22 06 1a 04 0a 02 c328",
         "node.named: the string is not UTF-8 at byte 1 (bytes are for what is no text)"},
        {"29 00", "test.v1.Optionals: the message ends in the middle of a field"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        pf_refuses(&f, PF_DECODE, "Optionals", cases[i].hex, cases[i].message);
    /* Messages are text, whatever the peer has sent for a key. */
    pf_refuses(&f, PF_DECODE, "Known", "1a09 0a07 0a03 61ff62 1200",
               "object.a?b: the string is not UTF-8 at byte 2 (bytes are for what is no text)");
}

/* node.next.next… */
static void nested(char *out, size_t size, unsigned levels)
{
    char tail[4096];
    out[0] = '\0';
    for (unsigned i = 0; i < levels; i++) {
        size_t len = strlen(out) / 2;
        snprintf(tail, sizeof tail, "%s", out);
        if (len < 128)
            snprintf(out, size, "22%02x%s", (unsigned)len, tail);
        else
            snprintf(out, size, "22%02x%02x%s", (unsigned)(len & 127) | 128, (unsigned)len >> 7, tail);
    }
}

static void depth_is_limited(void **state)
{
    char hex[4096];
    nested(hex, sizeof hex, 99);
    assert_int_equal(pf_run(&f, PF_DECODE, "Node", hex, NULL).code, PL_OK);
    nested(hex, sizeof hex, 100);
    pf_result r = pf_run(&f, PF_DECODE, "Node", hex, NULL);
    assert_int_equal(r.code, PL_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(r.err.message, "more than 100 messages inside of each other"));
    pb_codec_limit(f.codec, &(pb_limits){.max_depth = 3});
    assert_int_equal(pf_run(&f, PF_DECODE, "Node", "2204 2202 2200", NULL).code, PL_RESOURCE_EXHAUSTED);
    assert_int_equal(pf_run(&f, PF_DECODE, "Node", "2202 2200", NULL).code, PL_OK);
    /* Groups that nobody knows count, too. */
    assert_int_equal(pf_run(&f, PF_DECODE, "Node", "fb01 fb01 fb01 fb01 fc01 fc01 fc01 fc01", NULL).code,
                     PL_INVALID_ARGUMENT);
    pb_codec_limit(f.codec, &(pb_limits){0});
}

static void memory_is_limited(void **state)
{
    pb_codec_limit(f.codec, &(pb_limits){.max_memory = 4096});
    char hex[4001] = "";
    for (unsigned i = 0; i < 1000; i++)
        memcpy(hex + i * 4, "1200", 5);
    pf_result r = pf_run(&f, PF_DECODE, "Node", hex, NULL);
    assert_int_equal(r.code, PL_RESOURCE_EXHAUSTED);
    pb_codec_limit(f.codec, &(pb_limits){0});
    assert_int_equal(pf_run(&f, PF_DECODE, "Node", hex, NULL).code, PL_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars),
        cmocka_unit_test(defaults_fill_what_has_no_presence),
        cmocka_unit_test(lists),
        cmocka_unit_test(maps),
        cmocka_unit_test(oneofs),
        cmocka_unit_test(messages_are_merged),
        cmocka_unit_test(older_messages),
        cmocka_unit_test(known_values),
        cmocka_unit_test(any_forms),
        cmocka_unit_test(broken),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(memory_is_limited),
        cmocka_unit_test(known_types),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
