-- SPDX-License-Identifier: MIT
-- Metrics of scripts, at /metrics with those of the server. They are the worker's and not the generation's: a reload goes on
-- counting.
local core = require "perilune.metrics.core"

local MOST_METRICS, MOST_LABELS, MOST_BUCKETS, MOST_SERIES = 500, 10, 60, 100000
-- The server's own names begin with these.
local reserved = { "perilune_", "process_", "http_", "graphql_", "grpc_", "events_", "event_", "consumer_" }
local made_by_histograms = { "_bucket", "_sum", "_count" }
local mergings = { sum = true, last = true, max = true, min = true }
local options_of = {
  counter = { max_series = true },
  gauge = { max_series = true, merge = true },
  histogram = { max_series = true, buckets = true },
}

local metrics = {}
local declared, count = {}, 0

-- The line that is to blame is that of whoever has called metrics.counter…: so many functions are in between.
local function fail_at(level, kind, fmt, ...)
  error(("metrics.%s: " .. fmt):format(kind, ...), level + 1)
end

local function fail(kind, ...) -- in what `declare` calls
  fail_at(5, kind, ...)
end

local function check_name(kind, name)
  if type(name) ~= "string" or not name:find "^[%a_:][%w_:]*$" or #name > 200 then
    fail(kind, "a name of letters, digits and \"_\" is expected, such as \"orders_total\", not %s", tostring(name))
  end
  for _, prefix in ipairs(reserved) do
    if name:sub(1, #prefix) == prefix then
      fail(kind, "names that begin with \"%s\" are the server's own: choose another than \"%s\"", prefix, name)
    end
  end
  for _, suffix in ipairs(made_by_histograms) do
    if name:sub(-#suffix) == suffix then
      fail(kind, "\"%s\" ends with \"%s\", as what a histogram is made of does: choose another name", name, suffix)
    end
  end
end

local function copy_list(list)
  return table.move(list, 1, #list, 1, {})
end

local function check_labels(kind, labels)
  if labels == nil then return {} end
  if type(labels) ~= "table" then fail(kind, "the labels must be a list of names, not %s", type(labels)) end
  local seen, n = {}, 0
  for key, label in next, labels do
    n = n + 1
    if math.type(key) ~= "integer" or key < 1 or key > #labels then
      fail(kind, "the labels must be a list of names such as { \"country\" }; values are given when something is counted")
    elseif type(label) ~= "string" or not label:find "^[%a_][%w_]*$" or label:find "^__" or #label > 100 then
      fail(kind, "a label must be a name of letters, digits and \"_\", not %s", tostring(label))
    elseif seen[label] then
      fail(kind, "the label \"%s\" is there twice", label)
    elseif label == "le" and kind == "histogram" then
      fail(kind, "histograms have a label \"le\" of their own")
    end
    seen[label] = true
  end
  if n > MOST_LABELS then fail(kind, "%d labels are the most", MOST_LABELS) end
  return copy_list(labels)
end

local function check_buckets(buckets)
  if buckets == nil then return {} end
  if type(buckets) ~= "table" or #buckets == 0 or #buckets > MOST_BUCKETS then
    fail("histogram", "buckets must be a list of 1 to %d rising numbers", MOST_BUCKETS)
  end
  for i, bound in ipairs(buckets) do
    if type(bound) ~= "number" or bound ~= bound or bound == math.huge or bound == -math.huge or
        (i > 1 and bound <= buckets[i - 1]) then
      fail("histogram", "buckets must be rising numbers: number %d is %s", i, tostring(bound))
    end
  end
  return copy_list(buckets)
end

local function check_options(kind, options)
  if type(options) ~= "table" then fail(kind, "the options must be a table, not %s", type(options)) end
  for name in next, options do
    if not options_of[kind][name] then fail(kind, "there is no option '%s'", tostring(name)) end
  end
  local most = options.max_series
  if most ~= nil and (math.type(most) ~= "integer" or most < 1 or most > MOST_SERIES) then
    fail(kind, "max_series must be an integer from 1 to %d", MOST_SERIES)
  end
  if options.merge ~= nil and not mergings[options.merge] then
    fail(kind, "merge must be \"last\", \"sum\", \"max\" or \"min\", not %s", tostring(options.merge))
  end
end

local function same_list(a, b)
  for i = 1, math.max(#a, #b) do
    if a[i] ~= b[i] then return false end
  end
  return true
end

local function same(a, b)
  return a.kind == b.kind and a.merge == b.merge and same_list(a.labels, b.labels) and
    same_list(a.buckets, b.buckets)
end

local function declare(kind, name, help, labels, options)
  check_name(kind, name)
  if type(help) ~= "string" or #help > 1000 then fail_at(3, kind, "what \"%s\" tells of is expected as a second string", name) end
  options = options == nil and {} or options
  check_options(kind, options)
  local spec = {
    kind = kind,
    name = name,
    help = help,
    labels = check_labels(kind, labels),
    buckets = check_buckets(options.buckets),
    merge = kind == "gauge" and (options.merge or "last") or "sum",
    max_series = options.max_series,
  }
  local known = declared[name]
  if known and same(known.spec, spec) then return known.metric end
  if known then fail_at(3, kind, "there is a %s \"%s\" already, with other labels or options", known.spec.kind, name) end
  if count >= MOST_METRICS then fail_at(3, kind, "there are %d metrics, which is the most", MOST_METRICS) end
  local metric = core.declare(kind, spec)
  declared[name], count = { spec = spec, metric = metric }, count + 1
  return metric
end

-- metrics.counter(name, help, labels, { max_series }): only goes up; c:add(n, { label = value }), n is 1 where it is not given.
function metrics.counter(name, help, labels, options)
  return (declare("counter", name, help, labels, options))
end

-- metrics.gauge(name, help, labels, { merge, max_series }): g:set(v, labels), and with merge = "sum" also g:add(n, labels). merge
-- says what the values of several workers come to: "last" (the one that was set last), "sum", "max" or "min".
function metrics.gauge(name, help, labels, options)
  return (declare("gauge", name, help, labels, options))
end

-- metrics.histogram(name, help, labels, { buckets, max_series }): h:observe(v, labels). Buckets are for seconds, from 100 µs to
-- 10 s, unless they are given.
function metrics.histogram(name, help, labels, options)
  return (declare("histogram", name, help, labels, options))
end

-- Each of them has m:labels { label = value }: the same, with these labels, for where it is counted often.
return metrics
