/* SPDX-License-Identifier: MIT */
#include "events/policy/marks.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"

#define MOST_OF_RANGE 41 /* two numbers of 19 digits, and what is between them */

void pl_marks_dispose(pl_marks *m)
{
    pl_free(m->ranges);
    *m = (pl_marks){0};
}

/* The first range that ends at the offset or behind it. */
static size_t find(const pl_marks *m, int64_t offset)
{
    size_t low = 0, high = m->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (m->ranges[middle].to < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool pl_marks_has(const pl_marks *m, int64_t offset)
{
    size_t i = find(m, offset + 1);
    return offset < m->next || (i < m->count && m->ranges[i].from <= offset);
}

static bool grow(pl_marks *m)
{
    if (m->count < m->room)
        return true;
    size_t room = m->room ? m->room * 2 : 8;
    pl_mark_range *ranges = pl_realloc(m->ranges, room * sizeof *ranges);
    if (!ranges)
        return false;
    m->ranges = ranges;
    m->room = room;
    return true;
}

static void remove_ranges(pl_marks *m, size_t at, size_t n)
{
    memmove(&m->ranges[at], &m->ranges[at + n], (m->count - at - n) * sizeof *m->ranges);
    m->count -= n;
}

/* What next has reached is no range any more. */
static void absorb(pl_marks *m)
{
    size_t n = 0;
    while (n < m->count && m->ranges[n].from <= m->next) {
        if (m->ranges[n].to > m->next)
            m->next = m->ranges[n].to;
        n++;
    }
    if (n > 0)
        remove_ranges(m, 0, n);
}

bool pl_marks_add(pl_marks *m, int64_t from, int64_t to)
{
    if (to <= m->next || to <= from)
        return true;
    if (from <= m->next) {
        m->next = to;
        absorb(m);
        return true;
    }
    size_t at = find(m, from), end = at;
    while (end < m->count && m->ranges[end].from <= to)
        end++;
    if (end == at) {
        if (!grow(m))
            return false;
        memmove(&m->ranges[at + 1], &m->ranges[at], (m->count - at) * sizeof *m->ranges);
        m->ranges[at] = (pl_mark_range){from, to};
        m->count++;
        return true;
    }
    if (m->ranges[at].from < from)
        from = m->ranges[at].from;
    if (m->ranges[end - 1].to > to)
        to = m->ranges[end - 1].to;
    m->ranges[at] = (pl_mark_range){from, to};
    remove_ranges(m, at + 1, end - at - 1);
    return true;
}

/* --- as text --- */
void pl_marks_write(const pl_marks *m, pl_buf *out)
{
    for (size_t i = 0; i < m->count; i++) {
        const pl_mark_range *r = &m->ranges[i];
        pl_buf_printf(out, "%c%" PRId64, i == 0 ? '+' : ',', r->from);
        if (r->to - r->from > 1)
            pl_buf_printf(out, "-%" PRId64, r->to - 1);
    }
}

bool pl_marks_have_room(const pl_marks *m)
{
    if ((m->count + 1) * MOST_OF_RANGE <= PL_MARKS_MOST_TEXT)
        return true;
    pl_buf text;
    pl_buf_init(&text);
    pl_marks_write(m, &text);
    bool room = !text.failed && text.len + MOST_OF_RANGE <= PL_MARKS_MOST_TEXT;
    pl_buf_dispose(&text);
    return room;
}

static bool read_number(const char **at, const char *end, int64_t *out)
{
    const char *begin = *at;
    int64_t n = 0;
    while (*at < end && **at >= '0' && **at <= '9' && *at - begin < 18)
        n = n * 10 + (*(*at)++ - '0');
    *out = n;
    return *at > begin;
}

static bool read_ranges(pl_marks *m, pl_str text)
{
    const char *at = text.ptr, *end = text.ptr + text.len;
    char before = '+';
    while (at < end) {
        int64_t from, last;
        if (*at++ != before || !read_number(&at, end, &from))
            return false;
        last = from;
        if (at < end && *at == '-' && (at++, !read_number(&at, end, &last)))
            return false;
        if (last < from || !pl_marks_add(m, from, last + 1))
            return false;
        before = ',';
    }
    return true;
}

bool pl_marks_init(pl_marks *m, int64_t next, pl_str text)
{
    *m = (pl_marks){.next = next};
    if (!text.ptr || read_ranges(m, text))
        return true;
    pl_marks_dispose(m);
    m->next = next;
    return false;
}
