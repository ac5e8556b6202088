"""Arrays of other libraries by the array API standard alone, without scikit-learn.

PyTorch's tensors do not have what the standard asks of arrays: they are not recognised.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def get_namespace_and_device(array: Any) -> tuple[Any, bool, Any]:
    """The namespace of an array, True, and its device; a TypeError without any."""
    if not hasattr(array, "__array_namespace__"):
        raise TypeError(f"{type(array).__name__} has no namespace of the array API")
    return array.__array_namespace__(), True, array.device


def is_numpy_namespace(xp: Any) -> bool:
    """Whether the namespace is NumPy's."""
    return xp.__name__ == "numpy"


def move_to(array: Any, *, xp: Any, device: Any) -> Any:
    """The array as one of NumPy; an error where its memory is not that of the host."""
    return np.from_dlpack(array)


def check_same_namespace(
    X: Any, estimator: Any, *, attribute: str, method: str
) -> None:
    """ValueError if X is of another library than a fitted attribute, or elsewhere."""
    here, there = _place(X), _place(getattr(estimator, attribute))
    if here != there:
        raise ValueError(
            f"Inputs passed to {type(estimator).__name__}.{method}() must use the same "
            f"namespace and the same device as those passed to fit(): X is of {here}, "
            f"{attribute} of {there}. Move X, or fit again."
        )


def _place(array: Any) -> str:
    """The names of an array's library and of its device."""
    if not hasattr(array, "__array_namespace__"):
        return "numpy on cpu"
    xp, _, device = get_namespace_and_device(array)
    return f"{xp.__name__} on {device}"
