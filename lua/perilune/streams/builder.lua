-- SPDX-License-Identifier: MIT
-- The words in which a topology is declared: b:stream(…):filter(…):group_by(…):window(…):count(). They make a graph of nodes,
-- which perilune.streams.topology takes apart.
local aggregate = require "perilune.streams.aggregate"
local join = require "perilune.streams.join"
local process = require "perilune.streams.process"
local serde = require "perilune.streams.serde"
local stateless = require "perilune.streams.stateless"

local Builder, Stream, Table, Grouped = {}, {}, {}, {}
Builder.__index, Stream.__index, Table.__index, Grouped.__index = Builder, Stream, Table, Grouped

-- Checks: level 3 is the script's line. --------------------------------------------------------------------------------------
local function check_function(value, what)
  if type(value) ~= "function" then error(("streams: %s: a function is expected, not a %s"):format(what, type(value)), 3) end
end

local function check_options(options, allowed, what)
  if options == nil then return {} end
  if type(options) ~= "table" then error(("streams: %s: options are a table"):format(what), 3) end
  for name in pairs(options) do
    if not allowed[name] then error(("streams: %s: there is no option %s"):format(what, tostring(name)), 3) end
  end
  return options
end

local function is(value, class)
  return type(value) == "table" and getmetatable(value) == class
end

-- The graph ------------------------------------------------------------------------------------------------------------------
local function add_node(self, node, parent)
  node.id, node.children = #self.nodes + 1, {}
  self.nodes[node.id] = node
  if parent then parent.children[#parent.children + 1] = node end
  return node
end

-- rekeyed: the key may be another than the one by which the topic is partitioned.
local function stream(builder, node, rekeyed, options)
  return setmetatable({ builder = builder, node = node, rekeyed = rekeyed, options = options or {} }, Stream)
end

-- Where values may be others, the format of the source says nothing about them.
local VALUES = { map = true, map_values = true, flat_map = true, flat_map_values = true, join = true, process = true }

local function behind(self, fields, rekeyed)
  local options = not VALUES[fields.kind] and self.options or nil
  return stream(self.builder, add_node(self.builder, fields, self.node), rekeyed or self.rekeyed, options)
end

local function next_name(builder, kind)
  builder.numbers[kind] = (builder.numbers[kind] or 0) + 1
  return kind .. "-" .. builder.numbers[kind]
end

local function define_store(builder, name, kind, options, window)
  if type(name) ~= "string" or not name:find "^[%w._-]+$" then
    error(("streams: %q is no name of a store: letters, digits, '.', '_' and '-' are"):format(tostring(name)), 0)
  end
  if builder.stores[name] then error(("streams: there are two stores with the name %s"):format(name), 0) end
  local definition = { name = name, kind = kind, window = window, codec = serde.of(options) }
  builder.stores[name] = definition
  builder.store_order[#builder.store_order + 1] = definition
  return definition
end

local SOURCE = { format = true, message = true, timestamp = true }

local function source(self, topic, options)
  if type(topic) ~= "string" or topic == "" then error("streams: the name of a topic is expected", 3) end
  if self.sources[topic] then error(("streams: topic %s is read twice; use one stream of it"):format(topic), 3) end
  if options.timestamp then check_function(options.timestamp, "timestamp") end
  local node = add_node(self, { kind = "source", topic = topic, codec = serde.of(options), timestamp = options.timestamp })
  self.sources[topic] = node
  return node
end

-- How values are written: as the options say, else as they came.
local function codec_of(options, inherited)
  return {
    format = options.format or (not options.message and inherited.format) or nil,
    message = options.message or inherited.message,
  }
end

-- The builder ----------------------------------------------------------------------------------------------------------------
-- b:stream(topic, { format = "json" | "protobuf" | "bytes", message, timestamp = function(value, record) → seconds })
function Builder:stream(topic, options)
  options = check_options(options, SOURCE, "stream")
  return stream(self, source(self, topic, options), false, { format = options.format, message = options.message })
end

-- b:table(topic, { store, … }): the latest value of each key.
function Builder:table(topic, options)
  options = check_options(options, { format = true, message = true, timestamp = true, store = true }, "table")
  local from = source(self, topic, options)
  local definition = define_store(self, options.store or topic, "key-value", options)
  return setmetatable({ builder = self, node = add_node(self, join.table(definition), from), options = options }, Table)
end

-- b:store(name, { format, message }): for processors.
function Builder:store(name, options)
  return define_store(self, name, "key-value", check_options(options, { format = true, message = true }, "store")).name
end

-- Streams --------------------------------------------------------------------------------------------------------------------
function Stream:filter(fn)
  check_function(fn, "filter")
  return behind(self, stateless.filter(fn, true))
end

function Stream:filter_not(fn)
  check_function(fn, "filter_not")
  return behind(self, stateless.filter(fn, false))
end

function Stream:map(fn)
  check_function(fn, "map")
  return behind(self, stateless.map(fn), true)
end

function Stream:map_values(fn)
  check_function(fn, "map_values")
  return behind(self, stateless.map_values(fn))
end

function Stream:flat_map(fn)
  check_function(fn, "flat_map")
  return behind(self, stateless.flat_map(fn), true)
end

function Stream:flat_map_values(fn)
  check_function(fn, "flat_map_values")
  return behind(self, stateless.flat_map_values(fn))
end

function Stream:select_key(fn)
  check_function(fn, "select_key")
  return behind(self, stateless.select_key(fn), true)
end

function Stream:peek(fn)
  check_function(fn, "peek")
  return behind(self, stateless.peek(fn))
end

function Stream:foreach(fn)
  check_function(fn, "foreach")
  behind(self, stateless.peek(fn))
end

-- One stream for each predicate, and one of what no predicate wants.
function Stream:branch(...)
  local predicates, streams = { ... }, {}
  for _, predicate in ipairs(predicates) do check_function(predicate, "branch") end
  local splitter = behind(self, stateless.branch(predicates))
  for i = 1, #predicates + 1 do streams[i] = behind(splitter, stateless.pass "branch") end
  return table.unpack(streams)
end

function Stream:merge(...)
  local rekeyed = self.rekeyed
  local merged = behind(self, stateless.pass "merge")
  for _, other in ipairs { ... } do
    if not is(other, Stream) then error("streams: merge: a stream is expected", 2) end
    other.node.children[#other.node.children + 1] = merged.node
    rekeyed = rekeyed or other.rekeyed
  end
  merged.rekeyed = rekeyed
  return merged
end

local SINK = { format = true, message = true, key = true, headers = true, partition = true }

-- s:to(topic, { format, message, key(value, key, record), headers(…), partition(…) }). topic may be a function, too.
function Stream:to(topic, options)
  options = check_options(options, SINK, "to")
  if type(topic) ~= "string" and type(topic) ~= "function" then error("streams: to: the name of a topic is expected", 2) end
  local node = behind(self, stateless.sink(topic, options)).node
  if type(topic) == "string" then self.builder.sinks[topic] = node end
end

-- Writes the stream through a topic of the topology's own, so that it is partitioned by its keys.
function Stream:repartition(options)
  options = check_options(options, { name = true, format = true, message = true, partitions = true }, "repartition")
  local builder = self.builder
  local name = options.name or next_name(builder, "repartition")
  local topic = ("%s-%s-repartition"):format(builder.name, name)
  local codec = codec_of(options, self.options)
  local sink = stateless.sink(topic, { format = codec.format, message = codec.message, internal = true })
  add_node(builder, sink, self.node)
  local from = source(builder, topic, codec)
  from.internal, from.writer, from.partitions = true, sink, options.partitions
  return stream(builder, from, false, self.options)
end

-- Joins ------------------------------------------------------------------------------------------------------------------------
local function by_key(self, name, options)
  if not self.rekeyed then return self end
  return self:repartition { name = name, format = options.format, message = options.message }
end

local function join_table(self, table_side, fn, left, options)
  options = check_options(options, { name = true, format = true, message = true }, "join")
  local name = options.name or next_name(self.builder, "join")
  local keyed = by_key(self, name, options)
  if not table_side.node.lookup then error("streams: join: the table has no store: results of windows cannot be joined", 3) end
  local node = join.with_table(table_side.node, fn, left)
  node.needs = table_side.node
  return behind(keyed, node)
end

local JOIN = { window = true, name = true, format = true, message = true, left = true, right = true }

local function side_options(self, options, side)
  local own = options[side] or {}
  if own.format or own.message then return own end
  return (options.format or options.message) and options or self.options
end

local function join_streams(self, other, fn, kind, options)
  local builder = self.builder
  options = check_options(options, JOIN, "join")
  local window = options.window
  if type(window) ~= "table" or window.kind ~= "join" then
    error("streams: a join of two streams needs { window = streams.join_window(seconds) }", 3)
  end
  local name = options.name or next_name(builder, "join")
  local left, right = by_key(self, name .. "-left", options), by_key(other, name .. "-right", options)
  local left_store = define_store(builder, name .. "-left", "join", side_options(self, options, "left"), window)
  local right_store = define_store(builder, name .. "-right", "join", side_options(other, options, "right"), window)
  local a, b, output = join.streams(name, window, kind, fn, left_store, right_store)
  add_node(builder, a, left.node)
  add_node(builder, b, right.node)
  return stream(builder, add_node(builder, output), false)
end

local function join_with(self, other, fn, kind, options)
  check_function(fn, "join")
  if is(other, Stream) then return join_streams(self, other, fn, kind, options) end
  if not is(other, Table) then error("streams: join: a stream or a table is expected", 3) end
  if kind == "outer" then error("streams: outer_join: a stream and a table can be joined by join and left_join", 3) end
  return join_table(self, other, fn, kind == "left", options)
end

-- s:join(other, function(left, right, key), { window, name }): other is a table, or a stream, which needs a window.
function Stream:join(other, fn, options)
  return join_with(self, other, fn, "inner", options)
end

-- The same, where right may be nil.
function Stream:left_join(other, fn, options)
  return join_with(self, other, fn, "left", options)
end

-- Streams only; left or right may be nil.
function Stream:outer_join(other, fn, options)
  return join_with(self, other, fn, "outer", options)
end

-- Tables and processors --------------------------------------------------------------------------------------------------------
-- s:to_table{ store }: the latest value of each key.
function Stream:to_table(options)
  options = check_options(options, { store = true, format = true, message = true }, "to_table")
  local name = options.store or next_name(self.builder, "table")
  local keyed = by_key(self, name, options)
  local codec = codec_of(options, self.options)
  local node = add_node(self.builder, join.table(define_store(self.builder, name, "key-value", codec)), keyed.node)
  return setmetatable({ builder = self.builder, node = node, options = codec }, Table)
end

-- s:process{ name, stores = { "a", … }, process = function(value, key, record, ctx), punctuate = { every, by, run(time, ctx) } }
function Stream:process(options)
  options = check_options(options, { name = true, stores = true, process = true, punctuate = true }, "process")
  if options.process then check_function(options.process, "process") end
  local definitions = {}
  for i, name in ipairs(options.stores or {}) do
    definitions[i] = self.builder.stores[name]
    if not definitions[i] then error(("streams: process: there is no store %s: b:store makes one"):format(tostring(name)), 2) end
  end
  local name = options.name or next_name(self.builder, "process")
  return behind(self, process.node(name, options, definitions), true)
end

-- Grouping ---------------------------------------------------------------------------------------------------------------------
local GROUP = { name = true, format = true, message = true }

local function grouped(self, rekeyed, options)
  local codec = codec_of(options, self.options)
  return setmetatable({ builder = self.builder, stream = self, rekeyed = rekeyed, name = options.name, options = codec }, Grouped)
end

-- s:group_by(function(value, key, record) → key)
function Stream:group_by(fn, options)
  check_function(fn, "group_by")
  return grouped(self:select_key(fn), true, check_options(options, GROUP, "group_by"))
end

function Stream:group_by_key(options)
  return grouped(self, self.rekeyed, check_options(options, GROUP, "group_by_key"))
end

function Grouped:window(window)
  if type(window) ~= "table" or (window.kind ~= "fixed" and window.kind ~= "session") then
    error("streams: window: streams.tumbling, hopping or session is expected", 2)
  end
  local copy = {}
  for name, value in pairs(self) do copy[name] = value end
  copy.windowed, copy.shared = window, self.shared or self
  return setmetatable(copy, Grouped)
end

-- The stream by its new keys: one for all that is made of a group.
local function keyed_stream(self, store_name)
  local group = self.shared or self
  if not group.keyed then
    group.keyed = group.rekeyed and group.stream:repartition {
      name = group.name or store_name,
      format = group.options.format,
      message = group.options.message,
    } or group.stream
  end
  return group.keyed
end

local function fold_into_table(self, kind, fold, options)
  local builder, window = self.builder, self.windowed
  local name = options.store or next_name(builder, kind)
  local parent = keyed_stream(self, name).node
  local store_kind = not window and "key-value" or window.kind == "fixed" and "window" or "session"
  local definition = define_store(builder, name, store_kind, options, window)
  local make = not window and aggregate.plain or aggregate[window.kind]
  local node = add_node(builder, make(definition, fold, window), parent)
  if node.final then add_node(builder, node.final) end
  return setmetatable({ builder = builder, node = node, options = options }, Table)
end

local FOLD = { store = true, format = true, message = true }

-- g:count{ store }
function Grouped:count(options)
  options = check_options(options, FOLD, "count")
  return fold_into_table(self, "count", {
    init = function() return 0 end,
    add = function(n) return n + 1 end,
    merge = function(a, b) return a + b end,
  }, options)
end

-- g:reduce(function(aggregate, value, key) → aggregate, { store }): begins with the first value.
function Grouped:reduce(fn, options)
  check_function(fn, "reduce")
  options = check_options(options, FOLD, "reduce")
  local codec = codec_of(options, self.options)
  options = { store = options.store, format = codec.format, message = codec.message }
  return fold_into_table(self, "reduce", {
    init = function() end,
    add = function(old, value, key)
      if old == nil then return value end
      return fn(old, value, key)
    end,
    merge = fn,
  }, options)
end

-- g:aggregate{ init, add = function(aggregate, value, key, record) → aggregate, merge = function(a, b, key), store, format }
function Grouped:aggregate(options)
  options = check_options(options, {
    store = true, format = true, message = true, init = true, add = true, merge = true,
  }, "aggregate")
  local init = options.init
  if type(init) == "table" then error("streams: aggregate: init is a function that makes a new table, or a plain value", 2) end
  check_function(options.add, "aggregate: add")
  if self.windowed and self.windowed.kind == "session" then check_function(options.merge, "aggregate: merge (of sessions)") end
  local constant = init
  if type(init) ~= "function" then init = function() return constant end end
  return fold_into_table(self, "aggregate", { init = init, add = options.add, merge = options.merge }, options)
end

-- Tables -----------------------------------------------------------------------------------------------------------------------
local function table_behind(self, fields)
  local node = add_node(self.builder, fields, self.node)
  return setmetatable({ builder = self.builder, node = node, options = {} }, Table)
end

function Table:filter(fn)
  check_function(fn, "filter")
  local lookup, fields = self.node.lookup, stateless.filter_table(fn, true)
  fields.needs = self.node
  fields.lookup = lookup and function(task, key)
    local value = lookup(task, key)
    if value ~= nil and fn(value, key, { key = key, value = value }) then return value end
  end
  return table_behind(self, fields)
end

function Table:map_values(fn)
  check_function(fn, "map_values")
  local lookup, fields = self.node.lookup, stateless.map_table(fn)
  fields.needs = self.node
  fields.lookup = lookup and function(task, key)
    local value = lookup(task, key)
    if value ~= nil then return (fn(value, key, { key = key, value = value })) end
  end
  return table_behind(self, fields)
end

-- Results of closed windows only, one for each.
function Table:suppress()
  if not self.node.final then error("streams: suppress follows the count, reduce or aggregate of windows", 2) end
  self.node.final.used = true
  return setmetatable({ builder = self.builder, node = self.node.final, options = self.options }, Table)
end

function Table:to_stream()
  return stream(self.builder, self.node, false, { format = self.options.format, message = self.options.message })
end

function Table:to(topic, options)
  return self:to_stream():to(topic, options)
end

function Builder.new(name)
  return setmetatable({ name = name, nodes = {}, sources = {}, sinks = {}, stores = {}, store_order = {}, numbers = {} }, Builder)
end

return Builder
