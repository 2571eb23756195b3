-- The statements that only SQLite spells so. migrations/ explains the tables.
--
-- A statement that a commit runs for many rows is written for one: its `VALUES (?, ...)` is repeated
-- for each row.


-- A commit ------------------------------------------------------------------------------------------

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

-- name: insert_attribute
INSERT INTO attribute (name, value, execution, closing) VALUES (?, ?, ?, ?)
ON CONFLICT (name, value, execution) DO NOTHING

-- name: insert_history
-- A plain insert: committing a unit twice is an error.
INSERT INTO history (key, blob) VALUES (?, ?)

-- name: insert_long_history
INSERT INTO long_history (execution, event, blob) VALUES (?, ?, ?)

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

-- name: insert_child_inputs
INSERT INTO child_input (execution, frame, seq, n, blob) VALUES (?, ?, ?, ?, ?)

-- name: insert_child_outputs
INSERT INTO child_output (execution, frame, seq, n, slots, blob) VALUES (?, ?, ?, ?, ?, ?)

-- name: put_map_run
INSERT INTO map_run (execution, event, frame, seq, uuid, blob) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (execution, event) DO UPDATE SET blob = excluded.blob

-- name: put_record
INSERT INTO record (key, blob) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET blob = excluded.blob

-- name: delete_record
DELETE FROM record WHERE key IN (VALUES (?))

-- name: delete_first_history
-- With delete_executions: executions of which nothing is kept.
DELETE FROM history WHERE key IN (VALUES (?))

-- name: delete_executions
DELETE FROM execution WHERE id IN (VALUES (?))

-- name: advance
-- The last statement: times and ids never go back, whatever is deleted later.
UPDATE meta SET clock = max(clock, ?), next_execution = max(next_execution, ?)


-- Reading executions --------------------------------------------------------------------------------

-- For reading a database of a format that has no such table.

-- name: create_empty_parked
CREATE TEMP TABLE IF NOT EXISTS parked (id INTEGER PRIMARY KEY, at INTEGER, reason TEXT)

-- name: create_empty_long_history
CREATE TEMP TABLE IF NOT EXISTS long_history (execution INTEGER, event INTEGER, blob BLOB)

-- name: create_empty_attribute
-- With the errors, as the migration that creates it.
CREATE TEMP TABLE IF NOT EXISTS attribute AS
SELECT 'error' AS name, CAST('s' || substr(error, 1, 256) AS BLOB) AS value, id AS execution,
1 AS closing
FROM execution WHERE error IS NOT NULL AND parent IS NULL

-- name: attribute_equal
-- (id, started), newest first, in the order of the index.
SELECT a.execution, e.started FROM attribute a CROSS JOIN execution e ON e.id = a.execution
WHERE a.name = ? AND a.value = ? AND a.execution < ? ORDER BY a.execution DESC LIMIT ?

-- name: attribute_within
SELECT a.execution, e.started FROM attribute a CROSS JOIN execution e ON e.id = a.execution
WHERE a.name = ? AND a.value >= ? AND a.value < ? AND a.execution < ?
ORDER BY a.execution DESC LIMIT ?

-- name: attribute_among
-- CROSS JOIN: this order, by attribute_execution.
SELECT a.execution FROM json_each(?) asked CROSS JOIN attribute a
WHERE a.execution = asked.value AND +a.name = ? AND a.value >= ? AND a.value < ?

-- name: attributes_of
SELECT execution, name, value FROM attribute WHERE execution IN (SELECT value FROM json_each(?))
ORDER BY execution, name, value

-- name: endings
-- As UPDATE_EXECUTION writes them: NULL while it runs.
SELECT id, stopped, events FROM execution WHERE id IN (SELECT value FROM json_each(?))

-- name: delete_attributes
DELETE FROM attribute WHERE execution IN (SELECT value FROM json_each(?))

-- name: executions_of
{executions} WHERE e.id IN (SELECT value FROM json_each(?))

-- name: execution_up_to
-- The last one whose id is not greater.
SELECT id, started FROM execution WHERE id <= ? ORDER BY id DESC LIMIT 1

-- name: taken
-- CROSS JOIN: this order.
SELECT s.prefix || ':' || e.tail
FROM json_each(?) asked
CROSS JOIN series s ON s.prefix = json_extract(asked.value, '$[0]')
CROSS JOIN execution e ON e.series = s.id AND e.tail = json_extract(asked.value, '$[1]')


-- Retention -----------------------------------------------------------------------------------------

-- The parameter is a JSON array of ids of executions.

-- name: delete_all_continuation
DELETE FROM continuation WHERE id IN (SELECT value FROM json_each(?))

-- name: delete_all_attribute
{delete_attributes}

-- name: delete_all_parked
DELETE FROM parked WHERE id IN (SELECT value FROM json_each(?))

-- name: delete_all_execution
DELETE FROM execution WHERE id IN (SELECT value FROM json_each(?))

-- name: delete_all_map_item
DELETE FROM map_item WHERE execution IN (SELECT value FROM json_each(?))

-- name: delete_all_map_result
DELETE FROM map_result WHERE execution IN (SELECT value FROM json_each(?))

-- name: delete_all_child_input
DELETE FROM child_input WHERE execution IN (SELECT value FROM json_each(?))

-- name: delete_all_child_output
DELETE FROM child_output WHERE execution IN (SELECT value FROM json_each(?))

-- name: delete_all_map_run
DELETE FROM map_run WHERE execution IN (SELECT value FROM json_each(?))

-- name: delete_all_long_history
DELETE FROM long_history WHERE execution IN (SELECT value FROM json_each(?))

-- name: delete_all_frame
DELETE FROM frame WHERE key IN (
    SELECT frame.key FROM json_each(?) AS these CROSS JOIN frame
    ON frame.key BETWEEN these.value << 17 AND (these.value << 17 | 131071)
)

-- name: delete_all_history
DELETE FROM history WHERE key IN (
    SELECT history.key FROM json_each(?) AS these CROSS JOIN history
    ON history.key BETWEEN these.value << 15 AND (these.value << 15 | 32767)
)

-- name: delete_all_payload
DELETE FROM payload WHERE key IN (
    SELECT payload.key FROM json_each(?) AS these CROSS JOIN payload
    ON payload.key BETWEEN these.value << 17 AND (these.value << 17 | 131071)
)
