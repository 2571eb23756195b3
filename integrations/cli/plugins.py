"""Commands of other packages: entry points of the group "stepwell.commands", each a typer.Typer."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from typer.core import TyperGroup

from stepwell.integrations.cli import options as o

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

GROUP: Final = "stepwell.commands"
OTHERS: Final = "Others"


@cache  # --help asks for their names, and then for each command
def _plugins() -> EntryPoints:
    # imported late: it takes a tenth of a second, and most commands do not need it
    from importlib.metadata import entry_points

    return entry_points(group=GROUP)


class Commands(TyperGroup):
    """The commands of main.py and those of other packages. Only --help and an unknown name load the
    latter.

    (Contexts and commands are click's, or those of typer's own copy of it.)
    """

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The commands of --help, in the sections that their declarations name."""
        sections: dict[str, list[tuple[str, Any]]] = {}
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                panel = getattr(command, "rich_help_panel", None)
                section = panel if isinstance(panel, str) else OTHERS
                sections.setdefault(section, []).append((name, command))
        for section in (*o.SECTIONS, *(each for each in sections if each not in o.SECTIONS)):
            commands = sections.get(section, [])
            if not commands:
                continue
            width = formatter.width - 6 - max(len(name) for name, _ in commands)
            with formatter.section(section):
                formatter.write_dl(
                    [(name, each.get_short_help_str(width)) for name, each in commands]
                )

    def list_commands(self, ctx: Any) -> list[str]:
        own = super().list_commands(ctx)
        return [*own, *sorted(_plugins().names - {*own})]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if (own := super().get_command(ctx, cmd_name)) is not None:
            return own
        from typer.main import get_command

        for each in _plugins().select(name=cmd_name):
            return get_command(each.load())
        return None
