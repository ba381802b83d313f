# SPDX-License-Identifier: MIT
"""Medians, and how they are written."""

import math
import statistics


def median(values):
    return statistics.median(values)


def spread(values):
    """The least and the greatest."""
    return min(values), max(values)


def percentile(values, part):
    """The least value that at least this part of all is not above."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def figure(value):
    """Three digits that count; whole numbers from 100."""
    if value == 0:
        return "0"
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.{min(2 - math.floor(math.log10(abs(value))), 6)}f}"
