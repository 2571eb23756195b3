-- Running executions that could not go on when they were last tried, and why. Each process tries again.
CREATE TABLE parked (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    reason TEXT NOT NULL
);
