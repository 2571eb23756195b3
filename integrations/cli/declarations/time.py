"""Commands of skipped time."""

from typing import Annotated

from stepwell.integrations.cli import options as o
from stepwell.integrations.cli.call import call
from stepwell.integrations.cli.parsing.declaring import Argument, Group, Option

time = Group("Advance the time of a server with --skip-time.")


@time.command()
def advance(
    duration: Annotated[
        str | None,
        Argument(metavar="DURATION", help="Such as 30d, 1h30m or 45s."),
    ] = None,
    until: Annotated[
        str | None,
        Option(metavar="TIME", help="Until then, with a zone: 2030-01-31T12:00:00Z."),
    ] = None,
    where: o.Where = o.WHERE,
) -> None:
    """Skip to a later time; all that is due until then happens on the way."""
    call("changes.advance", duration, until, where=where)
