"""Wrong usage: one rule for every command and option, in one line and in this project's words."""

import json
import re
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from stepwell.integrations.cli.main import app
from stepwell.integrations.cli.parsing.values import Choice, Number

LIBRARIES = re.compile(
    r"Error:|Usage:|Invalid value|Input should|valid integer|No such|Missing|Got unexpected|Try '"
    r"|requires an argument|does not take|[Vv]alue error|Traceback|\.\n"
)


def leaves(command, path=()):
    """(words, command) of every command that does something."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        yield from leaves(command.get_command(context, name), (*path, name))


COMMANDS = {path: each for path, each in leaves(app) if path[0] != "executions"}  # the same again
OPTIONS = [
    (path, option)
    for path, command in COMMANDS.items()
    for option in command.params
    if isinstance(option, click.Option)
]


def said(*words: str) -> str:
    """The line of a refusal."""
    done = CliRunner().invoke(app, words)
    assert (done.exit_code, done.stdout) == (2, ""), (words, done.stdout, done.exception)
    assert re.fullmatch(r"stepwell: [^\n]+( \(`stepwell[^`\n]* --help`\))?\n", done.stderr), (
        done.stderr
    )
    assert LIBRARIES.search(done.stderr) is None, done.stderr
    return done.stderr.removeprefix("stepwell: ")


def test_the_table_is_whole():
    assert len(COMMANDS) > 45 and len(OPTIONS) > 300
    assert ("conformance", "run") in COMMANDS


def test_unknown_options_and_those_that_are_nearly_right():
    for path, command in COMMANDS.items():
        assert said(*path, "--zzz").startswith("--zzz is not an option of `stepwell")
        for name in (each for one in command.params for each in one.opts if each[:2] == "--"):
            wrong = name[:-1] + "_" if len(name) > 5 else None
            if wrong is not None:
                assert "; did you mean --" in said(*path, wrong), (path, wrong)


def test_values_that_are_missing_or_too_many():
    for path, option in OPTIONS:
        name = max(option.opts, key=len)
        if option.is_flag:
            assert said(*path, f"{name}=1").startswith(f"{name}")
        else:
            line = said(*path, name)
            assert line.startswith(f"{name} needs a value: {option.metavar}") or path[0] == (
                "conformance"
            )


def test_values_out_of_range():
    numbers = 0
    for path, option in OPTIONS:
        if isinstance(option.type, Number | click.IntRange | click.FloatRange):
            numbers += 1
            for value in ("x", "-1") if path[0] == "conformance" else ("x", "nan", "-1"):
                line = said(*path, max(option.opts, key=len), value)
                assert re.match(rf"--[a-z-]+ ({value}: not|is not) a (whole )?number", line), line
    assert numbers > 10
    line = said("serve", "--port", "65536")
    assert line.startswith("--port 65536: not a whole number from 0 to 65535 ")


def test_choices_are_listed_and_near_misses_proposed():
    choices = [each for each in OPTIONS if isinstance(each[1].type, Choice)]
    assert len(choices) > 10
    for path, option in choices:
        line = said(*path, max(option.opts, key=len), "zzz")
        assert f"{max(option.opts, key=len)} zzz: not one of " in line
        assert all(each in line for each in option.metavar.split("|"))
    line = said("list", "--status", "faild")
    assert line.startswith(
        "--status faild: not one of RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED; did you mean "
        "FAILED? ("
    )


def test_arguments_that_are_missing_or_unexpected():
    missing = 0
    for path, command in COMMANDS.items():
        arguments = [each for each in command.params if isinstance(each, click.Argument)]
        if any(each.required for each in command.params):
            missing += 1
            assert " is missing" in said(*path)
        if all(each.nargs == 1 for each in arguments):
            options = [
                word
                for each in command.params
                if each.required and isinstance(each, click.Option)
                for word in (each.opts[-1], "x")
            ]
            line = said(*path, *options, *("bash" for _ in arguments), "left\x1b[2J")
            assert "unexpected argument left\\u001b[2J" in line
    assert missing > 20
    assert said("show").startswith("EXECUTION is missing: stepwell show EXECUTION (")
    assert said("show", "a", "b").startswith("show: unexpected argument b after EXECUTION (")
    assert said("lint").startswith("FILE is missing: stepwell lint FILE... (")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("lst", "lst is not a command; did you mean list?"),
        ("db chck", "chck is not a command of `stepwell db`; did you mean check?"),
        ("conformance rn", "rn is not a command of `stepwell conformance`; did you mean run?"),
        ("poll", "poll is not a command; did you mean activity poll?"),
        ("logs", "logs is not a command; did you mean tail?"),
        ("zzz", "zzz is not a command ("),
        ("--db x list", "--db: options follow the command: stepwell COMMAND --db ..."),
        ("--zzz", "--zzz is not an option of `stepwell` ("),
    ],
)
def test_commands_that_do_not_exist(words, line):
    assert said(*words.split()).startswith(line)


def test_a_group_alone_shows_its_help():
    for words in ([], ["machines"], ["conformance"]):
        done = CliRunner().invoke(app, words)
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr.startswith("Usage: stepwell")


def test_every_command_has_help():
    for path, command in COMMANDS.items():
        done = CliRunner().invoke(app, [*path, "-h"])
        assert done.exit_code == 0
        assert done.stdout.startswith(f"Usage: stepwell {' '.join(path)} [OPTIONS]")
        for each in command.params:
            words = [each.metavar] if isinstance(each, click.Argument) else each.opts
            assert all(word in done.stdout for word in words), (path, words)


# What may be imported, so that commands start fast: CPU times differ from machine to machine.
HEAVY = (
    "pydantic",
    "botocore",
    "rich",
    "yaml",
    "stepwell.asl.definition",
    "stepwell.engine.engine",
)
NOWHERE = ("--server", "http://127.0.0.1:9")


def imported(*words):
    """What of HEAVY the command has imported, on the last line of its standard error."""
    program = (
        "import sys; from stepwell.integrations.cli import main; sys.argv[1:] = sys.argv[2:]\n"
        "try: main.main()\n"
        f"finally: print(*(each for each in {HEAVY} if each in sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "x", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "words",
    [
        ("--help",), ("list", "--help"), ("show",), ("env",), ("completion", "zsh"),
        ("list", *NOWHERE), ("start", "m", *NOWHERE), ("stop", "e", *NOWHERE),
        ("history", "e", *NOWHERE), ("tail", "e", *NOWHERE), ("machines", "list", *NOWHERE),
    ],
)  # fmt: skip
def test_what_a_start_imports(words):
    assert imported(*words)[1] == ""


@pytest.mark.parametrize(
    "words",
    [
        ("list", "status=SUCCEEDED"), ("show", "one"), ("history", "one"), ("tail", "one"),
        ("machines", "list"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_reading_a_database_imports(words, read_database):
    assert imported(*words, "--db", read_database) == (0, "")


@pytest.fixture(scope="module")
def read_database(tmp_path_factory):
    folder = tmp_path_factory.mktemp("read")
    file, db = folder / "pass.asl.json", folder / "read.db"
    file.write_text(json.dumps({"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}))
    assert CliRunner().invoke(app, ["run", str(file), "--db", str(db), "--name", "one", "-q"])
    return db
