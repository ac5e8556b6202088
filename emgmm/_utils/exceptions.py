"""What is degenerate in a fit, told."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

from sklearn.exceptions import ConvergenceWarning

FLAT = (
    "X has no width in some direction: features follow from others, or outnumber rows"
)


class DegenerateComponentWarning(ConvergenceWarning):
    """Warning of components that may be there by chance: of too few rows.

    They hold next to no rows, or have collapsed onto a few that are nearly equal. So
    many that are equal are a cluster, of which nothing is said.

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
    """What puts a fit in doubt, in words.

    components    what is wrong with components
    levels        which features take few values where components have collapsed
    flat          whether the rows as a whole have no width in some direction
    """

    components: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()
    flat: bool = False

    @property
    def texts(self) -> tuple[str, ...]:
        """What was found."""
        return (*self.components, *self.levels, *([FLAT] if self.flat else []))

    def __bool__(self) -> bool:
        return bool(self.components) or self.flat


def warn_of_defects(defects: Defects, regularized: bool) -> None:
    """One warning of what puts a fit in doubt, what it means, and what to do."""
    if not defects:
        return
    number = "" if regularized else ", or a number for reg_covar"
    message = "; ".join(defects.texts) + ". "
    if defects.components:
        message += (
            "The likelihood, and densities near there, may be due to chance: lower "
            "n_components, try another start or a greater n_init, or a "
            f"covariance_type with fewer parameters{number}. "
        )
    if defects.flat:
        message += (
            "Densities of other rows mean little: drop features, or choose "
            f"covariance_type='diag' or 'spherical'{number}."
        )
    warnings.warn(
        message.strip(),
        DegenerateComponentWarning,
        stacklevel=5,  # where the user called fit
    )


def warn_of_search(against: Iterable[str], flat: bool, left_out: str) -> None:
    """One warning if no candidate was eligible, or none with free matrices can be."""
    reasons = "; ".join(against)
    message = ""
    if reasons:
        message += (
            f"No candidate of the search is eligible. Of the one selected: {reasons}. "
            "Its criterion may be due to chance: compare fewer components, or other "
            "models. "
        )
    if flat:
        message += (
            f"{FLAT}. {left_out} were not eligible: drop features to have models with "
            "matrices compared."
        )
    if message:
        warnings.warn(message.strip(), DegenerateComponentWarning, stacklevel=5)
