"""BootstrapResult: standard errors and intervals of the parameters of a mixture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emgmm._utils.cached import cached_property
from emgmm._utils.validation import pandas_for_frames

from .fitted_rows import check_share

MOST_LINES = 60  # of a table in a repr


class Quantities(NamedTuple):
    """Values of the parameters of a mixture, and of a function of it if there is one:
    weights (K,), means (K, d), covariances (K, d, d) and statistic, or one of these for
    each of B replicates along a first axis more."""

    weights: NDArray
    means: NDArray
    covariances: NDArray
    statistic: NDArray | None = None

    def map(self, function: Callable[[NDArray], NDArray]) -> Quantities:
        """What the function returns for each of the arrays."""
        statistic = None if self.statistic is None else function(self.statistic)
        weights, means, covariances = map(function, self[:3])
        return Quantities(weights, means, covariances, statistic)


class Interval(NamedTuple):
    """Lower and upper ends of intervals of all quantities."""

    low: Quantities
    high: Quantities


@dataclass(frozen=True, eq=False, repr=False)
class BootstrapResult:
    """What `bootstrap` has found: how uncertain the parameters of a mixture are.

    `estimate`, `replicates`, `standard_error` and the two ends of
    `confidence_interval` have the same four fields, all components in the order of the
    fit: `weights` (n_components,), `means` (n_components, n_features), `covariances`
    (n_components, n_features, n_features), in full for every model, and `statistic`, of
    the shape that the function returns, or None. Those of `replicates` have one axis
    more, the first, of length `n_resamples - n_degenerate`.

    Parameters
    ----------
    estimate : Quantities
        Values of the fitted mixture.
    replicates : Quantities
        Values of the mixtures that were fitted to resampled rows.
    method : str
        How rows were resampled.
    confidence_level : float
        Probability of the intervals.
    n_degenerate : int
        Number of replicates that were left out because a component has collapsed.
    n_unconverged : int
        Number of replicates in which EM did not converge within `max_iter`.
    feature_names : tuple of str or None
        Names of the features, if the fit had any.

    Attributes
    ----------
    standard_error : Quantities
        Standard deviations of the replicates.
    confidence_interval : Interval
        Percentile intervals: quantiles of the replicates, as `low` and `high`.
    bias : Quantities
        Means of the replicates less the estimates.
    n_resamples : int
        Number of replicates, with those that were left out.

    See Also
    --------
    bootstrap : Creates it.
    BootstrapDisplay : Draws it.

    Examples
    --------
    >>> from emgmm import GaussianMixtureEM, bootstrap
    >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]] * 5
    >>> gmm = GaussianMixtureEM(n_components=2).fit(X)
    >>> result = bootstrap(gmm, X, n_resamples=99, random_state=0)
    >>> result.standard_error.means.shape
    (2, 1)
    >>> result.replicates.means.shape
    (99, 2, 1)
    >>> wider = result.with_confidence_level(0.99).confidence_interval
    >>> bool((wider.low.means <= result.confidence_interval.low.means).all())
    True
    """

    __module__ = "emgmm"

    estimate: Quantities
    replicates: Quantities
    method: str
    confidence_level: float = 0.95
    n_degenerate: int = 0
    n_unconverged: int = 0
    feature_names: tuple[str, ...] | None = None

    @property
    def n_resamples(self) -> int:
        """Number of replicates, with those that were left out."""
        return len(self.replicates.weights) + self.n_degenerate

    @cached_property
    def standard_error(self) -> Quantities:
        """Standard deviations of the replicates."""
        return self.replicates.map(lambda values: values.std(axis=0, ddof=1))

    @cached_property
    def bias(self) -> Quantities:
        """Means of the replicates less the estimates."""
        means, own = self.replicates.map(_mean), self.estimate
        statistic = None
        if means.statistic is not None and own.statistic is not None:
            statistic = means.statistic - own.statistic
        return Quantities(
            means.weights - own.weights,
            means.means - own.means,
            means.covariances - own.covariances,
            statistic,
        )

    @cached_property
    def confidence_interval(self) -> Interval:
        """Percentile intervals of all quantities."""
        tail = (1 - self.confidence_level) / 2
        return Interval(self._quantile(tail), self._quantile(1 - tail))

    def with_confidence_level(self, confidence_level: float) -> BootstrapResult:
        """The same replicates with intervals of another level.

        Parameters
        ----------
        confidence_level : float
            Probability of the intervals, between 0 and 1.

        Returns
        -------
        BootstrapResult
            The result with these intervals.

        Raises
        ------
        ValueError
            If the level is not between 0 and 1.
        """
        level = check_share("confidence_level", confidence_level, "such as 0.95")
        return replace(self, confidence_level=level)

    def to_frame(self) -> Any:
        """The estimates, standard errors and intervals as a table.

        Returns
        -------
        pandas.DataFrame
            A row for each weight, mean, variance and covariance, and for each number of
            the statistic. Columns: "quantity", "component", "feature" ("a, b" for a
            covariance; the place of a number for the statistic), "estimate",
            "standard_error", "low" and "high".

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        arrays = ", or use the arrays of standard_error and confidence_interval"
        return pandas_for_frames(arrays).DataFrame(list(self._lines()), columns=COLUMNS)

    def __repr__(self) -> str:
        """The number of replicates, and a table of weights and means."""
        left_out = f", {self.n_degenerate} of them degenerate" * bool(self.n_degenerate)
        head = (
            f"Bootstrap ({self.method}) of {self.n_resamples} resamples{left_out}; "
            f"intervals of {100 * self.confidence_level:.4g}%"
        )
        shown = [line for line in self._lines() if line[0] not in LONG]
        table = [COLUMNS, *(_cells(line) for line in shown[:MOST_LINES])]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(map(str.rjust, line, widths)).rstrip() for line in table]
        more = ["..."] * (len(shown) > MOST_LINES)
        return "\n".join([head, *lines, *more])

    def _quantile(self, share: float) -> Quantities:
        """Quantiles of the replicates."""
        return self.replicates.map(lambda values: np.quantile(values, share, axis=0))

    def _lines(self) -> Iterator[tuple[Any, ...]]:
        """Rows of the table."""
        ends = self.confidence_interval
        sources = (self.estimate, self.standard_error, ends.low, ends.high)
        for field, places in self._places():
            arrays = [getattr(source, field) for source in sources]
            for index, labels in places:
                yield *labels, *(float(array[index]) for array in arrays)

    def _places(self) -> Iterator[tuple[str, list[tuple[Any, tuple[Any, ...]]]]]:
        """Fields, with the indices and the labels of the numbers that are shown."""
        n_components, n_features = self.estimate.means.shape
        components, features = range(n_components), range(n_features)
        name = self.feature_names or tuple(map(str, features))
        yield "weights", [((k,), ("weight", k, "")) for k in components]
        yield (
            "means",
            [((k, j), ("mean", k, name[j])) for k in components for j in features],
        )
        pairs = [(i, j) for i in features for j in features[i:]]
        yield (
            "covariances",
            [
                ((k, i, j), ("variance", k, name[i]))
                if i == j
                else ((k, i, j), ("covariance", k, f"{name[i]}, {name[j]}"))
                for k in components
                for i, j in pairs
            ],
        )
        if self.estimate.statistic is not None:
            shape = self.estimate.statistic.shape
            yield (
                "statistic",
                [
                    (index, ("statistic", "", ", ".join(map(str, index))))
                    for index in np.ndindex(shape)
                ],
            )


def _mean(values: NDArray) -> NDArray:
    """Means over the replicates."""
    return values.mean(axis=0)


COLUMNS = ("quantity", "component", "feature", "estimate", "standard_error") + (
    "low",
    "high",
)
LONG = ("variance", "covariance")  # not in a repr


def _cells(line: tuple[Any, ...]) -> tuple[str, ...]:
    """Text of a row of the table."""
    return tuple(
        f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in line
    )
