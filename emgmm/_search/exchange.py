"""What runs offer to others: their responsibilities, and their mixtures less one component."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emgmm._estep.estep import expectation
from emgmm._estep.statistics import Statistics
from emgmm._model.covariances import Full
from emgmm._model.moment_kinds import FULL
from emgmm._model.parameters import SAME_MAXIMUM, Parameters
from emgmm._model.segments import Segments

from .pool import Pool
from .sources import Sources, in_kind

LOG_2_PI = float(np.log(2 * np.pi))


def as_full(mixture: Parameters) -> Parameters:
    covariances = mixture.covariances
    if isinstance(covariances, Full):
        return mixture
    factors = covariances.factors
    if factors.ndim == 2:
        factors = factors[:, :, None] * np.eye(factors.shape[1])
    full = Full(covariances.dense(), factors, covariances.segments, covariances.n_features)
    return Parameters(mixture.weights, mixture.means, full)


def ends(pool: Pool, views) -> list[Sources]:
    """For every view, the statistics of all runs' responsibilities, in full."""
    found = []
    mixtures = Parameters.joined(
        [
            as_full(each.mixtures.in_units(1 / group.problem.units))
            for group, each in zip(pool.groups, pool.results, strict=True)
            if len(each)
        ]
    )
    for rows, units in views:
        own = mixtures.in_units(units)
        statistics = expectation(rows, [own])[0]
        expected = expected_log_likelihood(statistics, own)
        found.append(
            Sources(statistics, own, statistics.mean_log_likelihood - expected)
        )
    return found


def expected_log_likelihood(statistics: Statistics, mixture: Parameters) -> NDArray:
    """Expected mean log-likelihoods of the complete data (B,)."""
    segments, covariances = mixture.segments, mixture.covariances
    precisions = covariances.precisions
    about = statistics.about(mixture.means).products
    if precisions.ndim == 1:
        precisions = precisions[:, None]
    traces = (precisions * about).reshape(len(about), -1).sum(axis=1)
    if not statistics.kind.pooled:
        traces = segments.sum(traces)
    logs = np.log(np.maximum(mixture.weights, 1e-300)) - 0.5 * covariances.log_det
    total = segments.sum(statistics.counts * logs) - 0.5 * traces
    return total / statistics.weight - 0.5 * LOG_2_PI * mixture.means.shape[1]


def bounds(pool: Pool, sources: list[Sources], source: list[NDArray]) -> NDArray:
    """Lower bounds of the mean log-likelihoods of starts from the sources."""
    found = []
    for group, each, own in zip(pool.groups, pool.results, source, strict=True):
        of_view = sources[group.view]
        if not len(each):
            continue
        kind = each.mixtures.covariances.moment_kind
        statistics = in_kind(of_view.statistics, kind).take(own)
        expected = expected_log_likelihood(statistics, each.mixtures)
        found.append(
            group.problem.bounds_of_the_user(expected + of_view.entropy[own])
        )
    return np.concatenate(found)


def merged(sources: Sources, kept: int) -> tuple[Sources, NDArray]:
    """Sources with two components merged (Runnalls 2007), several for each, and the
    source of each."""
    statistics, near = sources.statistics, sources.near
    segments = statistics.segments
    parts, mixtures, parents = [], [], []
    counts, means, scatter = statistics.counts, statistics.means, statistics.scatter
    covs, log_det = near.covariances.dense(), near.covariances.log_det
    w, mu = near.weights, near.means
    for size in np.unique(segments.sizes):
        if size < 2:
            continue
        own = np.flatnonzero(segments.sizes == size)
        comp = segments.offsets[own][:, None] + np.arange(size)  # (P, K)
        i, j = np.triu_indices(size, 1)
        a, b = comp[:, i], comp[:, j]  # (P, pairs)
        wa, wb = w[a], w[b]
        total = wa + wb
        share = (wa / total)[..., None, None]
        shift = mu[a] - mu[b]
        joint = share * covs[a] + (1 - share) * covs[b]
        joint += share * (1 - share) * shift[..., :, None] * shift[..., None, :]
        loss = total * np.linalg.slogdet(joint)[1] - wa * log_det[a] - wb * log_det[b]
        best = np.argsort(loss, axis=1)[:, :kept]
        for rank in range(best.shape[1]):
            pair = best[:, rank]
            rows = np.arange(len(own))
            first, second = a[rows, pair], b[rows, pair]
            keep = np.ones((len(own), size), bool)
            keep[rows, j[pair]] = False
            left = comp[keep].reshape(len(own), size - 1)
            parts.append(_merged(counts, means, scatter, left, i[pair], second))
            # near: covariances of the mixture, merged alike
            nw, nm, ns = _merged(w, mu, w[:, None, None] * covs, left, i[pair], second)
            seg = Segments.of(np.full(len(own), size - 1))
            full, _ = Full.estimated(ns / np.maximum(nw, 1e-300)[:, None, None], seg, mu.shape[1])
            mixtures.append(Parameters(nw, nm, full))
            parents.append(own)
    stats = []
    for (c, m, s), mix, own in zip(parts, mixtures, parents):
        stats.append(
            Statistics(FULL, mix.segments, m, c, np.zeros_like(m), s,
                       statistics.log_likelihood[own], statistics.weight[own])
        )
    if not stats:
        return None, np.zeros(0, int)
    parents = np.concatenate(parents)
    return (
        Sources(Statistics.joined(stats), Parameters.joined(mixtures), sources.entropy[parents]),
        parents,
    )


def _merged(counts, means, scatter, left, first, second):
    c, m, s = counts[left].copy(), means[left].copy(), scatter[left].copy()
    rows = np.arange(len(left))
    ca, cb = c[rows, first], counts[second]
    total = ca + cb
    shift = means[second] - m[rows, first]
    share = np.where(total > 0, cb / np.where(total > 0, total, 1), 0)
    s[rows, first] += scatter[second] + (ca * share)[:, None, None] * shift[:, :, None] * shift[:, None, :]
    m[rows, first] += share[:, None] * shift
    c[rows, first] = total
    return c.ravel(), m.reshape(-1, m.shape[-1]), s.reshape(-1, *s.shape[-2:])


def near_to(mixtures: Parameters, others: Parameters) -> NDArray:
    """Which mixtures (B,) match another of as many components, as if from one local maximum."""
    segments = mixtures.segments
    found = np.zeros(len(segments), dtype=bool)
    for size in np.unique(segments.sizes):
        own = np.flatnonzero(segments.sizes == size)
        a, b = (
            each.offsets[own][:, None] + np.arange(size)
            for each in (segments, others.segments)
        )
        variances = others.covariances.variances[b]
        shifts = (mixtures.means[a][:, :, None] - others.means[b][:, None]) ** 2
        distances = (shifts / variances[:, None]).mean(axis=-1)
        nearest = distances.argmin(axis=2)
        distinct = (np.diff(np.sort(nearest, axis=1), axis=1) > 0).all(axis=1)
        close = distances.min(axis=2).max(axis=1) < SAME_MAXIMUM
        weights = np.take_along_axis(others.weights[b], nearest, axis=1)
        alike = np.abs(mixtures.weights[a] - weights) < SAME_MAXIMUM * weights
        found[own] = distinct & close & alike.all(axis=1)
    return found
