/* SPDX-License-Identifier: MIT */
#include "net/consul.h"

#include <errno.h>
#include <stdlib.h>

#include "base/map.h"
#include "net/address.h"
#include "value/json.h"

bool pl_consul_next_index(const char *text, uint64_t before, uint64_t *out)
{
    char *end;
    if (!text || text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    uint64_t index = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0')
        return false;
    *out = index < before ? 0 : index > 0 ? index : 1;
    return true;
}

static pl_code wrong(pl_error *err, size_t at, const char *what)
{
    return pl_fail(err, PL_INVALID_ARGUMENT, "instance %zu of Consul's answer %s", at, what);
}

/* The member of this kind, or NULL. */
static const pl_value *member(const pl_value *map, const char *name, pl_kind kind)
{
    const pl_value *value = map ? pl_value_member(map, pl_str_of(name)) : NULL;
    return value && value->kind == kind ? value : NULL;
}

static pl_str string_member(const pl_value *map, const char *name)
{
    const pl_value *value = member(map, name, PL_KIND_STRING);
    return value ? value->string : PL_STR("");
}

typedef enum health { PASSING, WARNING, CRITICAL } health;

/* The worst of its checks counts. A state that is not known is none to send calls to. */
static health health_of(const pl_value *instance)
{
    const pl_value *checks = member(instance, "Checks", PL_KIND_LIST);
    health worst = PASSING;
    for (size_t i = 0; checks && i < checks->list.count; i++) {
        const pl_value *check = &checks->list.items[i];
        if (check->kind != PL_KIND_MAP)
            continue;
        pl_str status = string_member(check, "Status");
        health state = pl_str_is(status, "passing")   ? PASSING
                       : pl_str_is(status, "warning") ? WARNING
                                                      : CRITICAL;
        if (state > worst)
            worst = state;
    }
    return worst;
}

static uint32_t weight_of(const pl_value *service, health state)
{
    const pl_value *weights = member(service, "Weights", PL_KIND_MAP);
    const pl_value *weight =
        weights ? member(weights, state == WARNING ? "Warning" : "Passing", PL_KIND_INT) : NULL;
    if (!weight)
        return 1;
    return weight->integer < 0 ? 0 : weight->integer > 65535 ? 65535 : (uint32_t)weight->integer;
}

typedef struct reader {
    pl_arena *arena;
    bool warnings;
    pl_resolved *out;
    size_t count, names;
    pl_map seen;
    pl_error *err;
} reader;

static pl_code add(reader *r, pl_str host, int64_t port, uint32_t weight)
{
    struct sockaddr_storage at;
    socklen_t len;
    bool v6 = memchr(host.ptr, ':', host.len) != NULL;
    pl_str address = pl_arena_printf(r->arena, v6 ? "[%.*s]:%d" : "%.*s:%d", PL_STR_ARG(host), (int)port);
    if (!address.ptr)
        return pl_fail_memory(r->err);
    if (pl_address_parse(address, &at, &len, NULL) != PL_OK) {
        r->names++;
        return PL_OK;
    }
    if (pl_map_has(&r->seen, address))
        return PL_OK;
    r->out[r->count] = (pl_resolved){address, weight};
    if (!pl_map_set(&r->seen, address, &r->out[r->count]))
        return pl_fail_memory(r->err);
    r->count++;
    return PL_OK;
}

static pl_code read_instance(reader *r, const pl_value *instance, size_t at)
{
    const pl_value *node = instance->kind == PL_KIND_MAP ? member(instance, "Node", PL_KIND_MAP) : NULL;
    const pl_value *service = instance->kind == PL_KIND_MAP ? member(instance, "Service", PL_KIND_MAP) : NULL;
    if (!service)
        return wrong(r->err, at, "has no Service");
    pl_str host = string_member(service, "Address");
    if (host.len == 0)
        host = string_member(node, "Address");
    if (host.len == 0)
        return wrong(r->err, at, "has no address, and neither has its node");
    const pl_value *port = member(service, "Port", PL_KIND_INT);
    if (!port || port->integer < 0 || port->integer > 65535)
        return wrong(r->err, at, "has no port");
    health state = health_of(instance);
    uint32_t weight = weight_of(service, state);
    if (state == CRITICAL || (state == WARNING && !r->warnings) || weight == 0 || port->integer == 0)
        return PL_OK;
    return add(r, host, port->integer, weight);
}

pl_code pl_consul_read(pl_str body, bool warnings, pl_arena *arena, const pl_resolved **out, size_t *count,
                       size_t *names, pl_error *err)
{
    pl_value answer;
    if (pl_json_read(arena, body, NULL, &answer, err) != PL_OK)
        return err->code;
    if (answer.kind != PL_KIND_LIST)
        return pl_fail(err, PL_INVALID_ARGUMENT, "Consul's answer is %s, not a list",
                       pl_kind_phrase(answer.kind));
    reader r = {.arena = arena, .warnings = warnings, .err = err};
    r.out = pl_arena_array(arena, answer.list.count, sizeof(*r.out));
    if (!r.out)
        return pl_fail_memory(err);
    pl_map_init(&r.seen);
    pl_code code = PL_OK;
    for (size_t i = 0; code == PL_OK && i < answer.list.count; i++)
        code = read_instance(&r, &answer.list.items[i], i);
    pl_map_dispose(&r.seen);
    *out = r.out;
    *count = r.count;
    *names = r.names;
    return code;
}
