package postgres

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"

	"gopkg.in/yaml.v3"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/roles/pgbackrest"
	"github.com/cincbake/cincbake/roles/role"
	"github.com/cincbake/cincbake/secrets"
)

// Failover settings, in seconds. Patroni 4 raises a ttl below 20 in silence and demands loopWait + 2 × retryTimeout ≤ ttl.
// A long loopWait is what makes failover fast: the lease was renewed longer ago when the machine dies, so it ends sooner.
// docs/failover.md has the measurements behind these three.
const (
	ttl          = 20
	loopWait     = 14
	retryTimeout = 3
)

// Names of database roles. The owner is Cinc's: it makes databases and roles, and is no superuser.
const (
	UserSuper       = "postgres"
	UserReplication = "replicator"
	UserRewind      = "rewinder"
	UserOwner       = "cinc_owner"
	userRestAPI     = "patroni"
)

// config is the part of Patroni's configuration that cincbake writes; the names are Patroni's.
type config struct {
	Scope      string     `yaml:"scope"`
	Name       string     `yaml:"name"`
	RestAPI    restAPI    `yaml:"restapi"`
	Ctl        ctl        `yaml:"ctl"`
	Etcd3      etcd3      `yaml:"etcd3"`
	Bootstrap  bootstrap  `yaml:"bootstrap"`
	PostgreSQL postgreSQL `yaml:"postgresql"`
}

type restAPI struct {
	Listen         string      `yaml:"listen"`
	ConnectAddress string      `yaml:"connect_address"`
	CertFile       string      `yaml:"certfile"`
	KeyFile        string      `yaml:"keyfile"`
	CAFile         string      `yaml:"cafile"`
	VerifyClient   string      `yaml:"verify_client"`
	Authentication credentials `yaml:"authentication"`
}

type credentials struct {
	Username string `yaml:"username"`
	Password string `yaml:"password"`
	SSLMode  string `yaml:"sslmode,omitempty"`
	SSLRoot  string `yaml:"sslrootcert,omitempty"`
}

type ctl struct {
	CACert   string `yaml:"cacert"`
	CertFile string `yaml:"certfile"`
	KeyFile  string `yaml:"keyfile"`
}

type etcd3 struct {
	Hosts    []string `yaml:"hosts"`
	Protocol string   `yaml:"protocol"`
	CACert   string   `yaml:"cacert"`
	Cert     string   `yaml:"cert"`
	Key      string   `yaml:"key"`
}

type bootstrap struct {
	DCS           dcs      `yaml:"dcs"`
	Method        string   `yaml:"method,omitempty"` // initdb by default
	Restore       *restore `yaml:"pgbackrest,omitempty"`
	InitDB        []any    `yaml:"initdb"`
	PostBootstrap string   `yaml:"post_bootstrap"`
}

// restore is a way of making the first member that Patroni knows nothing about.
type restore struct {
	Command string `yaml:"command"`
	// The command takes none of Patroni's own arguments, and writes how far the log is replayed by itself.
	NoParams         bool `yaml:"no_params"`
	KeepRecoveryConf bool `yaml:"keep_existing_recovery_conf"`
}

type dcs struct {
	TTL                  int           `yaml:"ttl"`
	LoopWait             int           `yaml:"loop_wait"`
	RetryTimeout         int           `yaml:"retry_timeout"`
	MaximumLagOnFailover int           `yaml:"maximum_lag_on_failover"`
	PrimaryStartTimeout  int           `yaml:"primary_start_timeout"`
	SynchronousMode      bool          `yaml:"synchronous_mode"`
	FailsafeMode         bool          `yaml:"failsafe_mode"`
	CheckTimeline        bool          `yaml:"check_timeline"`
	PostgreSQL           dcsPostgreSQL `yaml:"postgresql"`
}

type dcsPostgreSQL struct {
	UsePgRewind bool              `yaml:"use_pg_rewind"`
	UseSlots    bool              `yaml:"use_slots"`
	Parameters  map[string]string `yaml:"parameters"`
}

type postgreSQL struct {
	Listen         string                 `yaml:"listen"`
	ConnectAddress string                 `yaml:"connect_address"`
	DataDir        string                 `yaml:"data_dir"`
	BinDir         string                 `yaml:"bin_dir"`
	PgPass         string                 `yaml:"pgpass"`
	UseUnixSocket  bool                   `yaml:"use_unix_socket"`
	Authentication map[string]credentials `yaml:"authentication"`
	Parameters     map[string]string      `yaml:"parameters"`
	PgHBA          []string               `yaml:"pg_hba"`
	BaseBackup     []map[string]string    `yaml:"basebackup"`
	// A member whose history forked and that can't be rewound makes itself anew: its writes were never acknowledged.
	RemoveOnRewindFailure bool `yaml:"remove_data_directory_on_rewind_failure"`
	RemoveOnDiverged      bool `yaml:"remove_data_directory_on_diverged_timelines"`
}

// patroni returns Patroni's configuration for the machine. It holds passwords.
func patroni(in role.Inputs, source cluster.PostgresSource) ([]byte, error) {
	if in.Secrets.Postgres == nil {
		return nil, fmt.Errorf("%s has no database passwords in its secrets", in.Self.Name)
	}
	passwords := *in.Secrets.Postgres
	cert, key := role.CertFile(role.UserPostgres), role.KeyFile(role.UserPostgres)
	login := func(user string, password secrets.Secret) credentials {
		return credentials{Username: user, Password: password.Reveal(), SSLMode: "verify-ca", SSLRoot: role.CAFile}
	}
	c := config{
		Scope: in.Cluster.Name,
		Name:  in.Self.Name,
		RestAPI: restAPI{
			Listen:         fmt.Sprintf("%s:%d", in.Self.Address, cluster.PortPatroni),
			ConnectAddress: endpoint(in.Self, cluster.PortPatroni),
			CertFile:       cert, KeyFile: key, CAFile: role.CAFile,
			VerifyClient:   "optional", // routers check without a certificate; changing something takes the password
			Authentication: credentials{Username: userRestAPI, Password: passwords.RestAPI.Reveal()},
		},
		Ctl:   ctl{CACert: role.CAFile, CertFile: cert, KeyFile: key},
		Etcd3: etcd3{Protocol: "https", CACert: role.CAFile, Cert: cert, Key: key},
		Bootstrap: bootstrap{
			DCS: dcs{
				TTL: ttl, LoopWait: loopWait, RetryTimeout: retryTimeout,
				MaximumLagOnFailover: 1 << 20,
				PrimaryStartTimeout:  300,
				SynchronousMode:      true, FailsafeMode: true, CheckTimeline: true,
				PostgreSQL: dcsPostgreSQL{UsePgRewind: true, UseSlots: true, Parameters: shared(in.Cluster)},
			},
			InitDB:        initDB(),
			PostBootstrap: source.BinDir + "/psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --file=" + bootstrapSQL,
		},
		PostgreSQL: postgreSQL{
			Listen:         fmt.Sprintf("%s,127.0.0.1:%d", in.Self.Address, cluster.PortPostgres),
			ConnectAddress: endpoint(in.Self, cluster.PortPostgres),
			DataDir:        dataDir(in.Cluster.Postgres.Version),
			BinDir:         source.BinDir,
			PgPass:         socketDir + "/pgpass",
			UseUnixSocket:  true,
			Authentication: map[string]credentials{
				"superuser":   login(UserSuper, passwords.Superuser),
				"replication": login(UserReplication, passwords.Replication),
				"rewind":      login(UserRewind, passwords.Rewind),
			},
			Parameters:            local(in),
			PgHBA:                 hba(in.Cluster),
			BaseBackup:            []map[string]string{{"checkpoint": "fast"}},
			RemoveOnRewindFailure: true,
			RemoveOnDiverged:      true,
		},
	}
	if command := pgbackrest.RestoreCommand(in.Cluster); command != "" {
		c.Bootstrap.Method = "pgbackrest"
		c.Bootstrap.Restore = &restore{Command: command, NoParams: true, KeepRecoveryConf: true}
	}
	for _, node := range in.Cluster.Voters() {
		c.Etcd3.Hosts = append(c.Etcd3.Hosts, endpoint(node, cluster.PortEtcdClient))
	}
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(c); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// initDB are initdb's options. Its own pg_hba.conf is replaced at once, and must not trust anybody until then.
func initDB() []any {
	return []any{
		map[string]string{"encoding": "UTF8"},
		map[string]string{"locale": "C.UTF-8"},
		map[string]string{"auth-local": "peer"},
		map[string]string{"auth-host": "scram-sha-256"},
		"data-checksums",
	}
}

func endpoint(n cluster.Node, port int) string { return fmt.Sprintf("%s:%d", n.Host(), port) }

// defaultConnections is PostgreSQL's own limit, for a cluster that has no API tier to reckon with.
const defaultConnections = 100

// shared are parameters that every member must have alike, so they live in etcd.
func shared(c *cluster.Resolved) map[string]string {
	return map[string]string{
		"max_connections":         fmt.Sprint(cmp.Or(c.Postgres.MaxConnections, defaultConnections)),
		"max_wal_senders":         "10",
		"max_replication_slots":   "10",
		"wal_log_hints":           "on", // for pg_rewind
		"wal_keep_size":           "256MB",
		"max_slot_wal_keep_size":  "4GB", // a replica that never returns must not fill the disk
		"wal_sender_timeout":      "3s",  // writes stall so long when the synchronous replica dies
		"wal_receiver_timeout":    "10s",
		"restart_after_crash":     "on",
		"tcp_keepalives_idle":     "10",
		"tcp_keepalives_interval": "5",
		"tcp_keepalives_count":    "3",
	}
}

// local are parameters that follow from the machine, or that a cluster may get later in its life.
func local(in role.Inputs) map[string]string {
	parameters := map[string]string{
		"shared_buffers":          fmt.Sprintf("%dMB", sharedBuffers(in.Facts.MemoryBytes)>>20),
		"ssl":                     "on",
		"ssl_cert_file":           role.CertFile(role.UserPostgres),
		"ssl_key_file":            role.KeyFile(role.UserPostgres),
		"ssl_ca_file":             role.CAFile,
		"unix_socket_directories": socketDir,
		"password_encryption":     "scram-sha-256",
		"logging_collector":       "off", // the journal keeps it
	}
	maps.Copy(parameters, pgbackrest.Parameters(in.Cluster))
	return parameters
}

// sharedBuffers is a quarter of the memory, PostgreSQL's own advice, between its default and 8 GiB.
func sharedBuffers(memory uint64) uint64 { return min(max(memory/4, 128<<20), 8<<30) }
