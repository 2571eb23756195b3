"""The rules about paths without a result: what was meant, and where the value was lost.

Each rule is (code, when): `when` returns the sentence with the mend, or None if the rule does not
apply. All that apply are collected in this order; the first is the most likely one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from stepwell.asl.evaluation import MISSING
from stepwell.asl.explain import names, roots, services, upstream
from stepwell.asl.explain.jsonata import failures as expressions
from stepwell.asl.explain.readings import Ending, Reading
from stepwell.asl.explain.subject import WORKING, Subject
from stepwell.asl.explain.values import (
    DYNAMODB,
    attribute_type,
    counted,
    described,
    follow,
    kind,
    members,
    near,
    parsed,
    search,
    spelled,
)

When = Callable[[Subject, Reading, Ending], str | None]


class Rule(NamedTuple):
    code: str
    when: When


class Miss(NamedTuple):
    """code: of the most likely rule; text: where the path ends, and what to do."""

    code: str
    text: str


def missing(subject: Subject, reading: Reading) -> Miss:
    """Why a path has no result."""
    ending = reading.ending
    assert ending is not None
    applying = [
        (rule.code, text) for rule in RULES if (text := rule.when(subject, reading, ending))
    ]
    where = ended(subject, reading, ending)
    if not applying:
        return Miss("missing-value", f"{where}.")
    code, text = applying[0]
    return Miss(code, f"{where}. {text}")


def close(subject: Subject, reading: Reading) -> str | None:
    """The name that was probably meant, for a path that may have no result."""
    ending = reading.ending
    if ending is None or not isinstance(ending.value, dict) or not isinstance(ending.key, str):
        return None
    return near(ending.key, ending.value)


def ended(subject: Subject, reading: Reading, ending: Ending) -> str:
    """Where the path ends: "`$.order` has no `item`, it has `items`"."""
    path, value, key = reading.text, ending.value, ending.key
    what = f"`{path}` finds nothing"
    if value is MISSING and ending.reached == path:
        return f"`{path}` has no value"
    if value is MISSING:
        return what if reading.source == "nothing" else f"{what}: `{ending.reached}` has no value"
    reached = source_name(subject, reading) if ending.reached == reading.root else ""
    reached = reached or f"`{ending.reached}`"
    if isinstance(key, str) and isinstance(value, dict):
        has = f"it has {members(value)}" if value else "it is an empty object"
        return f"{what}: {reached} has no `{key}`, {has}"
    if isinstance(key, int) and isinstance(value, list):
        return f"{what}: {reached} has {counted(len(value), 'item')}, so there is no [{key}]"
    if isinstance(value, list) and key is None and ending.step:
        if len(value) == 1:
            return f"{what}: the only item of {reached} does not fit {ending.step}"
        return f"{what}: none of the {counted(len(value), 'item')} of {reached} fits {ending.step}"
    rest = f", so `{ending.step}` leads nowhere" if ending.step else ""
    return f"{what}: {reached} is {described(value)}{rest}"


def source_name(subject: Subject, reading: Reading) -> str:
    """What the root of a path is, in words."""
    source = reading.source
    if source == "joined" and subject.type not in (*WORKING, "Pass"):
        source = "selected"  # nothing was joined
    return {
        "input": "the state input",
        "selected": "the value after InputPath" if _narrowed(subject) else "the state input",
        "result": f"the {RESULTS.get(subject.type, 'value of the state')}",
        "joined": "the value after ResultPath",
        "error": "the Error Output",
        "context": "the Context object",
    }.get(source, "")


RESULTS: Final = {
    "Task": "task result",
    "Map": "list of the iterations' results",
    "Parallel": "list of the branches' results",
}


def _narrowed(subject: Subject) -> bool:
    return bool(subject.fields.get("InputPath", "$") != "$")


# --- stages ---------------------------------------------------------------------------------------


def _before_result_path(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    """A field reads the result, but the value is in the state input."""
    if reading.source != "result" or not reading.keys or subject.type not in WORKING:
        return None
    if follow(subject.documents.get("input"), reading.keys) is MISSING:
        return None
    if names.close_case(subject, reading, ending):
        return None
    field = reading.field.partition("/")[0]
    path = spelled("$states.input" if reading.jsonata else "$", reading.keys)
    if reading.jsonata:
        return f"The state input has it: write `{path}`."
    if field == "Assign":
        return (
            f"Assign reads the result of the {subject.type}, and the state input has `{path}`: "
            "assign that in a state before this one, such as a Pass."
        )
    return (
        f"{field} reads the result, before ResultPath joins it with the input, which has `{path}`: "
        "keep the input by ResultPath, or assign the value to a variable before."
    )


def _after_result_path(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    """OutputPath reads a value that ResultPath has replaced, or put elsewhere."""
    if reading.source != "joined" or not reading.keys:
        return None
    path = subject.fields.get("ResultPath", "$")
    if follow(subject.documents.get("input"), reading.keys) is not MISSING and path == "$":
        return (
            "OutputPath is applied after ResultPath, and without ResultPath the result replaces "
            'the whole input: add a ResultPath, such as "$.result".'
        )
    result = subject.documents.get("result", MISSING)
    if path is None and follow(result, reading.keys) is not MISSING:
        return "ResultPath is null, which discards the result that has it: remove that ResultPath."
    if path not in ("$", None) and follow(result, reading.keys) is not MISSING:
        moved = path + spelled("", reading.keys)
        return (
            f"OutputPath is applied after ResultPath, which put the result at `{path}`: write "
            f"`{moved}`."
        )
    return None


def _selected_already(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    if (
        reading.jsonata
        or reading.source != "selected"
        or not _narrowed(subject)
        or not reading.keys
    ):
        return None
    raw, path = subject.documents.get("input"), subject.fields.get("InputPath")
    if follow(raw, reading.keys) is MISSING:
        return None
    if path is None:
        return "InputPath is null, so `$` is an empty object: remove InputPath."
    text = str(path)
    if reading.text.startswith(text + "."):
        return f"InputPath has already selected `{text}`: write `${reading.text[len(text) :]}`."
    return f"InputPath has already selected `{text}`, which leaves it out: widen or remove it."


# --- what is there instead ------------------------------------------------------------------------


def _attribute_value(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    kind_ = attribute_type(ending.value)
    if kind_ is None or ending.key in DYNAMODB or isinstance(ending.key, int):
        return None
    path = spelled(ending.reached, (kind_,), reading.jsonata)
    return (
        f"`{ending.reached}` is an attribute value of DynamoDB, {described(ending.value)}: "
        f"write `{spelled(path, ending.rest, reading.jsonata)}`."
    )


def _json_text(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    if parsed(ending.value) is MISSING or ending.key is None:
        return None
    parse = names.parse_call(reading, ending.reached)
    nested = ", or let `startExecution.sync:2` return it parsed" if _nested(reading) else ""
    return f"`{ending.reached}` is JSON as text: {parse}{nested}."


def _nested(reading: Reading) -> bool:
    """Whether the text is the Output of a nested execution."""
    return "Output" in reading.keys and not reading.jsonata


def _list(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    value, key = ending.value, ending.key
    if not isinstance(value, list) or not isinstance(key, str):
        return None
    found = search(value, ending.rest)
    if found is None or found.in_text:
        return None
    place = spelled(ending.reached, found.trail, reading.jsonata)
    if reading.source == "result" or ending.reached == "$":
        by = _branches(subject, reading)
        if by:
            return f"{by}: write `{place}`."
    several = spelled(ending.reached + "[*]", ending.rest)
    return f"It is a list: `{place}` is in one of its items, `{several}` in all of them."


def _branches(subject: Subject, reading: Reading) -> str | None:
    """Who made the list: a Parallel has an entry for each branch."""
    if subject.type in ("Parallel", "Map") and reading.source in ("result", "joined"):
        maker, made = subject.name, subject.type
    elif subject.earlier and not subject.earlier[-1].around:
        maker, made = subject.earlier[-1].name, str(subject.earlier[-1].fields.get("Type"))
    else:
        return None
    parts = {"Parallel": "branch", "Map": "iteration"}.get(made)
    return parts and f"The output of `{maker}` is a list with an entry for each {parts}"


def _index(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    if isinstance(ending.value, list) and isinstance(ending.key, str) and ending.key.isdigit():
        path = spelled(ending.reached, (int(ending.key), *ending.rest[1:]), reading.jsonata)
        return f"A position is in brackets: write `{path}`."
    if not isinstance(ending.value, list) or not isinstance(ending.key, int):
        return None
    if not ending.value:
        return "The list is empty: test that with a Choice before (IsPresent), or with a default."
    last = len(ending.value) - 1
    return f"Positions count from 0: the last one is [{last}]."


_SIZES: Final = ("length", "size", "count")


def _size(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    """`.length` of a list or a string."""
    value, path = ending.value, ending.reached
    if not isinstance(value, list | str) or str(ending.key).lower() not in _SIZES:
        return None
    if reading.jsonata:
        function = "$count" if isinstance(value, list) else "$length"
        return f"{kind(value).capitalize()} has no member of that name: write `{function}({path})`."
    if isinstance(value, str):
        return "A string has no members, and no intrinsic function returns its length."
    call = f"States.ArrayLength({path})"
    if subject.type == "Choice":
        return f"Compute the length in a Pass state before, with `{call}`."
    return f"A list has no member of that name: write `{call}`."


def _null(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    if ending.value is not None:
        return None
    maker = upstream.maker(subject, reading, ending)
    return f"{maker} Test for null before." if maker else "Test for null before."


def _item(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    """A field of a Map reads an item as if it were the input."""
    items = subject.documents.get("items")
    if not reading.field.startswith("ItemSelector") or not isinstance(items, list) or not items:
        return None
    if not reading.keys or follow(items[0], reading.keys) is MISSING:
        return None
    root = "$states.context.Map.Item.Value" if reading.jsonata else "$$.Map.Item.Value"
    return f"In ItemSelector the item is `{root}`: write `{spelled(root, reading.keys)}`."


def _is_variable(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    if reading.source in ("variable", "context") or not reading.keys:
        return None
    keys = reading.keys
    if keys[0] not in subject.variables or follow(subject.variables, keys) is MISSING:
        return None
    return f"`{keys[0]}` is a variable: write `{spelled('$' + str(keys[0]), keys[1:])}`."


def _in_input(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    """An expression reads the result or the context for what is in the input, or the reverse."""
    if not reading.jsonata or not reading.keys or not reading.root.startswith("$states."):
        return None
    for member, document in (("input", "input"), ("result", "result")):
        value = subject.documents.get(document, MISSING)
        other = f"$states.{member}" != reading.root and subject.type in WORKING
        if other and follow(value, reading.keys) is not MISSING:
            path = spelled(f"$states.{member}", reading.keys, jsonata=True)
            where = "state input" if member == "input" else "result"
            return f"It is in the {where}: write `{path}`."
    return None


def _type(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    if ending.value is MISSING or isinstance(ending.value, dict | list) or ending.key is None:
        return None
    return f"{kind(ending.value).capitalize()} has no members."


def _tested_too_late(subject: Subject, reading: Reading) -> str | None:
    """An And that tests IsPresent behind the comparison that fails."""
    where, _, _ = reading.field.rpartition("/Variable")
    outer, _, index = where.rpartition("/And[")
    if not outer.startswith("Choices[") or outer.count("/"):
        return None
    rule = subject.fields["Choices"][int(outer[8:-1])]
    for place, each in enumerate(rule["And"]):
        later = place > int(index[:-1])
        if later and "IsPresent" in each and each.get("Variable") == reading.text:
            return (
                f"And[{place}] tests IsPresent too late: an And stops at the first test that is "
                f"false, so put it before And[{index[:-1]}]."
            )
    return None


def _choice_absent(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    if subject.type != "Choice" or not reading.field.startswith("Choices["):
        return None
    if reading.jsonata:
        return "Test it before: `$exists(...) and ...`."
    late = _tested_too_late(subject, reading)
    return late or "A comparison fails if its Variable is absent: test IsPresent before, in an And."


def _conditional(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    if reading.jsonata and ending.key is None and ending.step.startswith("["):
        return expressions.unequal(subject, reading.text) or "No item passes the predicate."
    return None


RULES: Final[tuple[Rule, ...]] = (
    Rule("dollar-in-jsonata", roots.dollar_in_jsonata),
    Rule("context-in-jsonata", roots.double_dollar),
    Rule("states-member", roots.no_member),
    Rule("variable", roots.variable),
    Rule("context-dollar", roots.context_dollar),
    Rule("not-in-context", roots.not_in_context),
    Rule("result-before-result-path", _before_result_path),
    Rule("output-after-result-path", _after_result_path),
    Rule("input-path-selected", _selected_already),
    Rule("item-value", _item),
    Rule("is-variable", _is_variable),
    Rule("input-not-result", _in_input),
    Rule("null-value", _null),
    Rule("attribute-value", _attribute_value),
    Rule("json-text", _json_text),
    Rule("size", _size),
    Rule("list", _list),
    Rule("index", _index),
    Rule("lost", upstream.lost),
    Rule("close-name", names.close_case),
    Rule("step-too-many", names.one_too_many),
    Rule("elsewhere", names.exact),
    Rule("item-left-out", upstream.item_left_out),
    Rule("not-waited", services.not_waited),
    Rule("close-name", names.close_path),
    Rule("elsewhere", names.deeper),
    Rule("close-name", names.close_name),
    Rule("may-be-lost", upstream.possibly_caught),
    Rule("error-output", services.error_output),
    Rule("close-name", names.part),
    Rule("predicate", _conditional),
    Rule("not-an-object", _type),
    Rule("dropped", upstream.dropped),
    Rule("other-branch", upstream.other_branch),
    Rule("left-out", services.left_out),
    Rule("may-be-lost", upstream.possibly_lost),
    Rule("absent-variable", _choice_absent),
    Rule("never-there", upstream.never_there),
)
