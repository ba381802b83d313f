/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

/* The functions of glibc 2.38 and libstdc++ 13 that protobuf's test runner needs, for older ones: loaded
 * before it. */

long isoc23_strtol(const char *s, char **end, int base) __asm__("__isoc23_strtol");
long long isoc23_strtoll(const char *s, char **end, int base) __asm__("__isoc23_strtoll");
unsigned long isoc23_strtoul(const char *s, char **end, int base) __asm__("__isoc23_strtoul");
unsigned long long isoc23_strtoull(const char *s, char **end, int base) __asm__("__isoc23_strtoull");
void initialise_streams(void) __asm__("_ZSt21ios_base_library_initv");
extern void construct_streams(void *init) __asm__("_ZNSt8ios_base4InitC1Ev"); /* libstdc++'s */

long isoc23_strtol(const char *s, char **end, int base)
{
    return strtol(s, end, base);
}

long long isoc23_strtoll(const char *s, char **end, int base)
{
    return strtoll(s, end, base);
}

unsigned long isoc23_strtoul(const char *s, char **end, int base)
{
    return strtoul(s, end, base);
}

unsigned long long isoc23_strtoull(const char *s, char **end, int base)
{
    return strtoull(s, end, base);
}

void initialise_streams(void)
{
    static char init;
    construct_streams(&init);
}
