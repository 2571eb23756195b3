-- The history of an execution from its event 32,768 on, which the keys of `history` cannot number.
-- event: the first of the unit.
CREATE TABLE long_history (
    execution bigint NOT NULL,
    event bigint NOT NULL,
    blob bytea NOT NULL,
    PRIMARY KEY (execution, event)
);
