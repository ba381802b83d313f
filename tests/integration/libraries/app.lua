-- SPDX-License-Identifier: MIT
return { sqlite = { path = "libraries.db" } }
