"""Labels of edges, moved beside their lines: the layout program puts some of them far away, or
across another line. Pure geometry, in points.

A label that is beside its own line and overlaps nothing stays. Any other moves to the nearest place
beside its line where it overlaps no node, no other line and no other label, and if possible no
frame; without such a place it stays.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

Point = tuple[float, float]

GAP: Final = 5.0  # between a moved label and its line
FAR: Final = 8.0  # a label farther from its line is not beside it
_STEP: Final = 4.0  # between the points of a line
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")


class Area(NamedTuple):
    """A rectangle; y grows downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Area) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def distance(self, point: Point) -> float:
        across = max(self.left - point[0], 0.0, point[0] - self.right)
        return math.hypot(across, max(self.top - point[1], 0.0, point[1] - self.bottom))

    def moved(self, left: float, top: float) -> Area:
        return Area(left, top, left + self.right - self.left, top + self.bottom - self.top)


class Line(NamedTuple):
    """A drawn line: points along it, and their bounding rectangle."""

    points: Sequence[Point]
    area: Area


def line(path: str) -> Line:
    """From the `d` of an SVG path of cubic curves, as the layout program writes them."""
    numbers = [float(each) for each in _NUMBER.findall(path)]
    corners = list(zip(numbers[::2], numbers[1::2], strict=True))
    points = [corners[0]]
    for at in range(0, len(corners) - 3, 3):
        points += _curve(corners[at : at + 4])
    return Line(points, around(points))


def outline(area: Area) -> Line:
    """The frame of a box, as a line."""
    left, top, right, bottom = area
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    points = [
        point for one, other in pairwise(corners) for point in _curve([one, one, other, other])
    ]
    return Line(points, area)


def around(points: Iterable[Point]) -> Area:
    """The bounding rectangle."""
    xs, ys = zip(*points, strict=True)
    return Area(min(xs), min(ys), max(xs), max(ys))


def _curve(corners: Sequence[Point]) -> list[Point]:
    """Points along a cubic curve, without its first point."""
    length = sum(math.dist(one, other) for one, other in pairwise(corners))
    steps = max(1, math.ceil(length / _STEP))
    found = []
    for step in range(1, steps + 1):
        part = step / steps
        weights = ((1 - part) ** 3, 3 * (1 - part) ** 2 * part, 3 * (1 - part) * part**2, part**3)
        found.append(
            (
                sum(w * x for w, (x, _) in zip(weights, corners, strict=True)),
                sum(w * y for w, (_, y) in zip(weights, corners, strict=True)),
            )
        )
    return found


def place(
    label: Area,
    own: Line,
    lines: Sequence[Line],
    frames: Sequence[Line],
    areas: Sequence[Area],
    page: Area,
) -> Area:
    """The place of a label. own: its line; lines: the other lines; areas: of nodes and of other
    labels.
    """
    if _fits(label, own, [*lines, *frames], areas, page):
        return label
    here = (label.left, label.top)
    places = sorted(_beside(label, own), key=lambda each: math.dist(here, (each.left, each.top)))
    for avoided in ([*lines, *frames], lines):  # across a frame rather than far from its line
        for there in places:
            if _fits(there, own, avoided, areas, page):
                return there
    return label


def _fits(label: Area, own: Line, lines: Sequence[Line], areas: Sequence[Area], page: Area) -> bool:
    if not 1 < min(map(label.distance, own.points)) <= FAR:
        return False
    if (
        label.left < page.left
        or label.top < page.top
        or label.right > page.right
        or label.bottom > page.bottom
    ):
        return False
    if any(label.meets(area) for area in areas):
        return False
    return not any(
        label.meets(other.area) and min(map(label.distance, other.points)) <= 1 for other in lines
    )


def _beside(label: Area, own: Line) -> Iterator[Area]:
    """Places right, left, above and below the points of the line, except near its ends."""
    wide, high = label.right - label.left, label.bottom - label.top
    margin = max(1, len(own.points) // 8)
    for x, y in own.points[margin:-margin]:
        for down in (0.0, 0.25, 0.5, 0.75, 1.0):
            yield label.moved(x + GAP, y - down * high)
            yield label.moved(x - GAP - wide, y - down * high)
        yield label.moved(x - wide / 2, y + GAP)
        yield label.moved(x - wide / 2, y - GAP - high)
