"""What is known about a JSON value before any execution: Shape, an abstract value.

A Shape describes a set of values; every operation returns a Shape of at least the values that the
real operation may have. So a conclusion ("this path finds nothing") holds in every execution, and
where nothing is known the Shape is ANY. "absent" is a kind of its own, the result of a path that
finds nothing:

    of({"a": 1}) --read "b"--> ABSENT       ANY --read "b"--> MAYBE (anything, or absent)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Final

from stepwell.asl.evaluation import MISSING, Json
from stepwell.asl.files.placeholders import PLACEHOLDER

NULL, BOOLEAN, NUMBER, STRING = "null", "boolean", "number", "string"
ARRAY, OBJECT, LACK = "array", "object", "absent"
_SCALARS: Final = frozenset({NULL, BOOLEAN, NUMBER, STRING})
_PRESENT: Final = _SCALARS | {ARRAY, OBJECT}
_DEEPEST: Final = 16  # levels that are followed; values below are ANY
_NODES: Final = 500  # of a Shape
_WIDEST: Final = 200  # members of an object, items of a constant array; wider ones are open
_KINDS: Final = {
    type(None): NULL,
    bool: BOOLEAN,
    int: NUMBER,
    float: NUMBER,
    str: STRING,
    list: ARRAY,
    dict: OBJECT,
}
_ARTICLES: Final = {ARRAY: "an array", OBJECT: "an object", NULL: "null", LACK: "absent"}


@dataclass(frozen=True, slots=True)
class Shape:
    """A set of JSON values.

    kinds    the JSON types that a value may have, and "absent"; none: no value arrives here
    value    the only scalar value it may have, MISSING if several
    members  of objects: the Shape of each known member, "absent" among its kinds if it is optional
    open     whether an object may have other members
    items    of arrays: the Shape of every item
    length   of arrays, None if unknown
    origin   where an object comes from, for messages: "the result of lambda:invoke"
    """

    kinds: frozenset[str] = _PRESENT
    value: Json = MISSING
    members: Mapping[str, Shape] = field(default_factory=dict)
    open: bool = True
    items: Shape | None = None
    length: int | None = None
    origin: str = field(default="", compare=False)

    @property
    def absent(self) -> bool:
        """Whether there is never a value."""
        return self.kinds == {LACK}

    @property
    def reached(self) -> bool:
        """Whether any execution may get here."""
        return bool(self.kinds)

    def only(self, *kinds: str) -> bool:
        """Whether every value is of one of the kinds."""
        return self.kinds <= set(kinds)

    def never(self, *kinds: str) -> bool:
        """Whether there are values, none of which is of one of the kinds."""
        return bool(self.kinds) and self.kinds.isdisjoint(kinds)


ANY: Final = Shape()
ABSENT: Final = Shape(frozenset({LACK}))
MAYBE: Final = Shape(_PRESENT | {LACK})
NOTHING: Final = Shape(frozenset())
TEXT: Final = Shape(frozenset({STRING}))
COUNT: Final = Shape(frozenset({NUMBER}))
FLAG: Final = Shape(frozenset({BOOLEAN}))
LIST: Final = Shape(frozenset({ARRAY}))


def record(members: Mapping[str, Shape], open: bool = False, origin: str = "") -> Shape:
    return Shape(frozenset({OBJECT}), members=members, open=open, origin=origin)


def array(items: Shape, length: int | None = None) -> Shape:
    return Shape(frozenset({ARRAY}), items=items, length=length)


def optional(shape: Shape) -> Shape:
    return shape if LACK in shape.kinds else replace(shape, kinds=shape.kinds | {LACK})


def present(shape: Shape) -> Shape:
    """Without the case that there is no value."""
    return replace(shape, kinds=shape.kinds - {LACK}) if LACK in shape.kinds else shape


def has_hole(text: Json) -> bool:
    """Whether a text has a ${Placeholder} whose value is not known."""
    return isinstance(text, str) and "${" in text and PLACEHOLDER.search(text) is not None


def of(value: Json) -> Shape:
    """The Shape of one value. A text with a placeholder may be any value."""
    return _of(value, 0, [_NODES])


def _of(value: Json, depth: int, left: list[int]) -> Shape:
    kind = _KINDS[type(value)]
    left[0] -= 1
    if depth > _DEEPEST or left[0] < 0 or has_hole(value):
        return ANY
    if kind == OBJECT:
        names = [name for name in value if not has_hole(name)][:_WIDEST]
        return record(
            {name: _of(value[name], depth + 1, left) for name in names},
            open=len(names) < len(value),
        )
    if kind == ARRAY:
        items = join_all(_of(each, depth + 1, left) for each in value[:_WIDEST])
        return array(items if len(value) <= _WIDEST else ANY, len(value))
    return Shape(frozenset({kind}), value=value)


def like(value: Json) -> Shape:
    """The Shape of values that resemble an example: the same members and kinds, any scalars."""
    return _generalized(of(value))


def _generalized(shape: Shape) -> Shape:
    return replace(
        shape,
        value=MISSING,
        length=None,
        items=None if shape.items is None else _generalized(shape.items),
        members={name: _generalized(each) for name, each in shape.members.items()},
    )


def join_all(shapes: Iterable[Shape]) -> Shape:
    return reduce(join, shapes, NOTHING)


def join(left: Shape, right: Shape) -> Shape:
    """The Shape of the values of both."""
    if left is right or not right.kinds:
        return left
    if not left.kinds:
        return right
    kinds = left.kinds | right.kinds
    if kinds >= _PRESENT and (_is_any(left) or _is_any(right)):
        return MAYBE if LACK in kinds else ANY
    members, open, origin = _joined_members(left, right)
    items, length = _joined_items(left, right)
    return Shape(kinds, _joined_value(left, right), members, open, items, length, origin)


def _is_any(shape: Shape) -> bool:
    return shape.kinds >= _PRESENT and not shape.members and shape.open and shape.items is None


def _joined_value(left: Shape, right: Shape) -> Json:
    if left.kinds.isdisjoint(_SCALARS):
        return right.value
    if right.kinds.isdisjoint(_SCALARS):
        return left.value
    same = type(left.value) is type(right.value) and left.value == right.value
    return left.value if same else MISSING


def _joined_members(left: Shape, right: Shape) -> tuple[Mapping[str, Shape], bool, str]:
    if OBJECT not in right.kinds:
        return left.members, left.open, left.origin
    if OBJECT not in left.kinds:
        return right.members, right.open, right.origin
    open = left.open or right.open
    names = {**left.members, **right.members}
    members = {name: join(_member(left, name), _member(right, name)) for name in names}
    if open:  # a member that may be anything says nothing
        members = {name: each for name, each in members.items() if each != MAYBE}
    return members, open, left.origin if left.origin == right.origin else ""


def _joined_items(left: Shape, right: Shape) -> tuple[Shape | None, int | None]:
    if ARRAY not in right.kinds:
        return left.items, left.length
    if ARRAY not in left.kinds:
        return right.items, right.length
    items = None if left.items is None or right.items is None else join(left.items, right.items)
    return items, left.length if left.length == right.length else None


def _member(shape: Shape, name: str) -> Shape:
    return shape.members.get(name, MAYBE if shape.open else ABSENT)


def read(shape: Shape, key: str | int) -> Shape:
    """What a step of a path finds: `.name` in objects, `[0]` in arrays, nothing elsewhere."""
    found = NOTHING
    wanted = OBJECT if isinstance(key, str) else ARRAY
    if shape.kinds - {wanted}:
        found = ABSENT
    if wanted not in shape.kinds:
        return found
    if isinstance(key, str):
        return join(found, _member(shape, key))
    inside = shape.length is not None and -shape.length <= key < shape.length
    outside = shape.length is not None and not inside
    item = ANY if shape.items is None else shape.items
    return join(found, ABSENT if outside else item if inside else optional(item))


def read_all(shape: Shape, keys: Iterable[str | int]) -> Shape:
    for key in keys:
        shape = read(shape, key)
    return shape


def put(shape: Shape, keys: tuple[str | int, ...], result: Shape) -> Shape | None:
    """`result` at a ResultPath in a value; None if it fits no value (see ReferencePath.put)."""
    if not keys:
        return result
    key, rest = keys[0], keys[1:]
    if not isinstance(key, str):
        known = shape.kinds and ARRAY not in shape.kinds
        return None if known else LIST
    if shape.kinds and shape.never(OBJECT, LACK):
        return None
    below = put(_member(shape, key) if OBJECT in shape.kinds else ABSENT, rest, result)
    if below is None:
        return None
    members = shape.members if OBJECT in shape.kinds else {}
    if LACK in shape.kinds:  # the object may be created
        members = {name: optional(each) for name, each in members.items()}
    open = shape.open and OBJECT in shape.kinds
    return record({**members, key: below}, open, shape.origin)


def bounded(shape: Shape) -> Shape:
    """Without what lies too deep or is too much, so that loops reach a fixed point."""
    return _bounded(shape, 0, [_NODES])


def _bounded(shape: Shape, depth: int, left: list[int]) -> Shape:
    left[0] -= 1
    if depth > _DEEPEST or left[0] < 0:
        return MAYBE if LACK in shape.kinds else ANY
    if not shape.members and shape.items is None:
        return shape
    return replace(
        shape,
        members={name: _bounded(each, depth + 1, left) for name, each in shape.members.items()},
        items=None if shape.items is None else _bounded(shape.items, depth + 1, left),
    )


def described(shape: Shape) -> str:
    """For messages: "a string", "an array or null"."""
    names = [_ARTICLES.get(kind, f"a {kind}") for kind in sorted(shape.kinds)]
    return " or ".join(names)


def reason(shape: Shape, keys: tuple[str | int, ...]) -> str:
    """Why a path of these keys finds nothing in a value, for messages."""
    at = "the value"
    for key in keys:
        following = read(shape, key)
        if following.absent:
            if isinstance(key, str) and OBJECT in shape.kinds:
                return f"{shape.origin or at} has {_names(shape)}, and no '{key}'"
            if isinstance(key, int) and ARRAY in shape.kinds:
                known = f"has {shape.length} items, and no [{key}]"
                return f"{at} is empty" if not shape.length else f"{at} {known}"
            return f"{at} is {described(present(shape))}"
        at = f"'{key}'" if isinstance(key, str) else f"{at}[{key}]"
        shape = following
    return f"{at} is {described(shape)}"


def _names(shape: Shape) -> str:
    names = [name for name, each in shape.members.items() if not each.absent]
    if not names:
        return "no members"
    shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
    return f"the members {shown}" if len(names) > 1 else f"the member {shown}"
