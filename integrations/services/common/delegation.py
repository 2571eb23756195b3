"""How a service that is composed of parts offers their operations as its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, overload

P = ParamSpec("P")
R = TypeVar("R")


class delegated(Generic[P, R]):  # it is used like a decorator
    """A method of a service that one of its parts has: `send_message = delegated("sender",
    Sender.send_message)`.
    """

    def __init__(self, part: str, method: Callable[Concatenate[Any, P], R]) -> None:
        self.part, self.method, self.__doc__ = part, method.__name__, method.__doc__

    @overload
    def __get__(self, service: None, kind: type) -> delegated[P, R]: ...
    @overload
    def __get__(self, service: object, kind: type) -> Callable[P, R]: ...
    def __get__(self, service: object | None, kind: type) -> Any:
        return self if service is None else getattr(getattr(service, self.part), self.method)
