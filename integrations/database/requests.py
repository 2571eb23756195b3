"""Requests to the process of this machine that has a database open."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from stepwell.engine.errors import ApiError
from stepwell.integrations import operation_socket
from stepwell.integrations.database.naming import Database
from stepwell.integrations.errors import UsageError
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits


async def ask(
    database: Database,
    operation: str,
    arguments: Mapping[str, Any] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> dict[str, Any]:
    """The answer of a process of this machine that works on the database. Raises OSError if none
    listens, ApiError, UsageError if it ends meanwhile.
    """
    for socket in database.sockets:
        try:
            return await operation_socket.request(socket, operation, arguments, limits)
        except ConnectionRefusedError:  # its process was killed
            with suppress(OSError):
                socket.unlink()
        except OSError:
            continue
    raise FileNotFoundError(f"no process of this machine has {database} open")


async def owner(database: Database) -> dict[str, Any] | None:
    """{"pid", "url"?} of the process of this machine that has the database open, with the URL of a
    server; None if none listens.
    """
    try:
        return await ask(database, operation_socket.OWNER)
    except (OSError, UsageError, ApiError):  # ApiError: of an earlier version
        return None
