"""Every statement of the store, once. Written for SQLite; a Dialect says how another database
spells the same.

A `Many` takes any number of rows in one statement: one step of the database for a batch, where a
statement a row would cost one hand-over of the interpreter lock a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

SQLITE_VERSION: Final = (3, 35, 0)  # UPDATE ... FROM and upserts
APPLICATION_ID: Final = 0x5374_7077  # "Stpw", in the header of the file


class Many:
    """head VALUES (?, ...), (?, ...) tail. Compared by identity: it is a key in the hot path."""

    __slots__ = ("head", "columns", "tail")

    def __init__(self, head: str, columns: int, tail: str = "") -> None:
        self.head, self.columns, self.tail = head, columns, tail


@dataclass(frozen=True)
class Dialect:
    """How a database spells the statements: `mark` gives the n-th parameter, from 1."""

    name: str
    mark: Callable[[int], str] = lambda number: "?"

    def one(self, statement: str) -> str:
        """A statement with its own spelling of the parameters."""
        parts = statement.split("?")
        return parts[0] + "".join(
            self.mark(number) + part for number, part in enumerate(parts[1:], 1)
        )

    @lru_cache(maxsize=256)  # noqa: B019  # a handful of dialects, all constants
    def many(self, statement: Many, rows: int) -> str:
        row = "(" + ", ".join("?" * statement.columns) + ")"
        return self.one(f"{statement.head} VALUES {', '.join([row] * rows)}{statement.tail}")


SQLITE: Final = Dialect("sqlite")

# --- a commit -------------------------------------------------------------------------------------

# The first statement of each transaction: nothing of an owner that is none any more may be
# committed.
FENCE: Final = "SELECT 1 FROM meta WHERE id = 1 AND epoch = ?"

INSERT_SERIES: Final = Many("INSERT INTO series (id, prefix, machine, machine_name, express)", 5)
INSERT_QUALIFIER: Final = Many("INSERT INTO qualifier (id, arn)", 2)
INSERT_PIN: Final = Many("INSERT INTO pin (id, definition, block, role)", 4)

# A new execution, open or closed already.
INSERT_EXECUTION: Final = Many(
    "INSERT INTO execution (id, series, tail, uuid, pin, started, parent, parent_frame, "
    "parent_seq, parent_index,"
    " version, alias, status, stopped, events, error, cause, extras)",
    18,
)

# An execution that was open has closed, or the other way round.
CLOSE_EXECUTION: Final = Many(
    "UPDATE execution SET status = closed.column2, stopped = closed.column3, events = "
    "closed.column4, error = closed.column5,"
    " cause = closed.column6, extras = closed.column7 FROM (",
    7,
    ") AS closed WHERE execution.id = closed.column1",
)

# A plain insert: a unit that is committed twice is an error.
INSERT_HISTORY: Final = Many("INSERT INTO history (key, blob)", 2)

# Merging rows of history: those between two keys, without the large ones.
MERGE_UNITS: Final = (
    "SELECT key, CASE WHEN length(blob) <= ? THEN blob END FROM history WHERE key BETWEEN ? AND "
    "? ORDER BY key"
)
MERGE_INTO: Final = "UPDATE history SET blob = ? WHERE key = ?"

INSERT_PAYLOAD: Final = Many("INSERT INTO payload (key, blob)", 2)

PUT_CONTINUATION: Final = Many(
    "INSERT INTO continuation (id, wake, events, blob)",
    4,
    (
        " ON CONFLICT (id) DO UPDATE SET wake = excluded.wake, events = excluded.events, blob = "
        "excluded.blob"
    ),
)
DELETE_CONTINUATION: Final = Many("DELETE FROM continuation WHERE id IN (", 1, ")")

PUT_FRAME: Final = Many(
    "INSERT INTO frame (key, blob)", 2, " ON CONFLICT (key) DO UPDATE SET blob = excluded.blob"
)
DELETE_FRAME: Final = Many("DELETE FROM frame WHERE key IN (", 1, ")")
INSERT_ITEMS: Final = Many("INSERT INTO map_item (execution, frame, n, blob)", 4)
INSERT_RESULTS: Final = Many("INSERT INTO map_result (execution, frame, n, blob)", 4)

PUT_MAP_RUN: Final = Many(
    "INSERT INTO map_run (execution, event, frame, seq, uuid, blob)",
    6,
    " ON CONFLICT (execution, event) DO UPDATE SET blob = excluded.blob",
)

PUT_RECORD: Final = Many(
    "INSERT INTO record (key, blob)", 2, " ON CONFLICT (key) DO UPDATE SET blob = excluded.blob"
)
DELETE_RECORD: Final = Many("DELETE FROM record WHERE key IN (", 1, ")")

# The end of a large Map; the end of an execution. (A list of pairs would not use the index.)
DELETE_VISIT: Final = tuple(
    f"DELETE FROM {table} WHERE execution = ? AND frame = ?" for table in ("map_item", "map_result")
)
DELETE_VISITS: Final = tuple(
    f"DELETE FROM {table} WHERE execution = ?" for table in ("map_item", "map_result")
)
DELETE_FRAMES: Final = "DELETE FROM frame WHERE key BETWEEN ? AND ?"

# An execution of which nothing is to be left.
DELETE_HISTORY_ROW: Final = Many("DELETE FROM history WHERE key IN (", 1, ")")
DELETE_EXECUTIONS: Final = Many("DELETE FROM execution WHERE id IN (", 1, ")")

# Time and ids never go back, whatever is deleted later.
ADVANCE: Final = "UPDATE meta SET clock = max(clock, ?), next_execution = max(next_execution, ?)"

# --- reading executions ---------------------------------------------------------------------------

_EXECUTION: Final = (
    "SELECT e.id, e.uuid, s.prefix, e.tail, s.machine, s.machine_name, p.role, s.express, "
    "p.definition, p.block, e.status, e.started,"
    " e.stopped, coalesce(e.events, c.events, 0), e.error, e.cause, e.parent, e.parent_frame,"
    " e.parent_seq, e.parent_index, e.extras"
    " FROM execution e JOIN series s ON s.id = e.series JOIN pin p ON p.id = e.pin LEFT JOIN "
    "continuation c ON c.id = e.id"
)
EXECUTION: Final = f"{_EXECUTION} WHERE e.id = ?"
EXECUTION_BY_ARN: Final = (
    f"{_EXECUTION} WHERE e.series = (SELECT id FROM series WHERE prefix = ?) AND e.tail = ?"
)

# Pages of executions, newest first: id < ?. Of a machine: one status at a time, in the order of the
# index; the caller merges.
EXECUTIONS: Final = f"{_EXECUTION} WHERE e.id < ? ORDER BY e.id DESC LIMIT ?"
EXECUTIONS_BY_STATUS: Final = (
    f"{_EXECUTION} WHERE e.status = ? AND e.id < ? ORDER BY e.id DESC LIMIT ?"
)
EXECUTIONS_OF_MACHINE: Final = (
    f"{_EXECUTION} WHERE e.series = ? AND e.status = ? AND e.id < ? ORDER BY e.id DESC LIMIT ?"
)
EXECUTIONS_OF_MAP_RUN: Final = (
    f"{_EXECUTION} WHERE e.parent = ? AND e.parent_frame = ? AND e.parent_seq = ? AND e.status = "
    "? AND e.id < ? ORDER BY e.id DESC LIMIT ?"
)
# Of a version or alias.
QUALIFIER: Final = "SELECT id FROM qualifier WHERE arn = ?"
EXECUTIONS_OF_VERSION: Final = (
    f"{_EXECUTION} WHERE e.version = ? AND e.status = ? AND e.id < ? ORDER BY e.id DESC LIMIT ?"
)
EXECUTIONS_OF_ALIAS: Final = (
    f"{_EXECUTION} WHERE e.alias = ? AND e.status = ? AND e.id < ? ORDER BY e.id DESC LIMIT ?"
)
SERIES_OF_MACHINE: Final = "SELECT id FROM series WHERE machine = ?"

PARKED: Final = (
    "SELECT k.id, s.prefix || ':' || e.tail, k.reason FROM parked k JOIN execution e ON e.id "
    "= k.id JOIN series s ON s.id = e.series"
    " WHERE e.stopped IS NULL ORDER BY k.id"
)
PARK: Final = (
    "INSERT INTO parked (id, at, reason) SELECT id, ?, ? FROM execution WHERE id = ?"
    " ON CONFLICT (id) DO UPDATE SET at = excluded.at, reason = excluded.reason"
)
UNPARK: Final = "DELETE FROM parked WHERE id = ?"
# For readers of a database from before there was the table.
NO_PARKED: Final = (
    "CREATE TEMP TABLE IF NOT EXISTS parked (id INTEGER PRIMARY KEY, at INTEGER, reason TEXT)"
)
PARKED_SINCE: Final = 4

CONTINUATION: Final = "SELECT blob FROM continuation WHERE id = ?"
FRAMES: Final = "SELECT blob FROM frame WHERE key BETWEEN ? AND ? ORDER BY key"
ITEMS: Final = "SELECT frame, blob FROM map_item WHERE execution = ? ORDER BY frame, n"
RESULTS: Final = "SELECT frame, blob FROM map_result WHERE execution = ? ORDER BY frame, n"
PAYLOAD: Final = "SELECT blob FROM payload WHERE key = ?"

# Map Runs, with their executions.
_MAP_RUN: Final = (
    "SELECT m.execution, s.prefix || ':' || e.tail, s.machine, s.machine_name, m.blob"
    " FROM map_run m JOIN execution e ON e.id = m.execution JOIN series s ON s.id = e.series"
)
MAP_RUN_BY_ID: Final = f"{_MAP_RUN} WHERE m.uuid = ?"
MAP_RUN_OF_FRAME: Final = f"{_MAP_RUN} WHERE m.execution = ? AND m.frame = ? AND m.seq = ?"
MAP_RUNS_WITH_CHILDREN: Final = (
    "SELECT m.execution, m.frame, m.seq FROM map_run m WHERE (m.execution, m.frame, m.seq) > "
    "(?, ?, ?)"
    " AND EXISTS (SELECT 1 FROM execution e"
    " WHERE e.parent = m.execution AND e.parent_frame = m.frame AND e.parent_seq = m.seq AND "
    "e.status = ?)"
    " ORDER BY m.execution, m.frame, m.seq LIMIT ?"
)
MAP_RUNS: Final = f"{_MAP_RUN} WHERE m.execution = ? AND m.event > ? ORDER BY m.event LIMIT ?"

RECORDS: Final = "SELECT key, blob FROM record WHERE key > ? AND key >= ? AND key < ? ORDER BY key"

WAKING: Final = (
    "SELECT wake, id FROM continuation WHERE wake > 0 AND wake <= ? AND (wake, id) > (?, ?) "
    "ORDER BY wake, id LIMIT ?"
)
IN_FLIGHT: Final = "SELECT id FROM continuation WHERE wake = 0 AND id > ? ORDER BY id LIMIT ?"

# Units from the one that holds an event on, either way; and the first and last of all.
UNITS: Final = (
    "SELECT key, blob FROM history WHERE key >= coalesce((SELECT max(key) FROM history WHERE "
    "key BETWEEN ? AND ?), ?) AND key <= ?"
    " ORDER BY key"
)
UNITS_BACK: Final = "SELECT key, blob FROM history WHERE key BETWEEN ? AND ? ORDER BY key DESC"
FIRST_UNIT: Final = "SELECT blob FROM history WHERE key = ?"
LAST_UNIT: Final = "SELECT blob FROM history WHERE key BETWEEN ? AND ? ORDER BY key DESC LIMIT 1"

# --- retention ------------------------------------------------------------------------------------

CLOSED_BEFORE: Final = "SELECT id FROM execution WHERE stopped < ? ORDER BY stopped LIMIT ?"
FIRST_CLOSED: Final = (
    "SELECT stopped FROM execution WHERE stopped IS NOT NULL ORDER BY stopped LIMIT 1"
)
DELETE_OF_EXECUTION: Final = tuple(
    f"DELETE FROM {table} WHERE {key} = ?"
    for table, key in (
        *(("continuation", "id"), ("parked", "id")),
        *(("map_item", "execution"), ("map_result", "execution"), ("map_run", "execution")),
    )
)
DEFINITION_IDS: Final = "SELECT id FROM definition"
DEFINITIONS_USED: Final = (
    "SELECT DISTINCT p.definition FROM execution e JOIN pin p ON p.id = e.pin WHERE e.id >= ? "
    "AND e.id < ?"
)
DELETE_DEFINITION: Final = "DELETE FROM definition WHERE id = ?"
DELETE_HISTORY: Final = "DELETE FROM history WHERE key BETWEEN ? AND ?"
DELETE_PAYLOADS: Final = "DELETE FROM payload WHERE key BETWEEN ? AND ?"
DELETE_EXECUTION: Final = "DELETE FROM execution WHERE id = ?"

# --- state machines and activities ----------------------------------------------------------------

_MACHINE: Final = (
    "SELECT m.arn, m.name, d.type, d.role, d.text, d.id, d.revision, m.created, m.updated, "
    "m.status, m.extras, d.configuration"
    " FROM machine m JOIN definition d ON d.id = m.definition"
)
MACHINE: Final = f"{_MACHINE} WHERE m.arn = ?"
MACHINES: Final = f"{_MACHINE} WHERE m.arn > ? AND m.status = coalesce(?, m.status) ORDER BY m.arn"
PUT_MACHINE: Final = (
    "INSERT INTO machine (arn, name, definition, created, updated, status, extras) VALUES (?,"
    " ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (arn) DO UPDATE SET name = excluded.name, definition = excluded.definition,"
    " created = excluded.created,"
    " updated = excluded.updated, status = excluded.status, extras = excluded.extras"
)
COUNT_MACHINES: Final = "SELECT count(*) FROM machine"
DELETE_MACHINE: Final = "DELETE FROM machine WHERE arn = ?"
DEFINITION: Final = (
    "SELECT id, machine, type, role, revision, created, text, configuration FROM definition "
    "WHERE id = ?"
)
INSERT_DEFINITION: Final = (
    "INSERT INTO definition (machine, type, role, revision, created, text, configuration) VALUES "
    "(?, ?, ?, ?, ?, ?, ?)"
)

PUT_ACTIVITY: Final = (
    "INSERT INTO activity (arn, name, created, extras) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (arn) DO UPDATE SET name = excluded.name, created = excluded.created, "
    "extras = excluded.extras"
)
ACTIVITY: Final = "SELECT arn, name, created, extras FROM activity WHERE arn = ?"
ACTIVITIES: Final = "SELECT arn, name, created, extras FROM activity WHERE arn > ? ORDER BY arn"
DELETE_ACTIVITY: Final = "DELETE FROM activity WHERE arn = ?"

# --- opening --------------------------------------------------------------------------------------

TAKE_OVER: Final = "UPDATE meta SET epoch = epoch + 1 WHERE id = 1 RETURNING epoch"
META: Final = "SELECT clock, next_execution, secret FROM meta"
DELETE_SERIES: Final = (
    "DELETE FROM series WHERE NOT EXISTS (SELECT 1 FROM execution WHERE series = series.id)"
)
SERIES: Final = "SELECT prefix, id FROM series"
QUALIFIERS: Final = "SELECT arn, id FROM qualifier"
PINS: Final = "SELECT definition, block, role, id FROM pin"
