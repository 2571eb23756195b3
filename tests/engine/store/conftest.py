"""Where stores in PostgreSQL lie."""

import hashlib
from pathlib import Path

import pytest
from tests.postgres import PostgresServer


def own_schema(request: pytest.FixtureRequest, folder: Path) -> str:
    """The URL of a schema that belongs to the folder of a test."""
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    return f"{server.url}?search_path=t_{name}"
