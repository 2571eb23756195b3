"""The paths that a state reads, each followed as far as it leads.

The evaluation is the engine's: a JSONPath is walked along the steps of its compiled Query, and of a
JSONata chain (`$states.input.a[b > 1].c`) each prefix is evaluated as an expression of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from stepwell.asl.choice import OPERATORS, compile_rule
from stepwell.asl.error_matching import matches
from stepwell.asl.evaluation import MISSING, Env, Json, StateError
from stepwell.asl.explain.jsonata.chains import Chain, chains
from stepwell.asl.explain.subject import WORKING, Subject
from stepwell.asl.explain.values import follow, spelled
from stepwell.asl.expression_errors import ExpressionError, ExpressionSyntaxError
from stepwell.asl.expression_fields import fields_of
from stepwell.asl.intrinsics import Call, parse_call
from stepwell.asl.jsonata import compile_jsonata
from stepwell.asl.jsonata_functions import JsonataError
from stepwell.asl.jsonata_values import compile_typed, expressions
from stepwell.asl.jsonpath_query import Key, spelling
from stepwell.asl.paths import Path, compile_path
from stepwell.asl.templates import DYNAMIC

# what `$` is in a JSONPath field; "selected" in the others
_DOCUMENTS: Final = {
    "InputPath": "input",
    "ErrorPath": "input",
    "CausePath": "input",
    "ResultSelector": "result",
    "Assign": "result",
    "OutputPath": "joined",
    "Catch": "error",
}
_AFTER: Final = ("Assign", "ResultSelector", "ResultPath", "OutputPath", "Output")
# in the order of their evaluation; those that are not here come first
_ORDER: Final = ("Assign", "Output", "ResultSelector", "ResultPath", "OutputPath", "Catch")
# where a chain of JSONata reads
_MEMBERS: Final = {
    "input": "input",
    "result": "result",
    "errorOutput": "error",
    "context": "context",
}


_Truth: TypeAlias = Callable[[Json], bool | None]


@dataclass(frozen=True, slots=True)
class Ending:
    """Where a path without a result ends.

    reached  the longest prefix that leads to a value, and that value
    step     the next step, as written; key: its name or index, None for another kind of step
    rest     the names and indices from there on, up to the first step of another kind
    """

    reached: str
    value: Json
    step: str
    key: Key | None
    rest: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """A path in a field of the state.

    field     its place: "Parameters/total.$"
    text      the path
    root      "$", "$$", "$name", "$states.input"
    source    what it reads: "input", "selected", "result", "joined", "error", "context",
              "variable" or "nothing" (a `$` of JSONata)
    document  the value of the root; MISSING for a variable that has none
    keys      its names and indices, up to the first step of another kind
    found     the value; MISSING without one
    ending    where it ends; None if it leads to a value
    optional  its field asks whether it exists
    call      the intrinsic function that takes the value
    """

    field: str
    text: str
    root: str
    source: str
    document: Json
    keys: tuple[Key, ...]
    found: Json
    ending: Ending | None
    optional: bool = False
    call: str = ""
    jsonata: bool = False


@dataclass(frozen=True, slots=True)
class FieldValue:
    """A field that the state evaluated, or would evaluate next. source: what `$` is there."""

    name: str
    value: Json
    source: str


def evaluated_fields(subject: Subject) -> list[FieldValue]:
    """The fields with expressions, in the order of evaluation, as far as there is data."""
    found = []
    for field, value, where in fields_of(subject.fields, ""):
        first = field.steps[0]
        source = _DOCUMENTS.get(first, "selected")
        if first == "Assign" and subject.type not in WORKING:
            source = "result" if "result" in subject.documents else "selected"
        if first == "Result" or (field.steps == ("Choices", "[]") and subject.jsonata):
            continue
        late = first in _AFTER and subject.type in WORKING and first != "ResultPath"
        early = late and "result" not in subject.documents
        if early and subject.alone and subject.jsonata and first in ("Output", "Assign"):
            found.append(FieldValue(where.removeprefix("/"), value, source))
            continue
        if early or (not subject.jsonata and source not in subject.documents):
            continue
        if first == "Catch" and not _catches(subject, where):
            continue
        found.append(FieldValue(where.removeprefix("/"), value, source))
    if subject.type == "Choice":
        found = _until_match(subject, found)
    return sorted(found, key=lambda each: _rank(each.name))


def _rank(name: str) -> int:
    first = name.replace("[", "/").partition("/")[0]
    return _ORDER.index(first) + 1 if first in _ORDER else 0


def _catches(subject: Subject, where: str) -> bool:
    if "error" not in subject.documents:
        return False
    index = int(where.partition("[")[2].partition("]")[0])
    if f"'Catch[{index}]" in (subject.cause or ""):  # it failed itself
        return True
    catchers = subject.fields["Catch"]
    first = next(
        (
            place
            for place, each in enumerate(catchers)
            if matches(each.get("ErrorEquals", ()), subject.error)
        ),
        None,
    )
    return first == index


def _until_match(subject: Subject, fields: list[FieldValue]) -> list[FieldValue]:
    """Without the rules behind the one that matched, and the Output and Assign of other rules."""
    match = matching_rule(subject)
    kept = []
    for each in fields:
        if each.name.startswith("Choices["):
            index = int(each.name[8:].partition("]")[0])
            inner = each.name.partition("]/")[2]
            if (match is not None and index > match) or (
                inner.startswith(("Output", "Assign")) and index != match
            ):
                continue
        elif match is not None and each.name.startswith(("Output/", "Assign")):
            continue  # of the Default
        kept.append(each)
    return kept


def matching_rule(subject: Subject) -> int | None:
    """The index of the rule that is true, or whose test fails; None if all are false."""
    env, value = subject.env(), subject.documents.get("selected")
    for index, rule in enumerate(subject.fields.get("Choices", ())):
        try:
            if subject.jsonata:
                test = compile_typed(rule["Condition"], "Condition", ("boolean",), subject.limits)
            else:
                bare = {key: each for key, each in rule.items() if key != "Output"}
                test = compile_rule(bare, subject.limits)
            if test(value, env):
                return index
        except (StateError, ExpressionError, ExpressionSyntaxError):
            return index
    return None


def readings(subject: Subject) -> Iterator[Reading]:
    """Every path of the fields that were evaluated, in order."""
    for field in evaluated_fields(subject):
        env = subject.env(field.name)
        if subject.jsonata:
            for where, source in expressions(field.value, field.name):
                yield from _expression(where, source, env, subject)
        else:
            document = subject.documents.get(field.source)
            for where, text, optional in _texts(field, _truth(subject, document, env)):
                try:
                    found = paths_of(text, subject)
                except ExpressionSyntaxError:
                    continue
                for path, call in found:
                    yield _path(where, path, field.source, document, env, optional, call)


def _truth(subject: Subject, document: Json, env: Env) -> _Truth:
    """The result of a test of a Choice state; None if it fails."""

    def truth(rule: Json) -> bool | None:
        try:
            return compile_rule(rule, subject.limits)(document, env)
        except (StateError, ExpressionError, ExpressionSyntaxError):
            return None

    return truth


def _no_truth(rule: Json) -> None:
    """Of fields that have no tests."""


def result_paths(subject: Subject) -> Iterator[tuple[str, str, tuple[Key, ...]]]:
    """(place, path, keys) of the paths that read the result of the state's work."""
    for field, value, where in fields_of(subject.fields, ""):
        place = where.removeprefix("/")
        if field.steps[0] not in ("ResultSelector", "Output", "Assign", "OutputPath"):
            continue
        if subject.jsonata:
            for inner, source in expressions(value, place):
                for chain in chains(source):
                    if chain.text.startswith("$states.result."):
                        keys = [link.key for link in chain.links[1:] if link.key is not None]
                        yield inner, chain.text, tuple(keys)
        elif field.steps[0] != "OutputPath" or subject.fields.get("ResultPath", "$") == "$":
            for inner, text, _ in _texts(FieldValue(place, value, "result"), _no_truth):
                try:
                    found = paths_of(text, subject)
                except ExpressionSyntaxError:
                    continue
                for path, _ in found:
                    if path.root == "$":
                        yield inner, path.text, path.query.keys


# --- JSONPath -------------------------------------------------------------------------------------


def _texts(field: FieldValue, truth: _Truth) -> Iterator[tuple[str, str, bool]]:
    """(place, path or call, whether it may have no result) of a field of a JSONPath state."""
    last = field.name.rpartition("/")[2]
    if field.name.startswith("Choices[") and last.endswith("]"):
        yield from _rule(field.name, field.value, truth)
    elif last == "ResultPath":
        return
    elif last.endswith("Path"):
        if isinstance(field.value, str):
            yield field.name, field.value, False
    else:
        yield from _template(field.name, field.value)


def _rule(where: str, rule: Json, truth: _Truth) -> Iterator[tuple[str, str, bool]]:
    """Without the tests behind the one that decides an And or Or: they are not run."""
    if not isinstance(rule, dict):
        return
    for name, operand in rule.items():
        if name in ("And", "Or", "Not"):
            several = operand if isinstance(operand, list) else [operand]
            for index, inner in enumerate(several):
                place = f"{where}/{name}" + (f"[{index}]" if name != "Not" else "")
                yield from _rule(place, inner, truth)
                if name != "Not" and truth(inner) is not (name == "And"):
                    break
        elif name == "Variable" and isinstance(operand, str):
            yield f"{where}/Variable", operand, "IsPresent" in rule
        elif name in OPERATORS and name.endswith("Path") and isinstance(operand, str):
            yield f"{where}/{name}", operand, False


def _template(where: str, value: Json) -> Iterator[tuple[str, str, bool]]:
    if isinstance(value, dict):
        for key, each in value.items():
            if key.endswith(DYNAMIC) and isinstance(each, str):
                yield f"{where}/{key}", each, False
            else:
                yield from _template(f"{where}/{key}", each)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _template(f"{where}[{index}]", each)


def paths_of(text: str, subject: Subject) -> list[tuple[Path, str]]:
    """(path, function that takes it) of a path or an intrinsic call."""
    if text.startswith("$"):
        return [(compile_path(text, subject.limits), "")]
    return list(_arguments(parse_call(text, subject.limits)))


def _arguments(call: Call) -> Iterator[tuple[Path, str]]:
    for each in call.arguments:
        if isinstance(each, Path):
            yield each, call.name
        elif isinstance(each, Call):
            yield from _arguments(each)


def _path(
    where: str, path: Path, source: str, value: Json, env: Env, optional: bool, call: str
) -> Reading:
    source = {"$": source, "$$": "context"}.get(path.root, "variable")
    document = path.document(value, env)
    try:
        found = path.find(value, env)
    except StateError:
        found = MISSING
    nothing = found is MISSING or (found == [] and not path.query.definite)
    ending = path_ending(path, document) if nothing else None
    keys = path.query.keys
    return Reading(
        where, path.text, path.root, source, document, keys, found, ending, optional, call
    )


def path_ending(path: Path, document: Json) -> Ending:
    """Where a path without a result ends in its document."""
    keys, value = path.query.keys, document
    for place, key in enumerate(keys):
        if isinstance(key, str) and isinstance(value, dict):
            key = spelling(value, key)
        after = MISSING if value is MISSING else follow(value, (key,))
        if after is MISSING:
            reached = spelled(path.root, keys[:place])
            return Ending(reached, value, spelled("", (key,)), key, keys[place:])
        value = after
    step = "".join(path.query.labels[len(keys) :])
    return Ending(spelled(path.root, keys), value, step, None, ())


# --- JSONata --------------------------------------------------------------------------------------


def _expression(where: str, source: str, env: Env, subject: Subject) -> Iterator[Reading]:
    try:
        known = compile_jsonata(source, subject.limits).variables
    except ExpressionSyntaxError:
        return
    for chain in chains(source):
        name = chain.root[1:]
        if subject.awaits_result and chain.text.startswith("$states.result"):
            continue
        if name == "states" or (name and name in known):
            yield _chain(where, chain, env, subject)
        elif name in ("", "$") and chain.links and _outermost(source, chain.start):
            keys = tuple(link.key for link in chain.links if link.key is not None)
            key = keys[0] if keys else None
            ending = Ending(chain.root, MISSING, chain.links[0].text, key, keys)
            yield Reading(
                where,
                chain.text,
                chain.root,
                "nothing",
                MISSING,
                keys,
                MISSING,
                ending,
                jsonata=True,
            )


def _outermost(source: str, at: int) -> bool:
    """Whether `$` there is the expression's own context: not an item of a path, predicate or
    function.
    """
    open_: list[bool] = []
    for place, letter in enumerate(source[:at]):
        if letter in "([{":
            before = source[:place].rstrip()[-1:]
            open_.append(
                (letter == "[" and bool(before))
                or before in (".", "~", ">")
                or (letter == "{" and before == ")")
            )
        elif letter in ")]}" and open_:
            open_.pop()
    return not any(open_)


def _chain(where: str, chain: Chain, env: Env, subject: Subject) -> Reading:
    root, links = chain.root, chain.links
    if root == "$states" and links:
        root, links = f"$states.{links[0].key}", links[1:]
    member = root.partition(".")[2]
    source = _MEMBERS.get(member, "nothing") if chain.root == "$states" else "variable"
    document = value_of(root, env, subject)
    keys: list[Key] = []
    for link in links:
        if link.key is None or link.key in ("*", "**"):
            break
        keys.append(link.key)
    found, ending = value_of(chain.text, env, subject), None
    if found is MISSING:
        reached, value = root, document
        place = 0
        while place < len(links) and value is not MISSING:
            after = value_of(links[place].prefix, env, subject)
            if after is MISSING:
                break
            reached, value, place = links[place].prefix, after, place + 1
        step = links[place].text if place < len(links) else ""
        key = links[place].key if place < len(links) else None
        ending = Ending(reached, value, step, key, tuple(keys[place:]))
    return Reading(
        where, chain.text, root, source, document, tuple(keys), found, ending, jsonata=True
    )


def value_of(source: str, env: Env, subject: Subject) -> Json:
    """The value of an expression; MISSING if it has none or fails."""
    try:
        return compile_jsonata(source, subject.limits).value_of(env)
    except (JsonataError, ExpressionSyntaxError):
        return MISSING
