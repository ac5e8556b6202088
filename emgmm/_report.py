"""A fit told in words and tables, for people to read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._estimator import GaussianMixtureEM
from ._families import FAMILIES

WIDTH = 79
MAX_FEATURES = 8  # shown
MAX_NAME = 14  # letters of a feature's name
N_BEST = 5  # candidates shown
DOUBTFUL = 0.1  # uncertainty of a row from which it is counted
SHARES = (0.5, 0.9, 0.99)
WORDS = {
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
"""What the letters of a model mean."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fit, and the rows that it is told for."""

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


def summary(fitted: Fitted) -> str:
    """Everything that a reader would ask first."""
    search = () if fitted.search is None else (*candidates(fitted.search), "")
    parts = [
        *search,
        *_model(fitted),
        "",
        *_components(fitted),
        "",
        *_moments(fitted),
        *_uncertainty(fitted),
    ]
    return "\n".join(parts)


def missing(fitted: Fitted) -> Iterator[str]:
    """How many values are missing, in how many rows and in which columns."""
    absent = np.isnan(fitted.X)
    cells, rows = np.count_nonzero(absent), np.count_nonzero(absent.any(axis=1))
    if not cells:
        return
    nothing = np.count_nonzero(absent.all(axis=1))
    without = f", {nothing} of them without any value" if nothing else ""
    yield f"missing values: {cells} of {absent.size}, in {rows} rows{without}"
    counts = absent.sum(axis=0)
    lacking = np.flatnonzero(counts)
    told = [f"{_short(fitted.names[j])} {counts[j]}" for j in lacking[:MAX_FEATURES]]
    if len(lacking) > MAX_FEATURES:
        told.append(f"and in {len(lacking) - MAX_FEATURES} more columns")
    yield from wrap(", ".join(told), WIDTH, initial_indent="  ", subsequent_indent="  ")


def candidates(search: Any) -> Iterator[str]:
    """The best of the candidates of a search, and how far they are apart."""
    results, values = search.results_, np.asarray(search.criterion_, dtype=float)
    eligible = np.flatnonzero(results["eligible"])
    best = eligible[np.argsort(values[eligible], kind="stable")][:N_BEST]
    name = search.criterion.upper()
    yield f"The best of {len(values)} candidates by {name} (less is better):"
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
            f"{len(values) - len(eligible)} are left out: components without width, or "
            "of too few rows."
        )


def _model(fitted: Fitted) -> Iterator[str]:
    """The model, its likelihood and criteria."""
    gmm, rows = fitted.estimator, (fitted.X, fitted.sample_weight)
    name, n_components = FAMILIES[gmm.covariance_type].name, len(gmm.weights_)
    mean, weight = gmm.score(rows[0], sample_weight=rows[1]), fitted.weights.sum()
    plural = "s" if n_components > 1 else ""
    yield f"{name} with {n_components} component{plural}: {WORDS[name]}"
    yield f"log-likelihood {mean * weight:.2f} ({mean:.4f} a row)"
    criteria = {"BIC": gmm.bic(*rows), "ICL": gmm.icl(*rows), "AIC": gmm.aic(*rows)}
    told = "   ".join(f"{key} {value:.2f}" for key, value in criteria.items())
    yield f"{told}   ({gmm._n_parameters()} parameters)"
    how = "converged" if gmm.converged_ else "not converged"
    if fitted.search is None:
        how += f" after {gmm.n_iter_} iteration{'s' if gmm.n_iter_ != 1 else ''}"
    yield how


def _components(fitted: Fitted) -> Iterator[str]:
    """Weights of the components, their rows, and how certain these are."""
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


def _moments(fitted: Fitted) -> Iterator[str]:
    """Means and standard deviations of the features that there is room for."""
    gmm, names = fitted.estimator, [_short(name) for name in fitted.names]
    deviations = np.sqrt(gmm._mixture().covariances.variances)
    rooms = len("component") + np.cumsum(
        [max(11, len(name)) + 2 for name in names[:MAX_FEATURES]]
    )
    n_shown = max(1, int(np.count_nonzero(rooms <= WIDTH)))
    for title, values in {
        "means": gmm.means_,
        "standard deviations": deviations,
    }.items():
        yield title
        yield from _table(
            ["component", *names[:n_shown]],
            [(k, *map("{:.5g}".format, row[:n_shown])) for k, row in enumerate(values)],
            least=11,
        )
        yield ""
    if n_shown < len(names):
        yield f"and {len(names) - n_shown} more columns, which --save keeps"
        yield ""


def _uncertainty(fitted: Fitted) -> Iterator[str]:
    """How far the probabilities of rows are from one."""
    uncertainty = 1 - fitted.probabilities.max(axis=1).astype(np.float64)
    weights = fitted.weights
    levels = np.quantile(uncertainty, SHARES, weights=weights, method="inverted_cdf")
    greatest = uncertainty[weights > 0].max()
    yield "uncertainty of rows (one minus their greatest probability)"
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
    count = weights[uncertainty > DOUBTFUL].sum()
    share = count / weights.sum()
    yield f"rows of more than {DOUBTFUL}: {count:.10g} ({share:.1%})"


def _short(name: str) -> str:
    """A name that fits into a table."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in name)
    return plain if len(plain) <= MAX_NAME else f"{plain[: MAX_NAME - 2]}.."


def _table(
    header: Sequence[str], rows: Iterable[Sequence[Any]], least: int = 0
) -> Iterator[str]:
    """Lines of columns, aligned on the right, the first as wide as its header."""
    lines = [[*map(str, line)] for line in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    widths[1:] = [max(width, least) for width in widths[1:]]
    for line in lines:
        fields = zip(line, widths, strict=True)
        yield "  ".join(field.rjust(width) for field, width in fields)
