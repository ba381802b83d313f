# SPDX-License-Identifier: MIT
"""The transactional outbox: what is committed reaches the broker, in order, whatever ends in between."""

import json
import sqlite3
import subprocess
import threading

import httpx
import pytest

from harness import SLOWNESS, wait_until

SCHEMA = """
type Query { stats: String parked: String }
type Mutation {
  order(id: Int!, fail: Boolean, topic: String): String
  many(first: Int!, count: Int!): Int
  big(bytes: Int!): String
  retry: Int
}
"""
RESOLVERS = """
local json = require "perilune.json"
local sqlite = require "perilune.sqlite"
sqlite.open():exec_script "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY)"
return {
  Query = {
    stats = function(_, _, ctx) return json.encode(ctx.outbox:stats(), { sorted = true }) end,
    parked = function(_, _, ctx)
      local list = ctx.outbox:parked()
      for i, row in ipairs(list) do list[i] = { topic = row.topic, error = row.error, attempts = row.attempts } end
      return json.encode(list, { sorted = true })
    end,
  },
  Mutation = {
    order = function(_, args, ctx)
      return ctx.db:transaction(function(tx)
        tx:exec("INSERT INTO orders VALUES (?)", args.id)
        local id = ctx.outbox:publish(args.topic or "orders", { id = args.id }, { key = "k", headers = { h = "v" } })
        if args.fail then error "no" end
        return id
      end)
    end,
    many = function(_, args, ctx)
      for i = args.first, args.first + args.count - 1 do
        ctx.db:transaction(function(tx)
          tx:exec("INSERT INTO orders VALUES (?)", i)
          ctx.outbox:publish("orders", { id = i }, { key = "k" })
        end)
      end
      return args.count
    end,
    big = function(_, args, ctx)
      return ctx.outbox:publish("orders", ("x"):rep(args.bytes), { key = "k", format = "bytes" })
    end,
    retry = function(_, _, ctx) return ctx.outbox:retry() end,
  },
}
"""
BUNDLE = {
    "app.lua": 'return { kafka = { linger = 0 }, sqlite = { path = "orders.db" } }',
    "schema/s.graphql": SCHEMA,
    "resolvers/r.lua": RESOLVERS,
}


@pytest.fixture
def broker(start):
    """Kafka, in a server of its own, so that it outlives those that are killed."""
    return start({"app.lua": 'return { kafka = { brokers = "embedded" } }'}).ready["kafka"]


def consume(broker, topic, pattern="%h %s\\n"):
    command = ["kcat", "-b", broker, "-t", topic, "-C", "-e", "-q", "-f", pattern]
    lines = subprocess.run(command, check=True, capture_output=True, timeout=30 * SLOWNESS).stdout.decode().splitlines()
    return [line.split(" ", 1) for line in lines]


def wait_relayed(server):
    wait_until(lambda: json.loads(server.data("{ stats }")["stats"])["waiting"] == 0, what="the outbox to be empty")


def events_in_order(broker, topic="orders"):
    """The numbers of the orders without what was sent again, which is only what has an id that was seen."""
    seen, numbers = {}, []
    for headers, value in consume(broker, topic):
        number, ident = json.loads(value)["id"], headers.split("perilune-id=")[1]
        assert seen.setdefault(ident, number) == number
        if number not in numbers:
            numbers.append(number)
    assert len(seen) == len(numbers)
    return numbers


def test_what_is_committed_is_sent_and_nothing_else(start, broker):
    server = start(BUNDLE, "--kafka", broker, workers=2)
    ident = server.data("mutation { order(id: 1) }")["order"]
    assert server.graphql("mutation { order(id: 2, fail: true) }")["errors"]
    assert server.graphql("mutation { order(id: 1) }")["errors"]
    server.data("mutation { order(id: 3) }")
    wait_relayed(server)
    sent = consume(broker, "orders", "%h %k %s\\n")
    assert sent[0] == [f"h=v,perilune-id={ident}", 'k {"id":1}']
    assert [line[1] for line in sent] == ['k {"id":1}', 'k {"id":3}']


class Load:
    """A client that goes on making orders, one transaction each, until it is told to stop or the server is gone."""

    def __init__(self, server, first):
        self.server, self.next, self.going = server, first, True
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while self.going:
            try:
                self.server.data("mutation ($f: Int!) { many(first: $f, count: 25) }", {"f": self.next})
            except (httpx.HTTPError, AssertionError):
                return
            self.next += 25

    def stop(self):
        self.going = False
        self.thread.join()


def crash(server):
    server.kill()
    server.process.stdout.close()
    server.process = None  # there is nothing to stop


def orders(server):
    with sqlite3.connect(server.bundle / "orders.db") as db:
        return [row[0] for row in db.execute("SELECT id FROM orders ORDER BY id")]


def kill_again_and_again(start, bundle, broker):
    """The server whose database has all orders, which are sent."""
    server = start(bundle, "--kafka", broker)
    for round_ in range(3):
        load = Load(server, 1 + 100_000 * round_)
        wait_until(lambda load=load: (load.next - 1) % 100_000 >= 100, what="some orders")
        crash(server)
        load.stop()
        server = start(server.bundle, "--kafka", broker)
    wait_relayed(server)
    assert len(orders(server)) >= 300
    return server


def test_nothing_is_lost_or_reordered_by_kill_9(start, broker):
    server = kill_again_and_again(start, BUNDLE, broker)
    assert events_in_order(broker) == orders(server)


def test_nothing_is_lost_or_reordered_by_kill_9_with_a_real_kafka(start, kafka):
    topic = kafka.topic("orders")
    bundle = BUNDLE | {"resolvers/r.lua": RESOLVERS.replace('"orders"', f'"{topic}"')}
    server = kill_again_and_again(start, bundle, kafka.brokers)
    assert events_in_order(kafka.brokers, topic) == orders(server)


def test_two_servers_with_one_database(start, broker):
    servers = [start(BUNDLE, "--kafka", broker, workers=2)]
    servers.append(start(servers[0].bundle, "--kafka", broker, "--admin", servers[0].bundle.parent / "second.sock"))
    loads = [Load(server, 1 + 100_000 * i) for i, server in enumerate(servers)]
    wait_until(lambda: all((load.next - 1) % 100_000 >= 100 for load in loads), what="some orders")
    servers[0].stop()
    wait_until(lambda: loads[1].next >= 100_301, what="orders at the other server")
    for load in loads:
        load.stop()
    wait_relayed(servers[1])
    numbers = events_in_order(broker)
    assert sorted(numbers) == orders(servers[1])
    for i in range(2):
        own = [n for n in numbers if n // 100_000 == i]
        assert own == sorted(own)


@pytest.mark.tsan
def test_reloads_under_load_send_nothing_twice(start, broker):
    server = start(BUNDLE, "--kafka", broker, workers=2)
    load = Load(server, 1)
    for i in range(10):
        server.bundle.joinpath("lib.lua").write_text(f"return {i}")
        server.reload()
    wait_until(lambda: load.next > 200, what="some orders")
    load.stop()
    wait_relayed(server)
    assert [json.loads(value)["id"] for _, value in consume(broker, "orders")] == orders(server)


def test_without_a_broker_rows_stay_and_the_server_ends_soon(start, broker):
    server = start(BUNDLE, "--kafka", "127.0.0.1:9")
    for i in range(1, 4):
        server.data(f"mutation {{ order(id: {i}) }}")
    assert json.loads(server.data("{ stats }")["stats"])["waiting"] == 3
    server.bundle.joinpath("lib.lua").write_text("return 1")
    server.reload()
    server.data("mutation { order(id: 4) }")
    wait_until(lambda: len(server.status()["generations"]) == 1, what="the old generation to go")
    assert "cut off" not in server.log_text()
    server.stop(5.0 * SLOWNESS)
    server = start(server.bundle, "--kafka", broker)
    wait_relayed(server)
    assert events_in_order(broker) == [1, 2, 3, 4]


def test_an_event_that_the_broker_refuses_is_parked(start, broker):
    app = 'return { kafka = { linger = 0, max_message = "%s" }, sqlite = { path = "orders.db" } }'
    server = start(BUNDLE | {"app.lua": app % "64 KiB"}, "--kafka", broker)
    server.data("mutation { order(id: 1) }")
    server.data("mutation { big(bytes: 100000) }")
    server.data("mutation { order(id: 2) }")
    server.wait_log("outbox: event parked", "orders")
    wait_until(lambda: events_in_order(broker) == [1, 2], what="the events around it")
    wait_until(lambda: json.loads(server.data("{ stats }")["stats"])["parked"] == 1, what="it to be parked")
    (big,) = json.loads(server.data("{ parked }")["parked"])
    assert big["error"].startswith("INVALID_ARGUMENT: ")
    server.bundle.joinpath("app.lua").write_text(app % "1 MiB")
    server.reload()
    assert server.data("mutation { retry }") == {"retry": 1}
    wait_until(lambda: len(consume(broker, "orders")) == 3, what="the large event")
