# SPDX-License-Identifier: MIT
"""How requests may come in: trusted documents, persisted queries, batches, protection against forged requests."""

import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest

from harness import SLOWNESS, VARIANT, code_of, run_cli, write_bundle

CLIENTS = Path(__file__).parent / "clients"

SCHEMA = """
type Query { hello(name: String): String extensions: String fail: Int }
type Mutation { add(n: Int!): Int }
"""
RESOLVERS = """
local json = require "perilune.json"
local sum = 0
return {
  Query = {
    hello = function(_, args) return "hello " .. (args.name or "world") end,
    extensions = function(_, _, ctx) return json.encode(ctx.request_extensions or {}) end,
    fail = function() error "broken" end,
  },
  Mutation = { add = function(_, args) sum = sum + args.n return sum end },
}
"""


def app(settings="", **files):
    return {
        "schema/schema.graphql": SCHEMA,
        "resolvers/all.lua": RESOLVERS,
        "app.lua": f"return {{ {settings} }}",
    } | files


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def persisted(text, **more):
    return {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": sha256(text)}}} | more


def hello(response):
    assert response.status_code == 200, response.text
    return response.json()["data"]["hello"]


# -- what a request is made of --
@pytest.fixture(scope="module")
def plain(start_shared):
    return start_shared(app())


def test_members_of_a_request(plain):
    assert hello(plain.post({"query": "{hello}", "operationName": "", "unknown": [1]})) == "hello world"
    assert hello(plain.post({"query": "{hello}", "operationName": None, "variables": None, "extensions": None})) == "hello world"
    assert hello(plain.get("/graphql", params={"query": "{hello}", "operationName": "", "variables": ""})) == "hello world"
    response = plain.post({"query": "{extensions}", "extensions": {"a": [1, {"b": None}]}})
    assert json.loads(response.json()["data"]["extensions"]) == {"a": [1, {"b": None}]}
    response = plain.get("/graphql", params={"query": "{extensions}", "extensions": '{"a": 1}'})
    assert json.loads(response.json()["data"]["extensions"]) == {"a": 1}


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"\xef\xbb\xbf" + b'{"query": "{hello}"}', 200, "hello world"),
        (b'{"query": "{hello}", "query": "{fail}"}', 400, 'The name \\"query\\" is there twice'),
        (b'{"query": "{hello}", "variables": {"a": 1, "a": 2}}', 400, "is there twice"),
        (b'{"qeury": "{hello}"}', 400, 'must have a \\"query\\"; what it has begins with \\"qeury\\"'),
        (b"{}", 400, 'must have a \\"query\\"'),
        (b'{"query": 1}', 400, "must be a string"),
        (b'{"query": "{hello}", "extensions": []}', 400, "must be an object"),
        (b'{"query": "{hello}", "operationName": 1}', 400, "must be a string"),
        (b'"{hello}"', 400, "must be a JSON object"),
        (b"", 400, "JSON"),
        (b'{"query": "{hello}"} x', 400, "at byte"),
        (b'{"query": "\xff"}', 400, "UTF-8"),
    ],
)
def test_bodies(plain, body, status, words):
    response = plain.post(body)
    assert response.status_code == status
    assert words in response.text


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json; charset=utf-8", 200),
        ('application/json; charset="UTF-8"', 200),
        ("application/json; charset=latin1", 415),
        ("application/graphql", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
    ],
)
def test_content_types(plain, content_type, status):
    assert plain.post({"query": "{hello}"}, headers={"content-type": content_type}).status_code == status


def test_parameters_that_are_no_json(plain):
    for name in ("variables", "extensions"):
        for value, words in (("{", f'The \\"{name}\\" parameter: '), ("[1]", "must be a JSON object")):
            response = plain.get("/graphql", params={"query": "{hello}", name: value})
            assert response.status_code == 400
            assert words in response.text


# -- requests that another site's page could make --
def test_get_by_browsers(start):
    server = start(app('http = { cors = { origins = { "https://shop.example" } } }'))

    def status(**headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return server.get("/graphql", params={"query": "{hello}"}, headers=headers).status_code

    own = server.base
    assert status() == 200
    assert status(sec_fetch_site="same-origin") == 200
    assert status(sec_fetch_site="none") == 200
    assert status(sec_fetch_site="cross-site") == 403
    assert status(sec_fetch_site="same-site") == 403
    assert status(sec_fetch_site="cross-site", origin="https://shop.example") == 200
    assert status(sec_fetch_site="cross-site", origin="https://evil.example") == 403
    assert status(sec_fetch_site="cross-site", graphql_preflight="1") == 200
    assert status(sec_fetch_site="cross-site", x_apollo_operation_name="Hello") == 200
    assert status(sec_fetch_site="cross-site", content_type="application/json") == 200
    assert status(sec_fetch_site="cross-site", content_type="text/plain") == 403
    assert status(origin="https://evil.example") == 403
    assert status(origin="null") == 403
    assert status(origin=own) == 200
    response = server.get("/graphql", params={"query": "{hello}"}, headers={"sec-fetch-site": "cross-site"})
    assert code_of(response.json()) == "PERMISSION_DENIED"
    assert "graphql-preflight" in response.json()["errors"][0]["message"]


def test_csrf_settings(start):
    def status(server, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return server.get("/graphql", params={"query": "{hello}"}, headers=headers).status_code

    strict = start(app('http = { csrf = "strict" }'))
    assert status(strict) == 403
    assert status(strict, sec_fetch_site="same-origin") == 403
    assert status(strict, apollo_require_preflight="true") == 200
    assert status(strict, content_type="application/json") == 200
    assert hello(strict.post({"query": "{hello}"})) == "hello world"
    own = start(app('http = { csrf = { headers = { "X-My-Client" }, strict = true } }'))
    assert status(own, apollo_require_preflight="true") == 403
    assert status(own, x_my_client="1") == 200
    off = start(app("http = { csrf = false }"))
    assert status(off, sec_fetch_site="cross-site", origin="https://evil.example") == 200


# -- trusted documents --
HELLO = "query Hello($name: String) { hello(name: $name) }"
ADD = "mutation Add($n: Int!) { add(n: $n) }"
MANIFEST = {
    "format": "apollo-persisted-query-manifest",
    "version": 1,
    "operations": [{"id": sha256(ADD), "name": "Add", "type": "mutation", "body": ADD}],
}


def documents(mode="strict", more=""):
    return app(
        f'graphql = {{ documents = {{ path = "documents", mode = "{mode}" }} {more} }}',
        **{
            "documents/home/hello.graphql": HELLO + "\n",
            "documents/apollo-manifest.json": json.dumps(MANIFEST),
            "documents/relay-queries.json": json.dumps({"0123abcd": "{ hello }", "x-v1:two": "{ extensions }"}),
        },
    )


def test_trusted_documents(start):
    server = start(documents())
    by_hash = "sha256:" + sha256(HELLO)
    for document in (by_hash, sha256(HELLO), "sha256:" + sha256(HELLO + "\n"), "home.hello"):
        assert hello(server.post({"documentId": document, "variables": {"name": "you"}})) == "hello you"
    assert hello(server.post({"doc_id": "0123abcd"})) == "hello world"
    assert hello(server.post({"id": "0123abcd"})) == "hello world"
    assert server.post({"documentId": "x-v1:two"}).json()["data"] == {"extensions": "{}"}
    assert hello(server.post(persisted(HELLO))) == "hello world"
    assert server.post({"documentId": "sha256:" + sha256(ADD), "variables": {"n": 1}}).json()["data"]["add"] == 1
    # By GET, as a parameter and in the path.
    assert hello(server.get("/graphql", params={"documentId": by_hash, "variables": '{"name": "me"}'})) == "hello me"
    assert hello(server.get("/graphql/" + by_hash, params={"variables": '{"name": "me"}'})) == "hello me"
    assert hello(server.post({"variables": {"name": "me"}}, url=server.url + "/home.hello")) == "hello me"
    assert server.get("/graphql/sha256:" + sha256(ADD)).status_code == 405
    assert server.get("/graphql").status_code == 400


def test_strict_refuses_everything_else(start):
    server = start(documents())
    for request, status, code in (
        ({"query": "{hello}"}, 403, "PERMISSION_DENIED"),
        ({"query": HELLO}, 403, "PERMISSION_DENIED"),
        (persisted(HELLO, query=HELLO), 403, "PERMISSION_DENIED"),
        ({"documentId": "sha256:" + sha256(HELLO), "query": HELLO}, 400, "INVALID_ARGUMENT"),
        ({"documentId": "sha256:" + sha256("{hello}")}, 404, "NOT_FOUND"),
        ({"documentId": ""}, 404, "NOT_FOUND"),
        ({"documentId": "__proto__"}, 404, "NOT_FOUND"),
        (persisted("{hello}"), 404, "NOT_FOUND"),
        ({}, 400, "INVALID_ARGUMENT"),
    ):
        response = server.post(request)
        assert (response.status_code, code_of(response.json())) == (status, code), request
        for secret in (sha256(ADD), "0123abcd", "home.hello"):
            assert secret not in response.text
    assert server.get("/graphql", params={"query": "{__schema{types{name}}}"}).status_code == 403


def test_mixed_and_off(start):
    mixed = start(documents("mixed"))
    assert hello(mixed.post({"query": "{hello}"})) == "hello world"
    assert hello(mixed.post({"documentId": "home.hello"})) == "hello world"
    assert mixed.post({"documentId": "nothing"}).status_code == 404
    off = start(documents("off"))
    assert hello(off.post({"query": "{hello}"})) == "hello world"
    response = off.post({"documentId": "home.hello"})
    assert (response.status_code, code_of(response.json())) == (400, "UNIMPLEMENTED")
    assert off.get("/graphql/home.hello").status_code == 404


def test_documents_are_part_of_the_bundle(start, bundle):
    directory = bundle(documents())
    server = start(directory)
    assert server.post({"documentId": "more"}).status_code == 404
    write_bundle(directory, {"documents/more.graphql": "{ hello }"})
    server.reload()
    assert hello(server.post({"documentId": "more"})) == "hello world"
    # One that does not suit the schema is refused with its place, and what was goes on.
    write_bundle(directory, {"documents/more.graphql": "query {\n  hello(nam: 1)\n}\n"})
    for said in (server.reload(ok=False), run_cli("check", directory).stdout):
        assert "documents/more.graphql:2:9: " in said
        assert 'Unknown argument "nam"' in said
    assert hello(server.post({"documentId": "more"})) == "hello world"
    write_bundle(directory, {"documents/more.graphql": None})
    server.reload()
    assert server.post({"documentId": "more"}).status_code == 404


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"documents/a.graphql": "{ hello"}, "documents/a.graphql:1:8: Syntax Error"),
        ({"documents/a.graphql": "fragment F on Query { hello }"}, "documents/a.graphql:1:1: The document has no operation."),
        ({"documents/m.manifest.json": '{"a": "{ hello"}'}, 'documents/m.manifest.json: document "a": Syntax Error'),
        ({"documents/m.manifest.json": '{"a": 1}'}, 'document "a": the text must be a string'),
        ({"documents/m.manifest.json": "[]"}, "must be a JSON object"),
        ({"documents/m.manifest.json": '{"a": "{hello}", "a": "{fail}"}'}, 'The name "a" is there twice'),
        ({"documents/m.manifest.json": '{"format": "apollo-persisted-query-manifest", "version": 2}'}, '"version": 1'),
        (
            {"documents/m.manifest.json": '{"format": "x", "version": 1, "operations": [{"id": "a"}]}'},
            'operations[0] must have an "id" and a "body"',
        ),
        ({"documents/a.graphql": "{hello}", "documents/m.manifest.json": '{"a": "{fail}"}'}, 'The document id "a" is that'),
        ({}, 'the bundle has no documents at "documents"'),
    ],
)
def test_documents_that_are_wrong(bundle, files, words):
    result = run_cli("check", bundle(app("graphql = { documents = {} }", **files)))
    assert result.returncode == 1
    assert words in result.stdout + result.stderr


# -- automatic persisted queries --
def test_persisted_queries(start, bundle):
    directory = bundle(app("graphql = { apq = true }"))
    server = start(directory, workers=2)
    response = server.post(persisted(HELLO))
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert response.json()["errors"][0]["message"] == "PersistedQueryNotFound"
    assert code_of(response.json()) == "PERSISTED_QUERY_NOT_FOUND"
    assert hello(server.post(persisted(HELLO, query=HELLO, variables={"name": "you"}))) == "hello you"
    # All workers know it now, and go on to after a reload.
    for _ in range(10):
        with server.connect() as connection:
            connection.sendall(b"")
        assert hello(server.post(persisted(HELLO), headers={"connection": "close"})) == "hello world"
    write_bundle(directory, {"lib/other.lua": "return 1"})
    server.reload()
    assert server.status()["generation"] == 2
    assert hello(server.post(persisted(HELLO), headers={"connection": "close"})) == "hello world"
    # By GET, for caches in between.
    extensions = json.dumps(persisted(HELLO)["extensions"])
    assert hello(server.get("/graphql", params={"extensions": extensions, "variables": '{"name": "x"}'})) == "hello x"
    response = server.get("/graphql", params={"extensions": json.dumps(persisted("{fail}")["extensions"])})
    assert code_of(response.json()) == "PERSISTED_QUERY_NOT_FOUND"


def test_persisted_queries_that_are_wrong(start):
    server = start(app('graphql = { apq = { size = "1MB", ttl = 60 } }'))
    for extension, words in (
        ({"version": 1, "sha256Hash": sha256("{other}")}, "provided sha does not match query"),
        ({"version": 2, "sha256Hash": sha256(HELLO)}, "Unsupported persisted query version"),
        ({"version": 1, "sha256Hash": "abc"}, "sha256Hash"),
        ({"version": 1}, "sha256Hash"),
        ([], "must be an object"),
    ):
        response = server.post({"query": HELLO, "extensions": {"persistedQuery": extension}})
        assert response.status_code == 400
        assert words in response.text
    assert code_of(server.post(persisted(HELLO)).json()) == "PERSISTED_QUERY_NOT_FOUND"
    assert server.post({"query": "{hello}", "extensions": {"persistedQuery": None}}).status_code == 200
    # A flood of texts stays within its bounds, and what does not fit is executed all the same.
    large = "{" + " " * 300_000 + "hello}"
    assert hello(server.post(persisted(large, query=large))) == "hello world"
    assert code_of(server.post(persisted(large)).json()) == "PERSISTED_QUERY_NOT_FOUND"
    before = server.memory()
    for i in range(200):
        text = "{hello}" + " " * 20_000 + str(i).join(("#", "\n"))
        assert hello(server.post(persisted(text, query=text))) == "hello world"
    assert server.memory() - before < 30 << 20 or VARIANT not in ("release", "debug")


def test_persisted_queries_are_off(plain):
    response = plain.post(persisted(HELLO))
    assert response.status_code == 200
    assert response.json()["errors"][0]["message"] == "PersistedQueryNotSupported"
    assert code_of(response.json()) == "PERSISTED_QUERY_NOT_SUPPORTED"
    assert hello(plain.post(persisted(HELLO, query=HELLO))) == "hello world"


@pytest.mark.parametrize("mode", ["apq", "strict", "none"])
def test_apollo_link(start, mode):
    settings = {"apq": app("graphql = { apq = true }"), "strict": documents(), "none": app()}[mode]
    server = start(settings)
    command = ["node", str(CLIENTS / "persisted.mjs"), server.url, mode]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60 * SLOWNESS, cwd=CLIENTS)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "ok"


# -- batches --
def test_batches(start):
    server = start(app("http = { batching = { max = 3 } }, graphql = { apq = true }"))
    response = server.post(
        [
            {"query": "{hello}"},
            {"query": "query($n: String) {hello(name: $n)}", "variables": {"n": "you"}},
            {"query": "{nothing}"},
        ]
    )
    assert response.status_code == 200
    first, second, third = response.json()
    assert first == {"data": {"hello": "hello world"}}
    assert second == {"data": {"hello": "hello you"}}
    assert 'Cannot query field "nothing"' in third["errors"][0]["message"]
    assert server.post([{"query": "{hello}"}]).json() == [{"data": {"hello": "hello world"}}]
    # What is wrong with one is that one's.
    first, second, third = server.post([persisted("{ hello }"), {}, {"query": "{fail}"}]).json()
    assert code_of(first) == "PERSISTED_QUERY_NOT_FOUND"
    assert code_of(second) == "INVALID_ARGUMENT"
    assert code_of(third) == "INTERNAL"
    for batch, words in (([], "is empty"), ([{"query": "{hello}"}] * 4, "has 4 operations; http.batching allows 3")):
        response = server.post(batch)
        assert response.status_code == 400
        assert words in response.text


def test_batches_with_headers_of_scripts(start):
    """What several say: the first one's counts; cookies are added up; the list itself is not to be kept."""
    server = start(
        {
            "schema/s.graphql": "type Query { say(name: String!, value: String!): Int  many: Int }",
            "resolvers/r.lua": """
                return { Query = {
                  say = function(_, args, ctx) ctx.response_headers[args.name] = args.value return 1 end,
                  many = function(_, _, ctx) for i = 1, 100 do ctx.response_headers["x-" .. i] = "v" end return 1 end,
                } }""",
            "app.lua": "return { http = { batching = true } }",
        }
    )

    def say(name, value):
        return {"query": f'{{ say(name: "{name}", value: "{value}") }}'}

    response = server.post(
        [
            say("X-A", "first"),
            say("x-a", "second"),
            say("x-b", "third"),
            say("Cache-Control", "max-age=5"),
            say("set-cookie", "a=1"),
            say("set-cookie", "b=2"),
        ]
    )
    assert response.status_code == 200
    assert [response.headers["x-a"], response.headers["x-b"]] == ["first", "third"]
    assert response.headers["cache-control"] == "no-store"
    assert response.headers.get_list("set-cookie") == ["a=1", "b=2"]
    response = server.post([{"query": "{ many }"}, say("x-late", "v")])
    assert len([name for name in response.headers if re.fullmatch(r"x-(\d+|late)", name)]) == 63  # and cache-control
    server.wait_log("are left out")


def test_batches_are_off(plain):
    response = plain.post([{"query": "{hello}"}])
    assert response.status_code == 400
    assert "http.batching" in response.text


# -- status codes --
@pytest.mark.parametrize(
    ("query", "audit", "draft"),
    [
        ("{hello}", 200, 200),
        ("{", 400, 400),
        ("{nothing}", 400, 422),
        ("query A {hello} query B {hello}", 400, 422),
        ("query($n: Int!) {hello}", 400, 422),
        ("{fail hello}", 200, 294),
    ],
)
def test_status_codes(start_shared, query, audit, draft):
    for settings, expected in (("", audit), ('http = { status = "draft" }', draft)):
        server = status_server(start_shared, settings)
        for accept, status in (("application/graphql-response+json", expected), ("application/json", 200)):
            assert server.post({"query": query}, headers={"accept": accept}).status_code == status, (settings, accept)


_status_servers = {}


def status_server(start_shared, settings):
    if settings not in _status_servers:
        _status_servers[settings] = start_shared(app(settings))
    return _status_servers[settings]
