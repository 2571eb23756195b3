"""Parses the SVG of a picture into boxes, edges and texts, and generates state machines."""

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from itertools import count, pairwise
from typing import Any, NamedTuple

from hypothesis import strategies as st

SVG = "{http://www.w3.org/2000/svg}"
TAGS = {"svg", "style", "g", "path", "polygon", "polyline", "ellipse", "rect", "text"}
TASK = "arn:aws:states:::sqs:sendMessage"


class Area(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "Area") -> bool:
        slack = 0.5  # the layout's own rounding
        across = self.left < other.right - slack and other.left < self.right - slack
        return across and self.top < other.bottom - slack and other.top < self.bottom - slack

    def holds(self, other: "Area") -> bool:
        return (
            self.left <= other.left
            and self.top <= other.top
            and self.right >= other.right
            and self.bottom >= other.bottom
        )


class Picture:
    """An SVG by its contract (the docstring of stepwell.visualize.svg)."""

    def __init__(self, text: str) -> None:
        self.root = ET.fromstring(text)
        self.groups = [group for group in self.root.iter(f"{SVG}g") if group.get("id")]

    def of(self, word: str) -> list[ET.Element]:
        """The groups with a class."""
        return [group for group in self.groups if word in (group.get("class") or "").split()]

    def nodes(self) -> dict[str, Area]:
        """Where everything is that edges join, by id."""
        kinds = ("state", "rule", "join", "jump", "cap")
        return {group.attrib["id"]: area(group, "box") for kind in kinds for group in self.of(kind)}

    def frames(self) -> dict[str, Area]:
        return {
            group.attrib["id"]: area(group, "frame")
            for kind in ("composite", "branch")
            for group in self.of(kind)
        }

    def state(self, name: str) -> ET.Element:
        (found,) = [group for group in self.of("state") if group.get("data-state") == name]
        return found

    def structure(self) -> list[str]:
        """What is in the picture, a line each, whatever its place and colour."""
        lines = []
        for group in self.groups:
            words = " ".join((group.get("class") or "").split())
            data = [
                f"{name[5:]}={value}"
                for name, value in sorted(group.attrib.items())
                if name[:5] == "data-" and name != "data-box"
            ]
            lines.append(" | ".join([words, *data, *filter(None, [says(group)])]))
        return sorted(lines)


def part(group: ET.Element, word: str) -> ET.Element:
    return next(each for each in group if each.get("class") == word)


def says(group: ET.Element, word: str = "") -> str:
    """The text in a group, or in its parts of one class."""
    return " ".join(
        "".join(text.itertext()).strip()
        for text in group.iter(f"{SVG}text")
        if word in ("", text.get("class"))
    ).strip()


def area(group: ET.Element, word: str) -> Area:
    shape = part(group, word)
    if shape.tag == f"{SVG}ellipse":
        x, y, across, down = (float(shape.attrib[name]) for name in ("cx", "cy", "rx", "ry"))
        return Area(x - across, y - down, x + across, y + down)
    numbers = [
        float(each)
        for each in re.findall(r"-?\d+(?:\.\d+)?", shape.get("d") or shape.attrib["points"])
    ]
    return Area(min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2]))


def every_state(definition: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, state in definition["States"].items():
        yield name, state
        for inner in [*state.get("Branches", ()), *filter(None, [state.get("ItemProcessor")])]:
            yield from every_state(inner)


# --- generated machines: valid, with loops, catches, early ends and nesting -----------------------

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40).filter(
    lambda name: name.strip()
)
NASTY = st.sampled_from(
    [
        "</text><script>alert(1)</script>",
        '" onload="alert(1)',
        "a & b < c",
        "]]>",
        "<!--",
        "\\N \\G \\l",
        "{{x}}",
        "日本語の状態",
        "&lt;",
        "'",
    ]
)


@st.composite
def machines(draw: st.DrawFn, most: int = 7) -> dict[str, Any]:
    parts = draw(st.lists(NAMES | NASTY, min_size=1, max_size=4))
    return draw(
        blocks(
            (f"{parts[number % len(parts)]}{number}" for number in count()),
            draw(st.integers(1, most)),
            2,
        )
    )


@st.composite
def blocks(draw: st.DrawFn, names: Iterator[str], size: int, depth: int) -> dict[str, Any]:
    """Each state can be reached: one earlier state leads to it, and any may lead to others
    besides.
    """
    mine = [next(names) for _ in range(size)]
    states: dict[str, Any] = {}
    for index, name in enumerate(mine):
        onward = mine[index + 1] if index + 1 < size else None
        states[name] = draw(state(names, mine, onward, depth))
    return {
        "StartAt": mine[0],
        "States": dict(sorted(states.items(), key=lambda each: draw(st.integers(0, 99)))),
    }


@st.composite
def state(
    draw: st.DrawFn, names: Iterator[str], mine: list[str], onward: str | None, depth: int
) -> dict[str, Any]:
    anywhere = st.sampled_from(mine)
    kinds = (
        ["Pass", "Task", "Wait"]
        + ["Parallel", "Map"] * (depth > 0)
        + (["Choice"] if onward else ["Succeed", "Fail", "Choice"])
    )
    kind = draw(st.sampled_from(kinds))
    following = {"Next": onward} if onward else {"End": True}
    if kind in ("Succeed", "Fail"):
        return {"Type": kind}
    if kind == "Choice":
        rules = [
            {"Variable": "$.n", "NumericEquals": n, "Next": draw(anywhere)}
            for n in range(draw(st.integers(1, 3)))
        ]
        return {"Type": kind, "Choices": rules, "Default": onward or draw(anywhere)}
    body = {
        "Pass": lambda: {},
        "Wait": lambda: {"Seconds": 1},
        "Task": lambda: {"Resource": TASK, "Parameters": {}},
        "Parallel": lambda: {
            "Branches": [
                draw(blocks(names, draw(st.integers(1, 3)), depth - 1))
                for _ in range(draw(st.integers(1, 3)))
            ]
        },
        "Map": lambda: {"ItemProcessor": draw(blocks(names, draw(st.integers(1, 3)), depth - 1))},
    }[kind]()
    made = {"Type": kind, **body, **following}
    if kind in ("Task", "Parallel", "Map") and draw(st.booleans()):
        made["Catch"] = [{"ErrorEquals": ["States.ALL"], "Next": draw(anywhere)}]
    return made


def chain(length: int) -> str:
    """A machine of many states: a choice that jumps ahead, a loop back, a catch to the last state,
    and again.
    """
    names = [f"Step {number} of the work" for number in range(length)]
    states: dict[str, Any] = {}
    for number, (name, onward) in enumerate(pairwise(names)):
        states[name] = {"Type": "Task", "Resource": TASK, "Parameters": {}, "Next": onward}
        if number % 5 == 1:
            rule = {
                "Variable": "$.n",
                "NumericGreaterThan": number,
                "Next": names[min(length - 1, number + 4)],
            }
            states[name] = {
                "Type": "Choice",
                "Choices": [rule, {**rule, "Next": names[max(0, number - 3)]}],
                "Default": onward,
            }
        elif number % 5 == 3:
            states[name]["Catch"] = [{"ErrorEquals": ["States.ALL"], "Next": names[-1]}]
    return json.dumps({"StartAt": names[0], "States": {**states, names[-1]: {"Type": "Succeed"}}})
