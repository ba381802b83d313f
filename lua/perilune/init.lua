-- SPDX-License-Identifier: MIT
-- What every part of a bundle may need: `null`, the value that is written as JSON null, and the version of the server.
local core = require "perilune.core"

return { null = core.null, version = core.version }
