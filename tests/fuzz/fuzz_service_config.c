/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdlib.h>

#include "grpc/policy/attempts.h"

/* A service config that is accepted keeps the promises of its header, and a call under it ends. */

static void must(bool condition)
{
    if (!condition)
        abort();
}

static void check_method(const pl_method_config *m)
{
    must(!m->retry || !m->hedging);
    if (m->retry) {
        must(m->retry->max_attempts >= 2 && m->retry->max_attempts <= PL_MOST_ATTEMPTS);
        must(m->retry->initial_backoff > 0 && m->retry->max_backoff > 0 && m->retry->multiplier > 0);
        must(m->retry->codes != 0 && !pl_code_set_has(m->retry->codes, PL_OK));
    }
    if (m->hedging)
        must(m->hedging->max_attempts >= 2 && m->hedging->max_attempts <= PL_MOST_ATTEMPTS);
}

/* All attempts fail with the same code. */
static void run(const pl_method_config *method, pl_retry_throttle *throttle, pl_random *random, pl_code code)
{
    pl_attempts attempts;
    uint64_t now = 1;
    uint32_t running = 0;
    const pl_attempt_end end = {code, PL_PUSHBACK_NONE, PL_ATTEMPT_PROCESSED};
    pl_attempts_step step = pl_attempts_begin(&attempts, method, throttle, random, 0, now);
    for (int i = 0; !step.over; i++) {
        must(i < 64);
        running = (running | step.start) & ~step.cancel;
        must(running != 0 || step.wake_at != UINT64_MAX);
        if (running == 0) {
            must(step.wake_at >= now);
            now = step.wake_at;
            step = pl_attempts_wake(&attempts, now);
        } else {
            unsigned attempt = (unsigned)__builtin_ctz(running);
            running &= running - 1;
            step = pl_attempts_ended(&attempts, attempt, &end, now);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pl_arena arena;
    const pl_service_config *config = NULL, *lenient = NULL;
    pl_error err;
    pl_str text = {(const char *)data, size};
    pl_arena_init(&arena, 0);
    pl_code code = pl_service_config_parse(&arena, text, true, &config, &err);
    if (code) {
        must(!config && err.message[0] != '\0' && pl_str_is_utf8(pl_str_of(err.message)));
    } else {
        must(pl_service_config_parse(&arena, text, false, &lenient, &err) == PL_OK);
        must(lenient->methods.count == config->methods.count);
        must(!config->has_throttling || (config->max_tokens > 0 && config->token_ratio > 0));
        must(config->balancing.choices >= 2 && config->balancing.choices <= 10);
        pl_random random;
        pl_retry_throttle throttle = {0};
        pl_random_seed(&random, size);
        pl_retry_throttle_configure(&throttle, config->max_tokens, config->token_ratio);
        for (size_t i = 0; i < config->methods.count && i < 32; i++) {
            const pl_method_config *m = config->methods.entries[i].value;
            check_method(m);
            must(pl_service_config_method(config, config->methods.entries[i].key) != NULL);
            run(m, &throttle, &random, (pl_code)(1 + i % 16));
            run(m, &throttle, &random, PL_UNAVAILABLE);
        }
    }
    pl_arena_dispose(&arena);
    return 0;
}
