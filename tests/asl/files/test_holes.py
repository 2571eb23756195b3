"""Definitions whose placeholders have no value: what is said of them holds for every value."""

import pytest

from stepwell.asl.files.definition_files import read_definition, sampled
from stepwell.asl.validate import validate


def errors(text: str, filename: str = "m.asl.json", type: str = "STANDARD") -> list[str]:
    source = sampled(read_definition(text, filename, unfilled=True), type)
    found = validate(source.text, type).diagnostics
    return [f"{each.message} at {each.location}" for each in found]


def machine(state: str, others: str = "", top: str = "") -> str:
    return f'{{{top}"StartAt": "A", "States": {{"A": {{{state}}}{others}}}}}'


def task(fields: str) -> str:
    return machine(f'"Type": "Task", "End": true, {fields}')


LAMBDA = '"Resource": "arn:aws:states:::lambda:invoke"'
JSONATA = '"QueryLanguage": "JSONata", '

VALID = [
    # Resource
    task('"Resource": "${FunctionArn}"'),
    task('"Resource": ${FunctionArn}'),
    task('"Resource": "${FunctionArn}:$LATEST"'),
    task('"Resource": "${FunctionArn}:${Version}"'),
    task('"Resource": "arn:${AWS::Partition}:states:::lambda:invoke"'),
    task('"Resource": "arn:${AWS::Partition}:states:::lambda:invoke.waitForTaskToken"'),
    task('"Resource": "arn:aws:lambda:${AWS::Region}:${AWS::AccountId}:function:${Name}"'),
    task('"Resource": "arn:${AWS::Partition}:lambda:${Region}:${Account}:function:${Name}-x"'),
    task('"Resource": "arn:${p}:states:${r}:${a}:activity:${n}"'),
    task('"Resource": "arn:aws:states:::${Service}:${Action}"'),
    task('"Resource": "arn:aws:states:::dynamodb:${Action}"'),
    task('"Resource": "arn:aws:states:::aws-sdk:${Service}:${Action}"'),
    task('"Resource": "arn:aws:states:::lambda:invoke${Pattern}"'),
    task('"Resource": "${Prefix}:lambda:invoke"'),
    task('"Resource": "arn:aws:states:::states:startExecution.sync:${V}"'),
    task('"Resource": "${aws_lambda_function.charge.arn}"'),
    task('"Resource": "${module.functions["charge"].arn}"'),
    task('"Resource": "${self:custom.${opt:stage, \'dev\'}.arn}"'),
    task('"Resource": "arn:aws:lambda:#{AWS::Region}:#{AWS::AccountId}:function:x"'),
    task('"Resource": {"Fn::GetAtt": ["Charge", "Arn"]}'),
    task('"Resource": {"Fn::Sub": "arn:${AWS::Partition}:states:::lambda:invoke"}'),
    task('"Resource": {"Fn::Join": [":", ["arn", {"Ref": "P"}, "states:::sns:publish"]]}'),
    task('"Resource": {"Fn::ImportValue": "charge-arn"}'),
    # numbers, booleans, objects, arrays
    task(LAMBDA + ', "TimeoutSeconds": "${T}", "HeartbeatSeconds": "${H}"'),
    task(LAMBDA + ', "TimeoutSeconds": ${T}, "HeartbeatSeconds": ${H}'),
    task(LAMBDA + ', "TimeoutSeconds": ${T}, "HeartbeatSeconds": 3000'),
    task(LAMBDA + ', "TimeoutSeconds": 2, "HeartbeatSeconds": "${H}"'),
    task(LAMBDA + ', "TimeoutSeconds": "${T}", "TimeoutSecondsPath": null'),
    task(LAMBDA + ', "Retry": ${Retries}, "Catch": ${Catchers}'),
    task(LAMBDA + ', "Retry": "${Retries}"'),
    task(LAMBDA + ', "Retry": [${Retrier}]'),
    task(LAMBDA + ', "Retry": [{"ErrorEquals": ${Errors}, "MaxAttempts": "${N}", '
         '"IntervalSeconds": 100, "MaxDelaySeconds": ${Max}, "BackoffRate": ${Rate}, '
         '"JitterStrategy": "${Jitter}"}]'),
    task(LAMBDA + ', "Retry": [{"ErrorEquals": ["${Error}"], "IntervalSeconds": ${I}, '
         '"MaxDelaySeconds": "${M}"}]'),
    task(LAMBDA + ', "Parameters": ${Parameters}'),
    task(LAMBDA + ', "Credentials": {"RoleArn": "${RoleArn}"}'),
    task(LAMBDA + ', "Credentials": ${Credentials}'),
    machine(f'"Type": "Task", {LAMBDA}, "End": ${{End}}'),
    machine(f'"Type": "Task", {LAMBDA}, "End": "${{End}}"'),
    machine('"Type": "${Type}", "End": true'),
    machine('"Type": "Wait", "Seconds": "${S}", "End": true'),
    machine('"Type": "Wait", "Seconds": ${S}, "End": true'),
    machine('"Type": "Wait", "Timestamp": "${Time}", "End": true'),
    machine('"Type": "Wait", "Timestamp": "${Date}T00:00:00Z", "End": true'),
    machine('"Type": "Wait", "SecondsPath": "$.${Field}", "End": true'),
    machine('"Type": "Pass", "Result": ${Result}, "End": true'),
    machine('"Type": "Pass", "Result": {${Members}}, "End": true'),
    machine('"Type": "Pass", "Result": {"a": 1, ${Members}}, "End": true'),
    machine('"Type": "Pass", "Result": ${A}${B}, "End": true'),
    machine('"Type": "Pass", "End": true', top='"TimeoutSeconds": "${T}", "Version": "${V}", '),
    machine('"Type": "Pass", "End": true', top='"QueryLanguage": "${Q}", '),
    machine('"Type": "Pass", "End": true', top='"${Field}": "x", '),
    # paths, intrinsics
    machine('"Type": "Pass", "InputPath": "${Path}", "ResultPath": "${Path}", "End": true'),
    machine('"Type": "Pass", "InputPath": "$.${Path}", "ResultPath": "$.a${X}", "End": true'),
    machine('"Type": "Pass", "Parameters": {"a.$": "$.${K}", "b.$": "$[${I}].x", '
            '"c.$": "$.x[?(@.y == ${Z})]", "${Key}.$": "${Path}", "${K}": "${V}"}, "End": true'),
    machine('"Type": "Pass", "Parameters": {"a.$": "States.Format(\'${B}/{}\', $.x)", '
            '"b.$": "States.MathAdd($.${K}, ${N})", "c.$": "States.StringToJson(${V})", '
            '"d.$": "States.Array(${A}, \'${B}\', $.c)", "e.$": "${Function}"}, "End": true'),
    machine('"Type": "Fail", "Error": "${Error}", "Cause": "because of ${Cause}"'),
    machine('"Type": "Fail", "ErrorPath": "${Path}", "CausePath": "States.Format(\'${X}\')"'),
    # JSONata
    machine('"Type": "Pass", "Output": "{% $states.${F} > ${N} %}", "End": true', top=JSONATA),
    machine('"Type": "Pass", "Output": {"a": "{% \'${X}\' %}", "b": "{% ${X} %}"}, "End": true',
            top=JSONATA),
    machine('"Type": "Wait", "Seconds": "{% ${N} %}", "End": true', top=JSONATA),
    machine('"Type": "Wait", "Seconds": "${N}", "End": true', top=JSONATA),
    machine('"Type": "Wait", "Timestamp": "${N}", "End": true', top=JSONATA),
    machine('"Type": "Map", "Items": "${Items}", "MaxConcurrency": "${N}", "ItemProcessor": '
            '{"StartAt": "I", "States": {"I": {"Type": "Succeed"}}}, "End": true', top=JSONATA),
    task('"QueryLanguage": "JSONata", "Resource": "${F}", "Arguments": "${A}", "Output": ${O}, '
         '"Assign": {"${Variable}": "{% ${V} %}"}'),
    machine('"Type": "Choice", "Choices": [{"Condition": "${C}", "Next": "B"}, '
            '{"Condition": "{% $x = \'${Y}\' %}", "Next": "B"}], "Default": "B"',
            ', "B": {"Type": "Succeed"}', JSONATA),
    # Choice
    *(machine(f'"Type": "Choice", "Choices": [{{"Variable": "$.{variable}", {test}, "Next": "B"}}]',
              ', "B": {"Type": "Succeed"}')
      for variable, test in [
          ("x", '"NumericEquals": "${N}"'), ("x", '"NumericGreaterThan": ${N}'),
          ("x", '"BooleanEquals": "${B}"'), ("x", '"TimestampLessThan": "${T}"'),
          ("x", '"StringEquals": "${S}"'), ("x", '"StringMatches": "*${S}"'),
          ("${V}", '"IsPresent": ${P}'), ("x", '"StringEqualsPath": "$.${P}"'),
          ("x", '"${Operator}": 5'), ("x", '"Numeric${Operator}": 5'),
      ]),
    machine('"Type": "Choice", "Choices": ${Rules}, "Default": "B"', ', "B": {"Type": "Succeed"}'),
    machine('"Type": "Choice", "Choices": [${Rule}]', ', "B": {"Type": "Succeed"}'),
    # transitions and names
    machine('"Type": "Pass", "Next": "${Next}"', ', "B": {"Type": "Succeed"}'),
    machine('"Type": "Pass", "Next": "Do ${What}"', ', "Do it": {"Type": "Succeed"}'),
    machine('"Type": "Pass", "Next": "Do ${What}"', ', "Do ${What}": {"Type": "Succeed"}'),
    machine('"Type": "Pass", "Next": "B"', ', "${Name}": {"Type": "Succeed"}'),
    machine('"Type": "Pass", "Next": "' + "${" + "x" * 90 + '}"',
            ', "${' + "x" * 90 + '}": {"Type": "Succeed"}'),
    '{"StartAt": "${S}", "States": {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Succeed"}}}',
    '{"StartAt": "${Start}", "States": {"${Start}": {"Type": "Succeed"}}}',
    '{"StartAt": "A", "States": ${States}}',
    '{"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}, "B": ${State}}}',
    '{"StartAt": "A", "States": {"A": ${State}, "B": {"Type": "Pass", "End": true}, '
    '"C": {"Type": "Succeed"}}}',
    '{"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}, ${Others}}}',
    "${Definition}",
    # Map and Parallel
    machine('"Type": "Map", "ItemsPath": "$.${P}", "MaxConcurrency": "${N}", "ItemProcessor": '
            '{"ProcessorConfig": {"Mode": "${Mode}", "ExecutionType": "${Type}"}, "StartAt": "I", '
            '"States": {"I": {"Type": "Task", "Resource": "${F}", "End": true}}}, "End": true'),
    machine('"Type": "Map", "ItemReader": {"Resource": "arn:${AWS::P}:states:::s3:getObject", '
            '"ReaderConfig": {"InputType": "${InputType}", "MaxItems": "${N}"}, "Parameters": '
            '{"Bucket": "${Bucket}", "Key": "${Key}"}}, "ItemBatcher": {"MaxItemsPerBatch": ${B}}, '
            '"ToleratedFailurePercentage": "${P}", "Label": "${Label}", "ResultWriter": '
            '{"Resource": "${Writer}", "Parameters": {"Bucket": "${Bucket}"}}, '
            '"ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", '
            '"ExecutionType": "EXPRESS"}, "StartAt": "I", "States": '
            '{"I": {"Type": "Task", "Resource": "${F}", "End": true}}}, '
            '"End": true'),
    machine('"Type": "Map", "ItemProcessor": ${Processor}, "End": true'),
    machine('"Type": "Parallel", "Branches": ${Branches}, "End": true'),
    machine('"Type": "Parallel", "Branches": [${Branch}], "End": true'),
    # escapes are no holes
    machine('"Type": "Pass", "Result": "$${Literal} ${!Literal}", "End": true'),
    machine('"Type": "Pass", "Parameters": {"c": "echo ${PATH:-x} ${a[0]} ${ x"}, "End": true'),
]  # fmt: skip


@pytest.mark.parametrize("text", VALID)
def test_a_value_would_avoid_it(text: str) -> None:
    assert errors(text) == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            task('"Resource": "arn:${AWS::Partition}:states:::dynamodb:putItemm"'),
            ["The resource provided arn:aws:states:::dynamodb:putItemm is not"],
        ),
        (task('"Resource": "${A}", "TimeoutSeconds": "1${T}"'), ["Expected value of type [Int"]),
        (task('"Resource": "${A}", "TimeoutSeconds": 0'), ["Value must be at least 1"]),
        (task('"Resource": "${A}", "Timeout": "${T}"'), ["Field is not supported"]),
        (task('"Parameters": {"a": "${A}"}'), ["These fields are required: [Resource]"]),
        (task('"Resource": "", "Comment": "${A}"'), ["Value cannot be empty"]),
        (
            machine('"Type": "Pass", "Next": "Do ${What}"', ', "B": {"Type": "Succeed"}'),
            ["Missing 'Next' target: Do ${What}", 'State "B" is not reachable.'],
        ),
        (
            machine('"Type": "Pass", "End": true', ', "${B}": {"Type": "Succeed"}'),
            ['State "${B}" is not reachable.'],
        ),
        (
            task('"Resource": "${A}", "Parameters": {"a.$": "$.x[${I}"}'),
            ["The value for the field 'a.$' must be a valid JSONPath"],
        ),
        (
            task('"Resource": "${A}", "Parameters": {"a.$": "States.Nope(\'${I}\')"}'),
            ["The value for the field 'a.$' must be a valid JSONPath"],
        ),
        (
            machine('"Type": "Pass", "Output": "{% ($x + ${N} %}", "End": true', top=JSONATA),
            ["The JSONata expression '($x + ${N}' could not be parsed"],
        ),
        (machine('"Type": "Pass", "Next": "A${X}", "End": true'), ["Exactly one of these"]),
        (
            task('"Resource": "${A}", "Retry": [{"ErrorEquals": ["States.ALL", "${E}"]}]'),
            ["'States.ALL' must be the only entry of the last Retrier"],
        ),
    ],
)  # fmt: skip
def test_no_value_would_avoid_it(text: str, wanted: list[str]) -> None:
    found = errors(text)
    for each in wanted:
        assert any(error.startswith(each) for error in found), found
    assert len(found) <= len(wanted)
