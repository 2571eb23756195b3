"""The variables that each state of a definition reads."""

import pytest

from stepwell.asl.evaluation import Json
from stepwell.asl.variables import variable_references


def one(jsonata: bool = False, **fields: Json) -> dict[str, list[str]]:
    language = {"QueryLanguage": "JSONata"} if jsonata else {}
    return variable_references(
        {"StartAt": "S", "States": {"S": {"Type": "Pass", **language, **fields}}}
    )


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"InputPath": "$a.b", "OutputPath": "$c", "ResultPath": "$.d"}, ["a", "c"]),
        (
            {
                "Parameters": {
                    "a": "$a",
                    "b.$": "$b",
                    "c": {"d.$": "$$.d", "e.$": "$.e", "f.$": "$['$g']"},
                }
            },
            ["b"],
        ),
        (
            {
                "Parameters": {
                    "a.$": "States.Format('$no {}', States.Array($x, $y[0]), 'it\\'s $no', $x)"
                }
            },
            ["x", "y"],
        ),
        (
            {
                "Choices": [
                    {
                        "And": [{"Variable": "$v", "StringEqualsPath": "$w"}],
                        "Next": "T",
                        "Assign": {"n.$": "$z"},
                    }
                ]
            },
            ["v", "w", "z"],
        ),
        ({"Assign": {"only_assigned": 1}}, []),
        ({"Result": {"a.$": "$static"}, "Comment": "$comment"}, []),
        (
            {
                "Retry": [{"ErrorEquals": ["$no"]}],
                "Catch": [{"Assign": {"c.$": "$caught"}, "Next": "T"}],
            },
            ["caught"],
        ),
        ({"Parameters": {"\u00e4.$": "$\u00e4_1", "b.$": "$c$d"}}, ["c", "d", "\u00e4_1"]),
    ],
)
def test_jsonpath(fields: dict[str, Json], names: list[str]) -> None:
    assert one(**fields) == ({"S": names} if names else {})


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        (
            {
                "Output": "{% $a + $states.input.b + $sum($c) %}",
                "Arguments": {"d": ["$no", "{% $e.f %}"]},
            },
            ["a", "c", "e"],
        ),
        ({"Output": "{% ($x := 1; $x + $y) %}"}, ["y"]),
        ({"Output": "{% '$no' %}", "Comment": "{% $no %}"}, []),
        ({"Choices": [{"Condition": "{% $c %}", "Next": "T"}]}, ["c"]),
    ],
)
def test_jsonata(fields: dict[str, Json], names: list[str]) -> None:
    assert one(jsonata=True, **fields) == ({"S": names} if names else {})


def test_nested_states_are_listed_by_their_own_names() -> None:
    inner = {"StartAt": "I", "States": {"I": {"Type": "Pass", "Output": "{% $i %}", "End": True}}}
    branches = [
        {
            "StartAt": name,
            "States": {name: {"Type": "Pass", "Output": f"{{% ${name} %}}", "End": True}},
        }
        for name in "pq"
    ]
    states: dict[str, Json] = {
        "M": {"Type": "Map", "Items": "{% $items %}", "ItemProcessor": inner},
        "P": {"Type": "Parallel", "Branches": branches, "Arguments": "{% $z & $b & $a %}"},
    }
    found = variable_references({"QueryLanguage": "JSONata", "StartAt": "M", "States": states})
    assert found == {"M": ["items"], "I": ["i"], "P": ["a", "b", "z"], "p": ["p"], "q": ["q"]}
