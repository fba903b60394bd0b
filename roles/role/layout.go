package role

// Where things lie on every machine. The data directory is the only place whose content outlives the image.
const (
	// DataDir is where the data disk is mounted; without one it is a plain directory on the root disk.
	DataDir = "/data"
	// TLSDir holds the CA's certificate, and a copy of the machine's certificate and key for each program that needs one.
	TLSDir = "/etc/cincbake/tls"
	// CAFile is the cluster CA's certificate.
	CAFile = TLSDir + "/ca.pem"
	// AgentPath is the boot agent.
	AgentPath = "/usr/bin/cincbake-node"
	// ImageDir holds what the image says about itself.
	ImageDir = "/usr/lib/cincbake"
	// RecipeFile is the recipe that the image was baked from.
	RecipeFile = ImageDir + "/recipe.json"
	// ContentDigestFile holds the sealed image's content digest. It is the one file that the digest can't cover.
	ContentDigestFile = ImageDir + "/content-digest"
	// UnreadFile keeps which files changed that programs have yet to read (see step.Resume). It is gone with the boot, as the
	// programs are.
	UnreadFile = "/run/cincbake/unread.json"
)

// Units of the agent, baked into every image.
const (
	UnitBoot  = "cincbake-boot.service"
	UnitAgent = "cincbake-agent.service"
	UnitScrub = "cincbake-scrub.service"
	// UnitRefresh is started by UnitRefreshTimer.
	UnitRefresh      = "cincbake-refresh.service"
	UnitRefreshTimer = "cincbake-refresh.timer"
)

// The packages' users get fixed numbers: a data disk outlives its image, and numbers given by the order of installation drift.
const (
	UserEtcd       = "etcd"
	UIDEtcd        = 379
	UserPostgres   = "postgres"
	UIDPostgres    = 432
	UserOpenSearch = "opensearch"
	UIDOpenSearch  = 920
)

// CertFile is the machine's certificate as the program called user reads it.
func CertFile(user string) string { return TLSDir + "/" + user + ".pem" }

// KeyFile is the machine's private key as the program called user reads it: 0600 and that user's.
func KeyFile(user string) string { return TLSDir + "/" + user + ".key" }

// LedgerDatabase is the API nodes' own database on the database server: who of them configures, and how far they have come.
const LedgerDatabase = "cincbake"

// SearchUser is Cinc Server's user on the cluster's own OpenSearch.
const SearchUser = "cinc"
