-- The history of an execution from its event 32,768 on, which the keys of `history` cannot number. event: the first of the unit
CREATE TABLE long_history (
    execution INTEGER NOT NULL,
    event INTEGER NOT NULL,
    blob BLOB NOT NULL,
    PRIMARY KEY (execution, event)
) WITHOUT ROWID;
