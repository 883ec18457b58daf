#!/bin/sh
# The application's login, made with the database. It owns nothing; the migrations give it its two roles.
set -eu
psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
  --set password="$ARCBRIDGE_LOGIN_PASSWORD" <<'SQL'
create role arcbridge_login login noinherit password :'password';
SQL
