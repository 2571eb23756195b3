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

-- name: continuations
-- What loads ask for, with its key first.
SELECT id, blob FROM continuation WHERE id = ANY (?::bigint[])

-- name: executions_of
{executions} WHERE e.id = ANY (?::bigint[])

-- name: attribute_equal
-- (id, started), newest first.
SELECT e.id, e.started FROM attribute a JOIN execution e ON e.id = a.execution
WHERE a.name = ? AND a.value = ? AND (e.started, e.id) < (?, ?)
ORDER BY e.started DESC, e.id DESC LIMIT ?

-- name: attribute_within
SELECT e.id, e.started FROM attribute a JOIN execution e ON e.id = a.execution
WHERE a.name = ? AND a.value >= ? AND a.value < ? AND (e.started, e.id) < (?, ?)
ORDER BY e.started DESC, e.id DESC LIMIT ?

-- name: attribute_among
SELECT a.execution FROM attribute a
WHERE a.execution = ANY (?::bigint[]) AND a.name = ? AND a.value >= ? AND a.value < ?

-- name: attributes_of
SELECT execution, name, value FROM attribute WHERE execution = ANY (?::bigint[])
ORDER BY execution, name, value

-- name: endings
SELECT id, stopped, events FROM execution WHERE id = ANY (?::bigint[])

-- name: delete_attributes
DELETE FROM attribute WHERE execution = ANY (?::bigint[])

-- name: insert_attributes
INSERT INTO attribute (name, value, execution, closing)
SELECT * FROM unnest(?::text[], ?::bytea[], ?::bigint[], ?::smallint[]) ON CONFLICT DO NOTHING

-- name: lock_owners
-- No commit of these shards, which begins by updating its row, is under way until the transaction
-- ends.
SELECT 1 FROM shard WHERE number = ANY (?::int[]) ORDER BY number FOR NO KEY UPDATE

-- name: all_described
-- As described, for arrays of what it is asked for, with the place in them first.
SELECT
    r.place,
    x.*,
    (SELECT blob FROM history WHERE key = x.id << 15 | 1),
    (
        SELECT blob FROM history WHERE key BETWEEN x.id << 15 AND x.id << 15 | 32767
        ORDER BY key DESC LIMIT 1
    )
FROM unnest(?::text[], ?::text[]) WITH ORDINALITY AS r (prefix, tail, place)
CROSS JOIN LATERAL ({found}) AS f
CROSS JOIN LATERAL ({executions} WHERE e.id = f.id LIMIT 1) AS x

-- name: first_histories
SELECT key, blob FROM history WHERE key = ANY (?::bigint[])

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
l AS (DELETE FROM attribute USING r WHERE execution = r.id),
c AS (DELETE FROM map_item USING r WHERE execution = r.id),
d AS (DELETE FROM map_result USING r WHERE execution = r.id),
e AS (DELETE FROM map_run USING r WHERE execution = r.id),
f AS (DELETE FROM frame USING r WHERE key BETWEEN r.id << 17 AND r.id << 17 | 131071),
g AS (DELETE FROM history USING r WHERE key BETWEEN r.id << 15 AND r.id << 15 | 32767),
h AS (DELETE FROM long_history USING r WHERE execution = r.id),
i AS (DELETE FROM payload USING r WHERE key BETWEEN r.id << 17 AND r.id << 17 | 131071),
j AS (DELETE FROM child_input USING r WHERE execution = r.id),
k AS (DELETE FROM child_output USING r WHERE execution = r.id)
DELETE FROM execution USING r WHERE execution.id = r.id


-- A shard, whose number is a parameter --------------------------------------------------------------

-- name: fence
-- Locks the row: who takes the shard over waits for the end of this transaction.
SELECT 1 FROM shard WHERE number = ? AND epoch = ? FOR NO KEY UPDATE

-- name: take_over
UPDATE shard SET epoch = epoch + 1, owner = ?::bigint WHERE number = ? RETURNING epoch

-- name: meta
SELECT s.clock, s.next_execution, m.secret FROM shard s CROSS JOIN meta m WHERE s.number = ?

-- name: delete_unused_series
DELETE FROM series
WHERE id >> 32 = ? AND NOT EXISTS (SELECT 1 FROM execution WHERE series = series.id)

-- name: all_series
SELECT prefix, id FROM series WHERE id >> 32 = ?

-- name: all_qualifiers
SELECT arn, id FROM qualifier WHERE id >> 32 = ?

-- name: all_pins
SELECT definition, block, role, id FROM pin WHERE id >> 32 = ?

-- name: waking
SELECT wake, id FROM continuation
WHERE id >> 38 = ? AND wake > 0 AND wake <= ? AND (wake, id) > (?, ?) ORDER BY wake, id LIMIT ?

-- name: in_flight
SELECT id FROM continuation WHERE id >> 38 = ? AND wake = 0 AND id > ? ORDER BY id LIMIT ?

-- name: map_runs_with_children
SELECT m.execution, m.frame, m.seq
FROM (SELECT ?::bigint AS number) AS shard
JOIN map_run m ON m.execution >= number << 38 AND m.execution < (number + 1) << 38
WHERE (m.execution, m.frame, m.seq) > (?, ?, ?)
AND EXISTS (
    SELECT 1 FROM execution e
    WHERE e.parent = m.execution AND e.parent_frame = m.frame AND e.parent_seq = m.seq
    AND e.status = ?
)
ORDER BY m.execution, m.frame, m.seq LIMIT ?

-- name: closed_before
SELECT id, events FROM execution WHERE id >> 38 = ? AND stopped < ? ORDER BY stopped LIMIT ?

-- name: first_closed
SELECT stopped FROM execution
WHERE id >> 38 = ? AND stopped IS NOT NULL ORDER BY stopped LIMIT 1


-- All shards ----------------------------------------------------------------------------------------

-- name: found
-- The execution of r.prefix and r.tail. Its order leaves one index for it: the planner takes the
-- tables of a new schema for empty, where each index is as good, and a session keeps its plans for
-- minutes.
SELECT f.id FROM series k CROSS JOIN LATERAL (
    SELECT id, series, tail FROM execution WHERE (series, tail) >= (k.id, r.tail)
    ORDER BY series, tail LIMIT 1
) AS f WHERE k.prefix = r.prefix AND f.series = k.id AND f.tail = r.tail LIMIT 1

-- name: execution_by_arn
{executions} WHERE e.series IN (SELECT id FROM series WHERE prefix = ?) AND e.tail = ?

-- name: page_of_all
-- Pages of lists.py, newest first, each of so many rows of each shard, status or series in the order
-- of an index. Here those of each shard begin at the next row of execution_started.
{executions} WHERE e.id IN (
    SELECT n.id FROM shard s
    CROSS JOIN LATERAL (
        SELECT x.id, x.started FROM execution x
        WHERE x.id >= s.number::bigint << 38 AND x.id < coalesce((
            SELECT y.id FROM execution y
            WHERE y.id >> 38 = s.number::bigint AND y.started > ? AND y.id & 63 = 0
            ORDER BY y.started, y.id LIMIT 1
        ), (s.number::bigint + 1) << 38)
        AND (x.started, x.id) < (?, ?) AND x.status = ANY (?::smallint[])
        ORDER BY x.id DESC LIMIT ?
    ) AS n
    ORDER BY n.started DESC, n.id DESC LIMIT ?
) ORDER BY e.started DESC, e.id DESC

-- name: page_not_succeeded
-- Of a status other than SUCCEEDED.
{executions} WHERE e.status <> 1 AND e.status = ? AND (e.started, e.id) < (?, ?)
ORDER BY e.started DESC, e.id DESC LIMIT ?

-- name: newest
SELECT x.id, x.started FROM execution x
WHERE x.status = code AND (x.started, x.id) < (?, ?)

-- name: page_of_machine
{executions} WHERE e.id IN (
    SELECT n.id FROM series k CROSS JOIN unnest(?::smallint[]) AS c (code)
    CROSS JOIN LATERAL (
        {newest} AND x.series = k.id ORDER BY x.started DESC, x.id DESC LIMIT ?
    ) AS n
    WHERE k.machine = ? ORDER BY n.started DESC, n.id DESC LIMIT ?
) ORDER BY e.started DESC, e.id DESC

-- name: page_of_version
{executions} WHERE e.id IN (
    SELECT n.id FROM qualifier q CROSS JOIN unnest(?::smallint[]) AS c (code)
    CROSS JOIN LATERAL (
        {newest} AND x.version = q.id ORDER BY x.started DESC, x.id DESC LIMIT ?
    ) AS n
    WHERE q.arn = ? ORDER BY n.started DESC, n.id DESC LIMIT ?
) ORDER BY e.started DESC, e.id DESC

-- name: page_of_alias
{executions} WHERE e.id IN (
    SELECT n.id FROM qualifier q CROSS JOIN unnest(?::smallint[]) AS c (code)
    CROSS JOIN LATERAL (
        {newest} AND x.alias = q.id ORDER BY x.started DESC, x.id DESC LIMIT ?
    ) AS n
    WHERE q.arn = ? ORDER BY n.started DESC, n.id DESC LIMIT ?
) ORDER BY e.started DESC, e.id DESC

-- name: page_of_map_run
-- Its children are all on one shard, whose ids are in the order of time.
{executions} WHERE e.id IN (
    SELECT n.id FROM unnest(?::smallint[]) AS c (code)
    CROSS JOIN LATERAL (
        SELECT x.id FROM execution x
        WHERE x.status = code AND x.id < ? AND x.parent = ? AND x.parent_frame = ?
        AND x.parent_seq = ? ORDER BY x.id DESC LIMIT ?
    ) AS n
    ORDER BY n.id DESC LIMIT ?
) ORDER BY e.id DESC

-- Health --------------------------------------------------------------------------------------------

-- name: health
-- The columns of base.Health but free_bytes. A role sees the transactions of others, and standbys, if
-- it has pg_read_all_stats.
SELECT
    (SELECT coalesce(sum(pg_total_relation_size(relid)), 0)::bigint FROM pg_stat_user_tables
     WHERE schemaname = current_schema()),
    (SELECT coalesce(sum(n_dead_tup), 0)::bigint FROM pg_stat_user_tables
     WHERE schemaname = current_schema()),
    (SELECT coalesce(extract(epoch FROM now() - min(began)), 0)::float FROM (
        SELECT xact_start FROM pg_stat_activity WHERE backend_xmin IS NOT NULL
        UNION ALL SELECT prepared FROM pg_prepared_xacts
     ) AS transactions (began)),
    CASE WHEN pg_has_role('pg_read_all_stats', 'USAGE') THEN
        (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum'))
    END


-- Opening -------------------------------------------------------------------------------------------

-- name: lock
SELECT pg_try_advisory_lock(?, ?)

-- name: lock_format
-- Until the end of the transaction.
SELECT pg_advisory_xact_lock(?, 0)

-- name: create_meta
INSERT INTO meta (id, shards, secret) VALUES (
    1, ?, decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex')
)

-- name: create_shards
INSERT INTO shard (number, clock, next_execution, epoch)
SELECT number, 0, (number::bigint << 38) + 1, 0 FROM generate_series(0, ?::int - 1) AS number

-- name: shards
SELECT shards FROM meta

-- name: formats
CREATE TABLE IF NOT EXISTS format (number int PRIMARY KEY)

-- name: format
SELECT coalesce(max(number), 0) FROM format

-- name: set_format
INSERT INTO format (number) VALUES (?)


-- Members -------------------------------------------------------------------------------------------

-- name: new_node
SELECT nextval(pg_get_serial_sequence('node', 'id'))

-- name: put_node
INSERT INTO node (id, address) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET address = excluded.address

-- name: end_silent
-- A process that is frozen amid a statement or a transaction leaves its session waiting for it, and
-- no timeout of the server ends that: it is "active", not idle.
SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a WHERE a.state <> 'idle'
AND a.wait_event = 'ClientRead' AND a.state_change < clock_timestamp() - ?::float8 * interval '1 s'
AND EXISTS (
    SELECT 1 FROM pg_locks l
    WHERE l.pid = a.pid AND l.locktype = 'advisory' AND l.objsubid = 2 AND l.granted
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.classid::bigint IN (?::bigint, ?::bigint)
)

-- name: retire_node
UPDATE node SET retiring = true WHERE id = ?

-- name: delete_nodes
DELETE FROM node WHERE id = ANY (?::bigint[])

-- name: look
-- All nodes and shards: (whether it is a shard, its number, a node's address, a shard's owner,
-- whether its lock is held, whether a node is retiring). The parameters are the classes of the locks of nodes and shards.
WITH held AS (
    SELECT classid::bigint AS class, objid::bigint AS number FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 2 AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
)
SELECT false, id, address, NULL::bigint, EXISTS (
    SELECT 1 FROM held WHERE class = ?::bigint AND held.number = node.id
), retiring FROM node
UNION ALL
SELECT true, shard.number, NULL, owner, EXISTS (
    SELECT 1 FROM held WHERE class = ?::bigint AND held.number = shard.number
), false FROM shard

-- name: holders
-- The sessions that hold locks of these classes: of nodes, and of one shard.
SELECT DISTINCT a.application_name, coalesce(host(a.client_addr), 'this host')
FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.granted
AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND (l.classid::bigint = ?::bigint OR l.classid::bigint = ?::bigint AND l.objid::bigint = ?::bigint)
ORDER BY 1 DESC

-- name: users
-- The sessions of other processes that hold locks of these classes: of nodes, and of shards.
SELECT DISTINCT a.application_name, coalesce(host(a.client_addr), 'this host')
FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
WHERE l.locktype = 'advisory' AND l.objsubid = 2 AND l.granted
AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND l.classid::bigint IN (?::bigint, ?::bigint) AND l.pid <> pg_backend_pid()
ORDER BY 1 DESC

-- Copying -------------------------------------------------------------------------------------------

-- name: dump_meta
-- Of the shards that were used, each with the latest time of all.
SELECT (SELECT max(clock) FROM shard), s.next_execution, m.secret FROM shard s CROSS JOIN meta m
WHERE s.number = 0 OR s.next_execution > (s.number::bigint << 38) + 1 ORDER BY s.number

-- name: restore_secret
UPDATE meta SET secret = ?

-- name: restore_clock
UPDATE shard SET clock = greatest(clock, ?)

-- name: restore_next
UPDATE shard SET next_execution = greatest(next_execution, ?) WHERE number = ?

-- name: raise_next
-- Above the ids that came from a database with other shards.
UPDATE shard SET next_execution = greatest(next_execution, (
    SELECT max(id) + 1 FROM execution WHERE id >= number::bigint << 38
    AND id < (number::bigint + 1) << 38
))

-- name: greatest_shard
SELECT max(id) >> 38 FROM execution

-- name: set_next_definition
SELECT setval(
    pg_get_serial_sequence('definition', 'id'), (SELECT coalesce(max(id), 0) + 1 FROM definition),
    false
)


-- Reading executions --------------------------------------------------------------------------------

-- name: taken
SELECT r.prefix || ':' || r.tail
FROM (SELECT name ->> 0, name ->> 1 FROM json_array_elements(?::json) AS n (name))
AS r (prefix, tail)
CROSS JOIN LATERAL ({found}) AS f
