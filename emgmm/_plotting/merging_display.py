"""MergingDisplay: the tree of merged components, and how many clusters to choose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from emgmm._utils.validation import check_choice

from .captions import entitle
from .style import COLORS, set_whole_ticks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

UNMERGED = "0.6"  # colour of links between clusters
CURVE: dict[str, Any] = {"color": "black", "marker": "o", "markersize": 4}
FIT: dict[str, Any] = {"color": COLORS[5], "linewidth": 1.2, "linestyle": "--"}
CUT: dict[str, Any] = {"color": "0.3", "linewidth": 0.9, "linestyle": ":"}
CHOSEN: dict[str, Any] = {
    "marker": "*",
    "markersize": 15,
    "color": "black",
    "markeredgecolor": "white",
    "linestyle": "none",
    "zorder": 4,
}


class Measure(NamedTuple):
    """Words for what decides about merges."""

    heights: str
    curve: str
    title: str


ENTROPY = Measure("entropy removed (nats)", "entropy (nats)", "Entropy and its elbow")
ERRORS = Measure(
    "1 - probability of misclassification",
    "probability of misclassification",
    "Overlap of the clusters",
)


class MergingDisplay:
    """Picture of merged components: their tree, and the curve that suggests a number.

    Create it with `from_merging`, which also draws it, or from a result of
    `merge_components` and `plot`.

    Parameters
    ----------
    merging : MergedComponents
        What `merge_components` returned.

    Attributes
    ----------
    axes_ : tuple of Axes
        Where the tree and the curve were drawn.
    figure_ : Figure
        The figure that contains the picture.
    links_ : list of Line2D
        Links of the tree, in the order of the merges: in colour within a cluster, grey
        between clusters.
    cut_ : Line2D
        The height at which there are as many clusters as are shown.
    curve_ : Line2D
        The entropies, or probabilities, by number of clusters.
    fits_ : list of Line2D
        The two lines that meet at the elbow, or else the threshold.
    chosen_ : Line2D
        The star at the number of clusters that is shown.

    See Also
    --------
    merge_components : Merges the components.
    MixtureDisplay : Picture of the mixture.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from emgmm import GaussianMixtureEM, MergingDisplay, merge_components
    >>> X = [[0.0], [1.0], [2.0], [3.0], [4.0], [20.0], [21.0], [22.0]]
    >>> gmm = GaussianMixtureEM(n_components=3, random_state=0).fit(X)
    >>> display = MergingDisplay.from_merging(merge_components(gmm, X))
    >>> len(display.links_)
    2
    >>> plt.close(display.figure_)
    """

    __module__ = "emgmm"

    def __init__(self, merging: Any) -> None:
        self.merging = merging

    @classmethod
    def from_merging(cls, merging: Any, **kwargs: Any) -> Self:
        """Draw merged components.

        Parameters
        ----------
        merging : MergedComponents
            What `merge_components` returned.
        **kwargs : dict
            Passed to `plot`.

        Returns
        -------
        MergingDisplay
            The display, already drawn.

        Raises
        ------
        TypeError
            If `merging` is something else.
        ValueError
            If an argument of `plot` is not valid.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from emgmm import GaussianMixtureEM, MergingDisplay, merge_components
        >>> X = [[0.0], [1.0], [2.0], [3.0], [4.0], [20.0], [21.0], [22.0]]
        >>> gmm = GaussianMixtureEM(n_components=3, random_state=0).fit(X)
        >>> merging = merge_components(gmm, X)
        >>> display = MergingDisplay.from_merging(merging, n_clusters=1)
        >>> display.axes_[0].get_ylabel()
        'merges'
        >>> plt.close(display.figure_)
        """
        if not hasattr(merging, "linkage_"):
            raise TypeError(
                f"merging is a {type(merging).__name__}, but MergingDisplay draws what "
                "merge_components returns: pass merge_components(estimator, X)."
            )
        return cls(merging).plot(**kwargs)

    def plot(
        self,
        axes: Sequence[Axes] | None = None,
        *,
        n_clusters: int | None = None,
        heights: str = "steps",
        by: str = "clusters",
    ) -> Self:
        """Draw the tree, and beside it the entropies or probabilities.

        Parameters
        ----------
        axes : sequence of two Axes, default=None
            Where to draw; None creates a figure.
        n_clusters : int, default=None
            Number of clusters to show, from 1 to `n_components`; None means the
            suggested one.
        heights : {"steps", "values"}, default="steps"
            How high a link of the tree is: by the number of merges, or by the entropy
            that has been removed (with "demp", one less the probability). Where the
            first merges remove most of the entropy, as they should, the others are
            hardly apart by "values".
        by : {"clusters", "rows"}, default="clusters"
            What entropies are drawn against, as in `MergedComponents.elbow`.

        Returns
        -------
        MergingDisplay
            The display itself.

        Raises
        ------
        ValueError
            If an argument has not one of these values, or there are not two Axes.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from emgmm import GaussianMixtureEM, MergingDisplay, merge_components
        >>> X = [[0.0], [1.0], [2.0], [3.0], [4.0], [20.0], [21.0], [22.0]]
        >>> gmm = GaussianMixtureEM(n_components=3, random_state=0).fit(X)
        >>> display = MergingDisplay(merge_components(gmm, X)).plot(n_clusters=2)
        >>> display.chosen_.get_xdata().tolist()
        [2]
        >>> plt.close(display.figure_)
        """
        check_choice("heights", heights, ("steps", "values"))
        check_choice("by", by, ("clusters", "rows"))
        number = self.merging.n_clusters_ if n_clusters is None else n_clusters
        clusters = self.merging.clusters(number)
        self.axes_ = _two_axes(axes)
        self.figure_ = self.axes_[0].get_figure()
        self._draw_tree(self.axes_[0], clusters, heights)
        self._draw_curve(self.axes_[1], number, by)
        return self

    @property
    def _measure(self) -> Measure:
        """Words for what decides about merges."""
        return ERRORS if self.merging.entropies_ is None else ENTROPY

    def _draw_tree(
        self, ax: Axes, clusters: list[tuple[int, ...]], heights: str
    ) -> None:
        """Draw the links, the height of the cut, and the numbers of the components."""
        linkage = np.array(self.merging.linkage_)
        label = self._measure.heights
        if heights == "steps":
            linkage[:, 2], label = np.arange(len(linkage)) + 1.0, "merges"
        lowest = linkage[0, 2] if heights == "values" else 0.0
        tree = _tree_of(linkage, lowest if self._measure is ERRORS else 0.0)
        of_component = {k: c for c, own in enumerate(clusters) for k in own}
        self.links_ = []
        for members, x, y in tree.links:
            found = {of_component[k] for k in members}
            color = COLORS[found.pop() % len(COLORS)] if len(found) == 1 else UNMERGED
            self.links_ += ax.plot(x, y, color=color, linewidth=1.8)
        done = len(linkage) + 1 - len(clusters)
        ends = np.concatenate([[tree.floor], linkage[:, 2], [tree.top]])
        self.cut_ = ax.axhline((ends[done] + ends[done + 1]) / 2, **CUT)
        ax.set_xticks(range(len(tree.leaves)), [str(k) for k in tree.leaves])
        for text, k in zip(ax.get_xticklabels(), tree.leaves, strict=True):
            text.set_color(COLORS[of_component[k] % len(COLORS)])
        ax.set(xlabel="component", ylabel=label, ylim=(tree.floor, tree.top))
        noun = "cluster" if len(clusters) == 1 else "clusters"
        entitle(ax, f"Merged components: {len(clusters)} {noun}")

    def _draw_curve(self, ax: Axes, number: int, by: str) -> None:
        """Draw entropies and the two lines, or probabilities and the threshold."""
        merging, words = self.merging, self._measure
        x, label = np.arange(1, merging.n_components + 1), "number of clusters"
        if merging.entropies_ is None:
            y = merging.probabilities_
            self.fits_ = [ax.axhline(merging.threshold, **FIT)]
        else:
            lines = merging.elbow(by)
            y = lines.y
            if by == "rows":
                x, label = lines.x, "weight of merged rows"
            self.fits_ = [ax.plot(x, fit, **FIT)[0] for fit in lines[3:]]
        (self.curve_,) = ax.plot(x, y, **CURVE)
        (self.chosen_,) = ax.plot(x[number - 1], y[number - 1], **CHOSEN)
        ax.set(xlabel=label, ylabel=words.curve)
        set_whole_ticks(ax)
        entitle(ax, words.title)


class Tree(NamedTuple):
    """The links of a tree and the limits of its heights."""

    leaves: list[int]
    links: list[tuple[list[int], list[float], list[float]]]
    """Components, and coordinates of the four corners, of each merge."""
    floor: float
    top: float


def _tree_of(linkage: NDArray, lowest: float) -> Tree:
    """The tree of a hierarchy in SciPy's form, its leaves at 0, 1, 2, ... and at a
    height, or below if a merge is as low."""
    from scipy.cluster.hierarchy import leaves_list

    leaves = leaves_list(linkage).tolist()
    highest = linkage[-1, 2]
    room = 0.08 * (highest - lowest) or 0.5
    floor = lowest - room if linkage[0, 2] <= lowest else lowest
    nodes = {k: (float(x), floor, [k]) for x, k in enumerate(leaves)}
    links = []
    for first, second, height, _ in linkage.tolist():
        left, right = sorted([nodes.pop(int(first)), nodes.pop(int(second))])
        members = left[2] + right[2]
        links.append(
            (
                members,
                [left[0], left[0], right[0], right[0]],
                [left[1], height, height, right[1]],
            )
        )
        nodes[len(leaves) + len(links) - 1] = (
            (left[0] + right[0]) / 2,
            height,
            members,
        )
    return Tree(leaves, links, float(floor), float(highest + room))


def _two_axes(axes: Any) -> tuple[Any, Any]:
    """The two Axes to draw into, those of a new figure if None."""
    if axes is None:
        import matplotlib.pyplot as plt

        axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")[1]
    found = np.ravel(np.asarray(axes, dtype=object))
    if len(found) != 2:
        raise ValueError(
            f"axes has {len(found)} Axes, and the tree and the curve need one each: "
            "pass those of plt.subplots(1, 2)."
        )
    return found[0], found[1]
