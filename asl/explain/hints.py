"""explain: all hints about one visit of a state, the most likely cause first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from stepwell.asl import messages
from stepwell.asl.evaluation import MISSING
from stepwell.asl.explain import choices, failures, literals, services, upstream
from stepwell.asl.explain.jsonata import failures as expressions
from stepwell.asl.explain.jsonata.chains import name_in_brackets
from stepwell.asl.explain.missing import close, missing, source_name
from stepwell.asl.explain.readings import (
    Ending,
    Reading,
    evaluated_fields,
    readings,
    result_paths,
)
from stepwell.asl.explain.subject import CAUSE, NOTE, WARNING, Hint, Subject
from stepwell.asl.explain.values import attribute_type, follow, shown, spelled
from stepwell.asl.jsonata_values import expressions as expressions_in
from stepwell.asl.paths import compile_path

# errors of the state's own expressions
_EVALUATION: Final = (
    messages.RUNTIME,
    messages.QUERY_EVALUATION_ERROR,
    messages.INTRINSIC_FAILURE,
    messages.RESULT_PATH_MATCH_FAILURE,
    "States.ParameterPathFailure",
)
# an expression, or the pattern of a function, is undefined
_UNDEFINED: Final = re.compile(
    rf"{re.escape(messages.JSONATA_UNDEFINED)}"
    r'|T0410: Argument 2 of function "(?:contains|split|replace|match)"'
)
_LAST_INDEX: Final = re.compile(r"\[\s*\d+\s*\]$")
_FALSE: Final = ("false", "no", "off", "0")
_RANKS: Final = {CAUSE: 0, WARNING: 1, NOTE: 2}


def explain(subject: Subject) -> tuple[Hint, ...]:
    """The hints: causes first, then warnings and notes; () if the state is as it should be."""
    found = list(_failed(subject)) if subject.error is not None else []
    warnings = [
        *choices.hints(subject),
        *literals.hints(subject),
        *_tests(subject),
        *_brackets(subject),
        *_truthy(subject),
        *services.requests(subject),
    ]
    if subject.error is not None and not any(each.level == CAUSE for each in found):
        warnings = [_as_cause(each) for each in warnings]
    if failures.no_choice_matched(subject):
        found = [*map(_as_cause, warnings), *found]  # the comparison that is wrong says more
        warnings = []
    every = [*found, *warnings, *_before_result(subject), *_nulls(subject), *_nothing(subject)]
    unique = {(each.code, each.field, each.text): each for each in every}
    return tuple(sorted(unique.values(), key=lambda each: _RANKS[each.level]))


def _as_cause(hint: Hint) -> Hint:
    return replace(hint, level=CAUSE)


def _failed(subject: Subject) -> Iterator[Hint]:
    """What made the state fail."""
    evaluation = subject.error in _EVALUATION
    if evaluation and (reading := _culprit(subject)) is not None:
        code, text = missing(subject, reading)
        yield Hint(code, CAUSE, reading.field, text)
    else:
        for rule in (*failures.RULES, *(failures.LAST if evaluation else ())):
            if (found := rule.when(subject)) is not None:
                yield Hint(rule.code, CAUSE, *found)
                break
    if (found := failures.HANDLERS.when(subject)) is not None:
        yield Hint(failures.HANDLERS.code, NOTE if evaluation else CAUSE, *found)


def _culprit(subject: Subject) -> Reading | None:
    """The first path without a result, in the order of evaluation. The cause names a JSONata field
    or a path.
    """
    cause, failed = subject.cause or "", expressions.field_of(subject)
    if failed is not None and not _UNDEFINED.search(cause):
        return None  # the values are there, but their types are wrong
    ending = [
        each
        for each in readings(subject)
        if each.found is MISSING and not each.optional and (not failed or each.field == failed[0])
    ]
    named = [each for each in ending if f"'{each.text}'" in cause or each.text in cause]
    return next(iter(named or ending), None)


def _tests(subject: Subject) -> Iterator[Hint]:
    """Paths that may have no result, and probably have one under another name."""
    if subject.error in _EVALUATION:
        return
    for each in readings(subject):
        if each.ending is None:
            continue
        meant = close(subject, each)
        if meant is not None:
            yield Hint("close-name", WARNING, each.field, missing(subject, each).text)
        elif each.found == [] and (bare := _without_index(subject, each)):
            call = f"States.ArrayGetItem({bare}, {each.text[len(bare) + 1 : -1]})"
            text = (
                f"`{each.text}` is empty: an index behind {_several(bare)} applies to each match, "
                f"not to the list. Write `{call}`."
            )
            yield Hint("index-after-filter", WARNING, each.field, text)


def _brackets(subject: Subject) -> Iterator[Hint]:
    """A text in brackets behind a JSONata path, which is a predicate and no name."""
    for field in evaluated_fields(subject) if subject.jsonata else ():
        for where, source in expressions_in(field.value, field.name):
            if found := name_in_brackets(source):
                text = f"`{found[0]}` is `{found[0].rpartition('[')[0]}`: a text in brackets is a "
                text += f"predicate, true for every value. For the name, write `{found[1]}`."
                yield Hint("name-in-brackets", WARNING, where, text)


def _truthy(subject: Subject) -> Iterator[Hint]:
    """A text such as "false" in the place of a boolean: JSONata takes any text for true."""
    sources = {
        where: source
        for field in (evaluated_fields(subject) if subject.jsonata else ())
        for where, source in expressions_in(field.value, field.name)
    }
    for each in readings(subject):
        source, path = sources.get(each.field, ""), re.escape(each.text)
        asked = rf"{path}\s*(\?(?![?:.])|and\b|or\b)|\b(and|or)\s+{path}\s*$|\$not\(\s*{path}\s*\)"
        text = each.found if isinstance(each.found, str) else ""
        if text.lower() in _FALSE and re.search(asked, source):
            yield Hint(
                "text-as-boolean",
                WARNING,
                each.field,
                f"`{each.text}` is the text {shown(text)}, and every text but the empty one counts "
                f"as true. Compare it: `{each.text} = 'true'`.",
            )


def _several(path: str) -> str:
    """The last step of a path that finds several values."""
    signs = {"?(": "a filter", "..": "`..`", "*": "`*`"}
    last = max(signs, key=path.rfind)
    return signs[last] if last in path else "a list of positions"


def _without_index(subject: Subject, reading: Reading) -> str | None:
    """A path without the index at its end, if it finds several values then."""
    bare = _LAST_INDEX.sub("", reading.text)
    if bare == reading.text or reading.jsonata:
        return None
    path = compile_path(bare, subject.limits)
    if path.query.definite:
        return None
    return bare if path.query.find(reading.document, reading.document) else None


def _nothing(subject: Subject) -> Iterator[Hint]:
    """Parts of a state that did not fail which found nothing: JSONata leaves such a member out, a
    filter is an empty list.
    """
    if subject.error in _EVALUATION:
        return
    for each in readings(subject):
        if each.ending is not None and not each.optional and close(subject, each) is None:
            yield Hint("found-nothing", NOTE, each.field, missing(subject, each).text)


def _before_result(subject: Subject) -> Iterator[Hint]:
    """Without a result: fields that read it, for what the state input has."""
    if not subject.awaits_result or subject.error is not None:
        return
    for where, path, keys in result_paths(subject):
        if keys and follow(subject.documents.get("input"), keys) is not MISSING:
            root = "`$states.result`" if subject.jsonata else "`$`"
            text = (
                f"{root} is the result of the {subject.type} here, and `{path}` is in the state "
                "input. If the result does not have it, "
            )
            if subject.jsonata:
                text += f"write `{spelled('$states.input', keys, True)}`."
            else:
                text += "keep the input by ResultPath, and read it in the next state."
            yield Hint("result-before-result-path", WARNING, where, text)


def _nulls(subject: Subject) -> Iterator[Hint]:
    """Fields whose value is null, because it is null in the data; or has DynamoDB's types."""
    for each in readings(subject):
        if each.found is None and not each.optional and not each.field.startswith("Choices["):
            where = source_name(subject, each) or f"`{each.root}`"
            made = upstream.maker(subject, each, Ending(each.text, None, "", None, ()))
            text = f"`{each.text}` is null in {where}." + (f" {made}" if made else "")
            yield Hint("null-value", NOTE, each.field, text)
        elif (kind := attribute_type(each.found)) and each.ending is None:
            text = f"`{each.text}` is {shown(each.found)}, an attribute value of DynamoDB"
            text += f": `{spelled(each.text, (kind,), each.jsonata)}` is its value."
            yield Hint("attribute-value", NOTE, each.field, text)
