-- SPDX-License-Identifier: MIT
local sqlite = require "perilune.sqlite"

local db = sqlite.open(os.getenv "BENCH_DB" or ":memory:")
db:exec "CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)"
return db
