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
