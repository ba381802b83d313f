/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "support/failing.h"
#include "support/graphql_fixture.h"

/* extensions.ftv1: read back from the response, and printed with the field numbers of reports.proto. */

static const char sdl[] = "type Query { a: Int b: [Item!] c: Int }\n"
                          "type Item @key(fields: \"id\") { id: ID! slow: String sure: Int! }\n";

static const pl_header headers[] = {{PL_STR("apollo-federation-include-trace"), PL_STR("ftv1")}};

static int setup(void **state)
{
    static gf f;
    gf_open(&f, sdl);
    f.headers = headers;
    f.header_count = 1;
    gf_give(&f, "Query", "a", te_int(1));
    gf_wait(&f, "Item", "slow", te_string(f.t, "s"));
    gf_wait(&f, "Query", "b",
            te_list(f.t, 2, te_map(f.t, "id", te_int(1), NULL), te_map(f.t, "id", te_int(2), NULL)));
    *state = &f;
    return 0;
}

/* --- reading --- */

typedef enum message { TRACE, TIMESTAMP, NODE, ERROR, LOCATION, TEXT } message;

/* Of a field with a length, what it holds. */
static message kind_of(message of, uint64_t field)
{
    if (of == TRACE)
        return field == 14 ? NODE : TIMESTAMP;
    if (of == NODE)
        return field == 11 ? ERROR : field == 12 ? NODE : TEXT;
    return of == ERROR && field == 2 ? LOCATION : TEXT;
}

static uint64_t read_varint(pl_str *s)
{
    uint64_t v = 0;
    for (unsigned shift = 0;; shift += 7) {
        assert_true(s->len > 0 && shift < 64);
        unsigned char c = (unsigned char)*s->ptr;
        v |= (uint64_t)(c & 127) << shift;
        s->ptr++;
        s->len--;
        if (c < 128)
            return v;
    }
}

static void print_fields(pl_buf *out, message of, pl_str s)
{
    for (bool first = true; s.len > 0; first = false) {
        uint64_t tag = read_varint(&s), v = read_varint(&s);
        pl_buf_printf(out, "%s%u", first ? "" : " ", (unsigned)(tag >> 3));
        if ((tag & 7) == 0) {
            pl_buf_printf(out, ":%llu", (unsigned long long)v);
            continue;
        }
        assert_int_equal(tag & 7, 2);
        assert_true(v <= s.len);
        message inner = kind_of(of, tag >> 3);
        pl_str part = {s.ptr, (size_t)v};
        if (inner == TEXT) {
            pl_buf_printf(out, "'%.*s'", PL_STR_ARG(part));
        } else {
            pl_buf_char(out, '{');
            print_fields(out, inner, part);
            pl_buf_char(out, '}');
        }
        s.ptr += v;
        s.len -= (size_t)v;
    }
}

static size_t decode(char *text, const char *base64, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = 0;
    unsigned bits = 0, count = 0;
    for (size_t i = 0; i < len && base64[i] != '='; i++) {
        const char *digit = strchr(digits, base64[i]);
        assert_non_null(digit);
        bits = bits << 6 | (unsigned)(digit - digits);
        count += 6;
        if (count >= 8) {
            count -= 8;
            text[n++] = (char)(bits >> count);
        }
    }
    return n;
}

/* The trace in a response, as text, to be freed; NULL: there is none. */
static char *trace_of(const char *body)
{
    static const char opening[] = ",\"extensions\":{\"ftv1\":\"";
    const char *at = strstr(body, opening);
    if (!at)
        return NULL;
    at += sizeof opening - 1;
    size_t len = strcspn(at, "\"");
    char *bytes = malloc(len + 1);
    pl_buf out;
    pl_buf_init(&out);
    print_fields(&out, TRACE, (pl_str){bytes, decode(bytes, at, len)});
    pl_buf_char(&out, '\0');
    assert_false(out.failed);
    char *text = strdup(out.data);
    free(bytes);
    pl_buf_dispose(&out);
    return text;
}

static void check_trace(gf_request *r, const char *expected)
{
    assert_int_equal(r->done, 1);
    char *text = trace_of(r->body);
    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
}

/* --- */

#define AT_1000 "{1:1700000001 2:0}"

static void test_fields(void **state)
{
    gf *f = *state;
    gf_request r;
    gf_start(&r, f, "{ a again: a c __typename __schema { queryType { name } } }", NULL);
    check_trace(&r, "3" AT_1000 " 4" AT_1000
                    " 11:0 14{12{1'a' 3'Int' 8:0 9:0 13'Query'} 12{1'again' 3'Int' 8:0 9:0 "
                    "13'Query' 14'a'} 12{1'c' 3'Int' 8:0 9:0 13'Query'}}");
    gf_end(&r);
}

static void test_times(void **state)
{
    gf *f = *state;
    gf_request r;
    gf_start(&r, f, "{ b { slow id } }", NULL);
    te_advance(f->t, 2);
    te_resume(f->t, te_waiting_for(f->t, "b"));
    te_advance(f->t, 1);
    te_resume(f->t, te_waiting_at(f->t, 1));
    te_advance(f->t, 1500);
    te_resume(f->t, te_waiting_at(f->t, 0));
    check_trace(
        &r, "3{1:1700000002 2:503000000} 4" AT_1000 " 11:1503000000 14{12{1'b' 3'[Item!]' 8:0 9:2000000 "
            "12{2:0 12{1'slow' 3'String' 8:2000000 9:1503000000 13'Item'} 12{1'id' 3'ID!' 8:2000000 "
            "9:2000000 13'Item'}} "
            "12{2:1 12{1'slow' 3'String' 8:2000000 9:3000000 13'Item'} 12{1'id' 3'ID!' 8:2000000 9:2000000 "
            "13'Item'}} 13'Query'}}");
    gf_end(&r);
}

static void test_errors(void **state)
{
    gf *f = *state;
    gf_request r;
    gf_fail(f, "Query", "a", "no \"a\" today");
    gf_start(&r, f, "{ a }", NULL);
    check_trace(
        &r,
        "3" AT_1000 " 4" AT_1000 " 11:0 14{12{1'a' 3'Int' 8:0 9:0 11{1'no \"a\" today' 2{1:1 2:3} 3:0 "
        "4'{\"message\":\"no \\\"a\\\" today\",\"locations\":[{\"line\":1,\"column\":3}],\"path\":[\"a\"],"
        "\"extensions\":{\"code\":\"NOT_FOUND\"}}'} 13'Query'}}");
    gf_end(&r);
}

/* The list of entities is there when the last of them is. */
static void test_entities(void **state)
{
    gf *f = *state;
    gf_request r;
    gf_wait(f, "Item", "__resolve_reference", te_map(f->t, "id", te_int(7), NULL));
    gf_start(&r, f,
             "{ _entities(representations: [{ __typename: \"Item\" }, { __typename: \"Item\" }]) { ... on "
             "Item { id } } }",
             NULL);
    te_advance(f->t, 1);
    te_resume(f->t, te_waiting_at(f->t, 0));
    te_advance(f->t, 1);
    te_resume(f->t, te_waiting_at(f->t, 0));
    check_trace(&r, "3{1:1700000001 2:2000000} 4" AT_1000
                    " 11:2000000 14{12{1'_entities' 3'[_Entity]!' 8:0 9:2000000 "
                    "12{2:0 12{1'id' 3'ID!' 8:1000000 9:1000000 13'Item'}} "
                    "12{2:1 12{1'id' 3'ID!' 8:2000000 9:2000000 13'Item'}} 13'Query'}}");
    gf_end(&r);
}

/* What comes in several payloads has none; what might, but does not, has one. */
static void test_incremental(void **state)
{
    gf *f = *state;
    gf_request r;
    f->incremental = GQL_INCREMENTAL_NEW;
    gf_start(&r, f, "{ a ... @defer { c } }", NULL);
    gf_settle(f);
    assert_null(strstr(r.all, "ftv1"));
    assert_non_null(strstr(r.all, "\"hasNext\":false"));
    gf_end(&r);
    gf_start(&r, f, "{ a ... @defer(if: false) { c } }", NULL);
    char *text = trace_of(r.body);
    assert_non_null(text);
    free(text);
    gf_end(&r);
}

static void test_not_asked_for(void **state)
{
    static const pl_header others[] = {{PL_STR("apollo-federation-include-trace"), PL_STR("ftv2")}};
    gf *f = *state;
    f->headers = others;
    gf_expect(f, "{ a }", NULL, "{\"data\":{\"a\":1}}");
    f->header_count = 0;
    gf_expect(f, "{ a }", NULL, "{\"data\":{\"a\":1}}");
}

static void test_no_subgraph(void **state)
{
    gf f;
    gf_open(&f, "type Query { a: Int }");
    f.headers = headers;
    f.header_count = 1;
    gf_expect(&f, "{ a }", NULL, "{\"data\":{\"a\":null}}");
    gf_close(&f);
}

/* A trace is bounded, and says when it is not whole. */
static void test_too_large(void **state)
{
    gf *f = *state;
    gf_request r;
    te_value list = te_list(f->t, 0), item = te_map(f->t, "id", te_int(1), NULL);
    for (int i = 0; i < 30000; i++)
        te_append(f->t, list, item);
    gf_give(f, "Query", "b", list);
    gf_start(&r, f, "{ b { id } }", NULL);
    assert_null(strstr(r.body, "errors"));
    char *text = trace_of(r.body);
    assert_non_null(text);
    assert_string_equal(text + strlen(text) - 5, " 33:1");
    free(text);
    gf_end(&r);
}

static void test_no_memory(void **state)
{
    failing a = {0};
    while (failing_next(&a)) {
        gf *f;
        gf_request r;
        setup((void **)&f);
        gf_restart(f);
        f->failing = &a;
        gf_start(&r, f, "{ a b { id } }", NULL);
        while (te_waiting(f->t) > 0)
            te_resume(f->t, te_waiting_at(f->t, 0));
        failing_end(&a);
        assert_int_equal(r.done, 1);
        gf_end(&r);
        gf_close(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_fields, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_incremental, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_times, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_errors, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_entities, setup, gf_teardown),
        cmocka_unit_test_setup_teardown(test_not_asked_for, setup, gf_teardown),
        cmocka_unit_test(test_no_subgraph),
        cmocka_unit_test_setup_teardown(test_too_large, setup, gf_teardown),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
