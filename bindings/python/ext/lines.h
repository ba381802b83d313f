/* SPDX-License-Identifier: MIT */
#ifndef PERILUNE_PYTHON_LINES_H
#define PERILUNE_PYTHON_LINES_H

#include "core.h"

/* The log's lines, from any thread to the one that gives them to Python's logging. */
typedef struct core_lines core_lines;

core_lines *core_lines_of(PyObject *lines); /* of a perilune._core.Lines; NULL: raised */
core_lines *core_lines_ref(core_lines *lines);
void core_lines_unref(core_lines *lines); /* NULL is fine */
/* A pl_app_options.log; data is a core_lines. */
void core_lines_add(void *data, pl_log_level level, const char *line, size_t length);

#endif
