"""The JSONata twin of a JSONPath machine: a translation, which must have the same result."""

import json
from typing import Any

from stepwell.conformance.oracle.paths import parse
from stepwell.conformance.oracle.values import Json

State = dict[str, Any]


class UntranslatableError(Exception):
    """The machine has no twin with the same result in every case."""


def twin(definition: State) -> State:
    """Raises UntranslatableError."""
    top = {
        key: value for key, value in definition.items() if key not in ("States", "QueryLanguage")
    }
    return {**top, "QueryLanguage": "JSONata", "States": _states(definition)}


def _states(block: State) -> State:
    return {name: _state(state) for name, state in block["States"].items()}


def _block(block: State) -> State:
    return {**block, "States": _states(block)}


def _state(state: State) -> State:
    if state.get("QueryLanguage") == "JSONata":
        raise UntranslatableError
    translated = {key: value for key, value in state.items() if key not in _REPLACED}
    kind, state_input = state["Type"], _path(state.get("InputPath", "$"))
    result, work = state_input, state_input
    if "Parameters" in state and kind != "Map":
        work = _inline(state["Parameters"], state_input)
    if kind == "Pass":
        result = json.dumps(state["Result"]) if "Result" in state else work
    elif kind == "Parallel":
        translated["Branches"] = [_block(branch) for branch in state["Branches"]]
        translated["Arguments"], result = _expression(work), "$states.result"
    elif kind == "Map":
        name = "ItemProcessor" if "ItemProcessor" in state else "Iterator"
        translated[name] = _block(state[name])
        translated["Items"], result = (
            _expression(_path(state.get("ItemsPath", "$"), state_input)),
            "$states.result",
        )
        for selector in ("ItemSelector", "Parameters"):
            if selector in state:
                translated["ItemSelector"] = _template(state[selector], state_input)
    elif kind == "Choice":
        translated["Choices"] = [_rule(rule, state_input) for rule in state["Choices"]]
    if "ResultSelector" in state:
        raise UntranslatableError
    for name in ("TimestampPath", "SecondsPath", "ErrorPath", "CausePath", "MaxConcurrencyPath"):
        if name in translated:
            path = translated.pop(name)
            translated[name.removesuffix("Path")] = _expression(
                _dynamic(path, "$states.input" if kind == "Fail" else state_input)
            )
    if "Assign" in state:
        translated["Assign"] = _template(state["Assign"], result)
    if kind != "Fail":
        output = _merged(state.get("ResultPath", "$"), result)
        if state.get("OutputPath", "$") != "$":
            raise UntranslatableError
        rules = translated.get("Choices", ())
        for holder in (translated, *rules):
            holder["Output"] = _expression(output)
    if "Catch" in state:
        translated["Catch"] = [_catcher(catcher) for catcher in state["Catch"]]
    return translated


_REPLACED = (
    "InputPath",
    "OutputPath",
    "Parameters",
    "ResultPath",
    "ResultSelector",
    "ItemsPath",
    "Assign",
    "Catch",
    "Choices",
    "Branches",
    "Result",
)


def _expression(source: str) -> str:
    return "{% " + source + " %}"


def _path(path: str | None, root: str = "$states.input") -> str:
    """A path of names in JSONata. Others are untranslatable: indexes and indefinite paths work
    differently there.
    """
    if path is None or path.startswith("$$"):
        if path in (
            "$$.Map.Item.Value",
            "$$.Map.Item.Index",
            "$$.State.Name",
            "$$.Execution.Input",
        ):
            return "$states.context" + path[2:]
        raise UntranslatableError
    parsed = parse(path)
    if not all(isinstance(key, str) and key and "`" not in key for key in parsed.keys):
        raise UntranslatableError
    start = root if parsed.root == "$" else parsed.root
    if parsed.keys and not start.startswith("$"):
        start = f"({start})"
    return "".join((start, *(f".`{key}`" for key in parsed.keys)))


def _template(value: Json, root: str) -> Json:
    """A payload template in JSONata: a value with expressions in it."""
    if isinstance(value, list):
        return [_template(each, root) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name.removesuffix(".$"): _expression(_dynamic(each, root))
        if name.endswith(".$")
        else _template(each, root)
        for name, each in value.items()
    }


def _dynamic(text: str, root: str) -> str:
    if not text.startswith("$"):
        raise UntranslatableError
    return _path(text, root)


def _inline(value: Json, root: str) -> str:
    """A payload template as one expression, without dynamic fields inside arrays: JSONata would
    flatten their values.
    """
    if isinstance(value, dict):
        members = (
            (
                f"{json.dumps(name.removesuffix('.$'))}: "
                f"{_dynamic(each, root) if name.endswith('.$') else _inline(each, root)}"
            )
            for name, each in value.items()
        )
        return "{" + ", ".join(members) + "}"
    if ".$" in json.dumps(value):
        raise UntranslatableError
    return json.dumps(value)


def _merged(path: str | None, result: str) -> str:
    if path is None:
        return "$states.input"
    keys = parse(path).keys
    if not keys:
        return result
    if len(keys) > 1 or not isinstance(keys[0], str):
        raise UntranslatableError
    return f"$merge([$states.input, {{{json.dumps(keys[0])}: {result}}}])"


def _catcher(catcher: State) -> State:
    translated = {
        key: value for key, value in catcher.items() if key not in ("ResultPath", "Assign")
    }
    translated["Output"] = _expression(
        _merged(catcher.get("ResultPath", "$"), "$states.errorOutput")
    )
    if "Assign" in catcher:
        translated["Assign"] = _template(catcher["Assign"], "$states.errorOutput")
    return translated


_IS = {"IsNull": "null", "IsString": "string", "IsNumeric": "number", "IsBoolean": "boolean"}
_SIGNS = {
    "Equals": "=",
    "LessThan": "<",
    "GreaterThan": ">",
    "LessThanEquals": "<=",
    "GreaterThanEquals": ">=",
}


def _rule(rule: State, root: str) -> State:
    translated: State = {"Condition": _expression(_test(rule, root)), "Next": rule["Next"]}
    if "Assign" in rule:
        translated["Assign"] = _template(rule["Assign"], root)
    return translated


def _test(rule: State, root: str) -> str:
    if "Not" in rule:
        return f"$not({_test(rule['Not'], root)})"
    for name, word in (("And", " and "), ("Or", " or ")):
        if name in rule:
            return "(" + word.join(_test(each, root) for each in rule[name]) + ")"
    value = _path(rule["Variable"], root)
    for name, operand in rule.items():
        if name == "IsPresent":
            return f"($exists({value}) = {json.dumps(operand)})"
        if name in _IS:
            return f"(($type({value}) = '{_IS[name]}') = {json.dumps(operand)})"
        for family, kind in (("Numeric", "number"), ("String", "string"), ("Boolean", "boolean")):
            if (
                name.removesuffix("Path").startswith(family)
                and name.removesuffix("Path")[len(family) :] in _SIGNS
            ):
                sign, other = _SIGNS[name.removesuffix("Path")[len(family) :]], json.dumps(operand)
                if name.endswith("Path"):
                    other = _path(operand, root)
                both = f"$type({value}) = '{kind}' and $type({other}) = '{kind}'"
                return f"({both} ? {value} {sign} {other} : false)"
    raise UntranslatableError
