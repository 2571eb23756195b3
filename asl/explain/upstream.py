"""Where a value was lost before the state: which earlier state dropped it, and by which field."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from stepwell.asl.evaluation import MISSING, Env, Json
from stepwell.asl.explain.readings import Ending, Reading, value_of
from stepwell.asl.explain.subject import WORKING, Earlier, Subject, scopes, states
from stepwell.asl.explain.values import Found, follow, search, spelled
from stepwell.asl.json_text import dumps
from stepwell.asl.jsonata import is_expression
from stepwell.asl.paths import compile_path
from stepwell.asl.templates import DYNAMIC

_FROM_INPUT: Final = ("input", "selected", "joined")


def lost(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    """The last state that had the value in its input and does not have it in its output."""
    if reading.source not in _FROM_INPUT or not reading.keys:
        return None
    for earlier in reversed(subject.earlier):
        if earlier.output is not MISSING and follow(earlier.output, reading.keys) is not MISSING:
            return None
        value = follow(earlier.input, reading.keys)
        if value is not MISSING:
            path = spelled(reading.root, reading.keys, reading.jsonata)
            if earlier.around:
                return _around(earlier, path, reading)
            return f"`{earlier.name}` had `{path}` in its input and dropped it: {how(earlier)}."
    return None


def _around(earlier: Earlier, path: str, reading: Reading) -> str:
    if earlier.fields.get("Type") == "Map":
        return (
            f"`{path}` is in the input of the Map `{earlier.name}`, but an iteration gets only its "
            "item: pass the value in its ItemSelector."
        )
    fields = ("Parameters", "Arguments", "InputPath")
    by = next((name for name in fields if name in earlier.fields), "state")
    return f"`{path}` is in the input of `{earlier.name}`: its {by} leaves it out."


def item_left_out(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    """An item of the Map around the state has the value, and its ItemSelector leaves it out."""
    around = next((each for each in reversed(subject.earlier) if each.around), None)
    if around is None or reading.source not in _FROM_INPUT or not reading.keys:
        return None
    fields = around.fields
    field = next((name for name in ("ItemSelector", "Parameters") if name in fields), None)
    if fields.get("Type") != "Map" or field is None:
        return None
    items = _items(around, subject)
    if not isinstance(items, list) or not items or follow(items[0], reading.keys) is MISSING:
        return None
    return (
        f"The items of `{around.name}` have it, but an iteration gets only what the {field} makes "
        f"of its item: add {_entry(str(reading.keys[0]), subject)}."
    )


def _items(around: Earlier, subject: Subject) -> Json:
    """What a Map iterates over; MISSING if that is not known."""
    fields = around.fields
    if "ItemReader" in fields:
        return MISSING
    if fields.get("QueryLanguage") == "JSONata":
        items = fields.get("Items", "{% $states.input %}")
        if not is_expression(items):
            return items
        env = Env(around.input, subject.variables, dict, bytes, subject.now)
        return value_of(items[2:-2], env, subject)
    value = around.input
    for field in ("InputPath", "ItemsPath"):
        path = fields.get(field, "$")
        if not isinstance(path, str):
            return MISSING
        value = follow(value, compile_path(path, subject.limits).query.keys)
    return value


def how(earlier: Earlier) -> str:
    """Which field of an earlier state dropped a part of its input, and the mend."""
    fields = earlier.fields
    if earlier.caught:
        if "Output" in _last_catch(fields):
            return "the Output of its Catch leaves it out"
        if fields.get("QueryLanguage") == "JSONata":
            return "its Catch has no Output, so the Error Output replaced the whole input"
        return (
            "its Catch has no ResultPath, so the Error Output replaced the whole input "
            '(mend: "ResultPath": "$.error" in the Catch)'
        )
    if "Output" in fields:
        return "its Output leaves it out"
    language = fields.get("QueryLanguage")
    if language == "JSONata" or "Arguments" in fields:
        return (
            "without Output the result is the output (mend: name the input in Output, or assign "
            "the value to a variable)"
        )
    if fields.get("OutputPath", "$") != "$":
        return f"its OutputPath is `{fields['OutputPath'] or 'null'}`"
    if fields.get("Type") not in (*WORKING, "Pass"):
        return f"its InputPath is `{fields.get('InputPath', '$') or 'null'}`"
    if fields.get("ResultPath", "$") == "$":
        what = "Result" if "Result" in fields else "Parameters" if _builds(fields) else "result"
        if what == "result" and fields.get("Type") == "Pass":
            return f"its InputPath is `{fields.get('InputPath', '$')}`"
        return (
            f"its ResultPath is `$`{'' if 'ResultPath' in fields else ' (the default)'}, so the "
            f'{what} replaced the whole input (mend: a ResultPath such as "$.result")'
        )
    return f"its ResultPath `{fields['ResultPath']}` overwrote it"


def _builds(fields: Mapping[str, Any]) -> bool:
    return fields.get("Type") == "Pass" and "Parameters" in fields


def _last_catch(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    catchers = fields.get("Catch") or [{}]
    return dict(catchers[-1])


def dropped(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    """A result that had the value, and is not in the output of its state."""
    if reading.source not in _FROM_INPUT or not reading.keys:
        return None
    for earlier in reversed(subject.earlier):
        result, fields = earlier.result, earlier.fields
        if result is MISSING or earlier.around:
            continue
        found = _in_result(result, reading)
        if found is None:
            continue
        place = spelled("$", found.trail)
        if fields.get("ResultPath", "$") is None:
            return (
                f"The result of `{earlier.name}` has `{place}`, but its ResultPath is null, which "
                'discards the result: use a path such as "$.result".'
            )
        if "ResultSelector" in fields:
            return (
                f"The result of `{earlier.name}` has `{place}`, but its ResultSelector leaves it "
                "out."
            )
        if "Output" in fields:
            return f"The result of `{earlier.name}` has `{place}`, but its Output leaves it out."
        if fields.get("OutputPath", "$") != "$":
            return (
                f"The result of `{earlier.name}` has `{place}`, but its OutputPath "
                f"`{fields['OutputPath']}` leaves it out."
            )
    return None


def never_there(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    """No state before had the value, nor the execution's input."""
    if reading.source not in _FROM_INPUT or not reading.keys or subject.alone:
        return None
    if any(each.around for each in subject.earlier):  # its input is a part of another one
        return None
    before = " and no state before returned it" if subject.earlier else ""
    return f"The execution's input does not have it{before}."


def other_branch(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    """A value that a state of another branch makes: branches do not see each other's data."""
    if reading.source not in _FROM_INPUT or not reading.keys or ending.reached != reading.root:
        return None
    everywhere, name = states(subject.machine), reading.keys[0]
    for around in reversed(scopes(subject.machine).get(subject.name, ())):
        blocks = everywhere[around].get("Branches", ())
        for place, block in enumerate(blocks):
            inner = states(block)
            maker = next((each for each in inner if name in _made(inner[each])), None)
            if maker is not None and subject.name not in inner:
                return (
                    f"`{maker}` makes `{name}` in another branch of `{around}`, and branches do "
                    f"not see each other's data: read it after `{around}`, as `$[{place}]...`, or "
                    f"run `{maker}` before."
                )
    return None


def _made(state: Mapping[str, Any]) -> set[str]:
    """The names at the root of what a state returns, as far as its fields say so."""
    path = state.get("ResultPath", "$")
    if isinstance(path, str) and path.startswith("$."):
        return {re.split(r"[.\[]", path)[1]}
    names: set[str] = set()
    for field in ("Result", "ResultSelector", "Parameters", "Output"):
        value = state.get(field)
        if isinstance(value, dict) and (field != "Parameters" or state.get("Type") == "Pass"):
            names |= {each.removesuffix(DYNAMIC) for each in value}
    return names


def _in_result(result: Json, reading: Reading) -> Found | None:
    for drop in range(len(reading.keys)):
        keys = reading.keys[drop:]
        found = follow(result, keys)
        if found is not MISSING:
            return Found(keys, found)
        if place := search(result, keys):
            return place
    return None


def maker(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    """Which earlier state made the null at which a path ends."""
    if reading.source not in _FROM_INPUT:
        return None
    keys = reading.keys[: len(reading.keys) - len(ending.rest)]
    for earlier in reversed(subject.earlier):
        if earlier.around or follow(earlier.output, keys) is not None:
            return None
        if follow(earlier.input, keys) is not None:
            return f"`{earlier.name}` returned the null."
    return None


def possibly_caught(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    """Without a history: the input is the Error Output of a Catch that leads here."""
    value = subject.documents.get("input")
    if not subject.alone or ending.value != value or ending.reached != reading.root:
        return None
    if not isinstance(value, dict) or value.keys() != {"Error", "Cause"}:
        return None
    for name, fields in states(subject.machine).items():
        for catcher in fields.get("Catch", ()):
            whole = catcher.get("ResultPath", "$") == "$" and "Output" not in catcher
            if catcher.get("Next") == subject.name and whole:
                return f"If `{name}` was caught: {how(Earlier(name, fields, caught=True))}."
    return None


def possibly_lost(subject: Subject, reading: Reading, ending: Ending) -> str | None:
    """Without a history: a state that runs before and leaves the name out."""
    if reading.source not in _FROM_INPUT or not subject.alone or not reading.keys:
        return None
    everywhere, name = states(subject.machine), str(reading.keys[0])
    around = scopes(subject.machine).get(subject.name, ())
    if around and (text := _possibly_around(around[-1], everywhere[around[-1]], name, subject)):
        return text
    for before in predecessors(subject):
        fields = everywhere[before]
        if result_at(fields, ending.reached, reading.root):
            return _from_result(before, fields)
        if ending.reached != reading.root:
            continue
        if _leaves_out(fields, name):
            lost = how(Earlier(before, fields))
            return f"If it was lost before: `{before}` runs before this state, and {lost}."
        if text := _discarded(before, fields):
            return f"If it is in the result of `{before}`: {text}"
    return None


def _possibly_around(
    around: str, fields: Mapping[str, Any], name: str, subject: Subject
) -> str | None:
    """Why a Map or Parallel may have left a name out of the input of a state within."""
    if fields.get("Type") == "Map":
        selected = fields.get("ItemSelector", fields.get("Parameters"))
        where = f"`{subject.name}` runs in the Map `{around}`"
        if not isinstance(selected, dict):
            return f"{where}: its input is one item. ItemSelector passes other values."
        has = ", ".join(f"`{each.removesuffix(DYNAMIC)}`" for each in selected)
        return f"{where}, whose ItemSelector makes {has} of an item: add {_entry(name, subject)}."
    field = "Arguments" if "Arguments" in fields else "Parameters"
    template = fields.get(field)
    if isinstance(template, dict) and not {name, name + DYNAMIC} & template.keys():
        return f"The {field} of `{around}`, whose branch this is, leaves it out."
    return None


def _entry(name: str, subject: Subject) -> str:
    """The member of an ItemSelector that passes a member of the item."""
    if subject.jsonata:
        path = spelled("$states.context.Map.Item.Value", (name,), True)
        return f'"{name}": "{{% {path} %}}"'
    return f'"{name}.$": "{spelled("$$.Map.Item.Value", (name,))}"'


def result_at(fields: Mapping[str, Any], reached: str, root: str) -> str | None:
    """The ResultPath of a state that puts its result at a path; "$" if that is the whole."""
    path = fields.get("ResultPath", "$")
    works = fields.get("Type") in WORKING and fields.get("QueryLanguage") != "JSONata"
    return path if works and path == reached and reached != root else None


def _from_result(name: str, fields: Mapping[str, Any]) -> str:
    if "ResultSelector" in fields:
        return f"`{name}` puts its result there: if it had it, its ResultSelector leaves it out."
    return f"`{name}` puts its result there, which replaces what was there before."


def _discarded(name: str, fields: Mapping[str, Any]) -> str | None:
    """How a state discards its result."""
    if fields.get("Type") not in WORKING:
        return None
    if fields.get("QueryLanguage") == "JSONata":
        output = fields.get("Output", "$states.result")
        return None if "$states.result" in dumps(output) else "its Output leaves the result out."
    if fields.get("ResultPath", "$") is None:
        return 'its ResultPath is null, which discards it. Use a path such as "$.result".'
    return None


def _leaves_out(fields: Mapping[str, Any], name: str) -> bool:
    """Whether the output of a state lacks a name of its input, as far as its fields say so."""
    type_ = fields.get("Type")
    if fields.get("QueryLanguage") == "JSONata":
        output = fields.get("Output", MISSING)
        if output is MISSING:
            return bool(type_ in WORKING)
        return isinstance(output, dict) and name not in output
    for field in ("OutputPath", *(() if type_ in WORKING or "Result" in fields else _INPUT)):
        path = fields.get(field, "$")
        if path is None or (path != "$" and not path.startswith("$$")):
            return True
    if fields.get("ResultPath", "$") != "$" or type_ not in (*WORKING, "Pass"):
        return False
    field = next((each for each in _TEMPLATES[type_ == "Pass"] if each in fields), None)
    if field is None:
        return bool(type_ != "Pass")
    template = fields[field]
    return isinstance(template, dict) and not {name, name + DYNAMIC} & template.keys()


_INPUT: Final = ("InputPath",)
_TEMPLATES: Final = {True: ("Result", "Parameters"), False: ("ResultSelector",)}  # of a Pass or not


def predecessors(subject: Subject) -> list[str]:
    """The states that lead to the state, the nearest first."""
    everywhere, found, wave = states(subject.machine), list[str](), [subject.name]
    while wave:
        before = [
            name
            for name, state in everywhere.items()
            if _leads_to(state).intersection(wave) and name not in found and name != subject.name
        ]
        found += before
        wave = before
    return found


def _leads_to(state: Mapping[str, Any]) -> set[str]:
    """The states that may follow a state."""
    parts = [state, *state.get("Choices", ()), *state.get("Catch", ())]
    following = {part.get("Next") for part in parts} | {state.get("Default")}
    return {name for name in following if isinstance(name, str)}
