"""Commands as annotated functions, which become commands of click when they are needed.

    database = Group("Maintain a database.")

    @database.command()
    def backup(file: Annotated[Path, Argument("FILE", help="...")], db: Annotated[str | None,
        Option(metavar="PATH|URL", help="...")] = None) -> None:
        \"\"\"The help text.\"\"\"

A parameter without a default is required. Its type is bool (a flag), str, int, float, Path, an enum
of texts (in any case), or a list of one of them, which takes several values. Options are named as
their parameters are, if they have no other names. A parameter whose type is a NamedTuple stands for
the fields of it, which are declared in the same way.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar, get_args, get_origin

import click
from click.shell_completion import CompletionItem

from stepwell.integrations.cli.parsing import usage
from stepwell.integrations.cli.parsing.values import Choice, File, Number

SETTINGS: Final = {"help_option_names": ["-h", "--help"]}
Complete = Callable[[Mapping[str, Any], str], list[str]]
F = TypeVar("F", bound=Callable[..., Any])


class Argument(NamedTuple):
    """complete  (the other values, the word so far) -> words that it may become"""

    metavar: str
    help: str = ""
    complete: Complete | None = None


class Option:
    """names     "--output", "-o"; "--on/--off"
    metavar   of its value
    min, max  of a number, both inclusive
    complete  as of an Argument
    """

    def __init__(
        self,
        *names: str,
        metavar: str | None = None,
        help: str = "",
        envvar: str | None = None,
        min: float | None = None,
        max: float | None = None,
        complete: Complete | None = None,
    ) -> None:
        self.names, self.metavar, self.help, self.envvar = names, metavar, help, envvar
        self.min, self.max, self.complete = min, max, complete


class Declared(NamedTuple):
    """section  of --help at the top"""

    function: Callable[..., Any]
    section: str | None
    help: str | None


class Group:
    """Commands by their names."""

    def __init__(self, help: str = "") -> None:
        self.help = help
        self.commands: dict[str, Declared] = {}

    def command(
        self, name: str | None = None, section: str | None = None, help: str | None = None
    ) -> Callable[[F], F]:
        def declare(function: F) -> F:
            described = help or inspect.getdoc(function)
            self.commands[name or function.__name__] = Declared(function, section, described)
            return function

        return declare


# --- made into click's ----------------------------------------------------------------------------


class Command(click.Command):
    """Its arguments are described by --help, and what is wrong with them is reported by usage.py.

    section  of --help at the top
    """

    section: str | None = None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            left = super().parse_args(ctx, args)
        except click.UsageError as fault:
            fault.ctx = fault.ctx or ctx
            raise
        if left and not ctx.resilient_parsing:
            raise usage.unexpected(ctx, left[0])
        return left

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        params = self.get_params(ctx)
        arguments = [
            (each.make_metavar(ctx), each.described)
            for each in params
            if isinstance(each, _Argument)
        ]
        options = [each.get_help_record(ctx) for each in params if isinstance(each, click.Option)]
        for section, rows in (("Arguments", arguments), ("Options", options)):
            if rows:
                with formatter.section(section):
                    formatter.write_dl([row for row in rows if row is not None])


class _Argument(click.Argument):
    described = ""

    def make_metavar(self, ctx: click.Context | None = None) -> str:
        return self.metavar or ""


def command(name: str, declared: Declared) -> Command:
    """The command of a function."""
    parameters, tuples = _parameters(declared.function)
    defaults = {each.name: each.default for each in parameters}

    def call(**values: Any) -> Any:
        for key, value in values.items():
            if isinstance(value, tuple):
                values[key] = list(value) or _or_none(defaults[key])
        for key, kind in tuples.items():
            values[key] = kind(*(values.pop(field) for field in kind._fields))
        return declared.function(**values)

    made = Command(
        name,
        callback=call,
        params=[_parameter(each) for each in parameters],
        help=declared.help,
        context_settings={**SETTINGS, "allow_extra_args": True},
    )
    made.section = declared.section
    return made


def _parameters(function: Callable[..., Any]) -> tuple[list[inspect.Parameter], dict[str, Any]]:
    """With the fields in place of each NamedTuple, and the NamedTuples by the names of theirs."""
    found: list[inspect.Parameter] = []
    tuples: dict[str, Any] = {}
    for each in inspect.signature(function).parameters.values():
        kind = each.annotation
        if not hasattr(kind, "_fields"):
            found.append(each)
            continue
        tuples[each.name] = kind
        found += [
            each.replace(name=name, default=default, annotation=kind.__annotations__[name])
            for name, default in kind._field_defaults.items()
        ]
    return found, tuples


def _or_none(default: Any) -> Any:
    return None if default is inspect.Parameter.empty else default


def _parameter(parameter: inspect.Parameter) -> click.Parameter:
    annotated, declared = get_args(parameter.annotation)
    several, kind = _kind(annotated)
    needed = parameter.default is inspect.Parameter.empty
    default = None if needed or parameter.default is None else parameter.default
    metavar = declared.metavar or _metavar(kind)
    more: dict[str, Any] = {
        "type": _value(kind, declared, metavar),
        "required": needed,
        "shell_complete": _completing(declared.complete),
        "metavar": metavar,
    }
    if default is not None:
        more["default"] = default
    if isinstance(declared, Argument):
        argument = _Argument([parameter.name], nargs=-1 if several else 1, **more)
        argument.described = declared.help + ("  [required]" if needed else "")
        return argument
    assert isinstance(declared, Option), parameter
    names = declared.names or (f"--{parameter.name.replace('_', '-')}",)
    if kind is bool:
        for unused in ("metavar", "type", "shell_complete"):
            del more[unused]
        more["is_flag"] = True
    return click.Option(
        [parameter.name, *names],
        multiple=several,
        envvar=declared.envvar,
        help=_help(declared, names, needed, default),
        **more,
    )


def _kind(annotation: Any) -> tuple[bool, Any]:
    """Whether it takes several values, and the type of one."""
    if isinstance(annotation, types.UnionType):
        annotation = next(each for each in get_args(annotation) if each is not types.NoneType)
    if get_origin(annotation) is list:
        return True, get_args(annotation)[0]
    return False, annotation


def _metavar(kind: Any) -> str:
    if issubclass(kind, Enum):
        return "|".join(each.value for each in kind)
    return "N" if kind in (int, float) else "TEXT"


def _value(kind: Any, declared: Argument | Option, metavar: str) -> click.ParamType[Any]:
    if issubclass(kind, Enum):
        return Choice(kind)
    if kind in (int, float):
        assert isinstance(declared, Option)
        return Number(kind, declared.min, declared.max)
    if kind is Path or any(word in metavar for word in ("FILE", "FOLDER", "PATH", "DIR")):
        return File(kind, folder="DIR" in metavar)
    return click.STRING


def _help(declared: Option, names: Sequence[str], needed: bool, default: Any) -> str:
    """With its default, which a text may also describe, and where else its value comes from."""
    parts = [declared.help]
    if declared.min is not None and declared.max is not None:
        parts.append(f"[{declared.min:g} to {declared.max:g}]")
    if default is not None and default is not False:
        shown = names[0].split("/")[0].removeprefix("--") if default is True else default
        parts.append(f"[default: {shown.value if isinstance(shown, Enum) else shown}]")
    if declared.envvar is not None:
        parts.append(f"[env var: {declared.envvar}]")
    if needed:
        parts.append("[required]")
    return "  ".join(parts)


def _completing(complete: Complete | None) -> Callable[..., list[CompletionItem]] | None:
    if complete is None:
        return None

    def items(ctx: click.Context, _: click.Parameter, word: str) -> list[CompletionItem]:
        return [CompletionItem(each) for each in complete(ctx.params, word)]

    return items
