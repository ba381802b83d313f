# SPDX-License-Identifier: MIT
"""bench: runs the cases, all or some, and writes build/bench/report.md, report.json and plots."""

import argparse
import sys
import time
from pathlib import Path

from . import docs, events, graphql, growth, grpc, machine, protobuf, reload, report, startup, subscribers, workers
from .candidates import Chosen, known
from .paths import OUT, Failed

FAMILIES = (graphql, subscribers, grpc, protobuf, events, reload, growth, startup, workers)


class Context:
    """What a family of cases gets: the options, who takes part, and where results go."""

    def __init__(self, options):
        self.rounds, self.seconds, self.options = options.rounds, options.seconds, options
        self.chosen = Chosen(options.peers)
        self.results, self.begin = {}, time.monotonic()

    def add(self, result):
        self.results[result.name] = result
        table = report.curve_table(result) if hasattr(result, "series") else report.comparison_table(result)
        minutes = (time.monotonic() - self.begin) / 60
        print(f"\n{result.name}: {result.title} [{minutes:.1f} min]\n{table}", flush=True)


def all_cases():
    return [name for family in FAMILIES for name in family.names()]


def select(wanted):
    """The cases that a comma list of names, or of what names begin with, means."""
    if not wanted:
        return all_cases()
    chosen = set()
    for one in wanted.split(","):
        part = one.strip().strip("/")
        found = [name for name in all_cases() if name == part or name.startswith(part + "/")]
        if not found:
            raise Failed(f"no case {part}; there are:\n  " + "\n  ".join(all_cases()))
        chosen.update(found)
    return [name for name in all_cases() if name in chosen]


def list_all():
    print("cases:\n  " + "\n  ".join(all_cases()) + "\ncandidates:")
    for one in known():
        print(f"  {one.name:14} {one.role:6} {one.serves:8} {one.what}")


def execute(context, wanted):
    """Runs the families of these cases. Gives why it failed, or an empty text; what was measured before is kept."""
    try:
        for family in FAMILIES:
            mine = set(wanted) & set(family.names())
            if mine:
                family.run(context, mine)
    except Failed as problem:
        return str(problem)
    except KeyboardInterrupt:
        return "interrupted"
    return ""


def at_least_one(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def arguments_of(arguments):
    parser = argparse.ArgumentParser(prog="bench", description=__doc__.partition(": ")[2])
    parser.add_argument("case", nargs="?", default="", help="which: a name or its beginning, or several with commas; all without")
    parser.add_argument("--rounds", type=at_least_one, default=3, help="of each case (3)")
    parser.add_argument("--seconds", type=at_least_one, default=2, help="of each candidate in each round (2)")
    parser.add_argument("--peers", default="all", help="a comma list of peers, all or none; limits always take part")
    parser.add_argument("--events", type=at_least_one, default=200_000, help="how many events each round has (200000)")
    parser.add_argument("--out", default=str(OUT), help="where reports are written (build/bench)")
    parser.add_argument("--write-docs", action="store_true", help="put the results of the last whole run in docs/performance.md")
    parser.add_argument("--list", action="store_true", help="the cases and candidates")
    return parser.parse_args(arguments)


def measure(context, wanted):
    """Runs the cases and writes the report, of what there is when one fails. Gives why it failed, or an empty text."""
    options, out, begin = context.options, Path(context.options.out), time.monotonic()
    run = {
        "began": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "options": {"case": options.case, "rounds": options.rounds, "seconds": options.seconds, "peers": options.peers},
        "machine": machine.describe(),
        "versions": machine.versions(),
    }
    failed = "an error of the suite itself"
    try:
        failed = execute(context, wanted)
    finally:
        run["minutes"] = round((time.monotonic() - begin) / 60, 1)
        if failed:
            run["failed"] = failed
        whole = report.make(run, context.results)
        report.write(whole, out)
        if whole["ratios"]:
            print("\n" + report.ratio_table(whole["ratios"]))
        print(f"\nwritten: {out / 'report.md'}, report.json and plots, after {run['minutes']} minutes", flush=True)
    return failed


def main(arguments=None):
    options = arguments_of(arguments)
    try:
        if options.list:
            list_all()
        elif options.write_docs:
            docs.write(Path(options.out) / "report.json")
        else:
            wanted, context = select(options.case), Context(options)
            context.chosen.build({kind for family in FAMILIES if set(wanted) & set(family.names()) for kind in family.BUILDS})
            machine.prepare()
            failed = measure(context, wanted)
            if failed:
                raise Failed(failed)
    except Failed as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 1
    return 0
