/* SPDX-License-Identifier: MIT */
#include "bindings/lua/calendar.h"

#include <stdio.h>

#define DAY 86400
#define DAYS_400_YEARS 146097

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int days_in_month(int64_t year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year));
}

/* Days from 1970-01-01. Years are counted from March, so that the leap day is the last one of its year, and a
 * month begins (153 m + 2) / 5 days after the year does. */
static int64_t days_of(int64_t year, int month, int64_t day)
{
    year -= month <= 2;
    int64_t era = floor_div(year, 400), of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * DAYS_400_YEARS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

plua_date plua_date_of(int64_t seconds)
{
    int64_t days = floor_div(seconds, DAY);
    int rest = (int)(seconds - days * DAY);
    int64_t shifted = days + 719468, era = floor_div(shifted, DAYS_400_YEARS),
            day = shifted - era * DAYS_400_YEARS;
    int64_t of_era = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    int64_t of_year = day - (365 * of_era + of_era / 4 - of_era / 100);
    int64_t march = (5 * of_year + 2) / 153;
    plua_date d = {.hour = rest / 3600, .minute = rest / 60 % 60, .second = rest % 60};
    d.month = (int)(march < 10 ? march + 3 : march - 9);
    d.day = (int)(of_year - (153 * march + 2) / 5 + 1);
    d.year = of_era + era * 400 + (d.month <= 2);
    d.weekday = (int)(days + 3 - floor_div(days + 3, 7) * 7) + 1;
    d.yearday = (int)(days - days_of(d.year, 1, 1)) + 1;
    return d;
}

int64_t plua_date_seconds(const plua_date *date)
{
    int64_t months = date->year * 12 + date->month - 1;
    int64_t year = floor_div(months, 12);
    int64_t days = days_of(year, (int)(months - year * 12) + 1, 1) + date->day - 1;
    return days * DAY + (int64_t)date->hour * 3600 + (int64_t)date->minute * 60 + date->second;
}

int plua_rfc3339_write(char out[40], int64_t seconds, uint32_t nanoseconds, int digits)
{
    plua_date d = plua_date_of(seconds);
    int n = snprintf(out, 40, "%04d-%02d-%02dT%02d:%02d:%02d", (int)d.year, d.month, d.day, d.hour, d.minute,
                     d.second);
    if (digits > 0) {
        char fraction[12];
        snprintf(fraction, sizeof(fraction), "%09u", nanoseconds % 1000000000u);
        n += snprintf(out + n, 40 - (size_t)n, ".%.*s", digits, fraction);
    }
    return n + snprintf(out + n, 40 - (size_t)n, "Z");
}

/* --- reading --- */

typedef struct reader {
    const char *p, *end;
} reader;

/* Exactly count digits; -1 when they are not there. */
static int number(reader *r, int count)
{
    int v = 0;
    if (r->end - r->p < count)
        return -1;
    for (int i = 0; i < count; i++, r->p++) {
        if (*r->p < '0' || *r->p > '9')
            return -1;
        v = v * 10 + (*r->p - '0');
    }
    return v;
}

static bool skip(reader *r, const char *any)
{
    if (r->p == r->end || *r->p == '\0' || !strchr(any, *r->p))
        return false;
    r->p++;
    return true;
}

static const char *read_date(reader *r, plua_date *d)
{
    d->year = number(r, 4);
    if (d->year < 0 || !skip(r, "-") || (d->month = number(r, 2)) < 0 || !skip(r, "-") ||
        (d->day = number(r, 2)) < 0)
        return "the date is not written YYYY-MM-DD";
    if (d->month < 1 || d->month > 12)
        return "there is no such month";
    if (d->day < 1 || d->day > days_in_month(d->year, d->month))
        return "there is no such day in the month";
    return NULL;
}

static const char *read_time(reader *r, plua_date *d, uint32_t *nanoseconds)
{
    if ((d->hour = number(r, 2)) < 0 || !skip(r, ":") || (d->minute = number(r, 2)) < 0 || !skip(r, ":") ||
        (d->second = number(r, 2)) < 0)
        return "the time is not written HH:MM:SS";
    if (d->hour > 23 || d->minute > 59 || d->second > 60)
        return "there is no such time of day";
    *nanoseconds = 0;
    if (!skip(r, "."))
        return NULL;
    uint32_t scale = 100000000;
    const char *begin = r->p;
    for (; r->p < r->end && *r->p >= '0' && *r->p <= '9'; r->p++, scale /= 10)
        *nanoseconds += (uint32_t)(*r->p - '0') * scale;
    return r->p == begin ? "there is no digit behind the point" : NULL;
}

static const char *read_offset(reader *r, int *minutes)
{
    *minutes = 0;
    if (skip(r, "Zz"))
        return NULL;
    int sign = r->p < r->end && *r->p == '-' ? -1 : 1, hours, rest;
    if (!skip(r, "+-") || (hours = number(r, 2)) < 0 || !skip(r, ":") || (rest = number(r, 2)) < 0)
        return "the offset is neither Z nor written +HH:MM";
    if (hours > 23 || rest > 59)
        return "there is no such offset";
    *minutes = sign * (hours * 60 + rest);
    return NULL;
}

/* A leap second is only ever the last one of a month in UTC. utc is the second that it counts as: the one
 * behind it. */
static bool may_be_leap(int64_t utc)
{
    plua_date d = plua_date_of(utc);
    return utc % DAY == 0 && d.day == 1;
}

const char *plua_rfc3339_read(pl_str text, int64_t *seconds, uint32_t *nanoseconds)
{
    reader r = {text.ptr, text.ptr + text.len};
    plua_date d = {0};
    int offset;
    const char *error = read_date(&r, &d);
    if (!error && !skip(&r, "Tt "))
        error = "there is no T between date and time";
    if (!error)
        error = read_time(&r, &d, nanoseconds);
    if (!error)
        error = read_offset(&r, &offset);
    if (error)
        return error;
    if (r.p != r.end)
        return "there is something behind the offset";
    *seconds = plua_date_seconds(&d) - (int64_t)offset * 60;
    if (d.second == 60 && !may_be_leap(*seconds))
        return "there is no such time of day";
    return NULL;
}
