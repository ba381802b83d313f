# SPDX-License-Identifier: MIT
"""Plots as SVG: bars and lines, no more."""

import math
from xml.sax.saxutils import escape

from .stats import figure

WIDTH, BAR, LEFT, RIGHT = 720, 24, 150, 110
COLOURS = {"ours": "#1f6feb", "limit": "#8b949e", "peer": "#d29922"}
LICENCE = "<!-- SPDX-License-Identifier: MIT -->"
STYLE = "font-family:system-ui,sans-serif;font-size:12px;fill:#24292f"


def document(width, height, parts):
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
    return "\n".join([head, LICENCE, f'<rect width="{width}" height="{height}" fill="#ffffff"/>', *parts, "</svg>", ""])


def text(x, y, value, anchor="start", extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" style="{STYLE}{extra}">{escape(str(value))}</text>'


def line(x1, y1, x2, y2, colour="#d0d7de"):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def bars(title, unit, rows):
    """rows: (name, role, median, least, greatest); a whisker is the spread."""
    most = max((greatest for *_, greatest in rows), default=0) or 1
    scale = (WIDTH - LEFT - RIGHT) / most
    parts = [text(12, 22, title, extra=";font-weight:bold"), text(WIDTH - 12, 22, unit, "end")]
    for number, (name, role, middle, least, greatest) in enumerate(rows):
        y = 38 + number * BAR
        centre, end = y + BAR / 2 - 2, LEFT + greatest * scale
        parts.append(text(LEFT - 8, centre + 4, name, "end"))
        colour = COLOURS.get(role, COLOURS["peer"])
        parts.append(f'<rect x="{LEFT}" y="{y}" width="{max(middle * scale, 0.5):.1f}" height="{BAR - 6}" fill="{colour}"/>')
        if greatest > least:
            parts.append(line(LEFT + least * scale, centre, end, centre, "#24292f"))
        parts.append(text(end + 6, centre + 4, figure(middle)))
    return document(WIDTH, 46 + len(rows) * BAR, parts)


def ticks(least, greatest, log):
    """Round values from one end to the other."""
    if log:
        low, high = math.floor(math.log10(least)), math.ceil(math.log10(greatest))
        return [10.0**power for power in range(low, max(high, low + 1) + 1)]
    step = 10 ** math.floor(math.log10((greatest - least) or 1))
    for factor in (0.1, 0.2, 0.25, 0.5, 1, 2):
        if (greatest - least) / (step * factor) <= 7:
            step *= factor
            break
    first, last = math.floor(least / step), math.ceil(greatest / step)
    return [number * step for number in range(first, max(last, first + 1) + 1)]


def curve(title, x_title, unit, points, log=True):
    """points: (x, median, least, greatest). The x axis is logarithmic with log, the other one begins at 0."""
    height, left, top, bottom = 300, 84, 40, 256
    log = log and all(point[0] > 0 for point in points)
    marks_x = ticks(min(point[0] for point in points), max(point[0] for point in points), log)
    marks_y = ticks(0, max(point[3] for point in points), False)

    def place_x(x):
        low, high = (math.log10(marks_x[0]), math.log10(marks_x[-1])) if log else (marks_x[0], marks_x[-1])
        return left + ((math.log10(x) if log else x) - low) / (high - low) * (WIDTH - left - 30)

    def place_y(y):
        return bottom - y / marks_y[-1] * (bottom - top)

    parts = [text(12, 22, title, extra=";font-weight:bold"), text(WIDTH - 12, 22, unit, "end")]
    for mark in marks_y:
        parts += [line(left, place_y(mark), WIDTH - 30, place_y(mark)), text(left - 8, place_y(mark) + 4, figure(mark), "end")]
    for mark in marks_x:
        parts += [
            line(place_x(mark), bottom, place_x(mark), bottom + 5),
            text(place_x(mark), bottom + 18, figure(mark), "middle"),
        ]
    parts.append(text((left + WIDTH - 30) / 2, height - 8, x_title, "middle"))
    path = " ".join(f"{place_x(x):.1f},{place_y(middle):.1f}" for x, middle, *_ in points)
    parts.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS["ours"]}" stroke-width="2"/>')
    for x, middle, least, greatest in points:
        parts.append(f'<circle cx="{place_x(x):.1f}" cy="{place_y(middle):.1f}" r="3" fill="{COLOURS["ours"]}"/>')
        if greatest > least:
            parts.append(line(place_x(x), place_y(least), place_x(x), place_y(greatest), "#24292f"))
    return document(WIDTH, height, parts)
