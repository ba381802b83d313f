# SPDX-License-Identifier: MIT
"""bench: runs the cases, all or some, and writes build/bench/report.md, report.json and plots."""

import argparse
import sys
import time
from pathlib import Path

from . import docs, events, graphql, growth, grpc, machine, protobuf, reload, report, startup, subscribers, workers
from .candidates import known
from .context import Context
from .paths import OUT, Failed

# Those with targets first.
FAMILIES = (graphql, grpc, events, reload, startup, workers, subscribers, protobuf, growth)


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
    """Runs the families of these cases. What goes wrong with one stands in context.failures, and the others run all the same."""
    for family in FAMILIES:
        mine = [name for name in family.names() if name in wanted]
        if mine:
            with context.attempt(", ".join(mine)):
                family.run(context, set(mine))


def at_least_one(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def arguments_of(arguments):
    parser = argparse.ArgumentParser(prog="bench", description=__doc__.partition(": ")[2])
    parser.add_argument("case", nargs="?", default="", help="which: a name or its beginning, or several with commas; all without")
    parser.add_argument("--rounds", type=at_least_one, default=3, help="of each case (3)")
    parser.add_argument(
        "--seconds", type=at_least_one, default=2, help="of each candidate in each round, half without a target (2)"
    )
    parser.add_argument("--peers", default="all", help="a comma list of peers, all or none; limits always take part")
    parser.add_argument("--events", type=at_least_one, default=200_000, help="how many events each round has (200000)")
    parser.add_argument("--profile", type=int, default=3, help="seconds of load under which each profile is taken; 0: none (3)")
    parser.add_argument("--out", default=str(OUT), help="where reports are written (build/bench)")
    parser.add_argument("--write-docs", action="store_true", help="put the results of the last whole run in docs/performance.md")
    parser.add_argument("--list", action="store_true", help="the cases and candidates")
    return parser.parse_args(arguments)


def measure(context, wanted):
    """Runs the cases and writes the report: whenever a case is done, so that whatever happens leaves what was measured before."""
    options, out = context.options, Path(context.options.out)
    run = {
        "began": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "options": {"case": options.case, "rounds": options.rounds, "seconds": options.seconds, "peers": options.peers},
        "machine": machine.describe(),
        "versions": machine.versions(),
        "profiles": {"event": context.profiler.event, "missing": context.profiler.missing},
    }

    def write(*unfinished):
        whole = report.make(run | {"minutes": round(context.minutes, 1)}, context.results)
        report.write(whole | {"failed": [*context.failures, *unfinished]}, out)
        return whole

    context.saved = lambda: write("the run has not come to its end")
    ended = ["the run was ended by an error of the suite itself"]
    try:
        execute(context, wanted)
        ended = []
    except KeyboardInterrupt:
        ended = ["the run was interrupted"]
    finally:
        whole = write(*ended)
        if whole["ratios"]:
            print("\n" + report.targets_text(whole))
        print(f"\nwritten: {out / 'report.md'}, report.json and plots, after {whole['minutes']} minutes", flush=True)
    if context.failures or ended:
        raise Failed("\nbench: ".join(context.failures + ended))


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
            context.prepare()
            measure(context, wanted)
    except Failed as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 1
    return 0
