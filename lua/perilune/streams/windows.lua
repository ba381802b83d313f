-- SPDX-License-Identifier: MIT
-- Windows of time. Times are milliseconds since 1970, and may be negative; windows of a fixed size are aligned to 1970.
local serde = require "perilune.streams.serde"

local windows = {}

local function check(options, allowed, name)
  if type(options) ~= "table" then error("streams." .. name .. ": a table of options is expected", 3) end
  for option in pairs(options) do
    if not allowed[option] then error(("streams.%s: there is no option %s"):format(name, tostring(option)), 3) end
  end
end

local function read(name, options, option, least, otherwise)
  if options[option] == nil and otherwise then return otherwise end
  return serde.duration(options[option], ("streams.%s: %s"):format(name, option), least)
end

-- Fixed windows [start, start + size), which begin at the multiples of `advance`. The window of an event is closed, and takes
-- nothing any more, when an event has come that is at least `grace` younger than the window's end.
local function fixed(name, size, advance, grace, retention)
  if advance > size then error(("streams.%s: advance must not be greater than size"):format(name), 3) end
  local window = { kind = "fixed", size = size, advance = advance, grace = grace }
  -- How long an entry stays behind the start of its window.
  window.retention = math.max(retention, size + grace)

  -- The starts of all windows that hold the time, the last one first.
  function window.starts(time)
    local start = time // advance * advance
    return function(_, previous)
      local one = previous == nil and start or previous - advance
      if one + size > time then return one end
    end
  end

  function window.closed(start, stream_time)
    return start + size + grace <= stream_time
  end

  -- All windows that begin before this are closed.
  function window.closed_before(stream_time)
    return stream_time - size - grace + 1
  end

  return window
end

-- streams.tumbling{ size, grace, retention }: windows that follow one another. Seconds; grace: how late an event may come (0).
function windows.tumbling(options)
  check(options, { size = true, grace = true, retention = true }, "tumbling")
  local size = read("tumbling", options, "size", 1)
  return fixed("tumbling", size, size, read("tumbling", options, "grace", 0, 0), read("tumbling", options, "retention", 0, 0))
end

-- streams.hopping{ size, advance, grace, retention }: windows that overlap: one begins every `advance` seconds.
function windows.hopping(options)
  check(options, { size = true, advance = true, grace = true, retention = true }, "hopping")
  local size, advance = read("hopping", options, "size", 1), read("hopping", options, "advance", 1)
  if size // advance > 10000 then error("streams.hopping: an event would be in more than 10,000 windows", 2) end
  return fixed("hopping", size, advance, read("hopping", options, "grace", 0, 0), read("hopping", options, "retention", 0, 0))
end

-- streams.session{ gap, grace, retention }: events of a key that are at most `gap` seconds apart are in one session, which is
-- closed when an event has come that is more than gap + grace younger than its last one.
function windows.session(options)
  check(options, { gap = true, grace = true, retention = true }, "session")
  local gap, grace = read("session", options, "gap", 1), read("session", options, "grace", 0, 0)
  local window = { kind = "session", gap = gap, grace = grace }
  window.retention = math.max(read("session", options, "retention", 0, 0), gap + grace)

  function window.closed(stop, stream_time)
    return stop + gap + grace < stream_time
  end

  function window.closed_before(stream_time)
    return stream_time - gap - grace
  end

  return window
end

-- streams.join_window(seconds) or streams.join_window{ within, before, after, grace }: which events of the right side an event of
-- the left one meets: those with left - before <= right <= left + after.
function windows.join(options)
  if type(options) == "number" then options = { before = options, after = options } end
  check(options, { before = true, after = true, within = true, grace = true }, "join_window")
  local within = options.within and read("join_window", options, "within", 0)
  local before, after = read("join_window", options, "before", 0, within), read("join_window", options, "after", 0, within)
  return { kind = "join", before = before, after = after, grace = read("join_window", options, "grace", 0, 0) }
end

return windows
