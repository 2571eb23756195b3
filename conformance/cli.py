"""The options of `stepwell conformance`; commands.py implements the commands.

Exit codes: 0 everything passed · 1 something failed · 2 bad usage, or an endpoint that does not
answer · 130 interrupted
"""

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated, Final

import typer

_EXTRA: Final = ("boto3", "hypothesis")

app = typer.Typer(
    help="Measure how closely an endpoint conforms to the specification.",
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=False,
)

Region = Annotated[str, typer.Option(help="Region that requests are signed for.")]
Area = Annotated[
    list[str] | None,
    typer.Option("--area", metavar="AREA", help="Only this area; repeatable. `areas` lists them."),
]
Match = Annotated[
    str | None,
    typer.Option(
        "--match",
        metavar="GLOB",
        help="Only vectors with a matching name, such as choice-string-*.",
    ),
]
Examples = Annotated[int, typer.Option(min=0, help="Generated examples for each area.")]
Seed = Annotated[int, typer.Option(help="Seed of the generated examples.")]
Only = Annotated[bool, typer.Option("--vectors-only", help="Skip the generated examples.")]
Threads = Annotated[int, typer.Option(min=1, max=64, help="Number of concurrent vectors.")]
Limit = Annotated[
    float, typer.Option("--vector-time", metavar="SECONDS", min=1, help="Time limit of a vector.")
]
AsJson = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="All results as JSON.")]
Junit = Annotated[
    Path | None, typer.Option("--junit", metavar="FILE", help="All results as JUnit XML.")
]
Html = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="All results as one self-contained page."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]
Lambda = Annotated[
    bool,
    typer.Option("--lambda", help="The endpoint runs the Lambda functions of cases/functions."),
]


def _commands() -> ModuleType:
    """commands.py. A missing dependency exits with code 2 and a message that says how to install
    it.
    """
    try:
        return import_module("stepwell.conformance.commands")
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        print(
            (
                f"stepwell: {error.name} is not installed: in a clone of stepwell, pip install "
                "'.[conformance]'"
            ),
            file=sys.stderr,
        )
        raise typer.Exit(2) from None


@app.command()
def run(
    endpoint: Annotated[
        str,
        typer.Option(metavar="URL|aws", help="Endpoint. aws: AWS itself, with your credentials."),
    ],
    region: Region = "us-east-1",
    area: Area = None,
    match: Match = None,
    examples: Examples = 200,
    seed: Seed = 0,
    time: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0, help="Time limit of all generated examples."),
    ] = None,
    vectors_only: Only = False,
    has_lambda: Lambda = False,
    threads: Threads = 12,
    vector_time: Limit = 30,
    known: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File with known differences, which are skipped."),
    ] = None,
    kept: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder for failing examples. Examples in it are run first."
        ),
    ] = None,
    json: AsJson = None,
    junit: Junit = None,
    html: Html = None,
    quiet: Quiet = False,
) -> None:
    """Run the vectors and generated examples against an endpoint.

    Exit code: 0 all passed, 1 something failed, 2 bad usage or no endpoint, 130 interrupted.
    """
    commands = _commands()
    choice = commands.Choice(
        area or [], match, examples, seed, time, vectors_only, threads, vector_time, kept
    )
    offers = frozenset({"lambda"} if has_lambda else ())
    files = {"json": json, "junit": junit, "html": html}
    raise typer.Exit(commands.run(endpoint, region, choice, offers, known, files, quiet))


@app.command()
def diff(
    endpoint: Annotated[str, typer.Option(metavar="URL|aws", help="First endpoint.")],
    other: Annotated[str, typer.Option(metavar="URL|aws", help="Second endpoint.")],
    region: Region = "us-east-1",
    area: Area = None,
    match: Match = None,
    examples: Examples = 50,
    seed: Seed = 0,
    vectors_only: Only = False,
    threads: Threads = 12,
    vector_time: Limit = 30,
    known: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File with known differences.  [default: that of the suite]"
        ),
    ] = None,
    json: AsJson = None,
    junit: Junit = None,
    html: Html = None,
    quiet: Quiet = False,
) -> None:
    """Run everything against two endpoints and report the differences, by cause."""
    commands = _commands()
    choice = commands.Choice(
        area or [], match, examples, seed, None, vectors_only, threads, vector_time, None
    )
    files = {"json": json, "junit": junit, "html": html}
    raise typer.Exit(commands.diff(endpoint, other, region, choice, known, files, quiet))


@app.command()
def areas() -> None:
    """List the areas, with the number of their vectors."""
    raise typer.Exit(_commands().areas())
