"""What the values of a definition are: blocks, states, the transitions between them, and the kind
of each object.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from stepwell.asl.definition import JSONATA, JSONPATH
from stepwell.asl.field_order import SHAPES
from stepwell.asl.schema import json_schema
from stepwell.integrations.editor.tree import OBJECT, SCALAR, Member, Node, Spot

TRANSITIONS: Final = ("Next", "Default", "StartAt")
_MODELS: Final = {  # name of a Shape -> name of a model
    "machine": "Machine", "processor": "ProcessorConfig", "rule": "ChoiceRule",
    "retrier": "Retrier", "catcher": "Catcher", "reader": "ItemReader",
    "reader config": "ReaderConfig", "batcher": "ItemBatcher", "writer": "ResultWriter",
    "writer config": "WriterConfig",
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A machine, branch or item processor. targets: the scalars that name one of its states."""

    node: Node
    states: tuple[Member, ...]
    targets: tuple[Node, ...]

    def state(self, name: str) -> Member | None:
        return next((each for each in self.states if each.name == name), None)


def blocks(root: Node) -> Iterator[Block]:
    """All blocks, outer ones first."""
    states = root.get("States")
    members = tuple(states.members) if states is not None and states.kind == OBJECT else ()
    if members or root.get("StartAt") is not None:
        found = [node for name in ("StartAt",) if (node := root.get(name)) is not None]
        for each in members:
            if each.value is not None:
                found += _targets(each.value)
        yield Block(root, members, tuple(each for each in found if each.kind == SCALAR))
    for each in members:
        for inner in inner_blocks(each.value):
            yield from blocks(inner)
    if not members:  # a template: definitions are further inside
        for value in (*root.items, *(member.value for member in root.members)):
            if value is not None and value.kind != SCALAR:
                yield from blocks(value)


def inner_blocks(state: Node | None) -> Iterator[Node]:
    if state is None:
        return
    branches = state.get("Branches")
    yield from branches.items if branches is not None else ()
    for name in ("ItemProcessor", "Iterator"):
        if (block := state.get(name)) is not None:
            yield block


def _targets(state: Node) -> Iterator[Node]:
    for name in ("Next", "Default"):
        if (target := state.get(name)) is not None:
            yield target
    for name in ("Choices", "Catch"):
        entries = state.get(name)
        for entry in entries.items if entries is not None else ():
            if (target := entry.get("Next")) is not None:
                yield target


def block_of(root: Node, spot: Spot) -> Block | None:
    """The innermost block around a spot."""
    around = {id(node) for node, _ in spot.parents}
    found = [each for each in blocks(root) if id(each.node) in around]
    return found[-1] if found else None


def shape_of(spot: Spot) -> tuple[str, Node, str]:
    """(name of the Shape of the innermost object, that object, its query language); "" for data."""
    shape, language = "", JSONPATH
    for index, (node, member) in enumerate(spot.parents):
        if not shape and (node.get("States") is not None or node.get("StartAt") is not None):
            shape = "machine"
        if shape in ("machine", "state") and node.word("QueryLanguage") == JSONATA:
            language = JSONATA
        if index == len(spot.parents) - 1:
            return shape, node, language
        if shape.endswith("[]") or shape.endswith("{}"):
            shape = shape[:-2]
        elif shape in SHAPES and member is not None:
            shape = "".join(SHAPES[shape].inner.get(member.name, ("data", "")))
        elif index or shape:
            shape = shape and "data"
    return "", Node(OBJECT, 0, 0), language


@cache
def _schema() -> dict[str, Any]:
    definitions: dict[str, Any] = json_schema()["definitions"]
    return definitions


def fields_of(shape: str, node: Node, language: str) -> dict[str, Any]:
    """The fields that an object of a Shape may have: name -> schema."""
    if shape == "state":
        type_ = node.word("Type")
        name = f"{type_}State{language}"
        if type_ and name in _schema():
            return dict(_schema()[name]["properties"])
        return {"Type": _schema()[f"State{JSONATA}"]["properties"]["Type"]}
    model = _MODELS.get(shape)
    return dict(_schema()[model + language]["properties"]) if model else {}


def words_of(schema: Any) -> list[str]:
    """The words that a field may have."""
    if isinstance(schema, dict):
        found = [each for each in schema.get("enum", ()) if isinstance(each, str)]
        found += [schema["const"]] if isinstance(schema.get("const"), str) else []
        return found + [word for each in schema.get("anyOf", ()) for word in words_of(each)]
    return []
