# SPDX-License-Identifier: MIT
"""The pytest plugin, used as a program's own tests use it."""

import os
from pathlib import Path

import pytest

import perilune
from perilune.testing import Bundle, GraphQLError

pytest_plugins = ["pytester"]
EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


def test_graphql_with_a_database_of_its_own(perilune_start):
    there = sorted((EXAMPLES / "blog").iterdir())
    create = 'mutation { createUser(input: {name: "Ada", email: "new@example.com"}) { id } }'
    blogs = [perilune_start(EXAMPLES / "blog") for _ in range(2)]
    before = len(blogs[0].data("{ users(limit: 100) { id } }")["users"])
    assert blogs[0].data(create)["createUser"]["id"]
    assert len(blogs[0].post("query ($n: Int) { users(limit: $n) { id } }", {"n": 100})["data"]["users"]) == before + 1
    assert sorted((EXAMPLES / "blog").iterdir()) == there
    with pytest.raises(GraphQLError) as caught:
        blogs[0].data('mutation { createUser(input: {name: "Ada", email: "none"}) { id } }')
    assert caught.value.code is perilune.Code.INVALID_ARGUMENT


def test_grpc(perilune_shared):
    users = perilune_shared(EXAMPLES / "users")
    created = users.grpc("user.v1.UserService/CreateUser", {"name": "Ada", "email": "ada@example.com"})
    assert created["user"]["name"] == "Ada"
    number = created["user"]["id"]
    assert users.grpc("user.v1.UserService/GetUser", {"id": number})["user"]["email"] == "ada@example.com"
    assert number in [user["id"] for user in users.grpc("user.v1.UserService/ListUsers", {"page_size": 100})]
    many = [{"name": name, "email": f"{name}@example.com"} for name in "bc"]
    assert users.grpc("user.v1.UserService/CreateMultipleUsers", many)["created_count"] == 2
    with pytest.raises(perilune.NotFound):
        users.grpc("user.v1.UserService/GetUser", {"id": "nobody"})
    with pytest.raises(perilune.NotFound, match="no method"):
        users.grpc("user.v1.UserService/Nothing")


DEPOSIT = """mutation { deposit(input: {userId: "ada", amount: 5000, currency: "EUR", idempotencyKey: "salary"}) { text } }"""
COFFEE = {"user_id": "ada", "amount": 1250, "currency": "EUR", "merchant": "Cafe", "idempotency_key": "coffee"}


def test_all_three_together(perilune_start):
    shop = perilune_start(EXAMPLES / "payments", topics=["payments-enriched"])
    shop.data(DEPOSIT)
    payment = shop.grpc("payments.v1.PaymentService/CreatePayment", COFFEE)
    assert payment["status"] == "PAYMENT_STATUS_CREATED"
    enriched = shop.read("payments-enriched", 1, timeout=60)[0]
    assert enriched.json["merchant"] == "Cafe" and enriched.key == "ada"
    page = shop.post("{ payments { payments { id status } } }")["data"]["payments"]
    assert page["payments"] == [{"id": payment["id"], "status": "COMPLETED"}]


CONSUMER = """return { topic = "orders", group = "lua", format = "json", handler = function(event, msg, ctx)
  ctx.log:info("an order", { id = event.id })
  ctx.events:publish("seen", { id = event.id * 2 }, { key = msg.key })
end }"""


def test_events(perilune_start):
    bundle = perilune_start(files={"events/orders.lua": CONSUMER}, topics=["seen"])
    for number in range(3):
        bundle.publish("orders", {"id": number}, key="k")
    events = bundle.read("seen", 3, timeout=30)
    assert [event.json["id"] for event in events] == [0, 2, 4] and {event.key for event in events} == {"k"}
    assert bundle.wait_log("an order").perilune["id"] in (0, "0")
    with pytest.raises(TimeoutError, match="seen: 1 events are expected, and 0 have come"):
        bundle.read("seen", timeout=0.01)
    with pytest.raises(ValueError, match="name it when the bundle is started"):
        bundle.read("others")


def test_functions_and_reloads():
    files = {"schema/a.graphql": "type Query { a: String b: String }"}
    with Bundle(files=files, setup=lambda app: app.resolver("Query", "a")(lambda: "python"), env={"MY_NAME": "x"}) as bundle:
        assert os.environ["MY_NAME"] == "x"
        assert bundle.data("{ a b }") == {"a": "python", "b": None}
        bundle.reload({"resolvers/b.lua": 'return { Query = { b = function() return os.getenv "MY_NAME" end } }'})
        assert bundle.post("{ a b }")["data"] == {"a": "python", "b": "x"}
        place = bundle.place
    assert "MY_NAME" not in os.environ and not place.exists()


def test_the_setting_and_what_a_failure_shows(pytester):
    pytester.makepyfile(
        test_mine="""
        def test_it(perilune_bundle):
            assert perilune_bundle.data("{ a }") == {"a": "A"}

        def test_fails(perilune_bundle):
            perilune_bundle.data("{ wrong }")
        """
    )
    (pytester.path / "mine" / "schema").mkdir(parents=True)
    (pytester.path / "mine" / "resolvers").mkdir(parents=True)
    (pytester.path / "mine" / "schema" / "a.graphql").write_text("type Query { a: String wrong: String }")
    (pytester.path / "mine" / "resolvers" / "a.lua").write_text(
        'return { Query = { a = function() return "A" end, wrong = function() error "on purpose" end } }'
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--perilune-bundle", "mine")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*GraphQLError*", "*log of *bundle*", "*on purpose*"])
    pytester.makeini("[pytest]\nperilune_bundle = mine")
    pytester.runpytest_subprocess("-p", "no:cacheprovider", "-k", "test_it").assert_outcomes(passed=1)
    pytester.makeini("[pytest]")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-k", "test_it")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*say which one by the setting perilune_bundle*"])
