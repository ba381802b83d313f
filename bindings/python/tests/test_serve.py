# SPDX-License-Identifier: MIT
"""Apps that listen, methods and consumers of the program's, and events."""

import asyncio
import json
import threading
import urllib.error
import urllib.request

import pytest

import perilune

PROTO = """
    syntax = "proto3";
    package t.v1;
    message Request { string name = 1; int32 n = 2; repeated string tags = 3; map<string, int64> counts = 4; }
    message Reply { string text = 1; int64 total = 2; }
    service Greeter { rpc Greet(Request) returns (Reply); rpc Count(Request) returns (Reply); rpc Lua(Request) returns (Reply); }
"""
LUA_SERVICE = 'return { ["t.v1.Greeter"] = { Lua = function(req) return { text = "lua " .. req.name } end } }'
FILES = {
    "schema/a.graphql": "type Query { a: String  b: String }",
    "resolvers/a.lua": 'return { Query = { a = function() return "lua" end } }',
    "proto/t.proto": PROTO,
    "services/t.lua": LUA_SERVICE,
}
pytestmark = [pytest.mark.core, pytest.mark.tsan]


def post(address, query, headers=None):
    request = urllib.request.Request(
        f"http://{address}/graphql",
        json.dumps({"query": query}).encode(),
        {"content-type": "application/json", **(headers or {})},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.loads(response.read())


def quiet(app, **options):
    return app(**{"log_level": "none", "drain": 5, **options})


def test_serving_over_http(app):
    made = quiet(app, files=FILES)
    seen = []

    @made.resolver("Query", "b")
    def b(parent, args, ctx):
        seen.append(ctx)
        return ctx.headers["x-name"]

    assert made.graphql("{ a }")["data"] == {"a": "lua"}
    with made.serve("127.0.0.1:0") as server:
        assert server.http.startswith("127.0.0.1:") and server.grpc is None
        assert post(server.http, "{ a b }", {"X-Name": "Ada"}) == {"data": {"a": "lua", "b": "Ada"}}
        assert made.graphql("{ a }")["data"] == {"a": "lua"}
        assert made.reload(FILES | {"resolvers/a.lua": FILES["resolvers/a.lua"].replace('"lua"', '"new"')})
        assert post(server.http, "{ a }")["data"] == {"a": "new"}
        made.rollback()
        assert post(server.http, "{ a }")["data"] == {"a": "lua"}
        assert made.status()["generation"] == made.generation == 3
        assert "perilune_" in made.metrics()
        address = server.http
    assert seen[0].peer.startswith("127.0.0.1")
    with pytest.raises(OSError):
        post(address, "{ a }")
    assert made.graphql("{ a }")["data"] == {"a": "new"}  # it starts again with its use


def test_two_apps_are_independent(app):
    one, two = quiet(app, files=FILES), quiet(app, files=FILES)
    one.resolver("Query", "b")(lambda: "one")
    two.resolver("Query", "b")(lambda: "two")
    with one.serve("127.0.0.1:0") as first, two.serve("127.0.0.1:0") as second:
        assert [post(server.http, "{ b }")["data"]["b"] for server in (first, second)] == ["one", "two"]
    with pytest.raises(perilune.Error):
        quiet(app, files=FILES).serve("256.0.0.1:0")


def test_services(app):
    made = quiet(app, files=FILES | {"services/t.lua": LUA_SERVICE})

    @made.service("t.v1.Greeter")
    class Greeter:
        def greet(self, request, ctx):
            assert ctx.protocol
            return {"text": f"hello {request['name']} {request['tags']}", "total": request["n"]}

        async def Count(self, request):
            await asyncio.sleep(0)
            if not request["counts"]:
                raise perilune.FailedPrecondition("nothing to count")
            return {"total": sum(request["counts"].values())}

    assert made.call("t.v1.Greeter/Greet", {"name": "Ada", "n": 7, "tags": ["x"]}) == {
        "text": "hello Ada ['x']",
        "total": "7",
    }
    assert made.call("t.v1.Greeter/Count", {"counts": {"a": 2**40, "b": 2}})["total"] == str(2**40 + 2)
    assert made.call("t.v1.Greeter/Lua", {"name": "x"}) == {"text": "lua x"}
    with pytest.raises(perilune.FailedPrecondition, match="nothing to count"):
        made.call("t.v1.Greeter/Count")
    for method in ("t.v1.Greeter/Nothing", "t.v1.Nobody/Greet"):
        with pytest.raises(perilune.Error) as caught:
            made.call(method)
        assert caught.value.code in (perilune.Code.UNIMPLEMENTED, perilune.Code.NOT_FOUND)
    with pytest.raises(perilune.InvalidArgument):
        made.call("t.v1.Greeter/Greet", {"name": 7})

    async def several():
        return await asyncio.gather(*(made.call_async("t.v1.Greeter/Greet", {"n": n}) for n in range(1, 6)))

    assert [reply["total"] for reply in asyncio.run(several())] == ["1", "2", "3", "4", "5"]


def test_methods_of_nobodys_service(app):
    made = quiet(app, files=FILES)
    made.method("t.v1.Greeter", "Nothing")(lambda request: {})
    with pytest.raises(perilune.InvalidArgument, match="Nothing"):
        made.start()


CONSUMER = """return { topic = "orders", group = "lua", format = "json", handler = function(event, msg, ctx)
  if event.bad then error(require("perilune.errors").invalid_argument "a bad order") end
  ctx.events:publish("seen", { id = event.id, by = "lua" })
end }"""


def test_events(app):
    made = quiet(app, files={"events/orders.lua": CONSUMER}, kafka="embedded")
    seen, all_there = [], threading.Event()

    @made.consumer("seen", group="python", format="json")
    def collect(event, msg, ctx):
        seen.append((event, msg["topic"], ctx.protocol))
        if len(seen) >= 3:
            all_there.set()

    made.start()
    for number in range(3):
        made.publish("orders", {"id": number}, key=f"k{number}", headers={"a": "b"})
    assert all_there.wait(30)
    assert sorted(event["id"] for event, _, _ in seen) == [0, 1, 2]
    assert {(topic, protocol) for _, topic, protocol in seen} == {("seen", "event")}


def test_events_that_are_handled_at_once(app):
    made = quiet(app, files={"events/orders.lua": CONSUMER}, kafka="embedded")
    seen = []

    @made.consumer("direct", group="python", format="json")
    async def direct(event, msg):
        if event.get("bad"):
            raise perilune.InvalidArgument("not this one")
        seen.append((event, msg["key"], msg["headers"]))

    made.handle("direct", {"id": 1}, key="k", headers={"a": "b"})
    assert seen[0][0] == {"id": 1} and seen[0][1] == "k"
    with pytest.raises(perilune.InvalidArgument, match="not this one"):
        made.handle("direct", {"bad": True})
    with pytest.raises(perilune.InvalidArgument, match="a bad order"):
        asyncio.run(made.handle_async("orders", {"bad": True}))
    with pytest.raises(perilune.NotFound):
        made.handle("nobody", {})
    asyncio.run(made.publish_async("direct", b'{"id": 2}'))


def test_interceptors(app):
    made = quiet(app, files=FILES)
    seen = []

    def before(ctx):
        if ctx.headers.get("x-token") != "t":
            raise perilune.Unauthenticated("who are you?")

    def after(ctx, outcome):
        seen.append(outcome)

    made.interceptor(before, after)
    with made.serve("127.0.0.1:0") as server:
        assert post(server.http, "{ a }", {"x-token": "t"})["data"] == {"a": "lua"}
        with pytest.raises(urllib.error.HTTPError, match="401"):
            post(server.http, "{ a }")
    with pytest.raises(perilune.Unauthenticated, match="who are you"):
        made.graphql("{ a }")
    assert len(seen) >= 1


def test_the_examples(app, example):
    blog = quiet(app, directory=example("blog"))
    assert blog.graphql("{ users { name } }")["data"]["users"]
    users = quiet(app, directory=example("users"))
    with pytest.raises(perilune.NotFound, match="user not found"):
        users.call("user.v1.UserService/GetUser", {"id": "nobody"})
