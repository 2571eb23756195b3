"""How an expected error ends a command: one line on standard error and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from stepwell.engine.errors import ApiError, StoreError, WrongShardError
from stepwell.engine.store.base import StoreInUseError
from stepwell.integrations.cli import exit_codes
from stepwell.integrations.cli.output.text import printable
from stepwell.integrations.errors import UsageError


def reports_errors(command: Callable[..., int]) -> Callable[..., int]:
    """Exit code 2 where the user asked for what cannot be done; 70 where the store failed."""

    def run(*arguments: Any, **options: Any) -> int:
        code = exit_codes.USAGE
        lines: Sequence[str] = ()
        try:
            return command(*arguments, **options)
        except UsageError as fault:
            words, lines = str(fault), fault.picture
        except WrongShardError as fault:
            words = str(fault)
        except ApiError as fault:
            words = fault.message
        except StoreInUseError as fault:
            words = f"{fault}; wait until it ends, or use another database with --db"
        except StoreError as fault:
            # a full disk, for instance: what was committed is kept, and `resume` continues from it
            words, code = str(fault), exit_codes.INTERNAL
        print(f"stepwell: {printable(words)}", file=sys.stderr)
        for line in lines:
            print(f"  {printable(line)}", file=sys.stderr)
        return code

    return run
