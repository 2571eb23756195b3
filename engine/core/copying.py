"""Copies of objects with __slots__."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

_Slotted = TypeVar("_Slotted")


def copier(kind: type[_Slotted], **copies: Callable[[Any], Any]) -> Callable[[_Slotted], _Slotted]:
    """A function that copies an object with __slots__, slot by slot: written out, as dataclasses
    do, it is ten times as fast as a loop. copies: how to copy the value of a slot that is not None.
    """
    slots: tuple[str, ...] = kind.__slots__  # type: ignore[attr-defined]
    values = {
        name: f"old.{name} and copy_{name}(old.{name})" if name in copies else f"old.{name}"
        for name in slots
    }
    lines = "".join(f"    new.{name} = {value}\n" for name, value in values.items())
    scope: dict[str, Any] = {"make": kind.__new__, "kind": kind}
    scope |= {f"copy_{name}": copy for name, copy in copies.items()}
    exec(f"def copy(old):\n    new = make(kind)\n{lines}    return new\n", scope)
    copy: Callable[[_Slotted], _Slotted] = scope["copy"]
    return copy
