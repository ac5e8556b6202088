"""What pictures of mixtures are made of: styles, axes, and Gaussians as geometry.

Nothing here changes matplotlib's global state, and nothing imports it before it draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp
from sklearn.utils.validation import check_is_fitted

from ._parameters import LOG_2_PI

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

# Told apart with each kind of colour blindness, and by lightness alone.
COLORS = ("#0072B2", "#E69F00", "#882255", "#CC79A7", "#88CCEE", "#D55E00", "#332288")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "d", "8")
RINGS = 32  # of a disc of points, each ring with as many


def marked(index: int) -> dict[str, Any]:
    """Colour and marker of a component's rows."""
    return {
        "color": COLORS[index % len(COLORS)],
        "marker": MARKERS[index % len(MARKERS)],
    }


def dashed(index: int) -> dict[str, Any]:
    """Colour and dashes of a component's curve."""
    dashes = ("--", "-.", ":")
    return {"color": marked(index)["color"], "linestyle": dashes[index % len(dashes)]}


def solid(index: int) -> dict[str, Any]:
    """Dark shade of a component's colour, to be seen on its rows: of its ellipse.

    Dashed where the colours come a second time, dotted where a third.
    """
    dashes, turn = ("-", "--", ":"), index // len(COLORS)
    shade = tuple(0.55 * colors_of([index])[0])
    return {"color": shade, "linestyle": dashes[turn % len(dashes)]}


def colors_of(indices: ArrayLike) -> NDArray:
    """Colours of components as red, green and blue, shape (n, 3)."""
    from matplotlib.colors import to_rgba_array

    return to_rgba_array(COLORS)[np.asarray(indices, dtype=np.intp) % len(COLORS), :3]


def faded(doubt: NDArray, colors: NDArray, scale: float) -> dict[str, NDArray]:
    """Areas and tints of rows, by their uncertainty as a share of the greatest."""
    strength = 0.45 + 0.55 * np.sqrt(doubt)[:, None]
    return {"s": scale * (8 + 40 * doubt), "color": 1 - strength * (1 - colors)}


def style_of(index: int) -> dict[str, Any]:
    """Colour, marker and dashes of a model: 273 combinations before one returns."""
    dashes = ("-", "--", "-.")
    return marked(index) | {"linestyle": dashes[index % len(dashes)]}


def merged(
    artist: type[Artist], given: Mapping[str, Any] | None, **defaults: Any
) -> dict[str, Any]:
    """Keywords of an artist: what is given, under any alias, before the defaults."""
    from matplotlib.cbook import normalize_kwargs

    return defaults | normalize_kwargs(dict(given or {}), artist)


def axes_or_new(ax: Any, figsize: tuple[float, float] | None = None) -> Any:
    """The Axes to draw into: the given one, or that of a new figure."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=figsize, layout="constrained")[1]


def divided(ax: Any, size: int) -> NDArray:
    """Panels (size, size) in the place of an Axes, which is hidden."""
    ax.set_axis_off()
    spec, gaps = ax.get_subplotspec(), {"wspace": 0.08, "hspace": 0.08}
    if spec is not None:
        return spec.subgridspec(size, size, **gaps).subplots(sharex="col")
    (left, bottom), (right, top) = ax.get_position().get_points()
    edges = {"left": left, "right": right, "bottom": bottom, "top": top}
    grid = ax.figure.add_gridspec(size, size, **edges, **gaps)
    return grid.subplots(sharex="col")


def set_whole_ticks(ax: Axes) -> None:
    """Ticks of the x axis at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    steps = [1, 2, 5, 10]
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=steps))


def best_of(estimator: Any) -> Any:
    """The mixture that a search chose, or the estimator itself."""
    return getattr(estimator, "best_estimator_", estimator)


def fitted(estimator: Any, *attributes: str) -> Any:
    """The estimator, if it has what is to be drawn."""
    lacking = [name for name in attributes if not hasattr(estimator, name)]
    if lacking:
        check_is_fitted(estimator)
        raise TypeError(
            f"estimator is a {type(estimator).__name__} without {', '.join(lacking)}: "
            "give a fitted mixture or search. Of a Pipeline, give the last step, "
            "pipeline[-1], and the rows as they come to it, pipeline[:-1].transform(X)."
        )
    return estimator


def check_choice(argument: str, value: Any, allowed: Mapping[str, Any]) -> None:
    """One of the names that are allowed."""
    if not isinstance(value, str) or value not in allowed:
        names = ", ".join(map(repr, allowed))
        raise ValueError(f"{argument}={value!r} is unknown: give one of {names}.")


def check_levels(levels: ArrayLike) -> NDArray:
    """Shares of probability, between zero and one, in increasing order."""
    try:
        shares = np.unique(np.asarray(levels, dtype=np.float64))
    except (TypeError, ValueError):
        shares = np.empty(0)
    if not shares.size or not ((shares > 0) & (shares < 1)).all():
        raise ValueError(
            f"levels={levels!r} must hold shares of probability: give numbers between "
            "0 and 1, such as (0.5, 0.95)."
        )
    return shares


def systematic_sample(keys: tuple[NDArray, ...], rows: NDArray, most: int) -> NDArray:
    """At most so many of the rows, evenly spread over their order by the last key,
    then the one before: the same ones at every call, and strata in proportion."""
    if len(rows) <= most:
        return rows
    order = rows[np.lexsort([key[rows] for key in keys])]
    spread = (np.arange(most) + 0.5) * (len(rows) / most)
    return np.sort(order[spread.astype(np.intp)])


def limits_of(X: NDArray | None, centres: NDArray, reach: NDArray) -> NDArray:
    """Limits (d, 2) that hold the rows, as far as they have values, and all within
    reach (K, d) of the centres."""
    held = [centres - reach, centres + reach, *([] if X is None else [X])]
    low = np.fmin.reduce([np.fmin.reduce(part) for part in held])
    high = np.fmax.reduce([np.fmax.reduce(part) for part in held])
    least = 1e-6 * np.maximum(np.abs(low), np.abs(high))
    width = np.where(high - low > least, high - low, np.maximum(least, 1e-6))
    if X is not None and len(X):
        value = np.fmax.reduce(X)
        scale = np.where(value == 0, 1.0, np.abs(value))
        constant = (np.fmin.reduce(X) == value) & (high - low <= 1e-6 * scale)
        low, high = (
            np.where(constant, value + side * scale, end)
            for side, end in ((-0.5, low), (0.5, high))
        )
        width = np.where(constant, scale, width)
    return np.stack([low - 0.04 * width, high + 0.04 * width], axis=1)


@dataclass(frozen=True, eq=False)
class Gaussians:
    """Weighted Gaussians by the axes of their ellipsoids, in units of the features."""

    weights: NDArray
    means: NDArray
    lengths: NDArray
    directions: NDArray
    units: NDArray

    @classmethod
    def of(
        cls,
        weights: NDArray,
        means: NDArray,
        covariances: NDArray,
        units: NDArray,
        least: float = 0.0,
    ) -> Self:
        """From covariances (K, p, p), no axis less than so many units long."""
        scaled = covariances / np.multiply.outer(units, units)
        variances, directions = np.linalg.eigh(scaled)
        lengths = np.sqrt(np.maximum(variances, least**2))
        return cls(weights, means, lengths, directions, units)

    def carry(self, points: NDArray) -> NDArray:
        """Points (m, p) of the unit Gaussian in the place of each, (K, m, p)."""
        turned = (points * self.lengths[:, None]) @ self.directions.mT
        return self.means[:, None] + turned * self.units

    def log_joint(self, points: NDArray) -> NDArray:
        """log w_k + log N(x; mean_k, covariance_k), shape (K, m)."""
        log_joint = np.empty((len(self.means), len(points)))
        volumes = np.log(self.lengths).sum(axis=1) + np.log(self.units).sum()
        constant = -volumes - 0.5 * len(self.units) * LOG_2_PI
        for k, mean in enumerate(self.means):
            turned = ((points - mean) / self.units) @ self.directions[k]
            log_joint[k] = constant[k] - 0.5 * ((turned / self.lengths[k]) ** 2).sum(1)
        with np.errstate(divide="ignore"):
            return log_joint + np.log(self.weights)[:, None]

    def density(self, points: NDArray) -> NDArray:
        """Density of the mixture at points (m, p)."""
        return np.exp(logsumexp(self.log_joint(points), axis=0))

    def heights(self, shares: NDArray) -> NDArray:
        """Densities above which the mixture has such shares of its probability.

        In two dimensions. The probability of each component is put, in equal parts, on
        a disc of points, so that narrow components count as they should.
        """
        centres = (np.arange(RINGS) + 0.5) / RINGS
        circles = circle(RINGS)[:-1]
        disc = radii(centres)[:, None, None] * circles
        points = self.carry(disc.reshape(-1, 2))
        heights = self.density(points.reshape(-1, 2))
        order = np.argsort(heights)[::-1]
        held = np.repeat(self.weights, points.shape[1])[order].cumsum()
        return np.interp(shares, held / held[-1], heights[order])


def circle(n_points: int) -> NDArray:
    """The unit circle, closed: points (n + 1, 2)."""
    angles = np.linspace(0, 2 * np.pi, n_points + 1)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def radii(levels: NDArray) -> NDArray:
    """Mahalanobis radii of the discs that hold shares of a Gaussian in a plane."""
    return np.sqrt(-2 * np.log1p(-levels))
