"""The command that tests workflows."""

from pathlib import Path
from typing import Annotated

from stepwell.integrations.cli import options as o
from stepwell.integrations.cli.call import call
from stepwell.integrations.cli.parsing.declaring import Argument, Group, Option

top = Group()

Paths = Annotated[
    list[Path] | None,
    Argument(
        metavar="[PATH...]",
        help="Scenario files (NAME.test.yaml), mock files, definitions, or folders to search.  "
        "[default: .]",
    ),
]
Keyword = Annotated[
    str | None,
    Option("-k", metavar="TEXT", help="Only scenarios with this text in their file or name."),
]
CaseInput = Annotated[
    str,
    Option(
        "--input",
        "-i",
        metavar="JSON|@FILE|-",
        help="Input of the test cases of mock files: JSON, a file, or - for standard input.",
    ),
]
FailFast = Annotated[bool, Option("--fail-fast", "-x", help="Stop after the first failure.")]
Jobs = Annotated[
    int | None,
    Option("--jobs", "-j", metavar="N", min=1, help="Processes.  [default: one for each core]"),
]
Junit = Annotated[Path | None, Option(metavar="FILE", help="Write a JUnit report (XML).")]
TestQuiet = Annotated[bool, Option("--quiet", "-q", help="Show only scenarios that failed.")]
Watch = Annotated[bool, Option("--watch", help="Run again what changes, until Ctrl-C.")]
Cov = Annotated[
    bool, Option("--cov", help="Show what is covered: states, rules, branches, catchers, retriers.")
]
CovReport = Annotated[
    Path | None,
    Option("--cov-report", metavar="FILE", help="Write it: .html with diagrams, or .json."),
]
CovMin = Annotated[
    float | None,
    Option("--cov-min", metavar="PERCENT", min=0, max=100, help="Fail if less is covered."),
]


@top.command(section=o.DEFINITIONS)
def test(
    paths: Paths = None,
    keyword: Keyword = None,
    input: CaseInput = "{}",
    fail_fast: FailFast = False,
    jobs: Jobs = None,
    junit: Junit = None,
    json: o.Json = False,
    quiet: TestQuiet = False,
    watch: Watch = False,
    cov: Cov = False,
    cov_report: CovReport = None,
    cov_min: CovMin = None,
    param: o.Params = None,
    params: o.ParamsFile = None,
    limits: o.LimitsFile = None,
) -> None:
    """Run the scenarios of workflows with mocks, in virtual time.

    Exit code: 0 all passed, 1 some failed, 2 a file has errors, or there are no scenarios.
    """
    call(
        *("testing.test.test", paths or [], keyword, fail_fast, jobs, junit, json, quiet, watch),
        *(cov, cov_report, cov_min, param or [], params, input),
        limits=limits,
    )
