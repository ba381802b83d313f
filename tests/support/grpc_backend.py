# SPDX-License-Identifier: MIT
"""grpcio servers for tests of clients, and a bundle that calls them: what it does comes as Lua code in a request."""

import json
import threading
from concurrent import futures

import grpc

from protobuf import Protos

PROTO = """
syntax = "proto3";
package test.v1;

service Test {
  rpc Echo(Item) returns (Item);
  rpc List(Item) returns (stream Item);
  rpc Sum(stream Item) returns (Item);
  rpc Chat(stream Item) returns (stream Item);
}
message Item {
  string text = 1;
  int64 number = 2;
  bytes data = 3;
  repeated string names = 4;
}
"""
PROTO_FILES = {"test/v1/test.proto": PROTO}

DRIVER = {
    "proto/test/v1/test.proto": PROTO,
    "schema/schema.graphql": "type Query { run(code: String!, arguments: [String!]): String }",
    "resolvers/run.lua": """
local json = require "perilune.json"
local errors = require "perilune.errors"
local time = require "perilune.time"
local grpc = require "perilune.grpc"
local clients = {}

-- A client that stays: the same for the same options.
local function client(target, options, service)
  local key = target .. (service or "") .. json.encode(options and options.key or "")
  clients[key] = clients[key] or grpc.client(target, service or "test.v1.Test", options and options.options or options)
  return clients[key]
end

local environment = setmetatable({ json = json, errors = errors, time = time, grpc = grpc, client = client }, { __index = _G })

return { Query = { run = function(_, args)
  local code = assert(load(args.code, "=code", "t", environment))
  local ok, result = pcall(code, table.unpack(args.arguments or {}))
  if ok then return json.encode { ok = true, result = result } end
  if errors.is(result) then
    return json.encode { ok = false, code = result.code, message = result.message, is_local = result["local"] or false,
      details = result.details, status_details = result.status_details and #result.status_details,
      trailers = result.trailers }
  end
  return json.encode { ok = false, code = "LUA", message = tostring(result) }
end } }
""",
}


KINDS = {"Echo": "unary_unary", "List": "unary_stream", "Sum": "stream_unary", "Chat": "stream_stream"}


class Backend:
    """A server of test.v1.Test whose methods are Python functions: Backend(Echo=lambda item, context: item)."""

    protos = None

    def __init__(self, port=0, credentials=None, options=(), workers=16, address=None, service="test.v1.Test", **methods):
        Backend.protos = Backend.protos or Protos(PROTO_FILES)
        self.item = self.protos["test.v1.Item"]
        self.calls, self.lock = [], threading.Lock()
        self.pool = futures.ThreadPoolExecutor(workers)
        options = [("grpc.so_reuseport", 0), *options]
        self.server = grpc.server(self.pool, options=options)
        handlers = {name: self._handler(name, function) for name, function in methods.items()}
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        target = address or f"127.0.0.1:{port}"
        self.port = self.server.add_secure_port(target, credentials) if credentials else self.server.add_insecure_port(target)
        assert self.port, f"cannot listen on {target}"
        self.address = address or f"127.0.0.1:{self.port}"

    def _handler(self, name, function):
        def method(request, context):
            with self.lock:
                self.calls.append((name, dict_of(context.invocation_metadata())))
            return function(request, context)

        kind = getattr(grpc, KINDS[name] + "_rpc_method_handler")
        return kind(method, self.item.FromString, self.item.SerializeToString)

    def __enter__(self):
        self.server.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.server.stop(None).wait()
        self.pool.shutdown(wait=False)


def dict_of(metadata):
    """{name: [values]}."""
    result = {}
    for name, value in metadata:
        result.setdefault(name, []).append(value)
    return result


def run(server, code, *arguments):
    """Runs Lua code in the server; a dictionary with ok and result, or code and message."""
    query = "query ($code: String!, $arguments: [String!]) { run(code: $code, arguments: $arguments) }"
    return json.loads(server.data(query, {"code": code, "arguments": list(arguments)})["run"])


def ran(server, code, *arguments):
    """What the code has returned; it must have worked."""
    answer = run(server, code, *arguments)
    assert answer["ok"], answer
    return answer.get("result")


def failed(server, code, *arguments):
    """The error that the code has raised."""
    answer = run(server, code, *arguments)
    assert not answer["ok"], answer
    return answer
