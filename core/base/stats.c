/* SPDX-License-Identifier: MIT */
#include "base/stats.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/map.h"

/* A series of a family, in one piece of memory with the values of its labels, which make up its key, and with
 * its buckets. */
typedef struct series {
    pl_stat stat; /* first */
    pl_str key;
    pl_str values[];
} series;

struct pl_stats_family {
    pl_stats_kind kind;
    pl_stats_merging merging;
    uint64_t revision;
    char *name, *help;
    char **labels;
    size_t label_count;
    double *bounds; /* the last is infinite */
    size_t bucket_count;
    size_t most_series;
    pl_map map; /* key → series * */
    series *overflow;
    bool overflow_shown;
    uint64_t overflowed;
    pl_stats_family *older; /* of the same name */
};

struct pl_stats {
    pl_map names; /* → the family that was made last; the others follow by `older` */
    size_t count;
    uint64_t revision;
};

const double pl_stats_durations[] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
                                     0.05,   0.1,     0.25,   0.5,   1,      2.5,   5,    10};
const size_t pl_stats_duration_count = sizeof pl_stats_durations / sizeof *pl_stats_durations;

/* --- names --- */
static bool is_word(pl_str name, bool colon)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (colon && c == ':');
        if (!letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return name.len > 0;
}

bool pl_stats_is_name(pl_str name)
{
    return is_word(name, true);
}

bool pl_stats_is_label(pl_str name)
{
    return is_word(name, false) && !pl_str_starts(name, PL_STR("__"));
}

/* --- series --- */
static size_t cut_value(pl_str v)
{
    size_t n = v.len < PL_STATS_LONGEST_VALUE ? v.len : PL_STATS_LONGEST_VALUE;
    while (n > 0 && n < v.len && ((unsigned char)v.ptr[n] & 0xc0) == 0x80)
        n--; /* not in the middle of a character */
    return n;
}

/* Each value, behind its length in two bytes; room for PL_STATS_MOST_LABELS of the longest. */
static pl_str write_key(char *out, const pl_str *values, size_t count)
{
    char *end = out;
    for (size_t i = 0; i < count; i++) {
        size_t n = cut_value(values[i]);
        *end++ = (char)(n >> 8);
        *end++ = (char)n;
        if (n > 0)
            memcpy(end, values[i].ptr, n);
        end += n;
    }
    return (pl_str){out, (size_t)(end - out)};
}

static series *new_series(const pl_stats_family *f, pl_str key)
{
    size_t buckets = f->bucket_count * sizeof(uint64_t);
    size_t values = f->label_count * sizeof(pl_str);
    series *s = pl_calloc(1, sizeof *s + values + buckets + key.len + 1);
    if (!s)
        return NULL;
    char *at = (char *)s->values + values;
    s->stat.bounds = f->bounds;
    s->stat.buckets = (uint64_t *)(void *)at;
    at += buckets;
    s->key = (pl_str){at, key.len};
    memcpy(at, key.ptr, key.len);
    for (size_t i = 0; i < f->label_count; i++) {
        size_t n = (size_t)(unsigned char)at[0] << 8 | (unsigned char)at[1];
        s->values[i] = (pl_str){at + 2, n};
        at += 2 + n;
    }
    return s;
}

#define KEY_ROOM (PL_STATS_MOST_LABELS * (PL_STATS_LONGEST_VALUE + 2))

/* NULL: memory, or most_series. */
static series *find_series(pl_stats_family *f, pl_str key, size_t most)
{
    series *s = pl_map_get(&f->map, key);
    if (s || f->map.count >= most || !(s = new_series(f, key)))
        return s;
    if (pl_map_set(&f->map, s->key, s))
        return s;
    pl_free(s);
    return NULL;
}

pl_stat *pl_stats_at(pl_stats_family *f, const pl_str *values)
{
    char room[KEY_ROOM];
    series *s = find_series(f, write_key(room, values, f->label_count), f->most_series);
    if (s)
        return &s->stat;
    f->overflow_shown = true;
    f->overflowed++;
    return &f->overflow->stat;
}

static void empty(const pl_stats_family *f, pl_stat *stat)
{
    stat->value = 0;
    stat->at = 0;
    for (size_t i = 0; i < f->bucket_count; i++)
        stat->buckets[i] = 0;
}

void pl_stats_drop(pl_stats_family *f, pl_stat *stat)
{
    series *s = (series *)stat;
    if (s == f->overflow) {
        empty(f, stat);
        return;
    }
    pl_map_remove(&f->map, s->key);
    pl_free(s);
}

uint64_t pl_stats_overflowed(const pl_stats_family *f)
{
    return f->overflowed;
}

/* --- families --- */
static char *copy(const char *text)
{
    size_t n = strlen(text) + 1;
    char *out = pl_malloc(n);
    if (out)
        memcpy(out, text, n);
    return out;
}

static void free_family(pl_stats_family *f)
{
    for (size_t i = 0; i < f->map.count; i++)
        pl_free(f->map.entries[i].value);
    pl_map_dispose(&f->map);
    for (size_t i = 0; f->labels && i < f->label_count; i++)
        pl_free(f->labels[i]);
    pl_free(f->labels);
    pl_free(f->overflow);
    pl_free(f->bounds);
    pl_free(f->name);
    pl_free(f->help);
    pl_free(f);
}

static bool copy_bounds(pl_stats_family *f, const pl_stats_spec *spec)
{
    const double *bounds = spec->bounds ? spec->bounds : pl_stats_durations;
    size_t n = spec->bounds ? spec->bound_count : pl_stats_duration_count;
    if (spec->kind != PL_STATS_HISTOGRAM)
        return true;
    f->bounds = pl_malloc((n + 1) * sizeof *f->bounds);
    if (!f->bounds)
        return false;
    memcpy(f->bounds, bounds, n * sizeof *bounds);
    f->bounds[n] = INFINITY;
    f->bucket_count = n + 1;
    return true;
}

static bool make_overflow(pl_stats_family *f)
{
    char room[KEY_ROOM];
    pl_str values[PL_STATS_MOST_LABELS];
    for (size_t i = 0; i < f->label_count; i++)
        values[i] = PL_STR(PL_STATS_OVERFLOW);
    f->overflow = new_series(f, write_key(room, values, f->label_count));
    return f->overflow != NULL;
}

static pl_stats_family *new_family(const pl_stats_spec *spec)
{
    pl_stats_family *f = pl_calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->kind = spec->kind;
    f->merging = spec->kind == PL_STATS_GAUGE ? spec->merging : PL_STATS_SUM;
    f->most_series = spec->most_series ? spec->most_series : PL_STATS_MOST_SERIES;
    f->name = copy(spec->name);
    f->help = copy(spec->help);
    f->labels = pl_calloc(spec->label_count + 1, sizeof *f->labels);
    f->label_count = f->labels ? spec->label_count : 0;
    bool ok = f->name && f->help && f->labels && copy_bounds(f, spec);
    for (size_t i = 0; ok && i < spec->label_count; i++)
        ok = (f->labels[i] = copy(spec->labels[i])) != NULL;
    if (ok && make_overflow(f))
        return f;
    free_family(f);
    return NULL;
}

static bool same_shape(const pl_stats_family *f, const pl_stats_spec *spec)
{
    const double *bounds = spec->bounds ? spec->bounds : pl_stats_durations;
    size_t n = spec->bounds ? spec->bound_count : pl_stats_duration_count;
    if (strcmp(f->name, spec->name) != 0 || f->kind != spec->kind || f->label_count != spec->label_count ||
        (f->kind == PL_STATS_GAUGE && f->merging != spec->merging))
        return false;
    for (size_t i = 0; i < f->label_count; i++) {
        if (strcmp(f->labels[i], spec->labels[i]) != 0)
            return false;
    }
    return f->kind != PL_STATS_HISTOGRAM ||
           (f->bucket_count == n + 1 && memcmp(f->bounds, bounds, n * sizeof *bounds) == 0);
}

static pl_stats_family *find_family(const pl_stats *stats, const pl_stats_spec *spec)
{
    pl_stats_family *f = pl_map_get(&stats->names, pl_str_of(spec->name));
    while (f && !same_shape(f, spec))
        f = f->older;
    return f;
}

static pl_stats_family *add_family(pl_stats *stats, const pl_stats_spec *spec)
{
    pl_stats_family *f = stats->count < PL_STATS_MOST_FAMILIES ? new_family(spec) : NULL;
    if (!f)
        return NULL;
    pl_str name = pl_str_of(f->name);
    f->older = pl_map_get(&stats->names, name);
    /* The name that is there already stays the key: its family is never freed before. */
    if (!pl_map_set(&stats->names, f->older ? pl_str_of(f->older->name) : name, f)) {
        free_family(f);
        return NULL;
    }
    stats->count++;
    return f;
}

static void set_help(pl_stats_family *f, const char *help)
{
    char *text = strcmp(f->help, help) != 0 ? copy(help) : NULL;
    if (!text)
        return; /* or memory: the old one is no worse */
    pl_free(f->help);
    f->help = text;
}

static pl_stats_family *declare(pl_stats *stats, const pl_stats_spec *spec, uint64_t revision)
{
    pl_stats_family *f = find_family(stats, spec);
    if (!f && !(f = add_family(stats, spec)))
        return NULL;
    if (revision > f->revision) {
        f->revision = revision;
        set_help(f, spec->help);
    }
    return f;
}

pl_stats_family *pl_stats_declare(pl_stats *stats, const pl_stats_spec *spec)
{
    pl_stats_family *f = declare(stats, spec, stats->revision);
    if (f && spec->most_series)
        f->most_series = spec->most_series;
    /* Without labels there is one series, which is there from the beginning. */
    if (f && f->label_count == 0)
        pl_stats_at(f, &(pl_str){NULL, 0});
    return f;
}

void pl_stats_set_revision(pl_stats *stats, uint64_t revision)
{
    stats->revision = revision;
}

uint64_t pl_stat_count(const pl_stat *stat)
{
    size_t i = 0;
    uint64_t count = stat->buckets[0];
    while (stat->bounds[i] < INFINITY)
        count += stat->buckets[++i];
    return count;
}

/* --- merging --- */
static void merge_stat(const pl_stats_family *f, pl_stat *into, const pl_stat *from, bool is_new)
{
    for (size_t i = 0; i < f->bucket_count; i++)
        into->buckets[i] += from->buckets[i];
    bool takes = is_new || (f->merging == PL_STATS_LAST && from->at >= into->at) ||
                 (f->merging == PL_STATS_MAX && from->value > into->value) ||
                 (f->merging == PL_STATS_MIN && from->value < into->value);
    if (f->merging == PL_STATS_SUM)
        into->value += from->value;
    else if (takes)
        into->value = from->value;
    if (takes)
        into->at = from->at;
}

static bool merge_family(pl_stats_family *into, const pl_stats_family *from)
{
    for (size_t i = 0; i < from->map.count; i++) {
        const series *s = from->map.entries[i].value;
        size_t before = into->map.count;
        series *target = find_series(into, s->key, SIZE_MAX);
        if (!target)
            return false;
        merge_stat(into, &target->stat, &s->stat, into->map.count > before);
    }
    if (from->overflow_shown)
        merge_stat(into, &into->overflow->stat, &from->overflow->stat, !into->overflow_shown);
    into->overflow_shown |= from->overflow_shown;
    into->overflowed += from->overflowed;
    return true;
}

static bool merge_into(pl_stats *into, const pl_stats_family *f)
{
    const pl_stats_spec spec = {.kind = f->kind,
                                .merging = f->merging,
                                .name = f->name,
                                .help = f->help,
                                .labels = (const char *const *)f->labels,
                                .label_count = f->label_count,
                                .bounds = f->bounds,
                                .bound_count = f->bucket_count ? f->bucket_count - 1 : 0};
    pl_stats_family *target = declare(into, &spec, f->revision);
    return target && merge_family(target, f);
}

bool pl_stats_merge(pl_stats *into, const pl_stats *from)
{
    for (size_t i = 0; i < from->names.count; i++) {
        for (const pl_stats_family *f = from->names.entries[i].value; f; f = f->older) {
            if (!merge_into(into, f))
                return false;
        }
    }
    return true;
}

/* --- life --- */
pl_stats *pl_stats_new(void)
{
    return pl_calloc(1, sizeof(pl_stats));
}

void pl_stats_free(pl_stats *stats)
{
    if (!stats)
        return;
    for (size_t i = 0; i < stats->names.count; i++) {
        for (pl_stats_family *f = stats->names.entries[i].value, *older; f; f = older) {
            older = f->older;
            free_family(f);
        }
    }
    pl_map_dispose(&stats->names);
    pl_free(stats);
}

/* --- for writers --- */
static const pl_stats_family *newest(const pl_stats_family *f)
{
    const pl_stats_family *best = f;
    for (; f; f = f->older) {
        if (f->revision > best->revision)
            best = f;
    }
    return best;
}

static int compare(const void *a, const void *b)
{
    const pl_stats_family *left = *(const pl_stats_family *const *)a,
                          *right = *(const pl_stats_family *const *)b;
    return strcmp(left->name, right->name);
}

static pl_stats_view view_of(const pl_stats_family *f)
{
    return (pl_stats_view){.family = f,
                           .name = f->name,
                           .help = f->help,
                           .kind = f->kind,
                           .labels = (const char *const *)f->labels,
                           .label_count = f->label_count,
                           .series_count = f->map.count + f->overflow_shown};
}

bool pl_stats_each(const pl_stats *stats, bool (*fn)(void *data, const pl_stats_view *view), void *data)
{
    size_t count = stats->names.count;
    const pl_stats_family **sorted = pl_calloc(count + 1, sizeof(*sorted));
    if (!sorted)
        return false;
    for (size_t i = 0; i < count; i++)
        sorted[i] = newest(stats->names.entries[i].value);
    qsort(sorted, count, sizeof(*sorted), compare);
    bool goes_on = true;
    for (size_t i = 0; goes_on && i < count; i++) {
        pl_stats_view view = view_of(sorted[i]);
        goes_on = fn(data, &view);
    }
    pl_free(sorted);
    return goes_on;
}

pl_stats_series_view pl_stats_series(const pl_stats_family *f, size_t i)
{
    const series *s = i < f->map.count ? f->map.entries[i].value : f->overflow;
    return (pl_stats_series_view){&s->stat, s->values, f->bucket_count};
}
