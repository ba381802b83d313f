# SPDX-License-Identifier: MIT
"""Profiles as Markdown."""

from .stats import figure
from .text import anchor, table

LEAST = 0.005  # what has less of all is not worth a row
HOW = """perf has taken samples by `{event}` of servers under the load of the case, after its timed rounds; of events, in one more
round, from the start of the process on. A share of the samples is that share of the CPU time of a request, which gives the
microseconds. What the compiler puts into its caller counts as the caller. Libraries of the system name only the functions that
others call. The rest have their names of the static library where that is the same code, and are one row for each library where
it is not: (static functions)."""


def heading(case):
    return f"Profile: {case}"


def link(one):
    """To the profiles of this result, or nothing if there is none."""
    return f"[profile](#{anchor(heading(one.name))})" if getattr(one, "profiles", None) else ""


def percent(share):
    return f"{share * 100:.1f}"


def parts_table(title, kind, profiles):
    """Libraries or threads of all candidates that have a profile: for each, its share and microseconds."""
    found = {name: {row["name"]: row for row in one[kind]} for name, one in profiles.items()}
    names = {row["name"]: 0.0 for rows in found.values() for row in rows.values() if row["share"] >= LEAST}
    for rows in found.values():
        for name in names:
            names[name] = max(names[name], rows.get(name, {}).get("share", 0.0))
    lines = []
    for name in sorted(names, key=names.get, reverse=True):
        cells = [name]
        for rows in found.values():
            row = rows.get(name)
            cells += [figure(row["us"]), percent(row["share"])] if row else ["–", "–"]
        lines.append(cells)
    lines.append(["all", *(cell for one in profiles.values() for cell in (figure(one["cpu_us"]), "100"))])
    return table([title, *(head for name in profiles for head in (f"{name}, µs", "%"))], lines)


def functions_table(one, most):
    rows = [[f"`{row['name']}`", row["library"], figure(row["us"]), percent(row["share"])] for row in one["functions"][:most]]
    return table(["function", "library", "µs", "%"], rows)


def case_text(one, level, functions, only_ours=False):
    """All profiles of a case."""
    parts = [f"{level} {heading(one.name)}"]
    counts = ", ".join(f"{seen['samples']:,} of {name}" for name, seen in one.profiles.items())
    parts += [f"{one.title}; CPU time for each of the {one.what}. Samples: {counts}."]
    parts.append(parts_table("library", "libraries", one.profiles))
    if any(len([row for row in seen["threads"] if row["share"] >= LEAST]) > 1 for seen in one.profiles.values()):
        parts.append(parts_table("threads of this name", "threads", one.profiles))
    for name, seen in one.profiles.items():
        if not only_ours or one.candidates[name]["role"] == "ours":
            parts += [f"The heaviest functions of {name}:", functions_table(seen, functions)]
    return "\n\n".join(parts)


def missing(run):
    """Why there are no profiles, or nothing."""
    why = run.get("profiles", {}).get("missing")
    return f"No profiles were taken: {why}." if why else ""


def text(run, results, level="##", functions=15, only_ours=False):
    """The section of a report; nothing if there is neither a profile nor a reason why."""
    found = [one for one in results if getattr(one, "profiles", None)]
    if not found:
        return missing(run)
    parts = [f"{level} Profiles", HOW.format(event=run["profiles"]["event"])]
    return "\n\n".join(parts + [case_text(one, level + "#", functions, only_ours) for one in found])
