# SPDX-License-Identifier: MIT
"""gRPC while the bundle changes: no call is lost, and streams stay with the generation that they began on."""

import threading

import grpc
import pytest

from grpc_client import connect, fails
from harness import SLOWNESS, wait_until, write_bundle

GRPC = ("--grpc", "127.0.0.1:0")


def services(version, more=""):
    return {
        "services/echo.lua": f"""
local time = require "perilune.time"
return {{ ["test.Echo"] = {{
  Version = function() return "{version}" end,
  Chat = {{ bidi_streaming = function(call) for m in call:messages() do call:send("{version} " .. m) end end }},
  Sleep = function(req) time.sleep(tonumber(req)) return "{version}" end,
  {more}
}} }}
"""
    }


@pytest.mark.core
def test_a_method_is_added(start):
    server = start(services(1), *GRPC)
    with connect(server) as echo:
        assert fails(lambda: echo.unary("New")(b"")).code() is grpc.StatusCode.UNIMPLEMENTED
        write_bundle(server.bundle, services(2, 'New = function() return "new" end'))
        server.reload()
        assert echo.unary("New")(b"") == b"new"
        assert echo.unary("Version")(b"") == b"2"


def test_a_mistake_changes_nothing(start):
    server = start(services(1), *GRPC)
    with connect(server) as echo:
        write_bundle(server.bundle, {"services/echo.lua": 'return { ["test.Echo"] = { Version = 1 } }'})
        assert "test.Echo.Version must be a function" in server.reload(ok=False)
        assert echo.unary("Version")(b"") == b"1"


@pytest.mark.core
def test_streams_stay_with_their_generation(start):
    server = start(services(1), *GRPC)
    with connect(server) as echo:
        turns, late = [threading.Event() for _ in range(3)], threading.Event()

        def requests():
            for turn in turns:
                turn.wait(60)
                yield b"x"

        def late_request():
            late.wait(60)
            yield b"late"

        chat = echo.bidi("Chat")(requests())
        turns[0].set()
        assert next(chat) == b"1 x"
        other = echo.bidi("Chat")(late_request())
        wait_until(lambda: server.status()["workers"][0]["grpc"]["calls"] == 2)
        write_bundle(server.bundle, services(2))
        server.reload()
        assert echo.unary("Version")(b"") == b"2"
        turns[1].set()
        assert next(chat) == b"1 x"
        states = [(g["id"], g["state"], g["requests"]) for g in server.status()["generations"]]
        assert states == [(2, "live", 0), (1, "draining", 2)]
        late.set()
        assert list(other) == [b"1 late"]
        turns[2].set()
        assert list(chat) == [b"1 x"]
    wait_until(lambda: len(server.status()["generations"]) == 1, what="the old generation to end")


def test_an_old_generation_is_cut_off(start):
    server = start(services(1), *GRPC, "--drain", "1")
    with connect(server) as echo:
        call = echo.unary("Sleep").future(b"60")
        wait_until(lambda: server.status()["workers"][0]["grpc"]["calls"] == 1)
        write_bundle(server.bundle, services(2))
        server.reload()
        error = call.exception(timeout=10 * SLOWNESS)
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert "newer version" in error.details()
        assert echo.unary("Version")(b"") == b"2"
