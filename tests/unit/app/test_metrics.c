/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "app/metrics_collect.h"
#include "app/metrics_events.h"
#include "base/stats_text.h"
#include "support/failing.h"

static pl_loop *loop;
static pl_metrics *metrics;
static pl_host host;
static char text[4 << 20];

static int set_up(void **state)
{
    pl_error err = {0};
    loop = pl_loop_new(NULL, NULL, &err);
    metrics = loop ? pl_metrics_new(loop) : NULL;
    host = (pl_host){.meter = metrics ? pl_metrics_meter(metrics) : NULL};
    return metrics ? 0 : -1;
}

static int tear_down(void **state)
{
    pl_metrics_free(metrics);
    pl_loop_free(loop);
    return 0;
}

static const char *written(void)
{
    pl_buf out;
    pl_buf_init(&out);
    pl_metrics_flush(metrics);
    assert_true(pl_stats_write(pl_metrics_stats(metrics), &out));
    assert_true(out.len < sizeof text);
    memcpy(text, out.data, out.len);
    text[out.len] = '\0';
    pl_buf_dispose(&out);
    return text;
}

#define assert_has(line) assert_non_null(strstr(written(), line "\n"))
#define assert_has_not(part) assert_null(strstr(written(), part))

static void http(unsigned part, const char *method, int status)
{
    pl_http_meter *meter = pl_metrics_http_meter(metrics);
    const pl_http_request request = {.method = pl_str_of(method), .path = PL_STR("/a/path"), .part = part};
    meter->count(meter, &request, status, pl_clock_ns() - 300000);
}

static void http_requests_are_counted_by_part_method_and_code(void **state)
{
    http(PL_PART_GRAPHQL, "POST", 200);
    http(PL_PART_GRAPHQL, "POST", 200);
    http(PL_PART_GRAPHQL, "GET", 200);
    http(PL_PART_OTHER, "POST", 404);
    assert_has("http_requests_total{handler=\"graphql\",method=\"POST\",code=\"200\"} 2");
    assert_has("http_requests_total{handler=\"graphql\",method=\"GET\",code=\"200\"} 1");
    assert_has("http_requests_total{handler=\"other\",method=\"POST\",code=\"404\"} 1");
    assert_has("http_request_duration_seconds_count{handler=\"graphql\",method=\"POST\",code=\"200\"} 2");
    assert_has("http_request_duration_seconds_bucket{handler=\"graphql\",method=\"POST\",code=\"200\","
               "le=\"0.00025\"} 0");
    assert_has_not("/a/path");
    http(PL_PART_GRAPHQL, "POST", 200); /* after a scrape, too */
    assert_has("http_requests_total{handler=\"graphql\",method=\"POST\",code=\"200\"} 3");
}

static void what_clients_make_up_is_one(void **state)
{
    char method[16];
    for (int i = 0; i < 500; i++) {
        snprintf(method, sizeof method, "BREW%d", i);
        http(PL_PART_OTHER, method, 404);
    }
    http(PL_PART_OTHER, "", 400);
    http(1000, "GET", 12345);
    http(PL_PART_OTHER, "GET", -5);
    assert_has("http_requests_total{handler=\"other\",method=\"other\",code=\"404\"} 500");
    assert_has("http_requests_total{handler=\"other\",method=\"other\",code=\"400\"} 1");
    assert_has("http_requests_total{handler=\"other\",method=\"GET\",code=\"500\"} 2");
    assert_has_not("BREW");
}

static void operations_are_counted_by_kind_and_outcome(void **state)
{
    pl_metrics_graphql_ended(metrics, "query", PL_GRAPHQL_OK);
    pl_metrics_graphql_ended(metrics, "query", PL_GRAPHQL_ERRORS);
    pl_metrics_graphql_ended(metrics, "subscription", PL_GRAPHQL_CANCELLED);
    pl_metrics_graphql_ended(metrics, "mutation", PL_GRAPHQL_OK);
    pl_metrics_graphql_ended(metrics, NULL, PL_GRAPHQL_REFUSED);
    pl_metrics_graphql_answered(metrics, "query", 1000000, 4000000);
    pl_metrics_graphql_refused(metrics, PL_INVALID_ARGUMENT, 3);
    host.meter->graphql_errors[PL_NOT_FOUND]++;
    host.meter->graphql_errors[PL_OK]++;
    assert_has("graphql_operations_total{kind=\"query\",outcome=\"ok\"} 1");
    assert_has("graphql_operations_total{kind=\"query\",outcome=\"errors\"} 1");
    assert_has("graphql_operations_total{kind=\"subscription\",outcome=\"cancelled\"} 1");
    assert_has("graphql_operations_total{kind=\"mutation\",outcome=\"ok\"} 1");
    assert_has("graphql_operations_total{kind=\"unknown\",outcome=\"refused\"} 1");
    assert_has("graphql_operation_duration_seconds_sum{kind=\"query\"} 0.003");
    assert_has("graphql_errors_total{code=\"INVALID_ARGUMENT\"} 3");
    assert_has("graphql_errors_total{code=\"NOT_FOUND\"} 1");
    assert_has("graphql_errors_total{code=\"none\"} 1");
}

static void served(const char *path, void **mark, bool streams, pl_code code)
{
    const pl_meter_rpc rpc = {pl_str_of(path), false, streams, mark};
    host.meter->rpc_served(host.meter, &rpc, code, host.meter->now(host.meter));
}

static void calls_are_counted_by_method(void **state)
{
    void *mark = NULL, *first;
    served("/shop.v1.Shop/Get", &mark, false, PL_OK);
    first = mark;
    assert_non_null(first);
    served("/shop.v1.Shop/Get", &mark, false, PL_OK);
    assert_ptr_equal(mark, first);
    served("/shop.v1.Shop/Get", NULL, false, PL_NOT_FOUND);
    served("/shop.v1.Shop/List", NULL, true, PL_OK);
    served(NULL, NULL, false, PL_UNIMPLEMENTED);
    void *next = NULL; /* of the next generation: goes on where the last one was */
    served("/shop.v1.Shop/Get", &next, false, PL_OK);
    assert_ptr_equal(next, first);
    host.meter->rpc_called(host.meter, PL_STR("/bank.v1.Bank/Pay"), PL_UNAVAILABLE, 0);
    assert_has(
        "grpc_server_handled_total{grpc_type=\"unary\",grpc_service=\"shop.v1.Shop\",grpc_method=\"Get\","
        "grpc_code=\"OK\"} 3");
    assert_has(
        "grpc_server_handled_total{grpc_type=\"unary\",grpc_service=\"shop.v1.Shop\",grpc_method=\"Get\","
        "grpc_code=\"NOT_FOUND\"} 1");
    assert_has("grpc_server_handled_total{grpc_type=\"server_stream\",grpc_service=\"shop.v1.Shop\","
               "grpc_method=\"List\",grpc_code=\"OK\"} 1");
    assert_has(
        "grpc_server_handled_total{grpc_type=\"unary\",grpc_service=\"unknown\",grpc_method=\"unknown\","
        "grpc_code=\"UNIMPLEMENTED\"} 1");
    assert_has("grpc_server_handling_seconds_count{grpc_type=\"unary\",grpc_service=\"shop.v1.Shop\","
               "grpc_method=\"Get\"} 4");
    assert_has("grpc_client_handled_total{grpc_service=\"bank.v1.Bank\",grpc_method=\"Pay\","
               "grpc_code=\"UNAVAILABLE\"} 1");
}

static void calls_without_end_overflow(void **state)
{
    char path[64];
    for (int i = 0; i < 6000; i++) {
        snprintf(path, sizeof path, "/shop.v1.Shop/M%d", i);
        host.meter->rpc_called(host.meter, pl_str_of(path), PL_OK, 0);
    }
    assert_has("grpc_client_handled_total{grpc_service=\"_overflow\",grpc_method=\"_overflow\","
               "grpc_code=\"_overflow\"} 1000");
}

static void events_are_counted_by_topic_and_group(void **state)
{
    pl_event_series *list = NULL;
    pl_event_series *orders = pl_event_series_get(&list, metrics, "orders", PL_STR("shop"));
    assert_ptr_not_equal(pl_event_series_get(&list, metrics, "users", PL_STR("shop")), orders);
    assert_ptr_equal(pl_event_series_get(&list, metrics, "orders", PL_STR("shop")), orders);
    assert_null(pl_event_series_get(&list, NULL, "orders", PL_STR("shop")));
    pl_stat_add(orders->consumed, 2);
    pl_event_series_failed(orders, PL_UNAVAILABLE);
    pl_event_series_free(list);
    assert_has("events_consumed_total{topic=\"orders\",group=\"shop\"} 2");
    assert_has("events_dead_lettered_total{topic=\"orders\",group=\"shop\"} 0");
    assert_has("event_processing_errors_total{topic=\"orders\",group=\"shop\",code=\"UNAVAILABLE\"} 1");
}

static void the_meter_knows_its_metrics(void **state)
{
    pl_meter other = {0};
    pl_host without = {0}, foreign = {.meter = &other};
    assert_ptr_equal(pl_metrics_of(&host), metrics);
    assert_null(pl_metrics_of(&without));
    assert_null(pl_metrics_of(&foreign));
}

static bool collect_all(pl_stats *into)
{
    const pl_metrics_facts facts = {.reloads = 3, .refused = 1, .workers = 2, .started_at = 1e9};
    const pl_worker_status status = {.edge.connections = 5, .grpc.calls = 2, .published.waiting = 7};
    pl_metrics_flush(metrics);
    return pl_stats_merge(into, pl_metrics_stats(metrics)) && pl_metrics_collect_worker(into, &status) &&
           pl_metrics_collect_graphql(into, 4) && pl_metrics_collect_server(into, &facts);
}

static void what_workers_have_is_added(void **state)
{
    pl_stats *all = pl_stats_new();
    pl_buf out;
    pl_buf_init(&out);
    http(PL_PART_GRAPHQL, "POST", 200);
    assert_true(collect_all(all));
    const pl_worker_status other = {.edge.connections = 10};
    assert_true(pl_metrics_collect_worker(all, &other));
    assert_true(pl_stats_write(all, &out));
    pl_buf_char(&out, '\0');
    assert_non_null(strstr(out.data, "\nperilune_http_connections 15\n"));
    assert_non_null(strstr(out.data, "\nperilune_producer_waiting 7\n"));
    assert_non_null(strstr(out.data, "\ngraphql_subscriptions_active 4\n"));
    assert_non_null(strstr(out.data, "\nperilune_reloads_total{result=\"reloaded\"} 3\n"));
    assert_non_null(strstr(out.data, "\nperilune_reloads_total{result=\"refused\"} 1\n"));
    assert_non_null(
        strstr(out.data, "\nhttp_requests_total{handler=\"graphql\",method=\"POST\",code=\"200\"} 1\n"));
    assert_non_null(strstr(out.data, "\nprocess_open_fds "));
    assert_null(strstr(out.data, "NaN"));
    pl_buf_dispose(&out);
    pl_stats_free(all);
}

static void works_without_memory(void **state)
{
    failing a = {.dense = 60, .step = 7};
    while (failing_next(&a)) {
        pl_event_series *list = NULL;
        failing_begin(&a);
        pl_metrics *mine = pl_metrics_new(loop);
        pl_stats *all = pl_stats_new();
        if (mine && all) {
            pl_metrics *before = metrics;
            metrics = mine;
            host.meter = pl_metrics_meter(mine);
            http(PL_PART_GRAPHQL, "POST", 200);
            http(PL_PART_GRAPHQL, "POST", 200);
            served("/shop.v1.Shop/Get", NULL, false, PL_OK);
            host.meter->rpc_called(host.meter, PL_STR("/a.B/C"), PL_OK, 0);
            pl_metrics_graphql_ended(mine, "query", PL_GRAPHQL_OK);
            pl_event_series_get(&list, mine, "orders", PL_STR("shop"));
            collect_all(all);
            metrics = before;
            host.meter = pl_metrics_meter(before);
        }
        failing_end(&a);
        pl_event_series_free(list);
        pl_metrics_free(mine);
        pl_stats_free(all);
    }
    assert_true(a.failed > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(http_requests_are_counted_by_part_method_and_code),
        TEST(what_clients_make_up_is_one),
        TEST(operations_are_counted_by_kind_and_outcome),
        TEST(calls_are_counted_by_method),
        TEST(calls_without_end_overflow),
        TEST(events_are_counted_by_topic_and_group),
        TEST(the_meter_knows_its_metrics),
        TEST(what_workers_have_is_added),
        TEST(works_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
