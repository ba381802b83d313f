/* SPDX-License-Identifier: MIT */
#ifndef PLUA_CALENDAR_H
#define PLUA_CALENDAR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* Dates of the proleptic Gregorian calendar in UTC, and their RFC 3339 form. */

typedef struct plua_date {
    int64_t year;
    int month, day, hour, minute, second; /* month and day from 1 */
    int weekday, yearday;                 /* 1 is Monday; 1 is January 1 */
} plua_date;

plua_date plua_date_of(int64_t seconds);
/* Seconds since the epoch. Fields beyond their range carry over, as in os.time. */
int64_t plua_date_seconds(const plua_date *date);

#define PLUA_LEAST_SECONDS (-62167219200LL) /* 0000-01-01T00:00:00Z */
#define PLUA_MOST_SECONDS 253402300799LL    /* 9999-12-31T23:59:59Z */

/* Writes "2026-05-09T12:30:00.250Z" (digits 0 to 9 behind the point) to out; the length. seconds within the
 * limits above. */
int plua_rfc3339_write(char out[40], int64_t seconds, uint32_t nanoseconds, int digits);
/* NULL, or what is wrong with text. Digits beyond nanoseconds are cut off. */
const char *plua_rfc3339_read(pl_str text, int64_t *seconds, uint32_t *nanoseconds);

#endif
