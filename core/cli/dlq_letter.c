/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/dlq.h"

#define PREFIX PL_STR("kafka_dlt-")

static int64_t number_of(pl_str text)
{
    char copy[32], *end;
    if (!text.ptr || text.len == 0 || text.len >= sizeof copy)
        return -1;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    long long n = strtoll(copy, &end, 10);
    return *end || n < 0 ? -1 : n;
}

void dlq_read(const pl_incoming *in, dead_letter *out)
{
    *out = (dead_letter){.in = in, .partition = -1, .offset = -1, .timestamp = -1, .attempt = -1};
    for (size_t i = 0; i < in->header_count; i++) {
        const pl_header *h = &in->headers[i];
        if (pl_str_is(h->name, "perilune-attempt"))
            out->attempt = number_of(h->value);
        if (!pl_str_starts(h->name, PREFIX))
            continue;
        pl_str name = {h->name.ptr + PREFIX.len, h->name.len - PREFIX.len};
        if (pl_str_is(name, "original-topic"))
            out->topic = h->value;
        else if (pl_str_is(name, "original-partition"))
            out->partition = number_of(h->value);
        else if (pl_str_is(name, "original-offset"))
            out->offset = number_of(h->value);
        else if (pl_str_is(name, "original-timestamp"))
            out->timestamp = number_of(h->value);
        else if (pl_str_is(name, "original-consumer-group"))
            out->group = h->value;
        else if (pl_str_is(name, "exception-fqcn"))
            out->code = h->value;
        else if (pl_str_is(name, "exception-message"))
            out->message = h->value;
        else if (pl_str_is(name, "exception-stacktrace"))
            out->traceback = h->value;
    }
}

bool dlq_is_own_header(pl_str name)
{
    return !pl_str_starts(name, PREFIX) && !pl_str_is(name, "perilune-attempt") &&
           !pl_str_is(name, "perilune-replay-of") && !pl_str_is(name, "perilune-replayed-event") &&
           !pl_str_is(name, "perilune-replay-group");
}

/* --- filters --- */
/* "90s", "30m", "2h", "7d": so long ago; or a time in UTC. -1: neither. */
static int64_t read_time(const char *text, int64_t now)
{
    static const struct {
        char letter;
        int64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    static const char *const forms[] = {
        "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%MZ",
        "%Y-%m-%dT%H:%M",     "%Y-%m-%d %H:%M",    "%Y-%m-%d"};
    char *end;
    unsigned long long n = strtoull(text, &end, 10);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (end > text && text[0] != '-' && n < 1000000 && *end == units[i].letter && !end[1])
            return now - (int64_t)n * units[i].ms;
    }
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct tm tm = {0};
        const char *rest = strptime(text, forms[i], &tm);
        if (rest && !*rest)
            return (int64_t)timegm(&tm) * 1000;
    }
    return -1;
}

static pl_code read_condition(dlq_filter *f, const char *text, int64_t now, pl_error *err)
{
    const char *equals = strchr(text, '=');
    pl_str name = {text, equals ? (size_t)(equals - text) : 0};
    const struct {
        const char *name;
        pl_str *target;
    } texts[] = {{"code", &f->code}, {"original-topic", &f->topic}, {"group", &f->group}, {"key", &f->key}};
    for (size_t i = 0; equals && i < sizeof texts / sizeof *texts; i++) {
        if (pl_str_is(name, texts[i].name)) {
            *texts[i].target = pl_str_of(equals + 1);
            return PL_OK;
        }
    }
    bool since = pl_str_is(name, "since");
    if (since || pl_str_is(name, "until")) {
        int64_t at = read_time(equals + 1, now);
        *(since ? &f->since : &f->until) = at;
        return at >= 0 ? PL_OK
                       : pl_fail(err, PL_INVALID_ARGUMENT,
                                 "%s: 30m, 2h or 7d (ago), or 2026-11-22T21:00:00Z is expected", text);
    }
    return pl_fail(err, PL_INVALID_ARGUMENT,
                   "the filter \"%s\" is not code=…, original-topic=…, group=…, key=…, since=… or until=…",
                   text);
}

pl_code dlq_filter_read(dlq_filter *f, const char *const *conditions, int64_t now, pl_error *err)
{
    *f = (dlq_filter){.since = -1, .until = -1, .partition = -1, .offset = -1};
    for (; *conditions; conditions++) {
        if (read_condition(f, *conditions, now, err) != PL_OK)
            return err->code;
    }
    return PL_OK;
}

bool dlq_filter_is_any(const dlq_filter *f)
{
    return !f->code.ptr && !f->topic.ptr && !f->group.ptr && !f->key.ptr && f->since < 0 && f->until < 0 &&
           f->partition < 0 && f->offset < 0;
}

static bool is_as(pl_str wanted, pl_str value)
{
    return !wanted.ptr || (value.ptr && pl_str_eq(wanted, value));
}

bool dlq_matches(const dlq_filter *f, const dead_letter *l)
{
    return is_as(f->code, l->code) && is_as(f->topic, l->topic) && is_as(f->group, l->group) &&
           is_as(f->key, l->in->key) && (f->since < 0 || l->in->timestamp >= f->since) &&
           (f->until < 0 || l->in->timestamp < f->until) &&
           (f->partition < 0 || l->in->partition == f->partition) &&
           (f->offset < 0 || l->in->offset >= f->offset);
}

/* --- for people --- */
void dlq_write_time(pl_buf *out, int64_t ms)
{
    char text[40];
    struct tm tm;
    time_t seconds = (time_t)(ms / 1000);
    if (ms < 0 || !gmtime_r(&seconds, &tm)) {
        pl_buf_char(out, '-');
        return;
    }
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    pl_buf_printf(out, "%s", text);
}

/* The length of the UTF-8 sequence at text; 0: it is none, or a character that terminals act upon. */
static size_t printable(pl_str text)
{
    unsigned char c = (unsigned char)text.ptr[0];
    size_t n = c < 0x80                ? 1
               : c >= 0xc2 && c < 0xe0 ? 2
               : c >= 0xe0 && c < 0xf0 ? 3
               : c >= 0xf0 && c < 0xf5 ? 4
                                       : 0;
    if (n == 0 || n > text.len || c < 0x20 || c == 0x7f)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if (((unsigned char)text.ptr[i] & 0xc0) != 0x80)
            return 0;
    }
    if (c == 0xc2 && (unsigned char)text.ptr[1] < 0xa0) /* C1 controls */
        return 0;
    return n;
}

void dlq_write_text(pl_buf *out, pl_str text, const char *indent)
{
    pl_buf_printf(out, "%s", indent);
    while (text.len > 0) {
        size_t n = printable(text);
        if (n > 0)
            pl_buf_append(out, text.ptr, n);
        else if (text.ptr[0] == '\n')
            pl_buf_printf(out, "\n%s", indent);
        else if (text.ptr[0] == '\t')
            pl_buf_char(out, '\t');
        else
            pl_buf_printf(out, "\\x%02x", (unsigned char)text.ptr[0]);
        n = n ? n : 1;
        text = (pl_str){text.ptr + n, text.len - n};
    }
}
