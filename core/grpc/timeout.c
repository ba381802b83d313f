/* SPDX-License-Identifier: MIT */
#include "grpc/timeout.h"

#include <stdio.h>

#define MAX_DIGITS 8
#define MAX_VALUE 99999999u

bool pl_grpc_timeout_read(pl_str text, uint64_t *ms)
{
    uint64_t value = 0;
    if (text.len < 2 || text.len > MAX_DIGITS + 1)
        return false;
    for (size_t i = 0; i + 1 < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    switch (text.ptr[text.len - 1]) {
    case 'H':
        *ms = value * 3600000;
        return true;
    case 'M':
        *ms = value * 60000;
        return true;
    case 'S':
        *ms = value * 1000;
        return true;
    case 'm':
        *ms = value;
        return true;
    case 'u':
        *ms = (value + 999) / 1000;
        return true;
    case 'n':
        *ms = (value + 999999) / 1000000;
        return true;
    default:
        return false;
    }
}

size_t pl_grpc_timeout_write(char out[PL_GRPC_TIMEOUT_SIZE], uint64_t ms)
{
    static const struct {
        uint64_t ms;
        char unit;
    } units[] = {{1, 'm'}, {1000, 'S'}, {60000, 'M'}, {3600000, 'H'}};
    char text[32];
    size_t i = 0;
    while (i + 1 < sizeof units / sizeof *units && ms / units[i].ms > MAX_VALUE)
        i++;
    uint64_t value = ms / units[i].ms;
    int len = snprintf(text, sizeof text, "%llu%c",
                       (unsigned long long)(value > MAX_VALUE ? MAX_VALUE : value), units[i].unit);
    memcpy(out, text, (size_t)len);
    return (size_t)len;
}
