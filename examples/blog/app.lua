-- SPDX-License-Identifier: MIT
return {
  name = "blog",
  http = { cors = { origins = { "http://localhost:3000" } }, graphiql = true },
  graphql = { max_depth = 7, max_cost = 1000 },
  interceptors = { require "lib.sign_in" },
  loaders = require "lib.loaders",
}
