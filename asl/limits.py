"""ONE table of every limit of the language and of the engine.

Defaults are the quotas of AWS Step Functions (Standard workflows); tests pass tiny ones. Units are in the names.
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

    # nodes that JSONPaths visit: the first bounds all evaluations of a unit on the event loop, the second one evaluation in a thread
    jsonpath_inline_nodes: int = 5_000
    jsonpath_nodes: int = 500_000  # 1 s or so; beyond it, States.Runtime. `..` visits each node once, and a payload has 131,072 at most

    # payloads
    payload_bytes: int = 262_144
    payload_depth: int = 1_000
    variable_bytes: int = 262_144
    assign_bytes: int = 262_144
    variables_bytes: int = 10 * 1024 * 1024
    error_chars: int = 256
    cause_chars: int = 32_768
    intrinsic_string_chars: int = 10_000
    array_range_items: int = 1_000

    # JSONata: the first pair bounds an evaluation on the event loop, the second one in a thread
    jsonata_inline_steps: int = 20_000
    jsonata_inline_seconds: float = 0.02
    jsonata_steps: int = 2_000_000  # 0.2 s: trips long before the time does, so that a result does not hang on the machine's speed
    jsonata_seconds: float = 1.0
    jsonata_depth: int = 1_000
    patient_decisions: int = 2  # evaluations in threads at a time: a hostile one was seen to take half a gigabyte within its second
    jsonata_string_chars: int = 524_288  # these two bound what one step can take of memory
    jsonata_array_items: int = 131_072

    # executions
    history_events: int = 25_000
    standard_seconds: int = 365 * 24 * 3600
    express_seconds: int = 300
    test_state_seconds: int = 300  # that TestState gives a state
    wait_seconds: int = 99_999_999
    timeout_seconds: int = 99_999_999
    map_concurrency: int = 40
    map_run_concurrency: int = 10_000
    map_run_items: int = 100_000_000
    dataset_bytes: int = 67_108_864  # of the files that an ItemReader reads, unpacked; ours: they are held in memory
    unit_transitions: int = 256  # of one commit unit; a timer that fires, a frame that is aborted and 4 kB of output count as one, too
    unit_seconds: float = 0.025  # that a unit may hold the event loop; what takes longer goes on in the next unit, or in a thread

    # background loops that failed
    background_pause_seconds: float = 1.0  # before the second try; the pauses double
    background_pause_most_seconds: float = 60.0

    # the worker
    queue_units: int = 4_096  # decided and not yet committed: beyond it, new starts wait
    queue_callers: int = 1_000  # starts that wait for that; more are refused: ThrottlingException
    units_ahead: int = 2  # of one execution that does not wait for anything: decided and not yet committed
    batch_units: int = 96  # commit units of one transaction
    batch_bytes: int = 8 * 1024 * 1024  # of their payloads, but for the last one
    encode_inline_bytes: int = 262_144  # of payloads in a batch that the event loop encodes; larger ones are encoded by the store's thread
    decode_inline_frames: int = 500  # of an execution that is loaded; more are decoded in a thread
    child_starts: int = 256  # children of Map Runs that are being started at a time
    clock_jump_seconds: float = 60.0  # that the machine's clock may go forward at once; a longer jump is held back
    clock_hold_seconds: float = 60.0  # that it has to last until it is believed
    foreign_lock_seconds: float = 60.0  # that a write waits for another program that has locked the database
    closing_seconds: float = 5.0  # that an engine which is being closed gives to its last commit
    wal_bytes: int = 67_108_864  # of the write-ahead log, from which on it is cut as soon as no reader needs it
    timer_window_seconds: float = 60.0
    timer_page: int = 256  # timers that fire before others have a turn
    recovery_page: int = 1_000
    effects_in_flight: int = 1_000  # of each kind (see engine/runtime/live.py); what waits for something does not count
    recent_executions: int = 256  # closed ones kept in memory for those who ask next
    programs: int = 1_000  # compiled definitions kept
    definition_inline_chars: int = 8_192  # longer definitions are validated and compiled in a thread: 2 ms for each thousand chars
    compilers: int = 2  # such threads at a time
    express_events: int = 25_000  # of an Express execution's history, the latest ones kept
    express_expected: int = 100  # announced by pages that will watch them
    express_kept: int = 1_000  # closed Express executions that can still be asked about
    pollers: int = 1_000  # waiting GetActivityTask calls of one activity
    history_page: int = 1_000
    retention_seconds: int = 90 * 24 * 3600  # that closed executions are kept
    retention_page: int = 50  # of them that one transaction deletes
    retention_pause_seconds: float = 60.0  # between one round of deleting and the next
    sweep_seconds: int = 24 * 3600  # between one search for definitions that nothing uses and the next
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
    log_buffer_bytes: int = 8 * 1024 * 1024  # taken by a sink and not yet written; beyond it, records are dropped and counted
    log_file_bytes: int = 64 * 1024 * 1024  # then the file is put aside
    log_files: int = 5  # put aside and kept, for each file
    redrive_seconds: int = 14 * 24 * 3600  # after its end, that an execution may be redriven
    redrives: int = 1_000  # of one execution
    redrive_tokens: int = 10  # client tokens that an execution remembers
    redrive_token_seconds: int = 15 * 60
    event_data_bytes: int = 248 * 1024  # of input and output together, escaped, in one status event

    # the API
    request_bytes: int = 2 * 1024 * 1024  # of one request's body; AWS says 1 MB, which a definition of full length cannot keep to
    upload_bytes: int = 72 * 1024 * 1024  # the same of requests that bring code (50 MB, as base64) or the payload of a function (6 MB)
    request_seconds: float = 30.0  # that a client may take to send it
    answer_seconds: float = 60.0  # that a client may take nothing of its answer
    request_head_seconds: float = 20.0  # the same of its head, from the first byte
    request_head_bytes: int = 65_536
    open_head_bytes: int = 64 * 1024 * 1024  # of all heads that are not complete yet
    pipelined_requests: int = 64  # of one connection, sent before an earlier one was answered; beyond it, it is closed
    pipelined_bytes: int = 65_536  # of the body of such a one
    open_requests: int = 4_096  # being answered, long polls among them; more are refused: ThrottlingException
    open_request_bytes: int = 256 * 1024 * 1024  # of all their bodies together, as far as they have come
    peer_request_bytes: int = 128 * 1024 * 1024  # the same of one address of a client (one /64 of IPv6)
    connections: int = 8_192  # a new one takes the place of an idle or incomplete one
    connection_idle_seconds: int = 75  # longer than clients keep theirs, so that they never use one that is being closed
    drain_seconds: float = 10.0  # that a server which was told to stop gives to open requests

    # the console
    console_streams: int = 200  # open pages that are told of changes; more are asked to come again
    console_pace_seconds: float = 0.1  # between one message of a stream and the next: what happens meanwhile goes into one
    console_beat_seconds: float = 20.0  # between signs of life of a stream, by which a client that is gone is noticed
    console_changed: int = 200  # executions that one message of the list's stream tells of; beyond it the page reads the list again
    console_map_runs: int = 20  # whose items are counted for one message of an execution's stream
    console_searched: int = 10_000  # executions that one search looks at
    console_pictures: int = 32  # kept
    console_listed: int = 2_000  # functions, queues, topics or rules of one list
    console_deliveries: int = 200  # shown at a time

    # functions: subprocesses of a functions folder, and threads for plain callables
    function_workers: int = 64  # processes, warm ones included
    function_starts: int = 4  # of them that are being started at a time
    function_init_seconds: float = 10.0  # that a function may take to be loaded, or its time limit if that is more
    function_queue: int = 1_000  # calls that wait for a process
    function_seconds: int = 900  # of one call, if the task has no shorter time limit
    function_idle_seconds: float = 60.0  # that a warm process waits for the next call
    function_response_bytes: int = 6_291_556
    function_log_bytes: int = 256 * 1024  # of what one call prints that are passed on
    function_log_lines: int = 10_000  # of the same
    function_output_bytes: int = 8 * 1024 * 1024  # of all functions, taken and not yet written; beyond it, output is dropped and counted
    function_threads: int = 32

    # functions that are created with Lambda's API
    functions: int = 10_000
    function_name_chars: int = 64
    function_versions: int = 1_000  # of one function; as many aliases
    function_statements: int = 200  # in one policy
    function_concurrency: int = 1_000  # of all functions together
    function_environment_bytes: int = 4_096
    function_request_bytes: int = 6_291_456  # of the payload of one call
    function_event_bytes: int = 1_048_576  # of an asynchronous one
    function_events: int = 10_000  # accepted ones in memory; the others are in the store
    function_page: int = 50
    code_zip_bytes: int = 52_428_800
    code_unzipped_bytes: int = 262_144_000
    code_files: int = 50_000

    # patterns over events
    pattern_chars: int = 4_096
    pattern_combinations: int = 1_000  # of the alternatives of `$or`
    pattern_depth: int = 100

    # HTTP that goes out
    outbound_connections: int = 256  # of tasks; as many of what topics and rules deliver
    outbound_seconds: float = 60.0  # of one call, from the name's resolution to the last byte
    outbound_response_bytes: int = 262_144

    # services of others
    aws_threads: int = 64  # calls at a time
    aws_queue: int = 1_000  # calls that wait for one
    aws_clients: int = 16  # kept, one a service
    aws_seconds: float = 60.0  # of one call
    job_pause_seconds: float = 1.0  # before a job is first asked how it stands; the pauses grow
    job_pause_most_seconds: float = 60.0

    # events and what delivers them
    event_entries: int = 10  # of one PutEvents
    event_bytes: int = 262_144  # of one entry, and of all of one call
    buses: int = 100
    rules: int = 300  # of one bus
    rule_targets: int = 5
    target_input_chars: int = 8_192
    archives: int = 100
    replays: int = 1_000  # kept, those that have ended too
    replay_page: int = 200
    api_connections: int = 3_000
    api_destinations: int = 3_000
    schedules: int = 100_000
    schedule_groups: int = 500
    bus_hops: int = 8  # of one event, from bus to bus
    deliveries_held: int = 10_000  # in memory; the others wait on the disk
    deliveries_page: int = 1_000
    deliveries_in_flight: int = 256
    deliveries_remembered: int = 2_000  # that are over, of all services: for the console
    delivery_attempts: int = 185
    delivery_seconds: int = 24 * 3600
    delivery_pause_seconds: float = 1.0  # before the second attempt; the pauses double
    delivery_pause_most_seconds: float = 600.0
    destination_seconds: float = 5.0  # that an API destination has for its answer

    # HTTP APIs
    http_apis: int = 600
    http_routes: int = 300  # of one API; as many integrations
    http_stages: int = 10
    http_deployments: int = 20  # of one API, kept besides those that a stage names
    http_api_bytes: int = 10 * 1024 * 1024  # of one request's body

    # rules of MQTT topics
    topic_rules: int = 1_000
    topic_rule_actions: int = 10
    topic_bytes: int = 256
    topic_levels: int = 8  # slashes + 1
    sql_chars: int = 8_192
    sql_text_chars: int = 131_072  # of what one function makes
    mqtt_payload_bytes: int = 131_072
    mqtt_unstored: int = 1_000  # messages that came and are not stored yet; beyond it the broker waits
    mqtt_batch: int = 100  # messages of one commit
    mqtt_seconds: float = 5.0  # that a broker has to confirm what it was told
    mqtt_pause_seconds: int = 1  # before the second attempt to connect; the pauses double
    mqtt_pause_most_seconds: int = 60
    republish_hops: int = 8  # of one message, from rule to rule

    # topics, and what is published to them
    topics: int = 100_000
    subscriptions: int = 100_000  # of all topics: they are held in memory
    filter_policies: int = 200  # of one topic
    filter_keys: int = 5
    filter_combinations: int = 150
    filter_bytes: int = 262_144
    topic_message_bytes: int = 262_144  # of a body with its attributes, and of all of one batch
    topic_message_most_bytes: int = 1_048_576  # that a topic's MaximumMessageSize can allow
    topic_large_subscriptions: int = 100  # of a topic that allows more than the usual
    topic_batch: int = 10  # of one PublishBatch
    topic_fan_out: int = 1_000  # queues that get a message in one transaction
    topic_fan_out_bytes: int = 16 * 1024 * 1024  # of the same
    topic_raw_attributes: int = 10  # that a queue takes
    subject_chars: int = 100
    topic_deduplication_seconds: int = 300
    topic_deduplication_ids: int = 100_000  # remembered; more publishing is refused: Throttled
    confirmation_seconds: int = 3 * 24 * 3600  # that a token is good
    subscriptions_ended: int = 1_000  # kept, so that the link of the last mail can renew them
    topic_page: int = 100
    topic_http_seconds: float = 15.0  # that an endpoint has for its answer
    topic_delivery_seconds: int = 3_600  # the most that the retries of a delivery policy may take
    mail_seconds: float = 30.0
    outbox: int = 1_000  # messages to phones, devices and people that nobody carries: the latest are kept
    platform_applications: int = 1_000
    platform_endpoints: int = 100_000

    # queues
    queues: int = 10_000
    queue_page: int = 1_000
    queue_batch: int = 10  # entries of one batch, and messages of one ReceiveMessage
    message_bytes: int = 1_048_576  # with its attributes, and of all of a batch
    message_attributes: int = 10
    queue_in_flight: int = 120_000  # of one queue
    queue_messages: int = 2_000_000  # of all queues together: each takes some 400 bytes of memory; more are refused: RequestThrottled
    queue_cache_bytes: int = 64 * 1024 * 1024  # of their contents in memory; the others are read when they are received
    message_inline_bytes: int = 4_096  # a content that is longer has a record of its own, which is not read when the server starts
    message_deduplication_seconds: int = 300
    receive_attempts: int = 1_000  # ReceiveRequestAttemptIds that one queue remembers
    queue_sweep_seconds: float = 60.0  # between one search for messages whose retention is over and the next
    queue_sweep_page: int = 1_000  # records that one transaction deletes
    queue_name_seconds: int = 0  # after its deletion, until a queue of that name may be created again; AWS: 60
    purge_seconds: int = 0  # between one PurgeQueue of a queue and the next; AWS: 60
    message_moves: int = 10  # tasks of a dead-letter queue that are remembered


DEFAULT_LIMITS: Final = Limits()
EXPRESS_HISTORY_EVENTS: Final = 2**31
