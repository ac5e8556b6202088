"""What every source of rows offers to the computations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, Self

from numpy.typing import NDArray

from emgmm._utils.threads import Workspace

from .arrays import RowBlocks
from .summary import Summary


class RowSource(Protocol):
    """A source of weighted rows that can be visited again and again."""

    @property
    def summary(self) -> Summary:
        """How many rows there are, how they are weighted, where they lie."""

    @property
    def workspace(self) -> Workspace:
        """Arrays for functions of blocks to write in."""

    def sum(
        self,
        function: Callable[..., Any],
        *aligned: NDArray,
        block_length: int | None = None,
    ) -> Any:
        """Sum of function(rows, weights, *aligned rows) over the blocks, in order."""

    def accumulate(self, function: Callable[..., Any], *aligned: NDArray) -> Any:
        """Sum of function(RowBlocks, *aligned rows) over the parts of the rows that are
        in memory at a time, in order."""

    def sample(self, size: int) -> RowBlocks:
        """A systematic sample of about so many rows by weight, with their weights; all
        rows of positive weight if there are no more. Always the same rows."""

    def sample_values(self, size: int, values: NDArray) -> NDArray:
        """Values (n, ...) for the rows of ``sample``, from an array that is aligned
        with the rows as ``sum`` takes it; aligned with the sample likewise."""

    @property
    def on_host(self) -> RowSource:
        """The rows for functions of NumPy's arrays, which those of ``sum`` and
        ``accumulate`` need not be where there are kernels for others."""

    def in_units(self, by_feature: bool) -> tuple[Self, NDArray]:
        """The rows divided by units (d,), and these: powers of two, such that fourth
        powers neither overflow nor underflow; ones unless they are needed."""


RAISED = "Raised by X"  # begins a note on exceptions from the user's own code
NO_ROWS = "X has no row of positive weight: give blocks with rows."


def raised_by_rows(error: Exception) -> bool:
    """Whether an error comes from reading rows, not from what is computed of them."""
    return any(note.startswith(RAISED) for note in getattr(error, "__notes__", ()))
