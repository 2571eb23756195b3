"""Graph -> DOT, by the graphviz package: the layout, and for PNG and PDF the colours.

SVG is made from the same DOT; svg.py then adds the classes. svg.py finds the elements by the
graph's ids, and the role of a text by its font size.
"""

from collections.abc import Callable, Mapping
from html import escape
from typing import Any, Final

import graphviz

from stepwell.visualize import theme as colours
from stepwell.visualize.graph import SIDE, Box, Edge, Graph, Node
from stepwell.visualize.overlay import Marks
from stepwell.visualize.theme import FONT, NOT_RUN, Theme
from stepwell.visualize.words.texts import printable, wrap

NAME_SIZE, LABEL_SIZE, BADGE_SIZE, CHIP_SIZE, RULE_SIZE, CAP_SIZE, CATCH_SIZE = (
    12.5,
    10,
    9,
    13,
    9.5,
    11,
    9.25,
)
SIDE_SIZE: Final = 15  # of the title above one of several machines
CHIP: Final = 28  # the side of a chip, in points
_LEADING: Final = 1.28  # the height of a line of a name, in font sizes
_NAME_CHARS, _RULE_CHARS, _RULE_LINES, _CATCH_CHARS, _CATCH_LINES = 26, 30, 4, 26, 4
_PILL: Final = {  # of rules and jumps
    "fontsize": f"{RULE_SIZE}",
    "margin": "0.08,0.03",
    "height": "0",
    "width": "0",
}
_GRAPH: Final = {
    "splines": "spline",
    "compound": "true",
    "newrank": "true",
    "nodesep": "0.35",
    "ranksep": "0.42",
    "pad": "0.3",
    "outputorder": "edgesfirst",
    "remincross": "true",
    "fontname": FONT,
}


def source(
    graph: Graph,
    colour: Theme,
    direction: str = "TB",
    overlay: Marks | None = None,
    background: bool = False,
) -> str:
    """The DOT text. direction: TB or LR. background: paint the page, for formats without
    transparency.
    """
    drawing = graphviz.Digraph("stepwell")
    drawing.attr(
        "graph", rankdir=direction, bgcolor=colour.page if background else "transparent", **_GRAPH
    )
    drawing.attr(
        "node",
        shape="box",
        style="rounded,filled",
        penwidth="1.2",
        margin="0.11,0.07",
        fontname=FONT,
        fontsize=f"{NAME_SIZE}",
    )
    drawing.attr("edge", fontname=FONT, fontsize=f"{CATCH_SIZE}", penwidth="1.2", arrowsize="0.75")
    _Nodes(graph, colour, overlay).box(drawing, graph.root)
    for edge in graph.edges:
        _edge(drawing, edge, colour, overlay, _from_frame(graph, edge))
    text: str = drawing.source
    return text


class _Nodes:
    """Writes the boxes and nodes of a graph."""

    def __init__(self, graph: Graph, colour: Theme, overlay: Marks | None) -> None:
        self.graph, self.colour, self.overlay = graph, colour, overlay
        self.sides = any(box.kind == SIDE for box in graph.root.boxes)
        self.taken = {
            edge.head: overlay.look(edge)
            for edge in graph.edges
            if overlay is not None and overlay.taken(edge)
        }

    def box(self, drawing: Any, box: Box, inner: bool = False) -> None:
        """In the order of the walk, which decides what is left and right."""
        for each in box.content:
            if isinstance(each, str):
                self.node(drawing, self.graph.nodes[each])
                continue
            with drawing.subgraph(name=f"cluster_{each.id}") as cluster:
                # the title of a side is not one of the boxes in it
                untitled = {"label": ""} if self.sides and each.kind != SIDE else {}
                cluster.attr(id=each.id, **self.frame(each, inner), **untitled)
                self.box(cluster, each, inner=each.kind != SIDE)

    def frame(self, box: Box, inner: bool) -> dict[str, str]:
        colour = self.colour
        if box.kind == SIDE:
            return {
                "label": printable(box.state),
                "labeljust": "l",
                "fontcolor": colour.ink,
                "fontsize": f"{SIDE_SIZE}",
                "style": "rounded",
                "color": colour.cluster_line,
                "margin": "16",
            }
        if box.kind == "branch":
            return {
                "style": "rounded,dashed",
                "color": colour.cluster_line,
                "penwidth": "1",
                "margin": "10",
            }
        line = colour.cluster_line
        if self.overlay is not None:
            line = colour.statuses[self.overlay.status(box.state)].line
        fill = colour.body if inner else colour.cluster
        return {
            "style": "rounded,filled",
            "fillcolor": fill,
            "color": line,
            "penwidth": "2.4" if box.distributed else "1.2",
            "margin": "12",
        }

    def node(self, drawing: Any, node: Node) -> None:
        drawing.node(node.id, id=node.id, **_NODES[node.kind](self, node))

    def line(self, node: Node, default: str) -> str:
        """The colour of a rule's or jump's border."""
        look = self.taken.get(node.id)
        return self.colour.statuses[look].line if look else default

    def rule(self, node: Node) -> dict[str, str]:
        colour = self.colour
        lines = wrap(node.title, _RULE_CHARS, _RULE_LINES)
        number = (
            f'<FONT COLOR="{colour.pill_ink}"><B>{node.number}</B></FONT>  ' if node.number else ""
        )
        text = (
            _lines(lines, colour.pill_ink) if len(lines) > 1 else _font(lines[0], colour.pill_ink)
        )
        return {
            "label": f"<{number}{text}>",
            "fillcolor": colour.pill,
            "color": self.line(node, colour.pill),
            **_PILL,
        }

    def jump(self, node: Node) -> dict[str, str]:
        colour = self.colour
        lines = wrap(f"→ {node.title}", _RULE_CHARS, _RULE_LINES)
        return {
            "label": f"<{_lines(lines, colour.pill_ink)}>",
            "fillcolor": colour.page,
            "color": self.line(node, colour.edge),
            **_PILL,
        }

    def join(self, node: Node) -> dict[str, str]:
        colour = self.colour
        drawn = colour.edge if self.overlay is None or node.id in self.taken else colour.idle_edge
        line = "transparent" if node.bare else drawn
        return {
            "label": "",
            "shape": "circle",
            "style": "filled",
            "width": "0.07",
            "color": line,
            "fillcolor": line,
        }

    def cap(self, node: Node) -> dict[str, str]:
        """Start or End."""
        colour = self.colour
        return {
            "label": node.title,
            "fillcolor": colour.cap,
            "color": colour.cap,
            "fontcolor": colour.cap_ink,
            "fontsize": f"{CAP_SIZE}",
            "margin": "0.16,0.05",
            "height": "0",
            "width": "0",
        }

    def state(self, node: Node) -> dict[str, str]:
        colour, status, badge = self.colour, None, node.note
        if self.overlay is not None:
            status = self.overlay.status(node.state)
            badge = self.overlay.badge(node.state)
        look = colour.statuses[status] if status else None
        idle = status == NOT_RUN
        chip = colours.chip(node.type, node.service)
        ink, muted = (colour.idle_ink, colour.idle_ink) if idle else (colour.ink, colour.muted)
        # an inner table: a cell cannot have rounded corners
        square = f'FIXEDSIZE="TRUE" WIDTH="{CHIP}" HEIGHT="{CHIP}"'
        letters = (
            f'<FONT COLOR="{colour.chip_ink}" '
            f'POINT-SIZE="{CHIP_SIZE}"><B>{escape(chip.letters)}</B></FONT>'
        )
        tile = (
            f'<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0" STYLE="ROUNDED" '
            f'BGCOLOR="{colour.idle_chip if idle else chip.colour}" {square}><TR><TD '
            f"{square}>{letters}</TD></TR></TABLE>"
        )
        rows = [
            _row(
                f'<FONT POINT-SIZE="{LABEL_SIZE}" COLOR="{muted}">{_text(node.label)}</FONT>',
                LABEL_SIZE * 1.4,
            )
        ]
        # a row for each line of the name: within one cell the lines would touch
        rows += [
            _row(f"<B>{_font(line, ink)}</B>", NAME_SIZE * _LEADING)
            for line in wrap(node.title, _NAME_CHARS)
        ]
        rows += [
            _row(
                f'<FONT POINT-SIZE="{BADGE_SIZE}" '
                f'COLOR="{look.badge if look else muted}">{_text(line)}</FONT>'
            )
            for line in badge.split("\n")
            if badge
        ]
        span = len(rows)
        head = f'<TR><TD ROWSPAN="{span}" {square}>{tile}</TD><TD ROWSPAN="{span}" WIDTH="8"></TD>'
        table = (
            '<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" '
            f'CELLPADDING="0">{head}{"</TR><TR>".join(rows)}</TR></TABLE>>'
        )
        fill, line = (look.fill, look.line) if look else (colour.fill, colour.line)
        return {
            "label": table,
            "fillcolor": fill,
            "color": line,
            "penwidth": "1.8" if look and not idle else "1.2",
        }


# kind of a node -> its attributes
_NODES: Final[dict[str, Callable[[_Nodes, Node], dict[str, str]]]] = {
    "state": _Nodes.state,
    "rule": _Nodes.rule,
    "jump": _Nodes.jump,
    "join": _Nodes.join,
    "start": _Nodes.cap,
    "end": _Nodes.cap,
}


def _text(text: str) -> str:
    """The text of a label. Backslashes are doubled: \\N would become the node's name."""
    return escape(printable(text).replace("\\", "\\\\")) or " "


def _row(cell: str, height: float = 0) -> str:
    least = f' HEIGHT="{height:.0f}"' if height else ""
    return f'<TD ALIGN="LEFT" BALIGN="LEFT"{least}>{cell}</TD>'


def _font(text: str, colour: str) -> str:
    return f'<FONT COLOR="{colour}">{_text(text)}</FONT>'


def _lines(lines: list[str], colour: str) -> str:
    last = '<BR ALIGN="LEFT"/>' if len(lines) > 1 else ""
    return '<BR ALIGN="LEFT"/>'.join(_font(line, colour) for line in lines) + last


def _from_frame(graph: Graph, edge: Edge) -> dict[str, str]:
    """An edge out of a join that is not drawn starts at the frame around it."""
    if not graph.nodes[edge.tail].bare:
        return {}
    return {"lhead" if edge.back else "ltail": f"cluster_box-{edge.tail.removeprefix('join-')}"}


def _edge(
    drawing: Any, edge: Edge, colour: Theme, overlay: Marks | None, ends: Mapping[str, str]
) -> None:
    more: dict[str, str] = {"id": edge.id, "weight": f"{edge.weight}", **_ends(edge), **ends}
    if not edge.kind:
        drawing.edge(edge.tail, edge.head, style="invis", weight=f"{edge.weight}")
        return
    line, ink = (
        (colour.catch, colour.catch) if edge.kind == "catch" else (colour.edge, colour.muted)
    )
    if overlay is not None:
        taken = overlay.taken(edge)
        look = colour.statuses[overlay.look(edge)]
        line, ink = (look.line, look.badge) if taken else (colour.idle_edge, colour.idle_ink)
        more["penwidth"] = "2.2" if taken else "1.2"
    if edge.kind == "catch":
        more["style"] = "dashed"
        errors = [
            error.removeprefix("States.") if len(edge.errors) > 1 else error
            for error in edge.errors
        ]
        text = wrap(", ".join(errors), _CATCH_CHARS, _CATCH_LINES)
        # a table, for its padding between the text and the line
        cell = f'<TD BALIGN="LEFT">{_lines(text, ink)}</TD>'
        more["label"] = (
            '<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" '
            f'CELLPADDING="4"><TR>{cell}</TR></TABLE>>'
        )
    drawing.edge(
        *((edge.head, edge.tail) if edge.back else (edge.tail, edge.head)), color=line, **more
    )


def _ends(edge: Edge) -> Mapping[str, str]:
    """An edge that closes a loop is laid out in reverse, so that it does not move other nodes."""
    arrow = "none" if edge.head.startswith(("join-", "rule-")) else "normal"
    return {"dir": "back", "arrowtail": arrow} if edge.back else {"arrowhead": arrow}
