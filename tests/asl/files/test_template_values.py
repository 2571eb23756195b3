"""What a template says of the names in its state machines."""

import json
from typing import Any

import pytest

from stepwell.asl.evaluation import Json
from stepwell.asl.files.definition_files import (
    DefinitionFileError,
    Source,
    read_definition,
    sampled,
)
from stepwell.asl.files.template_functions import FunctionCode, template_functions
from stepwell.asl.json_text import loads
from stepwell.asl.validate import validate

HEAD = """Parameters:
  Stage: {Type: String, Default: dev}
  Seconds: {Type: Number, Default: '30'}
  Zones: {Type: CommaDelimitedList, Default: "a, b"}
  Needed: {Type: String}
  Secret: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /a/b}
Mappings: {Stages: {dev: {Size: 3}}, Regions: {us-east-1: {Bucket: east}}}
Conditions:
  Prod: !Equals [!Ref Stage, prod]
  Dev: !Not [!Condition Prod]
  Both: !And [!Condition Dev, !Or [!Equals [a, b], !Condition Dev]]
  Unknown: !Equals [!Ref Needed, x]
Resources:
  Charge: {Type: AWS::Serverless::Function, Properties: {AutoPublishAlias: live}}
  Named: {Type: AWS::Lambda::Function, Properties: {FunctionName: !Sub "${Stage}-charge"}}
  Live: {Type: AWS::Lambda::Alias, Properties: {FunctionName: !GetAtt Named.Arn, Name: live}}
  Work: {Type: AWS::StepFunctions::Activity, Properties: {Name: work}}
  Bucket: {Type: AWS::S3::Bucket}
  Cluster: {Type: AWS::ECS::Cluster}
  Other: {Type: AWS::New::Thing}
  Machine:
    Type: AWS::StepFunctions::StateMachine
    Properties:
"""
LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:"


def read(machine: str, values: dict[str, Any] | None = None) -> Source:
    text = HEAD + "".join(f"      {line}\n" for line in machine.splitlines())
    return sampled(read_definition(text, "t.yaml#Machine", values, unfilled=True))


def result(call: str, values: dict[str, Any] | None = None) -> tuple[Json, list[str]]:
    """The value of a Result, and the names that have none."""
    source = read(
        "Definition:\n  StartAt: A\n  States:\n    A:\n      Type: Pass\n      End: true\n"
        f"      Result:\n        value: {call}",
        values,
    )
    found = loads(source.text)["States"]["A"]["Result"].get("value", "removed")
    return found, [each.name for each in source.unfilled]


@pytest.mark.parametrize(
    ("call", "value"),
    [
        ("!Ref Charge", "Charge"),
        ("!GetAtt Charge.Arn", f"{LAMBDA}Charge"),
        ("!Ref Charge.Alias", f"{LAMBDA}Charge:live"),
        ("!Sub '${Charge.Arn}:$LATEST'", f"{LAMBDA}Charge:$LATEST"),
        ("!GetAtt [Named, Arn]", f"{LAMBDA}dev-charge"),
        ("!Ref Live", f"{LAMBDA}dev-charge:live"),
        ("!Ref Work", "arn:aws:states:us-east-1:123456789012:activity:work"),
        ("!GetAtt Bucket.Arn", "arn:aws:s3:::Bucket"),
        ("!GetAtt Machine.Name", "Machine"),
        ("!GetAtt Cluster.Arn", "arn:aws:ecs:us-east-1:123456789012:cluster/Cluster"),
        ("!Sub '${AWS::StackName}-${Stage}'", "stack-dev"),
        ("!Sub ['${X}/${Y}', {X: !GetAtt Charge.Arn, Y: 1}]", f"{LAMBDA}Charge/1"),
        ("!Join ['-', [!Ref Stage, x]]", "dev-x"),
        ("!Join ['-', !Ref Zones]", "a-b"),
        ("!Join ['', ['arn:', !Ref 'AWS::Partition', ':x']]", "arn:aws:x"),
        ("!Ref Seconds", 30),
        ("!Ref Zones", ["a", "b"]),
        ("!Select [1, !Ref Zones]", "b"),
        ("!Select [5, !Split [':', !GetAtt Charge.Arn]]", "function"),
        ("!Select ['0', !GetAZs '']", "us-east-1a"),
        ("!FindInMap [Stages, !Ref Stage, Size]", 3),
        ("!FindInMap [Regions, !Ref 'AWS::Region', Bucket]", "east"),
        ("!If [Prod, a, !If [Dev, b, c]]", "b"),
        ("!If [Both, {a: !Ref Stage}, {}]", {"a": "dev"}),
        ("!If [Dev, !Ref 'AWS::NoValue', 1]", "removed"),
        ("[1, !Ref 'AWS::NoValue', 2]", [1, 2]),
        ("!ToJsonString {a: !Ref Stage}", '{"a":"dev"}'),
        ("{'Fn::Base64': !Ref Stage}", "ZGV2"),
        ("{'Fn::Length': !Ref Zones}", 2),
    ],
)
def test_what_a_template_says(call: str, value: Json) -> None:
    assert result(call) == (value, [])


@pytest.mark.parametrize(
    ("call", "name"),
    [
        ("!Ref Needed", "Needed"),
        ("!Ref Secret", "Secret"),
        ("!Ref Nothing", "Nothing"),
        ("!GetAtt Other.Arn", "Other.Arn"),
        ("!GetAtt Charge.Color", "Charge.Color"),
        ("!ImportValue x", "ImportValue x"),
        ("!FindInMap [Stages, prod, Size]", 'FindInMap ["Stages","prod","Size"]'),
        ("!Select [7, !Ref Zones]", 'Select [7,"${Zones}"]'),
    ],
)
def test_what_a_template_does_not_say(call: str, name: str) -> None:
    assert result(call) == (f"${{{name}}}", [name])


def test_conditions_that_are_not_decided() -> None:
    assert result("!If [Unknown, a, b]") == ('${If ["Unknown","a","b"]}', ["Needed"])
    assert result("!If [Unknown, {a: 1}, !Ref 'AWS::NoValue']") == ({"a": 1}, ["Needed"])
    assert result("!If [Unknown, [!Ref Nothing], [2]]")[1] == ["Nothing", "Needed"]
    assert result("!If [Nothing, {a: 1}, {}]") == ({"a": 1}, ["If Nothing"])
    assert result("!If [Unknown, {a: 1}, {}]", {"Needed": "y"}) == ({}, [])
    with pytest.raises(DefinitionFileError, match=r"no value for \$\{Needed\}"):
        text = HEAD + "      Definition: !If [Unknown, {StartAt: A, States: {}}, {}]"
        read_definition(text, "t.yaml")


def test_values_that_are_given_win() -> None:
    values = {"Stage": "prod", "AWS::Region": "eu-west-1", "Charge.Arn": "x", "Needed": "x"}
    assert result("!If [Prod, a, b]", values) == ("a", [])
    assert result("!If [Unknown, a, b]", values) == ("a", [])
    assert result("!GetAtt Charge.Arn", values) == ("x", [])
    assert result("!GetAtt Named.Arn", values) == (
        "arn:aws:lambda:eu-west-1:123456789012:function:prod-charge", []
    )  # fmt: skip


def errors(state: str, values: dict[str, Any] | None = None, runs: bool = False) -> list[str]:
    text = f'DefinitionString: !Sub \'{{"StartAt": "A", "States": {{"A": {{{state}}}}}}}\''
    source = read_definition(HEAD + f"      {text}", "t.yaml", values, unfilled=True)
    source = sampled(source, runs=runs)
    assert source.unfilled == ()
    return [f"{each.message} at {each.location}" for each in validate(source.text).errors]


def test_a_value_that_is_certain_has_a_type() -> None:
    task = '"Type": "Task", "End": true, "Resource": '
    assert errors(task + '"${Charge.Arn}"') == []
    assert errors(task + '"arn:${AWS::Partition}:states:::lambda:invoke"') == []
    [error] = errors(task + '"${Bucket}"')
    assert error.startswith("The resource provided Bucket is not recognized")
    [error] = errors(task + '"${Charge.Arn}", "TimeoutSeconds": "${Named.Arn}"')
    assert error.startswith("Expected value of type [Integer]")


def test_a_default_may_be_replaced_before_it_runs() -> None:
    state = '"Type": "Task", "End": true, "Resource": "${Stage}"'
    assert errors(state) == []
    assert len(errors(state, runs=True)) == 1
    assert errors(state, {"Stage": f"{LAMBDA}x"}, runs=True) == []


def test_fn_sub_gives_the_names_of_a_definition() -> None:
    source = read(
        "DefinitionString: !Sub\n"
        '  - |\n    {"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "${charge}",\n'
        '     "TimeoutSeconds": ${seconds}, "Parameters": {"t": "${other}"}, "End": true}}}\n'
        "  - {charge: !GetAtt Charge.Arn, seconds: !Ref Seconds, other: !Ref Needed}"
    )
    state = loads(source.text)["States"]["A"]
    assert (state["Resource"], state["TimeoutSeconds"]) == (f"{LAMBDA}Charge", 30)
    assert [each.name for each in source.unfilled] == ["other"]
    assert loads(source.written)["States"]["A"]["Resource"] == "${charge}"


def test_substitutions_give_the_names_of_another_file() -> None:
    inner = (
        b'{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "${F}", "End": true, '
        b'"Parameters": {"b": "${B}", "n": "${N}"}}}}'
    )
    uses = "DefinitionUri: a.json\nDefinitionSubstitutions: {F: !GetAtt Charge.Arn, B: !Ref Bucket"
    text = HEAD.replace("StepFunctions::StateMachine", "Serverless::StateMachine")
    text += "".join(f"      {line}\n" for line in f"{uses}, N: !Ref Needed}}".splitlines())
    source = read_definition(text, "t.yaml", unfilled=True, open_file={"a.json": inner}.get)
    assert [each.name for each in source.unfilled] == ["N"]
    state = loads(source.text)["States"]["A"]
    assert state["Resource"] == f"{LAMBDA}Charge"
    assert state["Parameters"] == {"b": "Bucket", "n": "${N}"}


def test_serverless() -> None:
    text = """service: shop
custom: {table: "orders-${self:provider.stage}", arns: {dev: "arn:${sls:stage}"}}
provider: {name: aws, stage: "${opt:stage, 'dev'}", environment: {A: 1}}
functions:
  say-hello: {handler: src/hello.main, environment: {T: "${self:custom.table}"}, timeout: 5}
  other: {handler: other.handler, name: other-name, runtime: nodejs20.x}
resources: {Resources: {Queue: {Type: AWS::SQS::Queue}}}
stepFunctions:
  stateMachines:
    shop:
      definition:
        StartAt: A
        States:
          A:
            Type: Pass
            End: true
            Result:
              value: VALUE
"""
    wanted = {
        "!GetAtt say-hello.Arn": f"{LAMBDA}shop-dev-say-hello",
        "!GetAtt SayDashhelloLambdaFunction.Arn": f"{LAMBDA}shop-dev-say-hello",
        "!GetAtt other.Arn": f"{LAMBDA}other-name",
        "!Ref Queue": "https://sqs.us-east-1.amazonaws.com/123456789012/Queue",
        "${self:custom.table}": "orders-dev",
        "${self:custom.arns.${opt:stage, 'dev'}}": "arn:dev",
        "${self:custom.nothing, 'x'}": "x",
        "x-${sls:stage}-${aws:region}": "x-dev-us-east-1",
        "${self:service}": "shop",
        "${env:HOME}": "${env:HOME}",
    }
    for call, value in wanted.items():
        source = sampled(
            read_definition(text.replace("VALUE", call), "serverless.yml", unfilled=True)
        )
        assert loads(source.text)["States"]["A"]["Result"]["value"] == value, call
    assert template_functions(text, "serverless.yml", {"opt:stage": "prod"}) == [
        FunctionCode(
            "shop-prod-say-hello", ".", "src/hello.main", {"A": "1", "T": "orders-prod"}, 5, None
        ),
        FunctionCode("other-name", ".", "other.handler", {"A": "1"}, None, None),
    ]


def test_the_functions_of_a_template() -> None:
    text = (
        HEAD.partition("Resources:")[0]
        + """Globals:
  Function: {Runtime: python3.12, Timeout: 9, Environment: {Variables: {A: a, B: b}}}
Resources:
  One:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: src/
      Handler: app.main
      Environment: {Variables: {B: !Ref Stage, C: !Ref Needed}}
  Two:
    Type: AWS::Serverless::Function
    Properties: {FunctionName: !Sub '${Stage}-two', Handler: a.b, Runtime: java21}
  Three: {Type: AWS::Serverless::Function, Properties: {CodeUri: 's3://b/k', Handler: a.b}}
  Four: {Type: AWS::Serverless::Function, Properties: {PackageType: Image}}
"""
    )
    one, three = template_functions(text, "t.yaml")
    assert one == FunctionCode("One", "src/", "app.main", {"A": "a", "B": "dev"}, 9, None)
    assert three.name == "Three"
    assets = {
        "Asset": {"Metadata": {"aws:asset:path": "asset.1"}, "Code": {"S3Key": "2.zip"}},
        "Key": {"Code": {"S3Bucket": {"Fn::Sub": "b-${AWS::Region}"}, "S3Key": "2.zip"}},
        "Inline": {"Code": {"ZipFile": "exports.handler = () => 1"}},
        "Folder": {"Code": "../src"},
    }
    resources = {
        name: {
            "Type": "AWS::Lambda::Function",
            "Metadata": each.pop("Metadata", {}),
            "Properties": {"Handler": "index.handler", "Runtime": "nodejs22.x", **each},
        }
        for name, each in assets.items()
    }
    found = template_functions(json.dumps({"Resources": resources}), "s.template.json")
    assert [(each.name, each.folder, each.code, each.ending) for each in found] == [
        ("Asset", "asset.1", "", ".py"),
        ("Key", "asset.2", "", ".py"),
        ("Inline", ".", "exports.handler = () => 1", ".js"),
        ("Folder", "../src", "", ".py"),
    ]


def block(*lines: str, sub: str = "!Sub |", more: str = "") -> str:
    """A template whose definition is a text of these lines, from line 24 on."""
    text = "".join(f"          {line}\n" for line in lines)
    return f"{HEAD}{more}      DefinitionString: {sub}\n{text}"


TASK = '"A": {"Type": "Task", "Resource": "${Charge.Arn}",'


def test_places_in_a_text() -> None:
    lines = ('{"StartAt": "A",', ' "States": {', f"  {TASK}", '   "Next": "B"}}}')
    first = block("x").splitlines().index("          x") + 1
    for text in (block(*lines), block(*lines, sub="\n        Fn::Sub: |")):
        at = first + text.count("Fn::Sub")
        source = read_definition(text, "t.yaml", unfilled=True)
        assert source.locate("/States/A/Next") == (at + 3, 14)
        assert source.locate("/States/A/Resource") == (at + 2, 35)
    with pytest.raises(DefinitionFileError) as caught:
        read_definition(block(*lines[:3], '   "End": true,}}}'), "t.yaml", unfilled=True)
    fault = caught.value
    assert (fault.line, fault.column) == (first + 3, 27)  # after it, as the service counts
    assert fault.message.startswith("the definition of Machine is not JSON: Unexpected character")
    assert "line" not in fault.message
    assert fault.message.endswith(": remove the comma before it")


def test_escapes_of_fn_sub_are_text() -> None:
    text = block('{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true,',
                 ' "Result": "${!Name} ${Stage} $${x"}}}')  # fmt: skip
    source = read_definition(text, "t.yaml")
    assert loads(source.text)["States"]["A"]["Result"] == "${Name} dev $${x"


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        (
            block('{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true,',
                  ' "Result": "${Charge.Arn} ${Charge.Arn} $.{x} ${Given}"}}}', sub="|",
                  more="      DefinitionSubstitutions: {Given: 1}\n"),
            ["${Charge.Arn} is neither within Fn::Sub nor in DefinitionSubstitutions: "
             "CloudFormation leaves it as it is"],
        ),
        (
            block('{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true,',
                  ' "Result": "${Chrge.Arn} ${AWS::Region} ${Stage} ${!Other}"}}}'),
            ["the template has no resource or parameter Chrge"],
        ),
        (
            block('{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true,',
                  ' "Result": "${Chrge.Arn}"}}}').replace("Par", "Transform: X\nPar", 1),
            [],
        ),
        (
            block('{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true,',
                  ' "Result": "${ChargeRole.Arn} ${ServerlessRestApi} ${Typo}"}}}').replace(
                "Parameters:", "Transform: AWS::Serverless-2016-10-31\nParameters:"),
            ["the template has no resource or parameter Typo"],
        ),
    ],
)  # fmt: skip
def test_names_that_a_template_does_not_have(text: str, notes: list[str]) -> None:
    source = read_definition(text, "t.yaml", unfilled=True)
    assert [words for _, _, words in source.unmatched] == notes
    if notes:
        line = text.splitlines()[source.unmatched[0][1][0] - 1]
        assert line[source.unmatched[0][1][1] - 1 :].startswith("${")


def test_names_in_substitutions_that_a_template_does_not_have() -> None:
    text = """Transform: AWS::Serverless-2016-10-31
Resources:
  Orders:
    Type: AWS::Serverless::StateMachine
    Properties:
      DefinitionUri: a.json
      DefinitionSubstitutions:
        Charge: !GetAtt Chrge.Arn
        Queue: !Sub "${Jobs}-${AWS::Region}"
        Text: "${Any}"
        Role: !GetAtt OrdersRole.Arn
"""
    inner = b'{"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": "${Charge} ${Queue} '
    inner += b'${Text} ${Role}", "End": true}}}'
    source = read_definition(text, "t.yaml", unfilled=True, open_file={"a.json": inner}.get)
    assert source.unmatched == (
        ("t.yaml", (8, 9), "the template has no resource or parameter Chrge"),
        ("t.yaml", (9, 22), "the template has no resource or parameter Jobs"),
    )


def test_a_file_that_a_template_includes_has_the_names_of_the_template() -> None:
    inner = (
        b'{"StartAt": "A", "States": {"A": {"Type": "Task", "End": true,'
        b' "Resource": {"Fn::GetAtt": ["Charge", "Arn"]}}}}'
    )
    text = HEAD + (
        "      Definition:\n        Fn::Transform:\n"
        "          {Name: AWS::Include, Parameters: {Location: ./a.json}}\n"
    )
    source = read_definition(text, "x/t.yaml", open_file={"x/a.json": inner}.get)
    assert loads(source.text)["States"]["A"]["Resource"] == f"{LAMBDA}Charge"
    with pytest.raises(DefinitionFileError, match=r"is in s3://b/a\.json: name a copy instead"):
        read_definition(text.replace("./a", "s3://b/a"), "t.yaml")


def test_other_files_of_serverless() -> None:
    text = """service: shop
provider: {name: aws, environment: "${file(config/env.yml):all}"}
custom: "${file(config/custom.json)}"
functions:
  - "${file(functions.yml)}"
  - {other: {handler: other.run}}
resources:
  - "${file(resources.yml)}"
stepFunctions:
  stateMachines:
    shop: {definition: "${file(machine.yml)}"}
"""
    files = {
        "a/config/env.yml": b"all: {TABLE: '${self:custom.tables.orders}'}",
        "a/config/custom.json": b'{"tables": {"orders": "o-${sls:stage}"}, "a": "${self:custom}"}',
        "a/functions.yml": b"hello: {handler: h.run}",
        "a/resources.yml": b"Resources: {Jobs: {Type: 'AWS::SQS::Queue'}}",
        "a/machine.yml": b"""StartAt: A
States:
  A:
    Type: Task
    Resource: !GetAtt hello.Arn
    End: true
    Parameters: {t: "${self:custom.tables.orders}", q: !GetAtt Jobs.QueueName,
                 f: "${file(config/custom.json):tables.orders}", n: "${file(no.yml):x, 'none'}"}
""",
    }
    source = sampled(read_definition(text, "a/serverless.yml", open_file=files.get))
    state = loads(source.text)["States"]["A"]
    assert state["Resource"] == f"{LAMBDA}shop-dev-hello"
    assert state["Parameters"] == {"t": "o-dev", "q": "Jobs", "f": "o-dev", "n": "none"}
    found = template_functions(text, "a/serverless.yml", open_file=files.get)
    assert [(each.name, each.environment) for each in found] == [
        ("shop-dev-hello", {"TABLE": "o-dev"}), ("shop-dev-other", {"TABLE": "o-dev"})
    ]  # fmt: skip


@pytest.mark.parametrize("count", [30, 900])
def test_names_that_stand_for_many_others(count: int) -> None:
    names = "".join(f"  c{index}: !Not [!Condition c{index + 1}]\n" for index in range(count))
    text = f"Conditions:\n{names}  c{count}: !Equals [a, a]\n" + HEAD.partition("Conditions:")[2]
    text = text.replace("\n  Prod:", "\nOthers:\n  Prod:") + "      Definition: !If [c0, {A: 1}, 2]"
    source = read_definition(text, "t.yaml", unfilled=True)
    assert source.text == '{"A":1}'
    assert [each.name for each in source.unfilled] == ["If c0"] * (count > 50)


@pytest.mark.parametrize(
    "substitutions, wanted",
    [
        ("Stage: !Sub '${Stage}-x', Env: !Ref AWS::Region", "dev-x us-east-1"),
        ("Stage: !Sub '${Stage}-x', Env: fixed", "dev-x fixed"),
        ("Stage: fixed, Env: !Sub '${Stage}-x'", "fixed dev-x"),
        ("Stage: !Ref Env, Env: !Ref Stage, Other: fixed", "prod dev"),
    ],
)
def test_substitutions_whose_names_are_those_of_parameters(substitutions: str, wanted: str) -> None:
    template = f"""Parameters:
  Stage: {{Type: String, Default: dev}}
  {"Env: {Type: String, Default: prod}" * ("Ref Env" in substitutions)}
Resources:
  M:
    Type: AWS::Serverless::StateMachine
    Properties:
      DefinitionSubstitutions: {{{substitutions}}}
      Definition:
        StartAt: A
        States:
          A: {{Type: Pass, Result: "${{Stage}} ${{Env}}", Comment: "${{Other}}", End: true}}
"""
    source = sampled(read_definition(template, "t.yaml", {}, unfilled=True), runs=True)
    assert json.loads(source.text)["States"]["A"]["Result"] == wanted
