"""The description of a fit in words and tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emgmm._gaussian_mixture import GaussianMixtureEM
from emgmm._model.covariances import Covariances, Full, Tied
from emgmm._model.families import FAMILIES

from .messages import escaped

WIDTH = 79
MAX_FEATURES = 8  # in a list of those with missing values
MAX_MATRIX = 30  # features of a matrix that is printed
MIN_NAME = 14  # letters of a feature's name that are always shown
MIN_NUMBER = 11  # characters of a column of numbers
N_BEST = 5  # candidates shown
UNCERTAIN = 0.1  # uncertainty above which a row is counted
SHARES = (0.5, 0.9, 0.99)
DESCRIPTIONS = {
    "EII": "equal spheres",
    "VII": "spheres",
    "EEI": "equal ellipsoids, parallel to the axes",
    "VEI": "ellipsoids of equal shape, parallel to the axes",
    "EVI": "ellipsoids of equal volume, parallel to the axes",
    "VVI": "ellipsoids parallel to the axes",
    "EEE": "equal ellipsoids",
    "VEE": "ellipsoids of equal shape and orientation",
    "EVE": "ellipsoids of equal volume and orientation",
    "VVE": "ellipsoids of equal orientation",
    "EEV": "ellipsoids of equal volume and shape",
    "VEV": "ellipsoids of equal shape",
    "EVV": "ellipsoids of equal volume",
    "VVV": "ellipsoids with nothing in common",
}
"""What the components of each model look like."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fit, with the rows that it is described for."""

    estimator: GaussianMixtureEM
    X: NDArray
    sample_weight: NDArray | None
    names: list[str]
    labels: NDArray
    probabilities: NDArray
    search: Any = None

    @property
    def weights(self) -> NDArray:
        """Weights of the rows (n,)."""
        if self.sample_weight is None:
            return np.ones(len(self.X))
        return np.asarray(self.sample_weight, dtype=np.float64)


def summary(fitted: Fitted, width: int = WIDTH, verbose: bool = False) -> str:
    """The description of a fit: what a reader would ask first, or everything."""
    search = () if fitted.search is None else (*candidates(fitted.search, verbose), "")
    parts = [
        *search,
        *_model(fitted),
        "",
        *_components(fitted),
        "",
        *_moments(fitted, width, verbose),
        *(_covariances(fitted, width) if verbose else ()),
        *_uncertainty(fitted),
    ]
    return "\n".join(parts)


def missing(fitted: Fitted, width: int = WIDTH) -> Iterator[str]:
    """How many values are missing, in how many rows and in which columns."""
    absent = np.isnan(fitted.X)
    cells, rows = np.count_nonzero(absent), np.count_nonzero(absent.any(axis=1))
    if not cells:
        return
    empty = np.count_nonzero(absent.all(axis=1))
    without = f", {empty} of them without any value" if empty else ""
    place = "1 row" if rows == 1 else f"{rows} rows"
    yield f"missing values: {cells} of {absent.size}, in {place}{without}"
    counts = absent.sum(axis=0)
    names, incomplete = _short(fitted.names, width), np.flatnonzero(counts)
    listed = [f"{names[j]} {counts[j]}" for j in incomplete[:MAX_FEATURES]]
    if len(incomplete) > MAX_FEATURES:
        listed.append(f"and in {len(incomplete) - MAX_FEATURES} more columns")
    text = ", ".join(listed)
    yield from wrap(text, width, initial_indent="  ", subsequent_indent="  ")


def candidates(search: Any, verbose: bool = False) -> Iterator[str]:
    """The best candidates of a search, or all of them, with their differences."""
    results, values = search.results_, np.asarray(search.criterion_, dtype=float)
    eligible = np.flatnonzero(results["eligible"])
    best = eligible[np.argsort(values[eligible], kind="stable")]
    best = best if verbose else best[:N_BEST]
    name = search.criterion.upper()
    yield f"The best of {len(values)} candidates by {name} (lower is better):"
    yield from _table(
        ["model", "K", name, "difference", "log-likelihood", "parameters"],
        [
            (
                results["covariance_type"][i],
                results["n_components"][i],
                f"{values[i]:.2f}",
                f"{values[i] - values[best[0]]:.2f}",
                f"{results['log_likelihood'][i]:.2f}",
                results["n_parameters"][i],
            )
            for i in best
        ],
    )
    if len(eligible) < len(values):
        yield (
            f"{len(values) - len(eligible)} are left out, as a component has collapsed "
            "or has too few rows."
        )


def _model(fitted: Fitted) -> Iterator[str]:
    """The model, its likelihood and criteria, and whether EM converged."""
    gmm, rows = fitted.estimator, (fitted.X, fitted.sample_weight)
    name, n_components = FAMILIES[gmm.covariance_type].name, len(gmm.weights_)
    mean, weight = gmm.score(rows[0], sample_weight=rows[1]), fitted.weights.sum()
    plural = "s" if n_components > 1 else ""
    yield f"{name} with {n_components} component{plural}: {DESCRIPTIONS[name]}"
    yield f"log-likelihood {mean * weight:.2f} ({mean:.4f} per row)"
    criteria = {"BIC": gmm.bic(*rows), "ICL": gmm.icl(*rows), "AIC": gmm.aic(*rows)}
    listed = "   ".join(f"{key} {value:.2f}" for key, value in criteria.items())
    yield f"{listed}   ({gmm._n_parameters()} parameters)"
    how = "converged" if gmm.converged_ else "not converged"
    if fitted.search is None:
        how += f" after {gmm.n_iter_} iteration{'s' if gmm.n_iter_ != 1 else ''}"
    yield how


def _components(fitted: Fitted) -> Iterator[str]:
    """The weights of the components, their rows, and how certain these are."""
    n_components = len(fitted.estimator.weights_)
    counts, certain = (
        np.bincount(fitted.labels, weights, n_components)
        for weights in (
            fitted.weights,
            fitted.weights * fitted.probabilities.max(axis=1),
        )
    )
    means = [f"{c / n:.4f}" if n else "-" for c, n in zip(certain, counts, strict=True)]
    yield from _table(
        ["component", "weight", "rows", "mean certainty"],
        [
            (k, f"{weight:.4f}", f"{counts[k]:.10g}", means[k])
            for k, weight in enumerate(fitted.estimator.weights_)
        ],
    )


def _moments(fitted: Fitted, width: int, verbose: bool) -> Iterator[str]:
    """Means and standard deviations of the features that fit into a line, or of all."""
    gmm, names = fitted.estimator, _short(fitted.names, width)
    blocks = list(_blocks(names, width))
    deviations = np.sqrt(gmm._mixture().covariances.variances)
    for title, values in {
        "means": gmm.means_,
        "standard deviations": deviations,
    }.items():
        yield title
        for block in blocks if verbose else blocks[:1]:
            yield from _number_table(
                "component", names[block], enumerate(values[:, block])
            )
            yield ""
    more = len(names) - blocks[0].stop
    if more and not verbose:
        yield f"and {more} more columns, which --verbose prints and --save keeps"
        yield ""


def _covariances(fitted: Fitted, width: int) -> Iterator[str]:
    """Covariances of the features, or only variances if the covariances are zero."""
    covariances = fitted.estimator._mixture().covariances
    names = _short(fitted.names, width)[:MAX_MATRIX]
    tables = COVARIANCE_TABLES.get(type(covariances), _variances)(covariances, names)
    for title, first, labels, values in tables:
        yield title
        for block in _blocks(names, width, max(map(len, [first, *labels]))):
            rows = zip(labels, values[: len(labels), block], strict=True)
            yield from _number_table(first, names[block], rows)
            yield ""
    if len(names) < len(fitted.names):
        yield f"(for the first {MAX_MATRIX} columns; --save keeps all)"
        yield ""


def _of_each(covariances: Covariances, names: list[str]) -> Iterator[CovarianceTable]:
    """A table for each component."""
    for k, matrix in enumerate(covariances.dense()):
        yield f"covariances of component {k}", "", names, matrix


def _of_all(covariances: Covariances, names: list[str]) -> Iterator[CovarianceTable]:
    """The table that all components share."""
    yield (
        "covariances of every component",
        "",
        names,
        covariances.as_published(covariances.values),
    )


def _variances(covariances: Covariances, names: list[str]) -> Iterator[CovarianceTable]:
    """A table of variances, with a row for each component."""
    labels = [str(k) for k in range(covariances.n_components)]
    yield "variances (covariances are zero)", "component", labels, covariances.variances


CovarianceTable = tuple[str, str, list[str], NDArray]
"""Title, header of the labels, labels of the rows, and values."""
COVARIANCE_TABLES = {Full: _of_each, Tied: _of_all}
"""Of storages whose covariances are not zero."""


def _blocks(names: list[str], width: int, first: int = 9) -> Iterator[slice]:
    """Columns that fit into a table side by side, after a first one of some width."""
    start, used = 0, first
    for stop, name in enumerate(names):
        needed = max(MIN_NUMBER, len(name)) + 2
        if used + needed > width and stop > start:
            yield slice(start, stop)
            start, used = stop, first
        used += needed
    yield slice(start, len(names))


def _number_table(
    first: str, names: list[str], rows: Iterable[tuple[Any, NDArray]]
) -> Iterator[str]:
    """A table of numbers, with five digits."""
    lines = [(label, *map("{:.5g}".format, row)) for label, row in rows]
    yield from _table([first, *names], lines, least=MIN_NUMBER)


def _uncertainty(fitted: Fitted) -> Iterator[str]:
    """How uncertain the components of the rows are."""
    uncertainty = 1 - fitted.probabilities.max(axis=1).astype(np.float64)
    weights = fitted.weights
    levels = np.quantile(uncertainty, SHARES, weights=weights, method="inverted_cdf")
    greatest = uncertainty[weights > 0].max()
    yield "uncertainty of rows (one minus the greatest probability)"
    yield from _table(
        ["mean", *(f"{share:.0%} below" for share in SHARES), "greatest"],
        [
            [
                f"{value:.3g}"
                for value in (
                    np.average(uncertainty, weights=weights),
                    *levels,
                    greatest,
                )
            ]
        ],
        least=9,
    )
    count = weights[uncertainty > UNCERTAIN].sum()
    share = count / weights.sum()
    yield f"rows with more than {UNCERTAIN}: {count:.10g} ({share:.1%})"


def _short(names: Sequence[str], width: int) -> list[str]:
    """Names with escapes, shortened if a table of all of them would be too wide.

    They are cut before their last letters, in which names often differ.
    """
    whole = [escaped(name).replace("\n", "\\n") for name in names]
    longest = max(map(len, whole))
    fitting = (
        limit
        for limit in range(min(longest, width), MIN_NAME, -1)
        if 9 + sum(max(MIN_NUMBER, min(len(n), limit)) + 2 for n in whole) <= width
    )
    limit = next(fitting, MIN_NAME)
    return [
        name if len(name) <= limit else f"{name[: limit - 5]}..{name[-3:]}"
        for name in whole
    ]


def _table(
    header: Sequence[str], rows: Iterable[Sequence[Any]], least: int = 0
) -> Iterator[str]:
    """Lines of a table, its columns aligned on the right."""
    lines = [[*map(str, line)] for line in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    widths[1:] = [max(width, least) for width in widths[1:]]
    for line in lines:
        fields = zip(line, widths, strict=True)
        yield "  ".join(field.rjust(width) for field, width in fields)
