-- SPDX-License-Identifier: MIT
-- What happens once when stream time has passed an entry of a store: final results of windows, and events of joins that have met
-- none. `closer` has: store (its name), time (the name of the variable with its stream time), before(stream_time): entries with
-- t1 below that are closed; emit(task, entry). Nothing may change an entry that is closed.
local closing = {}

-- The variable that remembers how far it is: "t1 t2 key" of the last entry that was emitted.
local function cursor_name(closer) return "closed:" .. closer.store end

local function read_cursor(task, closer)
  local text = task:var(cursor_name(closer))
  if not text then return nil end
  local t1, t2, key = text:match "^(%-?%d+) (%-?%d+) (.*)$"
  return { t1 = math.tointeger(t1), t2 = math.tointeger(t2), key = key }
end

local function write_cursor(task, closer, t1, t2, key)
  task:set_var(cursor_name(closer), ("%d %d %s"):format(t1, t2, key))
end

-- To be called for each entry that is made or changed: so that a look at the store is rare.
function closing.note(task, closer, t1)
  local next_t1 = task.next_close[closer.store]
  if next_t1 and t1 < next_t1 then task.next_close[closer.store] = t1 end
end

-- Emits at most limit entries. True: there are more.
function closing.emit(task, closer, limit)
  local stream_time = task:var(closer.time)
  if not stream_time then return false end
  local before, next_t1 = closer.before(stream_time), task.next_close[closer.store]
  if next_t1 and next_t1 >= before then return false end
  local after = read_cursor(task, closer)
  local entries, last = task.state:by_time(closer.store, after, before, limit)
  for i = 1, math.min(#entries, limit) do
    local ok, why = pcall(closer.emit, task, entries[i])
    if not ok then task:result_failed(why) end
  end
  if #entries > limit then last = entries[limit] end
  if last then
    write_cursor(task, closer, last.t1, last.t2, last.key)
    return true
  end
  if not after or after.t1 < before then write_cursor(task, closer, before, math.mininteger, "") end
  task.next_close[closer.store] = task.state:first_time(closer.store, before) or math.maxinteger
  return false
end

-- Entries with t1 below this have been emitted.
function closing.emitted_before(task, closer)
  local cursor = read_cursor(task, closer)
  return cursor and cursor.t1 or math.mininteger
end

return closing
