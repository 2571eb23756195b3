"""Properties of diagrams of generated machines in both layout programs, and the time of layout."""

import json
import os
import random
import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from tests.visualize.pictures import (
    SVG,
    TAGS,
    TASK,
    Area,
    Picture,
    area,
    chain,
    every_state,
    machines,
    part,
    says,
)

from stepwell.asl.definition import StateMachine
from stepwell.visualize import Diagram, labels, stylesheet
from stepwell.visualize.dot import CHIP
from stepwell.visualize.words.texts import printable

MACHINES = int(
    os.environ.get("STEPWELL_MACHINES", "60")
)  # generated, for each property and each layout program
PROPERTIES = settings(
    max_examples=MACHINES,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
NASTY = '</text><script>alert("1")</script>'


def picture(machine: dict[str, Any], engine: str, direction: str = "TB") -> tuple[Diagram, Picture]:
    diagram = Diagram(StateMachine.model_validate(machine), direction=direction, engine=engine)
    return diagram, Picture(diagram.svg())


def squeezed(text: str) -> str:
    return re.sub(r"\s", "", text)


@PROPERTIES
@given(machine=machines())
@example(
    machine={
        "StartAt": NASTY,
        "States": {NASTY: {"Type": "Task", "Resource": TASK, "Comment": NASTY, "End": True}},
    }
)
def test_every_state_is_drawn_once_under_its_name(machine: dict[str, Any], engine: str) -> None:
    _, drawn = picture(machine, engine)
    names = sorted(printable(name) for name, _ in every_state(machine))
    assert sorted(group.attrib["data-state"] for group in drawn.of("state")) == names
    for group in drawn.of("state"):
        assert squeezed(says(group, "name")) == squeezed(group.attrib["data-state"])
    ids = [group.attrib["id"] for group in drawn.groups]
    assert len(ids) == len(set(ids))


@PROPERTIES
@given(machine=machines())
def test_no_edge_leads_up_but_those_that_close_loops(machine: dict[str, Any], engine: str) -> None:
    for direction, side in (("TB", 1), ("LR", 0)):
        diagram, drawn = picture(machine, engine, direction)
        nodes = drawn.nodes()
        for edge in diagram.graph.edges:
            tail, head = nodes[edge.tail], nodes[edge.head]
            if edge.back:
                assert head[side] <= tail[side], edge
            else:
                assert tail[side + 2] <= head[side] + 0.5, edge


@PROPERTIES
@given(machine=machines())
def test_nothing_overlaps_and_frames_contain_their_states(
    machine: dict[str, Any], engine: str
) -> None:
    diagram, drawn = picture(machine, engine)
    nodes, frames = drawn.nodes(), drawn.frames()
    placed = list(nodes.items())
    for index, (one, here) in enumerate(placed):
        assert [other for other, there in placed[index + 1 :] if here.meets(there)] == [], one
    for box in list(diagram.graph.root.walk())[1:]:
        inside = set(box.nodes())
        assert [id for id in inside if not frames[box.id].holds(nodes[id])] == []
        assert [id for id in nodes.keys() - inside if frames[box.id].meets(nodes[id])] == []


@PROPERTIES
@given(machine=machines())
def test_a_picture_has_no_script_and_no_reference(machine: dict[str, Any], engine: str) -> None:
    _, drawn = picture(machine, engine)
    assert {element.tag.removeprefix(SVG) for element in drawn.root.iter()} <= TAGS
    for element in drawn.root.iter():
        assert [name for name in element.attrib if name.startswith("on") or "href" in name] == []
    sheets = [element.text for element in drawn.root.iter(f"{SVG}style")]
    assert sheets == [stylesheet("auto")]
    assert "url(" not in sheets[0] and "@import" not in sheets[0]


@given(machine=machines())
def test_the_order_of_keys_changes_nothing(machine: dict[str, Any]) -> None:
    turned = {**machine, "States": dict(reversed(machine["States"].items()))}
    assert (
        Diagram(StateMachine.model_validate(machine)).dot()
        == Diagram(StateMachine.model_validate(turned)).dot()
    )


@given(machine=machines())
def test_text_and_mermaid_have_every_state(machine: dict[str, Any]) -> None:
    diagram = Diagram(StateMachine.model_validate(machine))
    outline, chart = diagram.text(), diagram.mermaid()
    for name, state in every_state(machine):
        assert f"{printable(name)}  (" in outline
        assert f"<small>{state['Type'] if state['Type'] in ('Choice', 'Pass') else ''}" in chart
    assert "<script" not in chart
    assert (
        chart.count("subgraph")
        == chart.count("\n  end") + chart.count("  end\n") - chart.count("\n  end\n")
        or "subgraph" not in chart
    )


def test_the_main_path_is_straight(engine: str) -> None:
    _, drawn = picture(
        {
            "StartAt": "A",
            "States": {
                **{a: {"Type": "Pass", "Next": b} for a, b in ("AB", "BC")},
                "C": {"Type": "Succeed"},
            },
        },
        engine,
    )
    centres = {round(box.left + box.right) // 4 for box in drawn.nodes().values()}
    assert len(centres) == 1


def test_a_far_target_is_named_by_a_jump(engine: str) -> None:
    drawn = Picture(Diagram(chain(60), engine=engine).svg())
    assert {says(group) for group in drawn.of("jump")} == {"→ Step 59 of the work"}
    longest = max(
        abs(area(group, "line").bottom - area(group, "line").top) for group in drawn.of("edge")
    )
    assert longest < Area(*map(float, [0, 0, 0, 60 * 60])).bottom / 2


def test_the_name_of_a_far_target_is_escaped_in_mermaid() -> None:
    machine = chain(60).replace("Step 59 of the work", "<script>")
    chart = Diagram(machine).mermaid()
    assert '(["#60;script#62;"])' in chart
    assert "<script" not in chart


def test_a_collapsed_state_shows_how_many_states_it_hides(engine: str) -> None:
    inner = {
        "StartAt": "In",
        "States": {"In": {"Type": "Pass", "Next": "Last"}, "Last": {"Type": "Succeed"}},
    }
    machine = {
        "StartAt": "Each",
        "States": {"Each": {"Type": "Map", "ItemProcessor": inner, "End": True}},
    }
    drawn = Picture(Diagram(machine, collapse=["Each"], engine=engine).svg())
    assert [group.get("data-state") for group in drawn.of("state")] == ["Each"]
    assert says(drawn.state("Each"), "label") == "Map · 2 states"
    assert drawn.frames() == {}


@pytest.mark.parametrize(("states", "seconds"), [(30, 0.15), (500, 3)])
def test_pictures_are_made_in_time(states: int, seconds: float, engine: str) -> None:
    """Processor time of this process and of the layout program, whatever else the machine runs."""
    definition, taken = chain(states), []
    for _ in range(12):
        begun = sum(os.times()[:4])
        Diagram(definition, engine=engine).svg()
        taken.append(sum(os.times()[:4]) - begun)
        if min(taken) < seconds:
            return
    pytest.fail(f"the fastest of 12 took {min(taken):.3f} s")


def test_texts_have_the_length_of_the_layout(engine: str) -> None:
    """So that they stay inside their boxes with any font."""
    drawn = Picture(Diagram(chain(12), engine=engine).svg())
    for group in drawn.of("state"):
        box = area(group, "box")
        inside = box.right - box.left - CHIP
        (name,) = [text for text in group.iter(f"{SVG}text") if text.get("class") == "name"]
        assert 0.6 * inside < float(name.attrib["textLength"]) < inside


def test_a_join_without_incoming_edges_is_not_drawn(engine: str) -> None:
    """Of branches that all fail nothing comes to the joint: what leaves them begins at the
    frame.
    """
    fails = {"StartAt": "F", "States": {"F": {"Type": "Fail"}}}
    both = {
        "Type": "Parallel",
        "Branches": [fails, json.loads(json.dumps(fails).replace('"F"', '"G"'))],
        "Next": "After",
    }
    machine = {"StartAt": "Both", "States": {"Both": both, "After": {"Type": "Pass", "End": True}}}
    drawn = Picture(Diagram(machine, engine=engine).svg())
    (joint,) = drawn.of("join")
    assert "bare" in (joint.get("class") or "").split()
    (edge,) = [group for group in drawn.of("next") if group.get("data-from") == "Both"]
    assert area(edge, "line").top >= drawn.frames()["box-Both"].bottom - 1
    drawn = Picture(Diagram(chain(3), engine=engine).svg())
    assert drawn.of("bare") == []


def test_lines_of_a_name_do_not_touch(engine: str) -> None:
    machine = {"StartAt": "n", "States": {"n": {"Type": "Pass", "End": True}}}
    text = json.dumps(machine).replace(
        '"n"', '"A name that is so long that it needs three lines of a box"'
    )
    drawn = Picture(Diagram(text, engine=engine).svg())
    lines = [
        text
        for group in drawn.of("state")
        for text in group.iter(f"{SVG}text")
        if text.get("class") == "name"
    ]
    assert len(lines) == 3
    for above, below in pairwise(lines):
        assert float(below.attrib["y"]) - float(above.attrib["y"]) >= 1.2 * float(
            above.attrib["font-size"]
        )


def crowded(names: int, seed: int) -> str:
    """A chain with many catchers of long names, here and there, also backwards and to the state
    itself.
    """
    draw, steps = random.Random(seed), [f"Step {number}" for number in range(names)]
    errors = [
        "States.Timeout",
        "DynamoDB.ResourceNotFoundException",
        "CloudFormation.AlreadyExistsException",
        "PaymentRefused",
    ]
    states: dict[str, Any] = {}
    for name, onward in zip(steps, [*steps[1:], None], strict=True):
        states[name] = {
            "Type": "Task",
            "Resource": TASK,
            "Parameters": {},
            **({"Next": onward} if onward else {"End": True}),
        }
        if draw.random() < 0.6:
            caught = draw.sample(errors, draw.randint(1, 3))
            states[name]["Catch"] = [
                {"ErrorEquals": caught, "Next": draw.choice([*steps, "Sorry", "Sorry"])}
            ]
    states[steps[0]]["Catch"] = [{"ErrorEquals": ["States.ALL"], "Next": "Sorry"}]
    return json.dumps({"StartAt": steps[0], "States": {**states, "Sorry": {"Type": "Fail"}}})


@pytest.mark.parametrize("seed", range(12))
def test_labels_of_catchers_are_beside_their_lines(seed: int, engine: str) -> None:
    drawn = Picture(Diagram(crowded(5 + seed, seed), engine=engine).svg())
    lines = {
        group.attrib["id"]: labels.line(part(group, "line").attrib["d"])
        for group in drawn.of("edge")
    }
    nodes = [labels.Area(*box) for box in drawn.nodes().values()]
    shown = {group.attrib["id"]: label_of(group) for group in drawn.of("catch")}
    assert shown
    for id, label in shown.items():
        assert min(map(label.distance, lines[id].points)) <= labels.FAR + 0.5
        assert [
            other for other, points in lines.items() if min(map(label.distance, points.points)) == 0
        ] == [], "on a line"
        assert not any(label.meets(box) for box in nodes)
        assert [other for other, there in shown.items() if other != id and label.meets(there)] == []


def label_of(group: ET.Element) -> labels.Area:
    texts = [each for each in group if each.get("class") == "text"]
    size = float(texts[0].attrib["font-size"])
    lefts, bases = (
        [float(each.attrib["x"]) for each in texts],
        [float(each.attrib["y"]) for each in texts],
    )
    rights = [float(each.attrib["x"]) + float(each.attrib["textLength"]) for each in texts]
    return labels.Area(min(lefts), min(bases) - 0.75 * size, max(rights), max(bases) + 0.2 * size)
