"""The description of a fit in words and tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from textwrap import wrap

import numpy as np
from numpy.typing import NDArray

from emgmm._gaussian_mixture import GaussianMixtureEM
from emgmm._model.covariances import Covariances, Full, Tied
from emgmm._model_selection import GaussianMixtureIC
from emgmm._summary.making import summary_of_search
from emgmm._summary.objects import MixtureSummary, SearchSummary
from emgmm._utils.text import WIDTH, columns_of_lines, number_table, shortened

MAX_FEATURES = 8  # in a list of those with missing values
MAX_MATRIX = 30  # features of a matrix that is printed
N_BEST = 5  # candidates shown


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fit, with the rows that it is described for."""

    estimator: GaussianMixtureEM
    X: NDArray
    sample_weight: NDArray | None
    names: list[str]
    search: GaussianMixtureIC | None = None

    def summary(self, every_candidate: bool) -> MixtureSummary | SearchSummary:
        """The summary of the fit or of the search, with the names of the columns."""
        own = self.estimator.summary(self.X, self.sample_weight)
        own = replace(own, feature_names=tuple(self.names))
        if self.search is None:
            return own
        top = len(self.search.criterion_) if every_candidate else N_BEST
        return summary_of_search(self.search, own, top)


def summary(fitted: Fitted, width: int = WIDTH, verbose: bool = False) -> str:
    """The description of a fit: what a reader would ask first, or everything."""
    covariances = _covariances(fitted, width) if verbose else ()
    described = fitted.summary(verbose).text(width, verbose)
    return "\n".join([described, *([""] if verbose else ()), *covariances]).rstrip("\n")


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
    names, incomplete = shortened(fitted.names, width), np.flatnonzero(counts)
    listed = [f"{names[j]} {counts[j]}" for j in incomplete[:MAX_FEATURES]]
    if len(incomplete) > MAX_FEATURES:
        listed.append(f"and in {len(incomplete) - MAX_FEATURES} more columns")
    text = ", ".join(listed)
    yield from wrap(text, width, initial_indent="  ", subsequent_indent="  ")


def _covariances(fitted: Fitted, width: int) -> Iterator[str]:
    """Covariances of the features, or only variances if the covariances are zero."""
    covariances = fitted.estimator._mixture().covariances
    names = shortened(fitted.names, width)[:MAX_MATRIX]
    tables = COVARIANCE_TABLES.get(type(covariances), _variances)(covariances, names)
    for title, first, labels, values in tables:
        yield title
        for block in columns_of_lines(names, width, max(map(len, [first, *labels]))):
            rows = zip(labels, values[: len(labels), block], strict=True)
            yield from number_table(first, names[block], rows)
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
