# SPDX-License-Identifier: MIT
"""What a run leaves: report.json, report.md and the plots."""

import json

from . import profile_text, svg
from .results import METRICS, from_json
from .stats import figure, median, spread
from .targets import TARGETS, ratios
from .text import table

SECTIONS = {
    "graphql": "GraphQL",
    "grpc": "gRPC",
    "protobuf": "Protobuf",
    "events": "Events",
    "reload": "Reload",
    "growth": "Growth",
    "startup": "Start and memory",
    "workers": "Workers",
}


def make(run, results):
    """The whole report as JSON. `run`: machine, versions, options, times."""
    return run | {"ratios": ratios(results), "results": [one.to_json() for one in results.values()]}


def of_json(report):
    """The results of a report by name."""
    return {one["name"]: from_json(one) for one in report["results"]}


def slug(name):
    return name.replace("/", "-").replace(" ", "-").lower()


def values_text(values):
    """The median, and the spread when there are several."""
    least, greatest = spread(values)
    return figure(median(values)) + (f" ({figure(least)}–{figure(greatest)})" if len(values) > 1 else "")


def comparison_table(one):
    metrics = one.metrics()
    others = any(row["role"] != "ours" for row in one.candidates.values())
    ours = [name for name, row in one.candidates.items() if row["role"] == "ours"]
    heads = [""]
    for metric in metrics:
        title, unit, _ = METRICS[metric]
        unit = f"{one.what}/s" if metric == "rate" else unit
        heads.append(f"{title}, {unit}")
        if others and ours and metric in ("rate", "cpu_us", "ns", "last_ms", "ready_ms"):
            own = ours[0] if len(ours) > 1 else "Perilune"
            heads.append(f"{own} ÷ it" if METRICS[metric][2] else f"it ÷ {own}")
    rows = []
    for name, row in one.candidates.items():
        cells = [f"**{name}**" if row["role"] == "ours" else name]
        for metric in metrics:
            cells.append(values_text(row[metric]) if metric in row else "–")
            if others and ours and metric in ("rate", "cpu_us", "ns", "last_ms", "ready_ms"):
                ratio = one.ratio(ours[0], name, metric)
                cells.append(f"{ratio:.2f}" if ratio else "–")
        rows.append(cells)
    return table(heads, rows)


def messages_table(found):
    """All messages of Protobuf in one table; `found`: their comparisons."""
    libraries = list(dict.fromkeys(name for one in found for name in one.candidates))
    heads = [
        "message",
        *(f"{name}, ns" for name in libraries),
        *(f"{name} ÷ Perilune" for name in libraries if name != "perilune"),
    ]
    rows = []
    for one in found:
        cells = [one.name.partition("/")[2].replace("/", ": ") + f" ({one.title.partition(', ')[2]})"]
        cells += [values_text(one.candidates[name]["ns"]) if name in one.candidates else "–" for name in libraries]
        ratios_of = [one.ratio("perilune", name, "ns") for name in libraries if name != "perilune"]
        rows.append(cells + [f"{ratio:.2f}" if ratio else "–" for ratio in ratios_of])
    return table(heads, rows)


def curve_table(one):
    titles = list(one.series)
    xs = sorted({x for series in one.series.values() for x, _ in series["points"]})
    found = {title: dict(one.series[title]["points"]) for title in titles}
    heads = [one.x] + [f"{title}, {one.series[title]['unit']}" for title in titles]
    rows = [[figure(x)] + [values_text(found[title][x]) if x in found[title] else "–" for title in titles] for x in xs]
    return table(heads, rows)


def plots(one):
    """{file name: SVG}"""
    made = {}
    if hasattr(one, "series"):
        for title, series in one.series.items():
            points = [(x, median(values), *spread(values)) for x, values in sorted(series["points"])]
            if len(points) > 1:
                name = f"{slug(one.name)}-{slug(title)}.svg"
                made[name] = svg.curve(f"{one.title}: {title}", one.x, series["unit"], points, one.log)
        return made
    if section_of(one.name) == SECTIONS["protobuf"]:
        return made
    rows = [
        (name, row["role"], median(row[one.main]), *spread(row[one.main]))
        for name, row in one.candidates.items()
        if one.main in row
    ]
    if len(rows) > 1:
        title, unit, more = METRICS[one.main]
        unit = f"{one.what}/s" if one.main == "rate" else unit
        made[f"{slug(one.name)}.svg"] = svg.bars(one.title, f"{unit} ({'more' if more else 'less'} is better)", rows)
    return made


def targets_table(report):
    """Each target with its value. Those that are missed have links to their profiles; in a run of all cases, those whose case has
    failed stand there, too."""
    results, found = of_json(report), {one["name"]: one for one in report["ratios"]}
    rows = []
    for one in TARGETS:
        ratio = found.get(one.name)
        if ratio:
            why = "" if ratio["met"] or one.case not in results else profile_text.link(results[one.case])
            met = "yes" if ratio["met"] else "**no**"
            rows.append([one.name, f"{ratio['value']:.2f}", f"{ratio['target']:.2f}", met, why or "–"])
        elif not report["options"]["case"]:
            rows.append([one.name, "–", f"{one.target:.2f}", "**not measured**", "–"])
    return table(["ratio (higher is better)", "value", "target", "met", "what takes the time"], rows)


def targets_text(report):
    met = sum(one["met"] for one in report["ratios"])
    return f"{met} of {len(report['ratios'])} are met.\n\n{targets_table(report)}"


def missed(report):
    """The results with profiles whose targets are missed."""
    cases = {one["case"] for one in report["ratios"] if not one["met"]}
    return [one for one in of_json(report).values() if one.name in cases]


def section_of(name):
    return SECTIONS.get(name.split("/")[0], name.split("/")[0])


def case_text(one, plot_folder, plotted, level):
    parts = [f"{level} {one.name}: {one.title}", *one.notes]
    parts.append(curve_table(one) if hasattr(one, "series") else comparison_table(one))
    if plot_folder:
        parts += [f"![{name}]({plot_folder}/{name})" for name in plots(one) if plotted is None or name in plotted]
    return parts


def results_text(report, plot_folder=None, level="##", plotted=None):
    """Every case with its table, and its plots (those of these names, or all) when they are in a folder."""
    sections = {}
    for one in of_json(report).values():
        sections.setdefault(section_of(one.name), []).append(one)
    parts = []
    for section, found in sections.items():
        parts.append(f"{level} {section}")
        if section == SECTIONS["protobuf"]:
            parts += [*dict.fromkeys(note for one in found for note in one.notes), messages_table(found)]
            continue
        for one in found:
            parts += case_text(one, plot_folder, plotted, level + "#")
    return "\n\n".join(parts)


def machine_text(report):
    machine, options = report["machine"], report["options"]
    lines = [
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB; "
        f"{machine['system']}, Linux {machine['kernel']}.",
        f"{options['rounds']} rounds of {options['seconds']} s, half of that for requests without a target; {report['began']}, "
        f"{report['minutes']} minutes; load average before: {machine['load_before']}.",
        ", ".join(f"{name} {version}" for name, version in report["versions"].items()) + ".",
    ]
    if report.get("failed"):
        failed = "\n".join("- " + "\n  ".join(why.splitlines()) for why in report["failed"])
        lines.append(f"**The run failed, and is not whole:**\n\n{failed}")
    return "\n\n".join(lines)


HOW = """Server on core 0, load generator on core 1. Each figure is the median of the rounds, with the least and the greatest
beside it; the candidates of a case take turns in each round. CPU is the time of all processes and threads of the server for each
request: where the load generator is what holds a case up, it says more than the rate."""


def markdown(report):
    parts = ["# Benchmark", machine_text(report), HOW]
    if report["ratios"]:
        parts += ["## Targets", targets_text(report)]
    parts.append(results_text(report, "plots"))
    return "\n\n".join(part for part in [*parts, profile_text.text(report, of_json(report).values())] if part) + "\n"


def put(path, text):
    """All of it or nothing, should the machine be switched off."""
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    new.replace(path)


def write(report, out):
    """report.json, report.md and plots/, each whole."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "plots").mkdir(exist_ok=True)
    drawn = {name: plot for one in of_json(report).values() for name, plot in plots(one).items()}
    for old in (out / "plots").glob("*.svg"):
        if old.name not in drawn:
            old.unlink()
    for name, plot in drawn.items():
        (out / "plots" / name).write_text(plot)
    put(out / "report.md", markdown(report))
    put(out / "report.json", json.dumps(report, indent=1, ensure_ascii=False) + "\n")
