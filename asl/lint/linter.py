"""lint(): the problems that AWS's validation finds, and those that the rules find beyond it.

text --validate--> errors, or a machine --rules--> findings --Comment fields--> those that count
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final

from stepwell.asl import json_text
from stepwell.asl.checks import EXPRESS, STANDARD, Diagnostic
from stepwell.asl.evaluation import Json
from stepwell.asl.explain.definitions import mend
from stepwell.asl.inference import shapes
from stepwell.asl.inference.flow import ResultsOfTasks
from stepwell.asl.inference.machine import Machine, texts
from stepwell.asl.limits import DEFAULT_LIMITS, Limits
from stepwell.asl.lint.comments import Suppression, examples, suppressions
from stepwell.asl.lint.rule import ERROR, WARNING, CheckOfParameters, Finding, Subject
from stepwell.asl.lint.rules import RULES, UNUSED
from stepwell.asl.validate import validate

_CODES: Final = frozenset(rule.code for rule in RULES)


def lint(
    text: str,
    type: str = STANDARD,
    limits: Limits = DEFAULT_LIMITS,
    known_resource: Callable[[str], str | None] | None = None,
    *,
    sample: str | None = None,
    inputs: Sequence[Json] = (),
    results: ResultsOfTasks = lambda resource: None,
    parameters: CheckOfParameters = lambda resource, names: (),
    select: Collection[str] = (),
    ignore: Collection[str] = (),
) -> list[Finding]:
    """The findings of a definition, in the order of the text; none if it is sound.

    With an error of validate() the rules are not run. Unfilled ${Placeholders} may stand for any
    value: no finding is about them.

    known_resource  see validate()
    sample          the text with values for its placeholders, which is validated in its place
                    (definition_files.sampled)
    inputs          examples of the input; also those in the machine's Comment count
    results         what tasks return: Resource -> its Shape, or None
    parameters      (Resource, names of its parameters) -> what is wrong with them
    select, ignore  codes, or beginnings of codes, of the rules: "W2"; empty: all, and none
    """
    diagnostics = validate(sample or text, type, limits, known_resource).diagnostics
    try:
        value = json_text.loads(text, limits.definition_depth)
    except json_text.JsonError:
        value = None
    holes = _holes(value) if sample is None else ()
    found = [
        Finding(each.code, each.severity.lower(), each.location or "/", _mended(each, value))
        for each in diagnostics
        if each.location not in holes
    ]
    if not isinstance(value, dict) or any(each.severity == ERROR for each in found):
        return found
    machine = Machine(value, type == EXPRESS, limits)
    given = [shapes.like(each) for each in (*inputs, *examples(machine))]
    subject = Subject(machine, shapes.join_all(given) if given else shapes.ANY, results, parameters)
    chosen = [rule for rule in RULES if is_selected(rule.code, select, ignore)]
    found += dict.fromkeys(
        Finding(rule.code, rule.severity, where, message)
        for rule in chosen
        for where, message in rule.find(subject)
    )
    kept = _kept(found, suppressions(machine), {rule.code for rule in chosen})
    if len(kept) > 1:
        order = {where: index for index, where in enumerate(json_text.positions(text))}
        kept.sort(key=lambda each: json_text.nearest(order, each.location))
    return kept


def _mended(diagnostic: Diagnostic, machine: Json) -> str:
    """The message of a diagnostic, and the mend if it is known."""
    text = mend(diagnostic.message, diagnostic.location or "/", machine)
    return f"{diagnostic.message.rstrip('.')}. {text}" if text else diagnostic.message


def is_selected(code: str, select: Collection[str], ignore: Collection[str]) -> bool:
    """Whether codes, or beginnings of codes, name a code."""
    return (not select or code.startswith(tuple(select))) and not code.startswith(tuple(ignore))


def _holes(value: Json) -> set[str]:
    """The locations of texts with unfilled placeholders."""
    return {where for _, text, where in texts(value, "/") if shapes.has_hole(text)}


def _kept(
    found: list[Finding], suppressed: tuple[Suppression, ...], chosen: Collection[str]
) -> list[Finding]:
    """Without suppressed findings, with those about suppressions that are not used."""
    kept = [
        each
        for each in found
        if (each.severity == ERROR and each.code not in _CODES)
        or not any(suppression.covers(each) for suppression in suppressed)
    ]
    return kept + list(_unused(found, suppressed, chosen))


def _unused(
    found: list[Finding], suppressed: tuple[Suppression, ...], chosen: Collection[str]
) -> Iterator[Finding]:
    for suppression in suppressed:
        code = suppression.code
        if code in _CODES and code not in chosen:
            continue
        if not any(suppression.covers(each) for each in found):
            known = code in _CODES or not code[1:].isdigit()
            why = f"{code} finds nothing here" if known else f"there is no rule {code}"
            yield Finding(
                UNUSED, WARNING, suppression.location, f"stepwell:ignore {code}: {why}. Remove it"
            )
