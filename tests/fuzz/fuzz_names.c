/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "net/address.h"
#include "net/consul.h"
#include "net/target.h"

/* Targets of gRPC clients, and what a Consul agent may answer: whatever comes out can be dialled. */

static void must(bool condition)
{
    if (!condition)
        abort();
}

static void check_list(const pl_resolved *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct sockaddr_storage at;
        socklen_t len;
        must(pl_address_parse(list[i].address, &at, &len, NULL) == PL_OK);
        must(list[i].weight > 0);
    }
}

static void read_target(pl_str text, pl_arena *arena)
{
    pl_target target;
    pl_error err;
    if (pl_target_parse(text, arena, &target, &err) != PL_OK) {
        must(err.code == PL_INVALID_ARGUMENT && err.message[0]);
        return;
    }
    must(target.text.ptr && target.authority.len > 0 && target.name.len > 0);
    if (target.kind == PL_TARGET_LIST)
        check_list(target.list.addresses, target.list.count);
    if (target.kind == PL_TARGET_DNS)
        must(target.dns.host[0] && target.dns.port[0]);
    if (target.kind == PL_TARGET_CONSUL)
        must(strstr(target.consul.url, "/v1/health/service/") && strchr(target.consul.url, '?'));
}

static void read_answer(pl_str body, pl_arena *arena)
{
    const pl_resolved *list;
    size_t count, names;
    pl_error err;
    if (pl_consul_read(body, true, arena, &list, &count, &names, &err) == PL_OK)
        check_list(list, count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    pl_arena arena;
    pl_str text = {(const char *)data, size};
    pl_arena_init(&arena, 0);
    read_target(text, &arena);
    read_answer(text, &arena);
    pl_arena_dispose(&arena);
    return 0;
}
