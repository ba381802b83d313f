# SPDX-License-Identifier: MIT
"""What the figures should be. Each ratio is stated so that higher is better."""

from dataclasses import dataclass

BY = {"rate": "rate", "cpu_us": "CPU time each"}


@dataclass(frozen=True)
class Target:
    name: str
    case: str
    target: float
    value: object  # results by name -> the ratio, or None when its case has not run


def beside(case, ours, other, target, what, metrics=("rate", "cpu_us")):
    """Ours beside another candidate, by each of these metrics."""

    def ratio(metric):
        return lambda results: results[case].ratio(ours, other, metric) if case in results else None

    return [Target(f"{what} / {other} ({BY[metric]})", case, target, ratio(metric)) for metric in metrics]


def bound(case, candidate, metric, most, what, unit):
    """How many times the figure fits below its bound."""

    def value(results):
        figure = results[case].median(candidate, metric) if case in results else None
        return most / figure if figure else None

    return [Target(f"{most:g} {unit} / {what}", case, 1.0, value)]


def beside_row(case, row, other, metric, target, name, times=1.0):
    """A row of a case beside another one of it."""

    def value(results):
        ratio = results[case].ratio(row, other, metric) if case in results else None
        return ratio and ratio * times

    return [Target(name, case, target, value)]


QUIET, RELOADING = "32 connections, no reload", "32 connections, a reload a second"
RELOAD_P99 = "p99 of requests without a reload / with one a second"
TWICE = "two workers / one: 2 × CPU time of a request with two servers of one worker / with two workers"
BESIDE, ALONE = "two servers of one worker", "one worker"  # see workers.py
ALSO = "two workers / one: 2 × CPU time of a request with one worker that is alone / with two workers"
TARGETS = [
    *beside("graphql/hello/http2", "perilune", "bare_h2o", 0.6, "GraphQL hello over HTTP/2"),
    *beside("graphql/nested/http1", "perilune", "mercurius", 3, "GraphQL nested over HTTP/1.1"),
    *beside("graphql/nested/http1", "perilune", "graphql-go", 10, "GraphQL nested over HTTP/1.1"),
    *beside("grpc/hello", "perilune", "bare_nghttp2", 0.6, "gRPC unary"),
    *beside("grpc/hello", "perilune", "grpc-go", 4, "gRPC unary"),
    *beside("grpc/hello", "perilune", "tonic", 2, "gRPC unary"),
    *beside("events/copy", "perilune-each", "bare_kafka", 0.5, "consume, handle, produce one by one"),
    *beside("events/copy", "perilune-batch", "bare_kafka", 0.5, "consume, handle, produce in lists"),
    *beside("events/copy", "perilune-each", "kafka-go", 3, "consume, handle, produce one by one"),
    *beside("events/copy", "perilune-each", "kafka-go-seed", 3, "consume, handle, produce one by one"),
    *beside("events/copy", "perilune-batch", "kafka-go", 3, "consume, handle, produce in lists"),
    *beside("events/consume", "perilune-each", "bare_kafka", 0.5, "consume one by one", ("cpu_us",)),
    *beside("events/consume", "perilune-batch", "bare_kafka", 0.5, "consume lists", ("cpu_us",)),
    *bound("reload/latency", "100 files", "reload_ms", 50, "reload of a bundle of 100 files", "ms"),
    *beside_row("reload/requests", RELOADING, QUIET, "p99_ms", 1 / 1.2, RELOAD_P99),
    *bound("startup/blog", "perilune", "ready_ms", 100, "start of the blog example to its ready line", "ms"),
    *bound("startup/blog", "perilune", "rss_idle", 30, "resident memory of the blog example, idle", "MB"),
    *bound("startup/blog", "perilune", "rss_load", 30, "resident memory of the blog example under load", "MB"),
    *beside_row("workers/hello", "two workers", BESIDE, "cpu_us", 1.8, f"hello: {TWICE}", 2),
    *beside_row("workers/hello", "two workers", ALONE, "cpu_us", 1.8, f"hello: {ALSO}", 2),
    *beside_row("workers/nested", "two workers", BESIDE, "cpu_us", 1.8, f"nested: {TWICE}", 2),
    *beside_row("workers/nested", "two workers", ALONE, "cpu_us", 1.8, f"nested: {ALSO}", 2),
]


def ratios(results):
    """[{name, value, target, met, case}] of all whose cases have run."""
    found = []
    for one in TARGETS:
        value = one.value(results)
        if value is not None:
            ratio = {"name": one.name, "value": round(value, 3), "target": round(one.target, 3), "met": value >= one.target}
            found.append(ratio | {"case": one.case})
    return found
