"""The tables of resampling, beside R's mclust."""

from __future__ import annotations

import numpy as np

from .bootstrap import DISTANCES, METHODS, N_OF_SET, N_RESAMPLES, N_ROWS, N_SETS
from .tables import done, markdown, number

ERRORS_NOTE = (
    f"\n\nSeconds of {N_RESAMPLES} replicates, in threads here and in one thread in R;"
    " and the least and the greatest ratio of this package's standard errors of weights"
    " and means to mclust's, whose replicates stop at a tolerance of 1e-5, near the fit"
    " that they start from, except by weights."
)
TESTS_NOTE = (
    "\n\nTwice the log-likelihood ratio, and the p-value. mclust's fits to the rows end"
    " at lower maxima in some; its fits to samples start from these."
)
LEVEL_NOTE = (
    f"\n\nOf {N_SETS} sets of {N_ROWS} rows, the share in which one component is"
    f" rejected at 5%, by the distance of two clusters; {N_OF_SET} samples for each."
)


def of_kind(report, what):
    """The results of a kind that did not fail."""
    return [one for one in done(report) if one["case"]["what"] == what]


def errors_table(report):
    """A row to a fit and a method."""
    header = ["rows", "model", "K", "method", "seconds", "mclust", "times as fast"]
    header += ["ratios of errors", "left out"]
    lines = [
        [one["case"][key] for key in ("data", "model", "K")]
        + compared(method, one["emgmm"][method], one["mclust"][method])
        for one in of_kind(report, "errors")
        for method in METHODS
    ]
    return markdown(header, lines) + ERRORS_NOTE


def compared(method, ours, theirs):
    """Cells of a method."""
    if theirs is None:
        return [method, number(ours["seconds"]), "-", "-", "-", ours["left_out"]]
    pairs = [(ours[key], theirs[key]) for key in ("weights", "means")]
    ratios = np.concatenate([np.array(a) / np.array(b) for a, b in pairs])
    return [
        method,
        number(ours["seconds"]),
        number(theirs["seconds"]),
        number(theirs["seconds"] / ours["seconds"], 2),
        f"{ratios.min():.2f} to {ratios.max():.2f}",
        ours["left_out"],
    ]


def tests_table(report):
    """A row to a test."""
    header = ["rows", "model", "test", "statistic", "mclust", "p-value", "mclust"]
    lines = []
    for one in of_kind(report, "tests"):
        theirs = one["mclust"] or {"statistics": [], "p_values": []}
        for k, statistic in enumerate(one["emgmm"]["statistics"]):
            cells = [f"{statistic:.2f}", cell(theirs["statistics"], k, ".2f")]
            cells += [f"{one['emgmm']['p_values'][k]:.3f}"]
            cells += [cell(theirs["p_values"], k, ".3f")]
            name = f"{k + 1} against {k + 2}"
            lines.append([one["case"]["data"], one["case"]["model"], name, *cells])
    return markdown(header, lines) + TESTS_NOTE


def cell(values, index, how):
    """One of the values as text, a dash where there is none."""
    return format(values[index], how) if index < len(values) else "-"


def level_table(report):
    """A row to a model, a column to a distance."""
    header = ["model", *(f"distance {distance:g}" for distance in DISTANCES)]
    lines = [
        [one["case"]["model"], *(f"{100 * x:.1f}%" for x in one["rejected"].values())]
        for one in of_kind(report, "level")
    ]
    return markdown(header, lines) + LEVEL_NOTE


BOOTSTRAP_TABLES = {
    "bootstrap-errors": ("bootstrap", errors_table),
    "bootstrap-tests": ("bootstrap", tests_table),
    "bootstrap-level": ("bootstrap", level_table),
}
