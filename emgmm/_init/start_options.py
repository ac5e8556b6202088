"""The starts that the parameters of an estimator ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from emgmm._data.base import RowBlocks, RowSource
from emgmm._em.problem import Begin, EMProblem
from emgmm._em.progress import Progress
from emgmm._model.parameters import Parameters

from .assignments import check_start
from .known import within
from .matching import matched
from .starts import STARTS
from .subsample import with_large_subsample
from .symmetry import break_symmetry

PARAMETERS = {"weights", "means", "covariances"}
# Numbers of labels of starts that are made together, and of these starts.
TOGETHER_NUMBERS, MOST_TOGETHER = 2**20, 32


@dataclass(frozen=True, eq=False)
class StartOptions:
    """What the parameters of an estimator say about where EM starts.

    known       weights, means and covariances that the user passes (`weights_init`,
                ...), by the names of `Parameters`, in the units of the user
    previous    the mixture that EM continues from (`warm_start`), if there is one
    """

    n_components: int
    init_params: str | ArrayLike | Callable[..., ArrayLike]
    n_init: int
    random_state: int | np.random.RandomState | None
    known: dict[str, Any]
    previous: Parameters | None

    @property
    def order_is_fixed(self) -> bool:
        """Whether the start says which component is which."""
        by_name = isinstance(self.init_params, str)
        return not by_name or bool(self.known) or self.previous is not None

    @property
    def mixture(self) -> Parameters | None:
        """The starting mixture, where all of it is known."""
        if self.previous is None and self.known.keys() == PARAMETERS:
            return Parameters(**self.known)
        return self.previous

    def starts(self, problem: EMProblem, rows: RowSource) -> Iterator[Begin]:
        """Functions that make the mixtures EM starts from, one for each start."""
        if self.mixture is not None:
            mixture = problem.mstep.imposed(self.mixture.in_units(problem.units))
            mixture = problem.mstep.with_noise_of_start(mixture)

            def begin(progress: Progress) -> Parameters:
                """The mixture that is known."""
                return mixture

            yield _separated(problem, begin)
            return
        for start in self._of_init_params(problem.without_fixed, rows):
            completed = partial(self._with_known, start, problem)
            yield _separated(problem, completed) if self.order_is_fixed else completed

    def _with_known(
        self, start: Begin, problem: EMProblem, progress: Progress
    ) -> Parameters:
        """The mixture of a start, with the parts that the user passes in their place;
        where some are fixed, components of starts by name are matched to them, unless
        they are to labels that are known."""
        made = start(progress)
        if not self.known:
            return made
        by_name = isinstance(self.init_params, str)
        if problem.mstep.fixed and by_name and problem.memberships is None:
            known = _replaced(made, self.known, problem.units)
            made = matched(made, known, self.known)
        return problem.mstep.imposed(_replaced(made, self.known, problem.units))

    def _of_init_params(self, problem: EMProblem, rows: RowSource) -> Iterator[Begin]:
        """The starts of `init_params`: `n_init`, or one if it is an array."""
        rng = check_random_state(self.random_state)
        if isinstance(self.init_params, str):
            first, again = STARTS[self.init_params]
            yield partial(first, problem, self.n_components, rng)
            further = partial(again, problem, self.n_components, rng)
            yield from _further(further, self.n_init - 1, rows.summary.n_samples)
        elif callable(self.init_params):
            begin = partial(self._computed, self.init_params, problem, rows, rng)
            yield from repeat(begin, self.n_init)
        else:
            yield partial(self._passed, self.init_params, problem, rows)

    def _passed(
        self,
        start: ArrayLike,
        problem: EMProblem,
        rows: RowSource,
        progress: Progress,
    ) -> Parameters:
        """The mixture of labels or responsibilities that the user passes."""
        if isinstance(rows, RowBlocks):
            return self._mixture_of(start, problem, rows)
        start = check_start(start, np.ones(rows.summary.n_samples), self.n_components)
        return _start_within(problem, start, self.n_components)

    def _computed(
        self,
        function: Callable[..., ArrayLike],
        problem: EMProblem,
        rows: RowSource,
        rng: np.random.RandomState,
        progress: Progress,
    ) -> Parameters:
        """The mixture of the labels or responsibilities that a callable returns."""
        seen, units = rows.on_host, np.ones(rows.summary.n_features)
        if not isinstance(seen, RowBlocks):
            problem = with_large_subsample(problem, self.n_components)
            seen, units = problem.sample, problem.units
        X = seen.to_input_order(seen.X)
        X = _read_only(X if (units == 1).all() else X * units)
        weights = _read_only(seen.to_input_order(seen.weights))
        start = function(X, self.n_components, weights, rng)
        return self._mixture_of(start, problem, seen)

    def _mixture_of(
        self, start: ArrayLike, problem: EMProblem, rows: RowBlocks
    ) -> Parameters:
        """The mixture of labels or responsibilities of rows, in their input order."""
        weights = rows.to_input_order(rows.weights)
        start = check_start(start, weights, self.n_components)
        return _start_within(problem, rows.to_block_order(start), self.n_components)


def _start_within(
    problem: EMProblem, assignment: NDArray, n_components: int
) -> Parameters:
    """The mixture of labels or responsibilities, as far as the rows may have them."""
    if problem.memberships is not None:
        assignment = within(assignment, problem.memberships)
    return problem.start(assignment, n_components)


def _further(
    starts: Callable[[int], list[Parameters | np.linalg.LinAlgError]],
    number: int,
    n_samples: int,
) -> Iterator[Begin]:
    """Functions that return one start each of those that are made together."""
    most = max(TOGETHER_NUMBERS // n_samples, 1)
    while number > 0:
        made = starts(min(number, most, MOST_TOGETHER))
        yield from (partial(_made, start) for start in made)
        number -= len(made)


def _made(start: Parameters | np.linalg.LinAlgError, progress: Progress) -> Parameters:
    """A start that has been made. LinAlgError if it is singular."""
    if isinstance(start, Parameters):
        return start
    raise start


def _separated(problem: EMProblem, start: Begin) -> Begin:
    """The start with its equal components moved apart, if there are iterations."""
    return (
        partial(break_symmetry, problem, start) if problem.options.max_iter else start
    )


def _replaced(mixture: Parameters, known: dict[str, Any], units: NDArray) -> Parameters:
    """The mixture with parts that are in the units of the user."""
    replaced = replace(mixture.in_units(1 / units), **known).in_units(units)
    if not mixture.noise or "weights" not in known:
        return replaced
    of_noise = float(mixture.noise_weights[0])
    return replace(replaced, weights=replaced.weights * (1.0 - of_noise))


def _read_only(array: NDArray) -> NDArray:
    """A view through which the array cannot be altered."""
    view = array.view()
    view.flags.writeable = False
    return view
