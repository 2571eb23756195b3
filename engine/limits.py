"""The limits of the engine, with those of the language: one table.

Defaults are the quotas of AWS Step Functions (Standard workflows). Units are in the names.
"""

from dataclasses import dataclass
from typing import Final

from stepwell.asl import limits as language


@dataclass(frozen=True, slots=True)
class Limits(language.Limits):
    """Upper bounds, all inclusive."""

    # nodes that JSONPaths visit: the first bounds all evaluations of a unit on the event loop, the
    # second one evaluation in a thread
    jsonpath_inline_nodes: int = 5_000

    # payloads
    variable_bytes: int = 262_144
    assign_bytes: int = 262_144
    variables_bytes: int = 10 * 1024 * 1024
    error_chars: int = 256
    cause_chars: int = 32_768

    # JSONata: the first pair bounds an evaluation on the event loop, the second one in a thread
    # evaluations in threads at a time: a hostile one was seen to take half a gigabyte within its
    # second
    patient_decisions: int = 2

    # executions
    history_events: int = 25_000
    standard_seconds: int = 365 * 24 * 3600
    express_seconds: int = 300
    test_state_seconds: int = 300  # that TestState gives a state
    # of one commit unit; a timer that fires, a frame that is aborted and 4 kB of output count as
    # one, too
    unit_transitions: int = 256
    # that a unit may hold the event loop; what takes longer goes on in the next unit, or in a
    # thread
    unit_seconds: float = 0.025

    # background loops that failed
    background_pause_seconds: float = 1.0  # before the second try; the pauses double
    background_pause_most_seconds: float = 60.0

    # the worker
    queue_units: int = 4_096  # decided and not yet committed: beyond it, new starts wait
    queue_callers: int = 1_000  # starts that wait for that; more are refused: ThrottlingException
    units_ahead: int = (
        2  # of one execution that does not wait for anything: decided and not yet committed
    )
    batch_units: int = 96  # commit units of one transaction
    batch_bytes: int = 8 * 1024 * 1024  # of their payloads, but for the last one
    # of payloads in a batch that the event loop encodes; larger ones are encoded by the store's
    # thread
    encode_inline_bytes: int = 262_144
    decode_inline_frames: int = 500  # of an execution that is loaded; more are decoded in a thread
    child_starts: int = 256  # children of Map Runs that are being started at a time
    clock_jump_seconds: float = (
        60.0  # that the machine's clock may go forward at once; a longer jump is held back
    )
    clock_hold_seconds: float = 60.0  # that it has to last until it is believed
    foreign_lock_seconds: float = (
        60.0  # that a write waits for another program that has locked the database
    )
    closing_seconds: float = 5.0  # that an engine which is being closed gives to its last commit
    wal_bytes: int = (
        67_108_864  # of the write-ahead log, from which on it is cut as soon as no reader needs it
    )
    timer_window_seconds: float = 60.0
    timer_page: int = 256  # timers that fire before others have a turn
    recovery_page: int = 1_000
    effects_in_flight: int = (
        1_000  # of each kind (see engine/runtime/live.py); what waits for something does not count
    )
    recent_executions: int = 256  # closed ones kept in memory for those who ask next
    programs: int = 1_000  # compiled definitions kept
    # longer definitions are validated and compiled in a thread: 2 ms for each thousand chars
    definition_inline_chars: int = 8_192
    compilers: int = 2  # such threads at a time
    express_events: int = 25_000  # of an Express execution's history, the latest ones kept
    express_expected: int = 100  # announced by pages that will watch them
    express_kept: int = 1_000  # closed Express executions that can still be asked about
    pollers: int = 1_000  # waiting GetActivityTask calls of one activity
    history_page: int = 1_000
    retention_seconds: int = 90 * 24 * 3600  # that closed executions are kept
    retention_page: int = 50  # of them that one transaction deletes
    retention_pause_seconds: float = 60.0  # between one round of deleting and the next
    sweep_seconds: int = (
        24 * 3600
    )  # between one search for definitions that nothing uses and the next
    list_page: int = 1_000
    page_default: int = 100  # items of a page, if the caller does not say

    # state machines and activities
    machines: int = 100_000
    versions: int = 1_000  # of one state machine
    aliases: int = 100
    tags: int = 50  # of one resource
    activities: int = 100_000
    open_executions: int = 1_000_000  # that one process started and that have not closed

    # what an execution tells others: logs, and events of its status
    log_record_bytes: int = 248 * 1024  # of input, output and parameters in one log record
    redrive_seconds: int = 14 * 24 * 3600  # after its end, that an execution may be redriven
    redrives: int = 1_000  # of one execution
    redrive_tokens: int = 10  # client tokens that an execution remembers
    redrive_token_seconds: int = 15 * 60
    event_data_bytes: int = 248 * 1024  # of input and output together, escaped, in one status event


DEFAULT_LIMITS: Final = Limits()
EXPRESS_HISTORY_EVENTS: Final = 2**31
