-- Every statement of the SQLite store. migrations/ explains the tables.
--
-- `-- name: x` begins the statement that Python calls sql.x (sql.py); lines of comment after it are
-- its documentation. A statement that a commit runs for many rows is written for one: its
-- `VALUES (?, ...)` is repeated for each row. {x} stands for the text of an earlier statement.


-- A commit ------------------------------------------------------------------------------------------

-- name: fence
-- The first statement of each transaction: no row means that another process owns the database.
SELECT 1 FROM meta WHERE id = 1 AND epoch = ?

-- name: insert_series
INSERT INTO series (id, prefix, machine, machine_name, express) VALUES (?, ?, ?, ?, ?)

-- name: insert_qualifier
INSERT INTO qualifier (id, arn) VALUES (?, ?)

-- name: insert_pin
INSERT INTO pin (id, definition, block, role) VALUES (?, ?, ?, ?)

-- name: insert_execution
-- A new execution, running or closed.
INSERT INTO execution (
    id, series, tail, uuid, pin, started, parent, parent_frame, parent_seq, parent_index,
    version, alias, status, stopped, events, error, cause, extras
)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: update_execution
-- A running execution has closed, or a closed one was redriven.
UPDATE execution
SET status = changed.column2, stopped = changed.column3, events = changed.column4,
    error = changed.column5, cause = changed.column6, extras = changed.column7
FROM (VALUES (?, ?, ?, ?, ?, ?, ?)) AS changed
WHERE execution.id = changed.column1

-- name: insert_history
-- A plain insert: committing a unit twice is an error.
INSERT INTO history (key, blob) VALUES (?, ?)

-- name: history_to_merge
-- Rows between two keys; NULL instead of a blob that is larger than the first parameter.
SELECT key, CASE WHEN length(blob) <= ? THEN blob END FROM history
WHERE key BETWEEN ? AND ? ORDER BY key

-- name: replace_history
UPDATE history SET blob = ? WHERE key = ?

-- name: insert_payload
INSERT INTO payload (key, blob) VALUES (?, ?)

-- name: put_continuation
INSERT INTO continuation (id, wake, events, blob) VALUES (?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET wake = excluded.wake, events = excluded.events, blob = excluded.blob

-- name: delete_continuation
DELETE FROM continuation WHERE id IN (VALUES (?))

-- name: put_frame
INSERT INTO frame (key, blob) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET blob = excluded.blob

-- name: delete_frame
DELETE FROM frame WHERE key IN (VALUES (?))

-- name: insert_items
INSERT INTO map_item (execution, frame, n, blob) VALUES (?, ?, ?, ?)

-- name: insert_results
INSERT INTO map_result (execution, frame, n, blob) VALUES (?, ?, ?, ?)

-- name: put_map_run
INSERT INTO map_run (execution, event, frame, seq, uuid, blob) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (execution, event) DO UPDATE SET blob = excluded.blob

-- name: put_record
INSERT INTO record (key, blob) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET blob = excluded.blob

-- name: delete_record
DELETE FROM record WHERE key IN (VALUES (?))

-- name: delete_items_of_frame
-- The end of a large Map, one frame at a time: a list of pairs would not use the index.
DELETE FROM map_item WHERE execution = ? AND frame = ?

-- name: delete_results_of_frame
DELETE FROM map_result WHERE execution = ? AND frame = ?

-- name: delete_items
DELETE FROM map_item WHERE execution = ?

-- name: delete_results
DELETE FROM map_result WHERE execution = ?

-- name: delete_frames
DELETE FROM frame WHERE key BETWEEN ? AND ?

-- name: delete_first_history
-- With delete_executions: executions of which nothing is kept.
DELETE FROM history WHERE key IN (VALUES (?))

-- name: delete_executions
DELETE FROM execution WHERE id IN (VALUES (?))

-- name: advance
-- The last statement: times and ids never go back, whatever is deleted later.
UPDATE meta SET clock = max(clock, ?), next_execution = max(next_execution, ?)


-- Reading executions --------------------------------------------------------------------------------

-- name: executions
-- The columns of rows.execution_row().
SELECT
    e.id, e.uuid, s.prefix, e.tail, s.machine, s.machine_name, p.role, s.express,
    p.definition, p.block, e.status, e.started, e.stopped, coalesce(e.events, c.events, 0),
    e.error, e.cause, e.parent, e.parent_frame, e.parent_seq, e.parent_index, e.extras
FROM execution e
JOIN series s ON s.id = e.series
JOIN pin p ON p.id = e.pin
LEFT JOIN continuation c ON c.id = e.id

-- name: execution
{executions} WHERE e.id = ?

-- name: execution_by_arn
{executions} WHERE e.series = (SELECT id FROM series WHERE prefix = ?) AND e.tail = ?

-- name: page_of_all
-- Pages, newest first: rows with smaller ids than the last one seen.
{executions} WHERE e.id < ? ORDER BY e.id DESC LIMIT ?

-- name: page_by_status
{executions} WHERE e.status = ? AND e.id < ? ORDER BY e.id DESC LIMIT ?

-- name: page_of_series
-- One status at a time, in the order of the index; the caller merges.
{executions} WHERE e.series = ? AND e.status = ? AND e.id < ? ORDER BY e.id DESC LIMIT ?

-- name: page_of_map_run
{executions}
WHERE e.parent = ? AND e.parent_frame = ? AND e.parent_seq = ? AND e.status = ? AND e.id < ?
ORDER BY e.id DESC LIMIT ?

-- name: page_of_version
{executions} WHERE e.version = ? AND e.status = ? AND e.id < ? ORDER BY e.id DESC LIMIT ?

-- name: page_of_alias
{executions} WHERE e.alias = ? AND e.status = ? AND e.id < ? ORDER BY e.id DESC LIMIT ?

-- name: qualifier
SELECT id FROM qualifier WHERE arn = ?

-- name: series_of_machine
SELECT id FROM series WHERE machine = ?

-- name: parked
SELECT k.id, s.prefix || ':' || e.tail, k.reason
FROM parked k JOIN execution e ON e.id = k.id JOIN series s ON s.id = e.series
WHERE e.stopped IS NULL ORDER BY k.id

-- name: park
INSERT INTO parked (id, at, reason) SELECT id, ?, ? FROM execution WHERE id = ?
ON CONFLICT (id) DO UPDATE SET at = excluded.at, reason = excluded.reason

-- name: unpark
DELETE FROM parked WHERE id = ?

-- name: create_empty_parked
-- For reading a database of a format that has no such table.
CREATE TEMP TABLE IF NOT EXISTS parked (id INTEGER PRIMARY KEY, at INTEGER, reason TEXT)

-- name: continuation
SELECT blob FROM continuation WHERE id = ?

-- name: frames
SELECT blob FROM frame WHERE key BETWEEN ? AND ? ORDER BY key

-- name: items
SELECT frame, blob FROM map_item WHERE execution = ? ORDER BY frame, n

-- name: results
SELECT frame, blob FROM map_result WHERE execution = ? ORDER BY frame, n

-- name: payload
SELECT blob FROM payload WHERE key = ?

-- name: map_runs
-- The columns of rows.map_run_row().
SELECT m.execution, s.prefix || ':' || e.tail, s.machine, s.machine_name, m.blob
FROM map_run m JOIN execution e ON e.id = m.execution JOIN series s ON s.id = e.series

-- name: map_run_by_uuid
{map_runs} WHERE m.uuid = ?

-- name: map_run_of_frame
{map_runs} WHERE m.execution = ? AND m.frame = ? AND m.seq = ?

-- name: map_runs_of_execution
{map_runs} WHERE m.execution = ? AND m.event > ? ORDER BY m.event LIMIT ?

-- name: map_runs_with_children
SELECT m.execution, m.frame, m.seq FROM map_run m
WHERE (m.execution, m.frame, m.seq) > (?, ?, ?)
AND EXISTS (
    SELECT 1 FROM execution e
    WHERE e.parent = m.execution AND e.parent_frame = m.frame AND e.parent_seq = m.seq
    AND e.status = ?
)
ORDER BY m.execution, m.frame, m.seq LIMIT ?

-- name: records
SELECT key, blob FROM record WHERE key > ? AND key >= ? AND key < ? ORDER BY key

-- name: waking
SELECT wake, id FROM continuation
WHERE wake > 0 AND wake <= ? AND (wake, id) > (?, ?) ORDER BY wake, id LIMIT ?

-- name: in_flight
SELECT id FROM continuation WHERE wake = 0 AND id > ? ORDER BY id LIMIT ?

-- name: history
-- From the row that holds an event to the end.
SELECT key, blob FROM history
WHERE key >= coalesce((SELECT max(key) FROM history WHERE key BETWEEN ? AND ?), ?) AND key <= ?
ORDER BY key

-- name: history_backwards
SELECT key, blob FROM history WHERE key BETWEEN ? AND ? ORDER BY key DESC

-- name: first_history
SELECT blob FROM history WHERE key = ?

-- name: last_history
SELECT blob FROM history WHERE key BETWEEN ? AND ? ORDER BY key DESC LIMIT 1


-- Retention -----------------------------------------------------------------------------------------

-- name: closed_before
SELECT id FROM execution WHERE stopped < ? ORDER BY stopped LIMIT ?

-- name: first_closed
SELECT stopped FROM execution WHERE stopped IS NOT NULL ORDER BY stopped LIMIT 1

-- name: delete_continuation_of
DELETE FROM continuation WHERE id = ?

-- name: delete_map_runs
DELETE FROM map_run WHERE execution = ?

-- name: delete_history
DELETE FROM history WHERE key BETWEEN ? AND ?

-- name: delete_payloads
DELETE FROM payload WHERE key BETWEEN ? AND ?

-- name: delete_execution
DELETE FROM execution WHERE id = ?

-- name: definition_ids
SELECT id FROM definition

-- name: definitions_used
SELECT DISTINCT p.definition FROM execution e JOIN pin p ON p.id = e.pin WHERE e.id >= ? AND e.id < ?

-- name: delete_definition
DELETE FROM definition WHERE id = ?


-- State machines and activities ---------------------------------------------------------------------

-- name: all_machines
-- The columns of rows.machine_row().
SELECT
    m.arn, m.name, d.type, d.role, d.text, d.id, d.revision, m.created, m.updated, m.status,
    m.extras, d.configuration
FROM machine m JOIN definition d ON d.id = m.definition

-- name: machine
{all_machines} WHERE m.arn = ?

-- name: machines
{all_machines} WHERE m.arn > ? AND m.status = coalesce(?, m.status) ORDER BY m.arn

-- name: count_machines
SELECT count(*) FROM machine

-- name: put_machine
INSERT INTO machine (arn, name, definition, created, updated, status, extras)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (arn) DO UPDATE SET
    name = excluded.name, definition = excluded.definition, created = excluded.created,
    updated = excluded.updated, status = excluded.status, extras = excluded.extras

-- name: delete_machine
DELETE FROM machine WHERE arn = ?

-- name: definition
SELECT id, machine, type, role, revision, created, text, configuration
FROM definition WHERE id = ?

-- name: insert_definition
INSERT INTO definition (machine, type, role, revision, created, text, configuration)
VALUES (?, ?, ?, ?, ?, ?, ?)

-- name: put_activity
INSERT INTO activity (arn, name, created, extras) VALUES (?, ?, ?, ?)
ON CONFLICT (arn) DO UPDATE SET
    name = excluded.name, created = excluded.created, extras = excluded.extras

-- name: activity
SELECT arn, name, created, extras FROM activity WHERE arn = ?

-- name: activities
SELECT arn, name, created, extras FROM activity WHERE arn > ? ORDER BY arn

-- name: delete_activity
DELETE FROM activity WHERE arn = ?


-- Opening -------------------------------------------------------------------------------------------

-- name: take_over
-- The new owner's epoch: fence fails for any earlier owner from now on.
UPDATE meta SET epoch = epoch + 1 WHERE id = 1 RETURNING epoch

-- name: meta
SELECT clock, next_execution, secret FROM meta

-- name: delete_unused_series
DELETE FROM series WHERE NOT EXISTS (SELECT 1 FROM execution WHERE series = series.id)

-- name: all_series
SELECT prefix, id FROM series

-- name: all_qualifiers
SELECT arn, id FROM qualifier

-- name: all_pins
SELECT definition, block, role, id FROM pin
