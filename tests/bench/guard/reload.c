/* SPDX-License-Identifier: MIT */
#include <perilune.h>
#include <stdio.h>
#include <stdlib.h>

#include "guard.h"

/* The reload of a bundle of 100 Lua files: 98 of resolvers, which require one of the other two. */

#define FILES 100
#define LUA_FILES (FILES - 1)

typedef struct reloading {
    pl_app *app;
    pl_app_file files[FILES + 1];
    char texts[FILES + 1][1200], paths[FILES + 1][32];
    char schema[12000], changing[2][64];
    unsigned turn;
} reloading;

static void set_file(reloading *r, int i, const char *bytes, size_t length)
{
    r->files[i] = (pl_app_file){r->paths[i], bytes, length};
}

static void make_resolvers(reloading *r, int i)
{
    snprintf(r->paths[i], sizeof r->paths[i], "resolvers/part%d.lua", i);
    int n = snprintf(
        r->texts[i], sizeof r->texts[i],
        "local version = require 'lib.version'\n"
        "local items = {}\n"
        "for i = 1, 20 do items[i] = { id = i, name = 'Item ' .. i } end\n"
        "local function find(id)\n"
        "  for _, item in ipairs(items) do if item.id == id then return item end end\n"
        "  return nil\n"
        "end\n"
        "return {\n"
        "  Query = { part%d = function(_, args) return find(args.id) or error('no such item') end },\n"
        "  Part%d = {\n"
        "    title = function(part) return ('%%s (%%d)'):format(part.name, version) end,\n"
        "    others = function(part)\n"
        "      local list = {}\n"
        "      for _, item in ipairs(items) do if item.id ~= part.id then list[#list + 1] = item end end\n"
        "      return list\n"
        "    end,\n"
        "  },\n"
        "}\n",
        i, i);
    set_file(r, i, r->texts[i], (size_t)n);
}

static void make_files(reloading *r)
{
    size_t n = (size_t)snprintf(r->schema, sizeof r->schema, "type Query { hello: String\n");
    for (int i = 2; i < FILES; i++)
        n += (size_t)snprintf(r->schema + n, sizeof r->schema - n, "  part%d(id: Int!): Part%d\n", i, i);
    n += (size_t)snprintf(r->schema + n, sizeof r->schema - n, "}\n");
    for (int i = 2; i < FILES; i++)
        n += (size_t)snprintf(r->schema + n, sizeof r->schema - n,
                              "type Part%d { id: Int!, title: String!, others: [Part%d!]! }\n", i, i);
    snprintf(r->paths[FILES], sizeof r->paths[FILES], "schema/schema.graphql");
    set_file(r, FILES, r->schema, n);
    for (int i = 2; i < FILES; i++)
        make_resolvers(r, i);
    snprintf(r->paths[0], sizeof r->paths[0], "lib/version.lua");
    snprintf(r->paths[1], sizeof r->paths[1], "app.lua");
    set_file(r, 1, r->texts[1],
             (size_t)snprintf(r->texts[1], sizeof r->texts[1], "return { name = 'guard' }\n"));
    for (int v = 0; v < 2; v++)
        snprintf(r->changing[v], sizeof r->changing[v], "return %d\n", v + 1);
    set_file(r, 0, r->changing[0], 9);
}

static void *prepare_reload(const void *data)
{
    reloading *r = calloc(1, sizeof *r);
    char error[2000];
    if (!r)
        guard_die("prepare", "out of memory");
    make_files(r);
    pl_app_options options = PL_APP_OPTIONS_INIT;
    options.files = r->files;
    options.file_count = FILES + 1;
    r->app = pl_app_new(&options, error, sizeof error);
    if (!r->app || pl_app_start(r->app, error, sizeof error))
        guard_die("start", error);
    return r;
}

static void reload_once(void *prepared)
{
    reloading *r = prepared;
    char error[2000];
    r->turn = 1 - r->turn;
    set_file(r, 0, r->changing[r->turn], 9);
    if (pl_app_reload_memory(r->app, r->files, FILES + 1, error, sizeof error))
        guard_die("reload", error);
    if (pl_app_turn(r->app, 0))
        guard_die("turn", "it does not run");
}

static void check_reload(void *prepared)
{
    reloading *r = prepared;
    if (pl_app_generation(r->app) < 2)
        guard_die("reload", "it is still the first generation");
}

static void dispose_reload(void *prepared)
{
    reloading *r = prepared;
    pl_app_free(r->app);
    free(r);
}

const guard_case guard_cases[] = {
    {"reload-100-files", 4, prepare_reload, reload_once, check_reload, dispose_reload, NULL},
    {0},
};
