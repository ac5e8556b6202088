"""The tables of noise: markdown of how well clusters in it are found."""

from __future__ import annotations

import statistics

from .comparisons import decimals, percent, sound
from .noise import ALONE, DEFAULT, OF_MCLUST, OURS, TRUTH, WAYS
from .tables import markdown, number

NEAR = 1e-3  # nats a row
TARGET = 0.02  # the most of ARI that noise may cost


def runs_by(one, way, share=None):
    """The runs of a way, of one share of noise or of all."""
    return [
        run
        for run in one["runs"]
        if run["way"] == way and share in (None, run["share"])
    ]


def mean_of(runs, key):
    """Mean over the seeds; None if there are none, or a fit failed."""
    values = [run.get(key) for run in runs]
    return None if None in values or not values else statistics.fmean(values)


def right(runs, size):
    """How many of the runs have so many components, out of all."""
    if not runs:
        return "-"
    return f"{sum(run.get('K') == size for run in runs)} of {len(runs)}"


def shares_of(report):
    """Every data set with each share of noise."""
    for one in sound(report):
        for share in one["case"]["shares"]:
            yield one, share


def named(one, share):
    return [one["case"]["data"], *(one[key] for key in "ndK"), percent(share)]


def size_table(report):
    """How many seeds have the right number of components, and weights of noise."""
    header = ["rows", "n", "d", "K", "noise", *(f"{way}: K" for way in WAYS)]
    weighted = [OURS, *OF_MCLUST[1:]]
    header += [f"weight, {way}" for way in weighted]
    lines = []
    for one, share in shares_of(report):
        found = {way: runs_by(one, way, share) for way in WAYS}
        lines.append(
            [
                *named(one, share),
                *(right(runs, one["K"]) for runs in found.values()),
                *(decimals(mean_of(found[way], "noise_weight")) for way in weighted),
            ]
        )
    totals = [in_all(report, way) for way in WAYS]
    lines.append(["all", *[""] * 4, *totals, *[""] * len(weighted)])
    return markdown(header, lines)


def in_all(report, way):
    """How many of all runs of a way have the right number of components."""
    found = [
        run.get("K") == one["K"] for one in sound(report) for run in runs_by(one, way)
    ]
    return f"{sum(found)} of {len(found)}"


def agreement_table(report):
    """ARI of the clusters' rows, of those of noise in their most probable component
    and, in brackets, as a cluster of their own."""
    header = ["rows", "noise", ALONE, *WAYS]
    lines = []
    for one, share in shares_of(report):
        base = mean_of(runs_by(one, ALONE), "ari")
        cells = [agreement(runs_by(one, way, share), base) for way in WAYS]
        lines.append([one["case"]["data"], percent(share), decimals(base), *cells])
    return markdown(header, lines)


def agreement(runs, base):
    """Both figures, bold where the first is not below the target."""
    value = mean_of(runs, "ari_of_nearest")
    text = decimals(value)
    if value is not None and value >= base - TARGET:
        text = f"**{text}**"
    return f"{text} ({decimals(mean_of(runs, 'ari'))})"


def default_table(report):
    """Default fits of the right size beside the best of many starts, and seconds."""
    header = ["rows", "noise", f"default within {NEAR:g} of the best", "worst by"]
    header += ["truth within", "ms of a default fit", *(f"s, {way}" for way in WAYS)]
    lines = []
    for one, share in shares_of(report):
        fits = [run["log_likelihoods"] for run in runs_by(one, DEFAULT, share)]
        short, of_truth = (
            [max(fit.values()) - fit[name] for fit in fits] for name in (DEFAULT, TRUTH)
        )
        lines.append(
            [
                *(one["case"]["data"], percent(share), near(short)),
                *(decimals(max(short), 4), near(of_truth)),
                number(1e3 * mean_of(runs_by(one, DEFAULT, share), "seconds")),
                *(number(mean_of(runs_by(one, way, share), "seconds")) for way in WAYS),
            ]
        )
    return markdown(header, lines)


def near(shortfalls):
    return f"{sum(value <= NEAR for value in shortfalls)} of {len(shortfalls)}"


NOISE_TABLES = {
    "noise": ("noise", size_table),
    "noise-agreement": ("noise", agreement_table),
    "noise-starts": ("noise", default_table),
}
