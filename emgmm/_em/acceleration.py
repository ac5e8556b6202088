"""Anderson acceleration of a fixed-point iteration, and an estimate of what is to gain.

Vectors are steps in coordinates in which the information of complete data is the
identity, so that a step of EM is the gradient of the log-likelihood there.
"""

from __future__ import annotations

from collections import deque
from copy import copy
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

EPS = float(np.finfo(np.float64).eps)
MEMORY = 5  # steps from which the curvature is estimated
MAX_NUMBERS = 2**22  # stored in all: fewer steps where vectors are long
DEPENDENCE = 1e-8  # squared length below which a direction depends on the others
MAX_STRETCH = 30.0  # greatest ratio of a step to EM's, in any direction
FIRST_RADIUS = 0.3  # first radius of the trust region
WIDEN, NARROW = 1.5, 0.5  # factors of the radius, after an accepted or rejected step
UNKNOWN_CURVATURE = 1e-3  # assumed least curvature before any is known
# Factor of safety of the estimated gain: directions with more to gain may not have been
# seen yet. It is ten times as great for each step fewer than three.
CAUTION = 100.0


class AndersonAcceleration:
    """Anderson acceleration of the first kind (Fang & Saad 2009, doi:10.1002/nla.617).

    The last steps and the changes of EM's step after them give the curvature in the
    space of these steps, in which Newton's method for a maximum is applied. Along
    directions of negative curvature, near a saddle, the step goes uphill too (Dauphin
    et al. 2014, arXiv:1406.2572). No step leaves a trust region, which grows where
    steps raise the likelihood and shrinks where they do not.
    """

    def __init__(self) -> None:
        """An acceleration that has seen no step yet."""
        self.gain = np.inf
        self._steps: list[NDArray] = []
        self._changes: list[NDArray] = []
        self._residual: NDArray | None = None
        self._radius = FIRST_RADIUS
        self._least: deque[float] = deque(maxlen=MEMORY)

    def learn(self, residual: NDArray, noise: float = EPS**0.5) -> NDArray | None:
        """A longer step than EM's, which is ``residual``; None if there is none.

        Sets ``gain``, an estimate of what is still to be gained: half the square of
        EM's step over the least curvature of the last iterations, with a margin; zero
        where the step is no longer than the ``noise`` in it.
        """
        square = float(residual @ residual)
        if not np.isfinite(square):
            self._steps, self._changes, self.gain = [], [], np.inf
            return None
        is_new = len(self._steps) > len(self._changes)
        if is_new:
            self._changes.append(residual - self._residual)
        self._residual = residual
        extra = self._newton(residual, is_new) if self._steps else None
        self.gain = self._estimate(square) if square > noise**2 else 0.0
        return None if extra is None else self._trusted(square**0.5, residual, extra)

    def accepted(self, step: NDArray, longer: bool = True) -> None:
        """Store a step that was taken, and widen the trust region if it was a longer
        one: EM's own are safe whatever their length.
        """
        size = float(np.sqrt(step @ step))
        if 0 < size < np.inf:
            memory = int(np.clip(MAX_NUMBERS // (2 * step.size), 1, MEMORY))
            self._steps = [*self._steps, step][-memory:]
            self._changes = self._changes[-(memory - 1) :] if memory > 1 else []
            if longer:
                self._radius = max(self._radius, WIDEN * size)

    def rejected(self, step: NDArray) -> None:
        """Forget the last steps, and shrink the trust region: a step led downhill."""
        self._steps, self._changes = [], []
        self._radius = NARROW * float(np.sqrt(step @ step))

    def to_values(self) -> dict[str, Any]:
        """The state as plain values."""
        return {name: copy(value) for name, value in vars(self).items()}

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Self:
        """The acceleration with the state of another."""
        made = cls()
        vars(made).update({name: copy(value) for name, value in values.items()})
        return made

    def _estimate(self, square: float) -> float:
        """The gain that is still to come, with a margin of safety."""
        least = min(1.0, *self._least) if self._least else UNKNOWN_CURVATURE
        margin = CAUTION * 10.0 ** max(3 - len(self._least), 0)
        return margin * 0.5 * square / least if least > 0 else np.inf

    def _newton(self, residual: NDArray, is_new: bool) -> NDArray:
        """The step of Newton's method less EM's, in the space of the last steps.

        ``is_new`` is whether the last step has not been seen before.
        """
        steps, changes = np.array(self._steps), np.array(self._changes)
        lengths = np.sqrt(np.vecdot(steps, steps))[:, None]
        steps /= lengths
        changes /= lengths
        squares, axes = np.linalg.eigh(steps @ steps.T)
        axes = axes[:, squares > DEPENDENCE * squares[-1]]
        basis = (axes / np.sqrt(squares[-axes.shape[1] :])).T
        steps, changes = basis @ steps, basis @ changes  # now orthonormal
        curvature = -(steps @ changes.T)
        curvatures, axes = np.linalg.eigh(0.5 * (curvature + curvature.T))
        if is_new:
            self._least.append(float(curvatures[0]))
        lengths = axes.T @ (steps @ residual)
        lengths /= np.maximum(np.abs(curvatures), 1 / MAX_STRETCH)
        return (axes @ lengths) @ (steps + changes)

    def _trusted(
        self, length: float, residual: NDArray, extra: NDArray
    ) -> NDArray | None:
        """EM's step and as much of the extra one as the trust region has room for."""
        room = self._radius - length
        size = float(np.sqrt(extra @ extra))
        if not room > 0.05 * size > 0:  # not worth it, or not finite
            return None
        return residual + min(1.0, room / size) * extra
