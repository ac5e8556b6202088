"""The streaming half of GaussianMixtureEM: `partial_fit`, by stepwise EM."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import _fit_context
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from ._data.arrays import RowBlocks
from ._data.base import RowSource
from ._data.sources import refuse_blocks
from ._data.validation import (
    check_batch,
    check_enough_rows,
    check_something_observed,
)
from ._em.mstep import MStep
from ._em.problem import SINGULAR, Begin, EMProblem
from ._em.progress import Progress
from ._em.regularization import ScaleRegularization
from ._em.stepwise import (
    START_ITER,
    StartBuffer,
    StreamState,
    rows_to_start,
    share_of,
)
from ._mixture_methods import MixtureMethods
from ._model.families import FAMILIES
from ._model.parameters import Parameters
from ._model.published import published_arrays
from ._utils.threads import BLAS
from ._utils.validation import restore_on_error

OF_FIT = "labels_ converged_ n_iter_ lower_bounds_ lower_bounds_of_starts_".split()
OF_STREAM = ("n_steps_", "_running", "_gathered")
"""What a fit publishes that `partial_fit` does not, and the reverse."""


class PartialFit(MixtureMethods):
    """What GaussianMixtureEM does with rows that come in batches.

    `_problem`, `_starts` and `_mstep` are what a fit is made of, too.
    """

    _problem: Callable[[RowBlocks], EMProblem]
    _starts: Callable[[EMProblem, RowSource], Iterator[Begin]]
    _mstep: Callable[[ScaleRegularization, NDArray], MStep]

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Take in a batch of rows by stepwise EM; batches may come without end.

        Each batch moves the expected statistics of the rows by a share, `step`,
        towards those of the batch under the mixture so far, and the next mixture is
        that of the statistics [1]_ [2]_. What is kept is as large as the mixture,
        however many rows have come. Over several epochs of a fixed data set, shuffle
        the rows before each.

        The first rows are gathered until there are 20 for each component and feature
        (and one more: 20 `n_components` (`n_features` + 1); fewer where they would be
        more than 2^20 numbers), and the estimator is not fitted before. From these a
        mixture is started as in `fit` (`init_params`, `n_init`), with at most 20
        iterations. An array `init_params` is for just as many first rows as it has. A
        large first batch is a better start than several small ones.

        After `fit`, `load` or `from_parameters` a first call goes on from that mixture,
        as if its rows had come as batches; from `from_parameters`, as if it had as many
        rows as a start is made of. `fit` forgets batches, and starts afresh. Attributes
        that are assigned between batches change how the next batch is seen, not what is
        known of the rows before.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows, one or more. NaN is a missing value, as in `fit`. Parameters are
            float32 if all rows of the start are.
        y : Ignored
            Present by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row; a weight of 2 means that the row occurs twice. A batch
            in which no row has a weight changes nothing.

        Returns
        -------
        GaussianMixtureEM
            The estimator itself. If the call fails, it is as it was.

        Raises
        ------
        ValueError
            If the data or an argument are not valid; if `X` has another number of
            features than before, or `n_components` or `covariance_type` have changed;
            if `step` gives no share; if a feature has no value at all in the rows for
            the start; or if a covariance becomes singular because `reg_covar` is a
            number, and too small.

        References
        ----------
        .. [1] O. Cappe and E. Moulines, "On-line expectation-maximization algorithm for
           latent data models", JRSS B 71 (2009), 593-613.
           doi:10.1111/j.1467-9868.2009.00698.x
        .. [2] P. Liang and D. Klein, "Online EM for unsupervised models", NAACL (2009),
           611-619. doi:10.3115/1620754.1620843

        Examples
        --------
        >>> import numpy as np
        >>> from emgmm import GaussianMixtureEM
        >>> rng = np.random.default_rng(0)
        >>> gmm = GaussianMixtureEM(n_components=2)
        >>> for _ in range(100):
        ...     centers = rng.choice([0.0, 10.0], size=(50, 1))
        ...     gmm = gmm.partial_fit(centers + rng.standard_normal((50, 1)))
        >>> np.sort(gmm.means_.ravel()).round(1)
        array([ 0., 10.])
        >>> gmm.n_samples_seen_
        5000.0
        """
        refuse_blocks(X, "partial_fit")
        with restore_on_error(self):
            rows = check_batch(self, X, sample_weight)
            if rows is None:
                return self
            if self.__sklearn_is_fitted__():
                self._blend(rows)
            else:
                self._gather(rows)
        return self

    def _gather(self, rows: RowBlocks) -> None:
        """Keep rows until they are enough for a start, and start then."""
        start, needed = self.init_params, self._rows_to_start()
        all_count = not isinstance(start, str) and not callable(start)
        gathered = getattr(self, "_gathered", StartBuffer())
        seen = rows.summary
        enough = (seen.n_samples if all_count else seen.n_weighted) >= needed
        if gathered.batches or not enough:
            self._gathered = gathered = gathered.and_of(rows, all_count)
            if gathered.n_rows < needed:
                return
            rows = gathered.rows
        check_something_observed(self, rows)
        check_enough_rows(rows, self.n_components)
        with nullcontext() if callable(start) else BLAS.held():
            problem = self._problem(rows)
            n_iter = min(self.max_iter, START_ITER)
            options = replace(problem.options, max_iter=n_iter)
            problem = replace(problem, options=options)
            progress = Progress(self.verbose, self.verbose_interval)
            results = problem.runs(self._starts(problem, rows), progress)
        with BLAS.held():
            best = problem.numbered(problem.best(results.kept).mixture)
            running = StreamState.begun(problem.sample, best, problem.units)
            self._publish_running(running, best.in_units(1 / problem.units), rows)

    def _rows_to_start(self) -> int:
        """Rows with which `partial_fit` starts."""
        family, start = FAMILIES[self.covariance_type], self.init_params
        return rows_to_start(family, self.n_components, self.n_features_in_, start)

    def _blend(self, rows: RowBlocks) -> None:
        """Take rows in, and publish what follows."""
        self._check_same_model()
        with BLAS.held():
            mixture, running = self._published().agreed, self._running_statistics()
            number = running.n_steps + 1
            share = share_of(self.step, running.weight, rows.summary.weight, number)
            self._publish_running(running.blended(rows, mixture, share), mixture, rows)

    def _check_same_model(self) -> None:
        """Whether the published mixture is one that the parameters still ask for."""
        wanted = FAMILIES.get(self.covariance_type)
        published = self._published()
        n_components, family = published.sizes[0], published.family
        if n_components != self.n_components or family is not wanted:
            raise ValueError(
                f"n_components={self.n_components} and covariance_type="
                f"{self.covariance_type!r}, but partial_fit goes on from a mixture of "
                f"{n_components} components of the model {family.name}: set "
                "them back, or start afresh, with fit or with a clone."
            )

    def _running_statistics(self) -> StreamState:
        """Those that `partial_fit` goes on from, made of the mixture if need be."""
        if hasattr(self, "_running"):
            return self._running
        published = self._published()
        weight = rows_to_start(published.family, *published.sizes, "")
        return StreamState.of(
            published.agreed,
            getattr(self, "n_samples_seen_", float(weight)),
            getattr(self, "lower_bound_", np.nan),
            published.family,
            0.0 if isinstance(self.reg_covar, str) else self.reg_covar,
        )

    def _publish_running(
        self, running: StreamState, before: Parameters, rows: RowBlocks
    ) -> None:
        """Set the attributes of what has become of a stream."""
        mstep = self._mstep(
            running.scale(rows.summary.resolution), running.units
        ).inexact
        near = before.in_units(running.units)
        try:
            with np.errstate(all="ignore"):
                mixture = mstep.estimate(running.statistics, near)
        except np.linalg.LinAlgError as error:
            raise ValueError(SINGULAR) from error
        means = np.asarray(getattr(self, "means_", rows.X))
        dtype = np.result_type(means, np.float32)
        self._publish_mixture(mixture.in_units(1 / running.units), dtype)
        self._forget((*OF_FIT, "_gathered"))
        self._running = running
        self.n_samples_seen_, self.n_steps_ = running.weight, running.n_steps
        self.lower_bound_ = running.statistics.log_likelihood

    def _publish_mixture(self, mixture: Parameters, dtype: np.dtype) -> None:
        """Set the parameters and begin the stream of samples."""
        for name, array in published_arrays(mixture, dtype).items():
            setattr(self, name, array)
        self._fitted_type = self.covariance_type
        self._stream = (None, None)
        self._forget(["_reached", "_checkpoint"])

    def _forget(self, names: Iterable[str]) -> None:
        """Attributes that do not hold any longer."""
        for name in names:
            self.__dict__.pop(name, None)

    def _fitted(self) -> Self:
        """The estimator itself; NotFittedError says what a mixture takes."""
        if not self.__sklearn_is_fitted__() and hasattr(self, "_gathered"):
            raise NotFittedError(
                f"This {type(self).__name__} has no mixture yet: partial_fit has "
                f"gathered {self._gathered.n_rows} of the {self._rows_to_start()} rows "
                "that it starts with. Call it with more, or call 'fit'."
            )
        check_is_fitted(self)
        return self

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there is a mixture; rows may have been gathered for one."""
        return hasattr(self, "weights_")
