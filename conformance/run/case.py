"""One generated example, and the file format for failing ones."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

Json = Any

EXPRESS: Final = "EXPRESS"
STANDARD: Final = "STANDARD"


@dataclass(frozen=True, slots=True)
class Case:
    """A machine and its input. `kind`: the type of workflow; `area`: what it was drawn for; `note`:
    what the area needs to know about it.
    """

    definition: dict[str, Any]
    input: Json
    kind: str = EXPRESS
    area: str = ""
    note: str = ""

    def dumps(self, **notes: Json) -> str:
        """The file: an indented JSON object. `notes`: further members, such as the problems."""
        return json.dumps(
            {
                "area": self.area,
                "note": self.note,
                "kind": self.kind,
                "definition": self.definition,
                "input": self.input,
                **notes,
            },
            ensure_ascii=False,
            indent=2,
        )

    @staticmethod
    def loads(text: str) -> "Case":
        """A case from the text of its file. Raises ValueError or KeyError for other text."""
        value = json.loads(text)
        return Case(
            value["definition"], value["input"], value["kind"], value["area"], value.get("note", "")
        )


def states_of(block: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, state) of all states of a machine, those inside Parallel and Map included."""
    for name, state in block["States"].items():
        yield name, state
        for inner in blocks_of(state):
            yield from states_of(inner)


def blocks_of(state: dict[str, Any]) -> list[dict[str, Any]]:
    """The branches of a state, or its item processor."""
    inner = [*state.get("Branches", ()), state.get("ItemProcessor"), state.get("Iterator")]
    return [
        block
        for block in inner
        if isinstance(block, dict) and isinstance(block.get("States"), dict)
    ]


def changed(value: Json, change: Callable[[str], str]) -> Json:
    """A copy of a value with `change` applied to every string."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [changed(each, change) for each in value]
    if isinstance(value, dict):
        return {key: changed(each, change) for key, each in value.items()}
    return value
