"""What pictures of mixtures are made of: styles, axes, and Gaussians as geometry.

Nothing here changes matplotlib's global state, and nothing imports it before it draws.
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

# Told apart with each kind of colour blindness, and by lightness alone.
COLORS = ("#0072B2", "#E69F00", "#882255", "#CC79A7", "#88CCEE", "#D55E00", "#332288")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "d", "8")


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
