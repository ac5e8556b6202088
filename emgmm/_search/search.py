"""Many models with many numbers of components, fitted together: they share starts.

Components split one after the other, and k-means, serve every model. Numbers of
components are visited from one more than the greatest downwards. With each number a
model begins from the common starts and from its own mixture of one component more,
without any one of them; then from what the other models have found. Among the starts
there is a race: some iterations of plain EM each, of which only the best go on. All of
that is done on a subsample if there are many rows.

Starts from mixtures of one component more or less are those of Baudry & Celeux 2015
(doi:10.1007/s11222-015-9561-x).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.parallel import delayed

from emgmm._data.arrays import RowBlocks
from emgmm._em.problem import EMProblem
from emgmm._init.subsample import subsample
from emgmm._model.linalg import WIDE
from emgmm._utils.callbacks import Stage, silent
from emgmm._utils.threads import BLAS

from .common_starts import common_starts
from .levels import Levels, of_squares
from .race import Fit, fit_to_all_rows

SEARCH_ROWS = 2**14  # least number of rows of the sample on which fits are compared
BEYOND = 1  # components more than the greatest number, from which that begins


@dataclass(frozen=True)
class ModelSearch:
    """Problems to be fitted together, by the names of their models.

    `reference_model` is the problem of free matrices; `parallel` runs tasks as joblib
    does; every part of the search runs in a `stage`.
    """

    problems: dict[str, EMProblem]
    reference_model: EMProblem
    parallel: Callable[[Iterable[Any]], Any]
    stage: Stage = silent

    def fits(self, numbers: list[int]) -> dict[tuple[str, int], Fit]:
        """Fits of every model with every number of components, if there are rows."""
        weighted = self.reference_model.rows.summary.n_weighted
        most: int = min(max(numbers) + BEYOND, weighted)
        steps = sorted({*numbers, most}, reverse=True)
        n_stages = len(steps) + 2
        with self.stage("starts", 1 / n_stages):
            level = self._on_a_sample(most)
        found: dict[tuple[str, int], Fit] = {}
        larger: dict[str, Fit] = {}
        for number, n_components in enumerate(steps, start=2):
            if n_components + 1 not in steps:
                larger = {}
            with self.stage(f"n_components={n_components}", number / n_stages):
                larger = level.fitted(
                    n_components, larger, exchanging=n_components in numbers
                )
            if n_components in numbers:
                found |= {(name, n_components): fit for name, fit in larger.items()}
        with self.stage("all rows", 1.0):
            return self._on_all_rows(found, level)

    def _on_a_sample(self, n_components: int) -> Levels:
        """The models on a subsample, with their common starts."""
        samples: dict[int, RowBlocks] = {}

        def of_sample(problem: EMProblem) -> EMProblem:
            """The problem on the subsample of its rows, which others may share."""
            blocks = problem.rows
            if id(blocks) not in samples:
                samples[id(blocks)] = subsample(blocks, n_components, SEARCH_ROWS)
            return problem.with_rows(samples[id(blocks)])

        problems = {name: of_sample(problem) for name, problem in self.problems.items()}
        reference_model = of_sample(self.reference_model)
        with BLAS.single_threaded(), np.errstate(all="ignore"):
            grown = self._grown(reference_model.rows.summary.n_features)
            starts = common_starts(reference_model, n_components, grown)
        return Levels(problems, reference_model, starts, self.parallel)

    def _grown(self, n_features: int) -> list[str]:
        """Names of the models by which components are split: matrices of many features
        only if some model has them."""
        if n_features > WIDE and of_squares(self.problems):
            return ["VVI"]
        return ["VVV", "VVI"] if n_features > 1 else ["VVV"]

    def _on_all_rows(
        self, found: dict[tuple[str, int], Fit], level: Levels
    ) -> dict[tuple[str, int], Fit]:
        """Fits to all rows, from those to a subsample."""
        if level.reference_model.rows is self.reference_model.rows:
            return found
        tasks = [
            delayed(fit_to_all_rows)(self.problems[key[0]], fit)
            for key, fit in found.items()
        ]
        return dict(zip(found, self.parallel(tasks), strict=True))
