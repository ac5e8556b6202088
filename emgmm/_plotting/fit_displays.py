"""ConvergenceDisplay and CriterionDisplay: pictures of a fit and of a search."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emgmm._utils.device import to_host
from emgmm._utils.validation import check_choice

from .captions import BESIDE, entitle, note_above
from .style import (
    axes_or_new,
    best_of,
    fitted,
    merged,
    set_whole_ticks,
    style_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CRITERIA = {"bic": "BIC", "icl": "ICL", "aic": "AIC"}


class ConvergenceDisplay:
    """Picture of convergence: the log-likelihood after each iteration of each start.

    Create it with `from_estimator`, which also draws it, or from log-likelihoods of
    your own and `plot`.

    Parameters
    ----------
    lower_bounds : sequence of array-like of shape (n_iter,)
        For each start, the mean log-likelihood per row after each iteration, in nats.
    best : int, default=0
        Index of the start that was kept.

    Attributes
    ----------
    ax_ : Axes
        Where the picture was drawn.
    figure_ : Figure
        The figure that contains the picture.
    lines_ : list of Line2D
        The curve of each start, with a marker at its last point.
    best_ : Line2D
        The curve of the start that was kept.

    See Also
    --------
    MixtureDisplay : Picture of the fitted mixture.
    CriterionDisplay : Picture of a search.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from emgmm import ConvergenceDisplay, GaussianMixtureEM
    >>> from emgmm.datasets import make_three_components
    >>> X, _ = make_three_components(n_samples=1000, random_state=0)
    >>> gmm = GaussianMixtureEM(n_components=3).fit(X)
    >>> display = ConvergenceDisplay.from_estimator(gmm)
    >>> len(display.lines_[0].get_xdata()) == gmm.n_iter_
    True
    >>> plt.close(display.figure_)
    """

    __module__ = "emgmm"

    def __init__(self, lower_bounds: Sequence[ArrayLike], *, best: int = 0) -> None:
        self.lower_bounds = lower_bounds
        self.best = best

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, ax: Axes | None = None, **kwargs: Any
    ) -> Self:
        """Draw the convergence of a fit.

        Parameters
        ----------
        estimator : GaussianMixtureEM
            A fitted mixture, or a fitted search that has one as `best_estimator_`.
        ax : Axes, default=None
            Where to draw; None creates a figure.
        **kwargs : dict
            Passed to `plot`.

        Returns
        -------
        ConvergenceDisplay
            The display, already drawn.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator has no `lower_bounds_`, as after `from_parameters` or
            `partial_fit`.
        ValueError
            If an argument of `plot` is not valid.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from emgmm import ConvergenceDisplay, GaussianMixtureEM
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gmm = GaussianMixtureEM(n_components=2).fit(X)
        >>> display = ConvergenceDisplay.from_estimator(gmm)
        >>> display.ax_.get_xlabel()
        'iteration'
        >>> plt.close(display.figure_)
        """
        if hasattr(best_of(estimator), "n_steps_"):
            raise TypeError(
                "estimator was fitted by partial_fit, which keeps no history: collect "
                "lower_bound_ after each batch in a list, and draw that with "
                "ConvergenceDisplay([bounds]).plot()."
            )
        fit = fitted(best_of(estimator), "lower_bounds_")
        kept = to_host(fit.lower_bounds_)
        starts = getattr(fit, "lower_bounds_of_starts_", [kept])
        equal = [np.array_equal(bounds, kept) for bounds in starts]
        return cls(starts, best=equal.index(True)).plot(ax=ax, **kwargs)

    def plot(
        self, ax: Axes | None = None, *, kind: str = "log-likelihood", **kwargs: Any
    ) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : Axes, default=None
            Where to draw; None creates a figure.
        kind : {"log-likelihood", "gap"}, default="log-likelihood"
            What to draw: the log-likelihood, or its distance below the last one of the
            kept start. The gap has a logarithmic scale, which shows how fast EM
            converges; it is not drawn where it is zero or negative.
        **kwargs : dict
            Passed to matplotlib's `plot` for the curves.

        Returns
        -------
        ConvergenceDisplay
            The display itself.

        Raises
        ------
        ValueError
            If `kind` is not one of these names.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from emgmm import ConvergenceDisplay
        >>> display = ConvergenceDisplay([[-3.0, -2.0], [-3.0, -2.5, -2.4]])
        >>> display.plot(kind="gap").ax_.get_yscale()
        'log'
        >>> plt.close(display.figure_)
        """
        from matplotlib.lines import Line2D

        check_choice("kind", kind, SCALES)
        scale, label, title, values_of = SCALES[kind]
        self.ax_ = axes_or_new(ax)
        self.figure_ = self.ax_.get_figure()
        curves = [np.asarray(bounds, dtype=np.float64) for bounds in self.lower_bounds]
        self.lines_ = []
        for start, curve in enumerate(values_of(curves, self.best)):
            own = KEPT if start == self.best else OTHERS
            ends = np.flatnonzero(np.isfinite(curve))[-1:].tolist()
            keywords = merged(Line2D, kwargs, **own, markevery=ends)
            self.lines_ += self.ax_.plot(np.arange(len(curve)) + 1, curve, **keywords)
        self.best_ = self.lines_[self.best]
        self.ax_.set(xlabel="iteration", ylabel=label, yscale=scale)
        if scale == "linear":
            self.ax_.ticklabel_format(axis="y", useOffset=False)
        entitle(self.ax_, title)
        set_whole_ticks(self.ax_)
        others = [line for line in self.lines_ if line is not self.best_]
        if others:
            handles = {"kept start": self.best_, "other starts": others[0]}
            self.ax_.legend(list(handles.values()), list(handles))
        return self


class CriterionDisplay:
    """Picture of a search: a criterion by number of components, a line for each model.

    Create it with `from_estimator`, which also draws it, or from candidates of your
    own and `plot`.

    Parameters
    ----------
    n_components : array-like of shape (n_candidates,)
        Number of components of each candidate.
    covariance_types : array-like of shape (n_candidates,)
        Name of the model of each candidate.
    values : array-like of shape (n_candidates,)
        The criterion, lower values being better; NaN where the fit failed.
    criterion : str, default="bic"
        Name of the criterion.
    best : int, default=None
        Index of the candidate to mark; None marks the one with the lowest value.

    Attributes
    ----------
    ax_ : Axes
        Where the picture was drawn.
    figure_ : Figure
        The figure that contains the picture.
    lines_ : list of Line2D
        The line of each model, labelled with its name, in the order of the candidates.
    best_ : Line2D or None
        The star at the best candidate; None if every value is NaN.
    legend_ : Legend
        The legend of the models.
    note_ : Text or None
        The small print, which explains the scale; None if every value is NaN.

    See Also
    --------
    MixtureDisplay : Picture of the fitted mixture.
    ConvergenceDisplay : Picture of its convergence.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from emgmm import CriterionDisplay, GaussianMixtureEM
    >>> from emgmm.datasets import make_three_components
    >>> X, _ = make_three_components(n_samples=1000, random_state=0)
    >>> candidates = [(k, model) for model in ("EII", "VVV") for k in (1, 2, 3, 4)]
    >>> bic = [
    ...     GaussianMixtureEM(k, covariance_type=model).fit(X).bic(X)
    ...     for k, model in candidates
    ... ]
    >>> display = CriterionDisplay(*zip(*candidates), bic).plot()
    >>> float(display.best_.get_xdata()[0])
    3.0
    >>> plt.close(display.figure_)
    """

    __module__ = "emgmm"

    def __init__(
        self,
        n_components: ArrayLike,
        covariance_types: ArrayLike,
        values: ArrayLike,
        *,
        criterion: str = "bic",
        best: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_types = covariance_types
        self.values = values
        self.criterion = criterion
        self.best = best

    @classmethod
    def from_estimator(
        cls,
        search: Any,
        *,
        criterion: str | None = None,
        ax: Axes | None = None,
        **kwargs: Any,
    ) -> Self:
        """Draw the candidates of a search.

        Lines have gaps at candidates that were not eligible. A star marks the choice
        of the search, or the candidate that `criterion` would choose.

        Parameters
        ----------
        search : GaussianMixtureIC
            A fitted search over numbers of components and models.
        criterion : {"bic", "icl", "aic"}, default=None
            The criterion to draw; None draws the criterion of the search.
        ax : Axes, default=None
            Where to draw; None creates a figure.
        **kwargs : dict
            Passed to `plot`.

        Returns
        -------
        CriterionDisplay
            The display, already drawn.

        Raises
        ------
        NotFittedError
            If the search is not fitted.
        TypeError
            If `search` is not such a search, but for instance a fitted mixture.
        ValueError
            If `criterion` is not one of these names.

        Examples
        --------
        >>> from types import SimpleNamespace
        >>> import matplotlib.pyplot as plt
        >>> from emgmm import CriterionDisplay
        >>> search = SimpleNamespace(
        ...     criterion="bic", criterion_=[9.0, 7.0, 8.0], best_index_=1,
        ...     results_={
        ...         "n_components": [1, 2, 3], "covariance_type": ["full"] * 3,
        ...         "icl": [9.0, 8.5, 8.0], "eligible": [True, True, True],
        ...     },
        ... )
        >>> display = CriterionDisplay.from_estimator(search, criterion="icl")
        >>> display.ax_.get_ylabel()
        'ICL (lower is better)'
        >>> plt.close(display.figure_)
        """
        if not hasattr(search, "criterion"):
            raise TypeError(
                f"search is a {type(search).__name__}, but CriterionDisplay draws a "
                "search over models and numbers of components: pass a fitted "
                "GaussianMixtureIC. To draw a single fit, use MixtureDisplay or "
                "ConvergenceDisplay."
            )
        fitted(search, "results_", "criterion_", "best_index_")
        results, best = search.results_, search.best_index_
        if criterion is None:
            values, name = to_host(search.criterion_), search.criterion
        else:
            check_choice("criterion", criterion, CRITERIA)
            values, name, best = results[criterion], criterion, None
        display = cls(
            results["n_components"],
            results["covariance_type"],
            np.where(results["eligible"], np.asarray(values, dtype=float), np.nan),
            criterion=name if isinstance(name, str) else _called(name),
            best=best,
        )
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax: Axes | None = None, **kwargs: Any) -> Self:
        """Draw a line for each model, and mark the best candidate.

        The scale shows differences from the best candidate. It is linear up to a
        difference of 10, which counts as decisive for BIC, and logarithmic beyond, so
        that candidates close to the best can be distinguished and all are in the
        picture. For criteria other than BIC, ICL and AIC it is linear up to about a
        tenth of the median difference. Call `ax_.set_yscale` afterwards for another
        scale.

        Parameters
        ----------
        ax : Axes, default=None
            Where to draw; None creates a figure. The legend is to the right of the
            Axes if the figure makes room for it, as with `layout="constrained"`, and
            otherwise within.
        **kwargs : dict
            Passed to matplotlib's `plot` for the lines.

        Returns
        -------
        CriterionDisplay
            The display itself.

        Examples
        --------
        >>> import matplotlib.pyplot as plt
        >>> from emgmm import CriterionDisplay
        >>> models = ["EII", "EII", "VVV", "VVV"]
        >>> display = CriterionDisplay([1, 2, 1, 2], models, [9.0, 8.0, 7.0, 6.0])
        >>> [line.get_label() for line in display.plot().lines_]
        ['EII', 'VVV']
        >>> plt.close(display.figure_)
        """
        from matplotlib.lines import Line2D

        self.ax_ = axes_or_new(ax)
        self.figure_ = self.ax_.get_figure()
        numbers, models = (
            np.asarray(self.n_components),
            np.asarray(self.covariance_types),
        )
        values = np.asarray(self.values, dtype=np.float64)
        self.lines_ = []
        for index, model in enumerate(dict.fromkeys(models.tolist())):
            own = np.flatnonzero(models == model)
            own = own[np.argsort(numbers[own], kind="stable")]
            style = merged(
                Line2D, kwargs, **style_of(index), linewidth=1.2, markersize=5
            )
            self.lines_ += self.ax_.plot(
                numbers[own], values[own], label=model, **style
            )
        name = CRITERIA.get(self.criterion, self.criterion)
        self.ax_.set(xlabel="number of components", ylabel=f"{name} (lower is better)")
        set_whole_ticks(self.ax_)
        self.ax_.margins(x=0.08, y=0.16)
        self.best_ = self._mark(numbers, models, values)
        entitle(self.ax_, f"{name} by number of components")
        self._spread(values)
        has_room = self.figure_.get_layout_engine() is not None
        place: dict[str, Any] = {"loc": "best", "ncols": 2}
        if has_room:
            place = dict(BESIDE)
        self.legend_ = self.ax_.legend(handles=self.lines_, fontsize="small", **place)
        return self

    def _spread(self, values: NDArray) -> None:
        """Set the scale of the criterion: linear near the best, logarithmic beyond."""
        from matplotlib.ticker import FixedLocator, FuncFormatter

        self.note_ = None
        if self.best_ is None:
            return
        best = float(self.best_.get_ydata()[0])
        unit = _unit(values[np.isfinite(values)] - best, self.criterion)
        to, fro = (partial(each, best=best, unit=unit) for each in (_height, _value))
        self.ax_.set_yscale("function", functions=(to, fro))
        ticks = [best + unit * step for step in (0, *_steps(values, best, unit))]
        self.ax_.yaxis.set_major_locator(FixedLocator(ticks))
        label = partial(_difference, best=best, unit=unit)
        self.ax_.yaxis.set_major_formatter(FuncFormatter(label))
        phrase = f"differences from the best, on a log scale beyond {unit:g}"
        gaps = ["gaps: not eligible"] if np.isnan(values).any() else []
        self.note_ = note_above(self.ax_, [phrase, *gaps])

    def _mark(self, numbers: NDArray, models: NDArray, values: NDArray) -> Any:
        """Draw a star at the best candidate, with its name; None if there is none."""
        if not np.isfinite(values).any():
            return None
        best = int(np.nanargmin(values)) if self.best is None else self.best
        place = (numbers[best], values[best])
        self.ax_.axvline(place[0], color="0.7", linewidth=0.8, linestyle=":", zorder=0)
        self.ax_.annotate(
            f"{models[best]}, {numbers[best]}",
            place,
            xytext=(0, -9),
            textcoords="offset points",
            horizontalalignment="center",
            verticalalignment="top",
            bbox={"facecolor": "white", "linewidth": 0, "pad": 0.5},
            zorder=2.4,  # on the lines, below the frame
        )
        star: dict[str, Any] = {
            "marker": "*",
            "markersize": 14,
            "color": "black",
            "zorder": 3,
        }
        return self.ax_.plot(*place, markeredgecolor="white", **star)[0]


def _log_likelihoods(curves: list[NDArray], best: int) -> list[NDArray]:
    """The curves themselves."""
    return curves


def _gaps(curves: list[NDArray], best: int) -> list[NDArray]:
    """Distances of curves below the last value of the best; NaN if not positive."""
    last = curves[best][-1:] if len(curves[best]) else np.array([np.nan])
    gaps = [last - curve for curve in curves]
    return [np.where(gap > 0, gap, np.nan) for gap in gaps]


SCALES = {
    "log-likelihood": (
        "linear",
        "mean log-likelihood",
        "Log-likelihood by iteration",
        _log_likelihoods,
    ),
    "gap": (
        "log",
        "mean log-likelihood still to be gained",
        "Convergence to the last log-likelihood",
        _gaps,
    ),
}
DECISIVE = 10.0  # difference of BIC (Kass and Raftery, 1995)
KEPT = {"color": "#0072B2", "linewidth": 2.2, "marker": "o", "zorder": 3}
OTHERS = {"color": "0.6", "linewidth": 0.8, "marker": ".", "zorder": 2}


def _called(function: Any) -> str:
    """The name of a criterion that is a function."""
    return getattr(function, "__name__", "criterion")


def _unit(differences: NDArray, criterion: str) -> float:
    """The difference up to which the scale is linear.

    For a criterion of other units it is a tenth of the median difference, rounded to a
    power of ten.
    """
    if criterion in CRITERIA:
        return DECISIVE
    usual = np.median(np.abs(differences))
    return float(10 ** np.round(np.log10(usual / 10))) if usual > 0 else 1.0


def _steps(values: NDArray, best: float, unit: float) -> list[float]:
    """Differences at ticks in units: 1, 2, 5, 10, ... up to the worst candidate."""
    farthest = (np.nanmax(values) - best) / unit
    powers = 10.0 ** np.arange(int(np.ceil(np.log10(max(farthest, 1)))) + 1)
    steps = np.outer(powers, [1, 2, 5]).ravel()
    return steps[steps <= 1.001 * max(farthest, 1)].tolist()


def _height(value: NDArray, best: float, unit: float) -> NDArray:
    """The height at which a value of the criterion is drawn."""
    return np.arcsinh((value - best) / unit)


def _value(height: NDArray, best: float, unit: float) -> NDArray:
    """The value of the criterion that is drawn at a height."""
    return best + unit * np.sinh(height)


def _difference(value: float, _: int | None, best: float, unit: float) -> str:
    """The label of a tick: the best value itself, and differences from it."""
    digits = max(0, -int(np.floor(np.log10(unit))))
    return f"{best:.{digits}f}" if value == best else f"+{value - best:.6g}"
