"""Colours: every text can be read on what is behind it, and a style sheet has what its rules
use.
"""

import re

import pytest

from stepwell.asl.resources import OPTIMISED
from stepwell.visualize import theme
from stepwell.visualize.theme import NOT_RUN, STATUSES, chip, stylesheet

TYPES = ("Task", "Choice", "Wait", "Succeed", "Fail", "Pass", "Parallel", "Map")


def luminance(colour: str) -> float:
    """WCAG 2.1: relative luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("name", ["light", "dark"])
def test_every_text_has_enough_contrast(name: str) -> None:
    colours = theme.theme(name)
    pairs = [
        (colours.ink, colours.fill),
        (colours.muted, colours.fill),
        (colours.pill_ink, colours.pill),
        (colours.cap_ink, colours.cap),
    ]
    pairs += [(colours.chip_ink, colours.idle_chip), (colours.pill_ink, colours.page)]
    grounds = (colours.page, colours.cluster, colours.body)
    badges = [colours.statuses["succeeded"].badge, colours.statuses["caught"].badge]
    pairs += [
        (ink, ground) for ink in (colours.catch, colours.idle_ink, badges[1]) for ground in grounds
    ]
    for status, look in colours.statuses.items():
        inks = [colours.idle_ink] if status == NOT_RUN else [colours.ink, colours.muted]
        pairs += [(ink, look.fill) for ink in [look.badge, *inks]]
    services = [*OPTIMISED, "aws-sdk:s3", "aws-sdk:unheardof", ""]
    pairs += [
        (colours.chip_ink, chip(type, service).colour) for type in TYPES for service in services
    ]
    assert [
        (one, other, round(contrast(one, other), 2))
        for one, other in pairs
        if contrast(one, other) < 4.5
    ] == []


@pytest.mark.parametrize("name", ["light", "dark", "auto"])
def test_a_style_sheet_defines_what_it_uses(name: str) -> None:
    sheet = stylesheet(name)
    assert set(re.findall(r"var\((--[\w-]+)\)", sheet)) <= set(re.findall(r"(--[\w-]+):", sheet))
    assert all(f".state.{status} .box" in sheet for status in STATUSES)
    assert ("prefers-color-scheme" in sheet) == (name == "auto")


def test_letters_of_chips_are_in_every_font() -> None:
    """WGL4, which the fonts of all systems have."""
    letters = {chip(type, service).letters for type in TYPES for service in OPTIMISED}
    assert {letter for each in letters for letter in each if not letter.isascii()} <= {"λ", "≡"}
