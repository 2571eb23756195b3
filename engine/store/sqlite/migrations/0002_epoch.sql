-- Each opening for writing raises it; a transaction of an earlier opening finds that it is not its own any more.
ALTER TABLE meta ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
