# SPDX-License-Identifier: MIT
"""Event sourcing in a server: commands from many sides at once, and what follows from their events."""

import json
import sqlite3
import threading

import pytest

from harness import wait_until

pytestmark = pytest.mark.core

BUNDLE = {
    "app.lua": 'return { kafka = { linger = 0 }, sqlite = { path = "bank.db" } }',
    "lib/bank.lua": """
        local errors = require "perilune.errors"
        local sourcing = require "perilune.sourcing"
        local account = sourcing.aggregate {
          name = "account", snapshot = 20, publish = "account-events",
          initial = function() return { balance = 0, count = 0 } end,
          apply = {
            Deposited = function(state, event)
              state.balance, state.count = state.balance + event.amount, state.count + 1
            end,
          },
          decide = { Deposit = function(state, command) return { type = "Deposited", amount = 1, count = state.count + 1 } end },
        }
        return sourcing.store {
          aggregates = { account },
          projections = { sourcing.projection {
            name = "balances", version = VERSION,
            tables = "CREATE TABLE {balances} (account TEXT PRIMARY KEY, balance INTEGER NOT NULL)",
            project = { Deposited = function(tables, event, record)
              tables:exec("INSERT INTO {balances} VALUES (?1, 1) ON CONFLICT DO UPDATE SET balance = balance + 1",
                record.aggregate_id)
            end },
          } },
        }
    """.replace("VERSION", "1"),
    "schema/s.graphql": """
        type Query { balance(id: ID!): Int  status: String }
        type Mutation { deposit(id: ID!, times: Int!): Int  rebuild: Boolean }
    """,
    "resolvers/r.lua": """
        local bank = require "lib.bank"
        return {
          Query = {
            balance = function(_, args, ctx) return ctx.db:value("SELECT balance FROM balances WHERE account = ?", args.id) end,
            status = function() return require "perilune.json".encode(bank:status()) end,
          },
          Mutation = {
            deposit = function(_, args, ctx)
              local version
              for _ = 1, args.times do
                version = bank:execute("account", args.id, { type = "Deposit" }, { ctx = ctx }).version
              end
              return version
            end,
            rebuild = function() bank:rebuild "balances" return true end,
          },
        }
    """,
}


def deposits(servers, threads, times):
    """Many clients at once, each with several commands on the same aggregate; how many succeeded."""
    done = []

    def client(server):
        done.append(server.data('mutation ($times: Int!) { deposit(id: "a", times: $times) }', {"times": times})["deposit"])

    clients = [threading.Thread(target=client, args=(servers[i % len(servers)],)) for i in range(threads)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    assert len(done) == threads
    return threads * times


def rows(server, query):
    with sqlite3.connect(server.bundle / "bank.db") as db:
        return db.execute(query).fetchall()


@pytest.fixture
def servers(start):
    first = start(BUNDLE, workers=2)
    second = start(first.bundle, "--admin", first.bundle.parent / "second.sock", "--kafka", first.ready["kafka"])
    return [first, second]


def test_concurrent_commands_lose_nothing(servers):
    count = deposits(servers, 12, 10)
    events = rows(servers[0], "SELECT version, data FROM perilune_events ORDER BY position")
    assert [version for version, _ in events] == list(range(1, count + 1))
    assert [json.loads(data)["count"] for _, data in events] == list(range(1, count + 1))
    wait_until(lambda: servers[1].data('{ balance(id: "a") }') == {"balance": count}, what="the projection to follow")
    wait_until(lambda: rows(servers[0], "SELECT count(*) FROM perilune_outbox") == [(0,)], what="the events to be sent")


def test_a_rebuild_under_load_and_new_code(servers):
    server = servers[0]
    count = deposits(servers, 4, 10)
    wait_until(lambda: server.data('{ balance(id: "a") }') == {"balance": count}, what="the projection to follow")
    generation = json.loads(server.data("{ status }")["status"])[0]["generation"]
    server.data("mutation { rebuild }")
    count += deposits(servers, 4, 10)
    wait_until(lambda: json.loads(server.data("{ status }")["status"])[0]["generation"] == generation + 1, what="the rebuild")
    wait_until(lambda: server.data('{ balance(id: "a") }') == {"balance": count}, what="the projection to follow")
    library = server.bundle / "lib" / "bank.lua"
    library.write_text(library.read_text().replace("version = 1", "version = 2"))
    for one in servers:
        one.reload()
    count += deposits(servers, 4, 10)
    wait_until(lambda: json.loads(server.data("{ status }")["status"])[0]["version"] == 2, what="the new version")
    wait_until(lambda: server.data('{ balance(id: "a") }') == {"balance": count}, what="the projection to follow")
    assert rows(server, "SELECT name FROM sqlite_master WHERE name GLOB 'balances__*' AND type = 'table'") == [
        (f"balances__{generation + 2}",)
    ]
