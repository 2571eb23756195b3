-- A key that nobody outside of this database knows, for what it hands out and must know again: page tokens.
ALTER TABLE meta ADD COLUMN secret BLOB NOT NULL DEFAULT x'';
UPDATE meta SET secret = randomblob(32);
