# SPDX-License-Identifier: MIT
"""Scalars whose values are Python's own."""

import asyncio
import dataclasses
import datetime
import decimal
import gc
import threading
import urllib.request

import pytest

import perilune
from perilune import _scalars

SCHEMA = """
    scalar When
    scalar Money
    interface Node { id: ID! }
    type User implements Node { id: ID!  born: When  days: [When!]  made: When  best: User  friends: [User!]  wealth: Money }
    type Item implements Node { id: ID!  price: Money! }
    type Plain implements Node { id: ID! }
    union Thing = User | Item
    input Range { from: When!  to: When = "2024-12-31"  next: Range  prices: [[Money!]]  note: String }
    type Query {
      when(at: When): When
      required(at: When!): String
      range(range: Range  ranges: [Range!]): String
      later(at: When): When
      user: User  users: [User]  node: Node  things: [Thing!]
      days: [[When!]]
      lua(at: When): String  born: When
    }
    type Subscription { days(from: When!): When }
"""
LUA = """return {
  Query = { lua = function(_, args) return type(args.at) .. " " .. args.at end, born = function() return "lua" end },
  User = { made = function(user) return "lua: " .. user.made end },
}"""
FILES = {"schema/a.graphql": SCHEMA, "resolvers/a.lua": LUA}
DAY = datetime.date(2024, 2, 29)
pytestmark = [pytest.mark.core, pytest.mark.tsan]


class Wealth:
    def __init__(self, text):
        self.cents = int(decimal.Decimal(text) * 100)

    def __str__(self):
        return f"{self.cents // 100}.{self.cents % 100:02}"


@pytest.fixture
def made(app):
    def make(**options):
        one = app(files=FILES, log_level=options.pop("log_level", "none"), **options)
        one.scalar("When", parse=datetime.date.fromisoformat, serialize=lambda day: f"{day:%Y-%m-%d}")
        one.scalar("Money", parse=Wealth, serialize=str)
        return one

    return make


def test_values_are_pythons(made):
    app, seen = made(), []

    @app.resolver("Query", "when")
    def when(parent, args):
        seen.append(args["at"])
        return args["at"] + datetime.timedelta(days=1)

    @app.resolver("Query", "later")
    async def later(parent, args):
        await asyncio.sleep(0)
        return args["at"]

    query = 'query ($at: When) { when(at: "2024-02-29") v: when(at: $at) later(at: $at) }'
    assert app.graphql(query, {"at": "2024-12-31"}) == {"data": {"when": "2024-03-01", "v": "2025-01-01", "later": "2024-12-31"}}
    assert sorted(seen) == [DAY, datetime.date(2024, 12, 31)]


def test_null_is_not_converted(made):
    app, seen = made(), []
    app.resolver("Query", "when")(lambda parent, args: seen.append(args))
    assert app.graphql("{ when a: when(at: null) }") == {"data": {"when": None, "a": None}}
    assert seen == [{}, {"at": None}]


def test_inputs_and_lists_and_defaults(made):
    app, seen = made(), []
    app.resolver("Query", "range")(lambda parent, args: seen.append(args))
    query = """query ($next: Range) { range(
        range: { from: "2024-02-29" next: $next prices: [["1.50"] null ["2" "3"]] note: "2024-02-29" }
        ranges: [{ from: "2024-01-01" }]) }"""
    last = datetime.date(2024, 12, 31)
    assert "errors" not in app.graphql(query, {"next": {"from": "2024-03-01", "to": None}})
    given = seen[0]["range"]
    assert given["from"] == DAY and given["to"] == last and given["note"] == "2024-02-29"
    assert given["next"] == {"from": datetime.date(2024, 3, 1), "to": None}
    assert [inner and [each.cents for each in inner] for inner in given["prices"]] == [[150], None, [200, 300]]
    assert seen[0]["ranges"] == [{"from": datetime.date(2024, 1, 1), "to": last}]


def test_refused_values_name_their_place(made):
    app = made()
    app.resolver("Query", "required")(lambda parent, args: "called")
    app.resolver("Query", "range")(lambda parent, args: "called")
    response = app.graphql('{ a: required(at: "2024-02-29") b: required(at: "tomorrow") c: required(at: 5) }')
    assert response["data"] == {"a": "called", "b": None, "c": None}
    errors = {error["path"][0]: error for error in response["errors"]}
    assert errors["b"]["message"] == 'Argument "at" has invalid value "tomorrow"; Expected a value of type "When".'
    assert errors["c"]["message"] == 'Argument "at" has invalid value 5; Expected a value of type "When".'
    assert errors["b"]["extensions"]["code"] == "INVALID_ARGUMENT" and errors["b"]["locations"]

    query = "query ($r: [Range!]) { range(ranges: $r) }"
    value = [{"from": "2024-02-29"}, {"from": "x", "next": {"from": "y", "prices": [["z"]]}}]
    (error,) = app.graphql(query, {"r": value})["errors"]
    assert error["message"] == ('Argument "ranges" has invalid value "x" at "ranges[1].from"; Expected a value of type "When".')
    assert set(error["extensions"]["violations"]) == {"ranges[1].from", "ranges[1].next.from", "ranges[1].next.prices[0][0]"}


def test_what_parse_says_itself(app):
    made = app(files=FILES, log_level="none")

    def parse(value):
        if value == "bug":
            raise KeyError(value)
        raise perilune.OutOfRange("no such day")

    made.scalar("When", parse=parse)
    made.resolver("Query", "when")(lambda parent, args: "called")
    a, b = made.graphql('{ when(at: "x") b: when(at: "bug") }')["errors"]
    assert a["message"] == 'Argument "at" has invalid value "x"; no such day'
    assert a["extensions"]["code"] == "OUT_OF_RANGE"
    assert b["extensions"]["code"] == "INTERNAL" and "bug" not in b["message"]


def test_long_values_are_cut(made):
    app = made()
    app.resolver("Query", "when")(lambda parent, args: "called")
    (error,) = app.graphql("query ($at: When) { when(at: $at) }", {"at": ["x" * 100_000]})["errors"]
    assert len(error["message"]) < 400


@dataclasses.dataclass
class User:
    id: str
    born: datetime.date | None = None
    friends: list = dataclasses.field(default_factory=list)


def test_results(made):
    app = made()
    ada = {"id": "1", "born": DAY, "days": (day for day in (DAY, DAY)), "wealth": Wealth("1.5"), "other": 1}
    whole = {"id": "2", "made": "raw", "best": ada, "friends": (User("3", DAY), User("4"))}
    app.resolver("Query", "user")(lambda: whole)
    app.resolver("Query", "days")(lambda: [[DAY], None, (DAY, DAY)])
    query = "{ user { made best { born days wealth } friends { id born friends { id } } } days }"
    assert app.graphql(query) == {
        "data": {
            "user": {
                "made": "lua: raw",  # it has a resolver, which is given what is there
                "best": {"born": "2024-02-29", "days": ["2024-02-29"] * 2, "wealth": "1.50"},
                "friends": [{"id": "3", "born": "2024-02-29", "friends": []}, {"id": "4", "born": None, "friends": []}],
            },
            "days": [["2024-02-29"], None, ["2024-02-29", "2024-02-29"]],
        }
    }
    assert ada["born"] is DAY and whole["best"] is ada  # what is the program's stays as it was


def test_interfaces_and_unions(made, caplog):
    app = made(log_level="error")
    values = [{"__typename": "Item", "price": Wealth("2")}, {"__typename": "User", "born": DAY}]
    node = [{"__typename": "Plain", "id": "1"}, {"__typename": "Item", "id": "1", "price": Wealth("3")}, {"price": Wealth("4")}]
    app.resolver("Query", "things")(lambda: values)
    app.resolver("Query", "node")(lambda: node.pop(0))
    assert app.graphql("{ things { ... on Item { price } ... on User { born } } }")["data"] == {
        "things": [{"price": "2.00"}, {"born": "2024-02-29"}]
    }
    assert app.graphql("{ node { id } }")["data"] == {"node": {"id": "1"}}
    assert app.graphql("{ node { id ... on Item { price } } }")["data"] == {"node": {"id": "1", "price": "3.00"}}
    assert app.graphql("{ node { id } }")["errors"][0]["extensions"]["code"] == "INTERNAL"
    app.close()
    assert "Query.node: result: an object of one of several types needs a __typename, as Item has custom scalars" in caplog.text


def test_serialize_fails(made, caplog):
    app = made(log_level="error")
    loop = {"id": "1"}
    loop["best"] = loop
    answers = [{"friends": [{"born": 5}]}, loop, {"born": "text"}]
    app.resolver("Query", "user")(lambda: answers.pop(0))
    app.resolver("Query", "users")(lambda: [{"wealth": 1.5}])
    for query in ("{ user { id } }", "{ user { id } }", "{ user { born } }"):
        assert app.graphql(query)["errors"][0]["extensions"]["code"] == "INTERNAL"
    app.close()
    assert "Query.user: result.friends[0].born: serialize of scalar When, of a value of type <class 'int'>" in caplog.text
    assert "it is nested too deeply, or contains itself" in caplog.text


def test_results_that_are_none_of_their_type(made):
    """What is wrong about them the library says, as it does without scalars."""
    app = made()
    app.resolver("Query", "users")(lambda: "text")
    app.resolver("Query", "user")(lambda: 7)
    response = app.graphql("{ users { id } user { born } }")
    assert response["data"]["users"] is None and response["errors"][0]["path"] == ["users"]


def test_streams(made):
    app, closed = made(), threading.Event()

    @app.resolver("Subscription", "days")
    async def days(parent, args):
        try:
            for number in range(2):
                yield args["from"] + datetime.timedelta(days=number)
        finally:
            closed.set()

    @app.resolver("Query", "users")
    async def users():
        yield {"id": "1", "born": DAY}
        yield None
        yield User("2", DAY)

    assert app.graphql("{ users { born } }")["data"] == {"users": [{"born": "2024-02-29"}, None, {"born": "2024-02-29"}]}
    with app.serve("127.0.0.1:0") as server:
        request = urllib.request.Request(
            f"http://{server.http}/graphql",
            b'{"query": "subscription { days(from: \\"2024-02-28\\") }"}',
            {"content-type": "application/json", "accept": "text/event-stream"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            text = response.read().decode()
    assert '{"days":"2024-02-28"}' in text and '{"days":"2024-02-29"}' in text
    assert closed.wait(20)


def test_scalars_that_are_luas_too(app):
    """Lua's functions stand towards the client, Python's towards Python."""
    files = FILES | {
        "resolvers/b.lua": """return { When = {
            parse = function(v)
              if v == "never" then require("perilune.errors").raise("INVALID_ARGUMENT", "never") end
              return "2024-" .. v
            end,
            serialize = function(v) return v .. "!" end } }""",
    }
    made = app(files=files, log_level="none")
    made.scalar("When", parse=datetime.date.fromisoformat, serialize=str)
    made.resolver("Query", "when")(lambda parent, args: args["at"])
    assert made.graphql('{ when(at: "02-29") lua(at: "01-01") born }')["data"] == {
        "when": "2024-02-29!",
        "lua": "string 2024-01-01",
        "born": "lua!",
    }
    assert made.graphql("query ($at: When) { when(at: $at) }", {"at": "never"}).get("data") is None


def test_ready_made_scalars(app):
    files = {"schema/a.graphql": "scalar DateTime type Query { next(at: DateTime!): DateTime! }"}
    made = app(files=files, log_level="none")
    made.scalar("DateTime", parse=datetime.datetime.fromisoformat, serialize=datetime.datetime.isoformat)
    made.resolver("Query", "next")(lambda parent, args: args["at"] + datetime.timedelta(seconds=1))
    assert made.graphql('{ next(at: "2024-02-29T23:59:59Z") }')["data"] == {"next": "2024-03-01T00:00:00+00:00"}
    assert made.graphql("query ($at: DateTime!) { next(at: $at) }", {"at": "soon"}).get("data") is None


def test_names_and_functions_are_checked(made, app):
    one = made()
    with pytest.raises(perilune.InvalidArgument, match="scalar When: there are functions for it already"):
        one.scalar("When", parse=str)
    with pytest.raises(TypeError, match="neither parse nor serialize"):
        one.scalar("Other")
    with pytest.raises(TypeError, match="are functions"):
        one.scalar("Other", parse="str")
    with pytest.raises(TypeError, match="cannot be async"):
        one.scalar("Other", parse=asyncio.sleep)
    one.scalar("Other", parse=str)
    with pytest.raises(perilune.InvalidArgument, match='scalar "Other", which the schema does not define'):
        one.start()
    started = app(files=FILES)
    started.start()
    with pytest.raises(perilune.FailedPrecondition, match="has started"):
        started.scalar("When", parse=str)


def test_a_reload_changes_where_scalars_stand(made):
    app = made()
    app.resolver("Query", "when")(lambda parent, args: str(type(args["at"]).__name__))
    other = {"schema/a.graphql": SCHEMA.replace("when(at: When): When", "when(at: String): String"), "resolvers/a.lua": LUA}
    plain = FILES["schema/a.graphql"].replace("when(at: When): When", "when(at: When): String")
    query = '{ when(at: "2024-02-29") }'
    app.reload(FILES | {"schema/a.graphql": plain})
    for number in range(40):
        assert app.graphql(query)["data"]["when"] == "date"
        app.reload(other | {"resolvers/a.lua": LUA + f" -- {number}"})
        assert app.graphql(query)["data"]["when"] == "str"
        app.reload(FILES | {"schema/a.graphql": plain})
        if number % 10 == 0:
            gc.collect()


def test_converters_are_kept_for_a_resolver(made, monkeypatch):
    count = 0
    convert = _scalars.Scalars.convert

    def counted(self, places, what):
        nonlocal count
        count += 1
        return convert(self, places, what)

    monkeypatch.setattr(_scalars.Scalars, "convert", counted)
    app = made()
    app.resolver("Query", "when")(lambda parent, args: args["at"])
    app.resolver("Query", "required")(lambda parent, args: "x")
    for _ in range(50):
        assert app.graphql('{ when(at: "2024-02-29") required(at: "2024-02-29") }')["data"]["when"] == "2024-02-29"
    assert count == 2
