"""Graph -> an outline in plain text, for terminals, reviews and logs: a line for each state, with
what it does and its transitions.

Start → Is it an order?

Is it an order?  Choice
  $.orderId is present → Price the order
  default → Not an order
Price the order  Pass → Reserve the stock
"""

from collections import defaultdict
from typing import Final

from stepwell.visualize.graph import Box, Edge, Graph, Node
from stepwell.visualize.overlay import Overlay
from stepwell.visualize.theme import NOT_RUN
from stepwell.visualize.words.states import machine_label
from stepwell.visualize.words.texts import printable

_INDENT: Final = "  "


def outline(graph: Graph, overlay: Overlay | None = None) -> str:
    """The text, lines ended by newlines. With an execution: its status as a sign ✔ ✘ ↷ ▶ ■ before
    each name, and the badge after it.
    """
    written = _Outline(graph, overlay)
    lines = [
        machine_label(graph.definition, len(graph.states)),
        "",
        f"Start → {printable(graph.definition.start_at)}",
    ]
    written.box(graph.root, "")
    return "\n".join([*lines, *written.lines, ""])


_SIGNS: Final = {
    "succeeded": "✔",
    "failed": "✘",
    "timed-out": "✘",
    "caught": "↷",
    "running": "▶",
    "aborted": "■",
    NOT_RUN: " ",
}


class _Outline:
    def __init__(self, graph: Graph, overlay: Overlay | None) -> None:
        self.graph, self.overlay = graph, overlay
        self.lines: list[str] = []
        self.out: defaultdict[str, list[Edge]] = defaultdict(list)
        for edge in graph.edges:
            self.out[edge.tail].append(edge)

    def box(self, box: Box, indent: str) -> None:
        branch = 0
        for each in box.content:
            if isinstance(each, Box):
                if each.kind == "branch":
                    branch += 1
                    self.lines.append(f"{indent}branch {branch}")
                    self.box(each, indent + _INDENT)
                else:
                    header = self.graph.nodes[str(each.content[0])]
                    self.state(header, indent)
                    self.box(Box(each.id, each.kind, content=each.content[1:]), indent + _INDENT)
            elif self.graph.nodes[each].kind == "state":
                self.state(self.graph.nodes[each], indent)

    def state(self, node: Node, indent: str) -> None:
        tail = node.id.replace("state-", "join-", 1) if node.composite else node.id
        edges = [edge for edge in self.out[tail] if edge.kind not in ("enter", "start", "")]
        label = " · ".join(filter(None, (printable(node.label), node.note)))
        sign = badge = ""
        if self.overlay is not None:
            sign = _SIGNS[self.overlay.status(node.state)] + " "
            badge = self.overlay.badge(node.state)
        onward = next(
            (self.target(edge) for edge in edges if edge.kind in ("next", "end", "leave")), ""
        )
        self.lines.append(
            f"{indent}{sign}{printable(node.title)}  "
            f"({label}){onward}{f'  [{badge}]' if badge else ''}"
        )
        for edge in edges:
            if edge.kind == "catch":
                self.lines.append(
                    f"{indent}{_INDENT}{self.mark(edge)}catch "
                    f"{printable(', '.join(edge.errors))}{self.target(edge)}"
                )
            elif edge.rule is not None:
                self.lines.append(
                    f"{indent}{_INDENT}{self.mark(edge)}{printable(self.graph.nodes[edge.head].title)}{self.target(edge)}"
                )

    def mark(self, edge: Edge) -> str:
        return "" if self.overlay is None else "→ " if self.overlay.taken(edge) else "  "

    def target(self, edge: Edge) -> str:
        return " → " + ("end" if edge.kind in ("end", "leave") else printable(edge.target))
