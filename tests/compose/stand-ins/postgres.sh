#!/bin/sh
# What docker-entrypoint.sh of the official image does with the variables that compose.yaml sets.
set -eu
[ -z "${POSTGRES_PASSWORD_FILE:-}" ] || POSTGRES_PASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
export PGPASSWORD="$POSTGRES_PASSWORD"
as() { setpriv --reuid 10001 --regid 10001 --clear-groups "$@"; }
mkdir -p "$PGDATA"
chown -R 10001:10001 /var/lib/postgresql
chmod 700 "$PGDATA"
cd /var/lib/postgresql
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  printf %s "$POSTGRES_PASSWORD" | as sh -c 'umask 077 && cat >/tmp/password'
  as initdb --pgdata "$PGDATA" --username "$POSTGRES_USER" --pwfile /tmp/password --auth scram-sha-256 --encoding UTF8 \
    --locale-provider builtin --builtin-locale C.UTF-8
  rm /tmp/password
  echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
  as pg_ctl -D "$PGDATA" -w -o "-c listen_addresses='' -c unix_socket_directories=/tmp" start
  as createdb -h /tmp -U "$POSTGRES_USER" "$POSTGRES_DB"
  as pg_ctl -D "$PGDATA" -w stop
fi
exec setpriv --reuid 10001 --regid 10001 --clear-groups \
  postgres -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories=/tmp
