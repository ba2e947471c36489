#!/usr/bin/env bash
# Run by the image of PostgreSQL when its volume is empty: a role and a database each for Dagster's storage and for the
# platform, neither of which can open the other's.
set -euo pipefail

create() {
  # The password comes by the environment: an argument is seen in the list of processes.
  psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres --set name="$1" <<'SQL'
\getenv password ROLE_PASSWORD
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name" ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
}

ROLE_PASSWORD="$DAGSTER_POSTGRES_PASSWORD" create dagster
ROLE_PASSWORD="$PIPELINES_POSTGRES_PASSWORD" create pipelines
