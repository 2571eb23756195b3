"""JSONata's own suite: through the engine with AWS's functions in front, as our adapter calls it,
and through the adapter itself.

A new version of the engine has to pass it before it is used.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from jlens import JlensError

from stepwell.asl.evaluation import Env, StateError
from stepwell.asl.expression_errors import ExpressionSyntaxError
from stepwell.asl.jsonata import Jsonata, _engine, _options
from stepwell.asl.jsonata_functions import METER, PRELUDE
from stepwell.asl.limits import Limits

SUITE = json.loads((Path(__file__).parent / "jsonata_suite" / "suite.json").read_text())
CASES = {case["id"]: case for case in SUITE["cases"]}
LIMITS = Limits(
    jsonata_inline_seconds=10,
    jsonata_seconds=10,
    jsonata_inline_steps=4_000_000,
    jsonata_steps=4_000_000,
    jsonata_array_items=300_000,
)

# Where this adapter differs, and why
OURS = {
    # half a surrogate pair is refused when the expression is compiled; no JSON text can hold one
    "function-encodeUrl/case002": "S0104",
    "function-encodeUrlComponent/case002": "S0104",
    "function-string/case019": "D1001",  # 1/0 throws where it is computed
    "tail-recursion/case002": 9.33262154439441e157,  # the suite's limit of depth is not set
    "tail-recursion/case005": "D1011",  # the engine's own names for the limits
    "tail-recursion/case006": "U1006",
    "range-operator/case021": "U1001",  # longer than the limit
    "range-operator/case024": "U1001",
}


def wanted(case: dict[str, Any]) -> Any:
    """An error code, ["undefined"] or [result]."""
    if "$eval(" in case["expr"]:
        return "T1006"  # AWS has no $eval
    if case["id"] in OURS:
        ours = OURS[case["id"]]
        return ours if isinstance(ours, str) else [pytest.approx(ours)]
    if "code" in case:
        return case["code"]
    if case.get("undefined"):
        return ["undefined"]
    return [unordered(case, case["result"])]


def unordered(case: dict[str, Any], value: Any) -> Any:
    return sorted(value, key=json.dumps) if case.get("unordered") else value


def document(case: dict[str, Any]) -> Any:
    return SUITE["datasets"][case["dataset"]] if "dataset" in case else case.get("data")


def by_engine(case: dict[str, Any], form: str) -> Any:
    source = case["expr"]
    prelude = "".join(text for words, text in PRELUDE if any(word in source for word in words))
    options = {**_options(LIMITS, in_thread=True), "max_result_size": None, "now": 0, "seed": 1}
    try:
        _engine(source, source)
        engine = _engine(f"({prelude.replace('LIMIT', '500000')}({source}))", source)
        data, bindings = document(case), case.get("bindings")
        METER.set(LIMITS.jsonata_steps)
        if form == "value":
            value = engine.evaluate(data, bindings, **options)
            return [value if value is not None or case.get("result", 0) is None else "undefined"]
        given = "data" in case or "dataset" in case  # null is a document too
        text = engine.evaluate_json(json.dumps(data) if given else None, bindings, **options)
        return ["undefined" if text is None else json.loads(text)]
    except JlensError as error:
        return error.code
    except ExpressionSyntaxError as fault:
        return fault.message.removeprefix(
            f"The JSONata expression '{source}' could not be parsed. "
        ).partition(":")[0]


@pytest.mark.parametrize("form", ["value", "text"])
@pytest.mark.parametrize("group", sorted({name.partition("/")[0] for name in CASES}))
def test_group(group: str, form: str) -> None:
    cases = [case for name, case in CASES.items() if name.partition("/")[0] == group]
    got = {case["id"]: by_engine(case, form) for case in cases}
    got = {
        name: [unordered(CASES[name], value[0])] if isinstance(value, list) else value
        for name, value in got.items()
    }
    assert got == {case["id"]: wanted(case) for case in cases}


def by_adapter(case: dict[str, Any], in_thread: bool, env: Env | None = None) -> Any:
    """The same through $states: variables for bindings, no document."""
    limits = (
        LIMITS
        if not in_thread
        else Limits(jsonata_inline_steps=1, jsonata_steps=4_000_000, jsonata_seconds=10)
    )
    bindings = case.get("bindings", {})
    env = env or Env({}, bindings, dict, lambda: b"0123456789abcdef", 0.0)
    try:
        return [Jsonata(case["expr"], limits).evaluate(env, "Output")]
    except StateError as error:
        cause = str(error.cause)
        if cause.endswith("returned nothing (undefined)."):
            return ["undefined"]
        if cause.endswith("returned an unsupported result type."):
            return "unsupported"
        return cause.removeprefix(
            f"The JSONata expression '{case['expr']}' specified for the field 'Output' threw "
            "an error during evaluation. "
        ).partition(":")[0]
    except ExpressionSyntaxError as fault:
        return fault.message.removeprefix(
            f"The JSONata expression '{case['expr']}' could not be parsed. "
        ).partition(":")[0]


# the operators that AWS's version of JSONata does not have
NEWER = ("default-operator/", "coalescing-operator/")

NO_DOCUMENT = [
    case
    for case in CASES.values()
    if not case.keys() & {"data", "dataset"} and case["expr"] == case["expr"].strip()
]


def test_many_cases_need_no_document() -> None:
    assert len(NO_DOCUMENT) > 400 and len(CASES) == 1665


@pytest.mark.parametrize("in_thread", [False, True])
def test_adapter(in_thread: bool) -> None:
    differences = {}
    for case in NO_DOCUMENT:
        newer = case["id"].startswith(NEWER) and ("?:" in case["expr"] or "??" in case["expr"])
        got, want = by_adapter(case, in_thread), "S0211" if newer else wanted(case)
        if got != want and not (
            isinstance(got, list) and isinstance(want, list) and case.get("unordered")
        ):
            differences[case["id"]] = (case["expr"], got, want)
    assert differences == {}


def test_generated_expressions() -> None:
    """Of AWS's version of JSONata: values, undefined, values that no state may return, codes."""
    suite = json.loads((Path(__file__).parent / "jsonata_suite" / "generated.json").read_text())
    env = Env(suite["input"], suite["variables"], lambda: suite["context"], lambda: bytes(16), 0.0)
    differences = {}
    for case in suite["cases"]:
        got = by_adapter(case, in_thread=False, env=env)
        want = case["code"] if "code" in case else [case.get("value", "undefined")]
        if "unsupported" in case:
            want = "unsupported"
        if got != want:
            differences[case["expr"]] = (got, want)
    assert differences == {} and len(suite["cases"]) > 1_000
