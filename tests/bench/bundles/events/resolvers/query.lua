-- SPDX-License-Identifier: MIT
local tally = require "lib.tally"

return { Query = { consumed = function() return tally end } }
