"""Groups of commands, which make a command when it is needed, and the command at the top."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

import click

from stepwell.integrations.cli import exit_codes
from stepwell.integrations.cli.call import end
from stepwell.integrations.cli.parsing import plugins, usage
from stepwell.integrations.cli.parsing.declaring import SETTINGS, Command, Group, command

OTHERS: Final = "Others"
COMPLETE: Final = "_STEPWELL_COMPLETE"
"""Set by the script of a shell: completion.py answers."""


class Commands(click.Group):
    """Those of a declared group.

    section  of --help at the top
    """

    section: str | None = None

    def __init__(self, name: str, group: Group, **more: Any) -> None:
        super().__init__(
            name, help=group.help, context_settings=SETTINGS, no_args_is_help=False, **more
        )
        self._group = group

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._group.commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        declared = self._group.commands.get(cmd_name)
        if cmd_name not in self.commands and declared is not None:
            self.commands[cmd_name] = command(cmd_name, declared)
        return self.commands.get(cmd_name)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            print(ctx.get_help(), file=sys.stderr)
            ctx.exit(exit_codes.USAGE)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        found = self.get_command(ctx, args[0])
        if found is None and not ctx.resilient_parsing:
            raise usage.unknown_command(ctx, args[0])
        return args[0] if found else None, found, args[1:]


class Top(Commands):
    """The commands at the top, the groups below them, and the commands of other packages. Only
    --help and an unknown name load the latter.
    """

    def __init__(
        self, name: str, group: Group, groups: Mapping[str, Commands], sections: Sequence[str]
    ) -> None:
        version = click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_version,
            help="Show the version and exit.",
        )
        super().__init__(name, group, params=[version])
        self._groups, self._sections = groups, sections

    def list_commands(self, ctx: click.Context) -> list[str]:
        own = [*super().list_commands(ctx), *self._groups]
        return [*own, *(name for name in plugins.names() if name not in own)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name) or self._groups.get(cmd_name)
        return own or plugins.command(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands of --help, in the sections that their declarations name."""
        sections: dict[str, list[tuple[str, click.Command]]] = {
            each: [] for each in (*self._sections, OTHERS)
        }
        for name in self.list_commands(ctx):
            found = self.get_command(ctx, name)
            if found is not None and not found.hidden:
                section = found.section if isinstance(found, Command | Commands) else None
                sections[section or OTHERS].append((name, found))
        for section, commands in sections.items():
            if not commands:
                continue
            width = formatter.width - 6 - max(len(name) for name, _ in commands)
            with formatter.section(section):
                formatter.write_dl(
                    [(name, each.get_short_help_str(width)) for name, each in commands]
                )

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **options: Any,
    ) -> NoReturn:
        """Exits with the code of the command; wrong usage is reported in one line. (Click's own
        has another code where a pipe is closed.)
        """
        words = list(sys.argv[1:] if args is None else args)

        def work() -> object:
            try:
                with self.make_context(prog_name or self.name, words, **options) as context:
                    return self.invoke(context)
            except click.exceptions.Exit as ended:
                return ended.exit_code
            except click.UsageError as fault:
                return usage.report(fault)
            except click.Abort:
                return exit_codes.INTERRUPTED

        end(work)


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print(f"stepwell {version('stepwell')}")
        except PackageNotFoundError:  # run from a checkout
            print("stepwell (not installed)")
        ctx.exit()
