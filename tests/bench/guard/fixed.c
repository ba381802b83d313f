/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <sys/random.h>
#include <time.h>

/* Preloaded while instructions are counted: what seeds hash tables (Lua's with the time, ours with chance) is
 * the same in every run. */

#define SOME_TIME 1700000000

time_t time(time_t *out)
{
    if (out)
        *out = SOME_TIME;
    return SOME_TIME;
}

ssize_t getrandom(void *out, size_t length, unsigned flags)
{
    memset(out, 0x5a, length);
    return (ssize_t)length;
}
