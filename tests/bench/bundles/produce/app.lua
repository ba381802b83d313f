-- SPDX-License-Identifier: MIT
-- Makes the events 0 to BENCH_COUNT - 1, once: several timers at once, each a list at a time, so that there is always
-- one to be sent.
local events = require "perilune.events"

local WRITERS, LIST = 8, 1000
local count, output = tonumber(os.getenv "BENCH_COUNT" or 1000000), os.getenv "BENCH_OUTPUT" or "output"
local made = 0

local function order(number)
  return {
    id = number,
    customer = ("customer-%04d"):format(number % 1000),
    product = "Product number " .. number % 100,
    quantity = number % 7,
    price = 19.5,
    paid = true,
    tags = { "new", "online" },
    address = { street = "Nowhere Street 17", city = "Springfield", country = "US" },
  }
end

local function run()
  while made < count do
    local first, list = made, {}
    made = math.min(first + LIST, count)
    for number = first, made - 1 do
      list[#list + 1] = { key = tostring(number), value = order(number) }
    end
    events:publish_batch(output, list)
  end
end

local timers = {}
for i = 1, WRITERS do
  timers["produce_" .. i] = { every = 0.1, run = run }
end
return {
  name = "bench",
  kafka = { brokers = os.getenv "BENCH_BROKERS" or "embedded", linger = 0.005, batch_messages = 10000 },
  timers = timers,
}
