"""A Program: a compiled definition, of immutable objects and closures, so that nothing is parsed at
run time. compiler.py makes it; this module imports little, because everything that reads stored
executions imports it.

A Program is a list of blocks: the machine, each Parallel branch, each ItemProcessor. A Block has
States; a State has what the core needs to run it: evaluators, successors, retriers and catchers.
Fields that a state does not use are None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stepwell.asl import search_attributes
from stepwell.asl.evaluation import Env, Evaluator, Json
from stepwell.asl.json_text import dumps
from stepwell.asl.limits import Limits
from stepwell.asl.resources import Resource

if TYPE_CHECKING:
    from stepwell.asl.definition import StateMachine  # it imports pydantic

PASS, TASK, CHOICE, WAIT, SUCCEED, FAIL, PARALLEL, MAP = range(8)
# codes of state types; stored codes of events follow from their order
TYPES: Final = {
    name: code
    for code, name in enumerate(
        ("Pass", "Task", "Choice", "Wait", "Succeed", "Fail", "Parallel", "Map")
    )
}


class Constant:
    """A literal and its JSON text: the simplest payload for the core."""

    __slots__ = ("value", "data")

    def __init__(self, value: Json) -> None:
        self.value, self.data = value, dumps(value).encode()


class Retrier(NamedTuple):
    errors: frozenset[str]
    interval: float  # seconds
    max_attempts: int
    backoff: float
    max_delay: float  # seconds
    jitter: bool  # JitterStrategy FULL


class Catcher(NamedTuple):
    errors: frozenset[str]
    next: State
    # (raw input, Error Output) -> output; None: the Error Output replaces the input
    result_path: Callable[[Json, Json], Json] | None
    output: Evaluator | None
    assign: Evaluator | None


class Rule(NamedTuple):
    """A Choice rule, or Default (`otherwise`)."""

    test: Callable[[Json, Env], bool]
    next: State
    output: Evaluator | None
    assign: Evaluator | None


class Reader(NamedTuple):
    """ItemReader. call: its parameters, MaxItems, and the other fields of ReaderConfig."""

    resource: Resource
    call: Evaluator


class Writer(NamedTuple):
    """ResultWriter with a Resource. call: its parameters and the fields of WriterConfig."""

    resource: Resource
    call: Evaluator


class MapSpec(NamedTuple):
    block: Block
    items: Evaluator  # -> list, or dict for a Map Run over an object
    selector: Evaluator | None
    concurrency: Callable[[Json, Env], int]  # bounded by the limit of the mode
    max_concurrency: Callable[[Json, Env], int]  # as written; 0: the limit of the mode
    tolerated_count: Callable[[Json, Env], int | None]  # ToleratedFailureCount
    tolerated_percentage: Callable[[Json, Env], float | None]
    distributed: bool
    express: bool  # children are Express executions
    label: str | None
    reader: Reader | None
    writer: Writer | None
    # of the results: "COMPACT" (the outputs), "FLATTEN" (the items of outputs that are arrays),
    # "NONE" (the executions)
    transformation: str
    batch: Callable[[list[Any], Json, Env], list[Any]] | None  # items -> inputs of children
    mocked: bool = False  # TestState: the caller provides the result, no child is started


class State:
    """One compiled state. engine/core/dataflow.py runs the evaluators in the order of the data
    flow.
    """

    __slots__ = (
        "name", "type", "block", "next", "jsonata", "plain_in", "plain_out", "constant",
        "points_to_entered",
        "input_path", "parameters", "result_selector", "result_path", "output_path", "output",
        "assign",
        "retriers", "catchers", "resource", "timeout", "heartbeat", "credentials",
        "choices", "otherwise", "wait", "error", "cause", "branches", "map",
    )  # fmt: skip

    name: str
    type: int
    block: Block
    next: State | None  # None: the block ends here
    jsonata: bool
    plain_in: bool  # no evaluation before the work: its input is the state input
    plain_out: bool  # no evaluation after it: its result is the output, no variable is assigned
    constant: Any | None  # Result of a Pass as a payload
    points_to_entered: bool  # EvaluationFailed follows StateEntered, else the event before that
    input_path: Evaluator | None
    parameters: Evaluator | None  # Parameters, or Arguments
    result_selector: Evaluator | None
    # (raw input, result) -> output; None: the result replaces the input
    result_path: Callable[[Json, Json], Json] | None
    output_path: Evaluator | None
    output: Evaluator | None
    assign: Evaluator | None
    retriers: tuple[Retrier, ...]
    catchers: tuple[Catcher, ...]
    resource: Resource | None
    timeout: Callable[[Json, Env], int] | None
    heartbeat: Callable[[Json, Env], int] | None
    credentials: Callable[[Json, Env], str] | None
    choices: tuple[Rule, ...]
    otherwise: Rule | None
    wait: Callable[[Json, Env], int] | None  # -> due time in ms
    error: Evaluator | None
    cause: Evaluator | None
    branches: tuple[Block, ...]
    map: MapSpec | None

    def __init__(self, name: str, type: int, block: Block, jsonata: bool) -> None:
        for slot in State.__slots__:
            setattr(self, slot, None)
        self.name, self.type, self.block, self.jsonata = name, type, block, jsonata
        self.retriers = self.catchers = self.choices = self.branches = ()
        self.plain_in = self.plain_out = self.points_to_entered = False

    def __repr__(self) -> str:
        return f"State({self.name!r})"


class Block:
    """A block of states. index: in Program.blocks; 0 is the machine."""

    __slots__ = ("index", "start", "states")

    index: int
    start: State
    states: dict[str, State]

    def __init__(self, index: int) -> None:
        self.index, self.states = index, {}


class Program:
    """A compiled machine: immutable, shared by all its executions. timeout: seconds; search: its
    search attributes.
    """

    __slots__ = ("blocks", "timeout", "definition", "limits", "search")

    def __init__(self, blocks: tuple[Block, ...], definition: StateMachine, limits: Limits) -> None:
        self.blocks, self.definition, self.limits = blocks, definition, limits
        self.timeout = definition.timeout_seconds
        self.search = search_attributes.of_comment(definition.comment)

    def states(self) -> Mapping[str, State]:
        """All states by name; names are unique in a machine."""
        return {name: state for block in self.blocks for name, state in block.states.items()}
