import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepwell.asl.evaluation import MISSING, Env, InlineBudgetError, StateError
from stepwell.asl.expression_errors import ExpressionError, ExpressionSyntaxError, Fault
from stepwell.asl.jsonata import (
    Jsonata,
    _compiled,
    compile_jsonata,
    is_expression,
    reads_states_member,
    variables_read,
)
from stepwell.asl.jsonata_values import compile_typed, compile_value, expect, expressions
from stepwell.asl.limits import Limits

NOW = 1_700_000_000.123
INPUT = {
    "a": {"b": 1},
    "items": [{"price": 1, "n": "x"}, {"price": 2.5, "n": "y"}],
    "none": None,
    "one": [7],
    "empty": [],
}


def entropy(seed: str = "seed") -> Callable[[], bytes]:
    draws = iter(range(1_000))
    return lambda: hashlib.md5(f"{seed} {next(draws)}".encode()).digest()


def environment(input: Any = None, variables: dict[str, Any] | None = None, **more: Any) -> Env:
    parts = {
        "context": lambda: {"Execution": {"Id": "arn"}},
        "entropy": entropy(),
        "now": NOW,
        **more,
    }
    return Env(INPUT if input is None else input, variables or {}, **parts)


def value(source: str, env: Env | None = None, limits: Limits | None = None) -> Any:
    compiled = compile_jsonata(source) if limits is None else Jsonata(source, limits)
    return compiled.evaluate(env or environment(), "Output")


def cause(
    source: str, env: Env | None = None, field: str = "Output", limits: Limits | None = None
) -> str:
    with pytest.raises(StateError) as caught:
        (compile_jsonata(source) if limits is None else Jsonata(source, limits)).evaluate(
            env or environment(), field
        )
    assert (caught.value.error, caught.value.location, caught.value.bare) == (
        "States.QueryEvaluationError",
        field,
        False,
    )
    return str(caught.value.cause)


# --- syntax ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["{% 1 %}", "{%%}", "{%1%}", "{% '%}' %}", "{%\n1\n%}"])
def test_expression(text: str) -> None:
    assert is_expression(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{%}",
        "{%",
        "%}",
        " {% states.input %} ",
        "{% 1 %} ",
        " {% 1 %}",
        "{ % 1 %}",
        "$states.input",
        "{% 1 }",
    ],
)
def test_not_an_expression(text: str) -> None:
    assert not is_expression(text)


@pytest.mark.parametrize(
    ("source", "column", "text"),
    [
        (
            "1 +",
            4,
            "The JSONata expression '1 +' could not be parsed. S0207: Unexpected end of expression",
        ),
        (
            "",
            1,
            "The JSONata expression '' could not be parsed. S0207: Unexpected end of expression",
        ),
        (
            "(1",
            3,
            (
                "The JSONata expression '(1' could not be parsed. S0203: Expected \")\" before "
                "end of expression"
            ),
        ),
        (
            "1) + (1",
            2,
            "The JSONata expression '1) + (1' could not be parsed. S0201: Syntax error: \")\"",
        ),
        ("1 2", 3, "The JSONata expression '1 2' could not be parsed. S0201: Syntax error: 2"),
        (
            "['a' 1]",
            6,
            "The JSONata expression '['a' 1]' could not be parsed. S0202: Expected \"]\", got 1",
        ),
        (
            "'\ud800'",
            2,
            "The JSONata expression ''\ud800'' could not be parsed. S0104: surrogates not allowed",
        ),
        (
            "1 /* open",
            3,
            (
                "The JSONata expression '1 /* open' could not be parsed. S0106: Comment has no "
                "closing tag"
            ),
        ),
    ],
)
def test_syntax_errors(source: str, column: int, text: str) -> None:
    with pytest.raises(ExpressionSyntaxError) as caught:
        compile_jsonata(source)
    assert (caught.value.message, caught.value.column) == (text, column)


@pytest.mark.parametrize(
    ("source", "column"),
    [
        ("$v ?? 1", 4),
        ("($v) ?: 2", 6),
        ("(a ?? b) ?? '??'", 4),
        ("($f := function($x)<s?:s>{$x}; $f('a') ?: 'b')", 40),
    ],
)
def test_operators_newer_than_those_of_step_functions(source: str, column: int) -> None:
    """JSONata has them since 2.1. With 2.0.6 the definition is refused."""
    with pytest.raises(ExpressionSyntaxError) as caught:
        compile_jsonata(source)
    operator = source[column - 1 : column + 1]
    assert caught.value.column == column and caught.value.message == (
        f"The JSONata expression '{source}' could not be parsed. S0211: The symbol "
        f'"{operator[1]}" cannot be used as a unary operator. Step Functions has JSONata 2.0.6, '
        f"which lacks `{operator}`: write `{'$exists(a)' if operator == '??' else 'a'} ? a : b`"
    )


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('"a ?? b ?: c"', "a ?? b ?: c"),
        ("$contains('abc', /ab??/)", True),
        ("/* a ?? b */ 1", 1),
        ("{'a??': 1}.`a??`", 1),
        ("function($x)<n?:n>{$x}(1)", 1),
        ("(function($x, $y)<a<n>n?:n>{$x[0] + $y})([1], 2)", 3),
        ("true ? false ? 1 : 2 : 3", 2),
    ],
)
def test_texts_like_newer_operators(source: str, expected: Any) -> None:
    assert value(source) == expected


def test_the_cache_of_compiled_expressions_is_bounded() -> None:
    assert compile_jsonata(" $states.input ") is compile_jsonata("$states.input")
    assert _compiled.cache_info().maxsize == 2_048
    long = f"'{'x' * 5_000}'"
    assert compile_jsonata(long) is not compile_jsonata(long)
    assert compile_jsonata("1", Limits(jsonata_depth=9)) is not compile_jsonata("1")


# --- the texts of the real service ----------------------------------------------------------------

RECORDED = [
    ("$stateError", "Output/error", "returned nothing (undefined)."),
    ("$doesNotExist", "Arguments", "returned nothing (undefined)."),
    ("$doesNotExist", "Arguments/FunctionName", "returned nothing (undefined)."),
    ("$doesNotExist", "Assign/result", "returned nothing (undefined)."),
    ("$doesNotExist", "Output/result", "returned nothing (undefined)."),
    ("$fn := function($x){$x}", "Items", "returned an unsupported result type."),
    (
        "$randomSeeded($states.input.FunctionInput.fst)",
        "Output/FunctionResult",
        "threw an error during evaluation. T1006: Attempted to invoke a non-function",
    ),
]


@pytest.mark.parametrize(("source", "field", "what"), RECORDED)
def test_recorded_failures(source: str, field: str, what: str) -> None:
    assert (
        cause(source, field=field)
        == f"The JSONata expression '{source}' specified for the field '{field}' {what}"
    )


@pytest.mark.parametrize(
    ("source", "actual", "shown"),
    [
        ("'string'", "string", '"string"'),
        ("1", "number", "1"),
        ("null", "null", "null"),
        ("true", "boolean", "true"),
        ("{'foo': 'bar'}", "object", '{"foo":"bar"}'),
        ("$ItemsVar", "string", '"é"'),
    ],
)
def test_recorded_type_errors(source: str, actual: str, shown: str) -> None:
    with pytest.raises(StateError) as caught:
        compile_typed(f"{{% {source} %}}", "Items", ("array",))(
            None, environment(variables={"ItemsVar": "é"})
        )
    assert caught.value.cause == (
        f"The JSONata expression '{source}' specified for the field 'Items' returned an "
        "unexpected result type. "
        f"Expected 'array', but was '{actual}' for value: {shown}"
    )
    assert (caught.value.error, caught.value.location) == ("States.QueryEvaluationError", "Items")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('$number("2")', 2),
        ("$number('2')", 2),
        ("$variable := 1", 1),
        (r'$contains("hello$world", /^hello\$/)', True),
        (r"$contains('hello$world', /^hello\ /)", False),
        ("$not($states.input.none)", True),
        ("/b/('abc').match", "b"),
        ("/b/($states.input.items[0].n & 'b').start", 1),
        ("$states.input.a.b < 10", True),
    ],
)
def test_recorded_values(source: str, expected: Any) -> None:
    assert value(source) == expected


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("$sum", "returned an unsupported result type."),
        ("/ab/", "returned an unsupported result type."),
        (
            "/[a-z]/ ~> $states.input.none",
            (
                "threw an error during evaluation. T2006: The right side of the function "
                "application operator ~> must be a function"
            ),
        ),
        ("0/0", "returned an unsupported result type."),
        ('{"a": [1, 0/0], "b": null}', "returned an unsupported result type."),
        ("$states.input.none.a", "returned nothing (undefined)."),
        ("1/0", "threw an error during evaluation. D1001: Number out of range: null"),
        (
            '"a" + 1',
            (
                'threw an error during evaluation. T2001: The left side of the "+" operator must '
                "evaluate to a number"
            ),
        ),
        (
            "$sqrt(-1)",
            (
                "threw an error during evaluation. D3060: The sqrt function cannot be applied to "
                "a negative number: -1"
            ),
        ),
        ('$error("my 1.0 own")', "threw an error during evaluation. D3137: my 1.0 own"),
        (
            '$eval("1")',
            "threw an error during evaluation. T1006: Attempted to invoke a non-function",
        ),
        (
            '($e := $eval; $e("1"))',
            "threw an error during evaluation. T1006: Attempted to invoke a non-function",
        ),
    ],
)
def test_other_failures(source: str, what: str) -> None:
    assert (
        cause(source)
        == f"The JSONata expression '{source}' specified for the field 'Output' {what}"
    )


@pytest.mark.parametrize(
    "source",
    [
        "{'total': $sum}",
        "{'id': $uuid, 'at': 1}",
        "[1, $sum]",
        "[[$string]]",
        "{'a': [1, {'b': function($x){$x}}]}",
        "{'a': λ($x){$x}}",
        "($f := function($x){$x}; {'f': $f, 'n': 1})",
        "($f := $sum; [$f])",
    ],
)
def test_functions_within_results(source: str) -> None:
    """The engine would leave them out, or give null."""
    assert cause(source).endswith("returned an unsupported result type.")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("$map([1, 2], function($x, $i){[$x, $i]})", [[1, 0], [2, 1]]),
        ("($sum := 5; {'sum': $sum})", {"sum": 5}),
        ("$states.input.one#$i.{'count': $i}", {"count": 0}),
        ("$reduce([[1], [2]], $append, [null])", [None, 1, 2]),
        ("{'m': $match('abc', /b/)}", {"m": {"match": "b", "index": 1, "groups": []}}),
    ],
)
def test_results_beside_functions(source: str, expected: Any) -> None:
    assert value(source) == expected


@pytest.mark.parametrize(
    ("text", "picture", "found"),
    [
        ("2018-1-7", "[Y0001]-[M01]-[D01]", False),
        ("2018-01-07", "[Y0001]-[M01]-[D01]", True),
        ("20180107", "[Y0001][M01][D01]", True),
        ("2018-1-7", "[Y]-[M]-[D]", True),
        ("2018-1-07", "[Y0001]-[M#1]-[D,2-2]", True),
        ("2018-001-07", "[Y0001]-[M#1]-[D01]", False),
        ("18/01/07", "[Y,2]/[M01]/[D01]", True),
        ("2018/01/07", "[Y,2]/[M01]/[D01]", False),
        ("7th January 2018", "[D1o] [MNn] [Y0001]", True),
        ("7th January 18", "[D1o] [MNn] [Y0001]", False),
        ("2018-01-07 at 3:04 PM", "[Y0001]-[M01]-[D01] at [h]:[m01] [P]", True),
        ("[2018]-01-07", "[[[Y0001]]]-[M01]-[D01]", True),
        ("[218]-01-07", "[[[Y0001]]]-[M01]-[D01]", False),
    ],
)
def test_digits_of_a_date(text: str, picture: str, found: bool) -> None:
    """As JSONata 2.0.6: as many as the picture of the year, month or day says."""
    source = f"$exists($toMillis('{text}', '{picture}'))"
    assert value(source) is found


@pytest.mark.parametrize("name", ["contains", "split", "replace"])
def test_no_pattern_is_not_undefined(name: str) -> None:
    """JSONata's reference fails. The engine gives undefined, which a condition takes for false."""
    tail = ", 'x'" if name == "replace" else ""
    call = f"${name}('text', $states.input.nothing{tail})"
    for source in (call, f"$exists({call}) ? 1 : 2", f"'text' ~> ${name}($nothing{tail})"):
        assert cause(source, environment(variables={})).endswith(
            f'T0410: Argument 2 of function "{name}" does not match function signature'
        )
    assert cause(f"${name}($states.input.nothing, 'x'{tail})").endswith("(undefined).")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("$formatInteger(1, 2)", 'T0410: Argument 2 of function "formatInteger" does not match'),
        ("$replace('a', /a/, $keys)", "D3012: Attempted to replace a matched string with a"),
        (
            "$replace('abc', $uppercase, 'x')",
            'T1010: The matcher function argument passed to function "replace" does not',
        ),
    ],
)
def test_errors_name_the_functions_of_the_language(source: str, message: str) -> None:
    assert message in cause(source) and "§" not in cause(source)


@pytest.mark.parametrize(
    "source",
    ["[$round(10, 0.5), 1]", "[$parseInteger('x', '1')]", "{'a': $toMillis('20180127', '[Y]')}"],
)
def test_no_number_within_results(source: str) -> None:
    assert cause(source).endswith("returned an unsupported result type.")


def test_nulls_beside_a_division_are_not_nan() -> None:
    assert value('{"a": [1/2, null], "b": {"c": null, "d": 7 % 2}}') == {
        "a": [0.5, None],
        "b": {"c": None, "d": 1},
    }


# --- input ----------------------------------------------------------------------------------------


def test_states() -> None:
    env = environment({"i": 1}, result=[2], error_output={"Error": "E"})
    assert value("$states", env) == {
        "input": {"i": 1},
        "context": {"Execution": {"Id": "arn"}},
        "result": [2],
        "errorOutput": {"Error": "E"},
    }
    assert list(value("$states", env)) == ["input", "context", "result", "errorOutput"]
    assert value("$keys($states)", environment()) == ["input", "context"]
    assert value("$states.errorOutput.Error", env) == "E"
    assert value("$states.context.Execution.Id", env) == "arn"
    assert value("[$states.result, $states.input.i]", env) == [2, 1]


@pytest.mark.parametrize(
    "source",
    [
        "$states.result",
        "$states.errorOutput",
        "$states.result.x",
        "$states.other",
        "$state.input",
        "$nope",
    ],
)
def test_undefined(source: str) -> None:
    assert cause(source).endswith("returned nothing (undefined).")


@pytest.mark.parametrize(
    "source",
    ["$states.result", "($states.result)", "$states.result & $", "$v", "($v)", "$v[0 = 0]"],
)
def test_null_is_a_value(source: str) -> None:
    env = environment(variables={"v": None}, result=None)
    assert value(source, env) == ("null" if "&" in source else None)


def test_the_top_level_context_is_empty() -> None:
    assert value(
        "[$exists($), $exists($$), $exists(input), $exists(states), $count($), $type($) = 'null']"
    ) == [
        False,
        False,
        False,
        False,
        0,
        False,
    ]
    assert value("$states.input.items.$") == INPUT["items"]
    assert value('{"a": $states.input.a, "n": $count($)}') == {"a": {"b": 1}, "n": 0}
    assert cause("$string()").endswith("returned nothing (undefined).")


def test_the_context_object_is_built_only_when_it_is_read() -> None:
    def refuse() -> dict[str, Any]:
        raise AssertionError("not needed")

    env = environment(context=refuse, variables={"x": 1})
    for source in (
        "$states.input.a.b",
        "$sum($states.input.items.price)",
        "$x",
        "{'a': $states.input.a}",
        "1",
    ):
        value(source, env)
    with pytest.raises(AssertionError):
        value("$states.context", env)


def test_entropy_is_drawn_only_if_it_is_read() -> None:
    def refuse() -> bytes:
        raise AssertionError("not needed")

    assert value("$now()", environment(entropy=refuse)) == "2023-11-14T22:13:20.123Z"
    with pytest.raises(AssertionError):
        value("$uuid()", environment(entropy=refuse))


def test_variables() -> None:
    env = environment(variables={"x": 3, "list": [1], "große": "ß", "function": 4, "states": "no"})
    assert value("$x + $x", env) == 6
    assert (
        value("$list", env) == [1]
        and value("($list)", env) == [1]
        and value("[$list, 2]", env) == [1, 2]
    )
    assert value("$große & $x", env) == "ß3"
    assert value("$function + $x", env) == 7
    assert value("$x & foo", env) == "3"  # reads the document: the other way of handing things over
    assert value("($x := 5; $x)", env) == 5 and value("$x", env) == 3
    assert value('$x = 4 ? $eval("1") : $x', env) == 3
    assert value("$states.input.a.b", env) == 1


def test_variables_replace_functions_of_their_name() -> None:
    names = {"keys": ["k"], "count": 2, "sum": {"of": 5}, "type": "t", "range": 4, "hash": "#"}
    env = environment(variables=names)
    assert value("$count + 1", env) == 3
    assert value("$keys[0]", env) == "k" and value("$keys", env) == ["k"]
    assert value("$sum.of", env) == 5 and value("$type", env) == "t"
    assert value("$range & $hash", env) == "4#"
    assert value("$count & foo", env) == "2"  # reads the document
    assert value("$partition([1, 2, 3], 2)[$count - 1]", env) == [3], "functions keep what they use"
    assert value("($count := 9; $count)", env) == 9
    assert cause("$count([1])", env).endswith("T1006: Attempted to invoke a non-function")
    other = environment(variables={"x": 1})
    assert value("$count([1]) + $sum([2]) + $x", other) == 4
    assert value("$count([1])", environment()) == 1 and value("$count + 1", env) == 3


def test_paths_without_the_engine_do_not_copy_values() -> None:
    env = environment(variables={"v": INPUT["a"]})
    assert value("$states.input.a", env) is INPUT["a"]
    assert value("$v", env) is INPUT["a"]


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("$x + $y.a", {"x", "y"}),
        ("($x := 1; $x)", set()),
        ("$states.input", set()),
        ("$map([1], function($v){$v + $z})", {"z"}),
        (
            (
                "$uuid() & $random(1) & $hash($t, 'MD5') & $partition($l, 2) & $range(1, 2, 3) & "
                "$parse('1')"
            ),
            {"t", "l"},
        ),
        ("$sum($keys($distinct($n)))", {"n"}),
        ("$randomSeeded(1)", {"randomSeeded"}),
        ('$eval("1") & $q', {"q"}),
    ],
)
def test_variables_read(source: str, names: set[str]) -> None:
    assert variables_read(source) == names


@pytest.mark.parametrize(
    ("source", "members"),
    [
        ("$states.result", {"result"}),
        ("$count($states.result[$ = 1]) + $states.input.x", {"result", "input"}),
        ("$states.errorOutput.Error & $states.context.State.Name", {"errorOutput", "context"}),
        ("$states", set()),
        ("$lookup($states, 'result')", {"result"}),
        ("$x.result", set()),
        ("'$states.result'", set()),
    ],
)
def test_members_read(source: str, members: set[str]) -> None:
    assert {
        each
        for each in ("input", "context", "result", "errorOutput")
        if reads_states_member(source, each)
    } == members


# --- AWS's functions ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("$partition([1..10], 4)", [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10]]),
        ("$partition([1..3], 2.9)", [[1, 2], [3]]),
        ("$partition([], 2)", []),
        ("$partition([1], 2)", [[1]]),
        ("$count($partition([1..10], 3))", 4),
        ("$range(0, 10, 2)", [0, 2, 4, 6, 8, 10]),
        ("$range(0, 9, 2)", [0, 2, 4, 6, 8]),
        ("$range(5, 1, -2)", [5, 3, 1]),
        ("$range(5, 1, 1)", []),
        ("$range(1, 1, 1)", 1),
        ("$range(3, 4, 2)", 3),
        ("[$range(1, 1, 1)]", [1]),
        ("$sum($range(4, 4, 1))", 4),
        ("$range(1.9, 4.9, 1.5)", [1, 2, 3, 4]),
        ('$hash("input data", "SHA-1")', "aaff4a450a104cd177d28d18d74485e8cae074b7"),
        ('$hash("", "MD5")', "d41d8cd98f00b204e9800998ecf8427e"),
        (
            '$hash("é", "SHA-256")',
            "4a99557e4033c3539de2eb65472017cad5f9557f7a0625a09f1c3f6e2ba69c4c",
        ),
        ('$length($hash("", "SHA-384")) & " " & $length($hash("", "SHA-512"))', "96 128"),
        ("$parse('{\"a\":[1,null,{}]}')", {"a": [1, None, {}]}),
        ("$parse('null')", None),
        ("$parse('[]')", []),
        ("$parse('[[1]]')", [[1]]),
        ("$parse('\"x\"') & $parse('true')", "xtrue"),
        (
            "$random(7) = $random(7) and $random(7) = $random(7.9) and $random(7) != $random(8)",
            True,
        ),
        ("$random(-3) >= 0 and $random(-3) < 1", True),
        ("[1, 2] ~> $partition(1)", [[1], [2]]),
        ("['a', 'b'] ~> $map(function($t){$hash($t, 'MD5')}) ~> $count", 2),
        ("($h := $hash; $h('', 'MD5'))", "d41d8cd98f00b204e9800998ecf8427e"),
    ],
)
def test_functions(source: str, expected: Any) -> None:
    assert value(source) == expected


@pytest.mark.parametrize(
    ("source", "what"),
    [
        (
            "$partition([1], 0)",
            'T0410: Argument 2 of function "partition" does not match function signature',
        ),
        (
            "$partition([1], 'a')",
            'T0410: Argument 2 of function "partition" does not match function signature',
        ),
        ("$range(1, 2)", 'T0410: Argument 3 of function "range" does not match function signature'),
        ("$range(1, 2, 0)", "D1001: Number out of range: null"),
        (
            "$hash('a', 'SHA')",
            'T0410: Argument 2 of function "hash" does not match function signature',
        ),
        (
            "$hash(1, 'MD5')",
            'T0410: Argument 1 of function "hash" does not match function signature',
        ),
        (
            "$random('a')",
            'T0410: Argument 1 of function "random" does not match function signature',
        ),
        ("$uuid(1)", 'T0410: Argument 1 of function "uuid" does not match function signature'),
        ("$parse(1)", 'T0410: Argument 1 of function "parse" does not match function signature'),
    ],
)
def test_functions_check_their_arguments(source: str, what: str) -> None:
    assert cause(source).endswith(f"threw an error during evaluation. {what}")


def test_parse_rejects_invalid_json() -> None:
    assert (
        "threw an error during evaluation. D3120: The argument of the parse function is not "
        "valid JSON: "
    ) in cause("$parse('{')")


@pytest.mark.parametrize(
    "source",
    [
        "$partition($no, 2)",
        "$hash($no, 'MD5')",
        "$parse($no)",
        "$replace($no, 'a', 'b')",
        "$keys($no)",
        "$distinct($no)",
    ],
)
def test_undefined_goes_through_functions(source: str) -> None:
    assert cause(source).endswith("returned nothing (undefined).")


@pytest.mark.parametrize("count", [1, 2, 499, 500, 501, 3_000])
def test_distinct_is_the_same_for_any_length(count: int) -> None:
    same, different = [{"a": 1}] * count, list(range(count))
    env = environment(
        {
            "same": same,
            "different": different,
            "mixed": [1, 1.0, True, "1", None, [1], {"b": 2, "a": 1}, {"a": 1, "b": 2}] * count,
        }
    )
    assert value("$distinct($states.input.same)", env) == [{"a": 1}]
    assert value("$distinct($states.input.same.a)", env) == 1  # a sequence of one is its item
    assert value("$distinct($states.input.different)", env) == different
    assert value("$distinct($states.input.mixed)", env) == [
        1,
        True,
        "1",
        None,
        [1],
        {"b": 2, "a": 1},
    ]


def test_keys_of_large_objects() -> None:
    env = environment(
        {
            "one": {f"k{i}": i for i in range(3_000)},
            "many": [{f"k{i}": i, "x": 0} for i in range(1_000)],
        }
    )
    assert value("$keys($states.input.one)", env) == [f"k{i}" for i in range(3_000)]
    assert value("$keys($states.input.many)", env) == [
        "k0",
        "x",
        *(f"k{i}" for i in range(1, 1_000)),
    ]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('$replace($pad("", 1000, "ab"), "b", $pad("", 1000, "c")) ~> $length', 500_500),
        ('$replace($pad("", 100000, "ab"), "zz", $pad("", 1000, "c")) ~> $length', 100_000),
        ('$replace($pad("", 100000, "a"), "a", $pad("", 1000, "c"), 2) ~> $length', 101_998),
        ('$replace("aaa", "a", "b", 2)', "bba"),
        ('$replace("aaa", /a/, function($m){"c"})', "ccc"),
        ('"abc".$replace("b", "-")', None),
    ],
)
def test_replace(source: str, expected: Any) -> None:
    if expected is None:
        assert cause(source).endswith("returned nothing (undefined).")
    else:
        assert value(source) == expected


# --- a result depends on the Env alone ------------------------------------------------------------

DRAWING = [
    "$uuid()",
    "[$uuid(), $uuid(), $uuid()]",
    "[$random(), $random()]",
    "$shuffle([1..50])",
    "$sort([1..20], function($a, $b){$random() > 0.5})",
    "[$now(), $millis(), $now('[Y0001]-[M01]', '+0100')]",
    '$map([1..5], function($i){{"id": $uuid(), "r": $random(), "s": $random($i)}})',
]


@pytest.mark.parametrize("source", DRAWING)
def test_the_same_env_gives_the_same(source: str) -> None:
    assert value(source, environment()) == value(source, environment())
    patiently = Jsonata(source, Limits(jsonata_inline_steps=1)).evaluate(environment(), "Output")
    assert patiently == value(source, environment())
    if "now" not in source:
        assert value(source, environment(entropy=entropy("other"))) != value(source, environment())


def test_draws() -> None:
    many = value("$map([1..200], function($i){$uuid()})")
    assert len(set(many)) == 200
    assert all(
        re.fullmatch("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", each)
        for each in many
    )
    numbers = value("$map([1..200], function($i){$random()})")
    assert (
        len(set(numbers)) == 200
        and all(0 <= number < 1 for number in numbers)
        and 0.3 < sum(numbers) / 200 < 0.7
    )
    env = environment()
    assert value("$uuid()", env) != value(
        "$uuid()", env
    )  # two evaluations of one state draw from the same Env
    assert value("$millis()") == 1_700_000_000_123


# --- paths without the engine agree with the engine -----------------------------------------------

KEYS = ["a", "b", "c"]
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
documents = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)
mazes = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)
    ),
    max_leaves=15,
)


def outcome(evaluate: Callable[[], Any]) -> Any:
    try:
        return [evaluate()]
    except StateError as error:
        return str(error.cause).partition("' ")[2].partition("Output' ")[2]


@settings(max_examples=300)
@given(mazes, st.lists(st.sampled_from(KEYS), max_size=4))
def test_paths_with_and_without_the_engine(maze: Any, path: list[str]) -> None:
    for root, env in (
        ("$states.input", environment({"r": maze})),
        ("$v", environment(variables={"v": {"r": maze}})),
    ):
        source = ".".join([root, "r", *path])
        short, engine = compile_jsonata(source), Jsonata(f"({source})")
        assert short.value_of.__name__ == "walk" and engine.value_of.__name__ == "_run"
        assert outcome(lambda: short.evaluate(env, "Output")) == outcome(  # noqa: B023
            lambda: engine.evaluate(env, "Output")  # noqa: B023
        )


@given(documents)
def test_identity(document: Any) -> None:
    env = environment([document])
    assert value("$states.input", env) is env.input
    assert value("($states.input)", env) == [document]
    assert Jsonata("($states.input)", Limits(jsonata_inline_steps=1)).evaluate(env, "Output") == [
        document
    ]
    assert value("$parse($string($states.input))", environment({"d": "x"})) == {"d": "x"}


def test_quoted_steps_and_words() -> None:
    env = environment({"a b": {"and": 1}, "in": 2, "Ü": 3})
    assert value("$states.input.`a b`.`and`", env) == 1
    assert value("$states.input.in", env) == 2
    assert value("$states.input.Ü", env) == 3
    with pytest.raises(ExpressionSyntaxError):
        compile_jsonata("$states.input.true")


@pytest.mark.parametrize(
    "limits", [Limits(), Limits(jsonata_inline_steps=1)], ids=["inline", "in_thread"]
)
@pytest.mark.parametrize("tail", ["", " & foo"], ids=["document", "bindings"])
def test_document_and_bindings_give_the_same_results(limits: Limits, tail: str) -> None:
    env = environment(variables={"v": [1, {"x": None}]})
    source = f"$string([$states.input, $v, $exists($states.result), $states.context]){tail}"
    expected = json.dumps(
        [INPUT, 1, {"x": None}, False, {"Execution": {"Id": "arn"}}], separators=(",", ":")
    )
    assert value(source, env, limits) == expected
    assert cause(f"$nope{tail and '.' + 'foo'}", env, limits=limits).endswith(
        "returned nothing (undefined)."
    )
    assert value("$states.input.none", env, limits) is None
    assert cause("[$sum][0]", env, limits=limits).endswith("returned an unsupported result type.")


# --- equivalents in Python ------------------------------------------------------------------------

numbers = st.lists(st.integers(-(10**6), 10**6), min_size=2, max_size=12)


@given(numbers, st.integers(-100, 100))
def test_numeric_equivalents(items: list[int], pivot: int) -> None:
    env = environment(
        {"items": items, "rows": [{"n": n, "k": f"k{n % 3}"} for n in items]}, {"pivot": pivot}
    )
    assert value("$sum($states.input.items)", env) == sum(items)
    assert value(
        "[$max($states.input.items), $min($states.input.rows.n), $count($states.input.rows)]", env
    ) == [
        max(items),
        min(items),
        len(items),
    ]
    assert value("[$states.input.items[$ > $pivot]]", env) == [n for n in items if n > pivot]
    assert value("$map($states.input.rows, function($r){$r.n * 2 + $pivot})", env) == [
        n * 2 + pivot for n in items
    ]
    assert value("$sort($states.input.items)", env) == sorted(items)
    assert value("$states.input.items ~> $reverse", env) == items[::-1]
    assert value("$reduce($states.input.items, function($a, $b){$a + $b}, $pivot)", env) == sum(
        items, pivot
    )
    assert value("$states.input.rows{k: $sum(n)}", env) == {
        f"k{k}": sum(n for n in items if n % 3 == k) for k in dict.fromkeys(n % 3 for n in items)
    }


@given(st.lists(st.text(alphabet="abcé-😀 ", max_size=6), min_size=2, max_size=8))
def test_text_equivalents(words: list[str]) -> None:
    env = environment({"words": words})
    assert value('$join($states.input.words, ",")', env) == ",".join(words)
    assert value("$map($states.input.words, $length)", env) == [len(word) for word in words]
    assert (
        value('$states.input.words[0] & "/" & $states.input.words[1]', env)
        == f"{words[0]}/{words[1]}"
    )
    assert value('$replace($join($states.input.words), "a", "bb")', env) == "".join(words).replace(
        "a", "bb"
    )


def test_numbers() -> None:
    assert (
        json.dumps(value("[1.0, 2/2, 1e3, 1e20, 0.1 + 0.2, -0, 1e21]"))
        == "[1, 1, 1000, 100000000000000000000, 0.30000000000000004, 0, 1e+21]"
    )
    env = environment({"big": 12345678901234567890, "id": 2**53 + 1})
    assert value("$states.input.big", env) == 12345678901234567890  # handed on as it is
    assert value("$states.input.id + 0", env) == 2**53  # computed with: a double


# --- values with expressions in them --------------------------------------------------------------


def test_compile_value() -> None:
    template = {
        "z": "{% $states.input.a.b %}",
        "c": {"k": [None, 0, 0.1, True, " {% states.input %} ", "$states.input"]},
        "a": [1, "{% $x %}", {"y": "{% 'q' %}"}],
    }
    made = compile_value(template, "Output")("ignored", environment(variables={"x": [5]}))
    assert made == {"z": 1, "c": template["c"], "a": [1, [5], {"y": "q"}]}
    assert list(made) == ["z", "c", "a"]
    assert made["c"] is template["c"]
    assert template["z"] == "{% $states.input.a.b %}"


@pytest.mark.parametrize("constant", [None, 1, "text", [], {}, {"a": [1, {"b": "$x"}]}, "{ % 1 %}"])
def test_constants_are_not_copied(constant: Any) -> None:
    assert compile_value(constant, "Output")(None, environment()) is constant


@pytest.mark.parametrize(
    ("template", "field"),
    [
        ("{% $no %}", "Output"),
        ({"field": "{% $no %}"}, "Output/field"),
        (["{% $no %}"], "Output[0]"),
        ({"a": [1, {"b": "{% $no %}"}]}, "Output/a[1]/b"),
        ([[1, "{% $no %}"]], "Output[0][1]"),
    ],
)
def test_fields(template: Any, field: str) -> None:
    with pytest.raises(StateError) as caught:
        compile_value(template, "Output")(None, environment())
    assert caught.value.location == field
    assert caught.value.cause == (
        f"The JSONata expression '$no' specified for the field '{field}' returned nothing "
        "(undefined)."
    )


def test_all_mistakes_are_reported() -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_value(
            {"ok": "{% 1 %}", "a": "{% 1 + %}", "b": [0, "{% ( %}"], "c": "{% 1 }", "d": "{%}"},
            "Output",
        )
    assert caught.value.faults == (
        Fault(
            "/a",
            "The JSONata expression '1 +' could not be parsed. S0207: Unexpected end of expression",
        ),
        Fault(
            "/b[1]",
            (
                "The JSONata expression '(' could not be parsed. S0203: Expected \")\" before "
                "end of expression"
            ),
        ),
        Fault("/c", "The JSONata expression '{% 1 }' is not closed: it must end with '%}'"),
        Fault("/d", "The JSONata expression '{%}' is not closed: it must end with '%}'"),
    )
    with pytest.raises(ExpressionError) as typed:
        compile_typed("{% 1 + %}", "Seconds", ("number",))
    assert [fault.location for fault in typed.value.faults] == [""]


def test_expressions() -> None:
    template = {"a": "{% $x %}", "b": [1, {"c": "{%2%}"}], "d": "{% open", "e": "text"}
    assert list(expressions(template)) == [("/a", "$x"), ("/b[1]/c", "2")]
    assert list(expressions("{% $states.result %}", "/Output")) == [("/Output", "$states.result")]


@pytest.mark.parametrize(
    ("each", "name"),
    [
        ([], "array"),
        ({}, "object"),
        (1, "number"),
        (1.5, "number"),
        ("", "string"),
        (True, "boolean"),
        (None, "null"),
    ],
)
def test_expect(each: Any, name: str) -> None:
    assert expect(each, (name,), "$x", "F") is each
    assert expect(each, ("other", name), "$x", "F") is each
    for others in (("symbol",), ("symbol", "date")):
        wanted = "' or '".join(others)
        with pytest.raises(StateError) as caught:
            expect(each, others, "$x", "F")
        assert caught.value.cause == (
            "The JSONata expression '$x' specified for the field 'F' returned an unexpected "
            "result type. "
            f"Expected '{wanted}', but was '{name}' for value: {json.dumps(each)}"
        )


def test_compile_typed() -> None:
    env = environment(variables={"n": 2})
    assert compile_typed("{% $n %}", "Seconds", ("number",))(None, env) == 2
    assert compile_typed([1, "{% $n %}"], "Items", ("array",))(None, env) == [1, 2]
    assert compile_typed("plain", "Cause", ("string",))(None, env) == "plain"
    with pytest.raises(StateError):
        compile_typed("{% $n %}", "Condition", ("boolean",))(None, env)


# --- budgets --------------------------------------------------------------------------------------

LONG = "$sum($map([1..30000], function($i){$i + $states.input.a.b}))"


def test_inline_and_patient() -> None:
    with pytest.raises(InlineBudgetError):
        value(LONG, environment(in_thread=False))
    assert value(LONG, environment(in_thread=True)) == 450_045_000
    assert value("$sum([1..100])", environment(in_thread=False)) == 5_050
    with pytest.raises(InlineBudgetError):
        compile_value({"a": "{% " + LONG + " %}"}, "Output")(None, environment(in_thread=False))


def test_steps_are_exceeded_before_the_time() -> None:
    forever = "($f := function($n){$f($n + 1)}; $f($states.input.a.b))"
    assert cause(forever) == (
        f"The JSONata expression '{forever}' specified for the field 'Output' threw an error "
        "during evaluation. "
        "U1006: The evaluation exceeded its budget of 2000000 steps"
    )
    assert cause(forever, limits=Limits(jsonata_steps=300)).endswith(
        "exceeded its budget of 300 steps"
    )


def test_time() -> None:
    bomb = '$match($pad("", 40, "a") & "!", /^(a+)+$/)'
    with pytest.raises(InlineBudgetError):
        value(bomb, environment(in_thread=False))
    assert "D1012: Evaluation timeout after 50 milliseconds" in cause(
        bomb, limits=Limits(jsonata_seconds=0.05)
    )


def test_recursion_that_ends_is_allowed() -> None:
    assert value("($f := function($n){$n = 0 ? 0 : 1 + $f($n - 1)}; $f(250))") == 250
    assert "D1011: Stack overflow" in cause("($f := function($n){1 + $f($n)}; $f(1))")


def test_deep_values() -> None:
    deep: Any = 1
    for _ in range(900):
        deep = {"a": deep}
    for source in ("($states.input)", "[$states.input, foo]", "$string($states.input)"):
        for limits in (Limits(), Limits(jsonata_inline_steps=1)):
            assert value(source, environment(deep), limits)
    for _ in range(200):
        deep = {"a": deep}
    assert value("$states.input", environment(deep)) is deep
    for source in ("($states.input)", "[$states.input, foo]"):
        for limits in (Limits(), Limits(jsonata_inline_steps=1)):
            assert "nested" in cause(source, environment(deep), limits=limits)


def test_results_have_a_size() -> None:
    assert "U1001: The result would exceed the size limit of 1048576 bytes" in cause(
        "[1..3].$pad('', 400000)"
    )


def test_threads_share_expressions() -> None:
    results: list[Any] = []
    expression = compile_jsonata("[$map([1..500], function($i){$i + $k}) ~> $sum, $uuid()]")

    def work(k: int) -> None:
        for _ in range(30):
            results.append((k, expression.evaluate(environment(variables={"k": k}), "Output")))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    uuid = value("[1, $uuid()]")[1]
    assert len(results) == 120
    assert all(result == [125_250 + 500 * k, uuid] for k, result in results)


# Each ends within its budget, in a process that may take 2 GiB and 120 seconds of the processor,
# and would die if it took more.
HOSTILE = {
    "recursion": "($f:=function($x){1+$f($x)}; $f(1))",
    "tail recursion": "($f:=function($x){$f($x+1)}; $f(1))",
    "mutual recursion": "($f:=function($x){$g($x)}; $g:=function($x){$f($x)}; $f(1))",
    "self application": "(function($x){$x($x)})(function($x){$x($x)})",
    "exponential recursion": "($f:=function($n){$n=0?1:$f($n-1)+$f($n-1)}; $f(60))",
    "doubled string": '($f:=function($s,$n){$n=0?$s:$f($s&$s,$n-1)}; $length($f("aaaaaaaaaa",60)))',
    "joined string": '$join([1..100000].("aaaaaaaaaaaaaaaaaaaaaaa"))',
    "padded string": '$pad("a",1000000000)',
    "padded strings": '$map([1..100000],function($x){$pad("a",500000)}) ~> $count()',
    "replacements": '$replace($pad("",100000,"a"), "a", $pad("",100000,"b"))',
    "replacements by pattern": '$replace($pad("",5000,"a"), /a/, $pad("",400000,"b"))',
    "replacements by function": (
        '$replace($pad("",5000,"a"), /a/, function($m){$pad("",400000,"b")})'
    ),
    "huge range": "[1..10000000]",
    "larger range": "[1..100000000000]",
    "ranges of ranges": "[1..1000].[[1..131000]]",
    "range function": "$range(1, 1000000000, 1)",
    "products": "($a:=[1..10000]; $count($a.($a)))",
    "joins": '[1..1000]@$a.[1..1000]@$b.[1..1000]@$c.{"a":$a}',
    "doubled array": (
        "($f:=function($a,$n){$n=0?$count($a):$f($append($a,$a),$n-1)}; $f([1..10],60))"
    ),
    "copied arrays": "$map([1..100000],function($i){$reverse([1..131000])})",
    "doubled object": '($f:=function($a,$n){$n=0?$a:$f({"a":$a,"b":$a},$n-1)}; $f([1],60))',
    "deep object": '($f:=function($a,$n){$n=0?$a:$f({"a":$a},$n-1)}; $f(1,100000))',
    "deep string": '($f:=function($a,$n){$n=0?$a:$f({"a":$a},$n-1)}; $string($f(1,100000)))',
    "pattern": '$match("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", /^(a+)+$/)',
    "pattern looking ahead": f'$match("{"a" * 44}!", /^(?=(a+)+$)a/)',
    "pattern looking back": '$match("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", /^(a*)*\\1(?=b)$/)',
    "repeated pattern": '$contains("a", /((a{1000}){1000}){1000}/)',
    "picture of dates": '$toMillis($pad("",500000,"1"), $pad("",100000,"[Y01]"))',
    "picture of times": '$toMillis($pad("",500000,"1:"), $pad("",100000,"[H]:"))',
    "picture of years": '$toMillis($pad("",500000,"1-"), $pad("",100000,"[Y]-"))',
    "wide picture": '$fromMillis(1,"[Y,999999999-999999999]")',
    "long picture": '$formatInteger(1,$pad("",200000,"#0,"))',
    "distinct": "$count($distinct([1..131000]))",
    "distinct objects": "$count($distinct([1..50000].{'a': $}))",
    "keys": "$count($keys($merge([1..50000].{$string($): 1})))",
    "sorting": "$sort([1..131000], function($a,$b){$random()>0.5})",
    "grouping": "[1..131000]{$string($):$}",
    "membership": "[1..131000][$ in [1..131000]]",
    "open parentheses": "(" * 1_000_000,
    "parentheses": "(" * 100_000 + "1" + ")" * 100_000,
    "brackets": "[" * 100_000 + "1" + "]" * 100_000,
    "braces": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "signs": "-" * 1_000_000 + "1",
    "sums": "1+" * 200_000 + "1",
    "steps": "a" + ".a" * 300_000,
    "conditions": "true?" * 100_000 + "1",
    "lambdas": "function($x){" * 100_000 + "1" + "}" * 100_000,
    "predicates": "a" + "[0]" * 300_000,
    "chains": "1" + "~>$string" * 100_000,
    "assignments": "$a:=" * 100_000 + "1",
    "sorts": "a" + "^(a" * 100_000,
    "signature": "function($x)<" + "a<" * 100_000 + ">{1}",
    "groups in a pattern": "/" + "(" * 100_000 + ")" * 100_000 + "/",
    "nearly too deep": "(" * 997 + "1" + ")" * 997,
    "many reads": "[" + ",".join(f"$states.input.a{i}" for i in range(5_000)) + "]",
}

CHILD = """
import json, resource, sys, time
from stepwell.asl.evaluation import Env, InlineBudgetError, StateError
from stepwell.asl.expression_errors import ExpressionSyntaxError
from stepwell.asl.jsonata import Jsonata
from stepwell.asl.limits import Limits
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
resource.setrlimit(resource.RLIMIT_CPU, (120, 120))
limits = Limits(jsonata_seconds=0.25)
for name, source in json.load(sys.stdin).items():
    row = [name]
    for in_thread in (False, True):
        started = time.process_time()
        try:
            env = Env({}, {}, dict, lambda: bytes(16), 0.0, in_thread=in_thread)
            Jsonata(source, limits).evaluate(env, "Output")
            end = "value"
        except (StateError, ExpressionSyntaxError, InlineBudgetError) as error:
            end = type(error).__name__
        row += [end, time.process_time() - started]
    print(json.dumps(row), flush=True)
"""


def test_hostile_expressions_end() -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", CHILD]
    child = subprocess.run(
        command,
        input=json.dumps(HOSTILE),
        capture_output=True,
        text=True,
        env=env,
        check=False,
    )
    rows = {row[0]: row[1:] for row in map(json.loads, child.stdout.splitlines())}
    assert child.returncode == 0, (list(rows)[-1:], child.stderr[-500:])
    assert rows.keys() == HOSTILE.keys()
    # of the processor, so that a busy machine changes nothing; the budgets are 0.02 s and 0.25 s
    slow = {name: row for name, row in rows.items() if row[1] > 2 or row[3] > 3}
    assert slow == {}
    ends = {end for row in rows.values() for end in (row[0], row[2])}
    assert ends == {"value", "StateError", "ExpressionSyntaxError", "InlineBudgetError"}


STOPPED = """
import time
from stepwell.asl.evaluation import Env
from stepwell.asl.jsonata import Jsonata
from stepwell.asl.limits import Limits
from stepwell.asl.meter import Cancellation
limits = Limits(jsonata_inline_steps=1, jsonata_seconds=0.5)
expression = Jsonata("$sum([1..6000].($ + $floor($random())))", limits)  # no constant
longest = 0
print(flush=True)
while longest < 1:
    began = time.monotonic()
    env = Env({}, {}, dict, lambda: bytes(16), 0.0, in_thread=Cancellation(time.thread_time))
    assert expression.evaluate(env, "Output") == 18003000
    longest = max(longest, time.monotonic() - began)
"""


def test_a_machine_that_stands_still_fails_no_evaluation() -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", STOPPED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=env) as child:
        assert child.stdout is not None
        child.stdout.readline()
        while child.poll() is None:  # until it was stopped amid an evaluation
            child.send_signal(signal.SIGSTOP)
            time.sleep(1.2)
            child.send_signal(signal.SIGCONT)
            time.sleep(0.1)
        assert child.returncode == 0


def test_host_functions_keep_to_the_budget() -> None:
    """The engine does not count their work: 300 calls for 131,000 items each took 23 seconds."""
    for call in ("$partition($a, 1)", "$distinct($a)", '$hash($join($a.$string()), "MD5")'):
        text = f"($a:=[1..5000]; $map([1..3000], function($i){{$count([{call}])}}))"
        with pytest.raises(InlineBudgetError):
            value(text, environment(in_thread=False))
    limits = Limits(jsonata_seconds=60, jsonata_steps=100_000)
    assert cause(
        "$map([1..50], function(){$count($partition([1..5000], 1))})", limits=limits
    ).endswith("The evaluation exceeded its budget")
    assert value("$count($partition([1..100000], 1))") == 100_000


def test_missing_is_not_a_value() -> None:
    assert repr(MISSING) == "MISSING" and cause(
        "$states.result", environment(result=MISSING)
    ).endswith("(undefined).")
