"""The environment variables of a function's process."""

from __future__ import annotations

import itertools
import os
import sys
from typing import TYPE_CHECKING, Final

from stepwell.integrations.services.runtime import bootstrap

if TYPE_CHECKING:
    from stepwell.integrations.services.runtime.function import Function

_INHERITED: Final = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH")  # necessary to run programs
_KEYS: Final = {
    "AWS_ACCESS_KEY_ID": "stepwell",
    "AWS_SECRET_ACCESS_KEY": "stepwell",
    "AWS_SESSION_TOKEN": "stepwell",
}
_numbers: Final = itertools.count()


def environment(function: Function, arn: str, scratch: str) -> dict[str, str]:
    """The inherited variables, Lambda's variables, and the function's own ones; later ones override
    earlier ones. The region is that of the ARN.

    An isolated function inherits only the necessary variables. It gets invalid keys and a home
    folder of its own, so that it finds no credentials or settings of the user.

    scratch  the temporary folder of the process
    """
    region = (arn.split(":") + [""] * 4)[3] or "us-east-1"
    runtime = function.runtime
    kind = (
        f"python{sys.version_info.major}.{sys.version_info.minor}"
        if runtime == "python"
        else runtime
    )
    inherited = (
        {name: value for name, value in os.environ.items() if name in _INHERITED}
        if function.isolated
        else os.environ
    )
    return {
        **inherited,
        "_HANDLER": function.handler,
        "LAMBDA_TASK_ROOT": function.source,
        "LAMBDA_RUNTIME_DIR": os.path.dirname(bootstrap.__file__),
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": function.version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": f"[{function.version}]{next(_numbers):032x}",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{kind}",
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "TZ": ":UTC",
        "TMPDIR": scratch,
        **({bootstrap.CONFINED: "1"} if function.confined else {}),
        **({"HOME": scratch, **_KEYS} if function.isolated else {}),
        **dict(function.environment),
    }
