"""Panels of a mixture's picture: of one feature, or of one against another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .geometry import circle, radii
from .style import COLORS, NOISE, colors_of, dashed, faded, marked, merged, solid
from .views import GRID, PlotOptions, View

Artists = dict[str, list]
THIN_LINE: dict[str, Any] = {"color": "0.15", "linewidth": 1.2}
WIDE_LINE: dict[str, Any] = {"color": "0.6", "linewidth": 3.5, "solid_capstyle": "butt"}
TALLEST = 10  # heights of the histogram up to which a curve is shown in full


class Kind(NamedTuple):
    """Functions that draw panels of one feature and of two."""

    one: Callable[[Any, View, PlotOptions], Artists]
    two: Callable[[Any, View, PlotOptions], Artists]


def draw_panel(ax: Any, view: View, options: PlotOptions) -> Artists:
    """Draw the one or two features of a view, set the limits, return the artists."""
    kind = KINDS[options.kind]
    ax.set_xlim(*view.limits[0])
    if len(view.limits) == 1:
        return kind.one(ax, view, options)
    ax.set_ylim(*view.limits[1])
    return kind.two(ax, view, options)


def _classified(ax: Any, view: View, options: PlotOptions) -> Artists:
    """Draw rows by component, larger where they are more certain, and ellipses."""
    scatter = [
        _scatter(ax, view, options, rows, **marked(k))
        for k in (NOISE, *range(len(view.weights)))
        if (rows := view.labels[view.shown] == k).any()
    ]
    return {
        "scatter": scatter,
        "ellipses": _ellipses(ax, view, options, solid, linewidth=1.4),
        "numbers": _number_labels(ax, view, options, view.means),
    }


def _uncertain(ax: Any, view: View, options: PlotOptions) -> Artists:
    """Draw rows by component, larger where they are less certain, and thin ellipses."""
    ellipses = _ellipses(ax, view, options, solid, linewidth=0.8)
    order = np.argsort(view.relative_uncertainty, kind="stable")
    colors = colors_of(view.labels[view.shown[order]])
    style = faded(view.relative_uncertainty[order], colors, options.scale)
    points = _scatter(ax, view, options, order, **style, marker="o", alpha=None)
    numbers = _number_labels(ax, view, options, view.means)
    return {"scatter": [points], "ellipses": ellipses, "numbers": numbers}


def _dense(ax: Any, view: View, options: PlotOptions) -> Artists:
    """Draw contours that enclose shares of the probability, over grey rows."""
    every = np.arange(len(view.shown))
    drawn: Artists = {"scatter": [], "ellipses": []}
    if view.X is not None:
        drawn["scatter"] = [_scatter(ax, view, options, every, color="0.75")]
    if options.components:
        drawn["ellipses"] = _ellipses(ax, view, options, dashed, linewidth=1.4)
        drawn["numbers"] = _number_labels(ax, view, options, view.means)
    return drawn | {"contours": [_contours(ax, view, options)]}


def _scatter(
    ax: Any,
    view: View,
    options: PlotOptions,
    rows: NDArray,
    **defaults: Any,
) -> Any:
    """Draw some of the rows, by default with sizes that grow with certainty."""
    from matplotlib.collections import PathCollection

    largest = options.scale * np.clip(20000 / max(len(view.shown), 1), 8, 32)
    keywords = dict(options.keywords["scatter"] or {})
    if "c" in keywords:
        keywords["color"] = keywords.pop("c")
    defaults = {
        "s": largest * (0.15 + 0.85 * (1 - view.relative_uncertainty[rows])),
        "linewidth": 0,
        "alpha": 0.6,
        "rasterized": True,
    } | defaults
    points = view.X[view.shown[rows]]
    return ax.scatter(*points.T, **merged(PathCollection, keywords, **defaults))


def _ellipses(
    ax: Any,
    view: View,
    options: PlotOptions,
    style: Callable[[int], dict[str, Any]],
    linewidth: float,
) -> list:
    """Draw ellipses that contain shares of each component: a list for each (K)."""
    from matplotlib.lines import Line2D

    gaussians, unit = view.gaussians(), circle(100)
    discs = [
        gaussians.apply_factor(radius * unit)
        for radius in radii(options.ellipse_levels)
    ]
    width, drawn = linewidth * np.sqrt(options.scale), []
    for k in range(len(view.weights)):
        own = style(k) | {"linewidth": width}
        keywords = merged(Line2D, options.keywords["ellipse"], **own)
        drawn.append([ax.plot(*disc[k].T, **keywords)[0] for disc in discs])
    return drawn


def _number_labels(ax: Any, view: View, options: PlotOptions, places: NDArray) -> list:
    """Write the number of each component at a place, if colours are not enough."""
    if not options.numbered or len(view.weights) <= len(COLORS):
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


def _contours(ax: Any, view: View, options: PlotOptions) -> Any:
    """Draw contours of the density; components narrower than a cell are widened."""
    x, y = (
        np.union1d(np.linspace(low, high, GRID), means)
        for (low, high), means in zip(view.limits, view.means.T, strict=True)
    )
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    gaussians = view.gaussians(least=0.7)
    density = gaussians.density(grid.reshape(-1, 2)).reshape(len(y), len(x))
    keywords = dict(options.keywords["contour"] or {})
    plain = {} if "cmap" in keywords else {"colors": "0.15"}
    levels = np.unique(gaussians.heights(options.levels))
    defaults = {"levels": levels, "linewidths": 1.0}
    return ax.contour(x, y, density, **plain | defaults | keywords)


def _curves(ax: Any, view: View, options: PlotOptions) -> Artists:
    """Draw the histogram of the rows, and the densities of mixture and components."""
    from matplotlib.lines import Line2D

    bars = [_histogram(ax, view)] if len(view.present) else []
    gaussians = view.gaussians(least=1e-9)
    narrow = gaussians.apply_factor(np.linspace(-6, 6, 61)[:, None])[..., 0]
    low, high = view.limits[0]
    x = np.union1d(np.linspace(low, high, 2 * GRID), narrow)
    x = x[(x >= low) & (x <= high)]
    parts = np.exp(gaussians.log_joint(x[:, None]))
    # The sum is a wide line below its parts, so that both show where they agree.
    several = options.components or options.kind == "classification"
    keywords, total = (
        options.keywords["curve"],
        dict(WIDE_LINE if several else THIN_LINE),
    )
    total["linewidth"] *= np.sqrt(options.scale)
    lines = ax.plot(x, parts.sum(axis=0), **merged(Line2D, keywords, **total))
    for k, part in enumerate(parts if several else []):
        own = merged(Line2D, keywords, **dashed(k), linewidth=1.6)
        lines += ax.plot(x, part, **own)
    peaks = np.column_stack([x[parts.argmax(axis=1)], parts.max(axis=1)])
    numbers = _number_labels(ax, view, options, peaks) if several else []
    highest = parts.sum(axis=0).max()
    for tallest in (heights.max() for heights, _ in bars):
        highest = max(tallest, min(highest, TALLEST * tallest))
    ax.set_ylim(0, 1.05 * highest)
    patches = [drawn for _, drawn in bars]
    return {"lines": lines, "bars": patches, "numbers": numbers}


def _histogram(ax: Any, view: View) -> tuple[NDArray, Any]:
    """Draw a histogram, its bins by Scott's rule for the mean width of components.

    If values are rounded, the width of the bins is a multiple of the rounding step:
    otherwise some bins would be empty, or contain one value more than their neighbours.
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
    style = {"color": "0.85", "edgecolor": "white", "linewidth": 0.5}
    heights, _, bars = ax.hist(x, edges, density=True, weights=counts, **style)
    return heights, bars


def _stems(ax: Any, view: View, options: PlotOptions) -> Artists:
    """Draw the uncertainty of each row as the height of a line."""
    from matplotlib.collections import LineCollection

    rows = view.shown
    colors = colors_of(view.labels[rows])
    own = {"color": colors, "linewidth": 0.8, "rasterized": True}
    keywords = merged(LineCollection, options.keywords["curve"], **own)
    stems = ax.vlines(view.X[rows, 0], 0, view.uncertainty[rows], **keywords)
    top = 1.05 * max(1 - 1 / len(view.weights), 0.01)
    ax.set_ylim(0, top)
    places = np.column_stack([view.means, np.full(len(view.means), 0.95 * top)])
    return {"lines": [stems], "numbers": _number_labels(ax, view, options, places)}


KINDS = {
    "classification": Kind(_curves, _classified),
    "uncertainty": Kind(_stems, _uncertain),
    "density": Kind(_curves, _dense),
}
