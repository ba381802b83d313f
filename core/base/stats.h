/* SPDX-License-Identifier: MIT */
#ifndef PL_BASE_STATS_H
#define PL_BASE_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

/* Counters, gauges and histograms, in families with labels: the data model of Prometheus, without threads,
 * clocks or I/O. A registry belongs to one thread. What several threads have is merged, by whoever holds all
 * of the registries (a copy that goes from thread to thread), and written as text (stats_text.h).
 *
 * A family is declared once, a series is looked up once for its label values; then it is counted with a plain
 * addition. Both live as long as the registry, so the pointers may be kept. */
typedef struct pl_stats pl_stats;
typedef struct pl_stats_family pl_stats_family;

typedef enum pl_stats_kind { PL_STATS_COUNTER, PL_STATS_GAUGE, PL_STATS_HISTOGRAM } pl_stats_kind;
/* What becomes of the values that several registries have for one series. Counters and histograms: SUM. */
typedef enum pl_stats_merging { PL_STATS_SUM, PL_STATS_LAST, PL_STATS_MAX, PL_STATS_MIN } pl_stats_merging;

#define PL_STATS_MOST_SERIES 1000 /* of a family, unless it says otherwise */
#define PL_STATS_MOST_FAMILIES 1000
#define PL_STATS_MOST_LABELS 16
#define PL_STATS_MOST_BUCKETS 64
#define PL_STATS_LONGEST_VALUE 256 /* bytes of a label's value; longer ones are cut */
/* The value of each label of the series that takes what is over a family's bound. */
#define PL_STATS_OVERFLOW "_overflow"

typedef struct pl_stats_spec {
    pl_stats_kind kind;
    pl_stats_merging merging;
    const char *name, *help; /* the name: see pl_stats_is_name */
    const char *const *labels;
    size_t label_count;
    const double *bounds; /* of a histogram: rising, finite; NULL: pl_stats_durations */
    size_t bound_count;
    size_t most_series; /* 0: PL_STATS_MOST_SERIES */
} pl_stats_spec;

/* Of a series; to be read and counted by the functions below. */
typedef struct pl_stat {
    double value;         /* of a histogram: the sum of what was observed */
    const double *bounds; /* of a histogram: the last is infinite */
    uint64_t *buckets;    /* of a histogram: how many were observed, for each bound alone */
    uint64_t at;          /* of LAST: when it was set */
} pl_stat;

/* From 100 µs to 10 s: for durations in seconds. */
extern const double pl_stats_durations[];
extern const size_t pl_stats_duration_count;

/* Whether it is a name of the data model: [a-zA-Z_:][a-zA-Z0-9_:]*; of a label: without ":", and not
 * beginning with "__". */
bool pl_stats_is_name(pl_str name);
bool pl_stats_is_label(pl_str name);

pl_stats *pl_stats_new(void); /* NULL: memory */
void pl_stats_free(pl_stats *stats);

/* Finds the family of this name, kind, labels and bounds, or makes it; everything is copied. There may be
 * several of one name; that which was declared in the newest revision is the one that is shown, so that what
 * a family looks like can change. NULL: memory, or PL_STATS_MOST_FAMILIES. */
pl_stats_family *pl_stats_declare(pl_stats *stats, const pl_stats_spec *spec);
/* Numbers that rise; what is declared from now on belongs to this one. 0 to begin with. */
void pl_stats_set_revision(pl_stats *stats, uint64_t revision);

/* Finds the series with these values of the labels, in the order of the spec, or makes it. Never NULL: where
 * there is no memory, or the family is full, it is the family's overflow series. */
pl_stat *pl_stats_at(pl_stats_family *family, const pl_str *values);
/* A series that there is no more: a gauge of something that has gone. The pointer is dead then. No effect on
 * the overflow series but to empty it. */
void pl_stats_drop(pl_stats_family *family, pl_stat *stat);
/* How many label sets went to the overflow series, each time that one was looked up. */
uint64_t pl_stats_overflowed(const pl_stats_family *family);

static inline void pl_stat_add(pl_stat *stat, double v)
{
    stat->value += v;
}
static inline void pl_stat_set(pl_stat *stat, double v)
{
    stat->value = v;
}
static inline void pl_stat_observe(pl_stat *stat, double v)
{
    size_t i = 0;
    while (v > stat->bounds[i])
        i++;
    stat->buckets[i]++;
    stat->value += v;
}

uint64_t pl_stat_count(const pl_stat *stat); /* how often something was observed */

/* Adds all that `from` has to `into`, whose bounds of series do not count for that. False: memory; `into` is
 * not to be used then, but can be freed. */
bool pl_stats_merge(pl_stats *into, const pl_stats *from);

/* --- for writers --- */
typedef struct pl_stats_view {
    const pl_stats_family *family;
    const char *name, *help;
    pl_stats_kind kind;
    const char *const *labels;
    size_t label_count, series_count;
} pl_stats_view;
typedef struct pl_stats_series_view {
    const pl_stat *stat;
    const pl_str *values; /* of the labels */
    size_t bucket_count;  /* of a histogram: with the infinite one */
} pl_stats_series_view;
/* The families that are shown, sorted by name: calls fn for each until it gives false. False: that, or
 * memory. */
bool pl_stats_each(const pl_stats *stats, bool (*fn)(void *data, const pl_stats_view *view), void *data);
/* The i-th series of a family. */
pl_stats_series_view pl_stats_series(const pl_stats_family *family, size_t i);

#endif
