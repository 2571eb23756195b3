"""Diagram: a state machine, perhaps with an execution on it, in every format. What a library user
and the command call.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from stepwell.asl.definition import StateMachine
from stepwell.asl.evaluation import Json
from stepwell.asl.validate import validate
from stepwell.visualize import dot, layout, mermaid, svg, text
from stepwell.visualize import theme as colours
from stepwell.visualize.graph import build
from stepwell.visualize.overlay import Overlay

FORMATS: Final = ("svg", "png", "pdf", "dot", "mermaid", "text")
SUFFIXES: Final = {
    ".svg": "svg",
    ".png": "png",
    ".pdf": "pdf",
    ".dot": "dot",
    ".gv": "dot",
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
    ".txt": "text",
}
DIRECTIONS: Final = ("TB", "LR")


class Diagram:
    """A picture of a state machine.

    definition  a StateMachine, its JSON text, or its JSON value; ValueError with all problems if it
                is invalid
    history     events of one execution of it (AWS's shape, any order): they are drawn over it
    theme       "light", "dark" or "auto", which follows the reader's system (SVG; in other formats:
                light)
    direction   "TB" downwards, "LR" to the right
    collapse    names of Parallel and Map states that are drawn without their inside
    now         epoch seconds, for how long what runs has been running; None: up to the last event
    map_runs    answers of DescribeMapRun by mapRunArn, for the progress of distributed Maps
    engine      "graphviz-pure" or "dot"; None: the first that is there

    In a notebook it shows itself. Raises RenderError where a format needs a program that is not
    installed.
    """

    def __init__(
        self,
        definition: StateMachine | str | Json,
        history: Iterable[Mapping[str, Any]] | None = None,
        *,
        theme: str = colours.AUTO,
        direction: str = "TB",
        collapse: Collection[str] = (),
        now: float | None = None,
        map_runs: Mapping[str, Any] | None = None,
        engine: str | None = None,
    ) -> None:
        if theme not in colours.THEMES or direction not in DIRECTIONS:
            raise ValueError(
                f"theme is one of {', '.join(colours.THEMES)}, direction one of "
                f"{', '.join(DIRECTIONS)}"
            )
        self.graph = build(_read(definition), collapse)
        self.overlay = (
            None if history is None else Overlay(history, now, map_runs, self.graph.definition)
        )
        self.theme, self.direction, self.engine = theme, direction, engine

    def dot(self, background: bool = False) -> str:
        """The DOT text. background: paint the page."""
        return dot.source(
            self.graph, colours.theme(self.theme), self.direction, self.overlay, background
        )

    def svg(self, style: bool = True) -> str:
        """SVG, one element. style: with its style sheet inside; False for a page that has
        theme.stylesheet() already.
        """
        drawn = layout.lay_out(self.dot(), "svg", self.engine)
        return svg.svg(drawn, self.graph, self.theme, self.direction, self.overlay, style)

    def png(self) -> bytes:
        """PNG at twice the usual density, on the theme's page colour."""
        return layout.lay_out(self.dot(background=True), "png", self.engine)

    def pdf(self) -> bytes:
        """PDF; only the system's dot can write it."""
        return layout.lay_out(self.dot(background=True), "pdf", self.engine)

    def mermaid(self) -> str:
        """A Mermaid flowchart, for places that draw those."""
        return mermaid.flowchart(self.graph, self.direction, self.overlay)

    def text(self) -> str:
        """An outline, for terminals and reviews."""
        return text.outline(self.graph, self.overlay)

    def render(self, format: str) -> bytes:
        """The bytes of a file of that format."""
        if format not in FORMATS:
            raise ValueError(f"format is one of {', '.join(FORMATS)}")
        made: str | bytes = getattr(self, format)()
        return made if isinstance(made, bytes) else (made.rstrip("\n") + "\n").encode()

    def save(self, path: str | Path) -> None:
        """Write a file; its suffix tells the format."""
        format = SUFFIXES.get(Path(path).suffix.lower())
        if format is None:
            raise ValueError(f"{path}: the suffix is one of {', '.join(SUFFIXES)}")
        Path(path).write_bytes(self.render(format))

    def _repr_svg_(self) -> str:
        return self.svg()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"image/svg+xml": self.svg(), "text/plain": self.text()}


def _read(definition: StateMachine | str | Json) -> StateMachine:
    if isinstance(definition, StateMachine):
        return definition
    checked = validate(definition, known_resource=lambda resource: resource)
    if checked.definition is None:
        raise ValueError(
            "; ".join(f"{each.code}: {each.message} at {each.location}" for each in checked.errors)
        )
    return checked.definition
