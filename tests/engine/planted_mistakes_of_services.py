"""More planted mistakes: what services return, names that are nearly right, comparisons that are
never true, arguments of functions.
"""

from typing import Any

from tests.engine.planted_mistakes import (
    ABSENT,
    ORDER,
    Mistake,
    States,
    choice,
    inner,
    passes,
    rules,
    task,
)

SERVICE = "arn:aws:states:::"
CATCH_ALL = {"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "S"}
BRANCHES = [
    inner(passes(Result=7, ResultPath="$.score"), "A"),
    inner(passes(Parameters={"n.$": "$.score"}), "S"),
]


def call(action: str, **fields: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": SERVICE + action, **fields}


def each(processor: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"Type": "Map", "ItemsPath": "$.order.items", "ItemProcessor": processor, **fields}


def condition(text: str) -> States:
    rule = {"Condition": f"{{% {text} %}}", "Next": "Yes"}
    ends: States = {"Yes": {"Type": "Succeed"}, "No": {"Type": "Succeed"}}
    return {"S": {"Type": "Choice", "Choices": [rule], "Default": "No"}, **ends}


def output(name: str, wrong: str, right: str, input: Any, *says: str) -> Mistake:
    """A Pass whose Output is an expression."""
    return Mistake(
        name,
        {"S": passes(Output=f"{{% {wrong} %}}")},
        input,
        says,
        {"S": {"Output": f"{{% {right} %}}"}},
        jsonata=True,
    )


def test(
    name: str, wrong: dict[str, Any], right: dict[str, Any], value: Any, *says: str
) -> Mistake:
    """A Choice with one rule on `$.x`."""
    return Mistake(
        name,
        choice({"Variable": "$.x", **wrong}),
        {"x": value},
        says,
        rules({"Variable": "$.x", **right}),
    )


MISTAKES = [
    # --- results of services ----------------------------------------------------------------------
    Mistake(
        "does-not-wait",
        {"S": call("glue:startJobRun", ResultSelector={"at.$": "$.CompletedOn"})},
        {},
        ("no `CompletedOn`", "does not wait for the end", "glue:startJobRun.sync`"),
        {"S": {"ResultSelector": {"id.$": "$.JobRunId"}}},
        functions={"startJobRun": {"JobRunId": "r"}},
    ),
    Mistake(
        "nested-execution-does-not-wait",
        {
            "Run": call("states:startExecution", ResultPath="$.child"),
            "S": passes(Parameters={"o.$": "$.child.Output"}),
        },
        {},
        ("`$.child` has no `Output`", "states:startExecution.sync:2`"),
        {"S": {"Parameters": {"o.$": "$.child.ExecutionArn"}}},
        functions={"startExecution": {"ExecutionArn": "a", "StartDate": "d"}},
    ),
    Mistake(
        "no-item-has-the-key",
        {
            "Get": call("dynamodb:getItem", ResultPath="$.row"),
            "S": passes(Parameters={"n.$": "$.row.Item.total.N"}),
        },
        {},
        ("getItem returns no `Item`", "test `$.row.Item` with IsPresent"),
        {"S": {"Parameters": {"n.$": "$.row"}}},
        functions={"getItem": {"SdkHttpMetadata": {"HttpStatusCode": 200}}},
    ),
    Mistake(
        "empty-list-is-left-out",
        {
            "List": call("aws-sdk:s3:listObjectsV2", ResultPath="$.list"),
            "S": passes(Parameters={"all.$": "$.list.Contents"}),
        },
        {},
        ("leaves out what it has no value for", "test `$.list.Contents` with IsPresent"),
        {"S": {"Parameters": {"all.$": "$.list.KeyCount"}}},
        functions={"listObjectsV2": {"KeyCount": 0, "Name": "b"}},
    ),
    Mistake(
        "body-of-a-response",
        {"S": call("http:invoke", ResultSelector={"v.$": "$.body"})},
        {},
        ("did you mean `$.ResponseBody`",),
        {"S": {"ResultSelector": {"v.$": "$.ResponseBody"}}},
        functions={"invoke": {"ResponseBody": {"id": 1}, "StatusCode": 200}},
    ),
    Mistake(
        "id-of-a-query",
        {
            "S": call(
                "athena:startQueryExecution.sync", ResultSelector={"a.$": "$.QueryExecutionId"}
            )
        },
        {},
        ("`$.QueryExecution.QueryExecutionId`",),
        {"S": {"ResultSelector": {"a.$": "$.QueryExecution.QueryExecutionId"}}},
        functions={"startQueryExecution": {"QueryExecution": {"QueryExecutionId": "1"}}},
    ),
    Mistake(
        "message-of-an-error",
        {"Try": task("f", Catch=[CATCH_ALL], Next="S"), "S": passes(InputPath="$.error.message")},
        {},
        ("It is an Error Output", "`$.error.Cause` its text"),
        {"S": {"InputPath": "$.error.Cause"}},
        functions={"f": ("E", "why")},
    ),
    Mistake(
        "payload-that-was-selected",
        {
            "F": call(
                "lambda:invoke",
                Parameters={"FunctionName": "f"},
                ResultSelector={"id.$": "$.Payload.id"},
                ResultPath="$.f",
            ),
            "S": passes(Parameters={"a.$": "$.f.Payload.id"}),
        },
        {},
        ("Without that step the path leads to a value: write `$.f.id`",),
        {"S": {"Parameters": {"a.$": "$.f.id"}}},
        functions={"f": {"Payload": {"id": 1}}},
    ),
    # --- data flow --------------------------------------------------------------------------------
    Mistake(
        "output-path-after-null",
        {"S": task("f", ResultPath=None, OutputPath="$.stock")},
        ORDER,
        ("ResultPath is null, which discards the result that has it",),
        {"S": {"ResultPath": "$"}},
        functions={"f": {"stock": 5}},
    ),
    Mistake(
        "assign-reads-the-input",
        {"S": task("f", Assign={"id.$": "$.order.id"})},
        ORDER,
        ("Assign reads the result of the Task", "in a state before this one"),
        {"S": {"Assign": {"id.$": "$.stock"}}},
        functions={"f": {"stock": 5}},
    ),
    Mistake(
        "value-of-another-branch",
        {"P": {"Type": "Parallel", "Branches": BRANCHES}},
        ORDER,
        ("`A` makes `score` in another branch of `P`", "do not see each other's data"),
        {"P": {"Branches": [BRANCHES[0], inner(passes(InputPath="$.customer"), "S")]}},
    ),
    Mistake(
        "selector-without-the-item",
        {
            "M": each(
                inner(passes(Parameters={"p.$": "$.price"}), "S"),
                ItemSelector={"customer.$": "$.customer"},
            )
        },
        ORDER,
        ("The items of `M` have it", '"price.$": "$$.Map.Item.Value.price"'),
        {"M": {"ItemSelector": {"price.$": "$$.Map.Item.Value.price"}}},
    ),
    Mistake(
        "jsonata-selector-without-the-item",
        {
            "M": {
                "Type": "Map",
                "Items": "{% $states.input.order.items %}",
                "ItemProcessor": inner(passes(Output="{% $states.input.price %}"), "S"),
                "ItemSelector": {"customer": "{% $states.input.customer %}"},
            }
        },
        ORDER,
        ("The items of `M` have it", "$states.context.Map.Item.Value.price %}"),
        {"M": {"ItemSelector": "{% $states.context.Map.Item.Value %}"}},
        jsonata=True,
    ),
    Mistake(
        "iterations-that-fail",
        {
            "M": each(
                inner(
                    passes(InputPath="$.prize"),
                    ProcessorConfig={"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                )
            )
        },
        ORDER,
        ("More iterations failed than the Map tolerates", "list --map-run EXECUTION"),
        {"M": {"ToleratedFailurePercentage": 100}},
        at="M",
    ),
    Mistake(
        "length-of-a-list",
        {"S": passes(Parameters={"n.$": "$.order.items.length"})},
        ORDER,
        ("`$.order.items` is a list of 2 items", "`States.ArrayLength($.order.items)`"),
        {"S": {"Parameters": {"n.$": "States.ArrayLength($.order.items)"}}},
    ),
    Mistake(
        "index-behind-a-wildcard",
        {"S": passes(Parameters={"p.$": "$.order.items[*].price[0]"})},
        ORDER,
        ("an index behind `*`", "`States.ArrayGetItem($.order.items[*].price, 0)`"),
        {"S": {"Parameters": {"p.$": "States.ArrayGetItem($.order.items[*].price, 0)"}}},
    ),
    Mistake(
        "arn-of-the-execution",
        {"S": passes(Parameters={"a.$": "$$.Execution.Arn"})},
        {},
        ("`$$.Execution` has no `Arn`", "write `$$.Execution.Id`"),
        {"S": {"Parameters": {"a.$": "$$.Execution.Id"}}},
    ),
    Mistake(
        "index-of-an-item",
        {"S": each(inner(passes()), ItemSelector={"i.$": "$$.Map.Index"})},
        ORDER,
        ("`$$.Map` has no `Index`", "write `$$.Map.Item.Index`"),
        {"S": {"ItemSelector": {"i.$": "$$.Map.Item.Index"}}},
    ),
    # --- variables --------------------------------------------------------------------------------
    Mistake(
        "variable-of-another-rule",
        {
            "C": {
                "Type": "Choice",
                "Choices": [
                    {
                        "Variable": "$.n",
                        "NumericGreaterThan": 5,
                        "Assign": {"size": "big"},
                        "Next": "S",
                    }
                ],
                "Default": "S",
            },
            "S": passes(Parameters={"s.$": "$size"}),
        },
        {"n": 1},
        ("`C` assigns `$size` in another rule than the one that was taken",),
        {"C": {"Assign": {"size": "small"}}},
    ),
    Mistake(
        "variable-of-a-failed-task",
        {
            "Try": task("f", Assign={"tried": True}, Catch=[CATCH_ALL], Next="S"),
            "S": passes(Parameters={"t.$": "$tried"}),
        },
        {},
        ("`Try` failed, and its Assign is for its success", "give the Catch"),
        {"Try": {"Catch": [{**CATCH_ALL, "Assign": {"tried": True}}]}},
        functions={"f": ("E", "x")},
    ),
    Mistake(
        "variable-of-a-catch",
        {
            "Try": task("f", Catch=[{**CATCH_ALL, "Assign": {"failed": True}}], Next="S"),
            "S": passes(Parameters={"t.$": "$failed"}),
        },
        {},
        ("`Try` assigns `$failed` in its Catch only",),
        {"Try": {"Assign": {"failed": False}}},
        functions={"f": 1},
    ),
    # --- comparisons ------------------------------------------------------------------------------
    Mistake(
        "presence-tested-too-late",
        choice(
            {
                "And": [
                    {"Variable": "$.coupon", "StringEquals": "X"},
                    {"Variable": "$.coupon", "IsPresent": True},
                ]
            }
        ),
        {"total": 5},
        ("And[1] tests IsPresent too late", "put it before And[0]"),
        rules(
            {
                "And": [
                    {"Variable": "$.coupon", "IsPresent": True},
                    {"Variable": "$.coupon", "StringEquals": "X"},
                ]
            }
        ),
    ),
    test(
        "regular-expression",
        {"StringMatches": "^ORD-.*$"},
        {"StringMatches": "ORD-*"},
        "ORD-17",
        '"^ORD-.*$" is a regular expression',
        "`*` only",
    ),
    test(
        "pattern-of-sql",
        {"StringMatches": "ORD%"},
        {"StringMatches": "ORD*"},
        "ORD-17",
        "is `*`, not `%`",
    ),
    test(
        "alternatives",
        {"StringMatches": "PAID|SENT"},
        {"StringEquals": "PAID"},
        "PAID",
        "`|` has no meaning",
        "in an Or",
    ),
    test(
        "equals-with-a-wildcard",
        {"StringEquals": "ORD-*"},
        {"StringMatches": "ORD-*"},
        "ORD-17",
        "in StringMatches only",
    ),
    test(
        "boolean-as-number", {"BooleanEquals": True}, {"NumericEquals": 1}, 1, "use NumericEquals 1"
    ),
    test(
        "text-in-a-list",
        {"StringEquals": "a"},
        {"IsPresent": True},
        ["a", "b"],
        "a list of 2 items, not a string",
        "`States.ArrayContains($.x, 'a')`",
    ),
    test(
        "member-of-an-object",
        {"NumericGreaterThan": 3},
        {"IsPresent": True},
        {"total": 7},
        "an object with `total`, not a number",
        "did you mean `$.x.total`",
    ),
    test(
        "date-in-another-form",
        {"TimestampGreaterThan": "2024-01-01T00:00:00Z"},
        {"StringEquals": "05/01/2024"},
        "05/01/2024",
        "no timestamp of ISO 8601",
    ),
    # --- intrinsic functions ----------------------------------------------------------------------
    Mistake(
        "algorithm-of-a-hash",
        {"S": passes(Parameters={"h.$": "States.Hash($.customer, 'sha256')"})},
        ORDER,
        ("one of MD5, SHA-1, SHA-256",),
        {"S": {"Parameters": {"h.$": "States.Hash($.customer, 'SHA-256')"}}},
    ),
    Mistake(
        "list-in-text",
        {"S": passes(Parameters={"h.$": "States.ArrayContains($.tags, 'a')"})},
        {"tags": "a,b"},
        ("split it with `States.StringSplit($.tags, ',')`",),
        {"S": {"Parameters": {"h.$": "States.StringSplit($.tags, ',')"}}},
    ),
    # --- JSONata ----------------------------------------------------------------------------------
    Mistake(
        "absent-is-not-null",
        condition("$states.input.x = null"),
        {"y": 1},
        ("`$states.input.x` is absent, which is not null", "`$not($exists($states.input.x))`"),
        condition("$not($exists($states.input.x))"),
        jsonata=True,
    ),
    Mistake(
        "absent-is-not-unequal",
        condition("$states.input.x != 'a'"),
        {"y": 1},
        ("`!=` is false then, too", "`$not($states.input.x = "),
        condition("$not($states.input.x = 'a')"),
        jsonata=True,
    ),
    Mistake(
        "equals-a-list",
        condition("$states.input.tags = 'a'"),
        {"tags": ["a", "b"]},
        ("write `'a' in $states.input.tags`",),
        condition("'a' in $states.input.tags"),
        jsonata=True,
    ),
    output(
        "eval",
        "$eval($states.input.t)",
        "$parse($states.input.t)",
        {"t": '{"a": 1}'},
        "has no `$eval`: `$parse`",
    ),
    output(
        "name-in-brackets",
        "$states.input['customer']",
        "$states.input.customer",
        ORDER,
        "true for every value",
        "write `$states.input.customer`",
    ),
    output(
        "text-as-a-boolean",
        "$states.input.ok ? 'a' : 'b'",
        "$states.input.ok = 'true' ? 'a' : 'b'",
        {"ok": "false"},
        "every text but the empty one counts as true",
        "`$states.input.ok = 'true'`",
    ),
    output(
        "join-of-numbers",
        "$join($states.input.ids, ',')",
        "$join($states.input.ids.$string(), ',')",
        {"ids": [1, 2]},
        "with the number 1 in it",
        "$states.input.ids.$string()",
    ),
    output(
        "split-of-a-number",
        "$split($states.input.id, '-')",
        "$split($string($states.input.id), '-')",
        {"id": 12},
        "the number 12, not a string",
        "`$string($states.input.id)`",
    ),
    output(
        "length-for-count",
        "$length($states.input.order.items)",
        "$count($states.input.order.items)",
        ORDER,
        "`$count($states.input.order.items)`",
    ),
    output(
        "member-for-count",
        "$states.input.order.items.length",
        "$count($states.input.order.items)",
        ORDER,
        "`$count($states.input.order.items)`",
    ),
    output(
        "method-of-a-list",
        "$states.input.order.items.count()",
        "$count($states.input.order.items)",
        ORDER,
        "no methods such as `.count()`",
        "`$count($states.input.order.items)`",
    ),
    output(
        "time-as-text",
        "$fromMillis($states.input.t)",
        "$fromMillis($number($states.input.t))",
        {"t": "1700000000000"},
        "not a number: write `$fromMillis($number($states.input.t))`",
    ),
    output(
        "objects-not-in-a-list",
        "$merge($states.input, {'a': 1})",
        "$merge([$states.input, {'a': 1}])",
        ORDER,
        "`$merge` takes one list of objects",
    ),
    output(
        "plus-for-lists",
        "$states.input.order.items + [1]",
        "$append($states.input.order.items, 1)",
        ORDER,
        "`$append(a, b)` joins lists",
    ),
    output(
        "seconds-added-to-text",
        "$now() + 3600",
        "$fromMillis($millis() + 3600000)",
        {},
        "times are added in milliseconds",
    ),
    output(
        "text-without-quotes",
        "$states.input.items[sku = a].n",
        "$states.input.items[sku = 'a'].n",
        {"items": [{"sku": "a", "n": 1}]},
        "a text is in quotes, `'a'`",
    ),
    Mistake(
        "milliseconds-for-a-timestamp",
        {"S": {"Type": "Wait", "Timestamp": "{% $millis() %}"}},
        {},
        ("write `$fromMillis($millis())`",),
        {"S": {"Timestamp": "{% $fromMillis($millis()) %}"}},
        jsonata=True,
    ),
    Mistake(
        "negative-seconds",
        {"S": {"Type": "Wait", "Seconds": "{% $states.input.s %}"}},
        {"s": -4},
        ("The value is -4", "$max([0, $states.input.s])"),
        {"S": {"Seconds": "{% $max([0, $states.input.s]) %}"}},
        jsonata=True,
    ),
    Mistake(
        "cause-is-an-object",
        {"S": {"Type": "Fail", "Error": "E", "Cause": "{% $states.input %}"}},
        {"a": 1},
        ("It is an object: write `$string($states.input)`",),
        {"S": {"Type": "Succeed", "Error": ABSENT, "Cause": ABSENT}},
        jsonata=True,
    ),
]
