"""The checks between the fields of a state, the states of a block, and blocks: one walk over a
definition.

It reads the JSON value, not the models, so that a definition with a wrong type in one place gets
all other diagnostics, too. validate.py reports types and ranges; values of a wrong type are skipped
here.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, TypeAlias, TypeGuard

from stepwell.asl import messages
from stepwell.asl.definition import DISTRIBUTED, JSONATA, JSONPATH
from stepwell.asl.evaluation import Json
from stepwell.asl.expression_fields import Field, faults_of, fields_of, reach
from stepwell.asl.json_text import item, member
from stepwell.asl.jsonata import is_expression, reads_states_member
from stepwell.asl.jsonata_values import expressions
from stepwell.asl.limits import Limits
from stepwell.asl.resources import CALLBACK, SYNC, SYNC_2, recognized

ERROR: Final = "ERROR"
WARNING: Final = "WARNING"
STANDARD: Final = "STANDARD"
EXPRESS: Final = "EXPRESS"

TYPES: Final = ("Task", "Wait", "Pass", "Succeed", "Fail", "Choice", "Parallel", "Map")
_STEPS: Final = ("Pass", "Task", "Wait", "Parallel", "Map")  # types with Next or End
_WITH_RESULT: Final = ("Task", "Parallel", "Map")
_WITH_PATH: Final = (  # fields that have an alternative <Field>Path
    "TimeoutSeconds",
    "HeartbeatSeconds",
    "MaxConcurrency",
    "ToleratedFailureCount",
    "ToleratedFailurePercentage",
    "Error",
    "Cause",
)

# (type, fields): a state of the type has exactly one of the fields
EXACTLY_ONE: Final = (
    *((step, ("Next", "End")) for step in _STEPS),
    ("Wait", ("Seconds", "Timestamp", "SecondsPath", "TimestampPath")),
    ("Map", ("ItemProcessor", "Iterator")),
)
# (steps from the state to an object, fields): the object has at most one of the fields
AT_MOST_ONE: Final[tuple[tuple[tuple[str, ...], tuple[str, str]], ...]] = (
    *(((), (name, name + "Path")) for name in _WITH_PATH),
    (("ItemReader", "ReaderConfig"), ("MaxItems", "MaxItemsPath")),
    (("ItemBatcher",), ("MaxItemsPerBatch", "MaxItemsPerBatchPath")),
    (("ItemBatcher",), ("MaxInputBytesPerBatch", "MaxInputBytesPerBatchPath")),
)
_DISTRIBUTED_ONLY: Final = ("ItemReader", "ItemBatcher", "ResultWriter", "Label")
_S3: Final = {"ItemReader": ("getObject", "listObjectsV2"), "ResultWriter": ("putObject",)}
_LABEL_LETTERS: Final = '?*<>{}[]:;,\\|^~$#%&`"'  # not allowed
_EXPRESS_BANS: Final = {
    SYNC: messages.EXPRESS_SYNC,
    SYNC_2: messages.EXPRESS_SYNC,
    CALLBACK: messages.EXPRESS_CALLBACK,
}


class Diagnostic(NamedTuple):
    """One diagnostic of ValidateStateMachineDefinition.

    location  "/States/X/Retry[0]/ErrorEquals"; for INVALID_JSON_DESCRIPTION the place in the text;
              or None
    severity  ERROR or WARNING
    """

    code: str
    message: str
    location: str | None = None
    severity: str = ERROR


class Scope(NamedTuple):
    """The variables of a block that are visible in the blocks inside one of its states."""

    uses: Counter[str]  # name -> number of states that assign it
    # names that the state itself assigns: it does so after its inner blocks have ended, so they may
    # use the same names
    own: set[str]

    def __contains__(self, name: object) -> bool:
        return self.uses[str(name)] > (name in self.own)


Scopes: TypeAlias = tuple[Scope, ...]  # of the enclosing blocks


class Rules:
    """The walk. `found` collects the diagnostics; some of them several times."""

    def __init__(self, limits: Limits, known_resource: Callable[[str], str | None] | None) -> None:
        self.limits, self.known_resource = limits, known_resource
        self.found: list[Diagnostic] = []
        self.names: dict[str, str] = {}  # state name -> where
        self.labels: dict[str, str] = {}
        self.language: str = JSONPATH

    def machine(self, value: dict[str, Json], type: str) -> None:
        """Check a definition; type: STANDARD or EXPRESS."""
        self.language = JSONATA if value.get("QueryLanguage") == JSONATA else JSONPATH
        self.block(value, "/", (), type == EXPRESS)

    def block(self, block: Json, location: str, outer: Scopes, express: bool) -> None:
        """Check a block and the blocks inside."""
        states = _dict(_dict(block).get("States"))
        inside = member(location, "States")
        assigned: dict[str, set[str]] = {}
        for name, state in states.items():
            self.name(name, member(inside, name))
            if isinstance(state, dict):
                assigned[name] = self.variables(state, member(inside, name), outer)
        self.transitions(_dict(block), states, location)
        uses = Counter(variable for names in assigned.values() for variable in names)
        for name, state in states.items():
            if isinstance(state, dict) and state.get("Type") in TYPES:
                self.state(
                    state, member(inside, name), (*outer, Scope(uses, assigned[name])), express
                )

    def error(self, location: str, message: str, code: str = messages.SCHEMA) -> None:
        self.found.append(Diagnostic(code, message, location))

    def warning(self, location: str, message: str, code: str) -> None:
        self.found.append(Diagnostic(code, message, location, WARNING))

    # --- between the states of a block ------------------------------------------------------------

    def name(self, name: str, location: str) -> None:
        if not 1 <= len(name) <= self.limits.name_chars:
            self.error(
                location,
                messages.NAME_LENGTH.format(limit=self.limits.name_chars),
                messages.INVALID_STATE_NAME,
            )
        first = self.names.setdefault(name, location)
        if first != location:
            self.error(
                location,
                messages.DUPLICATE_NAME.format(name=name, location=first),
                messages.DUPLICATE_STATE_NAME,
            )

    def transitions(self, block: dict[str, Json], states: dict[str, Json], location: str) -> None:
        """All targets must exist, all states be reachable, and an end be reachable."""
        start = block.get("StartAt")
        if not isinstance(start, str) or not states:
            return
        found = [("StartAt", start, member(location, "StartAt"))]
        for name, state in states.items():
            found += targets(state, member(member(location, "States"), name))
        missing = [each for each in found if each[1] not in states]
        for field, target, where in missing:
            self.error(
                where,
                messages.MISSING_TARGET.format(field=field, name=target),
                messages.MISSING_TRANSITION_TARGET,
            )
        if start not in states:
            return
        reached, waiting = {start}, [start]
        while waiting:
            name = waiting.pop()
            new = {target for target in successors(states[name]) if target in states} - reached
            reached |= new
            waiting += new
        for name in states:
            if name not in reached:
                where = member(member(location, "States"), name)
                self.error(
                    where,
                    messages.UNREACHABLE.format(name=name),
                    messages.MISSING_TRANSITION_TARGET,
                )
        if not missing and not any(_ends(states[name]) for name in reached):
            self.error(
                member(location, "StartAt"),
                messages.NO_END_STATE.format(name=start),
                messages.MISSING_END_STATE,
            )

    # --- variables --------------------------------------------------------------------------------

    def variables(self, state: dict[str, Json], location: str, outer: Scopes) -> set[str]:
        """Check the names that a state assigns: each must be a valid name, and not assigned in an
        outer scope. Returns them.
        """
        names, plain = set(), self.language_of(state) == JSONATA
        for steps in (("Assign",), ("Catch", "[]", "Assign"), ("Choices", "[]", "Assign")):
            for assign, where in reach(state, steps, location):
                for key in _dict(assign):
                    name = key if plain else key.removesuffix(".$")
                    names.add(name)
                    if name == "states":
                        self.error(where, messages.RESERVED_VARIABLE.format(name=name))
                    elif (
                        not name.isidentifier()
                        or name[0] == "_"
                        or len(name) > self.limits.name_chars
                    ):
                        self.error(where, messages.BAD_VARIABLE_NAME.format(name=name))
                    elif any(name in scope for scope in outer):
                        self.error(where, messages.OUTER_VARIABLE.format(name=name))
        return names

    # --- one state --------------------------------------------------------------------------------

    def language_of(self, state: dict[str, Json]) -> str:
        """The query language of a state."""
        own = state.get("QueryLanguage")
        return own if own in (JSONPATH, JSONATA) else self.language

    def state(self, state: dict[str, Json], location: str, scopes: Scopes, express: bool) -> None:
        type_, language = state["Type"], self.language_of(state)
        if language == JSONPATH and self.language == JSONATA:
            self.error(location, messages.LANGUAGE_DOWNGRADE)
        for field, value, where in fields_of(state, location):
            faults = faults_of(field, language, value, self.limits)
            for fault in faults:
                self.error(where + fault.location, fault.message)
            if language == JSONATA and not faults:
                self.members(field, type_, value, where)
        for kind, names in EXACTLY_ONE:
            if kind == type_ and sum(_given(state, name) for name in names) != 1:
                self.error(location, messages.EXACTLY_ONE.format(fields=", ".join(names)))
        for steps, pair in AT_MOST_ONE:
            for holder, where in reach(state, steps, location):
                if all(_given(_dict(holder), name) for name in pair):
                    self.error(where, messages.AT_MOST_ONE.format(fields=", ".join(pair)))
        self.retries(state, location)
        if language == JSONPATH:
            self.texts(state, location)
        if type_ == "Task":
            self.task(state, location, language, express)
        elif type_ == "Map":
            self.map(state, location, scopes, express)
        elif type_ == "Parallel":
            for index, branch in enumerate(_list(state.get("Branches"))):
                self.block(branch, item(member(location, "Branches"), index), scopes, express)

    def members(self, field: Field, type_: str, value: Json, location: str) -> None:
        """$states.result and $states.errorOutput must not be read in fields that have none."""
        last = field.steps[-1] in ("Output", "Assign")
        here = {
            "result": last and len(field.steps) == 1 and type_ in _WITH_RESULT,
            "errorOutput": last and field.steps[0] == "Catch",
        }
        for name, available in here.items():
            if not available:
                for below, source in expressions(value):
                    if name in source and reads_states_member(source, name):
                        self.error(location + below, messages.STATES_MEMBER.format(member=name))

    def retries(self, state: dict[str, Json], location: str) -> None:
        for name in ("Retry", "Catch"):
            entries = _list(state.get(name))
            for index, entry in enumerate(entries):
                where, errors = (
                    item(member(location, name), index),
                    _list(_dict(entry).get("ErrorEquals")),
                )
                if messages.ALL in errors and (len(errors) > 1 or index < len(entries) - 1):
                    self.error(
                        member(where, "ErrorEquals"),
                        messages.ALL_ALONE.format(
                            field="Retrier" if name == "Retry" else "Catcher"
                        ),
                    )
                most, interval = (
                    _dict(entry).get("MaxDelaySeconds"),
                    _dict(entry).get("IntervalSeconds", 1),
                )
                if _is_int(most) and _is_int(interval) and most <= interval:
                    self.error(member(where, "MaxDelaySeconds"), messages.MAX_DELAY)

    def texts(self, state: dict[str, Json], location: str) -> None:
        """Warnings about plain text in a JSONPath state that looks like a path or expression."""
        for name in ("Parameters", "ResultSelector", "ItemSelector", "Assign", "Arguments"):
            for key, text, where in _strings(state.get(name), member(location, name)):
                if key.endswith(".$"):
                    continue
                if text.startswith(("$.", "$$.", "$[")):
                    self.warning(where, messages.PATH_IS_TEXT.format(key=key), messages.NO_DOLLAR)
                elif is_expression(text):
                    self.warning(where, messages.EXPRESSION_IS_TEXT, messages.NO_DOLLAR)
        if state["Type"] == "Pass":
            for key, _, where in _strings(state.get("Result"), member(location, "Result")):
                if key.endswith(".$"):
                    self.warning(
                        where,
                        messages.STATIC_RESULT.format(key=key),
                        messages.PASS_RESULT_IS_STATIC,
                    )

    # --- Task -------------------------------------------------------------------------------------

    def task(self, state: dict[str, Json], location: str, language: str, express: bool) -> None:
        resource, where = state.get("Resource"), member(location, "Resource")
        if isinstance(resource, str) and resource:
            known = recognized(resource)
            if known is None:
                if self.known_resource is None or self.known_resource(resource) is None:
                    self.error(where, messages.UNKNOWN_RESOURCE.format(resource=resource))
            elif express and known.kind == "activity":
                self.error(where, messages.EXPRESS_ACTIVITY)
            elif express and known.pattern in _EXPRESS_BANS:
                self.error(where, _EXPRESS_BANS[known.pattern])
        credentials = state.get("Credentials")
        if (
            isinstance(credentials, dict)
            and "RoleArn" not in credentials
            and (language == JSONATA or "RoleArn.$" not in credentials)
        ):
            self.error(
                member(location, "Credentials"), messages.REQUIRED_FIELD.format(field="RoleArn")
            )
        heartbeat, timeout = state.get("HeartbeatSeconds"), state.get("TimeoutSeconds")
        if _is_int(heartbeat) and _is_int(timeout) and heartbeat >= timeout:
            self.error(member(location, "HeartbeatSeconds"), messages.HEARTBEAT_RANGE)

    # --- Map --------------------------------------------------------------------------------------

    def map(self, state: dict[str, Json], location: str, scopes: Scopes, express: bool) -> None:
        name = "ItemProcessor" if "ItemProcessor" in state else "Iterator"
        processor, where = _dict(state.get(name)), member(location, name)
        config = _dict(processor.get("ProcessorConfig"))
        distributed = config.get("Mode") == DISTRIBUTED
        if all(_given(state, each) for each in ("ItemSelector", "Parameters")):
            self.error(location, messages.AT_MOST_ONE.format(fields="ItemSelector, Parameters"))
        if distributed:
            self.distributed(state, location, config, member(where, "ProcessorConfig"), express)
            # children are separate executions: they do not see outer variables
            self.block(processor, where, (), express or config.get("ExecutionType") == EXPRESS)
            return
        for each in _DISTRIBUTED_ONLY:
            if _given(state, each):
                self.error(member(location, each), messages.DISTRIBUTED_ONLY)
        self.block(processor, where, scopes, express)

    def distributed(
        self,
        state: dict[str, Json],
        location: str,
        config: dict[str, Json],
        where: str,
        express: bool,
    ) -> None:
        if express:
            self.error(where, messages.EXPRESS_DISTRIBUTED)
        if "ExecutionType" not in config:
            self.error(where, messages.REQUIRED_FIELDS.format(fields="ExecutionType"))
        for name, actions in _S3.items():
            for resource, place in reach(state, (name, "Resource"), location):
                parts = resource.split(":") if isinstance(resource, str) and resource else ()
                if parts and not (
                    len(parts) == 7
                    and parts[:1] + parts[2:6] == ["arn", "states", "", "", "s3"]
                    and parts[6] in actions
                ):
                    self.error(place, messages.UNKNOWN_RESOURCE.format(resource=resource))
        for reader, place in reach(state, ("ItemReader", "ReaderConfig"), location):
            if isinstance(reader, dict) and (reader.get("CSVHeaderLocation") == "GIVEN") != _given(
                reader, "CSVHeaders"
            ):
                self.error(place, messages.BAD_CSV.format(field="CSVHeaders"))
        for writer, place in reach(state, ("ResultWriter",), location):
            self.writer(_dict(writer), place, self.language_of(state))
        for batcher, place in reach(state, ("ItemBatcher",), location):
            sizes = [size for _, pair in AT_MOST_ONE[-2:] for size in pair]
            if isinstance(batcher, dict) and not any(_given(batcher, size) for size in sizes):
                self.error(place, messages.AT_LEAST_ONE.format(fields=", ".join(sizes)))
        self.label(state.get("Label"), member(location, "Label"))

    def writer(self, writer: dict[str, Json], location: str, language: str) -> None:
        """A ResultWriter has a destination (Resource and Parameters), a WriterConfig, or both."""
        target = _given(writer, "Parameters") or _given(writer, "Arguments")
        if target != _given(writer, "Resource"):
            missing = (
                "Resource" if target else "Parameters" if language == JSONPATH else "Arguments"
            )
            self.error(location, messages.REQUIRED_FIELDS.format(fields=missing))
        elif not target and not _given(writer, "WriterConfig"):
            self.error(location, messages.AT_LEAST_ONE.format(fields="Resource, WriterConfig"))

    def label(self, label: Json, location: str) -> None:
        if not isinstance(label, str):
            return
        bad = any(
            letter in _LABEL_LETTERS or letter.isspace() or not letter.isprintable()
            for letter in label
        )
        if bad or not 1 <= len(label) <= self.limits.label_chars:
            self.error(
                location,
                messages.BAD_LABEL.format(
                    limit=self.limits.label_chars, letters=" ".join(_LABEL_LETTERS)
                ),
            )
        first = self.labels.setdefault(label, location)
        if first != location:
            self.error(
                location,
                messages.DUPLICATE_LABEL.format(label=label, location=first),
                messages.DUPLICATE_LABEL_NAME,
            )


# --- reading values of any type -------------------------------------------------------------------


def _dict(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}


def _list(value: Json) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_int(value: Json) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _given(holder: dict[str, Json], name: str) -> bool:
    """Whether a field has a value: false ("End": false) and null do not count."""
    value = holder.get(name)
    return value is not None and value is not False


def successors(state: Json) -> set[str]:
    """The names of all states that may follow a state."""
    return {target for _, target, _ in targets(state, "")}


def targets(state: Json, location: str) -> Iterator[tuple[str, str, str]]:
    """(field, name, location) of every transition target of a state."""
    for steps in (("Next",), ("Default",), ("Choices", "[]", "Next"), ("Catch", "[]", "Next")):
        for target, where in reach(state, steps, location):
            if isinstance(target, str) and target:
                yield steps[-1], target, where


def _ends(state: Json) -> bool:
    """Whether a block may end in this state; True if errors in the state leave it open."""
    return (
        not isinstance(state, dict)
        or state.get("End") is True
        or (state.get("Type") != "Choice" and not _given(state, "Next"))
    )


def _strings(value: Json, location: str, key: str = "") -> Iterator[tuple[str, str, str]]:
    """(key, text, location) of every string in a value that is a member of an object."""
    if isinstance(value, str) and key:
        yield key, value, location
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _strings(each, member(location, name), name)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _strings(each, item(location, index))
