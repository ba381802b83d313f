/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bindings/lua/plain/plain.h"

static void write_line(void *data, pl_level level, pl_str line)
{
    fprintf(stderr, "%.*s\n", PL_STR_ARG(line));
}

pl_logger *plua_plain_logger(void)
{
    pl_level level = PL_INFO;
    bool text = isatty(STDERR_FILENO);
    const char *wanted = getenv("PERILUNE_LOG_LEVEL"), *format = getenv("PERILUNE_LOG_FORMAT");
    if (wanted)
        pl_level_parse(pl_str_of(wanted), &level);
    if (format)
        text = strcmp(format, "text") == 0 || (text && strcmp(format, "json") != 0);
    return pl_logger_new_sink(write_line, NULL, text ? PL_LOG_TEXT : PL_LOG_JSON, level);
}
