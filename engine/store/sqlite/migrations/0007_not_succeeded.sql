-- Lists by status of all machines: executions that run, failed, timed out or were aborted. Most have
-- succeeded (1), and are in no such index.
CREATE INDEX execution_not_succeeded ON execution (status) WHERE status <> 1;
