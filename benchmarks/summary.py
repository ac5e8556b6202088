"""The short tables, made of cells of the long ones in ``benchmarks/README.md``.

``python -m benchmarks.report`` writes them: three figures, default fits and iterations
into the project's README, and the summary on top of the benchmarks'. Results are not
under version control, so the tables on the page are what can be read again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .tables import markdown

SKLEARN = "scikit-learn"


@dataclass(frozen=True)
class Line:
    """A line of the summary: a cell of emgmm's, and the one to compare it with."""

    what: str
    group: str
    table: str
    ours: dict[str, str]
    column: str
    theirs: dict[str, str] | None = None
    their_column: str | None = None
    beside: str = "{} (scikit-learn)"

    def cells(self, page):
        ours = median_of(cell(page, self.table, self.ours, self.column))
        theirs = "-"
        if self.theirs or self.their_column:
            where = self.ours | (self.theirs or {})
            found = cell(page, self.table, where, self.their_column or self.column)
            theirs = self.beside.format(median_of(found))
        return [self.what, ours, theirs, f"`{self.group}`"]


def in_rows(what, group, table, column, key="library", other=SKLEARN, **ours):
    """A line whose cells stand below each other: emgmm's and the other's row."""
    beside = f"{{}} ({other})"
    return Line(
        what, group, table, {key: "emgmm", **ours}, column, {key: other}, beside=beside
    )


def in_columns(what, group, table, ours, columns, beside="{} (scikit-learn)"):
    """A line whose cells stand side by side, in two columns."""
    column, their_column = columns
    return Line(what, group, table, ours, column, None, their_column, beside)


BIG = {"n": "100,000", "d": "10", "K": "20", "model": "full"}
IMPUTED = "KNN, then scikit-learn"
LOST = "nats lost, 20% missing"
SUMMARY = [
    in_rows(
        "default fits near the best known likelihood, simulated data",
        "starts",
        "defaults",
        "best reached",
        rows="simulated",
    ),
    in_rows(
        "default fits near the best known likelihood, real data",
        "starts",
        "defaults",
        "best reached",
        rows="real",
    ),
    in_rows(
        "agreement of clusters with the true ones (ARI), simulated data",
        "starts",
        "defaults",
        "ARI",
        rows="simulated",
    ),
    in_rows(
        "agreement of clusters with the true ones (ARI), real data",
        "starts",
        "defaults",
        "ARI",
        rows="real",
    ),
    in_rows(
        "milliseconds of a default fit, simulated data",
        "starts",
        "defaults",
        "ms",
        rows="simulated",
    ),
    in_columns(
        "milliseconds of a default fit of iris",
        "small",
        "small",
        {"what": "default fit of iris"},
        ("emgmm ms", "found"),
        "{}",
    ),
    in_rows(
        "default fits that stop within 1e-3 nats a row of their limit",
        "acceleration",
        "stopping",
        "nearer than 1e-3",
        key="fit",
        models="scikit-learn's",
    ),
    in_columns(
        "iterations to the limit, overlapping components (median)",
        "acceleration",
        "acceleration",
        {"model": "all", "kind": "overlapping"},
        ("passes", "plain EM's"),
        "{} (plain EM)",
    ),
    in_columns(
        "milliseconds of an iteration: 100,000 rows, 10 features, K = 20, full",
        "iterations",
        "iterations",
        BIG,
        ("emgmm ms", "scikit-learn ms"),
    ),
    in_rows(
        "seconds to the same likelihood: 50,000 rows, 30 features, K = 10",
        "quality",
        "quality",
        "seconds",
        n="50,000",
        d="30",
    ),
    in_columns(
        "seconds of a default fit: 100,000 rows, 20 features, K = 256, diag",
        "extremes",
        "extremes",
        {"K": "256"},
        ("emgmm s", "scikit-learn s"),
    ),
    in_columns(
        "milliseconds to predict 1,000,000 rows, 10 features, K = 20",
        "predict",
        "predict",
        {"method": "predict"},
        ("emgmm ms", "scikit-learn ms"),
    ),
    Line(
        "megabytes that a fit adds: 1,000,000 rows, 10 features, K = 20, full",
        "memory",
        "memory",
        {"library": "emgmm", "model": "VVV"},
        "MB added",
        theirs={"library": SKLEARN, "model": "full"},
    ),
    Line(
        "megabytes that a fit of a memory map of 1526 MB adds",
        "outofcore",
        "outofcore",
        {"rows": "map", "numbers": "float64"},
        "MB added",
    ),
    in_columns(
        "milliseconds of a pass over 10,000,000 rows on two Dask workers",
        "workers",
        "workers",
        {"workers": "2", "n": "10,000,000"},
        ("pass ms", "in memory ms"),
        "{} (in memory)",
    ),
    in_columns(
        "fits of a search that are less likely than mclust's",
        "selection",
        "selection",
        {"rows": "all"},
        ("worse", "compared"),
        "of {} compared",
    ),
    in_rows(
        "seconds of a search by BIC over 1 to 9 components, iris",
        "selection",
        "selection-times",
        "seconds",
        key="way",
        other="scikit-learn's grid by BIC",
        rows="iris",
    ),
    in_rows(
        "nats a held-out row that 20% missing cells cost, default settings",
        "missing",
        "missing-short",
        LOST,
        key="fit",
        other=IMPUTED,
        **{"`reg_covar`": "default"},
    ),
    in_rows(
        "nats a held-out row that 20% missing cells cost, `reg_covar=0.01`",
        "missing",
        "missing-short",
        LOST,
        key="fit",
        other=IMPUTED,
        **{"`reg_covar`": "0.01"},
    ),
    Line(
        "`partial_fit` within 0.01 nats of the maximum after 5 epochs",
        "stepwise",
        "stepwise",
        {"rows": "suite", "batch": "100"},
        "within 0.01 after 5",
    ),
    in_columns(
        "settings in which an offset of the rows does not change the score",
        "anchors",
        "anchors",
        {"check": "score at an offset, nats a row"},
        ("emgmm meets it", "scikit-learn meets it"),
    ),
    in_rows(
        "clusters found, a fifth of the rows at one point",
        "atoms",
        "atoms",
        "clusters found",
        rows="a fifth at one point",
    ),
    in_columns(
        "default fits that do not depend on a small unit, of 8",
        "anchors",
        "anchors",
        {"check": "variances in small units"},
        ("emgmm meets it", "scikit-learn meets it"),
    ),
]


def block_of(page, name):
    """What stands between a table's markers."""
    begin, end = f"<!-- benchmarks:{name} -->\n", f"\n<!-- /benchmarks:{name} -->"
    found = re.search(re.escape(begin) + "(.*?)" + re.escape(end), page, re.DOTALL)
    if found is None:
        raise ValueError(f"the page has no table {name!r} between markers")
    return found[1]


def rows_of(page, name):
    """The rows of a table, each as a dict by column."""
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in block_of(page, name).splitlines()
        if line.startswith("|")
    ]
    header, _, *rows = lines
    return [dict(zip(header, row, strict=True)) for row in rows]


def cell(page, name, where, column):
    """The cell of the first row in which the named columns hold the values."""
    for row in rows_of(page, name):
        if all(row[key] == value for key, value in where.items()):
            return row[column]
    raise ValueError(f"table {name!r} has no row with {where}")


def median_of(text):
    """A median without the least and most that stand beside it."""
    return re.sub(r" \([\d.,]+-[\d.,]+\)$", "", text)


def conditions_of(page, name):
    """The last line of a table: machine and versions."""
    return block_of(page, name).splitlines()[-1].replace(" (least-most)", "")


def summary_table(page):
    header = ["what", "emgmm", "beside it", "group"]
    return markdown(header, [line.cells(page) for line in SUMMARY])


def figures_table(page):
    """Three reasons to switch: likelihood, time and memory, each with its command."""
    kinds, libraries = ("simulated", "real"), (SKLEARN, "emgmm")
    sets = [cell(page, "defaults", {"rows": kind}, "problems") for kind in kinds]
    reached = [
        " / ".join(
            cell(page, "defaults", {"rows": kind, "library": library}, "best reached")
            for kind in kinds
        )
        for library in libraries
    ]
    times = [
        median_of(cell(page, "iterations", BIG, f"{library} ms")) + " ms"
        for library in libraries
    ]
    memory = [
        cell(page, "memory", {"library": library, "model": model}, "MB added") + " MB"
        for library, model in zip(libraries, ("full", "VVV"), strict=True)
    ]
    fits = "default fits that reach the best known likelihood"
    fits += f" ({sets[0]} simulated / {sets[1]} real data sets)"
    iteration = "one EM iteration (100,000 rows, 10 features, 20 components)"
    added = "memory that fitting 1,000,000 such rows adds"
    rows = [
        [fits, *reached, command("starts")],
        [iteration, *times, command("iterations")],
        [added, *memory, command("memory")],
    ]
    return markdown(["", *libraries, "measured by"], rows)


def command(group):
    return f"`python -m benchmarks.run {group}`"


def shortened(page, name, columns):
    """A table with some of its columns, medians only, and its conditions."""
    rows = [
        [median_of(row[column]) for column in columns] for row in rows_of(page, name)
    ]
    return f"{markdown(columns, rows)}\n\n{conditions_of(page, name)}"


ITERATIONS = "n,d,K,model,scikit-learn ms,emgmm ms,ratio"
DEFAULTS = "rows,problems,library,best reached,mean shortfall,ARI,degenerate,ms"
SHORT = {
    "summary": summary_table,
    "figures": figures_table,
    "defaults-short": lambda page: shortened(page, "defaults", DEFAULTS.split(",")),
    "iterations-short": lambda page: shortened(
        page, "iterations", ITERATIONS.split(",")
    ),
}


def short_tables(page):
    """Markdown of the short tables, by name, from the page with the long ones."""
    return {name: table(page) for name, table in SHORT.items()}
