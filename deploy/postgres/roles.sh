#!/bin/sh
# What a container of PostgreSQL runs at its first start, beside roles.sql.
set -eu
psql --username postgres --set ON_ERROR_STOP=1 --set owner_password="$OWNER_PASSWORD" \
  --set app_password="$APP_PASSWORD" --file /costhub/roles.sql
