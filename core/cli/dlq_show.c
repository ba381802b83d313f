/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>

#include "base/base64.h"
#include "cli/dlq.h"
#include "value/json.h"

#define DEFAULT_LIMIT 20

typedef struct showing {
    dlq *d;
    unsigned shown, limit; /* 0: no limit */
    bool enough;
    pl_buf out;
} showing;

/* Whether it is JSON: then *out has it again, in one line or many. */
static bool as_json(pl_str value, bool pretty, pl_buf *out)
{
    pl_arena arena;
    pl_value read;
    pl_error err;
    pl_buf line;
    pl_error_clear(&err);
    pl_arena_init(&arena, 0);
    pl_buf_init(&line);
    bool ok = pl_json_read(&arena, value, NULL, &read, &err) == PL_OK;
    if (ok) {
        pl_json_value(&line, &read);
        if (pretty)
            pl_json_pretty(out, pl_buf_view(&line));
        else
            pl_buf_str(out, pl_buf_view(&line));
    }
    pl_buf_dispose(&line);
    pl_arena_dispose(&arena);
    return ok;
}

static bool is_text(pl_str value)
{
    pl_buf ignored;
    pl_buf_init(&ignored);
    bool ok = pl_json_string(&ignored, value) && !memchr(value.ptr, '\0', value.len);
    pl_buf_dispose(&ignored);
    return ok;
}

/* --- for programs --- */
static void write_string(pl_buf *out, const char *name, pl_str value)
{
    pl_buf_printf(out, ",\"%s\":", name);
    if (value.ptr)
        pl_json_string(out, value);
    else
        PL_BUF_LIT(out, "null");
}

static void write_number(pl_buf *out, const char *name, int64_t value)
{
    if (value >= 0)
        pl_buf_printf(out, ",\"%s\":%" PRId64, name, value);
}

static void write_value(pl_buf *out, pl_str value)
{
    size_t before;
    PL_BUF_LIT(out, ",\"value\":");
    before = out->len;
    if (!value.ptr) {
        PL_BUF_LIT(out, "null,\"format\":\"tombstone\"");
    } else if (as_json(value, false, out)) {
        PL_BUF_LIT(out, ",\"format\":\"json\"");
    } else if (is_text(value)) {
        out->len = before;
        pl_json_string(out, value);
        PL_BUF_LIT(out, ",\"format\":\"text\"");
    } else {
        out->len = before;
        pl_buf_char(out, '"');
        pl_base64_write(out, value);
        PL_BUF_LIT(out, "\",\"format\":\"base64\"");
    }
}

static void write_json(pl_buf *out, const dead_letter *l, bool done)
{
    const pl_incoming *in = l->in;
    PL_BUF_LIT(out, "{\"topic\":");
    pl_json_string(out, in->topic);
    write_number(out, "partition", in->partition);
    write_number(out, "offset", in->offset);
    write_number(out, "timestamp", in->timestamp);
    pl_buf_printf(out, ",\"done\":%s", done ? "true" : "false");
    write_string(out, "original_topic", l->topic);
    write_number(out, "original_partition", l->partition);
    write_number(out, "original_offset", l->offset);
    write_number(out, "original_timestamp", l->timestamp);
    write_string(out, "group", l->group);
    write_string(out, "code", l->code);
    write_string(out, "message", l->message);
    write_string(out, "traceback", l->traceback);
    write_number(out, "attempt", l->attempt);
    write_string(out, "key", in->key);
    PL_BUF_LIT(out, ",\"headers\":[");
    bool first = true;
    for (size_t i = 0; i < in->header_count; i++) {
        if (!dlq_is_own_header(in->headers[i].name))
            continue;
        pl_buf_printf(out, "%s[", first ? "" : ",");
        pl_json_string(out, in->headers[i].name);
        pl_buf_char(out, ',');
        if (in->headers[i].value.ptr)
            pl_json_string(out, in->headers[i].value);
        else
            PL_BUF_LIT(out, "null");
        pl_buf_char(out, ']');
        first = false;
    }
    pl_buf_char(out, ']');
    write_value(out, in->value);
    PL_BUF_LIT(out, "}\n");
}

/* --- for people --- */
static void write_line(pl_buf *out, const char *name, pl_str value)
{
    if (!value.ptr)
        return;
    pl_buf_printf(out, "  %-10s ", name);
    dlq_write_text(out, value, "");
    pl_buf_char(out, '\n');
}

static void write_head(pl_buf *out, const dead_letter *l, bool done)
{
    const pl_incoming *in = l->in;
    pl_buf_printf(out, "%.*s/%d/%" PRId64 "  ", PL_STR_ARG(in->topic), in->partition, in->offset);
    dlq_write_time(out, in->timestamp);
    PL_BUF_LIT(out, "  ");
    dlq_write_text(out, l->code.ptr ? l->code : PL_STR("(no code)"), "");
    pl_buf_printf(out, "%s\n", done ? "  (done)" : "");
    if (l->topic.ptr) {
        PL_BUF_LIT(out, "  from       ");
        dlq_write_text(out, l->topic, "");
        if (l->partition >= 0)
            pl_buf_printf(out, "/%" PRId64 "/%" PRId64, l->partition, l->offset);
        PL_BUF_LIT(out, ", of ");
        dlq_write_time(out, l->timestamp);
        pl_buf_char(out, '\n');
    }
    write_line(out, "group", l->group);
    if (l->attempt >= 0)
        pl_buf_printf(out, "  attempt    %" PRId64 "\n", l->attempt);
}

static void write_body(pl_buf *out, const dead_letter *l)
{
    const pl_incoming *in = l->in;
    pl_buf json;
    write_line(out, "key", in->key);
    for (size_t i = 0; i < in->header_count; i++) {
        if (!dlq_is_own_header(in->headers[i].name))
            continue;
        PL_BUF_LIT(out, "  header     ");
        dlq_write_text(out, in->headers[i].name, "");
        PL_BUF_LIT(out, ": ");
        dlq_write_text(out, in->headers[i].value.ptr ? in->headers[i].value : PL_STR("(null)"), "");
        pl_buf_char(out, '\n');
    }
    write_line(out, "reason", l->message);
    if (l->traceback.ptr && l->traceback.len > 0) {
        PL_BUF_LIT(out, "  traceback\n");
        dlq_write_text(out, l->traceback, "    ");
        pl_buf_char(out, '\n');
    }
    pl_buf_init(&json);
    if (!in->value.ptr) {
        PL_BUF_LIT(out, "  value      (a tombstone)\n");
    } else {
        bool is_json = as_json(in->value, true, &json);
        pl_buf_printf(out, "  value      %zu bytes%s\n", in->value.len, is_json ? ", JSON" : "");
        dlq_write_text(out, is_json ? pl_buf_view(&json) : in->value, "    ");
        pl_buf_char(out, '\n');
    }
    pl_buf_char(out, '\n');
    pl_buf_dispose(&json);
}

static pl_code on_letter(void *data, pl_scan_part *part, const pl_incoming *in, pl_error *err)
{
    showing *s = data;
    dead_letter letter;
    bool done = pl_marks_has(&part->done, in->offset);
    dlq_read(in, &letter);
    if ((done && !s->d->all) || !dlq_matches(&s->d->filter, &letter))
        return PL_OK;
    if (s->limit && s->shown == s->limit) {
        s->enough = true;
        return pl_fail(err, PL_CANCELLED, "enough");
    }
    s->shown++;
    s->out.len = 0;
    if (s->d->json) {
        write_json(&s->out, &letter, done);
    } else {
        write_head(&s->out, &letter, done);
        write_body(&s->out, &letter);
    }
    if (s->out.failed)
        return pl_fail_memory(err);
    pl_cli_print(&s->out);
    return PL_OK;
}

/* One partition after the other, so that they come in order. */
static pl_code show_parts(showing *s, pl_scan *scan, const char *topic, pl_scan_part *parts, size_t count)
{
    static const pl_scan_ops ops = {.event = on_letter};
    const dlq_filter *f = &s->d->filter;
    pl_code code = PL_OK;
    for (size_t i = 0; !code && i < count; i++) {
        pl_scan_part *part = &parts[i];
        if (f->partition >= 0 && f->partition != part->id)
            continue;
        if (!s->d->all)
            part->at = part->done.next;
        if (f->offset > part->at)
            part->at = f->offset;
        code = pl_scan_read(scan, topic, part, 1, &ops, s, &s->d->err);
    }
    return code;
}

int dlq_show(dlq *d, const char *topic)
{
    showing s = {.d = d, .limit = d->limit == DLQ_NO_LIMIT ? DEFAULT_LIMIT : d->limit};
    pl_scan_part *parts = NULL;
    size_t count = 0;
    pl_buf_init(&s.out);
    pl_scan *scan = dlq_open(d, topic);
    pl_code code = scan ? pl_scan_parts(scan, topic, &parts, &count, &d->err) : d->err.code;
    if (!code)
        code = show_parts(&s, scan, topic, parts, count);
    if (s.enough) {
        fflush(stdout);
        fprintf(stderr, "There are more: --limit 0 shows all.\n");
        code = PL_OK;
    } else if (!code && s.shown == 0 && !d->json) {
        printf("There are no such dead letters.\n");
    }
    pl_scan_parts_free(parts, count);
    pl_scan_close(scan);
    pl_buf_dispose(&s.out);
    return code ? 1 : 0;
}
