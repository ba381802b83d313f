/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdlib.h>

#include "grpc/reflection.h"

/* Requests of reflection: whatever they are, they are answered or refused, and an answer is a message. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

pl_str test_protos(void);
pl_str pl_own_protos(void);

static const pb_pool *both[2];

static size_t pools(void *data, const pb_pool *out[PL_GRPC_REFLECTION_POOLS])
{
    (void)data;
    out[0] = both[0];
    out[1] = both[1];
    return 2;
}

static void each(void *data, bool (*add)(void *arg, pl_str service), void *arg)
{
    (void)data;
    (void)(add(arg, PL_STR("test.v1.Users")) && add(arg, PL_STR("grpc.health.v1.Health")));
}

static const pb_pool *pool_of(pl_str bytes)
{
    const pb_source source = {.name = "fuzz", .bytes = bytes};
    pb_pool *pool;
    if (pb_pool_new(&source, 1, &pool, NULL) != PL_OK)
        abort();
    return pool;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const pl_grpc_reflection reflection = {.pools = pools, .each = each};
    pl_buf out;
    pl_error err = {0};
    if (!both[0]) {
        both[0] = pool_of(test_protos());
        both[1] = pool_of(pl_own_protos());
    }
    pl_buf_init(&out);
    pl_code code = pl_grpc_reflection_answer(&reflection, (pl_str){(const char *)data, size}, &out, &err);
    if (code == PL_OK ? out.len == 0 : code != PL_INTERNAL)
        abort();
    pb_reader reader = pb_reader_of(pl_buf_view(&out));
    pb_record record;
    const char *wrong;
    while (pb_next_record(&reader, &record, &wrong))
        ;
    if (wrong)
        abort();
    pl_buf_dispose(&out);
    return 0;
}
