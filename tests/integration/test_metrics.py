# SPDX-License-Identifier: MIT
"""/metrics, read with the parser of Prometheus's own Python client."""

import contextlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness import SLOWNESS, http1, read_http1, run_cli, wait_until, write_bundle
from streams import EventStream
from subscription_bundle import BUNDLE as SUBSCRIPTIONS

pytestmark = pytest.mark.core

METRICS = """
local metrics = require "perilune.metrics"
local errors = require "perilune.errors"
local orders = metrics.counter("orders_total", "Orders, by \\"country\\".", { "country" })
local inflight = metrics.gauge("inflight", "What is under way.", {}, { merge = "sum" })
local latest = metrics.gauge("latest", "The last value.")
local size = metrics.histogram("order_size", "Sizes.", { "kind" }, { buckets = { 1, 10, 100 } })
local norway = orders:labels { country = "NO" }
return {
  Query = {
    order = function(_, args)
      orders:add(args.n, { country = args.country })
      norway:add()
      inflight:add(1)
      size:observe(args.n, { kind = "new" })
      return args.n
    end,
    latest = function(_, args) latest:set(args.n) return args.n end,
    fails = function() error(errors.not_found "nothing there") end,
    wrong = function(_, args)
      local ok, message = pcall(load("local orders, size, latest = ... " .. args.code), orders, size, latest)
      return ok and "fine" or message
    end,
    slow = function() require "perilune.time".sleep(30) return 1 end,
  },
}
"""
SCHEMA = """
type Query { order(country: String!, n: Int!): Int latest(n: Int!): Int fails: Int wrong(code: String!): String slow: Int }
"""
PROTO = """
syntax = "proto3";
package shop.v1;
message Item { string name = 1; }
service Shop { rpc Get(Item) returns (Item); rpc List(Item) returns (stream Item); }
"""
SERVICE = """
local errors = require "perilune.errors"
return { ["shop.v1.Shop"] = { Get = function(request)
  if request.name == "" then error(errors.invalid_argument "a name is needed") end
  return request
end, List = function(request, call) call:send(request) end } }
"""
BUNDLE = {
    "app.lua": "return {}",
    "schema/s.graphql": SCHEMA,
    "resolvers/r.lua": METRICS,
    "proto/shop.proto": PROTO,
    "services/shop.lua": SERVICE,
}


def scrape(server, base=None):
    """The samples of /metrics: {(name, frozenset of labels): value}."""
    response = server._client.get((base or server.base) + "/metrics")
    assert response.status_code == 200, response.text
    return samples(response.text)


def samples(text):
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation, family.name
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, key
            found[key] = sample.value
    return found


def get(found, name, **labels):
    return found.get((name, frozenset(labels.items())), 0)


def total(found, name, **labels):
    return sum(v for (n, own), v in found.items() if n == name and frozenset(labels.items()) <= own)


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(BUNDLE, "--grpc", "127.0.0.1:0", workers=2)


# -- the page --
def test_content_type_and_methods(server):
    response = server.get("/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    head = server.request("HEAD", "/metrics")
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) > 1000
    post = server.request("POST", "/metrics")
    assert (post.status_code, post.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("coding", ["gzip", "br", "identity"])
def test_is_compressed_where_that_is_asked_for(server, coding):
    response = server.get("/metrics", headers={"accept-encoding": coding})
    assert response.headers.get("content-encoding", "identity") == coding
    assert get(samples(response.text), "perilune_workers") == 2


def test_what_the_parser_sees_is_what_was_said(server):
    response = server.get("/metrics")
    families = {family.name: family for family in text_string_to_metric_families(response.text)}
    assert families["http_requests"].type == "counter"
    assert families["http_request_duration_seconds"].type == "histogram"
    assert families["perilune_generation"].type == "gauge"
    for family in families.values():
        if family.type == "histogram":
            check_histogram(family)


def check_histogram(family):
    series = {}
    for sample in family.samples:
        key = frozenset((k, v) for k, v in sample.labels.items() if k != "le")
        series.setdefault(key, []).append(sample)
    for one in series.values():
        buckets = [s.value for s in one if s.name.endswith("_bucket")]
        assert buckets == sorted(buckets)
        assert one[len(buckets) - 1].labels["le"] == "+Inf"
        assert buckets[-1] == next(s.value for s in one if s.name.endswith("_count"))


# -- what is counted --
def test_http(server):
    before = scrape(server)
    server.data("{ latest(n: 1) }")
    server.get("/nothing/of/this/name")
    server.request("BREW", "/coffee")
    server.get("/healthz")
    after = scrape(server)

    def more(**labels):
        return total(after, "http_requests_total", **labels) - total(before, "http_requests_total", **labels)

    assert more(handler="graphql", method="POST", code="200") == 1
    assert more(handler="other", method="GET", code="404") == 1
    assert more(handler="other", method="other", code="404") == 1
    assert more(handler="health", method="GET", code="200") == 1
    assert more(handler="metrics", method="GET", code="200") == 1
    assert more() == total(after, "http_request_duration_seconds_count") - total(before, "http_request_duration_seconds_count")
    text = server.get("/metrics").text
    assert "nothing" not in text
    assert "BREW" not in text


def test_what_is_no_http_is_counted(server):
    before = total(scrape(server), "http_requests_total", handler="other", method="other")
    with server.connect() as connection:
        connection.sendall(b"POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n")
        status = read_http1(connection)[0]
    assert status >= 400
    after = scrape(server)
    assert total(after, "http_requests_total", handler="other", method="other") == before + 1
    assert total(after, "http_requests_total", handler="other", method="other", code=str(status)) >= 1


def test_subscriptions(start):
    server = start(SUBSCRIPTIONS, workers=2)

    def active():
        return get(scrape(server), "graphql_subscriptions_active")

    def ended(outcome):
        return get(scrape(server), "graphql_operations_total", kind="subscription", outcome=outcome)

    with (
        EventStream(server, "subscription { said { text } }") as one,
        EventStream(server, "subscription { said { text } }") as two,
    ):
        wait_until(lambda: active() == 2, what="both to be counted")
        server.data('mutation { say(text: "x") }')
        assert one.next() and two.next()
        server.reload()  # they go over to the new generation
        server.data('mutation { say(text: "y") }')
        assert one.next() and two.next()
        assert active() == 2
        assert ended("ok") == ended("cancelled") == 0
        assert get(scrape(server), "graphql_operation_duration_seconds_count", kind="subscription") == 2
    wait_until(lambda: active() == 0, what="both to be gone")
    assert ended("cancelled") == 2
    with EventStream(server, "subscription { count(to: 2) }") as stream:
        assert len(stream.rest()) == 2
    with EventStream(server, "subscription { refused }") as stream:
        stream.rest()
    wait_until(lambda: ended("ok") == 1, what="the end of one that ends by itself")
    assert ended("refused") == 1
    assert active() == 0


def test_a_client_that_leaves_is_499(server):
    def gone():
        return get(scrape(server), "http_requests_total", handler="graphql", method="POST", code="499")

    before = gone()
    cancelled = get(scrape(server), "graphql_operations_total", kind="query", outcome="cancelled")
    with server.connect() as connection:
        connection.sendall(http1({"query": "{ slow }"}))
        wait_until(lambda: get(scrape(server), "perilune_http_requests") >= 2, what="the request to be in hand")
    wait_until(lambda: gone() == before + 1, what="the request to be counted")
    assert get(scrape(server), "graphql_operations_total", kind="query", outcome="cancelled") == cancelled + 1


def test_graphql(server):
    before = scrape(server)
    server.data("query Secret { latest(n: 1) }")
    server.graphql("{ fails }")
    server.graphql("{ a: fails b: fails }")
    server.post({"query": "{ nothing }"})
    server.post({"query": "{"})
    after = scrape(server)

    def more(name, **labels):
        return get(after, name, **labels) - get(before, name, **labels)

    assert more("graphql_operations_total", kind="query", outcome="ok") == 1
    assert more("graphql_operations_total", kind="query", outcome="errors") == 2
    assert more("graphql_operations_total", kind="unknown", outcome="refused") == 2
    assert more("graphql_errors_total", code="NOT_FOUND") == 3
    assert more("graphql_errors_total", code="INVALID_ARGUMENT") == 2
    assert more("graphql_operation_duration_seconds_count", kind="query") == 3
    assert "Secret" not in server.get("/metrics").text


def test_grpc(server):
    before = scrape(server)
    with grpc.insecure_channel(server.ready["grpc"]) as channel:

        def call(method, message=b"\x0a\x01x"):
            with pytest.raises(grpc.RpcError) if message == b"" or "Nothing" in method else contextlib.nullcontext():
                channel.unary_unary(method)(message, timeout=20 * SLOWNESS)

        call("/shop.v1.Shop/Get")
        call("/shop.v1.Shop/Get")
        call("/shop.v1.Shop/Get", b"")
        call("/shop.v1.Shop/NothingOfTheKind")
        assert len(list(channel.unary_stream("/shop.v1.Shop/List")(b"", timeout=20 * SLOWNESS))) == 1
    after = scrape(server)

    def more(name, **labels):
        return get(after, name, **labels) - get(before, name, **labels)

    one = {"grpc_type": "unary", "grpc_service": "shop.v1.Shop", "grpc_method": "Get"}
    assert more("grpc_server_handled_total", grpc_code="OK", **one) == 2
    assert more("grpc_server_handled_total", grpc_code="INVALID_ARGUMENT", **one) == 1
    assert more("grpc_server_handling_seconds_count", **one) == 3
    stream = {"grpc_type": "server_stream", "grpc_service": "shop.v1.Shop", "grpc_method": "List"}
    assert more("grpc_server_handled_total", grpc_code="OK", **stream) == 1
    unknown = {"grpc_type": "unary", "grpc_service": "unknown", "grpc_method": "unknown"}
    assert more("grpc_server_handled_total", grpc_code="UNIMPLEMENTED", **unknown) == 1
    assert "NothingOfTheKind" not in server.get("/metrics").text


def test_the_process(server):
    found = scrape(server)
    assert get(found, "process_open_fds") == pytest.approx(server.descriptors(), abs=5)
    assert get(found, "process_resident_memory_bytes") == pytest.approx(server.memory(), rel=0.5)
    assert get(found, "process_cpu_seconds_total") > 0
    assert get(found, "process_start_time_seconds") > 1.7e9
    assert get(found, "process_max_fds") >= 256
    assert total(found, "perilune_build_info") == 1
    assert 0 < get(found, "perilune_uptime_seconds") < 3600


# -- metrics of scripts --
def test_scripts_count(server):
    before = scrape(server)
    for n in (1, 5, 500):
        server.data('query ($n: Int!) { order(country: "SE", n: $n) }', {"n": n})
    after = scrape(server)

    def more(name, **labels):
        return get(after, name, **labels) - get(before, name, **labels)

    assert more("orders_total", country="SE") == 506
    assert more("orders_total", country="NO") == 3
    assert more("inflight") == 3
    assert [more("order_size_bucket", kind="new", le=le) for le in ("1", "10", "100", "+Inf")] == [1, 2, 2, 3]


def test_the_last_worker_to_set_a_gauge_wins(server):
    for n in range(20):  # each connection goes to one of the workers
        with socket.create_connection(server.address) as connection:
            connection.sendall(http1({"query": f"{{ latest(n: {n}) }}"}))
            assert read_http1(connection)[0] == 200
        assert get(scrape(server), "latest") == n


def test_odd_label_values(server):
    odd = 'quote " back \\ line \n tab \t ünïcode \U0001f680'
    server.data("query ($c: String!) { order(country: $c, n: 1) }", {"c": odd})
    assert get(scrape(server), "orders_total", country=odd) == 1


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("orders:add(-1, { country = 'NO' })", "orders_total is a counter: it cannot be counted down"),
        ("orders:add(1)", "orders_total needs the label 'country'"),
        ("orders:add(1, { country = 'NO', city = 'Oslo' })", "orders_total has no label 'city'"),
        ("orders:add(1, { country = {} })", "the label 'country' of orders_total must be a string"),
        ("orders:add('much', { country = 'NO' })", "orders_total:add needs a number, not string"),
        ("orders:observe(1, { country = 'NO' })", "orders_total is a counter, which has no method 'observe'"),
        ("latest:add(1)", 'declare it with { merge = "sum" }'),
        ("size:observe(0/0, { kind = 'new' })", "order_size:observe needs a number, not NaN"),
        ("size:observe(1, 7)", "the labels of order_size must be a table, not number"),
    ],
)
def test_errors_say_what_is_wrong(server, code, message):
    assert message in server.data("query ($c: String!) { wrong(code: $c) }", {"c": code})["wrong"]


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        ('counter("http_things_total", "x")', 'names that begin with "http_" are the server\'s own'),
        ('counter("sales-total", "x")', "not sales-total"),
        ('counter("sales_total")', 'what "sales_total" tells of is expected'),
        ('gauge("users_count", "x")', '"users_count" ends with "_count"'),
        ('gauge("users", "x", { country = "NO" })', "the labels must be a list of names"),
        ('gauge("users", "x", { "a", "a" })', 'the label "a" is there twice'),
        ('gauge("users", "x", nil, { merge = "avg" })', 'merge must be "last", "sum", "max" or "min", not avg'),
        ('gauge("users", "x", nil, { size = 1 })', "there is no option 'size'"),
        ('histogram("sizes", "x", nil, { buckets = { 2, 1 } })', "buckets must be rising numbers: number 2 is 1"),
        ('counter("a_total", "x") metrics.gauge("a_total", "x")', 'there is a counter "a_total" already'),
        ('counter("a_total", "x"):add(1)', "a_total cannot be counted while the bundle is being loaded"),
    ],
)
def test_declarations_are_checked(bundle, declaration, message):
    files = {"app.lua": f'local metrics = require "perilune.metrics"\nmetrics.{declaration}\nreturn {{}}'}
    result = run_cli("check", bundle(files))
    assert result.returncode == 1
    assert "app.lua:2: " in result.stderr + result.stdout
    assert message in result.stderr + result.stdout


def test_label_sets_are_bounded(start):
    server = start(
        BUNDLE | {"resolvers/r.lua": BUNDLE["resolvers/r.lua"].replace('{ "country" })', '{ "country" }, { max_series = 3 })')}
    )
    for n in range(10):
        server.data(f'{{ order(country: "c{n}", n: 1) }}')
    found = {dict(labels)["country"]: v for (name, labels), v in scrape(server).items() if name == "orders_total"}
    assert found == {"c0": 1, "NO": 10, "c1": 1, "_overflow": 8}


# -- generations --
def counters(found):
    gauges = ("perilune_generation", "process_open", "process_res", "process_virt", "inflight", "latest", "perilune_http")
    return {
        k: v for k, v in found.items() if k[0].endswith(("_total", "_count", "_sum", "_bucket")) and not k[0].startswith(gauges)
    }


def assert_never_down(before, after):
    for key, value in counters(before).items():
        assert after.get(key, -1) >= value, (key, value, after.get(key))


def test_reloads_go_on_counting(start):
    server = start(BUNDLE, workers=2)
    last = scrape(server)
    assert get(last, "perilune_generation") == 1
    for n in range(2, 5):
        server.data('{ order(country: "SE", n: 1) }')
        write_bundle(server.bundle, {"lib/version.lua": f"return {n}"})
        server.reload()
        found = scrape(server)
        assert_never_down(last, found)
        assert get(found, "perilune_generation") == n
        assert get(found, "perilune_generation_instances", generation=str(n)) == 2
        assert get(found, "perilune_generation_memory_bytes", generation=str(n)) > 10000
        last = found
    assert get(last, "orders_total", country="SE") == 3
    assert get(last, "perilune_reloads_total", result="reloaded") == 3
    write_bundle(server.bundle, {"app.lua": "return { nothing = 1 }"})
    server.reload(ok=False)
    assert get(scrape(server), "perilune_reloads_total", result="refused") == 1


def test_a_reload_can_change_what_a_metric_looks_like(start):
    server = start(BUNDLE, workers=2)
    server.data('{ order(country: "SE", n: 7) }')
    by_shop = BUNDLE["resolvers/r.lua"].replace('"country" })', '"shop" })').replace("country =", "shop =")
    write_bundle(server.bundle, {"resolvers/r.lua": by_shop})
    server.reload()
    server.data('{ order(country: "SE", n: 1) }')
    found = scrape(server)
    assert get(found, "orders_total", shop="SE") == 1
    assert get(found, "orders_total", country="SE") == 0
    server.rollback()
    assert get(scrape(server), "orders_total", country="SE") == 7


@pytest.mark.tsan
def test_under_load_and_reloads(start):
    server = start(BUNDLE, workers=2)
    ends, last, sent = threading.Event(), {}, []

    def work():
        count = 0
        with socket.create_connection(server.address) as connection:
            while not ends.is_set():
                connection.sendall(http1({"query": '{ order(country: "SE", n: 1) }'}))
                assert read_http1(connection)[0] == 200
                count += 1
        return count

    with ThreadPoolExecutor(4) as pool:
        sent = [pool.submit(work) for _ in range(4)]
        try:
            for n in range(12):
                write_bundle(server.bundle, {"lib/version.lua": f"return {n}"})
                server.reload()
                for _ in range(5):
                    found = scrape(server)
                    assert_never_down(last, found)
                    last = found
        finally:
            ends.set()
    served = sum(one.result() for one in sent)
    found = scrape(server)
    assert get(found, "orders_total", country="SE") == served
    assert get(found, "http_requests_total", handler="graphql", method="POST", code="200") == served
    assert get(found, "graphql_operations_total", kind="query", outcome="ok") == served
    assert get(found, "graphql_operation_duration_seconds_count", kind="query") == served


def test_many_ask_at_once(server):
    with ThreadPoolExecutor(16) as pool:
        for found in pool.map(lambda _: get(scrape(server), "perilune_workers"), range(64)):
            assert found == 2


# -- where it is served --
def test_an_address_of_its_own(start):
    server = start(BUNDLE, "--metrics", "127.0.0.1:0")
    assert server.get("/metrics").status_code == 404
    base = f"http://{server.ready['metrics']}"
    assert get(scrape(server, base), "perilune_workers") == 1
    assert server._client.get(base + "/readyz").text == "ready\n"
    assert server._client.post(base + "/graphql", content=b"{}").status_code == 404


def test_another_path_and_off(start):
    server = start({**BUNDLE, "app.lua": 'return { metrics = { path = "/internal/metrics" } }'})
    assert server.get("/metrics").status_code == 404
    assert "perilune_workers 1\n" in server.get("/internal/metrics").text
    write_bundle(server.bundle, {"app.lua": "return { metrics = false }"})
    server.reload()
    assert server.get("/internal/metrics").status_code == 404
    assert server.get("/metrics").status_code == 404
    result = server.cli("metrics")
    assert get(samples(result.stdout), "perilune_generation") == 2


def test_off_by_flag(start):
    server = start(BUNDLE, "--metrics", "off")
    assert server.get("/metrics").status_code == 404


EMBEDDED = 'return { kafka = { brokers = "embedded" } }'


def test_events_that_are_published(start):
    resolvers = """return { Query = { send = function(_, args, ctx)
      ctx.events:publish(args.topic, { n = 1 })
      return 1
    end } }"""
    schema = "type Query { send(topic: String!): Int }"
    server = start({**BUNDLE, "app.lua": EMBEDDED, "resolvers/r.lua": resolvers, "schema/s.graphql": schema})
    for topic in ("one", "two", "one"):
        server.data(f'{{ send(topic: "{topic}") }}')
    found = scrape(server)
    assert get(found, "events_produced_total", topic="one") == 2
    assert get(found, "events_produced_total", topic="two") == 1


def test_events_that_are_consumed(start):
    handler = """
local errors = require "perilune.errors"
return { topic = "orders", group = "shop", from = "earliest", retry = { attempts = 3, initial = 0.01 },
  handler = function(event)
    if event.n == 2 then error(errors.invalid_argument "no such order") end
    if event.n == 3 then error(errors.unavailable "the bank is closed") end
  end }"""
    resolvers = """return { Query = { send = function(_, args, ctx)
      ctx.events:publish("orders", { n = args.n })
      return 1
    end } }"""
    schema = "type Query { send(n: Int!): Int }"
    # One member: when a second one joins, an event that is in hand may be handled once more.
    server = start(
        {**BUNDLE, "app.lua": EMBEDDED, "resolvers/r.lua": resolvers, "schema/s.graphql": schema, "events/orders.lua": handler}
    )
    for n in (1, 2, 3, 4):
        server.data(f"{{ send(n: {n}) }}")
    one = {"topic": "orders", "group": "shop"}

    def consumed():
        return get(scrape(server), "events_consumed_total", **one) == 4

    wait_until(consumed, 30, "all events")
    found = scrape(server)
    assert get(found, "event_processing_errors_total", code="INVALID_ARGUMENT", **one) == 1
    assert get(found, "event_processing_errors_total", code="UNAVAILABLE", **one) == 3
    assert get(found, "events_retried_total", **one) == 2
    assert get(found, "events_dead_lettered_total", **one) == 2
    assert get(found, "event_processing_duration_seconds_count", **one) == 6
    assert get(found, "events_produced_total", topic="orders-dlq") == 2
    assert ("consumer_rebalances_total", frozenset({("group", "shop")})) in found
    partitions = get(found, "perilune_consumer_partitions", **one)

    def lags():
        return [value for (name, _), value in scrape(server).items() if name == "consumer_lag"]

    wait_until(lambda: lags() == [0] * int(partitions), 30, "no lag in any partition")
    server.reload()
    assert_never_down(found, scrape(server))


@pytest.mark.tsan
def test_a_group_on_a_real_broker(start, kafka):
    topic, group = kafka.topic(partitions=2), kafka.name("group")
    handler = f'return {{ topic = "{topic}", group = "{group}", format = "bytes", handler = function() end }}'
    server = start({"app.lua": "return {}", "events/all.lua": handler}, "--kafka", kafka.brokers, workers=2)
    one = {"topic": topic, "group": group}

    def assigned():
        return get(scrape(server), "perilune_consumer_partitions", **one) == 2

    wait_until(assigned, 40, "both partitions")
    assert get(scrape(server), "consumer_rebalances_total", group=group) >= 1
    kafka.produce(topic, [{"key": str(n), "value": str(n)} for n in range(100)])
    wait_until(lambda: get(scrape(server), "events_consumed_total", **one) == 100, 40, "all events")

    def lags():
        return {dict(labels)["partition"]: v for (name, labels), v in scrape(server).items() if name == "consumer_lag"}

    wait_until(lambda: lags() == {"0": 0, "1": 0}, 20, "no lag")
