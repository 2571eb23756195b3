-- Search attributes of executions, and the errors of failed ones. closing: it is of the end, which a
-- redrive takes back. engine/search/values.py explains the values.
CREATE TABLE attribute (
    name text COLLATE "C" NOT NULL,
    value bytea NOT NULL,
    execution bigint NOT NULL,
    closing smallint NOT NULL,
    PRIMARY KEY (name, value, execution)
);
CREATE INDEX attribute_execution ON attribute (execution);
INSERT INTO attribute (name, value, execution, closing)
SELECT 'error', 's'::bytea || substring(error FROM 1 FOR 256), id, 1 FROM execution
WHERE status <> 1 AND error IS NOT NULL AND parent IS NULL;
