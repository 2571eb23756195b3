"""The SVG of a picture: the layout program's drawing, with classes and data attributes for style
sheets, scripts and screen readers.

The contract for pages that embed the picture and recolour it in place (svg with style=False, and
theme.stylesheet() once per page):

    svg.stepwell                  data-direction "TB" or "LR"; viewBox, width and height in points
    g.state                       one per state, in the order of the walk from StartAt
        id="state-<slug>"         the same for the same definition on every run
        data-state, data-type     name and Type
        data-path                 location in the definition: /States/Ship/Branches[0]/States/Pack
        data-box                  "x y width height" of its frame, in its parent's coordinates
        class                     state, its type in lower case, composite-head for the header of a
                                  box; if an execution is shown, one of theme.STATUSES: succeeded
                                  failed timed-out caught running aborted not-run
        tabindex role aria-label  for keyboards and screen readers: "name, label, badge"
        .box .chip .letters       its parts; .badge takes the place of .note if an execution is
        .label .name .note .badge shown
        g.pill                    a place for a text at its top right corner, hidden until it has
                                  data-text: rect and text, which end at x = 0
    g.composite                   the box of a Parallel or Map: id="box-<slug>", data-state; class
                                  distributed, and the status as in g.state; contains .frame
    g.branch                      a branch of a Parallel: data-state is its first state; contains
                                  .frame
    g.side                        one of several machines in a picture; contains .frame and .name
    g.rule                        a rule of a Choice: data-state, data-rule (index in Choices, -1:
                                  Default), class taken or not-taken
    g.join                        the end of branches or iterations: data-state; class taken or
                                  not-taken, bare if none of them ends
    g.jump                        replaces an edge to a target far away: data-state is the source;
                                  class taken or not-taken
    g.cap                         Start and End: id="start", id="end"
    g.edge                        data-kind start next choice default catch end enter leave;
                                  data-from, data-to names of states, "" for Start and End;
                                  data-rule on the edges into and out of a rule; class edge, the
                                  kind, back if it closes a loop, taken or not-taken if an
                                  execution is shown; contains .line, .arrow and texts

To recolour, replace the status class of g.state and g.composite, and taken or not-taken of edges,
rules, joins and jumps. Control characters in names are escaped as by words.printable, in data
attributes too. There is no <title>, no script and no external reference.
"""

import re
import xml.etree.ElementTree as ET
from typing import Final

from stepwell.visualize import labels
from stepwell.visualize import theme as colours
from stepwell.visualize.dot import BADGE_SIZE, CHIP_SIZE, LABEL_SIZE
from stepwell.visualize.graph import SIDE, Box, Edge, Graph, Node
from stepwell.visualize.metrics import width
from stepwell.visualize.overlay import Marks
from stepwell.visualize.words.texts import printable

_NS: Final = "http://www.w3.org/2000/svg"
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")
_DROPPED: Final = ("{http://www.w3.org/XML/1998/namespace}space", "font-family")
ET.register_namespace("", _NS)


def svg(
    drawn: bytes,
    graph: Graph,
    theme: str,
    direction: str,
    overlay: Marks | None = None,
    style: bool = True,
) -> str:
    """The finished SVG, one element without a prologue.

    drawn  the layout program's SVG of dot.source(graph, ...)
    style  whether the style sheet is included
    """
    root = ET.fromstring(drawn)
    groups = {group.get("id"): group for group in root.iter(f"{{{_NS}}}g")}
    for parent in list(root.iter()):
        for child in [each for each in parent if each.tag == f"{{{_NS}}}title"]:
            parent.remove(child)
    for node in graph.nodes.values():
        _node(groups[node.id], node, graph, overlay)
    for edge in graph.edges:
        if edge.kind:
            _edge(groups[edge.id], edge, overlay)
    for box in list(graph.root.walk())[1:]:
        _box(groups[box.id], box, overlay)
    for each in root.iter():
        for name in _DROPPED:
            each.attrib.pop(name, None)
        if each.tag == f"{{{_NS}}}text":
            _fit(each)
    _labels(root)
    _root(root, theme, direction, style)
    return ET.tostring(root, encoding="unicode")


def _root(root: ET.Element, theme: str, direction: str, style: bool) -> None:
    _, _, width, height = (root.get("viewBox") or "0 0 0 0").split()
    root.set("class", "stepwell")
    root.set("width", f"{float(width):g}")
    root.set("height", f"{float(height):g}")
    root.set("data-direction", direction)
    root.set("font-family", colours.FONTS)
    root.set("role", "group")
    root.set("aria-label", "State machine")
    if theme == colours.DARK:
        root.set("style", f"background: {colours.theme(theme).page}")
    if style:
        sheet = ET.Element(f"{{{_NS}}}style")
        sheet.text = colours.stylesheet(theme)
        root.insert(0, sheet)
    for group in root.iter(f"{{{_NS}}}g"):
        if group.get("class") == "graph":
            group.attrib.pop("id")  # a page may contain several pictures


def _fit(text: ET.Element) -> None:
    """Set the length that the layout assumed, for other fonts. The letters of chips need none: they
    are centred, with space around them.
    """
    length = width(
        (text.text or "").strip(),
        float(text.get("font-size") or 0),
        text.get("font-weight") == "bold",
    )
    if length and text.get("class") != "letters":
        _set(text, textLength=f"{length:.2f}", lengthAdjust="spacingAndGlyphs")


def _set(element: ET.Element, **attributes: str) -> None:
    for name, value in attributes.items():
        element.set(name.replace("_", "-").rstrip("-"), printable(value))


def _passed(taken: object) -> str:
    return "taken" if taken else "not-taken"


# --- states, rules, joins -------------------------------------------------------------------------


def _node(group: ET.Element, node: Node, graph: Graph, overlay: Marks | None) -> None:
    shape = next(each for each in group if each.tag != f"{{{_NS}}}text")
    shape.set("class", "box")
    texts = [each for each in group if each.tag == f"{{{_NS}}}text"]
    if node.kind == "state":
        _state(group, node, overlay)
        return
    if node.kind in ("start", "end"):
        _set(group, class_="cap")
        return
    passed = ""
    if overlay is not None:
        passed = " " + _passed(
            any(overlay.taken(edge) for edge in graph.edges if edge.head == node.id)
        )
    _set(group, class_=node.kind + (" bare" if node.bare else "") + passed, data_state=node.state)
    if node.rule is not None:
        _set(group, data_rule=str(node.rule))
    for text in texts:
        text.set("class", "text")


def _state(group: ET.Element, node: Node, overlay: Marks | None) -> None:
    x, y, width, height = _extent(group[0])
    status = overlay.status(node.state) if overlay is not None else ""
    words = [
        "state",
        node.type.lower(),
        *(["composite-head"] if node.composite else []),
        *([status] if status else []),
    ]
    badge = overlay.badge(node.state) if overlay is not None else ""
    _set(
        group,
        class_=" ".join(words),
        data_state=node.state,
        data_type=node.type,
        data_path=node.path,
    )
    _set(group, data_box=f"{x:g} {y:g} {width:g} {height:g}", tabindex="0", role="button")
    _set(
        group,
        aria_label=", ".join(filter(None, (node.title, node.label, badge or node.note or status))),
    )
    chip = group[1]  # drawn after the box, as dot.py nests them
    chip.set("class", "chip")
    left, top, side, _ = _extent(chip)
    for text in group.iter(f"{{{_NS}}}text"):
        size = float(text.get("font-size") or 0)
        if size == CHIP_SIZE:
            _set(
                text,
                class_="letters",
                x=f"{left + side / 2:g}",
                y=f"{top + side / 2 + 0.36 * size:g}",
                text_anchor="middle",
            )
        elif size == BADGE_SIZE:
            text.set("class", "badge" if status else "note")
        else:
            text.set("class", "label" if size == LABEL_SIZE else "name")
    pill = ET.SubElement(
        group,
        f"{{{_NS}}}g",
        {"class": "pill", "transform": f"translate({x + width + 4:g} {y - 4:g})"},
    )
    ET.SubElement(
        pill,
        f"{{{_NS}}}rect",
        {"x": "-16", "y": "-7.5", "width": "16", "height": "15", "rx": "7.5"},
    )
    ET.SubElement(
        pill,
        f"{{{_NS}}}text",
        {"x": "-8", "y": "3.2", "text-anchor": "middle", "font-size": f"{BADGE_SIZE}"},
    )


def _extent(path: ET.Element) -> tuple[float, float, float, float]:
    """x, y, width, height of a path; the curves of a rounded box are within its points."""
    numbers = [float(each) for each in _NUMBER.findall(path.get("d") or path.get("points") or "")]
    xs, ys = numbers[::2], numbers[1::2]
    return min(xs), min(ys), round(max(xs) - min(xs), 2), round(max(ys) - min(ys), 2)


# --- edges and boxes ------------------------------------------------------------------------------


def _edge(group: ET.Element, edge: Edge, overlay: Marks | None) -> None:
    words = ["edge", edge.kind, *(["back"] if edge.back else [])]
    if overlay is not None:
        words.append(_passed(overlay.taken(edge)))
    _set(
        group,
        class_=" ".join(words),
        data_kind=edge.kind,
        data_from=edge.source,
        data_to=edge.target,
    )
    if edge.rule is not None:
        _set(group, data_rule=str(edge.rule))
    parts = {"path": "line", "polygon": "arrow", "text": "text"}
    for each in group:
        each.set("class", parts[each.tag.rpartition("}")[2]])


def _labels(root: ET.Element) -> None:
    """Move the labels of edges beside their lines (labels.py)."""
    groups = [group for group in root.iter(f"{{{_NS}}}g") if group.get("class")]
    drawn = {id(each): each for group in groups for each in group}.values()
    known = {
        id(each): labels.line(each.get("d") or "") for each in drawn if each.get("class") == "line"
    }
    frames = [labels.outline(_area(each)) for each in drawn if each.get("class") == "frame"]
    nodes = [_area(each) for each in drawn if each.get("class") == "box"]
    texts = {
        index: found
        for index, group in enumerate(groups)
        if (found := [each for each in group if _labels_line(group, each)])
    }
    areas = {index: _text_area(found) for index, found in texts.items()}
    own = {
        index: id(next(each for each in groups[index] if each.get("class") == "line"))
        for index in texts
    }
    page = labels.around(
        corner
        for area in (*(frame.area for frame in frames), *nodes, *areas.values())
        for corner in (area[:2], area[2:])
    )
    for index, found in texts.items():
        others = [known[each] for each in known if each != own[index]]
        there = labels.place(
            areas[index],
            known[own[index]],
            others,
            frames,
            [*nodes, *(areas[each] for each in areas if each != index)],
            page,
        )
        across, down = there.left - areas[index].left, there.top - areas[index].top
        for each in found if across or down else ():
            _set(
                each,
                x=f"{float(each.get('x') or 0) + across:.2f}",
                y=f"{float(each.get('y') or 0) + down:.2f}",
            )
        areas[index] = there


def _labels_line(group: ET.Element, each: ET.Element) -> bool:
    return each.tag == f"{{{_NS}}}text" and "edge" in (group.get("class") or "").split()


def _area(element: ET.Element) -> labels.Area:
    if element.tag == f"{{{_NS}}}ellipse":
        x, y, across, down = (float(element.get(name) or 0) for name in ("cx", "cy", "rx", "ry"))
        return labels.Area(x - across, y - down, x + across, y + down)
    left, top, wide, high = _extent(element)
    return labels.Area(left, top, left + wide, top + high)


def _text_area(texts: list[ET.Element]) -> labels.Area:
    """The bounding rectangle of lines of text, whose y is the baseline."""
    spots = [
        (float(each.get("x") or 0), float(each.get("y") or 0), float(each.get("textLength") or 0))
        for each in texts
    ]
    size = max(float(each.get("font-size") or 0) for each in texts)
    top, bottom = (
        min(y for _, y, _ in spots) - 0.8 * size,
        max(y for _, y, _ in spots) + 0.25 * size,
    )
    return labels.Area(
        min(x for x, _, _ in spots), top, max(x + wide for x, _, wide in spots), bottom
    )


def _box(group: ET.Element, box: Box, overlay: Marks | None) -> None:
    if box.kind == SIDE:
        _set(group, class_=SIDE)
        group[0].set("class", "frame")
        for text in group.iter(f"{{{_NS}}}text"):
            text.set("class", "name")
        return
    words = (
        ["branch"]
        if box.kind == "branch"
        else ["composite", *(["distributed"] if box.distributed else [])]
    )
    if overlay is not None and box.kind != "branch":
        words.append(overlay.status(box.state))
    _set(group, class_=" ".join(words), data_state=box.state)
    group[0].set("class", "frame")
