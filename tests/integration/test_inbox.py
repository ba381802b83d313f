# SPDX-License-Identifier: MIT
"""Consumers that deduplicate: one transaction for the id, the handler's writes and the events that it publishes."""

import json
import sqlite3
import subprocess

from harness import SLOWNESS, run_cli, wait_until

BUNDLE = {
    "app.lua": 'return { name = "ledger", kafka = { linger = 0 }, sqlite = { path = "ledger.db" } }',
    "lib/tables.lua": """
        require "perilune.sqlite".open():exec_script [[
            CREATE TABLE IF NOT EXISTS entries (id INTEGER, attempt INTEGER)]]
        return {}
    """,
    "events/payments.lua": """
        require "lib.tables"
        local errors = require "perilune.errors"
        return {
          topic = "payments", group = "ledger", from = "earliest", retry = { attempts = 3, initial = 0.05 },
          deduplicate = { by = { header = "perilune-id" }, within = 60 },
          handler = function(event, msg, ctx)
            ctx.db:exec("INSERT INTO entries VALUES (?, ?)", event.id, msg.attempt)
            ctx.outbox:publish("entries", { id = event.id })
            if event.fail and msg.attempt < 3 then error(errors.unavailable "later") end
          end,
        }
    """,
    "events/batches.lua": """
        require "lib.tables"
        return {
          topic = "batches", group = "batches", from = "earliest", batch = { size = 50, wait = 0.1 }, deduplicate = true,
          handler = function(events, _, ctx)
            for _, event in ipairs(events) do ctx.db:exec("INSERT INTO entries VALUES (?, 0)", event.id) end
          end,
        }
    """,
}


def produce(broker, topic, value, *headers):
    options = [option for header in headers for option in ("-H", header)]
    command = ["kcat", "-b", broker, "-t", topic, "-P", *options]
    subprocess.run(command, check=True, input=json.dumps(value).encode(), timeout=30 * SLOWNESS)


def consume(broker, topic, pattern="%s\\n"):
    command = ["kcat", "-b", broker, "-t", topic, "-C", "-e", "-q", "-f", pattern]
    return subprocess.run(command, check=True, capture_output=True, timeout=30 * SLOWNESS).stdout.decode().splitlines()


def entries(server):
    with sqlite3.connect(server.bundle / "ledger.db") as db:
        return db.execute("SELECT id, attempt FROM entries ORDER BY id").fetchall()


def test_each_id_once_with_all_that_belongs_to_it(start):
    server = start(BUNDLE)
    broker = server.ready["kafka"]
    produce(broker, "payments", {"id": 1}, "perilune-id=a")
    produce(broker, "payments", {"id": 1}, "perilune-id=a")
    produce(broker, "payments", {"id": 2, "fail": True}, "perilune-id=b")
    produce(broker, "payments", {"id": 9})
    produce(broker, "payments", {"id": 3}, "perilune-id=c")
    for ident in (20, 21, 20, 22, 21):
        produce(broker, "batches", {"id": ident})
    wait_until(lambda: len(entries(server)) == 6, what="the entries")
    assert entries(server) == [(1, 1), (2, 3), (3, 1), (20, 0), (21, 0), (22, 0)]
    wait_until(lambda: sorted(consume(broker, "entries")) == ['{"id":1}', '{"id":2}', '{"id":3}'], what="what they published")
    wait_until(lambda: len(consume(broker, "payments-dlq")) == 1, what="the event without an id")
    (headers,) = consume(broker, "payments-dlq", "%h\\n")
    assert "kafka_dlt-exception-fqcn=INVALID_ARGUMENT" in headers
    assert "perilune-attempt=1" in headers
    produce(broker, "payments", {"id": 3}, "perilune-id=c")
    produce(broker, "payments", {"id": 4}, "perilune-id=d")
    wait_until(lambda: (4, 1) in entries(server), what="the event behind a duplicate")
    assert len(entries(server)) == 7


def test_mistakes_are_found_by_check(bundle):
    directory = bundle(
        {"events/a.lua": 'return { topic = "a", group = "g", deduplicate = { by = 5 }, handler = function() end }'}
    )
    result = run_cli("check", directory)
    assert result.returncode == 1
    assert "events/a.lua" in result.stderr + result.stdout
    assert "deduplicate.by must be the name of a field" in result.stderr + result.stdout
