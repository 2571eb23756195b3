"""The states of a definition in one form, so that two that do the same are equal: without defaults,
comments and older names of fields. Pure.

A definition is compared as JSON, so that one with unfilled ${Placeholders} can be compared too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from stepwell.asl.blocks import located_blocks
from stepwell.asl.definition import DISTRIBUTED, JSONATA
from stepwell.asl.evaluation import Json
from stepwell.asl.json_text import member

JSONPATH: Final = "JSONPath"
FOREVER: Final = 99_999_999  # seconds: a Task's TimeoutSeconds
RETRY_DEFAULTS: Final = {
    "IntervalSeconds": 1,
    "MaxAttempts": 3,
    "BackoffRate": 2,
    "JitterStrategy": "NONE",
}
_RESULT: Final = "{% $states.result %}"
_INPUT: Final = "{% $states.input %}"
_ERROR_OUTPUT: Final = "{% $states.errorOutput %}"
_OLDER_NAMES: Final = {"Iterator": "ItemProcessor", "Parameters": "ItemSelector"}  # of a Map
_WITH_RESULT: Final = ("Task", "Parallel", "Map")
# what a field that is not written means: of a state of any type, of a type, of a language
DEFAULTS: Final[Mapping[str, Mapping[str, Json]]] = {
    "": {"End": False},
    "Task": {"TimeoutSeconds": FOREVER},
    "Map": {"MaxConcurrency": 0},
    JSONPATH: {"InputPath": "$", "OutputPath": "$", "ResultPath": "$"},
    f"Map {JSONPATH}": {"ItemsPath": "$"},
}


@dataclass(slots=True)
class Place:
    """A state of a definition, without the states inside it.

    path    its location in the text: /States/Ship/Branches[0]/States/Pack
    inside  (Parallel or Map, branch) that contains it, ("", 0) for the machine
    fields  canonical; without Branches, and without States of the ItemProcessor
    blocks  of a Parallel or Map: names of the states of each branch
    first   whether it is the first state of its block
    """

    name: str
    path: str
    inside: tuple[str, int]
    fields: dict[str, Json]
    blocks: list[list[str]]
    first: bool

    @property
    def type(self) -> str:
        return str(self.fields.get("Type", ""))


def machine_fields(definition: Mapping[str, Any]) -> dict[str, Json]:
    """The fields of the machine other than its states; without defaults."""
    ignored = ("States", "Comment", "QueryLanguage", "StartAt")
    fields = {name: value for name, value in definition.items() if name not in ignored}
    if fields.get("Version") == "1.0":
        del fields["Version"]
    return fields


def places(definition: Mapping[str, Any]) -> dict[str, Place]:
    """All states by name, those of a block before those inside them."""
    found: dict[str, Place] = {}
    language = str(definition.get("QueryLanguage", JSONPATH))
    _block(definition, "", ("", 0), language, found)
    return found


def _block(
    block: Mapping[str, Any],
    at: str,
    inside: tuple[str, int],
    language: str,
    found: dict[str, Place],
) -> None:
    inner: list[tuple[Mapping[str, Any], str, tuple[str, int]]] = []
    for name, state in block.get("States", {}).items():
        path = member(f"{at}/States", name)
        blocks = located_blocks(state, path)
        inner += [(each, where, (name, index)) for index, (each, where) in enumerate(blocks)]
        found[name] = Place(
            name,
            path,
            inside,
            canonical(state, language),
            [list(each.get("States", ())) for each, _ in blocks],
            block.get("StartAt") == name,
        )
    for each, where, owner in inner:
        _block(each, where, owner, language, found)


def canonical(state: Mapping[str, Any], language: str) -> dict[str, Json]:
    """The fields of a state without those that say what holds anyway.

    language  of the machine
    """
    kind = str(state.get("Type", ""))
    language = str(state.get("QueryLanguage", language))
    fields = {name: _tidy(value) for name, value in state.items() if name != "Comment"}
    fields["QueryLanguage"] = language
    fields.pop("Branches", None)
    if kind == "Map":
        for older, name in _OLDER_NAMES.items():
            if older in fields:
                fields.setdefault(name, fields.pop(older))
        _map(fields)
    if language == JSONATA:
        default = _tidy(_RESULT if kind in _WITH_RESULT else _INPUT)
        if fields.get("Output") == default:
            del fields["Output"]
    for group in ("", kind, language, f"{kind} {language}"):
        for name, value in DEFAULTS.get(group, {}).items():
            if name in fields and same(fields[name], value):
                del fields[name]
    if "Retry" in fields:
        fields["Retry"] = [_without(each, RETRY_DEFAULTS) for each in _list(fields["Retry"])]
    if "Catch" in fields:
        catcher = {"ResultPath": "$"} if language != JSONATA else {"Output": _tidy(_ERROR_OUTPUT)}
        fields["Catch"] = [_without(each, catcher) for each in _list(fields["Catch"])]
    if "Choices" in fields:
        fields["Choices"] = [_without(each, {}) for each in _list(fields["Choices"])]
    return {
        name: value for name, value in fields.items() if name not in ("Retry", "Catch") or value
    }


def _map(fields: dict[str, Json]) -> None:
    """Of the ItemProcessor only ProcessorConfig, without its default."""
    processor = fields.pop("ItemProcessor", {})
    config = processor.get("ProcessorConfig", {}) if isinstance(processor, dict) else {}
    if config.get("Mode") == DISTRIBUTED:
        fields["ProcessorConfig"] = config
    count, percentage = "ToleratedFailureCount", "ToleratedFailurePercentage"
    for name, other in ((count, percentage), (percentage, count)):
        if fields.get(name) == 0 and not fields.get(other):
            del fields[name]


def _list(value: Json) -> list[Any]:
    return value if isinstance(value, list) else []


def _without(entry: Json, defaults: Mapping[str, Json]) -> Json:
    """A retrier, catcher or rule without its Comment and what is the default; its errors sorted."""
    if not isinstance(entry, dict):
        return entry
    kept = {
        name: value
        for name, value in entry.items()
        if name != "Comment" and not (name in defaults and same(value, defaults[name]))
    }
    if isinstance(kept.get("ErrorEquals"), list):
        kept["ErrorEquals"] = sorted(map(str, kept["ErrorEquals"]))
    return kept


def _tidy(value: Json) -> Json:
    """A value whose JSONata expressions have one space at each end."""
    if isinstance(value, dict):
        return {name: _tidy(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_tidy(each) for each in value]
    if isinstance(value, str) and value.startswith("{%") and value.endswith("%}"):
        return f"{{% {value[2:-2].strip()} %}}"
    return value


def same(old: Json, new: Json) -> bool:
    """Whether two JSON values are equal: true is not 1, but 1 is 1.0."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(same(old[name], new[name]) for name in old)
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(same, old, new))
    return bool(old == new) and isinstance(old, bool) == isinstance(new, bool)
