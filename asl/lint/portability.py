"""Rules about deprecated fields, and about what ties a definition to one account."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from stepwell.asl.inference.machine import own_fields, texts
from stepwell.asl.inference.shapes import has_hole
from stepwell.asl.lint.rule import Find, Found, Rule, Subject

_ACCOUNT: Final = re.compile(
    r"arn:aws[a-z-]*:[a-z0-9-]+:([a-z0-9-]*):([0-9]{12}):|sqs\.[a-z0-9-]+\.amazonaws\.com/[0-9]{12}/"
)


def fixed_account(subject: Subject) -> Iterator[Found]:
    for state in subject.machine.states:
        for _, text, where in texts(own_fields(state), state.location):
            if _ACCOUNT.search(text) and not has_hole(text) and not where.endswith("/Comment"):
                yield (
                    where,
                    "the account and region are part of the definition: it works in one "
                    "environment only. Write ${Name}, and give the value at deployment",
                )


def _deprecated(old: str, new: str, type: str) -> Find:
    def find(subject: Subject) -> Iterator[Found]:
        for state in subject.machine.states:
            if state.type == type and old in state.fields:
                yield state.at(old), f"{old} is deprecated. Rename it to {new}"

    return find


def function_arn(subject: Subject) -> Iterator[Found]:
    for state in subject.machine.states:
        if state.resource is not None and state.resource.kind == "lambda":
            yield (
                state.at("Resource"),
                "the ARN of a function as Resource is the older form. Use "
                "arn:aws:states:::lambda:invoke, which has the function in its parameters",
            )


RULES: Final = (
    Rule("N701", "fixed-account", "An ARN with an account is in the definition.", fixed_account),
    Rule(
        "N702",
        "deprecated-iterator",
        "Map has the deprecated field Iterator.",
        _deprecated("Iterator", "ItemProcessor", "Map"),
    ),
    Rule(
        "N703",
        "deprecated-map-parameters",
        "Map has the deprecated field Parameters.",
        _deprecated("Parameters", "ItemSelector", "Map"),
    ),
    Rule("N704", "function-as-resource", "A Resource is the ARN of a function.", function_arn),
)
