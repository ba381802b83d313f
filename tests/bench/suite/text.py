# SPDX-License-Identifier: MIT
"""Markdown: tables, and links to headings."""

import re


def table(heads, rows):
    """All columns but the first are numbers."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "|".join([" --- "] + [" ---: "] * (len(heads) - 1)) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def anchor(heading):
    """The name under which a heading can be linked to: GitHub's rule."""
    return re.sub(r"[^a-z0-9_ -]", "", heading.lower()).replace(" ", "-")
