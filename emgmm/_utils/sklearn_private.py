"""Names of scikit-learn that may move without notice, or that some versions lack.

No other module of the package imports a private name of scikit-learn. Each is here with
what replaces it where it is missing:

_fit_context, InvalidParameterError, Interval, StrOptions, HasMethods,
validate_parameter_constraints
    Parameters are declared and validated as scikit-learn's own estimators do it, so
    that errors read the same and ``skip_parameter_validation`` is followed. The names
    are taken all or none, as they only work together; `parameter_checks` replaces them.
CallbackSupportMixin, with_callbacks
    Public, from version 1.9 on: before that, estimators have no callbacks.
_skl_callbacks, _init_callback_context
    Attributes of estimators with callbacks, which there is no public way to ask for.
    Where they are missing, fits report nothing.

get_namespace_and_device, _is_numpy_namespace, _convert_to_numpy, move_to,
check_same_namespace
    Of its private module of arrays of other libraries. `array_standard` replaces them,
    without PyTorch; the last two are in newer versions only.

`_validate_params`, which scikit-learn calls, and `_parameter_constraints` belong to the
estimators of this package: nothing of scikit-learn's is called by these names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    def with_callbacks(function: Any) -> Any:
        """The function itself, where scikit-learn has no callbacks."""
        return function

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """An empty base class, where scikit-learn has no callbacks."""


try:
    from sklearn.base import _fit_context as fit_context
    from sklearn.utils._param_validation import (
        HasMethods,
        Interval,
        InvalidParameterError,
        StrOptions,
        validate_parameter_constraints,
    )
except ImportError:
    from .parameter_checks import (
        HasMethods,
        Interval,
        InvalidParameterError,
        StrOptions,
        validate_before,
        validate_parameter_constraints,
    )

    def fit_context(*, prefer_skip_nested_validation: bool) -> Callable[..., Any]:
        """A decorator of methods that fit: parameters are validated, callbacks end."""
        skip = prefer_skip_nested_validation
        return lambda fit: validate_before(with_callbacks(fit), skip)


try:
    from sklearn.utils._array_api import _convert_to_numpy as convert_to_numpy
    from sklearn.utils._array_api import _is_numpy_namespace as is_numpy_namespace
    from sklearn.utils._array_api import get_namespace_and_device
except ImportError:
    from .array_standard import get_namespace_and_device, is_numpy_namespace, move_to
else:
    try:
        from sklearn.utils._array_api import move_to  # type: ignore[no-redef]
    except ImportError:

        def move_to(array: Any, *, xp: Any, device: Any) -> Any:
            """The array as one of NumPy, in the memory of the host."""
            return convert_to_numpy(array, get_namespace_and_device(array)[0])


try:
    from sklearn.utils._array_api import check_same_namespace
except ImportError:
    from .array_standard import check_same_namespace

__all__ = [
    "CallbackSupportMixin",
    "HasMethods",
    "Interval",
    "InvalidParameterError",
    "StrOptions",
    "check_same_namespace",
    "fit_context",
    "forget_callbacks",
    "get_namespace_and_device",
    "has_callbacks",
    "is_numpy_namespace",
    "move_to",
    "new_callback_context",
    "validate_parameter_constraints",
    "with_callbacks",
]


def has_callbacks(estimator: Any) -> bool:
    """Whether callbacks have been registered on the estimator."""
    return all(
        hasattr(estimator, name)
        for name in ("_skl_callbacks", "_init_callback_context")
    )


def forget_callbacks(estimator: Any) -> None:
    """Take the callbacks from an estimator; clones have them, from 1.9 on."""
    vars(estimator).pop("_skl_callbacks", None)


def new_callback_context(estimator: Any, **task: Any) -> Any:
    """The context of the outermost task of an estimator with callbacks."""
    return estimator._init_callback_context(**task)
