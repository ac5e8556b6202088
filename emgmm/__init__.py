"""Gaussian mixtures by expectation-maximisation, for people who use scikit-learn.

The modules, from the bottom up; each imports only from those above it:

_algebra            what is done with variances, and with matrices
_ties               what comes first of values that only rounding tells apart
_conditioned        matrices conditioned on what each pattern of values has
_covariances        how covariances are stored: Spherical, Diagonal, Tied, Full
_patterns           patterns of missing values, rows brought together by them
_cached             properties that are computed once, without a lock
_columns            columns that users choose, by index or by name
_inputs             rows as users pass them: masks are NaN, dates are refused
_weights            ones that are not stored, rows chosen evenly by weights
_resolution         the step to which features are rounded, as rows show it
_units              units in which numbers are moderate, what they resolve
_statistics         the additive statistics that EM iterates on
_products           products of matrices with very many columns
_accelerate         extrapolation of EM, and what it has still to gain
_callbacks          scikit-learn's callbacks, told of the tasks of a fit
_threads            threads over blocks, BLAS held to one, scratch memory
_blocks             where rows come from, and sums over blocks of them
_incomplete_blocks  those of rows in which values are missing
_rules              rules of the M-step: volume and shape
_families           the fourteen covariance models: rules of the M-step
_parameters         weights, means and covariances of a mixture
_univariate         mixtures of one feature: probabilities and quantiles
_initialize         starts: rows to labels or responsibilities
_cuts               ways to divide rows in two, of which a component may be split
_charts             coordinates of mixtures near to one another
_mstep              statistics to a mixture, and what keeps it regular
_summary            what one pass tells of rows visited chunk by chunk
_sources            rows that are not all in memory
_posterior          what kernels have in common: log-densities to responsibilities
_deviations         sums of deviations from an origin of each component
_features           quadratic features of rows
_kernels            the two kernels: blocks of rows to log-densities and sums
_incomplete         kernels of rows in which values are missing, accurate anywhere
_by_row             the kernel of rows most of which lack something else
_missing            the fast kernels of such rows
_estep              rows and a mixture to statistics, or to what is told of each
_conditional        what a mixture tells of some features, given others
_sampled            what is told of mixtures by sampling, with its error
_em                 the driver: when to stop, what to tell
_runs               runs of EM from several starts, and what is degenerate
_race               iterations of several starts, which tell the best of them
_split              the default start: components split one after the other
_sweep              many models and numbers of components, fitted together
_defects            what is degenerate in a fit, told
_validation         what users pass, checked
_mixture            Mixture, a distribution
_rows               rows and weights that users pass, checked
_dask               rows in the chunks of Dask arrays and dataframes
_iterables          rows from iterables of blocks, and from large memory maps
_given              rows that users pass, wherever they are
_stepwise           stepwise EM: statistics of a stream, and batches blended in
_published          what a fit publishes, whether it is all of one mind
_files              files of fitted mixtures, written and mistrusted
datasets            the demonstration data
_estimator          GaussianMixtureEM
_selection          GaussianMixtureIC
_drawing            styles and axes of pictures, Gaussians as geometry
_views              what a panel shows: rows, components, and how
_panels             panels of a mixture's picture: one feature, or two
_captions           titles, small print and legends of pictures
_displays           MixtureDisplay
_fit_displays       ConvergenceDisplay, CriterionDisplay
_messages           lines on standard error, text without terminal escapes
_csv                lines of a CSV file, split and checked
_tables             tables in files, read and checked
_outputs            files that the command writes, all or none
_report             a fit described in words and tables
_arguments          what the command can be asked for
_analysis           what the command does: rows are read, fitted, described, written
_command            the command `emgmm`
__main__            the same as `python -m emgmm`
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._defects import DegenerateComponentWarning
    from ._displays import MixtureDisplay
    from ._estimator import GaussianMixtureEM
    from ._fit_displays import ConvergenceDisplay, CriterionDisplay
    from ._mixture import Mixture
    from ._selection import GaussianMixtureIC

__all__ = [
    "ConvergenceDisplay",
    "CriterionDisplay",
    "DegenerateComponentWarning",
    "GaussianMixtureEM",
    "GaussianMixtureIC",
    "Mixture",
    "MixtureDisplay",
]
__version__ = "0.1.0"
# Imported when first asked for: an error of the command need not wait for scikit-learn,
# nor a fit for matplotlib.
_LATER = {
    "ConvergenceDisplay": "._fit_displays",
    "CriterionDisplay": "._fit_displays",
    "DegenerateComponentWarning": "._defects",
    "GaussianMixtureEM": "._estimator",
    "GaussianMixtureIC": "._selection",
    "Mixture": "._mixture",
    "MixtureDisplay": "._displays",
}


def __getattr__(name: str) -> Any:
    """A public name, from the module that defines it."""
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(_LATER[name], __name__), name)
    return value


def __dir__() -> list[str]:
    """All that is there, public names that are not imported yet too."""
    return sorted({*globals(), *_LATER})
