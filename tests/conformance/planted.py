"""`stepwell serve` with a small bug in it, for tests: python planted.py BUG serve --port ...

Each bug is a change of the source as it is imported: a text of asl/ or engine/core/, and what
replaces it. Line breaks and trailing commas do not matter. A text that is not there, or is there
twice, is an error.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]

BUGS = {
    # operators
    "less_or_equal": (
        '"LessThan": lt, "GreaterThan": gt',
        '"LessThan": le, "GreaterThan": gt',
    ),
    "greater_swapped": ('"GreaterThanEquals": ge', '"GreaterThanEquals": le'),
    "null_is_absent": (
        "return lambda value, env: (find(value, env) is not MISSING) is wanted",
        "return lambda value, env: (find(value, env) not in (MISSING, None)) is wanted",
    ),
    "is_ignores_false": (
        "belongs(find(value, env)) is wanted",
        "belongs(find(value, env))",
    ),
    "and_is_or": ('all if name == "And" else any', 'any if name == "And" else all'),
    "star_needs_a_letter": (
        "at, end = len(first), len(text) - len(last)",
        "at, end = len(first) + 1, len(text) - len(last)",
    ),
    "last_rule_wins": (
        "(each for each in state.choices if",
        "(each for each in reversed(state.choices) if",
    ),
    "offset_forgotten": ('(-offset if sign == "-" else offset)', "0"),
    # intrinsic functions
    "range_excludes_end": ("last + (1 if step > 0 else -1), step)", "last, step)"),
    "rounds_half_to_even": (
        'number if isinstance(number, int) else math.floor(Decimal(number) + Decimal("0.5"))',
        "number if isinstance(number, int) else round(number)",
    ),
    "unique_keeps_last": (
        "for item in _array(arguments, 0): first.setdefault(identity(item), item)",
        "for item in _array(arguments, 0):\n"
        "        first.pop(identity(item), 0); first[identity(item)] = item",
    ),
    "merge_left_wins": (
        "{**_object(arguments, 0), **_object(arguments, 1)}",
        "{**_object(arguments, 1), **_object(arguments, 0)}",
    ),
    "format_drops_null": (
        'return "null" if isinstance(value, bool):',
        'return ""\n    if isinstance(value, bool):',
    ),
    # data flow
    "result_path_over_selected": (
        "value = state.result_path(frame.raw.value, value)",
        "value = state.result_path(selected(frame, env), value)",
    ),
    "result_path_null_drops_input": (
        "(lambda raw, result: raw) if text is None",
        "(lambda raw, result: result) if text is None",
    ),
    "input_path_null_is_null": (
        "(lambda value, env: {}) if text is None",
        "(lambda value, env: None) if text is None",
    ),
    "catch_replaces_input": (
        "else catcher.result_path(frame.raw.value, caught)",
        "else catcher.result_path({}, caught)",
    ),
    "selector_skipped": (
        "value = state.result_selector(value, env)",
        "pass",
    ),
    "negative_index_refused": (
        "(isinstance(key, int) and not -len(value) <= key < len(value))",
        "(isinstance(key, int) and not 0 < key < len(value))",
    ),
    # variables
    "scope_lost": ("Scope({**frame.scope.payloads, **assigned.payloads})", "assigned"),
    "scope_leaks_into_assign": (
        "frame.raw, frame.data, frame.scope, frame.phase = output, None, scope, Phase.RUN",
        "frame.raw, frame.data, frame.scope, frame.phase = output, None, (scope if "
        "next_state else frame.scope) if frame.parent == 0 else "
        "Scope({}), Phase.RUN",
    ),
    "assign_reads_selected": (
        "scope, assigned = assign(run, frame, state.assign, value, env)",
        "scope, assigned = assign(run, frame, state.assign, frame.raw.value, env)",
    ),
    # failures
    "one_retry_too_many": (
        "if used[place] >= retrier.max_attempts:",
        "if used[place] > retrier.max_attempts:",
    ),
    "all_is_a_name": (
        "if messages.ALL in names or error in names:",
        "if error in names:",
    ),
    "last_catcher_wins": (
        "for catcher in state.catchers:",
        "for catcher in reversed(state.catchers):",
    ),
    "runtime_is_caught": (
        "if error == asl_messages.RUNTIME: return run.close(",
        "if error == 'x':\n        return run.close(",
    ),
    "later_retrier_tried": (
        "return False  # the first match decides: later retriers are not tried",
        "continue",
    ),
    "cause_lost": (
        '{"Error": error, "Cause":',
        '{"Error": error, "Cause": None if error else',
    ),
    # Map and Parallel
    "results_reversed": ("key=lambda pair: pair[0])", "key=lambda pair: -pair[0])"),
    "branch_gets_raw_input": (
        "block, data, frame.scope, started)",
        "block, frame.raw, frame.scope, started)",
    ),
    "index_from_one": (
        '{"Item": {"Index": index, **',
        '{"Item": {"Index": index + 1, **',
    ),
    "selector_over_item": (
        "as_payload(selector(frame.data.value, env)",
        "as_payload(selector(item[1].value, env)",
    ),
    # histories
    "exit_follows_succeeded": (
        (
            "return complete(run, frame, Payload([output.value for output in outputs], "
            "data), succeeded)"
        ),
        (
            "frame.prev = succeeded; return complete(run, frame, Payload([output.value "
            "for output in outputs], data), succeeded)"
        ),
    ),
    "iteration_failed_missing": (
        "run.add((ITERATION_FAILED, failing_event, parent.state.name, frame.slot))",
        "pass",
    ),
}


def pattern(old: str) -> re.Pattern[str]:
    """Matches a text however it is broken into lines."""
    tokens = (re.escape(token) for token in re.findall(r"\w+|\S", old))
    return re.compile(
        r"\s*".join(f",?\\s*{each}" if each in ("\\)", "\\]", "\\}") else each for each in tokens)
    )


def place(bug: str) -> tuple[str, str]:
    """(module, its source with the bug). LookupError if the text does not fit one place."""
    old, new = BUGS[bug]
    hits = [
        (path, pattern(old).sub(lambda match: new, source), count)
        for folder in ("asl", "engine/core")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if (count := len(pattern(old).findall(source := path.read_text())))
    ]
    if len(hits) != 1 or hits[0][2] != 1:
        raise LookupError(f"{bug}: {old!r} is in {[str(path) for path, _, _ in hits] or 'no file'}")
    path, source, _ = hits[0]
    name = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
    return f"stepwell.{name}", source


class _Planter(importlib.abc.MetaPathFinder):
    def __init__(self, name: str, source: str) -> None:
        self.name, self.source = name, source

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self.name:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        assert spec is not None and spec.origin is not None
        source = self.source

        class Loader(importlib.machinery.SourceFileLoader):
            # not the compiled file of the sound source
            def get_code(self, fullname: str):  # type: ignore[no-untyped-def]
                return compile(source, self.path, "exec")

        return importlib.util.spec_from_file_location(
            name, spec.origin, loader=Loader(name, spec.origin)
        )


if __name__ == "__main__":
    sys.meta_path.insert(0, _Planter(*place(sys.argv.pop(1))))
    from stepwell.integrations.cli.main import main

    sys.argv[0] = "stepwell"
    sys.exit(main())
