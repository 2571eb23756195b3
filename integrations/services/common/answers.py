"""Parts of answers and documents that several services have: members, tags, policy statements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from stepwell.engine.arns import Home

Answer = dict[str, Any]


def shown(document: Mapping[str, Any], names: Iterable[str]) -> Answer:
    """The given members of a document, without those that are missing or None."""
    return {name: document[name] for name in names if document.get(name) is not None}


def as_tags(tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in tags}


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def allow_statement(
    home: Home, label: str, accounts: Iterable[str], actions: Iterable[str], resource: str
) -> dict[str, Any]:
    """The policy statement of AddPermission."""
    return {
        "Sid": label,
        "Effect": "Allow",
        "Principal": {"AWS": _one_or_list(home.root(each) for each in accounts)},
        "Action": _one_or_list(actions),
        "Resource": resource,
    }


def _one_or_list(values: Iterable[str]) -> str | list[str]:
    listed = list(values)
    return listed[0] if len(listed) == 1 else listed
