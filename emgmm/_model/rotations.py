"""Rotations of the axes that all components of a mixture have in common.

The objective of the M-step, with the best variances, is, up to a constant, sum_kj n_k
log v_kj for the variances v of the scatter along the axes, unless they are bounded: a
function of the orientation alone, which is
not convex. Two methods lower it: rotations of one pair of axes after the other, which
leave saddle points and cross hills; and conjugate gradients for all pairs at once,
which cost less and are quick where the axes are nearly right.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .estimation import Estimation
from .segments import Segments

EPS = float(np.finfo(np.float64).eps)
ANGLE_TOL = 1e-10  # rotation at which an orientation has settled
LONGEST = 0.7  # rotation by a step, in radians
GREATEST_SHARE = 3.0  # of a step, where the objective is flat
SMALL_CHANGE = 1e-3  # relative change of variances by which a derivative is found
LINE_TOL = 1e-13  # relative rounding of an objective
SHORTER = 0.4  # factor of a step that does not lower the objective
MAX_SHORTER = 8
MAX_FAILURES = 2  # the second in the direction of steepest descent


class Along(NamedTuple):
    """A stack seen along its axes."""

    rotated: NDArray
    """The scatter D' W_k D (M, d, d)."""
    diagonals: NDArray
    variances: NDArray
    """Along the axes (M, d), by the rules."""
    objectives: NDArray
    """sum_kj n_k log v_kj + w_kj / v_kj (B,), of diagonals w."""

    @classmethod
    def of(cls, estimation: Estimation, orientations: NDArray) -> Along:
        """The stack along the axes of orientations (B, d, d)."""
        axes = estimation.segments.spread(orientations)
        rotated = axes.mT @ estimation.scatter @ axes
        diagonals = np.einsum("kii->ki", rotated)
        variances = estimation.variances(diagonals)
        return cls(
            rotated, diagonals, variances, objectives(estimation, diagonals, variances)
        )

    def take(self, mixtures: NDArray, segments: Segments) -> Along:
        """The part of some mixtures, by a mask (B,)."""
        own = segments.components(mixtures)
        rotated, diagonals = self.rotated[own], self.diagonals[own]
        return Along(rotated, diagonals, self.variances[own], self.objectives[mixtures])


def objectives(
    estimation: Estimation, diagonals: NDArray, variances: NDArray
) -> NDArray:
    """sum_kj n_k log v_kj + w_kj / v_kj (B,), of diagonals w and variances v."""
    logs = estimation.counts * np.log(variances).sum(axis=1)
    return estimation.segments.sum(logs + (diagonals / variances).sum(axis=1))


def settle(
    estimation: Estimation, orientations: NDArray, sweeps: int
) -> tuple[NDArray, NDArray]:
    """Common orientations (B, d, d) and variances (M, d), from starting orientations.

    Each mixture ends by itself.
    """
    segments, left = estimation.segments, np.arange(len(orientations))
    orientations = orientations.copy()
    along = Along.of(estimation, orientations)
    turned, out = orientations, along.variances.copy()
    for _ in range(sweeps):
        turned, angles = _sweep(estimation.segments, turned, along)
        going = angles > ANGLE_TOL
        if not going.any():
            break
        if not going.all():
            left, turned = left[going], turned[going]
            estimation = estimation.take(going)
        along = Along.of(estimation, turned)
        orientations[left], out[segments.components(left)] = turned, along.variances
    return orientations, out


def _sweep(
    segments: Segments, orientations: NDArray, along: Along
) -> tuple[NDArray, NDArray]:
    """Orientations after one sweep of Flury-Gautschi rotations, and the largest angles
    (B,).

    Every pair of axes is rotated once to lower sum_kj p_kj (D' W_k D)_jj. In the plane
    of axes i and j the objective is a cos(2t) + b sin(2t) + constant in the angle t, so
    each rotation is exact; and since every axis adds a term of its own, disjoint pairs
    are rotated at once. For a single matrix this is Jacobi's eigenvalue method. Flury &
    Gautschi 1986 (doi:10.1137/0907013) have the variances profiled out.
    """
    # Components come last here: what is read and written is contiguous.
    axes = np.ascontiguousarray(orientations.transpose(2, 1, 0))
    rotated = np.ascontiguousarray(along.rotated.transpose(1, 2, 0))
    precisions = np.ascontiguousarray(1 / along.variances.T)
    buffer, largest = np.empty_like(rotated), np.zeros(len(orientations))
    for turn in _rounds(len(rotated)):
        angles = _angles(segments, rotated, precisions, turn)
        cosines = np.cos(angles)[turn.pair]
        sines = np.sin(angles)[turn.pair] * turn.signs
        axes = cosines[:, None] * axes + sines[:, None] * axes[turn.partner]
        cosines, sines = segments.spread(cosines.T).T, segments.spread(sines.T).T
        both = (cosines[:, None], sines[:, None]), (cosines, sines)
        for axis, (own, other) in enumerate(both):
            np.take(rotated, turn.partner, axis, out=buffer, mode="clip")
            buffer *= other
            rotated *= own
            rotated += buffer
        largest = np.maximum(largest, np.abs(angles).max(axis=0, initial=0.0))
    return np.ascontiguousarray(axes.transpose(2, 1, 0)), largest


class _Round(NamedTuple):
    """Disjoint pairs of axes; one axis that is left over is paired with itself."""

    i: NDArray
    j: NDArray
    partner: NDArray
    """The other axis of the pair of each axis (d,)."""
    pair: NDArray
    """The number of the pair of each axis (d,)."""
    signs: NDArray
    """1 for the first axis of a pair, -1 for the second (d, 1)."""

    @classmethod
    def of(cls, i: NDArray, j: NDArray) -> _Round:
        """The round of pairs of axes."""
        partner, pair = np.empty((2, max(i.max(), j.max()) + 1), dtype=np.intp)
        signs = np.ones((len(partner), 1))
        partner[i], partner[j] = j, i
        pair[i] = pair[j] = np.arange(len(i))
        signs[j] = -1.0
        return cls(i, j, partner, pair, signs)


def _angles(
    segments: Segments, rotated: NDArray, precisions: NDArray, turn: _Round
) -> NDArray:
    """The best rotations (h, B) of pairs of axes."""
    i, j, _, _, _ = turn
    left, right = rotated[i, i], rotated[j, j]
    excess = precisions[i] - precisions[j]
    roots = np.sqrt(left) * np.sqrt(right)
    terms = np.stack([rotated[i, j], 0.5 * (left - right), roots])
    terms *= excess
    np.abs(terms[2], out=terms[2])
    sums = segments.sum(terms.reshape(-1, terms.shape[-1]).T).T
    b, a, sizes = sums.reshape(3, len(i), -1)
    settled = (np.abs(b) <= EPS * sizes) & (a <= 0)
    return np.where(settled, 0.0, 0.5 * np.arctan2(-b, -a))


@lru_cache(maxsize=8)
def _rounds(n_features: int) -> tuple[_Round, ...]:
    """All pairs of axes in rounds of disjoint pairs, as in a round-robin tournament."""
    players = n_features + n_features % 2
    circle = np.arange(1, players)
    rounds = []
    for turn in range(players - 1):
        table = np.append(0, np.roll(circle, turn))
        i, j = table[: players // 2], table[: players // 2 - 1 : -1]
        i, j = np.where(i < n_features, i, j), np.where(j < n_features, j, i)
        rounds.append(_Round.of(i, j))
    return tuple(rounds)


class Direction(NamedTuple):
    """A search direction of each mixture, and where it came from, all (B, d, d)."""

    slopes: NDArray
    """Half the derivatives of the objective by the angles, antisymmetric."""
    angles: NDArray
    """The angles that are best in the plane of each pair of axes, likewise."""
    turn: NDArray
    """The angles of the direction."""

    @classmethod
    def at(cls, segments: Segments, along: Along) -> Direction:
        """The direction of steepest descent, preconditioned."""
        precisions = 1 / along.variances
        excess = precisions[:, :, None] - precisions[:, None]
        terms = excess * along.rotated
        slopes = segments.sum(terms)
        slopes = 0.5 * (slopes - slopes.mT)  # rounding apart, it is antisymmetric
        differences = along.diagonals[:, :, None] - along.diagonals[:, None]
        curvatures = 0.5 * segments.sum(excess * differences)
        roots = np.sqrt(along.diagonals)
        sizes = segments.sum(np.abs(excess) * roots[:, :, None] * roots[:, None])
        slopes[np.abs(slopes) <= EPS * sizes] = 0.0
        angles = 0.5 * np.arctan2(slopes, np.abs(curvatures))
        return cls(slopes, angles, angles)

    def take(self, mixtures: NDArray) -> Direction:
        """The directions of some mixtures, by a mask (B,)."""
        return Direction(*(each[mixtures] for each in self))

    def after(self, last: Direction) -> Direction:
        """The conjugate direction (Polak & Ribiere), unless it leads uphill."""
        change = (self.angles * (self.slopes - last.slopes)).sum(axis=(1, 2))
        share = change / (last.angles * last.slopes).sum(axis=(1, 2))
        share = np.where(share > 0, share, 0.0)[:, None, None]
        turn = self.angles + share * last.turn
        downhill = (turn * self.slopes).sum(axis=(1, 2)) > 0
        turn = np.where(downhill[:, None, None], turn, self.angles)
        return self._replace(turn=turn)


def descend(
    estimation: Estimation, orientations: NDArray, steps: int
) -> tuple[NDArray, NDArray]:
    """Orientations (B, d, d) and variances (M, d) after steps of conjugate gradients,
    preconditioned by the curvature in the plane of each pair of axes.

    Every mixture ends by itself: where it has settled, or by rounding.
    """
    segments, left = estimation.segments, np.arange(len(orientations))
    turned, orientations = orientations, orientations.copy()
    along = Along.of(estimation, turned)
    out, last = along.variances.copy(), None
    failures = np.zeros(len(left))
    for _ in range(steps):
        direction = Direction.at(estimation.segments, along)
        going = np.abs(direction.angles).max(axis=(1, 2)) > ANGLE_TOL
        going &= failures < MAX_FAILURES
        if not going.any():
            break
        if not going.all():
            along = along.take(going, estimation.segments)
            estimation, direction = estimation.take(going), direction.take(going)
            left, turned, failures = left[going], turned[going], failures[going]
            last = last.take(going) if last else None
        last = direction.after(last) if last else direction
        turned, along, failed = _line_search(estimation, turned, along, last)
        failures = np.where(failed, failures + 1, 0)
        last.turn[failed] = 0.0
        orientations[left], out[segments.components(left)] = turned, along.variances
    return orientations, out


def _line_search(
    estimation: Estimation, orientations: NDArray, along: Along, direction: Direction
) -> tuple[NDArray, Along, NDArray]:
    """Orientations turned until the objectives are lower, the stack along them, and
    which mixtures (B,) stay where they are, as no step lowers their objective."""
    limits = along.objectives + LINE_TOL * np.abs(along.objectives)
    lengths = _lengths(estimation, along, direction)
    for _ in range(MAX_SHORTER):
        turns = lengths[:, None, None] * direction.turn
        turned = orientations @ _rotations(turns)
        there = Along.of(estimation, turned)
        failed = ~(there.objectives <= limits)
        if not failed.any():
            return turned, there, failed
        lengths = np.where(failed, SHORTER * lengths, lengths)
    turned[failed] = orientations[failed]
    return turned, Along.of(estimation, turned), failed


def _lengths(estimation: Estimation, along: Along, direction: Direction) -> NDArray:
    """Shares (B,) of the turns at which the objectives are least, by their first and
    second derivatives."""
    segments, turns, precisions = (
        estimation.segments,
        direction.turn,
        1 / along.variances,
    )
    turning = segments.spread(turns)
    half = along.rotated @ turning
    changes = half + half.mT  # the derivative of D' W D
    first = np.einsum("kii->ki", changes)
    second = -2 * (changes * turning).sum(axis=2)
    size = segments.max(np.abs(first / along.diagonals).max(axis=1))
    small = SMALL_CHANGE / size
    near = along.diagonals + segments.spread(small)[:, None] * first
    slower = 1 / estimation.variances(near) - precisions
    curvatures = segments.sum((second * precisions).sum(axis=1))
    curvatures += segments.sum((first * slower).sum(axis=1)) / small
    slopes = (turns * direction.slopes).sum(axis=(1, 2))
    shares = np.where(curvatures > 0, slopes / curvatures, 1.0)
    longest = LONGEST / np.abs(turns).max(axis=(1, 2))
    return np.minimum(np.minimum(shares, GREATEST_SHARE), longest)


def _rotations(turns: NDArray) -> NDArray:
    """Orthogonal matrices of antisymmetric ones, to first order: Cayley's transform."""
    one = np.eye(turns.shape[-1])
    return np.linalg.solve(one - 0.5 * turns, one + 0.5 * turns)
