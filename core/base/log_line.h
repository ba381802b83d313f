/* SPDX-License-Identifier: MIT */
#ifndef PL_BASE_LOG_LINE_H
#define PL_BASE_LOG_LINE_H

#include <time.h>

#include "base/buf.h"
#include "base/log.h"

/* Appends one event, without a newline at its end. In text, a value of several lines follows on lines of its
 * own. */
void pl_log_line(pl_buf *out, pl_log_format format, const struct timespec *when, pl_level level,
                 pl_str message, const pl_log_field *fields, size_t count);

#endif
