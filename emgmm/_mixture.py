"""Mixture: a Gaussian mixture as a distribution."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array, check_random_state

from ._estep.conditional import Regression
from ._estep.monte_carlo import Estimate, entropy, kl_divergence, log_densities
from ._model.parameters import Parameters
from ._model.univariate import cdf, quantile
from ._model.validation import (
    check_covariances,
    check_means,
    check_weights,
    shape_of_means,
)
from ._utils.features import (
    Features,
    check_columns,
    check_features,
    check_names,
    split_features,
)
from ._utils.inputs import unmasked, validated
from ._utils.validation import as_numbers, check_n_samples

Seed = int | np.random.RandomState | None


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Mixture:
    """A Gaussian mixture as a distribution: immutable, and known without data.

    Fitted estimators have theirs as `mixture_`. What depends on some features only is
    a mixture too: `marginal`, where nothing is known of the others; `conditional`,
    where these have known values.

    Parameters
    ----------
    weights : array-like of shape (n_components,)
        Weights of the components, with a sum of one.
    means : array-like of shape (n_components, n_features)
        Means of the components.
    covariances : array-like of shape (n_components, n_features, n_features)
        Covariance matrices of the components.
    feature_names : iterable of str, default=None
        Names by which features can be chosen, besides by their indices.

    Attributes
    ----------
    weights : ndarray of shape (n_components,)
        Weights of the components.
    means : ndarray of shape (n_components, n_features)
        Means of the components.
    covariances : ndarray of shape (n_components, n_features, n_features)
        Covariance matrices of the components, whatever the model.
    feature_names : tuple of str or None
        Names of the features.
    n_components, n_features : int
        Numbers of components and of features.
    mean : ndarray of shape (n_features,)
        Mean of the whole mixture.
    covariance : ndarray of shape (n_features, n_features)
        Covariance of the whole mixture: within components and between them.

    Raises
    ------
    ValueError
        If a shape is wrong, the weights do not sum to one, or a matrix is not
        symmetric and positive definite.

    See Also
    --------
    GaussianMixtureEM.mixture_ : The mixture that an estimator has fitted.
    GaussianMixtureEM.conditional_mean : Some features from others, for many rows.

    Notes
    -----
    Arrays are read-only copies: nothing that is done to them alters the mixture. Two
    mixtures are equal (``==``) only if they are the same object; how far others are
    apart `kl_divergence` tells. Features are chosen by index (from the end if negative,
    as in numpy) or by name; one of them, or several in a list.

    Examples
    --------
    >>> from emgmm import Mixture
    >>> mixture = Mixture(
    ...     weights=[0.5, 0.5],
    ...     means=[[0.0, 0.0], [4.0, 2.0]],
    ...     covariances=[[[1.0, 0.5], [0.5, 1.0]], [[1.0, 0.0], [0.0, 1.0]]],
    ...     feature_names=["x", "y"],
    ... )
    >>> mixture.mean
    array([2., 1.])
    >>> mixture.marginal("y").covariance
    array([[2.]])
    >>> mixture.conditional("x", 1.0).mean.round(3)
    array([0.527])
    """

    _parameters: Parameters
    feature_names: tuple[str, ...] | None

    def __init__(
        self,
        weights: ArrayLike,
        means: ArrayLike,
        covariances: ArrayLike,
        feature_names: Iterable[str] | None = None,
    ) -> None:
        sizes = shape_of_means(means)
        parameters = Parameters(
            check_weights(weights, sizes[0]),
            check_means(means, sizes),
            check_covariances(covariances, "covariances", "full", sizes),
        )
        _fill(self, parameters, check_names(feature_names, sizes[1]))

    def __repr__(self) -> str:
        """Its sizes, and the names of its features."""
        names = self.feature_names
        named = "" if names is None else f", feature_names={list(names)}"
        sizes = f"n_components={self.n_components}, n_features={self.n_features}"
        return f"Mixture({sizes}{named})"

    @property
    def n_components(self) -> int:
        """Number of components."""
        return len(self._parameters.weights)

    @property
    def n_features(self) -> int:
        """Number of features."""
        return self._parameters.means.shape[1]

    @property
    def weights(self) -> NDArray:
        """Weights of the components (n_components,)."""
        return _read_only(self._parameters.weights)

    @property
    def means(self) -> NDArray:
        """Means of the components (n_components, n_features)."""
        return _read_only(self._parameters.means)

    @property
    def covariances(self) -> NDArray:
        """Covariance matrices (n_components, n_features, n_features)."""
        return _read_only(self._parameters.covariances.dense())

    @property
    def mean(self) -> NDArray:
        """Mean of the whole mixture (n_features,)."""
        return _read_only(self.weights @ self.means)

    @property
    def covariance(self) -> NDArray:
        """Covariance of the whole mixture (n_features, n_features)."""
        with np.errstate(over="ignore"):  # what is too large is infinite
            deviations = self.means - self.mean
            between = (self.weights * deviations.T) @ deviations
            within = np.tensordot(self.weights, self.covariances, axes=1)
            return _read_only(within + between)

    def log_density(self, X: ArrayLike) -> NDArray:
        """Logarithm of the density at each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows. Of a row with NaN it is the density of what the row has.

        Returns
        -------
        ndarray of shape (n_samples,)
            Log-densities, in nats.

        Raises
        ------
        ValueError
            If `X` is not valid, has another number of features, or columns of other
            names.

        Examples
        --------
        >>> from emgmm import Mixture
        >>> Mixture([1.0], [[0.0]], [[[1.0]]]).log_density([[0.0], [2.0]]).round(3)
        array([-0.919, -2.919])
        """
        rows = check_X(X, self.feature_names, self.n_features)
        return log_densities(rows, self._parameters)

    def sample(
        self, n_samples: int = 1, random_state: Seed = None
    ) -> tuple[NDArray, NDArray]:
        """Draw rows.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows, at least 1.
        random_state : int, RandomState instance or None, default=None
            Seed of this draw; None draws from numpy's global state.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            The rows, grouped by component.
        y : ndarray of shape (n_samples,)
            Component of each row.

        Raises
        ------
        ValueError
            If `n_samples` is not a whole number of 1 or more.

        Examples
        --------
        >>> from emgmm import Mixture
        >>> X, y = Mixture([1.0], [[0.0, 0.0]], [[[1, 0], [0, 1]]]).sample(5)
        >>> X.shape, y.shape
        ((5, 2), (5,))
        """
        rng = check_random_state(random_state)
        return self._parameters.sample(self._check_n_samples(n_samples), rng)

    def marginal(self, features: Features) -> Mixture:
        """The distribution of some features, whatever the others.

        Parameters
        ----------
        features : int, str, or list of int or str
            Features by index or by name. They are the result's in this order.

        Returns
        -------
        Mixture
            Of these features.

        Raises
        ------
        ValueError
            If a feature is unknown, or chosen twice, or none is.

        Examples
        --------
        >>> from emgmm import Mixture
        >>> mixture = Mixture([1.0], [[1.0, 2.0]], [[[1.0, 0.5], [0.5, 3.0]]])
        >>> mixture.marginal(-1).covariance
        array([[3.]])
        """
        chosen = check_features(
            features, self.n_features, self.feature_names, "features"
        )
        return make_mixture(self._parameters.marginal(chosen), self._names(chosen))

    def conditional(self, features: Features, values: ArrayLike) -> Mixture:
        """The distribution of the other features, where some have known values.

        Components are weighted by how probable they make the values; their means are
        on the regressions on the features given.

        Parameters
        ----------
        features : int, str, or list of int or str
            Features that are given, by index or by name.
        values : float or array-like of shape (n_given,)
            Their values.

        Returns
        -------
        Mixture
            Of the other features, in their order here.

        Raises
        ------
        ValueError
            If a feature is unknown, or chosen twice, if none or all are, or if there
            is not one finite value for each.

        Examples
        --------
        >>> from emgmm import Mixture
        >>> mixture = Mixture([1.0], [[1.0, 2.0]], [[[1.0, 0.5], [0.5, 3.0]]])
        >>> conditional = mixture.conditional(0, 3.0)
        >>> conditional.mean, conditional.covariance
        (array([3.]), array([[2.75]]))
        """
        given, others = split_features(
            features, self.n_features, self.feature_names, "features"
        )
        row = np.atleast_1d(as_numbers(values, "values"))
        if row.shape != given.shape:
            raise ValueError(
                f"values has the shape {row.shape}, features are {len(given)}: give "
                "one value for each of them."
            )
        parameters = Regression.of(self._parameters, given, others).at(row)
        return make_mixture(parameters, self._names(others))

    def cdf(self, x: ArrayLike) -> NDArray | np.float64:
        """Probability of values up to `x`, for a mixture of one feature.

        Parameters
        ----------
        x : float or array-like of any shape
            Where to tell it.

        Returns
        -------
        float or ndarray of the shape of `x`
            Probabilities; NaN where `x` is NaN, as in SciPy.

        Raises
        ------
        ValueError
            If there are several features, or `x` holds something else than numbers.

        Examples
        --------
        >>> from emgmm import Mixture
        >>> Mixture([0.5, 0.5], [[-1.0], [1.0]], [[[1.0]], [[1.0]]]).cdf(0.0)
        np.float64(0.5)
        """
        self._check_one_feature("cdf")
        values = np.asarray(unmasked(x, "x"), dtype=np.float64)
        return cdf(values.ravel(), self._parameters).reshape(values.shape)[()]

    def quantile(self, q: ArrayLike) -> NDArray | np.float64:
        """Value up to which there is a probability `q`, for a mixture of one feature.

        Parameters
        ----------
        q : float or array-like of any shape
            Probabilities, from 0 to 1.

        Returns
        -------
        float or ndarray of the shape of `q`
            Quantiles; minus infinity for 0, infinity for 1.

        Raises
        ------
        ValueError
            If there are several features, or `q` is not within 0 and 1.

        Examples
        --------
        >>> from emgmm import Mixture
        >>> Mixture([1.0], [[2.0]], [[[4.0]]]).quantile([0, 0.5, 0.975]).round(2)
        array([-inf, 2.  , 5.92])
        """
        self._check_one_feature("quantile")
        probabilities = as_numbers(q, "q")
        if (probabilities < 0).any() or (probabilities > 1).any():
            raise ValueError(
                f"q has values from {probabilities.min():g} to "
                f"{probabilities.max():g}: give probabilities from 0 to 1."
            )
        out = np.where(probabilities > 0, np.inf, -np.inf)
        within = (probabilities > 0) & (probabilities < 1)
        out[within] = quantile(probabilities[within], self._parameters)
        return out[()]

    def entropy(self, n_samples: int = 10_000, random_state: Seed = None) -> Estimate:
        """Differential entropy, by sampling, with its standard error.

        It is that of the weights, plus the mean of the components', less the mean
        entropy of the posterior probabilities of components. Only the last is
        sampled, in fixed shares from the components: with one component, the result
        is exact, and with components far apart nearly so.

        Parameters
        ----------
        n_samples : int, default=10000
            Number of rows drawn, about; ten at least from each component.
            With fewer than some 300 the error is itself too uncertain to rely on.
        random_state : int, RandomState instance or None, default=None
            Seed of the draw.

        Returns
        -------
        value : float
            The entropy, in nats.
        error : float
            Its standard error.

        Raises
        ------
        ValueError
            If `n_samples` is not a whole number of 1 or more.

        Examples
        --------
        >>> from emgmm import Mixture
        >>> value, error = Mixture([1.0], [[0.0]], [[[1.0]]]).entropy()
        >>> round(value, 3), error < 1e-15
        (1.419, True)
        """
        rng = check_random_state(random_state)
        return entropy(self._parameters, self._check_n_samples(n_samples), rng)

    def kl_divergence(
        self, other: Mixture, n_samples: int = 10_000, random_state: Seed = None
    ) -> Estimate:
        """Kullback-Leibler divergence from `other`, by sampling, with its error.

        The mean of log(p / q) over this distribution p, where q is the other's
        density. Half of the rows are drawn from either, and every term is zero or
        more: the result is exactly zero for equal distributions, and its variance is
        finite.

        Parameters
        ----------
        other : Mixture
            A mixture of the same features.
        n_samples : int, default=10000
            Number of rows drawn, about; ten at least from each component.
            With fewer than some 300 the error is itself too uncertain to rely on.
        random_state : int, RandomState instance or None, default=None
            Seed of the draw.

        Returns
        -------
        value : float
            The divergence, in nats; not negative.
        error : float
            Its standard error.

        Raises
        ------
        TypeError
            If `other` is not a `Mixture`.
        ValueError
            If it has other features, or `n_samples` is not a whole number of 1 or
            more.

        Examples
        --------
        >>> from emgmm import Mixture
        >>> p = Mixture([1.0], [[0.0]], [[[1.0]]])
        >>> p.kl_divergence(p)
        Estimate(value=0.0, error=0.0)
        >>> q = Mixture([1.0], [[1.0]], [[[1.0]]])
        >>> value, error = p.kl_divergence(q, random_state=0)
        >>> bool(abs(value - 0.5) < 4 * error < 0.05)
        True
        """
        self._check_comparable(other)
        rng = check_random_state(random_state)
        n_samples = self._check_n_samples(n_samples)
        return kl_divergence(self._parameters, other._parameters, n_samples, rng)

    def _names(self, features: NDArray) -> tuple[str, ...] | None:
        """Names of some of the features."""
        names = self.feature_names
        return None if names is None else tuple(names[index] for index in features)

    def _check_n_samples(self, n_samples: int) -> int:
        return check_n_samples(n_samples, self.n_features)

    def _check_one_feature(self, method: str) -> None:
        """Whether there is an order of values."""
        if self.n_features > 1:
            raise ValueError(
                f"{method} is for one feature, and there are {self.n_features}: take "
                f"marginal(feature).{method} or conditional(features, values).{method}."
            )

    def _check_comparable(self, other: Mixture) -> None:
        """Whether the other is a mixture of the same features."""
        if not isinstance(other, Mixture):
            raise TypeError(
                f"other is a {type(other).__name__}: give a Mixture, such as "
                "`mixture_` of a fitted estimator."
            )
        named = self.feature_names is not None and other.feature_names is not None
        same = not named or self.feature_names == other.feature_names
        if other.n_features != self.n_features or not same:
            raise ValueError(
                f"other={other!r} has other features than {self!r}: give a mixture of "
                "the same, in the same order (see `marginal`)."
            )


def make_mixture(parameters: Parameters, names: Iterable[str] | None) -> Mixture:
    """The distribution with such parameters, of features with such names."""
    mixture, own = Mixture.__new__(Mixture), deepcopy(parameters)
    own = replace(own, weights=own.weights / own.weights.sum())
    _fill(mixture, own, None if names is None else tuple(map(str, names)))
    return mixture


def check_X(X: ArrayLike, names: tuple[str, ...] | None, n_features: int) -> NDArray:
    """Rows (n, d) of float64 or float32, NaN where nothing is known."""
    check_columns(X, names)
    kinds = [np.float64, np.float32]
    rows = validated(
        check_array, X, dtype=kinds, ensure_all_finite="allow-nan", input_name="X"
    )
    if rows.shape[1] != n_features:
        raise ValueError(
            f"X has {rows.shape[1]} features, but {n_features} are expected: give one "
            "column for each."
        )
    return rows


def _fill(
    mixture: Mixture, parameters: Parameters, names: tuple[str, ...] | None
) -> None:
    """Set what can be set only once."""
    object.__setattr__(mixture, "_parameters", parameters)
    object.__setattr__(mixture, "feature_names", names)


def _read_only(array: NDArray) -> NDArray:
    """A copy, which may be altered only by who insists on it."""
    own = array.copy()
    own.flags.writeable = False
    return own
