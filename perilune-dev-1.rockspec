-- SPDX-License-Identifier: MIT
-- The modules for plain Lua as a rock: `luarocks make` in a copy of the sources. See docs/lua-standalone.md.
rockspec_format = "3.0"
package = "perilune"
version = "dev-1"
source = { url = "file://." } -- what `luarocks make` builds is here
description = {
  summary = "JSON, Protobuf, time, crypto, errors and logging, as applications of the server Perilune have them",
  license = "MIT",
}
supported_platforms = { "linux" }
dependencies = { "lua ~> 5.4" }
external_dependencies = {
  OPENSSL = { header = "openssl/evp.h" },
}
build = {
  type = "make",
  build_target = "lua-modules",
  build_variables = { LUA_CFLAGS = "-I$(LUA_INCDIR)" },
  install_target = "install-lua",
  install_variables = { LUA_CFLAGS = "-I$(LUA_INCDIR)", LUADIR = "$(LUADIR)", LIBDIR = "$(LIBDIR)" },
}
