"""The picture of two definitions side by side: what is marked on which side."""

import copy
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from stepwell.asl.definition import StateMachine
from stepwell.asl.diff import compare
from stepwell.visualize import theme
from stepwell.visualize.changes.picture import picture

OLD: dict[str, Any] = json.loads(Path("examples/order.asl.json").read_text())
LOOKS = {*theme.STATUSES}


def new() -> dict[str, Any]:
    changed = copy.deepcopy(OLD)
    states = changed["States"]
    states["Charge the card"]["Retry"][0]["MaxAttempts"] = 5
    del states["Reserve the stock"]["Catch"]
    states["Done & dusted"] = states.pop("Fulfilled")
    states["Confirm"]["Next"] = "Done & dusted"
    states["Wait for the van"]["Next"] = "Weigh"
    states["Weigh"] = {"Type": "Pass", "Next": "Confirm"}
    return changed


def drawn(format: str, theme: str = "auto", direction: str = "TB") -> bytes:
    old, after = OLD, new()
    sides = [(name, StateMachine.model_validate(each)) for name, each in (("a", old), ("b", after))]
    return picture(sides[0], sides[1], compare(old, after), format, theme, direction)


@pytest.mark.parametrize("direction", ["TB", "LR"])
def test_each_side_marks_what_is_only_there_or_differs(direction: str) -> None:
    root = ET.fromstring(drawn("svg", direction=direction))
    marked, edges, left = set(), set(), {}
    for group in root.iter():
        words = set((group.get("class") or "").split())
        side, name = group.get("data-side"), group.get("data-state")
        if "state" in words:
            look = next(iter(words & LOOKS))
            left[side, name] = group.get("data-box")
            if look != "not-run":
                marked.add((side, name, look))
        elif "edge" in words and "taken" in words:
            colour = "dropped" if "dropped" in words else "fresh"
            edges.add((side, group.get("data-from"), group.get("data-to"), colour))
    assert marked == {
        ("old", "Charge the card", "caught"),
        ("new", "Charge the card", "caught"),
        ("old", "Reserve the stock", "caught"),
        ("new", "Reserve the stock", "caught"),
        ("old", "Fulfilled", "running"),
        ("new", "Done & dusted", "running"),
        ("old", "Wait for the van", "caught"),
        ("new", "Wait for the van", "caught"),
        ("new", "Weigh", "succeeded"),
    }
    assert edges == {
        ("old", "Reserve the stock", "Order failed", "dropped"),
        ("old", "Wait for the van", "Confirm", "dropped"),
        ("new", "Wait for the van", "Weigh", "fresh"),
        ("new", "Weigh", "Confirm", "fresh"),
    }
    ids = [each.get("id") for each in root.iter() if each.get("id")]
    assert len(ids) == len(set(ids))
    titles = [
        "".join(each.itertext()).strip() for each in root.iter() if each.get("class") == "side"
    ]
    assert titles == ["Old · a", "New · b"]


def test_a_page_lists_the_changes_beside_the_picture() -> None:
    page = drawn("html").decode()
    assert "Retry BankBusy · MaxAttempts: <del>3</del> → <ins>5</ins>" in page
    assert "Fulfilled → Done &amp; dusted" in page and "<svg" in page
    assert (
        "prefers-color-scheme" in page
        and "prefers-color-scheme" not in drawn("html", "dark").decode()
    )


def test_other_formats() -> None:
    assert drawn("png", "dark").startswith(b"\x89PNG")
    assert "MaxAttempts: 3 → 5" in drawn("dot").decode()


def test_a_moved_state_says_once_where_it_was() -> None:
    def machine(*branches: list[str]) -> dict[str, Any]:
        blocks = [
            {
                "StartAt": names[0],
                "States": {
                    name: {"Type": "Pass", **({"Next": then} if then else {"End": True})}
                    for name, then in zip(names, [*names[1:], ""], strict=True)
                },
            }
            for names in branches
        ]
        both = {"Type": "Parallel", "Branches": blocks, "End": True}
        return {"StartAt": "Both", "States": {"Both": both}}

    old, after = machine(["A", "B"], ["C"]), machine(["A"], ["C", "B"])
    sides = [(name, StateMachine.model_validate(each)) for name, each in (("a", old), ("b", after))]
    shown = picture(sides[0], sides[1], compare(old, after), "svg", "auto", "TB").decode()
    assert "moved from branch 1 of Both" in shown
    assert "moved: " not in shown
