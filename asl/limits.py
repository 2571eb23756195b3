"""The limits of the language: one table.

Defaults are the quotas of AWS Step Functions; tests pass tiny ones. Units are in the names. What
the engine and the services add is in engine/limits.py and in a limits.py beside each of them.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds, all inclusive."""

    # the definition
    definition_bytes: int = 1024 * 1024
    definition_depth: int = 100  # nested JSON containers in a definition, payload or expression
    diagnostics: int = 100
    name_chars: int = 80  # state machine, execution, activity, state and variable names
    label_chars: int = 40
    items_pointer_chars: int = 1_999
    json_number_chars: int = 1_000  # of a number that msgspec refuses, and of one in YAML
    retry_delay_seconds: int = 31_622_400  # MaxDelaySeconds
    intrinsic_depth: int = 10
    intrinsic_chars: int = 100_000
    jsonpath_chars: int = 8_000
    jsonpath_steps: int = 100  # steps, and brackets of any kind, of one path

    # nodes that JSONPaths visit: the first bounds all evaluations of a unit on the event loop, the
    # second one evaluation in a thread
    # 1 s or so; beyond it, States.Runtime. `..` visits each node once, and a payload has 131,072 at
    # most
    jsonpath_nodes: int = 500_000

    # payloads
    payload_bytes: int = 262_144
    payload_depth: int = 1_000
    intrinsic_string_chars: int = 10_000
    array_range_items: int = 1_000

    # JSONata: the first pair bounds an evaluation on the event loop, the second one in a thread
    jsonata_inline_steps: int = 20_000
    jsonata_inline_seconds: float = 0.02
    # 0.2 s: trips long before the time does, so that a result does not hang on the machine's speed
    jsonata_steps: int = 2_000_000
    jsonata_seconds: float = 1.0
    jsonata_depth: int = 1_000
    jsonata_string_chars: int = 524_288  # these two bound what one step can take of memory
    jsonata_array_items: int = 131_072

    # executions
    wait_seconds: int = 99_999_999
    timeout_seconds: int = 99_999_999
    map_concurrency: int = 40
    map_run_concurrency: int = 10_000
    map_run_items: int = 100_000_000


DEFAULT_LIMITS: Final = Limits()
