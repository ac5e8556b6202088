"""Warnings of degenerate components and data."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

from sklearn.exceptions import ConvergenceWarning

FLAT = (
    "X has no variance in some direction: a feature is a linear function of others, or "
    "there are no more rows than features"
)


class DegenerateComponentWarning(ConvergenceWarning):
    """Warning that components have too few rows, and may be there by chance.

    Such components have hardly any rows, or have collapsed onto a few rows that are
    nearly equal. A component on many equal rows is a cluster, and causes no warning.

    Examples
    --------
    >>> import warnings
    >>> from emgmm import DegenerateComponentWarning, GaussianMixtureEM
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", DegenerateComponentWarning)
    ...     try:
    ...         GaussianMixtureEM(2).fit([[0.0], [1.0], [2.0], [9.0], [9.0]])
    ...     except DegenerateComponentWarning:
    ...         print("a component has collapsed")
    a component has collapsed
    """

    __module__ = "emgmm"


@dataclass(frozen=True)
class Defects:
    """Reasons to doubt a fit.

    components    in words, what is wrong with which components
    levels        in words, which features are rounded where components have collapsed
    flat          whether all rows together have no variance in some direction
    """

    components: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()
    flat: bool = False

    @property
    def texts(self) -> tuple[str, ...]:
        """All reasons, in words."""
        return (*self.components, *self.levels, *([FLAT] if self.flat else []))

    def __bool__(self) -> bool:
        return bool(self.components) or self.flat


def warn_of_defects(defects: Defects, regularized: bool) -> None:
    """Warn of reasons to doubt a fit: what was found, what it means, what to do."""
    if not defects:
        return
    number = "" if regularized else ", or set reg_covar to a number"
    message = "; ".join(defects.texts) + ". "
    if defects.components:
        message += (
            "The likelihood, and the densities of these components, may be due to "
            "chance: reduce n_components, increase n_init, try another start or a "
            f"covariance_type with fewer parameters{number}. "
        )
    if defects.flat:
        message += (
            "The densities of new rows are not reliable: drop features or choose "
            f"covariance_type='diag' or 'spherical'{number}."
        )
    warnings.warn(
        message.strip(),
        DegenerateComponentWarning,
        stacklevel=5,  # where the user called fit
    )


def warn_of_search(doubts: Iterable[str], flat: bool, ineligible: str) -> None:
    """Warn if no candidate was eligible, or if models with full matrices were not."""
    reasons = "; ".join(doubts)
    message = ""
    if reasons:
        message += (
            f"No candidate of the search is eligible. The one selected: {reasons}. Its "
            "criterion may be due to chance: compare smaller n_components, or other "
            "models. "
        )
    if flat:
        message += (
            f"{FLAT}. Therefore {ineligible} were not eligible: drop features if "
            "models with full covariance matrices are to be compared."
        )
    if message:
        warnings.warn(message.strip(), DegenerateComponentWarning, stacklevel=5)
