"""Extrapolation of a fixed-point iteration on vectors, and how much it has to gain.

A vector is a step in coordinates in which the curvature of what is maximised would be
the identity if nothing were missing, so that EM's own step is its gradient there.
"""

from __future__ import annotations

from collections import deque
from copy import copy
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

EPS = float(np.finfo(np.float64).eps)
MEMORY = 5  # steps from which the curvature is learnt
MAX_NUMBERS = 2**22  # kept in all; fewer steps where vectors are long
DEPENDENCE = 1e-8  # squared length below which a direction is one of the others
MAX_STRETCH = 30.0  # a step is at most so many times EM's, in any direction
FIRST_RADIUS = 0.3  # length of the longest step that is trusted at first
WIDEN, NARROW = 1.5, 0.5  # what is trusted, after a step was accepted or rejected
UNKNOWN_CURVATURE = 1e-3  # taken for the least one before any is known
# The gain to come is taken to be so many times what is estimated: directions in which
# there is more to be gained may not have been met yet. Ten times more for each step
# that is lacking to three.
CAUTION = 100.0


class AndersonAcceleration:
    """Last steps, with the changes of EM's step that they brought: curvature.

    Anderson's acceleration of the first kind (Fang & Saad 2009, doi:10.1002/nla.617):
    in the space of the last steps, Newton's method for a maximum. Along directions of
    negative curvature, near a saddle, the step goes uphill too (Dauphin et al. 2014,
    arXiv:1406.2572), and no step leaves the radius in which the last ones led uphill.
    """

    def __init__(self) -> None:
        self.gain = np.inf
        self._steps: list[NDArray] = []
        self._changes: list[NDArray] = []
        self._residual: NDArray | None = None
        self._radius = FIRST_RADIUS
        self._least: deque[float] = deque(maxlen=MEMORY)

    def learn(self, residual: NDArray, noise: float = EPS**0.5) -> NDArray | None:
        """Take notice of EM's step from here; a longer step, where one is trusted.

        ``gain`` then estimates what is still to be gained: half the square of EM's
        step, over the least curvature met in the last passes. There is nothing where
        the step is no longer than the noise in it.
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
        """The step was taken. EM's own are safe whatever their length, and tell nothing
        of the radius.
        """
        size = float(np.sqrt(step @ step))
        if 0 < size < np.inf:
            memory = int(np.clip(MAX_NUMBERS // (2 * step.size), 1, MEMORY))
            self._steps = [*self._steps, step][-memory:]
            self._changes = self._changes[-(memory - 1) :] if memory > 1 else []
            if longer:
                self._radius = max(self._radius, WIDEN * size)

    def rejected(self, step: NDArray) -> None:
        """The step did not lead uphill: curvature changes too fast from here."""
        self._steps, self._changes = [], []
        self._radius = NARROW * float(np.sqrt(step @ step))

    def to_values(self) -> dict[str, Any]:
        """All that has been learnt, as plain values."""
        return {name: copy(value) for name, value in vars(self).items()}

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Self:
        """The acceleration that has learnt what another had."""
        made = cls()
        vars(made).update({name: copy(value) for name, value in values.items()})
        return made

    def _estimate(self, square: float) -> float:
        """What is still to be gained, by a margin."""
        least = min(1.0, *self._least) if self._least else UNKNOWN_CURVATURE
        margin = CAUTION * 10.0 ** max(3 - len(self._least), 0)
        return margin * 0.5 * square / least if least > 0 else np.inf

    def _newton(self, residual: NDArray, is_new: bool) -> NDArray:
        """What to add to EM's step, in the space of the last steps.

        ``is_new`` says whether their least curvature is not yet among the last ones.
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
        """As much of the extra step as the radius leaves room for."""
        room = self._radius - length
        size = float(np.sqrt(extra @ extra))
        if not room > 0.05 * size > 0:  # not worth it, or not finite
            return None
        return residual + min(1.0, room / size) * extra
