# SPDX-License-Identifier: MIT
"""perilune.grpc: Lua code of a resolver calls grpcio's servers."""

import threading
import time

import grpc
import pytest
from google.protobuf import any_pb2

from grpc_backend import DRIVER, Backend, dict_of, failed, ran
from grpc_client import fails
from harness import SLOWNESS, run_cli, write_bundle


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(DRIVER)


def echo(item, _context):
    return item


def list_items(item, _context):
    for number in range(item.number):
        yield type(item)(number=number, text=item.text)


@pytest.fixture(scope="module")
def backend():
    def total(items, _context):
        result = Backend.protos["test.v1.Item"]()
        for item in items:
            result.number += item.number
            result.names.append(item.text)
        return result

    def chat(items, _context):
        for item in items:
            item.text = "re: " + item.text
            yield item

    with Backend(Echo=echo, List=list_items, Sum=total, Chat=chat) as one:
        yield one


# -- the four kinds --
@pytest.mark.core
def test_unary(server, backend):
    code = """
local response, info = client(...):Echo({ text = "hello", number = 1 << 60, names = { "a", "b" } })
return { response.text, response.number == 1 << 60, response.names, info.peer }
"""
    assert ran(server, code, backend.address) == ["hello", True, ["a", "b"], backend.address]


@pytest.mark.core
def test_server_stream(server, backend):
    code = """
local target = ...
local sum, count = 0, 0
local stream <close> = client(target):List({ number = 1000, text = "x" })
for item in stream:messages() do sum, count = sum + item.number, count + 1 end
return { sum, count, stream:receive() == nil, next(stream:trailers()) == nil }
"""
    assert ran(server, code, backend.address) == [499500, 1000, True, True]


@pytest.mark.core
def test_client_stream(server, backend):
    code = """
local stream <close> = client(...):Sum()
for i = 1, 100 do assert(stream:send { number = i, text = tostring(i) }) end
local response, info = stream:finish()
return { response.number, #response.names, info.attempts }
"""
    assert ran(server, code, backend.address) == [5050, 100, 1]


@pytest.mark.core
def test_bidirectional_stream(server, backend):
    code = """
local stream <close> = client(...):Chat()
local answers = {}
for i = 1, 20 do
  stream:send { text = tostring(i) }
  answers[i] = stream:receive().text
end
stream:close_send()
return { answers[1], answers[20], stream:receive() == nil }
"""
    assert ran(server, code, backend.address) == ["re: 1", "re: 20", True]


def test_what_cannot_be_called(server, backend):
    answer = failed(server, "return client(...):Nothing {}", backend.address)
    assert answer["code"] == "LUA"
    assert "test.v1.Test has no method 'Nothing'" in answer["message"]
    answer = failed(server, "return grpc.client(..., 'test.v1.Tset')", backend.address)
    assert 'has a service "test.v1.Tset". Did you mean "test.v1.Test"?' in answer["message"]
    answer = failed(server, "return client(...):Echo { text = 5 }", backend.address)
    assert answer["code"] == "INVALID_ARGUMENT"
    assert answer["message"].startswith("text: ")
    answer = failed(server, "return client('127.0.0.1:1'):Echo {}")
    assert answer["code"] == "UNAVAILABLE"
    assert answer["is_local"]
    assert "127.0.0.1:1" in answer["message"]


def test_options_are_checked(server):
    for options, problem in {
        "{ balnce = 'x' }": "there is no option 'balnce'",
        "{ balance = 'best' }": 'balance must be one of "least_request", "pick_first", "round_robin", "weighted", not best',
        "{ tls = { key = 'x' } }": "tls.certificate and tls.key belong together",
        "{ tls = { cert = 'x' } }": "there is no option 'tls.cert'",
        "{ timeout = 0 }": "timeout must be a number from",
        "{ keepalive = { time = 'x' } }": "keepalive.time must be a number from",
        "{ service_config = { methodConfig = 5 } }": "service_config: methodConfig must be",
        "{ service_config = '{' }": "service_config: ",
        "{ interceptors = { 5 } }": "interceptors[1] must be a function, not a number",
        "{ methods = { Echo = 'both' } }": "methods.Echo must be one of",
    }.items():
        answer = failed(server, f"return grpc.client('127.0.0.1:1', 'test.v1.Test', {options})")
        assert problem in answer["message"], answer
    for call, problem in {
        "c:Echo()": "a request is expected",
        "c:Echo({}, { time = 5 })": "there is no option 'time'",
        "c:Echo({}, { timeout = 'x' })": "timeout must be a number, not a string",
        "c:Echo({}, { metadata = { ['grpc-x'] = 'y' } })": 'the metadata name "grpc-x" is reserved',
        "c:Echo({}, { metadata = { x = 'a\\n' } })": "no printable ASCII",
        "c:Echo({}, { metadata = { x = {} , y = true } })": "a name and a string",
    }.items():
        answer = failed(server, f"local c = client('127.0.0.1:1') return {call}")
        assert problem in answer["message"], answer


def test_bytes_without_descriptors(server, backend):
    code = """
local c = grpc.client(..., "test.v1.Test", { bytes = true, methods = { List = "server_streaming" } })
local wire = "\\x0a\\x01x\\x10\\x02"
local stream <close> = c:List(wire)
local first = stream:receive()
local chat <close> = c:Chat { kind = "bidi_streaming" }
chat:send(wire)
return { c:Echo(wire) == wire, first == "\\x0a\\x01x", #stream:receive(), #chat:receive() }
"""
    assert ran(server, code, backend.address) == [True, True, 5, 9]


def test_check_finds_what_is_wrong(tmp_path):
    app = """local grpc = require "perilune.grpc"
local users = grpc.client(%s)
return {}
"""
    for arguments, problem in [
        ('"dns:///x:1", "test.v1.Test", { balance = "best" }', "balance must be one of"),
        ('"dns:///x:1", "test.v1.Tset"', 'Did you mean "test.v1.Test"?'),
        ('"gopher://x", "test.v1.Test"', "there are no targets like"),
        ('"x:1", "test.v1.Test", { service_config = { methodConfig = 1 } }', "service_config: methodConfig must be"),
    ]:
        write_bundle(tmp_path, {"app.lua": app % arguments, "proto/test/v1/test.proto": DRIVER["proto/test/v1/test.proto"]})
        result = run_cli("check", tmp_path)
        assert result.returncode == 1, result
        assert "app.lua:2: " in result.stderr + result.stdout
        assert problem in result.stderr + result.stdout


# -- metadata --
def test_metadata_both_ways(server):
    seen = []

    def echo_metadata(item, context):
        seen.append(dict_of(context.invocation_metadata()))
        context.send_initial_metadata((("early", "1"), ("early", "2"), ("data-bin", bytes(range(256)))))
        context.set_trailing_metadata((("late", "3"), ("late", "4"), ("data-bin", b"\0\xff")))
        return item

    code = """
local all = {}
for i = 0, 255 do all[#all + 1] = string.char(i) end
all = table.concat(all)
local _, info = grpc.client(..., "test.v1.Test", { metadata = { who = "me" } }):Echo({}, {
  metadata = { one = "1", Two = { "2", "3" }, ["bytes-bin"] = { all, "" }, number = 5 } })
local trailing = info.trailers
return { info.headers.early, info.headers["data-bin"][1] == all, trailing.late, trailing["data-bin"][1] == "\\0\\xff" }
"""
    with Backend(Echo=echo_metadata) as backend:
        assert ran(server, code, backend.address) == [["1", "2"], True, ["3", "4"], True]
    assert seen[0]["who"] == ["me"]
    assert seen[0]["one"] == ["1"]
    assert seen[0]["two"] == ["2", "3"]
    assert seen[0]["number"] == ["5"]
    assert seen[0]["bytes-bin"] == [bytes(range(256)), b""]
    assert seen[0]["user-agent"][0].startswith("perilune/")


def test_headers_come_before_messages(server):
    def slow(items, context):
        context.send_initial_metadata((("early", "yes"),))
        yield from items

    code = """
local stream <close> = client(...):Chat()
local early = stream:headers().early[1]
stream:send { text = "x" }
return { early, stream:receive().text }
"""
    with Backend(Chat=slow) as backend:
        assert ran(server, code, backend.address) == ["yes", "x"]


# -- errors --
def test_status_message_and_trailers(server):
    def refuse(_item, context):
        context.set_trailing_metadata((("why", "because"),))
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "nö: 100 % wrong\n")

    def refuse_late(item, context):
        yield item
        yield item
        context.abort(grpc.StatusCode.DATA_LOSS, "lost")

    with Backend(Echo=refuse, List=refuse_late) as backend:
        answer = failed(server, "return client(...):Echo {}", backend.address)
        assert (answer["code"], answer["message"]) == ("FAILED_PRECONDITION", "nö: 100 % wrong\n")
        assert answer["trailers"] == {"why": ["because"]}
        assert not answer["is_local"]
        code = """
local stream <close> = client(...):List {}
local seen = 0
local ok, failure = pcall(function() for _ in stream:messages() do seen = seen + 1 end end)
return { ok, failure.code, failure.message, seen }
"""
        assert ran(server, code, backend.address) == [False, "DATA_LOSS", "lost", 2]
        assert failed(server, "return client(...):Sum():finish()", backend.address)["code"] == "UNIMPLEMENTED"


def test_details(server):
    violation = b"\x0a\x05email\x12\x0dmust hold a @"
    bad_request = b"\x0a" + bytes([len(violation)]) + violation

    def refuse(_item, context):
        detail = any_pb2.Any(type_url="type.googleapis.com/google.rpc.BadRequest", value=bad_request)
        other = any_pb2.Any(type_url="type.googleapis.com/test.v1.Item", value=b"\x0a\x01x")
        packed = [b"\x1a" + bytes([one.ByteSize()]) + one.SerializeToString() for one in (detail, other)]
        status = b"\x08\x03\x12\x03bad" + b"".join(packed)
        context.set_trailing_metadata((("grpc-status-details-bin", status),))
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "bad")

    code = """
local target = ...
local ok, failure = pcall(function() return client(target):Echo {} end)
local details = failure.status_details
return { failure.code, failure.details, details[1]["@type"], details[1].field_violations[1].field, details[2]["@type"],
  details[2].text }
"""
    with Backend(Echo=refuse) as backend:
        answer = ran(server, code, backend.address)
    types = ["google.rpc.BadRequest", "email", "test.v1.Item", "x"]
    assert answer == ["INVALID_ARGUMENT", {"email": "must hold a @"}, *types]


# -- deadlines and cancellation --
@pytest.mark.core
def test_deadline(server):
    remaining, ended = [], threading.Event()

    def sleep(item, context):
        remaining.append(context.time_remaining())
        context.add_callback(ended.set)
        ended.wait(30 * SLOWNESS)
        return item

    with Backend(Echo=sleep) as backend:
        answer = failed(server, f"return client(...):Echo({{}}, {{ timeout = {SLOWNESS} }})", backend.address)
        assert answer["code"] == "DEADLINE_EXCEEDED"
        assert answer["is_local"]
        assert 0 < remaining[0] <= SLOWNESS
        assert ended.wait(10 * SLOWNESS)


SERVICE = """
local grpc = require "perilune.grpc"
local errors = require "perilune.errors"
local backend = grpc.client(os.getenv "BACKEND", "test.v1.Test")
return { ["test.v1.Test"] = {
  Echo = function(item) return (backend:Echo(item, { timeout = 60 })) end,
  Chat = function(call)
    local stream = backend:Chat()
    for item in call:messages() do
      stream:send(item)
      call:send(stream:receive())
    end
  end,
} }
"""


def test_deadlines_and_cancellation_are_passed_on(start):
    remaining, cancelled = [], threading.Semaphore(0)
    entered = threading.Semaphore(0)

    def hang(item, context):
        remaining.append(context.time_remaining())
        gone = threading.Event()
        context.add_callback(gone.set)
        entered.release()
        gone.wait(30 * SLOWNESS)
        cancelled.release()
        return item

    def chat(items, context):
        context.add_callback(cancelled.release)
        yield from items

    with Backend(Echo=hang, Chat=chat) as backend:
        files = {"services/relay.lua": SERVICE, "proto/test/v1/test.proto": DRIVER["proto/test/v1/test.proto"]}
        server = start(files, "--grpc", "127.0.0.1:0", env={"BACKEND": backend.address})
        with backend.protos.connect(server, "test.v1.Test") as stub:
            error = fails(lambda: stub.Echo(backend.item(), timeout=2 * SLOWNESS))
            assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
            assert 0 < remaining[0] <= 2 * SLOWNESS
            assert cancelled.acquire(timeout=10 * SLOWNESS)
            assert entered.acquire(timeout=10 * SLOWNESS)
            call = stub.Echo.future(backend.item())
            assert entered.acquire(timeout=10 * SLOWNESS)
            assert 50 < remaining[1] <= 60  # what the script says, as the caller says nothing
            call.cancel()
            assert cancelled.acquire(timeout=10 * SLOWNESS)
            more = threading.Event()

            def items():
                yield backend.item(text="a")
                more.wait(30 * SLOWNESS)

            call = stub.Chat(items())
            assert next(call).text == "a"
            call.cancel()  # nobody has closed the stream: it ends with the call that made it
            more.set()
            assert cancelled.acquire(timeout=10 * SLOWNESS)


def test_close_and_cancel_reach_the_server(server):
    gone = threading.Semaphore(0)

    def forever(item, context):
        context.add_callback(gone.release)
        while context.is_active():
            yield item
            time.sleep(0.01)

    with Backend(List=forever) as backend:
        code = """
do
  local stream <close> = client(...):List { text = "x" }
  assert(stream:receive().text == "x")
end
local stream = client(...):List { text = "x" }
assert(stream:receive().text == "x")
stream:cancel()
local ok, failure = pcall(function() while stream:receive() do end end)
return { ok, failure.code }
"""
        assert ran(server, code, backend.address) == [False, "CANCELLED"]
        assert gone.acquire(timeout=10 * SLOWNESS)
        assert gone.acquire(timeout=10 * SLOWNESS)


# -- compression, sizes, slow peers --
@pytest.mark.parametrize("coding", ["identity", "gzip", "deflate"])
def test_compression(server, coding):
    algorithm = {"identity": "NoCompression", "gzip": "Gzip", "deflate": "Deflate"}[coding]
    seen = []

    def echo_compressed(item, context):
        context.set_compression(getattr(grpc.Compression, algorithm))
        seen.append(dict_of(context.invocation_metadata()))
        return item

    code = """
local target, coding = ...
local data = ("compressible "):rep(10000)
local response = client(target):Echo({ data = data }, { compression = coding })
return response.data == data
"""
    with Backend(Echo=echo_compressed) as backend:
        assert ran(server, code, backend.address, coding)


def test_sizes(server, backend):
    code = """
local target = ...
local c = client(target)
local big = ("x"):rep(3 * 1024 * 1024)
local results = { c:Echo({ data = big }).data == big }
local function code_of(fn)
  local ok, failure = pcall(fn)
  return ok and "OK" or failure.code
end
results[2] = code_of(function() return c:Echo({ data = big }, { max_response = 1000 }) end)
local small = grpc.client(target, "test.v1.Test", { max_request = 1000 })
results[3] = code_of(function() return small:Echo { data = big } end)
results[4] = code_of(function() return c:Echo({ data = "x" }, { max_response = 1000 }) end)
return results
"""
    assert ran(server, code, backend.address) == [True, "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED", "OK"]


def test_a_slow_script_bounds_memory(start_shared):
    """The server sends without end; the script takes little: windows hold it."""
    sent = []

    def flood(item, context):
        data = bytes(65536)
        while context.is_active() and len(sent) < 20000:
            sent.append(1)
            yield type(item)(data=data)

    server = start_shared(DRIVER)
    with Backend(List=flood) as backend:
        code = """
local stream <close> = client(...):List {}
for i = 1, 5 do stream:receive() end
time.sleep(1)
return true
"""
        assert ran(server, code, backend.address)
        assert len(sent) < 200


def test_a_slow_server_makes_senders_wait(server):
    go_on = threading.Event()

    def slow(items, context):
        go_on.wait(30 * SLOWNESS)
        result = Backend.protos["test.v1.Item"]()
        for item in items:
            result.number += len(item.data)
        return result

    code = """
local stream <close> = client(...):Sum()
local data, sent = ("x"):rep(65536), 0
local co = coroutine.wrap(function()
  for i = 1, 200 do
    stream:send { data = data }
    sent = i
    coroutine.yield()
  end
end)
for i = 1, 200 do co() end
return stream:finish().number
"""
    with Backend(Sum=slow) as backend:
        timer = threading.Timer(1.0, go_on.set)
        timer.start()
        assert ran(server, code, backend.address) == 200 * 65536
        timer.join()


# -- around calls --
def test_interceptors(server, backend):
    code = """
local target = ...
local log = {}
local function note(request, next)
  log[#log + 1] = request.method .. " " .. request.kind
  request.metadata = { seen = "by note" }
  local response, info = next(request)
  log[#log + 1] = "after " .. request.method
  return response, info
end
local function cache(request, next)
  if request.message and request.message.text == "cached" then return { text = "from the cache" } end
  return next(request)
end
local c = grpc.client(target, "test.v1.Test", { interceptors = { note, cache } })
local texts = { c:Echo({ text = "a" }).text, c:Echo({ text = "cached" }).text }
local stream <close> = c:List { number = 2 }
for item in stream:messages() do texts[#texts + 1] = tostring(item.number) end
return { texts, log }
"""
    backend.calls.clear()
    texts, log = ran(server, code, backend.address)
    assert texts == ["a", "from the cache", "0", "1"]
    assert log == ["Echo unary", "after Echo", "Echo unary", "after Echo", "List server_streaming", "after List"]
    assert [metadata["seen"] for _, metadata in backend.calls] == [["by note"], ["by note"]]


def test_credentials_need_a_safe_connection(server, backend):
    code = """
local target, allowed = ...
local c = grpc.client(target, "test.v1.Test", {
  insecure_credentials = allowed == "yes",
  credentials = function(call)
    time.sleep(0.01)
    return { authorization = "Bearer " .. call.service .. "/" .. call.method }
  end })
return c:Echo({ text = "x" }).text
"""
    answer = failed(server, code, backend.address, "no")
    assert answer["code"] == "UNAUTHENTICATED"
    assert "credentials are not sent over a connection without TLS" in answer["message"]
    backend.calls.clear()
    assert ran(server, code, backend.address, "yes") == "x"
    assert backend.calls[0][1]["authorization"] == ["Bearer test.v1.Test/Echo"]


def test_many_calls_at_once(server, backend):
    """More than a server takes at once wait for their turn."""

    def work(results):
        for _ in range(20):
            results.append(ran(server, "return client(...):Echo({ text = 'x' }).text", backend.address))

    results = []
    threads = [threading.Thread(target=work, args=(results,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == ["x"] * 160
