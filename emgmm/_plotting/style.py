"""Colours, markers and Axes of pictures, and checks of their arguments.

Nothing here changes matplotlib's global state or imports it before drawing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

# Distinguishable with every kind of colour blindness, and by lightness alone.
COLORS = ("#0072B2", "#E69F00", "#882255", "#CC79A7", "#88CCEE", "#D55E00", "#332288")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "d", "8")


NOISE, COLOR_OF_NOISE = -1, "0.55"  # the label of rows that belong to no component


def marked(index: int) -> dict[str, Any]:
    """Colour and marker of a component's rows, or of noise."""
    if index == NOISE:
        return {"color": COLOR_OF_NOISE, "marker": ".", "zorder": 0.9}
    return {
        "color": COLORS[index % len(COLORS)],
        "marker": MARKERS[index % len(MARKERS)],
    }


def dashed(index: int) -> dict[str, Any]:
    """Colour and dashes of a component's curve."""
    dashes = ("--", "-.", ":")
    return {"color": marked(index)["color"], "linestyle": dashes[index % len(dashes)]}


def solid(index: int) -> dict[str, Any]:
    """Colour of a component's ellipse, darker than its rows, and its dashes.

    Lines are dashed where colours are used a second time, and dotted a third time.
    """
    dashes, turn = ("-", "--", ":"), index // len(COLORS)
    shade = tuple(0.55 * colors_of([index])[0])
    return {"color": shade, "linestyle": dashes[turn % len(dashes)]}


def colors_of(indices: ArrayLike) -> NDArray:
    """Colours of components, or of noise, as red, green and blue (n, 3)."""
    from matplotlib.colors import to_rgba, to_rgba_array

    indices = np.asarray(indices, dtype=np.intp)
    colors = to_rgba_array(COLORS)[indices % len(COLORS), :3]
    colors[indices == NOISE] = to_rgba(COLOR_OF_NOISE)[:3]
    return colors


def faded(uncertainty: NDArray, colors: NDArray, scale: float) -> dict[str, NDArray]:
    """Areas and tints of rows by their relative uncertainty, from 0 to 1."""
    strength = 0.45 + 0.55 * np.sqrt(uncertainty)[:, None]
    return {"s": scale * (8 + 40 * uncertainty), "color": 1 - strength * (1 - colors)}


def style_of(index: int) -> dict[str, Any]:
    """Colour, marker and dashes of a model; they repeat after 273 models."""
    dashes = ("-", "--", "-.")
    return marked(index) | {"linestyle": dashes[index % len(dashes)]}


def merged(
    artist: type[Artist], keywords: Mapping[str, Any] | None, **defaults: Any
) -> dict[str, Any]:
    """Keywords of an artist, under any of their aliases, with defaults for the rest."""
    from matplotlib.cbook import normalize_kwargs

    return defaults | normalize_kwargs(dict(keywords or {}), artist)


def axes_or_new(ax: Any, figsize: tuple[float, float] | None = None) -> Any:
    """The Axes to draw into, that of a new figure if None."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=figsize, layout="constrained")[1]


def divided(ax: Any, size: int) -> NDArray:
    """Panels (size, size) in place of an Axes, which is hidden."""
    ax.set_axis_off()
    spec, gaps = ax.get_subplotspec(), {"wspace": 0.08, "hspace": 0.08}
    if spec is not None:
        return spec.subgridspec(size, size, **gaps).subplots(sharex="col")
    (left, bottom), (right, top) = ax.get_position().get_points()
    edges = {"left": left, "right": right, "bottom": bottom, "top": top}
    grid = ax.figure.add_gridspec(size, size, **edges, **gaps)
    return grid.subplots(sharex="col")


def set_whole_ticks(ax: Axes) -> None:
    """Put the ticks of the x axis at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    steps = [1, 2, 5, 10]
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=steps))


def best_of(estimator: Any) -> Any:
    """The mixture that a search chose, or the estimator itself."""
    return getattr(estimator, "best_estimator_", estimator)


def fitted(estimator: Any, *attributes: str) -> Any:
    """The estimator; raise if it does not have the attributes to be drawn."""
    missing = [name for name in attributes if not hasattr(estimator, name)]
    if missing:
        check_is_fitted(estimator)
        raise TypeError(
            f"estimator is a {type(estimator).__name__} without {', '.join(missing)}: "
            "pass a fitted mixture or search. For a Pipeline, pass its last step, "
            "pipeline[-1], and the rows that reach it, pipeline[:-1].transform(X)."
        )
    return estimator


def check_levels(levels: ArrayLike) -> NDArray:
    """Shares of probability in ascending order; raise if they are not in (0, 1)."""
    try:
        shares = np.unique(np.asarray(levels, dtype=np.float64))
    except (TypeError, ValueError):
        shares = np.empty(0)
    if not shares.size or not ((shares > 0) & (shares < 1)).all():
        raise ValueError(
            f"levels={levels!r} are not shares of probability: use numbers between 0 "
            "and 1, such as (0.5, 0.95)."
        )
    return shares


def systematic_sample(keys: tuple[NDArray, ...], rows: NDArray, most: int) -> NDArray:
    """A systematic sample of at most so many rows, in their order by the keys.

    Strata are represented in proportion, and every call returns the same rows. The last
    key is the first to sort by.
    """
    if len(rows) <= most:
        return rows
    order = rows[np.lexsort([key[rows] for key in keys])]
    spread = (np.arange(most) + 0.5) * (len(rows) / most)
    return np.sort(order[spread.astype(np.intp)])
