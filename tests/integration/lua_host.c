/* SPDX-License-Identifier: MIT */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* lua_host SCRIPT: a program that hosts Lua, and uses the extra space of its states itself. It runs the
 * script in many of them, in one after the other and on four threads, and prints how much memory it held
 * before and afterwards. Each state loads the modules anew, and unloads them at its end. */

#define THREADS 4

static const char *script;

static void *run_states(void *data)
{
    const size_t *count = data;
    for (size_t i = 0; i < *count; i++) {
        lua_State *L = luaL_newstate();
        if (!L)
            exit(2);
        memset(lua_getextraspace(L), 0xA5, LUA_EXTRASPACE);
        luaL_openlibs(L);
        if (luaL_dofile(L, script)) {
            fprintf(stderr, "%s\n", luaL_tolstring(L, -1, NULL));
            exit(1);
        }
        lua_close(L);
    }
    return NULL;
}

static void run_threads(size_t count)
{
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, run_states, &count) != 0)
            exit(2);
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static long resident_pages(void)
{
    long all = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &all, &resident) != 2)
        exit(2);
    fclose(file);
    return resident;
}

int main(int argc, char **argv)
{
    size_t few = 50, many = 400;
    script = argv[1];
    run_states(&few);
    run_threads(few);
    long before = resident_pages();
    run_states(&many);
    run_threads(few);
    printf("%ld %ld\n", before, resident_pages());
    return 0;
}
