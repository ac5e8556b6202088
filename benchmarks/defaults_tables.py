"""The tables of default fits on both suites."""

from __future__ import annotations

from .checkouts import BEFORE
from .comparisons import decimals, percent, sound, starred
from .restarts import SKLEARN
from .tables import markdown, number

METHODS = ("emgmm", BEFORE, SKLEARN)
HELD_OUT = ("emgmm", SKLEARN, "mclust")


def default_fits_table(report):
    header = "suite,method,problems,fits,within 1e-3,within 1e-2".split(",")
    header += ["mean shortfall", "ARI", "degenerate", "few rows", "failed"]
    rows = [
        [
            result["case"]["suite"],
            method,
            one["problems"],
            one["fits"],
            percent(one["nearer"]),
            percent(one["near"]),
            decimals(one["mean_shortfall"], 4),
            decimals(one["ari"]),
            one["degenerate"],
            one["few"],
            one["failed"],
            number(one["time"]),
        ]
        for result in results_of(report, "fits")
        for method, one in result["summary"].items()
    ]
    note = (
        "Nats a row below the best known log-likelihood. Few rows: fits with a"
        " component of fewer than 2 (d + 1) rows. Times: least processor seconds of"
        f" one thread, geometric means{kernels(report)}."
    )
    return f"{markdown([*header, 'time, of before'], rows)}\n\n{note}"


def kernels(report):
    """Which code of BLAS computed."""
    names = {str(blas.get("architecture")) for blas in report["machine"]["blas"]}
    return f"; kernels of BLAS: {', '.join(sorted(names))}" if names else ""


def default_fits_real_table(report):
    sets = [one for result in results_of(report, "fits") for one in result["real"]]
    methods = [name for name in METHODS if any(name in one for one in sets)]
    rows = [
        [
            *(one[key] for key in ("problem", "n", "K")),
            *(starred(one.get(key)) for key in (*methods, "best")),
        ]
        for one in sets
    ]
    return markdown(["rows", "n", "K", *methods, "best known"], rows)


def holdout_table(report):
    results = results_of(report, "holdout")
    rows = [
        [
            *(one[key] for key in ("problem", "n", "K")),
            *(decimals(one[name]) for name in HELD_OUT),
        ]
        for result in results
        for one in result["sets"]
    ]
    failed = {item for result in results for item in result["failed"].items()}
    lines = [f"\n\nNot measured: {name}: {why}." for name, why in sorted(failed)]
    return markdown(["rows", "n", "K", *HELD_OUT], rows) + "".join(lines)


def results_of(report, what):
    return [one for one in sound(report) if one["case"]["what"] == what]


DEFAULTS_TABLES = {
    "default-fits": ("defaults", default_fits_table),
    "default-fits-real": ("defaults", default_fits_real_table),
    "holdout": ("defaults", holdout_table),
}
