"""The figures: time of an iteration against rows, features and components."""

from __future__ import annotations

import math

LABELS = {"n": "rows n", "d": "features d", "K": "components K"}
# Colours of Okabe and Ito; markers and lines differ too, for grey and for the blind.
STYLES = {
    "emgmm": {"color": "#0072B2", "marker": "o", "linestyle": "-"},
    "scikit-learn": {"color": "#D55E00", "marker": "s", "linestyle": "--"},
    "limit": {"color": "#000000", "marker": "", "linestyle": ":"},
}


def curve(results, axis, name):
    """Sizes along an axis, and seconds of an iteration at each."""
    points = []
    for one in results:
        if one["case"]["axis"] == axis:
            seconds = seconds_of(one, name)
            if seconds is not None:
                points.append((one["case"][axis], seconds))
    return sorted(points)


def seconds_of(one, name):
    """A median: of scikit-learn the better setting's."""
    if name == "limit":
        return one["limit"]["seconds"]
    times = one["seconds"]
    medians = [times[key]["median"] for key in times if key.split(",")[0] == name]
    return min(medians, default=None)


def slope(results, axis, name):
    """Of log time against log size, between the two largest sizes."""
    points = curve(results, axis, name)[-2:]
    if len(points) < 2:
        return None
    (small, before), (large, after) = points
    return math.log(after / before) / math.log(large / small)


def draw_scaling(report, path):
    """Three panels, both axes logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    results = [one for one in report["results"] if one.get("seconds")]
    figure, panels = plt.subplots(1, 3, figsize=(10, 3.4), sharey=True)
    for axis, panel in zip(LABELS, panels, strict=True):
        draw_panel(panel, results, axis)
    panels[0].set_ylabel("seconds per iteration")
    panels[0].legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def draw_panel(panel, results, axis):
    for name, style in STYLES.items():
        points = curve(results, axis, name)
        if points:
            sizes, seconds = zip(*points, strict=True)
            panel.loglog(sizes, seconds, label=name, markersize=4, **style)
    cases = [one["case"] for one in results if one["case"]["axis"] == axis]
    if axis != "n":  # less than a decade between the ticks: numbers, not powers
        sizes = [case[axis] for case in cases]
        panel.set_xticks(sizes, [f"{size}" for size in sizes])
        panel.minorticks_off()
    if cases:
        fixed = [f"{key} = {cases[0][key]:,}" for key in LABELS if key != axis]
        panel.set_title(", ".join(fixed), fontsize=10)
    panel.set_xlabel(LABELS[axis])
    panel.grid(alpha=0.3, which="major")
