"""Arrays of other libraries than NumPy, through the array API, on whatever device."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray
from sklearn import config_context, get_config

from . import sklearn_private
from .cached import cached_property

# Columns that are multiplied, or added, in the precision of the arrays.
PIECE = 2**11
# Numbers in the arrays of a block: so many that starting a computation takes no time
# beside it.
BLOCK_NUMBERS = 2**25
SHARE_OF_MEMORY = 1 / 8  # of what is free that a block may take
LEAST_NUMBERS = 2**20  # however little is free
BYTES = 8  # of a number
HOST = 1  # DLPack's code of a device whose memory the CPU addresses
NARROWER = {"float64": "float32", "int64": "int32"}  # where a device lacks the type


class Library(NamedTuple):
    """What a library has beyond the array API."""

    free_memory: Callable[[Any], int] | None = None
    """Bytes that are free on a device, those that the library keeps for itself
    included; 0 if it cannot tell."""
    takes_out: bool = True
    """Whether functions write into an array that is passed as ``out``."""


def _free_of_torch(device: Any) -> int:
    """Free bytes on a CUDA device of PyTorch."""
    if device.type != "cuda":
        return 0
    from torch import cuda

    kept = cuda.memory_reserved(device) - cuda.memory_allocated(device)
    return int(cuda.mem_get_info(device)[0] + kept)


def _free_of_cupy(device: Any) -> int:
    """Free bytes on a device of CuPy."""
    import cupy

    kept = cupy.get_default_memory_pool().free_bytes()
    return int(device.mem_info[0] + kept)


LIBRARIES = {
    "torch": Library(_free_of_torch),
    "cupy": Library(_free_of_cupy),
    "dpnp": Library(),
}
"""Libraries that have more than the array API, by the end of their namespace's name."""
STANDARD = Library(takes_out=False)


@dataclass(frozen=True, eq=False)
class Device:
    """A library of arrays, by its namespace, and one of its devices."""

    xp: Any
    device: Any

    @cached_property
    def library(self) -> Library:
        """What the library has beyond the array API."""
        return LIBRARIES.get(self.xp.__name__.rpartition(".")[2], STANDARD)

    @cached_property
    def dtypes(self) -> dict[str, Any]:
        """The types of numbers on the device, by name."""
        types: dict[str, Any] = self.xp.__array_namespace_info__().dtypes(
            device=self.device
        )
        return types

    @property
    def float_type(self) -> np.dtype:
        """The most precise type of floating-point numbers: float64, or float32."""
        return np.dtype("float64" if "float64" in self.dtypes else "float32")

    def dtype(self, dtype: DTypeLike) -> Any:
        """The library's type for one of NumPy's, or the nearest on the device."""
        name = np.dtype(dtype).name
        return self.dtypes.get(name) or self.dtypes[NARROWER[name]]

    def type_of(self, array: Any) -> np.dtype:
        """NumPy's type for that of an array of floating-point numbers."""
        single = array.dtype == self.xp.float32
        return np.dtype(np.float32 if single else np.float64)

    def put(self, values: NDArray, dtype: DTypeLike | None = None) -> Any:
        """An array of NumPy on the device, in a type, by default its own."""
        own = np.asarray(values)
        if not own.flags.writeable or not own.flags.c_contiguous:
            own = own.copy()  # PyTorch shares memory that it may write to
        wanted = self.dtype(own.dtype if dtype is None else dtype)
        return self.xp.asarray(own, dtype=wanted, device=self.device)

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Any:
        """An array of undefined content."""
        return self.xp.empty(shape, dtype=self.dtype(dtype), device=self.device)

    def into(self, out: Any, function: str, *operands: Any) -> Any:
        """What a function of the namespace returns, written into an array."""
        if self.library.takes_out:
            return getattr(self.xp, function)(*operands, out=out)
        out[...] = getattr(self.xp, function)(*operands)
        return out

    @cached_property
    def n_numbers(self) -> int:
        """Numbers in the arrays of a block."""
        free = self.library.free_memory
        n_bytes = free(self.device) if free else 0
        if not n_bytes:
            return BLOCK_NUMBERS
        # A power of two, so that blocks do not depend on every byte that is free.
        most = 2 ** int(np.log2(max(SHARE_OF_MEMORY * n_bytes / BYTES, LEAST_NUMBERS)))
        return min(most, BLOCK_NUMBERS)

    @property
    def is_host(self) -> bool:
        """Whether arrays are in memory that NumPy can read."""
        try:
            return bool(
                self.empty((1,), self.float_type).__dlpack_device__()[0] == HOST
            )
        except (AttributeError, BufferError, RuntimeError, ValueError):
            return False

    def total(self, values: Any) -> NDArray:
        """Sums (...) over the last axis (..., n), in float64 but for short pieces."""
        length = values.shape[-1]
        ones = self.xp.ones((1, length), dtype=values.dtype, device=self.device)
        return self.contract(values, ones)[..., 0]

    def contract(self, wide: Any, other: Any) -> NDArray:
        """wide @ other.mT on the host, of shapes (..., a, n) and (..., b, n), in
        float64 but for short pieces."""
        n_columns = wide.shape[-1]
        whole = n_columns - n_columns % PIECE
        found: list[NDArray] = []
        if whole:
            transposed = self.xp.matrix_transpose(_pieces(self.xp, other, whole))
            products = self.xp.matmul(_pieces(self.xp, wide, whole), transposed)
            found.append(self._added(products))
        if whole < n_columns:
            rest = self.xp.matrix_transpose(other[..., whole:])
            found.append(to_host(self.xp.matmul(wide[..., whole:], rest)))
        return np.asarray(sum(found[1:], found[0]), dtype=np.float64)

    def _added(self, products: Any) -> NDArray:
        """Products (..., pieces, a, b) added over the pieces, in float64: on the host
        if the device lacks it."""
        if self.float_type == np.float64:
            return to_host(self.xp.sum(products, axis=-3, dtype=self.xp.float64))
        return to_host(products).sum(axis=-3, dtype=np.float64)


def _pieces(xp: Any, wide: Any, whole: int) -> Any:
    """The first columns (..., a, n) in pieces, (..., pieces, a, PIECE)."""
    shape = (*wide.shape[:-1], whole // PIECE, PIECE)
    axes = tuple(range(len(shape)))
    order = (*axes[:-3], axes[-2], axes[-3], axes[-1])
    return xp.permute_dims(xp.reshape(wide[..., :whole], shape), order)


def device_of(array: Any) -> Device | None:
    """The library and the device of an array; None of NumPy's, of what is no array, and
    where scikit-learn does not dispatch on libraries (``array_api_dispatch``)."""
    if not get_config()["array_api_dispatch"] or not _is_foreign(array):
        return None
    try:
        xp, _, device = sklearn_private.get_namespace_and_device(array)
    except TypeError:  # no array of a library that follows the array API
        return None
    return None if sklearn_private.is_numpy_namespace(xp) else Device(xp, device)


def without_gradients(array: Any) -> Any:
    """The array without a record of what it was computed from, which PyTorch keeps."""
    return array.detach() if hasattr(array, "detach") else array


def like(X: Any, values: Any) -> Any:
    """An array of NumPy in the library and on the device of X, if that is another."""
    device = device_of(X) if isinstance(values, np.ndarray) else None
    return values if device is None else device.put(values)


def follow(estimator: Any, X: Any) -> None:
    """Put the fitted attributes that are arrays where X is."""
    device = device_of(X)
    if device is None:
        return
    for name, value in list(vars(estimator).items()):
        numbers = isinstance(value, np.ndarray) and value.dtype.kind in "biuf"
        if numbers and name.endswith("_"):
            setattr(estimator, name, device.put(value))


def check_same_namespace(estimator: Any, X: Any, method: str) -> None:
    """ValueError if the estimator was fitted to arrays of another library than that of
    X, or on another device."""
    means = getattr(estimator, "means_", None)
    if device_of(X) is None and device_of(means) is None:
        return
    check = sklearn_private.check_same_namespace
    check(X, estimator, attribute="means_", method=method)


def to_host(array: Any) -> Any:
    """An array of any library as one of NumPy, which may share its memory; anything
    else as it is."""
    if not _is_foreign(array) or os.environ.get("SCIPY_ARRAY_API") != "1":
        return array
    array = without_gradients(array)
    with config_context(array_api_dispatch=True):
        return sklearn_private.move_to(array, xp=np, device="cpu")


def _is_foreign(array: Any) -> bool:
    """Whether it can be an array of another library than NumPy."""
    numpy = isinstance(array, np.ndarray | np.generic)
    return not numpy and hasattr(array, "__dlpack__") and not hasattr(array, "columns")
