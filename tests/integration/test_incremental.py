# SPDX-License-Identifier: MIT
"""@defer, @stream and iterators in Lua over every transport; clients that read slowly, leave, or stay across a reload."""

import json
import time

import pytest

from harness import wait_until, write_bundle
from streams import EventStream, MultipartStream, WebSocket

pytestmark = pytest.mark.core

SCHEMA = """
type Query { fast: String  slow: String  users: [User!]!  count(to: Int, pause: Float = 0, fail_at: Int): [Int!]
  object: [Int]  generator: [Int]  endless: [Int]  mark(name: String!): Int }
type User { id: Int!  name: String  score: Int }
"""

APP = """
return {
  loaders = {
    scores = function(ids)
      require("perilune.shared").dict("marks"):incr "batches"
      local out = {}
      for i, id in ipairs(ids) do out[i] = id * 10 end
      return out
    end,
  },
  graphql = { max_result_items = %s },
}
"""

RESOLVERS = """
local errors = require "perilune.errors"
local shared = require "perilune.shared"
local time   = require "perilune.time"
local marks  = shared.dict "marks"

local function counter(to, pause, fail_at)
  local i = 0
  return function()
    i = i + 1
    marks:incr "calls"
    if pause > 0 then time.sleep(pause) end
    if i == fail_at then error(errors.aborted "the source broke") end
    if not to or i <= to then return i end
  end
end

return {
  Query = {
    fast = function() return "at once" end,
    slow = function() time.sleep(0.05) return "later" end,
    users = function()
      local users = {}
      for i = 1, 10 do users[i] = { id = i, name = "user " .. i } end
      return users
    end,
    count = function(_, args) return counter(args.to, args.pause, args.fail_at) end,
    object = function()
      local next = counter(3, 0)
      return { next = function(self) return next() end, close = function() marks:incr "closed" end }
    end,
    generator = function()
      return coroutine.wrap(function()
        for i = 1, 3 do
          time.sleep(0.01)
          coroutine.yield(i)
        end
      end)
    end,
    endless = function()
      local next = counter(nil, 0)
      return { next = function() return next() end, close = function() marks:incr "closed" end }
    end,
    mark = function(_, args) return marks:get(args.name) or 0 end,
  },
  User = { score = function(user, _, ctx) return ctx.loaders.scores:load(user.id) end },
}
"""

DEFERRED = '{ fast ... @defer(label: "S") { slow } }'
NEW = [
    {"data": {"fast": "at once"}, "pending": [{"id": "0", "path": [], "label": "S"}], "hasNext": True},
    {"hasNext": False, "incremental": [{"id": "0", "data": {"slow": "later"}}], "completed": [{"id": "0"}]},
]
OLD = [
    {"data": {"fast": "at once"}, "hasNext": True},
    {"hasNext": False, "incremental": [{"data": {"slow": "later"}, "path": [], "label": "S"}]},
]


def bundle(items="nil"):
    return {"app.lua": APP % items, "schema/schema.graphql": SCHEMA, "resolvers/all.lua": RESOLVERS}


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(bundle())


def mark(server, name):
    return server.data("query ($n: String!) { mark(name: $n) }", {"n": name})["mark"]


def items(payloads, field):
    """All items of the one list of an operation."""
    found = list(payloads[0]["data"][field])
    for payload in payloads[1:]:
        for part in payload.get("incremental", []):
            found += part["items"]
    return found


def streamed(server, query):
    with MultipartStream(server, query, "multipart/mixed") as stream:
        return stream.rest()


# --- transports ---
@pytest.mark.parametrize(
    ("accept", "payloads"),
    [
        ("multipart/mixed", NEW),
        ("multipart/mixed;incrementalSpec=v0.2", NEW),
        ("multipart/mixed; deferSpec=20220824, application/json", OLD),
    ],
)
def test_multipart(server, accept, payloads):
    with MultipartStream(server, DEFERRED, accept) as stream:
        assert stream.rest() == payloads
        assert stream.completed


def test_server_sent_events(server):
    with EventStream(server, DEFERRED) as stream:
        assert stream.rest() == NEW


def test_websocket(server):
    with WebSocket(server) as socket_:
        socket_.subscribe(DEFERRED)
        assert [socket_.next(), socket_.next()] == NEW
        assert socket_.receive() == {"id": "1", "type": "complete"}


def test_client_that_cannot_take_it(server):
    response = server.post({"query": DEFERRED})
    assert response.headers["content-type"].startswith("application/")
    assert response.json() == {"data": {"fast": "at once", "slow": "later"}}


def test_first_payload_is_not_delayed(server):
    with MultipartStream(server, "{ fast ... @defer { users { id } count(to: 3, pause: 1) } }", "multipart/mixed") as stream:
        begun = time.monotonic()
        assert stream.next()["data"] == {"fast": "at once"}
        first = time.monotonic() - begun
        assert stream.next()["incremental"][0]["data"]["count"] == [1, 2, 3]
        assert first < time.monotonic() - begun - 0.5  # of three seconds


def test_introspection_knows_the_directives(server):
    names = [d["name"] for d in server.data("{ __schema { directives { name } } }")["__schema"]["directives"]]
    assert {"defer", "stream"} <= set(names)


# --- iterators ---
@pytest.mark.parametrize(
    ("field", "expected"),
    [("count(to: 4)", [1, 2, 3, 4]), ("count(to: 0)", []), ("object", [1, 2, 3]), ("generator", [1, 2, 3])],
)
def test_iterator(server, field, expected):
    name = field.split("(")[0]
    closed = mark(server, "closed")
    assert server.data(f"{{ {field} }}")[name] == expected
    for initial in range(3):
        payloads = streamed(server, f"{{ {field} @stream(initialCount: {initial}) }}")
        assert payloads[0]["data"][name] == expected[:initial]
        assert items(payloads, name) == expected
    assert mark(server, "closed") == closed + (4 if name == "object" else 0)  # also at its end


def test_items_come_one_by_one(server):
    payloads = streamed(server, "{ count(to: 3, pause: 0.05) @stream }")
    assert [part["items"] for p in payloads[1:] for part in p.get("incremental", [])] == [[1], [2], [3]]


def test_iterator_that_fails(server):
    response = server.graphql("{ fast count(to: 5, fail_at: 3) }")
    assert response["data"] == {"fast": "at once", "count": None}
    assert response["errors"][0]["message"] == "the source broke"
    payloads = streamed(server, "{ count(to: 5, fail_at: 3) @stream }")
    assert items(payloads, "count") == [1, 2]
    assert payloads[-1]["completed"][0]["errors"][0]["extensions"] == {"code": "ABORTED"}


def test_bound_on_items(start):
    server = start(bundle(items=100))
    closed = mark(server, "closed")
    response = server.graphql("{ endless }")
    assert response["data"] == {"endless": None}
    assert "more than 100 items" in response["errors"][0]["message"]
    payloads = streamed(server, "{ endless @stream }")
    assert items(payloads, "endless") == list(range(1, 101))
    assert payloads[-1]["completed"][0]["errors"][0]["extensions"]["code"] == "RESOURCE_EXHAUSTED"
    assert mark(server, "closed") == closed + 2


def test_loaders_batch_across_fragments(server):
    batches = mark(server, "batches")
    payloads = streamed(server, "{ users { id ... @defer { score } } }")
    assert mark(server, "batches") == batches + 1
    assert [part["data"]["score"] for p in payloads[1:] for part in p["incremental"]] == [10 * i for i in range(1, 11)]


# --- clients ---
def open_endless(server):
    body = json.dumps({"query": "{ endless @stream }"}).encode()
    connection = server.connect()
    head = "POST /graphql HTTP/1.1\r\nhost: x\r\naccept: multipart/mixed\r\ncontent-type: application/json\r\n"
    connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    assert connection.recv(1000)
    return connection


def test_slow_reader_stops_its_source(server):
    closed = mark(server, "closed")
    connection = open_endless(server)
    calls = [mark(server, "calls")]

    def stands_still():
        calls.append(mark(server, "calls"))
        time.sleep(0.1)
        return calls[-1] == calls[-2] == mark(server, "calls")

    wait_until(stands_still)
    assert server.data("{ fast }") == {"fast": "at once"}
    before = mark(server, "calls")
    while mark(server, "calls") == before:  # it reads on, and the source goes on
        assert connection.recv(65536)
    connection.close()
    wait_until(lambda: mark(server, "closed") == closed + 1)


def test_client_that_leaves_closes_the_source(server):
    closed = mark(server, "closed")
    with MultipartStream(server, "{ endless @stream }", "multipart/mixed", http2=True) as stream:
        stream.next()
        stream.next()
    wait_until(lambda: mark(server, "closed") == closed + 1)


def test_stream_across_a_reload(start):
    server = start(bundle())
    with MultipartStream(server, "{ count(to: 20, pause: 0.05) @stream }", "multipart/mixed") as stream:
        payloads = [stream.next(), stream.next()]
        write_bundle(server.bundle, {"resolvers/all.lua": RESOLVERS.replace("at once", "after it")})
        server.reload()
        assert server.data("{ fast }") == {"fast": "after it"}
        payloads += stream.rest()
    assert items(payloads, "count") == list(range(1, 21))
