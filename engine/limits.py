"""The limits of the engine, in one table with those of the language. asl/limits.py explains the
comments.
"""

from dataclasses import dataclass
from typing import Final

from stepwell.asl import limits as language


@dataclass(frozen=True, slots=True)
class Limits(language.Limits):
    """Upper bounds, all inclusive."""

    # --- evaluations
    # nodes that all JSONPaths of a commit unit may visit on the event loop; beyond it, a thread
    # evaluates
    jsonpath_inline_nodes: int = 5_000
    # evaluations in threads at a time: each may take 0.9 GB of memory
    thread_decisions: int = 2

    # --- variables and errors
    variable_bytes: int = 262_144  # AWS: JSON text of a variable
    assign_bytes: int = 262_144  # AWS: JSON text of all variables of one Assign
    variables_bytes: int = 10 * 1024 * 1024  # AWS: JSON text of all variables of an execution
    error_chars: int = 256  # AWS: of an error name
    cause_chars: int = 32_768  # AWS: of a cause

    # --- executions
    history_events: int = 25_000  # AWS: of a Standard execution
    standard_seconds: int = 365 * 24 * 3600  # AWS: duration of a Standard execution
    express_seconds: int = 300  # AWS: duration of an Express execution
    test_state_seconds: int = 300  # AWS: of a TestState call
    open_executions: int = 1_000_000  # AWS: running executions
    redrive_seconds: int = 14 * 24 * 3600  # AWS: after its end, an execution may be redriven
    redrives: int = 1_000  # of one execution
    redrive_tokens: int = 10  # AWS: client tokens that an execution remembers
    redrive_token_seconds: int = 15 * 60  # AWS: for which a client token is remembered
    retention_seconds: int = 90 * 24 * 3600  # AWS: for which closed executions are kept
    express_events: int = 25_000  # of the history of an Express execution; the latest are kept
    express_expected: int = 100  # Express executions whose start the console has announced
    express_kept: int = 1_000  # closed Express executions that can still be described

    # --- state machines and activities
    machines: int = 100_000  # AWS: state machines
    versions: int = 1_000  # AWS: of one state machine
    aliases: int = 100  # AWS: of one state machine
    tags: int = 50  # AWS: of one resource
    activities: int = 100_000  # AWS: activities
    pollers: int = 1_000  # AWS: waiting GetActivityTask calls of one activity
    history_page: int = 1_000  # AWS: events of one answer
    # payloads of the events of one answer, after which it ends early; it has at least one event
    history_page_bytes: int = 8 * 1024 * 1024
    list_page: int = 1_000  # AWS: items of one answer
    page_default: int = 100  # AWS: items of one answer without maxResults

    # --- logs and status events
    log_record_bytes: int = 248 * 1024  # AWS: input, output and parameters in one log record
    event_data_bytes: int = 248 * 1024  # AWS: input and output, escaped, in one status event

    # --- the worker
    # transitions of a commit unit; a timer that fires, an aborted frame and 4 kB of output count as
    # one transition each
    unit_transitions: int = 256
    # states that a replay enters after the recording has ended: a new loop would never end
    replay_unrecorded_states: int = 1_000
    # for which a commit unit holds the event loop; then the rest goes to another unit or a thread
    unit_seconds: float = 0.025
    queue_units: int = 4_096  # units that wait for their commit; then new starts wait
    queue_callers: int = 1_000  # starts that wait for the queue; more get a ThrottlingException
    units_ahead: int = 2  # units of one execution that wait for their commit
    batch_units: int = 96  # units of one transaction
    batch_bytes: int = 8 * 1024 * 1024  # payloads of one transaction, without its last unit
    # payloads of a transaction that the event loop encodes; larger ones are encoded in the store's
    # thread
    encode_inline_bytes: int = 262_144
    # frames of a loaded execution that the event loop decodes; more are decoded in a thread
    decode_inline_frames: int = 500
    child_starts: int = 256  # child executions of Map Runs that start at a time
    # children of a Map Run that have not begun; while there are fewer, its dataset is read on
    children_ahead: int = 2_000
    chunk_items: int = 1_000  # that a Map Run reads of its dataset at a time
    chunk_bytes: int = 1_048_576  # JSON text of those
    child_rows: int = 8  # of a Map Run that has ended, which one transaction deletes
    child_rows_pause_seconds: float = 0.05  # between two of those
    # ends of Express children that a Map Run takes in at a time
    child_reports: int = 1_000
    effects_in_flight: int = 1_000  # running tasks of each kind; waiting tasks do not count
    recent_executions: int = 256  # closed executions in memory
    programs: int = 1_000  # compiled definitions in memory
    # longer definitions are compiled in a thread, which takes 2 ms per 1,000 characters
    definition_inline_chars: int = 8_192
    compilers: int = 2  # threads that compile definitions

    # --- timers and clock
    timer_window_seconds: float = 60.0  # timers due later are not in memory
    timer_page: int = 256  # timers that fire before other work has its turn
    clock_jump_seconds: float = 60.0  # forward jump of the system's clock that is accepted at once
    clock_hold_seconds: float = 60.0  # after which a longer jump is accepted
    # by which the clocks of a machine and of its PostgreSQL may differ when a process begins to own
    # shards: the time of a shard never goes back, so one fast clock would fire timers early for all
    clock_skew_seconds: float = 60.0

    # --- virtual time, in seconds of real time
    # for which the timeout of a task that an outside worker may still answer is not skipped
    skip_outside_seconds: float = 0.2
    skip_instant_seconds: float = 0.02  # attempts of tasks that are shorter take no time
    skip_client_seconds: float = 0.1  # after a client's change, for which time is not skipped
    skip_most_seconds: int = 10 * 365 * 24 * 3600  # of virtual time, that one call advances
    # of work without a pause, during which time stands still; then it advances
    skip_busy_seconds: float = 5.0

    # --- the store
    owner_idle_seconds: float = 10.0  # a frozen owner of a PostgreSQL database loses its lock
    foreign_lock_seconds: float = 60.0  # a write waits for a lock of another program
    closing_seconds: float = 5.0  # for the last commit of an engine that is closed
    wal_bytes: int = 67_108_864  # write-ahead log; beyond it, it is truncated as soon as possible
    search_rows: int = 10_000  # executions that one page of a search looks at
    index_page: int = 100  # executions that are indexed in one transaction
    index_report_seconds: float = 1.0  # between two records of how far that is
    recovery_page: int = 1_000  # executions that recovery reads at a time
    retention_page: int = 50  # closed executions that one transaction deletes
    retention_pause_seconds: float = 60.0  # between two rounds of deletion
    sweep_seconds: int = 24 * 3600  # between two searches for unused definitions

    # --- background loops
    background_pause_seconds: float = 1.0  # before a failed loop is retried; then doubled
    background_pause_most_seconds: float = 60.0  # longest pause before a retry

    __hash__ = language.Limits.__hash__


DEFAULT_LIMITS: Final = Limits()
EXPRESS_HISTORY_EVENTS: Final = 2**31  # more than any execution has: Express has no such limit
