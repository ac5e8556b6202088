"""What summaries contain: from the attributes of a fit, or from rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emgmm._data.base import NO_ROWS, RowSource
from emgmm._em.defects import defects
from emgmm._estep.kernel import Joint, Kernel
from emgmm._estep.predict import sum_over_rows
from emgmm._model.families import FAMILIES
from emgmm._model.published import Published
from emgmm._utils.device import to_host

from .objects import MixtureSummary, SearchSummary

LEVELS = (0.01, 0.05, 0.1, 0.25)  # uncertainties above which rows are counted


def summary_of_mixture(
    fitted: Any, n_parameters: int, rows: RowSource | None, names: Sequence[str] | None
) -> MixtureSummary:
    """The summary of a fitted estimator, for rows if there are any."""
    published = fitted._published()
    mixture, number = published.parameters, published.sizes[1]
    if names is None:
        names = [f"feature {j}" for j in range(number)]
    noise = float(mixture.noise_weights[0]) if mixture.noise else None
    summary = MixtureSummary(
        published.family.name,
        tuple(map(str, names)),
        mixture.weights.copy(),
        np.array(mixture.means, dtype=np.float64),
        np.sqrt(mixture.covariances.variances),
        n_parameters,
        noise,
        converged=getattr(fitted, "converged_", None),
        n_iter=getattr(fitted, "n_iter_", None),
    )
    if rows is None:
        return _with_attributes(summary, fitted)
    return _with_rows(summary, fitted, published, rows)


def _with_attributes(summary: MixtureSummary, fitted: Any) -> MixtureSummary:
    """The summary with what the attributes of a fit say about its rows."""
    n_samples = getattr(fitted, "n_samples_seen_", None)
    summary = replace(summary, n_samples=n_samples)
    # Otherwise the bound is a running mean, or contains the prior.
    if n_samples and summary.converged is not None and fitted.prior is None:
        total = fitted.lower_bound_ * n_samples
        summary = replace(summary, **_criteria(summary, total, n_samples))
    labels = to_host(getattr(fitted, "labels_", None))
    if labels is None or len(labels) != n_samples:  # the rows have weights
        return summary
    counts = np.bincount(labels + 1, minlength=summary.n_components + 1)
    return replace(summary, **_sizes(summary, counts.astype(np.float64)))


def _with_rows(
    summary: MixtureSummary, fitted: Any, published: Published, rows: RowSource
) -> MixtureSummary:
    """The summary with the likelihood, sizes and uncertainty of rows."""
    mixture, n_components = published.parameters, summary.n_components
    *sums, weight = sum_over_rows(rows, mixture, _of_rows).tolist()
    if not weight > 0:
        raise ValueError(NO_ROWS)
    total, classified = sums[-2:]
    counts, uncertainties, levels = np.split(
        sums[:-2], [n_components + 1, 2 * n_components + 2]
    )
    own = np.full(n_components, np.nan)
    np.divide(uncertainties[1:], counts[1:], out=own, where=counts[1:] > 0)
    penalty = summary.n_parameters * float(np.log(weight))
    return replace(
        summary,
        n_samples=weight,
        **_criteria(summary, total, weight),
        **_sizes(summary, counts),
        icl=penalty - 2 * classified,
        uncertainty=float(uncertainties.sum() / weight),
        uncertainties=own,
        uncertain=dict(zip(LEVELS, levels.tolist(), strict=True)),
        warnings=_warnings(fitted, published, rows),
    )


def _of_rows(kernel: Kernel, joint: Joint) -> NDArray:
    """Of rows (., n): which component they belong to, or noise, as K + 1 indicators;
    these times the uncertainty; whether that is above the levels; their log-density,
    and that with the most probable component."""
    labels, peak = kernel.labels(joint), kernel.peak(joint)[0] + kernel.reference
    log_density, responsibilities = kernel.posterior(joint)
    greatest = responsibilities.max(axis=0)
    if joint.noise is not None:
        np.maximum(greatest, 1 - responsibilities.sum(axis=0), out=greatest)
    uncertainty = np.maximum(1 - greatest, 0.0)
    own = labels == np.arange(-1, len(responsibilities))[:, None]
    above = uncertainty > np.array(LEVELS)[:, None]
    last = kernel.known(log_density[0]), kernel.known(peak)
    return np.concatenate([own, own * uncertainty, above, last])


def _criteria(
    summary: MixtureSummary, log_likelihood: float, n_samples: float
) -> dict[str, Any]:
    """The log-likelihood, and the criteria that follow from it."""
    number = summary.n_parameters
    return {
        "log_likelihood": log_likelihood,
        "bic": number * float(np.log(n_samples)) - 2 * log_likelihood,
        "aic": 2 * number - 2 * log_likelihood,
    }


def _sizes(summary: MixtureSummary, counts: NDArray) -> dict[str, Any]:
    """The sizes of the clusters, from those (1 + K,) of the noise and of these."""
    noise = None if summary.noise_weight is None else float(counts[0])
    return {"sizes": counts[1:], "noise_size": noise}


def _warnings(
    fitted: Any, published: Published, rows: RowSource
) -> tuple[str, ...] | None:
    """Reasons to doubt the fit; None if the parameters ask for another mixture."""
    same = published.family is FAMILIES.get(fitted.covariance_type)
    if not same or fitted.n_components != published.sizes[0]:
        return None
    problem = fitted._problem(rows)
    mixture = published.parameters.in_units(problem.units)
    with np.errstate(all="ignore"):
        found = defects(problem, mixture)
    return found.texts if found else ()


def summary_of_search(search: Any, best: MixtureSummary, top: int) -> SearchSummary:
    """The summary of a search, with that of the selected mixture, which the search may
    have reasons to doubt that cannot be seen in it alone."""
    results, values = search.results_, np.asarray(to_host(search.criterion_), float)
    eligible = np.flatnonzero(results["eligible"])
    order = eligible[np.argsort(values[eligible], kind="stable")]
    # Of equal criteria, the first is selected.
    selected = search.best_index_
    order = np.concatenate([[selected], order[order != selected]])[:top]
    table = {name: column[order] for name, column in results.items()}
    table["criterion"] = values[order]
    table["difference"] = values[order] - values[selected]
    name = search.criterion
    name = name.upper() if isinstance(name, str) else "criterion"
    n_left_out = len(values) - len(eligible)
    doubts = results["failure"][selected].split("; ")
    best = replace(best, warnings=tuple(each for each in doubts if each))
    return SearchSummary(name, table, len(values), n_left_out, best)


def with_results(search: Any, best: MixtureSummary) -> MixtureSummary:
    """The summary of the selected mixture, with what the search knows of the rows."""
    row = {name: column[search.best_index_] for name, column in search.results_.items()}
    known: dict[str, Any] = {
        name: float(row[name]) for name in ("log_likelihood", "bic", "icl", "aic")
    }
    return replace(best, **known)
