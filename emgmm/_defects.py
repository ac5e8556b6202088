"""What is degenerate in a fit, told."""

from __future__ import annotations

import warnings

from sklearn.exceptions import ConvergenceWarning


class DegenerateComponentWarning(ConvergenceWarning):
    """Warning of components that stand for next to no rows, or have no width.

    Densities near such a component, and the likelihood of the fit, mean little.

    Examples
    --------
    >>> import warnings
    >>> from emgmm import DegenerateComponentWarning, GaussianMixtureEM
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", DegenerateComponentWarning)
    ...     try:
    ...         GaussianMixtureEM(2).fit([[0.0], [1.0], [2.0], [9.0], [9.0]])
    ...     except DegenerateComponentWarning:
    ...         print("a component has no width")
    a component has no width
    """


def warn_of_defects(defects: list[str]) -> None:
    """One warning of everything that is wrong with components, and what to do."""
    if defects:
        warnings.warn(
            f"The fit has {'; '.join(defects)}: their densities, and the likelihood, "
            "mean little. Lower n_components, give another start or a greater n_init, "
            "a covariance_type with fewer parameters, or a number for reg_covar; or "
            "drop features that are constant or follow from others.",
            DegenerateComponentWarning,
            stacklevel=5,  # where the user called fit
        )
