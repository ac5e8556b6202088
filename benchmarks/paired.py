"""Ratios of times that were measured in pairs: estimates, and their intervals.

They come from Wilcoxon's signed-rank statistic: the median of the pairwise means (Walsh
averages) of the logarithms of the ratios, and the interval that its test does not
reject (J. L. Hodges and E. L. Lehmann 1963, doi:10.1214/aoms/1177704172). Nothing is
assumed but that log ratios are symmetric about their centre, and few pairs are enough:
the probabilities are exact.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Ratio(NamedTuple):
    """A ratio with an interval, and the probability that it covers the true one."""

    estimate: float
    low: float
    high: float
    confidence: float


def ratio_of(before, after, confidence=0.95):
    """The ratio of the times after to those before, which are in pairs."""
    logarithms = np.log(np.asarray(after, float) / np.asarray(before, float))
    means = walsh_averages(logarithms)
    cut, covered = cut_of(len(logarithms), confidence)
    low, high = means[cut], means[-1 - cut]
    return Ratio(*np.exp([np.median(means), low, high]), covered)


def walsh_averages(values):
    """The means of all pairs of values, each with itself too, in ascending order."""
    first, second = np.triu_indices(len(values))
    return np.sort((values[first] + values[second]) / 2)


def cut_of(n_pairs, confidence):
    """How many Walsh averages the interval leaves out on each side, and what it covers.

    With few pairs the interval of all averages may cover less than asked for.
    """
    below = np.cumsum(signed_rank_probabilities(n_pairs))  # P(statistic <= cut)
    within = np.flatnonzero(2 * below <= 1 - confidence)
    cut = int(within[-1]) if len(within) else 0
    return cut, float(1 - 2 * below[cut])


def signed_rank_probabilities(n_pairs):
    """Probabilities of the values of the signed-rank statistic without an effect."""
    found = np.ones(1)
    for rank in range(1, n_pairs + 1):  # which counts or not, with the same probability
        longer = np.zeros(len(found) + rank)
        longer[: len(found)] += found / 2
        longer[rank:] += found / 2
        found = longer
    return found
