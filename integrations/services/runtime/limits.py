"""The limits of the processes of functions: part of integrations/limits.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RuntimeLimits:
    """Upper bounds, all inclusive."""

    function_workers: int = 64  # processes, including idle ones
    function_starts: int = 4  # processes that start at the same time
    function_init_seconds: float = 10.0  # for loading, or the function's time limit if it is longer
    function_queue: int = 1_000  # calls that wait for a process
    function_seconds: int = 900  # AWS: of one call, if the task has no shorter time limit
    function_idle_seconds: float = 60.0  # before an idle process is ended
    function_response_bytes: int = 6_291_556  # AWS: of one response
    function_log_bytes: int = 256 * 1024  # of the printed output of one call; the rest is dropped
    function_log_lines: int = 10_000  # the same in lines
    function_output_bytes: int = 8 * 1024 * 1024  # of all functions, not written yet
    function_threads: int = 32  # for callables that are not coroutine functions
    functions: int = 10_000  # that are created with Lambda's API
