"""GaussianMixtureOutlierDetector: outliers are rows that a mixture makes improbable."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from numbers import Real
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from ._data.arrays import RowBlocks
from ._data.sources import for_rows, refuse_blocks
from ._data.validation import check_rows
from ._estep.p_values import MEASURES, LogPValues
from ._model_selection import GaussianMixtureIC
from ._utils.sklearn_private import HasMethods, Interval, fit_context
from ._utils.validation import Names, Suggesting, restore_on_error
from .typing import CovarianceType, RowsLike

# With more components or freer covariances than the rows ask for, a mixture fits the
# outliers among them as well; noise takes those that are scattered.
DEFAULT_MODELS: tuple[CovarianceType, ...] = ("full", "tied", "diag", "spherical")
AUTO_LEVEL = 0.01  # p-values below are outliers with contamination="auto"
ROUNDING = 1e-9  # of sums of weights, relative to that of all rows


class GaussianMixtureOutlierDetector(Suggesting, OutlierMixin, BaseEstimator):
    """Outliers are rows that have low p-values under a Gaussian mixture.

    Fits a mixture, and scores rows by the logarithm of a p-value: the probability,
    under the mixture, of rows that are at least as unusual. Scores therefore mean the
    same whatever the units and the number of the features, and for rows with missing
    values, which are compared with others by the features that they have.

    Parameters
    ----------
    estimator : estimator, default=None
        The mixture to fit: a `GaussianMixtureEM`, or a `GaussianMixtureIC` to select
        its size and model. It is cloned. None means a `GaussianMixtureIC` of the models
        "full", "tied", "diag" and "spherical" with uniform noise, which keeps outliers
        among the training data out of the components. A mixture that has been fitted
        before, wrapped in `sklearn.frozen.FrozenEstimator`, is used as it is: `fit`
        then only finds the threshold.
    contamination : "auto" or float, default="auto"
        Where the threshold lies. "auto": p-values below 0.01 are outliers, whatever
        share of the training data that is; for training data without outliers, or with
        very few. A float in (0, 0.5]: the share of the training data, by weight, that
        are outliers; where weights or ties do not allow it exactly, the least share
        above.
    method : {"density", "mahalanobis"}, default="density"
        What makes a row unusual.

        "density": a low density. Of complete rows, scores are in the order of
        `GaussianMixtureEM.score_samples`. The p-value is an upper bound on the
        probability of a density as low [1]_, and equal to it for one component.

        "mahalanobis": a great Mahalanobis distance from the mean of the row's most
        probable component. The p-value is that of the chi-squared distribution with as
        many degrees of freedom as the row has values. All components are taken to be
        usual, however small.

    Attributes
    ----------
    estimator_ : estimator
        The fitted mixture.
    offset_ : float
        The threshold of `score_samples`: rows below it are outliers. With
        `contamination="auto"` it is log(0.01).
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if `X` has names and all are strings.

    See Also
    --------
    GaussianMixtureEM.score_samples : Log-densities.
    sklearn.ensemble.IsolationForest : Outliers without a model of the rows.
    sklearn.covariance.EllipticEnvelope : One component, fitted robustly.

    Notes
    -----
    P-values are computed as if the mixture were the true distribution. As it has been
    adapted to its training data, theirs are too high, and those of new rows too low,
    the more so the fewer rows there are for each of its parameters. To flag a known
    share of usual rows that are new, find the threshold on rows that were left out of
    the mixture's fit, with `FrozenEstimator` and a number as `contamination`.

    P-values are under the components alone: where the mixture has `noise`, which takes
    the outliers among the training data, rows of noise are outliers. A mixture without
    noise adapts to them, of which a component of its own may take care; if that is
    wide, "density" still ranks them last, but "mahalanobis" finds them usual. Outliers
    that lie close together are a cluster like any other, which neither method finds:
    use `IsolationForest`, or fit to other rows.

    For a row x with density f(x), the bound is the sum over the components k of w_k
    P(chi2 > 2 log(w_k N_k(mean_k) / f(x))): f is at least w_k N_k, so rows of the
    component with a density of at most f(x) lie beyond that squared distance. If
    components overlap much, it is higher than the probability itself, so that "auto"
    flags fewer rows than 1% of those the mixture generates.

    References
    ----------
    .. [1] R. J. Hyndman, "Computing and graphing highest density regions", The
       American Statistician 50 (1996), 120-126. doi:10.1080/00031305.1996.10473359

    Examples
    --------
    >>> from emgmm import GaussianMixtureEM, GaussianMixtureOutlierDetector
    >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
    >>> detector = GaussianMixtureOutlierDetector(GaussianMixtureEM(n_components=2))
    >>> detector.fit(X).predict([[1.5], [5.0], [9.0]])
    array([ 1, -1,  1])
    """

    __module__ = "emgmm"

    _parameter_constraints = {
        "estimator": [HasMethods("fit"), None],
        "contamination": [Names(["auto"]), Interval(Real, 0.0, 0.5, closed="right")],
        "method": [Names(MEASURES)],
    }

    def __init__(
        self,
        estimator: BaseEstimator | None = None,
        *,
        contamination: float | Literal["auto"] = "auto",
        method: Literal["density", "mahalanobis"] = "density",
    ) -> None:
        self.estimator = estimator
        self.contamination = contamination
        self.method = method

    @fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: RowsLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Fit the mixture, and find the threshold.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or iterable of such
            The rows, as the mixture's `fit` takes them; NaN is a missing value. If
            `contamination` is a number, an array.
        y : Ignored
            Present by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row; a weight of 2 means that the row occurs twice, in the
            mixture and in the share of outliers.

        Returns
        -------
        GaussianMixtureOutlierDetector
            The detector itself. If the fit fails, it is left as it was.

        Raises
        ------
        TypeError
            If `estimator` is not a mixture of this package.
        ValueError
            If a parameter is invalid, if the mixture cannot be fitted, or if
            `contamination` is a number and `X` is not an array.

        Warns
        -----
        ConvergenceWarning, DegenerateComponentWarning
            As the mixture's `fit` does.

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM, GaussianMixtureOutlierDetector
        >>> X = [[0.0], [1.0], [2.0], [3.0], [9.0]]
        >>> detector = GaussianMixtureOutlierDetector(
        ...     GaussianMixtureEM(n_components=1), contamination=0.2
        ... )
        >>> detector.fit_predict(X)
        array([ 1,  1,  1,  1, -1])
        """
        with restore_on_error(self):
            if self.contamination != "auto":
                needs = f"contamination={self.contamination}"
                refuse_blocks(
                    X, needs, "a sample of the rows (or contamination='auto')"
                )
            mixture = self._unfitted()
            self.estimator_ = mixture.fit(X, y, sample_weight=sample_weight)
            for name in ("n_features_in_", "feature_names_in_"):
                self.__dict__.pop(name, None)
                if hasattr(self.estimator_, name):
                    setattr(self, name, getattr(self.estimator_, name))
            self.offset_ = float(np.log(AUTO_LEVEL))
            if self.contamination != "auto":
                self.offset_ = self._offset_of_rows(X, sample_weight)
        return self

    def p_values(self, X: RowsLike) -> NDArray:
        """Probability, under the mixture, of rows at least as unusual as each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or iterable of such
            The rows; NaN is a missing value. A row is compared by the values that it
            has; without any, its p-value is 1.

        Returns
        -------
        ndarray of shape (n_samples,), or iterator of such
            P-values by `method`, from 0 to 1. For blocks of rows, one array for each;
            for a Dask array, a Dask array.

        Raises
        ------
        NotFittedError
            If the detector is not fitted.
        ValueError
            If `X` is invalid, or has another number of features than in `fit`.

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM, GaussianMixtureOutlierDetector
        >>> gmm = GaussianMixtureEM(n_components=1)
        >>> detector = GaussianMixtureOutlierDetector(gmm).fit([[-1.0], [1.0]])
        >>> detector.p_values([[0.0], [1.96]]).round(3)
        array([1.  , 0.05])
        """
        return self._predicted(X, np.exp)

    def score_samples(self, X: RowsLike) -> NDArray:
        """Logarithm of the p-value of each row; lower is more unusual.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or iterable of such
            The rows, as in `p_values`.

        Returns
        -------
        ndarray of shape (n_samples,), or iterator of such
            Scores, at most 0, finite also where p-values underflow.

        Raises
        ------
        NotFittedError
            If the detector is not fitted.
        ValueError
            If `X` is invalid, or has another number of features than in `fit`.

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM, GaussianMixtureOutlierDetector
        >>> gmm = GaussianMixtureEM(n_components=1)
        >>> detector = GaussianMixtureOutlierDetector(gmm).fit([[-1.0], [1.0]])
        >>> detector.score_samples([[1.96], [10.0]]).round(2)
        array([ -3.  , -52.54])
        """
        return self._predicted(X, np.asarray)

    def decision_function(self, X: RowsLike) -> NDArray:
        """Score of each row less the threshold: negative for outliers.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or iterable of such
            The rows, as in `p_values`.

        Returns
        -------
        ndarray of shape (n_samples,), or iterator of such
            `score_samples` - `offset_`.

        Raises
        ------
        NotFittedError
            If the detector is not fitted.
        ValueError
            If `X` is invalid, or has another number of features than in `fit`.

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM, GaussianMixtureOutlierDetector
        >>> gmm = GaussianMixtureEM(n_components=1)
        >>> detector = GaussianMixtureOutlierDetector(gmm).fit([[-1.0], [1.0]])
        >>> detector.decision_function([[0.0], [3.0]]).round(2)
        array([ 4.61, -1.31])
        """
        check_is_fitted(self)
        return self._predicted(X, partial(_above, self.offset_))

    def predict(self, X: RowsLike) -> NDArray:
        """Whether each row is usual, 1, or an outlier, -1.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or iterable of such
            The rows, as in `p_values`.

        Returns
        -------
        ndarray of shape (n_samples,), or iterator of such
            -1 where `decision_function` is negative, otherwise 1.

        Raises
        ------
        NotFittedError
            If the detector is not fitted.
        ValueError
            If `X` is invalid, or has another number of features than in `fit`.

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM, GaussianMixtureOutlierDetector
        >>> gmm = GaussianMixtureEM(n_components=1)
        >>> detector = GaussianMixtureOutlierDetector(gmm).fit([[-1.0], [1.0]])
        >>> detector.predict([[0.0], [3.0]])
        array([ 1, -1])
        """
        check_is_fitted(self)
        return self._predicted(X, partial(_labels, self.offset_))

    def __sklearn_tags__(self) -> Tags:
        """scikit-learn's tags of the detector, which accepts missing values."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _unfitted(self) -> Any:
        """The mixture to fit; TypeError if `estimator` is something else."""
        if self.estimator is None:
            return GaussianMixtureIC(covariance_type=DEFAULT_MODELS, noise="uniform")
        if not hasattr(self.estimator, "_mixture"):
            raise TypeError(
                f"estimator={self.estimator!r:.60} is not a mixture of this package: "
                "pass a GaussianMixtureEM or a GaussianMixtureIC, and put steps before "
                "it into a Pipeline that ends with the detector."
            )
        return clone(self.estimator)

    def _offset_of_rows(self, X: RowsLike, sample_weight: ArrayLike | None) -> float:
        """The threshold below which the contamination's share of the rows scores."""
        rows = check_rows(self, X, sample_weight, reset=False)  # type: ignore[arg-type]
        weights = rows.to_input_order(rows.weights)
        return threshold(self._scores()(rows), weights, float(self.contamination))

    def _scores(self) -> LogPValues:
        """A function of rows that returns their scores: under the components alone, as
        rows of noise are outliers."""
        check_is_fitted(self)
        mixture = self.estimator_._mixture().without_noise
        return LogPValues(mixture, MEASURES[self.method])

    def _predicted(self, X: RowsLike, finish: Callable[[NDArray], NDArray]) -> NDArray:
        """What `finish` makes of the scores of the rows."""
        return for_rows(self, X, partial(_finished, self._scores(), finish))


def threshold(scores: NDArray, weights: NDArray, share: float) -> float:
    """The middle between scores below which there is a share of the weight, or the
    least above that scores allow; the lowest score if all would be below."""
    distinct, places = np.unique(scores[weights > 0], return_inverse=True)
    below = np.cumsum(np.bincount(places, weights[weights > 0]))
    last = np.searchsorted(below, (share - ROUNDING) * below[-1])
    if last + 1 >= len(distinct):
        return float(distinct[0])
    lower, upper = distinct[last : last + 2].tolist()
    middle = lower + (upper - lower) / 2
    return middle if middle > lower else upper  # NaN from minus infinity


def _finished(
    scores: LogPValues, finish: Callable[[NDArray], NDArray], rows: RowBlocks
) -> NDArray:
    """What `finish` makes of the scores of rows in memory."""
    return finish(scores(rows))


def _above(offset: float, scores: NDArray) -> NDArray:
    """How much higher than the threshold scores are."""
    return scores - offset


def _labels(offset: float, scores: NDArray) -> NDArray:
    """-1 for scores below the threshold, otherwise 1."""
    return np.where(scores < offset, -1, 1)
