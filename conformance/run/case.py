"""One generated example, and the file that a failing one is kept in."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

Json = Any

EXPRESS: Final = "EXPRESS"
STANDARD: Final = "STANDARD"


@dataclass(frozen=True, slots=True)
class Case:
    """A machine and its input. `kind`: the type of workflow that it is run as. `area`: what it was
    made to try. `note`: what is special about it, for people."""

    definition: dict[str, Any]
    input: Json
    kind: str = EXPRESS
    area: str = ""
    note: str = ""

    def dumps(self, **notes: Json) -> str:
        """The file: a readable JSON object; `notes` are further members, such as what was
        expected.
        """
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
        """A case from its file. ValueError, KeyError for what is none."""
        value = json.loads(text)
        return Case(
            value["definition"], value["input"], value["kind"], value["area"], value.get("note", "")
        )


def states_of(block: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, state) of a machine's states, those inside Parallel and Map included."""
    for name, state in block["States"].items():
        yield name, state
        for inner in blocks_of(state):
            yield from states_of(inner)


def blocks_of(state: dict[str, Any]) -> list[dict[str, Any]]:
    """The blocks inside a state."""
    inner = [*state.get("Branches", ()), state.get("ItemProcessor"), state.get("Iterator")]
    return [
        block
        for block in inner
        if isinstance(block, dict) and isinstance(block.get("States"), dict)
    ]


def changed(value: Json, change: Callable[[str], str]) -> Json:
    """A copy with every string replaced."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [changed(each, change) for each in value]
    if isinstance(value, dict):
        return {key: changed(each, change) for key, each in value.items()}
    return value
