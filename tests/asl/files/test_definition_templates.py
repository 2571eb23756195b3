"""Definitions within templates, and intrinsic functions in definitions."""

import json

import pytest

from stepwell.asl.files.definition_files import (
    DefinitionFileError,
    Source,
    read_definition,
    sampled,
)
from stepwell.asl.files.templates.machines import machines_of_template
from stepwell.asl.json_text import loads
from stepwell.asl.validate import validate

SAM = """AWSTemplateFormatVersion: '2010-09-09'
Transform: AWS::Serverless-2016-10-31
Parameters:
  Table: {Type: String}
Resources:
  Charge:
    Type: AWS::Serverless::Function
    Properties: {Handler: !Sub "${Table}.x", Role: !GetAtt Role.Arn}
  Orders:
    Type: AWS::Serverless::StateMachine
    Properties:
      Definition:
        StartAt: A
        States:
          A:
            Type: Task
            Resource: !GetAtt Charge.Arn
            TimeoutSeconds: !Ref Timeout
            Next: B
          B:
            Type: Task
            Resource: !Sub arn:${AWS::Partition}:states:::dynamodb:putItem
            Parameters:
              TableName: !Ref Table
              Name: !Join ['-', [!Ref 'AWS::StackName', orders]]
              Other: !Sub ['${X}-y', {X: !Ref Table}]
              Kind: !If [Prod, a, b]
              Zone: {'Fn::Select': [0, !GetAZs '']}
            End: true
"""
SERVERLESS = """service: orders
stepFunctions:
  stateMachines:
    orders:
      name: orders-${self:provider.stage}
      definition:
        StartAt: A
        States:
          A:
            Type: Task
            Resource:
              Fn::GetAtt: [charge, Arn]
            End: true
"""
INNER = '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "'
CDK = json.dumps(
    {
        "Resources": {
            "OrdersE1": {
                "Type": "AWS::StepFunctions::StateMachine",
                "Properties": {
                    "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
                    "DefinitionString": {
                        "Fn::Join": [
                            "",
                            [
                                INNER,
                                {"Fn::GetAtt": ["Charge", "Arn"]},
                                '", "Next": "B"}, "B": {"Type": "Task", "Resource": "arn:',
                                {"Ref": "AWS::Partition"},
                                ':states:::lambda:invoke", "End": true}}}',
                            ],
                        ]
                    },
                },
            }
        }
    },
    indent=1,
)
STRING = json.dumps({"name": "x", "definition": INNER + 'arn:aws:states:::sns:publish"}}}'})


def valid(text: str, filename: str) -> Source:
    source = sampled(read_definition(text, filename, unfilled=True))
    assert validate(source.text).diagnostics == ()
    return source


def test_a_template_of_sam_is_read_as_its_only_state_machine() -> None:
    source = valid(SAM, "template.yaml")
    assert [each.name for each in source.unfilled] == [
        "Timeout", "Table", "X", 'If ["Prod","a","b"]'
    ]  # fmt: skip
    assert source.calls
    assert source.locate("/States/B/Resource") == (22, 13)
    assert source.unfilled[0].place == (18, 13)
    parameters = loads(source.written)["States"]["B"]["Parameters"]
    assert parameters["Name"] == "${AWS::StackName}-orders"
    assert parameters["Other"] == "${X}-y"


def test_values_fill_intrinsic_functions() -> None:
    values = {"Charge.Arn": "arn:aws:lambda:us-east-1:123456789012:function:c", "Timeout": 5}
    filled = sampled(read_definition(SAM, "template.yaml", values, unfilled=True))
    state = loads(filled.text)["States"]["A"]
    assert (state["Resource"], state["TimeoutSeconds"]) == (values["Charge.Arn"], 5)


def test_serverless_and_cdk() -> None:
    assert [each.name for each in valid(SERVERLESS, "serverless.yml").unfilled] == ["charge.Arn"]
    source = valid(CDK, "Orders.template.json")
    assert {each.name for each in source.unfilled} == {"Charge.Arn"}
    assert source.locate("/States/B")[0] == 12


def test_files_of_machines_that_serverless_includes() -> None:
    text = SERVERLESS.split("stateMachines:\n")[1]
    source = valid(text, "machines.yml")
    assert source.locate("/States/A/Resource") == (8, 13)


def test_a_text_with_placeholders_outside_of_its_strings() -> None:
    text = INNER + '${lambdaArn}", "TimeoutSeconds": ${T}, "End": true}}}'
    function = {"Fn::Sub": [text, {"lambdaArn": {"Fn::GetAtt": ["F", "Arn"]}}]}
    properties = {"DefinitionString": function}
    machine = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}
    source = valid(json.dumps({"Resources": {"M": machine}}), "t.json")
    assert [each.name for each in source.unfilled] == ["lambdaArn", "T"]


def test_an_answer_of_describe_state_machine() -> None:
    source = read_definition(STRING, "m.json")
    assert loads(source.text)["StartAt"] == "A"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Resources: {A: {Type: AWS::S3::Bucket}}", "1:1: the file is a template with no state"),
        (
            "Resources:\n  A:\n    Type: AWS::Serverless::StateMachine\n    Properties:\n"
            "      DefinitionUri: statemachine/a.asl.json\n",
            "5:7: the definition of A is in statemachine/a.asl.json, which is not there",
        ),
        (
            "Resources:\n"
            "  A: {Type: AWS::Serverless::StateMachine, Properties: {DefinitionUri: a.asl.json}}\n"
            "  B: {Type: AWS::Serverless::StateMachine, Properties: {DefinitionUri: b.asl.json}}\n",
            "1:1: the file is a template with 2 state machines: name t.yaml#A or t.yaml#B",
        ),
        (
            "Resources:\n  A:\n    Type: AWS::StepFunctions::StateMachine\n    Properties:\n"
            "      DefinitionS3Location: {Bucket: b, Key: c/a.json}\n",
            "5:7: the definition of A is in s3://b/c/a.json: name a copy instead",
        ),
        (
            "stepFunctions:\n  stateMachines:\n    a:\n      definition: ${file(x/a.yml)}\n",
            "4:7: the definition of a is in x/a.yml, which is not there",
        ),
        (
            "stepFunctions: {stateMachines: {a: {definition: {}}, b: {definition: {}}}}",
            "1:1: the file is a template with 2 state machines: name t.yaml#a or t.yaml#b",
        ),
        (
            "Resources:\n  A:\n    Type: AWS::StepFunctions::StateMachine\n    Properties:\n"
            "      DefinitionString: '{\"StartAt\": }'\n",
            "5:7: the definition of A is not JSON: Unexpected character ('}' (code 125)): ",
        ),
        (
            "Resources:\n  A:\n    Type: AWS::Serverless::StateMachine\n    Properties:\n"
            "      Definition: {Fn::Transform: {Name: AWS::Include}}\n",
            '5:7: the definition of A is ${Transform {"Name":"AWS::Include"}}: save it in a file',
        ),
    ],
)
def test_other_templates_say_what_to_do(text: str, message: str) -> None:
    with pytest.raises(DefinitionFileError) as caught:
        read_definition(text, "t.yaml", unfilled=True)
    assert str(caught.value).startswith(f"t.yaml:{message}")


def test_a_definition_with_intrinsic_functions_keeps_its_places() -> None:
    text = (
        '{"StartAt": "A",\n "States": {"A": {"Type": "Task",\n'
        '  "Resource": {"Fn::GetAtt": ["F", "Arn"]},\n  "TimeoutSeconds": {"Ref": "T"}, '
        '"End": true}}}'
    )
    source = valid(text, "x.json")
    assert [(each.written, each.place) for each in source.unfilled] == [
        ("${F.Arn}", (3, 3)),
        ("${T}", (4, 3)),
    ]


TWO = """Parameters: {Stage: {Type: String}}
Conditions: {Prod: !Equals [!Ref Stage, prod], Both: !And [!Condition Prod, !Not [!Condition Prod]]}
Resources:
  First:
    Type: AWS::Serverless::StateMachine
    Properties:
      DefinitionUri: machines/first.asl.json
      DefinitionSubstitutions: {Charge: !GetAtt Charge.Arn, Seconds: 30, Text: !Sub "${Stage}-x"}
  Second:
    Type: AWS::StepFunctions::StateMachine
    Properties:
      DefinitionSubstitutions: {Seconds: 7}
      DefinitionString: |
        {"StartAt": "B", "States": {"B": {"Type": "Wait", "Seconds": ${Seconds}, "End": true}}}
"""
FIRST = (
    '{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "${Charge}",\n'
    '"TimeoutSeconds": ${Seconds}, "Comment": "${Text}", "End": true}}}'
)


@pytest.mark.parametrize(
    ("kind", "field", "written", "name"),
    [
        ("StepFunctions", "StateMachineName", "orders", "orders"),
        ("StepFunctions", "StateMachineName", "!Sub '${Stage}-orders'", "Machine"),
        ("StepFunctions", "StateMachineName", "!Ref Name", "Machine"),
        ("Serverless", "Name", "orders", "orders"),
        ("Serverless", "Type", "EXPRESS", "Machine"),
    ],
)
def test_the_name_of_a_machine_in_a_template(
    kind: str, field: str, written: str, name: str
) -> None:
    text = (
        f"Resources:\n  Machine:\n    Type: AWS::{kind}::StateMachine\n    Properties:\n"
        f"      {field}: {written}\n      Definition: {{StartAt: A, States: {{}}}}\n"
    )
    [machine] = machines_of_template(text, "template.yaml") or ()
    assert machine.called == name


def test_the_name_of_a_machine_of_serverless() -> None:
    machines = "{one: {name: orders, definition: {}}, two: {definition: {}}}"
    text = f"stepFunctions: {{stateMachines: {machines}}}"
    found = machines_of_template(text, "serverless.yml") or ()
    assert [(each.name, each.called) for each in found] == [("one", "orders"), ("two", "two")]
    assert machines_of_template(FIRST, "a.asl.json") is None


def test_one_of_several_state_machines_of_a_template() -> None:
    found = machines_of_template(TWO, "t.yaml") or ()
    assert [each.name for each in found] == ["First", "Second"]
    assert machines_of_template(FIRST, "a.asl.json") is None
    source = read_definition(TWO, "t.yaml#Second")
    assert loads(source.text)["States"]["B"]["Seconds"] == 7
    with pytest.raises(DefinitionFileError, match="has no state machine Third; it has First, Seco"):
        read_definition(TWO, "t.yaml#Third")
    with pytest.raises(DefinitionFileError, match="there is no state machine A in it"):
        read_definition(FIRST, "a.json#A", unfilled=True)


def test_a_definition_in_the_file_that_a_template_names() -> None:
    opened = {"stack/machines/first.asl.json": FIRST.encode()}
    source = read_definition(TWO, "stack/t.yaml#First", unfilled=True, open_file=opened.get)
    assert source.filename == "stack/machines/first.asl.json"
    assert [each.name for each in source.unfilled] == ["Charge", "Text"]
    assert loads(source.text)["States"]["A"]["TimeoutSeconds"] == 30
    assert source.unfilled[0].place == (1, 64)
    given = {"Seconds": 5, "Charge": "arn:aws:lambda:us-east-1:123456789012:function:f"}
    opened = {"machines/first.asl.json": FIRST.encode()}
    filled = read_definition(TWO, "t.yaml#First", given, unfilled=True, open_file=opened.get)
    assert loads(filled.text)["States"]["A"]["TimeoutSeconds"] == 5


def test_placeholders_of_each_machine_have_their_own_place() -> None:
    text = TWO.replace("      DefinitionSubstitutions: {Seconds: 7}\n", "")
    text += "  Third:" + text.split("  Second:")[1]
    for name, line in (("Second", 13), ("Third", 18)):
        [unfilled] = read_definition(text, f"t.yaml#{name}", unfilled=True).unfilled
        assert (unfilled.name, unfilled.place[0]) == ("Seconds", line)


def test_an_asset_of_the_cdk() -> None:
    location = {"Bucket": {"Fn::Sub": "cdk-${AWS::AccountId}"}, "Key": "0ab1.json"}
    machine = {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {
            "DefinitionS3Location": location,
            "DefinitionSubstitutions": {"Charge": {"Ref": "X"}, "Seconds": "1", "Text": "t"},
        },
    }
    opened = {"cdk.out/asset.0ab1.json": FIRST.encode()}
    text = json.dumps({"Resources": {"M": machine}})
    source = read_definition(
        text, "cdk.out/s.template.json", None, unfilled=True, open_file=opened.get
    )
    assert [each.name for each in source.unfilled] == ["Charge"]


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    source = read_definition(b"\xef\xbb\xbf" + INNER.encode() + b'x"}}}', "a.json")
    assert source.text.startswith("{") and source.locate("/StartAt") == (1, 2)


UNMATCHED = """Resources:
  First:
    Type: AWS::Serverless::StateMachine
    Properties:
      DefinitionUri: first.asl.json
      DefinitionSubstitutions:
        Charge: !GetAtt Charge.Arn
        Second: 30
        Escaped: 1
  Charge: {Type: AWS::Serverless::Function}
"""


def test_placeholders_and_substitutions_that_do_not_match() -> None:
    opened = {"first.asl.json": FIRST.replace('A"', 'A${!Escaped}"').encode()}
    source = read_definition(UNMATCHED, "t.yaml", unfilled=True, open_file=opened.get)
    whose = "the DefinitionSubstitutions of First"
    assert source.unmatched == (
        ("first.asl.json", (2, 19), f"{whose} in t.yaml have no Seconds"),
        ("first.asl.json", (2, 43), f"{whose} in t.yaml have no Text"),
        ("t.yaml", (8, 9), f"{whose} have Second, which its definition does not use"),
        ("t.yaml", (9, 9), f"{whose} have Escaped, which its definition does not use"),
    )


@pytest.mark.parametrize("stage", [{}, {"Seconds": 7}])
def test_substitutions_of_a_definition_inside_of_a_template(stage: dict[str, int]) -> None:
    text = TWO.replace("{Seconds: 7}", "{Seconds: 7, Other: 1}")
    source = read_definition(text, "t.yaml#Second", stage)
    [(file, _, words)] = source.unmatched
    assert file == "t.yaml"
    assert words.startswith("the DefinitionSubstitutions of Second have Other,")


def test_substitutions_that_are_not_known_are_not_compared() -> None:
    opened = {"first.asl.json": FIRST.encode()}
    calls = UNMATCHED.partition("      DefinitionSubstitutions")[0]
    text = calls + "      DefinitionSubstitutions: !If [A, {X: 1}, {Y: 2}]\n"
    source = read_definition(text, "t.yaml", unfilled=True, open_file=opened.get)
    assert source.unmatched == ()


PSEUDO = {
    "AWS::Region": "eu-west-1",
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
}
RESOURCES = """  Charge: {Type: AWS::Serverless::Function, Properties: {FunctionName: charge}}
  Table: {Type: AWS::DynamoDB::Table, Properties: {TableName: orders}}
  Other: {Type: AWS::DynamoDB::Table, Properties: {TableName: !Sub "${Stage}-x"}}
  Queue: {Type: AWS::SQS::Queue, Properties: {QueueName: jobs}}
  Topic: {Type: AWS::SNS::Topic, Properties: {TopicName: news}}
"""


@pytest.mark.parametrize(
    ("call", "value"),
    [
        ("!GetAtt Charge.Arn", "arn:aws:lambda:eu-west-1:123456789012:function:charge"),
        ("!Ref Charge", "charge"),
        ("!GetAtt Table.Arn", "arn:aws:dynamodb:eu-west-1:123456789012:table/orders"),
        ("!Ref Queue", "https://sqs.eu-west-1.amazonaws.com/123456789012/jobs"),
        ("!GetAtt Queue.QueueName", "jobs"),
        ("!Ref Topic", "arn:aws:sns:eu-west-1:123456789012:news"),
        ("!Ref Other", "Other"),
        ("!GetAtt Other.Arn", "arn:aws:dynamodb:eu-west-1:123456789012:table/Other"),
        ("!GetAtt Charge.Version", "arn:aws:lambda:eu-west-1:123456789012:function:charge:1"),
        ("!GetAtt Charge.Color", "${Charge.Color}"),
        ("!Ref Bus", "${Bus}"),
    ],
)
def test_names_of_the_resources_of_a_template(call: str, value: str) -> None:
    machine = '{"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": "%s", "End": true}}}'
    head = "Resources:\n  Machine:\n    Type: AWS::Serverless::StateMachine\n    Properties:\n"
    inside = f"{head}      Definition: {machine}\n{RESOURCES}".replace('"%s"', call)
    beside = (
        f"{head}      DefinitionUri: a.json\n      DefinitionSubstitutions: {{Table: {call}}}\n"
    )
    opened = {"a.json": machine.replace("%s", "${Table}").encode()}
    texts = [
        read_definition(text, "t.yaml", PSEUDO, unfilled=True, open_file=opened.get).text
        for text in (inside, beside + RESOURCES)
    ]
    results = [loads(text)["States"]["A"]["Result"] for text in texts]
    assert results == [value, "${Table}" if "${" in value else value]
    source = sampled(read_definition(inside, "t.yaml", unfilled=True))
    assert len(source.unfilled) == (value[0] == "$")
    assert loads(source.written)["States"]["A"]["Result"][:2] == "${"
