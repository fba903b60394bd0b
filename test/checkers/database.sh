# Run by TestDatabaseRunsAndIsRestored as PostgreSQL's user: NAME STANZA PARAMETERS HBA RESTORE-COMMAND POST-BOOTSTRAP
stanza=$1 parameters=$2 hba=$3 restore=$4 post=$5
data=/data/postgres/13
export PATH=/usr/lib/postgresql/13/bin:$PATH PGHOST=/run/postgresql PGDATABASE=postgres PGDATA=$data

start() { pg_ctl --wait --silent --log=/tmp/postgres.log start || { tail -20 /tmp/postgres.log; exit 1; }; }
ask() { psql -XAtc "$1"; }

initdb --auth=peer --no-sync >/dev/null
echo "$parameters" >>$data/postgresql.conf
echo "$hba" >$data/pg_hba.conf
start
echo "rows of pg_hba.conf: $(ask 'SELECT count(*) FROM pg_hba_file_rules'), not taken: $(ask 'SELECT count(*) FROM pg_hba_file_rules WHERE error IS NOT NULL')"
echo "connections: $(ask 'SHOW max_connections')"
$post
ask "CREATE TABLE rows (row text); INSERT INTO rows VALUES ('before')"
pgbackrest --stanza="$stanza" stanza-create
pgbackrest --stanza="$stanza" check
pgbackrest --stanza="$stanza" --type=diff backup # the first is full whatever it is asked to be
ask "INSERT INTO rows VALUES ('after')"
ask 'SELECT pg_switch_wal()'
pg_ctl --wait --silent --mode=fast stop

rm -rf $data
eval "$restore"
start
for _ in $(seq 300); do
	[ "$(ask 'SELECT pg_is_in_recovery()')" != f ] || break
	sleep 0.1
done
$post # Patroni runs it after a restore too, where the owner is there already
echo "rows: $(ask "SELECT string_agg(row, ' ' ORDER BY row DESC) FROM rows")"
ask "SELECT format('owner: may make databases %s, roles %s, password %s', rolcreatedb::text, rolcreaterole::text, left(rolpassword, 3))
	FROM pg_authid WHERE rolname = 'cinc_owner'"
pg_ctl --wait --silent --mode=immediate stop
