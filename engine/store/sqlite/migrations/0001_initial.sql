-- Ids of executions are shard << 38 | number; the shard is 0 so far. Times are epoch milliseconds.

CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    clock INTEGER NOT NULL,             -- the latest time of any committed unit
    next_execution INTEGER NOT NULL
);
INSERT INTO meta (id, clock, next_execution) VALUES (1, 0, 1);

CREATE TABLE machine (
    arn TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    definition INTEGER NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    status TEXT NOT NULL,
    extras BLOB                          -- JSON, NULL for {}
);

-- One row for each revision of a machine; executions stay pinned to theirs.
CREATE TABLE definition (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again: programs are cached by it
    machine TEXT NOT NULL,
    type TEXT NOT NULL,
    role TEXT NOT NULL,
    revision TEXT NOT NULL,
    created INTEGER NOT NULL,
    text BLOB NOT NULL,
    configuration BLOB                   -- logging, tracing and encryption that are not the default: JSON, NULL for {}
);

CREATE TABLE activity (
    arn TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    created INTEGER NOT NULL,
    extras BLOB
);

-- What the executions of one machine (or of the Map Runs under one label) share; an execution's ARN is prefix:tail.
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    prefix TEXT NOT NULL UNIQUE,
    machine TEXT NOT NULL,
    machine_name TEXT NOT NULL,
    express INTEGER NOT NULL
);
CREATE INDEX series_machine ON series (machine);

-- What an execution runs: a block of a definition, in a role.
CREATE TABLE pin (
    id INTEGER PRIMARY KEY,
    definition INTEGER NOT NULL,
    block INTEGER NOT NULL,
    role TEXT NOT NULL
);

-- Written twice: at the start and at the end. Input and output are read from the first and the last row of the history.
CREATE TABLE execution (
    id INTEGER PRIMARY KEY,
    series INTEGER NOT NULL,
    tail TEXT NOT NULL,                  -- the name; Express: name:uuid
    uuid BLOB NOT NULL,
    pin INTEGER NOT NULL,
    started INTEGER NOT NULL,
    parent INTEGER,                      -- the execution whose Map Run awaits this one
    parent_frame INTEGER,
    parent_seq INTEGER,
    parent_index INTEGER,
    version INTEGER,                     -- qualifiers: what it was started through, if that was not the machine itself
    alias INTEGER,
    extras BLOB,
    status INTEGER NOT NULL,             -- place in STATUSES
    stopped INTEGER,
    events INTEGER,                      -- once closed; the continuation counts until then
    error TEXT,
    cause TEXT,
    UNIQUE (series, tail)
);
CREATE INDEX execution_status ON execution (series, status);
CREATE INDEX execution_stopped ON execution (stopped) WHERE stopped IS NOT NULL;
CREATE INDEX execution_parent ON execution (parent, parent_frame, parent_seq, status) WHERE parent IS NOT NULL;
CREATE INDEX execution_version ON execution (version, status) WHERE version IS NOT NULL;
CREATE INDEX execution_alias ON execution (alias, status) WHERE alias IS NOT NULL;

-- The ARNs of versions and aliases that executions were started through.
CREATE TABLE qualifier (
    id INTEGER PRIMARY KEY,
    arn TEXT NOT NULL UNIQUE
);

-- How far a Map Run is: rewritten with each unit that changes it, and kept as long as its execution. event: of its MapRunStarted
CREATE TABLE map_run (
    execution INTEGER NOT NULL,
    event INTEGER NOT NULL,
    frame INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    uuid BLOB NOT NULL,
    blob BLOB NOT NULL,
    PRIMARY KEY (execution, event)
) WITHOUT ROWID;
CREATE UNIQUE INDEX map_run_frame ON map_run (execution, frame, seq);
CREATE INDEX map_run_uuid ON map_run (uuid);

-- The state of a running execution, or of one that may be redriven. Deleted when an execution succeeds.
CREATE TABLE continuation (
    id INTEGER PRIMARY KEY,
    wake INTEGER,                        -- 0: effects in flight, else the earliest deadline, NULL: a callback only
    events INTEGER NOT NULL,
    blob BLOB NOT NULL
);
CREATE INDEX continuation_wake ON continuation (wake) WHERE wake IS NOT NULL;

-- The frames of a continuation that has many; then its own blob holds none. key = execution << 17 | frame
CREATE TABLE frame (
    key INTEGER PRIMARY KEY,
    blob BLOB NOT NULL
);

-- Items and results of a large Map, written once. n: number of the first item, and results stored before.
CREATE TABLE map_item (
    execution INTEGER NOT NULL,
    frame INTEGER NOT NULL,
    n INTEGER NOT NULL,
    blob BLOB NOT NULL,
    PRIMARY KEY (execution, frame, n)
) WITHOUT ROWID;

CREATE TABLE map_result (
    execution INTEGER NOT NULL,
    frame INTEGER NOT NULL,
    n INTEGER NOT NULL,
    blob BLOB NOT NULL,
    PRIMARY KEY (execution, frame, n)
) WITHOUT ROWID;

-- One row for each unit. key = execution << 15 | first event id
CREATE TABLE history (
    key INTEGER PRIMARY KEY,
    blob BLOB NOT NULL
);

-- Large payloads that outlived a unit, written once. key = execution << 17 | n
CREATE TABLE payload (
    key INTEGER PRIMARY KEY,
    blob BLOB NOT NULL
);

-- What the embedded services keep: topics, queues, messages, functions ... The keys are theirs.
CREATE TABLE record (
    key TEXT PRIMARY KEY,
    blob BLOB NOT NULL
) WITHOUT ROWID;
