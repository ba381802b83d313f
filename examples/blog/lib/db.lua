-- SPDX-License-Identifier: MIT
-- The database of the blog. Every worker opens it at every reload, so whatever changes it here happens once only: under a
-- lock, and guarded by the number of the last migration, which the file itself keeps.
local sqlite = require "perilune.sqlite"
local migrations = require "lib.migrations"

local db = sqlite.open(os.getenv "PERILUNE_SQLITE_PATH" or "blog.db")

db:transaction(function(tx)
  local done = tx:value "PRAGMA user_version"
  for number = done + 1, #migrations do
    tx:exec_script(migrations[number])
    tx:exec("PRAGMA user_version = " .. number)
  end
end)

return db
