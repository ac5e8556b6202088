"""Families of covariance matrices: the rules of the M-step, and their table.

Every matrix is Sigma_k = lambda_k D_k A_k D_k' with volume lambda_k, shape A_k
(diagonal, determinant 1) and orientation D_k, and a family's name says in that
order whether each is Equal in all components, Variable, or the Identity (Celeux &
Govaert 1995, doi:10.1016/0031-3203(94)00125-6). So a family is made of two
functions: its orientation finds coordinates in which the scatter is as good as
diagonal, and its rule turns that diagonal into variances lambda_k A_k. Where shape and
orientation have the same letter, D_k A_k D_k' is a matrix as free as any, and a formula
for it does without either.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from .bounded import Estimate, bounded
from .covariances import Covariances, Diagonal, Full, Spherical, Tied
from .orientation import MAX_ROUNDS_INEXACT, _axes, _common, _own
from .volume_shape import (
    Rule,
    equal,
    equal_shape,
    equal_spheres,
    equal_volume,
    free,
    newton,
    spheres,
)

ENOUGH_ROWS = 6  # of a component with variances of its own


@dataclass(frozen=True)
class CovarianceFamily:
    """A named model: how it is stored and how it is estimated.

    Where an estimate takes iterations, ``estimate_inexact`` goes only some of the way
    from its start. It raises the likelihood as long as there is something to be gained:
    EM comes to the same limit, in about as many iterations.
    """

    name: str
    storage: type[Covariances]
    estimate: Estimate
    estimate_inexact: Estimate | None = None

    @property
    def inexact(self) -> CovarianceFamily:
        """The family with short M-steps."""
        return replace(self, estimate=self.estimate_inexact or self.estimate)

    def bounded(self, least: NDArray) -> CovarianceFamily:
        """The family where variances are bounded from below, in every direction by
        that of independent features with the least variances (d,)."""
        if not least.any():
            return self
        estimate = bounded(self.storage, self.estimate, least)
        estimate_inexact = self.estimate_inexact and bounded(
            self.storage, self.estimate_inexact, least
        )
        return replace(self, estimate=estimate, estimate_inexact=estimate_inexact)

    @property
    def by_feature(self) -> bool:
        """Whether fits follow the data where a single feature is multiplied."""
        shape, orientation = self.name[1], self.name[2]
        return shape != "I" and orientation in ("I", shape)

    def n_parameters(self, n_components: int, n_features: int) -> int:
        """Free parameters of the covariances."""
        copies = {"E": 1, "V": n_components, "I": 0}
        volume, shape, orientation = (copies[letter] for letter in self.name)
        rotations = n_features * (n_features - 1) // 2
        return volume + shape * (n_features - 1) + orientation * rotations

    def rows_needed(self, n_features: int) -> int:
        """Rows that a component must hold for its likelihood to be more than chance.

        None where its covariance has no parameter of its own. Otherwise 6 (in one
        dimension 3; in two 5 for one parameter), or for a free matrix twice those that
        make it regular: measured on samples of one Gaussian.
        """
        own = self.n_parameters(2, n_features) - self.n_parameters(1, n_features)
        free = self.name[1] == self.name[2] == "V"
        enough = max(ENOUGH_ROWS, 2 * (n_features + 1) if free else 0)
        return min(1 + n_features * (1 + own), enough) if own else 0

    def rows_regular(self, n_features: int) -> int:
        """Rows, two or more, with which a component and its covariance are regular; at
        most as many as its likelihood needs to be more than chance, if it needs any."""
        return max(min(self.rows_needed(n_features), n_features + 1), 2)

    def n_parameters_of_mixture(self, n_components: int, n_features: int) -> int:
        """Free parameters of weights, means and covariances."""
        means = n_components * n_features
        return n_components - 1 + means + self.n_parameters(n_components, n_features)


# Shape and orientation alike: whole matrices, which need no eigenvectors ----------


def _matrices(counts: NDArray, scatter: NDArray, start: Covariances | None) -> NDArray:
    """VVV: W_k / n_k."""
    return scatter / counts[:, None, None]


def _matrices_of_equal_volume(
    counts: NDArray, scatter: NDArray, start: Covariances | None
) -> NDArray:
    """EVV: W_k at determinant 1, times what was divided out, summed, / n."""
    volumes = _volumes(scatter)
    return scatter * (volumes.sum() / counts.sum() / volumes)[:, None, None]


def _equal_matrix(
    counts: NDArray, scatter: NDArray, start: Covariances | None
) -> NDArray:
    """EEE: W / n."""
    return scatter[0] / counts.sum()


def _equal_matrix_of_any_volume(
    counts: NDArray, scatter: NDArray, start: Covariances | None
) -> NDArray:
    """VEE: lambda_k C, by Newton's method on log lambda.

    With the best C for every lambda the objective is, up to constants,
    f = d sum_k n_k log lambda_k + n log|sum_k W_k / lambda_k|, convex in log lambda.
    """
    n, d = counts.sum(), scatter.shape[-1]

    def matrix(log_volumes: NDArray) -> NDArray:
        return (scatter * np.exp(-log_volumes)[:, None, None]).sum(axis=0)

    def objective(log_volumes: NDArray) -> float:
        log_det = np.linalg.slogdet(matrix(log_volumes))[1]
        return float(d * counts @ log_volumes + n * log_det)

    def derivatives(log_volumes: NDArray) -> tuple[NDArray, NDArray]:
        scaled = scatter * np.exp(-log_volumes)[:, None, None]
        shares = np.linalg.solve(scaled.sum(axis=0), scaled)
        traces = np.trace(shares, axis1=1, axis2=2)
        products = np.tensordot(shares, shares, axes=([1, 2], [2, 1]))
        return d * counts - n * traces, n * (np.diag(traces) - products)

    volumes = spheres(counts, np.diagonal(scatter, axis1=1, axis2=2))
    log_volumes = newton(objective, derivatives, np.log(volumes), n * d)
    common = matrix(log_volumes)
    common /= _volumes(common)
    relative = np.diagonal(np.linalg.solve(common, scatter), axis1=1, axis2=2)
    return spheres(counts, relative)[:, None, None] * common


def _volumes(matrices: NDArray) -> NDArray:
    """Determinants to the power 1/d."""
    return np.exp(np.linalg.slogdet(matrices)[1] / matrices.shape[-1])


# The table -----------------------------------------------------------------------


def _table() -> Iterator[CovarianceFamily]:
    yield CovarianceFamily("EII", Spherical, partial(_axes, equal_spheres))
    yield CovarianceFamily("VII", Spherical, partial(_axes, spheres))
    yield CovarianceFamily("EEI", Diagonal, partial(_axes, equal))
    yield CovarianceFamily("VEI", Diagonal, partial(_axes, equal_shape))
    yield CovarianceFamily("EVI", Diagonal, partial(_axes, equal_volume))
    yield CovarianceFamily("VVI", Diagonal, partial(_axes, free))
    yield CovarianceFamily("EEE", Tied, _equal_matrix)
    yield CovarianceFamily("VEE", Full, _equal_matrix_of_any_volume)
    yield _of_common_orientation("EVE", equal_volume)
    yield _of_common_orientation("VVE", free)
    yield CovarianceFamily("EEV", Full, partial(_own, equal))
    yield CovarianceFamily("VEV", Full, partial(_own, equal_shape))
    yield CovarianceFamily("EVV", Full, _matrices_of_equal_volume)
    yield CovarianceFamily("VVV", Full, _matrices)


def _of_common_orientation(name: str, rule: Rule) -> CovarianceFamily:
    estimate = partial(_common, rule)
    inexact = partial(estimate, max_rounds_on=MAX_ROUNDS_INEXACT)
    return CovarianceFamily(name, Full, estimate, inexact)


MODELS: dict[str, CovarianceFamily] = {family.name: family for family in _table()}
FAMILIES: dict[str, CovarianceFamily] = {
    "full": MODELS["VVV"],
    "tied": MODELS["EEE"],
    "diag": MODELS["VVI"],
    "spherical": MODELS["VII"],
    **MODELS,
}
"""Every name that ``covariance_type`` takes."""
