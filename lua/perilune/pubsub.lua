-- SPDX-License-Identifier: MIT
-- Publish and subscribe, over all workers and generations of a server; with pubsub.topic in app.lua, of all servers. Events are
-- values that JSON can hold; each subscriber gets those that are published while it is there. All subscribers of a worker share
-- one copy of an event: treat it as read-only.
local core = require "perilune.pubsub.core"

local Subscription = {}
Subscription.__index = Subscription
Subscription.__name = "perilune.pubsub.subscription"

-- Waits for the next event that the filter lets through, and returns it; nil after close.
function Subscription:next()
  local queue, filter = self.queue, self.filter
  while true do
    local event = queue:take()
    if event == nil or not filter or filter(event) then return event end
  end
end

-- Ends it: whoever waits for the next event gets nil.
function Subscription:close()
  self.queue:close()
end

-- How many events were dropped because too many were waiting.
function Subscription:dropped()
  return self.queue:dropped()
end

Subscription.__call = Subscription.next
Subscription.__close = Subscription.close
core.subscription(Subscription)

local OPTIONS = { queue = true, max_bytes = true, on_full = true }

local pubsub = {}

-- pubsub:publish(topic, value): to all subscribers of the topic, on all workers; does not wait for them.
function pubsub.publish(_, topic, value)
  local cluster = core.cluster_topic()
  if not cluster then return core.publish(topic, value) end
  require "perilune.events":publish_async(cluster, value, { key = topic, format = "json" })
end

-- pubsub:subscribe(topic, filter, options): a subscription, which is an iterator, too. filter(event) decides which events are
-- wanted (optional). options.queue: how many events may wait for a slow subscriber (1000); options.max_bytes: how much memory
-- they may take (4 MB); options.on_full: what happens beyond that: "drop_oldest" (the default), "drop_newest", or "close", which
-- raises RESOURCE_EXHAUSTED when what waits has been taken.
function pubsub.subscribe(_, topic, filter, options)
  if filter ~= nil and type(filter) ~= "function" then
    error("pubsub:subscribe: the filter must be a function(event), not a " .. type(filter), 2)
  end
  options = options or {}
  for name in pairs(options) do
    if not OPTIONS[name] then error("pubsub:subscribe: there is no option " .. tostring(name), 2) end
  end
  local cluster = core.cluster_topic()
  if cluster then
    local passed = { key = topic, format = "json" }
    for name, value in pairs(options) do passed[name] = value end
    return require "perilune.topics":subscribe(cluster, filter, passed)
  end
  local queue = core.subscribe(topic, options.queue, options.on_full, options.max_bytes)
  return setmetatable({ queue = queue, filter = filter }, Subscription)
end

return pubsub
