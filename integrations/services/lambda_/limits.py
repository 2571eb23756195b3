"""The limits of Lambda: part of integrations/limits.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LambdaLimits:
    """Upper bounds, all inclusive."""

    function_name_chars: int = 64  # AWS: of a function
    function_versions: int = 1_000  # of one function; the same for aliases
    function_statements: int = 200  # in one policy
    function_concurrency: int = 1_000  # AWS: concurrent calls of all functions
    function_environment_bytes: int = 4_096  # AWS: environment variables of a function
    function_request_bytes: int = 6_291_456  # AWS: payload of one call
    function_event_bytes: int = 1_048_576  # AWS: payload of an asynchronous call
    function_events: int = 10_000  # asynchronous calls in memory; the others are in the store
    function_page: int = 50  # AWS: items of one answer
    code_zip_bytes: int = 52_428_800  # AWS: of an uploaded archive
    code_unzipped_bytes: int = 262_144_000  # AWS: of the extracted files
    code_files: int = 50_000  # extracted files
