"""Summaries of fitted mixtures and of searches: text, HTML and data frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emgmm._utils.text import (
    WIDTH,
    as_html,
    columns_of_lines,
    html_table,
    number_table,
    shortened,
    text_table,
)
from emgmm._utils.validation import pandas_for_frames

DESCRIPTIONS = {
    "EII": "equal spheres",
    "VII": "spheres",
    "EEI": "equal ellipsoids, parallel to the axes",
    "VEI": "ellipsoids of equal shape, parallel to the axes",
    "EVI": "ellipsoids of equal volume, parallel to the axes",
    "VVI": "ellipsoids parallel to the axes",
    "EEE": "equal ellipsoids",
    "VEE": "ellipsoids of equal shape and orientation",
    "EVE": "ellipsoids of equal volume and orientation",
    "VVE": "ellipsoids of equal orientation",
    "EEV": "ellipsoids of equal volume and shape",
    "VEV": "ellipsoids of equal shape",
    "EVV": "ellipsoids of equal volume",
    "VVV": "ellipsoids with nothing in common",
}
"""What the components of each model look like."""


@dataclass(frozen=True, eq=False, repr=False)
class MixtureSummary:
    """Summary of a mixture, as `summary` of an estimator returns it.

    `str` returns text of 79 columns, `text` that of another width or of all features;
    notebooks show tables. What is not known is None.

    Attributes
    ----------
    model : str
        The covariance model, three letters; `description` is the model in words.
    feature_names : tuple of str
        Names of the features, "feature 0" and so on if they have none.
    weights : ndarray of shape (n_components,)
        Weights of the components.
    means, standard_deviations : ndarray of shape (n_components, n_features)
        Means and standard deviations of the components.
    n_parameters : int
        Number of free parameters.
    noise_weight : float or None
        Weight of the noise, if there is noise.
    n_samples : float or None
        Number of rows, or the sum of their weights.
    log_likelihood : float or None
        Log-likelihood of the rows, in nats.
    bic, icl, aic : float or None
        Information criteria; lower is better.
    converged : bool or None
        Whether the fit stopped by `tol`.
    n_iter : int or None
        Number of EM iterations.
    sizes : ndarray of shape (n_components,) or None
        Number of rows, or their weight, that are assigned to each component.
    noise_size : float or None
        The same of the noise.
    uncertainty : float or None
        Mean over the rows of one minus the greatest probability.
    uncertainties : ndarray of shape (n_components,) or None
        The same over the rows of each component; NaN without rows.
    uncertain : dict of float to float, or None
        Number of rows, or their weight, with an uncertainty above each of the keys.
    warnings : tuple of str or None
        Reasons to doubt the fit, worded as in the warnings of `fit`.

    Examples
    --------
    >>> from emgmm import GaussianMixtureEM
    >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
    >>> summary = GaussianMixtureEM(n_components=2).fit(X).summary(X)
    >>> summary
    <MixtureSummary VVV: n_components=2, n_features=1, bic=31.87>
    >>> summary.sizes
    array([3., 3.])
    """

    model: str
    feature_names: tuple[str, ...]
    weights: NDArray
    means: NDArray
    standard_deviations: NDArray
    n_parameters: int
    noise_weight: float | None = None
    n_samples: float | None = None
    log_likelihood: float | None = None
    bic: float | None = None
    icl: float | None = None
    aic: float | None = None
    converged: bool | None = None
    n_iter: int | None = None
    sizes: NDArray | None = None
    noise_size: float | None = None
    uncertainty: float | None = None
    uncertainties: NDArray | None = None
    uncertain: dict[float, float] | None = None
    warnings: tuple[str, ...] | None = None

    __module__ = "emgmm"

    @property
    def n_components(self) -> int:
        """Number of components."""
        return len(self.weights)

    @property
    def n_features(self) -> int:
        """Number of features."""
        return self.means.shape[1]

    @property
    def description(self) -> str:
        """The model in words."""
        plural = "s" if self.n_components > 1 else ""
        shapes = DESCRIPTIONS[self.model]
        return f"{self.model} with {self.n_components} component{plural}: {shapes}"

    def __repr__(self) -> str:
        bic = "" if self.bic is None else f", bic={self.bic:.2f}"
        return (
            f"<MixtureSummary {self.model}: n_components={self.n_components}, "
            f"n_features={self.n_features}{bic}>"
        )

    def __str__(self) -> str:
        return self.text()

    def text(self, width: int = WIDTH, all_features: bool = False) -> str:
        """The summary as lines of some width, of all features or those that fit."""
        parts = (
            *self._facts(),
            "",
            *text_table(*self._components()),
            "",
            *self._moments(width, all_features),
            *self._uncertainty(),
            *(
                line
                for each in self.warnings or ()
                for line in wrap(f"warning: {each}", width, subsequent_indent="  ")
            ),
        )
        return "\n".join(parts).rstrip("\n")

    def _repr_html_(self) -> str:
        tables = [html_table("\n".join(self._facts()), *self._components())]
        for title, values in self._of_features().items():
            rows = ((k, *map("{:.5g}".format, row)) for k, row in enumerate(values.T.T))
            tables.append(html_table(title, ["component", *self.feature_names], rows))
        if self.uncertain:
            tables.append(html_table(*self._levels()))
        doubts = [f"<p>warning: {as_html(each)}</p>" for each in self.warnings or ()]
        return f"<div>{''.join([*tables, *doubts])}</div>"

    def to_frame(self) -> Any:
        """A pandas DataFrame with a row for each component, and one for the noise.

        Columns are pairs: ("weight", ""), ("rows", "") and ("uncertainty", ""), as far
        as they are known, and ("mean", name) and ("std", name) for each feature.
        ImportError without pandas.
        """
        pandas = pandas_for_frames()
        known = {
            "weight": (self.weights, self.noise_weight),
            "rows": (self.sizes, self.noise_size),
            "uncertainty": (self.uncertainties, np.nan),
        }
        columns = {
            (name, ""): values
            for name, (values, _) in known.items()
            if values is not None
        }
        moments = zip(("mean", "std"), self._of_features().values(), strict=True)
        for name, values in moments:
            pairs = zip(self.feature_names, values.T, strict=True)
            columns |= {(name, feature): own for feature, own in pairs}
        frame = pandas.DataFrame(columns)
        frame.index.name = "component"
        if self.noise_weight is not None:
            noise = {(name, ""): last for name, (_, last) in known.items()}
            frame.loc["noise"] = [noise.get(each, np.nan) for each in frame.columns]
        return frame

    def _facts(self) -> Iterator[str]:
        """The model, the likelihood and criteria, and whether EM converged."""
        yield self.description
        plural = "s" if self.n_features > 1 else ""
        features = f"{self.n_features} feature{plural}"
        number = "" if self.n_samples is None else f"{self.n_samples:.10g} rows, "
        yield number + features
        if self.log_likelihood is not None and self.n_samples:
            mean = self.log_likelihood / self.n_samples
            yield f"log-likelihood {self.log_likelihood:.2f} ({mean:.4f} per row)"
        criteria = {"BIC": self.bic, "ICL": self.icl, "AIC": self.aic}
        listed = [f"{k} {v:.2f}" for k, v in criteria.items() if v is not None]
        yield "   ".join([*listed, f"({self.n_parameters} parameters)"])
        if self.converged is not None:
            plural = "s" if self.n_iter != 1 else ""
            how = "converged" if self.converged else "not converged"
            yield f"{how} after {self.n_iter} iteration{plural}"

    def _components(self) -> tuple[list[str], list[list[str]]]:
        """Header and rows of the table of components, as far as they are known."""
        header, columns = (
            ["component", "weight"],
            [[*map(str, range(len(self.weights)))]],
        )
        columns.append([f"{weight:.4f}" for weight in self.weights])
        last = ["noise", f"{self.noise_weight or 0:.4f}"]
        if self.sizes is not None:
            header.append("rows")
            columns.append([f"{size:.10g}" for size in self.sizes])
            last.append(f"{self.noise_size or 0:.10g}")
        if self.uncertainties is not None:
            header.append("mean uncertainty")
            columns.append(
                ["-" if np.isnan(u) else f"{u:.3g}" for u in self.uncertainties]
            )
            last.append("-")
        rows = [[*row] for row in zip(*columns, strict=True)]
        return header, rows + ([] if self.noise_weight is None else [last])

    def _of_features(self) -> dict[str, NDArray]:
        """Tables (K, d) by their titles."""
        return {"means": self.means, "standard deviations": self.standard_deviations}

    def _moments(self, width: int, all_features: bool) -> Iterator[str]:
        """Means and standard deviations of the features that fit into a line, or of
        all."""
        names = shortened(self.feature_names, width)
        blocks = list(columns_of_lines(names, width))
        for title, values in self._of_features().items():
            yield title
            for block in blocks if all_features else blocks[:1]:
                rows = enumerate(values[:, block])
                yield from number_table("component", names[block], rows)
                yield ""
        more = len(names) - blocks[0].stop
        if more and not all_features:
            yield f"and {more} more features"
            yield ""

    def _levels(self) -> tuple[str, list[str], list[list[str]]]:
        """Caption, header and rows of the table of uncertain rows."""
        counts, number = self.uncertain or {}, self.n_samples or 1.0
        caption = (
            "uncertainty of rows (one minus the greatest probability): mean "
            f"{self.uncertainty:.3g}"
        )
        rows = [
            ["rows", *(f"{count:.10g}" for count in counts.values())],
            ["share", *(f"{count / number:.1%}" for count in counts.values())],
        ]
        return caption, ["above", *map(str, counts)], rows

    def _uncertainty(self) -> Iterator[str]:
        """How uncertain the components of the rows are, if that is known."""
        if self.uncertain is not None:
            caption, header, rows = self._levels()
            yield caption
            yield from text_table(header, rows, least=9)


@dataclass(frozen=True, eq=False, repr=False)
class SearchSummary:
    """Summary of a search, as `GaussianMixtureIC.summary` returns it.

    Attributes
    ----------
    criterion : str
        Name of the criterion.
    candidates : dict of ndarray
        The columns of `results_` for the best candidates, the selected one first, with
        their "criterion" and its "difference" from that of the first.
    n_candidates : int
        Number of all candidates.
    n_left_out : int
        Number of candidates that are in doubt or could not be fitted.
    best : MixtureSummary
        Summary of the selected mixture.

    Examples
    --------
    >>> from emgmm import GaussianMixtureIC
    >>> X = [[0.0], [1.0], [2.0], [20.0], [21.0], [22.0]]
    >>> summary = GaussianMixtureIC([1, 2], covariance_type="EII").fit(X).summary()
    >>> summary.candidates["difference"].round(1)
    array([ 0. , 18.2])
    """

    criterion: str
    candidates: dict[str, NDArray]
    n_candidates: int
    n_left_out: int
    best: MixtureSummary

    __module__ = "emgmm"

    def __repr__(self) -> str:
        return (
            f"<SearchSummary of {self.n_candidates} candidates by {self.criterion}: "
            f"{self.best!r}>"
        )

    def __str__(self) -> str:
        return self.text()

    def text(self, width: int = WIDTH, all_features: bool = False) -> str:
        """The summary as lines of some width, of all features or those that fit."""
        caption, header, rows = self._table()
        lines = [f"{caption}:", *text_table(header, rows), *wrap(self._left_out, width)]
        return "\n".join([*lines, "", self.best.text(width, all_features)])

    def _repr_html_(self) -> str:
        table = html_table(*self._table())
        left_out = f"<p>{self._left_out}</p>" if self._left_out else ""
        return f"<div>{table}{left_out}</div>{self.best._repr_html_()}"

    def to_frame(self) -> Any:
        """A pandas DataFrame of the best candidates. ImportError without pandas."""
        return pandas_for_frames().DataFrame(self.candidates)

    @property
    def _left_out(self) -> str:
        """How many candidates are left out, if any are."""
        if not self.n_left_out:
            return ""
        return (
            f"Left out: {self.n_left_out}, in which a component has collapsed or has "
            "too few rows."
        )

    def _table(self) -> tuple[str, list[str], list[tuple[Any, ...]]]:
        """Caption, header and rows of the table of the best candidates."""
        columns, name = self.candidates, self.criterion
        formats = {
            "covariance_type": "{}",
            "n_components": "{}",
            "criterion": "{:.2f}",
            "difference": "{:.2f}",
            "log_likelihood": "{:.2f}",
            "n_parameters": "{}",
        }
        cells = [
            [form.format(each) for each in columns[key]]
            for key, form in formats.items()
        ]
        header = ["model", "K", name, "difference", "log-likelihood", "parameters"]
        caption = (
            f"The best of {self.n_candidates} candidates by {name} (lower is better)"
        )
        return caption, header, list(zip(*cells, strict=True))
