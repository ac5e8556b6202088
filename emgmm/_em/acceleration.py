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
# Factors of safety of the estimated gain, by the number of least curvatures that are
# known: directions with more to gain may not have been seen yet.
CAUTION = 100.0 * 10.0 ** np.array([3, 2, 1, 0])


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
        # Steps of length 1 and, in the second half, the changes after them; zeros where
        # there are fewer. Every iteration has one place for those of all runs.
        n_places = int(self._memory.max(initial=1))
        self._shorter = self._memory < n_places
        self._pairs = np.zeros((n_runs, 2 * n_places, 0))
        self._place = np.zeros(1, dtype=np.intp)
        self._sizes = np.zeros(n_runs)  # of steps the change after which is not known
        self._residual = np.zeros((n_runs, 0))
        self._radius = np.full(n_runs, FIRST_RADIUS)
        self._least = np.full((n_runs, MEMORY), np.inf)
        self._n_least = np.zeros(n_runs, dtype=np.intp)
        self._factor = np.full(n_runs, 0.5 * CAUTION[0] / UNKNOWN_CURVATURE)
        self.gain = np.full(n_runs, np.inf)

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
        whole = np.count_nonzero(finite) == len(finite)
        if not whole:
            self._forget(~finite)
            residual = np.where(finite[:, None], residual, 0.0)
        extra = residual
        if self._pairs.size:
            new = self._learn_changes(residual)
            extra = self._newton(residual, new)
        self._residual = residual
        self.gain = np.where(squares > noise * noise, self._factor * squares, 0.0)
        if not whole:
            self.gain = np.where(finite, self.gain, np.inf)
        if not self._pairs.size:
            return residual, np.zeros(len(squares), dtype=bool)
        return self._trusted(np.sqrt(squares), residual, extra)

    def accepted(self, steps: NDArray, which: NDArray, longer: NDArray) -> None:
        """Store steps (B, P) that were taken, and widen the trust regions of those that
        were ``longer``: EM's own are safe whatever their length."""
        sizes = np.sqrt(np.vecdot(steps, steps))
        which = which & (sizes > 0) & np.isfinite(sizes)
        n_places = self._pairs.shape[1] // 2
        if not self._pairs.size:
            self._pairs = np.zeros((len(sizes), 2 * n_places, steps.shape[1]))
        self._place += 1
        now = int(self._place[0]) % n_places
        self._pairs[:, n_places + now] = 0.0
        self._sizes = sizes
        if np.count_nonzero(which) == len(which):
            np.divide(steps, sizes[:, None], out=self._pairs[:, now])
        else:
            self._sizes = np.where(which, sizes, 0.0)
            self._pairs[:, now] = 0.0
            self._pairs[which, now] = steps[which] / sizes[which, None]
        if np.count_nonzero(self._shorter):
            runs = np.flatnonzero(self._shorter)
            past = (now - self._memory[runs]) % n_places
            self._pairs[runs, past] = self._pairs[runs, n_places + past] = 0.0
        wider = np.maximum(self._radius, WIDEN * sizes)
        self._radius = np.where(which & longer, wider, self._radius)

    def rejected(self, steps: NDArray, which: NDArray) -> None:
        """Forget the last steps, and shrink the trust regions: steps led downhill."""
        self._forget(which)
        sizes = np.sqrt(np.vecdot(steps, steps))
        self._radius = np.where(which, NARROW * sizes, self._radius)

    def take(self, runs: NDArray, length: int) -> Self:
        """The accelerations of some iterations, whose vectors have such a length."""
        made = copy(self)
        for name, value in vars(self).items():
            if name != "_place":
                setattr(made, name, value[runs])
        made._pairs = made._pairs[..., :length]
        made._residual = made._residual[:, :length]
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

    def _forget(self, which: NDArray) -> None:
        """Forget the last steps of some iterations."""
        self._pairs[which] = 0.0
        self._sizes = np.where(which, 0.0, self._sizes)

    def _learn_changes(self, residual: NDArray) -> NDArray:
        """Store the changes of EM's steps after the last steps. Returns of which
        iterations (B,) there is one."""
        n_places = self._pairs.shape[1] // 2
        change = self._pairs[:, n_places + int(self._place[0]) % n_places]
        new, sizes = self._sizes > 0, self._sizes[:, None]
        if np.count_nonzero(new) == len(new):
            np.divide(residual - self._residual, sizes, out=change)
        elif np.count_nonzero(new):
            change[new] = (residual[new] - self._residual[new]) / sizes[new]
        self._sizes = np.zeros(len(new))
        return new

    def _newton(self, residual: NDArray, new: NDArray) -> NDArray:
        """The steps (B, P) of Newton's method less EM's, in the spaces of the last
        steps. Stores their least curvatures where a step is ``new``."""
        n_runs, n_places = len(residual), self._pairs.shape[1] // 2
        steps = self._pairs[:, :n_places]
        squares, axes = _eigen(steps @ steps.mT)
        kept = squares > DEPENDENCE * squares[:, -1:]
        whole = np.count_nonzero(kept) == kept.size
        squares = np.sqrt(squares if whole else np.where(kept, squares, np.inf))
        basis = (axes / squares[:, None]).mT[:, None]
        pairs = basis @ self._pairs.reshape(n_runs, 2, n_places, -1)
        steps = pairs[:, 0]  # orthonormal now, but for zeros
        curvature = steps @ pairs[:, 1].mT
        curvature += curvature.mT.copy()
        curvature *= -0.5
        if not whole:  # what is zero comes last: no curvature is greater
            beyond = 1 + 2 * np.abs(curvature).sum(axis=(1, 2))[:, None]
            diagonals = curvature.reshape(n_runs, -1)[:, :: n_places + 1]
            diagonals += np.where(kept, 0.0, beyond)
        curvatures, axes = _eigen(curvature)
        if np.count_nonzero(new):
            self._learn_least(curvatures[:, 0], new & kept[:, -1])
        weights = axes.mT @ (steps @ residual[:, :, None])
        weights /= np.maximum(np.abs(curvatures), 1 / MAX_STRETCH)[:, :, None]
        weights = (axes @ weights).mT
        flat = pairs.reshape(n_runs, 2 * n_places, -1)
        return (np.concatenate([weights, weights], axis=2) @ flat)[:, 0]

    def _learn_least(self, curvatures: NDArray, new: NDArray) -> None:
        """Store the least curvatures (B,) where they are new."""
        last = np.concatenate([self._least[:, 1:], curvatures[:, None]], axis=1)
        n_least = np.minimum(self._n_least + 1, 3)
        least = np.minimum(np.minimum.reduce(last, axis=1), 1.0)
        factor = np.where(least > 0, 0.5 * CAUTION[n_least] / least, np.inf)
        if np.count_nonzero(new) < len(new):
            last = np.where(new[:, None], last, self._least)
            n_least = np.where(new, n_least, self._n_least)
            factor = np.where(new, factor, self._factor)
        self._least, self._n_least, self._factor = last, n_least, factor

    def _trusted(
        self, lengths: NDArray, residual: NDArray, extra: NDArray
    ) -> tuple[NDArray, NDArray]:
        """EM's steps and as much of the extra ones as the trust regions have room for,
        and where (B,) that is enough to be worth it."""
        room = self._radius - lengths
        sizes = np.sqrt(np.vecdot(extra, extra))
        # Not where the sizes are zero or not finite.
        longer = (room > WORTH * sizes) & (sizes > 0)
        steps = residual + np.minimum(room / sizes, 1.0)[:, None] * extra
        if np.count_nonzero(longer) < len(longer):
            steps = np.where(longer[:, None], steps, residual)
        return steps, longer


def _eigen(matrices: NDArray) -> tuple[NDArray, NDArray]:
    """Eigenvalues and eigenvectors of symmetric matrices; of those that are not finite,
    as of zeros."""
    try:
        return np.linalg.eigh(matrices)
    except np.linalg.LinAlgError:
        finite = np.isfinite(matrices).all(axis=(1, 2), keepdims=True)
        return np.linalg.eigh(np.where(finite, matrices, 0.0))
