"""Options of a run of EM, and its result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from emgmm._model.parameters import Parameters


@dataclass(frozen=True)
class EMOptions:
    """When EM stops, and whether it is accelerated."""

    tol: float
    max_iter: int
    accelerated: bool = True
    resumable: bool = False
    """Whether results contain the state that another run can continue from."""


@dataclass(frozen=True, eq=False)
class EMResult:
    """The result of a run of EM.

    ``lower_bounds`` are mean log-likelihoods, of the start and after each iteration: of
    the best mixture so far, or of the last if ``reg_covar`` is a number. The last entry
    is that of ``mixture``.
    """

    mixture: Parameters
    lower_bounds: list[float]
    converged: bool
    state: dict[str, Any] | None = None
    """Values for ``EMState.from_values``, if the run is resumable."""

    @property
    def lower_bound(self) -> float:
        """Mean log-likelihood of the mixture."""
        return self.lower_bounds[-1]

    @property
    def n_iter(self) -> int:
        """Number of iterations."""
        return len(self.lower_bounds) - 1
