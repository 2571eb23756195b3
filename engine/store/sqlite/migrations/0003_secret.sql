-- A secret key of this database, which authenticates page tokens.
ALTER TABLE meta ADD COLUMN secret BLOB NOT NULL DEFAULT x'';
UPDATE meta SET secret = randomblob(32);
