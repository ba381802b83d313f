/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/stats.h"
#include "base/stats_text.h"
#include "support/failing.h"

static const char *const by_country[] = {"country"};
static const pl_stats_spec orders = {.kind = PL_STATS_COUNTER,
                                     .name = "orders_total",
                                     .help = "Orders.",
                                     .labels = by_country,
                                     .label_count = 1};
static const pl_stats_spec temperature = {.kind = PL_STATS_GAUGE, .name = "temperature", .help = "Degrees."};

static pl_stat *at(pl_stats_family *family, const char *value)
{
    return pl_stats_at(family, &(pl_str){value, strlen(value)});
}

static char text[65536];
static const char *written(const pl_stats *stats)
{
    pl_buf out;
    pl_buf_init(&out);
    assert_true(pl_stats_write(stats, &out));
    assert_true(out.len < sizeof text);
    memcpy(text, out.data ? out.data : "", out.len);
    text[out.len] = '\0';
    pl_buf_dispose(&out);
    return text;
}

static void a_series_is_the_same_each_time(void **state)
{
    pl_stats *stats = pl_stats_new();
    pl_stats_family *family = pl_stats_declare(stats, &orders);
    pl_stat *norway = at(family, "NO"), *sweden = at(family, "SE");
    assert_ptr_not_equal(norway, sweden);
    assert_ptr_equal(at(family, "NO"), norway);
    assert_ptr_equal(pl_stats_declare(stats, &orders), family);
    pl_stat_add(norway, 2);
    pl_stat_add(sweden, 0.5);
    assert_string_equal(written(stats), "# HELP orders_total Orders.\n"
                                        "# TYPE orders_total counter\n"
                                        "orders_total{country=\"NO\"} 2\n"
                                        "orders_total{country=\"SE\"} 0.5\n");
    pl_stats_free(stats);
}

static void values_do_not_run_together(void **state)
{
    static const char *const labels[] = {"a", "b"};
    const pl_stats_spec spec = {
        .kind = PL_STATS_COUNTER, .name = "x", .help = "", .labels = labels, .label_count = 2};
    pl_stats *stats = pl_stats_new();
    pl_stats_family *family = pl_stats_declare(stats, &spec);
    const pl_str first[] = {PL_STR("ab"), PL_STR("")}, second[] = {PL_STR("a"), PL_STR("b")},
                 third[] = {PL_STR(""), PL_STR("ab")};
    assert_ptr_not_equal(pl_stats_at(family, first), pl_stats_at(family, second));
    assert_ptr_not_equal(pl_stats_at(family, third), pl_stats_at(family, second));
    assert_non_null(strstr(written(stats), "x{a=\"\",b=\"ab\"} 0\n"));
    pl_stats_free(stats);
}

static void one_without_labels_is_there_at_once(void **state)
{
    pl_stats *stats = pl_stats_new();
    pl_stats_declare(stats, &temperature);
    pl_stats_declare(stats, &orders); /* has no series: is not written */
    assert_string_equal(written(stats),
                        "# HELP temperature Degrees.\n# TYPE temperature gauge\ntemperature 0\n");
    pl_stats_free(stats);
}

static void what_is_too_much_overflows(void **state)
{
    pl_stats_spec spec = orders;
    spec.most_series = 2;
    pl_stats *stats = pl_stats_new();
    pl_stats_family *family = pl_stats_declare(stats, &spec);
    pl_stat_add(at(family, "NO"), 1);
    pl_stat_add(at(family, "SE"), 1);
    assert_int_equal(pl_stats_overflowed(family), 0);
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        pl_stat_add(at(family, name), 1);
    }
    pl_stat_add(at(family, "SE"), 1);
    assert_int_equal(pl_stats_overflowed(family), 100);
    assert_string_equal(strstr(written(stats), "orders_total{"), "orders_total{country=\"NO\"} 1\n"
                                                                 "orders_total{country=\"SE\"} 2\n"
                                                                 "orders_total{country=\"_overflow\"} 100\n");
    pl_stats_free(stats);
}

static void what_has_gone_makes_room(void **state)
{
    pl_stats_spec spec = orders;
    spec.most_series = 2;
    pl_stats *stats = pl_stats_new();
    pl_stats_family *family = pl_stats_declare(stats, &spec);
    at(family, "NO");
    pl_stats_drop(family, at(family, "SE"));
    pl_stat_add(at(family, "DK"), 3);
    assert_string_equal(strstr(written(stats), "orders_total{"),
                        "orders_total{country=\"NO\"} 0\norders_total{country=\"DK\"} 3\n");
    pl_stats_drop(family, at(family, "overflows"));
    pl_stats_free(stats);
}

static void long_values_are_cut_between_characters(void **state)
{
    char value[600];
    pl_stats *stats = pl_stats_new();
    pl_stats_family *family = pl_stats_declare(stats, &orders);
    for (size_t i = 0; i < sizeof value - 1; i++)
        value[i] = "x\xc3\xa9"[i == 0 ? 0 : 1 + (i - 1) % 2]; /* x, then two bytes each */
    value[sizeof value - 1] = '\0';
    at(family, value);
    pl_stats_series_view s = pl_stats_series(family, 0);
    assert_int_equal(s.values[0].len, 255);
    assert_true(pl_str_is_utf8(s.values[0]));
    pl_stats_free(stats);
}

static void text_is_escaped(void **state)
{
    pl_stats_spec spec = orders;
    spec.help = "Back\\slash, \"quotes\" and\na new line.";
    pl_stats *stats = pl_stats_new();
    pl_stats_family *family = pl_stats_declare(stats, &spec);
    at(family, "a\"b\\c\nd");
    at(family, "\xc3\xa5\xff\xe2\x82");
    at(family, "");
    assert_string_equal(written(stats),
                        "# HELP orders_total Back\\\\slash, \"quotes\" and\\na new line.\n"
                        "# TYPE orders_total counter\n"
                        "orders_total{country=\"a\\\"b\\\\c\\nd\"} 0\n"
                        "orders_total{country=\"\xc3\xa5\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"} 0\n"
                        "orders_total{country=\"\"} 0\n");
    pl_stats_free(stats);
}

static void numbers_are_those_of_the_format(void **state)
{
    const struct {
        double v;
        const char *text;
    } cases[] = {{0, "0"},           {1e15, "1000000000000000"}, {-2.25, "-2.25"},
                 {INFINITY, "+Inf"}, {-INFINITY, "-Inf"},        {NAN, "NaN"},
                 {1e300, "1e+300"}};
    pl_stats *stats = pl_stats_new();
    pl_stat *stat = pl_stats_at(pl_stats_declare(stats, &temperature), NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[64];
        snprintf(line, sizeof line, "\ntemperature %s\n", cases[i].text);
        pl_stat_set(stat, cases[i].v);
        assert_non_null(strstr(written(stats), line));
    }
    pl_stats_free(stats);
}

static void histograms_count_up(void **state)
{
    static const double bounds[] = {0.5, 1};
    const pl_stats_spec spec = {.kind = PL_STATS_HISTOGRAM,
                                .name = "size",
                                .help = "Sizes.",
                                .labels = by_country,
                                .label_count = 1,
                                .bounds = bounds,
                                .bound_count = 2};
    pl_stats *stats = pl_stats_new();
    pl_stat *stat = at(pl_stats_declare(stats, &spec), "NO");
    pl_stat_observe(stat, 0.5); /* a bound belongs to what is below */
    pl_stat_observe(stat, 0.75);
    pl_stat_observe(stat, 0.25);
    pl_stat_observe(stat, 7);
    assert_string_equal(written(stats), "# HELP size Sizes.\n"
                                        "# TYPE size histogram\n"
                                        "size_bucket{country=\"NO\",le=\"0.5\"} 2\n"
                                        "size_bucket{country=\"NO\",le=\"1\"} 3\n"
                                        "size_bucket{country=\"NO\",le=\"+Inf\"} 4\n"
                                        "size_sum{country=\"NO\"} 8.5\n"
                                        "size_count{country=\"NO\"} 4\n");
    pl_stats_free(stats);
}

static void durations_have_their_bounds(void **state)
{
    const pl_stats_spec spec = {.kind = PL_STATS_HISTOGRAM, .name = "seconds", .help = ""};
    pl_stats *stats = pl_stats_new();
    pl_stat_observe(pl_stats_at(pl_stats_declare(stats, &spec), NULL), 0.0002);
    written(stats);
    assert_non_null(strstr(text, "seconds_bucket{le=\"0.0001\"} 0\nseconds_bucket{le=\"0.00025\"} 1\n"));
    assert_non_null(strstr(text, "seconds_bucket{le=\"10\"} 1\nseconds_bucket{le=\"+Inf\"} 1\n"));
    pl_stats_free(stats);
}

static void families_are_sorted(void **state)
{
    static const char *const names[] = {"m", "a", "z", "b_b", "b"};
    pl_stats *stats = pl_stats_new();
    for (size_t i = 0; i < 5; i++) {
        pl_stats_spec spec = temperature;
        spec.name = names[i];
        spec.help = "";
        pl_stats_declare(stats, &spec);
    }
    const char *last = written(stats);
    static const char *const sorted[] = {"\na 0", "\nb 0", "\nb_b 0", "\nm 0", "\nz 0"};
    for (size_t i = 0; i < 5; i++)
        assert_non_null(last = strstr(last, sorted[i]));
    pl_stats_free(stats);
}

static void names_are_checked(void **state)
{
    assert_true(pl_stats_is_name(PL_STR("a:b_C9")));
    assert_true(pl_stats_is_name(PL_STR("_x")));
    assert_false(pl_stats_is_name(PL_STR("")));
    assert_false(pl_stats_is_name(PL_STR("9a")));
    assert_false(pl_stats_is_name(PL_STR("a-b")));
    assert_false(pl_stats_is_name(PL_STR("\xc3\xa5")));
    assert_true(pl_stats_is_label(PL_STR("_le9")));
    assert_false(pl_stats_is_label(PL_STR("__name")));
    assert_false(pl_stats_is_label(PL_STR("a:b")));
}

/* --- merging --- */
static void merging_adds(void **state)
{
    const pl_stats_spec seconds = {.kind = PL_STATS_HISTOGRAM, .name = "seconds", .help = ""};
    pl_stats *all = pl_stats_new(), *one = pl_stats_new(), *two = pl_stats_new();
    pl_stat_add(at(pl_stats_declare(one, &orders), "NO"), 1);
    pl_stat_add(at(pl_stats_declare(two, &orders), "SE"), 20);
    pl_stat_add(at(pl_stats_declare(two, &orders), "NO"), 2);
    pl_stat_observe(pl_stats_at(pl_stats_declare(one, &seconds), NULL), 0.003);
    pl_stat_observe(pl_stats_at(pl_stats_declare(two, &seconds), NULL), 0.002);
    pl_stat_observe(pl_stats_at(pl_stats_declare(two, &seconds), NULL), 3);
    assert_true(pl_stats_merge(all, one) && pl_stats_merge(all, two));
    written(all);
    assert_non_null(strstr(text, "orders_total{country=\"NO\"} 3\norders_total{country=\"SE\"} 20\n"));
    assert_non_null(strstr(text, "seconds_bucket{le=\"0.0025\"} 1\nseconds_bucket{le=\"0.005\"} 2\n"));
    assert_non_null(strstr(text, "seconds_sum 3.005\nseconds_count 3\n"));
    pl_stats_free(one);
    pl_stats_free(two);
    pl_stats_free(all);
}

static double merged(pl_stats_merging merging, double a, uint64_t a_at, double b, uint64_t b_at)
{
    pl_stats_spec spec = temperature;
    spec.merging = merging;
    pl_stats *all = pl_stats_new(), *one = pl_stats_new(), *two = pl_stats_new();
    pl_stat *first = pl_stats_at(pl_stats_declare(one, &spec), NULL),
            *second = pl_stats_at(pl_stats_declare(two, &spec), NULL);
    first->value = a;
    first->at = a_at;
    second->value = b;
    second->at = b_at;
    assert_true(pl_stats_merge(all, one) && pl_stats_merge(all, two));
    double v = pl_stats_at(pl_stats_declare(all, &spec), NULL)->value;
    pl_stats_free(one);
    pl_stats_free(two);
    pl_stats_free(all);
    return v;
}

static void gauges_merge_as_they_say(void **state)
{
    assert_true(merged(PL_STATS_SUM, 1, 0, 2, 0) == 3);
    assert_true(merged(PL_STATS_MAX, -1, 0, -2, 0) == -1);
    assert_true(merged(PL_STATS_MAX, -2, 0, -1, 0) == -1);
    assert_true(merged(PL_STATS_MIN, 5, 0, 7, 0) == 5);
    assert_true(merged(PL_STATS_LAST, 1, 10, 2, 5) == 1);
    assert_true(merged(PL_STATS_LAST, 1, 5, 2, 10) == 2);
}

static void what_overflowed_is_merged(void **state)
{
    pl_stats_spec spec = orders;
    spec.most_series = 1;
    pl_stats *all = pl_stats_new(), *one = pl_stats_new(), *two = pl_stats_new();
    pl_stats *const each[] = {one, two};
    for (int i = 0; i < 2; i++) {
        pl_stats_family *family = pl_stats_declare(each[i], &spec);
        pl_stat_add(at(family, i ? "SE" : "NO"), 1);
        pl_stat_add(at(family, "DK"), 10);
    }
    assert_true(pl_stats_merge(all, one) && pl_stats_merge(all, two));
    assert_string_equal(strstr(written(all), "orders_total{"), "orders_total{country=\"NO\"} 1\n"
                                                               "orders_total{country=\"SE\"} 1\n"
                                                               "orders_total{country=\"_overflow\"} 20\n");
    pl_stats_free(one);
    pl_stats_free(two);
    pl_stats_free(all);
}

/* A reload gives a family other labels: the newest is shown, and what it was before is kept for the case that
 * it comes back. */
static void the_newest_revision_is_shown(void **state)
{
    static const char *const by_shop[] = {"shop"};
    pl_stats_spec other = orders;
    other.labels = by_shop;
    other.help = "Orders by shop.";
    pl_stats *stats = pl_stats_new(), *behind = pl_stats_new(), *all = pl_stats_new();
    pl_stats_set_revision(stats, 1);
    pl_stat *norway = at(pl_stats_declare(stats, &orders), "NO");
    pl_stat_add(norway, 1);
    pl_stats_set_revision(behind, 1);
    pl_stat_add(at(pl_stats_declare(behind, &orders), "NO"), 5);
    pl_stats_set_revision(stats, 2);
    at(pl_stats_declare(stats, &other), "corner");
    pl_stat_add(norway, 1); /* the old generation still counts */
    assert_string_equal(written(stats), "# HELP orders_total Orders by shop.\n"
                                        "# TYPE orders_total counter\n"
                                        "orders_total{shop=\"corner\"} 0\n");
    /* A worker that has not gone over yet does not bring it back, whichever is asked first. */
    assert_true(pl_stats_merge(all, behind) && pl_stats_merge(all, stats));
    assert_string_equal(strstr(written(all), "orders_total{"), "orders_total{shop=\"corner\"} 0\n");
    pl_stats_set_revision(stats, 3);
    assert_ptr_equal(at(pl_stats_declare(stats, &orders), "NO"), norway);
    assert_string_equal(strstr(written(stats), "orders_total{"), "orders_total{country=\"NO\"} 2\n");
    pl_stats_free(stats);
    pl_stats_free(behind);
    pl_stats_free(all);
}

static void families_are_bounded(void **state)
{
    pl_stats *stats = pl_stats_new();
    char name[16];
    pl_stats_spec spec = temperature;
    spec.name = name;
    for (int i = 0; i < PL_STATS_MOST_FAMILIES; i++) {
        snprintf(name, sizeof name, "f%d", i);
        assert_non_null(pl_stats_declare(stats, &spec));
    }
    assert_null(pl_stats_declare(stats, &orders));
    assert_non_null(pl_stats_declare(stats, &spec));
    pl_stats_free(stats);
}

static bool use_all(pl_stats **stats, pl_stats **all, pl_buf *out)
{
    const pl_stats_spec seconds = {
        .kind = PL_STATS_HISTOGRAM, .name = "seconds", .help = "", .labels = by_country, .label_count = 1};
    pl_stats_family *counters, *times;
    if (!(*stats = pl_stats_new()) || !(*all = pl_stats_new()) ||
        !(counters = pl_stats_declare(*stats, &orders)) || !(times = pl_stats_declare(*stats, &seconds)))
        return false;
    for (int i = 0; i < 10; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        pl_stat_add(at(counters, name), 1); /* counted, whatever happens */
        pl_stat_observe(at(times, name), 1);
    }
    bool ok = pl_stats_merge(*all, *stats) && pl_stats_merge(*all, *stats) && pl_stats_write(*all, out);
    return ok && pl_stats_overflowed(counters) + pl_stats_overflowed(times) == 0;
}

static void works_without_memory(void **state)
{
    failing a = {0};
    while (failing_next(&a)) {
        pl_stats *stats = NULL, *all = NULL;
        pl_buf out;
        pl_buf_init(&out);
        failing_begin(&a);
        bool ok = use_all(&stats, &all, &out);
        assert_int_equal(ok, !failing_end(&a));
        pl_stats_free(stats);
        pl_stats_free(all);
        pl_buf_dispose(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_series_is_the_same_each_time),
        cmocka_unit_test(values_do_not_run_together),
        cmocka_unit_test(one_without_labels_is_there_at_once),
        cmocka_unit_test(what_is_too_much_overflows),
        cmocka_unit_test(what_has_gone_makes_room),
        cmocka_unit_test(long_values_are_cut_between_characters),
        cmocka_unit_test(text_is_escaped),
        cmocka_unit_test(numbers_are_those_of_the_format),
        cmocka_unit_test(histograms_count_up),
        cmocka_unit_test(durations_have_their_bounds),
        cmocka_unit_test(families_are_sorted),
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(merging_adds),
        cmocka_unit_test(gauges_merge_as_they_say),
        cmocka_unit_test(what_overflowed_is_merged),
        cmocka_unit_test(the_newest_revision_is_shown),
        cmocka_unit_test(families_are_bounded),
        cmocka_unit_test(works_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
