"""The limits of the processes of functions: part of integrations/limits.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RuntimeLimits:
    """Upper bounds, all inclusive."""

    # functions: subprocesses of a functions folder, and threads for plain callables
    function_workers: int = 64  # processes, warm ones included
    function_starts: int = 4  # of them that are being started at a time
    function_init_seconds: float = (
        10.0  # that a function may take to be loaded, or its time limit if that is more
    )
    function_queue: int = 1_000  # calls that wait for a process
    function_seconds: int = 900  # of one call, if the task has no shorter time limit
    function_idle_seconds: float = 60.0  # that a warm process waits for the next call
    function_response_bytes: int = 6_291_556
    function_log_bytes: int = 256 * 1024  # of what one call prints that are passed on
    function_log_lines: int = 10_000  # of the same
    function_output_bytes: int = (
        8 * 1024 * 1024
    )  # of all functions, taken and not yet written; beyond it, output is dropped and counted
    function_threads: int = 32

    # functions that are created with Lambda's API
    functions: int = 10_000
