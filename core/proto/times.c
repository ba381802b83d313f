/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>

#include "proto/codec_internal.h"

/* Timestamps and durations, as text and as scripts may give them. */

#define LEAST_TIMESTAMP (-62135596800LL) /* 0001-01-01T00:00:00Z */
#define MOST_TIMESTAMP 253402300799LL    /* 9999-12-31T23:59:59Z */
#define MOST_DURATION 315576000000LL
#define NANOS 1000000000

/* Days since 1970-01-01 of a date of the Gregorian calendar, and back: years counted from March, in eras of
 * 400 years. */
static int64_t days_of(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void date_of(int64_t days, int64_t *year, int *month, int *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t of_era = days - era * 146097;
    int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * of_year + 2) / 153;
    *day = (int)(of_year - (153 * shifted + 2) / 5 + 1);
    *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *year = year_of_era + era * 400 + (*month <= 2);
}

static bool digits(pl_str s, size_t at, size_t count, int *out)
{
    *out = 0;
    if (at + count > s.len)
        return false;
    for (size_t i = at; i < at + count; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        *out = *out * 10 + (s.ptr[i] - '0');
    }
    return true;
}

/* ".123" at *at, if it is there; up to nine digits. */
static bool fraction(pl_str s, size_t *at, int32_t *nanos)
{
    int n = 0;
    *nanos = 0;
    if (*at >= s.len || s.ptr[*at] != '.')
        return true;
    ++*at;
    for (; *at < s.len && s.ptr[*at] >= '0' && s.ptr[*at] <= '9'; ++*at, n++) {
        if (n == 9)
            return false;
        *nanos = *nanos * 10 + (s.ptr[*at] - '0');
    }
    for (int i = n; i < 9; i++)
        *nanos *= 10;
    return n > 0;
}

static int month_days(int64_t year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

/* "Z", "+02:00"; in seconds. */
static bool offset(pl_str s, size_t at, int64_t *out)
{
    int hours, minutes;
    *out = 0;
    if (at + 1 == s.len && s.ptr[at] == 'Z')
        return true;
    if (at + 6 != s.len || (s.ptr[at] != '+' && s.ptr[at] != '-') || s.ptr[at + 3] != ':' ||
        !digits(s, at + 1, 2, &hours) || !digits(s, at + 4, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *out = (hours * 60 + minutes) * 60 * (s.ptr[at] == '-' ? -1 : 1);
    return true;
}

const char *pb_read_timestamp(pl_str s, int64_t *seconds, int32_t *nanos)
{
    int year, month, day, hour, minute, second;
    int64_t zone;
    size_t at = 19;
    static const char *const form = "is no time in the form of RFC 3339, as \"2026-05-09T12:30:00.250Z\"";
    if (!digits(s, 0, 4, &year) || !digits(s, 5, 2, &month) || !digits(s, 8, 2, &day) ||
        !digits(s, 11, 2, &hour) || !digits(s, 14, 2, &minute) || !digits(s, 17, 2, &second) ||
        s.ptr[4] != '-' || s.ptr[7] != '-' || s.ptr[10] != 'T' || s.ptr[13] != ':' || s.ptr[16] != ':' ||
        !fraction(s, &at, nanos) || !offset(s, at, &zone))
        return form;
    if (month < 1 || month > 12 || day < 1 || day > month_days(year, month) || hour > 23 || minute > 59 ||
        second > 59)
        return "is a time that does not exist";
    *seconds = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - zone;
    if (*seconds < LEAST_TIMESTAMP || *seconds > MOST_TIMESTAMP)
        return "is not within the years 1 to 9999";
    return NULL;
}

const char *pb_read_duration(pl_str s, int64_t *seconds, int32_t *nanos)
{
    bool negative = s.len > 0 && s.ptr[0] == '-';
    size_t at = negative, begin = at;
    *seconds = 0;
    for (; at < s.len && s.ptr[at] >= '0' && s.ptr[at] <= '9' && at < 20; at++) {
        if (*seconds <= MOST_DURATION)
            *seconds = *seconds * 10 + (s.ptr[at] - '0');
    }
    if (at == begin || !fraction(s, &at, nanos) || at + 1 != s.len || s.ptr[at] != 's')
        return "is no duration, as \"1.5s\"";
    if (*seconds > MOST_DURATION)
        return "is longer than 10,000 years";
    if (negative) {
        *seconds = -*seconds;
        *nanos = -*nanos;
    }
    return NULL;
}

/* Nothing, or 3, 6 or 9 digits, as many as it takes. */
static void write_fraction(char out[12], int64_t nanos)
{
    if (nanos == 0)
        out[0] = '\0';
    else if (nanos % 1000000 == 0)
        snprintf(out, 12, ".%03d", (int)(nanos / 1000000));
    else if (nanos % 1000 == 0)
        snprintf(out, 12, ".%06d", (int)(nanos / 1000));
    else
        snprintf(out, 12, ".%09d", (int)nanos);
}

const char *pb_write_timestamp(char out[48], size_t *len, int64_t seconds, int64_t nanos)
{
    int64_t year, days;
    int month, day;
    char tail[12];
    if (seconds < LEAST_TIMESTAMP || seconds > MOST_TIMESTAMP)
        return "is a time that is not within the years 1 to 9999";
    if (nanos < 0 || nanos >= NANOS)
        return "has nanos that are not within 0 and 999999999";
    days = (seconds - LEAST_TIMESTAMP) / 86400;
    int64_t of_day = seconds - LEAST_TIMESTAMP - days * 86400;
    date_of(days + LEAST_TIMESTAMP / 86400, &year, &month, &day);
    write_fraction(tail, nanos);
    *len = (size_t)snprintf(out, 48, "%04d-%02d-%02dT%02d:%02d:%02d%sZ", (int)year, month, day,
                            (int)(of_day / 3600), (int)(of_day / 60 % 60), (int)(of_day % 60), tail);
    return NULL;
}

const char *pb_write_duration(char out[48], size_t *len, int64_t seconds, int64_t nanos)
{
    char tail[12];
    if (seconds < -MOST_DURATION || seconds > MOST_DURATION)
        return "is a duration of more than 10,000 years";
    if (nanos <= -NANOS || nanos >= NANOS || (seconds < 0 && nanos > 0) || (seconds > 0 && nanos < 0))
        return "has nanos that are out of range, or of another sign than the seconds";
    bool negative = seconds < 0 || nanos < 0;
    write_fraction(tail, negative ? -nanos : nanos);
    *len = (size_t)snprintf(out, 48, "%s%lld%ss", negative ? "-" : "",
                            (long long)(negative ? -seconds : seconds), tail);
    return NULL;
}

/* --- from scripts --- */
static bool get_part(pb_job *j, const pb_message *m, pl_slot map, const pl_key *key, uint32_t number,
                     int64_t *out)
{
    pl_slot top = j->e->top(j->state);
    pb_scalar v = {.integer = 0};
    bool ok = true;
    const pb_step *outer = j->at;
    pb_step here = {.parent = outer, .field = pb_message_field(m, number)};
    pb_enter(j, &here);
    if (j->e->field(j->state, map, key) && j->e->kind(j->state, top + 1) != PL_KIND_ABSENT)
        ok = pb_get_scalar(j, here.field, top + 1, &v);
    if (ok) {
        j->e->pop_to(j->state, top);
        j->at = outer;
    }
    *out = v.integer;
    return ok;
}

static bool split(pb_job *j, const pb_message *m, double v, int64_t *seconds, int64_t *nanos)
{
    if (!(fabs(v) < 1e15))
        return pb_bad(j, "the number is out of range: seconds are expected");
    double whole = m->special == PB_DURATION ? trunc(v) : floor(v);
    double unit = fabs(v) < 1e6 ? NANOS : 1000000; /* a double tells no more of a time in our days */
    *seconds = (int64_t)whole;
    *nanos = (int64_t)(nearbyint((v - whole) * unit) * (NANOS / unit));
    if (*nanos == NANOS || *nanos == -NANOS) {
        *seconds += *nanos / NANOS;
        *nanos = 0;
    }
    return true;
}

bool pb_get_time(pb_job *j, const pb_message *m, pl_slot slot, int64_t *seconds, int64_t *nanos)
{
    int32_t n = 0;
    const char *wrong;
    const pb_value_keys *keys;
    *nanos = 0;
    switch (j->e->kind(j->state, slot)) {
    case PL_KIND_INT:
        *seconds = j->e->get_int(j->state, slot);
        return true;
    case PL_KIND_FLOAT:
        return split(j, m, j->e->get_float(j->state, slot), seconds, nanos);
    case PL_KIND_STRING:
        wrong = (m->special == PB_DURATION ? pb_read_duration : pb_read_timestamp)(
            j->e->get_string(j->state, slot), seconds, &n);
        *nanos = n;
        return !wrong || pb_bad(j, "the text %s", wrong);
    case PL_KIND_MAP:
        keys = pb_keys(j);
        return keys && get_part(j, m, slot, keys->seconds, 1, seconds) &&
               get_part(j, m, slot, keys->nanos, 2, nanos);
    default:
        return pb_wrong_kind(j, "{seconds, nanos}, a number of seconds or text", slot);
    }
}
