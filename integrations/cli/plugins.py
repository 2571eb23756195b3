"""Commands of other packages: those that an entry point of the group "stepwell.commands" names,
each a typer.Typer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from typer.core import TyperGroup

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

GROUP: Final = "stepwell.commands"


def _plugins() -> EntryPoints:
    from importlib.metadata import (
        entry_points,
    )  # takes a tenth of a second: most commands do without

    return entry_points(group=GROUP)


class Commands(TyperGroup):
    """Our own commands, and those that were installed beside them. Only --help and a name that is
    not ours look for these.

    (Contexts and commands are click's, or those of typer's own copy of it.)
    """

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
