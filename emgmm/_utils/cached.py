"""Properties that are computed once, without a lock."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

__all__ = ["cached_property"]

if TYPE_CHECKING or sys.version_info >= (3, 12):
    from functools import cached_property
else:

    class cached_property:
        """As `functools.cached_property` is from Python 3.12 on.

        That of 3.11 computes under a lock that all instances of a class share. A
        property whose first value takes a pass over the rows would stop the fits of
        other threads for as long, for ever where their blocks wait for one another;
        and a child that is forked meanwhile would find the lock closed.
        """

        def __init__(self, function: Any) -> None:
            self.function = function
            self.__doc__ = function.__doc__

        def __set_name__(self, owner: type, name: str) -> None:
            self.name = name

        def __get__(self, instance: Any, owner: type | None = None) -> Any:
            if instance is None:
                return self
            value = vars(instance)[self.name] = self.function(instance)
            return value
