# SPDX-License-Identifier: MIT
"""Bundles without a server: App, graphql(), and what is raised."""

import asyncio
import dataclasses
import datetime
import os
import pickle
import threading

import pytest

import perilune

HELLO = {
    "schema/a.graphql": "type Query { hello(name: String): String  big: Float  fails: String }",
    "resolvers/a.lua": """
        local errors = require "perilune.errors"
        return { Query = {
          hello = function(_, args) return "hello " .. (args.name or "you") end,
          fails = function() error(errors.not_found "nothing here") end,
        } }""",
}
pytestmark = pytest.mark.core


def test_a_bundle_in_a_directory(app, example):
    blog = app(example("blog"))
    users = blog.graphql("{ users(limit: 2) { name posts { title } } }")["data"]["users"]
    assert len(users) == 2 and users[0]["name"] and users[0]["posts"]


def test_a_bundle_in_memory_with_variables_and_an_operation_name(app):
    hello = app(files=HELLO)
    assert hello.graphql("{ hello }") == {"data": {"hello": "hello you"}}
    query = "query A($name: String) { hello(name: $name) } query B { b: hello }"
    assert hello.graphql(query, {"name": "Zoë 🌍"}, "A") == {"data": {"hello": "hello Zoë 🌍"}}
    assert hello.graphql(query, operation_name="B") == {"data": {"b": "hello you"}}


def test_errors_of_the_operation_are_in_the_response(app):
    response = app(files=HELLO).graphql("{ hello fails }")
    assert response["data"] == {"hello": "hello you", "fails": None}
    assert response["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    assert "errors" in app(files=HELLO).graphql("{ nonsense")


def test_what_is_wrong_with_a_bundle_names_its_place(app):
    files = HELLO | {"resolvers/b.lua": "return { Query = { bonjour = function() end } }"}
    with pytest.raises(perilune.InvalidArgument, match=r"resolvers/b\.lua:1.*bonjour"):
        app(files=files).start()
    with pytest.raises(perilune.Error, match="no-such-folder") as caught:
        app("/no-such-folder").graphql("{ a }")
    assert isinstance(caught.value.code, perilune.Code)
    with pytest.raises(TypeError):
        app(".", files={})
    for wrong in ({"workers": 0}, {"queue": 0}, {"log_level": "loud"}):
        with pytest.raises(ValueError):
            app(files=HELLO, **wrong)


def test_variables_may_be_dataclasses_and_times(app):
    @dataclasses.dataclass
    class Who:
        name: str
        since: datetime.date

    schema = {
        "schema/a.graphql": "input Who { name: String since: String } type Query { echo(who: Who): String }",
        "resolvers/a.lua": 'return { Query = { echo = function(_, a) return a.who.name .. " " .. a.who.since end } }',
    }
    who = Who("Ann", datetime.date(2024, 2, 29))
    response = app(files=schema).graphql("query ($who: Who) { echo(who: $who) }", {"who": who})
    assert response == {"data": {"echo": "Ann 2024-02-29"}}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (object(), "request.variables.a[1].b: a value of type object has no form in JSON"),
        (float("nan"), "request.variables.a[1].b: nan is no number of JSON"),
        ({1: 2}, None),
        (b"bytes", "request.variables.a[1].b: a value of type bytes has no form in JSON"),
    ],
)
def test_variables_without_a_form_in_json_are_named(app, value, message):
    hello = app(files=HELLO)
    variables = {"a": ["fine", {"b": value}]}
    if message is None:
        assert "errors" not in hello.graphql("{ hello }", variables)
        return
    with pytest.raises(perilune.InvalidArgument) as caught:
        hello.graphql("{ hello }", variables)
    assert str(caught.value) == message


def test_variables_that_contain_themselves(app):
    variables = {}
    variables["self"] = variables
    with pytest.raises(perilune.InvalidArgument, match="contains itself"):
        app(files=HELLO).graphql("{ hello }", variables)


def test_a_request_that_is_not_understood_is_raised(app):
    with pytest.raises(perilune.InvalidArgument):
        app(files=HELLO).graphql(None)


def test_it_is_awaitable(app):
    hello = app(files=HELLO)

    async def main():
        return await asyncio.gather(*(hello.graphql_async("{ hello }") for _ in range(10)))

    assert asyncio.run(main()) == [{"data": {"hello": "hello you"}}] * 10


def test_threads_share_an_app(app):
    hello = app(files=HELLO)
    wrong = []

    def work(number):
        for _ in range(50):
            if hello.graphql(f'{{ hello(name: "{number}") }}') != {"data": {"hello": f"hello {number}"}}:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_closed_app_says_so(app):
    with app(files=HELLO) as hello:
        hello.graphql("{ hello }")
    hello.close()
    with pytest.raises(perilune.FailedPrecondition, match="closed"):
        hello.graphql("{ hello }")


def test_in_a_forked_child_it_says_so(app):
    hello = app(files=HELLO)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            hello.graphql("{ hello }")
            os.write(writer, b"no error")
        except perilune.FailedPrecondition as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert b"parent process" in os.read(reader, 1000)
    assert hello.graphql("{ hello }")["data"]


def test_there_is_an_exception_for_each_code():
    for code in perilune.Code:
        error = perilune.errors.of(code, "why\n")
        name = code.name.title().replace("_", "")
        assert type(error) is getattr(perilune, name) and error.code is code and str(error) == "why"
    error = perilune.InvalidArgument("no", {"email": "must contain @"})
    copy = pickle.loads(pickle.dumps(error))
    assert copy.violations == {"email": "must contain @"} and copy.message == "no"
