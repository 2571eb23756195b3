"""`stepwell serve` with a small bug in it, for tests: python planted.py BUG serve --port ...

Each bug is a change of the source as it is imported: (module, the text, what stands there instead).
A text that is no longer there, or is there twice, stops the process, so that a plant cannot go dry
unnoticed.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType

CHOICE, INTRINSICS, FORMS, PATHS, TEMPLATES, VALUES = (
    f"stepwell.asl.{name}"
    for name in ("choice", "intrinsics", "field_evaluators", "paths", "templates", "java_values")
)
STATES, TRANSITIONS, DATAFLOW, ENVIRONMENT = (
    f"stepwell.engine.core.{name}" for name in ("states", "transitions", "dataflow", "environment")
)

BUGS = {
    # operators
    "less_or_equal": (
        CHOICE,
        '"LessThan": lt,',
        '"LessThan": le,',
    ),
    "greater_swapped": (CHOICE, '"GreaterThanEquals": ge,', '"GreaterThanEquals": le,'),
    "null_is_absent": (
        CHOICE,
        "return lambda value, env: (find(value, env) is not MISSING) is wanted",
        "return lambda value, env: (find(value, env) not in (MISSING, None)) is wanted",
    ),
    "is_ignores_false": (
        CHOICE,
        "belongs(find(value, env)) is wanted",
        "belongs(find(value, env))",
    ),
    "and_is_or": (CHOICE, 'all if name == "And" else any', 'any if name == "And" else all'),
    "star_needs_a_letter": (
        CHOICE,
        "at, end = len(first), len(text) - len(last)",
        "at, end = len(first) + 1, len(text) - len(last)",
    ),
    "last_rule_wins": (
        STATES,
        "(each for each in state.choices if",
        "(each for each in reversed(state.choices) if",
    ),
    "offset_forgotten": ("stepwell.asl.timestamps", '(-offset if sign == "-" else offset)', "0"),
    # intrinsic functions
    "range_excludes_end": (INTRINSICS, "last + (1 if step > 0 else -1), step)", "last, step)"),
    "rounds_half_to_even": (
        VALUES,
        'number if isinstance(number, int) else math.floor(Decimal(number) + Decimal("0.5"))',
        "number if isinstance(number, int) else round(number)",
    ),
    "unique_keeps_last": (
        INTRINSICS,
        "        first.setdefault(identity(item), item)\n",
        "        first.pop(identity(item), 0)\n        first[identity(item)] = item\n",
    ),
    "merge_left_wins": (
        INTRINSICS,
        "{**_object(arguments, 0), **_object(arguments, 1)}",
        "{**_object(arguments, 1), **_object(arguments, 0)}",
    ),
    "format_drops_null": (
        VALUES,
        'return "null"\n    if isinstance(value, bool):',
        'return ""\n    if isinstance(value, bool):',
    ),
    # data flow
    "result_path_over_selected": (
        DATAFLOW,
        "value = state.result_path(frame.raw.value, value)",
        "value = state.result_path(selected(frame, env), value)",
    ),
    "result_path_null_drops_input": (
        FORMS,
        "(lambda raw, result: raw) if text is None",
        "(lambda raw, result: result) if text is None",
    ),
    "input_path_null_is_null": (
        FORMS,
        "(lambda value, env: {}) if text is None",
        "(lambda value, env: None) if text is None",
    ),
    "catch_replaces_input": (
        DATAFLOW,
        "else catcher.result_path(frame.raw.value, caught)",
        "else catcher.result_path({}, caught)",
    ),
    "selector_skipped": (
        DATAFLOW,
        "        value = state.result_selector(value, env)\n",
        "        pass\n",
    ),
    "negative_index_refused": (
        PATHS,
        "not -len(value) <= key < len(value)",
        "not 0 < key < len(value)",
    ),
    # variables
    "scope_lost": (DATAFLOW, "Scope({**frame.scope.payloads, **assigned.payloads})", "assigned"),
    "scope_leaks_into_assign": (
        TRANSITIONS,
        "frame.raw, frame.data, frame.scope, frame.phase = output, None, scope, Phase.RUN",
        "frame.raw, frame.data, frame.scope, frame.phase = output, None, (scope if "
        "next_state else frame.scope) if frame.parent == 0 else "
        "Scope({}), Phase.RUN",
    ),
    "assign_reads_selected": (
        DATAFLOW,
        "scope, assigned = assign(run, frame, state.assign, value, env)",
        "scope, assigned = assign(run, frame, state.assign, frame.raw.value, env)",
    ),
    # failures
    "one_retry_too_many": (
        TRANSITIONS,
        "if used[place] >= retrier.max_attempts:",
        "if used[place] > retrier.max_attempts:",
    ),
    "all_is_a_name": (
        TRANSITIONS,
        "if asl_messages.ALL in names or error in names:",
        "if error in names:",
    ),
    "last_catcher_wins": (
        TRANSITIONS,
        "for catcher in state.catchers:",
        "for catcher in reversed(state.catchers):",
    ),
    "runtime_is_caught": (
        TRANSITIONS,
        "    if error == asl_messages.RUNTIME:\n        return run.close(",
        "    if error == 'x':\n        return run.close(",
    ),
    "later_retrier_tried": (
        TRANSITIONS,
        "                return False  # the first match decides: later retriers are not tried\n",
        "                continue\n",
    ),
    "cause_lost": (
        TRANSITIONS,
        '        "Cause": "" if cause is None',
        '        "Cause": None if error else "" if cause is None',
    ),
    # Map and Parallel
    "results_reversed": (TRANSITIONS, "key=lambda pair: pair[0])", "key=lambda pair: -pair[0])"),
    "branch_gets_raw_input": (
        STATES,
        "block, data, frame.scope, started)",
        "block, frame.raw, frame.scope, started)",
    ),
    "index_from_one": (
        ENVIRONMENT,
        '"Item": {"Index": index, **',
        '"Item": {"Index": index + 1, **',
    ),
    "selector_over_item": (
        DATAFLOW,
        "as_payload(selector(frame.data.value, env)",
        "as_payload(selector(item[1].value, env)",
    ),
    # histories
    "exit_follows_succeeded": (
        TRANSITIONS,
        (
            "    return complete(run, frame, Payload([payload.value for payload in outputs], "
            "data), succeeded)"
        ),
        (
            "    frame.prev = succeeded\n    return complete(run, frame, Payload([payload.value "
            "for payload in outputs], data), succeeded)"
        ),
    ),
    "iteration_failed_missing": (
        TRANSITIONS,
        "        run.add((ITERATION_FAILED, failing_event, parent.state.name, frame.slot))\n",
        "        pass\n",
    ),
}


class _Planter(importlib.abc.MetaPathFinder):
    def __init__(self, name: str, old: str, new: str) -> None:
        self.name, self.old, self.new = name, old, new

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self.name:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        assert spec is not None and spec.origin is not None
        old, new = self.old, self.new

        class Loader(importlib.machinery.SourceFileLoader):
            def get_code(self, fullname: str):  # type: ignore[no-untyped-def]  # never the compiled file of the sound source
                source = self.get_data(self.path).decode()
                if source.count(old) != 1:
                    sys.exit(f"the plant does not fit {fullname} any more: {old!r}")
                return compile(source.replace(old, new), self.path, "exec")

        return importlib.util.spec_from_file_location(
            name, spec.origin, loader=Loader(name, spec.origin)
        )


if __name__ == "__main__":
    sys.meta_path.insert(0, _Planter(*BUGS[sys.argv.pop(1)]))
    from stepwell.integrations.cli.main import main

    sys.argv[0] = "stepwell"
    sys.exit(main())
