"""Planted mistakes: a machine, its input, the state to explain, what the hint must say, and the
mend, after which there is no hint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:"
INVOKE = "arn:aws:states:::lambda:invoke"
States = dict[str, dict[str, Any]]
ORDER = {"order": {"id": "A1", "items": [{"price": 3}, {"price": 4}]}, "customer": "Ada"}


@dataclass(frozen=True)
class Mistake:
    """
    states     in order: each leads to the next one unless it says otherwise
    says       parts of the first hint
    mend       state -> fields that replace its own; None removes one
    at         the state to explain
    functions  name -> its result, or the error that it raises
    """

    name: str
    states: States
    input: Any
    says: tuple[str, ...]
    mend: States = field(default_factory=dict)
    at: str = "S"
    functions: Mapping[str, Any] = field(default_factory=dict)
    mended_input: Any = None
    jsonata: bool = False

    def machine(self, mended: bool = False) -> dict[str, Any]:
        states: States = {}
        names = list(self.states)
        for place, (name, state) in enumerate(self.states.items()):
            merged = dict(state)
            if mended:
                merged |= self.mend.get(name, {})
                merged = {key: each for key, each in merged.items() if each is not ABSENT}
            if not merged.keys() & {"Next", "End", "Choices"} and merged["Type"] not in ENDS:
                merged |= {"Next": names[place + 1]} if place + 1 < len(names) else {"End": True}
            states[name] = merged
        machine: dict[str, Any] = {"StartAt": names[0], "States": states}
        return {"QueryLanguage": "JSONata", **machine} if self.jsonata else machine


ABSENT = object()
ENDS = ("Succeed", "Fail")


def passes(**fields: Any) -> dict[str, Any]:
    return {"Type": "Pass", **fields}


def task(function: str = "f", **fields: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": LAMBDA + function, **fields}


def choice(*rules: dict[str, Any], default: str | None = "No") -> States:
    """A Choice `S` whose rules lead to Yes."""
    state = {"Type": "Choice", "Choices": [{**rule, "Next": "Yes"} for rule in rules]}
    ends = {"Yes": {"Type": "Succeed"}}
    if default:
        state["Default"] = default
        ends[default] = {"Type": "Succeed"}
    return {"S": state, **ends}


def rules(*rules: dict[str, Any]) -> States:
    return {"S": {"Choices": [{**rule, "Next": "Yes"} for rule in rules]}}


def inner(state: dict[str, Any], name: str = "I", **more: Any) -> dict[str, Any]:
    return {"StartAt": name, "States": {name: {**state, "End": True}}, **more}


JSONPATH = [
    Mistake(
        "misspelled-name",
        {"S": passes(Parameters={"id.$": "$.order.idd"})},
        ORDER,
        ("`$.order.idd`", "has no `idd`", "did you mean `$.order.id`"),
        {"S": {"Parameters": {"id.$": "$.order.id"}}},
    ),
    Mistake(
        "singular-for-plural",
        {"S": passes(InputPath="$.orders.id")},
        ORDER,
        ("the state input has no `orders`", "`$.order.id`"),
        {"S": {"InputPath": "$.order.id"}},
    ),
    Mistake(
        "case-of-a-name",
        {"S": passes(Parameters={"n.$": "$.Order.id"})},
        ORDER,
        ("`$.order.id`", "case-sensitive"),
        {"S": {"Parameters": {"n.$": "$.order.id"}}},
    ),
    Mistake(
        "index-out-of-range",
        {"S": passes(Parameters={"p.$": "$.order.items[3].price"})},
        ORDER,
        ("`$.order.items` has 2 items", "no [3]", "last one is [1]"),
        {"S": {"Parameters": {"p.$": "$.order.items[1].price"}}},
    ),
    Mistake(
        "first-of-an-empty-list",
        {"S": passes(Parameters={"p.$": "$.items[0]"})},
        {"items": []},
        ("0 items", "empty"),
        mended_input={"items": [1]},
    ),
    Mistake(
        "name-of-a-list",
        {"S": passes(Parameters={"p.$": "$.order.items.price"})},
        ORDER,
        ("`$.order.items` is a list of 2 items", "`$.order.items[*].price`"),
        {"S": {"Parameters": {"p.$": "$.order.items[*].price"}}},
    ),
    Mistake(
        "result-replaces-input",
        {"Fetch": task("f"), "S": passes(Parameters={"id.$": "$.order.id"})},
        ORDER,
        ("`Fetch`", "dropped it", "ResultPath is `$`", "replaced the whole input"),
        {"Fetch": {"ResultPath": "$.fetched"}},
        functions={"f": {"stock": 5}},
    ),
    Mistake(
        "pass-result-replaces-input",
        {"Defaults": passes(Result={"a": 1}), "S": passes(Parameters={"c.$": "$.customer"})},
        ORDER,
        ("`Defaults`", "Result replaced the whole input"),
        {"Defaults": {"ResultPath": "$.defaults"}},
    ),
    Mistake(
        "lost-two-states-before",
        {
            "Fetch": task("f"),
            "Keep": passes(Parameters={"stock.$": "$.stock"}),
            "S": passes(Parameters={"id.$": "$.order.id"}),
        },
        ORDER,
        ("`Fetch` had `$.order.id` in its input and dropped it",),
        {
            "Fetch": {"ResultPath": "$.fetched"},
            "Keep": {"Parameters": {"stock.$": "$.fetched.stock"}, "ResultPath": "$.stock"},
        },
        functions={"f": {"stock": 5}},
    ),
    Mistake(
        "output-path-cuts",
        {
            "Cut": passes(OutputPath="$.order"),
            "S": passes(Parameters={"c.$": "$.customer"}),
        },
        ORDER,
        ("`Cut`", "its OutputPath is `$.order`"),
        {"Cut": {"OutputPath": "$"}},
    ),
    Mistake(
        "parameters-of-a-pass-cut",
        {
            "Shape": passes(Parameters={"id.$": "$.order.id"}),
            "S": passes(Parameters={"c.$": "$.customer"}),
        },
        ORDER,
        ("`Shape`", "Parameters replaced the whole input"),
        {"Shape": {"ResultPath": "$.shaped"}},
    ),
    Mistake(
        "result-path-null",
        {"Fetch": task("f", ResultPath=None), "S": passes(Parameters={"n.$": "$.stock"})},
        ORDER,
        ("`Fetch`", "ResultPath is null", "discards"),
        {"Fetch": {"ResultPath": "$"}},
        functions={"f": {"stock": 5}},
    ),
    Mistake(
        "selector-leaves-it-out",
        {
            "Fetch": task("f", ResultSelector={"n.$": "$.stock"}, ResultPath="$.r"),
            "S": passes(Parameters={"n.$": "$.r.shelf"}),
        },
        ORDER,
        ("`Fetch`", "ResultSelector leaves it out"),
        {"Fetch": {"ResultSelector": {"shelf.$": "$.shelf"}}},
        functions={"f": {"stock": 5, "shelf": "B2"}},
    ),
    Mistake(
        "selector-reads-the-input",
        {"S": task("f", ResultSelector={"id.$": "$.order.id", "n.$": "$.stock"})},
        ORDER,
        ("the task result has no `order`", "ResultSelector reads the result, before ResultPath"),
        {"S": {"ResultSelector": {"n.$": "$.stock"}, "ResultPath": "$.r"}},
        functions={"f": {"stock": 5}},
    ),
    Mistake(
        "output-path-after-result",
        {"S": task("f", OutputPath="$.order")},
        ORDER,
        ("OutputPath is applied after ResultPath", "replaces the whole input"),
        {"S": {"ResultPath": "$.r"}},
        functions={"f": {"stock": 5}},
    ),
    Mistake(
        "output-path-of-a-moved-result",
        {"S": task("f", ResultPath="$.r", OutputPath="$.stock")},
        ORDER,
        ("OutputPath is applied after ResultPath", "write `$.r.stock`"),
        {"S": {"OutputPath": "$.r.stock"}},
        functions={"f": {"stock": 5}},
    ),
    Mistake(
        "input-path-twice",
        {"S": passes(InputPath="$.order", Parameters={"id.$": "$.order.id"})},
        ORDER,
        ("InputPath has already selected `$.order`", "write `$.id`"),
        {"S": {"Parameters": {"id.$": "$.id"}}},
    ),
    Mistake(
        "outside-of-input-path",
        {"S": passes(InputPath="$.order", Parameters={"c.$": "$.customer"})},
        ORDER,
        ("InputPath has already selected `$.order`", "leaves it out"),
        {"S": {"InputPath": "$"}},
    ),
    Mistake(
        "input-path-null",
        {"S": passes(InputPath=None, Parameters={"c.$": "$.customer"})},
        ORDER,
        ("InputPath is null",),
        {"S": {"InputPath": "$"}},
    ),
    Mistake(
        "context-with-one-dollar",
        {"S": passes(Parameters={"n.$": "$.Execution.Name"})},
        ORDER,
        ("Context object", "write `$$.Execution.Name`"),
        {"S": {"Parameters": {"n.$": "$$.Execution.Name"}}},
    ),
    Mistake(
        "input-with-two-dollars",
        {"S": passes(Parameters={"n.$": "$$.order.id"})},
        ORDER,
        ("the Context object has no `order`", "write `$.order.id`"),
        {"S": {"Parameters": {"n.$": "$.order.id"}}},
    ),
    Mistake(
        "case-in-the-context",
        {"S": passes(Parameters={"n.$": "$$.Execution.input.customer"})},
        ORDER,
        ("`$$.Execution.Input.customer`", "case-sensitive"),
        {"S": {"Parameters": {"n.$": "$$.Execution.Input.customer"}}},
    ),
    Mistake(
        "payload-of-lambda",
        {
            "S": {
                "Type": "Task",
                "Resource": INVOKE,
                "Parameters": {"FunctionName": "f"},
                "ResultSelector": {"n.$": "$.stock"},
            }
        },
        ORDER,
        ("`lambda:invoke` returns the function's result in Payload", "write `$.Payload.stock`"),
        {"S": {"ResultSelector": {"n.$": "$.Payload.stock"}}},
        functions={"f": {"StatusCode": 200, "Payload": {"stock": 5}}},
    ),
    Mistake(
        "payload-in-the-next-state",
        {
            "Fetch": {
                "Type": "Task",
                "Resource": INVOKE,
                "Parameters": {"FunctionName": "f"},
                "ResultPath": "$.fetched",
            },
            "S": passes(Parameters={"n.$": "$.fetched.stock"}),
        },
        ORDER,
        ("in Payload", "write `$.fetched.Payload.stock`"),
        {"S": {"Parameters": {"n.$": "$.fetched.Payload.stock"}}},
        functions={"f": {"StatusCode": 200, "Payload": {"stock": 5}}},
    ),
    Mistake(
        "payload-of-a-function-arn",
        {"S": task("f", ResultSelector={"n.$": "$.Payload.stock"})},
        ORDER,
        ("no Payload", "write `$.stock`"),
        {"S": {"ResultSelector": {"n.$": "$.stock"}}},
        functions={"f": {"stock": 5}},
    ),
    Mistake(
        "body-is-text",
        {"S": task("f", ResultSelector={"n.$": "$.body.stock"})},
        ORDER,
        ("`$.body` is JSON as text", "States.StringToJson($.body)"),
        {"S": {"ResultSelector": {"n.$": "States.StringToJson($.body)"}}},
        functions={"f": {"statusCode": 200, "body": '{"stock": 5}'}},
    ),
    Mistake(
        "message-body-of-sqs-is-text",
        {"S": passes(Parameters={"id.$": "$.Records[0].body.orderId"})},
        {"Records": [{"body": '{"orderId": 7}'}]},
        ("`$.Records[0].body` is JSON as text", "States.StringToJson"),
        {"S": {"Parameters": {"id.$": "States.StringToJson($.Records[0].body)"}}},
    ),
    Mistake(
        "pascal-case-of-an-sdk-result",
        {"S": task("f", ResultSelector={"first.$": "$.items[0]"})},
        ORDER,
        ("it has `Items`", "did you mean `$.Items[0]`", "case-sensitive"),
        {"S": {"ResultSelector": {"first.$": "$.Items[0]"}}},
        functions={"f": {"Items": [1], "Count": 1}},
    ),
    Mistake(
        "attribute-value",
        {"S": passes(Parameters={"n.$": "$.Item.total.value"})},
        {"Item": {"total": {"N": "5"}}},
        ("attribute value of DynamoDB", "`$.Item.total.N"),
        {"S": {"Parameters": {"n.$": "$.Item.total.N"}}},
    ),
    Mistake(
        "attribute-value-in-a-choice",
        choice({"Variable": "$.Item.status", "StringEquals": "PAID"}),
        {"Item": {"status": {"S": "PAID"}}},
        ("attribute value of DynamoDB", "`$.Item.status.S`"),
        rules({"Variable": "$.Item.status.S", "StringEquals": "PAID"}),
    ),
    Mistake(
        "literal-path",
        {"S": task("f", Parameters={"id": "$.order.id"})},
        ORDER,
        ("`id` is the text", "name the key `id.$`"),
        {"S": {"Parameters": {"id.$": "$.order.id"}}},
        functions={"f": {"stock": 5}},
    ),
    Mistake(
        "literal-intrinsic",
        {"S": passes(Parameters={"m": "States.Format('Hi {}', $.customer)"})},
        ORDER,
        ("`m` is the text", "`m.$`"),
        {"S": {"Parameters": {"m.$": "States.Format('Hi {}', $.customer)"}}},
    ),
    Mistake(
        "jsonata-in-jsonpath",
        {"S": passes(Parameters={"c": "{% $states.input.customer %}"})},
        ORDER,
        ("QueryLanguage is JSONPath",),
        {"S": {"Parameters": {"c.$": "$.customer"}}},
    ),
    Mistake(
        "paths-in-a-result",
        {"S": passes(Result={"c.$": "$.customer"})},
        ORDER,
        ("Result of a Pass state is plain JSON", "Parameters"),
        {"S": {"Result": ABSENT, "Parameters": {"c.$": "$.customer"}}},
    ),
    Mistake(
        "choice-on-an-absent-variable",
        choice({"Variable": "$.coupon", "StringEquals": "X"}),
        {"total": 5},
        ("`$.coupon`", "has no `coupon`", "IsPresent"),
        rules(
            {
                "And": [
                    {"Variable": "$.coupon", "IsPresent": True},
                    {"Variable": "$.coupon", "StringEquals": "X"},
                ]
            }
        ),
    ),
    Mistake(
        "choice-without-default",
        choice({"Variable": "$.n", "NumericGreaterThan": 5}, default=None),
        {"n": 3},
        ("no Default", "add a Default"),
        {"S": {"Default": "Yes"}},
    ),
    Mistake(
        "number-as-text",
        choice({"Variable": "$.n", "NumericEquals": 5}),
        {"n": "5"},
        ("NumericEquals is false", '`$.n` is the string "5"', "not a number"),
        rules({"Variable": "$.n", "StringEquals": "5"}),
    ),
    Mistake(
        "text-as-number",
        choice({"Variable": "$.code", "StringEquals": "200"}, default=None),
        {"code": 200},
        ("StringEquals is false", "the number 200", "NumericEquals"),
        rules({"Variable": "$.code", "NumericEquals": 200}),
    ),
    Mistake(
        "boolean-as-text",
        choice({"Variable": "$.ok", "BooleanEquals": True}),
        {"ok": "true"},
        ("BooleanEquals is false", 'StringEquals "true"'),
        rules({"Variable": "$.ok", "StringEquals": "true"}),
    ),
    Mistake(
        "case-of-a-value",
        choice({"Variable": "$.status", "StringEquals": "PAID"}),
        {"status": "paid"},
        ('`$.status` is the string "paid"', "case-sensitive"),
        rules({"Variable": "$.status", "StringEquals": "paid"}),
    ),
    Mistake(
        "filter-gives-a-list",
        choice({"Variable": "$.items[?(@.id == 1)].n", "NumericEquals": 5}),
        {"items": [{"id": 1, "n": 5}]},
        ("a list of 1 item", "filter or wildcard gives a list"),
        rules({"Variable": "$.items[0].n", "NumericEquals": 5}),
    ),
    Mistake(
        "index-behind-a-filter",
        {"S": passes(Parameters={"first.$": "$.items[?(@.id == 1)][0]"})},
        {"items": [{"id": 1, "n": 5}]},
        ("index behind a filter applies to each match", "States.ArrayGetItem"),
        {"S": {"Parameters": {"first.$": "States.ArrayGetItem($.items[?(@.id == 1)], 0)"}}},
    ),
    Mistake(
        "timestamp-without-zone",
        choice({"Variable": "$.at", "TimestampLessThan": "2030-01-01T00:00:00Z"}),
        {"at": "2024-05-01T10:00:00"},
        ("TimestampLessThan is false", "without a time zone"),
        mended_input={"at": "2024-05-01T10:00:00Z"},
    ),
    Mistake(
        "misspelled-presence",
        choice({"Variable": "$.coupn", "IsPresent": True}),
        {"coupon": "X"},
        ("did you mean `$.coupon`",),
        rules({"Variable": "$.coupon", "IsPresent": True}),
    ),
    Mistake(
        "wait-until-a-time-without-zone",
        {"S": {"Type": "Wait", "TimestampPath": "$.at"}},
        {"at": "2020-01-01 10:00"},
        ("TimestampPath reads `$.at`", "zone"),
        mended_input={"at": "2020-01-01T10:00:00Z"},
    ),
    Mistake(
        "wait-for-text",
        {"S": {"Type": "Wait", "SecondsPath": "$.s"}},
        {"s": "soon"},
        ("SecondsPath reads `$.s`", "not a whole number"),
        mended_input={"s": 0},
    ),
    Mistake(
        "map-over-an-object",
        {"S": {"Type": "Map", "ItemProcessor": inner(passes())}},
        {"items": [1, 2]},
        ("iterates over its input", '"ItemsPath": "$.items"'),
        {"S": {"ItemsPath": "$.items"}},
    ),
    Mistake(
        "map-over-text",
        {"S": {"Type": "Map", "ItemsPath": "$.items", "ItemProcessor": inner(passes())}},
        {"items": "[1, 2]"},
        ("ItemsPath needs a list", "JSON text"),
        mended_input={"items": [1, 2]},
    ),
    Mistake(
        "item-selector-reads-the-item",
        {
            "S": {
                "Type": "Map",
                "ItemsPath": "$.items",
                "ItemSelector": {"sku.$": "$.sku"},
                "ItemProcessor": inner(passes()),
            }
        },
        {"items": [{"sku": "a"}]},
        ("`$$.Map.Item.Value`", "write `$$.Map.Item.Value.sku`"),
        {"S": {"ItemSelector": {"sku.$": "$$.Map.Item.Value.sku"}}},
    ),
    Mistake(
        "iteration-reads-the-input",
        {
            "M": {
                "Type": "Map",
                "ItemsPath": "$.items",
                "ItemProcessor": inner(passes(Parameters={"c.$": "$.customer"}), "S"),
            }
        },
        {"items": [{"sku": "a"}], "customer": "Ada"},
        ("input of the Map `M`", "ItemSelector"),
        {"M": {"ItemSelector": {"customer.$": "$.customer"}}},
    ),
    Mistake(
        "parallel-gives-a-list",
        {
            "P": {
                "Type": "Parallel",
                "Branches": [
                    inner(passes(Result={"a": 1}), "A"),
                    inner(passes(Result={"b": 2}), "B"),
                ],
            },
            "S": passes(Parameters={"b.$": "$.b"}),
        },
        {},
        ("`P` is a list with an entry for each branch", "write `$[1].b`"),
        {"S": {"Parameters": {"b.$": "$[1].b"}}},
    ),
    Mistake(
        "catch-replaces-input",
        {
            "Try": task("f", Catch=[{"ErrorEquals": ["States.ALL"], "Next": "S"}], Next="S"),
            "S": passes(Parameters={"c.$": "$.customer"}),
        },
        ORDER,
        ("`Try`", "its Catch has no ResultPath", "Error Output"),
        {"Try": {"Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "S"}]}},
        functions={"f": ValueError("bad")},
    ),
    Mistake(
        "variable-in-its-own-state",
        {"S": passes(Assign={"n.$": "$.customer"}, Parameters={"n.$": "$n"}, ResultPath="$.r")},
        ORDER,
        ("`S` itself assigns `$n`", "from the next state on"),
        {"S": {"Parameters": {"n.$": "$.customer"}, "Assign": ABSENT}},
    ),
    Mistake(
        "variable-never-assigned",
        {"A": passes(Assign={"count": 1}), "S": passes(Parameters={"n.$": "$cuont"})},
        ORDER,
        ("No state assigns `$cuont`", "did you mean `$count`"),
        {"S": {"Parameters": {"n.$": "$count"}}},
    ),
    Mistake(
        "variable-of-an-iteration",
        {
            "M": {
                "Type": "Map",
                "ItemsPath": "$.items",
                "ItemProcessor": inner(passes(Assign={"last": 1}), "I"),
                "ResultPath": "$.r",
            },
            "S": passes(Parameters={"n.$": "$last"}),
        },
        {"items": [1]},
        ("assigned in `I`, inside `M`", "does not leave"),
        {"S": {"Parameters": {"n.$": "$.r"}}},
    ),
    Mistake(
        "path-for-a-variable",
        {"A": passes(Assign={"count": 1}), "S": passes(Parameters={"n.$": "$.count"})},
        ORDER,
        ("`count` is a variable: write `$count`",),
        {"S": {"Parameters": {"n.$": "$count"}}},
    ),
    Mistake(
        "add-to-text",
        {"S": passes(Parameters={"n.$": "States.MathAdd($.n, 1)"})},
        {"n": "5"},
        ("States.MathAdd needs numbers", '`$.n` is the string "5"', "States.StringToJson($.n)"),
        {"S": {"Parameters": {"n.$": "States.MathAdd(States.StringToJson($.n), 1)"}}},
    ),
    Mistake(
        "parse-an-object",
        {"S": passes(Parameters={"o.$": "States.StringToJson($.order)"})},
        ORDER,
        ("`$.order` is an object", "parsed already"),
        {"S": {"Parameters": {"o.$": "$.order"}}},
    ),
    Mistake(
        "format-with-too-few-values",
        {"S": passes(Parameters={"m.$": "States.Format('{} of {}', $.customer)"})},
        ORDER,
        ("Each {} of States.Format takes one value",),
        {"S": {"Parameters": {"m.$": "States.Format('{} of {}', $.customer, $.order.id)"}}},
    ),
    Mistake(
        "result-path-into-a-list",
        {"S": passes(Result=1, ResultPath="$.order.items.n")},
        ORDER,
        ("`$.order.items` of the state input is a list", "needs an object"),
        {"S": {"ResultPath": "$.order.n"}},
    ),
    Mistake(
        "null-in-the-way",
        {"S": passes(Parameters={"id.$": "$.order.id"})},
        {"order": None},
        ("`$.order` is null", "Test for null"),
        mended_input=ORDER,
    ),
    Mistake(
        "misspelled-error",
        {
            "S": task(
                "f",
                Catch=[{"ErrorEquals": ["DeclinedError"], "ResultPath": "$.e", "Next": "Done"}],
                Next="Done",
            ),
            "Done": {"Type": "Succeed"},
        },
        ORDER,
        ("ErrorEquals has `DeclinedError`", "the error is `Declined`"),
        {"S": {"Catch": [{"ErrorEquals": ["Declined"], "ResultPath": "$.e", "Next": "Done"}]}},
        functions={"f": ("Declined", "no money")},
    ),
    Mistake(
        "runtime-is-not-caught",
        {
            "S": task(
                "f",
                Parameters={"x.$": "$.nothing"},
                Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Done"}],
                Next="Done",
            ),
            "Done": {"Type": "Succeed"},
        },
        {"a": 1},
        ("`$.nothing` finds nothing",),
        {"S": {"Parameters": {"x.$": "$.a"}}},
        functions={"f": 1},
    ),
    Mistake(
        "parameters-of-an-sdk-in-lower-case",
        {
            "S": {
                "Type": "Task",
                "Resource": "arn:aws:states:::aws-sdk:s3:getObject",
                "Parameters": {"bucket": "b", "key.$": "$.customer"},
            }
        },
        ORDER,
        ("`bucket` is not a parameter of `aws-sdk:s3:getObject`", "`Bucket`"),
        {"S": {"Parameters": {"Bucket": "b", "Key.$": "$.customer"}}},
        functions={"getObject": {"Body": ""}},
    ),
    Mistake(
        "item-without-types",
        {
            "S": {
                "Type": "Task",
                "Resource": "arn:aws:states:::dynamodb:putItem",
                "Parameters": {"TableName": "t", "Item": {"id.$": "$.customer"}},
            }
        },
        ORDER,
        ('`id` is "Ada"', "names its type", '{"S": "Ada"}'),
        {"S": {"Parameters": {"TableName": "t", "Item": {"id": {"S.$": "$.customer"}}}}},
        functions={"putItem": {}},
    ),
    Mistake(
        "number-of-dynamodb",
        {
            "S": {
                "Type": "Task",
                "Resource": "arn:aws:states:::dynamodb:updateItem",
                "Parameters": {"TableName": "t", "Key": {"id": {"N.$": "$.n"}}},
            }
        },
        {"n": 5},
        ("DynamoDB takes numbers as text", '{"N": "5"}'),
        {
            "S": {
                "Parameters": {"TableName": "t", "Key": {"id": {"N.$": "States.Format('{}', $.n)"}}}
            }
        },
        functions={"updateItem": {}},
    ),
    Mistake(
        "states-of-jsonata-in-jsonpath",
        {"S": passes(Parameters={"id.$": "$states.input.order.id"})},
        ORDER,
        ("`$states` exists in JSONata only", "write `$.order.id`"),
        {"S": {"Parameters": {"id.$": "$.order.id"}}},
    ),
    Mistake(
        "output-path-null-before",
        {"Cut": passes(OutputPath=None), "S": passes(Parameters={"c.$": "$.customer"})},
        ORDER,
        ("`Cut`", "its OutputPath is `null`"),
        {"Cut": {"OutputPath": "$"}},
    ),
    Mistake(
        "result-elsewhere",
        {
            "Fetch": task("f", ResultPath="$.fetched"),
            "S": passes(Parameters={"n.$": "$.stock"}),
        },
        ORDER,
        ("has no `stock`", "Write `$.fetched.stock`"),
        {"S": {"Parameters": {"n.$": "$.fetched.stock"}}},
        functions={"f": {"stock": 5}},
    ),
    Mistake(
        "output-of-a-nested-execution",
        {"S": passes(Parameters={"n.$": "$.child.Output.n"})},
        {"child": {"Output": '{"n": 1}', "Status": "SUCCEEDED"}},
        ("`$.child.Output` is JSON as text", "startExecution.sync:2"),
        {"S": {"Parameters": {"n.$": "States.StringToJson($.child.Output)"}}},
    ),
    Mistake(
        "function-without-parameters",
        {"S": task("f")},
        {"orderID": 1},
        ("reads `orderId`", "did you mean `orderID`"),
        mended_input={"orderId": 1},
        functions={"f": lambda event: event["orderId"]},
    ),
    Mistake(
        "filter-compared",
        choice({"Variable": "$..status", "StringEquals": "PAID"}),
        {"a": {"status": "PAID"}, "b": {"status": "PAID"}},
        ("a list of 2 items", "filter or wildcard gives a list"),
        rules({"Variable": "$.a.status", "StringEquals": "PAID"}),
    ),
    Mistake(
        "item-selector-with-one-dollar",
        {
            "S": {
                "Type": "Map",
                "ItemsPath": "$.items",
                "ItemSelector": {"sku.$": "$.Map.Item.Value.sku"},
                "ItemProcessor": inner(passes()),
            }
        },
        {"items": [{"sku": "a"}]},
        ("Context object", "write `$$.Map.Item.Value.sku`"),
        {"S": {"ItemSelector": {"sku.$": "$$.Map.Item.Value.sku"}}},
    ),
    Mistake(
        "item-selector-without-dollar-key",
        {
            "S": {
                "Type": "Map",
                "ItemsPath": "$.items",
                "ItemSelector": {"sku": "$$.Map.Item.Value.sku"},
                "ItemProcessor": inner(passes()),
            }
        },
        {"items": [{"sku": "a"}]},
        ("`sku` is the text", "`sku.$`"),
        {"S": {"ItemSelector": {"sku.$": "$$.Map.Item.Value.sku"}}},
    ),
    Mistake(
        "items-path-in-another-case",
        {"S": {"Type": "Map", "ItemsPath": "$.Items", "ItemProcessor": inner(passes())}},
        {"items": [1]},
        ("`$.items`", "case-sensitive"),
        {"S": {"ItemsPath": "$.items"}},
    ),
    Mistake(
        "whole-input-as-text",
        {
            "S": {
                "Type": "Task",
                "Resource": INVOKE,
                "Parameters": {"FunctionName": "f", "Payload": "$"},
            }
        },
        ORDER,
        ("`Payload` is the text", "`Payload.$`"),
        {"S": {"Parameters": {"FunctionName": "f", "Payload.$": "$"}}},
        functions={"f": {"Payload": 1}},
    ),
    Mistake(
        "event-beside-the-payload",
        {
            "S": {
                "Type": "Task",
                "Resource": INVOKE,
                "Parameters": {"FunctionName": "f", "id.$": "$.order.id"},
            }
        },
        ORDER,
        ("`id` is not a parameter of `lambda:invoke`", "event is in `Payload`"),
        {"S": {"Parameters": {"FunctionName": "f", "Payload": {"id.$": "$.order.id"}}}},
        functions={"f": {"Payload": 1}},
    ),
    Mistake(
        "slots-with-numbers",
        {"S": passes(Parameters={"m.$": "States.Format('Hi {0}', $.customer)"})},
        ORDER,
        ("{0} is no slot", "write {}"),
        {"S": {"Parameters": {"m.$": "States.Format('Hi {}', $.customer)"}}},
    ),
    Mistake(
        "item-out-of-bounds",
        {"S": passes(Parameters={"m.$": "States.ArrayGetItem($.order.items, 2)"})},
        ORDER,
        ("`$.order.items` has 2 items", "from 0"),
        {"S": {"Parameters": {"m.$": "States.ArrayGetItem($.order.items, 1)"}}},
    ),
    Mistake(
        "concurrency-of-text",
        {
            "S": {
                "Type": "Map",
                "ItemsPath": "$.items",
                "MaxConcurrencyPath": "$.most",
                "ItemProcessor": inner(passes()),
            }
        },
        {"items": [1], "most": "many"},
        ("MaxConcurrencyPath needs a whole number", '`$.most` is the string "many"'),
        mended_input={"items": [1], "most": 2},
    ),
    Mistake(
        "dot-in-a-name",
        {"S": passes(Parameters={"v.$": "$.app.version"})},
        {"app.version": "1"},
        ("dot in it", "`$['app.version']`"),
        {"S": {"Parameters": {"v.$": "$['app.version']"}}},
    ),
    Mistake(
        "cause-of-an-error-is-text",
        {"S": passes(Parameters={"m.$": "$.error.Cause.errorMessage"})},
        {"error": {"Error": "E", "Cause": '{"errorMessage": "no"}'}},
        ("`$.error.Cause` is JSON as text", "States.StringToJson($.error.Cause)"),
        {"S": {"Parameters": {"m.$": "States.StringToJson($.error.Cause)"}}},
    ),
    Mistake(
        "wait-narrows-its-input",
        {
            "Wait": {"Type": "Wait", "Seconds": 0, "InputPath": "$.order"},
            "S": passes(Parameters={"c.$": "$.customer"}),
        },
        ORDER,
        ("`Wait`", "its InputPath is `$.order`"),
        {"Wait": {"InputPath": "$"}},
    ),
    Mistake(
        "cause-path-of-a-fail",
        {"S": {"Type": "Fail", "Error": "E", "CausePath": "$.reason"}},
        {"cause": "x"},
        ("`$.reason` finds nothing", "it has `cause`"),
        {"S": {"Type": "Succeed", "Error": ABSENT, "CausePath": ABSENT}},
    ),
    Mistake(
        "parallel-parameters-cut",
        {
            "P": {
                "Type": "Parallel",
                "Parameters": {"id.$": "$.order.id"},
                "Branches": [inner(passes(Parameters={"c.$": "$.customer"}), "S")],
            }
        },
        ORDER,
        ("in the input of `P`", "its Parameters leaves it out"),
        {"P": {"Parameters": {"customer.$": "$.customer"}}},
    ),
    Mistake(
        "assigned-text",
        {"S": passes(Assign={"id": "$.order.id"})},
        ORDER,
        ("`id` is the text", "`id.$`"),
        {"S": {"Assign": {"id.$": "$.order.id"}}},
    ),
    Mistake(
        "nothing-in-a-rule-with-a-path",
        choice({"Variable": "$.total", "NumericGreaterThanPath": "$.limit"}),
        {"total": 5, "limits": 3},
        ("`$.limit`", "did you mean `$.limits`"),
        rules({"Variable": "$.total", "NumericGreaterThanPath": "$.limits"}),
    ),
    Mistake(
        "function-reads-another-name",
        {"S": task("f", Parameters={"orderID.$": "$.order.id"})},
        ORDER,
        ("reads `orderId`", "did you mean `orderID`"),
        {"S": {"Parameters": {"orderId.$": "$.order.id"}}},
        functions={"f": lambda event: event["orderId"]},
    ),
]

JSONATA = [
    Mistake(
        "jsonata-misspelled-name",
        {"S": passes(Output={"t": "{% $states.input.order.totl %}"})},
        {"order": {"total": 5}},
        ("`$states.input.order` has no `totl`", "did you mean `$states.input.order.total`"),
        {"S": {"Output": {"t": "{% $states.input.order.total %}"}}},
        jsonata=True,
    ),
    Mistake(
        "dollar-in-jsonata",
        {"S": passes(Output={"t": "{% $.order.total %}"})},
        {"order": {"total": 5}},
        ("In JSONata `$` is not the state input", "`$states.input.order.total`"),
        {"S": {"Output": {"t": "{% $states.input.order.total %}"}}},
        jsonata=True,
    ),
    Mistake(
        "plain-path-in-jsonata",
        {"S": passes(Output={"t": "$.order.total"})},
        {"order": {"total": 5}},
        ("is the text", "`{% $states.input.order.total %}`"),
        {"S": {"Output": {"t": "{% $states.input.order.total %}"}}},
        jsonata=True,
    ),
    Mistake(
        "dollar-key-in-jsonata",
        {"S": passes(Output={"t.$": "$.order.total"})},
        {"order": {"total": 5}},
        ("`t.$` is a plain name", "`{% $states.input.order.total %}`"),
        {"S": {"Output": {"t": "{% $states.input.order.total %}"}}},
        jsonata=True,
    ),
    Mistake(
        "context-in-jsonata",
        {"S": passes(Output="{% $$.Execution.Name %}")},
        {},
        ("`$states.context.Execution.Name`",),
        {"S": {"Output": "{% $states.context.Execution.Name %}"}},
        jsonata=True,
    ),
    Mistake(
        "embedded-expression",
        {"S": passes(Output={"m": "Hi {% $states.input.name %}"})},
        {"name": "Ada"},
        ("must be the whole string",),
        {"S": {"Output": {"m": "{% 'Hi ' & $states.input.name %}"}}},
        jsonata=True,
    ),
    Mistake(
        "result-for-the-input",
        {"S": task("f", Output="{% $states.input.stock %}")},
        ORDER,
        ("It is in the result", "`$states.result.stock`"),
        {"S": {"Output": "{% $states.result.stock %}"}},
        functions={"f": {"stock": 5}},
        jsonata=True,
    ),
    Mistake(
        "input-for-the-result",
        {"S": task("f", Output="{% $states.result.customer %}")},
        ORDER,
        ("The state input has it", "`$states.input.customer`"),
        {"S": {"Output": "{% $states.input.customer %}"}},
        functions={"f": {"stock": 5}},
        jsonata=True,
    ),
    Mistake(
        "jsonata-payload",
        {
            "S": {
                "Type": "Task",
                "Resource": INVOKE,
                "Arguments": {"FunctionName": "f"},
                "Output": "{% $states.result.stock %}",
            }
        },
        {},
        ("in Payload", "`$states.result.Payload.stock`"),
        {"S": {"Output": "{% $states.result.Payload.stock %}"}},
        functions={"f": {"Payload": {"stock": 5}}},
        jsonata=True,
    ),
    Mistake(
        "jsonata-lost-input",
        {"Fetch": task("f"), "S": passes(Output="{% $states.input.customer %}")},
        ORDER,
        ("`Fetch` had `$states.input.customer`", "without Output the result is the output"),
        {"Fetch": {"Output": "{% $merge([$states.input, $states.result]) %}"}},
        functions={"f": {"stock": 5}},
        jsonata=True,
    ),
    Mistake(
        "name-with-a-hyphen",
        {"S": passes(Output="{% $states.input.order-id %}")},
        {"order-id": 7},
        ("did you mean `$states.input.`order-id``",),
        {"S": {"Output": "{% $states.input.`order-id` %}"}},
        jsonata=True,
    ),
    Mistake(
        "variable-as-a-member-of-states",
        {"A": passes(Assign={"total": 1}), "S": passes(Output="{% $states.total %}")},
        {},
        ("`total` is a variable: write `$total`",),
        {"S": {"Output": "{% $total %}"}},
        jsonata=True,
    ),
    Mistake(
        "map-over-the-input",
        {"S": {"Type": "Map", "ItemProcessor": inner(passes())}},
        {"items": [1]},
        ("Without Items the Map iterates over its input", "{% $states.input.items %}"),
        {"S": {"Items": "{% $states.input.items %}"}},
        jsonata=True,
    ),
    Mistake(
        "compare-text-and-number",
        {"S": passes(Output="{% $states.input.n > 5 %}")},
        {"n": "7"},
        ("not a number", "`$number($states.input.n)`"),
        {"S": {"Output": "{% $number($states.input.n) > 5 %}"}},
        jsonata=True,
    ),
    Mistake(
        "condition-on-an-absent-member",
        {
            "S": {
                "Type": "Choice",
                "Choices": [{"Condition": "{% $states.input.n > 5 %}", "Next": "Yes"}],
                "Default": "Yes",
            },
            "Yes": {"Type": "Succeed"},
        },
        {"total": 1},
        ("has no `n`", "$exists"),
        mended_input={"n": 1},
        jsonata=True,
    ),
    Mistake(
        "states-without-dollar",
        {"S": passes(Output="{% states.input.order.id %}")},
        ORDER,
        ("`$states` begins with a `$`",),
        {"S": {"Output": "{% $states.input.order.id %}"}},
        jsonata=True,
    ),
    Mistake(
        "bare-name",
        {"S": passes(Output="{% order.id %}")},
        ORDER,
        ("`order` is read from nothing", "`$states.input.order.id`"),
        {"S": {"Output": "{% $states.input.order.id %}"}},
        jsonata=True,
    ),
    Mistake(
        "timestamp-of-a-wait",
        {"S": {"Type": "Wait", "Timestamp": "{% $states.input.at %}"}},
        {"at": "2020-01-01"},
        ('the text "2020-01-01"', "zone"),
        mended_input={"at": "2020-01-01T00:00:00Z"},
        jsonata=True,
    ),
    Mistake(
        "seconds-of-text",
        {"S": {"Type": "Wait", "Seconds": "{% $states.input.s %}"}},
        {"s": "0"},
        ("It is text", "`$number($states.input.s)`"),
        {"S": {"Seconds": "{% $number($states.input.s) %}"}},
        jsonata=True,
    ),
    Mistake(
        "sum-of-texts",
        {"S": passes(Output="{% $sum($states.input.items.price) %}")},
        {"items": [{"price": "1"}, {"price": "2"}]},
        ("with texts in it", "$number"),
        {"S": {"Output": "{% $sum($states.input.items.$number(price)) %}"}},
        jsonata=True,
    ),
    Mistake(
        "error-output-by-another-name",
        {
            "S": task(
                "f",
                Catch=[
                    {
                        "ErrorEquals": ["States.ALL"],
                        "Output": "{% $states.error.Cause %}",
                        "Next": "Done",
                    }
                ],
                Next="Done",
            ),
            "Done": {"Type": "Succeed"},
        },
        ORDER,
        ("did you mean `$states.errorOutput`",),
        {
            "S": {
                "Catch": [
                    {
                        "ErrorEquals": ["States.ALL"],
                        "Output": "{% $states.errorOutput.Cause %}",
                        "Next": "Done",
                    }
                ]
            }
        },
        functions={"f": ("E", "why")},
        jsonata=True,
    ),
    Mistake(
        "jsonata-catch-loses-the-input",
        {
            "Try": task("f", Catch=[{"ErrorEquals": ["States.ALL"], "Next": "S"}], Next="S"),
            "S": passes(Output="{% $states.input.customer %}"),
        },
        ORDER,
        ("`Try`", "its Catch has no Output"),
        {
            "Try": {
                "Catch": [
                    {"ErrorEquals": ["States.ALL"], "Output": "{% $states.input %}", "Next": "S"}
                ]
            }
        },
        functions={"f": ("E", "why")},
        jsonata=True,
    ),
    Mistake(
        "jsonata-iteration-reads-the-input",
        {
            "M": {
                "Type": "Map",
                "Items": "{% $states.input.items %}",
                "ItemProcessor": inner(passes(Output="{% $states.input.customer %}"), "S"),
            }
        },
        {"items": [{"sku": "a"}], "customer": "Ada"},
        ("input of the Map `M`", "ItemSelector"),
        {"M": {"ItemSelector": {"customer": "{% $states.input.customer %}"}}},
        jsonata=True,
    ),
    Mistake(
        "jsonata-member-left-out",
        {"S": passes(Output="{% {'id': $states.input.order.idd} %}")},
        ORDER,
        ("did you mean `$states.input.order.id`",),
        {"S": {"Output": "{% {'id': $states.input.order.id} %}"}},
        jsonata=True,
    ),
    Mistake(
        "jsonata-attribute-value",
        {"S": passes(Output="{% $states.input.Item.total + 1 %}")},
        {"Item": {"total": {"N": "5"}}},
        ("attribute value of DynamoDB",),
        {"S": {"Output": "{% $number($states.input.Item.total.N) + 1 %}"}},
        jsonata=True,
    ),
    Mistake(
        "name-in-a-function",
        {"S": passes(Output="{% $map($states.input.items, function($i) { $i.prce * 2 }) %}")},
        {"items": [{"price": 1}, {"price": 2}]},
        ("`prce` finds nothing", "did you mean `price`"),
        {"S": {"Output": "{% $map($states.input.items, function($i) { $i.price * 2 }) %}"}},
        jsonata=True,
    ),
    Mistake(
        "predicate-on-text",
        {"S": passes(Output="{% $states.input.items[id = 5].sku %}")},
        {"items": [{"id": "5", "sku": "a"}]},
        ("`id = 5` is false", "`$number(id)`"),
        {"S": {"Output": "{% $states.input.items[id = '5'].sku %}"}},
        jsonata=True,
    ),
    Mistake(
        "count-compared-with-text",
        {"S": passes(Output="{% $count($states.input.items) > '0' %}")},
        {"items": [1]},
        ('the string "0", not a number',),
        {"S": {"Output": "{% $count($states.input.items) > 0 %}"}},
        jsonata=True,
    ),
    Mistake(
        "path-within-text",
        {"S": passes(Output={"m": "Hello $states.input.name"})},
        {"name": "Ada"},
        ("must be the whole string", "`&`"),
        {"S": {"Output": {"m": "{% 'Hello ' & $states.input.name %}"}}},
        jsonata=True,
    ),
    Mistake(
        "no-else",
        {"S": passes(Output="{% $states.input.n > 3 ? 'big' %}")},
        {"n": 2},
        ("`$states.input.n > 3` is false", "no else"),
        {"S": {"Output": "{% $states.input.n > 3 ? 'big' : 'small' %}"}},
        jsonata=True,
    ),
    Mistake(
        "predicate-finds-nothing",
        {"S": passes(Output="{% $states.input.items[n > 3].sku %}")},
        {"items": [{"n": 1, "sku": "a"}, {"n": 2, "sku": "b"}]},
        ("none of the 2 items of `$states.input.items`", "No item passes the predicate"),
        {"S": {"Output": "{% [$states.input.items[n > 3].sku] %}"}},
        jsonata=True,
    ),
    Mistake(
        "single-match-is-no-list",
        {
            "S": {
                "Type": "Map",
                "Items": "{% $states.input.items[n > 1] %}",
                "ItemProcessor": inner(passes()),
            }
        },
        {"items": [{"n": 1}, {"n": 2}]},
        ("single match without a list",),
        {"S": {"Items": "{% [$states.input.items[n > 1]] %}"}},
        jsonata=True,
    ),
    Mistake(
        "plus-joins-nothing",
        {"S": passes(Output="{% 'Hi ' + $states.input.name %}")},
        {"name": "Ada"},
        ("`+` adds numbers", "`&` joins"),
        {"S": {"Output": "{% 'Hi ' & $states.input.name %}"}},
        jsonata=True,
    ),
    Mistake(
        "sum-of-text",
        {"S": passes(Output="{% $states.input.n + 1 %}")},
        {"n": "5"},
        ("not a number", "`$number($states.input.n)`"),
        {"S": {"Output": "{% $number($states.input.n) + 1 %}"}},
        jsonata=True,
    ),
    Mistake(
        "no-such-function",
        {"S": passes(Output="{% $toUpper($states.input.name) %}")},
        {"name": "Ada"},
        ("There is no function `$toUpper`",),
        {"S": {"Output": "{% $uppercase($states.input.name) %}"}},
        jsonata=True,
    ),
    Mistake(
        "intrinsic-in-jsonata",
        {"S": passes(Output="{% States.Format('Hi {}', $states.input.name) %}")},
        {"name": "Ada"},
        ("exist in JSONPath only",),
        {"S": {"Output": "{% 'Hi ' & $states.input.name %}"}},
        jsonata=True,
    ),
    Mistake(
        "condition-on-text",
        {
            "S": {
                "Type": "Choice",
                "Choices": [{"Condition": "{% $states.input.n = 5 %}", "Next": "Yes"}],
                "Default": "No",
            },
            "Yes": {"Type": "Succeed"},
            "No": {"Type": "Succeed"},
        },
        {"n": "5"},
        ("is false", 'the string "5"', "`$number($states.input.n)`"),
        {"S": {"Choices": [{"Condition": "{% $number($states.input.n) = 5 %}", "Next": "Yes"}]}},
        jsonata=True,
    ),
    Mistake(
        "condition-is-not-boolean",
        {
            "S": {
                "Type": "Choice",
                "Choices": [{"Condition": "{% $states.input.ok %}", "Next": "Yes"}],
                "Default": "No",
            },
            "Yes": {"Type": "Succeed"},
            "No": {"Type": "Succeed"},
        },
        {"ok": "yes"},
        ("must be true or false",),
        {"S": {"Choices": [{"Condition": "{% $states.input.ok = 'yes' %}", "Next": "Yes"}]}},
        jsonata=True,
    ),
    Mistake(
        "jsonata-json-text",
        {"S": passes(Output="{% $states.input.body.id %}")},
        {"body": '{"id": 7}'},
        ("`$states.input.body` is JSON as text", "`$parse($states.input.body)`"),
        {"S": {"Output": "{% $parse($states.input.body).id %}"}},
        jsonata=True,
    ),
    Mistake(
        "jsonata-variable-in-its-own-state",
        {"S": passes(Assign={"n": 1}, Output="{% $n %}")},
        {},
        ("`S` itself assigns `$n`",),
        {"S": {"Output": 1}},
        jsonata=True,
    ),
    Mistake(
        "jsonata-index",
        {"S": passes(Output="{% $states.input.items[2].sku %}")},
        {"items": [{"sku": "a"}, {"sku": "b"}]},
        ("`$states.input.items` has 2 items", "no [2]"),
        {"S": {"Output": "{% $states.input.items[1].sku %}"}},
        jsonata=True,
    ),
    Mistake(
        "sum-of-a-misspelled-name",
        {"S": passes(Output="{% $sum($states.input.items.pric) %}")},
        {"items": [{"price": 1}, {"price": 2}]},
        ("`$states.input.items.pric`", "price"),
        {"S": {"Output": "{% $sum($states.input.items.price) %}"}},
        jsonata=True,
    ),
    Mistake(
        "function-without-a-call",
        {"S": passes(Output={"id": "{% $uuid %}"})},
        {},
        ("`$uuid` is the function itself: call it, `$uuid()`",),
        {"S": {"Output": {"id": "{% $uuid() %}"}}},
        jsonata=True,
    ),
    Mistake(
        "function-as-a-member-beside-an-argument",
        {"S": passes(Output="{% {'all': $map($states.input.n, $string), 'id': $uuid} %}")},
        {"n": [1, 2]},
        ("`$uuid` is the function itself: call it, `$uuid()`",),
        {"S": {"Output": "{% {'all': $map($states.input.n, $string), 'id': $uuid()} %}"}},
        jsonata=True,
    ),
    Mistake(
        "function-of-a-condition",
        {"S": passes(Output="{% $states.input.n > 0 ? $uuid : 'none' %}")},
        {"n": 1},
        ("`$uuid` is the function itself: call it, `$uuid()`",),
        {"S": {"Output": "{% $states.input.n > 0 ? $uuid() : 'none' %}"}},
        jsonata=True,
    ),
    Mistake(
        "function-as-a-member",
        {"S": passes(Output="{% {'at': $now, 'n': $states.input.n} %}")},
        {"n": 1},
        ("call it, `$now()`",),
        {"S": {"Output": "{% {'at': $now(), 'n': $states.input.n} %}"}},
        jsonata=True,
    ),
    Mistake(
        "pattern-without-a-value",
        {"S": passes(Output="{% $contains($states.input.text, $states.input.wrd) ? 1 : 2 %}")},
        {"text": "abc", "word": "b"},
        ("`$states.input.wrd` finds nothing", "`$states.input.word`"),
        {"S": {"Output": "{% $contains($states.input.text, $states.input.word) ? 1 : 2 %}"}},
        jsonata=True,
    ),
    Mistake(
        "result-in-a-pass",
        {"S": passes(Output="{% $states.context.Map.Item.Value %}")},
        {},
        ("`Map.Item` exists only in",),
        {"S": {"Output": "{% $states.context.State.Name %}"}},
        jsonata=True,
    ),
]
MISTAKES = JSONPATH + JSONATA
