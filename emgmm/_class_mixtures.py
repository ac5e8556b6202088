"""Mixtures of classes: one for each from its own rows, or one model common to all."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.parallel import Parallel, delayed

from ._data.arrays import RowBlocks
from ._data.labels import UNKNOWN
from ._estep.predict import RowwisePredictor, log_density
from ._gaussian_mixture import GaussianMixtureEM
from ._model.parameters import Parameters
from ._model_selection import GaussianMixtureIC
from ._utils.exceptions import DegenerateComponentWarning
from ._utils.ties import first_of_greatest

NOT_CONVERGED = (
    "EM over the classes did not converge within max_iter={} iterations: increase "
    "max_iter or tol, or label more rows."
)
TOGETHER = "The components are the classes"
"""Begins messages of a mixture whose components are the classes."""
Caught = list[tuple[type[Warning], str]]
"""Categories and messages of warnings."""


@dataclass(frozen=True, eq=False)
class ClassRows:
    """Rows with weights, in the user's order, and classes (n,) as indices of labels
    (C,), or -1 where unknown."""

    rows: RowBlocks
    classes: NDArray
    labels: NDArray

    @property
    def X(self) -> NDArray:
        """The rows (n, d)."""
        return self.rows.to_input_order(self.rows.X)

    @property
    def weights(self) -> NDArray:
        """Their weights (n,)."""
        return self.rows.to_input_order(self.rows.weights)

    @property
    def known(self) -> ClassRows:
        """The rows whose classes are known."""
        if (self.classes != UNKNOWN).all():
            return self
        return self.chosen(np.flatnonzero(self.classes != UNKNOWN))

    def chosen(self, indices: NDArray) -> ClassRows:
        """Some of the rows, by ascending indices."""
        rows = self.rows.chosen(indices, self.weights[indices])
        return replace(self, rows=rows, classes=self.classes[indices])

    def sums(self, memberships: NDArray) -> NDArray:
        """Weights (C,) of the classes, of rows that are members by so much (n, C)."""
        return self.weights @ memberships

    @property
    def memberships(self) -> NDArray:
        """One for the class of a row and zero for the others (n, C)."""
        return (self.classes[:, None] == np.arange(len(self.labels))).astype(float)

    @property
    def numbers(self) -> NDArray:
        """Numbers (C,) of rows of positive weight with a known class."""
        counted = self.classes[(self.classes != UNKNOWN) & (self.weights > 0)]
        return np.bincount(counted, minlength=len(self.labels))

    def check_enough(self, needed: Sequence[int]) -> None:
        """ValueError if a class has fewer rows of positive weight than components."""
        for label, number, least in zip(self.labels, self.numbers, needed, strict=True):
            if number < least:
                raise ValueError(
                    f"Class {label!s} has {number} rows with a label and a positive "
                    f"weight, fewer than its number of components, {least}: add rows "
                    "to the class, leave it out, or lower n_components."
                )


@dataclass(frozen=True, eq=False)
class ClassMixtures:
    """A fitted mixture for each class, and the logarithms of the priors (C,)."""

    mixtures: Sequence[GaussianMixtureEM]
    log_priors: NDArray

    def log_joint(self, rows: RowBlocks) -> NDArray:
        """log pi_c + log f_c(x) of the rows (n, C), in the user's order."""
        densities = [
            RowwisePredictor(each._mixture(), log_density, np.float64)(rows)
            for each in self.mixtures
        ]
        return np.stack(densities, axis=1) + self.log_priors

    def log_posterior(self, log_joint: NDArray) -> NDArray:
        """Logarithms of the probabilities of classes (n, C); those of the priors for
        rows that are infinitely far from all."""
        lost = np.isneginf(log_joint).all(axis=1, keepdims=True)
        log_joint = np.where(lost, self.log_priors, log_joint)
        return log_joint - logsumexp(log_joint, axis=1, keepdims=True)

    def posterior(self, log_joint: NDArray) -> NDArray:
        """Probabilities of classes (n, C)."""
        return np.exp(self.log_posterior(log_joint))

    def memberships(self, rows: ClassRows) -> tuple[NDArray, float]:
        """The E-step: probabilities of the classes (n, C), those of known ones being
        one, and the mean log-likelihood of a row with what is known of its class."""
        log_joint = self.log_joint(rows.rows)
        known, found = rows.classes != UNKNOWN, rows.memberships
        values = logsumexp(log_joint, axis=1)
        found[~known] = self.posterior(log_joint[~known])
        values[known] = log_joint[known, rows.classes[known]]
        weights = rows.weights
        counted = weights > 0
        mean = np.average(values[counted], weights=weights[counted])
        return found, float(mean)


class Estimates(NamedTuple):
    """Mixtures of the classes, number of iterations of EM, and warnings."""

    mixtures: list[GaussianMixtureEM]
    n_iter: int
    caught: Caught


class ClassModel(ABC):
    """How the mixtures of the classes are estimated."""

    @abstractmethod
    def fit(self, rows: ClassRows) -> Estimates:
        """The mixtures of rows whose classes are known."""

    @abstractmethod
    def step(
        self,
        mixtures: Sequence[GaussianMixtureEM],
        rows: ClassRows,
        memberships: NDArray,
    ) -> Estimates:
        """The mixtures after an M-step, from those before it and from probabilities of
        the classes (n, C)."""


@dataclass(frozen=True, eq=False)
class OwnMixtures(ClassModel):
    """Each class has a mixture of its own (Hastie & Tibshirani 1996, with the numbers
    of components and the models of Fraley & Raftery 2002).

    ``estimators`` (C,) are to be fitted to the rows of the classes, in so many jobs.
    """

    estimators: Sequence[GaussianMixtureEM | GaussianMixtureIC]
    n_jobs: int | None = None

    def fit(self, rows: ClassRows) -> Estimates:
        tasks = self._tasks(rows, rows.memberships, self.estimators)
        fits = Parallel(n_jobs=self.n_jobs)(delayed(_of_class)(*task) for task in tasks)
        mixtures = [getattr(each, "best_estimator_", each) for each, _ in fits]
        n_iter = max(mixture.n_iter_ for mixture in mixtures)
        return Estimates(
            mixtures, n_iter, [one for _, caught in fits for one in caught]
        )

    def step(
        self,
        mixtures: Sequence[GaussianMixtureEM],
        rows: ClassRows,
        memberships: NDArray,
    ) -> Estimates:
        following = [_one_iteration([each], each.weights_) for each in mixtures]
        tasks = self._tasks(rows, memberships, following)
        fits = [_of_class(*task) for task in tasks]
        found = [
            _with(before, after, after._mixture())
            for before, (after, _) in zip(mixtures, fits, strict=True)
        ]
        return Estimates(found, 1, [one for _, caught in fits for one in caught])

    def _tasks(
        self, rows: ClassRows, memberships: NDArray, estimators: Sequence[Any]
    ) -> Iterator[tuple[Any, NDArray, NDArray, str]]:
        """Arguments of `_of_class` for each class."""
        X, weights, numbers = rows.X, rows.weights, rows.numbers
        for c, estimator in enumerate(estimators):
            own = np.flatnonzero(memberships[:, c] > 0)
            name = f"Class {rows.labels[c]!s}, {numbers[c]} rows"
            shares = weights[own] * memberships[own, c]
            yield clone(estimator), X[own], shares, name


@dataclass(frozen=True, eq=False)
class CommonModel(ClassModel):
    """Each class is one Gaussian, and a model says what the classes share: eigenvalue
    decomposition discriminant analysis (Bensmail & Celeux 1996).

    ``estimators`` differ in their models, of which the one with the least BIC is
    chosen; if all fits are in doubt, the one with the fewest parameters.
    """

    estimators: Sequence[GaussianMixtureEM]

    def fit(self, rows: ClassRows) -> Estimates:
        candidates, failure = [], None
        for estimator in self.estimators:
            try:
                candidates.append(self._candidate(estimator, rows))
            except ValueError as error:
                failure = error
        if not candidates:
            raise failure or ValueError("No model to fit.")
        sound = [each for each in candidates if not each.doubted]
        # Likelihoods that are due to chance say nothing of the models.
        costs = [one.bic for one in sound] or [one.n_parameters for one in candidates]
        best = (sound or candidates)[first_of_greatest(-np.array(costs))]
        mixtures = _components(best.joint, best.estimator)
        return Estimates(mixtures, max(best.joint.n_iter_, 1), best.caught)

    def step(
        self,
        mixtures: Sequence[GaussianMixtureEM],
        rows: ClassRows,
        memberships: NDArray,
    ) -> Estimates:
        following = _one_iteration(mixtures, rows.sums(memberships))
        # A row of several classes is one of each, with a part of its weight.
        own, classes = np.nonzero(memberships > 0)
        weights = rows.weights[own] * memberships[own, classes]
        joint, caught = _of_class(following, rows.X[own], weights, TOGETHER, classes)
        return Estimates(_components(joint, mixtures[0]), 1, caught)

    def _candidate(self, estimator: GaussianMixtureEM, rows: ClassRows) -> _Candidate:
        """A model, fitted, with its BIC: that of the rows and their classes."""
        start = clone(estimator).set_params(
            n_components=len(rows.labels), init_params=rows.classes
        )
        if (
            not rows.rows.summary.incomplete
        ):  # the M-step from the labels is the maximum
            start.set_params(max_iter=0)
        weights, classes = rows.weights, rows.classes
        joint, caught = _of_class(start, rows.X, weights, TOGETHER, classes)
        components = _components(joint, estimator)
        fitted = ClassMixtures(components, np.log(joint.weights_))
        weight, mean = rows.rows.summary.weight, fitted.memberships(rows)[1]
        bic = joint._n_parameters() * np.log(weight) - 2 * weight * mean
        return _Candidate(estimator, joint, float(bic), caught)


class _Candidate(NamedTuple):
    """An estimator, the mixture that it makes of the classes, its BIC, and warnings."""

    estimator: GaussianMixtureEM
    joint: GaussianMixtureEM
    bic: float
    caught: Caught

    @property
    def n_parameters(self) -> int:
        """Number of free parameters."""
        return self.joint._n_parameters()

    @property
    def doubted(self) -> bool:
        """Whether the likelihood may be due to chance."""
        return bool(_of_degenerate(self.caught))


def _of_class(
    estimator: Any,
    X: NDArray,
    sample_weight: NDArray,
    name: str,
    known_labels: NDArray | None = None,
) -> tuple[Any, Caught]:
    """The estimator, fitted to the rows of a class, and warnings; errors name it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            estimator.fit(X, sample_weight=sample_weight, known_labels=known_labels)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return estimator, [(each.category, f"{name}: {each.message}") for each in caught]


def _of_degenerate(caught: Caught) -> Caught:
    """The warnings that a likelihood may be due to chance."""
    return [one for one in caught if issubclass(one[0], DegenerateComponentWarning)]


def _one_iteration(
    mixtures: Sequence[GaussianMixtureEM], weights: NDArray
) -> GaussianMixtureEM:
    """An estimator that does one iteration of EM from the mixture of the components of
    several, with such weights (K,)."""
    first = mixtures[0]
    if first._mixture().covariances.of_mixtures:
        precisions = first.precisions_
    else:
        precisions = np.concatenate([each.precisions_ for each in mixtures])
    return clone(first).set_params(
        n_components=len(weights),
        weights_init=weights / weights.sum(),
        means_init=np.concatenate([each.means_ for each in mixtures]),
        precisions_init=precisions,
        max_iter=1,
        acceleration=None,
    )


def _components(
    joint: GaussianMixtureEM, estimator: GaussianMixtureEM
) -> list[GaussianMixtureEM]:
    """The components of a mixture as mixtures of one component, with the parameters of
    an estimator."""
    one, mixture = clone(estimator).set_params(n_components=1), joint._mixture()
    components = np.arange(len(mixture.weights))
    return [_with(one, joint, mixture.among(components == c)) for c in components]


def _with(
    estimator: GaussianMixtureEM, fitted: GaussianMixtureEM, mixture: Parameters
) -> GaussianMixtureEM:
    """The estimator with a mixture of the features of another that is fitted."""
    own = clone(estimator)
    own.n_features_in_ = fitted.n_features_in_
    own._publish_mixture(mixture, fitted.means_.dtype)
    return own


class Result(NamedTuple):
    """Mixtures with priors, number of iterations, and warnings."""

    fitted: ClassMixtures
    n_iter: int
    caught: Caught


@dataclass(frozen=True, eq=False)
class ClassEM:
    """EM over classes, of which some rows do not show theirs (Nigam et al. 2000).

    ``priors`` (C,) are fixed, or None if they are the shares of the classes.
    """

    model: ClassModel
    priors: NDArray | None
    tol: float
    max_iter: int

    def log_priors(self, sums: NDArray) -> NDArray:
        """Logarithms of the priors, for weights (C,) of the classes."""
        with np.errstate(divide="ignore"):  # a prior may be zero
            return np.log(sums / sums.sum() if self.priors is None else self.priors)

    def run(self, rows: ClassRows, fitted: ClassMixtures) -> Result:
        """The maximum of the likelihood of all rows and known classes that is reached
        from mixtures of the rows whose classes are known."""
        memberships, bound = fitted.memberships(rows)
        gain = np.inf
        for n_iter in range(1, self.max_iter + 1):
            estimates = self.model.step(fitted.mixtures, rows, memberships)
            log_priors = self.log_priors(rows.sums(memberships))
            fitted = ClassMixtures(estimates.mixtures, log_priors)
            memberships, reached = fitted.memberships(rows)
            before, gain, bound = gain, reached - bound, reached
            caught = _of_degenerate(estimates.caught)
            if _gain_to_come(gain, before) < self.tol:
                return Result(fitted, n_iter, caught)
        message = NOT_CONVERGED.format(self.max_iter)
        return Result(fitted, n_iter, [*caught, (ConvergenceWarning, message)])


def _gain_to_come(gain: float, before: float) -> float:
    """What EM is still expected to gain, by Aitken's extrapolation of two gains."""
    if gain <= 0:
        return 0.0
    return np.inf if not gain < before < np.inf else gain * gain / (before - gain)
