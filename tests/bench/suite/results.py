# SPDX-License-Identifier: MIT
"""What cases give: comparisons of candidates, and curves. Both become JSON as they are."""

from dataclasses import asdict, dataclass, field

from .stats import median

# What is measured: (title, unit, whether more is better).
METRICS = {
    "rate": ("rate", "/s", True),
    "cpu_us": ("CPU", "µs each", False),
    "ns": ("time", "ns", False),
    "ready_ms": ("to ready", "ms", False),
    "first_ms": ("to the first", "ms", False),
    "median_ms": ("to the median", "ms", False),
    "last_ms": ("to the last", "ms", False),
    "reload_ms": ("reload", "ms", False),
    "p50_ms": ("p50", "ms", False),
    "p99_ms": ("p99", "ms", False),
    "p999_ms": ("p99.9", "ms", False),
    "rss_idle": ("RSS idle", "MB", False),
    "rss_load": ("RSS under load", "MB", False),
}


@dataclass
class Comparison:
    """A case: for each candidate, the values of each metric, round by round."""

    name: str
    title: str
    what: str = "requests"  # that are counted
    notes: list = field(default_factory=list)
    candidates: dict = field(default_factory=dict)  # name: {"role": ..., metric: [values]}
    main: str = "rate"  # the metric of its plot
    profiles: dict = field(default_factory=dict)  # of some candidates: see profile.py

    def add(self, candidate, role, **values):
        row = self.candidates.setdefault(candidate, {"role": role})
        for metric, value in values.items():
            row.setdefault(metric, []).append(value)

    def metrics(self):
        return [metric for metric in METRICS if any(metric in row for row in self.candidates.values())]

    def median(self, candidate, metric):
        """None if there is none."""
        values = self.candidates.get(candidate, {}).get(metric)
        return median(values) if values else None

    def ratio(self, candidate, other, metric="rate"):
        """How many times better the candidate is than the other; None if one of them is missing."""
        ours, theirs = self.median(candidate, metric), self.median(other, metric)
        if not ours or not theirs:
            return None
        return ours / theirs if METRICS[metric][2] else theirs / ours

    def to_json(self):
        return {"kind": "comparison"} | asdict(self)


@dataclass
class Curve:
    """Something against something: each series is a chart of its own, points are [x, [values]]."""

    name: str
    title: str
    x: str
    log: bool = True
    notes: list = field(default_factory=list)
    series: dict = field(default_factory=dict)  # title: {"unit": ..., "points": [[x, [values]], ...]}

    def add(self, title, unit, x, value):
        points = self.series.setdefault(title, {"unit": unit, "points": []})["points"]
        for point in points:
            if point[0] == x:
                point[1].append(value)
                return
        points.append([x, [value]])

    def medians(self, title):
        return [(x, median(values)) for x, values in self.series[title]["points"]]

    def to_json(self):
        return {"kind": "curve"} | asdict(self)


def from_json(one):
    fields = {key: value for key, value in one.items() if key != "kind"}
    return Comparison(**fields) if one["kind"] == "comparison" else Curve(**fields)
