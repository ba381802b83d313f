-- SPDX-License-Identifier: MIT
-- Event sourcing: aggregates whose state is what their events make it, a store for these events, and projections of them.
--
--   sourcing/aggregate.lua    pure: what an aggregate is, events applied, upcast and decided
--   sourcing/given.lua        given–when–then, for tests
--   sourcing/store.lua        events, snapshots and commands in SQLite
--   sourcing/projection.lua   tables that follow the events
--   sourcing/background.lua   what the server runs, so that they do
local sourcing = {}

sourcing.aggregate = require "perilune.sourcing.aggregate"
sourcing.projection = require "perilune.sourcing.projection"
sourcing.store = require "perilune.sourcing.store"

-- sourcing.given(aggregate, events):when(command):expect(events)
function sourcing.given(...) return require "perilune.sourcing.given"(...) end

return sourcing
