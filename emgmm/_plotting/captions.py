"""What a picture says in words: titles, small print, legends."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from .style import dashed, faded, marked, solid
from .views import PlotOptions, View

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

SMALL: dict[str, Any] = {"fontsize": "x-small", "color": "0.35"}
MOST_INSIDE = 10  # entries of a legend that covers a part of the picture
MOST_IN_COLUMN = 20
MOST_IN_LEGEND = 60
WIDTH_OF_LEGEND = 95.0  # points, in the corner of a matrix
BESIDE = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
TITLES = {
    "classification": ("Density by component", "Rows by component"),
    "uncertainty": ("Uncertainty of the rows",) * 2,
    "density": ("Density", "Density"),
}  # of one feature, and of several


def entitle(ax: Axes, title: str, loc: Literal["left", "center"] = "center") -> None:
    """Give an Axes a title, unless it has one."""
    if not ax.get_title(loc):
        ax.set_title(title, loc=loc)


def title_of(look: PlotOptions, view: View) -> str:
    """What a mixture's picture shows."""
    several = len(view.limits) > 1
    if look.kind == "classification" and several and view.X is None:
        return "Components"
    parts = " and components" if look.kind == "density" and look.components else ""
    return TITLES[look.kind][several] + parts


def percentages(shares: NDArray) -> str:
    """Shares as in "50, 90 and 95%"."""
    *others, last = (f"{100 * share:.4g}" for share in shares)
    return " and ".join([", ".join(others), last] if others else [last]) + "%"


def small_print(look: PlotOptions, whole: View, panels: list[View]) -> list[str]:
    """What the symbols of a mixture's picture mean."""
    several, n_components = len(whole.limits) > 1, len(whole.weights)
    with_curves = len(panels) > 1 or not several
    density, doubts = look.kind == "density", look.kind == "uncertainty"
    parts = look.components or not density
    rows = several and len(whole.present) > 0 and n_components > 1
    inside, levels = percentages(look.ellipse_levels), percentages(look.levels)
    most = f"{1 - 1 / n_components:.2f}"
    return _holding(
        (several and parts, f"ellipses contain {inside} of a component's probability"),
        (several and density, f"contours enclose {levels} of the probability"),
        (rows and not (density or doubts), "small markers: uncertain rows"),
        (rows and doubts, "large markers: uncertain rows"),
        (with_curves and doubts, f"lines: uncertainty, {most} at most"),
        (
            with_curves and parts and not doubts,
            "grey: histogram, and the sum of the components",
        ),
    )


def rows_shown(look: PlotOptions, whole: View, panels: list[View]) -> list[str]:
    """How many of the rows a picture shows, if it does not show all."""
    total, matrix = len(whole.present), len(panels) > 1
    points = len(whole.limits) > 1 or look.kind == "uncertainty"
    present = [len(panel.present) for panel in panels]
    shown = len(panels[0].shown)
    sampled, lacking = points and max(present) > look.max_rows, min(present) < total
    return _holding(
        (sampled and not matrix, f"{shown:,} of {present[0]:,} rows drawn"),
        (sampled and matrix, f"{look.max_rows:,} of {total:,} rows drawn"),
        (lacking and not matrix, f"{total - present[0]:,} rows lack a value"),
        (lacking and matrix, "a panel shows the rows that have its features"),
    )


def features_shown(n_drawn: int, n_features: int, chosen: bool) -> str | None:
    """That only some features are drawn, and by which rule if none were chosen."""
    some = f"{n_drawn} of {n_features} features"
    if n_drawn == n_features:
        return None
    return f"{some} drawn" if chosen else f"the {some} that separate components most"


def _holding(*phrases: tuple[bool, str]) -> list[str]:
    """The phrases whose condition holds."""
    return [phrase for holds, phrase in phrases if holds]


def width_of(ax: Axes) -> float:
    """Width of an Axes in points."""
    return ax.get_window_extent().width * 72 / ax.figure.dpi


def fold(text: str, size: str | float, width: float) -> str:
    """Text in lines of a width in points."""
    from matplotlib.font_manager import FontProperties

    letter = 0.5 * FontProperties(size=size).get_size_in_points()
    return fill(text, max(int(width / letter), 8))


def note_above(ax: Axes, phrases: list[str]) -> Any:
    """Small print between an Axes and its title, which moves up to make room.

    It is the label of a second x axis: Axes place their titles, whoever gives them
    one, above what is labelled at the top.
    """
    # Functions of modules, or figures could not be pickled.
    top = ax.secondary_xaxis("top", functions=(np.positive, np.positive))
    top.tick_params(which="both", top=False, labeltop=False)
    top.spines["top"].set_visible(False)
    text = fold("; ".join(phrases), SMALL["fontsize"], width_of(ax))
    top.set_xlabel(text, **SMALL)
    return top.xaxis.label


def note_within(axes: NDArray, phrases: list[str]) -> Any:
    """Small print in the empty corner of a matrix, on the left of the legend."""
    ax = axes[0, 1]
    width = (len(axes) - 1) * width_of(ax) - WIDTH_OF_LEGEND
    text = "\n".join(fold(phrase, SMALL["fontsize"], width) for phrase in phrases)
    place = {"verticalalignment": "top", "transform": ax.transAxes}
    note = ax.text(0.0, 1.0, text, linespacing=1.4, **place, **SMALL)
    note.set_in_layout(False)
    return note


def legend_in(ax: Axes, handles: list[Artist], title: str, *, matrix: bool) -> Any:
    """The legend: in the corner of a matrix, within a panel, or if long beside it.

    None where it is too long, as it is within a panel of a figure that makes no room.
    """
    makes_room = ax.figure.get_layout_engine() is not None
    most = MOST_IN_LEGEND if matrix or makes_room else MOST_INSIDE
    if not 0 < len(handles) <= most:
        return None
    look: dict[str, Any] = {"loc": "upper right" if matrix else "best"}
    if not matrix and len(handles) > MOST_INSIDE:
        look = dict(BESIDE)
    look |= {"fontsize": "small", "title_fontsize": "small"}
    look["ncols"] = -(-len(handles) // MOST_IN_COLUMN)
    legend = ax.legend(handles=handles, title=title, **look)
    # Or its width would push the panels of its column aside.
    legend.set_in_layout(not matrix)
    return legend


def entries(look: PlotOptions, view: View) -> list[Any]:
    """Those of the legend: components, then degrees of uncertainty."""
    from matplotlib.lines import Line2D

    if look.kind == "density" and not look.components:
        return []
    styles = [_style_of(k, look, view) for k in range(len(view.weights))]
    components = [
        Line2D([], [], label=f"{k} ({weight:.0%})", **style)
        for k, (weight, style) in enumerate(zip(view.weights, styles, strict=True))
    ]
    several = len(view.limits) > 1
    doubts = _doubts(look, view) if several and look.kind == "uncertainty" else []
    return components + doubts


def _style_of(k: int, look: PlotOptions, view: View) -> dict[str, Any]:
    """How a component is drawn: its curve, or the ellipses and rows of it."""
    curve = len(view.limits) == 1
    if look.kind == "uncertainty":
        marker = marked(k) | {"marker": "o"}
        if curve:
            return {"color": marker["color"]}
    elif curve or look.kind == "density":
        return dashed(k)
    else:
        marker = marked(k) | ({"marker": ""} if view.X is None else {})
    face = {"markerfacecolor": marker.pop("color"), "markeredgewidth": 0}
    return solid(k) | marker | face


def _doubts(look: PlotOptions, view: View) -> list[Any]:
    """Entries of the legend for no, some and the greatest uncertainty."""
    from matplotlib.lines import Line2D

    greatest, handles, black = 1 - 1 / len(view.weights), [], np.full((1, 3), 0.2)
    for doubt in (0.0, 0.25, 1.0)[: 3 if greatest else 1]:
        (area,), (grey,) = faded(np.array([doubt]), black, look.scale).values()
        look_of_dot = {"color": grey, "markersize": np.sqrt(area)}
        dot = {"marker": "o", "linestyle": ""} | look_of_dot
        label = f"uncertainty {doubt * greatest:.2f}"
        handles.append(Line2D([], [], label=label, **dot))
    return handles
