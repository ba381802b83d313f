# SPDX-License-Identifier: MIT
"""Subgraphs, composed by @apollo/composition and queried through @apollo/gateway beside one that is not ours."""

import contextlib
import json
import re
import subprocess
import time
from pathlib import Path

import pytest

from harness import SLOWNESS, run_cli

CLIENTS = Path(__file__).parent / "clients"
BUNDLES = Path(__file__).parent / "federation"
OURS = ["products", "reviews", "users"]


def node(script, *args, given=None):
    result = subprocess.run(
        ["node", str(CLIENTS / script), *args],
        input=given if given is None or isinstance(given, str) else json.dumps(given),
        capture_output=True,
        text=True,
        timeout=60 * SLOWNESS,
        cwd=CLIENTS,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@contextlib.contextmanager
def other_subgraph():
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "node", str(CLIENTS / "subgraph.mjs"), "serve"], stdout=subprocess.PIPE, text=True
    )
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def source_of(name):
    """As written; the tools that compose do not know @oneOf by themselves."""
    texts = [path.read_text() for path in sorted((BUNDLES / name / "schema").glob("*.graphql"))]
    return "\n".join(texts) + ("\ndirective @oneOf on INPUT_OBJECT" if name == "products" else "")


def compose(services):
    result = json.loads(node("compose.mjs", given=services))
    assert result["errors"] == []
    return result["sdl"]


@pytest.fixture(scope="module")
def subgraphs(start_shared):
    return {name: start_shared(BUNDLES / name) for name in OURS}


@pytest.fixture(scope="module")
def supergraph(subgraphs):
    """Of what the subgraphs say about themselves."""
    with other_subgraph() as url:
        services = [{"name": "inventory", "url": url, "sdl": node("subgraph.mjs")}]
        for name, server in subgraphs.items():
            services.append({"name": name, "url": server.url, "sdl": server.data("{ _service { sdl } }")["_service"]["sdl"]})
        yield services, compose(services)


@pytest.fixture(scope="module")
def ask(supergraph):
    """Runs requests through the gateway; the schema that its clients see."""

    def ask(*queries):
        given = {"supergraph": supergraph[1], "requests": [{"query": query} for query in queries]}
        result = json.loads(node("gateway.mjs", given=given))
        return result["responses"], result["api"]

    return ask


def test_composition_of_printed_sdl(supergraph):
    """What we print makes the same supergraph as the sources do."""
    services, printed = supergraph
    sources = [service | {"sdl": source_of(service["name"])} if service["name"] in OURS else service for service in services]
    assert compose(sources) == printed
    assert "@link" not in next(service["sdl"] for service in services if service["name"] == "users")


def test_printed_without_a_server(supergraph):
    for service in supergraph[0]:
        if service["name"] in OURS:
            assert run_cli("schema", "print", "--subgraph", BUNDLES / service["name"]).stdout == service["sdl"]


def test_print_of_no_subgraph(bundle):
    result = run_cli("schema", "print", "--subgraph", bundle({"schema/a.graphql": "type Query { a: Int }"}))
    assert (result.returncode, result.stdout) == (1, "")
    assert "this is no subgraph" in result.stderr


def test_supergraph_keeps_directives(supergraph):
    sdl = supergraph[1]
    product = re.search(r"type Product\n((?:  @.*\n)*)\{", sdl).group(1)
    for directive in ('@audited(by: "sales")\n  @audited(by: "law")\n', '@label(name: "catalogue")', 'key: "code brand { id }"'):
        assert directive in product
    assert re.search(r'NEW .*@label\(name: "window"\)', sdl)
    assert re.search(r"weight: Int .*@cost\(weight: 2\)", sdl)
    assert re.search(r'price: Int @join__field\(graph: PRODUCTS, override: "inventory"\)', sdl)
    assert re.search(r'https://shop.example/audited/v1.0", import: \["@audited"\]', sdl)


GATEWAY = {
    "a single key": (
        '{ product(id: "1") { name reviews { text } } }',
        {"product": {"name": "Lamp", "reviews": [{"text": "Bright"}]}},
    ),
    "a composite key": (
        "{ products { id madeIn } }",
        {"products": [{"id": "1", "madeIn": "Iceland"}, {"id": "2", "madeIn": "Spain"}]},
    ),
    "requires": (
        "{ products { shipping label stock } }",
        {
            "products": [
                {"shipping": 3, "label": "luna: Lamp", "stock": 5},
                {"shipping": 7, "label": "sol: Sun lamp", "stock": 0},
            ]
        },
    ),
    "several keys, from another subgraph": (
        "{ inStock { id code madeIn reviews { author { email reviews { id } } } } }",
        {
            "inStock": [
                {
                    "id": "1",
                    "code": "lamp",
                    "madeIn": "Iceland",
                    "reviews": [{"author": {"email": "bob@example.org", "reviews": [{"id": "r1"}]}}],
                }
            ]
        },
    ),
    "provides": (
        '{ product(id: "1") { reviews { author { name } } maker { productCount } } }',
        {"product": {"reviews": [{"author": {"name": "Bob (as told)"}}], "maker": {"productCount": 2}}},
    ),
    "the other way round": (
        "{ me { name reviews { product { name price } } } }",
        {"me": {"name": "Ada", "reviews": [{"product": {"name": "Sun lamp", "price": 9900}}, {"product": None}]}},
    ),
    "override": ("{ inStock { price } }", {"inStock": [{"price": 2500}]}),
    "shareable": ("{ inStock { name } }", {"inStock": [{"name": "a name of the inventory"}]}),
    "interface object": (
        "{ media { __typename title reviews { text } ... on Book { pages shelf } } }",
        {
            "media": [
                {"__typename": "Book", "title": "Moon", "reviews": [{"text": "Short"}], "pages": 90, "shelf": "OLD"},
                {"__typename": "Film", "title": "Tide", "reviews": [{"text": "Wet"}]},
            ]
        },
    ),
    "arguments": (
        '{ product(id: "2") { sign(upper: true) since } find(by: { code: "lamp" }) { since } }',
        {"product": {"sign": "SUN LAMP", "since": None}, "find": {"since": "2024-05-06T07:08:09Z"}},
    ),
}


def test_gateway(ask):
    responses, _ = ask(*(query for query, _ in GATEWAY.values()))
    for name, (_, expected), response in zip(GATEWAY, GATEWAY.values(), responses, strict=True):
        assert "errors" not in response, (name, response["errors"])
        assert response["data"] == expected, name


def test_api_schema(ask):
    _, api = ask()
    assert "margin" not in api
    assert "_entities" not in api
    assert "_service" not in api
    assert "What the shop sells." in api
    assert re.search(r'old: String @deprecated\(reason: "use `name`"\)', api)


def test_errors_through_the_gateway(ask):
    (response,), _ = ask("{ media { reviews { product { price } } } }")
    assert [medium["reviews"] for medium in response["data"]["media"]] == [[{"product": None}], [{"product": {"price": None}}]]
    (error,) = response["errors"]
    assert error["message"] == "the catalogue is being counted"
    assert error["extensions"]["code"] == "UNAVAILABLE"
    assert error["extensions"]["serviceName"] == "products"


# -- the subgraphs by themselves: what Apollo's compatibility tests look at --
def entities(server, representations, selection):
    query = "query ($r: [_Any!]!) { _entities(representations: $r) { __typename " + selection + " } }"
    return server.graphql(query, {"r": representations})


def test_keys(subgraphs):
    server = subgraphs["products"]
    keys = [{"id": "1"}, {"code": "lamp", "brand": {"id": "sol"}}, {"id": "none"}]
    response = entities(server, [{"__typename": "Product"} | key for key in keys], "... on Product { id name }")
    assert response == {
        "data": {
            "_entities": [
                {"__typename": "Product", "id": "1", "name": "Lamp"},
                {"__typename": "Product", "id": "2", "name": "Sun lamp"},
                None,
            ]
        }
    }


def test_one_entity_fails_alone(subgraphs):
    representations = [
        {"__typename": "Product", "id": "1"},
        {"__typename": "Product", "id": "broken"},
        {"__typename": "User", "email": "x@example.org"},
        {"__typename": "Nothing", "id": "1"},
        {"__typename": "User", "email": "x"},
    ]
    response = entities(subgraphs["products"], representations, "... on Product { id } ... on User { email }")
    assert response["data"]["_entities"] == [
        {"__typename": "Product", "id": "1"},
        None,
        {"__typename": "User", "email": "x@example.org"},
        None,
        None,
    ]
    assert sorted((error["path"][1], error["extensions"]["code"]) for error in response["errors"]) == [
        (1, "UNAVAILABLE"),
        (3, "INVALID_ARGUMENT"),
        (4, "INVALID_ARGUMENT"),
    ]


def test_entity_interface(subgraphs):
    media = [{"__typename": "Media", "id": key} for key in ("b1", "f1", "none")]
    response = entities(subgraphs["products"], media, "... on Media { title } ... on Book { pages }")
    assert response["data"]["_entities"] == [
        {"__typename": "Book", "title": "Moon", "pages": 90},
        {"__typename": "Film", "title": "Tide"},
        None,
    ]


def test_types_of_the_subgraph(subgraphs):
    query = """{
      any: __type(name: "_Any") { kind }
      service: __type(name: "_Service") { kind fields { name } }
      entity: __type(name: "_Entity") { kind possibleTypes { name } }
      query: __type(name: "Query") { fields { name } }
    }"""
    data = subgraphs["products"].data(query)
    assert data["any"] == {"kind": "SCALAR"}
    assert data["service"] == {"kind": "OBJECT", "fields": [{"name": "sdl"}]}
    assert data["entity"]["kind"] == "UNION"
    assert {"name": "Product"} in data["entity"]["possibleTypes"]
    names = [field["name"] for field in data["query"]["fields"]]
    assert names[-2:] == ["_entities", "_service"]


def test_trace(subgraphs):
    query = '{ _entities(representations: [{ __typename: "Product", id: "broken" }, { __typename: "Product", id: "1" }]) '
    query += "{ ... on Product { title: name } } }"
    response = subgraphs["products"].post({"query": query}, headers={"apollo-federation-include-trace": "ftv1"}).json()
    trace = json.loads(node("trace.mjs", given=response["extensions"]["ftv1"]))
    (entities,) = trace["root"]["child"]
    assert (entities["responseName"], entities["type"], entities["parentType"]) == ("_entities", "[_Entity]!", "Query")
    assert int(entities["endTime"]) - int(entities["startTime"]) >= 1_000_000
    assert int(entities["endTime"]) <= int(trace["durationNs"])
    items = sorted(entities["child"], key=lambda item: item["index"])
    assert [error["message"] for error in items[0]["error"]] == ["the catalogue is being counted"]
    assert [(field["responseName"], field["originalFieldName"]) for field in items[1]["child"]] == [("title", "name")]
    assert abs(int(trace["startTime"]["seconds"]) - time.time()) < 3600
    assert "extensions" not in subgraphs["products"].graphql(query)


# Without a link: version 1. The directives are this server's own.
CACHED = """
type Query { me: User }
type Product @key(fields: "id") @cacheControl(maxAge: 60) { id: ID! name: String @cost(weight: "2") }
type User @key(fields: "id") { id: ID! name: String }
input By @oneOf { id: ID name: String }
"""


def test_cache_control_of_entities(start):
    server = start({"schema/a.graphql": CACHED})

    def header(*types):
        representations = ", ".join(f'{{ __typename: "{name}", id: 1 }}' for name in types)
        query = f"{{ _entities(representations: [{representations}]) {{ __typename }} }}"
        return server.post({"query": query}).headers.get("cache-control")

    assert header("Product") == "max-age=60, public"
    assert header("Product", "User") == header("User") == "no-store"
    # What this server knows by itself is defined in what it prints.
    sdl = server.data("{ _service { sdl } }")["_service"]["sdl"]
    assert compose([{"name": "cached", "url": server.url, "sdl": sdl}])


@pytest.mark.parametrize("variables", [True, False])
def test_cost_of_entities(start, variables):
    """As many objects as there are representations."""
    server = start({"schema/a.graphql": CACHED})

    def cost(count):
        representations = [{"__typename": "User", "id": "1"}] * count
        literal = "[" + '{ __typename: "User", id: "1" }' * count + "]"
        query = "query ($r: [_Any!]!) { _entities(representations: $r) { __typename } }"
        request = {"query": query, "variables": {"r": representations}}
        if not variables:
            request = {"query": f"{{ _entities(representations: {literal}) {{ __typename }} }}"}
        return server.post(request, headers={"graphql-cost": "report"}).json()["extensions"]["cost"]

    assert [cost(count)["requestedQueryCost"] for count in (1, 2, 12)] == [1, 2, 12]


# -- what `perilune check` finds --
LINK = 'extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key"])\n'


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"schema/a.graphql": LINK + 'type Query { p: P }\ntype P @key(fields: "id nme") { id: ID name: String }'},
            'schema/a.graphql:3:25: @key(fields: "id nme"): type "P" has no field "nme". Did you mean "name"?',
        ),
        (
            {"schema/a.graphql": LINK.replace("v2.9", "v3.0") + "type Query { a: Int }"},
            'schema/a.graphql:1:26: There is no version v3.0 of "https://specs.apollo.dev/federation"',
        ),
        (
            {
                "schema/a.graphql": LINK + "type Query { p: P }\ntype P { id: ID }",
                "resolvers/p.lua": "return {\n  P = {\n    __resolve_reference = function(r) return r end,\n  },\n}",
            },
            'resolvers/p.lua:3: "P" has __resolve_reference, but it is no entity',
        ),
    ],
)
def test_check(bundle, files, message):
    result = run_cli("check", bundle(files))
    assert result.returncode == 1
    assert message in result.stdout + result.stderr
