/* SPDX-License-Identifier: MIT */
#ifndef PL_BASE_LOG_H
#define PL_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* Structured logging. A line is an event ("reload failed") with fields. Text with aligned fields on a
 * terminal, one JSON object a line otherwise. Callers never block on the file: lines go into a queue of 1 MiB
 * that a writer thread empties; what does not fit is counted, and the count is logged. */
typedef enum pl_level { PL_DEBUG, PL_INFO, PL_WARN, PL_ERROR } pl_level;
typedef enum pl_log_format { PL_LOG_TEXT, PL_LOG_JSON } pl_log_format;

typedef struct pl_log_field {
    const char *key;
    enum { PL_FIELD_STR, PL_FIELD_INT, PL_FIELD_FLOAT, PL_FIELD_BOOL } kind;
    pl_str str;
    int64_t integer;
    double number;
} pl_log_field;
#define PL_F_STR(k, v) ((pl_log_field){.key = (k), .kind = PL_FIELD_STR, .str = (v)})
#define PL_F_CSTR(k, v) ((pl_log_field){.key = (k), .kind = PL_FIELD_STR, .str = pl_str_of(v)})
#define PL_F_INT(k, v) ((pl_log_field){.key = (k), .kind = PL_FIELD_INT, .integer = (int64_t)(v)})
#define PL_F_FLOAT(k, v) ((pl_log_field){.key = (k), .kind = PL_FIELD_FLOAT, .number = (v)})
#define PL_F_BOOL(k, v) ((pl_log_field){.key = (k), .kind = PL_FIELD_BOOL, .integer = (v)})

typedef struct pl_logger pl_logger;

/* Writes to the descriptor fd (not closed by it). NULL when memory or a thread cannot be had. */
pl_logger *pl_logger_new(int fd, pl_log_format format, pl_level least);
/* A logger that calls sink with each finished line (no newline), at once, on the calling thread: tests and
 * embedders. One call at a time, under a lock of the logger: sink must not log. */
pl_logger *pl_logger_new_sink(void (*sink)(void *data, pl_level level, pl_str line), void *data,
                              pl_log_format format, pl_level least);
/* Writes out what is queued first; NULL is fine. Gives up on a stuck reader after 2 s: then a thread stays
 * behind in write(2) on the descriptor until that returns. */
void pl_logger_free(pl_logger *logger);
/* Returns when all that was logged before is written, or after 2 s. */
void pl_logger_flush(pl_logger *logger);
void pl_logger_set_level(pl_logger *logger, pl_level least);
static inline bool pl_level_parse(pl_str s, pl_level *out)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    for (int i = 0; i < 4; i++) {
        if (pl_str_is(s, names[i])) {
            *out = (pl_level)i;
            return true;
        }
    }
    return false;
}
bool pl_log_enabled(const pl_logger *logger, pl_level level);
/* Thread-safe. logger NULL: nothing. A message or field that is not UTF-8 is written with U+FFFD. */
void pl_log_write(pl_logger *logger, pl_level level, pl_str message, const pl_log_field *fields,
                  size_t count);
/* pl_log(logger, PL_INFO, "listening", PL_F_STR("address", a), PL_F_INT("workers", n)); at least one field.
 */
#define pl_log(logger, level, message, ...)                               \
    do {                                                                  \
        const pl_log_field pl_log_fields_[] = {__VA_ARGS__};              \
        pl_log_write(logger, level, pl_str_of(message), pl_log_fields_,   \
                     sizeof(pl_log_fields_) / sizeof(pl_log_fields_[0])); \
    } while (0)
#define pl_log_plain(logger, level, message) pl_log_write(logger, level, pl_str_of(message), NULL, 0)

#endif
