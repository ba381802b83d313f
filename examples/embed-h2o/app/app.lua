-- SPDX-License-Identifier: MIT
return { name = "embedded", http = { graphiql = true } }
