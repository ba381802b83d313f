/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "grpc/policy/breaker.h"

/* A story is a list of steps: calls begin and end at given times. */
typedef enum what { BEGIN, REFUSED, END_OK, END_BAD, END_GONE, LOOK, RESET } what;
typedef struct step {
    uint64_t at;
    what what;
    int call; /* its number */
    pl_breaker_state then;
} step;
#define CLOSED PL_BREAKER_CLOSED
#define OPEN PL_BREAKER_OPEN
#define HALF PL_BREAKER_HALF_OPEN

static void tell_at(const pl_breaker_config *config, const step *steps, size_t count)
{
    pl_breaker b;
    pl_breaker_permit permits[16];
    pl_breaker_init(&b, config);
    for (size_t i = 0; i < count; i++) {
        const step *s = &steps[i];
        pl_breaker_permit none;
        pl_breaker_state before = b.state;
        bool changed = false;
        switch (s->what) {
        case BEGIN:
            if (!pl_breaker_begin(&b, s->at, &permits[s->call]))
                fail_msg("step %zu: refused", i);
            break;
        case REFUSED:
            if (pl_breaker_begin(&b, s->at, &none))
                fail_msg("step %zu: let through", i);
            assert_true(pl_breaker_retry_after(&b, s->at) > 0);
            break;
        case LOOK:
            break;
        case RESET:
            pl_breaker_reset(&b, s->at);
            break;
        default:
            changed = pl_breaker_end(&b, &permits[s->call], (pl_breaker_outcome)(s->what - END_OK), s->at);
            assert_int_equal(changed, before != b.state);
        }
        if (pl_breaker_look(&b, s->at).state != s->then)
            fail_msg("step %zu: %s, not %s", i, pl_breaker_state_name(pl_breaker_look(&b, s->at).state),
                     pl_breaker_state_name(s->then));
    }
}
#define TELL(config, ...)                                     \
    do {                                                      \
        static const step steps[] = {__VA_ARGS__};            \
        tell_at(config, steps, sizeof steps / sizeof *steps); \
    } while (0)

static const pl_breaker_config three = {.failures = 3, .open = 1000};

static void test_failures_in_a_row(void **state)
{
    TELL(&three, {0, BEGIN, 0, CLOSED}, {1, END_BAD, 0, CLOSED}, {2, BEGIN, 0, CLOSED},
         {3, END_BAD, 0, CLOSED}, {4, BEGIN, 0, CLOSED}, {5, END_BAD, 0, OPEN}, {6, REFUSED, 0, OPEN});
    /* A success begins the count anew. */
    TELL(&three, {0, BEGIN, 0, CLOSED}, {0, END_BAD, 0, CLOSED}, {0, BEGIN, 0, CLOSED},
         {0, END_BAD, 0, CLOSED}, {0, BEGIN, 0, CLOSED}, {0, END_OK, 0, CLOSED}, {0, BEGIN, 0, CLOSED},
         {0, END_BAD, 0, CLOSED}, {0, BEGIN, 0, CLOSED}, {0, END_BAD, 0, CLOSED}, {0, BEGIN, 0, CLOSED},
         {0, END_BAD, 0, OPEN});
    /* What nobody waited for says nothing, and leaves the count. */
    TELL(&three, {0, BEGIN, 0, CLOSED}, {0, END_BAD, 0, CLOSED}, {0, BEGIN, 0, CLOSED},
         {0, END_BAD, 0, CLOSED}, {0, BEGIN, 0, CLOSED}, {0, END_GONE, 0, CLOSED}, {0, BEGIN, 0, CLOSED},
         {0, END_BAD, 0, OPEN});
}

#define OPENED                                                                                    \
    {0, BEGIN, 0, CLOSED}, {0, BEGIN, 1, CLOSED}, {0, BEGIN, 2, CLOSED}, {0, END_BAD, 0, CLOSED}, \
        {0, END_BAD, 1, CLOSED},                                                                  \
    {                                                                                             \
        0, END_BAD, 2, OPEN                                                                       \
    }

static void test_half_open(void **state)
{
    TELL(&three, OPENED, {999, REFUSED, 0, OPEN}, {1000, LOOK, 0, HALF}, {1000, BEGIN, 0, HALF},
         {1001, REFUSED, 0, HALF}, {1100, END_OK, 0, CLOSED}, {1100, BEGIN, 0, CLOSED},
         {1100, END_BAD, 0, CLOSED} /* the count is 1 again */);
    TELL(&three, OPENED, {1000, BEGIN, 0, HALF}, {1500, END_BAD, 0, OPEN}, {2499, REFUSED, 0, OPEN},
         {2500, BEGIN, 0, HALF}, {2501, END_OK, 0, CLOSED});
    /* A probe that nobody waits for makes room for another. */
    TELL(&three, OPENED, {1000, BEGIN, 0, HALF}, {1001, REFUSED, 0, HALF}, {1002, END_GONE, 0, HALF},
         {1002, BEGIN, 1, HALF}, {1003, END_OK, 1, CLOSED});
    /* One that never ends is given up, and has nothing to say afterwards. */
    TELL(&three, OPENED, {1000, BEGIN, 0, HALF}, {1999, REFUSED, 0, HALF}, {2000, BEGIN, 1, HALF},
         {2001, END_BAD, 0, HALF}, {2002, END_OK, 0, HALF}, {2003, END_OK, 1, CLOSED});
    TELL(&three, OPENED, {5, RESET, 0, CLOSED}, {6, BEGIN, 0, CLOSED});
}

static void test_several_probes(void **state)
{
    static const pl_breaker_config config = {.failures = 3, .open = 1000, .probes = 3};
    TELL(&config, OPENED, {1000, BEGIN, 0, HALF}, {1000, BEGIN, 1, HALF}, {1000, BEGIN, 2, HALF},
         {1000, REFUSED, 3, HALF}, {1001, END_OK, 0, HALF}, {1001, REFUSED, 3, HALF}, {1002, END_OK, 1, HALF},
         {1003, END_OK, 2, CLOSED});
    /* One failure is enough; the others come too late to matter. */
    TELL(&config, OPENED, {1000, BEGIN, 0, HALF}, {1000, BEGIN, 1, HALF}, {1000, BEGIN, 2, HALF},
         {1001, END_OK, 0, HALF}, {1002, END_BAD, 1, OPEN}, {1003, END_OK, 2, OPEN}, {2001, REFUSED, 0, OPEN},
         {2002, BEGIN, 0, HALF});
}

/* Calls that began before the breaker opened end while it is half-open or closed again. */
static void test_late_ends(void **state)
{
    TELL(&three, {0, BEGIN, 8, CLOSED}, {0, BEGIN, 9, CLOSED}, OPENED, {10, END_OK, 8, OPEN},
         {1000, BEGIN, 0, HALF}, {1001, END_OK, 9, HALF}, {1001, REFUSED, 0, HALF},
         {1002, END_OK, 0, CLOSED});
    TELL(&three, {0, BEGIN, 7, CLOSED}, {0, BEGIN, 8, CLOSED}, {0, BEGIN, 9, CLOSED}, OPENED,
         {1000, BEGIN, 0, HALF}, {1001, END_BAD, 7, HALF}, {1002, END_OK, 0, CLOSED},
         {1003, END_BAD, 8, CLOSED}, {1003, END_BAD, 9, CLOSED}, {1003, BEGIN, 1, CLOSED},
         {1003, END_BAD, 1, CLOSED});
}

/* Makes calls of 0 ms at a time. */
static void calls(pl_breaker *b, uint64_t at, unsigned good, unsigned bad)
{
    pl_breaker_permit permit;
    for (unsigned i = 0; i < good + bad; i++) {
        assert_true(pl_breaker_begin(b, at, &permit));
        pl_breaker_end(b, &permit, i < good ? PL_BREAKER_SUCCESS : PL_BREAKER_FAILURE, at);
    }
}

static void test_rate(void **state)
{
    static const struct {
        unsigned good, bad;
        pl_breaker_state then;
    } cases[] = {
        {5, 4, PL_BREAKER_CLOSED}, /* below the minimum of calls */
        {5, 5, PL_BREAKER_OPEN},   /* exactly half */
        {0, 9, PL_BREAKER_CLOSED}, {51, 49, PL_BREAKER_CLOSED},
        {50, 50, PL_BREAKER_OPEN}, {1000, 0, PL_BREAKER_CLOSED},
    };
    static const pl_breaker_config half = {.rate = 0.5, .minimum = 10, .window = 10000};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pl_breaker b;
        pl_breaker_init(&b, &half);
        calls(&b, 5000, cases[i].good, cases[i].bad);
        if (b.state != cases[i].then)
            fail_msg("case %zu", i);
    }
}

static void test_window_slides(void **state)
{
    static const pl_breaker_config half = {.rate = 0.5, .minimum = 10, .window = 10000};
    pl_breaker b;
    pl_breaker_init(&b, &half);
    calls(&b, 500, 0, 9);
    assert_int_equal(pl_breaker_look(&b, 9999).calls, 9);
    assert_int_equal(pl_breaker_look(&b, 10000).calls, 0); /* its slice has left the window */
    calls(&b, 10000, 1, 0);
    assert_int_equal(b.state, PL_BREAKER_CLOSED);
    pl_breaker_init(&b, &half);
    calls(&b, 500, 0, 5);
    calls(&b, 5500, 5, 0);
    assert_int_equal(b.state, PL_BREAKER_CLOSED); /* a success does not open it */
    calls(&b, 9500, 0, 1);
    assert_int_equal(b.state, PL_BREAKER_OPEN);
    /* After a long silence, and with a clock that goes back a little, nothing is left over or lost. */
    pl_breaker_init(&b, &half);
    calls(&b, 1000000, 2, 2);
    calls(&b, 999000, 2, 2);
    assert_int_equal(pl_breaker_look(&b, 1000000).calls, 8);
    assert_int_equal(pl_breaker_look(&b, UINT64_MAX).calls, 0);
    calls(&b, 900000000, 1, 0);
    assert_int_equal(pl_breaker_look(&b, 900000000).calls, 1);
}

static void test_closing_empties_the_window(void **state)
{
    static const pl_breaker_config config = {.rate = 0.5, .minimum = 2, .window = 100000, .open = 10};
    pl_breaker b;
    pl_breaker_init(&b, &config);
    calls(&b, 0, 0, 2);
    assert_int_equal(b.state, PL_BREAKER_OPEN);
    calls(&b, 10, 1, 0);
    assert_int_equal(b.state, PL_BREAKER_CLOSED);
    assert_int_equal(pl_breaker_look(&b, 10).calls, 0);
    calls(&b, 11, 1, 0);
    calls(&b, 12, 1, 0);
    assert_int_equal(b.state, PL_BREAKER_CLOSED);
}

static void slow_call(pl_breaker *b, uint64_t at, uint64_t ms)
{
    pl_breaker_permit permit;
    assert_true(pl_breaker_begin(b, at, &permit));
    pl_breaker_end(b, &permit, PL_BREAKER_SUCCESS, at + ms);
}

static void test_slow_calls(void **state)
{
    static const pl_breaker_config config = {
        .slow = 100, .slow_rate = 0.5, .minimum = 4, .window = 100000, .open = 1000};
    pl_breaker b;
    pl_breaker_init(&b, &config);
    slow_call(&b, 0, 99);
    slow_call(&b, 0, 50);
    slow_call(&b, 0, 100);
    assert_int_equal(b.state, PL_BREAKER_CLOSED);
    slow_call(&b, 0, 300);
    assert_int_equal(b.state, PL_BREAKER_OPEN);
    slow_call(&b, 1300, 100); /* a probe must be quick, too */
    assert_int_equal(b.state, PL_BREAKER_OPEN);
    slow_call(&b, 2400, 99);
    assert_int_equal(b.state, PL_BREAKER_CLOSED);
    pl_breaker_stats stats = pl_breaker_look(&b, 2500);
    assert_int_equal(stats.total_slow, 3);
    assert_int_equal(stats.total_calls, 6);
    assert_int_equal(stats.total_failures, 0);
    assert_int_equal(stats.total_opened, 2);
    /* Without a rate slow calls are counted, and that is all. */
    static const pl_breaker_config counted = {.slow = 100, .failures = 1, .open = 1000};
    pl_breaker_init(&b, &counted);
    slow_call(&b, 0, 1000);
    calls(&b, 0, 0, 1);
    slow_call(&b, 1000, 1000);
    assert_int_equal(b.state, PL_BREAKER_CLOSED);
}

static void test_configure(void **state)
{
    pl_breaker b;
    pl_breaker_permit permit;
    pl_breaker_config config = {.failures = 2, .open = 1000, .probes = 3};
    pl_breaker_init(&b, &config);
    calls(&b, 0, 0, 1);
    config.failures = 5;
    pl_breaker_configure(&b, &config);
    calls(&b, 0, 0, 1);
    assert_int_equal(b.state, PL_BREAKER_CLOSED);
    config.failures = 2;
    pl_breaker_configure(&b, &config); /* the count goes on */
    calls(&b, 0, 0, 1);
    assert_int_equal(b.state, PL_BREAKER_OPEN);
    config.open = 10;
    pl_breaker_configure(&b, &config);
    calls(&b, 10, 2, 0);
    assert_int_equal(b.state, PL_BREAKER_HALF_OPEN);
    config.probes = 1; /* of which two were made: that must not be the end of it */
    pl_breaker_configure(&b, &config);
    assert_true(pl_breaker_begin(&b, 11, &permit));
    pl_breaker_end(&b, &permit, PL_BREAKER_SUCCESS, 12);
    assert_int_equal(b.state, PL_BREAKER_CLOSED);
    calls(&b, 5000, 3, 0);
    config.window = 1000; /* another window: what is counted in the old one means nothing */
    pl_breaker_configure(&b, &config);
    assert_int_equal(pl_breaker_look(&b, 5000).calls, 0);
    calls(&b, 5000, 1, 0);
    assert_int_equal(pl_breaker_look(&b, 5000).calls, 1);
}

static void test_defaults_and_retry_after(void **state)
{
    pl_breaker b;
    pl_breaker_permit permit;
    pl_breaker_init(&b, &(pl_breaker_config){.failures = 1});
    assert_int_equal(pl_breaker_retry_after(&b, 0), 0);
    calls(&b, 100, 0, 1);
    assert_int_equal(pl_breaker_retry_after(&b, 100), 10000);
    assert_int_equal(pl_breaker_retry_after(&b, 50), 10000); /* a clock that goes back */
    assert_int_equal(pl_breaker_retry_after(&b, 10099), 1);
    assert_int_equal(pl_breaker_retry_after(&b, 10100), 0);
    assert_true(pl_breaker_begin(&b, 10100, &permit));
    assert_false(pl_breaker_begin(&b, 10100, &permit));
    assert_int_equal(pl_breaker_retry_after(&b, 10200), 9900);
    assert_int_equal(pl_breaker_look(&b, 0).total_refused, 1);
}

static void test_judge(void **state)
{
    static const pl_code failures[] = {PL_UNKNOWN,  PL_DEADLINE_EXCEEDED, PL_RESOURCE_EXHAUSTED,
                                       PL_INTERNAL, PL_UNAVAILABLE,       PL_DATA_LOSS};
    static const pl_code answers[] = {PL_OK,
                                      PL_INVALID_ARGUMENT,
                                      PL_NOT_FOUND,
                                      PL_ALREADY_EXISTS,
                                      PL_PERMISSION_DENIED,
                                      PL_FAILED_PRECONDITION,
                                      PL_ABORTED,
                                      PL_OUT_OF_RANGE,
                                      PL_UNIMPLEMENTED,
                                      PL_UNAUTHENTICATED};
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++)
        assert_int_equal(pl_breaker_judge(failures[i]), PL_BREAKER_FAILURE);
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        assert_int_equal(pl_breaker_judge(answers[i]), PL_BREAKER_SUCCESS);
    assert_int_equal(pl_breaker_judge(PL_CANCELLED), PL_BREAKER_ABANDONED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failures_in_a_row),
        cmocka_unit_test(test_half_open),
        cmocka_unit_test(test_several_probes),
        cmocka_unit_test(test_late_ends),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_window_slides),
        cmocka_unit_test(test_closing_empties_the_window),
        cmocka_unit_test(test_slow_calls),
        cmocka_unit_test(test_configure),
        cmocka_unit_test(test_defaults_and_retry_after),
        cmocka_unit_test(test_judge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
