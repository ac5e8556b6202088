"""Runs of EM from several starts: which is kept, and what is degenerate in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import compress
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ._algebra import VARIANCES
from ._blocks import Blocks, RowBlocks, raised_by_rows
from ._em import EMOptions, EMResult, Progress, run_em
from ._estep import (
    effective_rows,
    statistics_of_start,
    weight_of_components,
)
from ._families import CovarianceFamily
from ._parameters import Parameters
from ._statistics import Statistics
from ._threads import BLAS

SINGULAR = (
    "Fitting the mixture model failed because some components have ill-defined "
    "empirical covariance (for instance caused by singleton or collapsed samples). Try "
    "to decrease the number of components, increase reg_covar, or scale the input "
    "data. Or leave reg_covar at 'scale'."
)
NOTHING_ELSE = 1 - 1e-6  # share of a variance that is a number in ``reg_covar``
HALF_A_ROW = 0.5  # which components share with others, and so lack
ROUNDING = 1e-10  # share of a mean log-likelihood below which no two differ
VANISHED = 0.5  # effective rows below which a component is taken to hold none

Begin = Callable[[Progress], Parameters]
"""Makes a start, and says how far it has come; LinAlgError where it is singular."""

Rows = TypeVar("Rows", bound=Blocks, covariant=True)


@dataclass(frozen=True, eq=False)
class ProblemOf(Generic[Rows]):
    """What is fitted, in which units, and how."""

    blocks: Rows
    units: NDArray
    family: CovarianceFamily
    options: EMOptions

    def of(self, blocks: RowBlocks) -> Problem:
        """The same with rows in memory."""
        return ProblemOf(blocks, self.units, self.family, self.options)

    def start(self, rows: NDArray, n_components: int) -> Parameters:
        """The mixture of starting labels (n,) or responsibilities (n, K)."""
        products = self.family.storage.products
        with BLAS.held(), np.errstate(all="ignore"):
            return self.begin(
                statistics_of_start(self.blocks, rows, n_components, products)
            )

    def begin(self, stats: Statistics, like: Parameters | None = None) -> Parameters:
        """The mixture of statistics; if like another, briefly sought from there."""
        family = self.family.brief if like else self.family
        return self.options.covar.step(stats, family, like, None)[0]

    def run(self, start: Parameters, progress: Progress) -> EMResult:
        with BLAS.held():
            return run_em(self.blocks, start, self.family, self.options, progress)

    def runs(self, starts: Iterable[Begin], progress: Progress) -> list[EMResult]:
        """Results of those starts of which none fails."""
        results, failure = [], None
        for number, start in enumerate(starts):
            try:
                progress.begin(number, self.options.max_iter)
                mixture = start(progress)
                progress.started()
                result = self.run(mixture, progress)
            except np.linalg.LinAlgError as error:
                if raised_by_rows(error):
                    raise
                failure = error
                progress.failed()
                continue
            results.append(result)
            if progress.end(result):
                break
        if not results:
            raise ValueError(SINGULAR) from failure
        return results

    def best(self, results: list[EMResult]) -> EMResult:
        """The greatest likelihood of those without a degenerate component, if there
        are any: with one the likelihood can be as great as one likes. Of those that
        are equal but for rounding, the first: else the order of the components would
        depend on how sums were rounded."""
        if len(results) == 1:
            return results[0]
        merits = [self.merit(result) for result in results]
        sound, greatest = max(merits)
        least = greatest - ROUNDING * max(abs(greatest), 1.0)
        equal = (merit[0] == sound and merit[1] >= least for merit in merits)
        return next(compress(results, equal))

    def merit(self, result: EMResult) -> tuple[bool, float]:
        """What makes a result better than another: regular components; likelihood."""
        degenerate = self.options.scale.degenerate(result.mixture).any()
        return not degenerate, result.lower_bound

    def in_units_of_the_user(self, result: EMResult) -> EMResult:
        if (self.units == 1).all():
            return result
        # Densities are of what rows have.
        shift = self.blocks.counts @ np.log(self.units) / self.blocks.weight
        bounds = [bound - shift for bound in result.lower_bounds]
        mixture = result.mixture.in_units(1 / self.units)
        return EMResult(mixture, bounds, result.converged)

    def unsupported(self, mixture: Parameters) -> list[str]:
        """Components of fewer rows than their own covariance needs, in words.

        A few rows that happen to lie close together, or on a line, give such a
        component a great likelihood in any sample, of one distribution too.
        """
        needed = self.family.rows_needed(len(self.units))
        few = weight_of_components(self.blocks, mixture) < needed - HALF_A_ROW
        return [f"{_named(few)} of fewer than {needed} rows"] if few.any() else []

    def defects(self, mixture: Parameters) -> list[str]:
        """What is wrong with components of the mixture, in words."""
        held = effective_rows(self.blocks, mixture)
        variances_only = self.family.storage.algebra is VARIANCES
        needed = 2 if variances_only else len(self.units) + 1
        vanished = held < VANISHED
        few = ~vanished & (held < needed * (1 - 1e-6))
        flat = self.options.scale.degenerate(mixture)
        if self.options.covar is not self.options.scale:
            flat |= self.options.covar.nearness(mixture) > NOTHING_ELSE
        flat &= ~vanished
        flatness = (
            "of next to no width in a direction of which few rows tell"
            if self.blocks.incomplete
            else "of no width in some direction, but for what reg_covar adds"
        )
        nothing = "a value of some feature" if self.blocks.incomplete else "rows"
        found = {
            flatness: flat,
            f"of fewer than {needed} effective rows": few,
            f"without {nothing}": vanished,
        }
        return [f"{_named(bad)} {text}" for text, bad in found.items() if bad.any()]


Problem = ProblemOf[RowBlocks]
"""With all rows in memory."""


def _named(chosen: NDArray) -> str:
    """Which components, at most ten by their numbers."""
    numbers = [str(number) for number in np.flatnonzero(chosen)]
    shown = ", ".join(numbers[:10]) + (", ..." if len(numbers) > 10 else "")
    return ("component " if len(numbers) == 1 else "components ") + shown
