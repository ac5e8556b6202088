"""The state of runs of EM: it proposes mixtures and accepts their statistics."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from emgmm._estep.statistics import Statistics
from emgmm._model.parameters import Parameters, from_arrays, to_arrays

from .acceleration import EPS, AndersonAcceleration
from .coordinates import coordinates, n_coordinates
from .mstep import MStep
from .regularization import DEGENERATE
from .result import EMOptions, EMResult, EMResults

# Relative rounding of a log-likelihood: a fall by more is a fall.
ROUNDING_OF_BOUND, ROUNDING_OF_BOUND_FLOAT32 = 64 * EPS, 1e-7
WORSE = 10.0  # factor of the rounding from which a mixture is worse than the best
NOISE_OF_FLOAT32 = 4e-5  # rounding in a step of EM
SAME_COUNTS = 1e-9  # share of the rows by which counts of the same rows may differ
NEGLIGIBLE = 1e-3  # greatest share of a variance that is added to accelerated steps
MAX_IDLE = 10  # iterations in a row that gain no more than rounding
MOST_ENDED = 0.25  # share of the components that may be of runs that have ended


class Proposal(NamedTuple):
    """A stack of mixtures, their coordinates (B, P) in the charts at the ones before,
    and which of them (B,) are further away than EM's steps."""

    mixture: Parameters
    vectors: NDArray
    longer: NDArray


class EMState:
    """The current mixtures of a stack of runs of EM, and those that they try next.

    An iteration takes EM's step, or a longer one if that raises the likelihood; if it
    does not, the mixture stays, and the next iteration takes EM's. The state sees only
    statistics of the rows; ``single`` is whether they were summed in float32. Each run
    ends by itself. Those that have ended stay in the stack until they are a quarter of
    it, so that it is seldom copied.
    """

    def __init__(
        self, start: Parameters, mstep: MStep, options: EMOptions, single: bool = False
    ) -> None:
        """The state before the first pass over the rows."""
        n_runs = len(start.segments)
        self.runs = np.arange(n_runs)
        """The numbers of the runs of the stack (B,)."""
        self.number = 0
        """The number of the stack among those that share passes."""
        self.shares: NDArray | None = None
        """Shares (n, B) of the weights of the rows that the runs see."""
        self._options, self._single = options, single
        self.mstep = mstep.inexact if options.accelerated else mstep
        self._mixture = self._best = start
        self._statistics: Statistics | None = None
        self._counts = np.zeros(0)
        self._reached = self.lower_bounds = np.full(n_runs, -np.inf)
        self._histories: list[list[float]] = [[] for _ in range(n_runs)]
        self._anderson = AndersonAcceleration(n_coordinates(start))
        self._own: Proposal | None = None
        self._longer: Proposal | None = None
        self._following = self.mstep
        self._proposed: Proposal | None = None
        self.running = np.ones(n_runs, dtype=bool)
        """Which runs of the stack (B,) have not ended."""
        self._n_running = n_runs
        self._none = np.zeros(n_runs, dtype=bool)
        self._at_rest = self._failed = self._none
        self._idle = np.zeros(n_runs, dtype=np.intp)
        self._n_iter = 0  # with those of the runs that these continue
        self._n_left = options.max_iter
        self._ended: list[tuple[NDArray, EMResults]] = []

    @property
    def is_scored(self) -> bool:
        """Whether the statistics under the current mixtures are known."""
        return self._statistics is not None

    @property
    def mixtures(self) -> Parameters:
        """The stack of the best mixtures so far."""
        return self._best

    @property
    def converged(self) -> NDArray:
        """In which runs (B,) the gain to come was less than ``tol`` by the step
        proposed last."""
        if not self._n_iter or not self._options.tol:
            return self._at_rest
        return self._at_rest | (self._anderson.gain < self._options.tol)

    def result(self, index: int = 0) -> EMResult:
        """The result so far of one of the runs."""
        history, converged = self._histories[index], self.converged[index]
        return EMResult(self._best.mixture(index), history, bool(converged))

    @property
    def leading(self) -> Parameters:
        """The best mixture so far of all runs that have not ended."""
        bounds = np.where(self.running, self.lower_bounds, -np.inf)
        return self._best.mixture(int(bounds.argmax()))

    @property
    def gains(self) -> NDArray:
        """What the runs (B,) are still expected to gain, with a margin."""
        return self._anderson.gain

    @property
    def results(self) -> EMResults:
        """The results of all runs, which have ended."""
        none = [(self.runs, EMResults.not_run(self._best))]  # of a stack of none
        return EMResults.ordered(self._ended or none)

    def goes_on(self) -> bool:
        """Whether there is another iteration, after runs that end here have ended."""
        if np.count_nonzero(self._at_rest):
            self.end(self._at_rest)
        if 0 < self._n_running < len(self.runs):
            self._compact()
        if self._n_running and self._n_left:
            self.propose_step()
            if np.count_nonzero(self._failed | self.converged):
                self.end(self._failed, failed=True)
                self.end(self.converged)
        elif self._n_running:
            if self._n_iter and self._options.tol > 0:
                self.propose_step()
            self.end(self.running)
        return self._n_running > 0

    def end(self, which: NDArray, failed: bool = False) -> None:
        """End some of the runs (B,) of the stack, with what they have reached."""
        ended = np.flatnonzero(which & self.running)
        if not len(ended):
            return
        converged = self.converged[ended] & ~self._failed[ended]
        states = [self._state_of(b) for b in ended.tolist()]
        histories = [self._histories[b] for b in ended]
        for b in ended:
            self._histories[b] = []
        mixtures = self._best
        if len(ended) < len(which):
            mixtures = mixtures.take(ended)
        failures = np.full(len(ended), failed)
        results = EMResults(mixtures, failures, converged, histories, states)
        self._ended.append((self.runs[ended], results))
        self.running = self.running & ~which
        self._n_running -= len(ended)

    def propose_step(self) -> None:
        """Find EM's steps and estimate the gains to come."""
        if self._own or self._statistics is None:
            return
        before, options, mstep = self._mixture, self._options, self.mstep
        mixture, self._failed, self._following = mstep.step(self._statistics, before)
        if np.count_nonzero(self._failed):  # placeholders, while those before are valid
            failed = np.flatnonzero(self._failed)
            mixture = mixture.replaced(failed, before.take(failed))
        plain = self._n_iter < options.n_plain
        if plain or not (options.accelerated or options.tol > 0):
            vectors = np.zeros((len(self.runs), 0))
            self._own = self._longer = Proposal(mixture, vectors, self._none)
            return
        ratios, included = mstep.scale.regularization_ratio(before), None
        regular = ratios < DEGENERATE
        if np.count_nonzero(regular) < len(regular):
            ratios, included = np.where(regular, ratios, 0.0), regular
        vectors = coordinates(before, mixture, included)
        self._own = self._longer = Proposal(mixture, vectors, self._none)
        greatest = before.segments.max(ratios)
        further, longer = self._anderson.learn(vectors, self._noise(greatest))
        if options.accelerated:
            if included is not None or not mstep.raises_likelihood:
                # What is added is no part of the likelihood by which steps are judged.
                ratios = mstep.regularization.regularization_ratio(before)
                greatest = before.segments.max(ratios)
            longer = longer & self.running & (greatest < NEGLIGIBLE)
            self._longer = Proposal(mixture, further, longer)

    def propose(self) -> Parameters:
        """The mixtures to be scored next: the start, EM's steps, or longer ones."""
        self.propose_step()
        if self._own is None or self._longer is None:
            return self._mixture
        proposed = self._own
        if self._longer is not proposed and np.count_nonzero(self._longer.longer):
            proposed = self._lengthened(proposed, self._longer)
        self._proposed = proposed
        return proposed.mixture

    def accept(self, statistics: Statistics) -> None:
        """End an iteration with the statistics under the proposed mixtures."""
        step = self._proposed
        mixture = step.mixture if step else self._mixture
        reached = self.mstep.objective(statistics, mixture)
        if step is None:
            self._statistics, self._reached = statistics, reached
            self.lower_bounds = reached
            self._histories = [[bound] for bound in reached.tolist()]
            return
        stays = falls = self._below(reached, self._reached)
        rises = not np.count_nonzero(falls)
        if not rises:
            rejected = falls & step.longer
            rests = falls & ~step.longer & self._rests(reached)
            self._at_rest = self._at_rest | rests
            stays = rejected | rests
            self._anderson.rejected(step.vectors, rejected)
            self._longer = self._own
        self._count_idle(reached)
        taken, is_best = ~stays, self.lower_bounds is self._reached
        if step.vectors.size:
            self._anderson.accepted(step.vectors, taken, step.longer)
        self._move(taken, step.mixture, statistics, reached)
        self._keep_best(is_best and rises)

    def resumes(self, statistics: Statistics) -> bool:
        """Whether the current mixture, of one run, has the statistics that a run before
        ended with.

        If so they are stored; otherwise the rows are not those of that run.
        """
        reached = self.mstep.objective(statistics, self._mixture)
        is_same = not (
            self._below(reached, self._reached) | self._below(self._reached, reached)
        ).any() and np.allclose(
            statistics.counts, self._counts, 0, SAME_COUNTS * statistics.weight[0]
        )
        if is_same:
            self._statistics = statistics
        return is_same

    def to_values(self) -> dict[str, Any]:
        """The state of a single run as plain values, without the statistics."""
        best = None if self._best is self._mixture else to_arrays(self._best)
        counts = self._counts if self._statistics is None else self._statistics.counts
        return {
            "mixture": to_arrays(self._mixture),
            "best": best,
            "counts": counts,
            "reached": self._reached,
            "bound": float(self.lower_bounds[0]),
            "n_iter": self._n_iter,
            "at_rest": self._at_rest,
            "idle": self._idle,
            "added": self.mstep.added,
            "acceleration": self._anderson.to_values(),
        }

    @classmethod
    def from_values(
        cls, values: dict[str, Any], mstep: MStep, options: EMOptions, single: bool
    ) -> Self:
        """The state with such values; ``resumes`` adds the statistics."""
        storage, best = mstep.families.storage, values["best"]
        mixture = from_arrays(values["mixture"], storage, mstep.noise)
        state = cls(mixture, replace(mstep, added=values["added"]), options, single)
        state._best = (
            mixture if best is None else from_arrays(best, storage, mstep.noise)
        )
        state._counts, state._reached = values["counts"], values["reached"]
        state.lower_bounds = np.array([values["bound"]])
        state._n_iter = values["n_iter"]
        state._histories = [[values["bound"]]]
        state._at_rest = values["at_rest"] & (options.tol > 0)
        state._idle = values["idle"]
        state._anderson = AndersonAcceleration.from_values(values["acceleration"])
        return state

    def _state_of(self, index: int) -> dict[str, Any] | None:
        """The values of one of the runs, if it can be continued."""
        if not self._options.resumable:
            return None
        alone = copy(self)
        if len(self.runs) > 1:
            alone._keep(np.array([index]))
        return alone.to_values()

    def _compact(self) -> None:
        """Remove the runs that have ended from the stack, if they are many of it."""
        sizes, running = self._mixture.segments.sizes, self.running
        many = sizes[~running].sum() >= MOST_ENDED * sizes.sum()
        if many or self._failed.any():
            self._keep(np.flatnonzero(running))

    def _keep(self, runs: NDArray) -> None:
        """Remove all other runs from the stack: EM's steps will be found again."""
        segments, is_best = self._mixture.segments, self._best is self._mixture
        self.mstep = self._following = self.mstep.take(segments, runs)
        self._mixture = self._mixture.take(runs)
        self._best = self._mixture if is_best else self._best.take(runs)
        self._statistics = self._statistics and self._statistics.take(runs)
        self._own = None
        self._n_running = len(runs)
        length = int(n_coordinates(self._mixture).max())
        self._anderson = self._anderson.take(runs, length)
        names = "runs running _none _reached lower_bounds _at_rest _failed _idle"
        for name in names.split():
            setattr(self, name, getattr(self, name)[runs])
        self._histories = [self._histories[run] for run in runs]
        self.shares = None if self.shares is None else self.shares[:, runs]

    def _lengthened(self, own: Proposal, further: Proposal) -> Proposal:
        """Steps longer than EM's, where they end at valid mixtures; else EM's."""
        vectors = further.vectors
        far, failed = self.mstep.retract(self._mixture, vectors)
        longer = further.longer & ~failed
        number = np.count_nonzero(longer)
        if number == len(longer):
            return Proposal(far, vectors, longer)
        if not number:
            return own
        which = np.flatnonzero(longer)
        mixture = own.mixture.replaced(which, far.take(which))
        vectors = np.where(longer[:, None], vectors, own.vectors)
        return Proposal(mixture, vectors, longer)

    def _noise(self, ratios: NDArray) -> NDArray:
        """Lengths (B,) of rounding errors in steps, in relative standard deviations,
        from the greatest ratios (B,) of what may be added to a variance."""
        least = NOISE_OF_FLOAT32 if self._single else EPS**0.5
        return np.maximum(ratios / (16 * self._mixture.means.shape[1]), least)

    def _below(self, bounds: NDArray, others: NDArray, margin: float = 1.0) -> NDArray:
        """Which bounds (B,) are less than others by more than rounding, or are NaN.

        Near zero a bound is still a sum of terms, of each feature one.
        """
        rounding = ROUNDING_OF_BOUND_FLOAT32 if self._single else ROUNDING_OF_BOUND
        sizes = np.maximum(np.abs(others), self._mixture.means.shape[1])
        tolerance = margin * rounding * sizes
        return ~(bounds >= others - tolerance)

    def _rests(self, reached: NDArray) -> NDArray | bool:
        """Which runs (B,) end because their own step has lowered the likelihood to
        this.

        Only rounding, or what is added to a collapsed component, can do that. A step
        within the noise is taken whatever the likelihood: rounding would decide.
        """
        ends = (self._options.tol > 0) & (self._anderson.gain > 0)
        ends = ends | ~np.isfinite(reached)
        return ends & self.mstep.raises_likelihood

    def _count_idle(self, reached: NDArray) -> None:
        """Let runs rest that gain no more than rounding, iteration after iteration.

        Steps need not become short then: where few rows leave directions without any
        scatter, rounding turns them in every iteration. Plain EM may be as slow as that
        and yet far from its end.
        """
        if self._options.tol > 0 and self._options.accelerated:
            gains = self._below(self._reached, reached)
            self._idle = np.where(gains, 0, self._idle + 1)
            self._at_rest = self._at_rest | (self._idle >= MAX_IDLE)

    def _move(
        self,
        taken: NDArray,
        mixture: Parameters,
        statistics: Statistics,
        reached: NDArray,
    ) -> None:
        """Take the steps of some runs (B,) to mixtures with such statistics."""
        number, before = np.count_nonzero(taken), self._statistics
        if number == len(taken) or before is None:
            self._mixture, self._statistics = mixture, statistics
            self._reached, self.mstep = reached, self._following
        elif not number:
            return
        else:
            which = np.flatnonzero(taken)
            self._mixture = self._mixture.replaced(which, mixture.take(which))
            self._statistics = before.replaced(which, statistics.take(which))
            self._reached = np.where(taken, reached, self._reached)
            segments, following = mixture.segments, self._following
            self.mstep = self.mstep.followed_by(following, segments, which)
        self._own = None

    def _keep_best(self, rises: bool) -> None:
        """Store the best mixtures so far and their likelihoods, which may all rise.

        With a number in reg_covar EM does not maximise the likelihood itself, and the
        last mixture counts, as in scikit-learn.
        """
        self._n_iter, self._n_left = self._n_iter + 1, self._n_left - 1
        worse = self._none
        if not rises and self.mstep.raises_likelihood:
            worse = self._below(self._reached, self.lower_bounds, WORSE)
        if not np.count_nonzero(worse):
            self._best, self.lower_bounds = self._mixture, self._reached
        elif not worse.all():
            better = np.flatnonzero(~worse)
            self._best = self._best.replaced(better, self._mixture.take(better))
            self.lower_bounds = np.where(worse, self.lower_bounds, self._reached)
        bounds = self.lower_bounds.tolist()
        for history, bound in zip(self._histories, bounds, strict=True):
            history.append(bound)
