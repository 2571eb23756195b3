"""Diagram: the picture of a state machine, or of an execution of it, in every format. The library
and the command use it.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from stepwell.asl.definition import StateMachine
from stepwell.asl.evaluation import Json
from stepwell.asl.limits import DEFAULT_LIMITS, Limits
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

    definition  a StateMachine, its JSON text, or its JSON value
    history     events of one execution (AWS's shape, any order), drawn over the state machine
    theme       "light", "dark" or "auto": SVG follows the reader's system, other formats are light
    direction   "TB" top to bottom, "LR" left to right
    collapse    names of Parallel and Map states that are drawn without their inner states
    now         epoch seconds, the end of durations that still run; None: the last event's time
    map_runs    answers of DescribeMapRun by mapRunArn, for the progress of distributed Maps
    engine      "graphviz-pure" or "dot"; None: the first that is installed
    limits      of definitions

    Notebooks display it. Raises ValueError with all errors of an invalid definition, and
    RenderError if a format needs a program that is not installed.
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
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        if theme not in colours.THEMES or direction not in DIRECTIONS:
            raise ValueError(
                f"theme must be one of {', '.join(colours.THEMES)}; direction one of "
                f"{', '.join(DIRECTIONS)}"
            )
        self.graph = build(_read(definition, limits), collapse)
        self.overlay = (
            None
            if history is None
            else Overlay(history, now, map_runs, self.graph.definition, limits)
        )
        self.theme, self.direction, self.engine = theme, direction, engine

    def dot(self, background: bool = False) -> str:
        """The DOT text. background: paint the page, for formats without transparency."""
        return dot.source(
            self.graph, colours.theme(self.theme), self.direction, self.overlay, background
        )

    def svg(self, style: bool = True) -> str:
        """SVG, one element. style: False leaves out the style sheet, for a page that includes
        theme.stylesheet().
        """
        drawn = layout.lay_out(self.dot(), "svg", self.engine)
        return svg.svg(drawn, self.graph, self.theme, self.direction, self.overlay, style)

    def png(self) -> bytes:
        """PNG at twice the usual density, on the theme's page colour."""
        return layout.lay_out(self.dot(background=True), "png", self.engine)

    def pdf(self) -> bytes:
        """PDF; only the system's Graphviz can write it."""
        return layout.lay_out(self.dot(background=True), "pdf", self.engine)

    def mermaid(self) -> str:
        """A Mermaid flowchart, for documentation sites and code hosts that render it."""
        return mermaid.flowchart(self.graph, self.direction, self.overlay)

    def text(self) -> str:
        """An outline in plain text, for terminals and reviews."""
        return text.outline(self.graph, self.overlay)

    def render(self, format: str) -> bytes:
        """The content of a file of that format."""
        if format not in FORMATS:
            raise ValueError(f"format must be one of {', '.join(FORMATS)}")
        content: str | bytes = getattr(self, format)()
        return content if isinstance(content, bytes) else (content.rstrip("\n") + "\n").encode()

    def save(self, path: str | Path) -> None:
        """Write a file, in the format of its suffix."""
        format = SUFFIXES.get(Path(path).suffix.lower())
        if format is None:
            raise ValueError(f"{path}: the suffix must be one of {', '.join(SUFFIXES)}")
        Path(path).write_bytes(self.render(format))

    def _repr_svg_(self) -> str:
        return self.svg()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"image/svg+xml": self.svg(), "text/plain": self.text()}


def _read(definition: StateMachine | str | Json, limits: Limits) -> StateMachine:
    if isinstance(definition, StateMachine):
        return definition
    checked = validate(definition, limits=limits, known_resource=lambda resource: resource)
    if checked.definition is None:
        raise ValueError(
            "; ".join(f"{each.code}: {each.message} at {each.location}" for each in checked.errors)
        )
    return checked.definition
