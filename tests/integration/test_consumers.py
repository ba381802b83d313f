# SPDX-License-Identifier: MIT
"""Consumers of events/ on a real Apache Kafka: what reaches handlers, in what order, and what becomes of what fails."""

import json
import time

import pytest

from harness import SLOWNESS, run_cli, wait_until

PROTO = 'syntax = "proto3"; package pay.v1; message Event { string text = 1; int64 n = 2; }'
# What handlers have seen goes to a topic of its own, where tests read it.
SEEN = """
local seen = {}
function seen.tell(ctx, what, key) ctx.events:publish("@SEEN@", what, { key = key }) end
return seen
"""


class Case:
    """A bundle with one consumer, its topics, and a server."""

    def __init__(self, kafka, start, partitions=1):
        self.kafka, self.start_server = kafka, start
        self.topic, self.seen, self.group = kafka.topic("in", partitions), kafka.topic("seen"), kafka.name("group")
        self.dead = kafka.topic("dead")

    def fill(self, text):
        names = {"TOPIC": self.topic, "SEEN": self.seen, "GROUP": self.group, "DEAD": self.dead}
        for name, value in names.items():
            text = text.replace(f"@{name}@", value)
        return text

    def files(self, consumer, **more):
        """consumer: the fields of a declaration, with `see(what, key)` for handlers."""
        code = f"""
            local errors, time, seen = require "perilune.errors", require "perilune.time", require "lib.seen"
            return {{ topic = "@TOPIC@", group = "@GROUP@", dead_letter = "@DEAD@", {consumer} }}"""
        files = {
            "app.lua": "return { kafka = { linger = 0, properties = { ['session.timeout.ms'] = 6000 } } }",
            "lib/seen.lua": SEEN,
            "events/consumer.lua": code,
        } | more
        return {path: self.fill(text) for path, text in files.items()}

    def serve(self, consumer, *flags, workers=1, **more):
        self.server = self.start_server(self.files(consumer, **more), "--kafka", self.kafka.brokers, *flags, workers=workers)
        return self.server

    def produce(self, *events):
        self.kafka.produce(self.topic, events)

    def wait_seen(self, count):
        return [json.loads(event.value) for event in self.kafka.wait_for(self.seen, count)]

    def wait_dead(self, count):
        return self.kafka.wait_for(self.dead, count)

    def stats(self, name):
        return sum(worker["consumers"][name] for worker in self.server.status()["workers"])


@pytest.fixture
def case(kafka, start):
    return lambda **options: Case(kafka, start, **options)


def headers_of(event):
    return {name: value.decode() for name, value in event.headers}


# --- what a handler gets ---


def test_an_event_and_its_message(case):
    c = case()
    c.serve("""handler = function(event, msg, ctx) seen.tell(ctx, { event = event, msg = msg, protocol = ctx.protocol,
        trace = ctx.headers.trace }) end""")
    c.produce({"key": "k", "value": '{"a":[1,null,9007199254740993]}', "headers": [("trace", "t1")], "timestamp": 1700000000123})
    (told,) = c.wait_seen(1)
    assert told["event"] == {"a": [1, None, 9007199254740993]}
    assert told["protocol"] == "event"
    assert told["trace"] == "t1"
    assert told["msg"] == {
        "key": "k",
        "value": '{"a":[1,null,9007199254740993]}',
        "headers": {"trace": "t1"},
        "topic": c.topic,
        "partition": 0,
        "offset": 0,
        "timestamp": 1700000000.123,
        "attempt": 1,
        "id": f"{c.topic}/0/0",
    }
    c.kafka.wait_committed(c.group, c.topic)


def test_protobuf_bytes_and_tombstones(case):
    c = case()
    c.serve(
        'message = "pay.v1.Event", handler = function(event, msg, ctx) seen.tell(ctx, event or "none") end',
        **{"proto/pay.proto": PROTO},
    )
    c.produce(b"\x0a\x02hi\x10\x05", {"key": "k", "value": None}, b"\xff\xff")
    assert c.wait_seen(2) == [{"text": "hi", "n": 5}, "none"]
    (dead,) = c.wait_dead(1)
    assert dead.value == b"\xff\xff"
    assert headers_of(dead)["kafka_dlt-exception-fqcn"] == "INVALID_ARGUMENT"
    d = case()
    d.serve('format = "bytes", handler = function(event, msg, ctx) seen.tell(ctx, #event) end')
    d.produce(b"\x00\xff\x01")
    assert d.wait_seen(1) == [3]


def test_batches_and_their_failures(case):
    c = case()
    c.serve("""batch = { size = 4, wait = 5 }, retry = false,
      handler = function(events, msgs, ctx)
        seen.tell(ctx, { events = events, last = msgs[#msgs].offset })
        return { [2] = errors.invalid_argument("second") }
      end""")
    c.produce('"a"', '"b"', "not json", '"d"')
    (told,) = c.wait_seen(1)
    assert told == {"events": ["a", "b", "d"], "last": 3}
    dead = {event.value: headers_of(event)["kafka_dlt-exception-message"] for event in c.wait_dead(2)}
    assert dead[b'"b"'] == "second"
    assert "JSON" in dead[b"not json"]
    c.kafka.wait_committed(c.group, c.topic)


def test_interceptors_wrap_events(case):
    c = case()
    app = """return { kafka = { linger = 0 }, interceptors = { function(ctx, next)
      ctx.user = "u1"
      local outcome = next(ctx)
      require("lib.seen").tell(ctx, { outcome = outcome.code, of = ctx.operation_name })
      return outcome
    end } }"""
    c.serve(
        "retry = false, handler = function(event, msg, ctx) if event == 2 then error('no') end seen.tell(ctx, ctx.user) end",
        **{"app.lua": app},
    )
    c.produce("1", "2")
    told = c.wait_seen(3)
    assert told == ["u1", {"outcome": "OK", "of": c.topic}, {"outcome": "INTERNAL", "of": c.topic}]


# --- order and concurrency ---


def test_a_slow_key_holds_up_only_itself(case):
    c = case()
    c.serve(
        """ordering = "key", handler = function(event, msg, ctx)
      if event == "wait" then while not ctx.shared:get("go") do time.sleep(0.02) end end
      seen.tell(ctx, event)
      if event == "go" then ctx.shared:set("go", true) end
    end""".replace("ctx.shared", 'require "perilune.shared".dict("d")')
    )
    c.produce(
        {"key": "slow", "value": '"wait"'},
        {"key": "slow", "value": '"after"'},
        *({"key": f"k{i}", "value": f'"{i}"'} for i in range(20)),
        {"key": "last", "value": '"go"'},
    )
    told = c.wait_seen(23)
    assert told[-2:] == ["wait", "after"]
    c.kafka.wait_committed(c.group, c.topic)


def test_what_is_not_done_is_not_committed(case):
    c = case()
    c.serve("""ordering = "key", handler = function(event, msg, ctx)
      seen.tell(ctx, event)
      if event == 3 and not os.getenv("SECOND") then time.sleep(1000) end
    end, commit_interval = 0.05""")
    c.produce(*({"key": str(i), "value": str(i)} for i in range(1, 9)))
    assert sorted(c.wait_seen(8)) == list(range(1, 9))
    wait_until(lambda: c.kafka.committed(c.group, c.topic) == {0: 2}, what="the prefix to be committed")
    c.server.crash()
    c.serve("""handler = function(event, msg, ctx) seen.tell(ctx, event) end""")
    assert c.wait_seen(14)[8:] == [3, 4, 5, 6, 7, 8]


# --- failures ---


def test_retries_wait_in_their_place_then_in_topics_then_end_as_dead_letters(case):
    c = case()
    c.serve("""retry = { attempts = 2, initial = 0.02, topics = { 0.1, 0.1 } }, handler = function(event, msg, ctx)
      seen.tell(ctx, { event, msg.attempt, msg.topic, msg.offset })
      if event == "fails" then error("kaputt") end
    end""")
    c.produce({"key": "k", "value": '"fails"', "headers": [("own", "1")], "timestamp": 1700000000000}, '"fine"')
    (dead,) = c.wait_dead(1)
    told = c.wait_seen(5)
    assert [one for one in told if one[0] == "fails"] == [["fails", i, c.topic, 0] for i in range(1, 5)]
    assert ["fine", 1, c.topic, 1] in told
    headers = headers_of(dead)
    assert (dead.key, dead.value, headers["own"]) == (b"k", b'"fails"', "1")
    trace = headers.pop("kafka_dlt-exception-stacktrace")
    assert "events/consumer.lua:" in trace
    message = headers.pop("kafka_dlt-exception-message")
    assert message.startswith("events/consumer.lua:") and message.endswith("kaputt")
    assert headers == {
        "own": "1",
        "kafka_dlt-original-topic": c.topic,
        "kafka_dlt-original-partition": "0",
        "kafka_dlt-original-offset": "0",
        "kafka_dlt-original-timestamp": "1700000000000",
        "kafka_dlt-original-consumer-group": c.group,
        "kafka_dlt-exception-fqcn": "INTERNAL",
        "perilune-attempt": "4",
    }


def test_errors_of_the_event_itself_are_not_tried_again(case):
    c = case()
    c.serve("""handler = function(event, msg, ctx)
      seen.tell(ctx, msg.attempt)
      error(errors.not_found("no such user"))
    end""")
    c.produce("1")
    (dead,) = c.wait_dead(1)
    assert headers_of(dead)["kafka_dlt-exception-message"] == "no such user"
    assert c.wait_seen(1) == [1]


@pytest.mark.parametrize(
    ("code", "message"),
    [("while true do end", "took longer"), ("local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end", "memory")],
)
def test_handlers_that_run_away_fail_their_event_alone(case, code, message):
    c = case()
    c.serve(
        "retry = false, handler = function(event, msg, ctx) if event == 1 then " + code + " end seen.tell(ctx, event) end",
        **{"app.lua": "return { kafka = { linger = 0 }, limits = { run_time = 0.3, call_memory = '8MB' } }"},
    )
    c.produce("1", "2")
    assert c.wait_seen(1) == [2]
    (dead,) = c.wait_dead(1)
    assert dead.value == b"1"
    assert headers_of(dead)["kafka_dlt-exception-fqcn"] in ("DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED")


def test_a_handler_that_waits_too_long_is_cancelled(case):
    c = case()
    c.serve("retry = false, timeout = 0.2, handler = function(event) time.sleep(1000) end")
    c.produce("1")
    (dead,) = c.wait_dead(1)
    assert headers_of(dead)["kafka_dlt-exception-fqcn"] == "DEADLINE_EXCEEDED"


def test_without_a_dead_letter_topic_an_event_is_tried_until_it_is_done(case):
    c = case()
    c.serve(
        """retry = { attempts = 1, initial = 0.01, max = 0.02 }, dead_letter = false, handler = function(event, msg, ctx)
      if msg.attempt < 6 then error(errors.invalid_argument("not yet")) end
      seen.tell(ctx, msg.attempt)
    end""".replace('dead_letter = "@DEAD@", ', "")
    )
    c.produce("1")
    assert c.wait_seen(1) == [6]


def test_when_everything_fails_the_consumer_pauses(case):
    c = case()
    c.serve("""ordering = "none", retry = { attempts = 1000, initial = 0.01, max = 0.01 },
      circuit = { failures = 5, pause = 0.05 },
      handler = function(event, msg, ctx)
        local d = require "perilune.shared".dict("d")
        if d:incr("n") <= 12 then error(errors.unavailable("database is away")) end
        seen.tell(ctx, event)
      end""")
    c.produce(*(str(i) for i in range(3)))
    assert sorted(c.wait_seen(3)) == [0, 1, 2]
    assert c.server.log_text().count("consumer pauses: everything fails") >= 2
    assert c.kafka.ends(c.dead) == {0: 0}


# --- groups ---


@pytest.mark.tsan
def test_a_reload_keeps_partitions_and_the_next_event_meets_new_code(case):
    c = case(partitions=4)
    code = 'handler = function(event, msg, ctx) seen.tell(ctx, "@VERSION@") end'
    c.serve(code.replace("@VERSION@", "one"), workers=2)
    wait_until(lambda: c.stats("partitions") == 4, what="all partitions")
    wait_until(lambda: [len(p) for p in c.kafka.members(c.group).values()] == [2, 2], what="two members")
    wait_until(lambda: c.stats("partitions") == 4, what="their partitions")
    c.produce("1")
    assert c.wait_seen(1) == ["one"]
    members, rebalances = c.kafka.members(c.group), c.stats("rebalances_total")
    for version in ("two", "three"):
        c.server.bundle.joinpath("events/consumer.lua").write_text(
            c.files(code.replace("@VERSION@", version))["events/consumer.lua"]
        )
        c.server.reload()
    c.produce("2")
    assert c.wait_seen(2) == ["one", "three"]
    assert c.kafka.members(c.group) == members
    assert c.stats("rebalances_total") == rebalances


def test_the_end_finishes_what_is_in_hand_and_waits_for_no_backoff(case):
    c = case()
    c.serve("""ordering = "key", retry = { initial = 1000, max = 1000 }, handler = function(event, msg, ctx)
      if event == "fails" then error("no") end
      time.sleep(0.3)
      seen.tell(ctx, event)
    end""")
    c.produce({"key": "a", "value": '"works"'}, {"key": "b", "value": '"fails"'})
    wait_until(lambda: c.stats("failed_total") == 1, what="the failure")
    began = time.monotonic()
    c.server.stop()
    assert time.monotonic() - began < 20 * SLOWNESS  # not the 1,000 s of the backoff
    assert c.wait_seen(1) == ["works"]
    assert c.kafka.committed(c.group, c.topic) == {0: 1}
    assert c.kafka.members(c.group) == {}


@pytest.mark.tsan
def test_partitions_are_shared_and_handed_over(case, kafka, start):
    c = case(partitions=4)
    code = "handler = function(event, msg, ctx) seen.tell(ctx, event) end"
    first = c.serve(code, workers=2)
    wait_until(lambda: sum(len(p) for p in kafka.members(c.group).values()) == 4, what="the assignment")
    second = start(c.files(code), "--kafka", kafka.brokers)
    wait_until(lambda: len([p for p in kafka.members(c.group).values() if p]) == 3, what="three members with partitions")
    c.produce(*({"key": str(i), "value": str(i)} for i in range(50)))
    assert sorted(c.wait_seen(50)) == list(range(50))
    second.stop()
    wait_until(
        lambda: sum(len(p) for p in kafka.members(c.group).values()) == 4 and len(kafka.members(c.group)) == 2,
        what="the partitions to be back",
    )
    assert first.status()


@pytest.mark.parametrize("settings", ['assignor = "cooperative-sticky"', 'instance = "pod-1"'])
def test_other_ways_to_be_a_member(case, settings):
    c = case(partitions=2)
    code = settings + ", handler = function(event, msg, ctx) seen.tell(ctx, event) end"
    c.serve(code, workers=2)
    c.produce({"value": "1", "partition": 0}, {"value": "2", "partition": 1})
    assert sorted(c.wait_seen(2)) == [1, 2]
    c.server.stop()
    c.serve(code, workers=2)
    c.produce({"value": "3", "partition": 0}, {"value": "4", "partition": 1})
    assert sorted(c.wait_seen(4)) == [1, 2, 3, 4]


def test_topics_by_regular_expression_and_from_a_time(case, kafka):
    c = case()
    kafka.produce(c.topic, [{"value": "1", "timestamp": 1700000000000}, {"value": "2", "timestamp": 1700000100000}])
    files = c.files("from = 1700000050, handler = function(event, msg, ctx) seen.tell(ctx, event) end")
    files["events/consumer.lua"] = files["events/consumer.lua"].replace(f'"{c.topic}"', f'"^{c.topic}.*"', 1)
    c.server = c.start_server(files, "--kafka", kafka.brokers)
    assert c.wait_seen(1) == [2]


# --- transactions ---


@pytest.mark.tsan
def test_events_published_by_a_handler_are_one_transaction_with_its_offset(case, kafka):
    c = case(partitions=2)
    out = kafka.topic("out")
    c.serve(f"""delivery = "exactly_once", ordering = "key",
      retry = {{ attempts = 2, initial = 0.01 }}, handler = function(event, msg, ctx)
      ctx.events:publish("{out}", {{ n = event, attempt = msg.attempt }}, {{ key = msg.key }})
      if event == 5 and msg.attempt == 1 then error("once more") end
      if event == 7 then error(errors.invalid_argument("never")) end
    end""")
    c.produce(*({"key": str(i), "value": str(i)} for i in range(10)))
    events = [json.loads(event.value) for event in kafka.wait_for(out, 9)]
    assert sorted(event["n"] for event in events) == [0, 1, 2, 3, 4, 5, 6, 8, 9]
    assert {event["n"]: event["attempt"] for event in events}[5] == 2
    (dead,) = c.wait_dead(1)
    assert dead.value == b"7"
    kafka.wait_committed(c.group, c.topic)
    assert all(batch.transactional for batch in kafka.batches(out) if not batch.control)


# --- declarations ---


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        ("{ group = 'g', handler = print }", "a consumer needs a topic"),
        ("{ topic = 't', handler = print }", "a consumer needs a group"),
        ("{ topic = 't', group = 'g' }", "a consumer needs a handler"),
        ("{ topic = 't', group = 'g', handler = print, retrys = {} }", 'There is no setting "retrys"'),
        ("{ topic = 't', group = 'g', handler = print, retry = { backoff = 'x' } }", "retry.backoff must be"),
        ("{ topic = 't', group = 'g', handler = print, message = 'a.B' }", 'There is no message "a.B"'),
        ("{ { topic = 't', group = 'g', handler = print }, { topic = 't', group = 'g', handler = print } }", "is there already"),
        (
            "{ topic = 't', group = 'g', handler = print, delivery = 'exactly_once', assignor = 'cooperative-sticky' }",
            "needs assignor",
        ),
        ("{ topic = 't', group = 'g', handler = print, retry = { never = { 'OOPS' } } }", 'there is no code "OOPS"'),
        ("5", "a file of events must be"),
    ],
)
def test_wrong_declarations_are_found_by_check(bundle, declaration, message):
    directory = bundle({"events/e.lua": f"return {declaration}"})
    result = run_cli("check", directory)
    assert result.returncode == 1
    assert "events/e.lua" in result.stdout + result.stderr
    assert message in result.stdout + result.stderr


# --- sequences ---


def test_dead_letters_in_sequence(case, kafka):
    """Events of a key follow the one that has failed, also after a restart, until all have been replayed."""
    c = case(partitions=2)
    code = """ordering = "key", retry = false, handler = function(event, msg, ctx)
      if event.v == "bad" and not GOOD then error("kaputt") end
      if event.v == "loop" and not GOOD then while true do end end
      seen.tell(ctx, event.n)
    end"""
    good = 'local GOOD = require("rules.good")\nlocal errors'
    files = {"rules/good.lua": "return false", "app.lua": "return { kafka = { linger = 0 }, limits = { run_time = 0.2 } }"}

    def serve(**more):
        made = c.files(code, **(files | more))
        made["events/consumer.lua"] = (
            made["events/consumer.lua"]
            .replace("local errors", good, 1)
            .replace(f'dead_letter = "{c.dead}"', f'dead_letter = {{ topic = "{c.dead}", sequenced = true }}')
        )
        c.server = c.start_server(made, "--kafka", kafka.brokers)

    def event(key, n, v="ok"):
        return {"key": key, "value": json.dumps({"n": n, "v": v})}

    serve()
    c.produce(event("a", 1), event("a", 2, "bad"), event("b", 3), event("a", 4), event("c", 5, "loop"), event("c", 6))
    c.wait_dead(4)
    assert sorted(c.wait_seen(2)) == [1, 3]
    c.server.stop()
    serve()
    c.produce(event("a", 7), event("b", 8))
    dead = c.wait_dead(5)
    assert {json.loads(one.value)["n"] for one in dead} == {2, 4, 5, 6, 7}
    behind = {json.loads(one.value)["n"]: headers_of(one)["kafka_dlt-exception-message"] for one in dead}
    assert f"parked behind {c.topic}/" in behind[4]
    assert f"parked behind {c.topic}/" in behind[7]
    # A replay before the cause is mended: all of them are back, in their order.
    replay = run_cli("dlq", "replay", c.dead, "--brokers", kafka.brokers)
    assert replay.returncode == 0, replay.stderr
    dead = c.wait_dead(10)
    assert [json.loads(one.value)["n"] for one in dead if one.key == b"a"] == [2, 4, 7, 2, 4, 7]
    # And after it.
    c.server.bundle.joinpath("rules/good.lua").write_text("return true")
    c.server.reload()
    run_cli("dlq", "replay", c.dead, "--brokers", kafka.brokers)
    told = c.wait_seen(8)
    assert [n for n in told if n in (2, 4, 7)] == [2, 4, 7]
    assert [n for n in told if n in (5, 6)] == [5, 6]
    c.produce(event("a", 9), event("c", 10))
    assert sorted(c.wait_seen(10)[8:]) == [9, 10]


def test_a_replay_is_for_the_group_that_has_failed(case, kafka):
    c = case()
    files = c.files("""retry = false, handler = function(event, msg, ctx)
      if not msg.headers["perilune-replay-of"] then error("once") end
      seen.tell(ctx, "failed first")
    end""")
    other = files["events/consumer.lua"].replace(c.group, c.group + "-other")
    other = other[: other.index("handler =")] + 'handler = function(event, msg, ctx) seen.tell(ctx, "other " .. event) end }'
    c.server = c.start_server(files | {"events/other.lua": other}, "--kafka", kafka.brokers)
    c.produce("1")
    c.wait_dead(1)
    assert run_cli("dlq", "replay", c.dead, "--brokers", kafka.brokers).returncode == 0
    c.produce("2")
    assert sorted(c.wait_seen(3)) == ["failed first", "other 1", "other 2"]
    kafka.wait_committed(c.group + "-other", c.topic)
