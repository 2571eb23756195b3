#!/bin/bash
# The entry point of the standby: copies the primary once, then follows it.
#
# PRIMARY                    its host
# REPLICATION_PASSWORD_FILE  holds the password of the role `replicator`
set -euo pipefail

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    PGPASSWORD=$(cat "$REPLICATION_PASSWORD_FILE")
    export PGPASSWORD
    # -R writes the connection to the primary, with the password and the name, into the new folder
    until pg_basebackup --pgdata "$PGDATA" --write-recovery-conf --slot standby --wal-method stream \
        --checkpoint fast --no-password \
        --dbname "host=$PRIMARY port=${PRIMARY_PORT:-5432} user=replicator application_name=standby"; do
        echo "the primary does not answer yet" >&2
        rm -rf "${PGDATA:?}"/*
        sleep 1
    done
    chmod 0700 "$PGDATA"
fi
exec "$@"
