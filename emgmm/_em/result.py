"""How long a run of EM lasts, and where it has ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from emgmm._model.parameters import Parameters


@dataclass(frozen=True)
class EMOptions:
    """When EM stops, and whether it takes longer steps than its own."""

    tol: float
    max_iter: int
    accelerated: bool = True
    resumable: bool = False
    """Whether results hold what it takes for another run to go on from them."""


@dataclass(frozen=True, eq=False)
class EMResult:
    """Where one run of EM ended.

    ``lower_bounds`` holds the mean log-likelihood of the start and after each
    iteration, of the best mixture until then (of the last, if ``reg_covar`` is a
    number): the last entry is that of ``mixture``.
    """

    mixture: Parameters
    lower_bounds: list[float]
    converged: bool
    state: dict[str, Any] | None = None
    """What it takes to go on from here (``EMState.from_values``), if that is wanted."""

    @property
    def lower_bound(self) -> float:
        return self.lower_bounds[-1]

    @property
    def n_iter(self) -> int:
        return len(self.lower_bounds) - 1
