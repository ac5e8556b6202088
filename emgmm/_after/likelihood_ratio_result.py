"""LikelihoodRatioResult: tests of numbers of components, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from numpy.typing import NDArray

from emgmm._utils.validation import pandas_for_frames


class LikelihoodRatio(NamedTuple):
    """A test of so many components against one more: the statistic, twice the gain in
    log-likelihood; its p-value; the statistics of the replicates (B,); how many were
    left out because a fit failed; and in how many components were degenerate."""

    n_components: int
    statistic: float
    p_value: float
    replicates: NDArray
    n_failed: int = 0
    n_degenerate: int = 0


@dataclass(frozen=True, eq=False, repr=False)
class LikelihoodRatioResult:
    """What `likelihood_ratio_test` has found: the number of components.

    Parameters
    ----------
    tests : tuple of LikelihoodRatio
        The tests that were done, in order. Each has `n_components`, the number under
        the null hypothesis, against one more; `statistic`, twice the difference of the
        log-likelihoods; `p_value`; `replicates` (n_resamples,), the statistics of
        samples from the null hypothesis; `n_failed`, how many of these are missing
        because a fit failed; and `n_degenerate`, in how many a component is degenerate.
    alpha : float
        Level of each test.
    covariance_type : str
        The model.

    Attributes
    ----------
    n_components : int
        The number of components that is not rejected, or the greatest that was fitted
        if all smaller ones are.

    See Also
    --------
    likelihood_ratio_test : Creates it.
    LikelihoodRatioDisplay : Draws it.

    Examples
    --------
    >>> from emgmm import GaussianMixtureEM, likelihood_ratio_test
    >>> from emgmm.datasets import make_three_components
    >>> X, _ = make_three_components(n_samples=100, random_state=0)
    >>> gmm = GaussianMixtureEM(covariance_type="tied")
    >>> result = likelihood_ratio_test(gmm, X, 2, n_resamples=19, random_state=0)
    >>> result.n_components, result.tests[0].p_value
    (2, 0.05)
    """

    __module__ = "emgmm"

    tests: tuple[LikelihoodRatio, ...]
    alpha: float
    covariance_type: str

    @property
    def n_components(self) -> int:
        """The number of components that is not rejected."""
        last = self.tests[-1]
        return last.n_components + (last.p_value <= self.alpha)

    def to_frame(self) -> Any:
        """The tests as a table.

        Returns
        -------
        pandas.DataFrame
            A row for each test, with the columns "null", "alternative" (numbers of
            components), "statistic", "p_value", "n_resamples", "n_failed" and
            "n_degenerate".

        Raises
        ------
        ImportError
            If pandas is not installed.
        """
        return pandas_for_frames(", or use the attribute tests").DataFrame(
            [
                (
                    *(test.n_components, test.n_components + 1),
                    *(test.statistic, test.p_value, len(test.replicates)),
                    *(test.n_failed, test.n_degenerate),
                )
                for test in self.tests
            ],
            columns=[
                *("null", "alternative", "statistic", "p_value", "n_resamples"),
                *("n_failed", "n_degenerate"),
            ],
        )

    def __repr__(self) -> str:
        """The tests in a table, and the number of components."""
        lines = [
            f"{test.n_components:4d} against {test.n_components + 1:<4d}"
            f"{test.statistic:10.3f}  {test.p_value:.4g}"
            for test in self.tests
        ]
        return "\n".join(
            [
                f"Likelihood-ratio tests of components, {self.covariance_type}, "
                f"{len(self.tests[0].replicates)} resamples",
                "components       statistic  p-value",
                *lines,
                f"{self.n_components} components (alpha={self.alpha:g})",
            ]
        )
