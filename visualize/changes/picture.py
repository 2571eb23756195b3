"""Two definitions side by side, with what differs: SVG, PNG, PDF, DOT and HTML.

Both are one graph, so that one layout draws them; the ids and names of each have its side.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import replace
from html import escape
from typing import Final

from stepwell.asl.definition import StateMachine
from stepwell.asl.diff.shapes import (
    ADDED,
    CHANGED,
    MOVED,
    REMOVED,
    RENAMED,
    Change,
    Difference,
    StateChange,
)
from stepwell.visualize import dot, layout, svg
from stepwell.visualize import theme as colours
from stepwell.visualize.changes import texts
from stepwell.visualize.graph import SIDE, Box, Edge, Graph, build
from stepwell.visualize.theme import CAUGHT, FAILED, NOT_RUN, RUNNING, SUCCEEDED
from stepwell.visualize.words.texts import printable, wrap

OLD, NEW = "old", "new"
FORMATS: Final = ("svg", "png", "pdf", "dot", "html")
SUFFIXES: Final = {
    ".svg": "svg",
    ".png": "png",
    ".pdf": "pdf",
    ".dot": "dot",
    ".gv": "dot",
    ".html": "html",
    ".htm": "html",
}
# kind of a change -> the status whose colours it has
LOOKS: Final = {
    ADDED: SUCCEEDED,
    REMOVED: FAILED,
    CHANGED: CAUGHT,
    MOVED: RUNNING,
    RENAMED: RUNNING,
}
_BADGE_CHARS, _BADGE_LINES = 46, 5
_EDGES: Final = """\
.stepwell .side > .frame { fill: none }
.stepwell .edge.taken.dropped .line { stroke: var(--sw-failed-line) }
.stepwell .edge.taken.dropped .arrow {
  fill: var(--sw-failed-line); stroke: var(--sw-failed-line)
}
.stepwell .edge.taken.dropped text { fill: var(--sw-failed-badge) }
.stepwell .edge.catch.taken.fresh .line { stroke: var(--sw-succeeded-line) }
.stepwell .edge.catch.taken.fresh .arrow {
  fill: var(--sw-succeeded-line); stroke: var(--sw-succeeded-line)
}
.stepwell .edge.catch.taken.fresh text { fill: var(--sw-succeeded-badge) }
.stepwell .rule.taken.dropped .box,
.stepwell .jump.taken.dropped .box { stroke: var(--sw-failed-line) }
"""


class Marked:
    """The marks of a difference: names of states have their side before them."""

    def __init__(self, difference: Difference, sides: Mapping[str, Graph]) -> None:
        self.states: dict[str, StateChange] = {}
        for each in difference.states:
            if each.old_name is not None:
                self.states[f"{OLD} {each.old_name}"] = each
            if each.name is not None:
                self.states[f"{NEW} {each.name}"] = each
        old = {each.id: _key(sides[OLD], each, difference.renamed) for each in sides[OLD].edges}
        new = {each.id: _key(sides[NEW], each, {}) for each in sides[NEW].edges}
        both = set(old.values()) & set(new.values())
        self.edges = {id for side in (old, new) for id, key in side.items() if key not in both}

    def status(self, name: str) -> str:
        change = self.states.get(name)
        return NOT_RUN if change is None else LOOKS[change.kind]

    def badge(self, name: str) -> str:
        change = self.states.get(name)
        if change is None:
            return ""
        side = name.partition(" ")[0]
        if side == OLD and change.kind != REMOVED:
            return change.kind
        changes, head = list(change.changes), change.kind
        if change.kind == RENAMED:
            head = f"renamed from {change.old_name}"
        elif change.kind == MOVED:
            head = f"moved from {changes.pop(0).old}"  # its place is the first change
        lines = wrap(head, _BADGE_CHARS, 3)
        for each in changes:
            lines += wrap(texts.text(each, 3 * _BADGE_CHARS), _BADGE_CHARS, 3)
        if len(lines) > _BADGE_LINES + 1:
            lines = [*lines[:_BADGE_LINES], f"and {len(lines) - _BADGE_LINES} lines more"]
        return "\n".join(map(printable, lines))

    def taken(self, edge: Edge) -> int:
        return edge.id in self.edges

    def look(self, edge: Edge) -> str:
        return FAILED if edge.id.endswith(f"--{OLD}") else SUCCEEDED


def _key(graph: Graph, edge: Edge, names: Mapping[str, str]) -> tuple[object, ...]:
    """What makes an edge the same in both definitions."""
    source, target = (each.partition(" ")[2] for each in (edge.source, edge.target))
    rule = ""
    if edge.rule is not None:
        rule = next(
            (
                node.title
                for node in graph.nodes.values()
                if node.kind == "rule" and node.state == edge.source and node.rule == edge.rule
            ),
            "",
        )
    ends = names.get(source, source), names.get(target, target)
    return edge.kind, *ends, rule, edge.errors, graph.nodes[edge.head].kind == "rule"


def picture(
    old: tuple[str, StateMachine],
    new: tuple[str, StateMachine],
    difference: Difference,
    format: str = "svg",
    theme: str = colours.AUTO,
    direction: str = "TB",
) -> bytes:
    """The content of a file. old, new: the title and the definition of each side.

    Raises RenderError if a format needs a program that is not installed.
    """
    sides = {side: _sided(build(machine), side) for side, (_, machine) in ((OLD, old), (NEW, new))}
    marks = Marked(difference, sides)
    whole = Graph(new[1])
    for side, title in ((OLD, f"Old · {old[0]}"), (NEW, f"New · {new[0]}")):
        graph = sides[side]
        whole.nodes |= graph.nodes
        whole.edges += graph.edges
        whole.root.content.append(Box(f"side-{side}", SIDE, title, content=graph.root.content))
    # the first states are on one level, the old side on the left
    flat = direction == "TB"
    source = dot.source(whole, colours.theme(theme), direction, marks, format in ("png", "pdf"))
    order = f'{{ rank=same; "start--{OLD}" -> "start--{NEW}" [style=invis] }}' if flat else ""
    source = source.rstrip().removesuffix("}") + order + "}\n"
    if format == "dot":
        return source.encode()
    if format in ("png", "pdf"):
        return layout.lay_out(source, format)
    drawn = svg.svg(layout.lay_out(source, "svg"), whole, theme, direction, marks)
    drawn = _finished(drawn)
    return (drawn if format == "svg" else _page(drawn, old[0], new[0], difference, theme)).encode()


def _sided(graph: Graph, side: str) -> Graph:
    """The graph with its side in the ids and in the names of states."""
    end = f"--{side}"
    nodes = {
        id + end: replace(node, id=id + end, state=f"{side} {node.state}")
        for id, node in graph.nodes.items()
    }
    edges = [
        replace(
            edge,
            id=edge.id + end,
            tail=edge.tail + end,
            head=edge.head + end,
            source=f"{side} {edge.source}",
            target=f"{side} {edge.target}",
        )
        for edge in graph.edges
    ]

    def boxed(box: Box) -> Box:
        content = [each + end if isinstance(each, str) else boxed(each) for each in box.content]
        return replace(box, id=box.id + end, state=f"{side} {box.state}", content=content)

    return Graph(graph.definition, nodes, edges, boxed(graph.root))


def _finished(drawn: str) -> str:
    """Names as they are in data attributes, the side beside them, and the colours of edges."""
    root = ET.fromstring(drawn)
    root.set("aria-label", "What differs between two state machines")
    for element in root.iter():
        for name in ("data-state", "data-from", "data-to"):
            shown = element.get(name)
            if shown is not None:
                side, _, rest = shown.partition(" ")
                element.set(name, rest)
                element.set("data-side", side)
        words = (element.get("class") or "").split()
        if "taken" in words:
            words.append("dropped" if element.get("data-side") == OLD else "fresh")
            element.set("class", " ".join(words))
    sheet = next(each for each in root if each.tag.endswith("style"))
    sheet.text = (sheet.text or "") + _EDGES
    return ET.tostring(root, encoding="unicode")


# --- the page -------------------------------------------------------------------------------------

_PAGE: Final = """\
<!doctype html>
<html lang="en"{forced}>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
{sheet}
body {{ margin: 0; font: 15px/1.5 {fonts}; background: var(--sw-page); color: var(--sw-ink) }}
main {{ padding: 1.5rem; max-width: 100% }}
h1 {{ font-size: 1.25rem; margin: 0 0 .25rem }}
h2 {{ font-size: 1rem; margin: 1.5rem 0 .5rem }}
p, li {{ margin: 0; color: var(--sw-muted) }}
figure {{ margin: 1rem 0; overflow-x: auto }}
figure svg {{ max-width: 100%; height: auto }}
article {{ border-left: 4px solid; padding: .4rem .8rem; margin: .5rem 0 }}
article h3 {{ font-size: .95rem; margin: 0; color: var(--sw-ink) }}
article small {{ font-weight: normal }}
ul {{ margin: .25rem 0 0; padding: 0; list-style: none }}
code {{ font: .85rem ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere }}
del {{ color: var(--sw-failed-badge) }}
ins {{ color: var(--sw-succeeded-badge); text-decoration: none }}
{kinds}</style>
<main class="stepwell">
<h1>{title}</h1>
<p>{total}</p>
<figure>{svg}</figure>
<h2>Changes</h2>
{changes}
{notes}
</main>
</html>
"""


def _page(drawn: str, old: str, new: str, difference: Difference, theme: str) -> str:
    kinds = "".join(
        f"article.{kind} {{ border-color: var(--sw-{look}-line); "
        f"background: var(--sw-{look}-fill) }}\n"
        f"article.{kind} small {{ color: var(--sw-{look}-badge) }}\n"
        for kind, look in LOOKS.items()
    )
    articles = []
    if difference.machine:
        items = "".join(map(_item, difference.machine))
        articles.append(
            f'<article class="{CHANGED}"><h3>The machine</h3><ul>{items}</ul></article>'
        )
    for each in difference.states:
        items = "".join(map(_item, each.changes))
        articles.append(
            f'<article class="{each.kind}"><h3>{escape(texts.headline(each))} '
            f"<small>{each.kind} {escape(each.type)}</small></h3><ul>{items}</ul></article>"
        )
    notes = "".join(f"<li>{escape(each)}</li>" for each in texts.notes(difference))
    return _PAGE.format(
        forced="" if theme == colours.AUTO else f' data-theme="{theme}"',
        title=f"{escape(printable(old))} → {escape(printable(new))}",
        sheet=colours.stylesheet(theme).replace(".stepwell {", ":root {"),
        fonts=colours.FONTS,
        kinds=kinds,
        total=escape(texts.total(difference)),
        svg=drawn,
        changes="\n".join(articles) or "<p>None.</p>",
        notes=f"<h2>Notes</h2><ul>{notes}</ul>" if notes else "",
    )


def _item(change: Change) -> str:
    if change.kind in (ADDED, REMOVED):
        word = "ins" if change.kind == ADDED else "del"
        head, _, tail = texts.text(change, 2_000).partition(": ")
        return f"<li><code>{escape(head)}: <{word}>{escape(tail)}</{word}></code></li>"
    what = "moved" if change.what == "place" else printable(change.what)
    old, new = (escape(texts.value(each, 1_000)) for each in (change.old, change.new))
    return f"<li><code>{escape(what)}: <del>{old}</del> → <ins>{new}</ins></code></li>"
