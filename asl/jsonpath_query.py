"""Compiled JSONPaths in Jayway's dialect, which AWS speaks: Query and its nodes.

A query is a definite prefix (`$.a[0]`: a tuple of keys, followed by a plain loop) and, for steps
that may match several values (`[*].b`, `..c`, `[?(@.d > 1)]`), a chain of jsonpath-ng nodes, with
Jayway's own slices, merges and filters among them.
The behaviour is that of json-path 2.9 as observed, except for its defects: `$..[*].b` finds all
matches.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from jsonpath_ng.jsonpath import Child, DatumInContext, JSONPath

from stepwell.asl import messages
from stepwell.asl.evaluation import MISSING, Json
from stepwell.asl.java_values import java_class, java_text
from stepwell.asl.jsonpath_filters import FUNCTIONS
from stepwell.asl.meter import meter, spend


class Escaped(str):
    """A name that was written with escapes; `raw` is the name with the escapes. A member may have
    either name.
    """

    __slots__ = ("raw",)
    raw: str


def spelling(value: dict[str, Json], name: str) -> str:
    """The spelling of a name that an object uses; any spelling if it has no such member."""
    return name if not isinstance(name, Escaped) else name.raw if name.raw in value else str(name)


Key: TypeAlias = str | int
Read: TypeAlias = Callable[[Json, Json], Json]  # (the item under test, the root document)
Test: TypeAlias = Callable[[Json, Json], bool]
Types: TypeAlias = type | tuple[type, ...]


# --- nodes, beside jsonpath-ng's. Each spends a step of the Meter for each value that it visits ---
class Every(JSONPath):
    """`[*]`: all items or members."""

    def find(self, datum: Any) -> list[DatumInContext]:
        items = _items(datum.value)
        spend(len(items))
        return [DatumInContext(item, self, datum) for item in items]


class Scan(JSONPath):
    """`..`: applies the step to the value and to all values below it, outer ones first."""

    def __init__(self, step: JSONPath) -> None:
        self.step = step

    def find(self, datum: Any) -> list[DatumInContext]:
        left, find, found = meter(), self.step.find, list[DatumInContext]()
        below: list[Json] = [datum.value]
        while below:
            value = below.pop()
            items = _items(value)
            left.spend(1 + len(items))
            found += find(DatumInContext(value, self, datum))
            below += reversed(items)
        return found


def _items(value: Json) -> Sequence[Json]:
    if isinstance(value, list):
        return value
    return list(value.values()) if isinstance(value, dict) else ()


class Properties(JSONPath):
    """`.a`, `['a']`, and `['a','b']` before another step: each member that exists."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def find(self, datum: Any) -> list[DatumInContext]:
        value = datum.value
        spend(len(self.names))
        names = self.existing(value) if isinstance(value, dict) else []
        return [DatumInContext(value[name], self, datum) for name in names]

    def existing(self, value: dict[str, Json]) -> list[str]:
        """The names of the members that exist."""
        return [name for name in (spelling(value, name) for name in self.names) if name in value]


class Merge(Properties):
    """`['a','b']` at the end of a path: one object with those members. After `..`, only objects
    that have them all match.
    """

    def __init__(self, names: tuple[str, ...], scan: bool) -> None:
        super().__init__(names)
        self.complete = scan

    def find(self, datum: Any) -> list[DatumInContext]:
        value = datum.value
        names = self.existing(value) if isinstance(value, dict) else None
        if names is None or (self.complete and len(names) < len(self.names)):
            return []
        return [DatumInContext({name: value[name] for name in names}, self, datum)]


class Items(JSONPath):
    """`[0,2]` and `[1:3]`. `pick`: length of the array -> positions; negative ones count from the
    end, those out of range are skipped.
    """

    def __init__(self, pick: Callable[[int], Iterable[int]]) -> None:
        self.pick = pick

    def find(self, datum: Any) -> list[DatumInContext]:
        value = datum.value
        if not isinstance(value, list):
            return []
        length = len(value)
        positions = [position for position in self.pick(length) if -length <= position < length]
        spend(1 + len(positions))
        return [DatumInContext(value[position], self, datum) for position in positions]


class Where(JSONPath):
    """`[?(...)]`: the items of an array that pass the test, or the object itself.

    After `..` an array must pass, too; `..` also applies the filter to the objects in it.
    """

    def __init__(self, test: Test, scan: bool) -> None:
        self.test, self.scan = test, scan

    def find(self, datum: Any) -> list[DatumInContext]:
        value, top = datum.value, datum
        while top.context is not None:
            top = top.context
        if isinstance(value, dict):
            return [datum] if self.test(value, top.value) else []
        if not isinstance(value, list) or (self.scan and not self.test(value, top.value)):
            return []
        spend(len(value))
        return [DatumInContext(item, self, datum) for item in value if self.test(item, top.value)]


# --- queries --------------------------------------------------------------------------------------
class Step(NamedTuple):
    """One parsed step of a path.

    label  its name in Jayway's messages
    key    of a step with at most one result: the key to follow
    node   (whether it is the last step, whether it follows `..`) -> its node
    wants  the types of value that the step accepts
    scan   whether it follows `..`
    """

    label: str
    key: Key | None
    node: Callable[[bool, bool], JSONPath]
    wants: Types = object
    scan: bool = False


class Call(NamedTuple):
    """A function at the end of a path: `.length()`."""

    name: str
    arguments: tuple[Read, ...]


def walker(keys: tuple[Key, ...]) -> Read:
    """A closure that follows keys through a document; its result is MISSING if one does not
    exist.
    """
    if all(isinstance(key, str) and not isinstance(key, Escaped) for key in keys):

        def names(value: Json, _: object) -> Json:
            try:
                for key in keys:
                    value = value[key]
            except (KeyError, TypeError):
                return MISSING
            return value

        return names

    def mixed(value: Json, _: object) -> Json:
        try:
            for key in keys:
                if type(key) is int and type(value) is not list:
                    return MISSING  # Python would index a string
                value = value[
                    spelling(value, key)
                    if isinstance(key, Escaped) and isinstance(value, dict)
                    else key
                ]
        except (KeyError, TypeError, IndexError):
            return MISSING
        return value

    return mixed


@dataclass(frozen=True, slots=True)
class Query:
    """A compiled path below its root.

    keys      the definite prefix
    tail      the nodes of the other steps, None if there are none
    wants     the types of value that the tail accepts
    call      the function at the end
    definite  True: one result or none; False: a list
    labels    the labels of all steps
    walk      (document, anything) -> the value at `keys`, or MISSING
    """

    keys: tuple[Key, ...]
    tail: JSONPath | None
    wants: Types
    call: Call | None
    definite: bool
    labels: tuple[str, ...]
    walk: Read

    def find(self, document: Json, root: Json, strict: bool = False) -> Json:
        """The result for `document`, MISSING if there is none. `root` is the value of `$` in
        filters. `strict`: see `explain`.

        Raises PathError if the function at the end fails, or an operator of a filter.
        """
        value = self.walk(document, root)
        if value is MISSING or (self.tail is not None and not isinstance(value, self.wants)):
            return MISSING if self.explain(document, strict) else []
        if self.tail is not None:
            found = [
                match.value
                for match in self.tail.find(DatumInContext(value, context=DatumInContext(root)))
            ]
            if self.call is None:
                return found[0] if self.definite else found
            if not self.definite:
                return [self._apply(item, root) for item in found]
            value = found
            if self.call.name in ("length", "size"):  # Jayway counts the items in the matches
                value = [
                    item for match in found if isinstance(match, (list, dict)) for item in match
                ]
        return value if self.call is None else self._apply(value, root)

    def _apply(self, value: Json, root: Json) -> Json:
        assert self.call is not None
        arguments = [argument(value, root) for argument in self.call.arguments]
        return FUNCTIONS[self.call.name](
            value, [argument for argument in arguments if argument is not MISSING]
        )

    def explain(self, document: Json, strict: bool = False) -> str | None:
        """Jayway's reason for the result MISSING; None for any other result.

        In a path that may match several values a missing member is no error for AWS: it finds
        nothing. For Jayway, and so within filters, it is (`strict`).
        """
        strict = strict or self.definite
        value: Any = document
        for position, key in enumerate(self.keys):
            wants: Any = dict if isinstance(key, str) else list
            if not isinstance(value, wants):
                return self._obstacle(value, position, wants, strict)
            if isinstance(key, int) and not -len(value) <= key < len(value):
                return (
                    messages.NO_RESULTS.format(normalized=self._spelled(None))
                    if self.definite
                    else None
                )
            if isinstance(key, str) and (key := spelling(value, key)) not in value:
                text = (
                    messages.NO_RESULTS
                    if position == len(self.labels) - 1
                    else messages.MISSING_PROPERTY
                )
                return text.format(normalized=self._spelled(position + 1)) if strict else None
            value = value[key]
        return (
            None
            if self.tail is None or isinstance(value, self.wants)
            else self._obstacle(value, len(self.keys), self.wants, strict)
        )

    def _obstacle(self, value: Json, position: int, wants: Types, strict: bool) -> str | None:
        """The reason why the step at `position` cannot be applied to the value."""
        if not strict and (wants is dict or (wants is list and value is None)):
            return None
        if wants is dict:
            return messages.OBJECT_EXPECTED.format(
                property=self.labels[position],
                path=self._spelled(position),
                found=java_class(value),
            )
        if wants is list and value is None:
            return messages.PATH_IS_NULL.format(path=self._spelled(position))
        text = messages.ARRAYS_ONLY if wants is list else messages.NO_PRIMITIVES
        return text.format(filter="".join(self.labels[position:]), value=java_text(value))

    def _spelled(self, stop: int | None) -> str:
        return "$" + "".join(self.labels[:stop])


def assemble(steps: tuple[Step, ...], call: Call | None) -> Query:
    """Steps -> Query: the definite prefix, and a node for each other step."""
    prefix = next(
        (number for number, step in enumerate(steps) if step.key is None or step.scan), len(steps)
    )
    keys = tuple(step.key for step in steps[:prefix] if step.key is not None)
    rest, tail = steps[prefix:], None
    for number, step in enumerate(rest, 1):
        node = step.node(number == len(rest) and call is None, step.scan)
        if step.scan:
            node = Scan(node)
        tail = node if tail is None else Child(tail, node)
    gathers = bool(steps) and steps[0].scan  # a function after $.. gets all matches at once
    merged = len(rest) == 1 and isinstance(tail, Merge)
    definite = tail is None or (gathers if call else merged)
    wants = object if not rest or rest[0].scan else rest[0].wants  # .. accepts any value
    labels = [f"..{step.label}" if step.scan else step.label for step in steps] + (
        [f".{call.name}()"] if call else []
    )
    return Query(keys, tail, wants, call, definite, tuple(labels), walker(keys))
