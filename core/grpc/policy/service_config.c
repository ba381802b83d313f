/* SPDX-License-Identifier: MIT */
#include "grpc/policy/service_config.h"

#include <strings.h>

static const pl_method_config nothing = {.max_request = UINT64_MAX, .max_response = UINT64_MAX};

const pl_method_config *pl_service_config_method(const pl_service_config *config, pl_str path)
{
    const pl_method_config *found = NULL;
    if (!config)
        return &nothing;
    if (path.len > 0 && path.ptr[0] == '/')
        path = (pl_str){path.ptr + 1, path.len - 1};
    const char *slash = path.len > 0 ? memchr(path.ptr, '/', path.len) : NULL;
    if (slash) {
        found = pl_map_get(&config->methods, path);
        if (!found)
            found = pl_map_get(&config->methods, (pl_str){path.ptr, (size_t)(slash - path.ptr) + 1});
    }
    if (!found)
        found = pl_map_get(&config->methods, PL_STR(""));
    return found ? found : &nothing;
}

static const struct {
    const char *name;
    pl_balancing_policy policy;
} policies[] = {
    {"pick_first", PL_PICK_FIRST},
    {"round_robin", PL_ROUND_ROBIN},
    {"least_request", PL_LEAST_REQUEST},
    {"weighted", PL_WEIGHTED},
    {"least_request_experimental", PL_LEAST_REQUEST},
};

bool pl_balancing_policy_named(pl_str name, pl_balancing_policy *out)
{
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        if (strlen(policies[i].name) == name.len && strncasecmp(policies[i].name, name.ptr, name.len) == 0) {
            *out = policies[i].policy;
            return true;
        }
    }
    return false;
}

const char *pl_balancing_policy_name(pl_balancing_policy policy)
{
    return policies[policy].name;
}
