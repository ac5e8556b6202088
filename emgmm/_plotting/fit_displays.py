"""ConvergenceDisplay and CriterionDisplay: how a fit went, what a search found."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .captions import BESIDE, entitle, note_above
from .style import (
    axes_or_new,
    best_of,
    check_choice,
    fitted,
    merged,
    set_whole_ticks,
    style_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CRITERIA = {"bic": "BIC", "icl": "ICL", "aic": "AIC"}


class ConvergenceDisplay:
    """Log-likelihood after each iteration of EM, for each start.

    Parameters
    ----------
    lower_bounds : sequence of ndarray of shape (n_iter,)
        Mean log-likelihood of a row after each iteration, for each start, in nats.
    best : int, default=0
        Index of the start that was kept.

    Attributes
    ----------
    ax_ : Axes
        What was drawn into.
    figure_ : Figure
        The figure.
    lines_ : list of Line2D
        The curve of each start, marked at its last point.
    best_ : Line2D
        That of the start that was kept.

    See Also
    --------
    MixtureDisplay : The fitted mixture.

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
        """Draw how a fit went.

        Parameters
        ----------
        estimator : GaussianMixtureEM
            A fitted mixture, or a search that has one as `best_estimator_`.
        ax : Axes, default=None
            Where to draw; a new figure if None.
        **kwargs : dict
            Passed to `plot`.

        Returns
        -------
        ConvergenceDisplay
            The display, drawn.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator has no `lower_bounds_`, such as one of `from_parameters`
            or `partial_fit`.
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
                "estimator was fitted by partial_fit, which keeps no course: draw what "
                "lower_bound_ was after each batch, ConvergenceDisplay([bounds])."
            )
        fit = fitted(best_of(estimator), "lower_bounds_")
        kept = fit.lower_bounds_
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
            Where to draw; a new figure if None.
        kind : {"log-likelihood", "gap"}, default="log-likelihood"
            What to draw: the log-likelihood, or on a logarithmic scale what it lacks
            of the last one of the kept start, where that is more than nothing. The
            second shows how fast EM converges.
        **kwargs : dict
            Passed to matplotlib's `plot`, for the curves.

        Returns
        -------
        ConvergenceDisplay
            The display itself.

        Raises
        ------
        ValueError
            If `kind` is not one of the two.

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
    """BIC, ICL or AIC by number of components, a line for each model.

    Parameters
    ----------
    n_components : array-like of shape (n_candidates,)
        Numbers of components.
    covariance_types : array-like of shape (n_candidates,)
        Names of the models.
    values : array-like of shape (n_candidates,)
        The criterion, of which less is better; NaN where the fit failed.
    criterion : str, default="bic"
        Name of the criterion.
    best : int, default=None
        Index of the candidate to be marked; that of the least value if None.

    Attributes
    ----------
    ax_ : Axes
        What was drawn into.
    figure_ : Figure
        The figure.
    lines_ : list of Line2D
        The line of each model, labelled by its name, in the order of the candidates.
    best_ : Line2D or None
        The star at the best candidate; None if there is none.
    legend_ : Legend
        The legend of the models.
    note_ : Text or None
        The small print: how the criterion is scaled; None if there is none to draw.

    See Also
    --------
    MixtureDisplay : The fitted mixture.

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
        """Draw what a search found. Candidates that are not eligible are gaps.

        Parameters
        ----------
        search : estimator
            A fitted search over numbers of components and models, with `results_`.
        criterion : {"bic", "icl", "aic"}, default=None
            What to draw; what the search went by if None.
        ax : Axes, default=None
            Where to draw; a new figure if None.
        **kwargs : dict
            Passed to `plot`.

        Returns
        -------
        CriterionDisplay
            The display, drawn. Marked is the search's choice, or with another
            criterion the candidate that this would choose.

        Raises
        ------
        NotFittedError
            If the search is not fitted.
        TypeError
            If `search` is no such search, but one fitted mixture for instance.
        ValueError
            If `criterion` is unknown.

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
        'ICL (less is better)'
        >>> plt.close(display.figure_)
        """
        if not hasattr(search, "criterion"):
            raise TypeError(
                f"search is a {type(search).__name__}, but CriterionDisplay draws what "
                "a search over models and numbers of components found: give a fitted "
                "GaussianMixtureIC. To draw one fit, use MixtureDisplay or "
                "ConvergenceDisplay."
            )
        fitted(search, "results_", "criterion_", "best_index_")
        results, best = search.results_, search.best_index_
        if criterion is None:
            values, name = search.criterion_, search.criterion
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

        Differences from the best are on a linear scale where they are small and on a
        logarithmic one beyond 10, which is decisive of BIC (beyond a tenth of what is
        usual, of other criteria): candidates close to the best are apart, and all are
        in the picture. For another scale call `ax_.set_yscale` afterwards.

        Parameters
        ----------
        ax : Axes, default=None
            Where to draw; a new figure if None. The legend stands on its right if
            the figure makes room for it, as `layout="constrained"` does, else within.
        **kwargs : dict
            Passed to matplotlib's `plot`, for the lines.

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
        sizes, models = np.asarray(self.n_components), np.asarray(self.covariance_types)
        values = np.asarray(self.values, dtype=np.float64)
        self.lines_ = []
        for index, model in enumerate(dict.fromkeys(models.tolist())):
            own = np.flatnonzero(models == model)
            own = own[np.argsort(sizes[own], kind="stable")]
            look = merged(
                Line2D, kwargs, **style_of(index), linewidth=1.2, markersize=5
            )
            self.lines_ += self.ax_.plot(sizes[own], values[own], label=model, **look)
        name = CRITERIA.get(self.criterion, self.criterion)
        self.ax_.set(xlabel="number of components", ylabel=f"{name} (less is better)")
        set_whole_ticks(self.ax_)
        self.ax_.margins(x=0.08, y=0.16)
        self.best_ = self._mark(sizes, models, values)
        entitle(self.ax_, f"{name} by number of components")
        self._spread(values)
        has_room = self.figure_.get_layout_engine() is not None
        place: dict[str, Any] = {"loc": "best", "ncols": 2}
        if has_room:
            place = dict(BESIDE)
        self.legend_ = self.ax_.legend(handles=self.lines_, fontsize="small", **place)
        return self

    def _spread(self, values: NDArray) -> None:
        """Scale of the criterion: linear near the best, logarithmic far from it."""
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

    def _mark(self, sizes: NDArray, models: NDArray, values: NDArray) -> Any:
        """A star at the best candidate, and its name below."""
        if not np.isfinite(values).any():
            return None
        best = int(np.nanargmin(values)) if self.best is None else self.best
        place = (sizes[best], values[best])
        self.ax_.axvline(place[0], color="0.7", linewidth=0.8, linestyle=":", zorder=0)
        self.ax_.annotate(
            f"{models[best]}, {sizes[best]}",
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
    """The curves as they are."""
    return curves


def _gaps(curves: list[NDArray], best: int) -> list[NDArray]:
    """What the curves lack of the last value of the best; NaN where nothing."""
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
DECISIVE = 10.0  # a difference between criteria (Kass and Raftery, 1995)
KEPT = {"color": "#0072B2", "linewidth": 2.2, "marker": "o", "zorder": 3}
OTHERS = {"color": "0.6", "linewidth": 0.8, "marker": ".", "zorder": 2}


def _called(function: Any) -> str:
    """What a criterion that is a function is called."""
    return getattr(function, "__name__", "criterion")


def _unit(differences: NDArray, criterion: str) -> float:
    """Differences up to this are drawn on a linear scale.

    Of another criterion than those it is a tenth of what candidates usually lack,
    rounded to a power of ten.
    """
    if criterion in CRITERIA:
        return DECISIVE
    usual = np.median(np.abs(differences))
    return float(10 ** np.round(np.log10(usual / 10))) if usual > 0 else 1.0


def _steps(values: NDArray, best: float, unit: float) -> list[float]:
    """Differences at ticks, in units: 1, 2, 5, 10, ... up to the worst candidate."""
    farthest = (np.nanmax(values) - best) / unit
    powers = 10.0 ** np.arange(int(np.ceil(np.log10(max(farthest, 1)))) + 1)
    steps = np.outer(powers, [1, 2, 5]).ravel()
    return steps[steps <= 1.001 * max(farthest, 1)].tolist()


def _height(value: NDArray, best: float, unit: float) -> NDArray:
    """Where a criterion is drawn."""
    return np.arcsinh((value - best) / unit)


def _value(height: NDArray, best: float, unit: float) -> NDArray:
    """The criterion that is drawn at a height."""
    return best + unit * np.sinh(height)


def _difference(value: float, _: int | None, best: float, unit: float) -> str:
    """A tick: the best criterion itself, what others have more."""
    digits = max(0, -int(np.floor(np.log10(unit))))
    return f"{best:.{digits}f}" if value == best else f"+{value - best:.6g}"
