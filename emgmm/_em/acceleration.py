"""Anderson acceleration of fixed-point iterations, and estimates of what is to gain.

Vectors are steps in coordinates in which the information of complete data is the
identity, so that a step of EM is the gradient of the log-likelihood there.
"""

from __future__ import annotations

from copy import copy
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

EPS = float(np.finfo(np.float64).eps)
MEMORY = 5  # steps from which the curvature is estimated
MAX_NUMBERS = 2**22  # stored for one iteration: fewer steps where vectors are long
DEPENDENCE = 1e-8  # squared length below which a direction depends on the others
MAX_STRETCH = 30.0  # greatest ratio of a step to EM's, in any direction
FIRST_RADIUS = 0.3  # first radius of the trust region
WIDEN, NARROW = 1.5, 0.5  # factors of the radius, after an accepted or rejected step
WORTH = 0.05  # least share of the extra step that the trust region must have room for
UNKNOWN_CURVATURE = 1e-3  # assumed least curvature before any is known
# Factor of safety of the estimated gain: directions with more to gain may not have been
# seen yet. It is ten times as great for each step fewer than three.
CAUTION = 100.0


class AndersonAcceleration:
    """Anderson acceleration of the first kind (Fang & Saad 2009, doi:10.1002/nla.617),
    of B iterations side by side.

    The last steps and the changes of EM's step after them give the curvature in the
    space of these steps, in which Newton's method for a maximum is applied. Along
    directions of negative curvature, near a saddle, the step goes uphill too (Dauphin
    et al. 2014, arXiv:1406.2572). No step leaves a trust region, which grows where
    steps raise the likelihood and shrinks where they do not.
    """

    def __init__(self, lengths: NDArray) -> None:
        """Accelerations that have seen no step yet, of vectors of such lengths (B,):
        those of several lengths end with zeros."""
        n_runs = len(lengths)
        self._memory = np.clip(MAX_NUMBERS // (2 * lengths), 1, MEMORY)
        n_slots = int(self._memory.max(initial=1))
        self.gain = np.full(n_runs, np.inf)
        # The steps and, in the second half of the slots, the changes after them.
        self._pairs = np.zeros((n_runs, 2 * n_slots, 0))
        self._known = np.zeros((n_runs, n_slots), dtype=bool)
        self._slot = np.zeros(n_runs, dtype=np.intp)
        self._pending = np.zeros(n_runs, dtype=bool)
        self._residual = np.zeros((n_runs, 0))
        self._radius = np.full(n_runs, FIRST_RADIUS)
        self._least = np.full((n_runs, MEMORY), np.inf)
        self._n_least = np.zeros(n_runs, dtype=np.intp)

    @np.errstate(all="ignore")
    def learn(
        self, residual: NDArray, noise: NDArray | float = EPS**0.5
    ) -> tuple[NDArray, NDArray]:
        """Longer steps than EM's, which are ``residual`` (B, P), and where (B,) there
        is one.

        Sets ``gain`` (B,), an estimate of what is still to be gained: half the square
        of EM's step over the least curvature of the last iterations, with a margin;
        zero where the step is no longer than the ``noise`` in it.
        """
        squares = np.vecdot(residual, residual)
        finite = np.isfinite(squares)
        if not finite.all():
            self._known[~finite] = self._pending[~finite] = False
            residual = np.where(finite[:, None], residual, 0.0)
        new = self._pending.nonzero()[0]
        if new.size:
            slots, n_slots = self._slot[new], self._known.shape[1]
            changes = residual[new] - self._residual[new]
            self._pairs[new, n_slots + slots] = changes
            self._known[new, slots] = True
            self._slot[new] = (slots + 1) % self._memory[new]
            self._pending[new] = False
        self._residual = residual
        extra, longer = residual, self._known.any(axis=1)
        if longer.any():
            extra = self._newton(residual, new)
        gain = np.where(squares > noise * noise, self._estimate(squares), 0.0)
        self.gain = np.where(finite, gain, np.inf)
        return self._trusted(np.sqrt(squares), residual, extra, longer)

    def accepted(self, steps: NDArray, which: NDArray, longer: NDArray) -> None:
        """Store steps (B, P) that were taken, and widen the trust regions of those that
        were ``longer``: EM's own are safe whatever their length."""
        sizes = np.sqrt(np.vecdot(steps, steps))
        which = which & (sizes > 0) & (sizes < np.inf)
        taken = which.nonzero()[0]
        slots = self._slot[taken]
        if not self._pairs.size:
            self._pairs = np.zeros((*self._pairs.shape[:2], steps.shape[1]))
        self._pairs[taken, slots] = steps[taken]
        self._known[taken, slots] = False
        self._pending[taken] = True
        wider = np.maximum(self._radius, WIDEN * sizes)
        self._radius = np.where(which & longer, wider, self._radius)

    def rejected(self, steps: NDArray, which: NDArray) -> None:
        """Forget the last steps, and shrink the trust regions: steps led downhill."""
        self._known[which] = self._pending[which] = False
        sizes = np.sqrt(np.vecdot(steps, steps))
        self._radius = np.where(which, NARROW * sizes, self._radius)

    def take(self, runs: NDArray, length: int) -> Self:
        """The accelerations of some iterations, whose vectors have such a length."""
        made = copy(self)
        for name, value in vars(self).items():
            setattr(made, name, value[runs])
        made._pairs, made._residual = made._pairs[..., :length], made._residual[:, :length]
        return made

    def to_values(self) -> dict[str, Any]:
        """The state as plain values."""
        return {name: value.copy() for name, value in vars(self).items()}

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Self:
        """The accelerations with the state of others."""
        made = cls(np.ones(1, dtype=np.intp))
        vars(made).update({name: value.copy() for name, value in values.items()})
        return made

    def _estimate(self, squares: NDArray) -> NDArray:
        """The gains (B,) that are still to come, with a margin of safety."""
        least = np.minimum(self._least.min(axis=1), 1.0)
        least = np.where(self._n_least, least, UNKNOWN_CURVATURE)
        margins = CAUTION * 10.0 ** np.maximum(3 - self._n_least, 0)
        gains = margins * 0.5 * squares / np.where(least > 0, least, 1.0)
        return np.where(least > 0, gains, np.inf)

    def _newton(self, residual: NDArray, new: NDArray) -> NDArray:
        """The steps (B, P) of Newton's method less EM's, in the spaces of the last
        steps. Stores their least curvatures where a step is ``new``, by indices."""
        n_slots = self._known.shape[1]
        steps = self._pairs[:, :n_slots]
        products = steps @ steps.mT
        lengths = np.sqrt(products.reshape(len(steps), -1)[:, :: n_slots + 1])
        scales = np.where(self._known & (lengths > 0), 1 / lengths, 0.0)
        products *= scales[:, :, None] * scales[:, None]
        self._without_infinite(products)
        squares, axes = np.linalg.eigh(products)
        kept = squares > DEPENDENCE * squares[:, -1:]
        axes *= (np.where(kept, 1 / np.sqrt(squares), 0.0))[:, None]
        basis = (scales[:, :, None] * axes).mT[:, None]
        pairs = basis @ self._pairs.reshape(len(steps), 2, n_slots, -1)
        steps, changes = pairs[:, 0], pairs[:, 1]  # the steps are orthonormal now
        curvature = steps @ changes.mT
        curvature = -0.5 * (curvature + curvature.mT)
        self._without_infinite(curvature)
        # Those that are dropped come last: no curvature is greater.
        beyond = 1 + 2 * np.abs(curvature).sum(axis=(1, 2))[:, None]
        diagonals = curvature.reshape(len(kept), -1)[:, :: n_slots + 1]
        diagonals += np.where(kept, 0.0, beyond)
        curvatures, axes = np.linalg.eigh(curvature)
        ranks = kept.sum(axis=1)
        self._store_least(curvatures[:, 0], new[ranks[new] > 0])
        weights = axes.mT @ (steps @ residual[:, :, None])
        weights /= np.maximum(np.abs(curvatures), 1 / MAX_STRETCH)[:, :, None]
        weights[np.arange(n_slots) >= ranks[:, None]] = 0.0
        weights = (axes @ weights).mT
        flat = pairs.reshape(len(steps), 2 * n_slots, -1)
        return (np.concatenate([weights, weights], axis=2) @ flat)[:, 0]

    @staticmethod
    def _without_infinite(matrices: NDArray) -> None:
        """Set matrices that are not finite to zero: they have no eigenvalues."""
        if not np.isfinite(matrices).all():
            matrices[~np.isfinite(matrices).all(axis=(1, 2))] = 0.0

    def _store_least(self, curvatures: NDArray, new: NDArray) -> None:
        """Store the least curvatures (B,) of some iterations, by indices."""
        self._least[new, self._n_least[new] % MEMORY] = curvatures[new]
        self._n_least[new] += 1

    def _trusted(
        self, lengths: NDArray, residual: NDArray, extra: NDArray, longer: NDArray
    ) -> tuple[NDArray, NDArray]:
        """EM's steps and as much of the extra ones as the trust regions have room for,
        and where (B,) that is enough to be worth it."""
        room = self._radius - lengths
        sizes = np.sqrt(np.vecdot(extra, extra))
        # Not where the sizes are zero or not finite.
        longer = longer & (room > WORTH * sizes) & (sizes > 0)
        shares = np.where(longer, np.minimum(room / sizes, 1.0), 0.0)
        steps = residual + shares[:, None] * extra
        return np.where(longer[:, None], steps, residual), longer
