"""Placeholders of tools other than AWS's, Terraform and Serverless."""

import json
from typing import Any

import pytest

from stepwell.asl.files.definition_files import Source, read_definition, sampled
from stepwell.asl.files.formatting import formatted
from stepwell.asl.json_text import loads
from stepwell.asl.validate import validate

WRITTEN = [
    "{{Name}}", "{{ Name }}", "{{{Name}}}", "<Name>", "<%= Name %>", "$(Name)", "#{Name}",
    "@@Name@@", "@Name@", "%NAME%", "%(Name)s", "__Name__", "$NAME", "[NAME]", "{Name}",
    "((name))", "<your function name>",
]  # fmt: skip


def text_of(resource: str, **fields: Any) -> str:
    state = {"Type": "Task", "Resource": resource, "End": True, **fields}
    return json.dumps({"StartAt": "A", "States": {"A": state}}, indent=1)


def errors(source: Source) -> list[str]:
    return [each.message for each in validate(source.text).errors]


@pytest.mark.parametrize("written", WRITTEN)
def test_a_placeholder_may_have_any_value(written: str) -> None:
    for text in (
        text_of(written),
        text_of(f"arn:aws:states:us-east-1:{written}:activity:x"),
        text_of("arn:aws:states:::lambda:invoke", TimeoutSeconds=written),
    ):
        assert validate(text).errors
        source = sampled(read_definition(text, "a.json", unfilled=True))
        assert errors(source) == []
        [unfilled] = source.unfilled
        assert (unfilled.shown, unfilled.needed) == (written, True)
        assert source.written == text
        assert f"${{{unfilled.name}}}" in source.uniform
    for word in ("REPLACE_ME", "YOUR_LAMBDA_ARN"):
        assert errors(sampled(read_definition(text_of(word), "a.json", unfilled=True))) == []


@pytest.mark.parametrize("written", ["{{Name}}", "{{ Name | tojson }}", "<Name>", "#{Name}", "%S%"])
def test_a_placeholder_outside_of_strings(written: str) -> None:
    text = text_of("arn:aws:states:::sns:publish", TimeoutSeconds=7).replace("7", written)
    source = sampled(read_definition(text, "a.json", unfilled=True))
    assert errors(source) == []
    assert source.locate("/States/A/End") == (7, 4)
    assert written in formatted(text)
    text = text_of("arn:aws:states:::sns:publish", Parameters={"Message": 7}).replace("7", written)
    source = sampled(read_definition(text, "a.json", unfilled=True))
    assert [each.written for each in source.unfilled] == [written]


def test_values() -> None:
    text = text_of("{{ arn }}", TimeoutSeconds="<seconds>", Comment="{{ why }}")
    given = {"arn": "arn:aws:lambda:us-east-1:123456789012:function:f", "seconds": 5}
    state = loads(read_definition(text, "a.json", given).text)["States"]["A"]
    assert (state["Resource"], state["TimeoutSeconds"]) == (given["arn"], 5)
    assert state["Comment"] == "{{ why }}"


def test_plain_text_is_no_placeholder() -> None:
    message = "<b>Hi {{name}}</b>, 100 %(x)s [NOTE] $HOME __main__ {0} ((a))"
    text = text_of("arn:aws:states:::sns:publish", Parameters={"Message": message})
    assert sampled(read_definition(text, "a.json")).text == text
    broken = text_of("arn:aws:states:::sns:publish", Parameters={"Message": message}, Timeout=1)
    source = sampled(read_definition(broken, "a.json", unfilled=True))
    assert errors(source) == ["Field is not supported"]
    assert source.unfilled == ()


@pytest.mark.parametrize(
    "state",
    [
        {"Type": "Pass", "Next": "SEND_EMAIL"},
        {"Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% $a <b> %}", "End": True},
        {"Type": "Wait", "SecondsPath": "$[X", "End": True},
        {"Type": "Task", "Resource": "arn:aws:states:::sns:publis", "End": True},
        {"Type": "Task", "Resource": "MyFunction", "End": True},
    ],
)
def test_mistakes_stay_mistakes(state: dict[str, Any]) -> None:
    text = json.dumps({"StartAt": "A", "States": {"A": state}})
    assert errors(sampled(read_definition(text, "a.json", unfilled=True)))


def test_yaml() -> None:
    text = (
        "StartAt: A\nStates:\n  A:\n    Type: Task\n    Resource: {{ arn }}\n"
        "    TimeoutSeconds: {{ it }}\n    Comment: <%= why %>\n    End: true\n"
    )
    source = sampled(read_definition(text, "a.yaml", unfilled=True))
    assert errors(source) == []
    assert [(each.written, each.place) for each in source.unfilled] == [
        ("{{ arn }}", (5, 15)),
        ("{{ it }}", (6, 21)),
    ]
    text = text.replace("{{ arn }}", "REPLACE_ME").replace("{{ it }}", "5")
    assert errors(sampled(read_definition(text, "a.yaml", unfilled=True))) == []
