"""The streaming half of GaussianMixtureEM: `partial_fit`, by stepwise EM."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from ._data.arrays import RowBlocks
from ._data.sources import refuse_blocks
from ._data.validation import (
    check_batch,
    check_enough_rows,
    check_something_observed,
)
from ._em.fixed import FixedParts
from ._em.known_labels import memberships_of
from ._em.problem import SINGULAR
from ._em.progress import Progress
from ._em.stepwise import (
    START_ITER,
    StartBuffer,
    StreamState,
    rows_to_start,
    share_of,
)
from ._estep.memberships import Memberships
from ._fit_parameters import FitParameters
from ._model.agreement import NOISE_WEIGHT, OF_NOISE
from ._model.families import FAMILIES, Families
from ._model.parameters import Parameters
from ._model.published import N_FIXED, published_arrays
from ._utils.device import follow, to_host
from ._utils.sklearn_private import fit_context
from ._utils.threads import BLAS
from ._utils.validation import restore_on_error

OF_FIT = "labels_ converged_ n_iter_ lower_bounds_ lower_bounds_of_starts_".split()
OF_STREAM = ("n_steps_", "_running", "_gathered")
"""What a fit publishes that `partial_fit` does not, and the reverse."""


class PartialFit(FitParameters):
    """The part of GaussianMixtureEM that takes rows in batches."""

    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: ArrayLike,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        known_labels: ArrayLike | None = None,
    ) -> Self:
        """Update the mixture with a batch of rows, by stepwise EM.

        Each batch moves the expected statistics by a share, `step`, towards those of
        the batch under the current mixture, and an M-step gives the next mixture [1]_
        [2]_. Memory does not grow with the number of batches. If you pass a fixed data
        set several times, shuffle its rows before each pass.

        The first rows are gathered until there are enough for a start: 20
        `n_components` (`n_features` + 1), or fewer if these are more than 2^20 numbers.
        Until then the estimator is not fitted. The start is that of `fit`
        (`init_params`, `n_init`), with at most 20 iterations; an array `init_params`
        has to describe exactly these first rows. One large batch gives a better start
        than several small ones.

        After `fit`, `load` or `from_parameters`, the first call continues from that
        mixture as if its rows had come in batches (after `from_parameters`, as many
        rows as a start needs). `fit` discards all batches. Attributes that you assign
        change how the next batch is evaluated, not the statistics of earlier rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows, at least one; NaN is a missing value, as in `fit`. Parameters are
            float32 if all rows of the start are.
        y : Ignored
            Present by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row; a weight of 2 means that the row occurs twice. A batch
            of weight zero changes nothing.
        known_labels : array-like of shape (n_samples,) or (n_samples, n_components), \
                default=None
            What is known of the components of rows, as in `fit`.

        Returns
        -------
        GaussianMixtureEM
            The estimator itself. If the call fails, it is left as it was.

        Raises
        ------
        ValueError
            If the data or a parameter are invalid; if the number of features,
            `n_components` or `covariance_type` have changed; if `step` is not a number
            in (0, 1]; if a feature has no value at all in the rows of the start; or if
            `reg_covar` is a number that is too small, so that a covariance is singular.

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
            known = memberships_of(known_labels, rows, self.n_components, whole=False)
            if self.__sklearn_is_fitted__():
                self._blend(rows, known)
            else:
                self._gather(rows, known)
            follow(self, X)
        return self

    def _gather(self, rows: RowBlocks, known: Memberships | None) -> None:
        """Add rows to those gathered for the start, and start when they are enough."""
        start, needed = self.init_params, self._rows_to_start()
        all_count = not isinstance(start, str) and not callable(start)
        gathered = getattr(self, "_gathered", StartBuffer())
        seen = rows.summary
        enough = (seen.n_samples if all_count else seen.n_weighted) >= needed
        if gathered.batches or not enough:
            prior = np.ones((seen.n_samples, self.n_components))
            if known is not None:
                prior = rows.to_input_order(known.weights(self.n_components))
            self._gathered = gathered = gathered.with_batch(rows, prior, all_count)
            if gathered.n_rows < needed:
                return
            rows = gathered.rows
            known = memberships_of(gathered.prior, rows, self.n_components)
        check_something_observed(self, rows)
        check_enough_rows(rows, self.n_components)
        with nullcontext() if callable(start) else BLAS.single_threaded():
            n_iter = min(self.max_iter, START_ITER)
            problem = self._problem(rows).with_options(max_iter=n_iter)
            problem = replace(problem, memberships=known)
            problem, starts = self._with_starts(problem, rows)
            progress = Progress(self.verbose, self.verbose_interval)
            results = problem.runs(starts, progress)
        with BLAS.single_threaded():
            best = problem.numbered(problem.best(results.kept).mixture)
            running = StreamState.from_problem(problem, best)
            self._publish_running(running, best.in_units(1 / problem.units), rows)

    def _rows_to_start(self) -> int:
        """The number of rows that `partial_fit` starts with."""
        family, start = FAMILIES[self.covariance_type], self.init_params
        return rows_to_start(family, self.n_components, self.n_features_in_, start)

    def _blend(self, rows: RowBlocks, known: Memberships | None) -> None:
        """Blend rows into the statistics, and publish the mixture that follows."""
        self._check_same_model()
        with BLAS.single_threaded():
            mixture, running = self._published().agreed, self._stream_state()
            number = running.n_steps + 1
            share = share_of(self.step, running.weight, rows.summary.weight, number)
            running = running.blended(rows, mixture, share, known)
            self._publish_running(running, mixture, rows)

    def _check_same_model(self) -> None:
        """ValueError if the parameters no longer ask for the published mixture."""
        wanted = FAMILIES.get(self.covariance_type)
        published = self._published()
        n_components, family = published.sizes[0], published.family
        if n_components != self.n_components or family is not wanted:
            raise ValueError(
                f"n_components={self.n_components} and covariance_type="
                f"{self.covariance_type!r}, but partial_fit continues a mixture of "
                f"{n_components} components of the model {family.name}: set both back, "
                "or start afresh with fit or a clone."
            )
        has_noise = NOISE_WEIGHT in published.arrays
        if has_noise != (self.noise is not None):
            raise ValueError(
                f"noise={self.noise!r}, but partial_fit continues a mixture "
                f"{'with' if has_noise else 'without'} noise: set it back, or start "
                "afresh with fit or a clone."
            )

    def _stream_state(self) -> StreamState:
        """The state that `partial_fit` continues from, which a fit may have to make."""
        if hasattr(self, "_running"):
            return self._running
        published = self._published()
        weight = rows_to_start(published.family, *published.sizes, "")
        running = StreamState.from_mixture(
            published.agreed,
            getattr(self, "n_samples_seen_", float(weight)),
            getattr(self, "lower_bound_", np.nan),
            published.family,
            0.0 if isinstance(self.reg_covar, str) else self.reg_covar,
        )
        prior = self._prior(running.units, running.moments)
        return (
            running.without(prior, Families.one(published.family)) if prior else running
        )

    def _publish_running(
        self, running: StreamState, before: Parameters, rows: RowBlocks
    ) -> None:
        """Set the attributes of a stream from its statistics."""
        scale = running.scale(rows.summary.resolution)
        mstep = self._mstep(scale, running.units, running.moments).inexact
        mstep = mstep.with_prior_times(1 / running.weight)
        near = before.in_units(running.units)
        mstep = replace(mstep, noise=near.noise)
        try:
            with np.errstate(all="ignore"):
                mixture = mstep.estimate_one(running.statistics, near)
        except np.linalg.LinAlgError as error:
            raise ValueError(SINGULAR) from error
        means = np.asarray(to_host(getattr(self, "means_", rows.X)))
        dtype = np.result_type(means, np.float32)
        self._publish_mixture(mixture.in_units(1 / running.units), dtype)
        self._forget((*OF_FIT, "_gathered"))
        self._running = running
        self.n_samples_seen_, self.n_steps_ = running.weight, running.n_steps
        self.lower_bound_ = float(running.statistics.log_likelihood[0])

    def _publish_mixture(self, mixture: Parameters, dtype: np.dtype) -> None:
        """Set the attributes that are parameters, and restart the random draws."""
        self._forget(OF_NOISE)
        for name, array in published_arrays(mixture, dtype).items():
            setattr(self, name, array)
        self._fitted_type = self.covariance_type
        self._stream = (None, None)
        self._forget(["_reached", "_checkpoint", N_FIXED])
        family = FAMILIES[self.covariance_type]
        parts = FixedParts.of(self.fixed, family, len(mixture.weights))
        if parts:
            setattr(self, N_FIXED, parts.n_parameters(family, mixture.means.shape[1]))

    def _forget(self, names: Iterable[str]) -> None:
        """Delete attributes that no longer apply."""
        for name in names:
            self.__dict__.pop(name, None)

    def _fitted(self) -> Self:
        """The estimator itself; NotFittedError says what is missing for a mixture."""
        if not self.__sklearn_is_fitted__() and hasattr(self, "_gathered"):
            raise NotFittedError(
                f"This {type(self).__name__} is not fitted yet: partial_fit has "
                f"gathered {self._gathered.n_rows} of the {self._rows_to_start()} rows "
                "that a start needs. Pass it more rows, or call 'fit'."
            )
        check_is_fitted(self)
        return self

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there is a mixture; rows gathered for a start are none."""
        return hasattr(self, "weights_")
