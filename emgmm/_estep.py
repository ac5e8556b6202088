"""The E-step: rows and a mixture to statistics."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ._blocks import Blocks
from ._mixture import Mixture, posterior, weighted_sum
from ._statistics import Statistics


def e_step(
    X: NDArray, sample_weight: NDArray, mixture: Mixture, origin: NDArray
) -> Statistics:
    """Expected statistics of one block of rows, about an origin (K, d)."""
    log_density, responsibilities = posterior(mixture.log_joint(X))
    responsibilities *= sample_weight[:, None]
    return Statistics.from_rows(
        X,
        responsibilities,
        origin,
        mixture.covariances.products,
        log_likelihood=weighted_sum(sample_weight, log_density),
        weight=float(sample_weight.sum()),
    )


def expectation(blocks: Blocks, mixture: Mixture) -> Statistics:
    """Expected statistics of all rows, about the means of the mixture or better."""

    def visit(origin: NDArray) -> Statistics:
        return blocks.sum(partial(e_step, mixture=mixture, origin=origin))

    return _well_centered(visit, mixture.means)


def statistics_of_start(
    blocks: Blocks, start: NDArray, n_components: int, products: str
) -> Statistics:
    """Statistics of starting labels (n,), -1 unassigned, or responsibilities (n, K)."""

    def visit_block(
        X: NDArray, sample_weight: NDArray, start: NDArray, origin: NDArray
    ) -> Statistics:
        if start.ndim == 1:
            start = start[:, None] == np.arange(n_components)
        weighted = start * sample_weight[:, None]
        return Statistics.from_rows(X, weighted, origin, products)

    def visit(origin: NDArray) -> Statistics:
        return blocks.sum(partial(visit_block, origin=origin), start)

    return _well_centered(visit, np.tile(blocks.center, (n_components, 1)))


def _well_centered(
    visit: Callable[[NDArray], Statistics], origin: NDArray
) -> Statistics:
    """Visit the rows, and once more about the means found if the origin was far.

    The second visit is rare: it follows a jump of a mean by many of the
    component's own standard deviations, as after a bad start.
    """
    stats = visit(origin)
    return visit(stats.means) if stats.cancels else stats
