"""Defects of a fitted mixture: which components have them, and in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from emgmm._data.base import RowSource
from emgmm._estep.predict import effective_rows, weight_of_components
from emgmm._model.parameters import Parameters
from emgmm._model.segments import Segments
from emgmm._utils.exceptions import Defects

from .problem import HALF_A_ROW, EMProblem
from .regularization import ENOUGH_EQUAL, VANISHED, VARIANCE_OF_ROUNDING

ALL_ADDED = 1 - 1e-6  # share of ``reg_covar`` in a variance that has no other part
NARROW = 2.0  # factor of the variance of rounding: a component on few values
MOST_NAMED = 3  # features in a warning


@dataclass(frozen=True, eq=False)
class DefectiveComponents:
    """Which components (K,) have collapsed, have too few rows, or have none."""

    collapsed: NDArray
    few: NDArray
    vanished: NDArray

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return bool((self.collapsed | self.few | self.vanished).any())


class ComponentRows(NamedTuple):
    """Effective numbers of rows of components (M,), and their weights (M,)."""

    effective: NDArray
    weight: NDArray

    @classmethod
    def of(cls, rows: RowSource, stack: Parameters) -> Self:
        """Those of the components of a stack."""
        return cls(effective_rows(rows, stack), weight_of_components(rows, stack))

    def within(self, components: slice) -> ComponentRows:
        """Those of some of the components."""
        return ComponentRows(self.effective[components], self.weight[components])


def defective_components(
    problem: EMProblem, mixture: Parameters, own: ComponentRows | None = None
) -> DefectiveComponents:
    """Components whose likelihood may be due to chance, each for one reason."""
    effective, weight = own or ComponentRows.of(problem.rows, mixture)
    # Weights are repetitions, or have any unit: the greater of both numbers.
    rows = np.maximum(effective, weight)
    needed = problem.family.rows_regular(len(problem.units))
    vanished = effective < VANISHED
    estimated = problem.mstep.estimates_covariances(mixture.segments)
    few = ~vanished & (rows < needed - HALF_A_ROW) & estimated
    collapsed = problem.degenerate(mixture)
    if not problem.mstep.raises_likelihood:
        ratios = problem.mstep.regularization.regularization_ratio(mixture)
        collapsed |= (ratios > ALL_ADDED) & (rows < ENOUGH_EQUAL) & estimated
    return DefectiveComponents(collapsed & ~vanished & ~few, few, vanished)


def defects(
    problem: EMProblem, mixture: Parameters, own: ComponentRows | None = None
) -> Defects:
    """Defects of the components, and of the rows, in words."""
    found = defective_components(problem, mixture, own)
    needed = problem.family.rows_regular(len(problem.units))
    nothing = "value of some feature" if problem.rows.summary.incomplete else "rows"
    texts = {
        "collapsed onto a few rows in some direction": found.collapsed,
        f"fewer than {needed} effective rows": found.few,
        f"no {nothing}": found.vanished,
    }
    levels = _levels(problem, mixture, found.collapsed | found.few)
    return Defects(tuple(_of_components(texts)), levels, is_flat(problem, mixture))


def unsupported(problem: EMProblem, weights: NDArray) -> list[str]:
    """Components with fewer rows than their own covariances need, in words; ``weights``
    (K,) are those of their rows.

    A few rows that happen to lie close together, or on a line, give such a component a
    high likelihood in a sample of any distribution. Components with even fewer rows are
    among the ``defects``.
    """
    needed = problem.family.rows_needed(len(problem.units))
    regular = problem.family.rows_regular(len(problem.units))
    few = (weights < needed - HALF_A_ROW) & (weights >= regular - HALF_A_ROW)
    few &= problem.mstep.estimates_covariances(Segments.one(len(weights)))
    return _of_components({f"fewer than {needed} rows": few})


def is_flat(problem: EMProblem, mixture: Parameters) -> bool:
    """Whether the distribution as a whole has collapsed in some direction, other than
    that of a single feature."""
    scale = problem.mstep.scale
    if problem.family.storage.moment_kind.of_squares:
        return False
    if not scale.collapsed(mixture).any():
        return False
    try:
        return bool(scale.collapsed(mixture.as_one()).any())
    except np.linalg.LinAlgError:
        return True


def _levels(
    problem: EMProblem, mixture: Parameters, narrow: NDArray
) -> tuple[str, ...]:
    """Features that take few values within narrow components, in words."""
    bound = problem.mstep.scale.rounding
    variances = mixture.covariances.variances[narrow]
    features = np.flatnonzero((variances < NARROW * bound).any(axis=0))
    steps = np.sqrt(bound / VARIANCE_OF_ROUNDING) * problem.units
    return tuple(
        f"feature {j} takes values in steps of {steps[j]:.3g}"
        for j in features[:MOST_NAMED]
    )


def _of_components(found: dict[str, NDArray]) -> list[str]:
    """Each text with the components (K,) that it is true of."""
    return [f"{_named(each)} {text}" for text, each in found.items() if each.any()]


def _named(chosen: NDArray) -> str:
    """The chosen components by their numbers, ten at most, with a verb."""
    numbers = [str(number) for number in np.flatnonzero(chosen)]
    shown = ", ".join(numbers[:10]) + (", ..." if len(numbers) > 10 else "")
    return f"component {shown} has" if len(numbers) == 1 else f"components {shown} have"
