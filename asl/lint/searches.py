"""The rule about the search attributes that the Comment of a machine names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stepwell.asl import search_attributes
from stepwell.asl.lint.rule import Found, Rule, Subject


def search_faults(subject: Subject) -> Iterator[Found]:
    text = search_attributes.in_comment(subject.machine.fields.get("Comment"))
    for fault in search_attributes.faults(text):
        yield (
            "/Comment",
            f"stepwell:searchAttributes: {fault}. Write a semicolon after the last one",
        )


RULES: Final = (
    Rule(
        "W801",
        "search-attribute",
        "A word after stepwell:searchAttributes is no attribute.",
        search_faults,
    ),
)
