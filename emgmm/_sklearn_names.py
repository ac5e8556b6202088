"""Private methods of scikit-learn's mixtures that other packages call.

This package does not call them, so that overriding them has no effect: a subclass that
does is warned.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.utils import check_array

from ._data.arrays import ArrayBlocks
from ._estep.kernel import Joint, Kernel
from ._estep.predict import RowwisePredictor
from ._model.parameters import Parameters
from ._utils.device import like, to_host

START = "pass a callable init_params instead, which returns labels or responsibilities"
STEP = (
    "the steps of EM have no public hook: fit with warm_start=True and max_iter=1, and "
    "assign attributes from one call to the next"
)
CHECK = "override fit and partial_fit instead"
HOOKS = {
    "_initialize_parameters": START,
    "_initialize": START,
    "_check_parameters": CHECK,
    "_e_step": STEP,
    "_m_step": STEP,
    "_compute_lower_bound": STEP,
    "_estimate_log_weights": STEP,
    "_estimate_log_prob": STEP,
    "_estimate_weighted_log_prob": STEP,
    "_estimate_log_prob_resp": STEP,
    "_get_parameters": STEP,
    "_set_parameters": STEP,
}
"""Methods that scikit-learn's EM calls and ours does not, and what to do instead."""


class SklearnNames:
    """Private methods of scikit-learn's mixtures, with the same results."""

    _mixture: Callable[[], Parameters]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Warn if the subclass overrides methods that are never called."""
        super().__init_subclass__(**kwargs)
        bases = [base for base in cls.__bases__ if issubclass(base, SklearnNames)]
        for name, remedy in HOOKS.items():
            own = getattr(cls, name, None)
            if all(getattr(base, name, None) is not own for base in bases) and bases:
                warnings.warn(
                    f"{cls.__name__}.{name} is never called: {remedy}.", stacklevel=2
                )

    def _estimate_log_weights(self, xp: Any = None) -> NDArray:
        """Logarithms of the weights, shape (K,)."""
        with np.errstate(divide="ignore"):
            return like(self.weights_, np.log(to_host(self.weights_)))

    def _estimate_log_prob(self, X: ArrayLike, xp: Any = None) -> NDArray:
        """Log-densities of the components at each row, shape (n, K)."""
        mixture = self._mixture()
        n_components = len(mixture.weights)
        equal = replace(mixture, weights=np.full(n_components, 1 / n_components))
        return _log_joint(X, equal) + float(np.log(n_components))

    def _estimate_weighted_log_prob(self, X: ArrayLike, xp: Any = None) -> NDArray:
        """Weighted log-densities of the components at each row, shape (n, K)."""
        return _log_joint(X, self._mixture())

    def _estimate_log_prob_resp(
        self, X: ArrayLike, xp: Any = None
    ) -> tuple[NDArray, NDArray]:
        """Log-densities (n,) of the mixture, noise included, and logarithms (n, K) of
        the responsibilities."""
        log_joint, mixture = self._estimate_weighted_log_prob(X), self._mixture()
        log_density = np.logaddexp.reduce(log_joint, axis=1)
        if mixture.noise:
            with np.errstate(divide="ignore"):
                of_noise = np.log(mixture.noise_weights) + mixture.noise.log_density
            log_density = np.logaddexp(log_density, of_noise)
        return log_density, log_joint - log_density[:, None]

    def _get_parameters(self) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """Weights, means, covariances and factors of the precisions."""
        return (
            self.weights_,
            self.means_,
            self.covariances_,
            self.precisions_cholesky_,
        )

    def _set_parameters(self, params: tuple[Any, ...], xp: Any = None) -> None:
        """Set the attributes that ``_get_parameters`` returns, and the precisions."""
        self.weights_, self.means_, self.covariances_, factors = params
        self.precisions_cholesky_ = factors
        covariances = self._mixture().covariances
        precisions = covariances.as_published(covariances.precisions)
        self.precisions_ = precisions.astype(np.asarray(factors).dtype)

    def _initialize(self, X: ArrayLike, resp: NDArray, xp: Any = None) -> None:
        """Set the attributes of the mixture of responsibilities (n, K) and `*_init`."""
        start = {"n_components": resp.shape[1], "init_params": resp, "max_iter": 0}
        self._set_parameters(clone(self).set_params(**start).fit(X)._get_parameters())


def _log_joint(X: ArrayLike, mixture: Parameters) -> NDArray:
    """log w_k + log N(x; mean_k, covariance_k) of each row, shape (n, K)."""
    rows = check_array(X, dtype=[np.float64, np.float32])
    shape = mixture.weights.shape
    return RowwisePredictor(mixture, _rows_of_log_joint, None, shape)(ArrayBlocks(rows))


def _rows_of_log_joint(kernel: Kernel, joint: Joint) -> NDArray:
    """Log-joint densities of a block of rows, shape (n, K)."""
    kernel.peak(joint)  # raises where another kernel is needed
    return (joint.values + kernel.reference).T
