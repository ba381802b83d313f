-- SPDX-License-Identifier: MIT
return {
  name = "payments",
  http = { graphiql = true },
  graphql = { max_depth = 7, max_cost = 5000 },
  kafka = { brokers = os.getenv "KAFKA_BROKERS" or "embedded" },
  sqlite = { path = os.getenv "PERILUNE_SQLITE_PATH" or ".payments.db" },
  interceptors = { require "lib.logging" },
  loaders = require "lib.loaders",
  default_resolver = require "lib.snake_case",
  timers = { sweep = { every = 30, run = require "lib.sweep" } },
}
