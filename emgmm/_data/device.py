"""Rows on a device: an array of another library than NumPy, through the array API.

The passes over the rows run on the device. What they return is of the size of a
mixture, and goes to the host.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, Self, cast

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from sklearn.utils.validation import validate_data

from emgmm._utils.cached import cached_property
from emgmm._utils.device import Device, device_of, to_host, without_gradients
from emgmm._utils.threads import Workspace

from .arrays import ArrayBlocks, ArraySummary, RowBlocks
from .missing import blocks_of
from .scaling import are_moderate_in_float32
from .summary import Extremes
from .validation import check_sample_weight, check_something_observed
from .weights import weights_or_ones

NUMBERS_OF_SUMMARY = 4  # in the arrays of a block, for each number of the rows


class DeviceWorkspace(Workspace):
    """Arrays on a device that are used again and again, by name."""

    device: Device

    def __init__(self, device: Device) -> None:
        super().__init__()
        self.device = device
        self._copies: dict[int, tuple[NDArray, Any]] = {}

    def __reduce__(self) -> tuple[type[Workspace], tuple[Any, ...]]:
        return DeviceWorkspace, (self.device,)

    def copy_of(self, array: NDArray, dtype: DTypeLike | None = None) -> Any:
        """An array of the host, which is copied to the device once."""
        if id(array) not in self._copies:
            self._copies[id(array)] = array, self.device.put(array, dtype)
        return self._copies[id(array)][1]

    def array(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Any:
        """An array of undefined content, which replaces the last of this name."""
        self._content.pop(name, None)
        size, key = prod(shape), (name, np.dtype(dtype))
        buffer: Any = self._buffers.get(key)
        if buffer is None or buffer.shape[0] < size:
            self._buffers[key] = buffer = self.device.empty((size,), dtype)
        array = self.device.xp.reshape(buffer[:size], shape)
        self._last[name] = array
        return array


@dataclass(frozen=True, eq=False)
class DeviceSummary(ArraySummary):
    """Summary of rows on a device."""

    rows: Any

    @property
    def n_samples(self) -> int:
        return int(self.rows.X.shape[0])

    @property
    def dtype(self) -> np.dtype:
        return self.rows.device.type_of(self.rows.X)

    @cached_property
    def center(self) -> NDArray:
        first, total = self._first.astype(np.float64), self.rows.device.total
        return first + self._sum(first, lambda z, w: total(z * w)) / self.weight

    @cached_property
    def squares(self) -> NDArray:
        total = self.rows.device.total
        return self._sum(self.center, lambda z, w: total(z * z * w))

    @cached_property
    def scatter(self) -> NDArray:
        contract = self.rows.device.contract
        return self._sum(self.center, lambda z, w: contract(z * w, z))

    @cached_property
    def extremes(self) -> tuple[NDArray, NDArray]:
        xp = self.rows.device.xp
        first = self.rows.device.put(self._first)

        def of_block(X: Any, weights: Any) -> Extremes:
            if not self.equally_weighted:  # the first row that has one counts for them
                X = xp.where((weights > 0)[:, None], X, first)
            return Extremes(to_host(xp.min(X, axis=0)), to_host(xp.max(X, axis=0)))

        found = self.rows.sum(of_block)
        return found.least, found.greatest

    @property
    def _first(self) -> NDArray:
        """The first row (d,) of positive weight."""
        place = int(np.argmax(self.rows.weights > 0))
        return to_host(self.rows.X[place, ...])

    def _sum(self, center: NDArray, function: Callable[[Any, Any], NDArray]) -> NDArray:
        """Sum over the blocks of a function of deviations (d, n) and weights (n,)."""
        device = self.rows.device
        origin, dtype = device.put(center, device.float_type), device.float_type

        def of_block(X: Any, weights: Any) -> NDArray:
            rows = device.xp.astype(X, device.dtype(dtype), copy=False)
            return function((rows - origin).T, weights)

        return self.rows.sum(of_block)


@dataclass(frozen=True, eq=False)
class DeviceBlocks(ArrayBlocks):
    """Blocks of complete rows on a device; their weights are on the host."""

    X: Any
    workspace: Any = None  # a DeviceWorkspace

    summary_class = DeviceSummary

    @classmethod
    def of(cls, X: Any, sample_weight: NDArray | None, device: Device) -> Self:
        """Blocks of the rows of an array on the device."""
        return cls(X, sample_weight, workspace=DeviceWorkspace(device))

    @property
    def device(self) -> Device:
        """Where the rows are."""
        device: Device = self.workspace.device
        return device

    @property
    def weights(self) -> NDArray:
        return weights_or_ones(self.sample_weight, self.summary.n_samples)

    @property
    def on_host(self) -> ArrayBlocks:
        return ArrayBlocks(to_host(self.X), self.sample_weight)

    @property
    def weights_on_device(self) -> Any:
        """Weights (n,) of the rows: ones, not stored, where none were passed."""
        device, weights = self.device, self.sample_weight
        if weights is not None:
            return self.workspace.copy_of(weights, device.float_type)
        one = device.put(np.ones(1), device.float_type)
        return device.xp.broadcast_to(one, (self.X.shape[0],))

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Any:
        return self.device.empty((self.X.shape[0], *shape), dtype)

    def sample(self, size: int) -> RowBlocks:
        chosen = self._sampled(size)
        if chosen is None:
            return self.on_host
        return self.take(*chosen).on_host

    def take(self, rows: NDArray, sample_weight: NDArray | None) -> Self:
        X = self.device.xp.take(self.X, self.device.put(rows), axis=0)
        return self._with(X, sample_weight)

    def divided_by(self, units: NDArray) -> Self:
        own = self.device.put(units, self.summary.dtype)
        return self._with(self.X / own, self.sample_weight)

    def _with(self, X: Any, sample_weight: NDArray | None) -> Self:
        return self.of(X, sample_weight, self.device)

    def slices(self, block_length: int | None = None) -> list[slice]:
        n_features = self.X.shape[1]
        default = self.device.n_numbers // (NUMBERS_OF_SUMMARY * n_features)
        length = block_length or max(default, 1)
        n_samples = self.X.shape[0]
        return [
            slice(start, min(start + length, n_samples))
            for start in range(0, n_samples, length)
        ]

    def sum(
        self,
        function: Callable[..., Any],
        *aligned: Any,
        block_length: int | None = None,
    ) -> Any:
        weights, total = self.weights_on_device, None
        own = [
            self.workspace.copy_of(each) if isinstance(each, np.ndarray) else each
            for each in aligned
        ]
        blocks = self.slices(block_length)
        if len(blocks) == 1:  # the same object in every pass: features can be kept
            return function(self.X, weights, *own)
        for block in blocks:
            value = function(
                self.X[block, :], weights[block], *(a[block, ...] for a in own)
            )
            total = value if total is None else total + value
        return total

    def map(
        self,
        function: Callable[[Any], Any],
        out: Any,
        block_length: int | None = None,
    ) -> Any:
        for block in self.slices(block_length):
            values = function(self.X[block, :])
            out[block, ...] = self.device.xp.astype(values, out.dtype, copy=False)
        return out


def is_on_device(X: Any) -> bool:
    """Whether X is an array of another library than NumPy, to be read through the
    array API."""
    return device_of(X) is not None


def rows_of_device(
    estimator: Any, X: Any, sample_weight: ArrayLike | None, reset: bool
) -> RowBlocks:
    """The rows of an array on a device. Rows in the memory of the host are read there,
    by the faster kernels of NumPy, and so are copies of rows that lack values, or that
    need float64 where the device has none."""
    device, X = cast(Device, device_of(X)), without_gradients(X)
    _check_real(X, device)
    floats = [device.dtype(kind) for kind in ("float64", "float32")]
    options = {"dtype": floats, "reset": reset, "ensure_min_samples": 2 if reset else 1}
    incomplete = False
    try:
        rows = validate_data(estimator, X, **options)
    except ValueError:
        rows = validate_data(estimator, X, ensure_all_finite="allow-nan", **options)
        incomplete = True
    weights = check_sample_weight(sample_weight, rows.shape[0])
    if incomplete or device.is_host:
        blocks = blocks_of(to_host(rows), weights, incomplete)
        if reset and incomplete:
            check_something_observed(estimator, blocks)
        return blocks
    on_device = DeviceBlocks.of(rows, weights, device)
    if device.float_type == np.float32 and not _suit_float32(on_device.summary):
        return on_device.on_host
    return on_device


def _check_real(X: Any, device: Device) -> None:
    """ValueError if numbers are complex, of which scikit-learn checks NumPy's."""
    if device.xp.isdtype(X.dtype, "complex floating"):
        raise ValueError(
            f"Complex data not supported: X has the type {X.dtype}. Pass real numbers, "
            "such as the real and the imaginary parts as features."
        )


def _suit_float32(summary: ArraySummary) -> bool:
    """Whether weights, and squares of the rows, are far from the ends of float32."""
    if summary.equally_weighted or summary.compute_dtype == np.float32:
        least, greatest = summary.extremes
        sizes = np.maximum(np.abs(least), np.abs(greatest))
        return are_moderate_in_float32(sizes[greatest > least])
    return False
