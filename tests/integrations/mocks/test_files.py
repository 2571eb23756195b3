"""Mock files with mistakes: each is reported with its place, all of a file at once."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.integrations.mocks.samples import MOCKS

from stepwell.engine.errors import ApiError
from stepwell.integrations.mocks.files import MockFileError, parse_mocks, read_mocks


def faults(text: str) -> list[str]:
    try:
        return list(parse_mocks(text.encode(), "m.json").warnings)
    except MockFileError as error:
        return error.faults


def file(responses: str = "{}", state: str = "{}") -> str:
    machines = '{"StateMachines": {"M": {"TestCases": {"C": ' + state + "}}},"
    return machines + '\n"MockedResponses": ' + responses + "}"


OK = '{"R": {"0": {"Return": 1}}}'


def test_the_sample_of_the_documentation_is_read(tmp_path: Path) -> None:
    path = tmp_path / "MockConfigFile.json"
    path.write_text("\ufeff" + json.dumps(MOCKS))
    mocks = read_mocks(path)
    case = mocks.case("LambdaSQSIntegration", "RetryPath")
    assert [step.numbers for _, each in case.all() for step in each.steps] == ["0", "1-2", "3", "0"]
    with pytest.raises(ApiError, match="HappyPath, RetryPath, HybridPath"):
        mocks.case("LambdaSQSIntegration", "Happy")
    with pytest.raises(ApiError, match="no test case of it"):
        mocks.case("Other", "HappyPath")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", ["m.json:1:2: not JSON"]),
        ("[]", ["m.json:1:1: a mock file must be an object"]),
        ("{}", ["m.json:1:1: there is no 'StateMachines'"]),
        ('{"StateMachine": {}}', ["m.json:1:2: 'StateMachine' is not a key of a mock file: did"]),
        ('{"StateMachines": {}, "$comment": "mine"}', []),
        ('{"StateMachines": {"M": {}}}', ["m.json:1:20: warning: there is no 'TestCases'"]),
        ('{"StateMachines": {"M": {"TestCase": {}}}}', ["m.json:1:26: 'TestCase' is not a key of"]),
        (file(OK, '{"S": "R"}'), []),
        (file(OK, '{"S": "r"}'), ["m.json:1:46: warning: MockedResponses has no 'r': did you me"]),
        (file(OK, '{"S": 1}'), ["m.json:1:46: state 'S' must have the name of a response, or an"]),
        (file(OK, '{"S": "R", "S": "R"}'), ["m.json:1:56: warning: 'S' occurs twice, first at li"]),
        (file('{"R": {}}'), ["m.json:2:21: response 'R' needs at least one numbered entry"]),
        (file('{"R": {"x": {"Return": 1}}}'), ["m.json:2:27: 'x' is not a number such as"]),
        (file('{"R": {"2-1": {"Return": 1}}}'), ["m.json:2:27: '2-1' is not a number such as"]),
        (
            file('{"R": {"0-2": {"Return": 1}, "2": {"Return": 1}}}'),
            ["m.json:2:49: '2' overlaps '0-2'"],
        ),
        (file('{"R": {"0": {}}}'), ["m.json:2:27: '0' must have either Return or Throw"]),
        (file('{"R": {"0": {"Throw": {"Cause": "why"}}}}'), []),
        (file('{"R": {"0": {"Throw": {"Error": 1, "Cause": 1}}}}'),
         ["m.json:2:43: Error of Throw must be a string", "m.json:2:55: Cause of Throw must be"]),
        (file('{"R": {"0": {"Throw": {"Error": "E"}}}}'), []),
        (file(OK, '{"S": {"Items": {"0": "R", "1-3": "R"}, "Default": "R"}}'), []),
        (file(OK, '{"S": {"Items": {"a": "R"}}}'), ["m.json:1:62: 'a' is not an iteration"]),
        (file(OK, '{"S": {"Item": {"0": "R"}}}'),
         ["m.json:1:46: Items must be an object", "m.json:1:52: 'Item' is not a key here"]),
        (
            file(OK, '{"S": {"Items": {"0-2": "R", "1@0": "R", "1.1": "R", "2": "R"}}}'),
            ["m.json:1:98: '2' overlaps '0-2'"],
        ),
        (file('{"R": {"0": {"Pending": true}, "1": {"Pending": true, "Return": 1}}}'),
         ["m.json:2:51: '1' must have either Return or Throw"]),
        (file(OK, '{"S": {"Items": {"0": 1}}}'), ["m.json:1:62: '0' must be the name of a"]),
    ],
)  # fmt: skip
def test_a_fault_has_its_place_and_reason(text: str, expected: list[str]) -> None:
    found = faults(text)
    assert len(found) == len(expected), found
    for fault, beginning in zip(found, expected):
        assert fault.startswith(beginning)


def test_all_faults_of_a_file() -> None:
    value: Any = json.loads(json.dumps(MOCKS))
    value["MockedResponses"]["NotReady"]["0"] = {}
    value["MockedResponses"]["MockedLambdaRetry"]["3-5"] = {"Return": {}}
    value["StateMachines"]["LambdaSQSIntegration"]["TestCases"]["HappyPath"]["SQSState"] = "None"
    found = faults(json.dumps(value, indent=1))
    assert [fault.split(":")[1] for fault in found] == ["7", "31", "62"]
