"""What is known of rows: to which components each may belong, with which prior weight.

It is a term for each row and component that is added to the joint log-density before
this is normalised: minus infinity where a row cannot belong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emgmm._model.segments import Segments


@dataclass(frozen=True, eq=False)
class PriorTable:
    """The kinds of rows that there are, by what is known of them.

    ``log_prior`` (P, L) has the logarithms of the prior weights of the first L
    components, and ``of_others`` (P,) those of each of the components after them, and
    of the noise.
    """

    log_prior: NDArray
    of_others: NDArray

    def of_size(self, n_components: int) -> NDArray:
        """The logarithms (P, K) for mixtures of so many components, L at least."""
        return self.of_kinds(slice(None), n_components)

    def of_kinds(self, kinds: NDArray | slice, n_components: int) -> NDArray:
        """The same (n, K) of rows of such kinds."""
        own, n_others = self.log_prior[kinds], n_components - self.log_prior.shape[1]
        if not n_others:
            return own
        others = np.repeat(self.of_others[kinds, None], n_others, axis=1)
        return np.concatenate([own, others], axis=1)


class RowPrior(NamedTuple):
    """What is known of the rows of a block, by their places (n,) in a table."""

    table: PriorTable
    kinds: NDArray

    def of(self, rows: NDArray, n_components: int) -> NDArray:
        """What is added (n, K) for some of the rows, by their indices."""
        return self.table.of_kinds(self.kinds[rows], n_components)

    def of_noise(self, dtype: np.dtype) -> NDArray:
        """What is added (n,) for the noise: rows of which something is known are
        none."""
        return self.table.of_others[self.kinds].astype(dtype)

    def add_to(self, log_joint: NDArray, segments: Segments) -> None:
        """Add it to joint log-densities (M, n), in place."""
        for run in segments.runs:
            own = run.of_components(log_joint)
            own += self.table.of_kinds(self.kinds, run.size).T.astype(own.dtype)


@dataclass(frozen=True, eq=False)
class Memberships:
    """What is known of all rows: the kind of each (n,), in the order in which their
    source passes arrays that are aligned with them, and the table of kinds."""

    kinds: NDArray
    table: PriorTable

    @property
    def n_known(self) -> int:
        """The number L of components that rows are known to belong to."""
        n_known: int = self.table.log_prior.shape[1]
        return n_known

    def weights(self, n_components: int) -> NDArray:
        """Prior weights (n, K) of the components of the rows."""
        return np.exp(self.table.of_kinds(self.kinds, n_components))
