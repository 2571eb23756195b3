-- The statements that PostgreSQL spells in its own way. migrations/ explains the tables.
--
-- The statement of a commit is put together by commits.py: each part takes its rows as arrays.


-- Keys of records are bytea, and those of machines and activities come as bytes ----------------------

-- name: check_machine
SELECT arn, extras, name, status FROM machine
WHERE arn > convert_from(?::bytea, 'UTF8') ORDER BY arn LIMIT ?

-- name: check_activity
SELECT arn, extras, name FROM activity
WHERE arn > convert_from(?::bytea, 'UTF8') ORDER BY arn LIMIT ?

-- name: check_record
SELECT key, blob FROM record WHERE key > ? ORDER BY key LIMIT ?


-- Many executions at once ----------------------------------------------------------------------------

-- name: histories_to_merge
-- As history_to_merge, for arrays of first and last keys.
SELECT r.first, h.key, CASE WHEN length(h.blob) <= ? THEN h.blob END
FROM unnest(?::bigint[], ?::bigint[]) AS r (first, last)
JOIN history h ON h.key BETWEEN r.first AND r.last ORDER BY r.first, h.key

-- name: replace_histories
-- The rows from the second to the last key of each run are now part of the first one.
WITH merged AS (
    DELETE FROM history USING unnest(?::bigint[], ?::bigint[]) AS r (second, last)
    WHERE key BETWEEN r.second AND r.last
)
UPDATE history SET blob = r.blob FROM unnest(?::bigint[], ?::bytea[]) AS r (first, blob)
WHERE key = r.first

-- name: delete_all_rows
-- Of the executions with these ids.
WITH r AS (SELECT unnest(?::bigint[]) AS id),
a AS (DELETE FROM continuation USING r WHERE continuation.id = r.id),
b AS (DELETE FROM parked USING r WHERE parked.id = r.id),
c AS (DELETE FROM map_item USING r WHERE execution = r.id),
d AS (DELETE FROM map_result USING r WHERE execution = r.id),
e AS (DELETE FROM map_run USING r WHERE execution = r.id),
f AS (DELETE FROM frame USING r WHERE key BETWEEN r.id << 17 AND r.id << 17 | 131071),
g AS (DELETE FROM history USING r WHERE key BETWEEN r.id << 15 AND r.id << 15 | 32767),
h AS (DELETE FROM long_history USING r WHERE execution = r.id),
i AS (DELETE FROM payload USING r WHERE key BETWEEN r.id << 17 AND r.id << 17 | 131071)
DELETE FROM execution USING r WHERE execution.id = r.id


-- Opening -------------------------------------------------------------------------------------------

-- name: lock
SELECT pg_try_advisory_lock(?, ?)

-- name: formats
CREATE TABLE IF NOT EXISTS format (number int PRIMARY KEY)

-- name: format
SELECT coalesce(max(number), 0) FROM format

-- name: set_format
INSERT INTO format (number) VALUES (?)


-- Copying -------------------------------------------------------------------------------------------

-- name: set_next_definition
SELECT setval(
    pg_get_serial_sequence('definition', 'id'), (SELECT coalesce(max(id), 0) + 1 FROM definition),
    false
)
