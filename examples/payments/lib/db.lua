-- SPDX-License-Identifier: MIT
-- The default database, with its tables as they are today. Every worker comes here at every reload, so whatever changes the
-- database happens once only: under a lock, and guarded by the number of the last step, which the file itself keeps.
local migrations = require "lib.migrations"
local sqlite     = require "perilune.sqlite"

local db = sqlite.open()

db:transaction(function(tx)
  for number = tx:value "PRAGMA user_version" + 1, #migrations do
    tx:exec_script(migrations[number])
    tx:exec("PRAGMA user_version = " .. number)
  end
end)

return db
