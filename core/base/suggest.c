/* SPDX-License-Identifier: MIT */
#include "base/suggest.h"

void pl_suggest_init(pl_suggestions *s, pl_str input)
{
    *s = (pl_suggestions){.input = input};
}

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static bool same_but_for_case(pl_str a, pl_str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.ptr[i]) != lower(b.ptr[i]))
            return false;
    }
    return true;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Optimal string alignment distance over three rolling rows; threshold + 1 stands for anything above
 * threshold. */
static unsigned edit_distance(pl_str a, pl_str b, unsigned threshold)
{
    unsigned rows[3][PL_SUGGEST_MAX + 1];
    if (a.len < b.len) {
        pl_str longer = b;
        b = a;
        a = longer;
    }
    if (b.len > PL_SUGGEST_MAX || a.len - b.len > threshold)
        return threshold + 1;
    for (size_t j = 0; j <= b.len; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= a.len; i++) {
        unsigned *row = rows[i % 3], *up = rows[(i - 1) % 3], *up2 = rows[(i + 1) % 3];
        unsigned smallest = row[0] = (unsigned)i;
        for (size_t j = 1; j <= b.len; j++) {
            unsigned cost = lower(a.ptr[i - 1]) != lower(b.ptr[j - 1]);
            unsigned cell = least(least(up[j], row[j - 1]) + 1, up[j - 1] + cost);
            if (i > 1 && j > 1 && lower(a.ptr[i - 1]) == lower(b.ptr[j - 2]) &&
                lower(a.ptr[i - 2]) == lower(b.ptr[j - 1]))
                cell = least(cell, up2[j - 2] + 1);
            row[j] = cell;
            smallest = least(smallest, cell);
        }
        if (smallest > threshold)
            return threshold + 1;
    }
    return rows[a.len % 3][b.len];
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static double read_number(pl_str s, size_t *at)
{
    double n = 0;
    while (*at < s.len && is_digit(s.ptr[*at]))
        n = n * 10 + (s.ptr[(*at)++] - '0');
    return n;
}

int pl_natural_compare(pl_str a, pl_str b)
{
    size_t i = 0, j = 0;
    while (i < a.len && j < b.len) {
        if (is_digit(a.ptr[i]) && is_digit(b.ptr[j])) {
            double x = read_number(a, &i), y = read_number(b, &j);
            if (x != y)
                return x < y ? -1 : 1;
        } else if (a.ptr[i] != b.ptr[j]) {
            return (unsigned char)a.ptr[i] < (unsigned char)b.ptr[j] ? -1 : 1;
        } else {
            i++, j++;
        }
    }
    return (a.len > b.len) - (a.len < b.len);
}

void pl_suggest_add(pl_suggestions *s, pl_str name)
{
    unsigned threshold = (unsigned)(s->input.len * 2 / 5) + 1, distance;
    if (s->input.len > PL_SUGGEST_MAX || name.len > PL_SUGGEST_MAX)
        return;
    if (pl_str_eq(s->input, name))
        distance = 0;
    else if (same_but_for_case(s->input, name))
        distance = 1;
    else if ((distance = edit_distance(s->input, name, threshold)) > threshold)
        return;
    unsigned at = 0;
    while (at < s->count) {
        int order = (s->distances[at] > distance) - (s->distances[at] < distance);
        if (order == 0)
            order = pl_natural_compare(s->names[at], name);
        if (order == 0 && pl_str_eq(s->names[at], name))
            return;
        if (order > 0)
            break;
        at++;
    }
    if (at == PL_SUGGEST_COUNT)
        return;
    if (s->count < PL_SUGGEST_COUNT)
        s->count++;
    for (unsigned i = s->count - 1; i > at; i--) {
        s->names[i] = s->names[i - 1];
        s->distances[i] = s->distances[i - 1];
    }
    s->names[at] = name;
    s->distances[at] = distance;
}

pl_str pl_suggest_text(const pl_suggestions *s, pl_arena *arena, const char *what)
{
    pl_str text = PL_STR("");
    for (unsigned i = 0; i < s->count; i++) {
        const char *before = s->count == 2 ? " or " : i + 1 == s->count ? ", or " : ", ";
        if (i == 0)
            text = pl_arena_printf(arena, " Did you mean %s%s\"%.*s\"", what ? what : "", what ? " " : "",
                                   PL_STR_ARG(s->names[0]));
        else
            text =
                pl_arena_printf(arena, "%.*s%s\"%.*s\"", PL_STR_ARG(text), before, PL_STR_ARG(s->names[i]));
        if (!text.ptr)
            return PL_STR("");
    }
    if (s->count != 0)
        text = pl_arena_printf(arena, "%.*s?", PL_STR_ARG(text));
    return text.ptr ? text : PL_STR("");
}
