"""Many models with many numbers of components, fitted together: they share passes.

All candidates begin from the same starts: components split one after the other, and
k-means. Then there are rounds. In each all runs go on for some iterations, unless they
fall behind another run of their candidate; and candidates whose best mixture has become
better offer it to the others. All of that is done on a subsample if there are many
rows, and the best run of each candidate goes on with all rows until it has converged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emgmm._em.problem import EMProblem
from emgmm._init.default import VERY_MANY
from emgmm._init.subsample import SUBSAMPLE_NUMBERS, with_subsample
from emgmm._model.bounded import AT_ONCE, FEW
from emgmm._model.covariances import Diagonal, Full
from emgmm._model.linalg import WIDE
from emgmm._utils.cached import cached_property
from emgmm._utils.callbacks import Stage, silent
from emgmm._utils.threads import BLAS

from .common_starts import common_starts
from .exchange import hopeful, starts_from
from .pool import Group, Pool, candidates, groups_of, of_batches
from .sources import View

SEARCH_ROWS = 2**14  # least number of rows of the sample on which fits are compared
BEYOND = 1  # components more than the greatest number, from which others begin
FIRST_ITER, FIRST_KEPT = 2, 4  # iterations of all common starts, and how many go on
# Features beyond which fewer of them do, and bounds of variances are met nearly: each
# estimate takes long.
MANY_FEATURES, FIRST_KEPT_OF_MANY = 16, 2
ROUNDS = 6  # at most
ROUND_ITER, ROUND_TOL = 6, 1e-3  # iterations of a run in a round; gain at which it ends
ROUND_KEPT = 3  # runs of a candidate that go on to the next round
NEWS = 1e-3  # gain of a candidate that others are offered
SAME_FIT = 1e-7  # difference below which fits are at the same maximum


@dataclass(frozen=True)
class ModelSearch:
    """Problems to be fitted together, one for each model, on the same rows or on the
    same rows in units; every part of the search runs in a ``stage``.

    ``reference_model`` is the problem of free matrices.
    """

    problems: Sequence[EMProblem]
    reference_model: EMProblem
    stage: Stage = silent

    def best(self, numbers: list[int]) -> Pool:
        """The best run of every model with every number of components, on all rows,
        but for those that are singular."""
        weighted = self.reference_model.rows.summary.n_weighted
        steps = sorted({*numbers, min(max(numbers) + BEYOND, weighted)})
        with BLAS.single_threaded(), np.errstate(all="ignore"):
            with self.stage("starts", 1 / (ROUNDS + 2)):
                sample = self._on_a_sample(steps[-1], SEARCH_ROWS)
                pool = sample.common_starts(steps)
            offered: dict[int, float] = {}
            for number in range(1, ROUNDS + 1):
                with self.stage(f"round {number}", (number + 1) / (ROUNDS + 2)):
                    if number > 1:
                        pool = sample.exchanged(pool, offered)
                    pool = sample.further(pool)
            with self.stage("all rows", 1.0):
                best = pool.take(pool.best(1, SAME_FIT))
                best = best.take(np.isin(best.n_components, numbers))
                for few in self._before_all_rows(sample, steps[-1]):
                    best = best.of_groups(groups_of(few.problems)).run()
                return best.of_groups(self._groups).within_bounds().run()

    def _before_all_rows(self, sample: Sample, n_components: int) -> Iterator[Sample]:
        """Samples on which runs go on until they converge, so that few passes over all
        rows are left: that on which they were compared, and of very many rows a larger
        one."""
        rows = self.reference_model.rows.summary
        if sample.reference_model.rows.summary.n_weighted < rows.n_weighted:
            yield sample
        if rows.n_weighted * rows.n_features > VERY_MANY:
            yield self._on_a_sample(n_components, SUBSAMPLE_NUMBERS)

    @cached_property
    def _groups(self) -> list[Group]:
        """The models, divided by storage and rows."""
        return groups_of(self.problems, FEW if self._has_many_features else None)

    @property
    def _has_many_features(self) -> bool:
        """Whether what is iterated for each component takes long."""
        n_features: int = self.reference_model.rows.summary.n_features
        return n_features > MANY_FEATURES

    def _on_a_sample(self, n_components: int, n_rows: int) -> Sample:
        """The models on a subsample of the rows, of at least so many if it may be."""
        samples: dict[int, EMProblem] = {}

        def of_sample(problem: EMProblem) -> EMProblem:
            """The problem on the subsample of its rows."""
            rows = problem.rows
            if id(rows) not in samples:
                samples[id(rows)] = with_subsample(problem, n_components, n_rows)
            sample = samples[id(rows)]
            return replace(problem, rows=sample.rows, memberships=sample.memberships)

        problems = [of_sample(problem) for problem in self.problems]
        return Sample(problems, of_sample(self.reference_model))


@dataclass(frozen=True)
class Sample:
    """The models on a subsample of the rows, where their runs are compared."""

    problems: Sequence[EMProblem]
    reference_model: EMProblem

    @cached_property
    def groups(self) -> list[Group]:
        """The models with M-steps that meet bounds nearly, divided by storage and
        rows."""
        return groups_of(self.problems, AT_ONCE)

    @cached_property
    def views(self) -> list[View]:
        """The rows, in the units of each group."""
        storages = [group.problem.families.storage for group in self.groups]
        squares = all(storage.moment_kind.of_squares for storage in storages)
        storage = Diagonal if squares else Full
        problems = {group.view: group.problem for group in self.groups}
        return [
            View(each.rows, each.units, storage, each.memberships)
            for each in problems.values()
        ]

    def common_starts(self, numbers: list[int]) -> Pool:
        """The best of the starts that all candidates have in common."""
        starts = common_starts(self.reference_model, numbers, self._grown())
        assignments = [(k, start) for k in numbers for start in starts[k]]
        sources = [view.sources(assignments) for view in self.views]
        models = np.concatenate([group.models for group in self.groups])
        source = np.repeat(np.arange(len(assignments)), len(models))
        model = np.tile(models, len(assignments))
        sizes = np.array([number for number, _ in assignments])[source]
        n_numbers = sizes * self.views[0].n_numbers_of_component

        def of_batch(own: NDArray) -> Pool:
            """The best of some of the starts, which go on for some iterations."""
            pool, _ = Pool.begin(self.groups, sources, source[own], model[own])
            pool = pool.run(max_iter=FIRST_ITER, tol=0.0, accelerated=False)
            return pool.take(pool.best(self._kept))

        rows = [view.rows for view in self.views]
        return of_batches(of_batch, candidates(model, sizes), n_numbers, rows)

    @property
    def _kept(self) -> int:
        """How many of the common starts of a candidate go on."""
        many = len(self.views[0].units) > MANY_FEATURES
        return FIRST_KEPT_OF_MANY if many else FIRST_KEPT

    def _grown(self) -> list[str]:
        """Names of the models by which components are split: matrices of many features
        only if some model has them."""
        n_features = len(self.views[0].units)
        if n_features > WIDE and self.views[0].storage is Diagonal:
            return ["VVI"]
        return ["VVV", "VVI"] if n_features > 1 else ["VVV"]

    def further(self, pool: Pool) -> Pool:
        """The runs after some iterations; those that have converged, or collapsed, stay
        as they are."""
        going = pool.sound & ~pool.converged
        ran = pool.take(going).run(racing=True, max_iter=ROUND_ITER, tol=ROUND_TOL)
        return Pool.joined([pool.take(~going), ran])

    def exchanged(self, pool: Pool, offered: dict[int, float]) -> Pool:
        """The best runs, and new starts from what is news.

        ``offered`` has the mean log-likelihood that each candidate had when others
        began from its mixture, and is changed.
        """
        chosen = pool.best(1, SAME_FIT)
        best = pool.take(chosen)
        rivals = pool.take(np.setdiff1d(pool.best(ROUND_KEPT), chosen))
        rivals = rivals.take(hopeful(rivals, best))
        starts = starts_from(_news(best, offered), best, self.groups, self.views)
        return Pool.joined([best, rivals, starts])


def _news(best: Pool, offered: dict[int, float]) -> Pool:
    """The best runs that are better than when they were offered to others."""
    before = [offered.get(candidate, -np.inf) for candidate in best.candidate.tolist()]
    news = best.take(best.bound > np.array(before) + NEWS)
    offered |= dict(zip(news.candidate.tolist(), news.bound.tolist(), strict=True))
    return news
