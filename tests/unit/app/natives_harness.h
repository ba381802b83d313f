/* SPDX-License-Identifier: MIT */
#ifndef TEST_APP_NATIVES_HARNESS_H
#define TEST_APP_NATIVES_HARNESS_H

/* Functions of the host program, called as resolvers of a bundle. Included after app_harness.h. */

#include "app/local_harness.h"
#include "app/natives.h"

static const char natives_schema[] =
    "directive @show on FIELD_DEFINITION\n"
    "directive @sorted on FIELD_DEFINITION\n"
    "scalar Any\n"
    "input In { s: String, n: Int, list: [Int], in: In, any: Any }\n"
    "type User { id: ID, name: String, friends: [User] }\n"
    "type Query { echo(s: String, n: Int, f: Float, b: Boolean, list: [Int], in: In, any: Any): String "
    "@show\n"
    "  user(id: ID!): User, value: Any, shown: Any @show, number: Int, later: String @show, lua: String\n"
    "  never: String, sorted: String @sorted, required: String! }\n"
    "type Mutation { set: Int }";

static const char natives_resolvers[] =
    "local errors = require 'perilune.errors'\n"
    "local function show(v)\n"
    "  if v == nil then return 'nil' elseif v == require 'perilune'.null then return 'null' end\n"
    "  if type(v) ~= 'table' then return math.type(v) and math.type(v) .. ' ' .. v or tostring(v) end\n"
    "  local parts, keys = {}, {}\n"
    "  for k in pairs(v) do keys[#keys + 1] = tostring(k) end\n"
    "  table.sort(keys)\n"
    "  for _, k in ipairs(keys) do parts[#parts + 1] = k .. '=' .. show(v[k] == nil and v[tonumber(k)] or "
    "v[k]) end\n"
    "  return '{' .. table.concat(parts, ',') .. '}'\n"
    "end\n"
    "return { Query = { lua = function() return 'Lua' end },\n"
    "  ['@show'] = { field = function(resolve)\n"
    "    return function(parent, args, ctx, info)\n"
    "      local ok, v = pcall(resolve, parent, args, ctx, info)\n"
    "      if ok then return show(v) end\n"
    "      if errors.is(v) then return 'raised ' .. v.code .. ' ' .. v.message .. ' ' .. show(v.details or "
    "{}) end\n"
    "      return 'fault ' .. type(v) .. ' ' .. tostring(v)\n"
    "    end end },\n"
    "  ['@sorted'] = { field = function(resolve) return function()\n"
    "    local ok, e = pcall(table.sort, { 2, 1 }, function(a, b) resolve() return a < b end)\n"
    "    return tostring(ok) .. ' ' .. tostring(e) end end } }";

static inline pl_local *open_with(pl_natives *natives, const char *files, pl_report *report)
{
    pl_error err = {0};
    pl_local_options options = {.engine = pl_lua_engine(), .natives = natives};
    pl_bundle *bundle = MEMORY_BUNDLE("schema/s.graphql", natives_schema, "resolvers/r.lua", files);
    pl_local *local = pl_local_open(bundle, &options, report, &err);
    pl_bundle_unref(bundle);
    return local;
}

static inline pl_local *open_ok(pl_natives *natives)
{
    pl_report report;
    pl_report_init(&report);
    pl_local *local = open_with(natives, natives_resolvers, &report);
    if (!local)
        fail_msg("%s", report_text(&report));
    pl_report_dispose(&report);
    return local;
}

/* One resolver, asked for once. */
static inline const char *ask(const char *field, const char *query, pl_native_function function, void *data)
{
    static char text[8192];
    pl_natives *natives = pl_natives_new();
    assert_int_equal(pl_natives_add_resolver(natives, "Query", field, function, data), PL_OK);
    pl_local *local = open_ok(natives);
    snprintf(text, sizeof text, "%s", local_ask(local, query));
    pl_local_close(local);
    pl_natives_free(natives);
    return text;
}

/* --- functions --- */
static inline pl_native_status put_all(pl_native_call *call, void *data)
{
    pl_native_begin_map(call);
    pl_native_key(call, "null");
    pl_native_put_null(call);
    pl_native_key(call, "bool");
    pl_native_put_bool(call, true);
    pl_native_key(call, "int");
    pl_native_put_int(call, INT64_MIN);
    pl_native_key(call, "float");
    pl_native_put_float(call, 0.5);
    pl_native_key(call, "text");
    pl_native_put_text(call, "t");
    pl_native_key(call, "bytes");
    pl_native_put_string(call, "a\0b", 3);
    pl_native_key(call, "none");
    pl_native_put_string(call, NULL, 0);
    pl_native_key(call, "json");
    pl_native_put_json(call, "{\"a\":[1,{}]}", 12);
    pl_native_key(call, "list");
    pl_native_begin_list(call);
    for (int i = 0; i < 11; i++)
        pl_native_put_int(call, i);
    pl_native_begin_list(call);
    pl_native_end(call);
    pl_native_end(call);
    pl_native_end(call);
    return PL_NATIVE_DONE;
}

static inline pl_native_status put_nothing(pl_native_call *call, void *data)
{
    return PL_NATIVE_DONE;
}

static inline pl_native_status put_number(pl_native_call *call, void *data)
{
    pl_native_put_int(call, *(int *)data);
    return PL_NATIVE_DONE;
}

static inline pl_native_status fail_violations(pl_native_call *call, void *data)
{
    pl_native_violation(call, "email", "must contain @");
    pl_native_status status = pl_native_fail(call, PL_INVALID_ARGUMENT, "not valid");
    pl_native_violation(call, "age", "must be a number");
    return status;
}

static inline pl_native_status fail_unexpected(pl_native_call *call, void *data)
{
    return pl_native_fail_unexpected(call, "secret", "at line 7");
}

#endif
