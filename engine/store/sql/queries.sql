-- The statements of every store in SQL, in the words that SQLite and PostgreSQL share.
--
-- `-- name: x` begins the statement that Python calls x (sql.py); lines of comment after it are its
-- documentation. {x} stands for the text of an earlier statement. A database's own folder has the
-- statements that it spells in its own way; they replace those of the same name here.


-- A commit ------------------------------------------------------------------------------------------

-- name: fence
-- The first statement of each transaction: no row means that another process owns the database.
SELECT 1 FROM meta WHERE id = 1 AND epoch = ?

-- name: history_to_merge
-- Rows between two keys; NULL instead of a blob that is larger than the first parameter.
SELECT key, CASE WHEN length(blob) <= ? THEN blob END FROM history
WHERE key BETWEEN ? AND ? ORDER BY key

-- name: replace_history
UPDATE history SET blob = ? WHERE key = ?

-- name: long_history_to_merge
-- The same three for events after those that the keys of `history` can number.
SELECT event, CASE WHEN length(blob) <= ? THEN blob END FROM long_history
WHERE execution = ? AND event BETWEEN ? AND ? ORDER BY event

-- name: replace_long_history
UPDATE long_history SET blob = ? WHERE execution = ? AND event = ?

-- name: delete_long_history
DELETE FROM long_history WHERE execution = ? AND event BETWEEN ? AND ?

-- name: delete_items_of_frame
-- The end of a large Map, one frame at a time: a list of pairs would not use the index.
DELETE FROM map_item WHERE execution = ? AND frame = ?

-- name: delete_results_of_frame
DELETE FROM map_result WHERE execution = ? AND frame = ?

-- name: delete_items
DELETE FROM map_item WHERE execution = ?

-- name: delete_results
DELETE FROM map_result WHERE execution = ?

-- name: delete_child_inputs_of_frame
DELETE FROM child_input WHERE execution = ? AND frame = ?

-- name: delete_child_outputs_of_frame
DELETE FROM child_output WHERE execution = ? AND frame = ?

-- name: delete_used_inputs
-- Of a Map Run whose children have succeeded up to a slot: all before the row that has it.
DELETE FROM child_input WHERE execution = ? AND frame = ? AND seq = ? AND n < (
    SELECT max(n) FROM child_input WHERE execution = ? AND frame = ? AND seq = ? AND n <= ?
)

-- name: delete_child_inputs
DELETE FROM child_input WHERE execution = ?

-- name: delete_child_outputs
DELETE FROM child_output WHERE execution = ?

-- name: attribute_size
-- How many rows have a value in a range, counted up to a limit.
SELECT count(*) FROM
(SELECT 1 FROM attribute WHERE name = ? AND value >= ? AND value < ? LIMIT ?) AS counted

-- name: delete_closing_attributes
-- A redrive takes back the end of an execution.
DELETE FROM attribute WHERE execution = ? AND closing = 1

-- name: attribute_used
SELECT 1 FROM attribute WHERE name = ? LIMIT 1

-- name: delete_frames
DELETE FROM frame WHERE key BETWEEN ? AND ?


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

-- name: described
-- With the first row of history, which has the input, and the last one before long_history.
SELECT
    x.*,
    (SELECT blob FROM history WHERE key = x.id << 15 | 1),
    (
        SELECT blob FROM history WHERE key BETWEEN x.id << 15 AND x.id << 15 | 32767
        ORDER BY key DESC LIMIT 1
    )
FROM ({execution_by_arn}) x

-- name: page_of_all
-- Pages, newest first: rows with smaller ids than the last one seen.
{executions} WHERE e.id < ? ORDER BY e.id DESC LIMIT ?

-- name: page_by_status
{executions} WHERE e.status = ? AND e.id < ? ORDER BY e.id DESC LIMIT ?

-- name: page_not_succeeded
-- Of a status other than SUCCEEDED.
{executions}
WHERE e.status <> 1 AND e.status = ? AND e.id < ? ORDER BY e.id DESC LIMIT ?

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
INSERT INTO parked (id, at, reason)
SELECT id, CAST(? AS bigint), CAST(? AS text) FROM execution WHERE id = ?
ON CONFLICT (id) DO UPDATE SET at = excluded.at, reason = excluded.reason

-- name: unpark
DELETE FROM parked WHERE id = ?

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

-- name: child_output_slots
SELECT frame, seq, slots FROM child_output WHERE execution = ?

-- name: child_inputs
-- The row with the input of a child, by its slot.
SELECT n, blob FROM child_input WHERE execution = ? AND frame = ? AND seq = ? AND n <= ?
ORDER BY n DESC LIMIT 1

-- name: child_outputs
SELECT n, blob FROM child_output WHERE execution = ? AND frame = ? AND seq = ? AND n >= ?
ORDER BY n LIMIT ?

-- name: delete_some_child_inputs
DELETE FROM child_input WHERE execution = ? AND frame = ? AND seq = ? AND n <= (
    SELECT max(n) FROM (
        SELECT n FROM child_input WHERE execution = ? AND frame = ? AND seq = ? ORDER BY n LIMIT ?
    ) AS firsts
)

-- name: delete_some_child_outputs
DELETE FROM child_output WHERE execution = ? AND frame = ? AND seq = ? AND n <= (
    SELECT max(n) FROM (
        SELECT n FROM child_output WHERE execution = ? AND frame = ? AND seq = ? ORDER BY n LIMIT ?
    ) AS firsts
)

-- name: waking
SELECT wake, id FROM continuation
WHERE wake > 0 AND wake <= ? AND (wake, id) > (?, ?) ORDER BY wake, id LIMIT ?

-- name: in_flight
SELECT id FROM continuation WHERE wake = 0 AND id > ? ORDER BY id LIMIT ?

-- name: history
-- Rows from the one that holds an event.
SELECT key, blob FROM history
WHERE key >= coalesce((SELECT max(key) FROM history WHERE key BETWEEN ? AND ?), ?) AND key <= ?
ORDER BY key LIMIT ?

-- name: history_backwards
SELECT key, blob FROM history WHERE key BETWEEN ? AND ? ORDER BY key DESC LIMIT ?

-- name: long_history
SELECT event, blob FROM long_history
WHERE execution = ? AND event >= coalesce(
    (SELECT max(event) FROM long_history WHERE execution = ? AND event <= ?), 0
)
ORDER BY event LIMIT ?

-- name: long_history_backwards
SELECT event, blob FROM long_history
WHERE execution = ? AND event <= ? ORDER BY event DESC LIMIT ?

-- name: first_history
SELECT blob FROM history WHERE key = ?


-- Retention -----------------------------------------------------------------------------------------

-- name: closed_before
SELECT id, events FROM execution WHERE stopped < ? ORDER BY stopped LIMIT ?

-- name: first_closed
SELECT stopped FROM execution WHERE stopped IS NOT NULL ORDER BY stopped LIMIT 1

-- name: delete_history
DELETE FROM history WHERE key BETWEEN ? AND ?

-- name: delete_payloads
DELETE FROM payload WHERE key BETWEEN ? AND ?

-- name: definition_ids
SELECT id FROM definition

-- name: definitions_used
SELECT p.definition, max(e.id)
FROM (SELECT id, pin FROM execution WHERE id > ? ORDER BY id LIMIT ?) AS e
JOIN pin p ON p.id = e.pin GROUP BY p.definition

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
VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id

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


-- Checking: every row of a table, a page at a time, in the order of its key --------------------------

-- name: check_definition
SELECT id, machine, type, text, configuration, role, revision FROM definition
WHERE id > ? ORDER BY id LIMIT ?

-- name: check_series
SELECT id, prefix, machine, machine_name FROM series WHERE id > ? ORDER BY id LIMIT ?

-- name: check_pin
SELECT id, role FROM pin WHERE id > ? ORDER BY id LIMIT ?

-- name: check_qualifier
SELECT id, arn FROM qualifier WHERE id > ? ORDER BY id LIMIT ?

-- name: check_machine
SELECT arn, extras, name, status FROM machine WHERE arn > CAST(? AS TEXT) ORDER BY arn LIMIT ?

-- name: check_activity
SELECT arn, extras, name FROM activity WHERE arn > CAST(? AS TEXT) ORDER BY arn LIMIT ?

-- name: check_execution
SELECT id, extras, tail, error, cause FROM execution WHERE id > ? ORDER BY id LIMIT ?

-- name: check_continuation
SELECT id FROM continuation WHERE id > ? ORDER BY id LIMIT ?

-- name: check_history
SELECT key, blob FROM history WHERE key > ? ORDER BY key LIMIT ?

-- name: check_long_history
SELECT execution, event, blob FROM long_history
WHERE (execution, event) > (?, ?) ORDER BY execution, event LIMIT ?

-- name: check_payload
SELECT key, blob FROM payload WHERE key > ? ORDER BY key LIMIT ?

-- name: check_map_run
SELECT execution, event, blob FROM map_run
WHERE (execution, event) > (?, ?) ORDER BY execution, event LIMIT ?

-- name: check_record
SELECT key, blob FROM record WHERE key > CAST(? AS TEXT) ORDER BY key LIMIT ?

-- name: check_child_input
SELECT execution, frame, seq, n, blob FROM child_input
WHERE (execution, frame, seq, n) > (?, ?, ?, ?) ORDER BY execution, frame, seq, n LIMIT ?

-- name: check_child_output
SELECT execution, frame, seq, n, slots, blob FROM child_output
WHERE (execution, frame, seq, n) > (?, ?, ?, ?) ORDER BY execution, frame, seq, n LIMIT ?
