/* SPDX-License-Identifier: MIT */
#include "support/failing.h"
#include "support/proto_fixture.h"

/* Every allocation of every direction fails once: an error, no leak, and the next run is right. */

static void each_fails(pf_work work, const char *type, const char *in)
{
    failing a = {0};
    pf f;
    pf_open(&f);
    while (failing_next(&a)) {
        pb_codec_free(f.codec);
        f.codec = pb_codec_new(f.pool, te_state(f.t));
        failing_begin(&a);
        pf_result r = pf_run(&f, work, type, in, NULL);
        if (!failing_end(&a) && r.code)
            fail_msg("%s: %s", in, r.err.message);
        else if (r.code && r.code != PL_RESOURCE_EXHAUSTED)
            fail_msg("allocation %zu of %s: %s", a.n, in, r.err.message);
    }
    assert_true(a.made > 5);
    pf_close(&f);
}

static const char value[] =
    "{\"at\":{\"seconds\":5,\"nanos\":0},\"object\":{\"a\":[1,null,\"x\"]},\"mask\":[\"a_b\"],\"int64\":5,"
    "\"any\":{\"@type\":\"x/"
    "test.v1.User\",\"user_id\":\"u\",\"emails\":[{\"address\":\"a\"}]},\"anys\":[{}]}";
static const char json[] = "{\"at\":\"2001-02-03T04:05:06Z\",\"object\":{\"a\":[1,null,\"\\u0020x\"]},"
                           "\"mask\":\"aB\",\"int64\":\"5\","
                           "\"bytes\":\"QUI=\",\"any\":{\"userId\":\"u\",\"@type\":\"x/"
                           "test.v1.User\",\"emails\":[{\"address\":\"a\"}]}}";

static void decoding(void **state)
{
    each_fails(PF_DECODE, "Maps", "0a05 0a0161 1001 2204 0805 1001 2a0f 0a016b 1203 0a0101 1205 1a0161 1002");
    each_fails(PF_DECODE, "Known",
               "0a02 0805 1a09 0a07 0a0161 1202 2001 3a03 0a0161 4a02 0805 3214 0a0e "
               "782f746573742e76312e55736572 1202 1200");
    each_fails(PF_DECODE, "User", "0a0175 a00601 1a06 0a0161 a00602 a00603");
    each_fails(PF_DECODE, "Optionals", "2206 a00601 0a016e a00602 2203 a00603");
}

static void encoding(void **state)
{
    each_fails(PF_ENCODE, "Known", value);
    each_fails(PF_ENCODE, "Maps",
               "{\"by_name\":{\"a\":1},\"by_id\":{},\"lists\":{\"k\":{\"texts\":[\"a\",\"b\"]}}}");
}

static void writing(void **state)
{
    each_fails(PF_WRITE, "Known", value);
    each_fails(PF_WRITE, "Maps", "{\"by_name\":{\"a\":1},\"lists\":{\"k\":{\"texts\":[\"a\",\"b\"]}}}");
}

static void reading(void **state)
{
    each_fails(PF_READ, "Known", json);
    each_fails(PF_READ, "Maps", "{\"byName\":{\"\\u0061\":1},\"lists\":{\"k\":{\"texts\":[\"a\",\"b\"]}}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoding),
        cmocka_unit_test(encoding),
        cmocka_unit_test(writing),
        cmocka_unit_test(reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
