# SPDX-License-Identifier: MIT
"""Who may use what, over HTTP: @auth with users from an interceptor, by every way to the same data."""

import json

import pytest

from harness import code_of

pytestmark = pytest.mark.core

BUNDLE = {
    "app.lua": """
return {
  graphql = { roles = { ADMIN = { "EDITOR" } }, introspection = { "ADMIN" }, cache = true },
  interceptors = { function(ctx, next)
    local role = ctx.headers["x-role"]
    ctx.user = role and { role = role }
    return next(ctx)
  end },
}
""",
    "schema/schema.graphql": """
extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"])
directive @auth(requires: Role) on OBJECT | INTERFACE | FIELD_DEFINITION
directive @defer(if: Boolean! = true, label: String) on FRAGMENT_SPREAD | INLINE_FRAGMENT
enum Role { EDITOR ADMIN }
type Query {
  open: String @cacheControl(maxAge: 60)
  draft: Draft @cacheControl(maxAge: 60)
  user: User
  secret: String @auth(requires: ADMIN) @cacheControl(maxAge: 60, scope: PUBLIC)
}
type User @key(fields: "id") { id: ID! name: String email: String @auth(requires: EDITOR) }
type Draft @key(fields: "id") @auth(requires: EDITOR) { id: ID! text: String @cacheControl(maxAge: 60) }
""",
    "resolvers/all.lua": """
local time = require "perilune.time"
local function draft() return { id = "d1", text = "not yet" } end
local function user() return { id = "u1", name = "Ada", email = "ada@example" } end
return {
  Query = { open = function() return "open" end, draft = draft, user = function() time.sleep(0.001) return user() end,
            secret = function() return "s3cret" end },
  User = { __resolve_reference = user },
  Draft = { __resolve_reference = draft },
}
""",
}

ENTITIES = """query ($of: [_Any!]!) { _entities(representations: $of) {
  __typename ... on User { name email } ... on Draft { text } } }"""


@pytest.fixture(scope="module")
def server(start_shared):
    return start_shared(BUNDLE)


def ask(server, query, role=None, variables=None, accept="application/json"):
    headers = {"accept": accept} | ({"x-role": role} if role else {})
    return server.post({"query": query, "variables": variables or {}}, headers=headers)


def test_roles(server):
    query = "{ open user { name email } draft { text } secret }"
    nobody = ask(server, query).json()
    assert nobody["data"] == {"open": "open", "user": {"name": "Ada", "email": None}, "draft": None, "secret": None}
    assert {code_of(nobody, i) for i in range(3)} == {"UNAUTHENTICATED"}
    editor = ask(server, query, "EDITOR").json()
    assert editor["data"] == {
        "open": "open",
        "user": {"name": "Ada", "email": "ada@example"},
        "draft": {"text": "not yet"},
        "secret": None,
    }
    assert code_of(editor) == "PERMISSION_DENIED"
    assert "ADMIN" not in json.dumps(editor["errors"])
    admin = ask(server, query, "ADMIN").json()
    assert "errors" not in admin
    assert admin["data"]["secret"] == "s3cret"


def test_entities(server):
    of = {"of": [{"__typename": "User", "id": "u1"}, {"__typename": "Draft", "id": "d1"}]}
    nobody = ask(server, ENTITIES, variables=of).json()
    assert nobody["data"]["_entities"][0] == {"__typename": "User", "name": "Ada", "email": None}
    assert nobody["data"]["_entities"][1] is None  # its __typename is not null, and denied
    assert "not yet" not in json.dumps(nobody)
    editor = ask(server, ENTITIES, "EDITOR", of).json()
    assert "errors" not in editor
    assert editor["data"]["_entities"][1] == {"__typename": "Draft", "text": "not yet"}


@pytest.mark.parametrize("accept", ["multipart/mixed", "multipart/mixed; deferSpec=20220824"])
def test_deferred(server, accept):
    query = "{ open ... @defer { draft { text } user { name ... @defer { email } } secret } }"
    nobody = ask(server, query, accept=accept)
    assert nobody.headers["content-type"].startswith("multipart/mixed")
    assert "Ada" in nobody.text
    assert nobody.text.count("UNAUTHENTICATED") == 3
    for text in ("not yet", "ada@example", "s3cret"):
        assert text not in nobody.text
    admin = ask(server, query, "ADMIN", accept=accept).text
    for text in ("not yet", "ada@example", "s3cret"):
        assert text in admin


def test_caches(server):
    assert ask(server, "{ open }").headers["cache-control"] == "max-age=60, public"
    for query in ("{ secret }", "{ draft { text } }"):
        assert ask(server, query, "ADMIN").headers["cache-control"] == "max-age=60, private"
        assert code_of(ask(server, query).json()) == "UNAUTHENTICATED"


def test_introspection(server):
    query = '{ __type(name: "Draft") { name } }'
    assert code_of(ask(server, query).json()) == "UNAUTHENTICATED"
    assert code_of(ask(server, query, "EDITOR").json()) == "PERMISSION_DENIED"
    assert ask(server, query, "ADMIN").json() == {"data": {"__type": {"name": "Draft"}}}


def test_a_mistake_is_refused_by_a_reload(start, bundle):
    directory = bundle(BUNDLE)
    server = start(directory)
    path = directory / "resolvers" / "all.lua"
    path.write_text(path.read_text().replace("return {\n  Query", 'return {\n  ["@authh"] = function() end,\n  Query'))
    assert 'resolvers/all.lua:6: There is an implementation of "@authh"' in server.reload(ok=False)
    assert server.data("{ open }") == {"open": "open"}
