-- Search attributes of executions, and the errors of failed ones. closing: it is of the end, which a
-- redrive takes back. engine/search/values.py explains the values.
CREATE TABLE attribute (
    name TEXT NOT NULL,
    value BLOB NOT NULL,
    execution INTEGER NOT NULL,
    closing INTEGER NOT NULL,
    PRIMARY KEY (name, value, execution)
) WITHOUT ROWID;
CREATE INDEX attribute_execution ON attribute (execution);
INSERT INTO attribute (name, value, execution, closing)
SELECT 'error', CAST('s' || substr(error, 1, 256) AS BLOB), id, 1 FROM execution
WHERE error IS NOT NULL AND parent IS NULL;
