"""The limits of Lambda: part of integrations/limits.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LambdaLimits:
    """Upper bounds, all inclusive."""

    function_name_chars: int = 64
    function_versions: int = 1_000  # of one function; the same for aliases
    function_statements: int = 200  # in one policy
    function_concurrency: int = 1_000  # of all functions together
    function_environment_bytes: int = 4_096
    function_request_bytes: int = 6_291_456  # of the payload of one call
    function_event_bytes: int = 1_048_576  # of the payload of an asynchronous call
    function_events: int = 10_000  # in memory; the others are read from the store later
    function_page: int = 50
    code_zip_bytes: int = 52_428_800
    code_unzipped_bytes: int = 262_144_000
    code_files: int = 50_000
