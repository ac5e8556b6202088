"""The tables of many rows: starts on a sample, and rows in files."""

from __future__ import annotations

from .tables import case_of, done, markdown, measured, median, number


def large_table(report):
    header = "n,d,K,model,spread,tol,rows,fit,seconds,passes,score - best".split(",")
    rows = [
        [
            *case_of(one, "model", "spread", "tol", "rows"),
            name,
            number(median(one, name)),
            one["passes"][name],
            f"{score - max(one['log_likelihood'].values()):.0e}",
        ]
        for one in done(report)
        for name, score in one["log_likelihood"].items()
    ]
    return markdown(header, rows)


def outofcore_table(report):
    """Each source beside rows of the same numbers in memory."""
    header = ["rows", "numbers", "n", "MB", "MB added", "at most", "seconds of a fit"]
    header += ["passes", "seconds of a pass", "million rows a second", "of in memory's"]
    inside = {
        one["case"]["dtype"]: rate(one)
        for one in done(report)
        if one["case"]["source"] == "array"
    }
    return markdown(header, [outofcore_row(one, inside) for one in done(report)])


def outofcore_row(one, inside):
    known = one["case"]
    within = known["source"] == "array"
    return [
        "in memory" if within else known["source"],
        known["dtype"],
        f"{known['n']:,}",
        f"{known['n'] * known['d'] * int(known['dtype'][-2:]) / 8 / 2**20:.0f}",
        measured(one["megabytes"]),
        "" if within else known["floor"],
        number(median(one, "fit")),
        one["passes"],
        number(median(one, "pass")),
        number(rate(one) / 1e6),
        "" if within else f"{rate(one) / inside[known['dtype']]:.0%}",
    ]


def rate(one):
    """Rows in a second of a pass."""
    return one["case"]["n"] / median(one, "pass")


def reading_table(report):
    """Reading alone, and a pass that scores rows, with and without the page cache."""
    ways = ("read", "cold read", "score", "cold score")
    rows = [
        [one["case"]["dtype"], f"{one['case']['n']:,}"]
        + [number(median(one, way)) for way in ways]
        for one in done(report)
        if one["case"]["source"] == "map"
    ]
    return markdown(["numbers", "n", *(f"{way} s" for way in ways)], rows)


def extremes_table(report):
    """Both libraries side by side, with the ratios that count."""
    header = ["rows", "n", "d", "K", "model", "scikit-learn s", "emgmm s", "ratio"]
    header += ["scikit-learn MB added", "emgmm MB added", "ratio, of all memory"]
    header += ["scikit-learn log-likelihood", "emgmm"]
    return markdown(header, [extremes_row(one) for one in done(report)])


def extremes_row(one):
    known, added = one["case"], one["megabytes"]
    rows = known["n"] * known["d"] * 8 / 2**20
    times = [median(one, name) for name in ("scikit-learn", "emgmm")]
    both = [added[name] for name in ("scikit-learn", "emgmm")]
    memory = "-" if None in both else f"{(both[1] + rows) / (both[0] + rows):.2f}"
    return [
        known["what"],
        *case_of(one, "model"),
        *map(number, times),
        f"{times[1] / times[0]:.2f}",
        *map(measured, both),
        memory,
        *(f"{one['log_likelihood'][name]:.4f}" for name in ("scikit-learn", "emgmm")),
    ]


SCALE_TABLES = {
    "extremes": ("extremes", extremes_table),
    "large": ("large", large_table),
    "outofcore": ("outofcore", outofcore_table),
    "reading": ("outofcore", reading_table),
}
