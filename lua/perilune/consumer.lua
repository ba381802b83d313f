-- SPDX-License-Identifier: MIT
-- What becomes of each consumer that a file of events/ declares, before the server reads it: function(declaration) →
-- declaration, or a list of them. Options that only scripts know are made parts of the handler here.
return function(declaration)
  if type(declaration) == "table" and declaration.subs and declaration.sources then
    return require "perilune.streams.runtime".declarations(declaration)
  end
  if type(declaration) == "table" and declaration.deduplicate then
    declaration = require "perilune.inbox".wrap(declaration)
  end
  if type(declaration) == "table" and type(declaration.dead_letter) == "table" then
    if declaration.dead_letter.sequenced then
      if declaration.registry or declaration.schema then declaration = require "perilune.registry.consumer"(declaration) end
      return setmetatable(require "perilune.sequenced"(declaration), getmetatable(declaration))
    end
    local plain = {}
    for name, value in pairs(declaration) do plain[name] = value end
    plain.dead_letter = declaration.dead_letter.topic
    declaration = plain
  end
  -- The last, as it is the first to see an event.
  if type(declaration) == "table" and (declaration.registry or declaration.schema) then
    declaration = require "perilune.registry.consumer"(declaration)
  end
  return declaration
end
