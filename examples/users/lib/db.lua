-- SPDX-License-Identifier: MIT
-- Every worker opens the database at every reload; what changes it here happens once, under a lock.
local sqlite = require "perilune.sqlite"

local db = sqlite.open(os.getenv "PERILUNE_SQLITE_PATH" or "users.db")

-- Steps from an empty file to the table of today. To change it, add a step. Times are microseconds since 1970.
local migrations = {
  [[
    CREATE TABLE users (
      id         TEXT PRIMARY KEY,
      name       TEXT NOT NULL,
      email      TEXT NOT NULL,
      roles      TEXT NOT NULL,  -- a JSON list
      metadata   TEXT NOT NULL,  -- a JSON object
      created_at INTEGER NOT NULL,
      updated_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX users_by_time ON users (created_at, id);
    CREATE INDEX users_by_name ON users (name, id);
    CREATE INDEX users_by_email ON users (email, id);
  ]],
}

db:transaction(function(tx)
  for number = tx:value "PRAGMA user_version" + 1, #migrations do
    tx:exec_script(migrations[number])
    tx:exec("PRAGMA user_version = " .. number)
  end
end)

return db
