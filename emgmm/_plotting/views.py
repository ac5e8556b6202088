"""Views of a mixture: the rows and components that a panel shows, and options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .geometry import Gaussians, limits_of, radii
from .style import NOISE, systematic_sample

GRID = 200  # points along each side of the grid for contours
WIDEST = 0.99  # share of a component within the limits if there are no rows


@dataclass(frozen=True, eq=False)
class PlotOptions:
    """Options of a mixture's picture."""

    kind: str
    levels: NDArray
    ellipse_levels: NDArray
    components: bool
    max_rows: int
    scale: float
    """Of areas; less than 1 in the panels of a matrix."""
    numbered: bool
    """Whether components get numbers in the picture if they are many."""
    keywords: Mapping[str, Mapping[str, Any] | None]


@dataclass(frozen=True, eq=False)
class View:
    """The rows and the marginal mixture of the features that a panel shows."""

    X: Any
    sample_weight: NDArray | None
    labels: NDArray
    """Most probable components of the rows, or ``NOISE``."""
    uncertainty: NDArray
    present: NDArray
    """Indices of rows that have a weight, and no missing value in the features."""
    shown: NDArray
    """Indices of those that are drawn in scatter plots."""
    weights: NDArray
    means: NDArray
    covariances: NDArray
    limits: NDArray

    def of(self, features: list[int], options: PlotOptions) -> View:
        """The view of some of the features."""
        X, present, shown = self.X, self.present, self.shown
        if X is not None:
            X = X[:, features]
            has = ~np.isnan(X[present]).any(axis=1)
            if not has.all():
                present = present[has]
                keys = self.uncertainty, self.labels
                shown = systematic_sample(keys, present, options.max_rows)
        return replace(
            self,
            X=X,
            present=present,
            shown=shown,
            means=self.means[:, features],
            covariances=self.covariances[:, features][:, :, features],
            limits=self.limits[features],
        )

    def gaussians(self, least: float = 0.0) -> Gaussians:
        """The components, with the cells of the grid as units."""
        units = np.diff(self.limits)[:, 0] / GRID
        return Gaussians.of(self.weights, self.means, self.covariances, units, least)

    @property
    def relative_uncertainty(self) -> NDArray:
        """Uncertainty of the drawn rows; 1 if all components are equally probable."""
        greatest = 1 - 1 / len(self.weights)
        return np.minimum(self.uncertainty[self.shown] / (greatest or 1), 1.0)


def view_of(
    X: NDArray | None,
    mixture: tuple[NDArray, NDArray, NDArray],
    responsibilities: NDArray | None,
    sample_weight: NDArray | None,
    options: PlotOptions,
) -> View:
    """The view of all features."""
    weights, means, covariances = mixture
    if X is None:
        labels, uncertainty = np.empty(0, np.intp), np.empty(0)
    else:
        responsibilities = np.asarray(responsibilities, dtype=np.float64)
        greatest, rest = responsibilities.max(axis=1), 1 - responsibilities.sum(axis=1)
        labels = np.where(rest > greatest, NOISE, responsibilities.argmax(axis=1))
        uncertainty = np.clip(1 - np.maximum(greatest, rest), 0, None)
    counts = np.ones(len(labels)) if sample_weight is None else sample_weight
    present = np.flatnonzero(np.asarray(counts) > 0)
    shown = systematic_sample((uncertainty, labels), present, options.max_rows)
    least = WIDEST if X is None else 0.0
    share = np.max([least, options.levels[-1], options.ellipse_levels[-1]])
    reach = radii(share) * np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))
    limits = limits_of(X if X is None else X[present], means, reach)
    return View(
        X,
        sample_weight,
        labels,
        uncertainty,
        present,
        shown,
        *mixture,
        limits,
    )
