"""The mock file of a command: --mocks FILE, or SFN_MOCK_CONFIG as in Step Functions Local."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stepwell.engine.arns import machine_name
from stepwell.engine.store.base import ExecutionRow
from stepwell.integrations.cli import exit_codes
from stepwell.integrations.cli.output.text import count, printable
from stepwell.integrations.errors import UsageError, file_fault
from stepwell.integrations.mocks import checks
from stepwell.integrations.mocks.checks import Validation
from stepwell.integrations.mocks.files import MockFile, MockFileError, read_mocks

if TYPE_CHECKING:
    from stepwell.integrations.machine_tasks import MachineTasks

VARIABLE: Final = "SFN_MOCK_CONFIG"


class Mocking(NamedTuple):
    """What --mocks, --case and --mock-validation say.

    named  the file is that of the option, not of the variable
    """

    file: MockFile | None
    case: str | None
    validation: Validation
    named: bool

    def use(self, tasks: MachineTasks) -> None:
        """Before anything begins."""
        if self.file is not None:
            tasks.use_mocks(self.file, self.validation)

    def target(self, machine_arn: str) -> str:
        """What to start."""
        return machine_arn if self.case is None else f"{machine_arn}#{self.case}"

    def report(self, tasks: MachineTasks, code: int) -> None:
        """Print what an execution that has ended with this exit code did not use."""
        if code != exit_codes.INTERRUPTED:
            _show([each.text for each in tasks.mocks.unused()])


def read(option: Path | None, case: str | None, validation: str) -> Mocking:
    """Prints the faults of the file; raises UsageError if it has some."""
    source = f"--mocks {option}" if option else f"{VARIABLE}={os.environ.get(VARIABLE)}"
    path = option or os.environ.get(VARIABLE)
    if not path:
        if case is not None:
            raise UsageError(f"--case {case}: name the mock file with --mocks FILE or {VARIABLE}")
        return Mocking(None, None, Validation(validation), False)
    try:
        file = read_mocks(path)
    except OSError as fault:
        raise UsageError(file_fault(source, fault)) from None
    except MockFileError as error:
        _show(error.faults)
        faults = count(len(error.faults), "error")
        raise UsageError(f"{source} is not a valid mock file: {faults}") from None
    _show(file.warnings)
    return Mocking(file, case, Validation(validation), option is not None)


def chosen(mocking: Mocking, machine: str, states: Mapping[str, Mapping[str, Any]]) -> Mocking:
    """With the test case to run, under the name of the machine. The only state machine of a file
    that has the test case is meant, whatever its name.

    Prints what is wrong with the test case; raises UsageError.
    """
    file, name = mocking.file, mocking.case
    if file is None:
        return mocking
    warned = file.warnings
    entries = [machine] if machine in file.machines else list(file.machines)
    found = {(entry, case) for entry in entries for case in file.machines[entry]}
    if name is None:
        if not mocking.named:
            return mocking
        if len(found) != 1:
            names = ", ".join(sorted({case for _, case in found})) or "none"
            raise UsageError(f"--mocks {file.filename}: name a test case with --case ({names})")
        name = next(iter(found))[1]
    owners = _owners(file, machine, name)
    if not owners:
        known = ", ".join(sorted({case for _, case in found})) or "none"
        raise UsageError(
            f"--case {name}: {file.filename} has no such test case of {machine} ({known})"
        )
    if len(owners) > 1:
        raise UsageError(
            f"--case {name}: {file.filename} has it for {', '.join(owners)}, and not for {machine}"
        )
    cases = file.machines[owners[0]]
    case = cases[name]
    # states that are not there, or call nothing, are not reported once more as unused
    entry = {**cases, name: case.unchecked(checks.answerable(states))}
    file = MockFile({**file.machines, machine: entry}, file.filename)
    errors, warnings = checks.against(case, states, mocking.validation)
    shown = {line.partition(": ")[0] for line in warned}
    _show([line for line in (*errors, *warnings) if line.partition(": ")[0] not in shown])
    if errors:
        raise UsageError(
            f"test case {name!r} does not fit the definition: {count(len(errors), 'error')}"
        )
    return mocking._replace(file=file, case=name)


def of_running(mocking: Mocking, running: Sequence[ExecutionRow], arns: set[str]) -> Mocking:
    """For executions to resume, of which `arns` were chosen: `run` may have started them by another
    name than the state machine has in the file. Raises UsageError.
    """
    file = mocking.file
    for row in running:
        case, machine = row.extras.get("case"), machine_name(row.machine_arn).partition("/")[0]
        if case is None:
            continue
        if file is not None:
            owners = _owners(file, machine, case)
            if len(owners) == 1:
                machines = {**file.machines, machine: file.machines[owners[0]]}
                file = MockFile(machines, file.filename)
        elif row.arn in arns:
            raise UsageError(
                f"{row.name} has the test case {case}: name the mock file with --mocks FILE or "
                f"{VARIABLE}"
            )
    return mocking._replace(file=file)


def _owners(file: MockFile, machine: str, case: str) -> list[str]:
    """The state machines of a file whose test case may be meant."""
    entries = [machine] if machine in file.machines else file.machines
    return [entry for entry in entries if case in file.machines[entry]]


def _show(lines: Sequence[str]) -> None:
    for line in lines:
        print(printable(line), file=sys.stderr)
