# Run by TestDatabaseRunsAndIsRestored as PostgreSQL's user: NAME STANZA ADDRESS PARAMETERS HBA POST-BOOTSTRAP
stanza=$1 address=$2 parameters=$3 hba=$4 post=$5
data=/data/postgres/13 tls=/etc/cincbake/tls
export PATH="/usr/lib/postgresql/13/bin:$PATH" PGHOST=/run/postgresql PGDATABASE=postgres PGDATA=$data

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

# Everything is lost but the repository. One etcd answers for all voters; what it keeps is empty, as a new cluster's is.
rm -rf $data
etcd --log-level=error --data-dir=/tmp/etcd --listen-client-urls="https://$address:2379" --advertise-client-urls="https://$address:2379" \
	--cert-file=$tls/postgres.pem --key-file=$tls/postgres.key --trusted-ca-file=$tls/ca.pem --client-cert-auth &
patroni /etc/patroni/config.yml >/tmp/patroni.log 2>&1 &
for _ in $(seq 150); do
	# Initialised comes after the owner was made, which is the last thing of a bootstrap.
	! grep -q 'initialized a new cluster' /tmp/patroni.log || break
	sleep 0.2
done
echo "recovering: $(ask 'SELECT pg_is_in_recovery()')" || { tail -30 /tmp/patroni.log; exit 1; }
echo "rows: $(ask "SELECT string_agg(row, ' ' ORDER BY row DESC) FROM rows")"
ask "SELECT format('owner: may make databases %s, roles %s, password %s', rolcreatedb::text, rolcreaterole::text, left(rolpassword, 3))
	FROM pg_authid WHERE rolname = 'cinc_owner'"
tail -30 /tmp/patroni.log
