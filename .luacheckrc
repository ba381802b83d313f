-- SPDX-License-Identifier: MIT
std = "lua54"
max_line_length = 130
unused_args = false
cache = "build/luacheck"
exclude_files = { "build", "tests/integration/clients/node_modules" }
