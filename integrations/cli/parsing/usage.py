"""What the command says about its own words: one line for each kind of wrong usage, whatever the
command, in the words of this project.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any, Final

import click

from stepwell.integrations.cli import exit_codes
from stepwell.integrations.cli.parsing.values import listed, meant, number_words

SYNONYMS: Final = {
    "abort": "stop", "cancel": "stop", "kill": "stop", "terminate": "stop",
    "describe": "show", "get": "show", "info": "show", "status": "show",
    "draw": "render", "graph": "render", "check": "validate", "fmt": "format",
    "events": "history", "log": "tail", "logs": "tail", "watch": "tail",
    "execute": "run", "exec": "run", "ls": "list", "ps": "list", "retry": "redrive",
    "server": "serve", "up": "serve", "deploy": "machines apply", "help": "--help",
    "version": "--version",
}  # fmt: skip
"""Words of other tools -> ours."""


class WrongUsageError(click.UsageError):
    """With the whole text, but for the command that has help."""


def unexpected(ctx: click.Context, word: str) -> WrongUsageError:
    """More arguments than the command has."""
    names = [each.make_metavar(ctx) for each in ctx.command.params if _is_argument(each)]
    after = f" after {names[-1]}" if names else ""
    return WrongUsageError(f"{ctx.info_name}: unexpected argument {_shown(word)}{after}", ctx)


def unknown_command(ctx: click.Context, word: str) -> WrongUsageError:
    group = ctx.command
    assert isinstance(group, click.Group)
    names = group.list_commands(ctx)
    top = ctx.parent is None
    kind = "command" if top else f"command of `{ctx.command_path}`"
    inner = [f"{name} {word}" for name in names if word in _inner(ctx, group, name)]
    if top and word in SYNONYMS:
        like = f"; did you mean {SYNONYMS[word]}?"
    elif inner:
        like = f"; did you mean {listed(inner)}?"
    else:
        like = meant(word, names)
    return WrongUsageError(f"{_shown(word)} is not a {kind}{like}", ctx)


def _inner(ctx: click.Context, group: click.Group, name: str) -> list[str]:
    command = group.get_command(ctx, name)
    return command.list_commands(ctx) if isinstance(command, click.Group) else []


# --- texts of click's errors ----------------------------------------------------------------------


def _missing(fault: click.UsageError) -> str:
    assert isinstance(fault, click.MissingParameter)
    assert fault.param is not None and fault.ctx is not None
    if _is_argument(fault.param):
        needed = [
            each.make_metavar(fault.ctx)
            for each in fault.ctx.command.params
            if _is_argument(each) and each.required
        ]
        name = fault.param.make_metavar(fault.ctx).removesuffix("...")
        return f"{name} is missing: {fault.ctx.command_path} {' '.join(needed)}"
    return f"{_name(fault.param)} {fault.param.metavar or ''} is missing"


def _no_such_option(fault: click.UsageError) -> str:
    assert isinstance(fault, click.NoSuchOption) and fault.ctx is not None
    ctx, word = fault.ctx, _shown(fault.option_name)
    if isinstance(ctx.command, click.Group):
        if fault.option_name in _options_below(ctx.command, ctx):
            return f"{word}: options follow the command: {ctx.command_path} COMMAND {word} ..."
        return f"{word} is not an option of `{ctx.command_path}`"
    known = [name for each in ctx.command.params for name in (*each.opts, *each.secondary_opts)]
    like = meant(fault.option_name, [name for name in known if name.startswith("--")])
    return f"{word} is not an option of `{ctx.command_path}`{like}"


def _options_below(group: click.Group, ctx: click.Context) -> set[str]:
    found: set[str] = set()
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if isinstance(command, click.Group):
            found |= _options_below(command, ctx)
        elif command is not None:
            found.update(name for each in command.params for name in each.opts)
    return found


def _option_alone(fault: click.UsageError) -> str:
    """An option without its value, or a flag with one."""
    assert isinstance(fault, click.BadOptionUsage)
    name = fault.option_name
    params = fault.ctx.command.params if fault.ctx is not None else ()
    option = next((each for each in params if name in (*each.opts, *each.secondary_opts)), None)
    if isinstance(option, click.Option) and option.is_flag:
        return f"{name} takes no value"
    if option is None:  # of a command of another package
        return f"{name}: a value is missing, or there is one too many"
    return f"{name} needs a value: {option.metavar}"


def _bad_value(fault: click.UsageError) -> str:
    assert isinstance(fault, click.BadParameter)
    if fault.param is None:
        return fault.message
    return f"{_name(fault.param)} {_of_library(fault.param.type) or _shown(fault.message)}"


def _of_library(kind: click.ParamType[Any]) -> str | None:
    """Of a type of click, which commands of other packages may use."""
    if isinstance(kind, click.Choice):
        return f"is not one of {listed(map(str, kind.choices))}"
    if isinstance(kind, click.IntRange | click.FloatRange):
        whole = int if isinstance(kind, click.IntRange) else float
        return f"is not {number_words(whole, kind.min, kind.max)}"
    if kind in (click.INT, click.FLOAT):
        return f"is not {number_words(int if kind is click.INT else float, None, None)}"
    return None


def _other(fault: click.UsageError) -> str:
    """Of commands of other packages: click has no class of its own for these."""
    for pattern, made in _PATTERNS:
        found = pattern.search(fault.message)
        if found is not None and fault.ctx is not None:
            return made(fault.ctx, found[1]).message
    return _shown(fault.message)


_PATTERNS: Final[
    tuple[tuple[re.Pattern[str], Callable[[click.Context, str], WrongUsageError]], ...]
] = (
    (re.compile(r"No such command '(.*?)'"), unknown_command),
    (re.compile(r"unexpected extra arguments? \((.*)\)"), unexpected),
)
_TEXTS: Final[tuple[tuple[type[click.UsageError], Callable[[click.UsageError], str]], ...]] = (
    (WrongUsageError, lambda fault: fault.message),
    (click.MissingParameter, _missing),
    (click.NoSuchOption, _no_such_option),
    (click.BadOptionUsage, _option_alone),
    (click.BadParameter, _bad_value),
    (click.UsageError, _other),
)


def text(fault: click.UsageError) -> str:
    """One line, with the command that shows what is right."""
    said = next(words for kind, words in _TEXTS if isinstance(fault, kind))(fault)
    at = f" (`{fault.ctx.command_path} --help`)" if fault.ctx is not None else ""
    return f"stepwell: {said}{at}"


def report(fault: click.UsageError) -> int:
    """Print it. The exit code."""
    if fault.ctx is not None and type(fault).__name__ == "NoArgsIsHelpError":  # since click 8.2
        print(fault.ctx.get_help(), file=sys.stderr)
    else:
        print(text(fault), file=sys.stderr)
    return exit_codes.USAGE


def _is_argument(param: click.Parameter) -> bool:
    return isinstance(param, click.Argument)


def _name(param: click.Parameter) -> str:
    """The longest name of an option, or the metavar of an argument."""
    if _is_argument(param):
        return (param.metavar or param.human_readable_name).removesuffix("...")
    return max(param.opts, key=len)


def _shown(text: str) -> str:
    if text.isprintable():
        return text
    from stepwell.visualize.words.texts import printable  # imported late: it has the language

    return printable(text)
