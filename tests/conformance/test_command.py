"""`stepwell conformance`: exit codes, reports, two endpoints, differences in another engine."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from tests.conformance.moto import moto
from tests.conftest import SCRIPT, Command
from tests.integrations.server.live import Live

from stepwell.conformance.report import report
from stepwell.conformance.report.report import About
from stepwell.conformance.report.results import Result, Verdict, by_cause, cause
from stepwell.conformance.run import generated, suites, vectors


@pytest.fixture(scope="module")
def other() -> Iterator[str]:
    with moto() as url:
        yield url


def test_one_area(command: Command, ours: Live, tmp_path: Path) -> None:
    files = {kind: tmp_path / f"report.{kind}" for kind in ("json", "junit", "html")}
    options = [word for kind, path in files.items() for word in (f"--{kind}", str(path))]
    done = command(
        "conformance",
        "run",
        "--endpoint",
        ours.url,
        "--area",
        "pass",
        "--area",
        "wait",
        "--vectors-only",
        *options,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(files["json"].read_text("utf-8"))
    wanted = [vector.name for vector in vectors.load() if vector.area in ("pass", "wait")]
    assert sorted(each["name"] for each in found["results"]) == sorted(wanted)
    total = {"area": "total", "passed": len(wanted), "failed": 0, "skipped": 0}
    assert found["scores"][-1] == total and found["endpoint"] == ours.url
    assert len(ElementTree.parse(files["junit"]).findall("testsuite/testcase")) == len(wanted)
    assert f"<h1>Conformance of {ours.url}</h1>" in files["html"].read_text("utf-8")
    assert "100.0 %" in done.stdout


def test_vectors_that_need_more_are_skipped(command: Command, ours: Live, tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    done = command(
        "conformance",
        "run",
        "--endpoint",
        ours.url,
        "--area",
        "lambda",
        "--vectors-only",
        "--json",
        str(file),
    )
    assert done.returncode == 0
    results = json.loads(file.read_text("utf-8"))["results"]
    assert {(each["verdict"], each["reason"]) for each in results} == {("skipped", "needs lambda")}


def test_generated_examples_run_too(command: Command, ours: Live, tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    options = (
        "--area",
        "paths",
        "--area",
        "pass",
        "--examples",
        "20",
        "--seed",
        "3",
        "--json",
        str(file),
    )
    done = command("conformance", "run", "--endpoint", ours.url, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(file.read_text("utf-8"))
    assert [score["passed"] for score in found["scores"] if score["area"] == "paths"] == [20]
    assert found["notes"]["seed"] == "3"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("run", "--endpoint", "http://127.0.0.1:1", "--area", "pass", "--vectors-only"),
            "http://127.0.0.1:1",
        ),
        (("run", "--endpoint", "http://127.0.0.1:1", "--area", "nowhere"), "no such area: nowhere"),
        (
            ("run", "--endpoint", "http://127.0.0.1:1", "--match", "no-vector-*"),
            "nothing to run",
        ),
        (
            ("run", "--endpoint", "http://127.0.0.1:1", "--known", "/none/known.toml"),
            "/none/known.toml",
        ),
        (
            (
                "diff",
                "--endpoint",
                "http://127.0.0.1:1",
                "--other",
                "http://127.0.0.1:1",
                "--vectors-only",
            ),
            "http://127.0.0.1:1",
        ),
    ],
)
def test_bad_usage(command: Command, words: tuple[str, ...], said: str) -> None:
    done = command("conformance", *words)
    assert (
        (done.returncode, done.stdout) == (2, "")
        and said in done.stderr
        and len(done.stderr.splitlines()) == 1
    )


def test_an_invalid_kept_file(command: Command, tmp_path: Path) -> None:
    (tmp_path / "paths-1.json").write_text('{"area": "paths"}', "utf-8")
    done = command(
        "conformance",
        "run",
        "--endpoint",
        "http://127.0.0.1:1",
        "--area",
        "paths",
        "--kept",
        str(tmp_path),
    )
    assert (done.returncode, done.stdout) == (
        2,
        "",
    ) and f"{tmp_path / 'paths-1.json'} holds no example" in done.stderr


def test_kept_examples_are_run_without_new_ones(
    command: Command, ours: Live, tmp_path: Path
) -> None:
    """To check a fix: only what failed before."""
    case = generated.numbered(1, "paths", 1)
    (tmp_path / "paths-1.json").write_text(case.dumps(problems=["it once failed"]), "utf-8")
    file = tmp_path / "r.json"
    options = ("--area", "paths", "--examples", "0", "--kept", str(tmp_path), "--json", str(file))
    done = command("conformance", "run", "--endpoint", ours.url, *options)
    assert (
        done.returncode == 0 and json.loads(file.read_text("utf-8"))["scores"][0]["passed"] == 1
    ), done.stderr


def test_without_boto3_the_message_says_how_to_install_it(home: dict[str, str]) -> None:
    program = f"import sys; sys.modules['boto3'] = None; {SCRIPT[2]}"
    words = [sys.executable, "-c", program, "conformance", "areas"]
    done = subprocess.run(words, env=home, capture_output=True, text=True, timeout=180, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "stepwell: boto3 is not installed: in a clone of stepwell, pip install '.[conformance]'\n"
    )


def test_areas(command: Command) -> None:
    done = command("conformance", "areas")
    assert done.returncode == 0 and f"{'pass':16} 25 vectors" in done.stdout.splitlines()


# --- another engine -------------------------------------------------------------------------------
def test_it_finds_differences_in_moto(command: Command, other: str, tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    options = ("--match", "pass-*", "--threads", "1", "--vectors-only", "--json", str(file))
    done = command("conformance", "run", "--endpoint", other, *options)
    assert done.returncode == 1
    found = {each["name"]: each for each in json.loads(file.read_text("utf-8"))["results"]}
    assert found["pass-input-is-output"]["verdict"] == "passed"
    assert found["pass-result-string"]["problems"] == [
        'output: expected "text", got "(no JSON: text)"'
    ]  # a string is written without its quotes
    assert found["pass-result-string"]["evidence"]["definition"]["States"]["S"]["Result"] == "text"
    assert "FAILED pass" in done.stdout and "more like it" in done.stdout


def test_it_finds_differences_between_two_engines(
    command: Command, ours: Live, other: str, tmp_path: Path
) -> None:
    known, file = tmp_path / "known.toml", tmp_path / "r.json"
    known.write_text(
        (
            '[[difference]]\nvector = "pass-input-text-*"\nreason = "the text of inputs is not '
            'kept there"\n'
        ),
        "utf-8",
    )
    options = ("--match", "pass-*", "--threads", "1", "--known", str(known), "--json", str(file))
    done = command("conformance", "diff", "--endpoint", ours.url, "--other", other, *options)
    assert done.returncode == 1
    found = {each["name"]: each for each in json.loads(file.read_text("utf-8"))["results"]}
    assert found["pass-result-string"]["problems"] == [
        'only there: output: expected "text", got "(no JSON: text)"'
    ]
    assert (
        found["pass-input-text-is-kept-in-the-first-events"]["reason"]
        == "known difference: the text of inputs is not kept there"
    )
    assert found["pass-input-is-output"]["verdict"] == "passed"


def test_an_engine_does_not_differ_from_itself(command: Command, ours: Live) -> None:
    options = ("--area", "succeed-fail", "--area", "choice", "--examples", "10")
    done = command("conformance", "diff", "--endpoint", ours.url, "--other", ours.url, *options)
    assert done.returncode == 0, done.stdout + done.stderr


# --- parts ----------------------------------------------------------------------------------------
def _result(name: str, verdict: Verdict, *problems: str, count: int = 1) -> Result:
    return Result(
        "area", name, verdict, problems, evidence='{"a": 1}' if problems else "", count=count
    )


def test_known_differences(tmp_path: Path) -> None:
    file = tmp_path / "known.toml"
    file.write_text(
        '[[difference]]\nvector = "a-*"\nproblem = "seconds"\nreason = "because"\n', "utf-8"
    )
    known = suites.known_differences(file)
    verdicts = [
        suites.excused(_result(*each), known).verdict
        for each in [
            ("a-1", Verdict.FAILED, "too many seconds"),
            ("a-1", Verdict.FAILED, "other"),
            ("b-1", Verdict.FAILED, "seconds"),
            ("a-1", Verdict.PASSED),
        ]
    ]
    assert verdicts == [Verdict.SKIPPED, Verdict.FAILED, Verdict.FAILED, Verdict.PASSED]
    assert all(each.reason for each in suites.known_differences(suites.KNOWN))
    for bad in (
        'vector = "a"',
        'reason = "r"',
        'vector = "a"\nreason = " "',
        'vector = "a"\nreason = "r"\nvektor = 1',
        "reason =",
    ):
        file.write_text(f"[[difference]]\n{bad}\n", "utf-8")
        with pytest.raises(ValueError):
            suites.known_differences(file)


def test_problems_are_grouped_by_cause() -> None:
    assert cause("event 3 A: expected 3<2, got 3<1") == cause("event 14 A: expected 14<9, got 14<8")
    assert cause("error: expected 'a'") != cause("output: expected 'a'")
    assert (
        cause('output: expected {"a": 1}, got null')
        == cause('output: expected [], got "x"')
        == "output: expected _, got _"
    )
    assert (
        cause('error: expected "Boom", got "States.Runtime" "why"')
        == 'error: expected _, got "States.Runtime" _'
    )
    results = [
        _result("x", Verdict.FAILED, "p 1"),
        _result("y", Verdict.FAILED, "p 2"),
        _result("z", Verdict.FAILED, "q"),
        _result("w", Verdict.PASSED),
    ]
    assert [[each.name for each in group] for _, group in by_cause(results)] == [["x", "y"], ["z"]]


def test_reports_can_contain_any_text(tmp_path: Path) -> None:
    nasty = "<b>&\x00\ud83d]]>"
    results = [
        _result("bad", Verdict.FAILED, nasty),
        _result("good", Verdict.PASSED, count=9),
        _result("none", Verdict.SKIPPED),
    ]
    about = About("http://x/<y>", {"seed": "1"})
    assert json.loads(report.as_json(results, about))["scores"][0] == {
        "area": "area",
        "passed": 9,
        "failed": 1,
        "skipped": 1,
    }
    case = ElementTree.fromstring(report.as_junit(results, about).encode()).find(
        "testsuite/testcase/failure"
    )
    assert case is not None and case.get("message") == "<b>&��]]>"
    page = report.as_html(results, about)
    report.write({"json": tmp_path / "r.json", "html": None}, results, about)
    assert json.loads((tmp_path / "r.json").read_text("utf-8"))["results"][0]["problems"] == [nasty]
    assert "<b>&" not in page and "&lt;b&gt;" in page and "90.0 %" in page
    assert report.scores([])[-1].percent == "-"
    assert (
        report.scores(
            [_result("a", Verdict.PASSED, count=9999), _result("b", Verdict.FAILED, "p")]
        )[0].percent
        == "99.9 %"
    )


def test_the_action_uses_existing_options(root: Path) -> None:
    action = yaml.safe_load((root / "conformance/action.yml").read_text("utf-8"))
    script = "\n".join(step.get("run", "") for step in action["runs"]["steps"])
    helped = subprocess.run(
        [*SCRIPT, "conformance", "run", "--help"],
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    ).stdout
    ours = re.findall(r"--[a-z-]+", script[script.index("options=") :])
    assert ours and set(ours) <= set(re.findall(r"--[a-z-]+", helped))
