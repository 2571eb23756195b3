"""What is shown of an execution, from hand-made history events."""

import io
import json
import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepwell.asl.evaluation import MISSING
from stepwell.asl.histories.history_visits import Visits
from stepwell.engine.operations.data_flow import DataFlow, Stage
from stepwell.integrations.cli.output import data_flow, outcome, progress, screen, tables
from stepwell.integrations.cli.output import machine as about
from stepwell.integrations.cli.output import text as terminal
from stepwell.integrations.cli.output.board import Board
from stepwell.integrations.cli.output.events import history_head, history_line

START = 1_700_000_000.0
LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:"
DEFINITION = {
    "StartAt": "Check",
    "States": {
        "Check": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.n", "IsPresent": True, "Next": "Pay"}],
            "Default": "Pay",
        },
        "Pay": {"Type": "Task", "Resource": LAMBDA + "pay", "Next": "Each"},
        "Each": {
            "Type": "Map",
            "ItemProcessor": {
                "StartAt": "Pack",
                "States": {"Pack": {"Type": "Wait", "Seconds": 10, "End": True}},
            },
            "Next": "Tell",
        },
        "Tell": {
            "Type": "Task",
            "Resource": "arn:aws:states:::sns:publish",
            "Parameters": {},
            "Next": "Rest",
        },
        "Rest": {"Type": "Pass", "Next": "Undo"},
        "Undo": {"Type": "Pass", "Next": "Sorry"},
        "Sorry": {"Type": "Fail", "Error": "Sorry"},
    },
}
ABOUT = about.machine("shop", "STANDARD", DEFINITION)


class History:
    """Writes events one after the other; `previous` is the last one unless it is given."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.at = START

    def add(self, type: str, previous: int | None = None, after: float = 0.0, **detail: Any) -> int:
        number = len(self.events) + 1
        self.at += after
        event: dict[str, Any] = {
            "id": number,
            "previousEventId": number - 1 if previous is None else previous,
        }
        event |= {"timestamp": self.at, "type": type}
        if detail:
            event["someEventDetails"] = detail
        self.events.append(event)
        return number

    def entered(self, kind: str, name: str, previous: int | None = None, after: float = 0.0) -> int:
        return self.add(f"{kind}StateEntered", previous, after, name=name, input="{}")

    def exited(self, kind: str, name: str, previous: int | None = None, after: float = 0.0) -> int:
        return self.add(f"{kind}StateExited", previous, after, name=name, output="{}")

    def visits(self) -> Visits:
        return ABOUT.visits(self.events)


def begun() -> History:
    history = History()
    history.add("ExecutionStarted", 0, input="{}")
    history.entered("Choice", "Check", 0)
    history.exited("Choice", "Check", after=0.002)
    return history


def paid() -> History:
    """Check, then Pay with one failure, a retry a second later, and success."""
    history = begun()
    history.entered("Task", "Pay")
    history.add("LambdaFunctionScheduled", resource=LAMBDA + "pay", input="{}")
    history.add("LambdaFunctionStarted")
    history.add(
        "LambdaFunctionFailed",
        after=0.1,
        error="Busy",
        cause='{"errorMessage": "later", "errorType": "Busy"}',
    )
    history.add("LambdaFunctionScheduled", after=1.0, resource=LAMBDA + "pay", input="{}")
    history.add("LambdaFunctionStarted")
    history.add("LambdaFunctionSucceeded", after=0.14, output="{}")
    history.exited("Task", "Pay")
    return history


def mapping(items: int = 50) -> History:
    """paid(), then a Map: one iteration has succeeded, two run."""
    history = paid()
    history.entered("Map", "Each")
    started = history.add("MapStateStarted", length=items)
    first = history.add("MapIterationStarted", started, name="Each", index=0)
    second = history.add("MapIterationStarted", started, name="Each", index=1)
    history.entered("Wait", "Pack", first)
    history.entered("Wait", "Pack", second)
    done = history.exited("Wait", "Pack", len(history.events) - 1, after=10)
    history.add("MapIterationSucceeded", done, name="Each", index=0)
    third = history.add("MapIterationStarted", done, name="Each", index=2)
    history.entered("Wait", "Pack", third)
    return history


def failed() -> History:
    """paid(), then Tell fails and is caught, and the execution ends in Sorry."""
    history = paid()
    history.entered("Task", "Tell")
    history.add("TaskScheduled", resourceType="sns", resource="publish", parameters="{}")
    history.add("TaskStarted")
    history.add("TaskFailed", error="SNS.Closed", cause="closed")
    history.exited("Task", "Tell")
    history.entered("Pass", "Undo")
    history.exited("Pass", "Undo")
    history.entered("Fail", "Sorry")
    history.add("ExecutionFailed", error="Sorry", cause="really")
    return history


# --- texts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0 ms"),
        (0.0004, "0 ms"),
        (0.0876, "88 ms"),
        (0.9996, "1.00 s"),
        (1.239, "1.24 s"),
        (9.996, "10.0 s"),
        (41.04, "41.0 s"),
        (59.96, "1 min 00 s"),
        (125, "2 min 05 s"),
        (12_000, "3 h 20 min"),
        (1_051_200, "12 d 4 h"),
        (2_592_000, "30 d"),
        (2_592_000.4, "30 d"),
    ],
)
def test_took(seconds: float, words: str) -> None:
    assert terminal.took(seconds) == words


def test_counts() -> None:
    assert [terminal.count(number, "event") for number in (0, 1, 25_000)] == [
        "0 events",
        "1 event",
        "25,000 events",
    ]


@given(st.text())
def test_no_text_can_control_the_terminal(text: str) -> None:
    shown = terminal.printable(text)
    assert not any((char < " " and char != "\t") or "\x7f" <= char < "\xa0" for char in shown)
    shown.encode()  # no half surrogates either


def test_escape_sequences_are_shown_not_sent() -> None:
    assert terminal.printable("a\x1b[31mb\nc\u202e") == "a\\u001b[31mb\\nc\\u202e"
    assert terminal.printable("abcdef", 4) == "abc…"


@pytest.mark.parametrize(
    ("error", "cause", "words"),
    [
        ("Busy", '{"errorMessage": "later", "errorType": "Busy", "stackTrace": []}', "Busy: later"),
        ("Busy", '{"other": 1}', 'Busy: {"other": 1}'),
        ("Busy", "{no json", "Busy: {no json"),
        ("Busy", None, "Busy"),
        (None, "because", "because"),
        (None, None, ""),
    ],
)
def test_reason(error: str | None, cause: str | None, words: str) -> None:
    assert terminal.reason(error, cause) == words


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"Type": "Task", "Resource": LAMBDA + "charge"}, "Lambda: charge"),
        (
            {
                "Type": "Task",
                "Resource": "arn:aws:states:::lambda:invoke",
                "Parameters": {"FunctionName": LAMBDA + "charge"},
            },
            "Lambda: charge",
        ),
        (
            {
                "Type": "Task",
                "Resource": "arn:aws:states:::lambda:invoke",
                "Parameters": {"FunctionName.$": "$.f"},
            },
            "Lambda: Invoke",
        ),
        (
            {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken"},
            "SQS: SendMessage (callback)",
        ),
        (
            {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2"},
            "Step Functions: StartExecution (sync)",
        ),
        ({"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:s3:getObject"}, "S3: GetObject"),
        (
            {"Type": "Task", "Resource": "arn:aws:states:us-east-1:123456789012:activity:approve"},
            "Activity: approve",
        ),
        ({"Type": "Task", "Resource": "mine"}, "mine"),
        ({"Type": "Wait", "Seconds": 10}, "Wait 10 s"),
        ({"Type": "Wait", "TimestampPath": "$.at"}, "Wait until $.at"),
        ({"Type": "Parallel", "Branches": [{}, {}]}, "Parallel · 2 branches"),
        ({"Type": "Pass"}, "Pass"),
    ],
)
def test_labels(state: dict[str, Any], words: str) -> None:
    assert about.label(state) == words


def test_every_state() -> None:
    assert list(ABOUT.states) == ["Check", "Pay", "Each", "Pack", "Tell", "Rest", "Undo", "Sorry"]
    assert (
        "".join(text for text, _ in ABOUT.line("r1"))
        == "shop  run r1  standard · JSONPath · 8 states"
    )


# --- rows and lines -------------------------------------------------------------------------------


def shown(rows: list[progress.Row]) -> list[tuple[str | None, int, str, str, str]]:
    return [
        (row.status, row.depth, row.name, row.label, " · ".join(text for text, _ in row.notes))
        for row in rows
    ]


def test_rows_of_a_run() -> None:
    rows = progress.rows(mapping().visits(), ABOUT, START + 20)
    assert shown(rows) == [
        ("succeeded", 0, "Check", "Choice → Pay", ""),
        ("succeeded", 0, "Pay", "Lambda: pay", "1 retry"),
        ("running", 0, "Each", "Map", "1/50 · 2 running"),
        ("running", 1, "#1 Pack", "Wait 10 s", "0 ms left"),
        ("running", 1, "#2 Pack", "Wait 10 s", "1.24 s left"),
    ]
    assert rows[2].bar == (1, 0, 50)
    assert [round(row.seconds or 0, 3) for row in rows[:3]] == [0.002, 1.24, 18.758]


def test_many_running_states_are_abbreviated() -> None:
    history = paid()
    history.entered("Map", "Each")
    started = history.add("MapStateStarted", length=40)
    for index in range(40):
        history.entered(
            "Wait", "Pack", history.add("MapIterationStarted", started, name="Each", index=index)
        )
    rows = progress.rows(history.visits(), ABOUT, history.at)
    assert [row.name for row in rows[3:]] == [*(f"#{index} Pack" for index in range(6)), "…34 more"]
    assert (
        progress.current_states(history.visits())
        == "Each[0] › Pack, Each[1] › Pack, Each[2] › Pack and 37 more"
    )


def test_a_loop_is_one_row() -> None:
    history = begun()
    for _ in range(3):
        history.entered("Pass", "Rest", after=1)
        history.exited("Pass", "Rest", after=0.5)
        history.entered("Choice", "Check")
        history.exited("Choice", "Check")
    assert shown(progress.rows(history.visits(), ABOUT, history.at)) == [
        ("succeeded", 0, "Check", "Choice", "×4"),
        ("succeeded", 0, "Rest", "Pass", "×3"),
    ]
    assert progress.rows(history.visits(), ABOUT, history.at)[1].seconds == pytest.approx(0.5)


def test_a_long_history_is_shown_fast() -> None:
    history = begun()
    for _ in range(6_000):
        history.entered("Pass", "Rest")
        history.exited("Pass", "Rest")
    visits = history.visits()
    taken: list[float] = []
    while len(taken) < 10 and min(taken, default=1) >= 0.02:
        began = time.process_time()
        rows = progress.rows(visits, ABOUT, history.at)
        taken.append(time.process_time() - began)
    assert min(taken) < 0.02, "it is drawn ten times a second"
    began = time.process_time()
    assert [row.name for row in rows] == ["Check", "Rest"]
    columns, table = tables.trace(visits, ABOUT, history.at)
    assert len(table) == 201
    assert table[0][0] == "…5,801 earlier"
    assert all(len(row) == len(columns) for row in table)
    assert time.process_time() - began < 1, "nothing grows with the square of the states"


@pytest.mark.parametrize(
    ("step", "detail", "words"),
    [
        (
            "ActivityScheduled",
            {"resource": "arn:aws:states:us-east-1:1:activity:ask"},
            "waiting for a worker",
        ),
        ("ActivityStarted", {"workerName": "me"}, "running on worker me"),
        ("TaskFailed", {"error": "Busy"}, "waiting to retry: Busy"),
    ],
)
def test_what_a_task_waits_for(step: str, detail: dict[str, Any], words: str) -> None:
    history = begun()
    history.entered("Task", "Pay")
    history.add(step, **detail)
    assert progress.rows(history.visits(), ABOUT, history.at)[1].notes[0][0] == words


def test_a_callback_waits_for_its_token() -> None:
    history = begun()
    history.entered("Task", "Tell")
    for step in ("Scheduled", "Started", "Submitted"):
        history.add(f"Task{step}", resourceType="sns", resource="publish.waitForTaskToken")
    assert (
        progress.rows(history.visits(), ABOUT, history.at)[1].notes[0][0]
        == "waiting for a callback"
    )


def test_the_states_ahead() -> None:
    assert progress.ahead(mapping().visits(), ABOUT) == ["Tell", "Rest", "Undo", "Sorry"]
    assert progress.ahead(failed().visits(), ABOUT) == []


def lines(history: History) -> list[str]:
    visits, found = ABOUT.visits(), list[str]()
    for event in history.events:
        line = progress.progress(event, visits.feed(event), visits, ABOUT)
        if line is not None:
            found.append(line)
    return found


def test_plain_lines() -> None:
    assert lines(failed()) == [
        "    0.002 s  ok        Check  (Choice, 2 ms)",
        "    0.002 s  started   Pay  (Lambda: pay)",
        "    0.102 s  error     Pay  (Busy: later)",
        "    1.102 s  retry     Pay  (attempt 2)",
        "    1.242 s  ok        Pay  (Lambda: pay, 1.24 s, 1 retry)",
        "    1.242 s  started   Tell  (SNS: Publish)",
        "    1.242 s  error     Tell  (SNS.Closed: closed)",
        "    1.242 s  caught    Tell  (SNS: Publish, 0 ms, SNS.Closed)",
        "    1.242 s  ok        Undo  (Pass, 0 ms)",
        "    1.242 s  failed    Sorry  (Fail)",
    ]


def test_iterations_have_no_plain_lines_but_each_tenth_of_a_map_has() -> None:
    history = paid()
    history.entered("Map", "Each")
    previous = history.add("MapStateStarted", length=20)
    for index in range(20):
        started = history.add("MapIterationStarted", previous, name="Each", index=index)
        previous = history.exited("Wait", "Pack", history.entered("Wait", "Pack", started))
        history.add("MapIterationSucceeded", previous, name="Each", index=index)
    found = [line for line in lines(history) if "Each" in line]
    assert len(found) == 11
    assert found[0].endswith("started   Each  (Map)")
    assert found[1].endswith("running   Each  (2/20 items)")
    assert found[-1].endswith("running   Each  (20/20 items)")


def test_the_conclusion_of_an_execution() -> None:
    visits = failed().visits()
    assert (
        "".join(text for text, _ in outcome.conclusion(visits, visits.last))
        == "✘ FAILED  Sorry: really  1.24 s · 20 events · 5 transitions"
    )
    below = [
        "".join(text for text, _ in line)
        for line in outcome.failure(visits, {"Sorry": "shop.asl.json:9"}, ["one", "two"])
    ]
    assert below == [
        "  at Check → Pay → Tell (caught SNS.Closed) → Undo → Sorry",
        "  shop.asl.json:9",
        "  next: one · two",
    ]
    assert outcome.suspects(visits) == ["Sorry", "Tell"], (
        "the state that failed, then what was caught on the way to it"
    )
    assert outcome.suspects(paid().visits()) == []


def test_a_failure_inside_a_map_has_a_row() -> None:
    history = mapping()
    history.add(
        "EvaluationFailed",
        17,
        error="States.QueryEvaluationError",
        cause="bad",
        state="Pack",
        location="Seconds",
    )
    last = len(history.events)
    history.add("MapIterationFailed", last, name="Each", index=1)
    history.add("MapStateFailed", last)
    history.add("ExecutionFailed", error="States.QueryEvaluationError", cause="bad")
    visits = history.visits()
    below = ["".join(text for text, _ in line) for line in outcome.failure(visits, {}, [])]
    assert below == ["  at Check → Pay → Each › Pack"]
    assert shown(progress.rows(visits, ABOUT, history.at))[2:] == [
        ("failed", 0, "Each", "Map", "1/50 · 1 failed · 1 aborted · States.QueryEvaluationError"),
        ("failed", 1, "#1 Pack", "Wait 10 s", "States.QueryEvaluationError"),
    ]


def test_a_long_route_is_cut_at_its_start() -> None:
    history = begun()
    for _ in range(12):
        history.entered("Pass", "Rest")
        history.exited("Pass", "Rest")
    history.entered("Fail", "Sorry")
    history.add("ExecutionFailed", error="Sorry")
    way = "".join(text for text, _ in outcome.failure(history.visits(), {}, [])[0])
    assert way.startswith("  at …6 more → Rest → ")
    assert way.endswith(" → Rest → Sorry")


def test_a_name_with_blanks_is_quoted_in_commands() -> None:
    assert (
        terminal.command("inspect", "run 1", "Charge the card?")
        == "stepwell inspect 'run 1' 'Charge the card?'"
    )


# --- tables, JSON, the data flow ------------------------------------------------------------------


def test_history_lines() -> None:
    events = failed().events
    lines = [history_line(each, events[0]["timestamp"], 120) for each in events]
    assert history_head(100).split() == ["id", "after", "seconds", "type", "details"]
    assert lines[0].split() == ["1", "0", "0.000", "ExecutionStarted", "{}"]
    busy = 'Busy  {"errorMessage":"later","errorType":"Busy"}'
    assert lines[6].split(maxsplit=4) == ["7", "6", "0.102", "LambdaFunctionFailed", busy]


def test_events_as_json_lines() -> None:
    event = {
        "id": 1,
        "timestamp": START + 0.0625,
        "type": "PassStateExited",
        "d": {"output": '{"a":"ü"}'},
    }
    assert json.loads(terminal.ndjson(event)) == event | {
        "timestamp": "2023-11-14T22:13:20.062+00:00"
    }
    assert "ü" in terminal.ndjson(event)
    assert "\n" not in terminal.ndjson({"text": "a\nb"})


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({"a": 1}, {"a": 1}, "unchanged"),
        ({"a": 1, "b": 2}, {"b": 3, "c": 4}, "+ c, − a, ~ b"),
        (dict.fromkeys("abcde", 1), {}, "− 5 keys"),
        ({"a": 1}, [1], "object → array"),
        (1, 2, "another number"),
        (1, MISSING, ""),
        (True, None, "boolean → null"),
    ],
)
def test_changes(before: Any, after: Any, words: str) -> None:
    assert ", ".join(text for text, _ in data_flow.changes(before, after)) == words


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values, st.integers(0, 60))
def test_the_layout_keeps_the_json_value(value: Any, width: int) -> None:
    rows = data_flow._laid_out(value, "", "", width)
    assert json.loads("\n".join(rows)) == value


@given(values)
def test_the_parts_of_json_are_its_text(value: Any) -> None:
    text = json.dumps(value)
    assert "".join(part for part, _ in data_flow.json_parts(text)) == text


def test_the_tree_of_a_data_flow() -> None:
    visit = paid().visits().all[1]
    stages = [
        Stage("State input", value={"a": 1}),
        Stage("InputPath", MISSING, "$", {"a": 1}, {"a": 1}),
        Stage("ResultPath", "$.b", "$", {"a": 1}, {"a": 1, "b": "x" * 60}),
        Stage("OutputPath", note="Broken: why"),
    ]
    found = [
        "".join(text for text, _ in line)
        for line in data_flow.lines(DataFlow(visit, 1, 2, 4, False, {"v": 1}, stages), 60)
    ]
    assert found == [
        "Pay  succeeded · visit 1 of 2 · attempt 2 of 4 · 1.24 s · events 4–11",
        "├── State input",
        '│   └── {"a":1}',
        "├── InputPath    $ (default)  unchanged",
        "├── ResultPath   $.b          + b",
        "│   └── {",
        '│         "a": 1,',
        f'│         "b": "{"x" * 60}"',
        "│       }",
        "└── OutputPath                Broken: why",
        'variables {"v":1}',
    ]


# --- streams --------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    """A stream whose isatty() is true."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "12"}.items():
        monkeypatch.setenv(name, value)


def test_when_a_stream_is_plain(monkeypatch: pytest.MonkeyPatch, wide: None) -> None:
    assert screen.fancy(Terminal())
    assert not screen.fancy(io.StringIO())
    monkeypatch.setenv("TERM", "dumb")
    assert not screen.fancy(Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not screen.fancy(Terminal())


def test_a_plain_board_writes_lines_and_skips_what_was_shown() -> None:
    stream = io.StringIO()
    with Board(ABOUT, "r1", "hint", stream, skip=10) as board:
        for event in failed().events:
            board.feed(event)
        board.refresh(START)
        board.say("pay | hello")
    text = stream.getvalue().split("\n")
    assert text[0] == "shop  run r1  standard · JSONPath · 8 states · continues after event 10"
    assert text[1] == "    1.242 s  ok        Pay  (Lambda: pay, 1.24 s, 1 retry)"
    assert text[-2:] == ["pay | hello", ""]
    assert "\x1b" not in stream.getvalue()


def test_a_quiet_board_writes_nothing() -> None:
    stream = io.StringIO()
    with Board(ABOUT, "r1", "hint", stream, quiet=True) as board:
        for event in failed().events:
            board.feed(event)
        board.refresh(START)
        board.say("hello")
    assert stream.getvalue() == ""


def test_the_live_board(wide: None) -> None:
    stream = Terminal()
    board = Board(ABOUT, "r1", "stepwell resume r1", stream)
    with board:
        for event in mapping().events:
            board.feed(event)
        board.refresh(START + 20)
        live = stream.getvalue()
    for words in (
        "Choice → Pay",
        "1 retry",
        "1/50",
        "#2 Pack",
        "1.24 s left",
        "Tell",
        "…1 more on the main path",
        "running 00:20 · 21 events",
    ):
        assert words in live
    assert "resume: stepwell resume r1" in live
    assert "\x1b[" in live
    ended = stream.getvalue()[len(live) :]
    assert "Choice → Pay" in ended, "the rows stay when it is over"
    assert "running 00:20" not in ended.rsplit("\x1b[2K", 1)[-1]


def test_a_small_terminal_shows_what_runs(wide: None) -> None:
    from rich.console import Console

    stream = Terminal()
    board = Board(ABOUT, "r1", "stepwell resume r1", stream)
    for event in mapping().events:
        board.visits.feed(event)
    Console(file=stream, width=60, height=6).print(board.frame(START + 20, 60, 6))
    text = stream.getvalue()
    assert "…3 earlier" in text
    assert "#2 Pack" in text
    assert "Check" not in text
    assert text.count("\n") == 4


def test_tables(wide: None) -> None:
    plain, fancy = io.StringIO(), Terminal()
    for stream in (plain, fancy):
        screen.table(["name", "status"], [["a", "FAILED"], ["long name", "SUCCEEDED"]], stream)
    assert plain.getvalue() == "name       status\na          FAILED\nlong name  SUCCEEDED\n"
    assert "\x1b[31mFAILED" in fancy.getvalue()


ROWS = [
    ["order-2026-11-29-0001", "orders", "FAILED", "1.00 s", "█    "],
    ["o2", "all the other orders", "SUCCEEDED", "12 ms", "  ███"],
]


@pytest.mark.parametrize(
    ("columns", "lines"),
    [
        (80, [
            "name                   machine               status       took  0 … 1 s",
            "order-2026-11-29-0001  orders                FAILED     1.00 s  █",
            "o2                     all the other orders  SUCCEEDED   12 ms    ███",
        ]),
        (70, [
            "name                   machine               status       took",
            "order-2026-11-29-0001  orders                FAILED     1.00 s",
            "o2                     all the other orders  SUCCEEDED   12 ms",
        ]),
        (54, [
            "name                   machine       status       took",
            "order-2026-11-29-0001  orders        FAILED     1.00 s",
            "o2                     all the       SUCCEEDED   12 ms",
            "                       other orders",
        ]),
        (40, [
            "name     order-2026-11-29-0001",
            "machine  orders",
            "status   FAILED",
            "took     1.00 s",
            "",
            "name     o2",
            "machine  all the other orders",
            "status   SUCCEEDED",
            "took     12 ms",
        ]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("colours", [True, False])
def test_tables_on_narrow_terminals(
    wide: None, monkeypatch: pytest.MonkeyPatch, columns: int, lines: list[str], colours: bool
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    if not colours:
        monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    screen.table(["name", "machine", "status", "took", "0 … 1 s"], ROWS, stream)
    text = stream.getvalue()
    assert ("\x1b[" in text) == colours
    shown = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    assert [line.rstrip() for line in shown] == lines


def test_a_history_on_a_narrow_terminal() -> None:
    event = failed().events[1]
    for width in (40, 60, 79, 80, 81, 120):
        lines = [history_head(width), *history_line(event, START, width).split("\n")]
        assert max(map(len, lines)) <= width, lines
        assert len(lines) == (2 if width >= 80 else 3), lines


def test_the_duration_of_a_running_execution() -> None:
    history = begun()
    history.entered("Wait", "Pack", after=0.081)
    visits = history.visits()
    assert "20 min 00 s" in "".join(text for text, _ in outcome.conclusion(visits, START + 1200))
    assert tables.trace(visits, ABOUT, START + 1200)[1][-1][5] == "20 min 00 s"
