/* SPDX-License-Identifier: MIT */
#include "guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <valgrind/callgrind.h>

/* Each program here is called as PROGRAM [CASE [COUNT]]: it does what the case is about COUNT times, while
 * callgrind, started with --instr-atstart=no --collect-atstart=no, counts the instructions of this thread
 * alone: neither the start nor the first times, which fill caches and pools, are in its sum. Prints
 * "CASE COUNT"; without a case, the names of all. */

void guard_die(const char *what, const char *why)
{
    fprintf(stderr, "guard: %s: %s\n", what, why);
    exit(1);
}

static void list(void)
{
    for (const guard_case *c = guard_cases; c->name; c++)
        printf("%s %u\n", c->name, c->count);
}

static const guard_case *find(const char *name)
{
    for (const guard_case *c = guard_cases; c->name; c++) {
        if (strcmp(c->name, name) == 0)
            return c;
    }
    guard_die(name, "there is no such case");
}

static void run(const guard_case *c, unsigned count)
{
    void *prepared = c->prepare(c->data);
    c->once(prepared);
    c->check(prepared);
    for (unsigned i = 0; i < count / 4; i++)
        c->once(prepared);
    CALLGRIND_START_INSTRUMENTATION;
    CALLGRIND_TOGGLE_COLLECT;
    for (unsigned i = 0; i < count; i++)
        c->once(prepared);
    CALLGRIND_TOGGLE_COLLECT;
    CALLGRIND_STOP_INSTRUMENTATION;
    c->check(prepared);
    c->dispose(prepared);
    printf("%s %u\n", c->name, count);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        list();
        return 0;
    }
    const guard_case *c = find(argv[1]);
    unsigned count = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : c->count;
    if (count == 0)
        guard_die(argv[2], "how often? a number is expected");
    run(c, count);
    return 0;
}
