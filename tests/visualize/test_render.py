"""Pictures from the command, the library and the examples, in every format."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.visualize.pictures import Picture, says

from stepwell.asl.definition import StateMachine
from stepwell.asl.files.definition_files import read_definition
from stepwell.visualize import Diagram, RenderError, layout, stylesheet

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
GOLDEN = Path(__file__).resolve().parent / "golden"
PARAMS = {"Team": "core", "Region": "us-east-1", "Limit": "5"}
FILES = sorted(EXAMPLES.glob("*.asl.*"))
SIMPLE = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}


def example(file: Path) -> str:
    return read_definition(file.read_bytes(), file.name, PARAMS).text


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name.partition(".")[0])
def test_the_structure_of_an_example(file: Path, engine: str) -> None:
    """STEPWELL_GOLDEN=write writes the files again: review the difference."""
    lines = Picture(Diagram(example(file), engine=engine).svg()).structure()
    kept = GOLDEN / f"{file.name.partition('.')[0]}.txt"
    if os.environ.get("STEPWELL_GOLDEN") == "write":
        kept.write_text("\n".join(lines) + "\n")
    assert lines == kept.read_text().splitlines()


@pytest.mark.parametrize("direction", ["TB", "LR"])
@pytest.mark.parametrize("theme", ["light", "dark", "auto"])
def test_themes_and_directions(theme: str, direction: str) -> None:
    text = Diagram(SIMPLE, theme=theme, direction=direction).svg()
    root = Picture(text).root
    assert root.get("data-direction") == direction
    assert stylesheet(theme) in re.sub("&gt;", ">", text)
    assert stylesheet(theme) not in Diagram(SIMPLE, theme=theme).svg(style=False)


def test_a_notebook_shows_it() -> None:
    diagram = Diagram(SIMPLE)
    bundle = diagram._repr_mimebundle_()
    assert bundle["image/svg+xml"] == diagram._repr_svg_()
    assert says(Picture(bundle["image/svg+xml"]).state("A"), "name") == "A"
    assert "A  (Pass) → end" in bundle["text/plain"]


@pytest.mark.parametrize(
    ("suffix", "head"),
    [
        ("png", b"\x89PNG"),
        ("svg", b"<svg"),
        ("mmd", b"flowchart TB"),
        ("gv", b"digraph"),
        ("txt", b"1 state"),
    ],
)
def test_files_have_the_format_of_their_suffix(suffix: str, head: bytes, tmp_path: Path) -> None:
    Diagram(SIMPLE).save(tmp_path / f"a.{suffix}")
    assert (tmp_path / f"a.{suffix}").read_bytes().startswith(head)


def test_invalid_arguments() -> None:
    with pytest.raises(ValueError, match="MISSING_TRANSITION_TARGET"):
        Diagram({"StartAt": "B", "States": {"A": {"Type": "Pass", "End": True}}})
    with pytest.raises(ValueError, match="theme must be one of light, dark, auto"):
        Diagram(SIMPLE, theme="pink")
    with pytest.raises(ValueError, match="the suffix must be one of"):
        Diagram(SIMPLE).save("a.jpeg")


def test_pdf_needs_the_systems_graphviz(monkeypatch: pytest.MonkeyPatch) -> None:
    if layout.program(layout.SYSTEM):
        assert Diagram(SIMPLE).pdf().startswith(b"%PDF")
    monkeypatch.setattr(layout, "program", lambda engine: None)
    with pytest.raises(
        RenderError,
        match=r"pdf needs the system's Graphviz .* dot, mermaid and text do not need it",
    ):
        Diagram(SIMPLE).pdf()
    assert Diagram(SIMPLE).mermaid()


def test_without_a_layout_program_the_command_prints_mermaid(
    home: dict[str, str], tmp_path: Path
) -> None:
    """And a picture in another format is an error that names the program to install."""
    (tmp_path / "m.asl.json").write_text(json.dumps(SIMPLE))
    program = (
        "import sys; from stepwell.visualize import layout; layout.program = lambda engine: None; "
    )
    program += (
        "from stepwell.integrations.cli.commands import render; render.program = layout.program; "
    )
    program += "from stepwell.integrations.cli.main import main; sys.exit(main())"

    def render(*words: str) -> subprocess.CompletedProcess[str]:
        words = (sys.executable, "-c", program, "render", "m.asl.json", *words)
        return subprocess.run(
            words, cwd=tmp_path, env=home, capture_output=True, text=True, timeout=60, check=False
        )

    done = render()
    assert (done.returncode, done.stdout.split()[0]) == (0, "flowchart"), done.stderr
    assert "Mermaid instead of SVG" in done.stderr
    refused = render("--format", "svg")
    assert refused.returncode != 0 and "graphviz-pure or the system's Graphviz" in refused.stderr


@pytest.mark.parametrize(
    ("resource", "label", "letters"),
    [
        (
            "arn:${AWS::Partition}:states:::sqs:sendMessage.waitForTaskToken",
            "SQS: SendMessage (callback)",
            "SQ",
        ),
        (
            "arn:${AWS::Partition}:lambda:${AWS::Region}:${AWS::AccountId}:function:pack",
            "Lambda: pack",
            "λ",
        ),
        ("${Pack}", "${Pack}", "T"),
    ],
)
def test_labels_of_tasks_with_placeholders(resource: str, label: str, letters: str) -> None:
    machine = StateMachine.model_validate(
        {"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": resource, "End": True}}}
    )
    state = Picture(Diagram(machine).svg()).state("A")
    assert (says(state, "label"), says(state, "letters")) == (label, letters)


# --- the command ----------------------------------------------------------------------------------


FAILING = {
    "StartAt": "Both",
    "States": {
        "Both": {
            "Type": "Parallel",
            "Branches": [
                {"StartAt": "Fine", "States": {"Fine": {"Type": "Pass", "End": True}}},
                {"StartAt": "Bad", "States": {"Bad": {"Type": "Fail", "Error": "NoSuchZone"}}},
            ],
            "Catch": [{"ErrorEquals": ["NoSuchZone"], "Next": "Undo"}],
            "Next": "Done",
        },
        "Undo": {"Type": "Pass", "Next": "Lost"},
        "Lost": {"Type": "Fail", "Error": "Lost"},
        "Done": {"Type": "Succeed"},
    },
}


def test_an_execution_is_drawn_from_the_database_and_from_its_history(command, tmp_path):
    database, file = ["--db", tmp_path / "a.db"], tmp_path / "a.asl.json"
    file.write_text(json.dumps(FAILING))
    ran = command("run", file, "--name", "lost", "--json", *database)
    assert ran.returncode == 1, ran.stderr
    (tmp_path / "events.json").write_text(ran.stdout)
    drawn = command("render", "--execution", "lost", *database, "-o", tmp_path / "a.svg")
    assert (drawn.returncode, drawn.stdout, drawn.stderr) == (0, "", "")
    picture = Picture((tmp_path / "a.svg").read_text())
    statuses = {
        group.attrib["data-state"]: group.attrib["class"].split()[-1]
        for group in picture.of("state")
    }
    assert statuses == {
        "Both": "caught",
        "Fine": "succeeded",
        "Bad": "failed",
        "Undo": "succeeded",
        "Lost": "failed",
        "Done": "not-run",
    }
    assert says(picture.state("Lost"), "badge") == "failed · Lost"
    same = command("render", file, "--history", tmp_path / "events.json", "--format", "svg")
    assert same.stdout == (tmp_path / "a.svg").read_text()


def test_placeholders_are_not_replaced(command, tmp_path):
    machine = {
        "StartAt": "A",
        "States": {"A": {"Type": "Task", "Resource": "${Function}", "End": True}},
    }
    (tmp_path / "a.asl.json").write_text(json.dumps(machine))
    drawn = command("render", tmp_path / "a.asl.json", "--format", "text")
    assert drawn.stdout == "1 state · JSONPath\n\nStart → A\nA  (${Function}) → end\n"
    filled = command(
        "render", tmp_path / "a.asl.json", "--format", "text", "--param", "Function=mine"
    )
    assert "A  (mine) → end" in filled.stdout


def test_placeholders_in_expressions_are_valid(command, tmp_path):
    drawn = command("render", EXAMPLES / "words.asl.yaml", "--format", "text")
    assert drawn.returncode == 0
    assert "NOTE UNFILLED no value yet for ${Team}, ${Region}, ${Limit}: " in drawn.stderr
    assert "$words > ${Limit} → TooLong" in drawn.stdout
    assert "Count  (Lambda: word-count)" in drawn.stdout
    machine = {
        "StartAt": "A",
        "States": {
            "A": {"Type": "Pass", "InputPath": "${In}", "OutputPath": "nonsense", "End": True}
        },
    }
    (tmp_path / "a.asl.json").write_text(json.dumps(machine))
    refused = command("render", tmp_path / "a.asl.json", "--format", "text")
    assert refused.returncode == 2
    _, error, mend, _ = refused.stderr.splitlines()
    assert error.endswith(" at /States/A/OutputPath")
    assert ": mend: A path begins with " in mend
    machine["States"]["A"] = {"Type": "Wait", "Seconds": "${Delay}", "Next": "B"}
    machine["States"]["B"] = {"Type": "Pass", "End": "${End}"}
    (tmp_path / "a.asl.json").write_text(json.dumps(machine))
    drawn = command("render", tmp_path / "a.asl.json", "--format", "text")
    assert (drawn.returncode, "${Delay}" in drawn.stdout) == (0, True)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([], "name a file, or an execution with --execution"),
        (["nowhere.json"], "nowhere.json: No such file or directory"),
        (
            [EXAMPLES / "order.asl.json", "-o", "a.jpeg"],
            "a.jpeg: use --format, or one of the suffixes",
        ),
        (
            [EXAMPLES / "order.asl.json", "--execution", "x", "--history", "y"],
            "--execution or --history, not both",
        ),
        ([EXAMPLES / "order.asl.json", "--history", EXAMPLES / "README.md"], "README.md: not JSON"),
        (
            [EXAMPLES / "order.asl.json", "-o", "/nowhere/a.svg"],
            "/nowhere/a.svg: No such file or directory",
        ),
        ([EXAMPLES / "order.json"], "is not a valid state machine"),
    ],
)
def test_errors_of_the_command(words, error, command):
    done = command("render", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert error in done.stderr
