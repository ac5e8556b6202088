"""The tables of starts, acceleration and selection: markdown of their results."""

from __future__ import annotations

import statistics

import numpy as np

from .overlap import EASY, MODERATE, OVERLAPPING
from .selection import ONE_THREAD
from .tables import done, markdown, number

SAME = 1e-7  # nats per row between two limits that are taken for the same optimum
TOL = 1e-3  # the libraries' default
SAME_TOTAL, SAME_PER_ROW = 1e-3, 1e-5  # nats between two likelihoods that are equal
FAMILIES = {
    "spherical": ("EII", "VII"),
    "diagonal": ("EEI", "VEI", "EVI", "VVI"),
    "with shared parts": ("EEE", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV"),
    "VVV": ("VVV",),
}


def decimals(value, digits=3):
    return "-" if value is None or not np.isfinite(value) else f"{value:.{digits}f}"


def percent(value):
    return f"{value:.1%}"


# Starts


def starts_table(report):
    header = "method,best reached,mean shortfall,worst,on,ARI,ARI of cigars".split(",")
    header += ["degenerate", "failed", "runs", "time"]
    rows = [
        [
            method,
            percent(one["reached"]),
            decimals(one["mean_shortfall"]),
            decimals(one["worst_shortfall"], 2),
            one["worst_problem"] or "-",
            decimals(one["ari"]),
            decimals(one["ari_cigars"]),
            one["degenerate"],
            one["failed"],
            one["runs"],
            number(one["time"]),
        ]
        for result in sound(report)
        for method, one in result["summary"].items()
    ]
    return markdown(header, rows)


def defaults_table(report):
    header = "rows,problems,library,best reached,mean shortfall,ARI".split(",")
    header += ["degenerate", "ms", "relative"]
    rows = [
        [
            kind,
            one["problems"],
            library,
            percent(one["reached"]),
            decimals(one["mean_shortfall"]),
            decimals(one["ari"]),
            percent(one["degenerate"]),
            number(1e3 * one["seconds"]),
            number(one["relative"]),
        ]
        for result in sound(report)
        for kind, libraries in result["defaults"].items()
        for library, one in libraries.items()
    ]
    return markdown(header, rows)


def real_table(report):
    header = ["rows", "n", "K", "scikit-learn, best of four starts"]
    header += ["scikit-learn, default", "emgmm, default", "mclust, best"]
    rows = [
        [
            one["problem"],
            one["n"],
            one["K"],
            *(starred(one[key]) for key in ("best", "scikit-learn", "emgmm")),
            decimals(one["mclust"], 2),
        ]
        for result in sound(report)
        for one in result["real"]
    ]
    return markdown(header, rows)


def starred(total):
    """A log-likelihood, with a star if a component is degenerate."""
    if total is None:
        return "-"
    value, degenerate = total
    return decimals(value, 2) + ("*" if degenerate else "")


# Acceleration


def acceleration_table(report):
    header = "model,kind,problems,runs,passes,plain EM's,ratio,least ratio".split(",")
    header += ["ratio of times", "rejected", "better optimum", "worse optimum"]
    runs, rows = runs_of(report), []
    for family in (*FAMILIES, "all"):
        for kind in (EASY, MODERATE, OVERLAPPING, "all"):
            group = [one for one in runs if belongs(one, family, kind)]
            if group and (kind != "all" or family == "all"):
                rows.append([family, kind, *acceleration_cells(group)])
    return markdown(header, rows) + failed_runs(report)


def middle(values):
    """Median, if there are any."""
    values = list(values)
    return number(statistics.median(values) if values else None)


def belongs(one, family, kind):
    of_family = family == "all" or one["model"] in FAMILIES[family]
    return of_family and kind in ("all", one["kind"])


def acceleration_cells(runs):
    """Medians; those of ratios over the runs that ended at the same optimum."""
    same = [one for one in runs if abs(gained(one)) <= SAME]
    ratios = [pass_ratio(one) for one in same]
    times = [one["plain"]["seconds"] / one["accelerated"]["seconds"] for one in runs]
    rejected = [
        one["accelerated"]["rejected"] / one["accelerated"]["passes"] for one in runs
    ]
    return [
        len({one["problem"] for one in runs}),
        len(runs),
        middle(one["accelerated"]["passes"] for one in same),
        middle(one["plain"]["passes"] for one in same),
        middle(ratios),
        number(min(ratios, default=None)),
        middle(times),
        percent(statistics.median(rejected)),
        sum(gained(one) > SAME for one in runs),
        sum(gained(one) < -SAME for one in runs),
    ]


def gained(one):
    """How much higher, per row, the limit of accelerated than of plain EM is."""
    return one["accelerated"]["limit"] - one["plain"]["limit"]


def pass_ratio(one):
    return one["plain"]["passes"] / one["accelerated"]["passes"]


def stopping_table(report):
    header = "fit,models,runs,nearer than 1e-3,median,95%,worst".split(",")
    header += ["median passes", "not converged"]
    ways = {"emgmm": "accelerated", "emgmm, plain EM": "plain"}
    ways["scikit-learn"] = "scikit-learn"
    runs, rows = runs_of(report), []
    shared = [one for one in runs if "scikit-learn" in one]
    for models, group in (("all", runs), ("scikit-learn's", shared)):
        for name, way in ways.items():
            stops = [one[way]["stop"] for one in group if way in one]
            if len(stops) == len(group):
                rows.append([name, models, *stopping_cells(stops)])
    return markdown(header, rows) + failed_runs(report)


def stopping_cells(stops):
    distances = [stop["distance"] for stop in stops]
    return [
        len(stops),
        percent(statistics.fmean(distance < TOL for distance in distances)),
        f"{statistics.median(distances):.1e}",
        f"{np.quantile(distances, 0.95):.1e}",
        f"{max(distances):.1e}",
        number(statistics.median(stop["passes"] for stop in stops)),
        sum(not stop["converged"] for stop in stops),
    ]


def runs_of(report):
    """The runs that did not fail."""
    runs = [one for result in sound(report) for one in result["runs"]]
    return [one for one in runs if "failed" not in one]


def failed_runs(report):
    """Lines on the runs that failed."""
    return "".join(
        f"\n\nFailed: {one['problem']}, seed {one['seed']}: {one['failed']}"
        for result in sound(report)
        for one in result["runs"]
        if "failed" in one
    )


# Selection


def selection_table(report):
    header = "rows,n,d,compared,better,equal,worse,worst shortfall,at".split(",")
    header += ["no fit in mclust", "VVE below mclust's", "not eligible"]
    header += ["selected: BIC", "without VVE", "by mclust"]
    results = done(report)
    rows = [
        [one["case"]["data"], one["n"], one["d"], *agreement_cells([one])]
        + [mixture(least(one)), mixture(least(one, but="VVE")), mixture(one["mclust"])]
        for one in results
    ]
    if rows:
        rows.append(["all", "", "", *agreement_cells(results), "", "", ""])
    return (
        markdown(header, rows)
        + "\n\nEqual: log-likelihoods of all rows, within max(1e-3, 1e-5 n) nats. VVE "
        "with two or more components is counted by itself: mclust's M-step of it does "
        "not reach the maximum. Not eligible: degenerate, or with a component of too "
        "few rows; the search does not select these, however likely."
    )


def agreement_cells(results):
    """How often the search is above, at and below mclust's likelihood, and how far."""
    known = [
        (shortfall(cell), allowed(one), cell)
        for one in results
        for cell in one["cells"]
        if cell["mclust"] is not None
    ]
    compared = [cell for cell in known if not cell[2]["wrong_there"]]
    worse = sum(below > most for below, most, _ in compared)
    better = sum(below < -most for below, most, _ in compared)
    below, _, worst = max(compared, key=lambda cell: cell[0])
    cells = [cell for one in results for cell in one["cells"]]
    share = f" ({percent(worse / len(compared))})"
    return [
        len(compared),
        better,
        len(compared) - better - worse,
        str(worse) + share,
        decimals(max(below, 0.0)),
        f"{worst['model']} {worst['K']}" if worse else "-",
        len(cells) - len(known),
        sum(below > most for below, most, cell in known if cell["wrong_there"]),
        sum(not cell["eligible"] for cell in cells),
    ]


def allowed(one):
    return max(SAME_TOTAL, SAME_PER_ROW * one["n"])


def shortfall(cell, way="search"):
    """Nats below mclust; all where there is no fit."""
    return np.inf if cell[way] is None else cell["mclust"] - cell[way]


def least(one, but=None):
    """The eligible cell of the least BIC; not of a model."""
    cells = [cell for cell in one["cells"] if cell["eligible"] and cell["model"] != but]
    return min(cells, key=lambda cell: cell["bic"])


def mixture(one):
    """A mixture selected, with its BIC."""
    star = "" if one.get("sound", True) else "*"
    return f"{one['model']} {one['K']}: {one['bic']:.2f}{star}"


def selection_times_table(report):
    header = "rows,way,fits,seconds,relative,below mclust,selected: BIC".split(",")
    rows = []
    for one in done(report):
        for way, found in fastest(one["ways"]).items():
            times = [found["seconds"][key] for key in ("median", "least", "most")]
            middle, *ends = map(number, times)
            rows.append(
                [
                    one["case"]["data"],
                    way,
                    found["fits"],
                    f"{middle} ({'-'.join(ends)})",
                    number(times[0] / one["ways"]["emgmm"]["seconds"]["median"]),
                    below_mclust(one, way),
                    mixture(found),
                ]
            )
    return (
        markdown(header, rows)
        + "\n\nSeconds are medians (least-most) of runs in turn; scikit-learn's of "
        "the better of its default number of threads and one. Separate fits: "
        "`GaussianMixtureEM` for every model and number of components, from its own "
        "start. *: degenerate. There are no times of mclust's for these searches."
    )


def fastest(ways):
    """Of each way with all threads and with one, the faster."""
    found = {}
    for name, one in ways.items():
        way = name.removesuffix(ONE_THREAD)
        other = found.get(way, one)
        found[way] = min(one, other, key=lambda way: way["seconds"]["median"])
    return found


def below_mclust(one, way):
    """In how many cells; only where the way has fitted them all."""
    key = {"emgmm": "search", "separate fits": "separate"}.get(way)
    compared = [
        cell
        for cell in one["cells"]
        if cell["mclust"] is not None and not cell["wrong_there"]
    ]
    if key is None:
        return "-"
    return sum(shortfall(cell, key) > allowed(one) for cell in compared)


def sound(report):
    return [one for one in report["results"] if "error" not in one]


COMPARISONS = {
    "starts": ("starts", starts_table),
    "defaults": ("starts", defaults_table),
    "real": ("starts", real_table),
    "acceleration": ("acceleration", acceleration_table),
    "stopping": ("acceleration", stopping_table),
    "selection": ("selection", selection_table),
    "selection-times": ("selection", selection_times_table),
}
