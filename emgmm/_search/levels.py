"""All models with one number of components, fitted from the same starts.

Then each begins from what the others have found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.parallel import delayed

from emgmm._em.problem import EMProblem
from emgmm._estep.predict import responsibilities_of
from emgmm._model.families import MODELS
from emgmm._utils.threads import BLAS

from .race import AMONG_MODELS, AMONG_STARTS, Entries, Fit, RaceSchedule, race
from .start import CommonStart, distinct_from, statistics_of_all_kinds


@dataclass(frozen=True)
class Levels:
    """All models on a sample of the rows, and common starts by number of components."""

    problems: dict[str, EMProblem]
    reference_model: EMProblem
    starts: dict[int, list[NDArray]]
    parallel: Callable[[Iterable[Any]], Any]

    def fitted(
        self, n_components: int, larger: dict[str, Fit], exchanging: bool
    ) -> dict[str, Fit]:
        """Fits of all models with so many components.

        They begin from the common starts and from the fits of one component more; then,
        if ``exchanging``, from what the other models have found.
        """
        with BLAS.single_threaded(), np.errstate(all="ignore"):
            common = [
                self._common_start(each, n_components)
                for each in self.starts[n_components]
            ]
        entries = {name: Entries(common, larger.get(name)) for name in self.problems}
        fits = self._raced(entries, AMONG_STARTS)
        if n_components == 1 or not exchanging:
            return fits
        with BLAS.single_threaded(), np.errstate(all="ignore"):
            ends = {name: self._end(name, fit) for name, fit in fits.items()}
            entries = {
                name: Entries(distinct_from(ends[name], ends.values()), None, fit)
                for name, fit in fits.items()
            }
        return self._raced(entries, AMONG_MODELS)

    def _raced(
        self, entries: dict[str, Entries], schedule: RaceSchedule
    ) -> dict[str, Fit]:
        """The fits of all models, each by a race of its own."""
        tasks = [
            delayed(race)(self.problems[name], schedule, each)
            for name, each in entries.items()
        ]
        return dict(zip(entries, self.parallel(tasks), strict=True))

    def _common_start(self, assignment: NDArray, n_components: int) -> CommonStart:
        """The start from labels or responsibilities, with their pooled covariance."""
        statistics = statistics_of_all_kinds(
            self.problems.values(), assignment, n_components
        )
        if of_squares(self.problems):  # which have the axes of the coordinates
            return CommonStart(statistics, None)
        pooled, near = self.reference_model.with_family(MODELS["EEE"]), None
        with suppress(np.linalg.LinAlgError):
            near = pooled.start(assignment, n_components).in_units(1 / pooled.units)
        return CommonStart(statistics, near)

    def _end(self, name: str, fit: Fit) -> CommonStart | None:
        """The start from the fit of a model, for the others."""
        if fit.result is None:
            return None
        problem, mixture = self.problems[name], fit.result.mixture
        shares = responsibilities_of(problem.sample, mixture)
        problems = self.problems.values()
        statistics = statistics_of_all_kinds(problems, shares, shares.shape[1])
        return CommonStart(statistics, mixture.in_units(1 / problem.units))


def of_squares(problems: dict[str, EMProblem]) -> bool:
    """Whether no model needs products of features."""
    kinds = (problem.family.storage.moment_kind for problem in problems.values())
    return all(kind.of_squares for kind in kinds)
