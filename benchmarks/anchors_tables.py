"""The table of what users rely on, asked of both libraries."""

from __future__ import annotations

from .comparisons import sound
from .tables import markdown, number


def anchors_table(report):
    header = ["check", "settings", "at most"]
    header += ["emgmm meets it", "worst", "scikit-learn meets it", "worst"]
    rows = [
        [
            one["case"]["what"],
            len(one["values"]["emgmm"]),
            number(one["limit"]),
            *met(one["values"]["emgmm"], one["limit"]),
            *met(one["values"]["scikit-learn"], one["limit"]),
        ]
        for one in sound(report)
    ]
    return markdown(header, rows)


def met(values, limit):
    """In how many settings a check is met, and the greatest value there is."""
    known = [value for value in values if value is not None]
    worst = number(max(known)) if known else "-"
    failed = len(values) - len(known)
    raised = f"; {failed} raised an error" if failed else ""
    return sum(value <= limit for value in known), f"{worst}{raised}"


ANCHORS_TABLES = {"anchors": ("anchors", anchors_table)}
