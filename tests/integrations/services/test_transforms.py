"""The payload of a target."""

import json
from typing import Any

import pytest

from stepwell.integrations.services.events.input_transformer import (
    Rule,
    TransformError,
    compile_transform,
)

EVENT = {
    "version": "0",
    "id": "i",
    "source": "shop",
    "detail": {"n": 5, "text": 'say "hi"', "list": [{"a": 1}], "null": None},
}
RULE = Rule("arn:rule", "r")


def payload(**target: Any) -> Any:
    return json.loads(compile_transform({"Id": "1", **target})(EVENT, RULE, "2024-01-01T00:00:00Z"))


def template(text: str, **paths: str) -> Any:
    return payload(InputTransformer={"InputPathsMap": paths, "InputTemplate": text})


def test_inputs() -> None:
    assert payload() == EVENT
    assert payload(Input='{"a": 1}') == {"a": 1}
    assert payload(InputPath="$.detail.list[0].a") == 1
    assert payload(InputPath="$.detail['text']") == 'say "hi"'
    assert payload(InputPath="$.nowhere") is None and payload(InputPath="$") == EVENT


def test_templates() -> None:
    assert template(
        '{"n": <n>, "t": <t>, "s": "n=<n>, t=<t>"}', n="$.detail.n", t="$.detail.text"
    ) == {
        "n": 5,
        "t": 'say "hi"',
        "s": 'n=5, t=say "hi"',
    }
    assert template('"<l> of <aws.events.rule-name>"', l="$.detail.list") == '[{"a":1}] of r'
    assert template('{"x": <x>, "y": "<x>"}', x="$.nowhere") == {"x": None, "y": ""}
    assert template("n is <n>", n="$.detail.n") == "n is 5"
    assert template('{"e": <aws.events.event>, "j": <aws.events.event.json>}') == {
        "e": {name: value for name, value in EVENT.items() if name != "detail"},
        "j": EVENT,
    }
    assert template("[<aws.events.rule-arn>, <aws.events.event.ingestion-time>]") == [
        "arn:rule",
        "2024-01-01T00:00:00Z",
    ]


@pytest.mark.parametrize(
    "target",
    [
        {"Input": "{}", "InputPath": "$"},
        {"Input": "{"},
        {"InputPath": "detail"},
        {"InputPath": "$..a"},
        {"InputTransformer": {"InputPathsMap": {"AWS.x": "$.a"}, "InputTemplate": "1"}},
        {"InputTransformer": {"InputPathsMap": {}, "InputTemplate": '{"a": <unknown>}'}},
    ],
)
def test_invalid_transforms(target: dict[str, Any]) -> None:
    with pytest.raises(TransformError):
        payload(**target)
