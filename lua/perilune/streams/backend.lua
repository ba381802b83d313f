-- SPDX-License-Identifier: MIT
-- The state of a task in a SQLite database of its own: what perilune.streams.overlay asks of a backend. A commit of a task is one
-- transaction: its entries, which offsets of its topics they stand for (positions), and how far its changelog they go (marks).
local sqlite = require "perilune.sqlite"

local Backend = {}
Backend.__index = Backend

-- Entries of stores with times are walked in the order of times, too: they have an index for it.
local SCHEMA = [[
CREATE TABLE IF NOT EXISTS plain (store TEXT, key BLOB, t1 INTEGER, t2 INTEGER, value BLOB,
  PRIMARY KEY (store, key, t1, t2)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS timed (store TEXT, key BLOB, t1 INTEGER, t2 INTEGER, value BLOB,
  PRIMARY KEY (store, key, t1, t2)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS timed_by_time ON timed (store, t1, key, t2);
CREATE TABLE IF NOT EXISTS positions (topic TEXT PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS marks (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
]]

local function add_queries(self, table_name, store)
  local get = "SELECT value FROM %s WHERE store = ? AND key = ? AND t1 = ? AND t2 = ?"
  local fetch = "SELECT t1, t2, value FROM %s WHERE store = ? AND key = ? AND t1 BETWEEN ? AND ? ORDER BY t1, t2"
  local range = "SELECT key, t1, t2, value FROM %s WHERE store = ?%s ORDER BY key, t1, t2 LIMIT ?"
  local by_time = "SELECT key, t1, t2, value FROM %s WHERE store = ?%s AND t1 < ? ORDER BY t1, key, t2 LIMIT ?"
  self.queries[store] = {
    table_name = table_name,
    get = get:format(table_name),
    fetch = fetch:format(table_name),
    range = range:format(table_name, ""),
    range_from = range:format(table_name, " AND key >= ?"),
    range_to = range:format(table_name, " AND key <= ?"),
    range_both = range:format(table_name, " AND key >= ? AND key <= ?"),
    by_time = by_time:format(table_name, ""),
    by_time_after = by_time:format(table_name, " AND (t1, key, t2) > (?, ?, ?)"),
  }
end

-- path: of the file, or ":memory:"; definitions: of the stores; options of sqlite.open.
function Backend.open(path, definitions)
  local self = setmetatable({ db = sqlite.open(path), queries = {} }, Backend)
  self.db:exec_script(SCHEMA)
  add_queries(self, "plain", "\1")
  for _, definition in ipairs(definitions) do
    add_queries(self, definition.kind == "key-value" and "plain" or "timed", definition.name)
  end
  -- Called with dots, as overlays do.
  local backend = {}
  for _, name in ipairs { "get", "fetch", "range", "by_time", "has", "apply", "positions", "mark", "clear" } do
    backend[name] = function(...) return self[name](self, ...) end
  end
  return backend
end

-- Whether there is a store of that name.
function Backend:has(store) return self.queries[store] ~= nil end

function Backend:get(store, key, t1, t2)
  return self.db:value(self.queries[store].get, store, sqlite.blob(key), t1, t2)
end

function Backend:fetch(store, key, from, to)
  local rows = self.db:query(self.queries[store].fetch, store, sqlite.blob(key), from, to)
  for _, row in ipairs(rows) do row.key = key end
  return rows
end

function Backend:range(store, from, to, limit)
  local queries = self.queries[store]
  if from and to then return self.db:query(queries.range_both, store, sqlite.blob(from), sqlite.blob(to), limit) end
  if from then return self.db:query(queries.range_from, store, sqlite.blob(from), limit) end
  if to then return self.db:query(queries.range_to, store, sqlite.blob(to), limit) end
  return self.db:query(queries.range, store, limit)
end

function Backend:by_time(store, after, before, limit)
  local queries = self.queries[store]
  if not after then return self.db:query(queries.by_time, store, before, limit) end
  return self.db:query(queries.by_time_after, store, after.t1, sqlite.blob(after.key), after.t2, before, limit)
end

-- Writing: many rows in one statement, of a few sizes so that statements are prepared once. -----------------------------
local SIZES = { 100, 20, 4, 1 }

local function many(head, row, tail)
  local statements = {}
  for _, n in ipairs(SIZES) do statements[n] = head .. row .. (", " .. row):rep(n - 1) .. (tail or "") end
  return statements
end

local function statements_for(table_name)
  return {
    put = many(("INSERT OR REPLACE INTO %s VALUES "):format(table_name), "(?, ?, ?, ?, ?)"),
    delete = many(("DELETE FROM %s WHERE (store, key, t1, t2) IN (VALUES "):format(table_name), "(?, ?, ?, ?)", ")"),
  }
end
local statements = { plain = statements_for "plain", timed = statements_for "timed" }

-- list: of changes; width: values of one.
local function write(tx, sql, list, width, values_of)
  local at = 1
  for _, size in ipairs(SIZES) do
    while #list - at + 1 >= size do
      local parameters = {}
      for i = 0, size - 1 do values_of(list[at + i], parameters, i * width) end
      tx:exec(sql[size], parameters)
      at = at + size
    end
  end
end

local function place_of(change, parameters, at)
  parameters[at + 1], parameters[at + 2] = change.store, sqlite.blob(change.key)
  parameters[at + 3], parameters[at + 4] = change.t1, change.t2
end

local function row_of(change, parameters, at)
  place_of(change, parameters, at)
  parameters[at + 5] = sqlite.blob(change.value)
end

-- changes: a list of { store, key, t1, t2, value or false }, none twice; positions: { topic = next offset };
-- marks: { name = value }.
function Backend:apply(changes, positions, marks)
  local sorted = { plain = { put = {}, delete = {} }, timed = { put = {}, delete = {} } }
  for _, change in ipairs(changes) do
    local queries = self.queries[change.store]
    if queries then -- else of a store that is no longer there
      local lists = sorted[queries.table_name]
      local list = change.value and lists.put or lists.delete
      list[#list + 1] = change
    end
  end
  self.db:transaction(function(tx)
    for table_name, lists in pairs(sorted) do
      write(tx, statements[table_name].put, lists.put, 5, row_of)
      write(tx, statements[table_name].delete, lists.delete, 4, place_of)
    end
    for topic, offset in pairs(positions) do tx:exec("INSERT OR REPLACE INTO positions VALUES (?, ?)", topic, offset) end
    for name, value in pairs(marks) do tx:exec("INSERT OR REPLACE INTO marks VALUES (?, ?)", name, value) end
  end)
end

-- { topic = next offset }
function Backend:positions()
  local positions = {}
  for _, row in ipairs(self.db:query "SELECT topic, next FROM positions") do positions[row.topic] = row.next end
  return positions
end

function Backend:mark(name)
  return self.db:value("SELECT value FROM marks WHERE name = ?", name)
end

-- Forgets everything.
function Backend:clear()
  self.db:transaction(function(tx)
    for _, name in ipairs { "plain", "timed", "positions", "marks" } do tx:exec("DELETE FROM " .. name) end
  end)
end

return Backend
