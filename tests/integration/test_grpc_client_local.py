# SPDX-License-Identifier: MIT
"""perilune.grpc between services of Perilune: in one process ("local:"), and from one server to another."""

import contextlib
import threading

import httpx
import pytest

from grpc_backend import DRIVER, failed, ran, run
from harness import SLOWNESS, wait_until

SERVICE = """
local errors = require "perilune.errors"
local grpc = require "perilune.grpc"
local time = require "perilune.time"
local shared = require("perilune.shared").dict("test", { max_entries = 100 })
return { ["test.v1.Test"] = {
  Echo = function(item, call)
    if item.text == "fail" then error(errors.not_found("no such thing", { extensions = { a = 1 } })) end
    if item.text == "invalid" then error(errors.invalid_argument("bad", { text = "is wrong" })) end
    if item.text == "details" then
      error(errors.aborted("again", { details = {
        { ["@type"] = "google.rpc.ErrorInfo", reason = "BUSY", domain = "test" },
        { ["@type"] = "test.v1.Item", text = "own" },
      } }))
    end
    if item.text == "relay" then return (grpc.client("local:", "test.v1.Test"):Echo { text = "details" }) end
    if item.text == "crash" then local x = nil; return x.y end
    if item.text == "sleep" then
      local _ <close> = setmetatable({}, { __close = function() shared:set("closed", true) end })
      time.sleep(60)
    end
    call:send_headers { early = "yes", ["data-bin"] = "\\0\\1" }
    call.trailers.late = call.metadata.seen and call.metadata.seen[1] or "nothing"
    return { text = item.text, number = call.deadline and 1 or 0, data = item.data, names = { call.peer } }
  end,
  List = function(item, call)
    for i = 1, item.number do call:send { number = i, data = item.data } end
  end,
  Sum = function(call)
    local total = 0
    for item in call:messages() do total = total + item.number + #item.data end
    return { number = total }
  end,
  Chat = function(call)
    for item in call:messages() do call:send { text = "re: " .. item.text } end
  end,
} }
"""
FILES = {**DRIVER, "services/test.lua": SERVICE}


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(FILES, "--grpc", "127.0.0.1:0")


@pytest.fixture(params=["local:", "grpc"])
def target(request, server):
    """The server's own services: in memory, and over its port."""
    return request.param if request.param == "local:" else server.ready["grpc"]


@pytest.mark.core
def test_unary(server, target):
    code = """
local response, info = client(...):Echo({ text = "hello", data = ("x"):rep(100000) },
  { metadata = { seen = "by me" }, timeout = 60 })
return { response.text, #response.data, response.number, info.headers.early, info.headers["data-bin"][1] == "\\0\\1",
  info.trailers.late, info.peer }
"""
    answer = ran(server, code, target)
    assert answer[:6] == ["hello", 100000, 1, ["yes"], True, ["by me"]]
    assert answer[6] == ("local" if target == "local:" else target)


@pytest.mark.core
def test_streams(server, target):
    code = """
local c = client(...)
local list <close> = c:List { number = 5000 }
local count, sum = 0, 0
for item in list:messages() do count, sum = count + 1, sum + item.number end
local total <close> = c:Sum()
for i = 1, 5000 do total:send { number = i } end
local chat <close> = c:Chat()
local texts = {}
for i = 1, 3 do
  chat:send { text = tostring(i) }
  texts[i] = chat:receive().text
end
chat:close_send()
return { count, sum, total:finish().number, texts, chat:receive() == nil }
"""
    assert ran(server, code, target) == [5000, 12502500, 12502500, ["re: 1", "re: 2", "re: 3"], True]


@pytest.mark.core
def test_large_messages_and_back_pressure(server, target):
    """More than any window holds, both ways."""
    code = """
local c = client(...)
local data = ("x"):rep(1000000)
local list <close> = c:List { number = 20, data = data }
time.sleep(0.05)
local bytes = 0
for item in list:messages() do bytes = bytes + #item.data end
local total <close> = c:Sum()
for i = 1, 20 do total:send { data = data } end
return { bytes, total:finish().number, #c:Echo({ data = data:rep(3) }, { max_response = 4000000 }).data }
"""
    assert ran(server, code, target) == [20000000, 20000000, 3000000]


def test_errors(server, target):
    answer = failed(server, "return client(...):Echo { text = 'fail' }", target)
    assert (answer["code"], answer["message"], answer["is_local"]) == ("NOT_FOUND", "no such thing", False)
    answer = failed(server, "return client(...):Echo { text = 'invalid' }", target)
    assert answer["code"] == "INVALID_ARGUMENT"
    assert answer["details"] == {"text": "is wrong"}
    answer = failed(server, "return client(...):Echo { text = 'crash' }", target)
    assert answer["code"] == "INTERNAL"
    assert "nil" not in answer["message"]
    answer = failed(server, "return grpc.client(..., 'no.Service', { bytes = true }):Call('x')", target)
    assert answer["code"] == "UNIMPLEMENTED"


@pytest.mark.parametrize("text", ["details", "relay"])
def test_details(server, target, text):
    """They are as they were when an error passes through several services."""
    code = """
local target, text = ...
local c = client(target)
local ok, failure = pcall(c.Echo, c, { text = text })
local info, own = failure.status_details[1], failure.status_details[2]
return { failure.code, info["@type"], info.reason, own["@type"], own.text }
"""
    expected = ["ABORTED", "google.rpc.ErrorInfo", "BUSY", "test.v1.Item", "own"]
    assert ran(server, code, target, text) == expected


def test_deadlines_and_cancellation(server, target):
    answer = failed(server, f"return client(...):Echo({{ text = 'sleep' }}, {{ timeout = {SLOWNESS} }})", target)
    assert answer["code"] == "DEADLINE_EXCEEDED"
    code = "local s = require('perilune.shared').dict('test', { max_entries = 100 }) return s:get 'closed'"
    wait_until(lambda: run(server, code).get("result"), what="the method's end")
    code = """
local stream = client(...):Chat()
stream:cancel()
return stream:receive()
"""
    assert failed(server, code, target)["code"] == "CANCELLED"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
def test_compression(server, target, coding):
    code = """
local target, coding = ...
local data = ("compressible "):rep(10000)
return client(target):Echo({ data = data }, { compression = coding }).data == data
"""
    assert ran(server, code, target, coding)


def test_a_service_calls_itself(server, target):
    """Deep, and many at a time."""
    code = """
local c = client(...)
local streams = {}
for i = 1, 50 do streams[i] = c:Chat() end
for i = 1, 50 do streams[i]:send { text = tostring(i) } end
local all = true
for i = 50, 1, -1 do all = all and streams[i]:receive().text == "re: " .. i end
return all
"""
    assert ran(server, code, target)


def test_there_are_no_services(start_shared):
    server = start_shared(DRIVER)
    answer = failed(server, "return client('local:'):Echo {}")
    assert answer["code"] == "UNIMPLEMENTED"
    assert "there are no services in this process" in answer["message"]


def test_local_calls_stay_with_their_generation(start):
    server = start(FILES, "--grpc", "127.0.0.1:0")
    code = """
local chat <close> = client("local:"):Chat()
chat:send { text = "a" }
local first = chat:receive().text
require("perilune.shared").dict("test", { max_entries = 100 }):set("open", true)
time.sleep(1)
chat:send { text = "b" }
return { first, chat:receive().text }
"""
    results = []
    thread = threading.Thread(target=lambda: results.append(run(server, code)))
    thread.start()
    look = "return require('perilune.shared').dict('test', { max_entries = 100 }):get 'open'"
    wait_until(lambda: run(server, look).get("result"), what="the stream")
    changed = SERVICE.replace('"re: "', '"new: "')
    (server.bundle / "services/test.lua").write_text(changed)
    server.reload()
    new = """
local chat <close> = client("local:"):Chat()
chat:send { text = "c" }
return chat:receive().text
"""
    assert ran(server, new) == "new: c"
    thread.join(30 * SLOWNESS)
    assert results == [{"ok": True, "result": ["re: a", "re: b"]}]


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.tsan)])
def test_reloads_under_load(start, workers):
    """Calls in memory and over the port, while generations come and go: none fails."""
    server = start(FILES, "--grpc", "127.0.0.1:0", workers=workers)
    code = """
local c = client(...)
for i = 1, 20 do
  local chat <close> = c:Chat()
  chat:send { text = tostring(i) }
  assert(chat:receive().text == "re: " .. i)
  assert(c:Echo({ text = "x" }).text == "x")
end
return true
"""
    answers, stop = [], threading.Event()

    def work(target):
        while not stop.is_set():
            answers.append(run(server, code, target))

    threads = [threading.Thread(target=work, args=(one,)) for one in ("local:", server.ready["grpc"]) * 2]
    for thread in threads:
        thread.start()
    for round_ in range(10):
        (server.bundle / "lib.lua").write_text(f"return {round_}")
        server.reload()
    stop.set()
    for thread in threads:
        thread.join(60 * SLOWNESS)
    assert answers
    assert [one for one in answers if one != {"ok": True, "result": True}] == []


def test_the_server_ends_within_calls(start):
    """What waits for an answer that does not come is cut off, here and there."""
    server = start(FILES, "--grpc", "127.0.0.1:0", "--drain", "1")
    results = []

    def work(target):
        with contextlib.suppress(httpx.HTTPError, AssertionError):
            results.append(run(server, "return client(...):Echo({ text = 'sleep' }).text", target))

    threads = [threading.Thread(target=work, args=(one,)) for one in ("local:", server.ready["grpc"])]
    for thread in threads:
        thread.start()

    def all_wait():
        clients = server.status()["workers"][0]["grpc_clients"]
        return clients["calls"] == 2 and clients["connections"] == 1 and clients["targets"] == 2

    wait_until(all_wait, what="calls that wait")
    server.stop()
    for thread in threads:
        thread.join(30 * SLOWNESS)
