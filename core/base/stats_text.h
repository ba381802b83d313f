/* SPDX-License-Identifier: MIT */
#ifndef PL_BASE_STATS_TEXT_H
#define PL_BASE_STATS_TEXT_H

#include "base/stats.h"

/* The text format of Prometheus, version 0.0.4. */
#define PL_STATS_TEXT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Appends all families that have a series. Bytes that are not UTF-8 become U+FFFD. False: memory. */
bool pl_stats_write(const pl_stats *stats, pl_buf *out);

#endif
