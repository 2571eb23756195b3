"""Commands of mock files."""

from pathlib import Path
from typing import Annotated

from stepwell.integrations.cli import options as o
from stepwell.integrations.cli.call import call
from stepwell.integrations.cli.parsing.declaring import Argument, Group, Option

mock = Group("Make mock files.")

RecordedExecution = Annotated[
    str | None,
    Argument(
        metavar="[EXECUTION]",
        help="Name, MACHINE/NAME or ARN. Optional with --history.",
    ),
]
HistoryFile = Annotated[
    Path | None,
    Option(
        metavar="FILE",
        help="History in place of EXECUTION: the answer of get-execution-history.",
    ),
]
DefinitionFile = Annotated[
    Path | None,
    Option(metavar="FILE", help="Definition of that history: it names the state machine."),
]
Machine = Annotated[
    str | None, Option(metavar="NAME", help="State machine in the mock file.  [default: its own]")
]
Case = Annotated[
    str | None,
    Option(metavar="NAME", help="Test case to write.  [default: the name of the execution]"),
]
Output = Annotated[
    Path | None,
    Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Mock file to write; an existing one gets the test case.  [default: standard output]",
    ),
]
Force = Annotated[bool, Option("--force", help="Replace a test case of the same name.")]


@mock.command()
def record(
    execution: RecordedExecution = None,
    history: HistoryFile = None,
    definition: DefinitionFile = None,
    machine: Machine = None,
    case: Case = None,
    output: Output = None,
    force: Force = False,
    server: o.Server = None,
    db: o.Db = None,
    limits: o.LimitsFile = None,
) -> None:
    """Write a test case that repeats what the tasks of an execution returned."""
    call(
        *("mock_record.record", execution, history, definition, machine, case, output, force),
        *(server, db),
        limits=limits,
    )
