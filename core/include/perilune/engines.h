/* SPDX-License-Identifier: MIT */
#ifndef PERILUNE_ENGINES_H
#define PERILUNE_ENGINES_H

/* The script engines that are built into libperilune. Static storage. */
const struct pl_engine *pl_lua_engine(void);

#endif
