-- SPDX-License-Identifier: MIT
-- For the server: puts what directives on arguments and input fields do between a resolver and its arguments.
-- A spec of a value is a list of functions(value, ctx) for the value as a whole, with `fields` = { name = spec } when it is an
-- input object, or lists of them `depth` levels deep.
local null = require("perilune").null

local apply

local function apply_fields(value, depth, fields, ctx)
  if value == nil or value == null then
    return
  end
  if depth > 0 then
    for i = 1, #value do
      apply_fields(value[i], depth - 1, fields, ctx)
    end
    return
  end
  for name, spec in next, fields do
    value[name] = apply(value[name], spec, ctx)
  end
end

function apply(value, spec, ctx)
  if value == nil or value == null then
    return value
  end
  if spec.fields then
    apply_fields(value, spec.depth, spec.fields, ctx)
  end
  for i = 1, #spec do
    value = spec[i](value, ctx)
  end
  return value
end

-- A resolver that calls `resolve` with its arguments as the specs make them.
return function(resolve, specs)
  return function(parent, args, ctx, info)
    for name, spec in next, specs do
      args[name] = apply(args[name], spec, ctx)
    end
    return resolve(parent, args, ctx, info)
  end
end
