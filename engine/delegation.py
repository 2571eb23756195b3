"""How a class that is composed of parts offers their operations as its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from operator import attrgetter
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

P = ParamSpec("P")
R = TypeVar("R")


class delegated(Generic[P, R]):  # used like a decorator
    """An operation that is implemented by a part: `send_message = delegated("sender",
    Sender.send_message)`.

    On an instance it is the bound method of the part. On the class it is a function with the
    signature and docstring of the method, for help() and for callers that pass the instance.
    """

    def __init__(self, part: str, method: Callable[Concatenate[Any, P], R]) -> None:
        self.part, self.method, self.__doc__ = part, method.__name__, method.__doc__
        self.function = _function(part, method)
        self._bound = attrgetter(f"{part}.{method.__name__}")

    @overload
    def __get__(self, whole: None, kind: type) -> Callable[Concatenate[Any, P], R]: ...
    @overload
    def __get__(self, whole: object, kind: type) -> Callable[P, R]: ...
    def __get__(self, whole: object | None, kind: type) -> Any:
        return self.function if whole is None else self._bound(whole)


def _function(part: str, method: Callable[..., Any]) -> Callable[..., Any]:
    name = method.__name__
    if not iscoroutinefunction(method):

        @wraps(method)
        def plain(self: Any, /, *args: Any, **kwargs: Any) -> Any:
            return getattr(getattr(self, part), name)(*args, **kwargs)

        return plain

    @wraps(method)
    async def operation(self: Any, /, *args: Any, **kwargs: Any) -> Any:
        return await getattr(getattr(self, part), name)(*args, **kwargs)

    return operation
