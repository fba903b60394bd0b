package cluster

// rule is one thing that must hold of a spec. Its name is stable: it is in JSON reports, and every rule has a broken spec
// in testdata/broken.
type rule struct {
	name string
	why  string
	// check looks at a whole spec, whatever else is wrong with it. Nil: the loader keeps the rule while it reads.
	check func(*checker)
}

// Names of the rules that the loader keeps.
const (
	ruleSize        = "size"
	ruleUTF8        = "utf8"
	ruleNoSecrets   = "no-secrets"
	ruleSyntax      = "yaml-syntax"
	rulePlainYAML   = "plain-yaml"
	ruleNesting     = "nesting"
	ruleNotEmpty    = "not-empty"
	ruleOneDocument = "one-document"
	ruleKnownKey    = "known-key"
	ruleUniqueKey   = "unique-key"
	ruleValueType   = "value-type"
)

// Names of the rules that Resolve keeps, over the files that a spec names.
const (
	rulePackageFile = "package-file"
	ruleLock        = "lock"
	ruleCAFile      = "ca-file"
)

// rules is every rule of a spec: first the loader's, then those over values, in the order in which people read a spec.
func rules() []rule {
	return []rule{
		{ruleSize, "a spec may come from a stranger", nil},
		{ruleUTF8, "other encodings could hide what the file says", nil},
		{ruleNoSecrets, "a spec is kept in version control and shown in reports", nil},
		{ruleSyntax, "a spec is YAML", nil},
		{rulePlainYAML, "a spec means what it shows: nothing is copied, merged or typed by tags", nil},
		{ruleNesting, "a spec is flat", nil},
		{ruleNotEmpty, "an empty file is a mistake and not a cluster of defaults", nil},
		{ruleOneDocument, "one file describes one cluster", nil},
		{ruleKnownKey, "a misspelt key would be ignored in silence", nil},
		{ruleUniqueKey, "one of two values would be ignored in silence", nil},
		{ruleValueType, "a value is what its key takes", nil},

		{"required", "some things cannot be derived", (*checker).required},
		{"api-version", "another version may mean other things by the same keys", (*checker).apiVersion},
		{"kind", "the file could be meant for another program", (*checker).kind},
		{"name", "the name becomes part of certificates, host names and instance ids", (*checker).name},
		{"platform-supported", "what a release does not build it must not seem to accept", (*checker).platform},
		{"platform-key", "a key of the other platform would be ignored in silence", (*checker).platformKeys},
		{"region", "a cluster lives in one region", (*checker).region},
		{"os-supported", "an image is baked only from systems that were tested", (*checker).os},
		{"arch-supported", "an image is baked only for processors that were tested", (*checker).arch},
		{"postgres-supported", "each system has package sources for some majors only", (*checker).postgresVersion},
		{"source-url", "apt takes no other mirrors and proxies, and a login would be kept in version control", (*checker).sourceURLs},

		{"tiers", "some combinations of tiers are no cluster", (*checker).tiers},
		{"tier-source", "a tier is the cluster's own or somebody else's", (*checker).tierSource},
		{"tier-key", "a key that nothing reads would be ignored in silence", (*checker).tierKeys},
		{"api-requires", "API nodes are nothing without a name and a program", (*checker).apiRequires},
		{"api-size", "lb and database are sized for every API node that there may be", (*checker).apiSize},
		{"address-range", "a range that runs backwards is empty", (*checker).addressRange},
		{"domain", "Cinc Server records the name, compares it letter by letter and takes 64 characters", (*checker).domain},
		{"lb-platform", "an address moves between machines in one way on-prem and in another on AWS", (*checker).lbPlatform},
		{"lb-nodes", "one balancer is a single point of failure, and two hold one address", (*checker).lbNodes},

		{"version-form", "a package is named by its full version", (*checker).versionForm},
		{"package-source", "a bake must know which bytes it installs, before it does", (*checker).packageSource},
		{"package-digest", "a digest that is cut short proves nothing", (*checker).packageDigest},
		{rulePackageFile, "an image depends on the file's bytes", nil},
		{ruleLock, "a lock that cannot be read protects nothing", nil},
		{"setting-reserved", "of two values for one setting, one would be ignored", (*checker).settingReserved},
		{"setting-secret", "a spec is kept in version control", (*checker).settingSecret},
		{"setting-value", "a setting is one line of cinc-server.rb", (*checker).settingValue},
		{"hook-command", "a hook runs without a shell, from an image that holds its program", (*checker).hookCommand},

		{"compat-cinc", "what a release works with must be known", (*checker).compatCinc},
		{"compat-postgres", "the preflight would refuse it when the machine boots", (*checker).compatPostgres},
		{"compat-opensearch", "the first reconfigure would fail", (*checker).compatOpenSearch},
		{"compat-os", "there is nothing to install", (*checker).compatOS},
		{"compat-cpu", "there is nothing to install", (*checker).compatCPU},

		{"external-postgres", "Cinc Server's drivers take one host, a port and two kinds of TLS", (*checker).externalPostgres},
		{"capacity", "a database that runs out of connections fails every API node at once", (*checker).capacity},
		{"external-search", "Cinc Server talks to one URL, with a login", (*checker).externalSearch},
		{"search-nodes", "a majority of the nodes elects the manager", (*checker).searchNodes},

		{"ipv6-refused", "Cinc Server's IPv6 support is broken for external databases and search", (*checker).ipv6},
		{"prefix-masked", "10.20.0.5/24 could mean the network or a machine in it", (*checker).prefixMasked},
		{"prefix-usable", "machines cannot talk to each other over loopback, link-local or multicast addresses", (*checker).prefixUsable},
		{"prefix-size", "the network must hold the machines, and be one", (*checker).prefixSize},
		{"gateway-in-network", "a gateway outside the network cannot be reached", (*checker).gatewayInNetwork},
		{"gateway-not-a-node", "a machine with the gateway's address cuts off the network", (*checker).gatewayNotANode},
		{"service-address", "no machine of the cluster answers DNS or NTP, nor does a machine by itself", (*checker).serviceAddress},
		{"dns-at-most-three", "the resolver ignores a fourth server in silence", (*checker).dnsAtMostThree},
		{"list-unique", "an entry given twice stands for one that was meant to differ", (*checker).listUnique},
		{"interface-name", "the kernel takes 15 characters, without slashes and blanks", (*checker).interfaceName},

		{"odd-voters", "an even number of voters survives no more than one less, and one or two survive nothing", (*checker).oddVoters},
		{"address-in-network", "a machine outside the network cannot reach the others", (*checker).addressInNetwork},
		{"network-address-reserved", "a network's first and last address belong to no machine", (*checker).addressReserved},
		{"address-unique", "two machines with one address are none", (*checker).addressUnique},
		{"disk-required", "the root disk is thrown away with the image; the database must outlive it", (*checker).diskRequired},
		{"disk-path", "the disk is found by its path under /dev", (*checker).diskPath},

		{"subnet-form", "EC2 knows subnets by their ids", (*checker).subnetForm},
		{"subnet-count", "a subnet is in one zone", (*checker).subnetCount},
		{"subnet-known", "a machine outside the network's subnets may not reach the others", (*checker).subnetKnown},
		{"subnet-spread", "a zone may fail as a whole", (*checker).subnetSpread},
		{"instance-type", "EC2 knows no other machine", (*checker).instanceTypeForm},
		{"instance-type-required", "nothing tells how large a machine must be", (*checker).instanceTypeRequired},
		{"instance-arch", "an image boots on one kind of processor", (*checker).instanceArch},
		{"instance-memory", "Cinc Server needs 4 GiB", (*checker).instanceMemory},
		{"volume-required", "the root disk is thrown away with the image; the database must outlive it", (*checker).volumeRequired},
		{"volume-form", "EC2 makes volumes of some sizes and types", (*checker).volumeForm},

		{"aws-form", "AWS knows no such name, and says so when machines are to start", (*checker).awsForm},
		{"aws-tier", "what is for machines that there are not would be ignored in silence", (*checker).awsTier},

		{"backup", "a backup that goes nowhere is none, and two could differ", (*checker).backup},
		{"backup-target", "a backup that cannot be written is found out when it is needed", (*checker).backupTarget},
		{"restore", "a cluster begins from one point", (*checker).restore},
		{"ca-path", "a path is one line", (*checker).certificateFiles},
		{ruleCAFile, "every machine will trust what the file holds", nil},

		{"ssh-key", "a line that sshd does not understand locks people out", (*checker).sshKey},
		{"secrets-file", "the bundle must be a file of its own, in a form that this release keeps", (*checker).secretsFile},
		{"recipients", "an encrypted bundle is for those who can open it", (*checker).recipients},
	}
}
