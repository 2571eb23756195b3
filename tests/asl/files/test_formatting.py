"""The formatter: the same definition, in one layout."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepwell.asl.definition import StateMachine
from stepwell.asl.field_order import SHAPES
from stepwell.asl.files.definition_files import read_definition
from stepwell.asl.files.formatting import formatted
from stepwell.asl.json_text import loads
from stepwell.asl.validate import validate
from stepwell.conformance.generate import machines

MODELS = {
    "machine": "StateMachine ItemProcessor Branch",
    "processor": "ProcessorConfig",
    "state": "PassState TaskState ChoiceState WaitState SucceedState FailState ParallelState "
    "MapState",
    "rule": "ChoiceRule",
    "retrier": "Retrier",
    "catcher": "Catcher",
    "reader": "ItemReader",
    "reader config": "ReaderConfig",
    "batcher": "ItemBatcher",
    "writer": "ResultWriter",
    "writer config": "WriterConfig",
}


def shuffled(value: object, r: random.Random) -> object:
    if isinstance(value, dict):
        return {key: shuffled(value[key], r) for key in r.sample(list(value), len(value))}
    return [shuffled(each, r) for each in value] if isinstance(value, list) else value


def test_every_field_of_the_language_has_its_place() -> None:
    from stepwell.asl import definition

    for shape, names in MODELS.items():
        for name in names.split():
            model = getattr(definition, name)
            model.model_rebuild()
            fields = model.model_fields.values()
            assert {each.alias for each in fields} <= set(SHAPES[shape].fields), name


@settings(max_examples=60)
@given(machines(), st.randoms(use_true_random=False))
def test_a_formatted_machine_is_the_same(machine: dict[str, object], r: random.Random) -> None:
    text = json.dumps(shuffled(machine, r), indent=r.choice([None, 1, 4]))
    pretty = formatted(text)
    assert loads(pretty) == machine
    assert formatted(pretty) == pretty
    assert validate(pretty).definition == StateMachine.model_validate(machine)


def test_the_layout() -> None:
    text = """{"States": {
      "B": {"End": true, "Type": "Pass", "Result": {"z": [1.50, 1E2, {}], "a": "\\u00e9/é"}},
      "A": {"Next": "B", "Retry": [{"MaxAttempts": 2, "ErrorEquals": ["States.ALL"], "X": []}],
        "Resource": "${Fn}", "TimeoutSeconds": ${T}, "Type": "Task",
        "Catch": ${Catchers}, ${More}}},
      "Comment": "$${x} ${!y} ${m.x["a"].arn}", "StartAt": "A"}"""
    assert (
        formatted(text)
        == """{
  "Comment": "$${x} ${!y} ${m.x["a"].arn}",
  "StartAt": "A",
  "States": {
    "B": {
      "Type": "Pass",
      "Result": {
        "z": [
          1.50,
          1E2,
          {}
        ],
        "a": "\\u00e9/é"
      },
      "End": true
    },
    "A": {
      "Type": "Task",
      "Resource": "${Fn}",
      "TimeoutSeconds": ${T},
      ${More},
      "Retry": [
        {
          "ErrorEquals": ["States.ALL"],
          "MaxAttempts": 2,
          "X": []
        }
      ],
      "Catch": ${Catchers},
      "Next": "B"
    }
  }
}
"""
    )


@pytest.mark.parametrize("text", ['{"a": ${A}${B}, "${K}": ${V}, ${K}: ${V}, "b": [${C}, "${C}"]}'])
def test_placeholders_stay_as_they_are(text: str) -> None:
    pretty = formatted(text)
    assert formatted(pretty) == pretty
    assert "".join(pretty.split()) == "".join(text.split())
    names = [each.name for each in read_definition(text, "x.json", unfilled=True).unfilled]
    again = [each.name for each in read_definition(pretty, "x.json", unfilled=True).unfilled]
    assert names == again == ["A", "B", "K", "V", "K", "V", "C", "C"]


def test_line_ends_stay() -> None:
    assert formatted('{"States": {},\r\n"StartAt": "A"}') == (
        '{\r\n  "StartAt": "A",\r\n  "States": {}\r\n}\r\n'
    )
