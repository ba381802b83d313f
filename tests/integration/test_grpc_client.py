# SPDX-License-Identifier: MIT
"""perilune.grpc: Lua code of a resolver calls grpcio's servers."""

import pytest

from grpc_backend import DRIVER, Backend, failed, ran


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


def test_errors(server, backend):
    code = "return client(...):Sum():finish().number, client(...):Nothing {}"
    answer = failed(server, code, backend.address)
    assert answer["code"] == "LUA" and "test.v1.Test has no method 'Nothing'" in answer["message"]
    answer = failed(server, "return client('127.0.0.1:1'):Echo {}")
    assert answer["code"] == "UNAVAILABLE" and "127.0.0.1:1" in answer["message"]
