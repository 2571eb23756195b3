"""The JSON Schema: valid machines pass, machines with a mistake in their structure do not."""

import copy
import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import ROOT

from stepwell.asl import definition, field_docs
from stepwell.asl.schema import json_schema
from stepwell.conformance.generate import machines
from stepwell.conformance.generate.broken import RULES, broken
from stepwell.conformance.run.case import states_of


@cache
def validator() -> Any:
    schema = json_schema()
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


# rules within expressions, and between states or limits: the validator's
BEYOND = {
    "Catch leads to a state", "Default is a state", "InputPath is a path", "Next is a state",
    "ResultPath is a reference path", "ResultPath is in the input", "StartAt is a state",
    "States.ALL stands alone", "a dynamic field holds a known call",
    "a dynamic field holds a path", "a field has one name",
    "a state's name has at most 80 letters", "a timestamp is one", "a variable has a name",
    "all states can be reached", "an expression can be read", "an expression ends",
    "inner scopes do not hide", "state names are unique", "states is reserved",
}  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(machines())
def test_generated_machines_are_valid(machine: dict[str, Any]) -> None:
    assert [each.message for each in validator().iter_errors(machine)] == []


@settings(max_examples=60, deadline=None)
@given(machines(), st.randoms(use_true_random=False))
def test_planted_mistakes_are_found(machine: dict[str, Any], r: random.Random) -> None:
    for rule in sorted(RULES.keys() - BEYOND):
        names = [name for name, _ in states_of(machine)]
        wrong = broken(copy.deepcopy(machine), rule, r.choice(names))
        if wrong is not None:
            assert not validator().is_valid(wrong), rule


@pytest.mark.parametrize("file", sorted((ROOT / "examples").glob("*.asl.json")), ids=str)
def test_examples_are_valid(file: Path) -> None:
    assert validator().is_valid(json.loads(file.read_text()))


def test_placeholders_are_valid() -> None:
    state = {"Type": "Wait", "Seconds": "${Delay}", "End": "${End}"}
    machine = {"StartAt": "A", "TimeoutSeconds": "${T}", "States": {"A": state}}
    assert validator().is_valid(machine)
    state["Seconds"] = "5"
    assert not validator().is_valid(machine)


def test_every_field_has_a_description() -> None:
    fields = set()
    for model in vars(definition).values():
        if isinstance(model, type) and issubclass(model, definition.BaseModel):
            if model is definition.BaseModel:
                continue
            model.model_rebuild()
            fields |= {each.alias for each in model.model_fields.values() if each.alias}
    assert fields - {"RoleArn.$"} - field_docs.FIELDS.keys() == set()
