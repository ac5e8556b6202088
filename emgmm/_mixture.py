"""Mixture: a Gaussian mixture as a distribution."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from ._data.validation import check_X
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
    check_features,
    check_names,
    split_features,
)
from ._utils.inputs import unmasked
from ._utils.validation import as_numbers, check_n_samples

Seed = int | np.random.RandomState | None


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Mixture:
    """A Gaussian mixture as a probability distribution, which cannot be modified.

    Fitted estimators provide theirs as `mixture_`. The distribution of some of the
    features is a mixture as well: `marginal` returns it where nothing is known about
    the other features, and `conditional` where their values are known.

    Parameters
    ----------
    weights : array-like of shape (n_components,)
        Weights of the components, which sum to one.
    means : array-like of shape (n_components, n_features)
        Means of the components.
    covariances : array-like of shape (n_components, n_features, n_features)
        Covariance matrices of the components.
    feature_names : iterable of str, default=None
        Names of the features, each different, by which methods can choose them.

    Attributes
    ----------
    weights : ndarray of shape (n_components,)
        Weights of the components.
    means : ndarray of shape (n_components, n_features)
        Means of the components.
    covariances : ndarray of shape (n_components, n_features, n_features)
        Covariance matrices of the components, in full for every model.
    feature_names : tuple of str or None
        Names of the features, if they have any.
    n_components, n_features : int
        Numbers of components and of features.
    mean : ndarray of shape (n_features,)
        Mean of the whole mixture.
    covariance : ndarray of shape (n_features, n_features)
        Covariance of the whole mixture, within components and between them.

    Raises
    ------
    ValueError
        If a shape is wrong, the weights do not sum to one, a covariance matrix is not
        symmetric and positive definite, or `feature_names` are not different strings,
        one for each feature.

    See Also
    --------
    GaussianMixtureEM.mixture_ : The mixture that an estimator has fitted.
    GaussianMixtureEM.conditional_mean : Predict features from others, for many rows.

    Notes
    -----
    The arrays are read-only copies, so the mixture cannot be modified through them.
    Two mixtures are equal (``==``) only if they are the same object; `kl_divergence`
    measures how far apart two distributions are. Features are chosen by index
    (negative ones count from the end, as in NumPy) or by name, one alone or several in
    a list.

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

    __module__ = "emgmm"

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
        """The numbers of components and features, and the names of the features."""
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
        with np.errstate(over="ignore"):  # beyond the largest number is infinity
            deviations = self.means - self.mean
            between = (self.weights * deviations.T) @ deviations
            within = np.tensordot(self.weights, self.covariances, axes=1)
            return _read_only(within + between)

    def log_density(self, X: ArrayLike) -> NDArray:
        """Compute the logarithm of the density at each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows. NaN is a missing value: the density is then the marginal one of
            the features that the row has values for.

        Returns
        -------
        ndarray of shape (n_samples,)
            Log-densities, in nats.

        Raises
        ------
        ValueError
            If `X` is not valid, has the wrong number of features, or has columns whose
            names are not `feature_names`.

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
        """Draw random rows from the mixture.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows, at least 1.
        random_state : int, RandomState instance or None, default=None
            Seed of the draw; None uses NumPy's global random state.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            The rows, grouped by component.
        y : ndarray of shape (n_samples,)
            The component that each row was drawn from.

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
        """Return the distribution of some features, whatever the others are.

        Parameters
        ----------
        features : int, str, or list of int or str
            Features to keep, by index or name, in the order that the result has them.

        Returns
        -------
        Mixture
            The mixture of these features.

        Raises
        ------
        ValueError
            If a feature does not exist or is chosen twice, or if none is chosen.

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
        """Return the distribution of the other features, where some have known values.

        Each component is weighted by how probable it makes the known values, and its
        mean is what its linear regression on them predicts.

        Parameters
        ----------
        features : int, str, or list of int or str
            Features whose values are known, by index or name.
        values : float or array-like of shape (n_known,)
            Their values, in the same order.

        Returns
        -------
        Mixture
            The mixture of the other features, in their original order.

        Raises
        ------
        ValueError
            If a feature does not exist or is chosen twice, if none or all are chosen,
            or if `values` does not have one finite value for each of them.

        Examples
        --------
        >>> from emgmm import Mixture
        >>> mixture = Mixture([1.0], [[1.0, 2.0]], [[[1.0, 0.5], [0.5, 3.0]]])
        >>> conditional = mixture.conditional(0, 3.0)
        >>> conditional.mean, conditional.covariance
        (array([3.]), array([[2.75]]))
        """
        known, others = split_features(
            features, self.n_features, self.feature_names, "features"
        )
        row = np.atleast_1d(as_numbers(values, "values"))
        if row.shape != known.shape:
            raise ValueError(
                f"values has the shape {row.shape}, but the number of chosen features "
                f"is {len(known)}: pass one value for each of them."
            )
        parameters = Regression.of(self._parameters, known, others).at(row)
        return make_mixture(parameters, self._names(others))

    def cdf(self, x: ArrayLike) -> NDArray | np.float64:
        """Compute the cumulative distribution function of a mixture of one feature.

        Parameters
        ----------
        x : float or array-like of any shape
            Points at which to evaluate it.

        Returns
        -------
        float or ndarray of the shape of `x`
            Probabilities of values up to `x`; NaN where `x` is NaN, as in SciPy.

        Raises
        ------
        ValueError
            If the mixture has more than one feature, or `x` contains something other
            than numbers.

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
        """Compute quantiles, the inverse of `cdf`, of a mixture of one feature.

        Parameters
        ----------
        q : float or array-like of any shape
            Probabilities, from 0 to 1.

        Returns
        -------
        float or ndarray of the shape of `q`
            Values that the feature does not exceed with probability `q`: minus
            infinity for 0, infinity for 1.

        Raises
        ------
        ValueError
            If the mixture has more than one feature, or `q` is not between 0 and 1.

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
                f"{probabilities.max():g}: pass probabilities from 0 to 1."
            )
        out = np.where(probabilities > 0, np.inf, -np.inf)
        within = (probabilities > 0) & (probabilities < 1)
        out[within] = quantile(probabilities[within], self._parameters)
        return out[()]

    def entropy(self, n_samples: int = 10_000, random_state: Seed = None) -> Estimate:
        """Estimate the differential entropy by sampling, with its standard error.

        The entropy is that of the weights, plus the mean entropy of the components,
        minus the mean entropy of the components' posterior probabilities. Only the
        last term is sampled, by rows from every component in proportion to its weight:
        the result is exact for one component, and nearly exact for components that
        hardly overlap.

        Parameters
        ----------
        n_samples : int, default=10000
            Approximate number of rows to draw; at least 10 come from each component.
            With fewer than about 300, the standard error itself is unreliable.
        random_state : int, RandomState instance or None, default=None
            Seed of the draw; None uses NumPy's global random state.

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
        """Estimate the Kullback-Leibler divergence from `other` by sampling.

        It is the mean of log(p / q) under this mixture, where p is its density and q
        that of the other. Half of the rows are drawn from each of the two, and no term
        of the estimate is negative: the result is exactly zero for equal
        distributions, and its variance is finite.

        Parameters
        ----------
        other : Mixture
            A mixture of the same features.
        n_samples : int, default=10000
            Approximate number of rows to draw; at least 10 come from each component.
            With fewer than about 300, the standard error itself is unreliable.
        random_state : int, RandomState instance or None, default=None
            Seed of the draw; None uses NumPy's global random state.

        Returns
        -------
        value : float
            The divergence, in nats; never negative.
        error : float
            Its standard error.

        Raises
        ------
        TypeError
            If `other` is not a `Mixture`.
        ValueError
            If it does not have the same features, or `n_samples` is not a whole number
            of 1 or more.

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
        """Names of some of the features; None if they have none."""
        names = self.feature_names
        return None if names is None else tuple(names[index] for index in features)

    def _check_n_samples(self, n_samples: int) -> int:
        """The number of rows to draw, if it is one."""
        return check_n_samples(n_samples, self.n_features)

    def _check_one_feature(self, method: str) -> None:
        """Raise if there are several features, so that values have no order."""
        if self.n_features > 1:
            raise ValueError(
                f"{method} needs a mixture of one feature, and this one has "
                f"{self.n_features}: use marginal(feature).{method} or "
                f"conditional(features, values).{method}."
            )

    def _check_comparable(self, other: Mixture) -> None:
        """Raise if the other is not a mixture of the same features."""
        if not isinstance(other, Mixture):
            raise TypeError(
                f"other is a {type(other).__name__}: pass a Mixture, such as "
                "`mixture_` of a fitted estimator."
            )
        named = self.feature_names is not None and other.feature_names is not None
        same = not named or self.feature_names == other.feature_names
        if other.n_features != self.n_features or not same:
            raise ValueError(
                f"other={other!r} does not have the features of {self!r}: pass a "
                "mixture of the same features in the same order (see `marginal`)."
            )


def make_mixture(parameters: Parameters, names: Iterable[str] | None) -> Mixture:
    """The mixture with these parameters, its weights normalised, and these names."""
    mixture, own = Mixture.__new__(Mixture), deepcopy(parameters)
    own = Parameters(own.weights / own.weights.sum(), own.means, own.covariances)
    _fill(mixture, own, None if names is None else tuple(map(str, names)))
    return mixture


def _fill(
    mixture: Mixture, parameters: Parameters, names: tuple[str, ...] | None
) -> None:
    """Set the fields of a mixture, which is frozen."""
    object.__setattr__(mixture, "_parameters", parameters)
    object.__setattr__(mixture, "feature_names", names)


def _read_only(array: NDArray) -> NDArray:
    """A copy of the array that is marked as read-only."""
    own = array.copy()
    own.flags.writeable = False
    return own
