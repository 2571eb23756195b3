-- Inputs of children of Map Runs that an ItemReader reads, until the Map Run ends.
-- n: slot of the first.
CREATE TABLE child_input (
    execution bigint NOT NULL,
    frame bigint NOT NULL,
    seq bigint NOT NULL,
    n bigint NOT NULL,
    blob bytea NOT NULL,
    PRIMARY KEY (execution, frame, seq, n)
);

-- Outputs of children for the ResultWriter of their Map Run. n: slot of the first; slots: of all.
CREATE TABLE child_output (
    execution bigint NOT NULL,
    frame bigint NOT NULL,
    seq bigint NOT NULL,
    n bigint NOT NULL,
    slots bytea NOT NULL,
    blob bytea NOT NULL,
    PRIMARY KEY (execution, frame, seq, n)
);
