"""Panels of the picture of a mixture: one feature, or one against another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .geometry import circle, radii
from .style import COLORS, colors_of, dashed, faded, marked, merged, solid
from .views import GRID, PlotOptions, View

Artists = dict[str, list]
THIN: dict[str, Any] = {"color": "0.15", "linewidth": 1.2}
WIDE: dict[str, Any] = {"color": "0.6", "linewidth": 3.5, "solid_capstyle": "butt"}
TALLEST = 10  # times the histogram that a curve may rise above it and be shown whole


class Kind(NamedTuple):
    """How panels of one feature and of two are drawn."""

    one: Callable[[Any, View, PlotOptions], Artists]
    two: Callable[[Any, View, PlotOptions], Artists]


def draw_panel(ax: Any, view: View, look: PlotOptions) -> Artists:
    """Draw the one or two features of a view, and set the limits."""
    kind = KINDS[look.kind]
    ax.set_xlim(*view.limits[0])
    if len(view.limits) == 1:
        return kind.one(ax, view, look)
    ax.set_ylim(*view.limits[1])
    return kind.two(ax, view, look)


def _classified(ax: Any, view: View, look: PlotOptions) -> Artists:
    """Rows by most probable component, the larger the more certain; ellipses."""
    scatter = [
        _scatter(ax, view, look, rows, **marked(k))
        for k in range(len(view.weights))
        if (rows := view.labels[view.shown] == k).any()
    ]
    return {
        "scatter": scatter,
        "ellipses": _ellipses(ax, view, look, solid, linewidth=1.4),
        "numbers": _numbers(ax, view, look, view.means),
    }


def _uncertain(ax: Any, view: View, look: PlotOptions) -> Artists:
    """Rows by component, the larger and darker the less certain; thin ellipses."""
    ellipses = _ellipses(ax, view, look, solid, linewidth=0.8)
    order = np.argsort(view.doubt, kind="stable")
    colors = colors_of(view.labels[view.shown[order]])
    look_of_rows = faded(view.doubt[order], colors, look.scale)
    points = _scatter(ax, view, look, order, **look_of_rows, marker="o", alpha=None)
    numbers = _numbers(ax, view, look, view.means)
    return {"scatter": [points], "ellipses": ellipses, "numbers": numbers}


def _dense(ax: Any, view: View, look: PlotOptions) -> Artists:
    """Contours of the density that hold shares of probability, over faint rows."""
    every = np.arange(len(view.shown))
    drawn: Artists = {"scatter": [], "ellipses": []}
    if view.X is not None:
        drawn["scatter"] = [_scatter(ax, view, look, every, color="0.75")]
    if look.components:
        drawn["ellipses"] = _ellipses(ax, view, look, dashed, linewidth=1.4)
        drawn["numbers"] = _numbers(ax, view, look, view.means)
    return drawn | {"contours": [_contours(ax, view, look)]}


def _scatter(
    ax: Any,
    view: View,
    look: PlotOptions,
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
        "alpha": 0.6,
        "rasterized": True,
    } | defaults
    points = view.X[view.shown[rows]]
    return ax.scatter(*points.T, **merged(PathCollection, given, **defaults))


def _ellipses(
    ax: Any,
    view: View,
    look: PlotOptions,
    style: Callable[[int], dict[str, Any]],
    linewidth: float,
) -> list:
    """Ellipses of each component (K lists) that hold shares of its probability."""
    from matplotlib.lines import Line2D

    gaussians, unit = view.gaussians(), circle(100)
    discs = [
        gaussians.apply_factor(radius * unit) for radius in radii(look.ellipse_levels)
    ]
    width, drawn = linewidth * np.sqrt(look.scale), []
    for k in range(len(view.weights)):
        own = style(k) | {"linewidth": width}
        keywords = merged(Line2D, look.keywords["ellipse"], **own)
        drawn.append([ax.plot(*disc[k].T, **keywords)[0] for disc in discs])
    return drawn


def _numbers(ax: Any, view: View, look: PlotOptions, places: NDArray) -> list:
    """The number of each component at a place, where colours are not enough."""
    if not look.numbered or len(view.weights) <= len(COLORS):
        return []
    disc = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "linewidth": 0.8}
    centred = {"horizontalalignment": "center", "verticalalignment": "center"}
    return [
        ax.annotate(
            str(k),
            place,
            fontsize="x-small",
            annotation_clip=True,
            bbox=disc | {"edgecolor": solid(k)["color"]},
            **centred,
        )
        for k, place in enumerate(places)
    ]


def _contours(ax: Any, view: View, look: PlotOptions) -> Any:
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


def _curves(ax: Any, view: View, look: PlotOptions) -> Artists:
    """Histogram of the rows, curves of the density and of each component."""
    from matplotlib.lines import Line2D

    bars = [_histogram(ax, view)] if len(view.present) else []
    gaussians = view.gaussians(least=1e-9)
    narrow = gaussians.apply_factor(np.linspace(-6, 6, 61)[:, None])[..., 0]
    low, high = view.limits[0]
    x = np.union1d(np.linspace(low, high, 2 * GRID), narrow)
    x = x[(x >= low) & (x <= high)]
    parts = np.exp(gaussians.log_joint(x[:, None]))
    # The whole is drawn wide and below its parts: where it is one of them both show.
    several = look.components or look.kind == "classification"
    given, total = look.keywords["curve"], dict(WIDE if several else THIN)
    total["linewidth"] *= np.sqrt(look.scale)
    lines = ax.plot(x, parts.sum(axis=0), **merged(Line2D, given, **total))
    for k, part in enumerate(parts if several else []):
        own = merged(Line2D, given, **dashed(k), linewidth=1.6)
        lines += ax.plot(x, part, **own)
    peaks = np.column_stack([x[parts.argmax(axis=1)], parts.max(axis=1)])
    numbers = _numbers(ax, view, look, peaks) if several else []
    highest = parts.sum(axis=0).max()
    for tallest in (heights.max() for heights, _ in bars):
        highest = max(tallest, min(highest, TALLEST * tallest))
    ax.set_ylim(0, 1.05 * highest)
    patches = [drawn for _, drawn in bars]
    return {"lines": lines, "bars": patches, "numbers": numbers}


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


def _stems(ax: Any, view: View, look: PlotOptions) -> Artists:
    """Uncertainty of each drawn row, as the height of a line."""
    from matplotlib.collections import LineCollection

    rows = view.shown
    colors = colors_of(view.labels[rows])
    own = {"color": colors, "linewidth": 0.8, "rasterized": True}
    keywords = merged(LineCollection, look.keywords["curve"], **own)
    stems = ax.vlines(view.X[rows, 0], 0, view.uncertainty[rows], **keywords)
    top = 1.05 * max(1 - 1 / len(view.weights), 0.01)
    ax.set_ylim(0, top)
    places = np.column_stack([view.means, np.full(len(view.means), 0.95 * top)])
    return {"lines": [stems], "numbers": _numbers(ax, view, look, places)}


KINDS = {
    "classification": Kind(_curves, _classified),
    "uncertainty": Kind(_stems, _uncertain),
    "density": Kind(_curves, _dense),
}
