"""Answers of operations, made from documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Answer = dict[str, Any]


def shown(document: Mapping[str, Any], names: Iterable[str]) -> Answer:
    """The given members of a document, without those that are missing or None."""
    return {name: document[name] for name in names if document.get(name) is not None}


def as_tags(tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in tags}
