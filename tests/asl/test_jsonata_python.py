"""JSONata by jsonata-python, which replaces jlens on some platforms: the same suite, and stepwell
without jlens, and without both.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.asl import test_jsonata_suite as suite
from tests.conftest import ROOT

from stepwell.asl.jsonata_engines import fallback
from stepwell.asl.jsonata_functions import HOSTS, METER, PRELUDE, JsonataError

JlensError = fallback().JlensError
Expression = fallback().Expression
OPTIONS: dict[str, Any] = {
    "now": 0,
    "seed": 1,
    "timeout": 10,
    "max_steps": 40_000,
    "max_depth": 500,
    "max_string_length": 500_000,
    "max_array_length": 300_000,
    "max_result_size": None,
}
# The cases that jsonata-python answers differently (kinds: docs/explanation/decisions/0004). A case
# that passes must leave this list.
DIFFERENT = {
    "boolean-expresssions/case030",
    "comments/case002",
    "errors/case010",
    "flattening/large/0",
    "flattening/large/1",
    "function-decodeUrl/case002",
    "function-decodeUrlComponent/case002",
    "function-error/case007",
    "function-formatInteger/formatInteger/15",
    "function-formatInteger/formatInteger/43",
    "function-formatInteger/formatInteger/64",
    "function-formatNumber/case014",
    "function-formatNumber/case024",
    "function-formatNumber/case025",
    "function-formatNumber/case028",
    "function-formatNumber/case032",
    "function-fromMillis/formatDateTime/26",
    "function-fromMillis/formatDateTime/69",
    "function-fromMillis/formatDateTime/70",
    "function-length/case004",
    "function-number/case008",
    "function-number/case009",
    "function-number/case010",
    "function-number/case011",
    "function-number/case012",
    "function-number/case018",
    "function-parseInteger/parseInteger/60",
    "function-power/case005",
    "function-power/case006",
    "function-replace/case006",
    "function-replace/case007",
    "function-replace/case009",
    "function-signatures/case026",
    "function-signatures/case034",
    "function-sort/case007",
    "function-sort/case009",
    "function-sort/case010",
    "function-split/case012",
    "function-string/case006",
    "function-string/case030",
    "function-tomillis/case007",
    "function-tomillis/case008",
    "function-tomillis/case009",
    "function-tomillis/parseDateTime/28",
    "function-tomillis/parseDateTime/35",
    "function-tomillis/parseDateTime/36",
    "function-tomillis/parseDateTime/37",
    "function-tomillis/parseDateTime/38",
    "function-tomillis/parseDateTime/39",
    "function-tomillis/parseDateTime/40",
    "literals/case015",
    "matchers/case000",
    "matchers/case001",
    "partial-application/case003",
    "performance/case000",
    "performance/case001",
    "range-operator/case022",
    "range-operator/case023",
    "regex/case022",
    "regex/case034",
    "tail-recursion/case001",
    "tail-recursion/case002",
    "tail-recursion/case007",
}


def answered(case: dict[str, Any]) -> Any:
    """An error code, ["undefined"] or [result]."""
    source = case["expr"]
    prelude = "".join(
        text for words, text in PRELUDE if any(word in source for word in words)
    ).replace("LIMIT", "500000")
    METER.set(OPTIONS["max_steps"])
    try:
        expression = Expression(source)
        if prelude:
            expression = Expression(f"({prelude}({source}))")
        for name, host in HOSTS.items():
            expression.register_function(name, *host)
        value = expression.evaluate(suite.document(case), case.get("bindings"), **OPTIONS)
        return [value if value is not None or case.get("result", 0) is None else "undefined"]
    except JlensError as error:
        return error.code
    except JsonataError as failed:
        return failed.what.partition(". ")[2].partition(":")[0]
    except UnicodeEncodeError:
        return "S0104"


def test_suite() -> None:
    got = {name: answered(case) for name, case in suite.CASES.items()}
    got = {
        name: [suite.unordered(suite.CASES[name], value[0])] if isinstance(value, list) else value
        for name, value in got.items()
    }
    different = {name for name, value in got.items() if value != suite.wanted(suite.CASES[name])}
    assert different == DIFFERENT


@pytest.mark.parametrize(
    ("source", "variables", "members"),
    [
        ("$states.input.a + $y", {"y"}, {"input"}),
        ("($a := $b; $a + $states.context.Execution)", {"b"}, {"context"}),
        ("$map($l, function($i) {$i.q * $k})", {"l", "k"}, set()),
        ("$l[$.q = $states.result.x].a^(b).{'c': $m}", {"l", "m"}, {"result"}),
        ("$l#$i.{'a': $i}", {"l"}, set()),
        ("$states ~> $f", {"f"}, {"all"}),
        ("$sum([1, 2])", set(), set()),
    ],
)
def test_variables_and_members(source: str, variables: set[str], members: set[str]) -> None:
    read = Expression(source).reads()["bindings"]
    states = read.pop("states", {})
    assert set(read) == variables
    assert (
        states is True or set(states) == members
    )  # True: all of them, which is more than need be, never less


@pytest.mark.parametrize(
    ("source", "limits", "code"),
    [
        ("($f := function($n) {$f($n + 1)}; $f(1))", {}, "U1006"),
        ("($f := function($n) {1 + $f($n)}; $f(1))", {}, "D1011"),
        ("[1..1000000]", {}, "U1001"),
        ('"aaaa" & "bbbb"', {"max_string_length": 5}, "U1001"),
        ("[1..100]", {"max_result_size": 50}, "U1001"),
        ("1 / 0", {}, "D1001"),
        ("$number('x')", {}, "U1001"),
    ],
)
def test_limits_and_failures(source: str, limits: dict[str, int], code: str) -> None:
    with pytest.raises(JlensError) as caught:
        Expression(source).evaluate(None, None, **{**OPTIONS, **limits})
    assert caught.value.code == code


def test_the_same_time_and_the_same_draws_for_the_same_seed() -> None:
    drawn = Expression("[$millis(), $random(), $random(), $shuffle([1..9])]")
    first = drawn.evaluate(None, None, **{**OPTIONS, "now": 5})
    assert (
        first
        == drawn.evaluate(None, None, **{**OPTIONS, "now": 5})
        != drawn.evaluate(None, None, **{**OPTIONS, "now": 5, "seed": 2})
    )
    assert first[0] == 5 and first[1] != first[2] and sorted(first[3:]) == list(range(1, 10))


def test_the_recursion_limit_is_not_changed() -> None:
    program = "import sys; was = sys.getrecursionlimit(); "
    program += (
        "from stepwell.asl.jsonata_engines import fallback; fallback(); assert "
        "sys.getrecursionlimit() == was"
    )
    subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(ROOT / ".dev")},
        timeout=60,
        check=True,
    )


RUN = """
import sys
for name in sys.argv.pop(1).split(","):
    sys.modules[name] = None  # as if it were not installed
from stepwell.integrations.cli.main import main
sys.argv[0] = "stepwell"
sys.exit(main())
"""
MACHINE = {
    "QueryLanguage": "JSONata",
    "StartAt": "Sum",
    "States": {
        "Sum": {
            "Type": "Pass",
            "Assign": {"n": "{% $sum($states.input.items.price) %}"},
            "Next": "Tell",
        },
        "Tell": {
            "Type": "Pass",
            "Output": {"total": "{% $n %}", "parts": "{% $partition([1, 2, 3], 2) %}"},
            "End": True,
        },
    },
}


def without(
    packages: str, home: dict[str, str], folder: Path, *words: str
) -> subprocess.CompletedProcess[str]:
    (folder / "m.asl.json").write_text(json.dumps(MACHINE))
    program = [sys.executable, "-c", RUN, packages, *words]
    return subprocess.run(
        program, cwd=folder, env=home, capture_output=True, text=True, timeout=120, check=False
    )


def test_without_jlens_a_workflow_has_the_same_output(home: dict[str, str], tmp_path: Path) -> None:
    given = '{"items": [{"price": 1}, {"price": 2.5}]}'
    done = without("jlens", home, tmp_path, "run", "m.asl.json", "--input", given, "--db", "m.db")
    assert (done.returncode, json.loads(done.stdout)) == (
        0,
        {"total": 3.5, "parts": [[1, 2], [3]]},
    ), done.stderr


def test_without_any_engine_the_error_says_what_to_install(
    home: dict[str, str], tmp_path: Path
) -> None:
    done = without("jlens,jsonata", home, tmp_path, "validate", "m.asl.json")
    assert done.returncode != 0 and "pip install jsonata-python" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
