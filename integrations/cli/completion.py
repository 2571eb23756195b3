"""Shell completion: the scripts for the shells, and the names of state machines and executions.

The script of a shell calls `stepwell` with the variable COMPLETE of groups.py and the words typed
so far. A name that cannot be read in a short time is not offered, without a message: it would be
printed amid the line that is being typed.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from click import get_current_context
from click.shell_completion import (
    CompletionItem,
    ShellComplete,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

from stepwell.integrations.cli.parsing.groups import COMPLETE
from stepwell.integrations.errors import UsageError

if TYPE_CHECKING:
    from stepwell.engine.store.base import Store
    from stepwell.integrations.cli.clients.choosing import Place

SECONDS: Final = 1.5  # for all names
MOST: Final = 200


# Bash takes the word after the last ":" or "=" for the one to complete, so the whole line is sent;
# nosort needs bash 4.4.
_BASH: Final = """\
%(complete_func)s() {
    local IFS=$'\\n' type value
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done < <(env COMP_LINE="$COMP_LINE" COMP_POINT="$COMP_POINT" \
COMP_WORDBREAKS="$COMP_WORDBREAKS" %(complete_var)s=bash_complete "$1")
}
complete -o nosort -F %(complete_func)s %(prog_name)s 2>/dev/null ||
    complete -F %(complete_func)s %(prog_name)s
"""


class _Bash(ShellComplete):
    name = "bash"
    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.fsencode(os.environ["COMP_LINE"])[: int(os.environ["COMP_POINT"])]
        text = os.fsdecode(line)
        words = split_arg_string(text)
        self._word = "" if text[-1:].isspace() else words.pop()
        return words[1:], self._word

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Without the part of the word that bash keeps."""
        breaks = [each for each in ":=" if each in os.environ.get("COMP_WORDBREAKS", "")]
        kept = max((self._word.rfind(each) + 1 for each in breaks), default=0)
        if item.type != "plain" or item.value[:kept] != self._word[:kept]:
            kept = 0
        return f"{item.type},{item.value[kept:]}"


add_completion_class(_Bash)


def script(shell: str) -> str:
    """What a shell evaluates to complete the command. Raises UsageError."""
    made = get_completion_class(shell)
    if made is None:
        raise UsageError(f"completion in {shell} needs a newer click: pip install -U click")
    top = get_current_context().find_root().command
    return made(top, {}, "stepwell", COMPLETE).source()


def names(what: str, options: Mapping[str, Any], incomplete: str) -> list[str]:
    """Those that begin like the word. what: "machines" or "executions"."""
    import asyncio

    from stepwell.engine.errors import EngineError
    from stepwell.integrations.cli.clients import choosing

    async def read() -> list[str]:
        found: dict[str, None] = {}
        at = choosing.place(options.get("server"), options.get("db"))
        source = _stored(what, at) if at.server is None else _served(what, at)
        async with asyncio.timeout(SECONDS):
            async for name in source:
                if name.startswith(incomplete) and ("/" in incomplete or "/" not in name):
                    found[name] = None
                if len(found) >= MOST:
                    break
        return list(found)

    try:
        return asyncio.run(read())
    except (EngineError, UsageError, TimeoutError, OSError):
        if os.environ.get("STEPWELL_DEBUG") == "1":
            raise
        return []


def _stored(what: str, at: Place) -> AsyncIterator[str]:
    """Of a database: read from its store, since an engine takes twice as long to import."""
    from stepwell.engine.store.opening import is_postgres, open_store, sqlite_path
    from stepwell.integrations.private_files import default_path

    url = at.db or str(default_path())
    if not is_postgres(url) and not os.path.isfile(sqlite_path(url)):
        raise UsageError("there is no database")
    return _of_store(what, open_store(url, read_only=True))


async def _of_store(what: str, store: Store) -> AsyncIterator[str]:
    await store.open()
    try:
        if what == "machines":
            for machine in await store.machines("", MOST):
                yield machine.name
        else:
            for row in await store.list_executions(limit=MOST):
                if "/" not in row.machine_arn:
                    yield row.name
                    yield f"{row.machine_name}/{row.name}"
    finally:
        await store.close()


async def _served(what: str, at: Place) -> AsyncIterator[str]:
    from stepwell.engine.arns import machine_name
    from stepwell.integrations.cli.clients import choosing
    from stepwell.integrations.limits import DEFAULT_LIMITS

    async with choosing.opened(at.server, None, DEFAULT_LIMITS) as client:
        if what == "machines":
            page = await client.call("list_state_machines", max_results=MOST)
            for each in page["stateMachines"]:
                yield each["name"]
            return
        count = 0
        async for each in client.executions(None, None):
            yield each["name"]
            yield f"{machine_name(each['stateMachineArn'])}/{each['name']}"
            if (count := count + 1) == MOST:
                return
