/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "support/failing.h"
#include "value/json_schemas.h"

static pl_code check(const char *schema, const char *value, pl_error *err)
{
    pl_json_schemas *schemas = pl_json_schemas_new();
    pl_error_clear(err);
    pl_code code =
        schemas ? pl_json_schemas_add(schemas, PL_STR("s"), pl_str_of(schema), err) : pl_fail_memory(err);
    if (!code)
        code = pl_json_schemas_check(schemas, PL_STR("s"), pl_str_of(value), err);
    pl_json_schemas_free(schemas);
    return code;
}

static void good(const char *schema, const char *value)
{
    pl_error err;
    if (check(schema, value, &err) != PL_OK)
        fail_msg("%s: %s: %s", schema, value, err.message);
}

static void bad(const char *schema, const char *value, const char *message)
{
    pl_error err;
    assert_int_equal(check(schema, value, &err), PL_INVALID_ARGUMENT);
    assert_string_equal(err.message, message);
}

static void no_schema(const char *schema, const char *message)
{
    pl_error err;
    pl_json_schema *made;
    pl_error_clear(&err);
    assert_int_equal(pl_json_schema_new(pl_str_of(schema), &made, &err), PL_INVALID_ARGUMENT);
    assert_null(made);
    if (strncmp(err.message, message, strlen(message)) != 0)
        fail_msg("%s: %s", schema, err.message);
}

static void test_types(void **state)
{
    good("{\"type\":\"integer\"}", "1");
    good("{\"type\":\"integer\"}", "1.0");
    good("{\"type\":[\"string\",\"null\"]}", "null");
    good("true", "[1]");
    bad("{\"type\":\"integer\"}", "1.5", "/: must be integer, and is number");
    bad("{\"type\":\"number\"}", "\"1\"", "/: must be number, and is string");
    bad("{\"type\":[\"string\",\"null\"]}", "{}", "/: must be null or string, and is object");
    bad("{\"type\":\"array\"}", "true", "/: must be array, and is boolean");
    bad("false", "1", "/: may not be there");
}

static void test_values_of_a_list(void **state)
{
    good("{\"enum\":[1,\"a\",{\"x\":[1,2],\"y\":null}]}", "{\"y\":null,\"x\":[1.0,2]}");
    good("{\"const\":null}", "null");
    bad("{\"enum\":[1,\"a\"]}", "\"b\"", "/: is none of the values that it may be");
    bad("{\"const\":{\"a\":1}}", "{\"a\":2}", "/: is not the value that it must be");
    bad("{\"const\":[1,2]}", "[1]", "/: is not the value that it must be");
    bad("{\"const\":false}", "0", "/: is not the value that it must be");
}

static void test_numbers(void **state)
{
    good("{\"minimum\":1,\"maximum\":2}", "1.5");
    bad("{\"minimum\":1}", "0.99", "/: is below the minimum");
    bad("{\"maximum\":9007199254740992}", "9007199254740993", "/: is above the maximum"); /* exactly */
    bad("{\"maximum\":1e3}", "1001", "/: is above the maximum");
    bad("{\"exclusiveMinimum\":1}", "1.0", "/: is not above the exclusiveMinimum");
    bad("{\"exclusiveMaximum\":1.5}", "1.5", "/: is not below the exclusiveMaximum");
    good("{\"multipleOf\":0.01}", "19.99");
    good("{\"multipleOf\":3}", "9");
    bad("{\"multipleOf\":0.01}", "19.995", "/: is no multiple of 0.01");
    good("{\"minimum\":5}", "\"of strings it says nothing\"");
}

static void test_strings_are_counted_in_characters(void **state)
{
    good("{\"minLength\":2,\"maxLength\":2}", "\"\xc3\xa9\xf0\x9f\x98\x80\"");
    bad("{\"minLength\":2}", "\"a\"", "/: has 1 characters, and must have 2 at least");
    bad("{\"maxLength\":1}", "\"ab\"", "/: has 2 characters, and may have 1 at most");
}

static void test_objects(void **state)
{
    static const char order[] =
        "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"object\","
        "\"properties\":{\"id\":{\"type\":\"string\"},\"items\":{\"type\":\"array\",\"items\":"
        "{\"$ref\":\"#/definitions/item\"}}},\"required\":[\"id\"],"
        "\"additionalProperties\":false,\"definitions\":{\"item\":{\"type\":\"object\","
        "\"properties\":{\"price\":{\"type\":\"number\"}},\"required\":[\"price\"]}}}";
    good(order, "{\"id\":\"a\",\"items\":[{\"price\":1},{\"price\":2,\"more\":1}]}");
    bad(order, "{}", "/: must have \"id\"");
    bad(order, "{\"id\":\"a\",\"itens\":[]}", "/itens: is no property that there may be");
    bad(order, "{\"id\":\"a\",\"items\":[{\"price\":1},{\"price\":\"2\"}]}",
        "/items/1/price: must be number, and is string");
    bad(order, "{\"id\":\"a\",\"items\":[{}]}", "/items/0: must have \"price\"");
    bad("{\"additionalProperties\":{\"type\":\"string\"}}", "{\"a\":\"\",\"b\":1}",
        "/b: must be string, and is integer");
    bad("{\"minProperties\":1}", "{}", "/: has 0 properties, and must have 1 at least");
    bad("{\"maxProperties\":1}", "{\"a\":1,\"b\":2}", "/: has 2 properties, and may have 1 at most");
    bad("{\"propertyNames\":{\"maxLength\":1}}", "{\"ab\":1}",
        "/ab: has 2 characters, and may have 1 at most");
    bad("{\"dependentRequired\":{\"a\":[\"b\"]}}", "{\"a\":1}", "/: must have \"b\", as it has \"a\"");
    good("{\"dependentRequired\":{\"a\":[\"b\"]}}", "{\"c\":1}");
}

static void test_arrays(void **state)
{
    good("{\"prefixItems\":[{\"type\":\"string\"}],\"items\":{\"type\":\"integer\"}}", "[\"a\",1,2]");
    bad("{\"prefixItems\":[{\"type\":\"string\"}],\"items\":false}", "[\"a\",1]", "/1: may not be there");
    bad("{\"minItems\":1}", "[]", "/: has 0 items, and must have 1 at least");
    bad("{\"maxItems\":1}", "[1,2]", "/: has 2 items, and may have 1 at most");
    good("{\"uniqueItems\":true}", "[1,\"1\",true,null,[1],{\"a\":1},{\"a\":2}]");
    bad("{\"uniqueItems\":true}", "[{\"a\":1,\"b\":2},{\"b\":2.0,\"a\":1}]",
        "/: has two items that are the same");
    good("{\"contains\":{\"const\":1},\"maxContains\":2}", "[1,2,1]");
    bad("{\"contains\":{\"const\":1}}", "[2]",
        "/: has 0 items that match contains, and must have 1 at least");
    bad("{\"contains\":{\"const\":1},\"maxContains\":1}", "[1,1]",
        "/: has 2 items that match contains, and may have 1 at most");
}

static void test_combinations(void **state)
{
    static const char choice[] = "{\"if\":{\"properties\":{\"kind\":{\"const\":\"card\"}}},"
                                 "\"then\":{\"required\":[\"number\"]},\"else\":{\"required\":[\"iban\"]}}";
    good("{\"allOf\":[{\"minimum\":1},{\"maximum\":3}]}", "2");
    bad("{\"allOf\":[{\"minimum\":1},{\"maximum\":3}]}", "4", "/: is above the maximum");
    good("{\"anyOf\":[{\"type\":\"string\"},{\"minimum\":3}]}", "4");
    bad("{\"anyOf\":[{\"type\":\"string\"},{\"minimum\":3}]}", "2", "/: is none of what anyOf says");
    good("{\"oneOf\":[{\"multipleOf\":3},{\"multipleOf\":5}]}", "10");
    bad("{\"oneOf\":[{\"multipleOf\":3},{\"multipleOf\":5}]}", "15",
        "/: is 2 of what oneOf says, and must be one");
    bad("{\"oneOf\":[{\"multipleOf\":3},{\"multipleOf\":5}]}", "7", "/: is none of what oneOf says");
    bad("{\"not\":{\"type\":\"string\"}}", "\"a\"", "/: is what it must not be");
    good(choice, "{\"kind\":\"card\",\"number\":1}");
    bad(choice, "{\"kind\":\"card\"}", "/: must have \"number\"");
    bad(choice, "{\"kind\":\"debit\"}", "/: must have \"iban\"");
}

static void test_schemas_that_refer_to_themselves(void **state)
{
    static const char tree[] =
        "{\"type\":\"object\",\"properties\":{\"children\":{\"items\":{\"$ref\":\"#\"}},"
        "\"a/b~c\":{\"$ref\":\"#/properties/children\"},\"x\":{\"$ref\":"
        "\"#/properties/a~1b~0c/x-none\"}}}";
    pl_error err;
    no_schema(tree, "$ref: there is no schema at \"#/properties/a~1b~0c/x-none\"");
    good("{\"properties\":{\"children\":{\"items\":{\"$ref\":\"#\"}},\"n\":{\"type\":\"integer\"}}}",
         "{\"n\":1,\"children\":[{\"n\":2},{\"children\":[{\"n\":3}]}]}");
    bad("{\"properties\":{\"children\":{\"items\":{\"$ref\":\"#\"}},\"n\":{\"type\":\"integer\"}}}",
        "{\"children\":[{\"children\":[{\"n\":\"3\"}]}]}",
        "/children/0/children/0/n: must be integer, and is string");
    /* Round in circles, and in more and more ways: both end. */
    assert_int_equal(check("{\"$ref\":\"#\"}", "1", &err), PL_RESOURCE_EXHAUSTED);
    assert_int_equal(check("{\"not\":{\"$ref\":\"#\"}}", "1", &err), PL_RESOURCE_EXHAUSTED);
    assert_int_equal(
        check("{\"anyOf\":[{\"items\":{\"$ref\":\"#\"},\"minItems\":1},{\"items\":{\"$ref\":\"#\"},"
              "\"maxItems\":1,\"type\":\"array\",\"minItems\":1}]}",
              "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", &err),
        PL_OK);
    assert_int_equal(
        check("{\"anyOf\":[{\"items\":{\"$ref\":\"#\"},\"type\":\"array\",\"minItems\":1},{\"items\":{\"$"
              "ref\":\"#\"},\"type\":\"array\",\"minItems\":1}]}",
              "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", &err),
        PL_RESOURCE_EXHAUSTED);
}

static void test_what_is_not_supported_is_refused(void **state)
{
    no_schema("{\"properties\":{\"a\":{\"patern\":\"x\"}}}",
              "/properties/a/patern: this keyword is not supported");
    no_schema("{\"unevaluatedProperties\":false}", "/unevaluatedProperties: this keyword");
    no_schema("{\"$ref\":\"other.json\"}", "/$ref: only places in the same schema");
    no_schema("{\"$schema\":\"http://json-schema.org/draft-04/schema#\"}", "/$schema: only draft-07");
    no_schema(
        "{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"$ref\":\"#/definitions/a\",\"type\":"
        "\"string\",\"definitions\":{\"a\":true}}",
        "/: draft-07 passes over");
    no_schema("{\"items\":[{}]}", "/items: a list of schemas here is called prefixItems");
    no_schema("{\"type\":\"text\"}", "/type: must be null, boolean");
    no_schema("{\"minLength\":-1}", "/minLength: must be a whole number");
    no_schema("{\"multipleOf\":0}", "/multipleOf: must be a number above 0");
    no_schema("{\"required\":\"a\"}", "/required: must be a list of names");
    no_schema("{\"anyOf\":[]}", "/anyOf: must be a list of schemas");
    no_schema("{\"properties\":{\"a\":1}}", "/properties/a: must be a schema");
    no_schema("{\"a\":", "");
    good("{\"title\":\"T\",\"description\":\"d\",\"format\":\"email\",\"x-own\":{\"a\":1},\"examples\":[1]}",
         "1");
}

static void test_without_memory(void **state)
{
    static const char schema[] =
        "{\"type\":\"object\",\"properties\":{\"a\":{\"uniqueItems\":true,\"items\":"
        "{\"$ref\":\"#/$defs/i\"}}},\"required\":[\"a\"],\"$defs\":{\"i\":{\"enum\":[1,2]}}}";
    failing a = {.sticky = true};
    while (failing_next(&a)) {
        pl_error err;
        failing_begin(&a);
        pl_code code = check(schema, "{\"a\":[1,2]}", &err);
        if (failing_end(&a))
            assert_true(code == PL_RESOURCE_EXHAUSTED || code == PL_OK);
        else
            assert_int_equal(code, PL_OK);
    }
    assert_true(a.made > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_values_of_a_list),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_strings_are_counted_in_characters),
        cmocka_unit_test(test_objects),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_combinations),
        cmocka_unit_test(test_schemas_that_refer_to_themselves),
        cmocka_unit_test(test_what_is_not_supported_is_refused),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
