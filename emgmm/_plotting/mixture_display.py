"""MixtureDisplay: a picture of a mixture and of rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from emgmm._data.validation import check_sample_weight, check_X
from emgmm._model.families import FAMILIES
from emgmm._model.segments import Segments
from emgmm._utils.device import to_host
from emgmm._utils.features import Features, check_features
from emgmm._utils.validation import check_choice

from .captions import (
    entitle,
    entries,
    features_shown,
    fold,
    legend_in,
    note_above,
    note_within,
    rows_shown,
    small_print,
    title_of,
    width_of,
)
from .panels import KINDS, draw_panel
from .style import axes_or_new, best_of, check_levels, divided, fitted
from .views import PlotOptions, View, view_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_FEATURES = 5  # drawn by default
ELLIPSE_LEVELS = (0.5, 0.95)
ARTISTS = ("scatter", "ellipses", "contours", "lines", "bars", "numbers")
CONTOUR_LEVELS = (0.25, 0.5, 0.75, 0.9, 0.99)


class MixtureDisplay:
    """Picture of a Gaussian mixture and rows: components, uncertainty or density.

    One feature is drawn as a histogram with density curves, two as a scatter plot with
    covariance ellipses or contours, and more as a matrix of such panels, with the
    features on the diagonal and the pairs below it. A row with a missing value (NaN)
    is drawn in the panels whose features it has.

    Create it with `from_estimator`, which also draws it. The constructor only stores
    what `plot` draws.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features) or None
        The drawn features of the rows, NaN where a value is missing; None to draw the
        mixture alone.
    weights : ndarray of shape (n_components,)
        Weights of the components.
    means : ndarray of shape (n_components, n_features)
        Means of the components, in the drawn features.
    covariances : ndarray of shape (n_components, n_features, n_features)
        Covariance matrices of the components, in the drawn features.
    responsibilities : ndarray of shape (n_samples, n_components) or None
        Probabilities of the components for each row, from all of its features; what
        they lack to one is the probability of noise. None without rows.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights of the rows in histograms; rows of weight 0 are not drawn. None gives
        every row the weight 1.
    feature_names : sequence of str, default=None
        Names of the drawn features; "feature 0" and so on if None.
    note : str, default=None
        Text to add to the small print, such as how many of the features are drawn.

    Attributes
    ----------
    ax_ : Axes or ndarray of Axes
        Where the picture was drawn: the argument `ax`, or the Axes of a new figure. If
        a matrix took the place of a single Axes, it is that one, now hidden.
    figure_ : Figure
        The figure that contains the picture.
    axes_ : ndarray of Axes, of shape (1, 1) or (n_features, n_features)
        The panels; those above the diagonal are empty.
    scatter_ : ndarray of lists of PathCollection, in the shape of `axes_`
        Scatter plots of each panel: one for each component that has rows, or one of
        all rows.
    ellipses_ : ndarray of lists of lists of Line2D, in the shape of `axes_`
        Ellipses of each panel: a list for each component, the smallest ellipse first.
    contours_ : ndarray of lists of ContourSet, in the shape of `axes_`
        Contours of the density in each panel.
    lines_ : ndarray of lists, in the shape of `axes_`
        Curves of each panel: the density and then the components, or the lines of the
        uncertainties.
    bars_ : ndarray of lists of BarContainer, in the shape of `axes_`
        The histogram of each panel.
    numbers_ : ndarray of lists of Annotation, in the shape of `axes_`
        Numbers of the components, at their means or at the peaks of their curves. A
        single panel has them if there are more components than colours.
    n_missing_ : ndarray of int, in the shape of `axes_`
        Number of rows that each panel leaves out because a value is missing; rows of
        weight 0 are not counted.
    note_ : Text or None
        The small print: which share of a component its ellipses contain, what the sizes
        of the markers mean, and how many of the rows are drawn.
    legend_ : Legend or None
        The legend of the components. It is beside the panel if it is long and the
        figure makes room for it, as with `layout="constrained"`.

    See Also
    --------
    ConvergenceDisplay : Log-likelihood after each iteration.
    CriterionDisplay : BIC, ICL or AIC by number of components and model.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from emgmm import GaussianMixtureEM, MixtureDisplay
    >>> from emgmm.datasets import make_three_components
    >>> X, _ = make_three_components(n_samples=1000, random_state=0)
    >>> gmm = GaussianMixtureEM(n_components=3).fit(X)
    >>> display = MixtureDisplay.from_estimator(gmm, X)
    >>> len(display.scatter_[0, 0])
    3
    >>> plt.close(display.figure_)
    """

    __module__ = "emgmm"

    def __init__(
        self,
        X: NDArray | None,
        *,
        weights: NDArray,
        means: NDArray,
        covariances: NDArray,
        responsibilities: NDArray | None,
        sample_weight: NDArray | None = None,
        feature_names: Sequence[str] | None = None,
        note: str | None = None,
    ) -> None:
        self.X = X
        self.weights = weights
        self.means = means
        self.covariances = covariances
        self.responsibilities = responsibilities
        self.sample_weight = sample_weight
        self.feature_names = feature_names
        self.note = note

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike | None = None,
        *,
        features: Features | None = None,
        sample_weight: ArrayLike | None = None,
        ax: Axes | NDArray | None = None,
        **kwargs: Any,
    ) -> Self:
        """Draw a fitted mixture, with rows or alone.

        Parameters
        ----------
        estimator : GaussianMixtureEM, GaussianMixtureIC or GaussianMixture
            A fitted mixture, which may be scikit-learn's, or a fitted search that has
            one as `best_estimator_`.
        X : array-like of shape (n_samples, n_features), default=None
            Rows to draw, with all features of the fit; None draws the mixture alone.
            NaN is a missing value: the row is drawn in the panels whose features it
            has, and `n_missing_` counts the rows that a panel leaves out.
        features : int, str, or list of int or str, default=None
            Features to draw, by index or name. None draws all if there are at most
            five, and otherwise the five with the greatest share of their variance
            between the components. The components and uncertainties of the rows
            always come from all features; ellipses, contours and curves are those of
            the marginal distribution of the drawn features.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows in histograms; rows of weight 0 are not drawn. None
            gives every row the weight 1.
        ax : Axes or ndarray of Axes, default=None
            Where to draw, as in `plot`.
        **kwargs : dict
            Passed to `plot`.

        Returns
        -------
        MixtureDisplay
            The display, already drawn.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator is not a mixture. For a Pipeline, pass its last step and
            the rows that reach it.
        ValueError
            If `X`, `sample_weight` or an argument of `plot` is not valid, or if a
            feature does not exist or is chosen twice.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from emgmm import GaussianMixtureEM, MixtureDisplay
        >>> from sklearn.datasets import load_iris
        >>> X = load_iris(as_frame=True).data
        >>> gmm = GaussianMixtureEM(n_components=3).fit(X)
        >>> names = ["sepal length (cm)", "petal width (cm)"]
        >>> display = MixtureDisplay.from_estimator(gmm, X, features=names)
        >>> display.ax_.get_xlabel()
        'sepal length (cm)'
        >>> plt.close(display.figure_)
        """
        mixture = fitted(best_of(estimator), "weights_", "means_", "covariances_")
        weights, means = map(_on_host, (mixture.weights_, mixture.means_))
        covariances = _dense_covariances(mixture)
        n_features = means.shape[1]
        names = _names(mixture, X)
        drawn = (
            _most_separating(weights, means, covariances)
            if features is None
            else check_features(features, n_features, names, "features")
        )
        rows = responsibilities = counts = None
        if X is not None:
            responsibilities = to_host(mixture.predict_proba(X))
            rows = check_X(X, None, n_features)[:, drawn].astype(np.float64)
            if sample_weight is not None:
                counts = check_sample_weight(sample_weight, len(rows))
        display = cls(
            rows,
            weights=weights,
            means=means[:, drawn],
            covariances=covariances[:, drawn][:, :, drawn],
            responsibilities=responsibilities,
            sample_weight=counts,
            feature_names=_labels(drawn, names),
            note=features_shown(
                len(drawn), n_features, features is not None or len(weights) < 2
            ),
        )
        return display.plot(ax=ax, **kwargs)

    def plot(
        self,
        ax: Axes | NDArray | None = None,
        *,
        kind: str = "classification",
        levels: ArrayLike | None = None,
        components: bool = False,
        max_rows: int = 5000,
        scatter_kwargs: Mapping[str, Any] | None = None,
        ellipse_kwargs: Mapping[str, Any] | None = None,
        contour_kwargs: Mapping[str, Any] | None = None,
        curve_kwargs: Mapping[str, Any] | None = None,
    ) -> Self:
        """Draw the picture.

        Parameters
        ----------
        ax : Axes or ndarray of Axes, default=None
            Where to draw. A matrix of panels takes the place of a single Axes, or uses
            an array of Axes of shape (n_features, n_features). None creates a figure.
        kind : {"classification", "uncertainty", "density"}, default="classification"
            What to draw.

            - "classification": rows in the colours of their most probable components,
              the more certain the larger, and ellipses of the components; for one
              feature, a histogram and the densities of the mixture and of its
              components, multiplied by their weights.
            - "uncertainty": rows in the same colours, the more uncertain the larger
              and stronger; for one feature, the uncertainty of each row as the height
              of a line. The uncertainty is one minus the greatest probability.
            - "density": contours of the density; for one feature, a histogram and the
              density.
        levels : array-like of shape (n_levels,), default=None
            Shares of probability between 0 and 1. An ellipse contains this share of
            its component, and a contour encloses this share of the mixture, where it
            is densest. None is (0.5, 0.95), or (0.25, 0.5, 0.75, 0.9, 0.99) for
            contours.
        components : bool, default=False
            Whether to add the components to densities, as dashed ellipses or curves.
        max_rows : int, default=5000
            Maximum number of rows in a scatter plot. If there are more, a systematic
            sample by component and certainty is drawn, the same every time, and the
            small print says so. Histograms always include all rows.
        scatter_kwargs : dict, default=None
            Passed to matplotlib's `scatter`; it takes precedence over the display's
            own settings, as do the following.
        ellipse_kwargs : dict, default=None
            Passed to matplotlib's `plot` for the ellipses.
        contour_kwargs : dict, default=None
            Passed to matplotlib's `contour`.
        curve_kwargs : dict, default=None
            Passed to matplotlib's `plot` or `vlines` for panels of one feature.

        Returns
        -------
        MixtureDisplay
            The display itself.

        Raises
        ------
        ValueError
            If an argument is not valid, or `kind="uncertainty"` has no rows to draw.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from emgmm import GaussianMixtureEM, MixtureDisplay
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gmm = GaussianMixtureEM(n_components=2).fit(X)
        >>> display = MixtureDisplay.from_estimator(gmm, X)
        >>> fig, ax = plt.subplots()
        >>> display.plot(ax, kind="density", components=True).ax_ is ax
        True
        >>> plt.close("all")
        """
        self._check(kind, max_rows)
        default = CONTOUR_LEVELS if kind == "density" else ELLIPSE_LEVELS
        shares = check_levels(default if levels is None else levels)
        around = ELLIPSE_LEVELS if levels is None else shares
        keywords = {
            "scatter": scatter_kwargs,
            "ellipse": ellipse_kwargs,
            "contour": contour_kwargs,
            "curve": curve_kwargs,
        }
        self._place(ax)
        single = len(self.axes_) == 1
        scale = 1.0 if single else 0.5
        options = PlotOptions(
            kind,
            shares,
            np.asarray(around),
            components,
            max_rows,
            scale,
            numbered=single,
            keywords=keywords,
        )
        whole, parts = self._draw(options)
        self._explain(options, whole, parts)
        return self

    def _check(self, kind: str, max_rows: int) -> None:
        """Raise if there is nothing of this kind to draw."""
        check_choice("kind", kind, KINDS)
        if kind == "uncertainty" and self.X is None:
            raise ValueError("kind='uncertainty' shows rows: pass X as well.")
        if max_rows < 1:
            raise ValueError(
                f"max_rows={max_rows} draws no rows: use a whole number of 1 or more."
            )

    def _place(self, ax: Any) -> None:
        """Find or create the panels."""
        n_features = np.shape(self.means)[1]
        if isinstance(ax, np.ndarray):
            shape = (n_features,) * 2 if n_features > 2 else (1, 1)
            if ax.shape != shape:
                raise ValueError(
                    f"ax has the shape {ax.shape}: pass an array of Axes of the shape "
                    f"{shape}, or a single Axes."
                )
            self.ax_: Any = ax
            self.axes_ = ax.copy()
        else:
            size = (2.0 * n_features, 1.8 * n_features) if n_features > 2 else None
            self.ax_ = axes_or_new(ax, size)
            if n_features > 2:
                self.axes_ = divided(self.ax_, n_features)
            else:
                self.axes_ = np.array([[self.ax_]], dtype=object)
        self.figure_ = self.axes_[0, 0].get_figure()
        for row, column in zip(*np.triu_indices(len(self.axes_), 1), strict=True):
            self.axes_[row, column].set_axis_off()

    def _draw(self, options: PlotOptions) -> tuple[View, list[View]]:
        """Draw all panels and store their artists; the views of all and of each."""
        mixture = (
            np.asarray(self.weights, dtype=np.float64),
            np.asarray(self.means, dtype=np.float64),
            np.asarray(self.covariances, dtype=np.float64),
        )
        rows = None if self.X is None else np.asarray(self.X, dtype=np.float64)
        counts = self.sample_weight
        view = view_of(rows, mixture, self.responsibilities, counts, options)
        kept = {artist: np.empty(self.axes_.shape, dtype=object) for artist in ARTISTS}
        parts = []
        self.n_missing_ = np.zeros(self.axes_.shape, dtype=np.intp)
        for panel, features in self._panels():
            part = view.of(features, options)
            parts.append(part)
            self.n_missing_[panel] = len(view.present) - len(part.present)
            drawn = draw_panel(self.axes_[panel], part, options)
            self._name(panel, features, options)
            for artist, artists in kept.items():
                artists[panel] = drawn.get(artist, [])
        for artist, artists in kept.items():
            setattr(self, f"{artist}_", artists)
        return view, parts

    def _panels(self) -> list[tuple[tuple[int, int], list[int]]]:
        """The row and column of each panel, and its features."""
        n_features = np.shape(self.means)[1]
        if n_features < 3:
            return [((0, 0), list(range(n_features)))]
        return [
            ((row, column), [column, row] if row > column else [row])
            for row in range(n_features)
            for column in range(row + 1)
        ]

    def _name(
        self, panel: tuple[int, int], features: list[int], options: PlotOptions
    ) -> None:
        """Label the axes of a panel that are at the edge of the matrix."""
        ax, single = self.axes_[panel], len(self.axes_) == 1
        n_features = np.shape(self.means)[1]
        names = _labels(range(n_features), self.feature_names)
        heights = "uncertainty" if options.kind == "uncertainty" else "density"
        labels = [*(names[feature] for feature in features), heights]
        lowest, leftmost = panel[0] == len(self.axes_) - 1, panel[1] == 0
        curve = len(features) == 1
        size = "medium" if single else "small"
        if not single:
            labels = [fold(label, size, width_of(ax)) for label in labels]
        ax.set_xlabel(labels[0] if lowest else "", fontsize=size)
        y_label = labels[1] if single or (leftmost and not curve) else ""
        ax.set_ylabel(y_label, fontsize=size)
        ax.tick_params(labelbottom=lowest, labelleft=single or leftmost, labelsize=size)
        if curve and not single:
            ax.tick_params(left=False, labelleft=False)

    def _explain(self, options: PlotOptions, whole: View, parts: list[View]) -> None:
        """Add title, small print and legend, in a matrix all in its empty corner."""
        matrix = len(self.axes_) > 1
        first = self.axes_[0, 0]
        entitle(first, title_of(options, whole), "left" if matrix else "center")
        phrases = [
            *small_print(options, whole, parts),
            *([self.note] if self.note else []),
            *rows_shown(options, whole, parts),
        ]
        self.note_ = None
        if phrases and matrix:
            self.note_ = note_within(self.axes_, phrases)
        elif phrases:
            self.note_ = note_above(first, phrases)
        handles, corner = entries(options, whole), self.axes_[0, -1]
        self.legend_ = legend_in(corner, handles, "component (weight)", matrix=matrix)


def _dense_covariances(mixture: Any) -> NDArray:
    """Covariance matrices (K, d, d), from the layout of any model."""
    own = getattr(mixture, "mixture_", None)
    if own is not None:  # ours, of whatever model it was when it was fitted
        return own.covariances
    family = FAMILIES[mixture.covariance_type]
    values = _on_host(mixture.covariances_)
    K, d = np.shape(mixture.means_)
    segments = Segments.one(K)
    values = values.reshape(family.storage.layout(segments, d))
    return family.storage(values, values, segments, d).dense()  # factors are not used


def _names(mixture: Any, X: ArrayLike | None) -> list[str] | None:
    """Names of all features, those of the fit before those of X; None without any."""
    names = getattr(mixture, "feature_names_in_", None)
    if names is None and X is not None:
        features = BaseEstimator()
        validate_data(features, X, skip_check_array=True)
        names = getattr(features, "feature_names_in_", None)
    return None if names is None else [str(name) for name in names]


def _labels(features: Iterable[int], names: Sequence[str] | None) -> list[str]:
    """The labels of features in a picture."""
    if names is None:
        return [f"feature {feature}" for feature in features]
    return [names[feature] for feature in features]


def _on_host(attribute: Any) -> NDArray:
    """A fitted attribute as an array of NumPy."""
    return np.asarray(to_host(attribute))


def _most_separating(weights: NDArray, means: NDArray, covariances: NDArray) -> NDArray:
    """Indices of the features with the most variance between components, relatively."""
    within = weights @ np.diagonal(covariances, axis1=1, axis2=2)
    between = weights @ (means - weights @ means) ** 2
    total = within + between
    share = np.divide(between, total, out=np.zeros_like(total), where=total > 0)
    return np.sort(np.argsort(-share, kind="stable")[:MOST_FEATURES])
