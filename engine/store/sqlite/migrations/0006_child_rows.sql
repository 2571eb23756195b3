-- Inputs of children of Map Runs that an ItemReader reads, until the Map Run ends. n: slot of the first
CREATE TABLE child_input (
    execution INTEGER NOT NULL,
    frame INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    n INTEGER NOT NULL,
    blob BLOB NOT NULL,
    PRIMARY KEY (execution, frame, seq, n)
);

-- Outputs of children for the ResultWriter of their Map Run. n: slot of the first; slots: of all
CREATE TABLE child_output (
    execution INTEGER NOT NULL,
    frame INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    n INTEGER NOT NULL,
    slots BLOB NOT NULL,
    blob BLOB NOT NULL,
    PRIMARY KEY (execution, frame, seq, n)
);
