"""BootstrapDisplay and LikelihoodRatioDisplay: pictures of what resampling finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import gaussian_kde

from emgmm._utils.validation import check_choice

from .captions import entitle
from .style import COLOR_OF_NOISE, marked, merged

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GRID = 101  # points of a density
PANEL_SIZE, MOST_COLUMNS = (3.2, 2.6), 4  # inches, and panels in a row
KINDS = {
    "means": "Means",
    "variances": "Variances",
    "weights": "Weights",
    "statistic": "Statistic",
}


class BootstrapDisplay:
    """Picture of a bootstrap: intervals of the parameters, by component and feature.

    Create it with `from_result`, which also draws it.

    Parameters
    ----------
    result : BootstrapResult
        What `bootstrap` returns.

    Attributes
    ----------
    axes_ : ndarray of Axes
        The panels: one for each feature or number, or a single one.
    figure_ : Figure
        The figure that contains the picture.
    intervals_ : list of ErrorbarContainer
        The estimates and intervals of each panel.
    densities_ : list of Artist
        The densities of the replicates, estimated by a kernel.

    See Also
    --------
    bootstrap : Computes the intervals.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from emgmm import BootstrapDisplay, GaussianMixtureEM, bootstrap
    >>> from emgmm.datasets import make_three_components
    >>> X, _ = make_three_components(n_samples=300, random_state=0)
    >>> gmm = GaussianMixtureEM(n_components=3, tol=1e-6).fit(X)
    >>> result = bootstrap(gmm, X, n_resamples=99, random_state=0)
    >>> display = BootstrapDisplay.from_result(result)
    >>> len(display.axes_)
    2
    >>> plt.close(display.figure_)
    """

    __module__ = "emgmm"

    def __init__(self, result: Any) -> None:
        self.result = result

    @classmethod
    def from_result(cls, result: Any, *, ax: Axes | None = None, **kwargs: Any) -> Self:
        """Draw the intervals.

        Parameters
        ----------
        result : BootstrapResult
            What `bootstrap` returns.
        ax : Axes, default=None
            Where to draw, divided if there are several panels; None creates a figure.
        **kwargs : dict
            Passed to `plot`.

        Returns
        -------
        BootstrapDisplay
            The display, already drawn.

        Raises
        ------
        TypeError
            If `result` is something else.
        ValueError
            If an argument of `plot` is not valid.
        """
        check_result(result, "standard_error", "bootstrap")
        return cls(result).plot(ax=ax, **kwargs)

    def plot(
        self, ax: Axes | None = None, *, kind: str = "means", **kwargs: Any
    ) -> Self:
        """Draw the intervals.

        Parameters
        ----------
        ax : Axes, default=None
            Where to draw, divided if there are several panels; None creates a figure.
        kind : {"means", "variances", "weights", "statistic"}, default="means"
            What to draw: means or variances, in a panel for each feature; weights; or
            the statistic, in a panel for each of its numbers.
        **kwargs : dict
            Passed to matplotlib's `errorbar`.

        Returns
        -------
        BootstrapDisplay
            The display itself.

        Raises
        ------
        ValueError
            If `kind` is not one of these names, or "statistic" without there being one.
        """
        check_choice("kind", kind, KINDS)
        estimates, low, high, values = self._arrays(kind)
        titles = self._titles(kind)
        self.axes_ = panels_in(ax, len(titles), sharey=True)
        self.figure_ = self.axes_[0].get_figure()
        self.intervals_: list[Any] = []
        self.densities_: list[Any] = []
        for j, (panel, title) in enumerate(zip(self.axes_, titles, strict=True)):
            ends = (low[:, j], high[:, j])
            self._draw(panel, estimates[:, j], ends, values[:, :, j], kwargs)
            panel.set_xlabel(title)
        if kind == "statistic":
            self.axes_[0].set_yticks([])
        else:
            self.axes_[0].set_ylabel("component")
        level = f"{100 * self.result.confidence_level:.4g}% intervals"
        if len(self.axes_) == 1:
            entitle(self.axes_[0], f"{KINDS[kind]} with {level}")
        elif ax is None:
            self.figure_.suptitle(f"{KINDS[kind]} with {level}")
        return self

    def _arrays(self, kind: str) -> list[NDArray]:
        """Estimates and ends of intervals, by component and panel, and replicates."""
        low, high = self.result.confidence_interval
        sources = (self.result.estimate, low, high, self.result.replicates)
        if kind == "statistic" and self.result.estimate.statistic is None:
            raise ValueError(
                "kind='statistic', but the result has none: pass a function of the "
                "mixture as `statistic` to bootstrap."
            )
        return [
            _by_panel(kind, source, axis)
            for source, axis in zip(sources, (0, 0, 0, 1), strict=True)
        ]

    def _titles(self, kind: str) -> list[str]:
        """Labels of the panels."""
        if kind == "weights":
            return ["weight"]
        if kind == "statistic":
            places = np.ndindex(np.shape(self.result.estimate.statistic))
            return [", ".join(map(str, ("statistic", *place))) for place in places]
        n_features = self.result.estimate.means.shape[1]
        names = self.result.feature_names or [f"feature {j}" for j in range(n_features)]
        square = {"means": "", "variances": ", squared"}[kind]
        return [f"{name}{square}" for name in names]

    def _draw(
        self,
        panel: Axes,
        estimates: NDArray,
        ends: tuple[NDArray, NDArray],
        values: NDArray,
        keywords: dict[str, Any],
    ) -> None:
        """Draw one panel: densities of the replicates, and intervals."""
        from matplotlib.lines import Line2D

        places = np.arange(len(estimates))
        for k in np.flatnonzero(np.ptp(values, axis=0) > 0).tolist():
            grid = np.linspace(values[:, k].min(), values[:, k].max(), GRID)
            heights = gaussian_kde(values[:, k])(grid)
            half = 0.4 * heights / heights.max()
            look = {"color": marked(k)["color"], "alpha": 0.3, "linewidth": 0}
            body = panel.fill_between(grid, k - half, k + half, **look)
            self.densities_.append(body)
        own = merged(Line2D, keywords, color="0.15", marker="o", linestyle="none")
        own = {"capsize": 3, "markersize": 4, **own}
        # Of skewed replicates an estimate may lie outside of its interval.
        middle, half = (ends[0] + ends[1]) / 2, (ends[1] - ends[0]) / 2
        bars = {**own, "marker": "none"}
        self.intervals_.append(panel.errorbar(middle, places, xerr=half, **bars))
        marks = {name: own[name] for name in ("color", "marker", "markersize")}
        panel.plot(estimates, places, linestyle="none", **marks)
        panel.set_yticks(places)
        panel.set_ylim(len(places) - 0.4, -0.6)


class LikelihoodRatioDisplay:
    """Picture of likelihood-ratio tests: statistics of the samples, and the observed.

    Create it with `from_result`, which also draws it.

    Parameters
    ----------
    result : LikelihoodRatioResult
        What `likelihood_ratio_test` returns.

    Attributes
    ----------
    axes_ : ndarray of Axes
        The panels, one for each test.
    figure_ : Figure
        The figure that contains the picture.
    lines_ : list of Line2D
        The observed statistic of each test.

    See Also
    --------
    likelihood_ratio_test : Does the tests.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from emgmm import GaussianMixtureEM, LikelihoodRatioDisplay
    >>> from emgmm import likelihood_ratio_test
    >>> X = np.random.default_rng(0).normal(size=(50, 1))
    >>> gmm = GaussianMixtureEM(covariance_type="tied")
    >>> result = likelihood_ratio_test(gmm, X, 2, n_resamples=19, random_state=0)
    >>> display = LikelihoodRatioDisplay.from_result(result)
    >>> len(display.axes_)
    1
    >>> plt.close(display.figure_)
    """

    __module__ = "emgmm"

    def __init__(self, result: Any) -> None:
        self.result = result

    @classmethod
    def from_result(cls, result: Any, *, ax: Axes | None = None, **kwargs: Any) -> Self:
        """Draw the tests.

        Parameters
        ----------
        result : LikelihoodRatioResult
            What `likelihood_ratio_test` returns.
        ax : Axes, default=None
            Where to draw, divided if there are several tests; None creates a figure.
        **kwargs : dict
            Passed to `plot`.

        Returns
        -------
        LikelihoodRatioDisplay
            The display, already drawn.

        Raises
        ------
        TypeError
            If `result` is something else.
        """
        check_result(result, "tests", "likelihood_ratio_test")
        return cls(result).plot(ax=ax, **kwargs)

    def plot(self, ax: Axes | None = None, **kwargs: Any) -> Self:
        """Draw a histogram for each test, and the observed statistic as a line.

        Parameters
        ----------
        ax : Axes, default=None
            Where to draw, divided if there are several tests; None creates a figure.
        **kwargs : dict
            Passed to matplotlib's `hist`.

        Returns
        -------
        LikelihoodRatioDisplay
            The display itself.
        """
        tests = self.result.tests
        self.axes_ = panels_in(ax, len(tests), sharey=False)
        self.figure_ = self.axes_[0].get_figure()
        self.lines_ = []
        for panel, test in zip(self.axes_, tests, strict=True):
            own = {"bins": "auto", "color": COLOR_OF_NOISE, "histtype": "stepfilled"}
            panel.hist(test.replicates, **{**own, **kwargs})
            self.lines_.append(
                panel.axvline(test.statistic, color=marked(5)["color"], linewidth=2)
            )
            null = test.n_components
            p_value = f"p = {test.p_value:.3g}"
            panel.set_title(f"{null} against {null + 1}: {p_value}", fontsize="medium")
            panel.set_xlabel("2 log likelihood ratio")
        self.axes_[0].set_ylabel("samples")
        return self


def check_result(result: Any, attribute: str, function: str) -> None:
    """TypeError for anything else than what the function returns."""
    if not hasattr(result, attribute):
        raise TypeError(
            f"result={result!r:.60} is not what {function} returns: pass that."
        )


def panels_in(ax: Any, number: int, *, sharey: bool) -> NDArray:
    """So many panels (number,), in a new figure, or in place of an Axes."""
    if ax is not None and number == 1:
        return np.array([ax])
    n_columns = min(number, MOST_COLUMNS)
    n_rows = -(-number // n_columns)
    if ax is None:
        import matplotlib.pyplot as plt

        size = (PANEL_SIZE[0] * n_columns + 0.6, PANEL_SIZE[1] * n_rows + 0.4)
        figure = plt.figure(figsize=size, layout="constrained")
        grid = figure.add_gridspec(n_rows, n_columns)
    else:
        ax.set_axis_off()
        (left, bottom), (right, top) = ax.get_position().get_points()
        spec = ax.get_subplotspec()
        edges = {"left": left, "right": right, "bottom": bottom, "top": top}
        grid = (
            ax.figure.add_gridspec(n_rows, n_columns, **edges)
            if spec is None
            else spec.subgridspec(n_rows, n_columns)
        )
    axes = grid.subplots(sharey=sharey, squeeze=False).ravel()
    for unused in axes[number:]:
        unused.set_axis_off()
    return axes[:number]


def _by_panel(kind: str, source: Any, axis: int) -> NDArray:
    """Values by component and panel; before these the replicates, with ``axis`` 1."""
    if kind == "means":
        return source.means
    if kind == "variances":
        return np.diagonal(source.covariances, axis1=-2, axis2=-1)
    if kind == "weights":
        return source.weights[..., None]
    values = source.statistic
    return values.reshape(*values.shape[:axis], 1, -1)
