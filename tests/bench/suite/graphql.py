# SPDX-License-Identifier: MIT
"""GraphQL: requests that one worker answers each second, over HTTP/1.1 and HTTP/2."""

import contextlib
import json
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass, field

from . import load
from .candidates import OURS
from .paths import Failed, work_dir
from .results import Comparison
from .servers import Servers, compare, limits

FAMILY = "graphql"
BUILDS = ("graphql",)  # the kinds of peers
WARM_UP_S = 3  # until what compiles as it runs has answered all that are waiting
PROTOCOLS = {"http1": "HTTP/1.1", "http2": "HTTP/2"}


@dataclass(frozen=True)
class Case:
    name: str
    title: str
    query: str
    answer: object  # the data, or a function that says whether they are right
    variables: dict = field(default_factory=dict, hash=False)
    connections: int = 32  # over HTTP/1.1
    streams: int = 32  # on each of 8 connections over HTTP/2

    def body(self):
        payload = {"query": self.query}
        if self.variables:
            payload["variables"] = self.variables
        return json.dumps(payload, separators=(",", ":"))

    def right(self, body):
        try:
            given = json.loads(body)
        except ValueError:
            return False
        if not isinstance(given, dict) or "errors" in given:
            return False
        return self.answer(given.get("data")) if callable(self.answer) else given.get("data") == self.answer


# --- the data, made without those of the servers ---
def user(number):
    return {"id": str(number), "name": f"User number {number}"}


def nested():
    posts = [{"id": str(i + 1), "title": f"Post number {i + 1} today", "author": user(i // 10 + 1)} for i in range(100)]
    users = [user(u) | {"email": f"user{u}@example.com"} for u in range(1, 11)]
    return {"users": [one | {"posts": posts[u * 10 : u * 10 + 10]} for u, one in enumerate(users)]}


def item(i):
    return {
        "id": str(i),
        "name": f"Item number {i}",
        "description": f"What item {i} is good for, in a sentence of some words",
        "price": i + 0.25,
        "quantity": i % 17,
        "available": i % 3 != 0,
        "colour": ("red", "green", "blue", "white")[i % 4],
        "weight": i / 8,
        "rating": i % 5 + 1,
        "supplier": f"Supplier {i % 10}",
    }


def feed():
    return {"feed": [{"id": str(i), "title": f"Entry number {i}", "author": user(i % 10 + 1)} for i in range(1, 101)]}


def note(data):
    """Its id is whatever the database gives."""
    one = data.get("addNote") if isinstance(data, dict) else None
    return isinstance(one, dict) and set(one) == {"id", "text"} and str(one["id"]).isdigit() and one["text"] == TEXT


TEXT = "A note of some words"
GREETING = {"lines": ["Hello, Ada!"] * 3, "tone": "FRIENDLY", "age": 36, "tags": ["a", "b"]}
CASES = {
    one.name: one
    for one in (
        Case("hello", "`{ hello }`", "{ hello }", {"hello": "world"}),
        Case(
            "nested",
            "10 users × 10 posts × author: 111 resolvers",
            "{ users { id name email posts { id title author { id name } } } }",
            nested(),
        ),
        Case(
            "list",
            "1,000 objects × 10 fields",
            "{ items { id name description price quantity available colour weight rating supplier } }",
            {"items": [item(i) for i in range(1, 1001)]},
            connections=8,  # it takes some servers 40 ms: with more in hand, few would be answered in a round
            streams=1,
        ),
        Case("loaders", "100 entries whose authors a loader loads", "{ feed { id title author { id name } } }", feed()),
        Case(
            "mutation",
            "a mutation that inserts into SQLite",
            "mutation ($text: String!) { addNote(text: $text) { id text } }",
            note,
            {"text": TEXT},
        ),
        Case(
            "variables",
            "variables and arguments",
            "query ($person: PersonInput!, $times: Int!) { greet(person: $person, times: $times) { lines tone age tags } }",
            {"greet": GREETING},
            {"person": {"name": "Ada", "age": 36, "tags": ["a", "b"]}, "times": 3},
        ),
    )
}


def names():
    return [f"{FAMILY}/{case}/{protocol}" for case in CASES for protocol in PROTOCOLS]


# --- one request ---
def post(url, body):
    request = urllib.request.Request(url, body.encode(), {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.read()
    except urllib.error.HTTPError as problem:
        return problem.read()
    except OSError as problem:
        return str(problem).encode()


def post_http2(url, path):
    command = ["nghttp", "--timeout=30s", "-d", path, "-H", "content-type: application/json", url]
    return subprocess.run(command, capture_output=True, timeout=60, check=False).stdout


def ask(protocol, url, case, path):
    return post(url, case.body()) if protocol == "http1" else post_http2(url, path)


def check(candidate, protocol, url, case, path):
    given = ask(protocol, url, case, path)
    if not case.right(given):
        raise Failed(f"{candidate}: wrong answer to {FAMILY}/{case.name} over {PROTOCOLS[protocol]}: {given[:500]!r}")


# --- many ---
def send(protocol, one, case, path, seconds):
    url = f"http://{one.ready['http']}/graphql"
    if protocol == "http1":
        return load.wrk(url, case.body(), seconds, one, case.connections)
    return load.h2load(url, path, seconds, one, streams=case.streams)


def measure(ctx, case, protocol, servers):
    path = work_dir(FAMILY) / f"{case.name}.json"
    path.write_text(case.body())
    result = Comparison(f"{FAMILY}/{case.name}/{protocol}", f"{case.title}, {PROTOCOLS[protocol]}")
    running = servers.of(result.name, case.name, protocol)
    ours = next(process for one, process in running if one.role == OURS)
    answer = ask(protocol, f"http://{ours.ready['http']}/graphql", case, path)
    result.notes.append(f"An answer of Perilune's has {len(answer):,} bytes.")

    def right(one, process):
        check(one.name, protocol, f"http://{process.ready['http']}/graphql", case, path)

    def ask_for(process, seconds):
        return send(protocol, process, case, path, seconds)

    with contextlib.ExitStack() as stack:
        running = limits(ctx, stack, FAMILY, result.name, case.name, answer) + running
        compare(ctx, result, running, right, ask_for, WARM_UP_S)


def run(ctx, wanted):
    with contextlib.ExitStack() as stack:
        servers = Servers(ctx, stack, FAMILY)
        for case in CASES.values():
            for protocol in PROTOCOLS:
                name = f"{FAMILY}/{case.name}/{protocol}"
                if name in wanted:
                    with ctx.attempt(name):
                        measure(ctx, case, protocol, servers)
