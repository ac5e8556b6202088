"""The words in a picture: titles, small print and legends."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from .style import NOISE, dashed, faded, marked, solid
from .views import PlotOptions, View

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

SMALL_TEXT: dict[str, Any] = {"fontsize": "x-small", "color": "0.35"}
MOST_INSIDE = 10  # entries of a legend within a panel
MOST_IN_COLUMN = 20
MOST_IN_LEGEND = 60
LEGEND_WIDTH = 95.0  # points, in the corner of a matrix
BESIDE = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
TITLES = {
    "classification": ("Density by component", "Rows by component"),
    "uncertainty": ("Uncertainty of the rows",) * 2,
    "density": ("Density", "Density"),
}  # for one feature, and for several


def entitle(ax: Axes, title: str, loc: Literal["left", "center"] = "center") -> None:
    """Set the title of an Axes, unless it has one."""
    if not ax.get_title(loc):
        ax.set_title(title, loc=loc)


def title_of(options: PlotOptions, view: View) -> str:
    """The title of a mixture's picture."""
    several = len(view.limits) > 1
    if options.kind == "classification" and several and view.X is None:
        return "Components"
    parts = (
        " and components" if options.kind == "density" and options.components else ""
    )
    return TITLES[options.kind][several] + parts


def percentages(shares: NDArray) -> str:
    """Text such as "50, 90 and 95%"."""
    *others, last = (f"{100 * share:.4g}" for share in shares)
    return " and ".join([", ".join(others), last] if others else [last]) + "%"


def small_print(options: PlotOptions, whole: View, panels: list[View]) -> list[str]:
    """Phrases that explain the symbols in a mixture's picture."""
    several, n_components = len(whole.limits) > 1, len(whole.weights)
    with_curves = len(panels) > 1 or not several
    density, uncertain = options.kind == "density", options.kind == "uncertainty"
    parts = options.components or not density
    rows = several and len(whole.present) > 0 and n_components > 1
    inside, levels = percentages(options.ellipse_levels), percentages(options.levels)
    most = f"{1 - 1 / n_components:.2f}"
    return _applicable(
        (several and parts, f"ellipses contain {inside} of a component's probability"),
        (several and density, f"contours enclose {levels} of the probability"),
        (rows and not (density or uncertain), "small markers: uncertain rows"),
        (rows and uncertain, "large markers: uncertain rows"),
        (with_curves and uncertain, f"lines: uncertainty, at most {most}"),
        (
            with_curves and parts and not uncertain,
            "grey: histogram, and the sum of the components",
        ),
    )


def rows_shown(options: PlotOptions, whole: View, panels: list[View]) -> list[str]:
    """Phrases that say how many of the rows are drawn, if they are not all."""
    total, matrix = len(whole.present), len(panels) > 1
    points = len(whole.limits) > 1 or options.kind == "uncertainty"
    present = [len(panel.present) for panel in panels]
    shown = len(panels[0].shown)
    sampled = points and max(present) > options.max_rows
    incomplete = min(present) < total
    return _applicable(
        (sampled and not matrix, f"{shown:,} of {present[0]:,} rows drawn"),
        (sampled and matrix, f"{options.max_rows:,} of {total:,} rows drawn"),
        (incomplete and not matrix, f"{total - present[0]:,} rows lack a value"),
        (incomplete and matrix, "each panel shows the rows that have its features"),
    )


def features_shown(n_drawn: int, n_features: int, chosen: bool) -> str | None:
    """A phrase that says which features are drawn; None if all are."""
    some = f"{n_drawn} of {n_features} features"
    if n_drawn == n_features:
        return None
    return f"{some} drawn" if chosen else f"the {some} that separate components most"


def _applicable(*phrases: tuple[bool, str]) -> list[str]:
    """The phrases whose condition is true."""
    return [phrase for applies, phrase in phrases if applies]


def width_of(ax: Axes) -> float:
    """The width of an Axes in points."""
    return ax.get_window_extent().width * 72 / ax.figure.dpi


def fold(text: str, size: str | float, width: float) -> str:
    """The text in lines of a width in points."""
    from matplotlib.font_manager import FontProperties

    letter = 0.5 * FontProperties(size=size).get_size_in_points()
    return fill(text, max(int(width / letter), 8))


def note_above(ax: Axes, phrases: list[str]) -> Any:
    """Write small print between an Axes and its title, which moves up to make room.

    It is the label of a second x axis: an Axes places its title above the labels at the
    top, also if the title is set later.
    """
    # Only functions that modules define can be pickled with the figure.
    top = ax.secondary_xaxis("top", functions=(np.positive, np.positive))
    top.tick_params(which="both", top=False, labeltop=False)
    top.spines["top"].set_visible(False)
    text = fold("; ".join(phrases), SMALL_TEXT["fontsize"], width_of(ax))
    top.set_xlabel(text, **SMALL_TEXT)
    return top.xaxis.label


def note_within(axes: NDArray, phrases: list[str]) -> Any:
    """Write small print in the empty corner of a matrix, to the left of the legend."""
    ax = axes[0, 1]
    width = (len(axes) - 1) * width_of(ax) - LEGEND_WIDTH
    text = "\n".join(fold(phrase, SMALL_TEXT["fontsize"], width) for phrase in phrases)
    place = {"verticalalignment": "top", "transform": ax.transAxes}
    note = ax.text(0.0, 1.0, text, linespacing=1.4, **place, **SMALL_TEXT)
    note.set_in_layout(False)
    return note


def legend_in(ax: Axes, handles: list[Artist], title: str, *, matrix: bool) -> Any:
    """The legend, in the corner of a matrix, within a panel, or beside it if long.

    None if it is too long, as a legend within a panel may be.
    """
    makes_room = ax.figure.get_layout_engine() is not None
    most = MOST_IN_LEGEND if matrix or makes_room else MOST_INSIDE
    if not 0 < len(handles) <= most:
        return None
    place: dict[str, Any] = {"loc": "upper right" if matrix else "best"}
    if not matrix and len(handles) > MOST_INSIDE:
        place = dict(BESIDE)
    place["ncols"] = -(-len(handles) // MOST_IN_COLUMN)
    sizes: dict[str, Any] = {"fontsize": "small", "title_fontsize": "small"}
    legend = ax.legend(handles=handles, title=title, **place, **sizes)
    # In the layout of a matrix its width would push the panels of its column aside.
    legend.set_in_layout(not matrix)
    return legend


def entries(options: PlotOptions, view: View) -> list[Any]:
    """The entries of the legend: components, noise, then degrees of uncertainty."""
    from matplotlib.lines import Line2D

    if options.kind == "density" and not options.components:
        return []
    styles = [_style_of(k, options, view) for k in range(len(view.weights))]
    components = [
        Line2D([], [], label=f"{k} ({weight:.0%})", **style)
        for k, (weight, style) in enumerate(zip(view.weights, styles, strict=True))
    ]
    several = len(view.limits) > 1
    if several and options.kind != "density" and (view.labels == NOISE).any():
        share = 1 - float(view.weights.sum())
        style: dict[str, Any] = {"linestyle": "", "markeredgewidth": 0} | marked(NOISE)
        components.append(Line2D([], [], label=f"noise ({share:.0%})", **style))
    shaded = several and options.kind == "uncertainty"
    return components + (_uncertainty_entries(options, view) if shaded else [])


def _style_of(k: int, options: PlotOptions, view: View) -> dict[str, Any]:
    """The style of a component in the legend: its curve, or its ellipses and rows."""
    curve = len(view.limits) == 1
    if options.kind == "uncertainty":
        marker = marked(k) | {"marker": "o"}
        if curve:
            return {"color": marker["color"]}
    elif curve or options.kind == "density":
        return dashed(k)
    else:
        marker = marked(k) | ({"marker": ""} if view.X is None else {})
    face = {"markerfacecolor": marker.pop("color"), "markeredgewidth": 0}
    return solid(k) | marker | face


def _uncertainty_entries(options: PlotOptions, view: View) -> list[Any]:
    """Entries of the legend for no, some and the greatest possible uncertainty."""
    from matplotlib.lines import Line2D

    greatest, handles, black = 1 - 1 / len(view.weights), [], np.full((1, 3), 0.2)
    for share in (0.0, 0.25, 1.0)[: 3 if greatest else 1]:
        (area,), (grey,) = faded(np.array([share]), black, options.scale).values()
        style = {"color": grey, "markersize": np.sqrt(area)}
        dot = {"marker": "o", "linestyle": ""} | style
        label = f"uncertainty {share * greatest:.2f}"
        handles.append(Line2D([], [], label=label, **dot))
    return handles
