"""Values that a hole of a definition may have: all that some field of the language accepts.

A hole is a placeholder without a value. A sample is not what the user will fill in; it shows that
there is a value with which the definition is valid. holes.py chooses from these.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import BaseModel

from stepwell.asl import definition
from stepwell.asl.choice import OPERATORS
from stepwell.asl.evaluation import Json
from stepwell.asl.files.placeholders import MARK
from stepwell.asl.resources import ACTIONS

_ARN: Final = "arn:aws:lambda:us-east-1:123456789012:function:"
_ACTIVITY: Final = "arn:aws:states:us-east-1:123456789012:activity:sample"
_TIME: Final = "2030-01-01T00:00:00Z"
_DATASETS: Final = tuple(
    f"arn:aws:states:::s3:{action}" for action in ("getObject", "listObjectsV2", "putObject")
)
# values of a field that decide whether another field of the object is valid
BESIDE: Final = (60, True, False, 1, 10**6, None)
# what a part of a string may be: a word, number, path, quoted text, part of an ARN or timestamp
_PARTS: Final = (
    "x", "1", "", "aws", "'x'", "$.x", "$", "arn:aws", "123456789012", "us-east-1",
    "2030-01-01", "00:00:00",
)  # fmt: skip
_BY_NAME: Final = (
    (re.compile("partition", re.IGNORECASE), "aws"),
    (re.compile("account", re.IGNORECASE), "123456789012"),
    (re.compile("region", re.IGNORECASE), "us-east-1"),
)
_PRODUCTS: Final = 144  # combinations of parts that are tried in one string
_RESOURCES: Final = tuple(
    f"arn:aws:states:::{service}:{action}{pattern}"
    for (service, action), patterns in ACTIONS.items()
    for pattern in patterns
)


def function_arn(name: str) -> str:
    """The ARN of a Lambda function that is named as the hole."""
    return _ARN + (re.sub("[^A-Za-z0-9_-]+", "-", name)[:64].strip("-") or "sample")


@cache
def _words() -> tuple[str, ...]:
    """All words that a field with a few valid values accepts: "DISTRIBUTED", "FULL", "Pass"."""
    found: dict[str, None] = {}

    def collect(annotation: Any) -> None:
        if get_origin(annotation) is Literal:
            found.update(dict.fromkeys(get_args(annotation)))
        for each in get_args(annotation):
            if not isinstance(each, str):
                collect(each)

    for model in vars(definition).values():
        if isinstance(model, type) and issubclass(model, BaseModel):
            for field in model.model_fields.values():
                collect(field.annotation)
    return tuple(found)


def whole(field: str, name: str, targets: Sequence[str]) -> Iterator[Json]:
    """Values of a hole that is a whole value.

    field    the name of the innermost member that has the value
    name     of the hole
    targets  the names of the states that a transition may name here
    """
    if field == "Resource":
        yield function_arn(name)
        yield from _DATASETS
    # 60 before 1: a heartbeat must be shorter than a timeout
    yield from (60, True, False, [], {}, "$.x", _TIME, function_arn(name), 1, 0, 10**6, 0.5, None)
    yield from structures(targets or ["x"])
    yield from _words()


def structures(targets: Sequence[str]) -> Iterator[Json]:
    """Objects and arrays of the language, whose transitions reach every target."""
    catchers = [{"ErrorEquals": ["States.TaskFailed"], "Next": target} for target in targets]
    start = targets[0]
    block = {"StartAt": start, "States": {start: {"Type": "Succeed"}}}
    yield ["x"]
    yield catchers
    yield [{"Variable": "$.x", "IsPresent": True, "Next": target} for target in targets]
    yield [{"Condition": True, "Next": target} for target in targets]
    yield block
    yield [block]
    yield block["States"]
    yield {"Type": "Task", "Resource": function_arn("x"), "End": True, "Catch": catchers}
    yield {"Type": "Task", "Resource": function_arn("x"), "Next": start, "Catch": catchers}
    yield {"RoleArn": "x"}
    yield {"ErrorEquals": ["States.TaskFailed"]}
    yield from catchers
    for target in targets:
        yield {"Variable": "$.x", "IsPresent": True, "Next": target}
        yield {"Condition": True, "Next": target}


def keys(targets: Sequence[str]) -> Iterator[str]:
    """Names that a hole may be as a member of an object."""
    yield from targets
    yield from ("Comment", "x", *OPERATORS, "Variable", "Next")


def parts(marked: str, names: Sequence[str], field: str) -> Iterator[str]:
    """Texts of a string with holes in it. marked: the string, with a mark for each of `names`."""
    pieces = MARK.split(marked)[::2]

    def filled(texts: Sequence[str]) -> str:
        return pieces[0] + "".join(text + piece for text, piece in zip(texts, pieces[1:]))

    for part in (function_arn(names[0]), *_PARTS) if field == "Resource" else _PARTS:
        yield filled([part] * len(names))
        guesses = [next((to for by, to in _BY_NAME if by.search(name)), part) for name in names]
        yield filled(guesses)
    if field == "Resource":
        pattern = re.compile(".*".join(map(re.escape, pieces)), re.DOTALL)
        yield from filter(pattern.fullmatch, (*_DATASETS, _ACTIVITY, *_RESOURCES))
    if len(names) > 1:
        for count, texts in enumerate(product(_PARTS, repeat=len(names))):
            if count == _PRODUCTS:
                break
            yield filled(texts)
