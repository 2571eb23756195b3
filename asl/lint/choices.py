"""Rules about the Choices of a state and the states that they lead to.

Whether a rule can be true is decided with the interpreter's own operators, on samples: for each
variable a value from every region between the operands of the rules. Rules with an operator whose
regions are not known (patterns, other paths) are left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any, Final, NamedTuple

from stepwell.asl import messages
from stepwell.asl.choice import OPERATORS, Test, compile_rule
from stepwell.asl.evaluation import MISSING, Json, StateError
from stepwell.asl.explain.choices import as_regex
from stepwell.asl.expression_errors import ExpressionError
from stepwell.asl.inference.choice_shapes import NO, YES, mismatches
from stepwell.asl.inference.field_shapes import NO_ENV
from stepwell.asl.inference.machine import State, entries, texts
from stepwell.asl.inference.shapes import has_hole
from stepwell.asl.json_text import dumps, item, member
from stepwell.asl.jsonata import is_expression
from stepwell.asl.lint import conditions
from stepwell.asl.lint.rule import Found, Rule, Subject
from stepwell.asl.timestamps import iso_milliseconds, parse_timestamp

_MOST_SAMPLES: Final = 2_000  # of the variables of a rule together
_MOST_RULES: Final = 400  # of a state
_MOST_TESTS: Final = 100_000  # of rules on samples, in a state; further rules are left out
_ALWAYS: Final[tuple[Json, ...]] = (MISSING, None, True, False, [], {}, "", "a", 0)
_ANOTHER_TIME: Final = "2000-01-01T00:00:00Z"
_EQUALS: Final = ("StringEquals", "NumericEquals", "BooleanEquals", "TimestampEquals")
_TEXT_OPERATORS: Final = tuple(name for name in OPERATORS if f"{name}Path" in OPERATORS)
_PATH: Final = re.compile(r"\$\.[A-Za-z_]|\$\$\.[A-Z]")
_JSONATA_COST: Final = 20  # of an evaluation of JSONata, in tests of JSONPath rules
_FAMILIES: Final = {bool: "Boolean", int: "Numeric", float: "Numeric", str: "String"}
_NAMES: Final = {
    "<": "LessThan", "<=": "LessThanEquals", ">": "GreaterThan", ">=": "GreaterThanEquals",
}  # fmt: skip
_INSTANT: Final = 0.001  # seconds
_NEXT_TEXT: Final = "\x00"  # the least letter: no text is between `a` and `a` with it


class _Comparison(NamedTuple):
    variable: str
    operator: str
    operand: Json


class _Test(NamedTuple):
    """A rule whose regions are known. test: of {variable: value}, None if it raises an error;
    exact: it is true for one value only, which is among its samples; cost: of a test.
    """

    comparisons: tuple[_Comparison, ...]
    test: Callable[[Mapping[str, Json]], bool | None]
    exact: bool
    cost: int = 1

    @property
    def variables(self) -> frozenset[str]:
        return frozenset(each.variable for each in self.comparisons)


# --- samples --------------------------------------------------------------------------------------


def _comparisons(rule: Json) -> Iterator[_Comparison]:
    """Those of a rule, at any depth."""
    if isinstance(rule, list):
        for each in rule:
            yield from _comparisons(each)
    elif isinstance(rule, dict):
        for name, value in rule.items():
            if name in OPERATORS:
                yield _Comparison(str(rule.get("Variable")), name, value)
            elif name in ("And", "Or", "Not"):
                yield from _comparisons(value)


def _known(comparison: _Comparison, patterns: bool) -> bool:
    variable, operator, operand = comparison
    unknown = operator.endswith("Path") or (operator == "StringMatches" and not patterns)
    return not (unknown or has_hole(operand) or has_hole(variable))


def _readable(rule: dict[str, Any], patterns: bool = False) -> _Test | None:
    """A rule whose regions are known, else None. patterns: or whose result for each value is."""
    text = _condition(rule)
    if isinstance(text, str):
        return None if has_hole(text) else _readable_condition(text)
    found = tuple(_comparisons(rule))
    if not found or not all(_known(each, patterns) for each in found):
        return None
    names = {variable: f"v{i}" for i, variable in enumerate(dict.fromkeys(c[0] for c in found))}
    try:
        run = compile_rule(_renamed(rule, names))
    except ExpressionError:
        return None
    return _Test(found, _runner(run, names), any(each in rule for each in _EQUALS))


def _readable_condition(text: str) -> _Test | None:
    read = conditions.read(text)
    if read is None:
        return None
    found = tuple(
        _Comparison(path, _FAMILIES[type(value)] + _NAMES.get(operator, "Equals"), value)
        for path, operator, value in read.comparisons
    )
    exact = [operator for _, operator, _ in read.comparisons] == ["="] and "$not" not in text
    return _Test(found, read.test, exact, _JSONATA_COST)


def _renamed(rule: Json, names: Mapping[str, str]) -> Json:
    """The test of a rule with the variables $.v0, $.v1 ..."""
    if isinstance(rule, list):
        return [_renamed(each, names) for each in rule]
    if not isinstance(rule, dict):
        return rule
    return {
        key: f"$.{names.get(str(value), '')}"
        if key == "Variable"
        else _renamed(value, names)
        if key in ("And", "Or", "Not")
        else value
        for key, value in rule.items()
        if key in ("Variable", "And", "Or", "Not") or key in OPERATORS
    }


def _runner(run: Test, names: Mapping[str, str]) -> Callable[[Mapping[str, Json]], bool | None]:
    def test(values: Mapping[str, Json]) -> bool | None:
        document = {
            name: values[variable]
            for variable, name in names.items()
            if values[variable] is not MISSING
        }
        try:
            return run(document, NO_ENV)
        except StateError:
            return None

    return test


def _samples(comparisons: list[_Comparison]) -> list[Json] | None:
    """A value from each region of one variable; None if the regions are not known."""
    operators = {each.operator for each in comparisons}
    texts = any(each.startswith("String") for each in operators)
    times = any(each.startswith(("Timestamp", "IsTimestamp")) for each in operators)
    if texts and times:
        return None
    found = list(_ALWAYS)
    for _, operator, operand in comparisons:
        if isinstance(operand, bool):
            continue
        if isinstance(operand, int | float):
            number = float(operand)
            found += [operand, math.nextafter(number, math.inf), math.nextafter(number, -math.inf)]
        elif isinstance(operand, str) and operator.startswith("Timestamp"):
            seconds = parse_timestamp(operand)
            if seconds is None:
                return None
            found += [
                operand,
                *(iso_milliseconds(float(seconds) + each) for each in (-_INSTANT, _INSTANT)),
            ]
        elif isinstance(operand, str):
            found += [operand, operand + _NEXT_TEXT]
    if times:
        found.append(_ANOTHER_TIME)
    return found


def _assignments(tests: list[_Test], variables: frozenset[str]) -> list[dict[str, Json]] | None:
    """All combinations of samples of the variables; None if they are not known, or too many."""
    axes: list[list[Json]] = []
    names = sorted(variables)
    for name in names:
        relevant = [c for test in tests for c in test.comparisons if c.variable == name]
        samples = _samples(relevant)
        if samples is None:
            return None
        axes.append(samples)
    if math.prod(map(len, axes)) > _MOST_SAMPLES:
        return None
    return [dict(zip(names, values, strict=True)) for values in product(*axes)]


# --- what the samples say -------------------------------------------------------------------------


class _Verdict(NamedTuple):
    """impossible: no value makes the rule true; by: the earlier rules that take all of its."""

    impossible: bool
    by: tuple[int, ...]


def _verdicts(subject: Subject, state: State) -> tuple[tuple[int, _Verdict], ...]:
    """(index, verdict) of the rules that are never taken, whatever flows in."""
    found: tuple[tuple[int, _Verdict], ...] = subject.once(_examined, state)
    return found


def _examined(state: State) -> tuple[tuple[int, _Verdict], ...]:
    return tuple(_examine(state))


def _examine(state: State) -> Iterator[tuple[int, _Verdict]]:
    rules = entries(state.fields, "Choices")[:_MOST_RULES]
    tests = [_readable(rule) for rule in rules]
    budget = _MOST_TESTS
    patterns = [each or _readable(rule, patterns=True) for each, rule in zip(tests, rules)]
    for index, test in enumerate(tests):
        if test is None:
            continue
        earlier = {
            place: each
            for place, each in enumerate((patterns if test.exact else tests)[:index])
            if each is not None and each.variables <= test.variables
        }
        assignments = _assignments([test, *earlier.values()], test.variables)
        work = len(assignments or ()) * (1 + len(earlier)) * test.cost
        if assignments is None or work > budget:
            continue
        budget -= work
        taken = [values for values in assignments if test.test(values)]
        if not taken:
            yield index, _Verdict(True, ())
            continue
        by: list[int] = []
        for place, each in earlier.items():
            left = [values for values in taken if each.test(values) is False]
            if len(left) < len(taken):
                by.append(place)
            taken = left
            if not taken:
                yield index, _Verdict(False, tuple(by))
                break


def _exhaustive(state: State) -> bool:
    """Whether some rule is true for every value; True also if that is not known."""
    rules = entries(state.fields, "Choices")[:_MOST_RULES]
    tests = [test for rule in rules if (test := _readable(rule)) is not None]
    variables = frozenset(name for test in tests for name in test.variables)
    assignments = _assignments(tests, variables)
    work = len(assignments or ()) * sum(test.cost for test in tests)
    if not tests or assignments is None or work > _MOST_TESTS:
        return False
    return all(any(test.test(values) is not False for test in tests) for values in assignments)


def _same(state: State) -> Iterator[tuple[int, int]]:
    """(index, index of the same earlier rule) of rules with the same test."""
    seen: dict[str, int] = {}
    for index, rule in enumerate(entries(state.fields, "Choices")):
        fields = ("Next", "Assign", "Output", "Comment")
        text = dumps({name: value for name, value in rule.items() if name not in fields})
        first = seen.setdefault(text, index)
        if first != index:
            yield index, first


def _choices(subject: Subject) -> Iterator[State]:
    return (state for state in subject.machine.states if state.type == "Choice")


def _rule(state: State, index: int) -> str:
    return item(state.at("Choices"), index)


# --- rules ----------------------------------------------------------------------------------------


def shadowed(subject: Subject) -> Iterator[Found]:
    for state in _choices(subject):
        found: dict[int, tuple[int, ...]] = {index: (first,) for index, first in _same(state)}
        found |= {
            i: v.by for i, v in _verdicts(subject, state) if not v.impossible and i not in found
        }
        for index, by in sorted(found.items()):
            places = " and ".join(f"Choices[{each}]" for each in by)
            yield (
                _rule(state, index),
                f"this rule is never taken: {places} already "
                f"{'take' if len(by) > 1 else 'takes'} every value that it matches. Put the more "
                "specific rule first, or remove one",
            )


def contradictory(subject: Subject) -> Iterator[Found]:
    for state in _choices(subject):
        for index, verdict in _verdicts(subject, state):
            if verdict.impossible:
                yield (
                    _rule(state, index),
                    "this rule is never taken: no value meets all of its conditions. Correct the "
                    "operands, or use Or",
                )


def after_true(subject: Subject) -> Iterator[Found]:
    for state in _choices(subject):
        rules = entries(state.fields, "Choices")
        for index, rule in enumerate(rules):
            text = _condition(rule)
            if text in (False, "false"):
                where = member(_rule(state, index), "Condition")
                yield where, "this rule is never taken: its Condition is false. Remove the rule"
            last = index == len(rules) - 1
            if text in (True, "true") and (not last or "Default" in state.fields):
                rest = "Default" if last else "the rules after it"
                yield (
                    member(_rule(state, index), "Condition"),
                    f"this rule is always taken: {rest} never. Write it as Default, or give it a "
                    "condition",
                )


def _condition(rule: dict[str, Any]) -> Json:
    """The Condition of a rule, without {% %}."""
    value = rule.get("Condition")
    return value[2:-2].strip() if isinstance(value, str) and is_expression(value) else value


def constant(subject: Subject) -> Iterator[Found]:
    for state, results in subject.facts.rules.items():
        for index, result in enumerate(results):
            literal = isinstance(entries(state.fields, "Choices")[index].get("Condition"), bool)
            if result in (YES, NO) and not literal:
                always = "always" if result == YES else "never"
                yield (
                    _rule(state, index),
                    f"this rule is {always} true with what flows in. If that is intended, a Pass "
                    "or a Next says it more clearly",
                )


def other_type(subject: Subject) -> Iterator[Found]:
    for state, scene in subject.facts.scenes.items():
        for index, rule in enumerate(entries(state.fields, "Choices")):
            if not state.jsonata:
                yield from mismatches(rule, scene, _rule(state, index))


def path_as_text(subject: Subject) -> Iterator[Found]:
    for state in _choices(subject):
        for key, text, where in texts(state.fields.get("Choices"), state.at("Choices")):
            if key.startswith("String") and key in _TEXT_OPERATORS and _PATH.match(text):
                yield (
                    where,
                    f"{key} compares with the text {text}. To compare with its value, use "
                    f"{key}Path",
                )


def regular_expression(subject: Subject) -> Iterator[Found]:
    for state in _choices(subject):
        for key, text, where in texts(state.fields.get("Choices"), state.at("Choices")):
            if key == "StringMatches" and not has_hole(text) and as_regex(text):
                yield (
                    where,
                    f"{text} is a regular expression, and StringMatches knows * only, for any "
                    "text. Write a pattern with *, or match in a function",
                )


def without_default(subject: Subject) -> Iterator[Found]:
    for state in _choices(subject):
        rules = entries(state.fields, "Choices")
        always = any(_condition(rule) in (True, "true") for rule in rules)
        if "Default" not in state.fields and not always and not _exhaustive(state):
            yield (
                state.location,
                f"no Default: when no rule matches, the execution fails with {messages.RUNTIME}, "
                "which nothing catches. Add a Default, if only to a Fail state with a clear error",
            )


def never_entered(subject: Subject) -> Iterator[Found]:
    """States that only rules lead to which are never taken."""
    for block in subject.machine.blocks:
        if block.start is None:
            continue
        dead: set[str] = set()
        for state in block.states.values():
            if state.type == "Choice":
                indexes = {index for index, _ in (*_verdicts(subject, state), *_same(state))}
                dead |= {
                    edge.location
                    for edge in state.edges
                    if edge.holder == "Choices" and edge.place in indexes
                }
        if not dead:
            continue
        reached, waiting = {block.start.name}, [block.start.name]
        while waiting:
            edges = block.states[waiting.pop()].edges
            new = {edge.target for edge in edges if edge.location not in dead} - reached
            reached |= new
            waiting += new
        for name, state in block.states.items():
            if name not in reached:
                yield (
                    state.location,
                    f"no execution enters '{name}': only rules that are never taken lead to it. "
                    "Correct these rules, or remove the state",
                )


def endless(subject: Subject) -> Iterator[Found]:
    """States from which no end of their block can be reached, though others can reach one."""
    for block in subject.machine.blocks:
        ends = {name for name, state in block.states.items() if not state.edges}
        ends |= {n for n, each in block.states.items() if each.fields.get("End") is True}
        if not ends:
            continue  # checks.py reports it
        leaving = block.leading_to(ends)
        for loop in block.loops:
            if loop[0].name not in leaving:
                yield (
                    loop[0].location,
                    f"no way leads from '{loop[0].name}' to an end: the execution runs until its "
                    "history is full, its time is over or it is stopped. Add a way out of the loop",
                )


RULES: Final = (
    Rule("W001", "shadowed-rule", "An earlier rule takes all that this one matches.", shadowed),
    Rule("W002", "contradictory-rule", "No value meets the conditions of a rule.", contradictory),
    Rule("N003", "constant-condition", "A Condition is written as true or false.", after_true),
    Rule(
        "N004",
        "state-never-entered",
        "Only rules that are never taken lead to a state.",
        never_entered,
    ),
    Rule("W005", "endless-loop", "A loop has no way to an end.", endless),
    Rule("N006", "constant-rule", "What flows in makes a rule always or never true.", constant),
    Rule("N007", "no-default", "A Choice without Default may match nothing.", without_default),
    Rule("W009", "path-as-text", "An operand is a path, and compared as text.", path_as_text),
    Rule("W008", "other-type", "A value always has another type than its operator.", other_type),
    Rule("W010", "regular-expression", "A pattern is a regular expression.", regular_expression),
)
