# SPDX-License-Identifier: MIT
"""What the figures should be. Each ratio is stated so that higher is better."""

from dataclasses import dataclass

BY = {"rate": "rate", "cpu_us": "CPU time each"}


@dataclass(frozen=True)
class Target:
    name: str
    target: float
    value: object  # results by name -> the ratio, or None when its case has not run


def beside(case, ours, other, target, what, metrics=("rate", "cpu_us")):
    """Ours beside another candidate, by each of these metrics."""

    def ratio(metric):
        return lambda results: results[case].ratio(ours, other, metric) if case in results else None

    return [Target(f"{what} / {other} ({BY[metric]})", target, ratio(metric)) for metric in metrics]


def bound(case, candidate, metric, most, what, unit):
    """How many times the figure fits below its bound."""

    def value(results):
        figure = results[case].median(candidate, metric) if case in results else None
        return most / figure if figure else None

    return [Target(f"{most:g} {unit} / {what}", 1.0, value)]


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
    *beside("events/copy", "perilune-batch", "kafka-go", 3, "consume, handle, produce in lists"),
]


def ratios(results):
    """[{name, value, target, met}] of all whose cases have run."""
    found = []
    for one in TARGETS:
        value = one.value(results)
        if value is not None:
            found.append({"name": one.name, "value": round(value, 3), "target": one.target, "met": value >= one.target})
    return found
