-- SPDX-License-Identifier: MIT
-- A topology as consumers: one for each sub-topology, with a task for each partition that it has been given.
--
-- A batch of events is committed so: what the tasks have written and the entries of the changelog are acknowledged by the
-- brokers; then the changelog gets its marker; then all goes into the local database in one transaction, with the offsets that it
-- stands for; then the consumer commits the offsets. A crash in between repeats events: those that the state has are passed over.
--
-- A partition that comes is restored: the local database is brought to the changelog's end, and a marker is written that claims
-- the changelog. If it is not the next in the chain when it is read back, another one has written meanwhile, and all is done
-- again. What is written by who has lost the partition without knowing it comes behind the claim, and does not count; who writes
-- finds out, as its records do not stand one behind the other.
local Backend = require "perilune.streams.backend"
local Task = require "perilune.streams.task"
local changelog = require "perilune.streams.changelog"
local core = require "perilune.streams.core"
local crypto = require "perilune.crypto"
local errors = require "perilune.errors"
local events = require "perilune.events"
local json = require "perilune.json"
local log = require "perilune.log"
local places = require "perilune.streams.places"
local time = require "perilune.time"

local Runtime = {}
Runtime.__index = Runtime

local BATCH = { size = 500, wait = 0.02 }
local MOST_ENTRIES, MOST_BYTES = 10000, 8 * 1024 * 1024 -- of a task, between two commits
local SLICE = 50 -- events, after which the loop gets its turn
local EXPIRE = 1000 -- entries at a commit
local REPORT_EVERY = 60 -- seconds

-- Codes of failures that do not pass (Task.PASSES): they say that the event is wrong.
local NEVER = {
  "UNKNOWN", "INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "FAILED_PRECONDITION", "OUT_OF_RANGE",
  "UNIMPLEMENTED", "INTERNAL", "DATA_LOSS", "UNAUTHENTICATED",
}

local function milliseconds() return math.floor(time.now() * 1000) end

-- What goes wrong with brokers or the disk is tried again, whatever it is.
local function passing(self, what, why)
  local text = errors.is(why) and why.message or tostring(why)
  return errors.unavailable(("topology %s: %s: %s"):format(self.topology.name, what, text))
end

local function guarded(self, what, fn, ...)
  local result = table.pack(pcall(fn, ...))
  if result[1] then return table.unpack(result, 2, result.n) end
  error(passing(self, what, result[2]))
end

-- Topics -------------------------------------------------------------------------------------------------------------------
local count_of

-- How many tasks a sub-topology has: as many as its topics have partitions; where all of those are the topology's own, as the
-- topics that they are written from.
local function tasks_of(topology, sub, seen)
  local most = 0
  if seen[sub] then return 0 end
  seen[sub] = true
  for _, topic in ipairs(sub.topics) do
    if not sub.sources[topic].internal then most = math.max(most, count_of(topology, topic)) end
  end
  if most > 0 then return most end
  for _, topic in ipairs(sub.topics) do
    local source = sub.sources[topic]
    most = math.max(most, source.partitions or tasks_of(topology, source.writer.sub, seen))
  end
  return most
end

-- The topology's own topics are made.
function count_of(topology, topic)
  local source = topology.sources[topic]
  if source and source.internal then
    return core.topic(topic, source.partitions or tasks_of(topology, source.sub, {}), false)
  end
  return core.topic(topic) or error(errors.unavailable(("there is no topic %s"):format(topic)))
end

-- Topics that are joined have to have the same number of partitions. Makes the topology's own ones; how many tasks there are.
local function check_topics(self)
  local first, count
  for _, topic in ipairs(self.sub.topics) do
    local n = count_of(self.topology, topic)
    if count and n ~= count and self.sub.changelog then
      error(errors.failed_precondition(
        ("topology %s joins %s, which has %d partitions, with %s, which has %d: they must have the same number")
          :format(self.topology.name, first, count, topic, n)))
    end
    first, count = first or topic, math.max(count or 0, n)
  end
  for topic, source in pairs(self.topology.sources) do
    if source.internal and source.writer.sub == self.sub then count_of(self.topology, topic) end
  end
  if self.sub.changelog then
    local n = core.topic(self.sub.changelog, count, true)
    if n ~= count then
      error(errors.failed_precondition(
        ("topology %s: its changelog %s has %d partitions, and must have %d: were partitions added? Delete it and its state")
          :format(self.topology.name, self.sub.changelog, n, count)))
    end
  end
end

-- Restoring ----------------------------------------------------------------------------------------------------------------
-- Brings the backend to the end of the changelog; how many entries that were, and the strays among them (see changelog).
local function catch_up(self, backend, partition)
  local restorer, from = changelog.restorer(backend, math.maxinteger)
  local reader <close> = events:read(self.sub.changelog, {
    partition = partition, from = from > 0 and from or "beginning", to = "end", format = "bytes", uncommitted = false,
  })
  local n = 0
  for msg in reader do
    if restorer:take(msg) then
      backend.clear()
      return catch_up(self, backend, partition)
    end
    n = n + 1
    if n % SLICE == 0 then time.sleep(0) end
  end
  self.ends[partition] = reader:position()[partition] or from
  return restorer:finish()
end

local function restore(self, backend, partition)
  local ok, n, strays = pcall(catch_up, self, backend, partition)
  if ok then return n, strays end
  if errors.is(n, "OUT_OF_RANGE") and backend.mark "offset" then -- it is of another changelog
    backend.clear()
    return catch_up(self, backend, partition)
  end
  error(n, 0)
end

local function publish_marker(self, partition, batch, previous, number, positions, failed)
  local marker = changelog.marker(batch, previous, number, positions, failed)
  return events:publish(self.sub.changelog, marker.value, {
    key = marker.key, headers = marker.headers, partition = partition, format = "bytes",
  })
end

-- Adds what counts in the places of strays to the changes, unless it changes there anyway.
local function mend(backend, strays, changes)
  if #strays == 0 then return changes end
  local known = {}
  local function place(change) return string.pack("s4i8i8", change.store, change.t1, change.t2) .. change.key end
  for _, change in ipairs(changes) do known[place(change)] = true end
  for _, stray in ipairs(strays) do
    if backend.has(stray.store) and not known[place(stray)] then
      changes[#changes + 1] = {
        store = stray.store, key = stray.key, t1 = stray.t1, t2 = stray.t2,
        value = backend.get(stray.store, stray.key, stray.t1, stray.t2) or false,
      }
    end
  end
  return changes
end

local send

local function send_changes(self, partition, changes, batch, sent)
  for _, change in ipairs(changes) do
    local entry = changelog.entry(change, batch)
    entry.partition = partition
    send(sent, self.sub.changelog, entry)
  end
end

local function wait_for(sent)
  local acks = {}
  for i, one in ipairs(sent) do acks[i] = one:wait() end
  return acks
end

-- Restores, and makes sure that nobody else's writes count from now on. How many entries that were, and strays that have come
-- meanwhile.
local function claim(self, backend, partition)
  local restored, strays = restore(self, backend, partition)
  for _ = 1, 10 do
    local id, sent = crypto.uuid4(), {}
    send_changes(self, partition, mend(backend, strays, {}), id, sent)
    wait_for(sent)
    publish_marker(self, partition, id, backend.mark "batch", backend.mark "number", backend.positions(),
      backend.mark "failed")
    local n
    n, strays = restore(self, backend, partition)
    restored = restored + n
    if backend.mark "batch" == id then return restored, strays end
  end
  error(errors.unavailable(("changelog %s, partition %d: others write to it, too"):format(self.sub.changelog, partition)))
end

-- After a failed commit: the last batch has to be one of ours, be it that its marker was written though we were not told so. Only
-- who is given a partition may claim its changelog: else one that has lost it would take it from its owner.
local function resume(self, backend, partition, own)
  local restored, strays = restore(self, backend, partition)
  if own[backend.mark "batch"] then return restored, strays end
  error(errors.unavailable(("changelog %s, partition %d: another one has it now"):format(self.sub.changelog, partition)))
end

local function open_task(self, partition, own)
  local sub, started = self.sub, time.monotonic()
  if not sub.changelog then
    local task = Task.new(sub, partition, nil, milliseconds())
    task.positions, task.failed = {}, {}
    return task
  end
  local path = places.path(self.topology, sub, partition)
  local backend = Backend.open(path, sub.stores)
  local restored, strays = (own and resume or claim)(self, backend, partition, own)
  local task = Task.new(sub, partition, backend, milliseconds())
  task.backend, task.positions, task.batch = backend, backend.positions(), backend.mark "batch"
  task.number, task.log_end = backend.mark "number", self.ends[partition]
  task.failed = json.decode(backend.mark "failed")
  task.strays = table.move(self.strays[partition] or {}, 1, #(self.strays[partition] or {}), #strays + 1, strays)
  task.touched, self.strays[partition] = #task.strays > 0, nil
  places.hold(self.topology, sub, partition)
  log.info("stream task is ready", {
    topology = self.topology.name, partition = partition, restored = restored, seconds = time.monotonic() - started,
  })
  return task
end

-- The task of a partition; one that has failed to commit, and is in self.failed by then, is restored anew.
local function task_of(self, partition)
  local task = self.tasks[partition]
  if not task then
    task = guarded(self, ("restoring partition %d"):format(partition), open_task, self, partition, self.failed[partition])
    self.tasks[partition], self.failed[partition] = task, nil
  end
  return task
end

-- Committing ----------------------------------------------------------------------------------------------------------------
-- In an order that is the same each time.
local function sorted(headers)
  if not headers or next(headers) == nil or next(headers, next(headers)) == nil then return headers end
  local list = {}
  for name, value in pairs(headers) do
    for _, one in ipairs(type(value) == "table" and value or { value }) do list[#list + 1] = { name, one } end
  end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  return list
end

function send(sent, topic, event)
  sent[#sent + 1] = events:publish_async(topic, event.value, {
    key = event.key,
    headers = sorted(event.headers),
    partition = event.partition,
    timestamp = event.time and event.time >= 0 and event.time / 1000 or nil,
    format = "bytes",
  })
end

local function report(self, task)
  local now = time.monotonic()
  if next(task.counts) == nil or now - (task.reported or -REPORT_EVERY) < REPORT_EVERY then return end
  local fields = { topology = self.topology.name, partition = task.partition }
  for name, n in pairs(task.counts) do fields[name] = n end
  log.warn("events were left out", fields)
  task.reported, task.counts = now, {}
end

-- Into the local database, if the batch counts. The strays that there are now.
local function keep(self, task, changes, batch, failed, marker_offset, first)
  local alone = marker_offset == task.log_end + #changes and (not first or first.offset == task.log_end)
  if alone then
    local marks = { batch = batch, number = (task.number or 0) + 1, offset = marker_offset + 1, failed = failed }
    task.backend.apply(changes, task.positions, marks)
    task.log_end = marker_offset + 1
    return {}
  end
  local _, strays = restore(self, task.backend, task.partition) -- it comes from there, if it counts
  task.log_end = self.ends[task.partition]
  if task.backend.mark "batch" ~= batch then
    error(errors.unavailable(("changelog %s: another one has the partition now"):format(self.sub.changelog)))
  end
  return strays
end

local function write(self, task)
  local sent, sub, partition = {}, self.sub, task.partition
  local changes, batch
  for _, event in ipairs(task.out) do send(sent, event.topic, event) end
  if sub.changelog then
    task:expire(math.max(EXPIRE, 2 * task.state.count)) -- or state would grow faster than it goes
    changes, batch = mend(task.backend, task.strays, task:changes()), crypto.uuid4()
    task.attempted = batch
    send_changes(self, partition, changes, batch, sent)
  end
  local acks = wait_for(sent)
  if sub.changelog then
    local failed = json.encode(task.failed)
    local marker = publish_marker(self, partition, batch, task.batch, task.number, task.positions, failed)
    task.strays = keep(self, task, changes, batch, failed, marker.offset, acks[#acks + 1 - #changes])
    task.batch, task.number, task.attempted = batch, (task.number or 0) + 1, nil
  end
  task:committed()
  report(self, task)
  if task.problem then
    local why = tostring(task.problem)
    log.error("a result could not be handled", { topology = self.topology.name, partition = partition, error = why })
    task.problem = nil
  end
end

-- It is to be restored.
local function drop(self, task)
  self.tasks[task.partition], self.strays[task.partition] = nil, task.strays
  if task.batch then self.failed[task.partition] = { [task.batch] = true, [task.attempted or task.batch] = true } end
end

-- Writes what the task has done since the last time. When that fails, it is not known how much of it was written: the task goes,
-- and is restored when it is needed again.
local function commit(self, task)
  if not task.touched then return end
  local ok, why = pcall(write, self, task)
  if not ok then
    drop(self, task)
    error(passing(self, ("writing partition %d"):format(task.partition), why))
  end
  task.touched = task.strays and #task.strays > 0
end

local function commit_all(self, task)
  repeat
    local more = task:drain()
    commit(self, task)
  until not more
end

local function give_up(self)
  for _, task in pairs(self.tasks) do
    if task.touched then drop(self, task) end
  end
end

-- Events ---------------------------------------------------------------------------------------------------------------------
-- The order in which events of several topics are handled: in each partition that of their times, as far as they are here.
local function in_order(msgs)
  local queues, list = {}, {}
  for i, msg in ipairs(msgs) do
    local name = ("%d %s"):format(msg.partition, msg.topic)
    local queue = queues[name]
    if not queue then
      queue = { at = 1, partition = msg.partition }
      queues[name], list[#list + 1] = queue, queue
    end
    queue[#queue + 1] = i
  end
  local order = {}
  for _ = 1, #msgs do
    local best
    for _, queue in ipairs(list) do
      local i = queue[queue.at]
      if i then
        local t = msgs[i].timestamp or 0
        local earlier = best and queue.partition == best.partition and t < (msgs[best[best.at]].timestamp or 0)
        if not best or earlier then best = queue end
      end
    end
    order[#order + 1] = best[best.at]
    best.at = best.at + 1
  end
  return order
end

local function is_known(task, msg)
  local next_offset = task.positions[msg.topic]
  if not next_offset or msg.offset >= next_offset then return false end
  return not (task.failed[msg.topic] and task.failed[msg.topic][tostring(msg.offset)])
end

-- An event that the topology could not handle goes to the dead letters; it is remembered until then.
local function note_failed(task, msg)
  local offsets = task.failed[msg.topic] or {}
  offsets[tostring(msg.offset)] = true
  task.failed[msg.topic] = offsets
end

-- What is behind the first event of a batch has been dealt with.
local function forget_failed(self, msgs)
  local first = {}
  for _, msg in ipairs(msgs) do
    local name = ("%d %s"):format(msg.partition, msg.topic)
    if not first[name] or msg.offset < first[name].offset then first[name] = msg end
  end
  for _, msg in pairs(first) do
    local task = self.tasks[msg.partition]
    local offsets, left = task and task.failed[msg.topic] or {}, nil
    for offset in pairs(offsets) do
      if math.tointeger(tonumber(offset)) >= msg.offset then
        left = left or {}
        left[offset] = true
      end
    end
    if task then task.failed[msg.topic] = left end
  end
end

local function handle_one(self, msg)
  local task = task_of(self, msg.partition)
  if is_known(task, msg) then return end
  local ok, why = task:process(msg.topic, msg)
  task.touched = true
  if not ok then
    if errors.is(why) and Task.PASSES[why.code] then error(why, 0) end
    note_failed(task, msg)
  end
  if self.sub.changelog then task.positions[msg.topic] = math.max(task.positions[msg.topic] or 0, msg.offset + 1) end
  local entries, bytes = task:size()
  if entries > MOST_ENTRIES or bytes > MOST_BYTES then commit_all(self, task) end
  if not ok then return why end
end

local function handle(self, msgs)
  local failed
  forget_failed(self, msgs)
  for n, i in ipairs(in_order(msgs)) do
    local why = handle_one(self, msgs[i])
    if why ~= nil then
      failed = failed or {}
      failed[i] = why
    end
    if n % SLICE == 0 then time.sleep(0) end
  end
  for _, task in pairs(self.tasks) do commit_all(self, task) end
  return failed
end

local function punctuate(self)
  local now = milliseconds()
  for partition in pairs(self.tasks) do
    local task = task_of(self, partition)
    local due = task:next_due()
    if due and due <= now then
      local ok, why = task:punctuate(now)
      task.touched = true
      if not ok then
        log.error("punctuation failed", { topology = self.topology.name, partition = partition, error = tostring(why) })
      end
      commit_all(self, task)
    end
  end
end

-- What the consumer calls -----------------------------------------------------------------------------------------------------
function Runtime:assigned(partitions)
  guarded(self, "its topics", check_topics, self)
  local wanted = {}
  for _, one in ipairs(partitions) do wanted[one.partition] = true end
  for partition in pairs(wanted) do task_of(self, partition) end
end

function Runtime:revoked()
  for partition in pairs(self.tasks) do places.leave(self.topology, self.sub, partition) end
  self.tasks, self.failed, self.strays = {}, {}, {}
end

function Runtime:events(msgs)
  local ok, result = pcall(handle, self, msgs)
  if ok then return result end
  give_up(self)
  error(result, 0)
end

local function declaration_of(topology, sub)
  local self = setmetatable({ topology = topology, sub = sub, tasks = {}, failed = {}, strays = {}, ends = {} }, Runtime)
  local declaration = {
    topics = sub.topics,
    group = sub.number == 1 and topology.name or ("%s-%d"):format(topology.name, sub.number),
    format = "bytes",
    from = "earliest",
    assignor = "range",
    ordering = "partition",
    concurrency = 1,
    batch = BATCH,
    timeout = 86400, -- a restore may be among it
    retry = { attempts = 1000000, initial = 0.5, max = 30, never = NEVER },
    dead_letter = topology.dead_letter,
    handler = function(_, msgs) return self:events(msgs) end,
    on_assigned = function(partitions) self:assigned(partitions) end,
    on_revoked = function() self:revoked() end,
  }
  if #sub.processors > 0 then
    declaration.timer = { every = 1, run = function() punctuate(self) end }
  end
  return declaration
end

local runtime = {}

-- The consumers of a topology.
function runtime.declarations(topology)
  local list = {}
  for i, sub in ipairs(topology.subs) do list[i] = declaration_of(topology, sub) end
  return list
end

return runtime
