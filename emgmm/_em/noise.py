"""The noise of rows: a uniform density over the box that they fill."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emgmm._data.base import RowSource
from emgmm._data.summary import Extremes
from emgmm._model.noise import Noise
from emgmm._model.parameters import LOG_2_PI

BLOCK_NUMBERS = 2**18  # numbers in a block of rows along other axes


def noise_of(
    rows: RowSource, noise: float | str | None, units: NDArray
) -> Noise | None:
    """Noise in the box of the rows, which are divided by units (d,): of a volume in
    units of the user, or if ``noise`` is a name, of that of the box along principal
    axes, where it is smaller (mclust's ``hypvol``). None without noise.

    The box along features is scaled to the volume. A feature that is constant does not
    matter: there the noise is as dense as components are.
    """
    if noise is None:
        return None
    if isinstance(noise, bool):
        raise ValueError(
            f"noise={noise!r}: pass 'uniform' for the box of the rows, a number for "
            "its volume, or None."
        )
    least, greatest = (each.astype(np.float64) for each in rows.summary.extremes)
    constant = np.isnan(rows.summary.steps) | ~(greatest > least)
    lengths = np.where(constant, 1.0, greatest - least)
    log_lengths = np.where(constant, 0.5 * LOG_2_PI, np.log(lengths))
    varying, total = np.flatnonzero(~constant), log_lengths[~constant].sum()
    if isinstance(noise, str):
        wanted = min(total, _log_volume_along_axes(rows, varying))
    else:
        wanted = np.log(noise) - np.log(units[varying]).sum()
    if varying.size:
        log_lengths[varying] += (wanted - total) / varying.size
    return Noise((least + greatest) / 2, log_lengths)


def _log_volume_along_axes(rows: RowSource, varying: NDArray) -> float:
    """Logarithm of the volume of the box along principal axes; infinite if values are
    missing, or there is one feature."""
    summary = rows.summary
    if summary.incomplete or varying.size < 2:
        return np.inf
    scatter = summary.scatter[np.ix_(varying, varying)]
    _, axes = np.linalg.eigh(scatter)
    project = partial(_along, axes, varying, summary.center)
    length = max(BLOCK_NUMBERS // summary.n_features, 1)
    found = rows.on_host.sum(project, block_length=length)
    lengths = found.greatest - found.least
    if not (lengths > 0).all():
        return np.inf
    return float(np.log(lengths).sum())


def _along(
    axes: NDArray, varying: NDArray, center: NDArray, X: NDArray, weights: NDArray
) -> Any:
    """Extremes along axes of a block of rows of positive weight."""
    seen = X if (weights > 0).all() else X[weights > 0]
    if not len(seen):
        nothing = np.full(len(varying), np.nan)
        return Extremes(nothing, nothing)
    projected = (seen - center)[:, varying] @ axes
    return Extremes(projected.min(axis=0), projected.max(axis=0))
