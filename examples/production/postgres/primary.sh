#!/bin/bash
# Runs once, when the official image of PostgreSQL creates the database of the primary
# (/docker-entrypoint-initdb.d): a role for the standby, and synchronous replication to it.
#
# REPLICATION_PASSWORD_FILE  holds the password of that role
set -euo pipefail

password=$(cat "$REPLICATION_PASSWORD_FILE")
psql -v ON_ERROR_STOP=1 -v password="$password" --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE replicator LOGIN REPLICATION PASSWORD :'password';
SELECT pg_create_physical_replication_slot('standby');
-- a commit is acknowledged when the standby has it on disk; it takes effect with the next start
ALTER SYSTEM SET synchronous_standby_names = 'standby';
ALTER SYSTEM SET synchronous_commit = on;
SQL
echo "host replication replicator all scram-sha-256" >>"$PGDATA/pg_hba.conf"
