# SPDX-License-Identifier: MIT
"""The results in docs/performance.md: written of a report, never by hand."""

import json

from . import profile_text, report
from .paths import OUT, ROOT, Failed

PAGE = ROOT / "docs" / "performance.md"
PLOTS = PAGE.parent / "performance"
BEGIN, END = "<!-- results: scripts/bench --write-docs -->", "<!-- end of the results -->"
FUNCTIONS = 10  # of each profile
# The page has all tables, and these plots.
PLOTTED = (
    "graphql-hello-http2.svg",
    "graphql-nested-http1.svg",
    "graphql-subscribers.svg",
    "grpc-hello.svg",
    "events-copy.svg",
    "growth-connections-throughput.svg",
    "growth-connections-resident-memory.svg",
)


def results(found):
    """With the profiles of what is missed, shorter than in the report."""
    parts = [BEGIN, "## Results", report.machine_text(found), report.targets_text(found)]
    if not all(one["met"] for one in found["ratios"]):
        parts.append("[What stands in the way](#what-stands-in-the-way) of those that are not, in words.")
    parts.append(report.results_text(found, PLOTS.name, "##", PLOTTED))
    parts.append(profile_text.text(found, report.missed(found), "##", FUNCTIONS, only_ours=True))
    return "\n\n".join([part for part in parts if part] + [END])


def replaced(page, text):
    """The page with other results."""
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(BEGIN) > page.index(END):
        raise Failed(f"{PAGE.name} must have one line {BEGIN} and after it one line {END}")
    return page[: page.index(BEGIN)] + text + page[page.index(END) + len(END) :]


def write(path=OUT / "report.json", page=PAGE, folder=PLOTS):
    """Puts the results of this report in the page, and its plots beside it."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as problem:
        raise Failed(f"{path}: {problem}: run `make bench` first") from None
    options = found["options"]
    if found.get("failed") or options["case"] or options["peers"] != "all":
        why = "; ".join(found.get("failed", [])) or f"case {options['case'] or 'all'}, peers {options['peers']}"
        raise Failed(f"{path} is not of a whole run: {why}")
    page.write_text(replaced(page.read_text(), results(found)))
    folder.mkdir(exist_ok=True)
    for one in report.of_json(found).values():
        for name, plot in report.plots(one).items():
            if name in PLOTTED:
                (folder / name).write_text(plot)
