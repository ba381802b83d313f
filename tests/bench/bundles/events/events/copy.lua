-- SPDX-License-Identifier: MIT
-- Copies each event with one field changed: one by one, waiting for the acknowledgement; a list at a time; or in transactions.
-- Or it only adds up what there is.
local tally = require "lib.tally"

local mode, output = os.getenv "BENCH_MODE" or "each", os.getenv "BENCH_OUTPUT" or "output"

local consumer = { topic = os.getenv "BENCH_INPUT" or "input", group = os.getenv "BENCH_GROUP" or "bench" }

local function changed(event)
  event.quantity = event.quantity + 1
  return event
end

function consumer.handler(event, msg, ctx)
  ctx.events:publish(output, changed(event), { key = msg.key })
end

if mode == "each" then
  consumer.ordering, consumer.concurrency = "key", 1000
elseif mode == "batch" then
  consumer.batch = { size = 1000, wait = 0.005 }
  function consumer.handler(events, msgs, ctx)
    local list = {}
    for i, event in ipairs(events) do list[i] = { value = changed(event), key = msgs[i].key } end
    ctx.events:publish_batch(output, list)
  end
elseif mode == "consume" then
  function consumer.handler(event) tally.add(event) end
elseif mode == "consume_batch" then
  consumer.batch = { size = 1000, wait = 0.005 }
  function consumer.handler(events)
    for _, event in ipairs(events) do tally.add(event) end
  end
else
  consumer.delivery = mode
end

return consumer
