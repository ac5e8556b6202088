"""MixtureDisplay: the picture of a mixture and of rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import _get_feature_names

from emgmm._data.validation import check_sample_weight
from emgmm._mixture import check_X
from emgmm._model.families import FAMILIES
from emgmm._utils.features import Features, check_features

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
from .style import axes_or_new, best_of, check_choice, check_levels, divided, fitted
from .views import PlotOptions, View, view_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_FEATURES = 5  # that are drawn unless others are asked for
ELLIPSE_LEVELS = (0.5, 0.95)
ARTISTS = ("scatter", "ellipses", "contours", "lines", "bars", "numbers")
CONTOUR_LEVELS = (0.25, 0.5, 0.75, 0.9, 0.99)


class MixtureDisplay:
    """Picture of a Gaussian mixture and rows: by component, uncertainty or density.

    One feature is drawn as a histogram with density curves, two as a scatter plot with
    covariance ellipses or contours, more as a matrix of such panels: each feature on
    the diagonal, each pair below it. A panel draws the rows that have what it shows:
    those that lack its feature, or one of its pair (NaN), are not in it.

    Make it by `from_estimator`; the constructor stores what is to be drawn.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features) or None
        The features of the rows that are drawn, NaN where a value is missing; None
        draws the mixture alone.
    weights : ndarray of shape (n_components,)
        Weights of the components.
    means : ndarray of shape (n_components, n_features)
        Means of the components, in the drawn features.
    covariances : ndarray of shape (n_components, n_features, n_features)
        Covariance matrices of the components, in the drawn features.
    responsibilities : ndarray of shape (n_samples, n_components) or None
        Probabilities of the components, given all that is known of each row; None
        without rows.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights of the rows, for histograms. Rows of weight 0 are not drawn.
    feature_names : sequence of str, default=None
        Names of the drawn features; "feature 0" and so on if None.
    note : str, default=None
        What is added to the small print, such as how many features there are.

    Attributes
    ----------
    ax_ : Axes or ndarray of Axes
        What was drawn into, as it was given; of a matrix in a single Axes, the hidden
        one that the panels take the place of.
    figure_ : Figure
        The figure.
    axes_ : ndarray of Axes, of shape (1, 1) or (n_features, n_features)
        The panels; those above the diagonal are empty.
    scatter_, ellipses_, contours_, lines_, bars_ : ndarray of lists
        Artists of each panel, in the shape of `axes_`: the scatter plots, one for each
        component that has rows or one of all; for each component a list of its
        ellipses, from the smallest level on; the contours of the density; the curve of
        the density and then those of components, or the lines of uncertainties; the
        histogram.
    n_missing_ : ndarray of int
        Number of rows that each panel does not draw as they lack what it shows, in the
        shape of `axes_`; rows of weight 0 do not count.
    numbers_ : ndarray of lists
        The numbers of components, in the shape of `axes_`: where there are more
        components than colours, at the means of a single panel or the peaks of curves.
    note_ : Text or None
        The small print: which share of its component an ellipse contains, what the
        sizes of markers mean, how many of the rows are drawn.
    legend_ : Legend or None
        The legend of the components: within a panel, beside it where they are many and
        the figure makes room for it, as `layout="constrained"` does.

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
        """Draw a fitted mixture, and rows if there are any.

        Parameters
        ----------
        estimator : GaussianMixtureEM
            A fitted mixture, scikit-learn's too, or a search that has one as
            `best_estimator_`.
        X : array-like of shape (n_samples, n_features), default=None
            Rows, with all features of the fit; None draws the mixture alone. NaN is a
            missing value: a row is drawn where it has what a panel shows, with the
            component and the uncertainty that all that it has tell. `n_missing_`
            counts those that are not drawn.
        features : int, str or sequence of them, default=None
            The features to be drawn, by index or name. None draws all if there are
            five at most, else the five whose variance is, for the greatest part,
            variance between the components. Components and uncertainties of the rows
            come from all features; ellipses, contours and curves are those of the
            marginal distribution of the features that are drawn.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row, for histograms.
        ax : Axes or ndarray of Axes, default=None
            As in `plot`.
        **kwargs : dict
            Passed to `plot`.

        Returns
        -------
        MixtureDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator is no mixture, such as a Pipeline: give its last step,
            and the rows as they come to it.
        ValueError
            If `X`, `sample_weight` or an argument of `plot` is not valid, or
            `features` names one that does not exist.

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
        weights, means = np.asarray(mixture.weights_), np.asarray(mixture.means_)
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
            responsibilities = mixture.predict_proba(X)
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
            Where to draw. A matrix of panels takes the place of a single Axes, or an
            array of shape (n_features, n_features). None makes a new figure.
        kind : {"classification", "uncertainty", "density"}, default="classification"
            What to draw.

            - "classification": rows by their most probable component, the larger the
              more certain, and covariance ellipses; of one feature, a histogram, the
              density and the share that each component has in it.
            - "uncertainty": rows in the colour of their most probable component, the
              larger and stronger the less probable it is; of one feature, that
              uncertainty as the height of a line.
            - "density": contours of the density; of one feature, a histogram and the
              density.
        levels : array-like, default=None
            Shares of probability. An ellipse holds that share of its component in the
            drawn plane, a contour that share of the mixture, where it is densest.
            (0.5, 0.95) if None, for contours (0.25, 0.5, 0.75, 0.9, 0.99).
        components : bool, default=False
            Draw the components into densities too, by dashed ellipses or curves.
        max_rows : int, default=5000
            Greatest number of rows in a scatter plot. If there are more, those drawn
            are evenly spread over components and certainties, always the same ones,
            and the small print has their number. Histograms show all rows that have
            the feature.
        scatter_kwargs, ellipse_kwargs, contour_kwargs, curve_kwargs : dict
            Passed to matplotlib's `scatter`, `plot` (of ellipses), `contour`, and
            `plot` or `vlines` (of one feature), before the display's own choices;
            None by default.

        Returns
        -------
        MixtureDisplay
            The display itself.

        Raises
        ------
        ValueError
            If an argument is not valid, or rows are asked for that there are not.

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
        given = {
            "scatter": scatter_kwargs,
            "ellipse": ellipse_kwargs,
            "contour": contour_kwargs,
            "curve": curve_kwargs,
        }
        self._place(ax)
        single = len(self.axes_) == 1
        scale = 1.0 if single else 0.5
        look = PlotOptions(
            kind, shares, np.asarray(around), components, max_rows, scale, single, given
        )
        whole, parts = self._draw(look)
        self._explain(look, whole, parts)
        return self

    def _check(self, kind: str, max_rows: int) -> None:
        """Whether there is what is to be drawn."""
        check_choice("kind", kind, KINDS)
        if kind == "uncertainty" and self.X is None:
            raise ValueError("kind='uncertainty' shows rows: give X as well.")
        if max_rows < 1:
            raise ValueError(
                f"max_rows={max_rows} draws nothing: give a whole number of 1 or more."
            )

    def _place(self, ax: Any) -> None:
        """Find or make the panels."""
        n_features = np.shape(self.means)[1]
        if isinstance(ax, np.ndarray):
            shape = (n_features,) * 2 if n_features > 2 else (1, 1)
            if ax.shape != shape:
                raise ValueError(
                    f"ax has the shape {ax.shape}: give an array of Axes of the shape "
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

    def _draw(self, look: PlotOptions) -> tuple[View, list[View]]:
        """Draw every panel, and keep its artists; what was drawn, and in each."""
        mixture = (
            np.asarray(self.weights, dtype=np.float64),
            np.asarray(self.means, dtype=np.float64),
            np.asarray(self.covariances, dtype=np.float64),
        )
        rows = None if self.X is None else np.asarray(self.X, dtype=np.float64)
        counts = self.sample_weight
        view = view_of(rows, mixture, self.responsibilities, counts, look)
        kept = {artist: np.empty(self.axes_.shape, dtype=object) for artist in ARTISTS}
        parts = []
        self.n_missing_ = np.zeros(self.axes_.shape, dtype=np.intp)
        for panel, features in self._panels():
            part = view.of(features, look)
            parts.append(part)
            self.n_missing_[panel] = len(view.present) - len(part.present)
            drawn = draw_panel(self.axes_[panel], part, look)
            self._name(panel, features, look)
            for artist, artists in kept.items():
                artists[panel] = drawn.get(artist, [])
        for artist, artists in kept.items():
            setattr(self, f"{artist}_", artists)
        return view, parts

    def _panels(self) -> list[tuple[tuple[int, int], list[int]]]:
        """Row and column of each panel, and its features."""
        n_features = np.shape(self.means)[1]
        if n_features < 3:
            return [((0, 0), list(range(n_features)))]
        return [
            ((row, column), [column, row] if row > column else [row])
            for row in range(n_features)
            for column in range(row + 1)
        ]

    def _name(
        self, panel: tuple[int, int], features: list[int], look: PlotOptions
    ) -> None:
        """Label the axes of a panel, where they are at the edge of the matrix."""
        ax, single = self.axes_[panel], len(self.axes_) == 1
        n_features = np.shape(self.means)[1]
        names = _labels(range(n_features), self.feature_names)
        heights = "uncertainty" if look.kind == "uncertainty" else "density"
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

    def _explain(self, look: PlotOptions, whole: View, parts: list[View]) -> None:
        """Title, small print and legend, in the empty corner of a matrix."""
        matrix = len(self.axes_) > 1
        first = self.axes_[0, 0]
        entitle(first, title_of(look, whole), "left" if matrix else "center")
        phrases = [
            *small_print(look, whole, parts),
            *([self.note] if self.note else []),
            *rows_shown(look, whole, parts),
        ]
        self.note_ = None
        if phrases and matrix:
            self.note_ = note_within(self.axes_, phrases)
        elif phrases:
            self.note_ = note_above(first, phrases)
        handles, corner = entries(look, whole), self.axes_[0, -1]
        self.legend_ = legend_in(corner, handles, "component (weight)", matrix=matrix)


def _dense_covariances(mixture: Any) -> NDArray:
    """Covariance matrices (K, d, d), from any layout."""
    family = getattr(mixture, "_family", None) or FAMILIES[mixture.covariance_type]
    values = np.asarray(mixture.covariances_)
    shape = np.shape(mixture.means_)
    return family.storage(values, values, *shape).dense()  # of factors, none is used


def _names(mixture: Any, X: ArrayLike | None) -> list[str] | None:
    """Names of all features, those of the fit before those of X; None without any."""
    names = getattr(mixture, "feature_names_in_", None)
    if names is None and X is not None:
        names = _get_feature_names(X)
    return None if names is None else [str(name) for name in names]


def _labels(features: Iterable[int], names: Sequence[str] | None) -> list[str]:
    """What features are called in a picture."""
    if names is None:
        return [f"feature {feature}" for feature in features]
    return [names[feature] for feature in features]


def _most_separating(weights: NDArray, means: NDArray, covariances: NDArray) -> NDArray:
    """The features with the greatest shares of variance between components."""
    within = weights @ np.diagonal(covariances, axis1=1, axis2=2)
    between = weights @ (means - weights @ means) ** 2
    total = within + between
    share = np.divide(between, total, out=np.zeros_like(total), where=total > 0)
    return np.sort(np.argsort(-share, kind="stable")[:MOST_FEATURES])
