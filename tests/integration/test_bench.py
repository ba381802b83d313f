# SPDX-License-Identifier: MIT
"""The suite of the benchmark: what it reads, how it judges, what it writes; and one case of it, run."""

import http.server
import json
import os
import re
import subprocess
import sys
import threading
import time
import types
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench.suite import (
    cli,
    docs,
    events,
    graphql,
    grpc,
    kafka,
    load,
    machine,
    profile,
    protobuf,
    report,
    static_names,
    stats,
    subscribers,
    svg,
    targets,
    workers,
)
from bench.suite.candidates import CANDIDATES, OURS, PEER, Chosen
from bench.suite.context import Context
from bench.suite.paths import Failed
from bench.suite.processes import Server, parse_ready
from bench.suite.results import Comparison, Curve, from_json
from harness import PERILUNE, ROOT

WRK = """Running 2s test @ http://127.0.0.1:1/graphql
  1 threads and 32 connections
  249 requests in 2.00s, 60.75KB read
JSON{"requests":249,"seconds":2.000000,"bytes":62208,"failed":%d,"p50_ms":0.2500,"p99_ms":1.5000,"p999_ms":2.7500}
"""
H2LOAD = """starting benchmark...
finished in %s, 481008.00 req/s, 12.84MB/s
requests: 962016 total, 962272 started, 962016 done, %d succeeded, %d failed, 0 errored, 0 timeout
status codes: %d 2xx, 0 3xx, 0 4xx, %d 5xx
traffic: 25.69MB (26936448) total, 939.47KB (962016) headers (space savings 97.62%%), 23.85MB (25012416) data
"""


@pytest.mark.parametrize(
    ("topics", "is_there"),
    [
        ([], False),
        ([{"topic": "a", "error": "Broker: Leader not available", "partitions": []}], False),
        ([{"topic": "a", "partitions": [{"leader": 1}] * 3}], False),
        ([{"topic": "a", "partitions": [{"leader": 1}] * 3 + [{"leader": -1}]}], False),
        ([{"topic": "b", "partitions": [{"leader": 1}] * 4}], False),
        ([{"topic": "a", "partitions": [{"leader": 1}] * 4}], True),
    ],
)
def test_a_topic_is_there_when_all_partitions_have_leaders(topics, is_there):
    assert kafka.ready(json.dumps({"topics": topics}), "a") == is_there


# --- load generators ---
def test_wrk_is_read():
    seen = load.parse_wrk(WRK % 0)
    assert (seen.requests, seen.seconds, seen.failed) == (249, 2.0, 0)
    assert (seen.p50_ms, seen.p99_ms, seen.p999_ms) == (0.25, 1.5, 2.75)
    assert seen.rate == 124.5
    with pytest.raises(Failed, match="no figures"):
        load.parse_wrk("unable to connect to 127.0.0.1:1 Connection refused")


@pytest.mark.parametrize(("text", "seconds"), [("2.00s", 2.0), ("950.12ms", 0.95012), ("1.5m", 90.0)])
def test_h2load_is_read(text, seconds):
    seen = load.parse_h2load(H2LOAD % (text, 962016, 0, 962016, 0))
    assert (seen.requests, seen.failed, seen.bytes) == (962016, 0, 25012416)
    assert seen.seconds == pytest.approx(seconds)


@pytest.mark.parametrize(("failed", "wrong"), [(3, 0), (0, 3)])
def test_h2load_counts_what_failed(failed, wrong):
    seen = load.parse_h2load(H2LOAD % ("2.00s", 962016 - failed, failed, 962016 - wrong, wrong))
    assert seen.failed == 3
    with pytest.raises(Failed, match="3 requests failed"):
        load.finish(seen, 1.0, 0.0, "", None)


def test_no_request_at_all_is_a_failure():
    with pytest.raises(Failed, match="0 requests failed of 0"):
        load.finish(load.Load(0, 2.0), 0.0, 0.0, "", None)


def test_cpu_time_is_for_each_message():
    seen = load.finish(load.Load(100, 2.0), 0.5, 12.0, "", None, each=10)
    assert (seen.requests, seen.cpu_us, seen.rss_load) == (1000, pytest.approx(500), 12.0)


def test_lines_of_subscribers():
    line = '{"connected":10,"first_us":1,"last_us":9,"median_us":5}\n'
    assert [one["last_us"] for one in subscribers.parse("it", line * 2, 10, 2)] == [9, 9]
    for printed in (line, line * 3, line * 2 + "x", line + line.replace("10", "9")):
        with pytest.raises(Failed):
            subscribers.parse("it", printed, 10, 2)


def test_lines_of_protobuf():
    assert protobuf.parse("small\t7\tdecode\t102\n") == [("small", 7, "decode", 102.0, "perilune")]
    assert protobuf.parse("small\t7\tdecode\t50\tprotobuf-c\n")[0][4] == "protobuf-c"
    with pytest.raises(Failed):
        protobuf.parse("out of memory\n")


# --- figures ---
def test_medians_and_percentiles():
    assert stats.median([5, 1, 3]) == 3 and stats.spread([5, 1, 3]) == (1, 5)
    values = list(range(1, 1001))
    assert [stats.percentile(values, part) for part in (0.5, 0.99, 0.999, 1.0)] == [500, 990, 999, 1000]
    assert stats.percentile([7], 0.99) == 7


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1234567.8, "1,234,568"), (100.4, "100"), (12.345, "12.3"), (1.2345, "1.23"), (0.012345, "0.0123"), (7.0, "7")],
)
def test_figures_have_three_digits(value, text):
    assert stats.figure(value) == text


def comparison(name="graphql/hello/http2", **rates):
    one = Comparison(name, "hello")
    for candidate, (role, values) in rates.items():
        for rate, cpu in values:
            one.add(candidate, role, rate=rate, cpu_us=cpu)
    return one


def test_ratios_say_how_much_better():
    one = comparison(perilune=(OURS, [(300, 2), (100, 9), (200, 4)]), other=("limit", [(400, 1)]))
    assert one.median("perilune", "rate") == 200
    assert one.ratio("perilune", "other") == 0.5  # more is better
    assert one.ratio("perilune", "other", "cpu_us") == 0.25  # less is better
    assert one.ratio("perilune", "nobody") is None and one.ratio("perilune", "other", "p99_ms") is None
    assert from_json(json.loads(json.dumps(one.to_json()))) == one


def test_targets():
    one = comparison(perilune=(OURS, [(60, 2)]), bare_h2o=("limit", [(100, 1)]))
    what, case = "GraphQL hello over HTTP/2 / bare_h2o", {"case": "graphql/hello/http2"}
    assert targets.ratios({one.name: one}) == [
        {"name": f"{what} (rate)", "value": 0.6, "target": 0.6, "met": True} | case,
        {"name": f"{what} (CPU time each)", "value": 0.5, "target": 0.6, "met": False} | case,
    ]


def test_bounds_are_ratios_too():
    one = Comparison("startup/blog", "start")
    one.add("perilune", OURS, ready_ms=25.0, rss_idle=60.0)
    found = {ratio["name"]: (ratio["value"], ratio["target"], ratio["met"]) for ratio in targets.ratios({one.name: one})}
    assert found["100 ms / start of the blog example to its ready line"] == (4.0, 1.0, True)
    assert found["30 MB / resident memory of the blog example, idle"] == (0.5, 1.0, False)
    two = Comparison("workers/hello", "workers")
    two.add("one worker", OURS, cpu_us=3.0)
    two.add(workers.BESIDE.title, OURS, cpu_us=2.0)
    two.add("two workers", OURS, cpu_us=2.5)
    beside, alone = targets.ratios({two.name: two})
    assert (beside["value"], beside["target"], beside["met"]) == (1.6, 1.8, False)
    assert (alone["value"], alone["target"], alone["met"]) == (2.4, 1.8, True)


def test_each_target_is_of_a_case_and_of_candidates_that_there_are():
    names = {one.name for one in CANDIDATES}
    rows = ["100 files", *(row.title for row in workers.ROWS), targets.QUIET, targets.RELOADING]
    results = {}
    for case in cli.all_cases():
        results[case] = Comparison(case, case)
        for row in [*names, *rows]:
            metrics = dict.fromkeys(("rate", "cpu_us", "reload_ms", "p99_ms", "ready_ms", "rss_idle", "rss_load"), 1.0)
            results[case].add(row, OURS, **metrics)
    found = targets.ratios(results)
    assert len(found) == len(targets.TARGETS) == len({one["name"] for one in found})
    assert {one.case for one in targets.TARGETS} <= set(cli.all_cases())


def test_profiles_are_of_cases_and_of_candidates_that_there_are():
    assert set(profile.PROFILED) <= set(cli.all_cases())
    for case, chosen in profile.PROFILED.items():
        family, name = case.split("/")[:2]
        there = [one.name for one in CANDIDATES if one.serves == family and (name in one.modes or family != "events")]
        assert set(chosen) <= set(there)


# --- what is chosen ---
def test_cases_are_chosen_by_how_they_begin():
    everything = cli.all_cases()
    assert cli.select("") == everything and len(set(everything)) == len(everything)
    assert cli.select("graphql/hello") == ["graphql/hello/http1", "graphql/hello/http2"]
    assert cli.select("grpc/chat, graphql/nested/http1") == ["graphql/nested/http1", "grpc/chat"]
    assert {name.split("/")[0] for name in cli.select("events,reload")} == {"events", "reload"}
    with pytest.raises(Failed, match="no case graphql/hell;"):
        cli.select("graphql/hell")


def test_peers_are_chosen_by_name():
    assert not [one for one in Chosen("none").candidates if one.role == PEER]
    assert [one.name for one in Chosen("tonic").of("grpc")] == ["perilune", "bare_nghttp2", "tonic"]
    assert Chosen("all").candidates == list(CANDIDATES)
    with pytest.raises(Failed, match="no peer tonik"):
        Chosen("tonic,tonik")


def test_versions_of_all_that_takes_part_are_found():
    found = machine.versions()
    assert [name for name, (file, _) in machine.VERSIONS.items() if not re.match(r"\d", found[name])] == []


# --- servers ---
def test_ready_lines():
    assert parse_ready("ready\n") == {}
    assert parse_ready('{"event":"ready","http":"127.0.0.1:1"}\n')["http"] == "127.0.0.1:1"
    for line in ("", "listening\n", '{"event":"started"}', "[]"):
        assert parse_ready(line) is None


def program(text):
    return [sys.executable, "-c", text]


def test_a_server_that_does_not_start_is_told_with_its_log(tmp_path):
    one = Server("broken", program("import sys; sys.exit('no such database')"), tmp_path / "log")
    with pytest.raises(Failed, match=r"broken printed no ready line(.|\n)*no such database"):
        one.start()
    with pytest.raises(Failed, match="was not ready within"):
        Server("slow", program("import time; time.sleep(60)"), tmp_path / "log").start(seconds=0.2)


def test_cpu_time_and_memory_are_those_of_children_too(tmp_path):
    work = "held = bytearray(64 << 20)\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass\n"
    child = f"import time\n{work}print(flush=True)\ntime.sleep(60)"
    text = f"import subprocess, sys\none = subprocess.Popen([sys.executable, '-c', {child!r}], stdout=subprocess.PIPE)\n"
    text += "one.stdout.readline()\nprint('ready', flush=True)\none.wait()"
    with Server("parent", program(text), tmp_path / "log") as one:
        assert one.cpu >= 0.3 and one.rss >= 64
        one.check()
    with pytest.raises(Failed, match="parent has ended"):
        one.check()


def test_what_a_server_prints_in_the_end(tmp_path):
    text = "import signal, time\nsignal.signal(15, lambda *_: print('consumed') or exit(0))\n"
    text += "print('ready', flush=True)\ntime.sleep(60)"
    with Server("talker", program(text), tmp_path / "log") as one:
        pass
    assert one.printed == "consumed\n"


def test_what_is_attached_to_a_server_is_there_before_its_program_begins(tmp_path):
    seen = []
    one = Server("held", program("print('ready', flush=True)\nimport time\ntime.sleep(60)"), tmp_path / "log")
    one.attach = lambda pid: seen.append((pid, Path(f"/proc/{pid}/comm").read_text().strip()))
    with one as process:
        assert seen == [(process.pid, "sh")] and process.program.startswith("python")


# --- answers ---
def test_answers_of_graphql():
    case = graphql.CASES["nested"]
    right = json.dumps({"data": graphql.nested()})
    assert case.right(right) and len(graphql.nested()["users"][9]["posts"]) == 10
    assert not case.right(right.replace("Post number 57 today", "Post number 75 today"))
    for body in (b"", b"[]", b'{"data":null}', right.replace('{"data"', '{"errors":[],"data"')):
        assert not case.right(body)
    note = graphql.CASES["mutation"]
    assert note.right('{"data":{"addNote":{"id":"17","text":"A note of some words"}}}')
    for one in ('{"id":"x","text":"A note of some words"}', '{"id":"17","text":""}', "null"):
        assert not note.right(f'{{"data":{{"addNote":{one}}}}}')


class Wrong(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = b'{"data":{"hello":"moon"}}'
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_a_wrong_answer_is_a_failure(tmp_path):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Wrong) as one:
        threading.Thread(target=one.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{one.server_address[1]}/graphql"
        with pytest.raises(Failed, match=r"peer: wrong answer to graphql/hello over HTTP/1\.1.*moon"):
            graphql.check("peer", "http1", url, graphql.CASES["hello"], tmp_path / "x")
        one.shutdown()


def test_orders_of_grpc_are_added_up():
    text = grpc.protoc("decode", "Order", grpc.encode(grpc.CASES["nested"].reply)).decode()
    assert "status: STATUS_CONFIRMED" in text and f"total: {grpc.TOTAL:g}" in text and text.count("lines {") == 5
    assert grpc.frame(b"abc") == b"\0\0\0\0\3abc"


def copies(count):
    return [
        (1000 + number // 100, str(number), json.dumps(events.order(number) | {"quantity": number % 7 + 1}))
        for number in range(count)
    ]


def test_copies_of_events():
    rows = copies(500)
    events.check("it", rows, 500, True)
    assert events.rate_of([at for at, _, _ in rows]) == 400 * 1000 / 4
    for wrong in (rows[:-1], rows + rows[:1], rows[:-1] + rows[:1]):
        with pytest.raises(Failed, match="it has written"):
            events.check("it", wrong, 500, True)
    with pytest.raises(Failed, match="has made of event"):
        events.check("it", rows, 500, False)
    with pytest.raises(Failed, match="too few"):
        events.rate_of([1, 1])


# --- the report ---
def results():
    one = comparison(perilune=(OURS, [(300, 2), (100, 9), (200, 4)]), bare_h2o=("limit", [(400, 1)]), gqlgen=(PEER, [(50, 20)]))
    curve = Curve("growth/connections", "hello", "connections")
    for x, rate in ((1, 100), (1, 120), (1000, 250), (20000, 240)):
        curve.add("throughput", "requests/s", x, rate)
    small = Comparison("protobuf/small/decode", "decode, 7 bytes", main="ns")
    small.add("perilune", OURS, ns=100.0)
    small.add("protobuf-c", "limit", ns=50.0)
    return {each.name: each for each in (one, small, curve)}


def whole(profiled=types.MappingProxyType({}), **more):
    run = {
        "began": "now",
        "minutes": 1.5,
        "options": {"case": "", "rounds": 3, "seconds": 2, "peers": "all"},
        "machine": {"processor": "P", "cores": 2, "memory_gb": 8, "system": "S", "kernel": "K", "load_before": 0.1},
        "versions": {"perilune": "1"},
        "profiles": {"event": "cpu-clock", "missing": ""},
    }
    found = results()
    for name, program in profiled.items():
        found["graphql/hello/http2"].profiles[name] = profile.parse(
            PERF, program, found["graphql/hello/http2"].median(name, "cpu_us")
        )
    return report.make(run | more, found)


def test_report(tmp_path):
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "of-another-run.svg").write_text("")
    report.write(whole(), tmp_path)
    again = json.loads((tmp_path / "report.json").read_text())
    assert report.of_json(again) == results()
    assert [set(one) for one in again["ratios"]] == [{"name", "value", "target", "met", "case"}] * 2
    text = (tmp_path / "report.md").read_text()
    assert "| GraphQL hello over HTTP/2 / bare_h2o (rate) | 0.50 | 0.60 | **no** | – |" in text
    assert "0 of 2 are met" in text and text.count("| **not measured** |") == len(targets.TARGETS) - 2
    assert "Profiles" not in text
    assert "| **perilune** | 200 (100–300) | 1.00 | 4 (2–9) | 1.00 |" in text
    assert "| gqlgen | 50 | 4.00 | 20 | 5.00 |" in text
    assert "| 1 | 110 (100–120) |" in text and "| small: decode (7 bytes) | 100 | 50 | 0.50 |" in text
    drawn = sorted(one.name for one in (tmp_path / "plots").iterdir())
    assert drawn == ["graphql-hello-http2.svg", "growth-connections-throughput.svg"]
    for name in drawn:
        assert f"plots/{name}" in text
        ET.fromstring((tmp_path / "plots" / name).read_text())


def test_a_report_of_a_run_that_failed_says_so(tmp_path):
    report.write(whole(failed=["graphql/hello/http2, yoga: did not start:\nno such file", "interrupted"]), tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "not whole:**\n\n- graphql/hello/http2, yoga: did not start:\n  no such file\n- interrupted\n" in text
    with pytest.raises(Failed, match="not of a whole run"):
        docs.write(tmp_path / "report.json", tmp_path / "page.md", tmp_path / "plots")


def test_results_are_written_into_the_page(tmp_path):
    report.write(whole(), tmp_path)
    page = tmp_path / "page.md"
    page.write_text(f"# Before\n\n{docs.BEGIN}\nold\n{docs.END}\n\nAfter\n")
    for _ in range(2):
        docs.write(tmp_path / "report.json", page, tmp_path / "performance")
    text = page.read_text()
    assert text.startswith(f"# Before\n\n{docs.BEGIN}\n") and text.endswith(f"{docs.END}\n\nAfter\n") and "old" not in text
    assert text.count("(performance/graphql-hello-http2.svg)") == 1
    assert (tmp_path / "performance" / "graphql-hello-http2.svg").exists()
    partial = {"options": {"case": "", "rounds": 3, "seconds": 2, "peers": "none"}}
    report.write(whole(**partial), tmp_path)
    with pytest.raises(Failed, match="not of a whole run: case all, peers none"):
        docs.write(tmp_path / "report.json", page, tmp_path / "performance")
    report.write(whole(), tmp_path)
    page.write_text("no place for them")
    with pytest.raises(Failed, match="must have one line"):
        docs.write(tmp_path / "report.json", page, tmp_path / "performance")
    assert docs.replaced(docs.PAGE.read_text(), "x").count("x") >= 1  # the page itself has the place


# --- profiles ---
PERF = """\
        perilune 17     300000  ffffffff8157abe2 tcp_sendmsg_locked ([kernel.kallsyms])
        perilune 17     100000  ffffffff8157abe2 [unknown] ([ip_tables])
        perilune 17     200000      7fe866ca862a complete_value.lto_priv.0 (/x/build/perilune)
        perilune 17     100000      7fe866ca862f complete_value (/x/build/perilune (deleted))
        perilune 17     100000      7fe866b9bc82 [unknown] (/usr/lib/x86_64-linux-gnu/liblua5.4.so.0.0.0)
        perilune 17      50000      7fe866b9bc99 [unknown] (/usr/lib/x86_64-linux-gnu/liblua5.4.so.0.0.0)
        perilune 17      50000      7fe866c05158 pthread_mutex_lock@@GLIBC_2.2.5 (/usr/lib/x86_64-linux-gnu/libc.so.6)
     rdk:broker1 18      40000      7fe866c05158 a::b<c, d (e)>::f(int) (/usr/lib/librdkafka.so.1)
 a thread of two 18      10000      7ffc12345678 __vdso_clock_gettime ([vdso])
        perilune 17      50000      7ffc12345678 [unknown] ([unknown])
"""


def test_a_profile_is_added_up():
    found = profile.parse(PERF, "perilune", 20.0)
    assert (found["samples"], found["cpu_us"]) == (10, 20.0)
    shares = {one["name"]: (one["share"], one["us"]) for one in found["libraries"]}
    assert shares == {
        "kernel": (0.4, 8.0),
        "own code": (0.3, 6.0),
        "liblua5.4": (0.15, 3.0),
        "libc": (0.05, 1.0),
        "other": (0.05, 1.0),
        "librdkafka": (0.04, 0.8),
        "vdso": (0.01, 0.2),
    }
    assert next(iter(shares)) == "kernel"  # the heaviest first
    threads = {one["name"]: one["share"] for one in found["threads"]}
    assert threads == {"perilune": 0.95, "rdk:broker1": 0.04, "a thread of two": 0.01}
    functions = [(one["name"], one["library"], one["share"]) for one in found["functions"]]
    renamed = profile.parse(PERF.replace("rdk:broker1", ":18"), "perilune", 20.0, names={17: "pl-loop"})["threads"]
    assert [one["name"] for one in renamed] == ["pl-loop", "(threads that have ended)", "a thread of two"]
    assert set(functions[:2]) == {("complete_value", "own code", 0.3), ("tcp_sendmsg_locked", "kernel", 0.3)}
    assert functions[2] == ("(static functions)", "liblua5.4", 0.15)
    assert ("a::b<c, d (e)>::f(int)", "librdkafka", 0.04) in functions
    for printed in ("", "\n", "perilune 1 2 3\n"):
        with pytest.raises(Failed, match="perf"):
            profile.parse(printed, "perilune", 20.0)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/usr/lib/libcrypto.so.3", "libcrypto"),
        ("/lib/libc-2.31.so", "libc"),
        ("/lib64/ld-linux-x86-64.so.2", "libc"),
        ("/usr/lib/libh2o-evloop.so.0.13", "libh2o-evloop"),
        ("[guest.kernel.kallsyms]", "kernel"),
        ("[heap]", "other"),
        ("//anon", "other"),
        ("/tmp/perf-17.map", "other"),
    ],
)
def test_libraries_are_named_by_their_files(path, name):
    assert profile.library(path, "perilune") == name


def test_profiles_in_the_report_and_in_the_page(tmp_path):
    """A target that is missed links to them; the page has no others."""
    profiles = {"perilune": "perilune", "bare_h2o": "perilune"}
    report.write(whole(profiles), tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "| 0.25 | 0.60 | **no** | [profile](#profile-graphqlhellohttp2) |" in text
    assert "\n### Profile: graphql/hello/http2\n" in text and "by `cpu-clock`" in text
    assert "| library | perilune, µs | % | bare_h2o, µs | % |" in text and "| kernel | 1.60 | 40.0 | 0.400 | 40.0 |" in text
    assert "| rdk:broker1 | 0.160 | 4.0 | 0.0400 | 4.0 |" in text
    assert "| `complete_value` | own code | 1.20 | 30.0 |" in text and "The heaviest functions of bare_h2o" in text
    assert report.of_json(json.loads((tmp_path / "report.json").read_text()))["graphql/hello/http2"].profiles
    page = tmp_path / "page.md"
    page.write_text(f"{docs.BEGIN}\n{docs.END}\n")
    docs.write(tmp_path / "report.json", page, tmp_path / "performance")
    text = page.read_text()
    assert "(#what-stands-in-the-way)" in text and "\n## What stands in the way\n" in docs.PAGE.read_text()
    assert "### Profile: graphql/hello/http2" in text and "functions of perilune" in text and "functions of bare_h2o" not in text
    found = whole(profiles)
    found["ratios"] = [one | {"met": True} for one in found["ratios"]]
    report.write(found, tmp_path)
    docs.write(tmp_path / "report.json", page, tmp_path / "performance")
    assert "Profile" not in page.read_text() and "#what-stands" not in page.read_text()


def fake_perf(folder, text):
    folder.mkdir()
    (folder / "perf").write_text(f"#!/bin/sh\n{text}\n")
    (folder / "perf").chmod(0o755)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "package linux-perf) cannot be run"),
        ("echo 'perf not found for kernel' >&2; exit 2", "perf not found for kernel"),
        ('case $1 in record) echo "No permission to enable $*" >&2; exit 255;; esac', "No permission to enable"),
        ("case $1 in record) printf 'Error:\\n\\nAccess is limited.\\nAnd more.\\n' >&2; exit 255;; esac", "Access is limited."),
        ("case $1 in evlist) echo cpu-clock:u;; script) echo 1;; esac", "may not see the kernel"),
        ("case $1 in evlist) echo cycles;; esac", "no samples"),
    ],
)
def test_without_perf_the_report_says_why(tmp_path, monkeypatch, text, why):
    if text is None:
        (tmp_path / "bin").mkdir()
    else:
        fake_perf(tmp_path / "bin", text)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    one = profile.Profiler(1)
    assert (
        why in one.missing and "\n" not in one.missing and "Error:" not in one.missing and not one.wants("grpc/hello", "perilune")
    )
    report.write(whole(profiles={"event": "", "missing": one.missing}), tmp_path)
    assert f"\nNo profiles were taken: {one.missing}.\n" in (tmp_path / "report.md").read_text()


def test_a_real_profile(tmp_path):
    one = profile.Profiler(1)
    if one.missing:
        pytest.skip(f"no profiles here: {one.missing}")
    assert one.wants("grpc/hello", "perilune") and not one.wants("grpc/hello", "tonic") and not one.wants("grpc/chat", "perilune")
    with Server("busy", program("print('ready', flush=True)\nwhile True: pass"), tmp_path / "log") as process:
        recording = one.recording()
        recording.attach(process.pid)
        begin = process.cpu
        while process.cpu < begin + 0.3:
            time.sleep(0.01)
        recording.stop(process)
        found = recording.read(5.0)
    assert found["samples"] > 20
    assert sum(row["us"] for row in found["libraries"]) == pytest.approx(5.0, rel=0.01)
    # What Python is made of: an executable, or a library.
    assert max(row["share"] for row in found["libraries"] if row["name"] != "kernel") > 0.5
    assert not profile.Profiler(0).wants("grpc/hello", "perilune")


FRAMES = """
00000018 0000000000000010 0000001c FDE cie=00000000 pc=%04x..%04x
"""


def test_functions_without_names_are_those_of_the_static_library():
    """Where they follow each other with the same sizes; a.cold is elsewhere, and x is only in one of the two."""
    ends = {0x10: 0x20, 0x20: 0x50, 0x50: 0x58, 0x60: 0x90, 0xA0: 0xA4}
    frames = "".join(FRAMES % one for one in reversed(ends.items()))
    shared = static_names.shared_functions(frames, "0000000000000010 T first@@V1\n00000000000000a0 T last\n00f0 D data\n")
    assert shared == [(0x10, 0x10, "first"), (0x20, 0x30, ""), (0x50, 8, ""), (0x60, 0x30, ""), (0xA0, 4, "last")]
    symbols = """
File: all.a(one.o)
   Num:    Value          Size Type    Bind   Vis      Ndx Name
     1: 0000000000000000     0 FILE    LOCAL  DEFAULT  ABS one.c
     2: 0000000000000010    48 FUNC    LOCAL  DEFAULT    1 a
     3: 0000000000000000    16 FUNC    GLOBAL DEFAULT    1 first
     4: 0000000000000000     5 FUNC    LOCAL  DEFAULT    4 a.cold
     5: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND elsewhere
File: all.a(two.o)
     1: 0000000000000000     8 FUNC    LOCAL  DEFAULT    1 b
     2: 0000000000000010    0x30 FUNC    LOCAL  DEFAULT    1 c
     3: 0000000000000060     4 FUNC    GLOBAL DEFAULT    1 last
"""
    archive = static_names.archive_functions(symbols)
    assert [name for _, name in archive] == ["first", "a", "b", "c", "last"]
    assert [name for *_, name in static_names.matched(shared, archive)] == ["first", "a", "b", "c", "last"]
    other = [(size + 1 if name == "b" else size, name) for size, name in archive]  # of another build
    assert [name for *_, name in static_names.matched(shared, other)] == ["first", "", "", "", "last"]
    names = static_names.Names("/no/such/library.so.1")
    assert names.of(0x20) == ""
    names.functions, names.begins = static_names.matched(shared, archive), sorted(ends)
    assert [names.of(address) for address in (0x0F, 0x10, 0x4F, 0x57, 0x58, 0xA4)] == ["", "first", "a", "b", "", ""]


def test_addresses_of_a_process_are_looked_up_in_its_files():
    files = static_names.Files("7f00-7f80 r-xp 00000100 08:01 5    /lib/one.so\n7f80-7f90 rw-p 0 08:01 5    /lib/one.so\n")
    files.names["/lib/one.so"] = types.SimpleNamespace(of=lambda offset: f"at {offset:x}")
    assert [files.of(address) for address in (0x7EFF, 0x7F00, 0x7F7F, 0x7F80)] == ["", "at 100", "at 17f", ""]
    printed = "perilune 1 100 7f04 [unknown] (/lib/one.so)\nperilune 1 100 7f85 [unknown] (/lib/one.so)\n"
    found = profile.parse(printed, "perilune", 1.0, files)["functions"]
    assert [one["name"] for one in found] == ["at 104", "(static functions)"]


# --- what goes wrong ---
class Family:
    """Cases with two candidates each; `wrong` says what happens in which case."""

    BUILDS = ()

    def __init__(self, wrong, out):
        self.wrong, self.out, self.seen = wrong, out, []

    def names(self):
        return ["graphql/hello/http1", "graphql/hello/http2", "grpc/hello"]

    def run(self, ctx, wanted):
        for name in self.names():
            with ctx.attempt(name):
                self.case(ctx, name)
            self.seen.append(json.loads((self.out / "report.json").read_text()))

    def case(self, ctx, name):
        if name in self.wrong:
            raise self.wrong[name]
        result = Comparison(name, name)

        def timed(one, _):
            result.add(one, OURS, rate=1.0, cpu_us=1.0)
            if f"{name}, {one}" in self.wrong:
                raise self.wrong[f"{name}, {one}"]

        named = types.SimpleNamespace
        for _ in range(2):
            running = ctx.each(result, [(named(name="a"), None), (named(name="b"), None)], lambda one, _: timed(one.name, _))
        ctx.add(result)
        self.left = running


def run_family(family, out, monkeypatch):
    monkeypatch.setattr(cli, "FAMILIES", (family,))
    options = cli.arguments_of(["--out", str(out), "--profile", "0"])
    context = Context(options)
    context.prepare()
    cli.measure(context, cli.all_cases())


def test_a_case_that_fails_costs_no_other_one(tmp_path, monkeypatch):
    wrong = {"graphql/hello/http1": Failed("no such server"), "grpc/hello, b": KeyError("x")}
    family = Family(wrong, tmp_path)
    with pytest.raises(Failed, match=r"graphql/hello/http1: no such server(.|\n)*grpc/hello, b: KeyError: 'x'"):
        run_family(family, tmp_path, monkeypatch)
    found = json.loads((tmp_path / "report.json").read_text())
    assert {one["name"]: list(one["candidates"]) for one in found["results"]} == {
        "graphql/hello/http2": ["a", "b"],
        "grpc/hello": ["a"],
    }
    assert [why.partition(":")[0] for why in found["failed"]][:2] == ["graphql/hello/http1", "grpc/hello, b"]
    # The report is written after each case: whatever ends the run, there is what was measured.
    assert [len(one["results"]) for one in family.seen] == [0, 1, 2]
    assert all("not come to its end" in one["failed"][-1] for one in family.seen)


def test_an_interrupted_run_has_its_report(tmp_path, monkeypatch):
    with pytest.raises(Failed, match="interrupted"):
        run_family(Family({"grpc/hello": KeyboardInterrupt()}, tmp_path), tmp_path, monkeypatch)
    found = json.loads((tmp_path / "report.json").read_text())
    assert found["failed"] == ["the run was interrupted"] and len(found["results"]) == 2


def test_a_run_without_failures(tmp_path, monkeypatch):
    run_family(Family({}, tmp_path), tmp_path, monkeypatch)
    assert json.loads((tmp_path / "report.json").read_text())["failed"] == []
    assert "failed" not in (tmp_path / "report.md").read_text()


# --- plots ---
def test_bars_are_as_long_as_what_they_stand_for():
    tree = ET.fromstring(svg.bars("a < b & c", "requests/s", [("one", "ours", 100, 90, 110), ("two", "limit", 50, 50, 50)]))
    space = "{http://www.w3.org/2000/svg}"
    widths = [float(one.get("width")) for one in tree.iter(space + "rect")][1:]  # the first is the ground
    assert widths[0] == pytest.approx(2 * widths[1], rel=0.01)
    texts = [one.text for one in tree.iter(space + "text")]
    assert texts[:2] == ["a < b & c", "requests/s"] and {"one", "two", "100", "50"} <= set(texts)
    assert svg.bars("nothing", "", [("none", "ours", 0, 0, 0)])


def test_points_of_a_curve():
    points = [(1, 10, 8, 12), (100, 20, 20, 20), (10000, 40, 40, 40)]
    tree = ET.fromstring(svg.curve("title", "connections", "MB", points))
    space = "{http://www.w3.org/2000/svg}"
    dots = [(float(one.get("cx")), float(one.get("cy"))) for one in tree.iter(space + "circle")]
    assert dots[1][0] - dots[0][0] == pytest.approx(dots[2][0] - dots[1][0], abs=0.2)  # logarithmic
    assert (dots[0][1] - dots[1][1]) * 2 == pytest.approx(dots[1][1] - dots[2][1], abs=0.2)  # from 0
    linear = ET.fromstring(svg.curve("title", "workers", "s", [(0, 1, 1, 1), (1, 2, 2, 2), (3, 1, 1, 1)], log=True))
    xs = [float(one.get("cx")) for one in linear.iter(space + "circle")]
    assert (xs[1] - xs[0]) * 2 == pytest.approx(xs[2] - xs[1], abs=0.2)  # there is no logarithm of 0


@pytest.mark.parametrize("least, greatest", [(0, 7), (0, 481008), (0, 0.03), (1, 1), (3, 3.2)])
def test_ticks_are_few_and_enclose(least, greatest):
    marks = svg.ticks(least, greatest, False)
    assert 2 <= len(marks) <= 10 and marks[0] <= least and marks[-1] >= greatest
    assert svg.ticks(1, 20000, True) == [1, 10, 100, 1000, 10000, 100000]


# --- one case, as `make bench` runs it ---
def test_one_case(tmp_path):
    limits = tmp_path / "limits"
    limits.mkdir()
    command = ["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-DH2O_USE_EPOLL=1", "-O1", ROOT / "tests/bench/limits/bare_h2o.c"]
    libraries = ["-lh2o-evloop", "-lssl", "-lcrypto", "-lpthread", "-lm", "-lz"]
    subprocess.run([*command, "-o", limits / "bare_h2o", *libraries], check=True, timeout=60)
    env = os.environ | {"BENCH_PERILUNE": str(PERILUNE), "BENCH_PROGRAMS": str(tmp_path), "BENCH_WORK": str(tmp_path / "work")}
    options = ["--rounds", "1", "--seconds", "1", "--profile", "1", "--peers", "none", "--out", tmp_path / "out"]
    command = [sys.executable, ROOT / "scripts" / "bench", "graphql/hello", *options]
    begin = time.monotonic()
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [one["name"] for one in found["results"]] == ["graphql/hello/http1", "graphql/hello/http2"]
    for one in report.of_json(found).values():
        for name in ("perilune", "bare_h2o"):
            rate, cpu = one.median(name, "rate"), one.median(name, "cpu_us")
            # On one core a second has no more than a million microseconds.
            assert rate > 0 and cpu > 0 and rate * cpu < 1.2e6
            assert one.median(name, "rss_load") > 1
    assert [one["name"] for one in found["ratios"]] == [one.name for one in targets.TARGETS[:2]]
    [_, http2] = report.of_json(found).values()
    assert set(http2.profiles) == (set() if found["profiles"]["missing"] else {"perilune", "bare_h2o"})
    for name, one in http2.profiles.items():
        assert one["cpu_us"] == http2.median(name, "cpu_us")
        assert {"kernel", "own code" if name == "perilune" else "libh2o-evloop"} <= {row["name"] for row in one["libraries"]}
    assert time.monotonic() - begin < 60


def test_a_server_that_answers_nothing_right_fails_the_run(tmp_path):
    """Instead of the server, a program that is ready and listens nowhere."""
    fake, limit = tmp_path / "perilune", tmp_path / "limits" / "bare_h2o"
    limit.parent.mkdir()
    for one in (fake, limit):
        one.write_text(
            '#!/bin/sh\n[ "$1" != --version ] || exit 0\necho \'{"event":"ready","http":"127.0.0.1:9"}\'\nexec sleep 60\n'
        )
        one.chmod(0o755)
    env = os.environ | {"BENCH_PERILUNE": str(fake), "BENCH_PROGRAMS": str(tmp_path), "BENCH_WORK": str(tmp_path / "work")}
    command = [sys.executable, ROOT / "scripts" / "bench", "graphql/hello/http1", "--peers", "none", "--out", tmp_path / "out"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1 and "wrong answer to graphql/hello over HTTP/1.1" in done.stderr
    assert "wrong answer" in json.loads((tmp_path / "out" / "report.json").read_text())["failed"][0]
