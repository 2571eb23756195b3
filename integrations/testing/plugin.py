"""The pytest plugin of stepwell. Nothing of the engine is imported before a test uses a fixture.

    def test_declined(workflow):
        result = workflow("order.asl.json").mock("Charge", error="Declined").run({"id": 7})
        assert result.status == "FAILED"

docs/reference/pytest.md describes the fixtures and options.
"""

from __future__ import annotations

import pickle
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from stepwell.engine.sync import SyncEngine
    from stepwell.engine.virtual_clock import VirtualClock
    from stepwell.integrations.testing.coverage import Coverages
    from stepwell.integrations.testing.results import Result
    from stepwell.integrations.testing.server_process import ServerProcess
    from stepwell.integrations.testing.workflow import Workflow

_PACKAGE: Final = "stepwell.integrations.testing"
_FUNCTIONS: Final = "functions"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("stepwell")
    group.addoption(
        "--stepwell-update",
        action="store_true",
        help="write the snapshots of histories anew (stepwell_snapshot)",
    )
    group.addoption(
        "--stepwell-cov",
        nargs="?",
        const="",
        metavar="FILE",
        help="show what tests cover of state machines; FILE: write it, too (.html or .json)",
    )
    group.addoption(
        "--stepwell-cov-min",
        type=float,
        metavar="PERCENT",
        help="fail if less is covered",
    )


_WORKER: Final = "stepwell_coverage"
_COVERAGE: Final[pytest.StashKey[Coverages]] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    options = config.option
    if options.stepwell_cov is None and options.stepwell_cov_min is None:
        return
    from stepwell.integrations.errors import UsageError
    from stepwell.integrations.testing import coverage
    from stepwell.integrations.testing.results import observers

    if options.stepwell_cov:
        try:
            coverage.check(Path(options.stepwell_cov))
        except UsageError as fault:
            raise pytest.UsageError(f"--stepwell-cov {fault}") from None
    counts = config.stash[_COVERAGE] = coverage.Coverages()
    observers.append(counts.add)
    config.add_cleanup(lambda: observers.remove(counts.add))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Too little coverage makes a run fail that has passed. A worker of pytest-xdist hands over
    what it has counted.
    """
    counts, least = (
        session.config.stash.get(_COVERAGE, None),
        session.config.option.stepwell_cov_min,
    )
    if counts is not None and hasattr(session.config, "workeroutput"):
        session.config.workeroutput[_WORKER] = pickle.dumps(counts)
        return
    if counts is None or least is None:
        return
    from stepwell.visualize.coverage import texts

    if texts.total(counts.machines()).percent < least and not session.exitstatus:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """A worker of pytest-xdist has ended."""
    counted = getattr(node, "workeroutput", {}).get(_WORKER)
    if counted is not None:
        node.config.stash[_COVERAGE].merge_all(pickle.loads(counted))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    counts = config.stash.get(_COVERAGE, None)
    if counts is None:
        return
    from stepwell.integrations.testing import coverage
    from stepwell.visualize.coverage import texts

    machines = counts.machines()
    terminalreporter.section("coverage of state machines")
    width = shutil.get_terminal_size().columns if terminalreporter.isatty else None
    nothing = ["no execution of a definition in a file"]
    for line in texts.summary(machines, width) if machines else nothing:
        terminalreporter.write_line(line)
    if config.option.stepwell_cov:
        coverage.write(Path(config.option.stepwell_cov), machines)
    whole, least = texts.total(machines), config.option.stepwell_cov_min
    if least is not None and whole.percent < least:
        terminalreporter.write_line(
            f"{texts.percent(whole)} are covered, less than the {least:g} % of --stepwell-cov-min",
            red=True,
        )


@pytest.hookimpl(tryfirst=True)
def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Why an execution has another status than the one expected."""
    kind = type(left)  # by its name: nothing is imported here
    if (kind.__module__, kind.__name__) != (f"{_PACKAGE}.results", "Status"):
        return None
    result: Any = getattr(left, "result", "")
    return [f"{str(left)!r} {op} {str(right)!r}", *str(result).splitlines()]


def pytest_unconfigure() -> None:
    background = sys.modules.get(f"{_PACKAGE}.background")
    if background is not None:
        background.background.close()


# --- workflows ------------------------------------------------------------------------------------


@pytest.fixture
def workflow(request: pytest.FixtureRequest) -> Callable[..., Workflow]:
    """workflow("order.asl.json", ...), as `from stepwell import workflow` has it. Its files, mock
    files too, are looked for beside the test's file and in the folders around it, the nearest
    first, then in pytest's rootdir and in the current folder.
    """
    from stepwell.integrations.testing import errors
    from stepwell.integrations.testing import workflow as workflows

    here, *others = _folders(request)
    folders = [here, *here.parents, *others]

    def make(definition: Any, **options: Any) -> Workflow:
        __tracebackhide__ = errors.is_expected
        for name in ("functions", "params"):
            if isinstance(options.get(name), str | Path):
                options[name] = _found(options[name], folders)
        if "machines" in options:
            others = options["machines"]
            options["machines"] = {name: find(each) for name, each in others.items()}
        return replace(workflows.workflow(find(definition), **options), folders=folders)

    def find(definition: Any) -> Any:
        __tracebackhide__ = errors.is_expected
        found = _found(definition, folders)
        if found is definition and isinstance(found, Path | str) and _is_lost(found):
            places = {str(each.resolve()) for each in others if each.resolve() not in folders}
            around = ", ".join([f"{here} or the folders around it", *sorted(places)])
            raise errors.WorkflowTestError(f"there is no file {found} in {around}")
        return found

    return make


def _folders(request: pytest.FixtureRequest) -> list[Path]:
    return [request.path.parent, request.config.rootpath, Path()]


def _found(path: Any, folders: list[Path]) -> Any:
    """A relative path, made absolute where there is such a file; anything else as it is."""
    if not isinstance(path, str | Path) or _is_text(path):
        return path
    from stepwell.integrations.definitions.folders import file_of  # template.yaml#Orders

    places = [folder / path for folder in folders]
    return next((each for each in places if file_of(each).exists()), path)


def _is_text(path: str | Path) -> bool:
    """Whether it is a definition itself."""
    return str(path).lstrip().startswith("{")


def _is_lost(path: str | Path) -> bool:
    return not _is_text(path) and not Path(path).is_absolute()


@pytest.fixture
def stepwell_snapshot(request: pytest.FixtureRequest) -> Callable[..., None]:
    """stepwell_snapshot(result): compare a history with the file snapshots/TESTFILE/TEST.json.
    `pytest --stepwell-update` writes it.
    """
    from stepwell.integrations.testing import snapshots

    update = bool(request.config.getoption("--stepwell-update"))
    folder = request.path.parent / "snapshots" / request.path.stem

    def compare(result: Result, name: str | None = None) -> None:
        __tracebackhide__ = True
        file = folder / f"{snapshots.file_name(name or request.node.name)}.json"
        fault = snapshots.compare(result.snapshot(), file, update)
        if fault is not None:
            pytest.fail(fault, pytrace=False)

    return compare


# --- an engine in this process --------------------------------------------------------------------


@pytest.fixture
def stepwell_clock() -> VirtualClock:
    """The time of stepwell_engine: it skips what executions wait for."""
    from stepwell.engine.virtual_clock import VirtualClock
    from stepwell.integrations.testing.plans import START_MS

    return VirtualClock(START_MS)


@pytest.fixture
def stepwell_functions(request: pytest.FixtureRequest) -> Mapping[str, Callable[..., Any]] | Path:
    """The functions of stepwell_engine. Override it: name -> callable, or a folder. By default the
    folder functions/ beside the test's file or in rootdir.
    """
    found = [folder / _FUNCTIONS for folder in _folders(request)[:2]]
    return next((folder for folder in found if folder.is_dir()), {})


@pytest.fixture
def stepwell_engine(
    stepwell_clock: VirtualClock, stepwell_functions: Mapping[str, Callable[..., Any]] | Path
) -> Iterator[SyncEngine]:
    """A SyncEngine in memory, in the time of stepwell_clock."""
    from stepwell.engine.sync import SyncEngine
    from stepwell.integrations.tasks.registry import Registry

    tasks = (
        Registry(functions_folder=stepwell_functions)
        if isinstance(stepwell_functions, str | Path)
        else Registry(stepwell_functions)
    )
    with SyncEngine(tasks=tasks, clock=stepwell_clock) as engine:
        yield engine


# --- a server in another process ------------------------------------------------------------------


@pytest.fixture(scope="session")
def stepwell_server_options() -> list[str]:
    """More options of `stepwell serve` for stepwell_server. Override it in conftest.py. By default
    time is skipped, as in other tests.
    """
    return ["--skip-time"]


@pytest.fixture(scope="session")
def stepwell_server(
    stepwell_server_options: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServerProcess]:
    """`stepwell serve` on a free port with a database of its own, for all tests of the session:
    `url`, `environment`, `client("stepfunctions")`.
    """
    from stepwell.integrations.testing.server_process import served

    with served(tmp_path_factory.mktemp("stepwell"), stepwell_server_options) as server:
        yield server


@pytest.fixture
def stepwell_environment(
    stepwell_server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> Mapping[str, str]:
    """Environment variables with which boto3.client("stepfunctions") and other AWS clients of this
    process call stepwell_server.
    """
    for name, value in stepwell_server.environment.items():
        monkeypatch.setenv(name, value)
    return stepwell_server.environment


@pytest.fixture
def stepwell_client(stepwell_server: ServerProcess) -> Any:
    """boto3's client for Step Functions on stepwell_server; skips the test without boto3."""
    pytest.importorskip("boto3")
    return stepwell_server.client("stepfunctions")
