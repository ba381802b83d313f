# SPDX-License-Identifier: MIT
"""perilune dlq: dead letters are listed, shown, replayed and dropped, on the embedded broker."""

import json
import re
import signal
import subprocess

import pytest

from harness import PERILUNE, SLOWNESS, environment, run_cli, wait_until

BROKER = {"app.lua": 'return { kafka = { brokers = "embedded" } }', "schema/s.graphql": "type Query { ping: String }"}


def produce(broker, topic, lines, *options, headers=()):
    flags = [flag for name, value in headers for flag in ("-H", f"{name}={value}")]
    command = ["kcat", "-b", broker, "-t", topic, "-P", "-K", ":", *flags, *options]
    subprocess.run(command, check=True, input="".join(f"{line}\n" for line in lines).encode(), timeout=30 * SLOWNESS)


def letters(broker, dlq, lines, topic="orders", code="INTERNAL", partition=1, at=0):
    """Dead letters as consumers write them."""
    about = {
        "original-topic": topic,
        "original-partition": partition,
        "original-offset": 7,
        "original-timestamp": 1700000000000,
        "original-consumer-group": "billing",
        "exception-fqcn": code,
        "exception-message": "it broke",
        "exception-stacktrace": "stack traceback:\n\tevents/o.lua:3",
    }
    headers = [("trace", "t1"), *((f"kafka_dlt-{name}", value) for name, value in about.items()), ("perilune-attempt", 4)]
    produce(broker, dlq, lines, "-p", str(at), headers=headers)


def consume(broker, topic, pattern="%p %k %s %h\\n"):
    command = ["kcat", "-b", broker, "-t", topic, "-C", "-e", "-q", "-f", pattern]
    return subprocess.run(command, check=True, capture_output=True, timeout=30 * SLOWNESS).stdout.decode().splitlines()


@pytest.fixture(scope="module")
def broker(start_shared):
    return start_shared(BROKER).ready["kafka"]


def dlq(broker, verb, *args, status=0):
    result = run_cli("dlq", verb, *args, "--brokers", broker)
    assert result.returncode == status, (result.stdout, result.stderr)
    return result.stdout if status == 0 else result.stderr


def waiting(broker, topic):
    return [json.loads(line)["key"] for line in dlq(broker, "show", topic, "--json", "--limit", "0").splitlines()]


def test_list_counts_by_origin_and_code(broker):
    letters(broker, "list-dlq", ["a:1", "b:2"])
    letters(broker, "list-dlq", ["c:3"], code="NOT_FOUND", at=2)
    produce(broker, "list-dlq", ["d:4"], "-p", "3")
    rows = [line.split() for line in dlq(broker, "list", "list-dlq").splitlines()]
    assert rows[0] == ["TOPIC", "WAITING", "DONE", "FROM", "GROUP", "CODE", "OLDEST", "NEWEST"]
    assert [row[:6] for row in rows[1:]] == [
        ["list-dlq", "2", "0", "orders", "billing", "INTERNAL"],
        ["list-dlq", "1", "0", "-", "-", "-"],
        ["list-dlq", "1", "0", "orders", "billing", "NOT_FOUND"],
    ]
    found = [json.loads(line) for line in dlq(broker, "list", "--json").splitlines()]
    assert [(row["code"], row["waiting"]) for row in found if row["topic"] == "list-dlq"] == [
        ("INTERNAL", 2),
        (None, 1),
        ("NOT_FOUND", 1),
    ]


def test_show_says_what_was_wrong_and_is_safe_to_look_at(broker):
    letters(broker, "show-dlq", ['u1:{"b":[1,2]}', "u2:\x1b[31mred\x1b[0m"], "payments")
    text = dlq(broker, "show", "show-dlq")
    assert "show-dlq/0/0  " in text and "  INTERNAL\n" in text
    assert "from       payments/1/7, of 2023-11-14T22:13:20Z" in text
    for line in ("group      billing", "attempt    4", "key        u1", "header     trace: t1", "reason     it broke"):
        assert f"  {line}\n" in text
    assert '    {\n      "b": [\n' in text
    assert "    \tevents/o.lua:3\n" in text
    assert "\x1b" not in text and "\\x1b[31mred" in text
    first, second = (json.loads(line) for line in dlq(broker, "show", "show-dlq", "--json").splitlines())
    assert (first["value"], first["format"], first["original_offset"], first["headers"]) == (
        {"b": [1, 2]},
        "json",
        7,
        [["trace", "t1"]],
    )
    assert (second["value"], second["format"]) == ("\x1b[31mred\x1b[0m", "text")
    assert dlq(broker, "show", "show-dlq", "--partition", "0", "--offset", "1", "--json").count("\n") == 1
    assert dlq(broker, "show", "show-dlq", "-n", "1", "--json").count("\n") == 1


def test_replay_publishes_the_event_as_it_was_and_once(broker):
    letters(broker, "replay-dlq", ['k1:{"n":1}', 'k2:{"n":2}'], "replayed")
    assert "2 events would be replayed, to replayed (2)" in dlq(broker, "replay", "replay-dlq", "--dry-run")
    assert dlq(broker, "replay", "replay-dlq") == "2 events replayed, to replayed (2); 0 did not match the filter.\n"
    assert consume(broker, "replayed") == [
        f'1 k{i + 1} {{"n":{i + 1}}} trace=t1,perilune-replay-of=replay-dlq/0/{i},'
        "perilune-replayed-event=replayed/1/7,perilune-replay-group=billing"
        for i in range(2)
    ]
    assert dlq(broker, "replay", "replay-dlq").startswith("0 events replayed;")
    assert waiting(broker, "replay-dlq") == []
    assert "2 (done)" not in dlq(broker, "show", "replay-dlq", "--all")
    assert dlq(broker, "show", "replay-dlq", "--all").count("(done)") == 2
    letters(broker, "replay-dlq", ["k3:x"], "replayed")
    assert dlq(broker, "replay", "replay-dlq").startswith("1 event replayed")
    assert len(consume(broker, "replayed")) == 3


def test_filters_leave_the_others_waiting(broker):
    letters(broker, "some-dlq", ["a:1", "b:2"], "some", code="INTERNAL")
    letters(broker, "some-dlq", ["c:3"], "some", code="NOT_FOUND")
    letters(broker, "some-dlq", ["d:4"], "others", code="INTERNAL")
    letters(broker, "some-dlq", ["e:5"], "some", code="INTERNAL")
    flags = ("-f", "code=INTERNAL", "-f", "original-topic=some", "-f", "since=1h")
    assert dlq(broker, "replay", "some-dlq", *flags).startswith("3 events replayed, to some (3); 2 did not match")
    assert waiting(broker, "some-dlq") == ["c", "d"]
    assert dlq(broker, "drop", "some-dlq", "-f", "key=d").startswith("1 event dropped")
    assert waiting(broker, "some-dlq") == ["c"]
    assert dlq(broker, "replay", "some-dlq", "-f", "until=2020-01-01").startswith("0 events")
    assert dlq(broker, "replay", "some-dlq", "--limit", "0").startswith("0 events")
    assert dlq(broker, "replay", "some-dlq", "--to", "elsewhere").startswith("1 event replayed, to elsewhere (1)")
    assert [line.split(" ", 1)[1] for line in consume(broker, "elsewhere", "%p %k %s\\n")] == ["c 3"]
    assert waiting(broker, "some-dlq") == []


def test_what_cannot_be_done_is_said(broker):
    produce(broker, "odd-dlq", ["a:1"], "-p", "0")
    assert "odd-dlq/0/0: no header says which topic" in dlq(broker, "replay", "odd-dlq", status=1)
    assert waiting(broker, "odd-dlq") == ["a"]
    letters(broker, "odd-dlq", ["b:1"], "narrow", partition=77)
    assert "odd-dlq/0/1 was not published again" in dlq(broker, "replay", "odd-dlq", status=1)
    assert waiting(broker, "odd-dlq") == ["a", "b"]
    assert "1 event replayed" in run_cli("dlq", "replay", "odd-dlq", "--by-key", "--brokers", broker).stdout
    assert waiting(broker, "odd-dlq") == ["a"]
    assert "--filter" in dlq(broker, "drop", "odd-dlq", status=2)
    assert dlq(broker, "drop", "odd-dlq", "--all").startswith("1 event dropped")
    assert "list, show, replay or drop" in dlq(broker, "shred", status=2)
    assert "which topic" in dlq(broker, "show", status=2)
    assert 'the filter "color=red"' in dlq(broker, "show", "odd-dlq", "-f", "color=red", status=2)
    result = run_cli("dlq", "list", "--brokers", "127.0.0.1:1", "--timeout", "1")
    assert result.returncode == 1 and "topics cannot be listed" in result.stderr


def replay_and_end(broker, number):
    """Ends a replay by a signal as soon as it has published something."""
    before = len(consume(broker, "long", "%o\\n"))
    command = [PERILUNE, "dlq", "replay", "long-dlq", "--brokers", broker]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def has_begun():
        return process.poll() is not None or len(consume(broker, "long", "%o\\n")) > before

    wait_until(has_begun, what="some to be published")
    process.send_signal(number)
    process.communicate(timeout=30 * SLOWNESS)


def test_a_replay_that_is_ended_goes_on_where_it_was(broker):
    letters(broker, "long-dlq", [f"k{i}:{i}" for i in range(3000)], "long")
    replay_and_end(broker, signal.SIGKILL)
    replay_and_end(broker, signal.SIGTERM)
    run_cli("dlq", "replay", "long-dlq", "--brokers", broker)
    assert waiting(broker, "long-dlq") == []
    marks = consume(broker, "long", "%h\\n")
    offsets = {re.search(r"perilune-replay-of=long-dlq/0/(\d+)", mark)[1] for mark in marks}
    assert offsets == {str(i) for i in range(3000)}


def test_the_brokers_are_those_of_the_bundle(broker, bundle):
    letters(broker, "bundled-letters", ["a:1"], "bundled")
    files = {
        "app.lua": f'return {{ kafka = {{ brokers = "{broker}" }} }}',
        "events/e.lua": 'return { topic = "bundled", group = "g", dead_letter = "bundled-letters", handler = function() end }',
    }
    result = run_cli("dlq", "list", "--json", "--dir", bundle(files))
    assert '"topic":"bundled-letters"' in result.stdout, result.stderr
    result = run_cli("dlq", "list", "--dir", bundle(files | {"events/e.lua": "return {"}))
    assert "is not right" in result.stderr
