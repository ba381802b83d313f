-- SPDX-License-Identifier: MIT
return {
  name = "blog",
  http = { cors = { origins = { "http://localhost:3000" } }, graphiql = true },
}
