"""Fields whose service an endpoint need not have: item readers and result writers of S3, and
credentials. They are validated only.
"""

import json
from random import Random
from typing import Any, Final

from stepwell.conformance.generate.scripts import ACTIVITY
from stepwell.conformance.generate.values import chance
from stepwell.conformance.run.case import STANDARD, Case
from stepwell.conformance.run.case_runner import Runner

State = dict[str, Any]

# (action of S3, ReaderConfig)
_READERS: Final[tuple[tuple[str, State], ...]] = (
    (
        "getObject",
        {
            "InputType": "CSV",
            "CSVHeaderLocation": "GIVEN",
            "CSVHeaders": ["a", "b"],
            "CSVDelimiter": "PIPE",
        },
    ),
    ("getObject", {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}),
    ("getObject", {"InputType": "JSON", "ItemsPointer": "/a/b"}),
    ("getObject", {"InputType": "JSONL"}),
    ("getObject", {"InputType": "MANIFEST", "ManifestType": "S3_INVENTORY"}),
    ("listObjectsV2", {}),
    ("listObjectsV2", {"InputType": "JSON", "Transformation": "LOAD_AND_FLATTEN"}),
)
_INVALID: Final[dict[str, State]] = {
    "an unknown InputType": {"InputType": "XML"},
    "MaxItems of no number": {"MaxItems": "many"},
    "an unknown field": {"MaxThings": 1},
}
_CREDENTIALS: Final = {"RoleArn": "arn:aws:iam::123456789012:role/other"}


def declared_case(r: Random) -> Case:
    """A distributed Map with such fields; `note` says what is invalid in it, if anything is."""
    jsonata = chance(r, 0.4)
    parameters, place = ("Arguments" if jsonata else "Parameters"), {"Bucket": "b"}
    action, config = r.choice(_READERS)
    config = dict(config)
    if chance(r, 0.5):
        config |= {"MaxItems": 5} if jsonata or chance(r, 0.5) else {"MaxItemsPath": "$.n"}
    where = {**place, "Key": "k"} if action == "getObject" else {**place, "Prefix": "p"}
    note = r.choice(tuple(_INVALID)) if chance(r, 0.3) else ""
    config |= _INVALID.get(note, {})
    reader = {
        "Resource": f"arn:aws:states:::s3:{action}",
        parameters: where,
        **({"ReaderConfig": config} if config else {}),
    }
    writer: State = {
        "Resource": "arn:aws:states:::s3:putObject",
        parameters: {**place, "Prefix": "out"},
    }
    if chance(r, 0.5):
        writer["WriterConfig"] = {
            "Transformation": r.choice(("NONE", "COMPACT", "FLATTEN")),
            "OutputType": r.choice(("JSON", "JSONL")),
        }
    task = {
        "Type": "Task",
        "Resource": ACTIVITY.format(0),
        "Credentials": _CREDENTIALS,
        "End": True,
    }
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": STANDARD},
        "StartAt": "T",
        "States": {"T": task},
    }
    state: State = {"Type": "Map", "ItemReader": reader, "ItemProcessor": processor, "End": True}
    state["Catch"] = [
        {"ErrorEquals": ["States.ItemReaderFailed", "States.ResultWriterFailed"], "Next": "C"}
    ]
    if chance(r, 0.6):
        state["ResultWriter"] = writer
    language = {"QueryLanguage": "JSONata"} if jsonata else {}
    states = {"M": state, "C": {"Type": "Pass", "End": True}}
    return Case({"StartAt": "M", **language, "States": states}, None, STANDARD, "declared", note)


def declared_problems(runner: Runner, case: Case) -> list[str]:
    validation = runner.call(
        "ValidateStateMachineDefinition", definition=json.dumps(case.definition), type=case.kind
    )
    wanted = "FAIL" if case.note else "OK"
    if validation["result"] == wanted:
        return []
    return [f"expected {wanted} ({case.note or 'well-formed'}), got {validation}"]
