"""The limits of the language. engine/limits.py adds those of the engine, and a limits.py beside
each service those of the service; docs/reference/limits.md lists all of them.

The comment of a limit says what it bounds. "AWS:" marks AWS's quotas; the others protect the
process. Units are in the names. Tests pass small limits.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds, all inclusive."""

    # --- definitions
    definition_bytes: int = 1024 * 1024  # AWS: JSON text of a definition
    definition_depth: int = 100  # nested JSON containers of a definition
    diagnostics: int = 100  # AWS: of one answer of ValidateStateMachineDefinition
    name_chars: int = 80  # AWS: of a state machine, execution, activity, state or variable
    label_chars: int = 40  # AWS: of a Map state's Label
    items_pointer_chars: int = 1_999  # AWS: of an ItemsPointer
    json_number_chars: int = 1_000  # of a number in JSON text or YAML; Jackson's default
    retry_delay_seconds: int = 31_622_400  # AWS: MaxDelaySeconds
    intrinsic_depth: int = 10  # AWS: nested calls of intrinsic functions
    intrinsic_chars: int = 100_000  # of a call of an intrinsic function
    jsonpath_chars: int = 8_000  # of a path
    jsonpath_steps: int = 100  # steps of a path, and brackets of all kinds
    # nodes of a document that the evaluation of a path in a thread may visit, about 1 s; beyond it,
    # States.Runtime
    jsonpath_nodes: int = 500_000

    # --- payloads
    payload_bytes: int = 262_144  # AWS: JSON text of an input, output or result
    payload_depth: int = 1_000  # nested JSON containers; Jackson's default
    intrinsic_string_chars: int = 10_000  # AWS: argument of States.Base64Encode, Base64Decode, Hash
    array_range_items: int = 1_000  # AWS: result of States.ArrayRange

    # --- JSONata
    jsonata_inline_steps: int = 20_000  # of an evaluation on the event loop, before a thread's
    jsonata_inline_seconds: float = 0.02  # of the same
    # of an evaluation in a thread, about 0.2 s: reached before jsonata_seconds, so that the result
    # does not depend on the machine, nor on how busy it is
    jsonata_steps: int = 2_000_000
    # of the same, which may use up to 0.9 GB of memory in a second; again, twice at most, if the
    # machine let it work for less than half of the time
    jsonata_seconds: float = 1.0
    jsonata_depth: int = 1_000  # nested calls
    jsonata_string_chars: int = 524_288  # of every intermediate string
    jsonata_array_items: int = 131_072  # of every intermediate array

    # --- executions
    wait_seconds: int = 99_999_999  # AWS: of a Wait
    timeout_seconds: int = 99_999_999  # AWS: TimeoutSeconds, HeartbeatSeconds
    map_concurrency: int = 40  # AWS: concurrent iterations of an inline Map
    map_run_concurrency: int = 10_000  # AWS: concurrent child executions of a Map Run
    map_run_items: int = 100_000_000  # AWS: items of a Map Run

    def __hash__(self) -> int:
        """A cheap one: compiled expressions are cached by their limits."""
        return self.payload_bytes


DEFAULT_LIMITS: Final = Limits()
