"""Panels of the picture of a mixture: one feature, or one against another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._drawing import (
    Gaussians,
    circle,
    dashed,
    limits_of,
    marked,
    merged,
    radii,
    solid,
    systematic_sample,
)

Artists = dict[str, list]
GRID = 200  # points along each side of the grid that contours are found on
WIDEST = 0.99  # share of a component that limits show where there are no rows
TALLEST = 10  # times the histogram that a curve may rise above it and be shown whole


@dataclass(frozen=True, eq=False)
class Look:
    """How a mixture is drawn."""

    kind: str
    levels: NDArray
    ellipse_levels: NDArray
    components: bool
    max_rows: int
    scale: float
    """Of areas, less than 1 in the panels of a matrix."""
    keywords: Mapping[str, Mapping[str, Any] | None]


@dataclass(frozen=True, eq=False)
class View:
    """Rows and marginal mixture of the one or two features that a panel shows."""

    X: Any
    sample_weight: NDArray | None
    labels: NDArray
    uncertainty: NDArray
    present: NDArray
    """Rows that count, and that have the features of a panel."""
    shown: NDArray
    """Those that are drawn in scatter plots."""
    weights: NDArray
    means: NDArray
    covariances: NDArray
    limits: NDArray

    def of(self, features: list[int], look: Look) -> View:
        """The view of some of the features."""
        X, present, shown = self.X, self.present, self.shown
        if X is not None:
            X = X[:, features]
            has = ~np.isnan(X[present]).any(axis=1)
            if not has.all():
                present = present[has]
                keys = self.uncertainty, self.labels
                shown = systematic_sample(keys, present, look.max_rows)
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
        """The components, in units of a cell of the grid."""
        units = np.diff(self.limits)[:, 0] / GRID
        return Gaussians.of(self.weights, self.means, self.covariances, units, least)

    @property
    def doubt(self) -> NDArray:
        """Uncertainty of the drawn rows, 1 where all components are as probable."""
        greatest = 1 - 1 / len(self.weights)
        return self.uncertainty[self.shown] / (greatest or 1)


def view_of(
    X: NDArray | None,
    mixture: tuple[NDArray, NDArray, NDArray],
    responsibilities: NDArray | None,
    sample_weight: NDArray | None,
    look: Look,
) -> View:
    """The view of all features."""
    weights, means, covariances = mixture
    if X is None:
        labels, uncertainty = np.empty(0, np.intp), np.empty(0)
    else:
        responsibilities = np.asarray(responsibilities, dtype=np.float64)
        labels = responsibilities.argmax(axis=1)
        uncertainty = np.clip(1 - responsibilities.max(axis=1), 0, None)
    counts = np.ones(len(labels)) if sample_weight is None else sample_weight
    present = np.flatnonzero(np.asarray(counts) > 0)
    shown = systematic_sample((uncertainty, labels), present, look.max_rows)
    least = WIDEST if X is None else 0.0
    share = np.max([least, look.levels[-1], look.ellipse_levels[-1]])
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


class Kind(NamedTuple):
    """How panels of one feature and of two are drawn."""

    one: Callable[[Any, View, Look], Artists]
    two: Callable[[Any, View, Look], Artists]


def draw_panel(ax: Any, view: View, look: Look) -> Artists:
    """Draw the one or two features of a view, and set the limits."""
    kind = KINDS[look.kind]
    ax.set_xlim(*view.limits[0])
    if len(view.limits) == 1:
        return kind.one(ax, view, look)
    ax.set_ylim(*view.limits[1])
    return kind.two(ax, view, look)


def _classified(ax: Any, view: View, look: Look) -> Artists:
    """Rows by most probable component, the larger the more certain; ellipses."""
    scatter = [
        _scatter(ax, view, look, rows, **marked(k))
        for k in range(len(view.weights))
        if (rows := view.labels[view.shown] == k).any()
    ]
    return {
        "scatter": scatter,
        "ellipses": _ellipses(ax, view, look, solid, linewidth=1.6),
    }


def _uncertain(ax: Any, view: View, look: Look) -> Artists:
    """Rows the larger and darker the less certain; faint ellipses."""
    ellipses = _ellipses(ax, view, look, solid, linewidth=0.8, color="0.6")
    order = np.argsort(view.doubt, kind="stable")
    look_of_rows = faded(view.doubt[order], look.scale)
    points = _scatter(ax, view, look, order, **look_of_rows, marker="o", alpha=None)
    return {"scatter": [points], "ellipses": ellipses}


def faded(doubt: NDArray, scale: float) -> dict[str, NDArray]:
    """Areas and greys of rows, by their uncertainty as a share of the greatest."""
    grey = np.repeat(0.75 * (1 - np.sqrt(doubt))[:, None], 3, axis=1)
    return {"s": scale * (6 + 40 * doubt), "color": grey}


def _dense(ax: Any, view: View, look: Look) -> Artists:
    """Contours of the density that hold shares of probability, over faint rows."""
    every = np.arange(len(view.shown))
    drawn: Artists = {"scatter": [], "ellipses": []}
    if view.X is not None:
        drawn["scatter"] = [_scatter(ax, view, look, every, color="0.75")]
    if look.components:
        drawn["ellipses"] = _ellipses(ax, view, look, dashed, linewidth=1.2)
    return drawn | {"contours": [_contours(ax, view, look)]}


def _scatter(
    ax: Any,
    view: View,
    look: Look,
    rows: NDArray,
    **defaults: Any,
) -> Any:
    """Some of the drawn rows, their size by certainty unless another is given."""
    from matplotlib.collections import PathCollection

    largest = look.scale * np.clip(20000 / max(len(view.shown), 1), 8, 32)
    given = dict(look.keywords["scatter"] or {})
    if "c" in given:
        given["color"] = given.pop("c")
    defaults = {
        "s": largest * (0.15 + 0.85 * (1 - view.doubt[rows])),
        "linewidth": 0,
        "alpha": 0.8,
        "rasterized": True,
    } | defaults
    points = view.X[view.shown[rows]]
    return ax.scatter(*points.T, **merged(PathCollection, given, **defaults))


def _ellipses(
    ax: Any,
    view: View,
    look: Look,
    style: Callable[[int], dict[str, Any]],
    **defaults: Any,
) -> list:
    """Ellipses of each component (K lists) that hold shares of its probability."""
    from matplotlib.lines import Line2D
    from matplotlib.patheffects import withStroke

    gaussians, unit = view.gaussians(), circle(100)
    discs = [gaussians.carry(radius * unit) for radius in radii(look.ellipse_levels)]
    drawn = []
    for k in range(len(view.weights)):
        keywords = merged(Line2D, look.keywords["ellipse"], **style(k) | defaults)
        halo = withStroke(linewidth=keywords["linewidth"] + 1.2, foreground="white")
        keywords = {"path_effects": [halo]} | keywords
        drawn.append([ax.plot(*disc[k].T, **keywords)[0] for disc in discs])
    return drawn


def _contours(ax: Any, view: View, look: Look) -> Any:
    """Contours of the density; what is narrower than a cell of the grid is widened."""
    x, y = (
        np.union1d(np.linspace(low, high, GRID), means)
        for (low, high), means in zip(view.limits, view.means.T, strict=True)
    )
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    gaussians = view.gaussians(least=0.7)
    density = gaussians.density(grid.reshape(-1, 2)).reshape(len(y), len(x))
    given = dict(look.keywords["contour"] or {})
    plain = {} if "cmap" in given else {"colors": "0.15"}
    levels = np.unique(gaussians.heights(look.levels))
    defaults = {"levels": levels, "linewidths": 1.0}
    return ax.contour(x, y, density, **plain | defaults | given)


def _curves(ax: Any, view: View, look: Look) -> Artists:
    """Histogram of the rows, curves of the density and of each component."""
    from matplotlib.lines import Line2D

    bars = [_histogram(ax, view)] if len(view.present) else []
    gaussians = view.gaussians(least=1e-9)
    narrow = gaussians.carry(np.linspace(-6, 6, 61)[:, None])[..., 0]
    low, high = view.limits[0]
    x = np.union1d(np.linspace(low, high, 2 * GRID), narrow)
    x = x[(x >= low) & (x <= high)]
    parts = np.exp(gaussians.log_joint(x[:, None]))
    given, lines = look.keywords["curve"], []
    if look.components or look.kind == "classification":
        for k, part in enumerate(parts):
            own = merged(Line2D, given, **dashed(k), linewidth=1.6)
            lines += ax.plot(x, part, **own)
    whole = merged(Line2D, given, color="0.15", linewidth=1.2)
    lines[:0] = ax.plot(x, parts.sum(axis=0), **whole)
    highest = parts.sum(axis=0).max()
    for tallest in (heights.max() for heights, _ in bars):
        highest = max(tallest, min(highest, TALLEST * tallest))
    ax.set_ylim(0, 1.05 * highest)
    return {"lines": lines, "bars": [patches for _, patches in bars]}


def _histogram(ax: Any, view: View) -> tuple[NDArray, Any]:
    """Heights and bars; bins by Scott's rule, for a component of mean width.

    Where values are rounded, bins are centred on whole numbers of steps: narrower ones
    would be empty between the values, and others would hold now one, now two.
    """
    x, counts = view.X[view.present, 0], view.sample_weight
    if counts is not None:
        counts = counts[view.present]
    total = len(x) if counts is None else counts.sum()
    variances = np.maximum(view.covariances[:, 0, 0], 1e-300)
    within = np.exp(0.5 * view.weights @ np.log(variances))
    width = 3.49 * within * total ** (-1 / 3)
    low, high = x.min(), x.max()
    if low == high:
        low, high = view.limits[0]
    width = np.clip(width, (high - low) / 100, (high - low) / 5)
    steps = np.diff(np.unique(x))
    step = min(steps[steps > 1e-6 * width].tolist(), default=width)
    width = max(1, np.round(width / step)) * step
    n_bins = int(np.ceil((high - low + step) / width))
    edges = low - step / 2 + width * np.arange(n_bins + 1)
    look = {"color": "0.85", "edgecolor": "white", "linewidth": 0.5}
    heights, _, bars = ax.hist(x, edges, density=True, weights=counts, **look)
    return heights, bars


def _stems(ax: Any, view: View, look: Look) -> Artists:
    """Uncertainty of each drawn row, as the height of a line."""
    from matplotlib.collections import LineCollection

    rows = view.shown
    own = {"color": "0.3", "linewidth": 0.8, "rasterized": True}
    keywords = merged(LineCollection, look.keywords["curve"], **own)
    stems = ax.vlines(view.X[rows, 0], 0, view.uncertainty[rows], **keywords)
    ax.set_ylim(0, 1.05 * max(1 - 1 / len(view.weights), 0.01))
    return {"lines": [stems]}


KINDS = {
    "classification": Kind(_curves, _classified),
    "uncertainty": Kind(_stems, _uncertain),
    "density": Kind(_curves, _dense),
}
