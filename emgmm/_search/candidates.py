"""Candidates of a search: what speaks for and against each, and the table of all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emgmm._data.base import RowSource
from emgmm._em.defects import ComponentRows, defects, unsupported
from emgmm._em.problem import EMProblem
from emgmm._em.result import EMResult
from emgmm._estep.memberships import Memberships
from emgmm._estep.predict import scores_of_stacks
from emgmm._model.parameters import Parameters
from emgmm.typing import CovarianceType

from .pool import Part


class Candidate(NamedTuple):
    """A model with a number of components, and its result, if it could be fitted.

    `doubts` are reasons not to select it, in words; it is `regular` if no component is
    degenerate; `flat` if the rows have no variance in some direction that it needs.
    """

    name: CovarianceType
    n_components: int
    n_parameters: int
    result: EMResult | None = None
    regular: bool = False
    doubts: tuple[str, ...] = ()
    flat: bool = False

    @property
    def converged(self) -> bool:
        """Whether there is a fit that stopped by `tol`."""
        return self.result is not None and self.result.converged

    @property
    def work(self) -> int:
        """Number of components times iterations."""
        return self.n_components * self.result.n_iter if self.result else 0


def candidates_of(
    part: Part, problems: Sequence[EMProblem], names: Sequence[CovarianceType]
) -> Iterator[Candidate]:
    """The candidates of some fits, with what speaks against them."""
    results, rows = part.results, part.group.problem.rows
    mixtures = [results.result(run).mixture for run in range(len(results))]
    mixtures = [problems[0].numbered(mixture) for mixture in mixtures]
    stack = Parameters.joined(mixtures)
    own, sound = ComponentRows.of(rows, stack), part.problem.sound(stack)
    for run, components in enumerate(stack.segments.slices()):
        model, mixture = part.models[run], mixtures[run]
        problem = problems[model]
        found = defects(problem, mixture, own.within(components))
        few = unsupported(problem, own.weight[components])
        yield Candidate(
            names[model],
            len(mixture.weights),
            problem.n_parameters(len(mixture.weights)),
            problem.to_be_published(results.result(run)),
            bool(sound[run]) and not found.flat,
            (*found.texts, *few),
            found.flat,
        )


def table_of(
    candidates: list[Candidate],
    rows: RowSource,
    known: Memberships | None,
    seconds: float,
) -> dict[str, NDArray]:
    """The columns of `results_`, but for "eligible". The search took some seconds."""
    fitted, weight = [c.result is not None for c in candidates], rows.summary.weight
    log_likelihoods = np.full(len(candidates), np.nan)
    log_likelihoods[fitted] = [
        c.result.mean_log_likelihood * weight for c in candidates if c.result
    ]
    n_parameters = np.array([candidate.n_parameters for candidate in candidates])
    penalty = n_parameters * np.log(weight)
    work = np.array([candidate.work for candidate in candidates])
    return {
        "covariance_type": np.array([c.name for c in candidates], dtype=object),
        "n_components": np.array([c.n_components for c in candidates]),
        "log_likelihood": log_likelihoods,
        "n_parameters": n_parameters,
        "bic": penalty - 2 * log_likelihoods,
        "icl": penalty - 2 * _classified(candidates, rows, known),
        "aic": 2 * n_parameters - 2 * log_likelihoods,
        "converged": np.array([c.converged for c in candidates]),
        "n_iter": np.array([c.result.n_iter if c.result else 0 for c in candidates]),
        "time": seconds * work / max(work.sum(), 1),
        "failure": np.array(["; ".join(c.doubts) for c in candidates], dtype=object),
    }


def _classified(
    candidates: list[Candidate], rows: RowSource, known: Memberships | None
) -> NDArray:
    """Log-likelihoods of the rows with their most probable components, in one pass."""
    found = np.full(len(candidates), np.nan)
    stored: dict[type, list[tuple[int, Parameters]]] = {}
    for i, candidate in enumerate(candidates):
        if candidate.result:
            mixture = candidate.result.mixture
            stored.setdefault(type(mixture.covariances), []).append((i, mixture))
    stacks = [Parameters.joined([each for _, each in own]) for own in stored.values()]
    scores = scores_of_stacks(rows, stacks, known)
    for own, (_, classified) in zip(stored.values(), scores, strict=True):
        found[[i for i, _ in own]] = classified
    return found


def too_few(numbers: list[int], known: Memberships | None) -> dict[int, str]:
    """Error messages by number of components, where rows are known to belong to
    more."""
    n_known = known.n_known if known else 0
    return {
        number: f"n_components={number}, but known_labels names {n_known} components: "
        "compare larger numbers."
        for number in numbers
        if number < n_known
    }


def eligible_among(values: NDArray, candidates: list[Candidate]) -> NDArray:
    """Which candidates are not in doubt; if none, not degenerate; if none, fitted."""
    finite = np.isfinite(values)
    undoubted = finite & [not candidate.doubts for candidate in candidates]
    regular = finite & [candidate.regular for candidate in candidates]
    for eligible in (undoubted, regular, finite):
        if eligible.any():
            return eligible
    reasons = {reason for candidate in candidates for reason in candidate.doubts}
    raise ValueError(
        "No candidate has a finite criterion. "
        + (" ".join(sorted(reasons)) or "Let the function criterion return numbers.")
    )
