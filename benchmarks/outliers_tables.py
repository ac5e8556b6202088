"""The tables of outliers: markdown of how well scores tell them from usual rows."""

from __future__ import annotations

import statistics
from functools import partial

from .comparisons import decimals, sound
from .outliers import SPLITS, WAYS
from .tables import markdown, number


def table_of(report, key):
    """Means over the seeds, a row to a data set and kind of fit; the best bold."""
    header = ["rows", "n", "d", "fit to", *WAYS]
    lines = [
        [one["case"]["data"], one["n"], one["d"], kind, *emphasised(one, kind, key)]
        for kind in SPLITS
        for one in sound(report)
    ]
    means = [
        [
            "mean",
            "",
            "",
            kind,
            *bold([over_data(report, kind, way, key) for way in WAYS]),
        ]
        for kind in SPLITS
    ]
    return markdown(header, lines + means)


def emphasised(one, kind, key):
    return bold([mean_of(one, kind, way, key) for way in WAYS])


def bold(values):
    """To three decimals; the highest bold, a dash for nothing."""
    shown = [decimals(value) for value in values]
    best = max((text for text in shown if text != "-"), default=None)
    return [f"**{text}**" if text == best else text for text in shown]


def mean_of(one, kind, way, key):
    """Mean over the seeds; None if a fit failed."""
    runs = [run for run in one["runs"] if (run["fit"], run["way"]) == (kind, way)]
    values = [run.get(key) for run in runs]
    return None if None in values else statistics.fmean(values)


def over_data(report, kind, way, key):
    values = [mean_of(one, kind, way, key) for one in sound(report)]
    return None if None in values else statistics.fmean(values)


def time_table(report):
    """Seconds of a fit and its scores, means over the seeds."""
    header = ["rows", "n", "d", *WAYS]
    lines = [
        [
            *(one["case"]["data"], one["n"], one["d"]),
            *(number(mean_of(one, "mixed", way, "seconds")) for way in WAYS),
        ]
        for one in sound(report)
    ]
    return markdown(header, lines)


OUTLIERS_TABLES = {
    "outliers": ("outliers", partial(table_of, key="auc")),
    "outliers-precision": ("outliers", partial(table_of, key="precision")),
    "outliers-seconds": ("outliers", time_table),
}
