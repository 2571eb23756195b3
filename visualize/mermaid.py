"""Graph -> a Mermaid flowchart, which many documentation sites and code hosts render."""

from collections.abc import Iterable
from typing import Final

from stepwell.visualize import theme as colours
from stepwell.visualize.graph import Box, Edge, Graph, Node
from stepwell.visualize.overlay import Overlay
from stepwell.visualize.words.texts import wrap

_NAME_CHARS, _RULE_CHARS, _RULE_LINES = 30, 34, 4
# Mermaid reads labels as Markdown and HTML: characters with a meaning are written by their number
_CODES: Final = {ord(letter): f"#{ord(letter)};" for letter in '"#&<>`*_~|[]{}()\\;:$%'}


def flowchart(graph: Graph, direction: str = "TB", overlay: Overlay | None = None) -> str:
    """The text, lines ended by newlines."""
    chart = _Chart(graph, overlay)
    lines = [f"flowchart {direction}", *chart.box(graph.root, "  ")]
    lines += [f"  {chart.edge(edge)}" for edge in graph.edges if edge.kind and not _to_rule(edge)]
    return "\n".join([*lines, *chart.looks(), ""])


def _to_rule(edge: Edge) -> bool:
    return edge.head.startswith("rule-")


def _escaped(text: str, width: int, most: int = 0) -> str:
    return "<br/>".join(line.translate(_CODES) for line in wrap(text, width, most))


class _Chart:
    def __init__(self, graph: Graph, overlay: Overlay | None) -> None:
        self.graph, self.overlay = graph, overlay
        # not the ids of the graph: "end" and others are keywords of Mermaid
        self.ids = {id: f"n{number}" for number, id in enumerate(graph.nodes)}
        self.boxes = 0

    def box(self, box: Box, indent: str) -> Iterable[str]:
        for each in box.content:
            if isinstance(each, str):
                if self.graph.nodes[each].kind != "rule":
                    yield f"{indent}{self.node(self.graph.nodes[each])}"
                continue
            self.boxes += 1
            yield f'{indent}subgraph b{self.boxes}[" "]'
            yield from self.box(each, indent + "  ")
            yield f"{indent}end"

    def node(self, node: Node) -> str:
        id = self.ids[node.id]
        if node.kind == "join":
            return f'{id}(("&nbsp;"))'
        if node.kind != "state":
            return f'{id}(["{_escaped(node.title, _NAME_CHARS)}"])'
        parts = [
            f"<b>{_escaped(node.title, _NAME_CHARS)}</b>",
            f"<small>{_escaped(node.label, 60)}</small>",
        ]
        note = self.overlay.badge(node.state) if self.overlay is not None else node.note
        text = "<br/>".join([*parts, *([f"<small>{_escaped(note, 60)}</small>"] if note else [])])
        return f'{id}{{{{"{text}"}}}}' if node.type == "Choice" else f'{id}["{text}"]'

    def edge(self, edge: Edge) -> str:
        """A rule of a Choice is the label of an edge here, not a node."""
        rule = self.graph.nodes[edge.tail] if edge.tail.startswith("rule-") else None
        tail = f"state-{edge.tail.removeprefix('rule-').rpartition('-')[0]}" if rule else edge.tail
        arrow = (
            "-.->"
            if edge.kind == "catch"
            else "==>"
            if self.overlay is not None and self.overlay.taken(edge)
            else "-->"
        )
        text = rule.title if rule else ", ".join(edge.errors)
        label = f'|"{_escaped(text, _RULE_CHARS, _RULE_LINES)}"|' if text else ""
        return f"{self.ids[tail]} {arrow}{label} {self.ids[edge.head]}"

    def looks(self) -> Iterable[str]:
        if self.overlay is None:
            return
        light = colours.theme(colours.LIGHT)
        for status, look in light.statuses.items():
            members = [
                self.ids[id]
                for id, node in self.graph.nodes.items()
                if node.kind == "state" and self.overlay.status(node.state) == status
            ]
            if members:
                ink = light.idle_ink if status == colours.NOT_RUN else light.ink
                yield f"  classDef {status} fill:{look.fill},stroke:{look.line},color:{ink}"
                yield f"  class {','.join(members)} {status}"
