/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "grpc/policy/attempts.h"

/* Chance without jitter. */
static uint64_t middle(pl_random *random)
{
    return (uint64_t)1 << 63;
}
static pl_random random_source = {.next = middle};

static const pl_retry_policy four = {.max_attempts = 4,
                                     .initial_backoff = 100,
                                     .max_backoff = 300,
                                     .multiplier = 2,
                                     .codes = 1 << PL_UNAVAILABLE | 1 << PL_ABORTED};
static const pl_method_config retrying = {.retry = &four};
static const pl_hedging_policy three = {.max_attempts = 3, .delay = 50, .non_fatal = 1 << PL_UNAVAILABLE};
static const pl_method_config hedging = {.hedging = &three};
static const pl_hedging_policy at_once = {.max_attempts = 3, .delay = 0, .non_fatal = 1 << PL_UNAVAILABLE};
static const pl_method_config hedging_at_once = {.hedging = &at_once};
static const pl_method_config plain = {0};

/* A step as text, so that a table shows whole ones: "start 0", "wake 100", "cancel 0 2 over 1", "" … */
static const char *text_of(pl_attempts_step step)
{
    static char text[128];
    char *p = text, *end = text + sizeof text;
    *p = '\0';
    const struct {
        const char *word;
        uint32_t bits;
    } sets[] = {{"start", step.start}, {"cancel", step.cancel}};
    for (int s = 0; s < 2; s++) {
        if (sets[s].bits)
            p += snprintf(p, (size_t)(end - p), "%s%s", p == text ? "" : " ", sets[s].word);
        for (unsigned i = 0; i < 32; i++) {
            if (sets[s].bits >> i & 1)
                p += snprintf(p, (size_t)(end - p), " %u", i);
        }
    }
    if (step.wake_at != UINT64_MAX)
        p += snprintf(p, (size_t)(end - p), "%swake %llu", p == text ? "" : " ",
                      (unsigned long long)step.wake_at);
    if (step.over)
        snprintf(p, (size_t)(end - p), "%sover %u", p == text ? "" : " ", step.result);
    return text;
}

typedef enum what { BEGIN, WAKE, HEADERS, COMMIT, END } what;
typedef struct event {
    uint64_t at;
    what what;
    unsigned attempt;
    const char *step;
    pl_code code;
    int64_t pushback;
    pl_attempt_reach reach;
} event;
#define DID(when, did, number, then)                             \
    {                                                            \
        .at = when, .what = did, .attempt = number, .step = then \
    }
#define ENDS(when, number, then, with, push, reached)                                             \
    {                                                                                             \
        .at = when, .what = END, .attempt = number, .step = then, .code = with, .pushback = push, \
        .reach = reached                                                                          \
    }
#define FAILS(when, number, then, with) ENDS(when, number, then, with, PL_PUSHBACK_NONE, PL_ATTEMPT_PROCESSED)

static void tell_at(const pl_method_config *method, pl_retry_throttle *throttle, uint64_t deadline,
                    const event *events, size_t count)
{
    pl_attempts a;
    for (size_t i = 0; i < count; i++) {
        const event *e = &events[i];
        pl_attempt_end end = {e->code, e->pushback, e->reach};
        pl_attempts_step step;
        switch (e->what) {
        case BEGIN:
            step = pl_attempts_begin(&a, method, throttle, &random_source, deadline, e->at);
            break;
        case WAKE:
            step = pl_attempts_wake(&a, e->at);
            break;
        case HEADERS:
            step = pl_attempts_headers(&a, e->attempt);
            break;
        case COMMIT:
            step = pl_attempts_commit(&a, e->attempt);
            break;
        default:
            step = pl_attempts_ended(&a, e->attempt, &end, e->at);
        }
        if (strcmp(text_of(step), e->step) != 0)
            fail_msg("event %zu: \"%s\", not \"%s\"", i, text_of(step), e->step);
        assert_int_equal(step.over, a.over);
    }
}
#define TELL(method, throttle, deadline, ...)                                        \
    do {                                                                             \
        static const event events[] = {__VA_ARGS__};                                 \
        tell_at(method, throttle, deadline, events, sizeof events / sizeof *events); \
    } while (0)

#define AWAY PL_UNAVAILABLE

static void test_one_attempt(void **state)
{
    TELL(&plain, NULL, 0, DID(0, BEGIN, 0, "start 0"),
         ENDS(5, 0, "over 0", PL_OK, PL_PUSHBACK_NONE, PL_ATTEMPT_PROCESSED), DID(6, WAKE, 0, "over 0"));
    TELL(&plain, NULL, 0, DID(0, BEGIN, 0, "start 0"), FAILS(5, 0, "over 0", AWAY));
    TELL(&plain, NULL, 0, DID(0, BEGIN, 0, "start 0"), DID(1, HEADERS, 0, ""), DID(2, HEADERS, 0, ""),
         FAILS(5, 0, "over 0", AWAY), FAILS(6, 0, "over 0", PL_OK) /* too late */);
}

static void test_retries(void **state)
{
    TELL(&retrying, NULL, 0, DID(1000, BEGIN, 0, "start 0"), FAILS(1010, 0, "wake 1110", AWAY),
         DID(1109, WAKE, 0, "wake 1110"), DID(1110, WAKE, 0, "start 1"),
         FAILS(1120, 1, "wake 1320", PL_ABORTED), DID(1321, WAKE, 0, "start 2"),
         FAILS(1330, 2, "wake 1630", AWAY) /* 400, but for the greatest wait */,
         DID(1630, WAKE, 0, "start 3"), FAILS(1631, 3, "over 3", AWAY));
    TELL(&retrying, NULL, 0, DID(0, BEGIN, 0, "start 0"), FAILS(10, 0, "wake 110", AWAY),
         DID(110, WAKE, 0, "start 1"), ENDS(120, 1, "over 1", PL_OK, PL_PUSHBACK_NONE, PL_ATTEMPT_PROCESSED));
    /* Codes that are not named are final. */
    TELL(&retrying, NULL, 0, DID(0, BEGIN, 0, "start 0"), FAILS(10, 0, "over 0", PL_NOT_FOUND));
    TELL(&retrying, NULL, 0, DID(0, BEGIN, 0, "start 0"), FAILS(10, 0, "wake 110", AWAY),
         DID(110, WAKE, 0, "start 1"), FAILS(120, 1, "over 1", PL_INTERNAL));
    /* Who is not known, or has ended, is not listened to. */
    TELL(&retrying, NULL, 0, DID(0, BEGIN, 0, "start 0"), FAILS(10, 1, "", AWAY), DID(10, HEADERS, 7, ""),
         FAILS(10, 0, "wake 110", AWAY), FAILS(10, 0, "wake 110", AWAY), DID(10, HEADERS, 0, "wake 110"));
}

static void test_commitment(void **state)
{
    /* Headers have come: what follows is the application's. */
    TELL(&retrying, NULL, 0, DID(0, BEGIN, 0, "start 0"), DID(10, HEADERS, 0, ""),
         FAILS(20, 0, "over 0", AWAY));
    /* Too much to keep: the attempt under way is the last one. */
    TELL(&retrying, NULL, 0, DID(0, BEGIN, 0, "start 0"), DID(10, COMMIT, 0, ""), DID(10, COMMIT, 0, ""),
         FAILS(20, 0, "over 0", AWAY));
    TELL(&retrying, NULL, 0, DID(0, BEGIN, 0, "start 0"), FAILS(10, 0, "wake 110", AWAY),
         DID(20, COMMIT, 0, "over 0"), DID(110, WAKE, 0, "over 0"));
    /* A call that is committed makes no transparent attempts, either. */
    TELL(&retrying, NULL, 0, DID(0, BEGIN, 0, "start 0"), DID(10, COMMIT, 0, ""),
         ENDS(20, 0, "over 0", AWAY, PL_PUSHBACK_NONE, PL_ATTEMPT_REFUSED));
    static const pl_attempts_limits limits = {0}, small = {.call = 10, .client = 100};
    assert_false(pl_attempts_too_much(&limits, 1 << 20, 16 << 20));
    assert_true(pl_attempts_too_much(&limits, (1 << 20) + 1, 0));
    assert_true(pl_attempts_too_much(&limits, 0, (16 << 20) + 1));
    assert_false(pl_attempts_too_much(&small, 10, 100));
    assert_true(pl_attempts_too_much(&small, 11, 11));
    assert_true(pl_attempts_too_much(&small, 1, 101));
    pl_attempts a;
    pl_attempts_begin(&a, &retrying, NULL, &random_source, 0, 0);
    assert_true(pl_attempts_keeps(&a));
    pl_attempts_headers(&a, 0);
    assert_false(pl_attempts_keeps(&a));
}

static void test_pushback(void **state)
{
    TELL(&retrying, NULL, 0, DID(0, BEGIN, 0, "start 0"), FAILS(10, 0, "wake 110", AWAY),
         DID(110, WAKE, 0, "start 1"), ENDS(110, 1, "wake 1110", AWAY, 1000, PL_ATTEMPT_PROCESSED),
         DID(1110, WAKE, 0, "start 2"), FAILS(1110, 2, "wake 1210", AWAY) /* the backoff has begun anew */);
    TELL(&retrying, NULL, 0, DID(0, BEGIN, 0, "start 0"),
         ENDS(10, 0, "start 1", AWAY, 0, PL_ATTEMPT_PROCESSED),
         ENDS(20, 1, "start 2", AWAY, 0, PL_ATTEMPT_PROCESSED),
         ENDS(30, 2, "start 3", AWAY, 0, PL_ATTEMPT_PROCESSED),
         ENDS(40, 3, "over 3", AWAY, 0, PL_ATTEMPT_PROCESSED) /* the number of attempts holds */);
    TELL(&retrying, NULL, 0, DID(0, BEGIN, 0, "start 0"),
         ENDS(10, 0, "over 0", AWAY, PL_PUSHBACK_STOP, PL_ATTEMPT_PROCESSED));
    /* It makes nothing retryable that is not. */
    TELL(&retrying, NULL, 0, DID(0, BEGIN, 0, "start 0"),
         ENDS(10, 0, "over 0", PL_NOT_FOUND, 0, PL_ATTEMPT_PROCESSED));

    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {{"0", 0},
                 {"25", 25},
                 {"2147483647", 2147483647},
                 {"2147483648", PL_PUSHBACK_STOP},
                 {"-1", -2},
                 {"", -2},
                 {"x", -2},
                 {"1.5", -2},
                 {" 1", -2},
                 {"+1", -2},
                 {"00000000001", -2},
                 {"9999999999", -2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(pl_pushback_read(pl_str_of(cases[i].text)), cases[i].ms);
    assert_int_equal(pl_pushback_read(PL_STR_NONE), PL_PUSHBACK_NONE);
}

static void test_transparent(void **state)
{
    /* What never left counts for nothing, however often. */
    TELL(&plain, NULL, 0, DID(0, BEGIN, 0, "start 0"), ENDS(1, 0, "start 0", AWAY, -1, PL_ATTEMPT_NOT_SENT),
         ENDS(2, 0, "start 0", AWAY, -1, PL_ATTEMPT_NOT_SENT),
         ENDS(3, 0, "over 0", PL_OK, -1, PL_ATTEMPT_PROCESSED));
    /* What was refused, once; then the policy decides. */
    TELL(&plain, NULL, 0, DID(0, BEGIN, 0, "start 0"), ENDS(1, 0, "start 0", AWAY, -1, PL_ATTEMPT_REFUSED),
         ENDS(2, 0, "over 0", AWAY, -1, PL_ATTEMPT_REFUSED));
    TELL(&retrying, NULL, 0, DID(0, BEGIN, 0, "start 0"), ENDS(1, 0, "start 0", AWAY, -1, PL_ATTEMPT_REFUSED),
         ENDS(2, 0, "wake 102", AWAY, -1, PL_ATTEMPT_REFUSED), DID(102, WAKE, 0, "start 1"),
         ENDS(103, 1, "start 1", AWAY, -1, PL_ATTEMPT_NOT_SENT),
         ENDS(104, 1, "over 1", PL_OK, -1, PL_ATTEMPT_PROCESSED));
    /* Not when it is too late. */
    TELL(&plain, NULL, 10, DID(0, BEGIN, 0, "start 0"), ENDS(10, 0, "over 0", AWAY, -1, PL_ATTEMPT_NOT_SENT));
    TELL(&hedging, NULL, 0, DID(0, BEGIN, 0, "start 0 wake 50"), DID(50, WAKE, 0, "start 1 wake 100"),
         ENDS(60, 1, "start 1 wake 100", AWAY, -1, PL_ATTEMPT_REFUSED),
         ENDS(70, 1, "cancel 0 over 1", PL_OK, -1, PL_ATTEMPT_PROCESSED));
}

static void test_deadline(void **state)
{
    /* To wait for an attempt that cannot be made changes nothing: the real error is told at once. */
    TELL(&retrying, NULL, 110, DID(0, BEGIN, 0, "start 0"), FAILS(10, 0, "over 0", AWAY));
    TELL(&retrying, NULL, 111, DID(0, BEGIN, 0, "start 0"), FAILS(10, 0, "wake 110", AWAY));
    TELL(&hedging, NULL, 60, DID(0, BEGIN, 0, "start 0 wake 50"), DID(50, WAKE, 0, "start 1 wake 100"),
         DID(100, WAKE, 0, ""), FAILS(100, 0, "", AWAY), FAILS(100, 1, "over 1", AWAY));
    assert_int_equal(pl_method_deadline(&plain, 1000, 0), 0);
    assert_int_equal(pl_method_deadline(&plain, 1000, 1500), 1500);
    static const pl_method_config timed = {
        .has_timeout = true, .timeout = 200, .has_wait_for_ready = true, .wait_for_ready = true};
    static const pl_method_config never = {.has_timeout = true};
    assert_int_equal(pl_method_deadline(&timed, 1000, 0), 1200);
    assert_int_equal(pl_method_deadline(&timed, 1000, 1100), 1100);
    assert_int_equal(pl_method_deadline(&timed, 1000, 1300), 1200);
    assert_int_equal(pl_method_deadline(&never, 1000, 0), 1000);
    assert_int_not_equal(pl_method_deadline(&never, 0, 0), 0); /* that would be none */
    assert_true(pl_method_waits_for_ready(&timed, -1));
    assert_false(pl_method_waits_for_ready(&timed, 0));
    assert_true(pl_method_waits_for_ready(&plain, 1));
    assert_false(pl_method_waits_for_ready(&plain, -1));
}

static void test_hedging(void **state)
{
    TELL(&hedging, NULL, 0, DID(0, BEGIN, 0, "start 0 wake 50"), DID(49, WAKE, 0, "wake 50"),
         DID(50, WAKE, 0, "start 1 wake 100"), DID(100, WAKE, 0, "start 2"),
         ENDS(110, 1, "cancel 0 2 over 1", PL_OK, -1, PL_ATTEMPT_PROCESSED),
         ENDS(120, 0, "over 1", PL_OK, -1, PL_ATTEMPT_PROCESSED));
    /* Headers decide, too. */
    TELL(&hedging, NULL, 0, DID(0, BEGIN, 0, "start 0 wake 50"), DID(50, WAKE, 0, "start 1 wake 100"),
         DID(60, HEADERS, 0, "cancel 1"), DID(100, WAKE, 0, ""), FAILS(110, 1, "", PL_OK),
         FAILS(120, 0, "over 0", AWAY));
    /* A failure that is not final brings the next one forward. */
    TELL(&hedging, NULL, 0, DID(0, BEGIN, 0, "start 0 wake 50"), FAILS(10, 0, "start 1 wake 60", AWAY),
         DID(60, WAKE, 0, "start 2"), FAILS(70, 1, "", AWAY), FAILS(80, 2, "over 2", AWAY));
    /* One that is final is the call's. */
    TELL(&hedging, NULL, 0, DID(0, BEGIN, 0, "start 0 wake 50"), DID(50, WAKE, 0, "start 1 wake 100"),
         FAILS(60, 1, "cancel 0 over 1", PL_NOT_FOUND));
    TELL(&hedging_at_once, NULL, 0, DID(0, BEGIN, 0, "start 0 1 2"), FAILS(5, 1, "", AWAY),
         ENDS(6, 2, "cancel 0 over 2", PL_OK, -1, PL_ATTEMPT_PROCESSED));
    /* Commitment to the one that has sent most. */
    TELL(&hedging, NULL, 0, DID(0, BEGIN, 0, "start 0 wake 50"), DID(50, WAKE, 0, "start 1 wake 100"),
         DID(60, COMMIT, 1, "cancel 0"), FAILS(70, 1, "over 1", AWAY));
}

static void test_hedging_pushback(void **state)
{
    TELL(&hedging, NULL, 0, DID(0, BEGIN, 0, "start 0 wake 50"),
         ENDS(10, 0, "wake 510", AWAY, 500, PL_ATTEMPT_PROCESSED), DID(50, WAKE, 0, "wake 510"),
         DID(510, WAKE, 0, "start 1 wake 560"));
    TELL(&hedging, NULL, 0, DID(0, BEGIN, 0, "start 0 wake 50"),
         ENDS(10, 0, "start 1 wake 60", AWAY, 0, PL_ATTEMPT_PROCESSED));
    /* Nothing more is sent; what is under way goes on. */
    TELL(&hedging, NULL, 0, DID(0, BEGIN, 0, "start 0 wake 50"), DID(50, WAKE, 0, "start 1 wake 100"),
         ENDS(60, 0, "", AWAY, PL_PUSHBACK_STOP, PL_ATTEMPT_PROCESSED), DID(100, WAKE, 0, ""),
         FAILS(110, 1, "over 1", AWAY));
    TELL(&hedging, NULL, 0, DID(0, BEGIN, 0, "start 0 wake 50"),
         ENDS(10, 0, "over 0", AWAY, PL_PUSHBACK_STOP, PL_ATTEMPT_PROCESSED));
    TELL(&hedging, NULL, 200, DID(0, BEGIN, 0, "start 0 wake 50"),
         ENDS(10, 0, "over 0", AWAY, 190, PL_ATTEMPT_PROCESSED));
}

static void test_throttle(void **state)
{
    pl_retry_throttle t = {0};
    assert_true(pl_retry_throttle_allows(&t)); /* there is none */
    assert_true(pl_retry_throttle_allows(NULL));
    pl_retry_throttle_success(NULL);
    pl_retry_throttle_failure(NULL);
    pl_retry_throttle_configure(&t, 4000, 500);
    assert_int_equal(t.tokens, 4000);
    pl_retry_throttle_success(&t);
    assert_int_equal(t.tokens, 4000);
    pl_retry_throttle_failure(&t);
    assert_true(pl_retry_throttle_allows(&t));
    pl_retry_throttle_failure(&t);
    assert_false(pl_retry_throttle_allows(&t)); /* exactly half is not enough */
    pl_retry_throttle_success(&t);
    assert_true(pl_retry_throttle_allows(&t));
    for (int i = 0; i < 9; i++)
        pl_retry_throttle_failure(&t);
    assert_int_equal(t.tokens, 0);
    pl_retry_throttle_success(&t);
    pl_retry_throttle_configure(&t, 8000, 1); /* an eighth stays an eighth */
    assert_int_equal(t.tokens, 1000);
    for (int i = 0; i < 100000; i++)
        pl_retry_throttle_success(&t);
    assert_int_equal(t.tokens, 8000);
}

static void test_throttled_calls(void **state)
{
    pl_retry_throttle t = {0};
    pl_retry_throttle_configure(&t, 3000, 1000);
    TELL(&retrying, &t, 0, DID(0, BEGIN, 0, "start 0"), FAILS(10, 0, "wake 110", AWAY),
         DID(110, WAKE, 0, "start 1"), FAILS(120, 1, "over 1", AWAY));
    assert_int_equal(t.tokens, 1000);
    /* Failures count though nothing may be retried; those that are not named do not. */
    TELL(&retrying, &t, 0, DID(0, BEGIN, 0, "start 0"), FAILS(10, 0, "over 0", PL_NOT_FOUND));
    assert_int_equal(t.tokens, 1000);
    TELL(&retrying, &t, 0, DID(0, BEGIN, 0, "start 0"), DID(5, HEADERS, 0, ""), FAILS(10, 0, "over 0", AWAY));
    assert_int_equal(t.tokens, 0);
    TELL(&plain, &t, 0, DID(0, BEGIN, 0, "start 0"), ENDS(10, 0, "over 0", PL_OK, -1, PL_ATTEMPT_PROCESSED));
    assert_int_equal(t.tokens, 1000);
    TELL(&plain, &t, 0, DID(0, BEGIN, 0, "start 0"), FAILS(10, 0, "over 0", AWAY)); /* without a policy: no */
    assert_int_equal(t.tokens, 1000);
    TELL(&retrying, &t, 0, DID(0, BEGIN, 0, "start 0"),
         ENDS(10, 0, "over 0", PL_NOT_FOUND, PL_PUSHBACK_STOP, PL_ATTEMPT_PROCESSED));
    assert_int_equal(t.tokens, 0);
    /* Throttled hedging: only the first; and again as soon as there are tokens. */
    TELL(&hedging, &t, 0, DID(0, BEGIN, 0, "start 0 wake 50"), DID(50, WAKE, 0, "wake 100"),
         DID(100, WAKE, 0, "wake 150"), FAILS(110, 0, "over 0", AWAY));
    TELL(&hedging_at_once, &t, 0, DID(0, BEGIN, 0, "start 0"), FAILS(10, 0, "over 0", AWAY));
    pl_attempts a;
    assert_string_equal(text_of(pl_attempts_begin(&a, &hedging, &t, &random_source, 0, 0)),
                        "start 0 wake 50");
    t.tokens = 3000;
    assert_string_equal(text_of(pl_attempts_wake(&a, 50)), "start 1 wake 100");
    t.tokens = 0;
    const pl_attempt_end away = {AWAY, PL_PUSHBACK_NONE, PL_ATTEMPT_PROCESSED};
    assert_string_equal(text_of(pl_attempts_ended(&a, 0, &away, 60)), "wake 110");
    assert_string_equal(text_of(pl_attempts_wake(&a, 110)), "wake 160");
    assert_string_equal(text_of(pl_attempts_ended(&a, 1, &away, 120)), "over 1");
    /* It waits for what the server asked, and then may not. */
    t.tokens = 3000;
    const pl_attempt_end pushed = {AWAY, 1000, PL_ATTEMPT_PROCESSED};
    pl_attempts_begin(&a, &hedging, &t, &random_source, 0, 0);
    assert_string_equal(text_of(pl_attempts_ended(&a, 0, &pushed, 10)), "wake 1010");
    t.tokens = 0;
    assert_string_equal(text_of(pl_attempts_wake(&a, 1010)), "over 0");
}

static uint64_t lowest(pl_random *random)
{
    return 0;
}
static uint64_t highest(pl_random *random)
{
    return UINT64_MAX;
}

static void test_jitter(void **state)
{
    const pl_attempt_end away = {AWAY, PL_PUSHBACK_NONE, PL_ATTEMPT_PROCESSED};
    pl_random low = {.next = lowest}, high = {.next = highest};
    pl_attempts a;
    pl_attempts_begin(&a, &retrying, NULL, &low, 0, 0);
    assert_int_equal(pl_attempts_ended(&a, 0, &away, 0).wake_at, 80);
    pl_attempts_begin(&a, &retrying, NULL, &high, 0, 0);
    assert_int_equal(pl_attempts_ended(&a, 0, &away, 0).wake_at, 120);
}

/* Whatever happens in whatever order: each call ends with at most so many attempts, and never says two things
 * at once. */
static void test_any_order(void **state)
{
    static const pl_method_config *const methods[] = {&retrying, &hedging, &hedging_at_once, &plain};
    pl_random random;
    pl_random_seed(&random, 7);
    for (int round = 0; round < 20000; round++) {
        const pl_method_config *method = methods[pl_random_below(&random, 4)];
        pl_retry_throttle t = {0};
        pl_attempts a;
        uint64_t now = 1;
        uint32_t running = 0, started = 0;
        pl_retry_throttle_configure(&t, 10000, 1000);
        pl_attempts_step step = pl_attempts_begin(&a, method, &t, &random, 2000, now);
        for (int i = 0; i < 200 && !step.over; i++) {
            assert_false(step.start & step.cancel);
            running = (running | step.start) & ~step.cancel;
            started |= step.start;
            assert_true(running == a.running);
            assert_true(running != 0 || step.wake_at != UINT64_MAX); /* it never hangs */
            unsigned attempt = pl_random_below(&random, 5);
            now += pl_random_below(&random, 60);
            const pl_attempt_end end = {(pl_code)pl_random_below(&random, 17),
                                        (int64_t)pl_random_below(&random, 300) - 2,
                                        (pl_attempt_reach)pl_random_below(&random, 3)};
            switch (pl_random_below(&random, 12)) {
            case 0:
                step = pl_attempts_headers(&a, attempt);
                break;
            case 1:
                step = pl_attempts_commit(&a, attempt);
                break;
            case 2:
            case 3:
            case 4:
                if (running >> attempt & 1)
                    running &= ~((uint32_t)1 << attempt);
                step = pl_attempts_ended(&a, attempt, &end, now);
                break;
            default:
                now = step.wake_at != UINT64_MAX && step.wake_at > now ? step.wake_at : now;
                step = pl_attempts_wake(&a, now);
            }
        }
        assert_true(started < (method == &plain ? 2u : method == &retrying ? 16u : 8u));
        assert_true(!step.over || (step.wake_at == UINT64_MAX && step.start == 0 && a.running == 0));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_attempt), cmocka_unit_test(test_retries),
        cmocka_unit_test(test_commitment),  cmocka_unit_test(test_pushback),
        cmocka_unit_test(test_transparent), cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_hedging),     cmocka_unit_test(test_hedging_pushback),
        cmocka_unit_test(test_throttle),    cmocka_unit_test(test_throttled_calls),
        cmocka_unit_test(test_jitter),      cmocka_unit_test(test_any_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
