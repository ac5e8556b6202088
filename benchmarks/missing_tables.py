"""The tables of missing values: markdown of fits beside imputation, and of costs."""

from __future__ import annotations

import statistics

import numpy as np

from .cases import ANY, ANY_RATIO, FEW, FEW_RATIO
from .comparisons import decimals
from .missing import SETTINGS, WAYS, name_of
from .tables import done, markdown, median, number

ALL = "all cells"  # of the ways to which nothing is missing
COMPARED = [way for way in WAYS if not way.endswith(ALL)]
ALIKE = [way for way in COMPARED if not way.endswith("K = 1")]  # of as many components
LABELS = {"mean": "mean, then scikit-learn", "KNN": "KNN, then scikit-learn"}
LABELS["iterative"] = "iterative, then scikit-learn"
FAR = 1000.0  # nats a row that say only that a density is as good as zero


def of_kind(report, what):
    return [one for one in done(report) if one["case"]["what"] == what]


def middle(runs, key):
    """Median over the seeds; None if any run failed or has no such figure."""
    values = [run.get(key) for run in runs]
    return None if None in values or not values else statistics.median(values)


def cells_of(report):
    """Medians of each way by key, for each data set, regularisation and share."""
    for one in of_kind(report, "quality"):
        for more in SETTINGS:
            for share in one["case"]["shares"]:
                runs = [
                    run
                    for run in one["runs"]
                    if run["share"] == share
                    and run.get("reg_covar") == more.get("reg_covar")
                ]
                yield one, setting_of(more), share, figures(runs)


def setting_of(more):
    return str(more.get("reg_covar", "default"))


def figures(runs):
    return {
        key: {
            way: middle([run for run in runs if run["way"] == way], key) for way in WAYS
        }
        for key in ("log_likelihood", "error", "seconds")
    }


def best(values, largest):
    """The ways with as many components that are best as far as is printed."""
    known = {way: round(values[way], 2) for way in ALIKE if values[way] is not None}
    if not known:
        return set()
    top = (max if largest else min)(known.values())
    return {way for way, value in known.items() if value == top}


def shown(value):
    if value is not None and value < -FAR:
        return f"< {-FAR:.0f}"
    return decimals(value, 2)


def table_of(report, key, ways, largest):
    """One figure of every way, a row to a data set and share; the best bold."""
    header = ["rows", "n", "d", "K", "`reg_covar`", "missing"]
    lines = []
    for one, setting, share, found in cells_of(report):
        winners = best(found[key], largest)
        values = [
            f"**{shown(found[key][way])}**"
            if way in winners
            else shown(found[key][way])
            for way in ways
        ]
        named = [one["case"]["data"], one["n"], one["d"], one["K"]]
        lines.append([*named, setting, f"{share:.0%}", *values])
    return markdown([*header, *(LABELS.get(way, way) for way in ways)], lines)


def likelihood_table(report):
    return table_of(report, "log_likelihood", list(WAYS), True) + failed_runs(report)


def error_table(report):
    ways = [*COMPARED, f"emgmm, {ALL}"]
    return table_of(report, "error", ways, False)


def failed_runs(report):
    """Lines on the runs that failed."""
    return "".join(
        f"\n\nFailed: {run['way']}, {run['data']}, {run['share']:.0%}, "
        f"seed {run['seed']}: {run['failed']}"
        for one in of_kind(report, "quality")
        for run in one["runs"]
        if "failed" in run
    )


def summary_table(report):
    """Of each way over the data sets: how far below the complete rows' fit, error."""
    found = list(cells_of(report))
    shares = list(dict.fromkeys(share for _, _, share, _ in found))
    header = ["`reg_covar`", "fit"]
    header += [f"nats lost, {share:.0%} missing" for share in shares]
    header += [f"error, {share:.0%}" for share in shares]
    header += ["best density", "best error"]
    header += [f"seconds, {share:.0%}" for share in shares]
    lines = []
    for setting in map(setting_of, SETTINGS):
        own = [cell for cell in found if cell[1] == setting]
        for way in COMPARED:
            losses = [over_data(own, share, lost, way) for share in shares]
            seconds = [over_data(own, share, seconds_of, way) for share in shares]
            errors = [over_data(own, share, error_of, way) for share in shares]
            lines.append(
                [
                    setting,
                    LABELS.get(way, way),
                    *(decimals(value, 2) for value in losses + errors),
                    won(own, "log_likelihood", way, True),
                    won(own, "error", way, False),
                    *(number(value) for value in seconds),
                ]
            )
    return markdown(header, lines)


def over_data(found, share, figure, way):
    """Median over the data sets; None if there is none of some."""
    values = [figure(cell, way) for _, _, own, cell in found if own == share]
    return None if None in values or not values else float(np.median(values))


def lost(cell, way):
    """Nats a row below the fit to the same rows with nothing missing."""
    values = cell["log_likelihood"]
    known = values[f"emgmm, {ALL}"], values[way]
    return None if None in known else known[0] - known[1]


def error_of(cell, way):
    return cell["error"][way]


def seconds_of(cell, way):
    return cell["seconds"][way]


def won(found, key, way, largest):
    """In how many of the cells a way is the best, ties included."""
    count = sum(way in best(cell[key], largest) for _, _, _, cell in found)
    return f"{count} of {len(found)}"


def cost_table(report):
    header = "n,d,K,model,NaN,patterns,ms,complete ms,ratio,at most".split(",")
    lines = []
    for one in of_kind(report, "cost"):
        case = one["case"]
        known = [f"{case[key]:,}" for key in "ndK"] + [case["model"]]
        ours = median(one, name_of(None))
        for count in case["patterns"]:
            name = name_of(count)
            theirs = median(one, name)
            ratio = theirs / ours if theirs and ours else None
            lines.append(
                [
                    *known,
                    name,
                    f"{one['patterns'][name]:,}",
                    number(theirs and 1e3 * theirs),
                    number(ours and 1e3 * ours),
                    number(ratio),
                    asked(case, count),
                ]
            )
    return markdown(header, lines)


def asked(case, count):
    """The most that an iteration may cost, where the project says one."""
    if case["n"] != 100_000:
        return ""
    return {FEW: number(FEW_RATIO), ANY: number(ANY_RATIO)}.get(count, "")


MISSING_TABLES = {
    "missing-short": ("missing", summary_table),
    "missing": ("missing", likelihood_table),
    "missing-error": ("missing", error_table),
    "missing-cost": ("missing", cost_table),
}
