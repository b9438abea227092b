#!/bin/sh
# The role that ragward connects as. Not the superuser: row level security does not hold those.
set -eu
password=$(cat /run/secrets/postgres-ragward)
psql -v ON_ERROR_STOP=1 -v password="$password" -U "$POSTGRES_USER" -d "$POSTGRES_DB" <<'SQL'
CREATE ROLE ragward LOGIN PASSWORD :'password' NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
ALTER DATABASE ragward OWNER TO ragward;
ALTER SCHEMA public OWNER TO ragward;
SQL
